package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/exp/teatest/v2"
	"github.com/stretchr/testify/require"

	"reprise/checks"
	"reprise/runner/event"
)

// terminal is the UI running in a terminal that the test looks at and types
// into.
type terminal struct {
	t  *testing.T
	tm *teatest.TestModel
}

// probe looks at the model from within its own loop.
type probe func(*model)

type probed struct{ *model }

func (p probed) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if look, is := msg.(probe); is {
		look(p.model)
		return p, nil
	}
	_, cmd := p.model.Update(msg)
	return p, cmd
}

func open(t *testing.T, o Options, w, h int) *terminal {
	m, err := newModel(o)
	require.NoError(t, err)
	tm := teatest.NewTestModel(t, probed{m}, teatest.WithInitialTermSize(w, h),
		teatest.WithProgramOptions(tea.WithColorProfile(colorprofile.NoTTY), tea.WithoutSignalHandler()))
	go func() { _, _ = io.Copy(io.Discard, tm.Output()) }()
	return &terminal{t, tm}
}

func (x *terminal) screen() string {
	got := make(chan string, 1)
	x.tm.Send(probe(func(m *model) { got <- screenOf(m) }))
	select {
	case s := <-got:
		return s
	case <-time.After(5 * time.Second):
		return "(the UI does not answer)"
	}
}

func (x *terminal) press(keys ...string) {
	for _, k := range keys {
		x.tm.Send(keystroke(k))
	}
}

// sees waits until the screen holds all the texts.
func (x *terminal) sees(texts ...string) {
	x.t.Helper()
	var s string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		s = x.screen()
		all := true
		for _, text := range texts {
			all = all && strings.Contains(s, text)
		}
		if all {
			return
		}
	}
	x.t.Fatalf("never saw %q; the screen is\n%s", texts, s)
}

func (x *terminal) quits() {
	x.t.Helper()
	x.tm.WaitFinished(x.t, teatest.WithFinalTimeout(10*time.Second))
}

// script is a run under the test's control.
type script struct {
	runs, killed atomic.Int32
	now          atomic.Int64  // seconds since noon
	obey         chan struct{} // closed: the steps end when asked to
}

func (s *script) clock() time.Time { return noon.Add(time.Duration(s.now.Load()) * time.Second) }

// job is a run of two steps that end at once and one that goes on until it is
// stopped. The second time, all of it works.
func (s *script) job() *Job {
	killed := make(chan struct{})
	return &Job{
		Title: "starting", Command: "reprise run demo",
		Kill: func() { s.killed.Add(1); close(killed) },
		Run: func(ctx context.Context, show event.Subscriber) error {
			n := s.runs.Add(1)
			log := event.NewLog(fmt.Sprintf("run-%d", n), io.Discard, s.clock, show)
			log.Emit(event.RunStarted{Artifacts: []string{"demo"}, Profile: "kick", Steps: 3})
			log.Emit(event.Planned{Experiments: []event.PlannedExperiment{{Artifact: "demo", Experiment: "E1", Title: "waits",
				Steps: []string{"demo/E1/a", "demo/E1/b", "demo/E1/c"}, Claims: []event.PlannedClaim{{Claim: "C1", Statement: "it ends"}}}}})
			log.Emit(event.StepStarted{Step: "demo/E1/a", Node: "local", Reason: "first run"})
			log.Emit(event.StepFinished{Step: "demo/E1/a", Status: event.Done, Seconds: 1})
			log.Emit(event.StepStarted{Step: "demo/E1/b", Node: "local", Reason: "first run"})
			if n == 1 {
				log.Emit(event.StepFinished{Step: "demo/E1/b", Status: event.Failed, Error: "exit status 9", Tail: []string{"no space in the cupboard"}})
			} else {
				log.Emit(event.StepFinished{Step: "demo/E1/b", Status: event.Done, Seconds: 1})
			}
			log.Emit(event.StepStarted{Step: "demo/E1/c", Node: "local", Reason: "first run"})
			status, outcome := event.Done, "finished"
			if n == 1 {
				<-ctx.Done()
				status, outcome = event.Cancelled, "interrupted"
				select {
				case <-s.obey:
				case <-killed:
				}
			}
			log.Emit(event.StepFinished{Step: "demo/E1/c", Status: status})
			log.Emit(event.Judged{Artifact: "demo", Verdict: checks.Verdict{Claim: "C1", Statement: "it ends", Outcome: checks.Inconclusive}})
			log.Emit(event.RunFinished{Outcome: outcome, Seconds: 3})
			return nil
		},
	}
}

