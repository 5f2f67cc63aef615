package mlworkload

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/optimize"
	"gonum.org/v1/gonum/stat/distuv"

	"reprise/policies/mlworkload/fit"
)

// Lublin is the model of rigid parallel jobs of Lublin and Feitelson ("The
// Workload on Parallel Supercomputers: Modeling the Characteristics of Rigid
// Jobs", Journal of Parallel and Distributed Computing 63, 2003), without their
// division into batch and interactive jobs. It is a workload whose truth is
// known, for fits to be held to.
type Lublin struct {
	// Serial jobs have 1 processor, PowerOfTwo of all have a power of two. Of
	// parallel jobs the logarithm to base 2 is uniform from Low to Medium with
	// probability Smaller, and else uniform from Medium to High.
	Serial, PowerOfTwo         float64
	Low, Medium, High, Smaller float64
	// Runtime is the distribution of the natural logarithm of run times in
	// seconds; the covariate of its weight is the number of processors.
	Runtime fit.HyperGamma
	// Gap is the distribution of the natural logarithm of the times between
	// arrivals, in seconds of a clock that goes as fast as the daily cycle.
	Gap distuv.Gamma
	// Day is the distribution of arrivals over the half hours of a day, which
	// begins at half hour cycleStart.
	Day distuv.Gamma
}

const (
	halfHours  = 48
	halfHour   = 1800.0 // s
	cycleStart = 11
	// Longer run times and gaps, as logarithms, are drawn anew.
	longestRun, longestGap = 12, 13
)

// PublishedLublin has the published parameters for jobs of one type on 128
// processors.
func PublishedLublin() Lublin {
	scaled := func(shape, scale float64) distuv.Gamma { return distuv.Gamma{Alpha: shape, Beta: 1 / scale} }
	return Lublin{Serial: 0.244, PowerOfTwo: 0.576, Low: 0.8, Medium: 4.5, High: 7, Smaller: 0.86,
		Runtime: fit.HyperGamma{First: scaled(4.2, 0.94), Second: scaled(312, 0.03), Slope: -0.0054, Intercept: 0.78},
		Gap:     scaled(10.2303*1.0225, 0.4871), // with the ratio of all hours to rush hours
		Day:     scaled(8.1737, 3.9631)}
}

// weights of the half hours of a day, of mean 1.
func (m *Lublin) weights() [halfHours]float64 {
	var w [halfHours]float64
	total := 0.0
	for i := cycleStart; i < cycleStart+halfHours; i++ {
		p := m.Day.CDF(float64(i)+0.5) - m.Day.CDF(float64(i)-0.5)
		w[(i-1)%halfHours] = p
		total += p
	}
	for i := range w {
		w[i] *= halfHours / total
	}
	return w
}

// Generate makes a log of n jobs from midnight on, in whole seconds as the
// published program does.
func (m *Lublin) Generate(n int, rng *rand.Rand) *Log {
	l := &Log{Name: "lublin", Format: "generated", Tick: 1}
	w := m.weights()
	now := 0.0 // s
	draw := func(d fit.Distribution, most float64) float64 {
		for {
			if x := fit.Draw(d, rng); x <= most {
				return x
			}
		}
	}
	for range n {
		work := math.Exp(draw(m.Gap, longestGap))
		for {
			slot := int(now / halfHour)
			rate := w[slot%halfHours]
			left := (float64(slot+1)*halfHour - now) * rate
			if work <= left {
				now += work / rate
				break
			}
			work -= left
			now = float64(slot+1) * halfHour
		}
		j := Job{Submit: math.Floor(now), Wait: math.NaN(), Residence: math.NaN(), Share: 1, GPUs: m.size(rng), State: "COMPLETED"}
		part := m.Runtime.Second
		if rng.Float64() < m.Runtime.Weight(j.GPUs) {
			part = m.Runtime.First
		}
		j.Duration = math.Floor(math.Exp(draw(part, longestRun)))
		l.Jobs = append(l.Jobs, j)
	}
	return l
}

func (m *Lublin) size(rng *rand.Rand) float64 {
	u := rng.Float64()
	if u < m.Serial {
		return 1
	}
	low, high := m.Low, m.Medium
	if rng.Float64() >= m.Smaller {
		low, high = m.Medium, m.High
	}
	p := low + rng.Float64()*(high-low)
	if u < m.Serial+m.PowerOfTwo {
		p = math.Round(p)
	}
	return math.Round(math.Exp2(p))
}

