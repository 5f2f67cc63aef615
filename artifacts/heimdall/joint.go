package heimdall

import (
	"context"
	"strconv"
	"time"

	"reprise/artifacts"
	"reprise/policies/admission"
)

// joint observes, for groups of P reads and each way of joint inference,
// group_accuracy (of groups, on hard decisions, as published) and read_accuracy
// (of reads, against their own labels, balanced), and for the quantised network
// decisions_per_second (of reads) on one core.
func joint(ctx context.Context, env *artifacts.Env) error {
	all, err := logs(ctx, env)
	if err != nil {
		return err
	}
	o := &observer{env: env}
	groups := env.Params["groups"].([]int)
	ways := []admission.Joint{admission.JointArtifact, admission.JointPaper, admission.JointCausal}
	steps := float64(len(all) * len(groups) * len(ways))
	done := 0.0
	for _, l := range all {
		if !learnable(l.log) {
			continue
		}
		half := l.log.Len() / 2
		labels := l.log.Label(l.log.Slice(0, half).Thresholds(), admission.Fixed)
		rows := labels.Filter().Rows
		every := make([]int32, l.log.Len())
		for i := range every {
			every[i] = int32(i)
		}
		filtered := admission.ExtractPublished(l.log, labels.Slow, rows, admission.Fixed)
		causal, err := admission.Extract(l.log, labels.Slow, admission.HeimdallInputs)
		if err != nil {
			return err
		}
		for _, way := range ways {
			train, test := filtered.Before(half), filtered.From(half)
			if way == admission.JointCausal {
				train, test = causal.Before(half).Among(rows), causal.From(half)
			}
			for _, p := range groups {
				env.Progress(done, steps, l.name+": "+string(way)+", groups of "+strconv.Itoa(p))
				done++
				r := recipe("heimdall")
				r.Training.Seed = uint64(intParam(env, "seed"))
				learn, decide := train.Groups(p, way), test.Groups(p, way)
				if !learn.Mixed() || !decide.Mixed() {
					continue
				}
				m, err := admission.Train(ctx, r, learn)
				if err != nil {
					return err
				}
				scores := m.Scores(decide)
				by := []string{"group", strconv.Itoa(p), "joint", string(way), "log", l.name}
				o.see("group_accuracy", admission.Measure(scores, decide.Slow).BalancedAccuracy, "1", by...)
				o.see("read_accuracy", test.MeasureReads(scores, p).BalancedAccuracy, "1", by...)
				d, err := m.Decider(admission.Int16)
				if err != nil {
					return err
				}
				o.see("decisions_per_second", 1e9/nanoseconds(d, decide)*float64(p), "1/s", by...)
			}
		}
	}
	return o.err
}

// nanoseconds is the time of one decision: the least of several stretches, since
// others of the machine can only add.
func nanoseconds(d admission.Decider, s *admission.Samples) float64 {
	const rows, stretches, rounds = 256, 8, 40
	var x [rows][]int32
	for i := range x {
		x[i] = s.Ints(i % s.Len())
	}
	least := 0.0
	for range stretches {
		start := time.Now()
		slow := 0
		for range rounds {
			for i := range x {
				if d.Slow(x[i]) {
					slow++
				}
			}
		}
		took := float64(time.Since(start).Nanoseconds()) / (rows * rounds)
		if slow >= 0 && (least == 0 || took < least) {
			least = took
		}
	}
	return least
}
