package runner

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/checks"
	"reprise/runner/event"
)

const twoExperiments = head + `
  E1:
    title: t
    profiles: {kick: {compute: 60s}}
    matrix: {n: [1, 2]}
    run:
      - {name: a, sh: "echo v=$n", extract: [{metric: v, unit: "1", regex: {line: "v=(?P<value>.*)"}}]}
      - {name: b, sh: "true"}
  E2: {title: t, profiles: {kick: {compute: 60s}}, run: [{name: a, sh: "true"}]}
claims:
  C1: {statement: s, source: {where: "table 1", kind: table}, experiment: E1, checks: [{value: {metric: v, assume: exact, aggregate: max, expect: 2}}]}
`

func outcomes(s Summary) map[string]checks.Outcome {
	out := map[string]checks.Outcome{}
	for _, v := range s.Verdicts["demo"] {
		out[v.Claim] = v.Outcome
	}
	return out
}

// TestSkip leaves a step out before it begins, and with it the one that needs
// it; the rest goes on.
func TestSkip(t *testing.T) {
	b := newBench(t)
	b.engine.Jobs = 1
	sum := b.run(t.Context(), twoExperiments, nil, func(e event.Event) {
		if v, is := e.Payload.(event.StepStarted); is && v.Step == "demo/E1/n=1/a" {
			b.engine.Skip("demo/E1/n=2/a", "demo/no/such/step")
		}
	})
	require.Equal(t, map[string]int{"done": 3, "skipped": 2}, sum.Steps)
	require.Equal(t, "skipped on request", b.finished("demo/E1/n=2/a").Error)
	require.Equal(t, "skipped with demo/E1/n=2/a", b.finished("demo/E1/n=2/b").Error)
	require.Equal(t, checks.Inconclusive, outcomes(sum)["C1"], "no data is never a pass")
	require.Contains(t, sum.Verdicts["demo"][0].Reason, "skipped on request")

	// The next run has forgotten it.
	sum = b.run(t.Context(), twoExperiments, nil)
	require.Equal(t, map[string]int{"done": 2, "reused": 3}, sum.Steps)
	require.Equal(t, checks.Reproduced, outcomes(sum)["C1"])
}

// TestSkipARunningStep, which obeys only when asked twice.
func TestSkipARunningStep(t *testing.T) {
	b := newBench(t)
	b.engine.Jobs = 1
	sum := b.run(t.Context(), head+`
  E1:
    title: t
    profiles: {kick: {compute: 60s}}
    run: [{name: a, sh: "trap '' TERM; echo $$; while :; do sleep 0.1; done"}, {name: b, sh: "true"}]
  E2: {title: t, profiles: {kick: {compute: 60s}}, run: [{name: a, sh: "true"}]}
`, nil, func(e event.Event) {
		if v, is := e.Payload.(event.StepStarted); is && v.Step == "demo/E1/a" {
			time.AfterFunc(200*time.Millisecond, func() {
				b.engine.Skip("demo/E1/a")
				b.engine.Cancel("demo/E1/a")
			})
		}
	})
	require.Equal(t, map[string]int{"done": 1, "skipped": 2}, sum.Steps)
	require.False(t, sum.Interrupted)
	require.Equal(t, "skipped on request", b.finished("demo/E1/a").Error)
}

// TestHold keeps further steps from beginning until the run is let go.
func TestHold(t *testing.T) {
	b := newBench(t)
	b.engine.Jobs = 1
	b.engine.HoldAfterExperiments(true)
	started, heldAt, running := 0, -1, true
	sum := b.run(t.Context(), twoExperiments, nil, func(e event.Event) {
		switch v := e.Payload.(type) {
		case event.StepStarted:
			require.True(t, running, v.Step)
			started++
		case event.Held:
			running = !v.On
			if v.On && heldAt < 0 {
				heldAt = started
				require.Contains(t, []string{"demo/E1 has ended", "demo/E2 has ended"}, v.Why)
			}
			if v.On {
				time.AfterFunc(50*time.Millisecond, func() { b.engine.Hold(false) })
			}
		}
	})
	require.Equal(t, map[string]int{"done": 5}, sum.Steps)
	require.Greater(t, heldAt, 0)
	require.Less(t, heldAt, 5, "it holds before the other experiment has run")

	// While it is held steps can be left out, and it can be interrupted.
	b = newBench(t)
	b.engine.Jobs = 1
	ctx, cancel := context.WithCancel(t.Context())
	var after []string
	sum = b.run(ctx, twoExperiments, nil, func(e event.Event) {
		switch v := e.Payload.(type) {
		case event.StepStarted:
			go b.engine.Hold(true)
		case event.Held:
			if v.On {
				go b.engine.Skip("demo/E2/a")
			} else {
				after = append(after, v.Why)
			}
		case event.StepFinished:
			if v.Step == "demo/E2/a" {
				require.Equal(t, event.SkippedOn, v.Status)
				cancel()
			}
		}
	})
	require.True(t, sum.Interrupted)
	require.Contains(t, after, "interrupted")
}

// TestAPanicInAStepReachesTheCaller and not the bottom of a goroutine, so that
// a terminal can be restored first.
func TestAPanicInAStepReachesTheCaller(t *testing.T) {
	b := newBench(t)
	require.Panics(t, func() {
		b.run(t.Context(), twoExperiments, nil, func(e event.Event) {
			if _, is := e.Payload.(event.StepStarted); is {
				panic("broken")
			}
		})
	})
}

// TestLoadAndLeases are events of the run.
func TestLoadAndLeases(t *testing.T) {
	b := newBench(t)
	lease := event.Leased{Name: "l", Site: "CHI@UC", Nodes: 1, PerHour: 1, Unit: "SU"}
	b.engine.Leases = func() []event.Leased { return []event.Leased{lease} }
	b.run(t.Context(), head+`
  E1: {title: t, profiles: {kick: {compute: 60s}}, run: [{name: a, sh: "sleep 2.5"}]}
`, nil)
	loads, leases := 0, 0
	for _, e := range b.events {
		switch v := e.Payload.(type) {
		case event.NodeLoad:
			loads++
			require.Equal(t, "local", v.Node)
			require.InDelta(t, 0.5, v.CPU, 0.5)
			require.NotZero(t, v.MemoryUsed)
		case event.Leased:
			leases++
			require.Equal(t, lease, v)
		}
	}
	require.GreaterOrEqual(t, loads, 1)
	require.Equal(t, 1, leases, "only changes are told")
}
