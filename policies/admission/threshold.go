package admission

import (
	"math"
	"slices"
)

// Thresholds are what tells slow from fast on one device.
type Thresholds struct {
	Latency           int64   // us: the inflection point of the latencies
	LatencyPercentile float64 // at which percentile of the latencies it lies
	Throughput        int64   // B/us: the inflection point of the throughputs
	MedianLatency     float64 // us
	MedianThroughput  float64 // B/us
	Drop              float64 // how many times slower than the last request one must be to begin a slow period
}

// dropRate is the constant of the published code.
const dropRate = 1.7

// Thresholds finds the inflection points and medians of the log. An empty log
// has none: all are zero.
func (l *Log) Thresholds() Thresholds {
	t := Thresholds{Drop: dropRate}
	if l.Len() == 0 {
		return t
	}
	sorted := slices.Clone(l.Latency)
	slices.Sort(sorted)
	t.Latency, t.LatencyPercentile = inflection(sorted)
	t.MedianLatency = percentile(sorted, 50)
	copy(sorted, l.Throughput)
	slices.Sort(sorted)
	t.Throughput, _ = inflection(sorted)
	t.MedianThroughput = percentile(sorted, 50)
	return t
}

// percentile is the p-th percentile of sorted values, interpolated linearly in
// the steps that NumPy takes, so that it rounds as NumPy does.
func percentile(sorted []int64, p float64) float64 {
	at := float64(len(sorted)-1) * (p / 100)
	i := int(at)
	if i >= len(sorted)-1 {
		return float64(sorted[len(sorted)-1])
	}
	a, b := float64(sorted[i]), float64(sorted[i+1])
	t := at - float64(i)
	if t >= 0.5 {
		return b - float64((b-a)*(1-t))
	}
	return a + float64((b-a)*t)
}

// inflection is where the distribution function of the values up to their 97th
// percentile, both axes scaled to 1, is highest above the diagonal: the tangent
// point of LinnOS and Heimdall, and the percentile it lies at.
func inflection(sorted []int64) (value int64, at float64) {
	const share, steps = 97, 10000
	limit := percentile(sorted, share)
	kept := sorted
	for len(kept) > 0 && float64(kept[len(kept)-1]) > limit {
		kept = kept[:len(kept)-1]
	}
	if len(kept) == 0 || kept[len(kept)-1] <= 0 {
		return 0, 0
	}
	largest := float64(kept[len(kept)-1])
	const step = 1.0 / (steps - 1)
	// The function's values are spaced as the published code's library spaces
	// them, so that what rounding decides there it decides here.
	first, rise := 1/float64(len(kept)), 0.0
	if len(kept) > 1 {
		rise = (1 - first) / float64(len(kept)-1)
	}
	best, bestX, bestF := math.Inf(-1), 0.0, 0.0
	below := 0
	for i := range steps {
		x := float64(i) * step
		if i == steps-1 {
			x = 1
		}
		for below < len(kept) && float64(kept[below])/largest <= x {
			below++
		}
		f := 0.0
		switch below {
		case 0:
		case len(kept):
			f = 1
		default:
			f = float64(rise*float64(below-1)) + first
		}
		if f-x > best {
			best, bestX, bestF = f-x, x, f
		}
	}
	return int64(bestX * largest), share * bestF
}

// ThresholdsFor gives what a pipeline labels with: the inflection points and
// the constant drop rate, or, for Paper, those that SearchThresholds finds.
func (l *Log) ThresholdsFor(compat Compat) Thresholds {
	if compat == Paper {
		return l.SearchThresholds()
	}
	return l.Thresholds()
}

// SearchThresholds adjusts both inflection points and the drop rate to the log,
// as the paper says its labelling does (§3.1); the published code does not.
//
// The paper speaks of gradient descent that balances accuracy and sensitivity
// and leaves it there. Read here: against requests above the latency's
// inflection point as the truth, accuracy is the share of all requests whose
// label agrees, sensitivity the share of slow ones that are labelled so; their
// mean is climbed by steps along each threshold, halved where none helps.
func (l *Log) SearchThresholds() Thresholds {
	t := l.Thresholds()
	if l.Len() == 0 {
		return t
	}
	cutoff := l.LabelCutoff(t)
	slow := cutoff.Count()
	score := func(t Thresholds) float64 {
		labels := l.Label(t, Paper)
		agree, found := 0, 0
		for i, truth := range cutoff.Slow {
			if labels.Slow[i] == truth {
				agree++
				if truth {
					found++
				}
			}
		}
		return (float64(agree)/float64(l.Len()) + ratio(float64(found), float64(slow))) / 2
	}
	best := score(t)
	for step := 0.5; step > 0.01; step /= 2 {
		for improved := true; improved; {
			improved = false
			for axis := range 3 {
				for _, factor := range []float64{1 + step, 1 / (1 + step)} {
					next := t
					switch axis {
					case 0:
						next.Latency = int64(math.Round(float64(t.Latency) * factor))
					case 1:
						next.Throughput = int64(math.Round(float64(t.Throughput) * factor))
					default:
						next.Drop = max(1, t.Drop*factor)
					}
					if next == t {
						continue
					}
					if s := score(next); s > best {
						t, best, improved = next, s, true
					}
				}
			}
		}
	}
	return t
}
