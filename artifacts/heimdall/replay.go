package heimdall

import (
	"context"
	"slices"

	"reprise/artifacts"
	"reprise/policies/admission/replay"
)

// replayPair records the baseline on the first half of a pair's traces, trains
// each device's models on that, and measures every policy on the second half,
// on devices brought to the same state: same ageing, same first half.
//
// It observes read_latency_mean and percentiles by policy (us, from the intended
// arrival; label compared tells the paper's policies from others), service_latency_mean
// (from submission), write_latency_mean, redirected (share of reads), foreign_reads
// (share of reads that the other client's device serves), extra_peer_reads (reads a
// device serves for the other's client, over those that its own client wants; the
// worse device's) and duplicate_reads (share of reads sent twice).
func replayPair(ctx context.Context, env *artifacts.Env) error {
	names := env.Params["policies"].([]string)
	if err := replay.CheckPolicies(names); err != nil {
		return err
	}
	s, err := study(env)
	if err != nil {
		return err
	}
	s.Writes, s.Workers = replay.Replicas(env.Params["writes"].(string)), intParam(env, "workers")
	o := &observer{env: env}
	for i, name := range names {
		env.Progress(float64(i), float64(len(names)), name)
		r, err := s.Measure(ctx, name)
		if err != nil {
			return err
		}
		o.replayed(name, r)
	}
	return o.err
}

// paperPolicies are those of figure 11; of C3, AMS and Heron the paper takes C3
// for the other two (§6.1).
var paperPolicies = []string{"baseline", "random", "hedging", "c3", "linnos", "heimdall"}

func (o *observer) replayed(name string, r *replay.Result) {
	us := func(ns float64) float64 { return ns / 1000 }
	by := []string{"policy", name, "compared", "here"}
	if slices.Contains(paperPolicies, name) {
		by[3] = "paper"
	}
	o.see("read_latency_mean", us(r.Latency.Mean()), "us", by...)
	o.see("service_latency_mean", us(r.Service.Mean()), "us", by...)
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p80", 0.8}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}} {
		o.see("read_latency_"+q.name, us(float64(r.Latency.Quantile(q.at))), "us", by...)
	}
	reads := max(1, float64(r.Reads))
	o.see("redirected", float64(r.Redirected)/reads, "1", by...)
	o.see("duplicate_reads", float64(r.Hedged-r.Cancelled)/reads, "1", by...)
	foreign, worst := 0, 0.0
	for d := range r.Devices {
		foreign += r.Devices[d].Foreign
		worst = max(worst, float64(r.Devices[d].Foreign)/max(1, float64(r.Clients[d].Count())))
	}
	o.see("foreign_reads", float64(foreign)/reads, "1", by...)
	o.see("extra_peer_reads", worst, "1", by...)
	o.see("write_latency_mean", us(r.WriteLatency.Mean()), "us", by...)
}
