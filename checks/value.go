package checks

import (
	"fmt"
	"slices"

	"reprise/checks/stats"
)

// Value compares a metric with a reference value, or with bounds.
type Value struct {
	Selection `yaml:",inline"`
	Aggregate string      `yaml:"aggregate" enum:"mean,median,min,max,geomean,sum" doc:"how the cells become one value; needed where there is more than one"`
	Expect    Expectation `yaml:"expect" required:"true" doc:"reference value, as 62% or 178us, or one of between, min and max"`
	Tolerance *Tolerance  `yaml:"tolerance" doc:"how far from the reference still counts, and why"`
}

func (v *Value) selection() Selection { return v.Selection }
func (v *Value) compares() []string   { return nil }

// Validate reports what the tags of the keys cannot say.
func (v *Value) Validate(report Report) {
	v.Selection.validate(report, nil)
	v.Expect.validate(report, "expect", v.Tolerance, nil, v.Assume == "exact")
	if v.Share != nil && v.Aggregate != "" {
		report("aggregate", "aggregate and share exclude each other: a share is of single cells", "leave one of them out")
	}
}

// aggregates are the ways from the values of cells to one value.
var aggregates = map[string]func([]float64) float64{
	"mean":    stats.Mean,
	"median":  stats.Median,
	"min":     slices.Min[[]float64],
	"max":     slices.Max[[]float64],
	"geomean": stats.GeoMean,
	"sum":     stats.Sum,
}

func (v *Value) evaluate(s *sample, r *Result) *undecidable {
	r.Subject = describeLabels(v.Where, sortedKeys(v.Where))
	r.expect(v.Expect, v.Tolerance)
	b, err := v.Expect.bounds(v.Tolerance, s.unit)
	if err != nil {
		return failf("%s: %v", v.Metric, err)
	}
	operands := make([]operand, len(s.cells))
	for i, c := range s.cells {
		operands[i] = c.points
		if err := s.pool(c, operands[i]); err != nil {
			return err
		}
	}
	if v.Share != nil {
		return s.overCells(r, s.cells, func(i int) judgement {
			e := s.estimate(operands[i:i+1], func(m []float64) float64 { return m[0] })
			return judgement{outcome: b.judge(e), estimate: &e, bounds: b, unit: s.unit}
		})
	}
	aggregate := aggregates[v.Aggregate]
	switch {
	case len(operands) == 1:
		aggregate = func(m []float64) float64 { return m[0] }
	case aggregate == nil:
		return failf("%s has %d cells, such as %s and %s: narrow them with where, or say aggregate or share", v.Metric, len(s.cells), s.cells[0].name, s.cells[1].name)
	default:
		r.Subject = joinWords(r.Subject, fmt.Sprintf("%s of %d cells", v.Aggregate, len(s.cells)))
		if v.Aggregate == "geomean" {
			for _, o := range operands {
				for _, p := range o {
					if slices.Min(p.values) <= 0 {
						return failf("%s is not positive at %s: no geometric mean", v.Metric, p.describe(0))
					}
				}
			}
		}
	}
	e := s.estimate(operands, aggregate)
	r.decide(judgement{outcome: b.judge(e), estimate: &e, bounds: b, unit: s.unit})
	return nil
}
