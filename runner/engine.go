package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/runner/device"
	"reprise/runner/event"
	"reprise/runner/node"
	"reprise/runner/store"
)

// Engine executes plans.
type Engine struct {
	Store *store.Store
	Nodes []node.Node // of one platform
	// Roles are the nodes in the roles of the plan's platforms, in order.
	Roles   map[string][]Seat
	Version string   // of this program
	Command string   // line that makes the same run, for the log
	Args    []string // of reprise run, for the log
	Jobs    int      // steps at once on each node; 0: as many as it has cores
	// Attempts is how often a step is tried whose node fails, each time on
	// another node if there is one; 0 and 1: once. The first pause of a node
	// that failed is Backoff; it doubles with every failure.
	Attempts int
	Backoff  time.Duration
	Fresh    bool // run every step, whatever is stored
	// Resumes are the run that this one goes on with, the one which that went
	// on with, and so on. What they measured stands in even if Fresh.
	Resumes []string
	Now     func() time.Time
	// Traces is the folder of real traces, by its absolute path; "" is none. The
	// built-in experiments that read traces find it, or a copy, where they run.
	Traces string
	// Fetch brings a source to this machine and gives its folder or file.
	Fetch func(ctx context.Context, m *artifacts.Manifest, name string, s artifacts.Source) (string, error)

	// Secrets are kept out of events, logs and whatever else is stored.
	Secrets node.Secrets
	// Handed are those of them that steps ask for, by name.
	Handed map[string]string

	// Leases, if given, lists what is leased for the run as it is now; changes
	// of it are events.
	Leases func() []event.Leased

	control control
}

// Summary is what a run came to.
type Summary struct {
	Run         string
	Dir         string
	Interrupted bool
	Broken      error                       // why nothing could be recorded any more, if so
	Verdicts    map[string][]checks.Verdict // by artifact
	Claims      map[checks.Outcome]int
	Steps       map[string]int // by status; "reused" too
	Failures    map[event.Class]int
}

// outcome is how one step ended.
type outcome struct {
	step         *Step
	status       event.Status
	class        event.Class
	why          string
	reused       bool
	dir          string // of its result
	node         string // that measured it
	machine      string // that, as unlike compares them; "" if it does not matter
	place        *place // where it was run now
	nodeFailed   bool
	stored       bool  // its result was written, and its slot counted as free
	again        bool  // the node failed, and the step is to be tried again
	left         bool  // out on request, or because of one that was
	unkept       error // why the store could not keep it
	panicked     any
	observations []checks.Observation
	warnings     []string // on the conditions it was measured under
}

// Execute runs the plan's steps, each once those it waits for have succeeded,
// and judges every claim as soon as its experiment has ended. When ctx is
// cancelled the running steps are stopped, what has finished is kept, and the
// claims are judged on that. exit turns the summary into the process's exit
// code for the log. An error means that the run could not be recorded; it ends
// as soon as that is known, for what is measured then would be lost.
func (e *Engine) Execute(ctx context.Context, p *Plan, exit func(Summary) int, subscribers ...event.Subscriber) (Summary, error) {
	started := e.Now()
	run, err := e.Store.NewRun(started)
	if err != nil {
		return Summary{}, err
	}
	log := event.NewLog(run.ID, run, e.Now, subscribers...)
	log.Hide = e.Secrets.Hide
	x := &execution{
		Engine: e, plan: p, run: run, log: log,
		steps:    p.ByName(),
		places:   e.places(),
		outcomes: make(map[string]outcome, len(p.Steps)),
		of:       p.byExperiment(),
		withhold: p.secretNames(),
		left:     map[ExperimentID]int{},
		storing:  make(chan *place),
		ran:      map[ExperimentID]bool{},
		sum: Summary{
			Run: run.ID, Dir: run.Dir, Verdicts: map[string][]checks.Verdict{},
			Claims: map[checks.Outcome]int{}, Steps: map[string]int{}, Failures: map[event.Class]int{},
		},
	}
	ids := make([]string, len(p.Artifacts))
	for i, m := range p.Artifacts {
		ids[i] = m.Artifact
	}
	start := event.RunStarted{
		Version: e.Version, Profile: p.Profile, Artifacts: ids, Platform: node.ThisMachine().Platform(),
		CPUs: runtime.NumCPU(), Nodes: nodes(e.Nodes, run.Dir), Folder: run.Dir, Steps: len(p.Steps), Command: e.Command, Args: e.Args,
		Records: records(run.Dir),
	}
	if len(e.Resumes) > 0 {
		start.Resumes = e.Resumes[0]
	}
	log.Emit(start)
	log.Emit(planned(p))
	for _, said := range x.places.leftBehind(p, e.Fresh) {
		log.Emit(event.Warned{Message: said})
	}
	e.control.begin()
	stop := x.watchNodes(ctx)
	walk, cancel := context.WithCancel(ctx)
	x.stop = cancel
	for _, m := range p.Artifacts {
		if len(m.Text) > 0 {
			x.broken(run.KeepManifest(m.Artifact, []byte(e.Secrets.Hide(string(m.Text)))))
		}
	}
	x.broken(run.Sync())
	x.walk(walk)
	cancel()
	stop()
	x.sum.Interrupted = ctx.Err() != nil || x.sum.Broken != nil
	for _, m := range p.Artifacts {
		order := m.ClaimIDs()
		slices.SortFunc(x.sum.Verdicts[m.Artifact], func(a, b checks.Verdict) int {
			return cmp.Compare(slices.Index(order, a.Claim), slices.Index(order, b.Claim))
		})
	}
	end := event.RunFinished{Outcome: "finished", Exit: exit(x.sum), Seconds: e.Now().Sub(started).Seconds(), Claims: map[string]int{}, Steps: x.sum.Steps}
	if x.sum.Interrupted {
		end.Outcome = "interrupted"
	}
	for outcome, n := range x.sum.Claims {
		end.Claims[string(outcome)] = n
	}
	log.Emit(end)
	bad := run.Close()
	if x.sum.Broken == nil {
		x.broken(errors.Join(log.Err(), bad))
	}
	return x.sum, x.sum.Broken
}

