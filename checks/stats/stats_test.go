package stats_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"reprise/checks/stats"
)

// near requires agreement to 1e-9 of the wanted value.
func near(t *testing.T, want, got float64) {
	t.Helper()
	require.InDelta(t, want, got, 1e-9*math.Max(1, math.Abs(want)))
}

func TestAgainstGonum(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for n := 2; n < 60; n++ {
		x, y := make([]float64, n), make([]float64, n)
		for i := range x {
			x[i], y[i] = rng.ExpFloat64()*1e3, math.Floor(rng.Float64()*10)
		}
		given := slices.Clone(x)
		near(t, stat.Mean(x, nil), stats.Mean(x))
		near(t, stat.Variance(x, nil), stats.Variance(x))
		near(t, stat.GeometricMean(x, nil), stats.GeoMean(x))
		if rho := stats.Spearman(x, y); !math.IsNaN(rho) {
			near(t, stat.Correlation(meanRanks(x), meanRanks(y), nil), rho)
		}
		sorted := slices.Sorted(slices.Values(x))
		near(t, (sorted[(n-1)/2]+sorted[n/2])/2, stats.Median(x))
		require.Equal(t, given, x, "the argument has changed")
	}
	for df := 1; df <= 200; df++ {
		for _, p := range []float64{0.01, 0.3, 0.5, 0.9, 0.975, 0.995} {
			near(t, distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(df)}.Quantile(p), stats.StudentQuantile(p, df))
		}
	}
}

// meanRanks counts what is smaller and equal: an O(n²) definition of the rank.
func meanRanks(x []float64) []float64 {
	r := make([]float64, len(x))
	for i, v := range x {
		for _, w := range x {
			switch {
			case w < v:
				r[i]++
			case w == v:
				r[i] += 0.5
			}
		}
	}
	return r
}

func TestQuantile(t *testing.T) {
	x := []float64{40, 10, 20, 30}
	for p, want := range map[float64]float64{0: 10, 0.25: 17.5, 0.5: 25, 0.9: 37, 1: 40} {
		near(t, want, stats.Quantile(x, p))
	}
	require.True(t, math.IsNaN(stats.Quantile(x, 1.1)))
}

func TestSumIsCompensated(t *testing.T) {
	require.Equal(t, 2.0, stats.Sum([]float64{1, 1e100, 1, -1e100}))
}

func TestOfNothing(t *testing.T) {
	for name, f := range map[string]func([]float64) float64{"mean": stats.Mean, "sum": stats.Sum, "variance": stats.Variance, "geomean": stats.GeoMean, "median": stats.Median} {
		require.True(t, math.IsNaN(f(nil)), name)
	}
	require.True(t, math.IsNaN(stats.Spearman([]float64{1, 2}, []float64{1, 1})))
	u, p := stats.MannWhitney(nil, []float64{1})
	require.True(t, math.IsNaN(u) && math.IsNaN(p))
	require.True(t, math.IsNaN(stats.StudentQuantile(0.9, 0)))
}

// The exact p is compared with a count over all ways to divide the ranks, the
// approximation with its closed form and, where both apply, with the exact p.
func TestMannWhitney(t *testing.T) {
	for n := 1; n <= 5; n++ {
		for m := 1; m <= 5; m++ {
			for mask := range 1 << (n + m) {
				x, y := divide(mask, n+m)
				if len(x) != n {
					continue
				}
				u, p := stats.MannWhitney(x, y)
				wantU, wantP := enumerate(x, y)
				near(t, wantU, u)
				near(t, wantP, p)
			}
		}
	}
	// Worked by hand: ranks 1.5 1.5 3 | 4.5 4.5 6, U = 0, tied = 2·(8−2) = 12,
	// variance = 9/12·(7 − 12/30) = 4.95, z = (4.5 − 0.5)/√4.95.
	u, p := stats.MannWhitney([]float64{1, 1, 2}, []float64{3, 3, 4})
	near(t, 0, u)
	near(t, math.Erfc(4/math.Sqrt(4.95)/math.Sqrt2), p)
	_, p = stats.MannWhitney([]float64{1, 1}, []float64{1, 1})
	require.Equal(t, 1.0, p)

	var a, b []float64
	for i := range 21 {
		a, b = append(a, float64(2*i)), append(b, float64(2*i+9))
	}
	_, approximate := stats.MannWhitney(a, b)
	_, exact := stats.MannWhitney(a[:20], b[:20])
	require.InDelta(t, exact, approximate, 0.02)
}

