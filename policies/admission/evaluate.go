package admission

import (
	"context"
	"math/rand/v2"
)

// Evaluation is how a model trained on one half of a log decides on the other.
// From Published to Honest it takes away, one by one, what the published
// figures had and no deployed model has.
type Evaluation struct {
	Model  string `json:"model"`
	Compat Compat `json:"compat"`
	Seed   uint64 `json:"seed"`
	// Published is as the paper counts: test reads that the noise filter left,
	// features that tell the latencies of the three requests submitted before
	// even where these have not completed.
	Published Metrics `json:"published"`
	// Unfiltered is the same model over all reads of the test half.
	Unfiltered Metrics `json:"unfiltered"`
	// Causal is the same recipe on features of completed requests alone, over
	// test reads that the filter left.
	Causal Metrics `json:"causal"`
	// Honest is the causal model over all reads of the test half: what it would
	// meet when deployed.
	Honest  Metrics `json:"honest"`
	Samples int     `json:"training_samples"`
	Trained Trained `json:"trained"`
}

// Evaluate trains on half of a log and decides on the other half. The model it
// gives is the causal one.
//
// Fixed and Paper train on the first half in time and decide on the second;
// thresholds, scaler and model are of the first half alone. Artifact has the
// published figures as the published code has them: thresholds of the whole
// log, what the filter left split at random, a rate of 1e-4 for 20 epochs.
//
// LinnOS is published against its own labels, of which no filter takes any;
// its Honest figure is against slow periods like all others.
func Evaluate(ctx context.Context, l *Log, r Recipe, compat Compat, seed uint64) (Evaluation, *Model, error) {
	e := Evaluation{Model: r.Name, Compat: compat, Seed: seed}
	r.Training.Seed, r.Growing.Seed = seed, seed
	half := l.Len() / 2
	slow, rows := r.Periods(l, half, compat)
	s, err := Extract(l, slow, r.Inputs)
	if err != nil {
		return e, nil, err
	}
	own := s.Relabel(r.Taught(l, slow, half, compat))
	at := s.rowAt(half)
	train, test := own.Slice(0, at), s.Slice(at, s.Len())
	filtered := test.Among(rows)
	if !r.Cutoff {
		train = train.Among(rows)
	}
	m, err := Train(ctx, r, train)
	if err != nil {
		return e, nil, err
	}
	e.Samples, e.Trained = train.Len(), m.Trained
	scores := m.Scores(test)
	e.Honest = Measure(scores, test.Slow)
	e.Causal = Measure(m.Scores(filtered), filtered.Slow)
	switch {
	case r.Cutoff:
		e.Published, e.Unfiltered = Measure(scores, own.Slow[at:]), e.Honest
	case r.Inputs == HeimdallInputs:
		err = e.publish(ctx, l, r, slow, rows, half)
	default:
		e.Published, e.Unfiltered = e.Causal, e.Honest
	}
	return e, m, err
}

// publish fills in what the published way of counting gives.
func (e *Evaluation) publish(ctx context.Context, l *Log, r Recipe, slow []bool, rows []int32, half int) error {
	every := make([]int32, l.Len())
	for i := range every {
		every[i] = int32(i)
	}
	var train, filtered *Samples
	if e.Compat == Artifact {
		if r.Hidden != nil {
			r.Training.Rate, r.Training.Patience = 1e-4, 0
		}
		slow, rows = r.Periods(l, l.Len(), Artifact)
		kept := ExtractPublished(l, slow, rows, Artifact)
		first, second := halves(kept.Len(), e.Seed)
		train, filtered = kept.Pick(first), kept.Pick(second)
	} else {
		kept := ExtractPublished(l, slow, rows, e.Compat)
		at := kept.rowAt(half)
		train, filtered = kept.Slice(0, at), kept.Slice(at, kept.Len())
	}
	m, err := Train(ctx, r, train)
	if err != nil {
		return err
	}
	e.Published = Measure(m.Scores(filtered), filtered.Slow)
	all := ExtractPublished(l, slow, every, e.Compat)
	trained := map[int32]bool{}
	for _, row := range train.Row {
		trained[row] = true
	}
	var unseen []int32
	for i, row := range all.Row {
		if e.Compat == Artifact && !trained[row] || e.Compat != Artifact && int(row) >= half {
			unseen = append(unseen, int32(i))
		}
	}
	all = all.Pick(unseen)
	e.Unfiltered = Measure(m.Scores(all), all.Slow)
	return nil
}

// halves splits n at random in two.
func halves(n int, seed uint64) (first, second []int32) {
	order := rand.New(rand.NewPCG(seed, 0x68616c66)).Perm(n)
	for i, v := range order {
		if i < n/2 {
			first = append(first, int32(v))
		} else {
			second = append(second, int32(v))
		}
	}
	return first, second
}
