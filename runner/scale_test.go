package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/checks"
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
	run, err := kept.NewRun(time.Now())
	require.NoError(b, err)
	for i, s := range p.Steps[:n/2] {
		line, err := encodeObservations([]checks.Observation{{Metric: "miss_ratio", Value: float64(i) / float64(n), Unit: "1"}, {Metric: "requests", Value: 1e6, Unit: "1"}})
		require.NoError(b, err)
		a, err := run.Begin(s.ID, s.Key, s.Parts, "local", node.ThisMachine(), time.Now())
		require.NoError(b, err)
		_, err = a.Done(node.Usage{Wall: time.Second}, line, 2)
		require.NoError(b, err)
	}
	require.NoError(b, run.Close())
	b.ResetTimer()
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		here := &stopAt{Local: node.NewLocal(), first: cancel}
		e := &Engine{Store: kept, Nodes: []node.Node{here}, Version: "test", Now: time.Now}
		sum, err := e.Execute(ctx, p, func(Summary) int { return 0 })
		require.NoError(b, err)
		require.Equal(b, n/2, sum.Steps["reused"])
		cancel()
	}
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
