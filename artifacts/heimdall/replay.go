package heimdall

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"reprise/artifacts"
	"reprise/policies/admission"
	"reprise/policies/admission/replay"
)

// policyNames are the policies of the replay, in the order of its tables.
var policyNames = []string{
	"baseline", "random", "round-robin", "shortest-queue", "hedging", "hedging-p95", "c3", "ams", "heron",
	"linnos", "linnos-hedging", "heimdall", "heimdall-hedging", "heimdall-joint3", "extended", "oracle",
}

// replayPair records the baseline on the first half of a pair's traces, trains
// each device's models on that, and measures every policy on the second half,
// on devices brought to the same state: same ageing, same first half.
//
// It observes read_latency_mean and percentiles by policy (us, from the
// intended arrival), service_latency_mean (from submission), redirected (share
// of reads), extra_peer_reads (reads each device serves for the other's client,
// over its own client's) and duplicate_reads (share of reads sent twice).
func replayPair(ctx context.Context, env *artifacts.Env) error {
	p, err := findPair(env.Params["pair"].(string))
	if err != nil {
		return err
	}
	names := env.Params["policies"].([]string)
	for _, n := range names {
		if !slices.Contains(policyNames, n) {
			return fmt.Errorf("policy %q: want one of %s", n, strings.Join(policyNames, ", "))
		}
	}
	seed := uint64(intParam(env, "seed"))
	m, err := newMachine(p, seed, intParam(env, "ios"), env.Params["writes"].(string), intParam(env, "workers"))
	if err != nil {
		return err
	}
	total := float64(len(names) + 1)
	env.Progress(0, total, "training")
	e, _, err := m.engine()
	if err != nil {
		return err
	}
	first, err := e.Run(ctx, replay.Baseline(), m.halves[0], replay.Options{Log: true})
	if err != nil {
		return err
	}
	t := &teacher{ctx: ctx, seed: seed, logs: first.Logs, models: map[string][]*admission.Model{}}
	for c := range first.Clients {
		t.p95 = append(t.p95, first.Clients[c].Quantile(0.95))
		t.p98 = append(t.p98, first.Clients[c].Quantile(0.98))
	}
	o := &observer{env: env}
	for i, name := range names {
		env.Progress(float64(i+1), total, name)
		e, devices, err := m.engine()
		if err != nil {
			return err
		}
		if _, err := e.Run(ctx, replay.Baseline(), m.halves[0], replay.Options{}); err != nil {
			return err
		}
		policy, err := t.policy(name, devices)
		if err != nil {
			return err
		}
		r, err := e.Run(ctx, policy, m.halves[1], replay.Options{})
		if err != nil {
			return err
		}
		o.replayed(name, r)
	}
	return o.err
}

func (o *observer) replayed(name string, r *replay.Result) {
	us := func(ns float64) float64 { return ns / 1000 }
	o.see("read_latency_mean", us(r.Latency.Mean()), "us", "policy", name)
	o.see("service_latency_mean", us(r.Service.Mean()), "us", "policy", name)
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p80", 0.8}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}} {
		o.see("read_latency_"+q.name, us(float64(r.Latency.Quantile(q.at))), "us", "policy", name)
	}
	reads := max(1, float64(r.Reads))
	o.see("redirected", float64(r.Redirected)/reads, "1", "policy", name)
	o.see("duplicate_reads", float64(r.Hedged-r.Cancelled)/reads, "1", "policy", name)
	foreign, worst := 0, 0.0
	for d := range r.Devices {
		foreign += r.Devices[d].Foreign
		own := max(1, float64(r.Devices[d].Reads-r.Devices[d].Foreign))
		worst = max(worst, float64(r.Devices[d].Foreign)/own)
	}
	o.see("foreign_reads", float64(foreign)/reads, "1", "policy", name)
	o.see("extra_peer_reads", worst, "1", "policy", name)
	o.see("write_latency_mean", us(r.WriteLatency.Mean()), "us", "policy", name)
}

// teacher trains models on the first half's logs, each once.
type teacher struct {
	ctx      context.Context
	seed     uint64
	logs     []*admission.Log
	models   map[string][]*admission.Model
	p95, p98 []int64
}

func (t *teacher) policy(name string, devices []replay.Device) (replay.Policy, error) {
	hedged := func(inner replay.Policy) replay.Policy { return replay.Hedging(name, inner, t.p98, false) }
	switch name {
	case "baseline":
		return replay.Baseline(), nil
	case "random":
		return replay.Random(t.seed), nil
	case "round-robin":
		return replay.RoundRobin(), nil
	case "shortest-queue":
		return replay.ShortestQueue(), nil
	case "hedging":
		return hedged(nil), nil
	case "hedging-p95":
		return replay.Hedging(name, nil, t.p95, false), nil
	case "c3":
		return replay.C3(len(devices)), nil
	case "ams":
		return replay.AMS(len(devices)), nil
	case "heron":
		return replay.Heron(len(devices)), nil
	case "oracle":
		return replay.Oracle(devices)
	case "linnos":
		return t.learned(name, "linnos", 1, admission.Float32)
	case "linnos-hedging":
		inner, err := t.learned("linnos", "linnos", 1, admission.Float32)
		if err != nil {
			return nil, err
		}
		return hedged(inner), nil
	case "heimdall-hedging":
		inner, err := t.learned("heimdall", "heimdall", 1, admission.Int16)
		if err != nil {
			return nil, err
		}
		return hedged(inner), nil
	case "heimdall-joint3":
		return t.learned(name, "heimdall", 3, admission.Int16)
	}
	return t.learned(name, name, 1, admission.Int16)
}

func (t *teacher) learned(name, of string, group int, p admission.Precision) (replay.Policy, error) {
	key := fmt.Sprint(of, group)
	if _, ok := t.models[key]; !ok {
		for _, l := range t.logs {
			m, err := teach(t.ctx, l, recipe(of), group, t.seed)
			if err != nil {
				return nil, err
			}
			t.models[key] = append(t.models[key], m)
		}
	}
	return replay.Learned(name, t.models[key], p)
}

// teach trains a model of a device's log, as an operator would who has nothing
// else. A log whose reads are all of one kind teaches nothing: there is no
// model then, and the device keeps its reads.
func teach(ctx context.Context, l *admission.Log, r admission.Recipe, group int, seed uint64) (*admission.Model, error) {
	t := l.Thresholds()
	labels := l.Label(t, admission.Fixed)
	rows := labels.Filter().Rows
	if r.Cutoff {
		labels = l.LabelCutoff(t)
	}
	s, err := admission.Extract(l, labels.Slow, r.Inputs)
	if err != nil {
		return nil, err
	}
	if !r.Cutoff {
		s = s.Among(rows)
	}
	if group > 1 {
		s = s.Groups(group, admission.JointCausal)
	}
	if !slices.Contains(s.Slow, true) || !slices.Contains(s.Slow, false) {
		return nil, nil
	}
	r.Training.Seed, r.Growing.Seed = seed, seed
	return admission.Train(ctx, r, s)
}
