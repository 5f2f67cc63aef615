package fit

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// Statistics say how far a sample is from a distribution.
type Statistics struct {
	KS        float64 // Kolmogorov–Smirnov: greatest distance of the distribution functions
	AD        float64 // Anderson–Darling's A²
	ChiSquare float64 // Pearson's, over bins of equal probability
	Bins      int     // of ChiSquare
}

// Measure finds the statistics of a sample against a distribution.
func Measure(d Distribution, x []float64) Statistics {
	v := slices.Sorted(slices.Values(x))
	n := float64(len(v))
	s := Statistics{Bins: bins(len(v))}
	counts := make([]float64, s.Bins)
	upper := make([]float64, len(v))
	for i, value := range v {
		u := d.CDF(value)
		upper[i] = d.Survival(value)
		s.KS = max(s.KS, u-float64(i)/n, float64(i+1)/n-u)
		counts[min(s.Bins-1, int(u*float64(s.Bins)))]++
		s.AD -= (2*float64(i) + 1) * logOrLeast(u)
	}
	for i := range v {
		s.AD -= (2*float64(i) + 1) * logOrLeast(upper[len(v)-1-i])
	}
	s.AD = s.AD/n - n
	expected := n / float64(s.Bins)
	for _, c := range counts {
		s.ChiSquare += (c - expected) * (c - expected) / expected
	}
	return s
}

// logOrLeast keeps one value that a distribution cannot have from making a
// statistic infinite.
func logOrLeast(p float64) float64 { return math.Log(max(p, 1e-300)) }

// bins is the number of bins of a χ² test of n values: 2n^(2/5), each
// expecting at least five (Moore, in D'Agostino and Stephens, Goodness-of-Fit
// Techniques, 1986).
func bins(n int) int {
	return max(2, min(int(math.Round(2*math.Pow(float64(n), 0.4))), n/5))
}

// KolmogorovP is the probability of a Kolmogorov–Smirnov distance of at least d
// between n values and the distribution that they come from, if that was not
// fitted to them (Stephens, Journal of the Royal Statistical Society B 32,
// 1970). For a fitted distribution it is far too large.
func KolmogorovP(d float64, n int) float64 {
	root := math.Sqrt(float64(n))
	return kolmogorov((root + 0.12 + 0.11/root) * d)
}

// kolmogorov is the limiting distribution's upper tail, by whichever of its
// two series converges fast.
func kolmogorov(z float64) float64 {
	if z <= 0 {
		return 1
	}
	if z < 1 {
		sum := 0.0
		for k := 1; k <= 7; k += 2 {
			sum += math.Exp(-float64(k*k) * math.Pi * math.Pi / (8 * z * z))
		}
		return min(1, max(0, 1-math.Sqrt(2*math.Pi)/z*sum))
	}
	p, sign := 0.0, 2.0
	for k := 1; k < 100; k++ {
		term := math.Exp(-2 * float64(k*k) * z * z)
		p += sign * term
		if term < 1e-17 {
			break
		}
		sign = -sign
	}
	return min(1, max(0, p))
}

// TwoSampleP is the probability of a Kolmogorov–Smirnov distance of at least d
// between samples of n and m values of one continuous distribution.
func TwoSampleP(d float64, n, m int) float64 {
	return KolmogorovP(d, max(1, int(math.Round(float64(n)*float64(m)/float64(n+m)))))
}

// ChiSquareP is the upper tail of the χ² distribution. After fitting free
// parameters to the same ungrouped values the degrees of freedom lie between
// bins−1−free and bins−1 (Chernoff and Lehmann, 1954); this takes the former.
func (s Statistics) ChiSquareP(free int) float64 {
	df := s.Bins - 1 - free
	if df < 1 {
		return math.NaN()
	}
	return mathext.GammaIncRegComp(float64(df)/2, s.ChiSquare/2)
}

// Verdict is the outcome of a test of fit.
type Verdict struct {
	N          int // size of the sample
	Replicates int // parametric bootstrap samples
	Statistics
	// NaiveKS is the p-value that ignores that the distribution was fitted.
	NaiveKS float64
	// KSP, ADP and ChiSquareP come from the bootstrap.
	KSP, ADP, ChiSquareBootP float64
}

// Test fits a family to a sample and tests the fit by a parametric bootstrap:
// as many values are drawn from the fit, the family is fitted to them anew, and
// the statistics of each such sample against its own fit are those that the
// sample's are held against; p = (1 + as far or farther) / (1 + replicates)
// (Stute, González Manteiga and Presedo Quindimil, Metrika 40, 1993).
// Mixtures are fitted anew from the first fit as their start.
func (f Family) Test(ctx context.Context, x []float64, replicates int, rng *rand.Rand) (Distribution, Verdict, error) {
	d, err := f.Fit(x)
	if err != nil {
		return nil, Verdict{}, err
	}
	v := Verdict{N: len(x), Replicates: replicates, Statistics: Measure(d, x)}
	v.NaiveKS = KolmogorovP(v.KS, v.N)
	var ks, ad, chi int
	for range replicates {
		if err := ctx.Err(); err != nil {
			return nil, Verdict{}, err
		}
		y := Sample(d, v.N, rng)
		again, err := f.fit(y, d)
		if err != nil {
			return nil, Verdict{}, err
		}
		s := Measure(again, y)
		ks, ad, chi = ks+atLeast(s.KS, v.KS), ad+atLeast(s.AD, v.AD), chi+atLeast(s.ChiSquare, v.ChiSquare)
	}
	p := func(count int) float64 { return float64(1+count) / float64(1+replicates) }
	v.KSP, v.ADP, v.ChiSquareBootP = p(ks), p(ad), p(chi)
	return d, v, nil
}

func atLeast(x, y float64) int {
	if x >= y {
		return 1
	}
	return 0
}

// Wasserstein is the mean distance, in the values' unit, by which the sorted
// values differ from the distribution's quantiles at their ranks.
func Wasserstein(d Distribution, x []float64) float64 {
	return quantileDistance(d, x, func(v float64) float64 { return v })
}

// LogWasserstein is the same of natural logarithms: 0.1 is a tenth of each
// value. Unlike Wasserstein's distance it is not that of the longest values
// alone.
func LogWasserstein(d Distribution, x []float64) float64 { return quantileDistance(d, x, math.Log) }

func quantileDistance(d Distribution, x []float64, of func(float64) float64) float64 {
	v := slices.Sorted(slices.Values(x))
	s := 0.0
	for i, value := range v {
		s += math.Abs(of(value) - of(quantile(d, (float64(i)+0.5)/float64(len(v)))))
	}
	return s / float64(len(v))
}
