// Package report shows a recorded run: its verdicts beside the paper's figures,
// what was measured, how and where. Every format is a pure function of the
// run's folder, so that a report can be made again at any time.
package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"reprise/checks"
	"reprise/runner/event"
	"reprise/runner/node"
	"reprise/runner/store"
)

// Run is a recorded run.
type Run struct {
	ID      string
	Start   event.RunStarted
	Started time.Time
	Ended   time.Time          // of the last event
	End     *event.RunFinished // nil: it is under way or was killed
	// Artifacts are in the order of the run, each with what belongs to it.
	Artifacts []*Artifact
	Warnings  []string // that belong to no step
	// Nodes are those the run began with, then those that it came to know of: a
	// queue's machines, and unlike ones that measured what was reused.
	Nodes []event.Node

	anonymous bool
}

// Artifact is what a run had to do with one artifact.
type Artifact struct {
	event.PlannedArtifact
	Experiments []*Experiment
}

// Experiment is one experiment of a run.
type Experiment struct {
	event.PlannedExperiment
	Steps        []*Step
	Claims       []*Claim
	Observations []checks.Observation
	Metrics      []string // in the order in which they were first observed

	places map[string][]checks.Place
}

// Name is artifact/experiment.
func (e *Experiment) Name() string { return e.Artifact + "/" + e.Experiment }

// Places groups the observations of a metric as the checks do.
func (e *Experiment) Places(metric string) []checks.Place {
	if e.places == nil {
		e.places = map[string][]checks.Place{}
	}
	if _, made := e.places[metric]; !made {
		e.places[metric] = checks.Places(e.Observations, metric)
	}
	return e.places[metric]
}

// Claim is a claim and its verdict; Outcome is "" where the run ended before
// there was one.
type Claim struct {
	Experiment *Experiment
	checks.Verdict
}

// Name is artifact/claim.
func (c *Claim) Name() string { return c.Experiment.Artifact + "/" + c.Claim }

// Step is one step of a run.
type Step struct {
	ID       string
	State    string // done, reused, failed, cancelled, skipped; "" if it never began; running if it never ended
	From     string // run that measured it, of a reused one
	Node     string
	Reason   string // why it was run
	Log      string // folder of its records, as the run wrote it
	Started  time.Time
	Ended    time.Time
	Warnings []string
	Observed []int // its experiment's observations that are its own
	event.StepFinished
}

// Took is how long the step took, measured by its own run.
func (s *Step) Took() time.Duration { return time.Duration(s.Seconds * float64(time.Second)) }

// The states of a step beside those of event.Status.
const (
	reused  = "reused"
	running = "running"
)

