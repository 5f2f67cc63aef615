package profiling

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/traces/telemetry"
)

// unrelated makes series whose level depends on their configuration alone, and
// classes that have nothing to do with it: there is nothing to learn.
func unrelated(classes, configs, runs int) []telemetry.Series {
	rng := rand.New(rand.NewPCG(5, 5))
	var all []telemetry.Series
	for c := range classes {
		for k := range configs {
			var level [telemetry.Sensors]float64
			for s := range level {
				level[s] = 100 * rng.Float64()
			}
			for r := range runs {
				s := telemetry.Series{Labels: telemetry.Labels{"family": fmt.Sprintf("c%02d", c),
					"config": fmt.Sprintf("c%02d-%d", c, k), "run": fmt.Sprintf("c%02d-%d-s%d", c, k, r)}}
				for i := range 40 {
					sample := telemetry.Sample{Time: float64(i) / 10}
					for j := range sample.Values {
						sample.Values[j] = level[j] + 0.3*rng.NormFloat64()
					}
					s.Samples = append(s.Samples, sample)
				}
				all = append(all, s)
			}
		}
	}
	return all
}

func family(e *Example) string { return e.Labels["family"] }

// TestLeak is the reason for the splits: where there is nothing to learn, a
// split by windows tells nearly every class, and one by configurations tells
// chance.
func TestLeak(t *testing.T) {
	examples := Cut(unrelated(8, 4, 2), 1, 0.5)
	names, of := Classes(examples, family)
	accuracy := func(folds []Fold) float64 {
		s, err := Evaluate(context.Background(), examples, of, len(names), folds, Statistics, "forest", 1)
		require.NoError(t, err)
		require.InDelta(t, 1.0/8, s.Majority, 0.05)
		return s.Accuracy
	}
	require.Greater(t, accuracy(ByWindow(examples, 4, 1)), 0.97)
	require.Greater(t, accuracy(ByRun(examples)), 0.9) // the configuration is known
	require.Less(t, accuracy(ByConfiguration(examples, 4, family)), 0.3)
}

func TestSplitsHoldOut(t *testing.T) {
	examples := Cut(unrelated(3, 4, 2), 1, 0.5)
	shared := func(f Fold, of func(*Example) string) int {
		trained, n := map[string]bool{}, 0
		for _, i := range f.Train {
			trained[of(&examples[i])] = true
		}
		for _, i := range f.Test {
			if trained[of(&examples[i])] {
				n++
			}
		}
		return n
	}
	config, run := func(e *Example) string { return e.Config }, func(e *Example) string { return e.Run }
	tested := map[int]int{}
	for _, f := range ByConfiguration(examples, 4, family) {
		require.Zero(t, shared(f, config))
		require.Len(t, append(f.Train, f.Test...), len(examples))
		for _, i := range f.Test {
			tested[i]++
		}
	}
	require.Len(t, tested, len(examples))
	byRun := ByRun(examples)[0]
	require.Zero(t, shared(byRun, run))
	require.Equal(t, len(byRun.Test), shared(byRun, config))
	require.Len(t, byRun.Test, len(examples)/2)
	require.NotZero(t, shared(ByWindow(examples, 4, 1)[0], run))
}

// TestNothingOfTheTestIsFitted changes the test part beyond all measure and
// finds what was fitted unchanged.
func TestNothingOfTheTestIsFitted(t *testing.T) {
	examples := Cut(unrelated(3, 2, 1), 0, 0)
	train := examples[:4]
	before := FitExtractor(Covariance, train).Features(train[0].Samples)
	for i := range examples[4].Samples {
		examples[4].Samples[i].Values[0] = 1e9
	}
	require.Equal(t, before, FitExtractor(Covariance, train).Features(train[0].Samples))
	require.Len(t, before, 28)
	for _, set := range FeatureSets {
		e := FitExtractor(set, train)
		x := e.Features(examples[5].Samples)
		require.Len(t, x, len(e.Names()), string(set))
		for _, v := range x {
			require.False(t, math.IsNaN(v) || math.IsInf(v, 0), string(set))
		}
	}
}

func TestMissingSensors(t *testing.T) {
	examples := Cut(unrelated(2, 1, 1), 0, 0)
	w := examples[0].Samples
	for i := range w {
		w[i].Values[telemetry.TemperatureMemory] = math.NaN()
		if i%3 != 1 {
			w[i].Values[telemetry.Power] = math.NaN()
		}
	}
	for _, v := range FitExtractor(Every, examples).Features(w) {
		require.False(t, math.IsNaN(v))
	}
}

