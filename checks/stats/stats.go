// Package stats holds the statistics that decide claims. Its functions do not
// change their arguments. Of an empty sample every statistic is NaN.
package stats

import (
	"math"
	"slices"
)

// Mean is the arithmetic mean.
func Mean(x []float64) float64 { return Sum(x) / float64(len(x)) }

// Sum is the sum, compensated after Neumaier (ZAMM 54, 1974), so that it hardly
// depends on the order of its terms.
func Sum(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	var sum, lost float64
	for _, v := range x {
		t := sum + v
		if math.Abs(sum) >= math.Abs(v) {
			lost += sum - t + v
		} else {
			lost += v - t + sum
		}
		sum = t
	}
	return sum + lost
}

// Variance is the unbiased sample variance, NaN for fewer than two values.
func Variance(x []float64) float64 {
	if len(x) < 2 {
		return math.NaN()
	}
	m := Mean(x)
	var ss float64
	for _, v := range x {
		ss += (v - m) * (v - m)
	}
	return ss / float64(len(x)-1)
}

// GeoMean is the geometric mean. It is NaN if a value is negative and 0 if one
// is 0.
func GeoMean(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	var logs float64
	for _, v := range x {
		logs += math.Log(v)
	}
	return math.Exp(logs / float64(len(x)))
}

// Median is the middle value, or the mean of the two in the middle.
func Median(x []float64) float64 { return Quantile(x, 0.5) }

// Quantile is the p-quantile, 0 ≤ p ≤ 1, interpolated linearly between order
// statistics: definition 7 of Hyndman and Fan (The American Statistician 50,
// 1996), the default of R and NumPy.
func Quantile(x []float64, p float64) float64 {
	if len(x) == 0 || !(p >= 0 && p <= 1) {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(x))
	at := p * float64(len(s)-1)
	below := int(at)
	if below == len(s)-1 {
		return s[below]
	}
	f := at - float64(below)
	return s[below]*(1-f) + s[below+1]*f
}
