// Package mlworkload has the experiments of the artifact of that name: what the
// workload of machine-learning clusters is like, which distributions fit it and
// at which sample size a test still says so, on public job logs, on one's own,
// and on generated ones.
package mlworkload

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"time"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/policies/mlworkload"
	"reprise/policies/mlworkload/fit"
)

var (
	logParam = artifacts.Param{Name: "log", Doc: "philly, openb, code or conversation (in the folder of traces), lublin or made (generated), or the absolute path of a job log", Default: "lublin", File: true}
	seed     = artifacts.Param{Name: "seed", Doc: "of generated logs, samples and the jitter inside clock ticks", Default: 1}
	source   = []artifacts.Param{logParam, seed,
		{Name: "format", Doc: "of the file that log names; told from its content when empty", Default: ""},
		{Name: "columns", Doc: "of a csv log that are not called by their roles, as submit=created,duration=run_s", Default: []string{}},
		{Name: "zone", Doc: "of times without one, as America/Los_Angeles; UTC when empty", Default: ""},
		{Name: "jobs", Doc: "jobs of a generated log", Default: 10_000}}
	variable   = artifacts.Param{Name: "variable", Doc: "duration (run time), residence (from submission to end), gap (between submissions), rounded-gap (the same, as if the gaps had been rounded and not the submissions)", Default: "duration"}
	families   = artifacts.Param{Name: "families", Doc: "of distributions", Default: familyNames()}
	split      = artifacts.Param{Name: "split", Doc: "of the values: random, time (the later half is held out), or python (random.seed(1), random.sample(values, n) of Python, ties left but in rounded-gap; any others held out)", Default: "random"}
	part       = artifacts.Param{Name: "part", Doc: "of the log's span that models are fitted to; the rest is held out", Default: 0.5}
	slot       = artifacts.Param{Name: "slot", Doc: "seconds of a slot in which arrivals are counted", Default: 3600}
	replicates = artifacts.Param{Name: "replicates", Doc: "samples of the parametric bootstrap", Default: 99}
)

func familyNames() []string {
	var names []string
	for _, f := range fit.Families {
		names = append(names, f.Name)
	}
	return names
}

func init() {
	with := func(more ...artifacts.Param) []artifacts.Param {
		return append(append([]artifacts.Param{}, source...), more...)
	}
	for _, b := range []artifacts.Builtin{
		{Name: "mlworkload.characterise", Version: 2, Doc: "counts, means, quantiles, daily and weekly profile, skew, dependence and stationarity of a job log",
			Params: with(), ReadsTraces: true, Run: characterise},
		{Name: "mlworkload.fit", Version: 2, Doc: "distance of each family of distributions from the values it was fitted to and from values held out, and which is chosen",
			Params: with(variable, families,
				artifacts.Param{Name: "n", Doc: "values fitted to, and as many held out; at most half of those there are", Default: 4000}, split), ReadsTraces: true, Run: fits},
		{Name: "mlworkload.pvalues", Version: 2, Doc: "mean p-value of tests of fit by the number of values tested, with the fit of all values and with a fit of their own",
			Params: with(variable, families, replicates,
				artifacts.Param{Name: "sizes", Doc: "numbers of values tested", Default: []int{100, 200, 500, 1000}},
				artifacts.Param{Name: "samples", Doc: "samples of each size", Default: 30},
				artifacts.Param{Name: "n", Doc: "values of the fit of all values, and values held out for it", Default: 4000},
				artifacts.Param{Name: "draw", Doc: "of samples: random values, or window (values that follow each other)", Default: "random"}), ReadsTraces: true, Run: pvalues},
		{Name: "mlworkload.coverage", Version: 2, Doc: "how often tests of fit reject, at 5 %, values of the family that is tested",
			Params: []artifacts.Param{seed, replicates,
				{Name: "family", Doc: "of distributions", Default: "lognormal"},
				{Name: "n", Doc: "values of a sample", Default: 100},
				{Name: "rounds", Doc: "samples", Default: 2000}}, Run: coverage},
		{Name: "mlworkload.lublin", Version: 2, Doc: "parameters of the Lublin–Feitelson model estimated from a log that it generated, over the true ones, and the family chosen for its run times",
			Params: []artifacts.Param{seed, {Name: "jobs", Doc: "jobs of the log", Default: 10_000}}, Run: lublin},
		{Name: "mlworkload.arrivals", Version: 2, Doc: "arrivals held out under Poisson, seasonal and Markov-modulated processes, and gaps on the season's clock",
			Params: with(part, slot), ReadsTraces: true, Run: arrivals},
		{Name: "mlworkload.forecast", Doc: "error of forecasts of the arrivals in the next slot, with a rolling origin",
			Params: with(part, slot), ReadsTraces: true, Run: forecast},
		{Name: "mlworkload.published-forecast", Doc: "error of Lucid's published forecast, beside persistence, on its own slots",
			Params:      []artifacts.Param{{Name: "file", Doc: "absolute path of Venus_throughput_pred.csv of Lucid's repository; lucid_venus_throughput_pred.csv of the folder of traces when empty", Default: "", File: true}},
			ReadsTraces: true, Run: publishedForecast},
		{Name: "mlworkload.generate", Version: 3, Doc: "a log generated from a fit, as swf and csv, and its distance from what was held out",
			Params: with(part,
				artifacts.Param{Name: "split", Doc: "time (the later part is held out) or days (every second day)", Default: "time"},
				artifacts.Param{Name: "arrivals", Doc: "renewal (independent gaps) or mmpp (Markov-modulated), both with the season's rate", Default: "renewal"}), ReadsTraces: true, Run: generate},
		{Name: "mlworkload.generalise", Version: 2, Doc: "fits to one virtual cluster, month or cluster, tested on another",
			Params: with(
				artifacts.Param{Name: "by", Doc: "vc, month, or cluster (the log, philly and openb, each over its median)", Default: "vc"},
				artifacts.Param{Name: "family", Doc: "of distributions", Default: "lognormal-mix-3"},
				artifacts.Param{Name: "n", Doc: "run times fitted to, and as many tested", Default: 2000}), ReadsTraces: true, Run: generalise},
	} {
		b.Version = max(1, b.Version)
		artifacts.Register(b)
	}
}