func TestPeriodOfASine(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, want := range []float64{0.3, 0.77, 1.5, 4} {
		var at, v []float64
		now := 0.0
		for range 300 {
			now += 0.08 + 0.04*rng.Float64() // uneven
			at = append(at, now)
			v = append(v, 50+10*math.Sin(2*math.Pi*now/want+1)+rng.NormFloat64())
		}
		got, share := Period(at, v)
		require.InEpsilon(t, want, got, 0.01)
		require.Greater(t, share, 0.9)
	}
}

func TestNoPeriodInNoise(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	found := 0
	for range 200 {
		var at, v []float64
		for i := range 60 {
			at, v = append(at, float64(i)/10), append(v, rng.NormFloat64())
		}
		if p, _ := Period(at, v); p > 0 {
			found++
		}
	}
	require.LessOrEqual(t, found, 8) // 1 % of series expected; oversampling adds a little
}

// TestPELTIsExact compares with the plain dynamic program over all partitions.
func TestPELTIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		v := make([]float64, 4+rng.IntN(40))
		level := 0.0
		for i := range v {
			if rng.IntN(8) == 0 {
				level = 10 * rng.Float64()
			}
			v[i] = level + rng.NormFloat64()
		}
		penalty := 3 * noise(v) * math.Log(float64(len(v)))
		cost := func(a, b int) float64 {
			m, c := meanOf(v[a:b]), 0.0
			for _, x := range v[a:b] {
				c += (x - m) * (x - m)
			}
			return c
		}
		best := make([]float64, len(v)+1)
		best[0] = -penalty
		for end := 1; end <= len(v); end++ {
			best[end] = math.Inf(1)
			for start := 0; start+2 <= end; start++ {
				best[end] = min(best[end], best[start]+cost(start, end)+penalty)
			}
		}
		got, from := -penalty, 0
		for _, p := range append(ChangePoints(v, 3), len(v)) {
			got += cost(from, p) + penalty
			from = p
		}
		require.InDelta(t, best[len(v)], got, 1e-6)
	}
}

func TestStatistics(t *testing.T) {
	// numpy: mean 3, std √2, quartiles of 1…5; slope 1 a sample.
	require.InDeltaSlice(t, []float64{3, math.Sqrt2, 1, 2, 3, 4, 5, 1}, statistics([]float64{1, 2, 3, 4, 5}), 1e-12)
}

// TestSVMMeetsTheClosedForm: of m points at each of ±1 the squared-hinge
// problem's solution is w = 4Cm/(1+4Cm), b = 0.
func TestSVMMeetsTheClosedForm(t *testing.T) {
	for _, c := range []float64{0.1, 1, 10} {
		x, y := [][]float64{{3}, {3}, {7}, {7}}, []int{0, 0, 1, 1}
		s := &SVM{C: c, Seed: 1}
		require.NoError(t, s.Fit(context.Background(), x, y, 2))
		require.InDelta(t, 8*c/(1+8*c), s.weights[1][0], 1e-3)
		require.InDelta(t, 0, s.weights[1][1], 1e-3)
		require.Equal(t, 1, s.Predict([]float64{5.5}))
	}
}

// TestExclusiveOr: no hyperplane or centroid tells it, trees do.
func TestExclusiveOr(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	draw := func(n int) (x [][]float64, y []int) {
		for range n {
			a, b := rng.Float64()-0.5, rng.Float64()-0.5
			k := 0
			if a*b > 0 {
				k = 1
			}
			x, y = append(x, []float64{a, b}), append(y, k)
		}
		return x, y
	}
	x, y := draw(600)
	tx, ty := draw(400)
	for _, name := range Models {
		c, err := NewClassifier(name, 1)
		require.NoError(t, err)
		require.Error(t, c.Fit(context.Background(), nil, nil, 2))
		require.NoError(t, c.Fit(context.Background(), x, y, 2))
		right := 0.0
		for i := range tx {
			if c.Predict(tx[i]) == ty[i] {
				right++
			}
		}
		if right /= float64(len(tx)); name == "centroid" || name == "svm" {
			require.Less(t, right, 0.7, name)
		} else {
			require.Greater(t, right, 0.93, name)
		}
	}
}

func TestSyntheticPeriodComesBack(t *testing.T) {
	p := telemetry.Profile{Period: 1.3, Duty: 0.5, Busy: 80, MemoryUsed: 1000, MemoryTotal: 8000, IdlePower: 50, PowerPerPct: 2, Ambient: 40, PerWatt: 0.1, Lag: 10, Noise: 0.05}
	s := p.Generate(nil, 60, 0.1, 3)
	require.True(t, s.Synthetic)
	require.Equal(t, "synthetic", s.Labels["data"])
	fitted := FitProfile(&s, 50)
	require.InEpsilon(t, 1.3, fitted.Period, 0.02)
	require.InEpsilon(t, 0.5, fitted.Duty, 0.1)
	require.InEpsilon(t, 80, fitted.Busy, 0.1)
}
