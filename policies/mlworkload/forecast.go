package mlworkload

import (
	"math"
	"slices"

	"reprise/checks/stats"
)

// Forecaster foretells each value of a series by those before it: values from
// the index from on are foretold, and what it gives is as long as the series
// from there.
type Forecaster struct {
	Name string
	Run  func(series []float64, from int) ([]float64, error)
}

// Seasonal are the forecasters of arrivals in slots, of which a day has so
// many; exposure is the season's share of each slot, found without the values
// that are foretold. The origin rolls: every value before the slot is known.
func Seasonal(perDay int, exposure []float64) []Forecaster {
	back := func(slots int) func([]float64, int) ([]float64, error) {
		return func(x []float64, from int) ([]float64, error) {
			f := make([]float64, 0, len(x)-from)
			for t := from; t < len(x); t++ {
				f = append(f, x[max(0, t-slots)])
			}
			return f, nil
		}
	}
	flat := slices.Repeat([]float64{1}, len(exposure))
	return []Forecaster{
		{"persistence", back(1)},
		{"yesterday", back(perDay)},
		{"last-week", back(7 * perDay)},
		{"mean", func(x []float64, from int) ([]float64, error) {
			sum := stats.Sum(x[:from])
			var f []float64
			for t := from; t < len(x); t++ {
				f = append(f, sum/float64(t))
				sum += x[t]
			}
			return f, nil
		}},
		{"seasonal-median", func(x []float64, from int) ([]float64, error) { return seasonalMedian(x, from, perDay), nil }},
		{"level", func(x []float64, from int) ([]float64, error) { return level(x, exposure, from), nil }},
		{"mmpp", func(x []float64, from int) ([]float64, error) { return modulated(x, flat, from) }},
		{"seasonal-mmpp", func(x []float64, from int) ([]float64, error) { return modulated(x, exposure, from) }},
	}
}

// modulated foretells by a Markov-modulated process.
func modulated(x, exposure []float64, from int) ([]float64, error) {
	m, err := ChooseMMPP(x[:from], exposure[:from], 6)
	if err != nil {
		return nil, err
	}
	expected, _ := m.Ahead(x, exposure)
	return expected[from:], nil
}

// seasonalMedian is the median of the same hour of the same day of earlier
// weeks, of the hour as a whole where slots are shorter.
func seasonalMedian(x []float64, from, perDay int) []float64 {
	perHour := max(1, perDay/24)
	seen := make([][]float64, 7*perDay/perHour)
	var f []float64
	for t, v := range x {
		slot := t / perHour % len(seen)
		if t >= from {
			m := stats.Median(seen[slot])
			if math.IsNaN(m) {
				m = x[max(0, t-1)]
			}
			f = append(f, m)
		}
		seen[slot] = append(seen[slot], v)
	}
	return f
}

// level is the season times a level that follows the series by exponential
// smoothing; its constant is the best of a few for the values before from.
func level(x, exposure []float64, from int) []float64 {
	run := func(alpha float64) []float64 {
		f := make([]float64, len(x))
		now := x[0] / exposure[0]
		for t := range x {
			f[t] = now * exposure[t]
			now += alpha * (x[t]/exposure[t] - now) * min(1, exposure[t])
		}
		return f
	}
	var best []float64
	least := math.Inf(1)
	for _, alpha := range []float64{0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9} {
		f := run(alpha)
		if e := MAE(f[:from], x[:from]); e < least {
			best, least = f, e
		}
	}
	return best[from:]
}

// MAE is the mean absolute error.
func MAE(forecast, truth []float64) float64 {
	errors := make([]float64, len(truth))
	for i := range truth {
		errors[i] = math.Abs(forecast[i] - truth[i])
	}
	return stats.Mean(errors)
}

// Exposure is, for successive slots of a length from the midnight before the
// log's first submission on, as Counts has them, the season's clock time over
// theirs.
func (s *Season) Exposure(slot float64, slots int) []float64 {
	e := make([]float64, slots)
	midnight := -math.Mod(s.Start, 24*hour)
	for i := range e {
		at := midnight + float64(i)*slot
		e[i] = max((s.Clock(at+slot)-s.Clock(at))/slot, 1e-6)
	}
	return e
}
