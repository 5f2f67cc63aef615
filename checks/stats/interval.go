package stats

import (
	"math"
	"math/rand/v2"
)

// replicates is the number of bootstrap samples. A standard error from 1000 of
// them is itself uncertain by about 2 % (Efron and Tibshirani, §6.4).
const replicates = 1000

// Bootstrap makes confidence intervals for statistics of the means of repeated
// measurements. It is deterministic: every interval starts from the same seed.
// It keeps what it has computed, and is not for concurrent use.
//
// The interval is θ ± t·√(n/(n−1))·se, where se is the bootstrap standard error
// and t the quantile of Student's distribution with n−1 degrees of freedom
// (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, §12.2), n being
// the number of repeats. For the mean of one sample that is Student's interval.
// Percentile and BCa intervals are not used because they never leave the range
// of the data: of 3 normal repeats they cover the mean in at most 75 % of cases
// whatever their nominal level, and experiments have 3 repeats, not 30.
type Bootstrap struct {
	Level float64 // for example 0.95

	quantiles map[int]float64
	draws     map[int][]int // of paired samples, by their length
	means     []float64
	own       []int // draw of an unpaired sample
}

// Interval is the confidence interval of stat, which is given the mean of each
// sample and must not keep the slice. Paired means that the i-th value of every
// sample belongs together, because it comes from the same seed; then all have
// the same length and are resampled as one. Otherwise n is the smallest number
// of repeats above 1, which errs on the wide side. A sample of one value is
// taken as it is. If stat is not finite somewhere, neither is the interval.
func (b *Bootstrap) Interval(samples [][]float64, paired bool, stat func(means []float64) float64) (low, high float64) {
	b.means = b.means[:0]
	n := 0
	for _, s := range samples {
		b.means = append(b.means, Mean(s))
		if len(s) > 1 && (n == 0 || len(s) < n) {
			n = len(s)
		}
	}
	theta := stat(b.means)
	if n == 0 {
		return theta, theta
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var draws []int
	if paired {
		draws = b.paired(n, rng)
	}
	var mean, ss float64
	for r := range replicates {
		for i, s := range samples {
			var draw []int
			if paired {
				draw = draws[r*n : (r+1)*n]
			} else {
				b.own = resample(b.own[:0], rng, len(s))
				draw = b.own
			}
			var sum float64
			for _, k := range draw {
				sum += s[k]
			}
			b.means[i] = sum / float64(len(s))
		}
		v := stat(b.means) - theta
		step := v - mean
		mean += step / float64(r+1)
		ss += step * (v - mean)
	}
	half := b.quantile(n-1) * math.Sqrt(float64(n)/float64(n-1)*ss/(replicates-1))
	if math.IsNaN(half) || math.IsInf(half, 0) {
		return math.Inf(-1), math.Inf(1)
	}
	return theta - half, theta + half
}

// paired makes the draws of all replicates of n repeats, once.
func (b *Bootstrap) paired(n int, rng *rand.Rand) []int {
	if b.draws[n] == nil {
		if b.draws == nil {
			b.draws = map[int][]int{}
		}
		draws := make([]int, 0, replicates*n)
		for range replicates {
			draws = resample(draws, rng, n)
		}
		b.draws[n] = draws
	}
	return b.draws[n]
}

// resample appends n indices below n, drawn with replacement.
func resample(draw []int, rng *rand.Rand, n int) []int {
	for range n {
		draw = append(draw, rng.IntN(n))
	}
	return draw
}

// Repeats estimates how many repeats in all would narrow an interval that n
// repeats left at half width half to half width want: the smallest m for which
// t(m−1)/√m is small enough. It is 0 if 1000 are too few.
func (b *Bootstrap) Repeats(n int, half, want float64) int {
	spread := half * math.Sqrt(float64(n)) / b.quantile(n-1)
	for m := n; m <= 1000; m++ {
		if b.quantile(m-1)*spread/math.Sqrt(float64(m)) <= want {
			return m
		}
	}
	return 0
}

func (b *Bootstrap) quantile(df int) float64 {
	q, ok := b.quantiles[df]
	if !ok {
		if b.quantiles == nil {
			b.quantiles = map[int]float64{}
		}
		q = StudentQuantile((1+b.Level)/2, df)
		b.quantiles[df] = q
	}
	return q
}

// StudentQuantile is the p-quantile of Student's t distribution with df degrees
// of freedom, 0 < p < 1.
func StudentQuantile(p float64, df int) float64 {
	if !(p > 0 && p < 1) || df < 1 {
		return math.NaN()
	}
	if p < 0.5 {
		return -StudentQuantile(1-p, df)
	}
	low, high := 0.0, 1.0
	for studentTail(high, df) > 1-p {
		low, high = high, 2*high
	}
	for {
		mid := (low + high) / 2
		if mid == low || mid == high {
			return mid
		}
		if studentTail(mid, df) > 1-p {
			low = mid
		} else {
			high = mid
		}
	}
}

// studentTail is P(T > t) for t ≥ 0: the regularised incomplete beta function
// I(df/2, 1/2) at df/(df+t²), halved, by its finite series for whole df
// (Abramowitz and Stegun, 26.7.3 and 26.7.4).
func studentTail(t float64, df int) float64 {
	theta := math.Atan2(t, math.Sqrt(float64(df)))
	sin, cos := math.Sincos(theta)
	term, sum := 1.0, 0.0
	first := df % 2
	if first == 1 {
		term = cos
	}
	for k := 2 + first; k <= df; k += 2 {
		sum += term
		term *= cos * cos * float64(k-1) / float64(k)
	}
	if first == 1 {
		return 0.5 - (theta+sin*sum)/math.Pi
	}
	return 0.5 - sin*sum/2
}
