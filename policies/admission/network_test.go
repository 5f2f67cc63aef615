package admission

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBlockEqualsGo(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rng.NormFloat64() * math.Pow(10, float64(rng.IntN(9)-4)))
		}
		return v
	}
	for range 200 {
		k, turned := 1+rng.IntN(40), rng.IntN(2) == 0
		cStride, bStride, aRow, aStep := 16+rng.IntN(30), 16+rng.IntN(30), k+rng.IntN(5), 1
		if turned {
			aRow, aStep = 1, 4+rng.IntN(8)
		}
		a, b := random(4*aRow+k*aStep), random(k*bStride)
		c := random(4 * cStride)
		want := append([]float32(nil), c...)
		blockGo(want, a, b, k, cStride, aRow, aStep, bStride)
		block(c, a, b, k, cStride, aRow, aStep, bStride)
		require.Equal(t, want, c)
	}
}

func TestRowEqualsGo(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 2))
	for range 100 {
		cols, k := 16*(1+rng.IntN(20)), 1+rng.IntN(130)
		a, b, c := make([]float32, k), make([]float32, k*cols), make([]float32, cols)
		for _, v := range [][]float32{a, b, c} {
			for i := range v {
				v[i] = max(0, float32(rng.NormFloat64())) // half of them zeros
			}
		}
		want := append([]float32(nil), c...)
		rowGo(want, a, b, cols)
		row(c, a, b, cols)
		require.Equal(t, want, c)
	}
}

func TestAdamEqualsGo(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const n = 37
	var got, want [4][]float32
	for i := range got {
		got[i] = make([]float32, n)
		for j := range got[i] {
			got[i][j] = float32(math.Abs(rng.NormFloat64()))
		}
		want[i] = append([]float32(nil), got[i]...)
	}
	for range 20 {
		adam(got[0], got[1], got[2], got[3], 1e-3, 1e-7)
		adamGo(want[0], want[1], want[2], want[3], 1e-3, 1e-7)
		require.Equal(t, want, got)
	}
}

// The gradient that one step uses is the loss's, by finite differences.
func TestGradient(t *testing.T) {
	for _, loss := range []Loss{CrossEntropy, BiasedHinge} {
		widths := []int{5, 20, 7, 1}
		if loss == BiasedHinge {
			widths[3] = 2
		}
		n := NewNetwork(7, widths...)
		rng := rand.New(rand.NewPCG(5, 6))
		const rows = 11
		x, slow := make([]float32, rows*5), make([]bool, rows)
		batch := make([]int32, rows)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		for i := range slow {
			slow[i], batch[i] = rng.IntN(2) == 0, int32(i)
		}
		f := newFitter(n, Training{Loss: loss, Rate: 0, Batch: 16})
		f.step(x, slow, batch)
		for i, l := range n.Layers {
			for _, in := range []int{0, l.In - 1} {
				for _, out := range []int{0, l.Out - 1} {
					w := &l.W[in*l.Stride+out]
					const h = 1e-2
					was := *w
					*w = was + h
					above := f.loss(n.Scores(x), slow)
					*w = was - h
					below := f.loss(n.Scores(x), slow)
					*w = was
					require.InDelta(t, (above-below)/(2*h), f.gw[i][in*l.Stride+out], 2e-2, "%s, layer %d", loss, i)
				}
			}
		}
	}
}

// samples are points on both sides of a circle.
func circle(n int, seed uint64) ([]float32, []bool) {
	rng := rand.New(rand.NewPCG(seed, 0))
	x, slow := make([]float32, 2*n), make([]bool, n)
	for i := range n {
		a, b := rng.Float64()*2-1, rng.Float64()*2-1
		x[2*i], x[2*i+1] = float32(a), float32(b)
		slow[i] = a*a+b*b < 0.5
	}
	return x, slow
}

func TestFitLearns(t *testing.T) {
	x, slow := circle(4000, 1)
	for _, loss := range []Loss{CrossEntropy, BiasedHinge} {
		n := NewNetwork(1, 2, 32, 16, map[Loss]int{CrossEntropy: 1, BiasedHinge: 2}[loss])
		_, err := n.Fit(context.Background(), x, slow, Training{Loss: loss, Rate: 3e-3, Batch: 32, Epochs: 20, Holdout: 0.2, KeepBest: true})
		require.NoError(t, err)
		tx, ts := circle(2000, 2)
		right := 0
		for i, z := range n.Scores(tx) {
			if (z > 0) == ts[i] {
				right++
			}
		}
		require.Greater(t, right, 1900, loss)
	}
}

func TestFitIsDeterministicAndStops(t *testing.T) {
	x, slow := circle(500, 3)
	fit := func() (*Network, Trained) {
		n := NewNetwork(9, 2, 16, 1)
		done, err := n.Fit(context.Background(), x, slow, Training{Loss: CrossEntropy, Rate: 1e-2, Batch: 32, Epochs: 400, Patience: 3, MinDelta: 0.01, Holdout: 0.2, Seed: 4})
		require.NoError(t, err)
		return n, done
	}
	a, done := fit()
	b, _ := fit()
	require.Equal(t, a, b)
	require.Less(t, done.Epochs, 400)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := NewNetwork(1, 2, 1).Fit(ctx, x, slow, Training{Loss: CrossEntropy, Rate: 1, Batch: 32, Epochs: 1})
	require.ErrorIs(t, err, context.Canceled)
	_, err = NewNetwork(1, 2, 1).Fit(context.Background(), x[1:], slow, Training{Loss: CrossEntropy, Rate: 1, Batch: 32, Epochs: 1})
	require.ErrorContains(t, err, "999 values do not make 500 samples of 2 inputs")
}

// Paddings hold no weight after training, or stored models would differ from
// what they compute.
func TestPaddingStaysZero(t *testing.T) {
	x, slow := circle(300, 5)
	n := NewNetwork(2, 2, 20, 5, 1)
	_, err := n.Fit(context.Background(), x, slow, Training{Loss: CrossEntropy, Rate: 1e-2, Batch: 32, Epochs: 3})
	require.NoError(t, err)
	for _, l := range n.Layers {
		for i, w := range l.W {
			if i/l.Stride >= l.In || i%l.Stride >= l.Out {
				require.Zero(t, w)
			}
		}
	}
}

func BenchmarkTrain(b *testing.B) {
	const rows, in = 100_000, 11
	rng := rand.New(rand.NewPCG(1, 1))
	x, slow := make([]float32, rows*in), make([]bool, rows)
	for i := range x {
		x[i] = rng.Float32()
	}
	for i := range slow {
		slow[i] = x[i*in] > 0.5
	}
	n := NewNetwork(1, in, 128, 16, 1)
	for b.Loop() {
		_, err := n.Fit(context.Background(), x, slow, Training{Loss: CrossEntropy, Rate: 1e-3, Batch: 32, Epochs: 1})
		require.NoError(b, err)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/rows*1e6, "s/M-sample-epochs")
}
