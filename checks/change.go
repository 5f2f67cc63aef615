package checks

import (
	"fmt"
	"math"
	"slices"

	"reprise/checks/stats"
)

// Change is the relative change of a metric from one value of a label to
// another, (of − from) / from, in every cell, and then the aggregate over
// cells. The direction right and the magnitude out of the expected band is
// partial.
//
// From best-of-rest stands for the best of the label's other values, chosen in
// each cell on its own. That is a choice with hindsight, which no single
// opponent could make: it asks more of Of than a comparison with any one of
// them.
//
// Repeats with the same seed on all sides are compared as pairs.
type Change struct {
	Selection `yaml:",inline"`
	By        string      `yaml:"by" required:"true" doc:"label that tells the two sides apart, for example policy"`
	Of        string      `yaml:"of" required:"true" doc:"the label's value whose change is measured"`
	From      string      `yaml:"from" required:"true" doc:"the label's value it is measured from, or best-of-rest: the best other value of each cell, chosen with hindsight"`
	Better    string      `yaml:"better" enum:"lower,higher" doc:"which way the metric is better; lower when absent"`
	Aggregate string      `yaml:"aggregate" enum:"geomean,mean,median,worst" doc:"how the cells' changes become one; geomean (of 1 + change) when absent"`
	Expect    Expectation `yaml:"expect" required:"true" doc:"expected change, as -20%, or one of between, min and max"`
	Tolerance *Tolerance  `yaml:"tolerance" doc:"how far from the expectation still counts, and why"`
}

// Ratio is the quotient of a metric for two values of a label, of / to. It is
// [Change] counted from 0 instead of from 1: a change of −20 % is a ratio of
// 0.8.
type Ratio struct {
	Selection `yaml:",inline"`
	By        string      `yaml:"by" required:"true" doc:"label that tells the two sides apart, for example policy"`
	Of        string      `yaml:"of" required:"true" doc:"the label's value above the line"`
	To        string      `yaml:"to" required:"true" doc:"the label's value below the line, or best-of-rest: the best other value of each cell, chosen with hindsight"`
	Better    string      `yaml:"better" enum:"lower,higher" doc:"which way the metric is better; lower when absent"`
	Aggregate string      `yaml:"aggregate" enum:"geomean,mean,median,worst" doc:"how the cells' ratios become one; geomean when absent"`
	Expect    Expectation `yaml:"expect" required:"true" doc:"expected ratio, as 1.5x, or one of between, min and max"`
	Tolerance *Tolerance  `yaml:"tolerance" doc:"how far from the expectation still counts, and why"`
}

// bestOfRest is the from or to of a comparison with the best other value.
const bestOfRest = "best-of-rest"

// quotient is what Change and Ratio have in common.
type quotient struct {
	Selection
	by, of, to, toKey string
	better, aggregate string
	expect            Expectation
	tolerance         *Tolerance
	words             string  // how the subject names its two sides
	unit              string  // that results are given in
	neutral           float64 // the quotient of equals, in unit
	scale             func(ratio float64) float64
}

func (c *Change) quotient() quotient {
	return quotient{c.Selection, c.By, c.Of, c.From, "from", c.Better, c.Aggregate, c.Expect, c.Tolerance,
		"%s from %s", "%", 0, func(ratio float64) float64 { return 100 * (ratio - 1) }}
}

func (c *Ratio) quotient() quotient {
	return quotient{c.Selection, c.By, c.Of, c.To, "to", c.Better, c.Aggregate, c.Expect, c.Tolerance,
		"%s to %s", "x", 1, func(ratio float64) float64 { return ratio }}
}

func (c *Change) selection() Selection { return c.Selection }
func (c *Change) compares() []string   { return []string{c.By} }

// Validate reports what the tags of the keys cannot say.
func (c *Change) Validate(report Report)                     { c.quotient().validate(report) }
func (c *Change) evaluate(s *sample, r *Result) *undecidable { return c.quotient().evaluate(s, r) }

func (c *Ratio) selection() Selection { return c.Selection }
func (c *Ratio) compares() []string   { return []string{c.By} }

// Validate reports what the tags of the keys cannot say.
func (c *Ratio) Validate(report Report)                     { c.quotient().validate(report) }
func (c *Ratio) evaluate(s *sample, r *Result) *undecidable { return c.quotient().evaluate(s, r) }

func (q quotient) validate(report Report) {
	q.Selection.validate(report, []string{q.by})
	q.expect.validate(report, "expect", q.tolerance, &q.unit, q.Assume == "exact")
	if q.Share != nil && q.aggregate != "" {
		report("aggregate", "aggregate and share exclude each other: a share is of single cells", "leave one of them out")
	}
	if q.of == q.to && q.of != "" {
		report(q.toKey, fmt.Sprintf("%s is compared with itself", q.of), "name another value of "+q.by+", or best-of-rest")
	}
}

