// Package jobprofile has the experiments of the artifact of that name: what
// runs on a GPU, told from its telemetry, after the MIT SuperCloud workload
// classification challenge, on a data set recorded for this artifact, on the
// challenge's files where there are any, and on generated series.
package jobprofile

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"math"
	"path"
	"strconv"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/policies/profiling"
	"reprise/traces/telemetry"
)

//go:embed recorded/*.csv.gz
var recordedFiles embed.FS

func init() {
	data := artifacts.Param{Name: "data", Doc: "recorded (the set that comes with the artifact), synthetic, or file", Default: "recorded"}
	file := artifacts.Param{Name: "file", Doc: "absolute path of labelled telemetry, for data: file; reprise's csv or a SuperCloud .npz. Without one nothing is observed", Default: "", File: true}
	seed := artifacts.Param{Name: "seed", Doc: "of models, random splits and generated series", Default: 1}
	for _, b := range []artifacts.Builtin{
		{Name: "jobprofile.classify", Doc: "how often each model tells what ran, by what the test holds out", Run: classify,
			Params: []artifacts.Param{data, file, seed,
				{Name: "split", Doc: "configuration or run (held out whole), window (random windows, which leaks), given (the file's own)", Default: "configuration"},
				{Name: "target", Doc: "what is told: type (training, inference, idle), family (of models), job (family and type), class (a SuperCloud file's)", Default: "family"},
				{Name: "models", Doc: "classifiers", Default: profiling.Models},
				{Name: "features", Doc: "sets of features", Default: []string{"statistics", "covariance", "spectrum", "changes", "all"}},
				{Name: "window", Doc: "seconds of a window; 0: the whole run", Default: 1.0},
				{Name: "step", Doc: "seconds from one window to the next", Default: 0.5}}},
		{Name: "jobprofile.period", Doc: "the period of iterations from the spectrum, against the true one", Run: period,
			Params: []artifacts.Param{data, file, seed}},
		{Name: "jobprofile.changes", Doc: "where a job begins to work after setting up, from change points, against the mark it left", Run: changes,
			Params: []artifacts.Param{data, file}},
	} {
		b.Version = 1
		artifacts.Register(b)
	}
}

// load gives the series that the parameters data and file name, and what the
// label data of every observation of them says: recorded, imported or
// synthetic. There are none for a file that is not named.
func load(env *artifacts.Env) (series []telemetry.Series, kind string, err error) {
	seed := uint64(1)
	if s, ok := env.Params["seed"].(int); ok {
		seed = uint64(s)
	}
	switch name, file := env.Params["data"].(string), env.Params["file"].(string); {
	case name == "recorded":
		series, err = Recorded()
		return series, "recorded", err
	case name == "synthetic":
		series, err = Recorded()
		return imitate(series, seed), "synthetic", err
	case name != "file":
		return nil, "", fmt.Errorf("data %q: want recorded, synthetic or file", name)
	case file == "":
		return nil, "imported", nil
	default:
		series, err = telemetry.Open(file, telemetry.Options{})
		kind = "imported"
		for i := range series {
			if series[i].Synthetic {
				kind = "synthetic"
			}
		}
		return series, kind, err
	}
}

// Recorded is the data set that comes with the artifact; recorded/README.md
// tells how it was made.
func Recorded() ([]telemetry.Series, error) {
	files, err := recordedFiles.ReadDir("recorded")
	if err != nil {
		return nil, err
	}
	var all []telemetry.Series
	for _, f := range files {
		data, err := recordedFiles.ReadFile(path.Join("recorded", f.Name()))
		if err != nil {
			return nil, err
		}
		series, err := telemetry.Read(bytes.NewReader(data), f.Name(), telemetry.Options{})
		if err != nil {
			return nil, err
		}
		all = append(all, series...)
	}
	return all, nil
}