// BrokenError says that a run ended because it could not be recorded.
type BrokenError struct {
	Err  error
	mend string
}

func (e *BrokenError) Error() string { return "the run cannot be recorded: " + e.Err.Error() }

func (e *BrokenError) Unwrap() error { return e.Err }

// Hint says how to mend it and go on.
func (e *BrokenError) Hint() string { return e.mend }

// nodes describes the nodes of a run. Steps of a local node work below folder.
func nodes(list []node.Node, folder string) []event.Node {
	var out []event.Node
	for _, n := range list {
		m := n.Machine()
		if _, here := n.(*node.Local); here {
			m = m.On("work", folder)
		}
		out = append(out, event.Node{Name: n.Name(), Machine: m})
	}
	return out
}

// records is the file system that a run's folder is on.
func records(folder string) *node.Mount {
	for _, m := range (node.Machine{}).On("records", folder).Mounts {
		return &m
	}
	return nil
}

// execution is the state of one walk over a plan; only walk's goroutine
// touches it, but for the log and the hosts.
type execution struct {
	*Engine
	plan     *Plan
	run      *store.Run
	log      *event.Log
	hosts    sync.Map // names of a queue's machines that the log describes
	withhold []string // variables that only steps get which are handed them
	steady   steady
	steps    map[string]*Step
	places   places
	outcomes map[string]outcome
	of       map[ExperimentID][]*Step
	left     map[ExperimentID]int // steps of an experiment that have not ended
	storing  chan *place          // where the disk alone keeps a step from its end
	ran      map[ExperimentID]bool
	sum      Summary
	stop     context.CancelFunc // ends the walk as an interrupt does
}

// broken ends the run if err is why it cannot be recorded any more.
func (x *execution) broken(err error) {
	if err == nil || x.sum.Broken != nil {
		return
	}
	mend, is := x.Store.Unusable(err)
	if !is {
		mend = "what had finished is stored; reprise resume goes on with it"
	}
	x.sum.Broken = &BrokenError{err, mend}
	if x.stop != nil {
		x.stop()
	}
}

// unkept is err if it means that the store can keep nothing any more.
func (x *execution) unkept(err error) error {
	if _, is := x.Store.Unusable(err); is {
		return err
	}
	return nil
}

