package tui

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"reprise/checks"
	"reprise/runner/event"
)

// StepState is where a step stands.
type StepState uint8

// The states of a step, in the order of its life.
const (
	Waiting StepState = iota
	Running
	Reused
	Done
	Failed
	Cancelled
	Skipped
)

var stepWords = [...]string{"waiting", "running", "reused", "done", "failed", "cancelled", "skipped"}

func (s StepState) String() string { return stepWords[s] }

// Ended says that nothing more will happen to the step.
func (s StepState) Ended() bool { return s > Running }

// Step is what is known of one step.
type Step struct {
	ID         string // as in the plan: artifact/experiment[/point][/name]
	Short      string // what tells it from the experiment's other steps
	Experiment *Experiment

	State    StepState
	Node     string
	Reason   string // why it runs, or from where it is reused
	Queued   bool   // while it waits: its node has taken it
	Why      string // why it is queued
	Log      string // folder of its records
	Error    string
	Tail     []string // last lines of its standard error, on failure
	Started  time.Time
	Seconds  float64 // once ended: how long it took
	MaxRSS   uint64  // bytes, once ended
	Progress event.StepProgress
	N        int // observations
}

// Word is how the step is, in words.
func (s *Step) Word() string {
	switch {
	case !s.Queued:
		return s.State.String()
	case s.Why == "":
		return "queued"
	}
	return "queued (" + printable(s.Why) + ")"
}

// Elapsed is how long the step has run, or ran.
func (s *Step) Elapsed(now time.Time) time.Duration {
	if s.State == Running {
		return max(0, now.Sub(s.Started))
	}
	return time.Duration(s.Seconds * float64(time.Second))
}

// Fraction is how much of a running step is done, where it says so.
func (s *Step) Fraction() (float64, bool) {
	if s.Progress.Total <= 0 {
		return 0, false
	}
	return min(max(s.Progress.Done/s.Progress.Total, 0), 1), true
}

// Left estimates the time a running step still needs, from its own progress.
func (s *Step) Left(now time.Time) (time.Duration, bool) {
	f, known := s.Fraction()
	elapsed := s.Elapsed(now)
	if !known || f <= 0 || elapsed < time.Second {
		return 0, false
	}
	return time.Duration(float64(elapsed) * (1 - f) / f), true
}

// Experiment is the steps of one experiment and what they have observed.
type Experiment struct {
	Artifact, ID, Title string
	LeftOut             string // why it is not run
	Steps               []*Step
	Count               [len(stepWords)]int // of steps by state
	Metrics             []*Metric           // in the order they appeared
	measured            float64             // seconds of the steps done in this run
}

// Name is the experiment's name across artifacts.
func (e *Experiment) Name() string { return e.Artifact + "/" + e.ID }

// State sums the steps up: the worst that happened, or what is under way.
func (e *Experiment) State() StepState {
	switch {
	case e.Count[Running] > 0:
		return Running
	case e.Count[Waiting] == len(e.Steps):
		return Waiting
	case e.Count[Waiting] > 0:
		return Running
	case e.Count[Failed] > 0:
		return Failed
	case e.Count[Cancelled] > 0:
		return Cancelled
	case e.Count[Skipped] > 0:
		return Skipped
	case e.Count[Done] > 0:
		return Done
	}
	return Reused
}

// Ended is the number of steps that have ended.
func (e *Experiment) Ended() int { return len(e.Steps) - e.Count[Waiting] - e.Count[Running] }

// Left estimates the work, in seconds of one step after another, that the
// experiment still needs: steps that have not begun take what those before
// them took. It is unknown until a step has been measured.
func (e *Experiment) Left(now time.Time) (seconds float64, known bool) {
	mean := -1.0
	if e.Count[Done] > 0 {
		mean = e.measured / float64(e.Count[Done])
	}
	for _, s := range e.Steps {
		switch s.State {
		case Running:
			if left, ok := s.Left(now); ok {
				seconds += left.Seconds()
			} else if mean < 0 {
				return 0, false
			} else {
				seconds += max(0, mean-s.Elapsed(now).Seconds())
			}
		case Waiting:
			if mean < 0 {
				return 0, false
			}
			seconds += mean
		}
	}
	return seconds, true
}

// Claim is a claim and, once it is judged, its verdict.
type Claim struct {
	Artifact   string
	Experiment *Experiment
	Judged     bool
	checks.Verdict
}

// Name is the claim's name across artifacts.
func (c *Claim) Name() string { return c.Artifact + "/" + c.Claim }

// NodeState is a machine that steps run on, and how busy it is.
type NodeState struct {
	event.Node
	Load event.NodeLoad // the latest; zero until it has been sampled
	CPU  []float64      // share of its cores that was busy, the latest last
}