// working are the series of jobs at work: not setting up, and not stalled at a
// period that was forced on them.
func working(series []telemetry.Series) []telemetry.Series {
	var kept []telemetry.Series
	for _, s := range series {
		phase := s.Labels["phase"]
		if (phase == "run" || phase == "" && len(s.Labels) > 0) && s.Labels["load"] != "stall" {
			kept = append(kept, s)
		}
	}
	return kept
}

// restPower is what the recorded GPU draws with a context and nothing to do.
const restPower = 135

// imitate generates a minute at 10 Hz for each working series, of its shape:
// the length that the recorded set could not have.
func imitate(series []telemetry.Series, seed uint64) []telemetry.Series {
	var all []telemetry.Series
	for i, s := range working(series) {
		if s.Labels["variant"] == "bare" {
			continue
		}
		p := profiling.FitProfile(&s, restPower)
		all = append(all, p.Generate(s.Labels, 60, 0.1, seed*1_000_003+uint64(i)))
	}
	return all
}

// class gives what an example is, for a target.
func class(target string) (func(*profiling.Example) string, error) {
	switch target {
	case "type":
		return func(e *profiling.Example) string { return e.Labels["mode"] }, nil
	case "family":
		return func(e *profiling.Example) string { return e.Labels["family"] }, nil
	case "job":
		return job, nil
	case "class":
		return func(e *profiling.Example) string {
			if m := e.Labels["model"]; m != "" {
				return m
			}
			return e.Labels["class"]
		}, nil
	}
	return nil, fmt.Errorf("target %q: want type, family, job or class", target)
}

func job(e *profiling.Example) string {
	if e.Labels["family"] == "" {
		return ""
	}
	return e.Labels["family"] + "-" + e.Labels["mode"]
}

func folds(split string, examples []profiling.Example, seed uint64) ([]profiling.Fold, error) {
	switch split {
	case "configuration":
		return profiling.ByConfiguration(examples, 4, job), nil
	case "run":
		return profiling.ByRun(examples), nil
	case "window":
		return profiling.ByWindow(examples, 5, seed), nil
	case "given":
		return profiling.ByPart(examples), nil
	}
	return nil, fmt.Errorf("split %q: want configuration, run, window or given", split)
}

func observe(env *artifacts.Env, metric string, value float64, unit string, labels map[string]string) error {
	return env.Observe(checks.Observation{Metric: metric, Value: value, Unit: unit, Labels: labels})
}

