package checks

// Outcome is what became of a claim or a check.
type Outcome string

// The outcomes. No data is never a pass.
const (
	Reproduced    Outcome = "reproduced"
	Partial       Outcome = "partial"        // direction or order holds, the magnitude does not
	Inconclusive  Outcome = "inconclusive"   // too few data to decide
	NotReproduced Outcome = "not-reproduced" // the data contradict the claim
	Error         Outcome = "error"          // the check could not be made: a unit mismatch, a failed step
	Skipped       Outcome = "skipped"        // not decided in this profile, with the reason
)

// Verdict is what became of one claim.
type Verdict struct {
	Claim     string   `json:"claim"`
	Statement string   `json:"statement"`
	Source    Source   `json:"source"`
	Outcome   Outcome  `json:"verdict"`
	Reason    string   `json:"reason"` // one sentence
	Results   []Result `json:"results,omitempty"`
}

// Result is what became of one check, with every number that decided it.
// Value, Lower, Upper and Interval are in Unit.
type Result struct {
	Kind    string  `json:"kind"`
	Outcome Outcome `json:"outcome"`
	Metric  string  `json:"metric,omitempty"`
	// Subject says of what the value is: the label values compared or selected.
	Subject string `json:"subject,omitempty"`
	Unit    string `json:"unit,omitempty"`
	// Value is the observed value, nil when there is none.
	Value *float64 `json:"value,omitempty"`
	// Expected is the expectation in words.
	Expected string `json:"expected,omitempty"`
	// Lower and Upper are the absolute bounds, tolerance included; nil is
	// unbounded.
	Lower *float64 `json:"lower,omitempty"`
	Upper *float64 `json:"upper,omitempty"`
	// N is the number of repeats, the smallest where points differ in it.
	N int `json:"n,omitempty"`
	// Interval is the confidence interval of Value, nil for an exact value and
	// for a single run.
	Interval *Interval `json:"interval,omitempty"`
	// Source is where the expectation comes from.
	Source string `json:"source,omitempty"`
	// Because is the tolerance's reason.
	Because string `json:"because,omitempty"`
	// Reason says why the outcome is what it is, in one sentence.
	Reason   string   `json:"reason,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// Failing names the cells in which the expectation does not hold, the
	// first few of them.
	Failing []string `json:"failing,omitempty"`
	// Needs says what would decide an inconclusive check.
	Needs string `json:"needs,omitempty"`
}

// Interval is a confidence interval at Level, such as 0.95.
type Interval struct {
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Level float64 `json:"level"`
}
