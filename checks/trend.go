package checks

import (
	"fmt"
	"math"
	"strings"
)

// Trend is the direction of a metric over a label whose values are quantities,
// such as 10%, 1MiB or 4. A step against the direction by more than Ties is an
// inversion. The direction right from first to last with too many inversions
// between is partial.
type Trend struct {
	Selection       `yaml:",inline"`
	Over            string   `yaml:"over" required:"true" doc:"numeric label the metric is looked at over"`
	Expect          string   `yaml:"expect" required:"true" enum:"increasing,decreasing,flat" doc:"direction; flat means that the greatest and the least value differ by no more than ties"`
	AllowInversions int      `yaml:"allow_inversions" doc:"number of steps that may go the other way"`
	Ties            Quantity `yaml:"ties" doc:"relative difference that counts as equal, for example 3%; 0 when absent"`
}

func (t *Trend) selection() Selection { return t.Selection }
func (t *Trend) compares() []string   { return []string{t.Over} }

// Validate reports what the tags of the keys cannot say.
func (t *Trend) Validate(report Report) {
	t.Selection.validate(report, t.compares())
	validateTies(report, t.Ties)
	if t.AllowInversions < 0 {
		report("allow_inversions", fmt.Sprintf("%d is negative", t.AllowInversions), "0 or more")
	}
	if t.Expect == "flat" {
		if t.Ties.Value == 0 {
			report("ties", "no measured curve is flat to the last digit", "say what difference counts as flat, for example ties: 3%")
		}
		if t.AllowInversions > 0 {
			report("allow_inversions", "a flat trend has no direction to go against", "leave it out")
		}
	}
}

func (t *Trend) evaluate(s *sample, r *Result) *undecidable {
	r.Subject = "over " + t.Over
	r.Expected = t.Expect
	if t.AllowInversions > 0 {
		r.Expected += " with at most " + count(t.AllowInversions, "inversion")
	}
	if t.Ties.Value > 0 {
		r.Expected += fmt.Sprintf(" (ties within %s)", t.Ties)
	}
	return s.overCells(r, s.cells, func(i int) judgement { return t.judge(s, s.cells[i]) })
}

func (t *Trend) judge(s *sample, c cell) judgement {
	line, err := s.along(c, t.Over)
	if err != nil {
		return judgement{outcome: err.outcome, reason: err.reason}
	}
	last := len(line.at) - 1
	if last < 1 {
		return judgement{outcome: Inconclusive, reason: fmt.Sprintf("a trend needs two or more values of %s, not only %s%s", t.Over, strings.Join(line.labels, ", "), in(c))}
	}
	j := judgement{observed: fmt.Sprintf("%s at %s, %s at %s", Number(line.operands[0].mean(), s.unit), line.labels[0],
		Number(line.operands[last].mean(), s.unit), line.labels[last])}
	if t.Expect == "flat" {
		t.judgeFlat(s, line, &j)
	} else {
		t.judgeDirection(s, line, &j)
	}
	if j.outcome != Inconclusive {
		j.needs = ""
	}
	return j
}

func (t *Trend) judgeDirection(s *sample, line *axis, j *judgement) {
	up := 1.0
	if t.Expect == "decreasing" {
		up = -1
	}
	last := len(line.at) - 1
	var inversions, unsure []string
	for i := range last {
		e, b := t.excess(s, line.operands[i], line.operands[i+1], -up)
		j.n = e.n
		step := line.labels[i] + " to " + line.labels[i+1]
		switch b.judge(e) {
		case NotReproduced:
			inversions = append(inversions, step)
		case Inconclusive:
			unsure = append(unsure, step)
			j.needs = b.needs(e)
		}
	}
	// From first to last it must move the right way by more than a tie.
	overall, b := t.excess(s, line.operands[0], line.operands[last], up)
	switch b.judge(overall) {
	case Reproduced:
		j.outcome, j.reason = NotReproduced, fmt.Sprintf("not %s from first to last", t.Expect)
		return
	case Inconclusive:
		j.outcome, j.reason, j.needs = Inconclusive, fmt.Sprintf("the intervals do not tell whether it is %s from first to last", t.Expect), b.needs(overall)
		return
	}
	switch {
	case len(inversions) > t.AllowInversions:
		j.outcome, j.reason = Partial, fmt.Sprintf("%s from first to last, but inverted from %s", t.Expect, some(inversions))
	case len(inversions)+len(unsure) > t.AllowInversions:
		j.outcome, j.reason = Inconclusive, "the intervals do not exclude an inversion from "+some(unsure)
	default:
		j.outcome = Reproduced
	}
}

func (t *Trend) judgeFlat(s *sample, line *axis, j *judgement) {
	least, greatest := line.operands[0], line.operands[0]
	for _, o := range line.operands {
		if o.mean() < least.mean() {
			least = o
		}
		if o.mean() > greatest.mean() {
			greatest = o
		}
	}
	e, b := t.excess(s, least, greatest, 1)
	j.n, j.outcome = e.n, b.judge(e)
	j.observed = fmt.Sprintf("%s to %s", Number(least.mean(), s.unit), Number(greatest.mean(), s.unit))
	switch j.outcome {
	case NotReproduced:
		j.reason = fmt.Sprintf("values differ by more than %s", t.Ties)
	case Inconclusive:
		j.reason, j.needs = fmt.Sprintf("the intervals do not tell whether values differ by more than %s", t.Ties), b.needs(e)
	}
}

// excess is by how much the metric moves from a to b, upwards for sign 1,
// beyond a tie. Within the bounds it does not move that way.
func (t *Trend) excess(s *sample, a, b operand, sign float64) (estimate, bounds) {
	ties, _ := t.Ties.fraction()
	e := s.estimate([]operand{a, b}, func(m []float64) float64 {
		return sign*(m[1]-m[0]) - ties*math.Abs(m[0])
	})
	return e, bounds{lower: math.Inf(-1), upper: 0, slack: 1e-12 * math.Max(math.Abs(a.mean()), math.Abs(b.mean()))}
}
