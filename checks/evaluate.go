package checks

// Input is what claims are decided on.
type Input struct {
	// Profile is the profile that was run.
	Profile string
	// Experiments says how each experiment ended, by its id. One that is
	// absent is judged by its observations alone.
	Experiments map[string]Status
	// Observations are those of all experiments; the label experiment says
	// which one each belongs to.
	Observations []Observation
}

// Status is how an experiment ended.
type Status struct {
	State  State
	Reason string // one sentence, for any state but OK
}

// State is a stage in an experiment's life.
type State string

// The states of an experiment.
const (
	OK     State = "ok"
	Failed State = "failed"
	NotRun State = "not-run"
)

// Evaluate decides every claim, in the natural order of their ids (C2 before
// C10). It is a pure function: the order of the observations is of no account,
// and the random numbers of its bootstrap are fixed.
func Evaluate(claims map[string]Claim, in Input) []Verdict {
	return nil
}
