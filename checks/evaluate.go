package checks

import (
	"fmt"
	"slices"
	"strings"
)

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
	// Measured says that its observations depend on the machine and on what
	// else ran there; then their repeats are looked at for slow first runs,
	// outliers and drift. Warnings tell of the conditions they were made under.
	Measured bool
	Warnings []string
}

// State is a stage in an experiment's life.
type State string

// The states of an experiment.
const (
	OK     State = "ok"
	Failed State = "failed"
	NotRun State = "not-run" // it should have been, as when the run was interrupted
	// LeftOut is an experiment that was not meant to be run.
	LeftOut State = "left-out"
)

// Evaluate decides every claim, in the natural order of their ids (C2 before
// C10). It is a pure function: the order of the observations is of no account,
// and the random numbers of its bootstrap are fixed.
//
// A claim is as good as the worst of its checks. One that is not for the
// profile, or whose experiment was left out, is skipped; one whose experiment failed is an error; one without
// data, as when its experiment was not run, is inconclusive.
func Evaluate(claims map[string]Claim, in Input) []Verdict {
	ix := newIndex(in.Observations)
	verdicts := make([]Verdict, 0, len(claims))
	for _, id := range sortedKeys(claims) {
		verdicts = append(verdicts, claims[id].evaluate(id, in, ix))
	}
	return verdicts
}

func (c Claim) evaluate(id string, in Input, ix *index) Verdict {
	v := Verdict{Claim: id, Statement: c.Statement, Source: c.Source}
	status := in.Experiments[c.Experiment]
	switch {
	case len(c.Profiles) > 0 && !slices.Contains(c.Profiles, in.Profile):
		v.Outcome, v.Reason = Skipped, fmt.Sprintf("decided in profile %s only, this is %s", strings.Join(c.Profiles, ", "), in.Profile)
		return v
	case status.State == Failed:
		v.Outcome, v.Reason = Error, because(c.Experiment+" failed", status.Reason)
		return v
	case status.State == LeftOut:
		v.Outcome, v.Reason = Skipped, because(c.Experiment+" was not run", status.Reason)
		return v
	case status.State == NotRun:
		v.Outcome, v.Reason = Inconclusive, because(c.Experiment+" was not run", status.Reason)
		return v
	case len(c.Checks) == 0:
		v.Outcome, v.Reason = Error, "the claim has no check"
		return v
	}
	v.Outcome = Skipped
	for _, check := range c.Checks {
		r := check.evaluate(c, ix, status.Measured)
		r.Warnings = append(r.Warnings, status.Warnings...)
		v.Results = append(v.Results, r)
		if r.Outcome.Worse(v.Outcome) {
			v.Outcome, v.Reason = r.Outcome, r.Reason
			if r.Value != nil || r.Observed != "" {
				v.Reason = r.about() + ": " + r.Reason
			}
		}
	}
	if v.Outcome == Reproduced {
		v.Reason = v.Results[0].String()
		if n := len(v.Results); n > 1 {
			v.Reason = fmt.Sprintf("all of the %d checks hold", n)
		}
	}
	return v
}

func because(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}

func (c Check) evaluate(claim Claim, ix *index, measured bool) Result {
	k, key, err := c.kind()
	r := Result{Kind: key, Source: claim.Source.Where}
	if err != nil {
		r.Outcome, r.Reason = Error, err.Error()
		return r
	}
	r.Metric = k.selection().Metric
	if err := findings(k); err != nil {
		r.Outcome, r.Reason = Error, err.Error()
		return r
	}
	s, undecidable := ix.sample(claim.Experiment, k.selection(), k.compares())
	if undecidable == nil {
		undecidable = k.evaluate(s, &r)
		if measured {
			s.manners()
		}
		r.Warnings = s.warnings
	}
	if undecidable != nil {
		r.Outcome, r.Reason = undecidable.outcome, undecidable.reason
	}
	return r
}
