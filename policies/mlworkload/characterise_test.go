package mlworkload

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/checks/stats"
)

func TestGini(t *testing.T) {
	identity := func(x float64) float64 { return x }
	require.InDelta(t, 0, Gini([]float64{5, 5, 5, 5}, identity), 1e-12)
	require.InDelta(t, 0.75, Gini([]float64{0, 0, 0, 8}, identity), 1e-12, "all in one of n: 1 − 1/n")
	require.InDelta(t, 0.25, Gini([]float64{1, 2, 3, 4}, identity), 1e-12)
	require.True(t, math.IsNaN(Gini(nil, identity)))
}

// TestKPSS rejects a stationary series as rarely as its level says, and a
// random walk mostly.
func TestKPSS(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	noise, walk := 0, 0
	for range 1000 {
		x, w := make([]float64, 200), make([]float64, 200)
		for i := range x {
			x[i] = rng.NormFloat64()
			w[i] = x[i]
			if i > 0 {
				w[i] += w[i-1]
			}
		}
		if KPSS(x) > 0.463 {
			noise++
		}
		if KPSS(w) > 0.463 {
			walk++
		}
	}
	require.InDelta(t, 50, noise, 25)
	require.Greater(t, walk, 900)
	require.True(t, math.IsNaN(KPSS([]float64{1, 1, 1, 1, 1})))
}

func TestCharacterise(t *testing.T) {
	l := read(t, "submit,duration,gpus,vc\n2024-01-01 10:00:00,10,1,a\n2024-01-01 11:00:00,20,2,a\n2024-01-03 11:30:00,30,4,b\n", Options{})
	c := Characterise(l)
	require.Equal(t, 1, c.Hours[10])
	require.Equal(t, 2, c.Hours[11])
	require.Equal(t, [7]int{2, 0, 1}, c.Weekdays)
	require.InDelta(t, 1, c.Dependence, 1e-12)
	require.Equal(t, []Count{{"a", 2, 50}, {"b", 1, 120}}, c.VCs)
	require.InDelta(t, 1.0/6, c.GiniJobs, 1e-12)
	require.Equal(t, []float64{2, 0}, l.Counts(24*time.Hour), "the third day is not over")

	late := read(t, "submit\n2024-01-01 20:00:00\n2024-01-01 20:05:00\n", Options{})
	require.Empty(t, late.whole(time.Hour), "no whole hour")
	require.True(t, math.IsNaN(Characterise(late).Dispersion))

	// A Poisson process has a dispersion of 1.
	rng := rand.New(rand.NewPCG(3, 4))
	var b strings.Builder
	b.WriteString("submit\n")
	for s := 0.0; s < 3600*2000; s += rng.ExpFloat64() * 100 {
		b.WriteString(text(s) + "\n")
	}
	require.InDelta(t, 1, Characterise(read(t, b.String(), Options{})).Dispersion, 0.15)
}

func TestKSDistance(t *testing.T) {
	require.InDelta(t, 0.5, KSDistance([]float64{1, 2}, []float64{2, 3}), 1e-12)
	require.Zero(t, KSDistance([]float64{1, 1, 2}, []float64{1, 2, 1}))
	require.InDelta(t, 1, KSDistance([]float64{1}, []float64{2, 3}), 1e-12)
	rng := rand.New(rand.NewPCG(5, 6))
	x, y := make([]float64, 1000), make([]float64, 1000)
	for i := range x {
		x[i], y[i] = rng.Float64(), rng.Float64()
	}
	require.Less(t, KSDistance(x, y), 1.95*math.Sqrt(2.0/1000))
	require.InDelta(t, 0.5, stats.Mean(x), 0.05)
}