// Read reads the run recorded in a folder.
func Read(dir string) (*Run, error) {
	path := filepath.Join(dir, store.EventsFile)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	r, err := ReadLog(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, a := range r.Artifacts {
		for _, e := range a.Experiments {
			for _, s := range e.Steps {
				if (s.State == string(event.Cancelled) || s.State == running) && len(s.Tail) == 0 && s.Log != "" {
					s.Tail = store.Tail(filepath.Join(dir, "attempts", filepath.Base(s.Log), store.StderrFile))
				}
			}
		}
	}
	return r, nil
}

// Summarise reads a run without its observations, for lists of many runs.
func Summarise(dir string) (*Run, error) {
	f, err := os.Open(filepath.Join(dir, store.EventsFile))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return ReadLog(withoutObservations(f))
}

// withoutObservations leaves the lines of observations and progress out of a log.
func withoutObservations(r io.Reader) io.Reader {
	in, out := bufio.NewReaderSize(r, 1<<16), new(bytes.Buffer)
	return readerFunc(func(p []byte) (int, error) {
		for out.Len() == 0 {
			line, err := in.ReadBytes('\n')
			if !bytes.Contains(line, []byte(`"event":"observation"`)) && !bytes.Contains(line, []byte(`"event":"step_progress"`)) {
				out.Write(line)
			}
			if err != nil {
				if out.Len() == 0 {
					return 0, err
				}
				break
			}
		}
		return out.Read(p)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// ReadLog reads the event log of a run.
func ReadLog(log io.Reader) (*Run, error) {
	r := &Run{}
	b := builder{run: r, steps: map[string]*Step{}, owners: map[string]*Experiment{}}
	for e, err := range event.Read(log) {
		if err != nil {
			return nil, err
		}
		b.take(e)
	}
	if r.ID == "" {
		return nil, errors.New("the log does not say what was run")
	}
	for _, a := range r.Artifacts {
		for _, e := range a.Experiments {
			for _, s := range e.Steps {
				if s.State == running {
					s.Ended = r.Ended
				}
			}
		}
	}
	return r, nil
}

type builder struct {
	run    *Run
	steps  map[string]*Step
	owners map[string]*Experiment // of steps
}

func (b *builder) take(e event.Event) {
	r := b.run
	r.Ended = e.Time
	switch p := e.Payload.(type) {
	case event.RunStarted:
		r.ID, r.Start, r.Started = e.Run, p, e.Time
		r.Nodes = slices.Clone(p.Nodes)
		for _, name := range p.Artifacts {
			b.artifact(name)
		}
	case event.Node:
		r.Nodes = append(r.Nodes, p)
	case event.Planned:
		for _, about := range p.About {
			b.artifact(about.Artifact).PlannedArtifact = about
		}
		for _, planned := range p.Experiments {
			a := b.artifact(planned.Artifact)
			x := &Experiment{PlannedExperiment: planned}
			a.Experiments = append(a.Experiments, x)
			for _, id := range planned.Steps {
				b.owners[id] = x
				s := &Step{ID: id}
				b.steps[id] = s
				x.Steps = append(x.Steps, s)
			}
			for _, c := range planned.Claims {
				x.Claims = append(x.Claims, &Claim{Experiment: x, Verdict: checks.Verdict{Claim: c.Claim, Statement: c.Statement, Source: c.Source}})
			}
		}
	case event.StepStarted:
		s := b.step(p.Step)
		s.State, s.Node, s.Reason, s.Log, s.Started = running, p.Node, p.Reason, p.Log, e.Time
	case event.StepReused:
		s := b.step(p.Step)
		s.State, s.From, s.Node, s.Log, s.Started, s.Ended = reused, p.From, p.Host, p.Log, e.Time, e.Time
		s.Seconds, s.StepFinished.Observations, s.Made = p.Seconds, p.Observations, p.Made
	case event.StepFinished:
		s := b.step(p.Step)
		s.State, s.StepFinished, s.Ended = string(p.Status), p, e.Time
		if p.Host != "" {
			s.Node = p.Host
		}
		if s.Started.IsZero() {
			s.Started = e.Time
		}
	case event.Observed:
		x := b.owner(p.Step)
		if !slices.Contains(x.Metrics, p.Metric) {
			x.Metrics = append(x.Metrics, p.Metric)
		}
		s := b.step(p.Step)
		s.Observed = append(s.Observed, len(x.Observations))
		x.Observations = append(x.Observations, p.Observation)
	case event.Warned:
		if p.Step == "" {
			r.Warnings = append(r.Warnings, p.Message)
			return
		}
		s := b.step(p.Step)
		s.Warnings = append(s.Warnings, p.Message)
	case event.Judged:
		for _, x := range b.artifact(p.Artifact).Experiments {
			for _, c := range x.Claims {
				if c.Claim == p.Claim {
					c.Verdict = p.Verdict
				}
			}
		}
	case event.RunFinished:
		r.End = &p
	}
}

func (b *builder) artifact(name string) *Artifact {
	for _, a := range b.run.Artifacts {
		if a.Artifact == name {
			return a
		}
	}
	a := &Artifact{PlannedArtifact: event.PlannedArtifact{Artifact: name, Title: name}}
	b.run.Artifacts = append(b.run.Artifacts, a)
	return a
}

// owner is the experiment of a step. A log without a plan, as old versions
// wrote it, still names it in the step's id: artifact/experiment/….
func (b *builder) owner(step string) *Experiment {
	if x := b.owners[step]; x != nil {
		return x
	}
	parts := append(strings.SplitN(step, "/", 3), "")
	a := b.artifact(parts[0])
	for _, x := range a.Experiments {
		if x.Experiment == parts[1] {
			b.owners[step] = x
			return x
		}
	}
	x := &Experiment{PlannedExperiment: event.PlannedExperiment{Artifact: parts[0], Experiment: parts[1]}}
	a.Experiments = append(a.Experiments, x)
	b.owners[step] = x
	return x
}

func (b *builder) step(id string) *Step {
	if s := b.steps[id]; s != nil {
		return s
	}
	x := b.owner(id)
	s := &Step{ID: id}
	b.steps[id] = s
	x.Steps = append(x.Steps, s)
	return s
}

// Experiments lists the experiments of all artifacts.
func (r *Run) Experiments() []*Experiment {
	var all []*Experiment
	for _, a := range r.Artifacts {
		all = append(all, a.Experiments...)
	}
	return all
}

// Claims lists an artifact's claims in order, C2 before C10.
func (a *Artifact) Claims() []*Claim {
	var all []*Claim
	for _, e := range a.Experiments {
		all = append(all, e.Claims...)
	}
	slices.SortStableFunc(all, func(a, b *Claim) int { return checks.CompareNatural(a.Claim, b.Claim) })
	return all
}

// Steps lists the steps of all experiments.
func (r *Run) Steps() []*Step {
	var all []*Step
	for _, e := range r.Experiments() {
		all = append(all, e.Steps...)
	}
	return all
}

// Tally counts the claims by outcome; "" counts those without a verdict.
func (r *Run) Tally() map[checks.Outcome]int {
	n := map[checks.Outcome]int{}
	for _, a := range r.Artifacts {
		for _, c := range a.Claims() {
			n[c.Outcome]++
		}
	}
	return n
}

// Failed lists the steps that failed, were stopped or never ended.
func (r *Run) Failed() []*Step {
	var out []*Step
	for _, s := range r.Steps() {
		switch s.State {
		case string(event.Failed), string(event.Cancelled), running:
			out = append(out, s)
		}
	}
	return out
}

// Outcome says in a word or two how the run ended.
func (r *Run) Outcome() string {
	switch {
	case r.End == nil:
		return "not finished"
	case r.End.Outcome == "finished" && r.End.Steps[string(event.Failed)] > 0:
		return "failures"
	}
	return r.End.Outcome
}

// Exit is the exit code the run ended with, −1 if it has not ended.
func (r *Run) Exit() int {
	if r.End == nil {
		return -1
	}
	return r.End.Exit
}

// Headline says in one sentence what came of the run.
func (r *Run) Headline() string {
	n, total := r.Tally(), 0
	for _, count := range n {
		total += count
	}
	decided := total - n[checks.Skipped]
	failed, cancelled := 0, 0
	for _, s := range r.Steps() {
		switch s.State {
		case string(event.Failed):
			failed++
		case string(event.Cancelled):
			cancelled++
		}
	}
	switch {
	case r.End == nil:
		return "The run has no end: it is under way, or was killed."
	case r.End.Outcome == "interrupted" || cancelled > 0:
		return fmt.Sprintf("The run was stopped before its end; %s.", counted(n))
	case failed > 0:
		return fmt.Sprintf("%s failed, so what waited for it is not known; %s.", plural(failed, "step"), counted(n))
	case total == 0:
		return "The run decides no claims."
	case decided == 0:
		return fmt.Sprintf("None of the %s is decided by this profile.", plural(total, "claim"))
	case n[checks.Reproduced] == decided:
		return fmt.Sprintf("All %s that this run decides are reproduced.", plural(decided, "claim"))
	case n[checks.NotReproduced]+n[checks.Partial]+n[checks.Error] == 0:
		return fmt.Sprintf("%d of %s could not be decided for lack of data; nothing contradicts the paper.", n[checks.Inconclusive]+n[""], plural(decided, "claim"))
	}
	return fmt.Sprintf("%d of the %s that this run decides are reproduced.", n[checks.Reproduced], plural(decided, "claim"))
}

// counted lists the claims by outcome in words.
func counted(n map[checks.Outcome]int) string {
	var parts []string
	for _, o := range checks.Outcomes {
		if n[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[o], o))
		}
	}
	if n[""] > 0 {
		parts = append(parts, fmt.Sprintf("%d without a verdict", n[""]))
	}
	if len(parts) == 0 {
		return "no claims"
	}
	return strings.Join(parts, ", ")
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

// MarshalJSON writes what the other formats are made of. New keys may be added
// at any time.
func (r *Run) MarshalJSON() ([]byte, error) {
	type step struct {
		Step    string     `json:"step"`
		State   string     `json:"state"`
		Node    string     `json:"node,omitempty"`
		From    string     `json:"from,omitempty"`
		Reason  string     `json:"reason,omitempty"`
		Started *time.Time `json:"started,omitempty"`
		Seconds float64    `json:"seconds"`
		User    float64    `json:"user_seconds"`
		Sys     float64    `json:"sys_seconds"`
		MaxRSS  uint64     `json:"max_rss_bytes"`
		event.Made
		Class    string   `json:"class,omitempty"`
		Error    string   `json:"error,omitempty"`
		Tail     []string `json:"tail,omitempty"`
		Warnings []string `json:"warnings,omitempty"`
	}
	type experiment struct {
		Experiment   string               `json:"experiment"`
		Title        string               `json:"title"`
		Left         string               `json:"left,omitempty"`
		Measured     bool                 `json:"measured"`
		Params       map[string]string    `json:"params,omitempty"`
		Axes         map[string][]string  `json:"axes,omitempty"`
		Steps        []step               `json:"steps"`
		Observations []checks.Observation `json:"observations"`
	}
	type artifact struct {
		event.PlannedArtifact
		Claims      []checks.Verdict `json:"claims"`
		Experiments []experiment     `json:"experiments"`
	}
	out := struct {
		Report    int                    `json:"report"` // version of this format
		Run       string                 `json:"run"`
		Headline  string                 `json:"headline"`
		Outcome   string                 `json:"outcome"`
		Exit      int                    `json:"exit"`
		Started   time.Time              `json:"started"`
		Ended     time.Time              `json:"ended"`
		Version   string                 `json:"version"`
		Profile   string                 `json:"profile"`
		Command   string                 `json:"command,omitempty"`
		Nodes     []event.Node           `json:"nodes"`
		Records   *node.Mount            `json:"records,omitempty"`
		Claims    map[checks.Outcome]int `json:"claims"`
		Warnings  []string               `json:"warnings,omitempty"`
		Artifacts []artifact             `json:"artifacts"`
	}{
		1, r.ID, r.Headline(), r.Outcome(), r.Exit(), r.Started, r.Ended, r.Start.Version, r.Start.Profile, r.Start.Command,
		append([]event.Node{}, r.Nodes...), r.Start.Records, r.Tally(), r.Warnings, []artifact{},
	}
	for _, a := range r.Artifacts {
		written := artifact{PlannedArtifact: a.PlannedArtifact, Claims: []checks.Verdict{}, Experiments: []experiment{}}
		for _, c := range a.Claims() {
			written.Claims = append(written.Claims, c.Verdict)
		}
		for _, e := range a.Experiments {
			x := experiment{e.Experiment, e.Title, e.Left, e.Measured, e.Params, e.Axes, []step{}, e.Observations}
			if x.Observations == nil {
				x.Observations = []checks.Observation{}
			}
			for _, s := range e.Steps {
				w := step{
					Step: s.ID, State: s.State, Node: s.Node, From: s.From, Reason: s.Reason, Seconds: s.Seconds, User: s.UserSeconds,
					Sys: s.SysSeconds, MaxRSS: s.MaxRSS, Made: s.Made, Class: string(s.Class), Error: s.Error, Tail: s.Tail, Warnings: s.Warnings,
				}
				if !s.Started.IsZero() {
					w.Started = &s.Started
				}
				x.Steps = append(x.Steps, w)
			}
			written.Experiments = append(written.Experiments, x)
		}
		out.Artifacts = append(out.Artifacts, written)
	}
	return json.Marshal(out)
}
