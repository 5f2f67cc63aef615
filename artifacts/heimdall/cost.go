package heimdall

import (
	"context"
	"time"

	"reprise/artifacts"
	"reprise/policies/admission"
)

// cost observes, of each network and arithmetic, decision_time (ns, one core),
// multiplications and memory (as the paper counts it, 8 bytes a weight and
// bias, and of our 16-bit form), and training_time (s a million samples and
// epoch).
func cost(ctx context.Context, env *artifacts.Env) error {
	p, err := findPair("A")
	if err != nil {
		return err
	}
	env.Progress(0, 0, "recording a log to train on")
	study, err := p.study(uint64(intParam(env, "seed")), 20_000, deviceConfig())
	if err != nil {
		return err
	}
	recorded, err := study.Record(ctx)
	if err != nil {
		return err
	}
	o := &observer{env: env}
	for _, name := range []string{"linnos", "heimdall", "extended"} {
		r := recipe(name)
		l := recorded[1]
		labels := l.Label(l.Thresholds(), admission.Fixed)
		s, err := admission.Extract(l, labels.Slow, r.Inputs)
		if err != nil {
			return err
		}
		r.Training.Epochs, r.Training.Patience, r.Training.KeepBest = 4, 0, false
		start := time.Now()
		model, err := admission.Train(ctx, r, s)
		if err != nil {
			return err
		}
		trained := float64(s.Len()) * (1 - r.Training.Holdout) * float64(model.Trained.Epochs)
		o.see("training_time", time.Since(start).Seconds()/trained*1e6, "s", "model", name)
		weights, biases := model.Network.Size()
		o.see("multiplications", float64(weights), "1", "model", name)
		o.see("memory", 8*float64(weights+biases), "B", "model", name, "counted", "published")
		if name != "linnos" {
			o.see("memory", 2*float64(weights)+4*float64(biases), "B", "model", name, "counted", "int16")
		}
		for _, precision := range admission.Precisions() {
			d, err := model.Decider(precision)
			if err != nil {
				continue // not every network has every form
			}
			env.Progress(0, 0, name+" in "+string(precision))
			o.see("decision_time", nanoseconds(d, s), "ns", "model", name, "precision", string(precision))
		}
	}
	return o.err
}
