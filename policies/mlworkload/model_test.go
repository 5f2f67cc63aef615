package mlworkload

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"

	"reprise/checks/stats"
	"reprise/policies/mlworkload/fit"
)

// officeHours is a season with ten times as many jobs on working days from 9
// to 17.
func officeHours() Season {
	var rates [hoursOfWeek]float64
	for h := range rates {
		rates[h] = 1
		if h < 5*24 && h%24 >= 9 && h%24 < 17 {
			rates[h] = 10
		}
	}
	return NewSeason(rates)
}

func TestSeason(t *testing.T) {
	s := officeHours()
	s.Start = 2*24*hour + 100
	require.InDelta(t, week, s.Clock(week), 1e-6)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		at := rng.Float64()*10*week - s.Start
		require.InDelta(t, at, s.Time(s.Clock(at)), 1e-5)
	}
	// Poisson arrivals on the season's clock: the profile comes back.
	m := Model{Season: s, Gaps: distuv.Exponential{Rate: 0.01}, Classes: []Class{{GPUs: 1, Share: 1, Weight: 1, Durations: distuv.Exponential{Rate: 1}}}}
	like := &Log{Tick: 1, Origin: time.Date(2024, 1, 3, 0, 1, 40, 0, time.UTC)}
	l := m.Generate(like, 0, 30*week, rng)
	got := FitSeason(l)
	for h, w := range s.Weights {
		require.InEpsilon(t, w, got.Weights[h], 0.45, h)
	}
	require.InDelta(t, 1, stats.Mean(got.Weights[:]), 1e-9)
	// On its clock they are a Poisson process again, which they are not on ours.
	gaps := got.Gaps(l, rng)
	d := distuv.Exponential{Rate: 1 / stats.Mean(gaps)}
	require.Less(t, fit.Measure(d, gaps).KS, 0.02)
	plain := l.JitteredGaps(rng)
	require.Greater(t, fit.Measure(distuv.Exponential{Rate: 1 / stats.Mean(plain)}, plain).KS, 0.1)
	require.Equal(t, FitSeason(&Log{Jobs: []Job{{}, {Submit: 10}}}).Weights[5], 1.0, "too short for a profile")
}

func switching() *MMPP {
	return &MMPP{Rates: []float64{1, 20}, Change: [][]float64{{0.95, 0.05}, {0.1, 0.9}}, Initial: []float64{0.5, 0.5}}
}

func drawn(m *MMPP, n int, rng *rand.Rand) (counts, exposure []float64) {
	exposure = make([]float64, n)
	for i := range exposure {
		exposure[i] = 0.5 + rng.Float64()
	}
	for _, c := range m.Draw(exposure, rng) {
		counts = append(counts, float64(c))
	}
	return counts, exposure
}

func TestMMPP(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	counts, exposure := drawn(switching(), 5000, rng)
	m, err := ChooseMMPP(counts, exposure, 4)
	require.NoError(t, err)
	require.Len(t, m.Rates, 2, "BIC")
	require.InEpsilon(t, 1, m.Rates[0], 0.05)
	require.InEpsilon(t, 20, m.Rates[1], 0.05)
	require.InDelta(t, 0.05, m.Change[0][1], 0.01)
	require.InDelta(t, 0.1, m.Change[1][0], 0.02)
	expected, logs := m.Ahead(counts, exposure)
	require.InDelta(t, m.LogLikelihood, stats.Sum(logs), 0.01, "two ways to the likelihood")
	require.Less(t, MAE(expected, counts), MAE(slices.Repeat([]float64{stats.Mean(counts)}, len(counts)), counts))
	_, err = FitMMPP(counts[:5], exposure[:5], 2)
	require.ErrorContains(t, err, "5 slots are too few")
}

// TestMMPPLikelihood sums over every path of states.
func TestMMPPLikelihood(t *testing.T) {
	m := switching()
	counts, exposure := drawn(m, 8, rand.New(rand.NewPCG(3, 3)))
	total := 0.0
	for path := range 1 << 8 {
		p := 1.0
		for i, c := range counts {
			s := path >> i & 1
			if i == 0 {
				p *= m.Initial[s]
			} else {
				p *= m.Change[path>>(i-1)&1][s]
			}
			p *= distuv.Poisson{Lambda: m.Rates[s] * exposure[i]}.Prob(c)
		}
		total += p
	}
	_, logs := m.Ahead(counts, exposure)
	require.InDelta(t, math.Log(total), stats.Sum(logs), 1e-9)
}