func classify(ctx context.Context, env *artifacts.Env) error {
	seed := uint64(env.Params["seed"].(int))
	series, kind, err := load(env)
	if err != nil || series == nil {
		return err
	}
	target, split := env.Params["target"].(string), env.Params["split"].(string)
	label, err := class(target)
	if err != nil {
		return err
	}
	examples := profiling.Cut(working(series), env.Params["window"].(float64), env.Params["step"].(float64))
	names, of := profiling.Classes(examples, label)
	if len(names) < 2 {
		return fmt.Errorf("data %v: %d classes of target %s; want two at least, in the labels of its samples", env.Params["data"], len(names), target)
	}
	division, err := folds(split, examples, seed)
	if err != nil {
		return err
	}
	models, sets := env.Params["models"].([]string), env.Params["features"].([]string)
	done := 0
	for _, set := range sets {
		features, err := profiling.ParseFeatures(set)
		if err != nil {
			return err
		}
		for _, model := range models {
			env.Progress(float64(done), float64(len(models)*len(sets)), model+" on "+set)
			done++
			s, err := profiling.Evaluate(ctx, examples, of, len(names), division, features, model, seed)
			if err != nil {
				return err
			}
			labels := map[string]string{"data": kind, "split": split, "target": target, "model": model, "features": set,
				"classes": strconv.Itoa(len(names))}
			for _, m := range []struct {
				metric string
				value  float64
			}{{"accuracy", s.Accuracy}, {"balanced_accuracy", s.Balanced}, {"run_accuracy", s.Vote}, {"majority_accuracy", s.Majority},
				{"windows_tested", float64(s.Tested)}, {"runs_tested", float64(s.Runs)}} {
				if m.metric == "run_accuracy" && split == "window" {
					continue // a run's windows are on both sides
				}
				if err := observe(env, m.metric, m.value, "1", labels); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// period compares the spectrum's period with the true one: of recorded runs
// that were made to stall, and of generated series.
func period(_ context.Context, env *artifacts.Env) error {
	data := env.Params["data"].(string)
	type truth struct {
		series telemetry.Series
		period float64
		name   string
	}
	var all []truth
	kind := data
	if data == "synthetic" {
		for i, p := range []float64{0.25, 0.4, 0.7, 1, 1.7, 3, 5} {
			shape := telemetry.Profile{Period: p, Duty: 0.6, Busy: 90, MemoryBusy: 40, MemoryUsed: 8000, MemoryTotal: 81_079,
				IdlePower: restPower, PowerPerPct: 4, Ambient: 50, PerWatt: 0.05, Lag: 10, Noise: 0.05}
			s := shape.Generate(nil, 60, 0.1, uint64(env.Params["seed"].(int)*100+i))
			all = append(all, truth{s, p, fmt.Sprint(p)})
		}
	} else {
		series, k, err := load(env)
		if err != nil || series == nil {
			return err
		}
		kind = k
		for _, s := range series {
			p, err := strconv.ParseFloat(s.Labels["period"], 64)
			if err == nil && p > 0 && s.Labels["phase"] == "run" {
				all = append(all, truth{s, p, s.Labels["period"]})
			}
		}
		if all == nil {
			return fmt.Errorf("data %s: no series with the labels period and phase=run", data)
		}
	}
	for _, a := range all {
		t := make([]float64, len(a.series.Samples))
		for i := range t {
			t[i] = a.series.Samples[i].Time - a.series.Samples[0].Time
		}
		for _, sensor := range []telemetry.Sensor{telemetry.UtilizationGPU, telemetry.Power, telemetry.PowerInstant} {
			if !a.series.Has(sensor) {
				continue
			}
			found, share := profiling.Period(t, a.series.Values(sensor))
			labels := map[string]string{"data": kind, "sensor": sensor.String(), "true_period": a.name}
			e := 1.0 // nothing found
			if found > 0 {
				e = math.Abs(found/a.period - 1)
			}
			for _, m := range []struct {
				metric, unit string
				value        float64
			}{{"period_error", "1", e}, {"period", "s", found}, {"period_share", "1", share}} {
				if err := observe(env, m.metric, m.value, m.unit, labels); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// changes joins what a job did setting up and working, looks for change points
// of its utilisation and power, and measures how far the nearest is from the
// mark between the two.
func changes(_ context.Context, env *artifacts.Env) error {
	series, kind, err := load(env)
	if err != nil || series == nil {
		return err
	}
	setup := map[string]telemetry.Series{}
	for _, s := range series {
		if s.Labels["phase"] == "setup" {
			setup[s.Labels["run"]] = s
		}
	}
	for _, s := range series {
		before, ok := setup[s.Labels["run"]]
		if s.Labels["phase"] != "run" || !ok || s.Labels["mode"] == "idle" || s.Labels["load"] == "stall" {
			continue
		}
		joined := telemetry.Series{Samples: append(append([]telemetry.Sample(nil), before.Samples...), s.Samples...)}
		mark := s.Samples[0].Time
		for _, sensor := range []telemetry.Sensor{telemetry.UtilizationGPU, telemetry.PowerInstant} {
			nearest, points := math.Inf(1), profiling.ChangePoints(joined.Values(sensor), 3)
			for _, p := range points {
				nearest = min(nearest, math.Abs(joined.Samples[p].Time-mark))
			}
			labels := map[string]string{"data": kind, "sensor": sensor.String(), "run": s.Labels["run"], "mode": s.Labels["mode"]}
			if len(points) > 0 {
				if err := observe(env, "change_distance", nearest, "s", labels); err != nil {
					return err
				}
			}
			found := 0.0
			if nearest <= 0.5 {
				found = 1
			}
			if err := observe(env, "change_found", found, "1", labels); err != nil {
				return err
			}
		}
	}
	return nil
}