func (x *execution) walk(ctx context.Context) {
	waiting := map[string]int{}
	next := map[string][]*Step{}
	// Steps that wait for no other: those that may have been measured before, and
	// those that have to run.
	var open, ready []*Step
	for _, s := range x.plan.Steps {
		x.left[ExperimentID{s.Artifact, s.Experiment}]++
		for _, id := range s.After {
			next[id] = append(next[id], s)
		}
		if waiting[s.ID] = len(s.After); waiting[s.ID] == 0 {
			open = append(open, s)
		}
	}
	for _, m := range x.plan.Artifacts {
		for _, id := range m.ExperimentIDs() {
			if x.left[ExperimentID{m.Artifact, id}] == 0 {
				x.judge(m, id)
			}
		}
	}
	if !x.Fresh {
		x.places.heldFirst(open)
	}
	ended := make(chan outcome)
	running, held := 0, false
	begun := map[string]bool{}
	failed := map[string][]*place{} // nodes that failed a step
	done := func(o outcome) {
		x.finish(o)
		for _, s := range next[o.step.ID] {
			waiting[s.ID]--
			if _, left := x.outcomes[s.ID]; waiting[s.ID] == 0 && !left {
				open = append(open, s)
			}
		}
	}
	for len(open) > 0 || len(ready) > 0 || running > 0 {
		x.broken(x.log.Err())
		if out := x.toLeaveOut(begun); len(out) > 0 {
			for _, s := range out {
				o := outcome{step: s, status: event.SkippedOn, left: true, why: "skipped on request"}
				x.log.Emit(event.StepFinished{Step: s.ID, Status: o.status, Error: o.why})
				done(o)
			}
			over := func(s *Step) bool { _, ended := x.outcomes[s.ID]; return ended }
			open, ready = slices.DeleteFunc(open, over), slices.DeleteFunc(ready, over)
		}
		if on, why := x.control.isHeld(); on != held {
			held = on
			x.log.Emit(event.Held{On: on, Why: why})
		}
		if ctx.Err() != nil && len(ready) > 0 {
			open, ready = append(ready, open...), nil
		}
		if len(open) > 0 && !held {
			// All of them before the first that runs, which may be a measurement.
			some := open[:min(len(open), atOnce)]
			open = open[len(some):]
			ready = append(ready, x.settle(ctx, some, done)...)
			continue
		}
		for i := 0; i < len(ready) && !held && !x.places.full(time.Now()); {
			s := ready[i]
			p := x.places.pick(s, failed[s.ID], time.Now())
			if p == nil && s.Exclusive {
				break // let a node run empty for it
			}
			if p == nil {
				i++
				continue
			}
			if i == 0 {
				ready = ready[1:]
			} else {
				ready = slices.Delete(ready, i, i+1)
			}
			running++
			begun[s.ID] = true
			p.begin(s)
			blocked := x.blockedBy(s)
			inputs := x.inputs(s)
			attempt := len(failed[s.ID]) + 1
			stepCtx, cancel := context.WithCancel(ctx)
			h := x.control.started(s.ID, cancel)
			go func() {
				o := outcome{step: s, place: p}
				defer func() {
					if o.panicked = recover(); o.panicked != nil {
						o.panicked = fmt.Sprintf("%v\n\n%s", o.panicked, debug.Stack())
					}
					ended <- o
				}()
				o = x.step(stepCtx, s, p, attempt, h, blocked, inputs)
			}()
		}
		if running == 0 && len(ready) == 0 && len(open) == 0 {
			break
		}
		if running == 0 && held {
			select {
			case <-x.control.woken:
			case <-ctx.Done():
				x.control.hold(false, "interrupted")
			}
			continue
		}
		if running == 0 {
			// All nodes rest.
			select {
			case <-time.After(time.Until(x.places.rested(time.Now()))):
			case <-ctx.Done():
				for _, p := range x.places {
					p.rests = time.Time{}
				}
			}
			continue
		}
		var wake <-chan time.Time
		if rested := x.places.rested(time.Now()); len(ready) > 0 && !rested.IsZero() {
			wake = time.After(time.Until(rested))
		}
		select {
		case <-wake:
		case <-x.control.woken:
		case p := <-x.storing:
			p.storing++
		case o := <-ended:
			running--
			x.control.ended(o.step.ID)
			if o.panicked != nil {
				panic(o.panicked) // here, where whoever runs the engine can catch it
			}
			o.place.end(o, x.Backoff, time.Now())
			x.broken(o.unkept)
			if o.again {
				failed[o.step.ID] = append(failed[o.step.ID], o.place)
				delete(begun, o.step.ID)
				ready = slices.Insert(ready, 0, o.step)
				continue
			}
			done(o)
		}
	}
}

// atOnce is how many steps are settled together.
const atOnce = 512

