package checks

// Outcome is what became of a claim or a check, worst first when compared.
type Outcome string

// The verdict lattice. No data is never a pass.
const (
	Reproduced    Outcome = "reproduced"
	Partial       Outcome = "partial"        // direction or order holds, the magnitude does not
	Inconclusive  Outcome = "inconclusive"   // too few data to decide
	NotReproduced Outcome = "not-reproduced" // the data contradict the claim
	Error         Outcome = "error"          // the check could not be made: a unit mismatch, a failed step
	Skipped       Outcome = "skipped"        // not decided in this profile, with the reason
)
