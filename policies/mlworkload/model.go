package mlworkload

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"reprise/policies/mlworkload/fit"
)

// Model is a workload from which logs are generated: a seasonal rate, the
// process of arrivals on the season's clock, and the classes of jobs, by
// virtual cluster and number of GPUs, each with its run times. Classes follow
// each other independently: bursts of like jobs are not modelled.
type Model struct {
	Season  Season
	Gaps    fit.Distribution // between arrivals, on the season's clock, s
	MMPP    *MMPP            // arrivals by slot, where it is not nil instead of Gaps
	Classes []Class          // the most frequent first
	// Family is that of Gaps, chosen by BIC.
	Family string
}

// Class is a kind of jobs.
type Class struct {
	VC          string
	GPUs, Share float64
	Weight      float64          // share of all jobs
	Durations   fit.Distribution // s
	// Own says that the run times are fitted to this class alone, and not,
	// for want of jobs, to all jobs of its number of GPUs, or to all.
	Own bool
}

// Slot is the length of the slots of a Markov-modulated process, s.
const Slot = 600.0

// enough run times for a distribution of their own.
const enough = 200

// candidates for run times and gaps; those with a mean that may be infinite
// are left out.
var candidates = []string{"exponential", "weibull", "gamma", "lognormal", "hyper-exponential-3", "lognormal-mix-2", "lognormal-mix-3"}

// plenty of values: more do not make a fit that is used to generate any better.
const plenty = 10_000

// best fits the candidates and takes the one of least BIC. Of more than plenty
// values it takes so many, evenly.
func best(x []float64) (fit.Distribution, string, error) {
	if len(x) > plenty {
		some := make([]float64, plenty)
		for i := range some {
			some[i] = x[i*len(x)/plenty]
		}
		x = some
	}
	var d fit.Distribution
	name, least := "", math.Inf(1)
	var refused error
	for _, c := range candidates {
		f, err := fit.Lookup(c)
		if err != nil {
			return nil, "", err
		}
		try, err := f.Fit(x)
		if err != nil {
			refused = err
			continue
		}
		if bic := f.BIC(try, x); bic < least {
			d, name, least = try, c, bic
		}
	}
	if d == nil {
		return nil, "", refused
	}
	return d, name, nil
}

// FitModel fits a model to a log with run times and numbers of GPUs. Arrivals
// are a renewal process, or Markov-modulated.
func FitModel(l *Log, modulated bool, rng *rand.Rand) (*Model, error) {
	m := &Model{Season: FitSeason(l)}
	var err error
	if modulated {
		counts := l.slots(Slot)
		if m.MMPP, err = ChooseMMPP(counts, m.Season.Exposure(Slot, len(counts)), 6); err != nil {
			return nil, fmt.Errorf("%s: %w", l.Name, err)
		}
	} else {
		if m.Gaps, m.Family, err = best(m.Season.Gaps(l, rng)); err != nil {
			return nil, fmt.Errorf("%s: gaps: %w", l.Name, err)
		}
	}
	type key struct {
		vc          string
		gpus, share float64
	}
	own, bySize := map[key][]float64{}, map[float64][]float64{}
	count := map[key]int{}
	var all []float64
	total := 0
	for i := range l.Jobs {
		j := &l.Jobs[i]
		k := key{j.VC, j.GPUs, j.Share}
		if math.IsNaN(j.GPUs) {
			k.gpus = -1
		}
		count[k]++
		total++
		if d := j.Duration; d > 0 && !j.Censored {
			own[k], bySize[k.gpus], all = append(own[k], d), append(bySize[k.gpus], d), append(all, d)
		}
	}
	if len(all) < 2 {
		return nil, errors.New(l.Name + ": no run times to fit")
	}
	resolution := tick(all)
	spread := func(d []float64) (fit.Distribution, error) {
		x, _, err := best(Jitter(d, resolution, rng))
		return x, err
	}
	overall, err := spread(all)
	if err != nil {
		return nil, fmt.Errorf("%s: run times: %w", l.Name, err)
	}
	sizes := map[float64]fit.Distribution{}
	for _, gpus := range slices.Sorted(func(yield func(float64) bool) {
		for g := range bySize {
			if !yield(g) {
				return
			}
		}
	}) {
		sizes[gpus] = overall
		if d := bySize[gpus]; len(d) >= enough {
			if sizes[gpus], err = spread(d); err != nil {
				return nil, fmt.Errorf("%s: run times on %v GPUs: %w", l.Name, gpus, err)
			}
		}
	}
	for k, n := range count {
		c := Class{VC: k.vc, GPUs: k.gpus, Share: k.share, Weight: float64(n) / float64(total), Own: len(own[k]) >= enough}
		if k.gpus < 0 {
			c.GPUs = math.NaN()
		}
		if c.Durations = sizes[k.gpus]; c.Durations == nil {
			c.Durations = overall
		}
		m.Classes = append(m.Classes, c)
	}
	slices.SortFunc(m.Classes, func(a, b Class) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.VC, b.VC), cmp.Compare(a.GPUs, b.GPUs), cmp.Compare(a.Share, b.Share))
	})
	// In order, so that the jitter's random numbers do not depend on a map's.
	for i := range m.Classes {
		c := &m.Classes[i]
		if !c.Own {
			continue
		}
		k := key{c.VC, c.GPUs, c.Share}
		if math.IsNaN(c.GPUs) {
			k.gpus = -1
		}
		if c.Durations, err = spread(own[k]); err != nil {
			return nil, fmt.Errorf("%s: run times of %s on %v GPUs: %w", l.Name, c.VC, c.GPUs, err)
		}
	}
	return m, nil
}