// settle ends those of the steps that need not run, in their order, and gives
// the others. Results are looked up on all cores, and events written together.
func (x *execution) settle(ctx context.Context, steps []*Step, done func(outcome)) (run []*Step) {
	type settled struct {
		outcome
		said event.Prepared
	}
	list := make([]settled, len(steps))
	workers := min(runtime.GOMAXPROCS(0), len(steps))
	panicked := make([]any, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					panicked[w] = fmt.Sprintf("%v\n\n%s", p, debug.Stack())
				}
			}()
			for i := w; i < len(steps); i += workers {
				o, said, _ := x.withoutRunning(ctx, steps[i], x.blockedBy(steps[i]), x.Store.Known)
				list[i] = settled{o, x.log.Prepare(said...)}
			}
		})
	}
	all.Wait()
	for _, p := range panicked {
		if p != nil {
			panic(p) // as with that of a step that runs
		}
	}
	var said event.Prepared
	for i, o := range list {
		if o.status == "" {
			run = append(run, steps[i])
			continue
		}
		said = append(said, o.said...)
		if x.left[ExperimentID{o.step.Artifact, o.step.Experiment}] == 1 {
			x.log.Record(said) // before the verdicts
			said = nil
		}
		done(o.outcome)
	}
	x.log.Record(said)
	return run
}

// blockedBy is how a step ended that s needs and that did not succeed.
func (x *execution) blockedBy(s *Step) *outcome {
	for _, id := range s.After {
		if o := x.outcomes[id]; o.status != event.Done {
			return &o
		}
	}
	return nil
}

func (x *execution) inputs(s *Step) []outcome {
	var in []outcome
	for _, id := range s.Inputs {
		in = append(in, x.outcomes[id])
	}
	return in
}

func (x *execution) finish(o outcome) {
	x.outcomes[o.step.ID] = o
	if o.reused {
		x.sum.Steps["reused"]++
	} else {
		x.sum.Steps[string(o.status)]++
	}
	if o.status == event.Failed {
		x.sum.Failures[o.class]++
	}
	id := ExperimentID{o.step.Artifact, o.step.Experiment}
	x.ran[id] = x.ran[id] || !o.reused && o.status != event.SkippedOn
	if x.left[id]--; x.left[id] > 0 {
		return
	}
	if x.ran[id] && x.control.haltsAfterExperiments() {
		x.control.hold(true, id.Artifact+"/"+id.Experiment+" has ended")
	}
	for _, m := range x.plan.Artifacts {
		if m.Artifact == id.Artifact {
			x.judge(m, id.Experiment)
		}
	}
}

// judge evaluates the claims of one experiment, all of whose steps have ended.
func (x *execution) judge(m *artifacts.Manifest, experiment string) {
	claims := map[string]checks.Claim{}
	for id, c := range m.Claims {
		if c.Experiment == experiment {
			claims[id] = c
		}
	}
	if len(claims) == 0 {
		return
	}
	var measured []outcome
	var warnings [][]string // of each of them
	in := checks.Input{Profile: x.plan.Profile, Experiments: map[string]checks.Status{}}
	status := checks.Status{State: checks.OK}
	if why, left := x.plan.Left[ExperimentID{m.Artifact, experiment}]; left {
		status = checks.Status{State: checks.LeftOut, Reason: why}
	}
	for _, s := range x.of[ExperimentID{m.Artifact, experiment}] {
		o := x.outcomes[s.ID]
		if s.measures() {
			measured = append(measured, o)
			status.Measured = true
			warnings = append(warnings, o.warnings)
		}
		in.Observations = append(in.Observations, o.observations...)
		if status.State != checks.OK {
			continue
		}
		if o.left {
			status = checks.Status{State: checks.NotRun, Reason: s.ID + " was " + o.why}
			continue
		}
		switch o.status {
		case event.Failed:
			status = checks.Status{State: checks.Failed, Reason: fmt.Sprintf("%s failed: %s", s.ID, o.why)}
		case event.Cancelled:
			status = checks.Status{State: checks.NotRun, Reason: "interrupted"}
		case event.SkippedOn:
			status = checks.Status{State: checks.Failed, Reason: o.why}
		}
	}
	status.Warnings = checks.Gather(warnings)
	in.Experiments[experiment] = status
	if how := unlike(measured); how != "" {
		x.log.Emit(event.Warned{Message: fmt.Sprintf("%s/%s compares what unlike machines measured: %s", m.Artifact, experiment, how)})
	}
	for _, v := range checks.Evaluate(claims, in) {
		x.sum.Claims[v.Outcome]++
		x.sum.Verdicts[m.Artifact] = append(x.sum.Verdicts[m.Artifact], v)
		x.log.Emit(event.Judged{Artifact: m.Artifact, Verdict: v})
	}
}

