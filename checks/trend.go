package checks

// Trend is the direction of a metric over a label whose values are quantities,
// such as 10%, 1MiB or 4. A step against the direction by more than Ties is an
// inversion. The direction right from first to last with too many inversions
// between is partial.
type Trend struct {
	Selection       `yaml:",inline"`
	Over            string   `yaml:"over" required:"true" doc:"numeric label the metric is looked at over"`
	Expect          string   `yaml:"expect" required:"true" enum:"increasing,decreasing,flat" doc:"direction; flat means that all values are within ties of their mean"`
	AllowInversions int      `yaml:"allow_inversions" doc:"number of steps that may go the other way"`
	Ties            Quantity `yaml:"ties" doc:"relative difference that counts as equal, for example 3%; 0 when absent"`
}