// divide deals the ranks to two samples by the bits of mask.
func divide(mask, total int) (x, y []float64) {
	for i := range total {
		if mask>>i&1 == 1 {
			x = append(x, float64(i))
		} else {
			y = append(y, float64(i))
		}
	}
	return x, y
}

func pairsWon(x, y []float64) (u float64) {
	for _, a := range x {
		for _, b := range y {
			if a > b {
				u++
			}
		}
	}
	return u
}

func enumerate(x, y []float64) (u, p float64) {
	u = pairsWon(x, y)
	mid := float64(len(x)*len(y)) / 2
	var all, far float64
	for mask := range 1 << (len(x) + len(y)) {
		a, b := divide(mask, len(x)+len(y))
		if len(a) != len(x) {
			continue
		}
		all++
		if math.Abs(pairsWon(a, b)-mid) >= math.Abs(u-mid) {
			far++
		}
	}
	return u, far / all
}

func mean(m []float64) float64 { return m[0] }

// For the mean of one sample the interval is Student's, but for the error of a
// standard error from 1000 replicates.
func TestIntervalOfAMeanIsStudents(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	b := &stats.Bootstrap{Level: 0.95}
	for _, n := range []int{2, 3, 5, 10, 50} {
		x := make([]float64, n)
		for i := range x {
			x[i] = rng.NormFloat64()
		}
		low, high := b.Interval([][]float64{x}, true, mean)
		half := stats.StudentQuantile(0.975, n-1) * math.Sqrt(stats.Variance(x)/float64(n))
		require.InEpsilon(t, half, (high-low)/2, 0.1, n)
		near(t, stats.Mean(x), (high+low)/2)

		again, _ := b.Interval([][]float64{x}, true, mean)
		require.Equal(t, low, again, "not deterministic")
	}
}

// The interval covers the truth as often as it says, which a percentile
// interval of few repeats does not.
func TestCoverage(t *testing.T) {
	ratio := func(m []float64) float64 { return m[0] / m[1] }
	normal := func(rng *rand.Rand) float64 { return 100 + 10*rng.NormFloat64() }
	skewed := func(rng *rand.Rand) float64 { return math.Exp(0.3 * rng.NormFloat64()) }
	for _, c := range []struct {
		name    string
		draw    func(*rand.Rand) float64
		samples int
		stat    func([]float64) float64
		truth   float64
		n       int
		paired  bool
	}{
		{"mean of 3", normal, 1, mean, 100, 3, true},
		{"mean of 6", normal, 1, mean, 100, 6, true},
		{"mean of 20", normal, 1, mean, 100, 20, true},
		{"mean of 6 skewed", skewed, 1, mean, math.Exp(0.045), 6, true},
		{"paired ratio of 3", normal, 2, ratio, 1, 3, true},
		{"paired ratio of 10", normal, 2, ratio, 1, 10, true},
		{"ratio of 10", normal, 2, ratio, 1, 10, false},
		{"geometric mean of 8 ratios of 3", normal, 16, geomeanOfRatios, 1, 3, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(7, 8))
			b := &stats.Bootstrap{Level: 0.95}
			const trials = 1500
			covered := 0
			for range trials {
				samples := make([][]float64, c.samples)
				for i := range samples {
					for range c.n {
						samples[i] = append(samples[i], c.draw(rng))
					}
				}
				if low, high := b.Interval(samples, c.paired, c.stat); low <= c.truth && c.truth <= high {
					covered++
				}
			}
			share := 100 * float64(covered) / trials
			t.Logf("covers %.1f %%", share)
			require.InDelta(t, 95, share, 2.5)
		})
	}
}

func geomeanOfRatios(m []float64) float64 {
	r := make([]float64, len(m)/2)
	for i := range r {
		r[i] = m[2*i] / m[2*i+1]
	}
	return stats.GeoMean(r)
}

func TestIntervalOfTheUnbounded(t *testing.T) {
	b := &stats.Bootstrap{Level: 0.95}
	low, high := b.Interval([][]float64{{1, 2}, {0, 1}}, true, func(m []float64) float64 { return m[0] / m[1] })
	require.True(t, math.IsInf(low, -1) && math.IsInf(high, 1))
}

func TestRepeats(t *testing.T) {
	b := &stats.Bootstrap{Level: 0.95}
	m := b.Repeats(3, 10, 2)
	half := func(n int) float64 { return stats.StudentQuantile(0.975, n-1) / math.Sqrt(float64(n)) }
	require.LessOrEqual(t, 10*half(m)/half(3), 2.0)
	require.Greater(t, 10*half(m-1)/half(3), 2.0)
	require.Equal(t, 3, b.Repeats(3, 10, 10))
	require.Zero(t, b.Repeats(3, 10, 1e-9))
}