// withoutRunning ends a step that need not run, or cannot, and gives the events
// of that. Otherwise the outcome has no status, and the error says why no stored
// result stands in, if more is to be said than that there is none.
func (x *execution) withoutRunning(ctx context.Context, s *Step, blocked *outcome, look lookUp) (o outcome, said []event.Payload, err error) {
	o.step = s
	if blocked != nil {
		o.status, o.left, o.why = event.SkippedOn, blocked.left, blocked.step.ID+" did not succeed"
		if o.left {
			o.why = "skipped with " + blocked.step.ID
		}
		return o, []event.Payload{event.StepFinished{Step: s.ID, Status: o.status, Error: o.why}}, nil
	}
	if ctx.Err() != nil {
		o.status, o.why = event.Cancelled, "interrupted"
		return o, []event.Payload{event.StepFinished{Step: s.ID, Status: o.status}}, nil
	}
	result, err := x.stored(s, look)
	if result == nil {
		return o, nil, err
	}
	list, err := readObservations(result.Observations())
	if err != nil {
		return o, nil, fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	o.status, o.reused, o.dir, o.node, o.machine = event.Done, true, result.Dir, result.Node, measuredOn(s, result)
	o.warnings = result.Warnings
	o.observations = labelled(s, list)
	said = append(said, event.StepReused{Step: s.ID, Key: s.Key, From: result.Run, Host: x.unlikeHere(result), Log: result.Dir, Seconds: result.Usage.Wall.Seconds(), Observations: len(list), Made: made(result)})
	for _, w := range result.Warnings {
		said = append(said, event.Warned{Step: s.ID, Message: w})
	}
	return o, append(said, observed(s, o.observations)...), nil
}

// step brings one step to its end, or an attempt at it; it runs beside others.
func (x *execution) step(ctx context.Context, s *Step, p *place, attempt int, h *handle, blocked *outcome, inputs []outcome) outcome {
	// Again, since another may have measured the same by now.
	o, said, err := x.withoutRunning(ctx, s, blocked, x.Store.Lookup)
	o.place = p
	if o.status != "" {
		x.log.Emit(said...)
		return o
	}
	why := x.Store.Why(s.ID, s.Key, s.Parts, err)
	end := event.StepFinished{Step: s.ID}
	records, err := x.run.Begin(s.ID, s.Key, s.Parts, p.Name(), p.machine, x.Now())
	if err != nil {
		end.Status, end.Class, end.Error = event.Failed, event.InfrastructureFailure, err.Error()
		o.unkept = x.unkept(err)
	} else {
		if attempt > 1 {
			why = fmt.Sprintf("attempt %d: %s", attempt, why)
		}
		x.log.Emit(event.StepStarted{Step: s.ID, Key: s.Key, Node: p.Name(), Reason: why, Log: records.Dir, Queued: p.queue})
		o.observations = x.attempt(ctx, s, records, inputs, h.now, &end, &o)
	}
	if end.Status == event.Cancelled && x.control.skipped(h) {
		end.Status, end.Error, o.left = event.SkippedOn, "skipped on request", true
	}
	o.status, o.class, o.why = end.Status, end.Class, end.Error
	if o.nodeFailed && attempt < x.Attempts && ctx.Err() == nil {
		o.again = true
		x.log.Emit(event.Warned{Step: s.ID, Message: fmt.Sprintf("will be tried again: %s", end.Error)})
		return o
	}
	x.log.Emit(end)
	return o
}

// Stored gives the result that stands in for a step, or nil and why the step
// has to run.
func (e *Engine) Stored(s *Step) (result *store.Result, why string) {
	result, err := e.stored(s, e.Store.Lookup)
	if result == nil {
		why = e.Store.Why(s.ID, s.Key, s.Parts, err)
	}
	return result, why
}

var errFresh = errors.New("asked for by --fresh")

type lookUp func(key string) (*store.Result, error)

func (e *Engine) stored(s *Step, look lookUp) (*store.Result, error) {
	result, err := look(s.Key)
	if e.Fresh && (result == nil || !slices.Contains(e.Resumes, result.Run)) {
		return nil, errFresh
	}
	return result, err
}

// made is what a result's step left.
func made(r *store.Result) event.Made {
	return event.Made{ObservationsSHA256: r.Checksum, Outputs: r.Outputs, Disk: r.Disk}
}

// unlikeHere names the machine that measured an earlier result where it is unlike
// those of this run, and describes it.
func (x *execution) unlikeHere(r *store.Result) string {
	if r.Machine.Cores == 0 || slices.ContainsFunc(x.places, func(p *place) bool { return p.machine.String() == r.Machine.String() }) {
		return ""
	}
	name := r.Run + "/" + r.Node
	x.describe(name, r.Machine)
	return name
}

// describe has the log describe a machine that the run did not begin with, once.
func (x *execution) describe(name string, m node.Machine) {
	if _, known := x.hosts.LoadOrStore(name, true); !known {
		x.log.Emit(event.Node{Name: name, Machine: m})
	}
}

// labelled adds the runner's labels to observations.
func labelled(s *Step, list []checks.Observation) []checks.Observation {
	out := make([]checks.Observation, len(list))
	for i, o := range list {
		labels := maps.Clone(s.Labels)
		maps.Copy(labels, o.Labels)
		o.Labels = labels
		out[i] = o
	}
	return out
}

// observed are the events of what a step observed.
func observed(s *Step, list []checks.Observation) []event.Payload {
	out := make([]event.Payload, len(list))
	for i, o := range list {
		out[i] = event.Observed{Step: s.ID, Observation: o}
	}
	return out
}

// attempt runs the step's command, takes in what it reports, and stores the
// result. It fills in how the step ended.
func (x *execution) attempt(ctx context.Context, s *Step, a *store.Attempt, inputs []outcome, now <-chan struct{}, end *event.StepFinished, o *outcome) []checks.Observation {
	fail := func(class event.Class, err error) []checks.Observation {
		if gone := x.run.There(); gone != nil {
			class, err, o.unkept = event.InfrastructureFailure, fmt.Errorf("%w: %w", gone, err), gone
		}
		end.Status, end.Class, end.Error = event.Failed, class, x.Secrets.Hide(err.Error())
		// A full disk may well be why the step failed.
		if bad := errors.Join(a.Failed(end.Error), x.Store.Writable()); bad != nil && o.unkept == nil {
			if o.unkept = x.unkept(bad); o.unkept == nil {
				x.log.Emit(event.Warned{Step: s.ID, Message: bad.Error()})
			}
		}
		return nil
	}
	stdout, err := os.Create(filepath.Join(a.Dir, store.StdoutFile))
	if err != nil {
		return fail(event.InfrastructureFailure, err)
	}
	defer func() { _ = stdout.Close() }()
	stderr, err := os.Create(filepath.Join(a.Dir, store.StderrFile))
	if err != nil {
		return fail(event.InfrastructureFailure, err)
	}
	defer func() { _ = stderr.Close() }()

	if err := x.seated(s); err != nil {
		return fail(event.ConfigurationFailure, err)
	}
	command := node.Command{
		Dir: a.Work, Files: map[string]string{}, Limit: s.Limit, Memory: s.Memory, Exclusive: s.Exclusive,
		Now:    now,
		Note:   func(text string) { x.log.Emit(event.Warned{Step: s.ID, Message: text}) },
		Queued: func(reason string) { x.log.Emit(event.StepQueued{Step: s.ID, Reason: reason, Begun: reason == ""}) },
	}
	var flush func() error
	command.Stdout, command.Stderr, flush = x.Secrets.Before(stdout, stderr)
	command.Name = s.ID
	if !x.Fresh {
		command.Key = s.Key
	}
	report := &reportReader{progress: func(p progress) {
		x.log.Emit(event.StepProgress{Step: s.ID, Done: p.Done, Total: p.Total, Doing: p.Doing})
	}}
	for name, source := range s.Sources {
		path, err := x.Fetch(ctx, x.manifest(s.Artifact), name, source)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			return fail(event.InfrastructureFailure, fmt.Errorf("source %s: %w", name, err))
		}
		command.Files[SourceVariable(name)] = path
	}
	if command.Argv, err = Argv(s, o.place.Self()); err != nil {
		return fail(event.ConfigurationFailure, err)
	}
	command.Env = Environ(s)
	command.Withhold = x.withhold
	if command.Secrets, err = x.handed(s); err != nil {
		return fail(event.ConfigurationFailure, err)
	}
	if s.Builtin != nil {
		a.Clean = true
		command.Stdout = report
		switch {
		case s.Builtin.ReadsTraces && x.Traces != "":
			command.Files[TracesVariable] = x.Traces
		case s.Builtin.ReadsTraces: // nor those of the machine it runs on: the key knows of none
			command.Env = append(command.Env, TracesVariable+"=")
		}
	} else {
		if err := placeInputs(a.Work, inputs); err != nil {
			return fail(event.InfrastructureFailure, err)
		}
		command.Env = append(command.Env, "REPRISE="+o.place.Self())
	}
	command.Env = append(command.Env, x.roles(s)...)
	var disks map[string][]device.Device
	if len(s.Devices) > 0 {
		var env []string
		var err error
		env, disks, err = devices(ctx, o.place.Node, s.Devices)
		var lacking *device.Error
		switch {
		case errors.As(err, &lacking):
			return fail(event.ConfigurationFailure, err)
		case err != nil:
			o.nodeFailed = true
			return fail(event.InfrastructureFailure, err)
		}
		command.Env = append(command.Env, env...)
		command.Note(mayOverwrite(disks))
	}
	conditions := watchConditions(ctx, s, o.place.Node)
	r, err := o.place.Run(ctx, command)
	if bad := errors.Join(flush(), blot(command.Secrets, a.Work, func(text string) {
		a.Warn(x.Secrets.Hide(text))
		command.Note(text)
	})); err == nil {
		err = bad
	}
	if r.Host != "" {
		end.Host = o.place.Name() + ":" + r.Host
		a.Ran(end.Host, r.Machine)
		x.describe(end.Host, r.Machine)
	}
	end.Seconds, end.UserSeconds, end.SysSeconds, end.MaxRSS =
		r.Usage.Wall.Seconds(), r.Usage.User.Seconds(), r.Usage.Sys.Seconds(), r.Usage.MaxRSS
	if err != nil {
		o.nodeFailed = true
		return fail(event.InfrastructureFailure, err)
	}
	if err := failure(r, s); err != nil {
		if r.End == node.Stopped {
			end.Status = event.Cancelled
			if bad := a.Failed("interrupted"); bad != nil {
				x.log.Emit(event.Warned{Step: s.ID, Message: bad.Error()})
			}
			return nil
		}
		end.Tail = store.Tail(filepath.Join(a.Dir, store.StderrFile))
		if n := len(end.Tail); s.Builtin != nil && r.End == node.Exited && n > 0 {
			err = fmt.Errorf("%w: %s", err, strings.TrimPrefix(end.Tail[n-1], "reprise: error: "))
		}
		return fail(event.ExperimentFailure, err)
	}
	list := report.list
	lines := report.observations.Bytes()
	if s.Builtin != nil {
		err = report.end()
	} else {
		for _, spec := range s.Shell.Extract {
			found, bad := extract(spec, stdout.Name(), stderr.Name(), a.Work)
			if bad != nil {
				return fail(event.ExperimentFailure, bad)
			}
			list = append(list, found...)
		}
	}
	if hid := hideIn(list, x.Secrets); err == nil && (hid || s.Builtin == nil) {
		lines, err = encodeObservations(list)
	}
	if err != nil {
		return fail(event.ExperimentFailure, err)
	}
	if s.Builtin == nil {
		if err := checkOutputs(a.Work, s.Shell.Outputs); err != nil {
			return fail(event.ExperimentFailure, err)
		}
		files, err := outputs(a.Work, s.Shell.Outputs)
		if err == nil {
			err = a.Left(files)
		}
		if err != nil {
			return fail(event.InfrastructureFailure, err)
		}
	}
	for _, w := range append(conditions(r.Usage), x.steady.after(s, o.place.Name(), disks, len(list))...) {
		a.Warn(w)
		x.log.Emit(event.Warned{Step: s.ID, Message: w})
	}
	if !s.Exclusive && !x.control.haltsAfterExperiments() { // its end may hold the run
		a.Written = func() {
			o.stored = true
			x.storing <- o.place
		}
	}
	result, err := a.Done(r.Usage, lines, len(list))
	if err != nil {
		o.unkept = x.unkept(err)
		return fail(event.InfrastructureFailure, err)
	}
	o.dir, o.node, o.machine, o.warnings, end.Log = result.Dir, result.Node, measuredOn(s, result), result.Warnings, result.Dir
	end.Status, end.Observations, end.Made = event.Done, len(list), made(result)
	list = labelled(s, list)
	x.log.Emit(observed(s, list)...)
	return list
}

