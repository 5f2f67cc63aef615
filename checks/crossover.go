package checks

// Crossover is the point where the curves of two values of a label cross, by
// linear interpolation between the measured points around it. A crossing
// outside At is partial; none where one is expected is not-reproduced.
type Crossover struct {
	Selection `yaml:",inline"`
	By        string       `yaml:"by" required:"true" doc:"label that tells the two curves apart, for example policy"`
	A         string       `yaml:"a" required:"true" doc:"the label's value of one curve"`
	B         string       `yaml:"b" required:"true" doc:"the label's value of the other curve"`
	Over      string       `yaml:"over" required:"true" doc:"numeric label the curves run over"`
	Expect    string       `yaml:"expect" enum:"exists,none" doc:"whether they cross; exists when absent"`
	At        *Expectation `yaml:"at" doc:"where on the label they cross, for example {between: [8, 16]}"`
	Tolerance *Tolerance   `yaml:"tolerance" doc:"how far from at still counts, and why"`
}