func newScript() *script { return &script{obey: make(chan struct{})} }

func (s *script) options() Options { return Options{Now: s.clock, Theme: "default", Still: true} }

func TestCancelAndRetry(t *testing.T) {
	s := newScript()
	o := s.options()
	o.Job = s.job()
	x := open(t, o, 80, 24)
	x.sees("2/3 steps: 1 running, 1 failed", "running 0 s")
	s.now.Store(75)
	x.sees("running 1:15")

	x.press("F", "3")
	x.sees("exit status 9", "no space in the cupboard")
	x.press("2")

	// Cancelling asks first, and any other key than the answer changes nothing.
	x.press("c")
	x.sees("? c or y: cancel the run and lose the work of demo/E1/c")
	x.press("n")
	x.sees("running 1:15")
	x.press("c", "y")
	x.sees("stopping demo/E1/c")
	close(s.obey)
	x.sees("interrupted", "1 failed, 1 cancelled", "? C1 inconclusive")
	require.Zero(t, s.killed.Load())

	x.press("r")
	x.sees("finished after 3.0 s", "3/3 steps")
	require.EqualValues(t, 2, s.runs.Load())
	x.press("q")
	x.quits()
}

// wishes records what the UI asks of a run.
type wishes struct {
	mu   sync.Mutex
	list []string
}

func (w *wishes) add(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, fmt.Sprintf(format, args...))
}

func (w *wishes) are(t *testing.T, want ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.Equal(w.list, want)
	}, 5*time.Second, 5*time.Millisecond, "%q", w.list)
}

func (w *wishes) grant(j *Job) *Job {
	j.Cancel = func(step string) bool { w.add("cancel %s", step); return true }
	j.Skip = func(steps ...string) { w.add("skip %s", strings.Join(steps, ",")) }
	j.Hold = func(on bool) { w.add("hold %v", on) }
	j.HoldAfter = func(on bool) { w.add("after %v", on) }
	return j
}

func TestCancelOneStep(t *testing.T) {
	s := newScript()
	close(s.obey)
	o := s.options()
	var w wishes
	o.Job = w.grant(s.job())
	x := open(t, o, 80, 24)
	x.sees("1 running", "x cancel the step") // the cursor follows what runs
	x.press("x")
	x.sees("? x or y: cancel and lose the work of demo/E1/c")
	x.press("x")
	x.sees("stopping demo/E1/c and releasing its place on local; x again kills it")
	x.press("?", "esc") // the message goes, the key stays
	x.sees("x kill the step")
	x.press("x")
	x.sees("killing demo/E1/c")
	w.are(t, "after false", "cancel demo/E1/c", "cancel demo/E1/c")
	x.press("k")
	x.press("x") // this one does not run
	x.sees("1 running")
	x.press("ctrl+c")
	x.quits()
}

func TestSkipAndPause(t *testing.T) {
	s := newScript()
	close(s.obey)
	o := s.options()
	var w wishes
	o.Job = w.grant(s.job())
	x := open(t, o, 100, 24)
	x.sees("1 running")
	x.press("S")
	x.sees("? S or y: skip and lose the work of demo/E1/c")
	x.press("n", "k", "k", "k") // the experiment: what is left of it
	x.press("S", "y")
	x.sees("skipping demo/E1/c and what needs it")
	x.press("p")
	x.sees("no further step begins; what runs goes on")
	x.press("P")
	x.sees("the run holds whenever an experiment has ended")
	x.press("P")
	w.are(t, "after false", "skip demo/E1/c", "hold true", "after true", "after false")
	x.press("ctrl+c")
	x.quits()
}

// TestHeldRun shows why a run holds and how it goes on.
func TestHeldRun(t *testing.T) {
	var w wishes
	o := still("default")
	hold := make(chan struct{})
	o.Job = w.grant(&Job{Kill: func() {}, Run: func(ctx context.Context, show event.Subscriber) error {
		log := event.NewLog("held", io.Discard, o.Now, show)
		log.Emit(event.RunStarted{Artifacts: []string{"demo"}, Profile: "kick"})
		log.Emit(event.Held{On: true, Why: "demo/E1 has ended"})
		<-hold
		log.Emit(event.Held{})
		<-ctx.Done()
		return nil
	}})
	x := open(t, o, 100, 24)
	x.sees("‖ held: demo/E1 has ended, p goes on")
	x.press("p")
	w.are(t, "after false", "hold false")
	close(hold)
	x.sees("running 0 s")
	x.press("ctrl+c")
	x.quits()
}

