package checks

import (
	"fmt"
	"math"
)

// Expectation is what a paper says a number should be: a value, or bounds.
// Exactly one of its keys is given; a bare scalar in its place is the value.
type Expectation struct {
	_       struct{}   `oneof:"true"`
	Value   *Quantity  `yaml:"value" doc:"a single value"`
	Between []Quantity `yaml:"between" doc:"lower and upper bound, both included"`
	Min     *Quantity  `yaml:"min" doc:"lower bound, included"`
	Max     *Quantity  `yaml:"max" doc:"upper bound, included"`
}

// Shorthand names the key that a bare scalar stands for.
func (Expectation) Shorthand() string { return "value" }

// Tolerance widens an expectation, for a stated reason. Where both a relative
// and an absolute tolerance are given it is enough to be inside either.
type Tolerance struct {
	Value   *Quantity `yaml:"value" doc:"10% is relative to the reference; 5pp (percentage points) or 10us is absolute"`
	Rel     *Quantity `yaml:"rel" doc:"relative tolerance, where abs is given too"`
	Abs     *Quantity `yaml:"abs" doc:"absolute tolerance in the metric's unit, a plain number for a metric without one"`
	Because string    `yaml:"because" required:"true" doc:"why: noise of the measurement, reading off a figure, another class of hardware"`
}

// parts gives the relative and the absolute tolerance, either nil.
func (t *Tolerance) parts() (rel, abs *Quantity) {
	switch {
	case t == nil:
		return nil, nil
	case t.Value == nil:
		return t.Rel, t.Abs
	case t.Value.Unit == "%":
		return t.Value, nil
	default:
		return nil, t.Value
	}
}

// words says the tolerance after an expectation.
func (t *Tolerance) words() string {
	rel, abs := t.parts()
	switch {
	case rel != nil && abs != nil:
		return fmt.Sprintf(" ±%s or ±%s", rel, abs)
	case rel != nil:
		return fmt.Sprintf(" ±%s", rel)
	case abs != nil:
		return fmt.Sprintf(" ±%s", abs)
	}
	return ""
}

// reach is how far from a reference the tolerance goes, both in unit.
func (t *Tolerance) reach(reference float64, unit string) (float64, error) {
	var far float64
	rel, abs := t.parts()
	if rel != nil {
		f, err := rel.fraction()
		if err != nil {
			return 0, fmt.Errorf("relative tolerance: %w", err)
		}
		far = f * math.Abs(reference)
	}
	if abs != nil {
		f, err := abs.In(unit)
		if err != nil {
			return 0, fmt.Errorf("absolute tolerance: %w", err)
		}
		far = max(far, f)
	}
	return far, nil
}

// because is the tolerance's reason.
func (t *Tolerance) because() string {
	if t == nil {
		return ""
	}
	return t.Because
}

// words says the expectation.
func (e Expectation) words(t *Tolerance) string {
	var w string
	switch {
	case e.Value != nil:
		w = e.Value.String()
	case len(e.Between) == 2:
		w = fmt.Sprintf("between %s and %s", e.Between[0], e.Between[1])
	case e.Min != nil:
		w = fmt.Sprintf("at least %s", e.Min)
	case e.Max != nil:
		w = fmt.Sprintf("at most %s", e.Max)
	}
	return w + t.words()
}

// bounds are the numbers the expectation allows, in unit.
func (e Expectation) bounds(t *Tolerance, unit string) (bounds, error) {
	b := bounds{lower: math.Inf(-1), upper: math.Inf(1), wantLow: math.Inf(-1), wantHigh: math.Inf(1)}
	var low, high *Quantity
	switch {
	case e.Value != nil:
		low, high = e.Value, e.Value
	case len(e.Between) == 2:
		low, high = &e.Between[0], &e.Between[1]
	default:
		low, high = e.Min, e.Max
	}
	if low != nil {
		want, err := low.In(unit)
		if err != nil {
			return b, fmt.Errorf("expected %s: %w", low, err)
		}
		far, err := t.reach(want, unit)
		if err != nil {
			return b, err
		}
		b.wantLow, b.lower = want, want-far
	}
	if high != nil {
		want, err := high.In(unit)
		if err != nil {
			return b, fmt.Errorf("expected %s: %w", high, err)
		}
		far, err := t.reach(want, unit)
		if err != nil {
			return b, err
		}
		b.wantHigh, b.upper = want, want+far
	}
	return b, nil
}

