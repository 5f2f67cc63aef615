package checks

// Order compares the values of a label by a metric, in every cell. Two values
// whose relative difference is within Ties count as equal, and equals satisfy
// any order. An order given with expect whose first place holds while places
// behind it do not is partial.
type Order struct {
	Selection `yaml:",inline"`
	By        string   `yaml:"by" required:"true" doc:"label whose values are compared, for example policy"`
	First     string   `yaml:"first" doc:"value that is better than all others; one of first, last and expect"`
	Last      string   `yaml:"last" doc:"value that is worse than all others"`
	Expect    []string `yaml:"expect" doc:"two or more values from best to worst; others are not looked at"`
	Better    string   `yaml:"better" enum:"lower,higher" doc:"which way the metric is better; lower when absent"`
	Ties      Quantity `yaml:"ties" doc:"relative difference that counts as equal, for example 3%; 0 when absent"`
}