// TestReplayPauses has a replay stand still and go faster.
func TestReplayPauses(t *testing.T) {
	var w wishes
	o := still("default")
	o.Job = &Job{
		Hold:  func(on bool) { w.add("hold %v", on) },
		Speed: func(by float64) float64 { w.add("speed %g", by); return 10 * by },
		Run: func(ctx context.Context, show event.Subscriber) error {
			for _, e := range stream(t, "verdicts")[:40] {
				show(e)
			}
			<-ctx.Done()
			return nil
		},
	}
	x := open(t, o, 100, 24)
	x.sees("verdicts · kick")
	x.press("p")
	x.sees("‖ paused, p goes on")
	x.press("p")
	x.press("+")
	x.sees("20 times as fast")
	x.press("-")
	x.sees("5 times as fast")
	w.are(t, "hold true", "hold false", "speed 2", "speed 0.5")
	x.press("q")
	x.quits()
}

// TestEditAndRunAgain changes a parameter of a run that has ended.
func TestEditAndRunAgain(t *testing.T) {
	s := newScript()
	o := s.options()
	home := demoHome(t)
	var started []Choice
	home.Start = func(c Choice) (*Job, error) {
		started = append(started, c)
		return played(stream(t, "failures")), nil
	}
	o.Form = &home.Form
	o.Job = played(stream(t, "verdicts"))
	o.Job.Kill = func() {}
	o.Job.Choice = &Choice{Artifacts: []string{"verdicts"}, Profile: "kick", Params: map[string]string{"policy": "lru"}}
	x := open(t, o, 100, 30)
	x.sees("✓ finished", "e edit and run again")
	x.press("e")
	x.sees("Run verdicts", "= lru (changed)", "2 steps: 1 run, 1 reused")
	x.press("esc")
	x.sees("✓ finished")
	x.press("e", "k", "k", "k", "enter", "7", "enter")
	x.sees("= 7 (changed)")
	x.press("s")
	x.sees("finished with failures")
	require.Equal(t, []Choice{{Artifacts: []string{"verdicts"}, Profile: "kick", Params: map[string]string{"policy": "lru", "seed": "7"}}}, started)
	x.press("q")
	x.quits()
}

// TestChooseAPlatform shows what a lease costs before anything is started.
func TestChooseAPlatform(t *testing.T) {
	o := still("default")
	o.Home = demoHome(t)
	x := open(t, o, 120, 30)
	x.sees("3 Platforms", "verdicts:storage", "not leased")
	x.press("3", "j")
	x.sees("1 × storage_nvme at CHI@UC", "--on chameleon:storage")
	x.press("enter")
	x.sees("‹ verdicts:storage ›", "lease: 1 × storage_nvme at CHI@UC for 6.25 h: 6.25 SU")
	x.press("k", "k", "right") // after the last comes what the profile says
	x.sees("‹ local ›", "which costs nothing")
	x.press("left")
	x.sees("6.25 SU")
	x.press("esc", "q")
	x.quits()
}

// TestReport shows the verdicts in the terminal and has the report written.
func TestReport(t *testing.T) {
	o := still("default")
	o.Job = played(stream(t, "verdicts"))
	o.Job.Report = func(run string) (string, error) { return "the report of " + run + " is in r.html", nil }
	x := open(t, o, 100, 30)
	x.sees("finished")
	x.press("o")
	x.sees("Report of run", "verdicts/C3  ✗ not-reproduced", "r.html")
	x.press("G")
	x.sees("Records: ")
	x.press("q", "q")
	x.quits()
}

// TestMouse is the terminal's unless it was asked for.
func TestMouse(t *testing.T) {
	m := watching(t, still("default"), stream(t, "verdicts"), 120, 40)
	require.Equal(t, tea.MouseModeNone, m.View().MouseMode)
	o := still("default")
	o.Mouse = true
	m = watching(t, o, stream(t, "verdicts"), 120, 40)
	require.Equal(t, tea.MouseModeCellMotion, m.View().MouseMode)
	m.Update(tea.MouseClickMsg{X: 100, Y: 30, Button: tea.MouseLeft})
	require.Equal(t, logAt, m.watch.focus)
	m.Update(tea.MouseClickMsg{X: 3, Y: 30, Button: tea.MouseLeft})
	require.Equal(t, stepsAt, m.watch.focus)
	m.Update(tea.MouseWheelMsg{Button: tea.MouseWheelDown})
	require.Equal(t, wheelRows, m.watch.tree.cur.at)
	m.Update(tea.MouseWheelMsg{Button: tea.MouseWheelUp})
	require.Zero(t, m.watch.tree.cur.at)
}

