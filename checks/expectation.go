package checks

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
