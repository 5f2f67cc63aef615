package checks

import (
	"fmt"
	"math"
	"strings"

	"reprise/checks/stats"
)

// Curve compares a metric over a numeric label with reference points. Every
// point must be within Tolerance, and the ranks of measured and reference
// values must correlate by at least RankCorr. The ranks right and a point out
// of tolerance is partial: the shape holds, the magnitude does not. Measured
// points without a reference are not looked at.
type Curve struct {
	Selection `yaml:",inline"`
	Over      string              `yaml:"over" required:"true" doc:"numeric label the curve runs over"`
	Reference map[string]Quantity `yaml:"reference" required:"true" doc:"reference points, label value to expected value, for example {1%: 0.62, 10%: 0.41}"`
	Tolerance *Tolerance          `yaml:"tolerance" doc:"how far from a point still counts, and why; without it only rank_corr decides"`
	RankCorr  *float64            `yaml:"rank_corr" doc:"least Spearman rank correlation with the reference, −1 to 1"`
}

func (c *Curve) selection() Selection { return c.Selection }
func (c *Curve) compares() []string   { return []string{c.Over} }

// Validate reports what the tags of the keys cannot say.
func (c *Curve) Validate(report Report) {
	c.Selection.validate(report, c.compares())
	if len(c.Reference) < 2 {
		report("reference", fmt.Sprintf("a curve needs two or more points, not %d", len(c.Reference)), "add points, or use value with where for one")
	}
	if c.Tolerance == nil && c.RankCorr == nil {
		report("", "nothing is asked of the curve", "tolerance, rank_corr or both")
	}
	if c.RankCorr != nil && !(*c.RankCorr >= -1 && *c.RankCorr <= 1) {
		report("rank_corr", fmt.Sprintf("%g is not a correlation", *c.RankCorr), "−1 to 1, for example 0.9")
	}
	xs := map[float64]string{}
	var first, firstX *Quantity
	for _, label := range sortedKeys(c.Reference) {
		path := "reference." + label
		x, err := ParseQuantity(label)
		if err != nil {
			report(path, err.Error(), "a value of the numeric label, for example 10% or 1MiB")
			continue
		}
		y := c.Reference[label]
		if first == nil {
			first, firstX = &y, &x
		}
		if _, err := y.In(first.Unit); err != nil {
			report(path, err.Error(), "give all points in units of one dimension")
		}
		at, err := x.In(firstX.Unit)
		if err != nil {
			report(path, err.Error(), "give all places in units of one dimension")
		}
		if other, twice := xs[at]; twice {
			report(path, fmt.Sprintf("%s and %s are one place", other, label), "give it once")
		}
		xs[at] = label
	}
	if first != nil {
		c.Tolerance.validate(report, first.Unit)
	}
}

func (c *Curve) evaluate(s *sample, r *Result) *undecidable {
	r.Subject = "over " + c.Over
	r.Because = c.Tolerance.because()
	var parts []string
	if c.Tolerance != nil {
		parts = append(parts, fmt.Sprintf("%d points%s", len(c.Reference), c.Tolerance.words()))
	}
	if c.RankCorr != nil {
		parts = append(parts, fmt.Sprintf("rank correlation at least %g", *c.RankCorr))
	}
	r.Expected = strings.Join(parts, ", ")
	return s.overCells(r, s.cells, func(i int) judgement { return c.judge(s, s.cells[i]) })
}

func (c *Curve) judge(s *sample, at cell) judgement {
	line, err := s.along(at, c.Over)
	if err != nil {
		return judgement{outcome: err.outcome, reason: err.reason}
	}
	var labels, missing []string
	var operands []operand
	var reference []float64
	for _, label := range sortedKeys(c.Reference) {
		x, _ := ParseQuantity(label)
		place, err := x.In(line.unit)
		if err != nil {
			return judgement{outcome: Error, reason: fmt.Sprintf("reference at %s: %v", label, err)}
		}
		y, err := c.Reference[label].In(s.unit)
		if err != nil {
			return judgement{outcome: Error, reason: fmt.Sprintf("reference at %s: %v", label, err)}
		}
		o := line.find(place)
		if o == nil {
			missing = append(missing, label)
			continue
		}
		labels, operands, reference = append(labels, label), append(operands, o), append(reference, y)
	}
	if len(missing) > 0 {
		return judgement{outcome: Inconclusive, reason: fmt.Sprintf("no observation of %s at %s=%s%s", c.Metric, c.Over, some(missing), in(at))}
	}

	j := judgement{outcome: Reproduced}
	for i, o := range operands {
		e := s.estimate([]operand{o}, func(m []float64) float64 { return m[0] })
		p := ReferencePoint{At: labels[i], Unit: s.unit, Reference: reference[i], Value: e.value, N: e.n, Interval: e.interval()}
		if c.Tolerance != nil {
			if far, err := c.Tolerance.reach(reference[i], s.unit); err == nil {
				p.Lower, p.Upper = finite(reference[i]-far), finite(reference[i]+far)
			}
		}
		j.points = append(j.points, p)
	}
	var shape Outcome
	if c.RankCorr != nil {
		e := s.estimate(operands, func(m []float64) float64 {
			if rho := stats.Spearman(m, reference); !math.IsNaN(rho) {
				return rho
			}
			return 0 // a constant side has no order to share
		})
		e.low, e.high = max(e.low, -1), min(e.high, 1)
		b := bounds{lower: *c.RankCorr, upper: math.Inf(1), slack: 1e-9}
		shape, j.n = b.judge(e), e.n
		j.observed = "rank correlation " + Number(e.value, "")
		switch shape {
		case NotReproduced:
			j.outcome, j.reason = NotReproduced, fmt.Sprintf("the rank correlation is %s", Number(e.value, ""))
			return j
		case Inconclusive:
			j.outcome, j.reason, j.needs = Inconclusive, fmt.Sprintf("the rank correlation is between %s and %s", Number(e.low, ""), Number(e.high, "")), b.needs(e)
		}
	}
	if c.Tolerance == nil {
		return j
	}
	var off, unsure []string
	worst, worstAt := -1.0, ""
	for i, o := range operands {
		far, err := c.Tolerance.reach(reference[i], s.unit)
		if err != nil {
			return judgement{outcome: Error, reason: err.Error()}
		}
		b := bounds{lower: reference[i] - far, upper: reference[i] + far}
		e := s.estimate([]operand{o}, func(m []float64) float64 { return m[0] })
		j.n = e.n
		said := fmt.Sprintf("%s (%s, reference %s)", labels[i], Number(e.value, s.unit), Number(reference[i], s.unit))
		switch b.judge(e) {
		case NotReproduced:
			off = append(off, said)
		case Inconclusive:
			unsure = append(unsure, said)
			j.needs = b.needs(e)
		}
		if d := math.Abs(e.value - reference[i]); d > worst {
			worst, worstAt = d, said
		}
	}
	j.observed = joinReasons("farthest at "+worstAt, j.observed)
	switch {
	case len(off) > 0 && shape == Reproduced:
		j.outcome, j.reason = Partial, "the shape holds, but out of tolerance at "+some(off)
	case len(off) > 0:
		j.outcome, j.reason = NotReproduced, "out of tolerance at "+some(off)
	case len(unsure) > 0 && j.outcome == Reproduced:
		j.outcome, j.reason = Inconclusive, "the intervals reach out of tolerance at "+some(unsure)
	}
	if j.outcome != Inconclusive {
		j.needs = ""
	}
	return j
}