func TestCtrlCStopsThenKills(t *testing.T) {
	s := newScript()
	o := s.options()
	o.Job = s.job()
	x := open(t, o, 80, 24)
	x.sees("1 running")
	x.press("ctrl+c")
	x.sees("stopping demo/E1/c; ctrl-c again kills", "■ stopping")
	require.Zero(t, s.killed.Load())
	x.press("ctrl+c") // the step does not obey
	x.quits()
	require.EqualValues(t, 1, s.killed.Load())
}

func TestLeavingARunAsksFirst(t *testing.T) {
	s := newScript()
	close(s.obey)
	o := s.options()
	o.Job = s.job()
	x := open(t, o, 80, 24)
	x.sees("1 running")
	x.press("q")
	x.sees("? q or y: stop, leave and lose the work of demo/E1/c")
	x.press("q")
	x.quits()
	require.Zero(t, s.killed.Load())
}

func TestLeavingAnotherProcessesRunDoesNotAsk(t *testing.T) {
	s := newScript()
	o := s.options()
	o.Job = s.job()
	o.Job.Kill = nil
	close(s.obey)
	x := open(t, o, 80, 24)
	x.sees("1 running")
	x.press("q")
	x.quits()
}

func TestFromHomeToVerdicts(t *testing.T) {
	s := newScript()
	o := s.options()
	o.Home = demoHome(t)
	x := open(t, o, 100, 30)
	x.sees("verdicts", "interrupted", "2 Recorded runs 3", "C3 not-reproduced (kick)")

	// What is recorded can be looked at.
	x.press("tab", "enter")
	x.sees("run", "finished with failures")
	x.press("q")
	x.sees("2 Recorded runs")

	// Choose what to run; a wrong parameter is refused and cannot be started.
	x.press("tab", "enter")
	x.sees("2 steps: 1 run, 1 reused", "‹ kick ›")
	x.press("k", "k", "k", "enter", "x", "enter")
	x.sees(`takes a whole`, "x (changed)")
	x.press("s")
	x.sees("the plan does not hold")
	x.press("x")
	x.sees("2 steps: 1 run, 1 reused")
	x.press("s")
	x.sees("✓ finished", "C3 not-reproduced", "the run has ended")
	x.press("q")
	x.sees("2 Recorded runs")
	x.press("q")
	x.quits()
}

// TestResumeFromHome: what was interrupted or failed can be gone on with, what
// has finished not.
func TestResumeFromHome(t *testing.T) {
	o := still("default")
	o.Home = demoHome(t)
	var resumed []string
	o.Home.Resume = func(r *Recorded) (*Job, error) {
		resumed = append(resumed, r.Start.Artifacts[0])
		if len(resumed) == 1 {
			return nil, errors.New("run 1 is under way in process 7")
		}
		return played(stream(t, "verdicts")), nil
	}
	x := open(t, o, 100, 30)
	x.sees("2 Recorded runs 3")
	x.press("r", "tab", "r")
	x.sees("there is nothing to go on with")
	x.press("j", "r")
	x.sees("error: run 1 is under way in process 7")
	x.press("j", "r")
	x.sees("✓ finished", "C3 not-reproduced")
	require.Equal(t, []string{"failures", "interrupted"}, resumed)
	// From the view of the run, too.
	x.press("q", "enter")
	x.sees("r go on with it")
	x.press("r")
	x.sees("✓ finished", "C3 not-reproduced")
	require.Len(t, resumed, 3)
	x.press("q", "q")
	x.quits()
}

// TestStartBeforeThePlanIsReady: a quick s counts, and going back calls it off.
func TestStartBeforeThePlanIsReady(t *testing.T) {
	slow := make(chan struct{})
	o := still("default")
	o.Home = demoHome(t)
	o.Home.Plan = func(Choice) (*Preview, error) {
		<-slow
		return &Preview{}, nil
	}
	x := open(t, o, 80, 24)
	x.press("enter", "s")
	x.sees("starts once it is planned")
	x.press("esc")
	x.sees("1 Artifacts")
	x.press("enter", "s")
	x.sees("starts once it is planned")
	close(slow)
	x.sees("✓ finished")
	x.press("q", "q")
	x.quits()
}

