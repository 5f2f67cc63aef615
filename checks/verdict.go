package checks

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Outcome is what became of a claim or a check.
type Outcome string

// The outcomes. No data is never a pass.
const (
	Reproduced    Outcome = "reproduced"
	Partial       Outcome = "partial"        // direction or order holds, the magnitude does not
	Inconclusive  Outcome = "inconclusive"   // too few data to decide
	NotReproduced Outcome = "not-reproduced" // the data contradict the claim
	Error         Outcome = "error"          // the check could not be made: a unit mismatch, a failed step
	Skipped       Outcome = "skipped"        // not decided in this profile, with the reason
)

// Glyph is the outcome's sign, which always stands beside its word.
func (o Outcome) Glyph() string {
	switch o {
	case Reproduced:
		return "✓"
	case Partial:
		return "◐"
	case NotReproduced:
		return "✗"
	case Inconclusive:
		return "?"
	case Error:
		return "!"
	}
	return "–"
}

// severity orders outcomes from harmless to worst. Skipped comes first, so that
// a claim is skipped only if all of it is.
var severity = []Outcome{Skipped, Reproduced, Partial, Inconclusive, NotReproduced, Error}

// Outcomes lists the outcomes in the order in which they are counted and told.
var Outcomes = []Outcome{Reproduced, Partial, Inconclusive, NotReproduced, Error, Skipped}

// Worse reports whether o is worse than other: error before not-reproduced,
// inconclusive, partial, reproduced and skipped.
func (o Outcome) Worse(other Outcome) bool {
	return slices.Index(severity, o) > slices.Index(severity, other)
}

// Verdict is what became of one claim.
type Verdict struct {
	Claim     string   `json:"claim"`
	Statement string   `json:"statement"`
	Source    Source   `json:"source"`
	Outcome   Outcome  `json:"verdict"`
	Reason    string   `json:"reason"` // one sentence
	Results   []Result `json:"results,omitempty"`
}

