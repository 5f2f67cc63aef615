package checks

import (
	"fmt"
	"math"
	"strings"
)

// Crossover is the point where the curves of two values of a label cross, by
// linear interpolation between the measured points around it. Curves that only
// touch do not cross. Every crossing must be within At; a crossing outside is
// partial, and none where one is expected is not-reproduced.
type Crossover struct {
	Selection `yaml:",inline"`
	By        string       `yaml:"by" required:"true" doc:"label that tells the two curves apart, for example policy"`
	A         string       `yaml:"a" required:"true" doc:"the label's value of one curve"`
	B         string       `yaml:"b" required:"true" doc:"the label's value of the other curve"`
	Over      string       `yaml:"over" required:"true" doc:"numeric label the curves run over"`
	Expect    string       `yaml:"expect" enum:"exists,none" doc:"whether they cross; exists when absent"`
	At        *Expectation `yaml:"at" doc:"where on the label they cross, for example {between: [8, 16]}"`
	Tolerance *Tolerance   `yaml:"tolerance" doc:"how far from at still counts, and why"`
}

func (x *Crossover) selection() Selection { return x.Selection }
func (x *Crossover) compares() []string   { return []string{x.By, x.Over} }

// Validate reports what the tags of the keys cannot say.
func (x *Crossover) Validate(report Report) {
	x.Selection.validate(report, x.compares())
	if x.A == x.B && x.A != "" {
		report("b", fmt.Sprintf("%s is compared with itself", x.A), "name another value of "+x.By)
	}
	if x.By == x.Over && x.By != "" {
		report("over", fmt.Sprintf("%s cannot both tell the curves apart and run along them", x.By), "name the numeric label")
	}
	switch {
	case x.At != nil && x.Expect == "none":
		report("at", "there is no place where curves do not cross", "leave out at or expect")
	case x.At != nil:
		x.At.validate(report, "at", x.Tolerance, nil, false)
	case x.Tolerance != nil:
		report("tolerance", "there is nothing to tolerate without at", "add at, or leave tolerance out")
	}
}

func (x *Crossover) evaluate(s *sample, r *Result) *undecidable {
	r.Subject = fmt.Sprintf("%s and %s over %s", x.A, x.B, x.Over)
	switch {
	case x.Expect == "none":
		r.Expected = "no crossing"
	case x.At == nil:
		r.Expected = "a crossing"
	default:
		r.expect(*x.At, x.Tolerance)
		r.Expected = "crossing " + r.Expected
	}
	return s.overCells(r, s.cells, func(i int) judgement { return x.judge(s, s.cells[i]) })
}

func (x *Crossover) judge(s *sample, c cell) judgement {
	sides := map[string]*axis{}
	for _, name := range []string{x.A, x.B} {
		var own []*point
		for _, p := range c.points {
			if p.labels[x.By] == name {
				own = append(own, p)
			}
		}
		if len(own) == 0 {
			return judgement{outcome: Inconclusive, reason: fmt.Sprintf("no observation of %s for %s=%s%s", x.Metric, x.By, name, in(c))}
		}
		line, err := s.along(cell{c.name, own}, x.Over)
		if err != nil {
			return judgement{outcome: err.outcome, reason: err.reason}
		}
		sides[name] = line
	}
	a, b := sides[x.A], sides[x.B]
	var operands []operand
	var at []float64
	var lonely []string
	for i, place := range a.at {
		place, err := convert(place, a.unit, b.unit)
		if err != nil {
			return judgement{outcome: Error, reason: fmt.Sprintf("label %s: %v", x.Over, err)}
		}
		if other := b.find(place); other != nil {
			operands = append(operands, a.operands[i], other)
			at = append(at, a.at[i])
		} else {
			lonely = append(lonely, a.labels[i])
		}
	}
	if len(at) < 2 {
		return judgement{outcome: Inconclusive, reason: fmt.Sprintf("a crossing needs two or more places where both %s and %s are measured, not %d%s", x.A, x.B, len(at), in(c))}
	}
	if len(lonely) > 0 || len(b.at) > len(at) {
		s.warn("%s and %s are not measured at the same places, only the %d common ones are looked at", x.A, x.B, len(at))
	}

	// The sign of a − b at each place, as far as its interval tells.
	certain := true
	var above, below bool
	var n int
	for i := range at {
		e := s.estimate(operands[2*i:2*i+2], func(m []float64) float64 { return m[0] - m[1] })
		n = e.n
		switch {
		case e.low > 0:
			above = true
		case e.high < 0:
			below = true
		case e.spread:
			certain = false
		}
	}
	differences := make([]float64, len(at))
	first := func(m []float64) float64 {
		for i := range differences {
			differences[i] = m[2*i] - m[2*i+1]
		}
		if found := crossings(at, differences); len(found) > 0 {
			return found[0]
		}
		return math.NaN()
	}
	means := make([]float64, len(operands))
	for i, o := range operands {
		means[i] = o.mean()
	}
	first(means)
	found := crossings(at, differences)
	places := make([]string, len(found))
	for i, place := range found {
		places[i] = Number(place, a.unit)
	}
	j := judgement{n: n, observed: "no crossing"}
	if len(found) > 0 {
		j.observed = "crossing at " + strings.Join(places, ", ")
	}
	exists := above && below
	switch {
	case x.Expect == "none" && exists, x.Expect != "none" && !exists && certain:
		j.outcome, j.reason = NotReproduced, j.observed
		return j
	case !exists && !certain:
		j.outcome, j.reason, j.needs = Inconclusive, fmt.Sprintf("the intervals do not tell whether %s and %s cross", x.A, x.B), "more runs"
		return j
	}
	j.outcome = Reproduced
	if x.At == nil || x.Expect == "none" {
		return j
	}
	bounds, err := x.At.bounds(x.Tolerance, a.unit)
	if err != nil {
		return judgement{outcome: Error, reason: fmt.Sprintf("crossing over %s: %v", x.Over, err)}
	}
	if len(found) > 1 {
		s.warn("the curves cross %d times%s", len(found), in(c))
		for _, place := range found {
			if bounds.below(place) || bounds.above(place) {
				j.outcome, j.reason = Partial, fmt.Sprintf("they cross at %s too", Number(place, a.unit))
			}
		}
		return j
	}
	e := s.estimate(operands, first)
	j.outcome = bounds.judge(e)
	j.estimate, j.bounds, j.unit, j.observed = &e, bounds, a.unit, ""
	if j.outcome == NotReproduced {
		j.outcome, j.reason = Partial, "they cross, but elsewhere"
	}
	return j
}

// crossings are the places where a piecewise linear curve changes its sign. A
// stretch of zeros between unlike signs is one crossing, at its first zero.
func crossings(at, y []float64) []float64 {
	var found []float64
	last := -1 // the last place where y is not 0
	for i := range y {
		if y[i] == 0 {
			continue
		}
		if last >= 0 && (y[last] > 0) != (y[i] > 0) {
			if last < i-1 {
				found = append(found, at[last+1])
			} else {
				found = append(found, at[last]+(at[i]-at[last])*(y[last]/(y[last]-y[i])))
			}
		}
		last = i
	}
	return found
}