func (x *execution) manifest(artifact string) *artifacts.Manifest {
	for _, m := range x.plan.Artifacts {
		if m.Artifact == artifact {
			return m
		}
	}
	return nil
}

// failure says in words how a command that did not succeed ended.
func failure(r node.Result, s *Step) error {
	switch r.End {
	case node.Exited:
		if r.ExitCode == 0 {
			return nil
		}
		return fmt.Errorf("exit status %d", r.ExitCode)
	case node.Signalled:
		return fmt.Errorf("ended by signal %q", r.Signal)
	case node.TimedOut:
		return fmt.Errorf("still running after its limit of %v", s.Limit)
	case node.OverLimit:
		return fmt.Errorf("used more memory than its limit of %v", artifacts.Size(s.Memory))
	}
	return errors.New(string(r.End))
}

// devices finds on a node what a step may overwrite, and gives the variables
// that tell it. It is asked anew for every step: what was free may be in use.
func devices(ctx context.Context, n node.Node, wants map[string]artifacts.Device) (env []string, chosen map[string][]device.Device, err error) {
	inventory, knows := n.(node.Inventory)
	if !knows {
		return nil, nil, fmt.Errorf("%s cannot say which disks it has", n.Name())
	}
	have, err := inventory.Devices(ctx)
	if err != nil {
		return nil, nil, err
	}
	chosen, err = device.Choose(wants, have)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", n.Name(), err)
	}
	for _, name := range sortedStrings(chosen) {
		env = append(env, DeviceVariable(name)+"="+strings.Join(paths(chosen[name]), " "))
	}
	return env, chosen, nil
}