// TestForecastsKnowNoFuture changes what comes after a slot: what is foretold
// up to it stays.
func TestForecastsKnowNoFuture(t *testing.T) {
	counts, exposure := drawn(switching(), 24*28, rand.New(rand.NewPCG(4, 4)))
	from := 24 * 14
	for _, f := range Seasonal(24, exposure) {
		before, err := f.Run(counts, from)
		require.NoError(t, err, f.Name)
		require.Len(t, before, len(counts)-from, f.Name)
		changed := slices.Clone(counts)
		for i := from + 50; i < len(changed); i++ {
			changed[i] += 1000
		}
		after, err := f.Run(changed, from)
		require.NoError(t, err, f.Name)
		require.Equal(t, before[:51], after[:51], f.Name)
		require.NotEqual(t, before, after, f.Name)
	}
}

func TestForecasters(t *testing.T) {
	// A season that repeats exactly, with a busier second half.
	var x []float64
	for i := range 24 * 28 {
		v := float64(i%168 + 1)
		if i >= 24*14 {
			v *= 2
		}
		x = append(x, v)
	}
	exposure := make([]float64, len(x))
	for i := range exposure {
		exposure[i] = float64(i%168+1) / 84.5
	}
	errors := map[string]float64{}
	for _, f := range Seasonal(24, exposure) {
		got, err := f.Run(x, 24*21)
		require.NoError(t, err)
		errors[f.Name] = MAE(got, x[24*21:])
	}
	require.Zero(t, errors["last-week"])
	require.InDelta(t, 84.5*0.5*0+2*1+2*167.0/168-2.0/168, errors["persistence"], 2)
	require.Less(t, errors["level"], 1e-6, "the level has doubled long ago")
	require.InDelta(t, 84.5, errors["seasonal-median"], 1e-6, "its past is half as busy")
}

// TestModel generates from a model, fits one to that, and compares.
func TestModel(t *testing.T) {
	for _, modulated := range []bool{false, true} {
		rng := rand.New(rand.NewPCG(5, 5))
		truth := &Model{Season: officeHours(), Gaps: distuv.LogNormal{Mu: 5, Sigma: 1.5}, Classes: []Class{
			{VC: "a", GPUs: 1, Share: 1, Weight: 0.7, Durations: distuv.LogNormal{Mu: 6, Sigma: 2}},
			{VC: "a", GPUs: 8, Share: 1, Weight: 0.2, Durations: distuv.LogNormal{Mu: 9, Sigma: 1}},
			{VC: "b", GPUs: 1, Share: 1, Weight: 0.1, Durations: distuv.LogNormal{Mu: 4, Sigma: 1}}}}
		if modulated {
			truth.MMPP = switching()
			truth.MMPP.Rates = []float64{0.5, 6}
		}
		like := &Log{Tick: 1, Origin: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), Zoned: true}
		l := truth.Generate(like, 0, 4*week, rng)
		m, err := FitModel(l, modulated, rng)
		require.NoError(t, err)
		require.Len(t, m.Classes, 3)
		for i, c := range truth.Classes {
			require.Equal(t, []any{c.VC, c.GPUs}, []any{m.Classes[i].VC, m.Classes[i].GPUs})
			require.InDelta(t, c.Weight, m.Classes[i].Weight, 0.02)
		}
		again := m.Generate(like, 0, 4*week, rng)
		require.InEpsilon(t, len(l.Jobs), len(again.Jobs), 0.2)
		require.Less(t, KSDistance(l.Durations(), again.Durations()), 0.04)
		require.Less(t, KSDistance(l.JitteredGaps(rng), again.JitteredGaps(rng)), 0.06)
		for i, j := range again.Jobs {
			require.True(t, j.Submit == math.Floor(j.Submit) && j.Duration >= 1 && (i == 0 || again.Jobs[i-1].Submit <= j.Submit))
		}
		var b bytes.Buffer
		require.NoError(t, again.WriteSWF(&b))
		back, err := Read(&b, "generated.swf", Options{})
		require.NoError(t, err)
		require.Len(t, back.Jobs, len(again.Jobs))
		require.Equal(t, fmt.Sprint(Characterise(again).Weekdays), fmt.Sprint(Characterise(back).Weekdays))
	}
	_, err := FitModel(read(t, llmText, Options{}), false, rand.New(rand.NewPCG(1, 1)))
	require.Error(t, err, "one gap")
}

func TestCompare(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	d := distuv.LogNormal{Mu: 1, Sigma: 1}
	var ps []float64
	for range 300 {
		ps = append(ps, Compare(fit.Sample(d, 200, rng), fit.Sample(d, 300, rng), 50, 1, rng).P)
	}
	require.InDelta(t, 0.5, stats.Mean(ps), 0.06, "p is uniform for one distribution")
	c := Compare(fit.Sample(d, 2000, rng), fit.Sample(distuv.LogNormal{Mu: 1.3, Sigma: 1}, 2000, rng), 50, 50, rng)
	require.Less(t, c.P, 1e-6)
	require.Greater(t, c.SmallP, 0.1, "fifty values do not tell them apart")
}
