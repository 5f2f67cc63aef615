package checks

import (
	"math"

	"reprise/checks/stats"
)

// confidence is the level of every interval.
const confidence = 0.95

// estimate is a number computed from operands, with what is known of its
// uncertainty.
type estimate struct {
	value, low, high float64
	n                int  // repeats, the smallest number where operands differ
	spread           bool // low and high are a confidence interval, not value itself
	boot             *stats.Bootstrap
}

// estimate computes a statistic of the operands' means. The means come in the
// order of the operands; stat must not keep the slice.
func (s *sample) estimate(operands []operand, stat func(means []float64) float64) estimate {
	var samples [][]float64
	var first *point
	n, most, paired, spread, doubled := math.MaxInt, 0, true, false, false
	single := true // every operand is one point
	for _, o := range operands {
		single = single && len(o) == 1
		for _, p := range o {
			if first == nil {
				first = p
			}
			samples = append(samples, p.values)
			n, most = min(n, len(p.values)), max(most, len(p.values))
			if len(p.runs) != len(first.runs) {
				paired = false
			}
			for i, r := range p.runs {
				paired = paired && r == first.runs[i]
				doubled = doubled || i > 0 && r == p.runs[i-1]
				// values are sorted only within a run
				spread = spread || math.Abs(p.values[i]-p.values[0]) > 1e-12*math.Abs(p.values[0])
			}
		}
	}
	ofMeans := stat
	if !single {
		means := make([]float64, len(operands))
		ofMeans = func(m []float64) float64 {
			at := 0
			for i, o := range operands {
				var sum float64
				for _, v := range m[at : at+len(o)] {
					sum += v
				}
				means[i] = sum / float64(len(o))
				at += len(o)
			}
			return stat(means)
		}
	}
	means := make([]float64, len(samples))
	for i, v := range samples {
		means[i] = stats.Mean(v)
	}
	e := estimate{value: ofMeans(means), n: n, boot: s.boot}
	e.low, e.high = e.value, e.value
	exact := s.Assume == "exact"
	switch {
	case doubled:
		s.warn("observations that agree in every label, seed and repeat too, are counted as repeats")
	case spread && exact:
		s.warn("assumed exact, but repeats differ")
	case exact:
	case most == 1:
		s.warn("one run, spread unknown")
	case n == 1:
		s.warn("some points have one run, their spread is unknown")
	case !spread:
		s.warn("all %d runs agree to the last digit: if that is no accident, say assume: exact", n)
	}
	if spread {
		e.low, e.high = s.boot.Interval(samples, paired && !doubled, ofMeans)
		e.spread = true
	}
	return e
}

// interval is the confidence interval, nil if there is none.
func (e estimate) interval() *Interval {
	low, high := finite(e.low), finite(e.high)
	if !e.spread || low == nil || high == nil {
		return nil
	}
	return &Interval{*low, *high, confidence}
}

// bounds are the numbers an expectation allows. Lower and upper include the
// tolerance, wantLow and wantHigh do not.
type bounds struct {
	lower, upper      float64
	wantLow, wantHigh float64
	slack             float64 // rounding allowed where a bound is 0
}

func (b bounds) above(v float64) bool {
	return v > b.upper && v-b.upper > b.slack+1e-9*math.Abs(b.upper)
}
func (b bounds) below(v float64) bool {
	return v < b.lower && b.lower-v > b.slack+1e-9*math.Abs(b.lower)
}

// judge decides an estimate: it holds if the whole interval is within bounds,
// does not if the whole interval is outside on one side.
func (b bounds) judge(e estimate) Outcome {
	switch {
	case b.above(e.low) || b.below(e.high):
		return NotReproduced
	case b.below(e.low) || b.above(e.high):
		return Inconclusive
	}
	return Reproduced
}

// needs says what would decide an estimate that straddles a bound.
func (b bounds) needs(e estimate) string {
	distance := math.Min(math.Abs(e.value-b.lower), math.Abs(e.value-b.upper))
	if m := e.boot.Repeats(max(e.n, 2), (e.high-e.low)/2, distance); m > e.n {
		return "about " + count(m-e.n, "more run")
	}
	return "a result farther from the bound, more runs alone would hardly decide it"
}