// cpuSamples bounds what is kept of a node's past.
const cpuSamples = 120

func (n *NodeState) take(v event.NodeLoad) {
	n.Load = v
	if len(n.CPU) == cpuSamples {
		n.CPU = append(n.CPU[:0], n.CPU[1:]...)
	}
	n.CPU = append(n.CPU, v.CPU)
}

// node finds a node, or makes it where the run's start has not named it.
func (r *Run) node(name string) *NodeState {
	for _, n := range r.Nodes {
		if n.Name == name {
			return n
		}
	}
	n := &NodeState{Node: event.Node{Name: name}}
	r.Nodes = append(r.Nodes, n)
	return n
}

// mostWarnings bounds the warnings kept; the log has them all.
const mostWarnings = 1000

// Run is what is known of a run from its events so far. It is a pure function
// of them, and its memory is bounded by the plan and not by the observations.
type Run struct {
	ID          string
	Start       event.RunStarted
	Started     time.Time
	Last        time.Time // of the latest event
	End         *event.RunFinished
	Experiments []*Experiment
	Steps       []*Step
	Claims      []*Claim
	Warnings    []event.Warned
	Nodes       []*NodeState
	Leases      []*event.Leased
	Held        event.Held // whether further steps begin
	Count       [len(stepWords)]int
	Unseen      int // observations dropped because they came too fast
	Version     int // grows with every event

	steps       map[string]*Step
	experiments map[string]*Experiment
	claims      map[string]*Claim
	cells       int
}

// NewRun is a run of which nothing is known.
func NewRun() *Run {
	return &Run{steps: map[string]*Step{}, experiments: map[string]*Experiment{}, claims: map[string]*Claim{}}
}

// Apply takes an event in. A RunStarted begins anew.
func (r *Run) Apply(e event.Event) {
	r.Version++
	r.Last = e.Time
	switch v := e.Payload.(type) {
	case event.RunStarted:
		version := r.Version
		*r = *NewRun()
		r.Version, r.ID, r.Start, r.Started, r.Last = version, e.Run, v, e.Time, e.Time
		for _, n := range v.Nodes {
			r.Nodes = append(r.Nodes, &NodeState{Node: n})
		}
	case event.Planned:
		for _, p := range v.Experiments {
			x := r.experiment(p.Artifact, p.Experiment)
			x.Title, x.LeftOut = p.Title, p.Left
			for _, id := range p.Steps {
				r.step(id)
			}
			for _, c := range p.Claims {
				claim := r.claim(p.Artifact, c.Claim)
				claim.Experiment, claim.Statement, claim.Source = x, c.Statement, c.Source
			}
		}
		r.sortClaims()
	case event.StepReused:
		s := r.step(v.Step)
		s.Reason, s.Seconds, s.N, s.Log = "reused from run "+v.From, v.Seconds, v.Observations, v.Log
		r.move(s, Reused)
	case event.StepStarted:
		s := r.step(v.Step)
		s.Node, s.Reason, s.Log, s.Started, s.Queued, s.Why = v.Node, v.Reason, v.Log, e.Time, v.Queued, ""
		if v.Queued {
			r.move(s, Waiting)
		} else {
			r.move(s, Running)
		}
	case event.StepQueued:
		s := r.step(v.Step)
		s.Why = v.Reason
		if v.Begun && s.Queued {
			s.Queued, s.Started = false, e.Time
			r.move(s, Running)
		}
	case event.StepProgress:
		r.step(v.Step).Progress = v
	case event.Observed:
		r.observe(r.step(v.Step), v.Observation)
	case event.StepFinished:
		r.finish(r.step(v.Step), v)
	case event.Warned:
		if len(r.Warnings) < mostWarnings {
			r.Warnings = append(r.Warnings, v)
		}
	case event.Held:
		r.Held = v
	case event.NodeLoad:
		r.node(v.Node).take(v)
	case event.Leased:
		if at := slices.IndexFunc(r.Leases, func(l *event.Leased) bool { return l.Name == v.Name }); at >= 0 {
			r.Leases[at] = &v
		} else {
			r.Leases = append(r.Leases, &v)
		}
	case event.Judged:
		c := r.claim(v.Artifact, v.Claim)
		c.Judged, c.Verdict = true, v.Verdict
	case event.RunFinished:
		r.End = &v
	}
}

func (r *Run) finish(s *Step, v event.StepFinished) {
	s.Queued = false
	s.Error, s.Tail, s.Seconds, s.MaxRSS = v.Error, v.Tail, v.Seconds, v.MaxRSS
	if v.Log != "" {
		s.Log = v.Log
	}
	switch v.Status {
	case event.Done:
		s.N = v.Observations
		r.move(s, Done)
		s.Experiment.measured += v.Seconds
	case event.Failed:
		r.move(s, Failed)
	case event.Cancelled:
		r.move(s, Cancelled)
	case event.SkippedOn:
		r.move(s, Skipped)
	}
}

