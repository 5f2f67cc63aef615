package checks

import (
	"fmt"
	"math"
	"slices"

	"reprise/checks/stats"
)

// manners adds what a careful experimenter would say of the measurements that
// the check looked at: that a first run differs, that values lie far out, that
// they drift from run to run. Simulations are not asked: their repeats differ by
// their seeds alone.
func (s *sample) manners() {
	type seen struct {
		n       int
		example string
	}
	kinds := []string{"the first run differs by far from the others", "a run lies far out", "values drift from run to run"}
	found := make([]seen, len(kinds))
	total := 0
	for _, c := range s.cells {
		total += len(c.points)
	}
	for _, c := range s.cells {
		for _, p := range c.points {
			first, outliers := farOut(p.values)
			var said [3]string
			if first {
				said[0] = fmt.Sprintf("%s, the others' median %s", Number(p.values[0], s.unit), Number(stats.Median(p.values[1:]), s.unit))
			}
			if len(outliers) > 0 {
				said[1] = fmt.Sprintf("%s, the median %s", Number(outliers[0], s.unit), Number(stats.Median(p.values), s.unit))
			}
			if from, to, drifts := drift(p.values, 0.01/float64(total)); drifts {
				said[2] = fmt.Sprintf("from %s to %s", Number(from, s.unit), Number(to, s.unit))
			}
			for i, text := range said {
				if text == "" {
					continue
				}
				if found[i].n++; found[i].n == 1 {
					found[i].example = text
					if name := describeLabels(p.labels, sortedKeys(withoutReserved(p.labels))); name != "" && total > 1 {
						found[i].example = name + ": " + text
					}
				}
			}
		}
	}
	advice := []string{"warm up, or leave it out", "what else ran then?", "let the machine or device settle first"}
	for i, f := range found {
		switch {
		case f.n == 1 && total == 1:
			s.warn("%s (%s): %s", kinds[i], f.example, advice[i])
		case f.n > 0:
			s.warn("%s in %d of %d places (e.g. %s): %s", kinds[i], f.n, total, f.example, advice[i])
		}
	}
}

func withoutReserved(labels map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range labels {
		if !reserved(k) {
			out[k] = v
		}
	}
	return out
}

// farOut finds values more than ten robust standard deviations from the median,
// the first run on its own: a modified z-score of 10 on the scale of Iglewicz and
// Hoaglin (How to Detect and Handle Outliers, 1993), who look closer from 3.5 on.
// Few values, and spreads below 1 % of the median, say nothing.
func farOut(values []float64) (first bool, outliers []float64) {
	const least, far, flat = 5, 10, 0.01
	if len(values) < least {
		return false, nil
	}
	beyond := func(v float64, of []float64) bool {
		median := stats.Median(of)
		deviations := make([]float64, len(of))
		for i, w := range of {
			deviations[i] = math.Abs(w - median)
		}
		// 1.4826 makes the median deviation a standard deviation of a normal sample.
		sd := max(1.4826*stats.Median(deviations), flat*math.Abs(median)/far)
		return sd > 0 && math.Abs(v-median) > far*sd
	}
	first = beyond(values[0], values[1:])
	for _, v := range values[1:] {
		if beyond(v, values) {
			outliers = append(outliers, v)
		}
	}
	return first, outliers
}

// drift reports whether values rise or fall with the order in which they were
// measured: Spearman's correlation with the order, two-sided at level alpha by
// its t approximation, and by more than 5 % of the median between the medians of
// the first and the last third.
func drift(values []float64, alpha float64) (from, to float64, drifts bool) {
	n := len(values)
	if n < 8 {
		return 0, 0, false
	}
	order := make([]float64, n)
	for i := range order {
		order[i] = float64(i)
	}
	rho := stats.Spearman(order, values)
	if math.IsNaN(rho) {
		return 0, 0, false
	}
	t := math.Abs(rho) * math.Sqrt(float64(n-2)/math.Max(1-rho*rho, 1e-15))
	from, to = stats.Median(slices.Clone(values[:n/3])), stats.Median(slices.Clone(values[n-n/3:]))
	return from, to, t > stats.StudentQuantile(1-alpha/2, n-2) && math.Abs(to-from) > 0.05*math.Abs(stats.Median(values))
}
