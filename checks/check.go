package checks

import "fmt"

// Check is one test of a claim; exactly one of its keys is given.
type Check struct {
	_         struct{}   `oneof:"true"`
	Value     *Value     `yaml:"value" doc:"a metric against a reference value"`
	Order     *Order     `yaml:"order" doc:"the order of a metric over the values of a label"`
	Change    *Change    `yaml:"change" doc:"relative change of a metric from one label value to another"`
	Ratio     *Ratio     `yaml:"ratio" doc:"quotient of a metric for two label values"`
	Trend     *Trend     `yaml:"trend" doc:"direction of a metric over a numeric label"`
	Curve     *Curve     `yaml:"curve" doc:"a whole curve against reference points"`
	Crossover *Crossover `yaml:"crossover" doc:"where the curves of two label values cross"`
}

// kind is what the kinds of check have in common.
type kind interface {
	// selection gives the keys that every kind has.
	selection() Selection
	// compares names the labels the check compares over. They do not split
	// cells.
	compares() []string
	// Validate reports what the tags of the keys cannot say.
	Validate(report Report)
	// evaluate decides the check on at least one cell, filling in the result.
	// Keys that no tag or Validate would pass do not reach it.
	evaluate(s *sample, r *Result) *undecidable
}

// Report takes one finding of a Validate method: the path of the key relative
// to the validated value, what is wrong there, and how to mend it.
type Report = func(path, message, suggestion string)

// kind returns the one kind of check that is given, and its key.
func (c Check) kind() (kind, string, error) {
	var k kind
	var key string
	given := 0
	add := func(present bool, of kind, name string) {
		if present {
			k, key = of, name
			given++
		}
	}
	add(c.Value != nil, c.Value, "value")
	add(c.Order != nil, c.Order, "order")
	add(c.Change != nil, c.Change, "change")
	add(c.Ratio != nil, c.Ratio, "ratio")
	add(c.Trend != nil, c.Trend, "trend")
	add(c.Curve != nil, c.Curve, "curve")
	add(c.Crossover != nil, c.Crossover, "crossover")
	if given != 1 {
		return nil, "check", fmt.Errorf("a check is exactly one of value, order, change, ratio, trend, curve and crossover; %d are given", given)
	}
	return k, key, nil
}

// Metric is the name of the metric that the check looks at, "" if it is malformed.
func (c Check) Metric() string {
	if k, _, err := c.kind(); err == nil {
		return k.selection().Metric
	}
	return ""
}

// Exact says that one run is taken for the whole truth.
func (c Check) Exact() bool {
	k, _, err := c.kind()
	return err == nil && k.selection().Assume == "exact"
}

// EachLabel visits the labels that the check looks at, with the path of the key
// that names each, as far as the check is well formed.
func (c Check) EachLabel(visit func(path, label string)) {
	k, key, err := c.kind()
	if err != nil {
		return
	}
	sel := k.selection()
	for _, label := range sortedKeys(sel.Where) {
		visit(key+".where."+label, label)
	}
	for i, label := range sel.Per {
		visit(fmt.Sprintf("%s.per[%d]", key, i), label)
	}
	for _, label := range k.compares() {
		at := ".by"
		switch k := k.(type) {
		case *Trend, *Curve:
			at = ".over"
		case *Crossover:
			if label == k.Over {
				at = ".over"
			}
		}
		visit(key+at, label)
	}
}