// files are the public logs by name, in the folder mlcluster of the traces.
var files = map[string]string{"philly": "philly.csv", "openb": "openb_pod_list_default.csv",
	"code": "AzureLLMInferenceTrace_code.csv", "conversation": "AzureLLMInferenceTrace_conv.csv"}

// errNoTraces explains an experiment that needs public logs.
var errNoTraces = errors.New("this experiment reads public job logs: name the folder that holds them, as mlcluster/…, in REPRISE_TRACES, or give a log of your own with --param log=PATH")

// load gives the log that the parameters name, and the generator of random
// numbers that its seed starts.
func load(env *artifacts.Env) (*mlworkload.Log, *rand.Rand, error) {
	rng := rand.New(rand.NewPCG(uint64(env.Params["seed"].(int)), 0))
	name := env.Params["log"].(string)
	if name == "lublin" {
		m := mlworkload.PublishedLublin()
		return m.Generate(env.Params["jobs"].(int), rng), rng, nil
	}
	if name == "made" {
		return made(env.Params["jobs"].(int), rng), rng, nil
	}
	path := name
	if file, public := files[name]; public {
		if env.Traces == "" {
			return nil, nil, errNoTraces
		}
		path = filepath.Join(env.Traces, "mlcluster", file)
	} else if !filepath.IsAbs(name) {
		return nil, nil, fmt.Errorf("log %q: want philly, openb, code, conversation, lublin, made, or an absolute path, as $PWD/%s", name, name)
	}
	o := mlworkload.Options{Format: env.Params["format"].(string)}
	var err error
	if o.Columns, err = mlworkload.ParseColumns(env.Params["columns"].([]string)); err != nil {
		return nil, nil, err
	}
	if zone := env.Params["zone"].(string); zone != "" {
		if o.Zone, err = time.LoadLocation(zone); err != nil {
			return nil, nil, fmt.Errorf("zone: %w", err)
		}
	}
	l, err := mlworkload.Open(path, o)
	if err == nil && len(l.Jobs) < 2 {
		err = fmt.Errorf("%s: %d jobs: want at least two", path, len(l.Jobs))
	}
	return l, rng, err
}

// observer records observations with pairs of label and value; a value that is
// not known or not finite is left out, as the likelihood of what a distribution
// cannot have.
func observer(env *artifacts.Env) func(metric string, value float64, unit string, labels ...string) error {
	return func(metric string, value float64, unit string, labels ...string) error {
		if math.IsNaN(value) || math.IsInf(value, 0) {
			return nil
		}
		o := checks.Observation{Metric: metric, Value: value, Unit: unit, Labels: map[string]string{}}
		for i := 0; i < len(labels); i += 2 {
			o.Labels[labels[i]] = labels[i+1]
		}
		return env.Observe(o)
	}
}

// whole is a label of a number.
func whole(n int) string { return strconv.Itoa(n) }
