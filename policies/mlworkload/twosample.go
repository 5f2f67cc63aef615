package mlworkload

import (
	"math"
	"math/rand/v2"

	"reprise/policies/mlworkload/fit"
)

// TwoSample is how two samples differ.
type TwoSample struct {
	N, M int
	KS   float64 // Kolmogorov–Smirnov distance
	P    float64 // of it, if both come from one continuous distribution
	// SmallP is the mean p-value of pairs of sub-samples of SmallN values: what
	// a test of so few would say.
	SmallN int
	SmallP float64
}

// Compare compares two samples as wholes, and by pairs sub-samples of n values.
func Compare(x, y []float64, n, pairs int, rng *rand.Rand) TwoSample {
	c := TwoSample{N: len(x), M: len(y), KS: KSDistance(x, y), SmallN: min(n, len(x), len(y)), SmallP: math.NaN()}
	c.P = fit.TwoSampleP(c.KS, c.N, c.M)
	if c.SmallN < 2 {
		return c
	}
	sum := 0.0
	for range pairs {
		sum += fit.TwoSampleP(KSDistance(some(x, c.SmallN, rng), some(y, c.SmallN, rng)), c.SmallN, c.SmallN)
	}
	c.SmallP = sum / float64(pairs)
	return c
}

// some draws n values without putting any back.
func some(x []float64, n int, rng *rand.Rand) []float64 {
	picked := make([]float64, n)
	for i, at := range rng.Perm(len(x))[:n] {
		picked[i] = x[at]
	}
	return picked
}