// Result is what became of one check, with every number that decided it.
// Value, Lower, Upper and Interval are in Unit. Where a check was made in
// several cells on their own, they are the share of the cells in which it
// holds, and Interval reaches from the share in which it certainly holds to
// the share in which it may.
type Result struct {
	Kind    string  `json:"kind"`
	Outcome Outcome `json:"outcome"`
	Metric  string  `json:"metric,omitempty"`
	// Subject says of what the value is: the label values compared or selected.
	Subject string `json:"subject,omitempty"`
	Unit    string `json:"unit,omitempty"`
	// Value is the observed number, nil when there is none.
	Value *float64 `json:"value,omitempty"`
	// Observed is what was seen in words, where a number does not tell it: a
	// ranking, the ends of a trend.
	Observed string `json:"observed,omitempty"`
	// Expected is the expectation in words.
	Expected string `json:"expected,omitempty"`
	// Lower and Upper are the absolute bounds, tolerance included; nil is
	// unbounded.
	Lower *float64 `json:"lower,omitempty"`
	Upper *float64 `json:"upper,omitempty"`
	// N is the number of repeats, the smallest where points differ in it.
	N int `json:"n,omitempty"`
	// Interval is the confidence interval of Value, nil for an exact value and
	// for a single run.
	Interval *Interval `json:"interval,omitempty"`
	// Source is where the expectation comes from.
	Source string `json:"source,omitempty"`
	// Because is the tolerance's reason.
	Because string `json:"because,omitempty"`
	// Reason says why the outcome is not reproduced, in one sentence.
	Reason   string   `json:"reason,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// Failing names cells in which the expectation does not hold or is not
	// decided, at most maxFailing of them.
	Failing []string `json:"failing,omitempty"`
	// Needs says what would decide an inconclusive check.
	Needs string `json:"needs,omitempty"`
	// Points are the measured points of a curve beside their references, at
	// most maxPoints of them.
	Points []ReferencePoint `json:"points,omitempty"`
}

// ReferencePoint is one point of a curve: what was measured beside what the
// source gives. All numbers are in Unit.
type ReferencePoint struct {
	Cell      string    `json:"cell,omitempty"` // the labels that tell several curves apart
	At        string    `json:"at"`             // value of the label the curve runs over
	Unit      string    `json:"unit"`
	Reference float64   `json:"reference"`
	Value     float64   `json:"value"`
	N         int       `json:"n"`
	Interval  *Interval `json:"interval,omitempty"`
	// Lower and Upper are the bounds, tolerance included; nil without one.
	Lower *float64 `json:"lower,omitempty"`
	Upper *float64 `json:"upper,omitempty"`
}

const maxPoints = 500

const maxFailing = 10

// Interval is a confidence interval at Level, such as 0.95.
type Interval struct {
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Level float64 `json:"level"`
}

// String is the result in one line: what was measured, value, unit, repeats
// and interval, then what was expected with its absolute bounds and source, and
// why it failed if it did.
//
//	miss_ratio policy=lru: 0.72 (n=3, 95 % CI 0.71–0.73), expected 0.7 ±0.05 [0.65, 0.75], fig. 7a
func (r Result) String() string {
	var b strings.Builder
	b.WriteString(r.about())
	if r.Value != nil {
		if r.Subject != "" {
			b.WriteString(":")
		}
		b.WriteString(" " + Number(*r.Value, r.Unit))
	}
	var aside []string
	if r.N > 0 {
		aside = append(aside, fmt.Sprintf("n=%d", r.N))
	}
	if r.Interval != nil {
		to := "–"
		if r.Interval.Low < 0 {
			to = " to "
		}
		aside = append(aside, fmt.Sprintf("%g %% CI %s%s%s", 100*r.Interval.Level, Number(r.Interval.Low, ""), to, Number(r.Interval.High, r.Unit)))
	}
	if r.Observed != "" {
		aside = append(aside, r.Observed)
	}
	if len(aside) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(aside, ", "))
	}
	if r.Expected != "" {
		fmt.Fprintf(&b, ", expected %s", r.Expected)
	}
	if r.Lower != nil || r.Upper != nil {
		low, high := "−∞", "∞"
		if r.Lower != nil {
			low = Number(*r.Lower, r.Unit)
		}
		if r.Upper != nil {
			high = Number(*r.Upper, r.Unit)
		}
		fmt.Fprintf(&b, " [%s, %s]", low, high)
	}
	if r.Source != "" {
		b.WriteString(", " + r.Source)
	}
	if r.Reason != "" {
		b.WriteString(": " + r.Reason)
	}
	return strings.TrimPrefix(b.String(), ", ")
}

// about says of what the result is.
func (r Result) about() string {
	return strings.ReplaceAll(joinWords(r.Metric, r.Subject), " ,", ",")
}

// Number writes a value with four significant digits, without an exponent as
// far as that reads well.
func Number(v float64, unit string) string {
	text := strconv.FormatFloat(v, 'g', 4, 64)
	if strings.Contains(text, "e+") && math.Abs(v) < 1e15 {
		text = strconv.FormatFloat(v, 'f', 0, 64)
	}
	if unit == "1" {
		unit = ""
	}
	return joinUnit(text, unit)
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// joinWords joins what is not empty.
func joinWords(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// judgement is what became of a check in one cell.
type judgement struct {
	outcome  Outcome
	reason   string
	observed string
	needs    string
	n        int
	points   []ReferencePoint
	// estimate is the number that was decided on, nil if there is no single
	// one, with its bounds and unit.
	estimate *estimate
	bounds   bounds
	unit     string
}

// expect notes the expectation of a check on numbers.
func (r *Result) expect(e Expectation, t *Tolerance) {
	r.Expected, r.Because = e.words(t), t.because()
}

// decide takes the judgement of the only cell or of the aggregate over cells.
func (r *Result) decide(j judgement) {
	j.explain()
	r.Outcome, r.Reason, r.Observed, r.Needs, r.N, r.Points = j.outcome, j.reason, j.observed, j.needs, j.n, j.points
	e := j.estimate
	if e == nil {
		return
	}
	r.Unit, r.N, r.Value = j.unit, e.n, finite(e.value)
	r.Lower, r.Upper = finite(j.bounds.lower), finite(j.bounds.upper)
	r.Interval = e.interval()
}

// explain fills in why an estimate was judged so and what would decide it.
func (j *judgement) explain() {
	e := j.estimate
	if e == nil || j.outcome == Reproduced {
		return
	}
	wide := math.IsInf(e.low, 0) || math.IsInf(e.high, 0)
	said := Number(e.value, j.unit)
	switch {
	case j.outcome == Inconclusive && wide:
		j.reason = said + " from repeats that differ too much for an interval"
	case j.outcome == Inconclusive:
		j.reason = fmt.Sprintf("the interval around %s reaches out of the expected band", said)
	case j.bounds.below(e.high):
		j.reason = joinReasons(j.reason, fmt.Sprintf("%s is below %s", said, Number(j.bounds.lower, j.unit)))
	default:
		j.reason = joinReasons(j.reason, fmt.Sprintf("%s is above %s", said, Number(j.bounds.upper, j.unit)))
	}
	if j.outcome == Inconclusive {
		j.needs = j.bounds.needs(*e)
	}
}

// joinReasons joins sentences that are not empty.
func joinReasons(reasons ...string) string {
	return strings.Join(slices.DeleteFunc(reasons, func(w string) bool { return w == "" }), "; ")
}

// finite is a pointer to v, nil for an infinity or a NaN, which JSON has not.
func finite(v float64) *float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	return &v
}

// overCells makes a check in each cell on its own. It holds if it holds in the
// share of cells that the selection asks for, all when it asks for none.
func (s *sample) overCells(r *Result, cells []cell, judge func(i int) judgement) *undecidable {
	if len(cells) == 1 && s.Share == nil {
		j := judge(0)
		if j.outcome == Error {
			return &undecidable{Error, j.reason}
		}
		r.decide(j)
		return nil
	}
	share := 1.0
	if s.Share != nil {
		share, _ = s.Share.fraction()
	}
	// Counts by the worst outcome a cell is certain to be no worse than.
	var holds, partly, undecided int
	var failing []string
	var why string
	for i, c := range cells {
		j := judge(i)
		j.explain()
		for _, p := range j.points {
			if p.Cell = c.name; len(r.Points) < maxPoints {
				r.Points = append(r.Points, p)
			}
		}
		n := j.n
		if j.estimate != nil {
			n = j.estimate.n
		}
		if n > 0 && (r.N == 0 || n < r.N) {
			r.N = n
		}
		switch j.outcome {
		case Error:
			return &undecidable{Error, j.reason + " (cell " + c.name + ")"}
		case Reproduced:
			holds++
			continue
		case Partial:
			partly++
		case Inconclusive:
			undecided++
			r.Needs = j.needs
		}
		failing = append(failing, c.name)
		if why == "" && j.reason != "" {
			why = fmt.Sprintf("; e.g. %s: %s", c.name, strings.TrimSuffix(j.reason, in(c)))
		}
	}
	total := len(cells)
	percent := func(n int) float64 { return 100 * float64(n) / float64(total) }
	enough := func(n int) bool { return percent(n) >= 100*share-1e-9 }
	r.Subject += ", share of cells"
	r.Unit, r.Value, r.Lower = "%", finite(percent(holds)), finite(100*share)
	if undecided > 0 {
		r.Interval = &Interval{percent(holds), percent(holds + undecided), confidence}
	}
	if s.Share != nil {
		r.Expected += fmt.Sprintf(" in at least %s of %d cells", s.Share, total)
	} else {
		r.Expected += fmt.Sprintf(" in all %d cells", total)
	}
	r.Failing = failing[:min(len(failing), maxFailing)]
	switch {
	case enough(holds):
		r.Outcome, r.Needs = Reproduced, ""
		return nil
	case enough(holds + undecided):
		r.Outcome = Inconclusive
		r.Reason = fmt.Sprintf("holds in %d of %d cells, undecided in %d", holds, total, undecided)
	case enough(holds + undecided + partly):
		r.Outcome, r.Needs = Partial, ""
		r.Reason = fmt.Sprintf("holds in %d of %d cells, in part in %d more", holds, total, partly)
	default:
		r.Outcome, r.Needs = NotReproduced, ""
		r.Reason = fmt.Sprintf("holds in %d of %d cells", holds, total)
	}
	r.Reason += why
	return nil
}