func (r *Run) move(s *Step, to StepState) {
	s.Experiment.Count[s.State]--
	r.Count[s.State]--
	s.State = to
	s.Experiment.Count[to]++
	r.Count[to]++
}

// step finds a step, or makes it where the plan has not named it.
func (r *Run) step(id string) *Step {
	if s, known := r.steps[id]; known {
		return s
	}
	artifact, rest, _ := strings.Cut(id, "/")
	experiment, short, _ := strings.Cut(rest, "/")
	x := r.experiment(artifact, experiment)
	s := &Step{ID: id, Short: shortName(experiment, short), Experiment: x}
	r.steps[id] = s
	r.Steps = append(r.Steps, s)
	x.Steps = append(x.Steps, s)
	x.Count[Waiting]++
	r.Count[Waiting]++
	return s
}

// shortName is a step's point and name without the axes whose values speak
// for themselves: policy=lru,seed=1 is lru, seed=1.
func shortName(experiment, rest string) string {
	if rest == "" {
		return experiment
	}
	var parts []string
	for part := range strings.SplitSeq(rest, ",") {
		axis, value, is := strings.Cut(part, "=")
		number, _, _ := strings.Cut(value, "/") // the name of a shell step follows
		if _, err := strconv.ParseFloat(number, 64); is && err != nil && value != "" && !strings.ContainsAny(axis, "/ ") {
			part = value
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

func (r *Run) experiment(artifact, id string) *Experiment {
	name := artifact + "/" + id
	x, known := r.experiments[name]
	if !known {
		x = &Experiment{Artifact: artifact, ID: id}
		r.experiments[name] = x
		r.Experiments = append(r.Experiments, x)
	}
	return x
}

func (r *Run) claim(artifact, id string) *Claim {
	name := artifact + "/" + id
	c, known := r.claims[name]
	if !known {
		c = &Claim{Artifact: artifact, Verdict: checks.Verdict{Claim: id}}
		r.claims[name] = c
		r.Claims = append(r.Claims, c)
	}
	return c
}

// sortClaims puts the claims in the order of their artifacts and ids: C2
// before C10.
func (r *Run) sortClaims() {
	slices.SortStableFunc(r.Claims, func(a, b *Claim) int {
		return cmp.Or(
			cmp.Compare(slices.Index(r.Start.Artifacts, a.Artifact), slices.Index(r.Start.Artifacts, b.Artifact)),
			cmp.Compare(len(a.Claim), len(b.Claim)), cmp.Compare(a.Claim, b.Claim))
	})
}

// Total is the number of steps of the run.
func (r *Run) Total() int { return max(len(r.Steps), r.Start.Steps) }

// Ended is the number of steps that have ended.
func (r *Run) Ended() int { return len(r.Steps) - r.Count[Waiting] - r.Count[Running] }

// Queued counts the steps that wait in a node's queue.
func (r *Run) Queued() (n int) {
	for _, s := range r.Steps {
		if s.Queued {
			n++
		}
	}
	return n
}

// Running lists the steps under way.
func (r *Run) Running() []*Step {
	var out []*Step
	for _, x := range r.Experiments {
		if x.Count[Running] == 0 {
			continue
		}
		for _, s := range x.Steps {
			if s.State == Running {
				out = append(out, s)
			}
		}
	}
	return out
}

// since is the time from the run's start.
func (r *Run) since(now time.Time) time.Duration {
	if r.Started.IsZero() {
		return 0
	}
	return max(0, now.Sub(r.Started))
}

// Elapsed is how long the run has taken.
func (r *Run) Elapsed(now time.Time) time.Duration {
	if r.End != nil {
		return time.Duration(r.End.Seconds * float64(time.Second))
	}
	return r.since(now)
}

// Left estimates the time the run still needs, if as many steps go on side by
// side as do now. It is unknown while an experiment has nothing to go by.
func (r *Run) Left(now time.Time) (time.Duration, bool) {
	if r.End != nil || r.Count[Running] == 0 {
		return 0, false
	}
	work := 0.0
	for _, x := range r.Experiments {
		seconds, known := x.Left(now)
		if !known {
			return 0, false
		}
		work += seconds
	}
	return time.Duration(work / float64(r.Count[Running]) * float64(time.Second)), true
}

// Tally counts the claims by outcome; those not yet judged are under "".
func (r *Run) Tally() map[checks.Outcome]int {
	n := map[checks.Outcome]int{}
	for _, c := range r.Claims {
		n[c.Outcome]++
	}
	return n
}