func TestFilterAndHelp(t *testing.T) {
	o := still("default")
	o.Job = played(stream(t, "verdicts"))
	x := open(t, o, 120, 40)
	x.sees("finished")
	x.press("/", "s", "i", "e", "v", "e", "enter")
	x.sees("3 match /sieve")
	x.press("/", "esc")
	x.press("/", "!", "s", "e", "e", "d", "enter")
	x.sees("1 match /!seed")
	x.press("esc", "/", "~", "f", "o", "3", "enter")
	x.sees("1 match /~fo3", "fifo, seed=3")
	x.press("esc", "/", "d", "o", "n", "e", "enter")
	x.sees("13 match /done")

	// The help lists the keys of the pane that has the focus.
	x.press("3", "?")
	x.sees("next match", "stop, leave; again: kill")
	x.press("esc", "4", "?")
	x.sees("next slice of many series")
	x.press("?", "q")
	x.quits()
}

func TestResizeStorm(t *testing.T) {
	o := still("default")
	o.Job = played(stream(t, "failures"))
	x := open(t, o, 80, 24)
	x.sees("finished with failures")
	rng := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		x.tm.Send(tea.WindowSizeMsg{Width: rng.IntN(200), Height: rng.IntN(60)})
	}
	x.tm.Send(tea.WindowSizeMsg{Width: 80, Height: 24})
	x.sees("finished with failures", "? help")
	x.press("q")
	x.quits()
}

// many is a stream of one experiment with n steps, all of which run.
func many(n int) []event.Event {
	var steps []string
	for i := range n {
		steps = append(steps, fmt.Sprintf("many/E1/policy=p%d,size=%d%%,seed=%d", i%40, i/40%50, i))
	}
	var events []event.Event
	log := event.NewLog("many", io.Discard, func() time.Time { return noon }, func(e event.Event) { events = append(events, e) })
	log.Emit(event.RunStarted{Artifacts: []string{"many"}, Profile: "paper", Steps: n})
	log.Emit(event.Planned{Experiments: []event.PlannedExperiment{{Artifact: "many", Experiment: "E1", Title: "many steps", Steps: steps}}})
	for i, s := range steps {
		if i == n-n/10 {
			break
		}
		log.Emit(event.StepStarted{Step: s, Node: "local", Reason: "first run"})
		log.Emit(event.StepProgress{Step: s, Done: 1, Total: 2})
		for m := range 3 {
			log.Emit(event.Observed{Step: s, Observation: checks.Observation{
				Metric: fmt.Sprintf("m%d", m), Value: float64(i), Unit: "1", Labels: map[string]string{"policy": fmt.Sprint("p", i%40), "size": fmt.Sprint(i/40%50, "%")},
			}})
		}
		if i < n-n/5 {
			log.Emit(event.StepFinished{Step: s, Status: event.Done, Seconds: 1, Observations: 3})
		}
	}
	return events
}

func TestTenThousandSteps(t *testing.T) {
	o := still("default")
	o.Job = played(many(10_000))
	x := open(t, o, 120, 40)
	x.sees("8000/10000 steps: 1000 running")
	x.press("G")
	x.sees("p39, 49%, seed=9999")
	x.press("/", "s", "e", "e", "d", "=", "7", "7", "7", "7", "enter")
	x.sees("1 match /seed=7777")
	x.press("4")
	x.sees("metric 1 of 3")
	x.press("q")
	x.quits()
}

func TestPanicOfAJobIsRaisedAgain(t *testing.T) {
	in, keys := io.Pipe()
	defer func() { _ = keys.Close() }()
	l, err := NewLive(Options{In: in, Out: io.Discard, Env: []string{"TERM=xterm"}, Now: time.Now, Theme: "default",
		Job: &Job{Run: func(context.Context, event.Subscriber) error { panic("broken") }}})
	require.NoError(t, err)
	require.PanicsWithValue(t, "broken", func() {
		defer func() {
			// The trace of the job comes with it.
			if p, is := recover().(string); is {
				first, trace, _ := strings.Cut(p, "\n")
				require.Contains(t, trace, "flow_test.go")
				panic(first)
			}
		}()
		_ = l.Run(t.Context())
	})
}

// TestInterruptFromOutside is kill -INT: the run is stopped and the UI ends.
func TestInterruptFromOutside(t *testing.T) {
	s := newScript()
	close(s.obey)
	in, keys := io.Pipe()
	defer func() { _ = keys.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	o := s.options()
	o.In, o.Out, o.Env, o.Job = in, io.Discard, []string{"TERM=xterm"}, s.job()
	l, err := NewLive(o)
	require.NoError(t, err)
	time.AfterFunc(300*time.Millisecond, cancel)
	require.NoError(t, l.Run(ctx))
	require.EqualValues(t, 1, s.runs.Load())
	require.Zero(t, s.killed.Load())
}