func paths(list []device.Device) []string {
	var all []string
	for _, d := range list {
		all = append(all, d.Path)
	}
	return all
}

func mayOverwrite(chosen map[string][]device.Device) string {
	var parts []string
	for _, name := range sortedStrings(chosen) {
		var described []string
		for _, d := range chosen[name] {
			described = append(described, d.String())
		}
		parts = append(parts, name+": "+strings.Join(described, ", "))
	}
	return "may overwrite " + strings.Join(parts, "; ")
}

// TracesVariable is the environment variable that names the folder of real
// traces.
const TracesVariable = "REPRISE_TRACES"

// SourceVariable is the environment variable under which a step finds a
// source: REPRISE_SOURCE_ and the source's name in capitals.
func SourceVariable(name string) string {
	return "REPRISE_SOURCE_" + strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
}

// shellEnv gives a shell step its parameters, each under its own name, and its
// declared variables.
func shellEnv(s *Step) []string {
	var env []string
	for _, name := range sortedStrings(s.Params) {
		env = append(env, name+"="+artifacts.FormatValue(s.Params[name]))
	}
	for _, name := range sortedStrings(s.Shell.Env) {
		env = append(env, name+"="+os.Expand(s.Shell.Env[name], func(param string) string {
			if v, ok := s.Params[param]; ok {
				return artifacts.FormatValue(v)
			}
			return ""
		}))
	}
	return env
}

