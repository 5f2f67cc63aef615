package stats

import (
	"math"
	"slices"
)

// MedianInterval is the confidence interval of the median at a level between
// neighbouring order statistics, interpolated after Hettmansperger and Sheather
// (Statistics & Probability Letters 4, 1986). It assumes nothing of the
// distribution but that it is continuous. ok is false for fewer values than the
// level needs, 6 at 95 %; then the interval is the range of the values.
func MedianInterval(x []float64, level float64) (low, high float64, ok bool) {
	n := len(x)
	if n == 0 {
		return math.NaN(), math.NaN(), false
	}
	s := slices.Sorted(slices.Values(x))
	if covers(n, 1) < level {
		return s[0], s[n-1], false
	}
	k := 1 // the greatest that still covers enough
	for k+1 <= n/2 && covers(n, k+1) >= level {
		k++
	}
	more, less := covers(n, k), 0.0
	if k+1 <= n/2 {
		less = covers(n, k+1)
	}
	share := (more - level) / (more - less)
	part := float64(n-k) * share / (float64(k) + float64(n-2*k)*share)
	inner := min(k, (n-1)/2) // of an interval of two values, itself
	return (1-part)*s[k-1] + part*s[inner], (1-part)*s[n-k] + part*s[n-1-inner], true
}

// covers is the probability that the median lies between the k-th smallest and
// the k-th greatest of n values: 1 − 2·P(B < k) for B binomial with p = 1/2.
func covers(n, k int) float64 {
	term := math.Pow(0.5, float64(n))
	tail := 0.0
	for i := range k {
		tail += term
		term *= float64(n-i) / float64(i+1)
	}
	return 1 - 2*tail
}