func (q quotient) evaluate(s *sample, r *Result) *undecidable {
	r.Subject = fmt.Sprintf(q.words, q.of, q.to)
	r.expect(q.expect, q.tolerance)
	b, err := q.expect.bounds(q.tolerance, q.unit)
	if err != nil {
		return failf("%v", err)
	}
	b.slack = 1e-9
	cells, operands, missing := q.sides(s)
	if missing != nil {
		return missing
	}
	ratios := make([]float64, len(cells))
	for i, o := range operands {
		means := make([]float64, len(o))
		for j, side := range o {
			means[j] = side.mean()
		}
		if ratios[i] = q.ratio(means); math.IsInf(ratios[i], 0) {
			return failf("%s is 0 for %s%s: no relative change from it", q.Metric, q.to, in(cells[i]))
		}
	}
	judge := func(e estimate) judgement {
		j := judgement{outcome: b.judge(e), estimate: &e, bounds: b, unit: q.unit}
		down := b.wantHigh < q.neutral && e.high < q.neutral
		up := b.wantLow > q.neutral && e.low > q.neutral
		if j.outcome == NotReproduced && (down || up) {
			j.outcome, j.reason = Partial, "the direction is as expected, the magnitude is not"
		}
		return j
	}
	if q.Share != nil {
		return s.overCells(r, cells, func(i int) judgement {
			return judge(s.estimate(operands[i], func(m []float64) float64 { return q.scale(q.ratio(m)) }))
		})
	}
	aggregate := q.aggregator()
	if len(cells) > 1 {
		name := q.aggregate
		if name == "" {
			name = "geomean"
		}
		r.Subject += fmt.Sprintf(", %s of %d cells", name, len(cells))
		if i := slices.Index(ratios, 0); i >= 0 && name == "geomean" {
			return failf("%s is 0 for %s%s: no geometric mean; choose another aggregate", q.Metric, q.of, in(cells[i]))
		}
	}
	e := s.estimate(slices.Concat(operands...), func(m []float64) float64 {
		at := 0
		for i, o := range operands {
			ratios[i] = q.ratio(m[at : at+len(o)])
			at += len(o)
		}
		return q.scale(aggregate(ratios))
	})
	r.decide(judge(e))
	return nil
}

// aggregator makes one ratio of the cells' ratios.
func (q quotient) aggregator() func([]float64) float64 {
	switch {
	case q.aggregate == "worst" && q.better == "higher":
		return slices.Min[[]float64]
	case q.aggregate == "worst":
		return slices.Max[[]float64]
	case q.aggregate == "":
		return stats.GeoMean
	}
	return aggregates[q.aggregate]
}

// ratio is the quotient of the first mean and the best of the others.
func (q quotient) ratio(means []float64) float64 {
	best := means[1]
	for _, m := range means[2:] {
		if q.better == "higher" {
			best = math.Max(best, m)
		} else {
			best = math.Min(best, m)
		}
	}
	if means[0] == best {
		return 1 // 0 to 0 too
	}
	return means[0] / best
}

// sides gives, for every cell in which either side was measured, the operand
// above the line and those below it.
func (q quotient) sides(s *sample) (cells []cell, operands [][]operand, missing *undecidable) {
	var incomplete []string
	rest := map[string]int{} // in how many cells each other value is
	for _, c := range s.cells {
		sides, names := c.by(q.by)
		of, ok := sides[q.of]
		var below []operand
		for _, name := range names {
			if name == q.to || q.to == bestOfRest && name != q.of {
				below = append(below, sides[name])
				rest[name]++
			}
		}
		switch {
		case !ok && len(below) == 0:
			continue
		case !ok:
			incomplete = append(incomplete, q.of+in(c))
			continue
		case len(below) == 0:
			incomplete = append(incomplete, q.to+in(c))
			continue
		}
		o := append([]operand{of}, below...)
		if err := s.pool(c, o...); err != nil {
			return nil, nil, err
		}
		for _, side := range o {
			for _, p := range side {
				if slices.Min(p.values) < 0 {
					return nil, nil, failf("%s is negative at %s: no relative change", q.Metric, p.describe(0))
				}
			}
		}
		cells, operands = append(cells, c), append(operands, o)
	}
	if len(incomplete) > 0 {
		hint := ""
		if len(cells) == 0 && q.Per == nil && len(s.cells) > 1 {
			hint = "; cells are split by every label, name those that should split them in per"
		}
		return nil, nil, missingf("no observation of %s for %s=%s%s", q.Metric, q.by, some(incomplete), hint)
	}
	if len(cells) == 0 {
		return nil, nil, missingf("no observation of %s for %s=%s or %s", q.Metric, q.by, q.of, q.to)
	}
	// The best of fewer is easier to beat: a cell that lacks an opponent which
	// others have would flatter.
	for _, name := range sortedKeys(rest) {
		if rest[name] < len(cells) {
			return nil, nil, missingf("%s=%s is missing in %d of %d cells, so the best of the rest is not the best of all; leave it or those cells out with where or per", q.by, name, len(cells)-rest[name], len(cells))
		}
	}
	return cells, operands, nil
}
