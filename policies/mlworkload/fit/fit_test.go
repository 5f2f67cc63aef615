package fit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"

	"reprise/checks/stats"
)

// truths are a distribution of each family.
var truths = map[string]Distribution{
	"exponential": distuv.Exponential{Rate: 0.02},
	"weibull":     distuv.Weibull{K: 0.6, Lambda: 300},
	"gamma":       distuv.Gamma{Alpha: 0.4, Beta: 0.001},
	"pareto":      distuv.Pareto{Xm: 3, Alpha: 1.2},
	"lognormal":   distuv.LogNormal{Mu: 7, Sigma: 2},
	"hyper-exponential-3": Mixture{[]float64{0.5, 0.3, 0.2},
		[]Distribution{distuv.Exponential{Rate: 1}, distuv.Exponential{Rate: 0.02}, distuv.Exponential{Rate: 0.0002}}},
	"lognormal-mix-2": Mixture{[]float64{0.7, 0.3}, []Distribution{distuv.LogNormal{Mu: 5, Sigma: 1}, distuv.LogNormal{Mu: 9, Sigma: 1.5}}},
	"lognormal-mix-3": Mixture{[]float64{0.3, 0.5, 0.2},
		[]Distribution{distuv.LogNormal{Mu: 2, Sigma: 0.5}, distuv.LogNormal{Mu: 6, Sigma: 1}, distuv.LogNormal{Mu: 11, Sigma: 0.7}}},
	"log-hyper-gamma": logOf{Mixture{[]float64{0.7, 0.3}, []Distribution{distuv.Gamma{Alpha: 4.2, Beta: 1 / 0.94}, distuv.Gamma{Alpha: 312, Beta: 1 / 0.03}}}},
}

// TestRecovery fits each family to values that it generated. The likelihood of
// the estimate can be no less than the truth's, and by Wilks's theorem exceeds
// it by half a χ² of as many degrees as there are parameters.
func TestRecovery(t *testing.T) {
	for _, f := range Families {
		x := Sample(truths[f.Name], 10_000, rand.New(rand.NewPCG(1, 1)))
		d, err := f.Fit(x)
		require.NoError(t, err, f.Name)
		excess := 2 * (LogLikelihood(d, x) - LogLikelihood(truths[f.Name], x))
		require.Greater(t, excess, -2*settled*100, f.Name)
		require.Less(t, excess, distuv.ChiSquared{K: float64(f.Free)}.Quantile(0.9999), f.Name)
		want, got := Parameters(truths[f.Name]), Parameters(d)
		for i := range want {
			require.Equal(t, want[i].Name, got[i].Name)
			require.InEpsilon(t, want[i].Value, got[i].Value, 0.25, "%s: %s", f.Name, want[i].Name)
		}
		require.Len(t, got, len(want))
	}
}

// TestLikeliest moves every parameter of the families that are solved by
// Newton's method: no neighbour is likelier.
func TestLikeliest(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for _, shape := range []float64{0.05, 0.5, 1, 3, 40} {
		x := Sample(distuv.Gamma{Alpha: shape, Beta: 0.01}, 500, rng)
		x = append(x[:0:0], x...)
		for i := range x {
			x[i] = max(x[i], 1e-300)
		}
		s, err := newSample(x, 0)
		require.NoError(t, err)
		g := gamma(s.x, s.lnx, nil).(distuv.Gamma)
		w := weibull(s).(distuv.Weibull)
		best, bestW := LogLikelihood(g, x), LogLikelihood(w, x)
		for _, by := range []float64{0.999, 1.001} {
			require.Less(t, LogLikelihood(distuv.Gamma{Alpha: g.Alpha * by, Beta: g.Beta}, x), best, shape)
			require.Less(t, LogLikelihood(distuv.Gamma{Alpha: g.Alpha, Beta: g.Beta * by}, x), best, shape)
			require.Less(t, LogLikelihood(distuv.Weibull{K: w.K * by, Lambda: w.Lambda}, x), bestW, shape)
			require.Less(t, LogLikelihood(distuv.Weibull{K: w.K, Lambda: w.Lambda * by}, x), bestW, shape)
		}
	}
}

// TestChoice has BIC choose, for values of each family, that family.
func TestChoice(t *testing.T) {
	for _, truth := range []string{"exponential", "weibull", "gamma", "pareto", "lognormal", "lognormal-mix-2", "log-hyper-gamma"} {
		x := Sample(truths[truth], 5000, rand.New(rand.NewPCG(3, 3)))
		best, least := "", math.Inf(1)
		for _, f := range Families {
			d, err := f.Fit(x)
			if err != nil {
				require.ErrorIs(t, err, ErrSample, "log-hyper-gamma takes no values up to 1")
				continue
			}
			if bic := f.BIC(d, x); bic < least {
				best, least = f.Name, bic
			}
		}
		require.Equal(t, truth, best)
	}
}