// FitLublin estimates the model's run times, gaps, daily cycle and share of
// serial jobs from a log in whole seconds that begins at midnight. The
// distribution of parallel sizes is not estimated.
func FitLublin(l *Log, rng *rand.Rand) (Lublin, error) {
	m := Lublin{}
	var logs, sizes []float64
	var counts [halfHours]float64
	for i := range l.Jobs {
		j := &l.Jobs[i]
		if math.IsNaN(j.Duration) || math.IsNaN(j.GPUs) || j.Duration < 1 {
			return m, fmt.Errorf("%s: job %d has a run time of %v s and %v processors: the model needs both, and at least a second", l.Name, i+1, j.Duration, j.GPUs)
		}
		// Whole seconds were cut off, not rounded.
		logs, sizes = append(logs, math.Log(j.Duration+1-rng.Float64())), append(sizes, j.GPUs)
		counts[int(j.Submit/halfHour)%halfHours]++
		if j.GPUs == 1 {
			m.Serial++
		}
	}
	m.Serial /= float64(len(l.Jobs))
	var err error
	if m.Runtime, err = fit.FitHyperGamma(logs, sizes); err != nil {
		return m, fmt.Errorf("%s: run times: %w", l.Name, err)
	}
	if m.Day, err = fitDay(counts); err != nil {
		return m, fmt.Errorf("%s: daily cycle: %w", l.Name, err)
	}
	// On the clock of the daily cycle arrivals are a renewal process.
	w := m.weights()
	times := make([]float64, len(l.Jobs))
	for i, j := range l.Jobs {
		at := j.Submit + rng.Float64()
		for s := range int(at/halfHour) % halfHours {
			times[i] += w[s] * halfHour
		}
		times[i] += math.Floor(at/(halfHour*halfHours))*halfHour*halfHours + w[int(at/halfHour)%halfHours]*math.Mod(at, halfHour)
	}
	slices.Sort(times)
	between := gaps(times)
	for i := range between {
		between[i] = math.Log(between[i])
	}
	// A gap of under a second has a logarithm that a gamma distribution cannot
	// have; jitter makes a few.
	between = slices.DeleteFunc(between, func(x float64) bool { return !(x > 0) })
	family, err := fit.Lookup("gamma")
	if err != nil {
		return m, err
	}
	d, err := family.Fit(between)
	if err != nil {
		return m, fmt.Errorf("%s: gaps: %w", l.Name, err)
	}
	m.Gap = d.(distuv.Gamma)
	return m, nil
}

// fitDay finds the likeliest gamma distribution of the half hours, cut to one
// day.
func fitDay(counts [halfHours]float64) (distuv.Gamma, error) {
	gamma := func(p []float64) distuv.Gamma { return distuv.Gamma{Alpha: math.Exp(p[0]), Beta: math.Exp(-p[1])} }
	problem := optimize.Problem{Func: func(p []float64) float64 {
		m := Lublin{Day: gamma(p)}
		s := 0.0
		for i, w := range m.weights() {
			if counts[i] > 0 {
				s -= counts[i] * math.Log(w/halfHours)
			}
		}
		if math.IsNaN(s) {
			return math.Inf(1)
		}
		return s
	}}
	result, err := optimize.Minimize(problem, []float64{math.Log(4), math.Log(8)}, nil, &optimize.NelderMead{})
	if err != nil {
		return distuv.Gamma{}, err
	}
	return gamma(result.X), nil
}

// Parameters are those that FitLublin estimates, by name.
func (m *Lublin) Parameters() []fit.Parameter {
	r := m.Runtime
	return []fit.Parameter{{Name: "serial", Value: m.Serial},
		{Name: "run shape 1", Value: r.First.Alpha}, {Name: "run scale 1", Value: 1 / r.First.Beta},
		{Name: "run shape 2", Value: r.Second.Alpha}, {Name: "run scale 2", Value: 1 / r.Second.Beta},
		{Name: "run weight slope", Value: r.Slope}, {Name: "run weight intercept", Value: r.Intercept},
		{Name: "gap shape", Value: m.Gap.Alpha}, {Name: "gap scale", Value: 1 / m.Gap.Beta},
		{Name: "day shape", Value: m.Day.Alpha}, {Name: "day scale", Value: 1 / m.Day.Beta}}
}
