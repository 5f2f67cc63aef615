package tui

import (
	"hash/maphash"
	"math"
	"slices"

	"reprise/checks"
	"reprise/checks/stats"
)

// Bounds of the memory that observations take: values kept of one cell for its
// distribution, cells kept of a run.
const (
	cellSample = 64
	mostCells  = 20_000
)

// Metric is what an experiment has observed under one name: a cell for every
// combination of labels, repeats taken together.
type Metric struct {
	Name, Unit string
	N          int
	Labels     []string // names of its labels, in order
	Cells      []*Cell  // in the order they appeared
	Folded     int      // observations of cells beyond the bound, counted only

	cells map[uint64]*Cell
}

// Cell is the repeats of one measurement: count, mean and spread exactly, and
// a sample of the values.
type Cell struct {
	Labels           map[string]string
	N                int
	Mean, m2         float64
	Min, Max, Latest float64
	Sample           []float64
	rng              uint64
}

// repeat is the label that counts repeats; it does not tell cells apart.
const repeat = "seed"

var seed = maphash.MakeSeed()

// labelHash tells label sets apart without regard to their order.
func labelHash(labels map[string]string) uint64 {
	var sum uint64
	for k, v := range labels {
		if k == repeat || k == "experiment" {
			continue
		}
		// Mixing the two hashes keeps {a:b} and {b:a} apart.
		h := maphash.String(seed, k)*31 + maphash.String(seed, v)
		h ^= h >> 32
		sum += h * 0x9e3779b97f4a7c15
	}
	return sum
}

func (r *Run) observe(s *Step, o checks.Observation) {
	s.N++
	var m *Metric
	for _, known := range s.Experiment.Metrics {
		if known.Name == o.Metric && known.Unit == o.Unit {
			m = known
			break
		}
	}
	if m == nil {
		m = &Metric{Name: o.Metric, Unit: o.Unit, cells: map[uint64]*Cell{}}
		s.Experiment.Metrics = append(s.Experiment.Metrics, m)
	}
	m.N++
	key := labelHash(o.Labels)
	c := m.cells[key]
	if c == nil {
		if r.cells >= mostCells {
			m.Folded++
			return
		}
		r.cells++
		c = &Cell{Labels: map[string]string{}, Min: math.Inf(1), Max: math.Inf(-1), rng: key | 1}
		for k, v := range o.Labels {
			if k == repeat || k == "experiment" {
				continue
			}
			c.Labels[k] = v
			if i, known := slices.BinarySearch(m.Labels, k); !known {
				m.Labels = slices.Insert(m.Labels, i, k)
			}
		}
		m.cells[key] = c
		m.Cells = append(m.Cells, c)
	}
	c.add(o.Value)
}

// add takes a value in: mean and spread after Welford (Technometrics 4, 1962),
// the sample by reservoir (Vitter, ACM TOMS 11, 1985, algorithm R).
func (c *Cell) add(v float64) {
	c.N++
	d := v - c.Mean
	c.Mean += d / float64(c.N)
	c.m2 += d * (v - c.Mean)
	c.Min, c.Max, c.Latest = min(c.Min, v), max(c.Max, v), v
	if len(c.Sample) < cellSample {
		c.Sample = append(c.Sample, v)
		return
	}
	c.rng ^= c.rng << 13
	c.rng ^= c.rng >> 7
	c.rng ^= c.rng << 17
	if at := c.rng % uint64(c.N); at < cellSample {
		c.Sample[at] = v
	}
}

// Interval is the 95 % confidence interval of the mean after Student; it needs
// three repeats.
func (c *Cell) Interval() (low, high float64, ok bool) {
	if c.N < 3 {
		return c.Mean, c.Mean, false
	}
	half := stats.StudentQuantile(0.975, c.N-1) * math.Sqrt(c.m2/float64(c.N-1)/float64(c.N))
	return c.Mean - half, c.Mean + half, true
}