func TestNoUnderflow(t *testing.T) {
	// Durations of eight decades: plain expectation–maximisation has only
	// zeros for the longest.
	rng := rand.New(rand.NewPCG(4, 4))
	x := make([]float64, 3000)
	for i := range x {
		x[i] = math.Pow(10, rng.Float64()*8)
	}
	for _, name := range []string{"hyper-exponential-3", "lognormal-mix-3"} {
		f, err := Lookup(name)
		require.NoError(t, err)
		d, err := f.Fit(x)
		require.NoError(t, err)
		require.False(t, math.IsInf(LogLikelihood(d, x), 0) || math.IsNaN(d.Mean()), name)
	}
}

func TestBadSamples(t *testing.T) {
	for _, f := range Families {
		for name, x := range map[string][]float64{"none": nil, "few": {2, 3}, "zero": {0, 2, 3, 4, 5, 6, 7, 8, 9, 10}, "equal": {2, 2, 2, 2, 2, 2, 2, 2, 2, 2},
			"not a number": {2, math.NaN(), 3, 4, 5, 6, 7, 8, 9, 10}, "infinite": {2, math.Inf(1), 3, 4, 5, 6, 7, 8, 9, 10}} {
			if name == "few" && f.Free < 2 {
				continue
			}
			_, err := f.Fit(x)
			require.ErrorIs(t, err, ErrSample, "%s, %s", f.Name, name)
		}
	}
	_, err := Lookup("normal")
	require.ErrorContains(t, err, "exponential weibull gamma")
}

// TestDistributions checks that functions of each distribution agree.
func TestDistributions(t *testing.T) {
	for name, d := range truths {
		for _, p := range []float64{1e-6, 0.01, 0.3, 0.5, 0.9, 0.999} {
			x := d.Quantile(p)
			require.InDelta(t, p, d.CDF(x), 1e-7, name)
			require.InDelta(t, 1-p, d.Survival(x), 1e-7, name)
			h := x * 1e-5
			if d.CDF(x-h) == 0 {
				continue // Pareto's lower end
			}
			require.InEpsilon(t, (d.CDF(x+h)-d.CDF(x-h))/(2*h), math.Exp(d.LogProb(x)), 1e-3, "%s at %v", name, x)
		}
		x := Sample(d, 20_000, rand.New(rand.NewPCG(5, 5)))
		require.Greater(t, KolmogorovP(Measure(d, x).KS, len(x)), 1e-3, name)
	}
	for _, shape := range []float64{0.1, 0.3, 2} {
		d := distuv.Gamma{Alpha: shape, Beta: 1e-5}
		for _, p := range []float64{1e-6, 1e-4, 0.01, 0.5} {
			require.InEpsilon(t, p, d.CDF(quantile(d, p)), 0.05, "%v %v", shape, p)
		}
	}
	require.InDelta(t, 0.5+15+1000, truths["hyper-exponential-3"].Mean(), 1e-9)
	require.InDelta(t, math.Pow(2.0/(2-1), 3), logOf{distuv.Gamma{Alpha: 3, Beta: 2}}.Mean(), 1e-9)
	require.True(t, math.IsInf(logOf{distuv.Gamma{Alpha: 3, Beta: 1}}.Mean(), 1))
}

// TestKolmogorov is against tables of the exact distribution and of its limit.
func TestKolmogorov(t *testing.T) {
	for _, c := range []struct {
		d, p float64
		n    int
	}{{0.409, 0.05, 10}, {0.294, 0.05, 20}, {0.188, 0.05, 50}, {0.489, 0.01, 10}, {0.352, 0.01, 20}} {
		require.InDelta(t, c.p, KolmogorovP(c.d, c.n), c.p*0.06, "%+v", c)
	}
	require.InDelta(t, 0.05, kolmogorov(1.3581), 1e-5)
	require.InDelta(t, 0.95, kolmogorov(0.5196), 1e-4)
	require.InDelta(t, kolmogorov(1-1e-9), kolmogorov(1+1e-9), 1e-7)
	require.EqualValues(t, 1, kolmogorov(0))
}

// TestStatistics holds the means and tails of the statistics, for a
// distribution that was not fitted, to their known ones.
func TestStatistics(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	d := truths["weibull"]
	var ad, chi []float64
	far := 0
	for range 4000 {
		s := Measure(d, Sample(d, 100, rng))
		ad, chi = append(ad, s.AD), append(chi, s.ChiSquare)
		if s.AD > 2.492 {
			far++
		}
		require.Equal(t, 13, s.Bins)
	}
	require.InDelta(t, 1, stats.Mean(ad), 0.05, "Anderson and Darling (1952)")
	require.InDelta(t, 200, far, 45, "2.492 is exceeded by 5 %")
	require.InDelta(t, 12, stats.Mean(chi), 0.4, "bins − 1")
	require.InDelta(t, 0.05, Statistics{Bins: 13, ChiSquare: 18.307}.ChiSquareP(2), 1e-4)
	require.True(t, math.IsNaN(Statistics{Bins: 3}.ChiSquareP(2)))
	// A single value's statistics by hand.
	s := Measure(distuv.Exponential{Rate: 1}, []float64{math.Ln2})
	require.InDelta(t, 0.5, s.KS, 1e-12)
	require.InDelta(t, -1-2*math.Log(0.5), s.AD, 1e-12)
}

