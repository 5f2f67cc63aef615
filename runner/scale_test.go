package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/runner/event"
	"reprise/runner/node"
	"reprise/runner/store"
)

// bigSweep is a manifest of n points in three axes.
func bigSweep(tb testing.TB, n int) *artifacts.Manifest {
	const policies, seeds = 10, 100
	axis := func(n int) string {
		list := make([]int, n)
		for i := range list {
			list[i] = i
		}
		data, err := json.Marshal(list)
		require.NoError(tb, err)
		return string(data)
	}
	m, findings := artifacts.Load("sweep.yaml", []byte(fmt.Sprintf(`
reprise: 1
artifact: sweep
title: a sweep
experiments:
  E1:
    title: every combination
    profiles: {kick: {compute: 1m}}
    matrix: {n: %s, seed: %s, size: %s}
    run: demo.sweep
claims:
  C1:
    statement: it ends
    source: {where: "§1", kind: text}
    experiment: E1
    checks: [{value: {metric: miss_ratio, aggregate: mean, expect: {min: 0}}}]
`, axis(policies), axis(seeds), axis(n/policies/seeds))))
	require.Empty(tb, findings)
	return m
}

// bigPlan makes b a plan of n points.
func bigPlan(tb testing.TB, n int) *Plan {
	m := bigSweep(tb, n)
	p, err := NewPlan([]*artifacts.Manifest{m}, Options{Profile: "kick", Platform: node.ThisMachine().Platform()})
	require.NoError(tb, err)
	require.Len(tb, p.Steps, n)
	return p
}

