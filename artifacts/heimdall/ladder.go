package heimdall

import (
	"context"
	"errors"

	"reprise/artifacts"
	"reprise/policies/admission"
)

// rungs are the steps of figure 14a that change something measurable here.
var rungs = []string{"linnos", "raw", "min-max", "period-labels", "features", "network", "noise-filter"}

// ladder climbs figure 14a: each rung adds one step of the pipeline to those
// below it. balanced_accuracy is what the paper calls ROC-AUC; it has the label
// counted, published or honest. Published is on the rung's own labels, and from
// the rung features on with features that tell the latencies of requests still
// in flight; honest is on features of what has completed, over all reads of the
// second half, against slow periods.
func ladder(ctx context.Context, env *artifacts.Env) error {
	all, err := logs(ctx, env)
	if err != nil {
		return err
	}
	o := &observer{env: env}
	seed := uint64(intParam(env, "seed"))
	for i, l := range all {
		for k, rung := range rungs {
			env.Progress(float64(i*len(rungs)+k), float64(len(all)*len(rungs)), l.name+": "+rung)
			published, honest, err := climb(ctx, l.log, rung, seed)
			if err != nil {
				return err
			}
			if published == nil {
				continue
			}
			o.metrics(*published, "rung", rung, "log", l.name, "counted", "published")
			o.metrics(*honest, "rung", rung, "log", l.name, "counted", "honest")
		}
	}
	return o.err
}

// climb measures one rung. A log of one kind of read has nothing to measure.
func climb(ctx context.Context, l *admission.Log, rung string, seed uint64) (published, honest *admission.Metrics, err error) {
	half := l.Len() / 2
	t := l.Slice(0, half).Thresholds()
	periods, cutoff := l.Label(t, admission.Fixed), l.LabelCutoff(t)
	rows := periods.Filter().Rows
	every := make([]int32, l.Len())
	for i := range every {
		every[i] = int32(i)
	}
	linnos, heimdall := recipe("linnos"), recipe("heimdall")
	r := linnos
	var s, seen *admission.Samples // causal, and as published
	labels := periods.Slow
	switch rung {
	case "linnos", "raw", "min-max":
		labels = cutoff.Slow
		fallthrough
	case "period-labels":
		if s, err = admission.Extract(l, labels, admission.LinnOSInputs); err != nil {
			return nil, nil, err
		}
		if rung != "linnos" {
			s = undigitised(s)
		}
		if rung == "min-max" || rung == "period-labels" {
			r.Scaling = admission.MinMax
		}
		seen = s
	case "features":
		r.Scaling = admission.MinMax
		fallthrough
	default:
		if rung != "features" {
			r = heimdall
		}
		if s, err = admission.Extract(l, labels, admission.HeimdallInputs); err != nil {
			return nil, nil, err
		}
		seen = admission.ExtractPublished(l, labels, every, admission.Fixed)
		if rung == "noise-filter" {
			seen = admission.ExtractPublished(l, labels, rows, admission.Fixed)
		}
	}
	r.Training.Seed = seed
	train, test := seen.Before(half), seen.From(half)
	if !train.Mixed() || !test.Mixed() {
		return nil, nil, nil
	}
	m, err := admission.Train(ctx, r, train)
	if err != nil {
		return nil, nil, err
	}
	p := admission.Measure(m.Scores(test), test.Slow)

	train, test = s.Before(half), s.From(half).Relabel(periods.Slow)
	if rung == "noise-filter" {
		train = train.Among(rows)
	}
	if m, err = admission.Train(ctx, r, train); err != nil {
		return nil, nil, err
	}
	h := admission.Measure(m.Scores(test), test.Slow)
	return &p, &h, nil
}

// undigitised is LinnOS's nine values instead of their 31 digits.
func undigitised(s *admission.Samples) *admission.Samples {
	p := *s
	p.Width, p.X = 9, nil
	for i := range s.Len() {
		x := s.X[i*s.Width:]
		number := func(digits []float32) (v float32) {
			for _, d := range digits {
				v = v*10 + d
			}
			return v
		}
		for k := range 5 {
			p.X = append(p.X, number(x[3*k:3*k+3]))
		}
		for k := range 4 {
			p.X = append(p.X, number(x[15+4*k:19+4*k]))
		}
	}
	return &p
}

// models compares all models: view published, unfiltered, causal and honest, as
// admission.Evaluation has them. What their labels call slow it observes too.
func models(ctx context.Context, env *artifacts.Env) error {
	all, err := logs(ctx, env)
	if err != nil {
		return err
	}
	o := &observer{env: env}
	recipes := admission.Recipes()
	for i, l := range all {
		for k, r := range recipes {
			env.Progress(float64(i*len(recipes)+k), float64(len(all)*len(recipes)), l.name+": "+r.Name)
			if !learnable(l.log) {
				continue
			}
			e, _, err := admission.Evaluate(ctx, l.log, r, admission.Fixed, uint64(intParam(env, "seed")))
			if errors.Is(err, admission.ErrOneKind) {
				continue // a cutoff can lie below every read
			}
			if err != nil {
				return err
			}
			o.labelled(r, l)
			for view, m := range map[string]admission.Metrics{"published": e.Published, "unfiltered": e.Unfiltered, "causal": e.Causal, "honest": e.Honest} {
				o.metrics(m, "model", r.Name, "log", l.name, "counted", view)
			}
		}
	}
	return o.err
}

// labelled observes, of what the labels that a recipe's model is trained on call
// slow and of the other reads, read_share and read_latency_mean (us).
func (o *observer) labelled(r admission.Recipe, l namedLog) {
	half := l.log.Len() / 2
	slow, _ := r.Periods(l.log, half, admission.Fixed)
	slow = r.Taught(l.log, slow, half, admission.Fixed)
	var reads, sum [2]float64
	for i, read := range l.log.Read {
		if read {
			k := 0
			if slow[i] {
				k = 1
			}
			reads[k]++
			sum[k] += float64(l.log.Latency[i])
		}
	}
	for k, kind := range []string{"fast", "slow"} {
		o.see("read_share", reads[k]/(reads[0]+reads[1]), "1", "model", r.Name, "log", l.name, "labelled", kind)
		if reads[k] > 0 {
			o.see("read_latency_mean", sum[k]/reads[k], "us", "model", r.Name, "log", l.name, "labelled", kind)
		}
	}
}

// learnable says that both halves of a log have reads of both kinds.
func learnable(l *admission.Log) bool {
	half := l.Len() / 2
	labels := l.Label(l.Slice(0, half).Thresholds(), admission.Fixed)
	s, err := admission.Extract(l, labels.Slow, admission.HeimdallInputs)
	if err != nil {
		return false
	}
	s = s.Among(labels.Filter().Rows)
	return s.Before(half).Mixed() && s.From(half).Mixed()
}
