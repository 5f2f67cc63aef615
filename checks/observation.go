// Package checks turns claims and observations into verdicts. It is pure: no
// clock, no files, no network.
package checks

// Observation is one measured value, as an experiment's step reports it: one
// JSON object a line.
type Observation struct {
	// Metric is the quantity's name, for example "read_latency_mean".
	Metric string `json:"metric"`
	// Value is the measurement in Unit.
	Value float64 `json:"value"`
	// Unit is the unit's symbol: "us", "B", "1" for a plain ratio.
	Unit string `json:"unit"`
	// Labels say what was measured: the policy, the workload, the seed. The
	// runner adds the step's place in the experiment's matrix.
	Labels map[string]string `json:"labels,omitempty"`
}
