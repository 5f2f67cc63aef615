package checks

// Value compares a metric with a reference value, or with bounds.
type Value struct {
	Selection `yaml:",inline"`
	Aggregate string      `yaml:"aggregate" enum:"mean,median,min,max,geomean,sum" doc:"how the cells become one value; needed where there is more than one"`
	Expect    Expectation `yaml:"expect" required:"true" doc:"reference value, as 62% or 178us, or one of between, min and max"`
	Tolerance *Tolerance  `yaml:"tolerance" doc:"how far from the reference still counts, and why"`
}