// Gaps are the times between submissions on the season's clock, s.
func (s *Season) Gaps(l *Log, rng *rand.Rand) []float64 {
	times := make([]float64, len(l.Jobs))
	for i, j := range l.Jobs {
		times[i] = s.Clock(j.Submit + rng.Float64()*l.Tick)
	}
	slices.Sort(times)
	return slices.DeleteFunc(gaps(times), func(x float64) bool { return x <= 0 })
}

// slots are Counts in slots of a length in seconds.
func (l *Log) slots(slot float64) []float64 {
	return l.Counts(time.Duration(slot * float64(time.Second)))
}

// Generate makes a log that begins at an instant of another, which gives the
// hour of the week, the zone and the clock's tick, and spans a time, s.
func (m *Model) Generate(like *Log, from, span float64, rng *rand.Rand) *Log {
	l := &Log{Name: "generated", Format: "generated", Zoned: like.Zoned, Tick: like.Tick}
	if !like.Origin.IsZero() {
		l.Origin = like.At(from)
	}
	weights := make([]float64, len(m.Classes))
	for i, c := range m.Classes {
		weights[i] = c.Weight
	}
	season := m.Season
	season.Start = like.weekTime(from)
	add := func(at float64) {
		c := &m.Classes[choose(weights, rng)]
		l.Jobs = append(l.Jobs, Job{Submit: cut(at, l.Tick), Duration: max(l.Tick, round(fit.Draw(c.Durations, rng), l.Tick)),
			GPUs: c.GPUs, Share: c.Share, VC: c.VC, Wait: math.NaN(), Residence: math.NaN()})
	}
	if m.MMPP == nil {
		clock := 0.0
		for {
			clock += fit.Draw(m.Gaps, rng)
			at := season.Time(clock)
			if !(at <= span) {
				return l
			}
			add(at)
		}
	}
	midnight := -math.Mod(season.Start, 24*hour)
	exposure := season.Exposure(Slot, int((span-midnight)/Slot)+1)
	for slot, n := range m.MMPP.Draw(exposure, rng) {
		times := make([]float64, n)
		for i := range times {
			times[i] = midnight + (float64(slot)+rng.Float64())*Slot
		}
		slices.Sort(times)
		for _, at := range times {
			if at >= 0 && at <= span {
				add(at)
			}
		}
	}
	return l
}

func cut(x, tick float64) float64 {
	if tick <= 0 {
		return x
	}
	return math.Floor(x/tick) * tick
}

func round(x, tick float64) float64 {
	if tick <= 0 {
		return x
	}
	return math.Round(x/tick) * tick
}