func TestWasserstein(t *testing.T) {
	d := distuv.Exponential{Rate: 1}
	x := make([]float64, 1000)
	for i := range x {
		x[i] = 3 + d.Quantile((float64(i)+0.5)/1000)
	}
	require.InDelta(t, 3, Wasserstein(d, x), 1e-9, "a shift")
	for i := range x {
		x[i] = (x[i] - 3) * math.E
	}
	require.InDelta(t, 1, LogWasserstein(d, x), 1e-9, "a factor")
}

// TestCoverage rejects true nulls as often as the level says, by the bootstrap,
// and hardly ever by the Kolmogorov–Smirnov p-value that forgets the fit. The
// experiment mlworkload.coverage does the same with more rounds.
func TestCoverage(t *testing.T) {
	const rounds, level = 600, 0.05
	for _, name := range []string{"exponential", "lognormal"} {
		f, err := Lookup(name)
		require.NoError(t, err)
		rng := rand.New(rand.NewPCG(7, 7))
		var ks, ad, chi, naive int
		for range rounds {
			_, v, err := f.Test(t.Context(), Sample(truths[name], 50, rng), 99, rng)
			require.NoError(t, err)
			for p, count := range map[*int]float64{&ks: v.KSP, &ad: v.ADP, &chi: v.ChiSquareBootP, &naive: v.NaiveKS} {
				if count <= level {
					*p++
				}
			}
		}
		spread := 3.3 * math.Sqrt(rounds*level*(1-level))
		require.InDelta(t, rounds*level, ks, spread, name)
		require.InDelta(t, rounds*level, ad, spread, name)
		require.InDelta(t, rounds*level, chi, spread, name)
		require.Less(t, naive, rounds/100, name)
	}
}

// TestPower rejects values of another family.
func TestPower(t *testing.T) {
	f, err := Lookup("exponential")
	require.NoError(t, err)
	_, v, err := f.Test(t.Context(), Sample(truths["lognormal"], 200, rand.New(rand.NewPCG(8, 8))), 99, rand.New(rand.NewPCG(9, 9)))
	require.NoError(t, err)
	require.Equal(t, []float64{0.01, 0.01, 0.01}, []float64{v.KSP, v.ADP, v.ChiSquareBootP})
	require.Equal(t, 200, v.N)
}

func TestFitHyperGamma(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 10))
	truth := HyperGamma{First: distuv.Gamma{Alpha: 4.2, Beta: 1 / 0.94}, Second: distuv.Gamma{Alpha: 312, Beta: 1 / 0.03}, Slope: -0.0054, Intercept: 0.78}
	x, c := make([]float64, 20_000), make([]float64, 20_000)
	for i := range x {
		c[i] = math.Exp2(float64(rng.IntN(8)))
		d := Distribution(truth.Second)
		if rng.Float64() < truth.Weight(c[i]) {
			d = truth.First
		}
		x[i] = Draw(d, rng)
	}
	h, err := FitHyperGamma(x, c)
	require.NoError(t, err)
	require.InEpsilon(t, 4.2, h.First.Alpha, 0.1)
	require.InEpsilon(t, 0.94, 1/h.First.Beta, 0.1)
	require.InEpsilon(t, 312, h.Second.Alpha, 0.1)
	require.InEpsilon(t, 0.03, 1/h.Second.Beta, 0.1)
	require.InEpsilon(t, -0.0054, h.Slope, 0.15)
	require.InEpsilon(t, 0.78, h.Intercept, 0.03)
}

func BenchmarkTest(b *testing.B) {
	for _, f := range Families {
		for _, n := range []int{200, 1000} {
			x := Sample(truths[f.Name], n, rand.New(rand.NewPCG(1, 1)))
			b.Run(fmt.Sprintf("%s/%d", f.Name, n), func(b *testing.B) {
				for b.Loop() {
					if _, _, err := f.Test(b.Context(), x, 99, rand.New(rand.NewPCG(1, 1))); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// TestStarts: a fit from several starts ends no lower than one that starts from
// the truth, also where a start that leads at first is overtaken.
func TestStarts(t *testing.T) {
	truth := Mixture{[]float64{0.26, 0.34, 0.4},
		[]Distribution{distuv.LogNormal{Mu: 5, Sigma: 0.6}, distuv.LogNormal{Mu: 6.9, Sigma: 1.1}, distuv.LogNormal{Mu: 7, Sigma: 2.4}}}
	f, err := Lookup("lognormal-mix-3")
	require.NoError(t, err)
	for seed := range uint64(2) {
		x := Sample(truth, 1500, rand.New(rand.NewPCG(seed, 9)))
		d, err := f.Fit(x)
		require.NoError(t, err)
		near, err := f.FitNear(x, truth)
		require.NoError(t, err)
		require.Greater(t, LogLikelihood(d, x), LogLikelihood(near, x)-0.1, "seed %d", seed)
	}
}
