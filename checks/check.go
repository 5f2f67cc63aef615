package checks

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

// Value, Order, Change, Ratio, Trend, Curve and Crossover are the kinds of check.
type (
	Value     struct{}
	Order     struct{}
	Change    struct{}
	Ratio     struct{}
	Trend     struct{}
	Curve     struct{}
	Crossover struct{}
)
