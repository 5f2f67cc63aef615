package checks

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Order compares the values of a label by a metric, in every cell. Two values
// whose relative difference is within Ties count as equal, and equals satisfy
// any order. Each pair is decided on the confidence interval of its difference.
// An order given with expect whose first place holds while places behind it do
// not is partial.
type Order struct {
	Selection `yaml:",inline"`
	By        string   `yaml:"by" required:"true" doc:"label whose values are compared, for example policy"`
	First     string   `yaml:"first" doc:"value that is better than all others; one of first, last and expect"`
	Last      string   `yaml:"last" doc:"value that is worse than all others"`
	Expect    []string `yaml:"expect" doc:"two or more values from best to worst; others are not looked at"`
	Better    string   `yaml:"better" enum:"lower,higher" doc:"which way the metric is better; lower when absent"`
	Ties      Quantity `yaml:"ties" doc:"relative difference that counts as equal, for example 3%; 0 when absent"`
}

func (o *Order) selection() Selection { return o.Selection }
func (o *Order) compares() []string   { return []string{o.By} }

// Validate reports what the tags of the keys cannot say.
func (o *Order) Validate(report Report) {
	o.Selection.validate(report, o.compares())
	validateTies(report, o.Ties)
	given := 0
	for _, present := range []bool{o.First != "", o.Last != "", len(o.Expect) > 0} {
		if present {
			given++
		}
	}
	if given != 1 {
		report("", fmt.Sprintf("an order takes one of first, last and expect, not %d", given), "expect: [best, …, worst] holds first and last too")
	}
	if len(o.Expect) == 1 {
		report("expect", "an order of one is always right", "name two or more values, or use first or last")
	}
	for i, name := range o.Expect {
		if slices.Contains(o.Expect[:i], name) {
			report(fmt.Sprintf("expect[%d]", i), fmt.Sprintf("%s has two places", name), "name it once")
		}
	}
}

// validateTies reports ties that are no part of a value.
func validateTies(report Report, ties Quantity) {
	if f, err := ties.fraction(); err != nil || !(f >= 0 && f < 1) {
		report("ties", fmt.Sprintf("%s is not a relative difference", ties), "a part of the value, for example 3%")
	}
}

func (o *Order) evaluate(s *sample, r *Result) *undecidable {
	switch {
	case o.First != "":
		r.Expected = o.First + " first"
	case o.Last != "":
		r.Expected = o.Last + " last"
	default:
		r.Expected = strings.Join(o.Expect, " < ")
		if o.Better == "higher" {
			r.Expected = strings.Join(o.Expect, " > ")
		}
	}
	if o.Ties.Value > 0 {
		r.Expected += fmt.Sprintf(" (ties within %s)", o.Ties)
	}
	r.Subject = "by " + o.By
	// Being first or last is among all that were measured anywhere: a cell that
	// lacks some of them does not decide it.
	var all []string
	if len(o.Expect) == 0 {
		seen := map[string]bool{}
		for _, c := range s.cells {
			_, names := c.by(o.By)
			for _, name := range names {
				seen[name] = true
			}
		}
		all = sortedKeys(seen)
	}
	return s.overCells(r, s.cells, func(i int) judgement { return o.judge(s, s.cells[i], all) })
}

// judge decides the order in one cell; all are the values it must have beside
// those it expects.
func (o *Order) judge(s *sample, c cell, all []string) judgement {
	sides, names := c.by(o.By)
	wanted := o.Expect
	switch {
	case o.First != "":
		wanted = []string{o.First}
	case o.Last != "":
		wanted = []string{o.Last}
	}
	for _, name := range slices.Concat(wanted, all) {
		if sides[name] == nil {
			return judgement{outcome: Inconclusive, reason: fmt.Sprintf("no observation of %s for %s=%s%s", o.Metric, o.By, name, in(c))}
		}
	}
	if len(names) < 2 {
		return judgement{outcome: Inconclusive, reason: fmt.Sprintf("%s=%s has nothing to be compared with%s", o.By, names[0], in(c))}
	}
	shown := names
	if len(o.Expect) > 0 {
		shown = slices.Clone(o.Expect)
	}
	operands := make([]operand, len(shown))
	for i, name := range shown {
		operands[i] = sides[name]
	}
	if err := s.pool(c, operands...); err != nil {
		return judgement{outcome: err.outcome, reason: err.reason}
	}

	var pairs [][2]string // first is expected to be no worse
	switch {
	case len(o.Expect) > 0:
		for i, a := range o.Expect {
			for _, b := range o.Expect[i+1:] {
				pairs = append(pairs, [2]string{a, b})
			}
		}
	default:
		for _, name := range names {
			if o.First != "" && name != o.First {
				pairs = append(pairs, [2]string{o.First, name})
			}
			if o.Last != "" && name != o.Last {
				pairs = append(pairs, [2]string{name, o.Last})
			}
		}
	}
	j := judgement{outcome: Reproduced}
	winner := len(o.Expect) > 2
	var wrong, unsure []string
	for _, pair := range pairs {
		e, b := o.excess(s, sides[pair[0]], sides[pair[1]])
		j.n = e.n
		switch b.judge(e) {
		case NotReproduced:
			wrong = append(wrong, pair[0]+" is behind "+pair[1])
			winner = winner && pair[0] != o.Expect[0]
		case Inconclusive:
			unsure = append(unsure, pair[0]+" and "+pair[1])
			winner = winner && pair[0] != o.Expect[0]
			j.needs = b.needs(e)
		}
	}
	switch {
	case len(wrong) > 0 && winner:
		j.outcome, j.reason = Partial, fmt.Sprintf("%s is first, but %s", o.Expect[0], some(wrong))
	case len(wrong) > 0:
		j.outcome, j.reason = NotReproduced, some(wrong)
	case len(unsure) > 0:
		j.outcome, j.reason = Inconclusive, "the intervals do not tell apart "+some(unsure)
	}
	if j.outcome != Inconclusive {
		j.needs = ""
	}
	j.observed = o.ranking(s, sides, shown)
	return j
}

// excess is by how much a is worse than b beyond a tie; up to 0 is in order.
func (o *Order) excess(s *sample, a, b operand) (estimate, bounds) {
	ties, _ := o.Ties.fraction()
	sign := 1.0
	if o.Better == "higher" {
		sign = -1
	}
	e := s.estimate([]operand{a, b}, func(m []float64) float64 {
		return sign*(m[0]-m[1]) - ties*math.Abs(m[1])
	})
	return e, bounds{lower: math.Inf(-1), upper: 0, slack: 1e-12 * math.Max(math.Abs(a.mean()), math.Abs(b.mean()))}
}

// ranking lists values from best to worst with their means.
func (o *Order) ranking(s *sample, sides map[string]operand, names []string) string {
	names = slices.Clone(names)
	slices.SortStableFunc(names, func(a, b string) int {
		if o.Better == "higher" {
			a, b = b, a
		}
		return cmp.Compare(sides[a].mean(), sides[b].mean())
	})
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = name + " " + Number(sides[name].mean(), s.unit)
	}
	return some(parts)
}