// BenchmarkPlan100k lays out a sweep of 100,000 points and reports the memory
// that the plan holds.
func BenchmarkPlan100k(b *testing.B) {
	m := bigSweep(b, 100_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var p *Plan
	for b.Loop() {
		var err error
		p, err = NewPlan([]*artifacts.Manifest{m}, Options{Profile: "kick", Platform: "linux/amd64"})
		require.NoError(b, err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-held")
	runtime.KeepAlive(p)
}

// BenchmarkRestart100k runs a sweep of 100,000 points of which half have been
// measured, up to the first step that is to be run.
func BenchmarkRestart100k(b *testing.B) {
	n := 100_000
	if v := os.Getenv("N"); v != "" {
		n, _ = strconv.Atoi(v)
	}
	p := bigPlan(b, n)
	kept, err := store.Open(b.TempDir())
	require.NoError(b, err)
	measured(b, kept, p.Steps[:n/2])
	b.ResetTimer()
	for b.Loop() {
		kept, err := store.Open(kept.Root()) // as another process does
		require.NoError(b, err)
		ctx, cancel := context.WithCancel(b.Context())
		here := &stopAt{Local: node.NewLocal(), first: cancel}
		e := &Engine{Store: kept, Nodes: []node.Node{here}, Version: "test", Now: time.Now}
		sum, err := e.Execute(ctx, p, func(Summary) int { return 0 })
		require.NoError(b, err)
		require.InDelta(b, n/2, sum.Steps["reused"], 4) // those beside the first
		cancel()
	}
}

// measured has the store keep results of steps.
func measured(tb testing.TB, kept *store.Store, steps []*Step) {
	run, err := kept.NewRun(time.Now())
	require.NoError(tb, err)
	machine := node.ThisMachine()
	var all errgroup
	for i, s := range steps {
		all.Go(func() error {
			lines, err := encodeObservations([]checks.Observation{{Metric: "miss_ratio", Value: float64(i) / float64(len(steps)), Unit: "1"}, {Metric: "requests", Value: 1e6, Unit: "1"}})
			if err != nil {
				return err
			}
			a, err := run.Begin(s.ID, s.Key, s.Parts, "local", machine, time.Now())
			if err != nil {
				return err
			}
			a.Clean = true
			_, err = a.Done(node.Usage{Wall: time.Second}, lines, 2)
			return err
		})
	}
	require.NoError(tb, all.Wait())
	require.NoError(tb, run.Close())
}

// TestReuseIsToldInOrder restarts a run of two experiments: what is reused comes
// in the plan's order, whole and without gaps, verdicts stand behind the last step
// they wait for, and the one step that is missing begins when all that is known.
func TestReuseIsToldInOrder(t *testing.T) {
	const yaml = head + `
  E1: {title: t, profiles: {kick: {compute: 60s}}, matrix: {n: %[1]s}, run: demo.measure}
  E2: {title: t, profiles: {kick: {compute: 60s}}, matrix: {n: %[1]s, seed: [1, 2]}, run: demo.sweep}
claims:
  C1: {statement: s, source: {where: "table 1", kind: table}, experiment: E1, checks: [{value: {metric: miss_ratio, aggregate: mean, expect: {min: 0}}}]}
  C2: {statement: s, source: {where: "table 1", kind: table}, experiment: E2, checks: [{value: {metric: miss_ratio, aggregate: mean, expect: {min: 0}}}]}
`
	m, findings := artifacts.Load("artifact.yaml", fmt.Appendf(nil, yaml, "["+upTo(atOnce/2+1)+"]"))
	require.NoError(t, findings.Err())
	p, err := NewPlan([]*artifacts.Manifest{m}, Options{Profile: "kick", Platform: node.ThisMachine().Platform()})
	require.NoError(t, err)
	b := newBench(t)
	lacks := p.Steps[atOnce]
	measured(t, b.engine.Store, slices.DeleteFunc(slices.Clone(p.Steps), func(s *Step) bool { return s == lacks }))
	var got []string
	_, err = b.engine.Execute(t.Context(), p, func(Summary) int { return 0 }, func(e event.Event) {
		require.Equal(t, len(b.events)+1, e.Seq)
		b.events = append(b.events, e)
		switch v := e.Payload.(type) {
		case event.StepReused:
			got = append(got, v.Step)
		case event.Observed:
			if v.Metric != "requests" {
				got = append(got, "of "+v.Step)
			}
		case event.StepStarted:
			got = append(got, "started "+v.Step)
		case event.Judged:
			got = append(got, v.Claim)
		}
	})
	require.NoError(t, err)
	var want []string
	for i, s := range p.Steps {
		if s != lacks {
			want = append(want, s.ID, "of "+s.ID)
		}
		if i+1 < len(p.Steps) && p.Steps[i+1].Experiment != s.Experiment {
			want = append(want, "C1")
		}
	}
	require.Equal(t, append(want, "started "+lacks.ID, "of "+lacks.ID, "C2"), got)

	data, err := os.ReadFile(filepath.Join(b.engine.Store.RunDir(b.events[0].Run), store.EventsFile))
	require.NoError(t, err)
	var log []event.Event
	for e, err := range event.Read(bytes.NewReader(data)) {
		require.NoError(t, err)
		log = append(log, e)
	}
	require.Equal(t, b.events, log)
}

// stopAt is a node that ends the run when its first step comes.
type stopAt struct {
	*node.Local
	first context.CancelFunc
}

func (s *stopAt) Run(ctx context.Context, c node.Command) (node.Result, error) {
	s.first()
	return node.Result{End: node.Stopped}, nil
}

// errgroup runs functions, 64 at a time, and joins their errors.
type errgroup struct {
	wait sync.WaitGroup
	once sync.Once
	room chan bool
	mu   sync.Mutex
	errs []error
}

func (g *errgroup) Go(f func() error) {
	g.once.Do(func() { g.room = make(chan bool, 64) })
	g.room <- true
	g.wait.Go(func() {
		defer func() { <-g.room }()
		if err := f(); err != nil {
			g.mu.Lock()
			g.errs = append(g.errs, err)
			g.mu.Unlock()
		}
	})
}

func (g *errgroup) Wait() error {
	g.wait.Wait()
	return errors.Join(g.errs...)
}

// BenchmarkPoint runs a sweep of 2,000 points whose commands cost nothing, and so
// tells what the runner does for each.
func BenchmarkPoint(b *testing.B) {
	const n = 2000
	p := bigPlan(b, n)
	for b.Loop() {
		kept, err := store.Open(b.TempDir())
		require.NoError(b, err)
		e := &Engine{Store: kept, Nodes: []node.Node{free{node.NewLocal()}}, Version: "test", Now: time.Now}
		sum, err := e.Execute(b.Context(), p, func(Summary) int { return 0 })
		require.NoError(b, err)
		require.Equal(b, n, sum.Steps["done"])
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "µs/point")
}

// free is a node whose commands report at once.
type free struct{ *node.Local }

func (free) Run(_ context.Context, c node.Command) (node.Result, error) {
	_, err := io.WriteString(c.Stdout, `{"metric":"miss_ratio","value":0.5,"unit":"1"}`+"\n")
	return node.Result{End: node.Exited}, err
}

// BenchmarkSkip100k leaves out what remains of a sweep of 100,000 points when its
// first step runs.
func BenchmarkSkip100k(b *testing.B) {
	p := bigPlan(b, 100_000)
	for b.Loop() {
		kept, err := store.Open(b.TempDir())
		require.NoError(b, err)
		e := &Engine{Store: kept, Version: "test", Now: time.Now}
		e.Nodes = []node.Node{skipper{node.NewLocal(), sync.OnceFunc(func() {
			var all []string
			for _, s := range p.Steps {
				all = append(all, s.ID)
			}
			e.Skip(all...)
		})}}
		sum, err := e.Execute(b.Context(), p, func(Summary) int { return 0 })
		require.NoError(b, err)
		require.Greater(b, sum.Steps["skipped"], 99_000)
	}
}

type skipper struct {
	*node.Local
	skip func()
}

func (s skipper) Run(context.Context, node.Command) (node.Result, error) {
	s.skip()
	return node.Result{End: node.Exited}, nil
}
