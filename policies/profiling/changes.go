package profiling

import (
	"math"
	"slices"

	"reprise/traces/telemetry"
)

// ChangePoints are where the mean of a series changes: the first sample of each
// new level. They are the partition of least squared error plus a penalty for
// each change, found exactly by PELT (Killick et al., JASA 2012). The penalty
// is factor·σ²·ln n, σ² from the differences of neighbours, which changes hardly
// touch; 3 is a common factor. A level lasts at least two samples.
func ChangePoints(v []float64, factor float64) []int {
	const least = 2
	n := len(v)
	if n < 2*least {
		return nil
	}
	sum, squares := make([]float64, n+1), make([]float64, n+1)
	for i, x := range v {
		sum[i+1], squares[i+1] = sum[i]+x, squares[i]+x*x
	}
	cost := func(a, b int) float64 { // of [a, b) as one level
		s := sum[b] - sum[a]
		return max(0, squares[b]-squares[a]-s*s/float64(b-a))
	}
	penalty := factor * noise(v) * math.Log(float64(n))
	if penalty <= 0 { // no noise at all: any change is one
		penalty = 1e-9 * max(1, cost(0, n))
	}
	best, from := make([]float64, n+1), make([]int, n+1)
	best[0] = -penalty
	open := []int{0}
	for end := least; end <= n; end++ {
		best[end] = math.Inf(1)
		for _, start := range open {
			if end-start < least {
				continue
			}
			if c := best[start] + cost(start, end) + penalty; c < best[end] {
				best[end], from[end] = c, start
			}
		}
		open = slices.DeleteFunc(open, func(start int) bool {
			return end-start >= least && best[start]+cost(start, end) > best[end]
		})
		if end+least <= n && !math.IsInf(best[end], 1) {
			open = append(open, end)
		}
	}
	var points []int
	for at := from[n]; at > 0; at = from[at] {
		points = append(points, at)
	}
	slices.Reverse(points)
	return points
}

// noise is the variance about the levels: of the median absolute difference of
// neighbours, times what makes it the variance of a normal distribution; where
// more than half the neighbours are equal, of the differences' mean square.
func noise(v []float64) float64 {
	d := make([]float64, len(v)-1)
	square := 0.0
	for i := range d {
		d[i] = math.Abs(v[i+1] - v[i])
		square += d[i] * d[i]
	}
	slices.Sort(d)
	if m := d[len(d)/2]; m > 0 {
		s := m / (0.6744897501960817 * math.Sqrt2)
		return s * s
	}
	return square / float64(2*len(d))
}

// changes are the features of a series' levels: change points a second, the
// greatest step between neighbouring levels, and the longest level's share.
func changes(v []float64, w []telemetry.Sample) []float64 {
	points := ChangePoints(v, 3)
	span := w[len(w)-1].Time - w[0].Time
	bounds := append(append([]int{0}, points...), len(v))
	longest, step, last := 0, 0.0, 0.0
	for i := 1; i < len(bounds); i++ {
		longest = max(longest, bounds[i]-bounds[i-1])
		mean := meanOf(v[bounds[i-1]:bounds[i]])
		if i > 1 {
			step = max(step, math.Abs(mean-last))
		}
		last = mean
	}
	x := []float64{0, step, float64(longest) / float64(len(v))}
	if span > 0 {
		x[0] = float64(len(points)) / span
	}
	return x
}
