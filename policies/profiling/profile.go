package profiling

import (
	"slices"

	"reprise/traces/telemetry"
)

// FitProfile takes the shape of a job from a measured series, for
// [telemetry.Profile.Generate]: its period where the spectrum of utilisation
// shows one and 0.1 s otherwise, which at 10 Hz is no period at all. idle is
// what the GPU draws at rest, in W.
func FitProfile(s *telemetry.Series, idle float64) telemetry.Profile {
	t := times(s.Samples)
	util, memory := filled(s.Samples, telemetry.UtilizationGPU), filled(s.Samples, telemetry.UtilizationMemory)
	power, warm := filled(s.Samples, telemetry.Power), filled(s.Samples, telemetry.TemperatureGPU)
	used, free := filled(s.Samples, telemetry.MemoryUsed), filled(s.Samples, telemetry.MemoryFree)
	p := telemetry.Profile{Period: 0.1, Duty: 1, IdlePower: idle, Ambient: slices.Min(warm), Lag: 10, Noise: 0.02,
		MemoryUsed: meanOf(used), MemoryTotal: meanOf(used) + meanOf(free)}
	mean := meanOf(util)
	p.Busy, p.MemoryBusy = mean, meanOf(memory)
	if period, _ := Period(t, util); period > 0 {
		p.Period = period
		p.Busy = statistics(util)[5] // the third quartile: of the working part
		if p.Busy > 0 {
			p.Duty = min(1, mean/p.Busy)
			p.MemoryBusy = meanOf(memory) / max(p.Duty, 0.01)
		}
	}
	if mean > 0 {
		p.PowerPerPct = max(0, meanOf(power)-idle) / mean
	}
	if above := meanOf(power) - idle; above > 1 {
		p.PerWatt = max(0, slices.Max(warm)-p.Ambient) / above
	}
	return p
}
