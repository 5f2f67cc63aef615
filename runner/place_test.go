package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/event"
	"reprise/runner/node"
)

// scripted is a node of which the test decides how it does.
type scripted struct {
	node.Node
	name string
	cpu  string
	fail func(run int) error // asked before the run-th command, from 1

	mu                      sync.Mutex
	runs, running, most     int
	exclusive, besideOthers bool
}

func newScripted(name string, fail func(int) error) *scripted {
	return &scripted{Node: node.NewLocal(), name: name, cpu: "one kind", fail: fail}
}

func (s *scripted) Name() string { return s.name }

func (s *scripted) Machine() node.Machine {
	m := s.Node.Machine()
	m.CPU, m.Cores = s.cpu, 2
	return m
}

func (s *scripted) Run(ctx context.Context, c node.Command) (node.Result, error) {
	s.mu.Lock()
	s.runs++
	s.running++
	s.most = max(s.most, s.running)
	s.besideOthers = s.besideOthers || s.running > 1 && (s.exclusive || c.Exclusive)
	s.exclusive = c.Exclusive
	var err error
	if s.fail != nil {
		err = s.fail(s.runs)
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running--
		s.exclusive = false
	}()
	if err != nil {
		return node.Result{}, err
	}
	return s.Node.Run(ctx, c)
}

var errCable = errors.New("somebody pulled the cable")

func always(int) error { return errCable }

func sweep(steps int, more string) string {
	return head + fmt.Sprintf(`
  E1:
    title: t
    %s
    profiles: {kick: {compute: 20s}}
    matrix: {n: [%s]}
    run: [{name: a, sh: "sleep 0.02; echo v=${n}", extract: [{metric: v, regex: {line: "v=(?P<value>.*)"}}]}]
`, more, upTo(steps))
}

func (b *bench) on(nodes ...*scripted) *bench {
	b.engine.Nodes, b.engine.Jobs, b.engine.Attempts, b.engine.Backoff = nil, 0, 3, time.Millisecond
	for _, n := range nodes {
		b.engine.Nodes = append(b.engine.Nodes, n)
	}
	return b
}

func (b *bench) warnings() (all []string) {
	for _, e := range b.events {
		if w, is := e.Payload.(event.Warned); is {
			all = append(all, w.Message)
		}
	}
	return all
}

func TestStepsArePackedByCores(t *testing.T) {
	b := newBench(t).on(newScripted("a", nil), newScripted("b", nil))
	sum := b.run(t.Context(), sweep(12, ""), nil)
	require.Equal(t, 12, sum.Steps[string(event.Done)])
	for _, n := range b.engine.Nodes {
		s := n.(*scripted)
		require.Positive(t, s.runs, "both nodes work")
		require.LessOrEqual(t, s.most, 2)
	}
	require.Empty(t, b.warnings())
}

func TestExclusiveStepsHaveTheirNodeAlone(t *testing.T) {
	b := newBench(t).on(newScripted("a", nil), newScripted("b", nil))
	sum := b.run(t.Context(), sweep(8, "exclusive: true"), nil)
	require.Equal(t, 8, sum.Steps[string(event.Done)])
	for _, n := range b.engine.Nodes {
		require.Equal(t, 1, n.(*scripted).most)
		require.False(t, n.(*scripted).besideOthers)
	}
}

func TestFailedNodesStepsGoElsewhere(t *testing.T) {
	dead := newScripted("dead", always)
	b := newBench(t).on(dead, newScripted("alive", nil))
	sum := b.run(t.Context(), sweep(10, ""), nil)
	require.Equal(t, 10, sum.Steps[string(event.Done)])
	require.Empty(t, sum.Failures)
	require.Positive(t, dead.runs)
	require.Less(t, dead.runs, 10, "it is left alone for a while")
	require.Len(t, b.warnings(), dead.runs)
	for _, w := range b.warnings() {
		require.Contains(t, w, "will be tried again: somebody pulled the cable")
	}
	for _, e := range b.events {
		if v, is := e.Payload.(event.StepFinished); is {
			require.Equal(t, event.Done, v.Status, "an attempt that is made again is not the step's end")
		}
	}
}

func TestNodeThatComesBackIsUsedAgain(t *testing.T) {
	flaky := newScripted("flaky", func(run int) error {
		if run <= 2 {
			return errCable
		}
		return nil
	})
	sum := newBench(t).on(flaky).run(t.Context(), sweep(3, ""), nil)
	require.Equal(t, 3, sum.Steps[string(event.Done)])
	require.Equal(t, 5, flaky.runs)
}

func TestAttemptsEnd(t *testing.T) {
	a, b := newScripted("a", always), newScripted("b", always)
	sum := newBench(t).on(a, b).run(t.Context(), sweep(1, ""), nil)
	require.Equal(t, 1, sum.Failures[event.InfrastructureFailure])
	require.Equal(t, 3, a.runs+b.runs)
	require.Positive(t, a.runs)
	require.Positive(t, b.runs)
}

func TestExperimentsFaultsAreNotTriedAgain(t *testing.T) {
	n := newScripted("a", nil)
	sum := newBench(t).on(n).run(t.Context(), strings.ReplaceAll(sweep(1, ""), "sleep 0.02", "exit 3"), nil)
	require.Equal(t, 1, sum.Failures[event.ExperimentFailure])
	require.Equal(t, 1, n.runs)
}

func TestUnlikeMachinesAreToldOf(t *testing.T) {
	old := newScripted("old", nil)
	old.cpu = "another kind"
	b := newBench(t).on(newScripted("new", nil), old)
	manifest := sweep(6, "") + "claims:\n  C1: {statement: s, source: {where: w, kind: text}, experiment: E1, checks: [{value: {metric: v, aggregate: mean, expect: {between: [0, 100]}}}]}\n"
	b.run(t.Context(), manifest, nil)
	require.Len(t, b.warnings(), 1)
	require.Contains(t, b.warnings()[0], "compares what unlike machines measured: ")
	require.Contains(t, b.warnings()[0], "old (another kind, 2 cores")
}

func TestCancelledWhileAllNodesRest(t *testing.T) {
	b := newBench(t).on(newScripted("a", always))
	b.engine.Backoff = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	sum := b.run(ctx, sweep(2, ""), nil)
	require.True(t, sum.Interrupted)
	require.Equal(t, 2, sum.Steps[string(event.Cancelled)])
}

// TestSlotsAreFreeDuringSyncs, for as many steps as there are slots, and not for an
// exclusive step, nor during one.
func TestSlotsAreFreeDuringSyncs(t *testing.T) {
	now := time.Now()
	p := &place{slots: 2}
	shared, alone := &Step{}, &Step{Exclusive: true}
	takes := func(some, exclusive bool) {
		t.Helper()
		require.Equal(t, some, p.takes(shared, now))
		require.Equal(t, exclusive, p.takes(alone, now))
	}
	takes(true, true)
	p.begin(shared)
	p.begin(shared)
	takes(false, false)
	p.storing++
	takes(true, false)
	p.storing++
	p.begin(shared)
	p.begin(shared)
	takes(false, false)
	p.storing++
	takes(false, false)
	p.end(outcome{stored: true}, 0, now)
	takes(true, false)
	p.end(outcome{stored: true}, 0, now)
	p.end(outcome{stored: true}, 0, now)
	p.end(outcome{}, 0, now)
	takes(true, true)
	p.begin(alone)
	takes(false, false)
	p.end(outcome{}, 0, now)
	takes(true, true)
}