// placeInputs copies the declared outputs of the point's earlier steps into
// the step's own folder, so that a step never changes what another has stored.
// Those of a step that ran on several nodes stand in a folder for each.
func placeInputs(work string, inputs []outcome) error {
	for _, in := range inputs {
		from := filepath.Join(in.dir, store.WorkDir)
		files, err := outputs(from, in.step.Shell.Outputs)
		if err != nil {
			return err
		}
		to := work
		if in.step.several() {
			to = filepath.Join(work, in.step.seat())
		}
		for _, name := range files {
			if err := copyAll(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
				return fmt.Errorf("output %s of %s: %w", name, in.step.ID, err)
			}
		}
	}
	return nil
}

func checkOutputs(work string, globs []string) error {
	for _, glob := range globs {
		files, err := outputs(work, []string{glob})
		if err != nil {
			return err
		}
		if len(files) == 0 {
			return fmt.Errorf("output %s was not written", glob)
		}
	}
	return nil
}

func outputs(work string, globs []string) ([]string, error) {
	var files []string
	for _, glob := range globs {
		if !filepath.IsLocal(glob) {
			return nil, fmt.Errorf("output %s is outside the step's folder", glob)
		}
		found, err := fs.Glob(os.DirFS(work), glob)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", glob, err)
		}
		files = append(files, found...)
	}
	return files, nil
}

func copyAll(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, info.Mode().Perm())
}
