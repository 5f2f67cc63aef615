package checks

// Change is the relative change of a metric from one value of a label to
// another, (of − from) / from, in every cell, and then the aggregate over
// cells. The direction right and the magnitude out of the expected band is
// partial.
//
// From best-of-rest stands for the best of the label's other values, chosen in
// each cell on its own. That is a choice with hindsight, which no single
// opponent could make: it asks more of Of than a comparison with any one of
// them.
type Change struct {
	Selection `yaml:",inline"`
	By        string      `yaml:"by" required:"true" doc:"label that tells the two sides apart, for example policy"`
	Of        string      `yaml:"of" required:"true" doc:"the label's value whose change is measured"`
	From      string      `yaml:"from" required:"true" doc:"the label's value it is measured from, or best-of-rest: the best other value of each cell, chosen with hindsight"`
	Better    string      `yaml:"better" enum:"lower,higher" doc:"which way the metric is better; lower when absent"`
	Aggregate string      `yaml:"aggregate" enum:"geomean,mean,median,worst" doc:"how the cells' changes become one; geomean when absent"`
	Expect    Expectation `yaml:"expect" required:"true" doc:"expected change, as -20%, or one of between, min and max"`
	Tolerance *Tolerance  `yaml:"tolerance" doc:"how far from the expectation still counts, and why"`
}

// Ratio is the quotient of a metric for two values of a label, of / to. It is
// [Change] counted from 0 instead of from 1: a change of −20 % is a ratio of
// 0.8.
type Ratio struct {
	Selection `yaml:",inline"`
	By        string      `yaml:"by" required:"true" doc:"label that tells the two sides apart, for example policy"`
	Of        string      `yaml:"of" required:"true" doc:"the label's value above the line"`
	To        string      `yaml:"to" required:"true" doc:"the label's value below the line, or best-of-rest: the best other value of each cell, chosen with hindsight"`
	Better    string      `yaml:"better" enum:"lower,higher" doc:"which way the metric is better; lower when absent"`
	Aggregate string      `yaml:"aggregate" enum:"geomean,mean,median,worst" doc:"how the cells' ratios become one; geomean when absent"`
	Expect    Expectation `yaml:"expect" required:"true" doc:"expected ratio, as 1.5x, or one of between, min and max"`
	Tolerance *Tolerance  `yaml:"tolerance" doc:"how far from the expectation still counts, and why"`
}
