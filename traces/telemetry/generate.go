package telemetry

import (
	"math"
	"math/rand/v2"
)

// Profile is the shape of an iterating job: what [Profile.Generate] makes
// series of.
type Profile struct {
	Period      float64 // s, of an iteration
	Duty        float64 // share of the period in which the GPU works, 0 to 1
	Busy        float64 // % utilisation while it works
	MemoryBusy  float64 // % utilisation of memory while it works
	MemoryUsed  float64 // MiB, the plateau
	MemoryTotal float64 // MiB
	IdlePower   float64 // W
	PowerPerPct float64 // W for each % of utilisation
	Ambient     float64 // °C at idle power
	PerWatt     float64 // °C for each W above idle, in the steady state
	Lag         float64 // s, time constant of the temperature
	Noise       float64 // relative spread of utilisation and power
}

// Generate makes a series of a profile. It is marked as synthetic, in the
// series and in the label data, which a file keeps.
func (p Profile) Generate(labels Labels, seconds, interval float64, seed uint64) Series {
	rng := rand.New(rand.NewPCG(seed, 0x74656c65))
	s := Series{Labels: Labels{}, Synthetic: true}
	for k, v := range labels {
		s.Labels[k] = v
	}
	s.Labels["data"] = "synthetic"
	phase := rng.Float64()
	warm := p.Ambient
	smooth := p.IdlePower // the driver's mean over a second
	for i := range int(seconds / interval) {
		t := float64(i) * interval
		at := math.Mod(t/p.Period+phase, 1)
		util := 0.0
		if at < p.Duty {
			util = p.Busy * (1 + p.Noise*rng.NormFloat64())
		}
		util = min(max(util, 0), 100)
		power := max(0, (p.IdlePower+p.PowerPerPct*util)*(1+p.Noise*rng.NormFloat64()/4))
		smooth += (power - smooth) * min(1, interval)
		target := p.Ambient + p.PerWatt*(power-p.IdlePower)
		warm += (target - warm) * min(1, interval/p.Lag)
		v := missing()
		v.Time = t
		v.Values[UtilizationGPU] = math.Round(util)
		v.Values[UtilizationMemory] = math.Round(p.MemoryBusy * util / max(p.Busy, 1))
		v.Values[MemoryUsed] = math.Round(p.MemoryUsed)
		v.Values[MemoryFree] = math.Round(p.MemoryTotal - p.MemoryUsed)
		v.Values[TemperatureGPU] = math.Round(warm)
		v.Values[TemperatureMemory] = math.Round(warm + 1)
		v.Values[Power] = math.Round(smooth*100) / 100
		v.Values[PowerInstant] = math.Round(power*100) / 100
		s.Samples = append(s.Samples, v)
	}
	return s
}
