package mlworkload

import (
	"math/rand/v2"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"reprise/policies/mlworkload"
	"reprise/policies/mlworkload/fit"
)

// made is a log shaped as those of machine-learning clusters are: three virtual
// clusters of unequal size, mostly single GPUs, run times of three lognormal
// parts, office hours, and arrivals that come in bursts. Nothing in it was
// measured.
func made(jobs int, rng *rand.Rand) *mlworkload.Log {
	runs := func(shift float64) fit.Distribution {
		return fit.Mixture{Weights: []float64{0.25, 0.55, 0.2}, Parts: []fit.Distribution{
			distuv.LogNormal{Mu: 4 + shift, Sigma: 0.7}, distuv.LogNormal{Mu: 7 + shift, Sigma: 1.2}, distuv.LogNormal{Mu: 11 + shift, Sigma: 1}}}
	}
	m := mlworkload.Model{
		Gaps: fit.Mixture{Weights: []float64{0.6, 0.4}, Parts: []fit.Distribution{distuv.Exponential{Rate: 1. / 20}, distuv.Exponential{Rate: 1. / 800}}},
		Classes: []mlworkload.Class{
			{VC: "vision", GPUs: 1, Share: 1, Weight: 0.55, Durations: runs(0)},
			{VC: "language", GPUs: 1, Share: 1, Weight: 0.2, Durations: runs(0.8)},
			{VC: "speech", GPUs: 1, Share: 1, Weight: 0.1, Durations: runs(-0.5)},
			{VC: "language", GPUs: 8, Share: 1, Weight: 0.1, Durations: runs(1.5)},
			{VC: "vision", GPUs: 4, Share: 1, Weight: 0.05, Durations: runs(0.5)}},
	}
	var weights [7 * 24]float64
	for h := range weights {
		weights[h] = 1
		if h < 5*24 && h%24 >= 9 && h%24 < 19 {
			weights[h] = 3
		}
	}
	m.Season = mlworkload.NewSeason(weights)
	like := &mlworkload.Log{Tick: 1, Origin: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), Zoned: true}
	l := m.Generate(like, 0, float64(jobs)*m.Gaps.Mean()*1.2, rng)
	l.Name = "made"
	l.Jobs = l.Jobs[:min(jobs, len(l.Jobs))]
	return l
}
