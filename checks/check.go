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

// Selection says which observations a check is about. Every kind of check
// begins with these keys.
//
// Observations that agree in all labels but seed and repeat are repeats of one
// point. The points are grouped into cells: by the labels in Per, or, when Per
// is absent, by every label the check does not compare over. Points that fall
// into one cell because Per leaves their label out are pooled by arithmetic
// mean, and a warning says so.
type Selection struct {
	Metric string            `yaml:"metric" required:"true" doc:"name of the metric"`
	Where  map[string]string `yaml:"where" doc:"labels the observations must carry, with their values"`
	Per    []string          `yaml:"per" doc:"labels whose combinations are the cells the check is made in; all labels not compared over when absent"`
	Share  *Quantity         `yaml:"share" doc:"share of the cells in which the expectation must hold, for example 90%; when absent value, change and ratio are decided on the aggregate over cells and the other checks must hold in every cell"`
	Assume string            `yaml:"assume" enum:"exact" doc:"exact: the experiment is deterministic, so one run is the whole truth"`
}

// Report takes one finding of a Validate method: the path of the key relative
// to the validated value, what is wrong there, and how to mend it.
type Report = func(path, message, suggestion string)