// some is any quantity of the expectation with its path, nil if there is none.
func (e Expectation) some(at string) (*Quantity, string) {
	switch {
	case e.Value != nil:
		return e.Value, at + ".value"
	case len(e.Between) > 0:
		return &e.Between[0], at + ".between[0]"
	case e.Min != nil:
		return e.Min, at + ".min"
	case e.Max != nil:
		return e.Max, at + ".max"
	}
	return nil, at
}

// validate reports what is wrong with an expectation at a path and its
// tolerance. Unit is the unit it has to convert to, or nil for that of the
// metric, which only observations tell. Exact says that no tolerance is needed
// to meet a single value.
func (e Expectation) validate(report Report, at string, t *Tolerance, unit *string, exact bool) {
	reference, path := e.some(at)
	if reference == nil {
		return // an empty expectation is the tags' finding
	}
	if unit != nil {
		if _, err := reference.In(*unit); err != nil {
			report(path, fmt.Sprintf("%s is not %s", reference, lookupUnit(*unit).dim), "a number such as -20% or 1.5x")
		}
	}
	if e.Between != nil {
		e.validateBetween(report, at)
	}
	if e.Value != nil && t == nil && !exact {
		report(path, "a single value without a tolerance is only met to the last digit",
			"add tolerance: {value: 5%, because: …}, or assume: exact for a deterministic experiment")
	}
	t.validate(report, reference.Unit)
	if rel, abs := t.parts(); rel != nil && abs == nil && e.Value != nil && e.Value.Value == 0 {
		report("tolerance", "a relative tolerance allows nothing at 0", "give abs")
	}
}

func (e Expectation) validateBetween(report Report, at string) {
	if len(e.Between) != 2 {
		report(at+".between", fmt.Sprintf("between takes a lower and an upper bound, not %d values", len(e.Between)), "[lower, upper], or min or max for one bound")
		return
	}
	low, high := e.Between[0], e.Between[1]
	h, err := high.In(low.Unit)
	switch {
	case err != nil:
		report(at+".between[1]", err.Error(), "give both bounds in units of one dimension")
	case low.Value > h:
		report(at+".between[0]", fmt.Sprintf("the lower bound %s is above the upper bound %s", low, high), fmt.Sprintf("[%s, %s]", high, low))
	}
}

// validate reports what is wrong with a tolerance around references in a unit.
func (t *Tolerance) validate(report Report, unit string) {
	if t == nil {
		return
	}
	given := 0
	for _, part := range []struct {
		key   string
		value *Quantity
	}{{"value", t.Value}, {"rel", t.Rel}, {"abs", t.Abs}} {
		if part.value == nil {
			continue
		}
		given++
		if part.value.Value < 0 {
			report("tolerance."+part.key, fmt.Sprintf("%s is negative", part.value), "a tolerance reaches both ways: give its size")
		}
	}
	switch {
	case given == 0:
		report("tolerance", "a tolerance needs a size", "value: 10% (relative), value: 5pp (absolute), or rel and abs")
	case t.Value != nil && given > 1:
		report("tolerance.value", "value stands alone", "rel and abs for a tolerance of both kinds")
	case t.Value != nil && t.Value.Unit == "":
		report("tolerance.value", fmt.Sprintf("%s may mean a part of the reference or a distance from it", t.Value),
			fmt.Sprintf("value: %s (relative) or abs: %s", Quantity{100 * t.Value.Value, "%"}, t.Value))
		return
	}
	rel, abs := t.parts()
	if rel != nil {
		if _, err := rel.fraction(); err != nil {
			report("tolerance.rel", fmt.Sprintf("%s is not relative", rel), "rel: 10%")
		}
	}
	if abs != nil {
		if _, err := abs.In(unit); err != nil {
			key := "abs"
			if t.Value != nil {
				key = "value"
			}
			report("tolerance."+key, fmt.Sprintf("%s is not in the reference's unit: %v", abs, err), "a relative tolerance such as 10%, or one in the reference's unit")
		}
	}
}
