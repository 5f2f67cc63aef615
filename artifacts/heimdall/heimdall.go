// Package heimdall has the experiments of the artifact of that name: ML-based
// I/O admission between two replicas (Kurniawan et al., EuroSys '25) beside its
// rivals, on emulated devices and on recorded logs.
package heimdall

import (
	"context"
	"fmt"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/policies/admission"
	"reprise/policies/admission/replay"
)

func init() {
	pairParam := artifacts.Param{Name: "pair", Doc: "pair of imitated traces, A to F", Default: "A"}
	seedParam := artifacts.Param{Name: "seed", Doc: "of workload, devices and models", Default: 1}
	load := artifacts.Param{Name: "load", Doc: "factor on the rate of both clients", Default: 1.0}
	device := artifacts.Param{Name: "device", Doc: "emulator properties over those of the devices, in YAML: {suspend_lat: 20000}", Default: ""}
	ios := artifacts.Param{Name: "ios", Doc: "requests of the heavy client; the first half trains, the second is measured", Default: 100_000}
	folder := artifacts.Param{Name: "folder", Doc: "folder of recorded logs (.trace), for pair recorded; they are not part of this program", Default: ""}
	for _, b := range []artifacts.Builtin{
		{Name: "heimdall.ladder", Doc: "accuracy of the pipeline step by step, from LinnOS to Heimdall, as published and honestly",
			Params: []artifacts.Param{pairParam, seedParam, ios, load, device, folder}, Run: ladder},
		{Name: "heimdall.models", Doc: "accuracy of all models, as published and honestly",
			Params: []artifacts.Param{pairParam, seedParam, ios, load, device, folder}, Run: models},
		{Name: "heimdall.joint", Doc: "accuracy and rate of one decision for groups of reads",
			Params: []artifacts.Param{pairParam, seedParam, ios, load, device, folder, {Name: "groups", Doc: "reads a decision is for", Default: []int{1, 3, 5, 7, 9}}}, Run: joint},
		{Name: "heimdall.replay", Doc: "read latencies of every admission policy on a pair of emulated devices",
			Params: []artifacts.Param{pairParam, seedParam, ios, load, device,
				{Name: "policies", Doc: "policies to replay", Default: replay.PolicyNames()},
				{Name: "writes", Doc: "both: writes go to both replicas; primary: to the client's own", Default: "primary"},
				{Name: "workers", Doc: "requests a client has under way at most; 0: any number", Default: 0}}, Run: replayPair},
		{Name: "heimdall.cost", Doc: "time and memory of one decision, in every arithmetic", Params: []artifacts.Param{seedParam}, Run: cost},
		{Name: "heimdall.drift", Doc: "accuracy over a long run with and without retraining",
			Params: []artifacts.Param{seedParam, {Name: "minutes", Doc: "length, in minutes of the scaled clock", Default: 24},
				{Name: "ios", Doc: "requests a minute", Default: 20_000}}, Run: drift},
		{Name: "heimdall.published", Doc: "what the paper's and an independent re-run's own figures say of each other: arithmetic, no measurement", Run: published},
	} {
		b.Version = 5 // raised together: the emulated devices are common to most
		artifacts.Register(b)
	}
}

// observer shortens the calls that record observations.
type observer struct {
	env *artifacts.Env
	err error
}

func (o *observer) see(metric string, value float64, unit string, labels ...string) {
	if o.err != nil {
		return
	}
	obs := checks.Observation{Metric: metric, Value: value, Unit: unit, Labels: map[string]string{}}
	for i := 0; i < len(labels); i += 2 {
		obs.Labels[labels[i]] = labels[i+1]
	}
	o.err = o.env.Observe(obs)
}

func (o *observer) metrics(m admission.Metrics, labels ...string) {
	o.see("accuracy", m.Accuracy, "1", labels...)
	o.see("balanced_accuracy", m.BalancedAccuracy, "1", labels...)
	o.see("roc_auc", m.ROCAUC, "1", labels...)
	o.see("pr_auc", m.AveragePrecision, "1", labels...)
	o.see("f1", m.F1, "1", labels...)
	o.see("fpr", m.FalsePositive, "1", labels...)
	o.see("fnr", m.FalseNegative, "1", labels...)
}

// namedLog is a log to learn from.
type namedLog struct {
	name string
	log  *admission.Log
}

// logs is that of a pair's heavily used device under the baseline, or the
// recorded ones.
func logs(ctx context.Context, env *artifacts.Env) ([]namedLog, error) {
	pair := env.Params["pair"].(string)
	if pair == "recorded" {
		return recordedLogs(env)
	}
	env.Progress(0, 0, "recording logs of pair "+pair)
	s, err := study(env)
	if err != nil {
		return nil, err
	}
	recorded, err := s.Record(ctx)
	if err != nil {
		return nil, err
	}
	// The light client's device has too few slow periods to learn from.
	return []namedLog{{"heavy", recorded[1]}}, nil
}

func intParam(env *artifacts.Env, name string) int { return env.Params[name].(int) }

func recipe(name string) admission.Recipe {
	r, err := admission.RecipeNamed(name)
	if err != nil {
		panic(fmt.Sprintf("heimdall: %v", err)) // names are constants here
	}
	return r
}
