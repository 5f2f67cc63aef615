package stats_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"

	"reprise/checks/stats"
)

// Where the interpolation has nothing to do, at a level that is exactly an
// interval's of two order statistics, it gives those.
func TestMedianIntervalAtOrderStatistics(t *testing.T) {
	for n := 6; n <= 20; n++ {
		x := make([]float64, n)
		for i := range x {
			x[i] = float64((i*7)%n) * 10 // any order
		}
		if n%7 == 0 {
			continue
		}
		b := distuv.Binomial{N: float64(n), P: 0.5}
		for k := 1; k <= n/2; k++ {
			level := 1 - 2*b.CDF(float64(k-1))
			low, high, ok := stats.MedianInterval(x, level-1e-12)
			require.True(t, ok)
			require.InDelta(t, float64(10*(k-1)), low, 1e-3, "n=%d k=%d", n, k)
			require.InDelta(t, float64(10*(n-k)), high, 1e-3, "n=%d k=%d", n, k)
		}
	}
	_, _, ok := stats.MedianInterval([]float64{1, 2, 3, 4, 5}, 0.95)
	require.False(t, ok, "five values cannot give 95 %%")
}

func TestMedianIntervalCovers(t *testing.T) {
	for name, draw := range map[string]func(*rand.Rand) float64{
		"normal": func(r *rand.Rand) float64 { return r.NormFloat64() },
		"skewed": func(r *rand.Rand) float64 { return math.Exp(r.NormFloat64()) - 1 },
		"heavy":  func(r *rand.Rand) float64 { return math.Tan(math.Pi * (r.Float64() - 0.5)) },
	} {
		for _, n := range []int{6, 7, 10, 15, 30} {
			rng := rand.New(rand.NewPCG(uint64(n), 9))
			const trials = 20_000
			covered := 0
			x := make([]float64, n)
			for range trials {
				for i := range x {
					x[i] = draw(rng)
				}
				if low, high, _ := stats.MedianInterval(x, 0.95); low <= 0 && 0 <= high {
					covered++
				}
			}
			require.InDelta(t, 95, 100*float64(covered)/trials, 2, "%s, n=%d", name, n)
		}
	}
}

// The example of SciPy's documentation of mannwhitneyu, exact: men 19 22 16 29
// 24, women 20 11 17 12 give U = 17 and p = 1/9.
func TestMannWhitneyPublished(t *testing.T) {
	u, p := stats.MannWhitney([]float64{19, 22, 16, 29, 24}, []float64{20, 11, 17, 12})
	near(t, 17, u)
	near(t, 1.0/9, p)
}
