package tui

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"reprise/checks"
	"reprise/checks/stats"
	"reprise/runner/event"
)

func applied(events []event.Event) *Run {
	r := NewRun()
	for _, e := range events {
		r.Apply(e)
	}
	return r
}

func TestRecordedRunsEndAsTheirLogSays(t *testing.T) {
	for _, name := range streams {
		r := applied(stream(t, name))
		require.NotNil(t, r.End, name)
		require.Equal(t, r.End.Steps[string(event.Done)], r.Count[Done], name)
		require.Equal(t, r.End.Steps[string(event.Failed)], r.Count[Failed], name)
		require.Equal(t, r.End.Steps[string(event.Cancelled)], r.Count[Cancelled], name)
		require.Equal(t, r.End.Steps["reused"], r.Count[Reused], name)
		require.Equal(t, r.Total(), r.Ended(), name)
		for outcome, n := range r.End.Claims {
			require.Equal(t, n, r.Tally()[checks.Outcome(outcome)], "%s: %s", name, outcome)
		}
	}
}

// TestCountsAlwaysAddUp holds whatever order the events come in, as in a log
// that was damaged.
func TestCountsAlwaysAddUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, name := range streams {
		events := stream(t, name)
		for range 20 {
			rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			r := NewRun()
			for _, e := range events {
				r.Apply(e)
				total := 0
				for state, n := range r.Count {
					require.GreaterOrEqual(t, n, 0, StepState(state))
					total += n
				}
				require.Equal(t, len(r.Steps), total)
			}
			in := 0
			for _, x := range r.Experiments {
				in += len(x.Steps)
			}
			require.Equal(t, len(r.Steps), in)
		}
	}
}

func TestALogWithoutAPlanShowsItsStepsAsTheyBegin(t *testing.T) {
	var events []event.Event
	for _, e := range stream(t, "failures") {
		if _, is := e.Payload.(event.Planned); !is {
			events = append(events, e)
		}
	}
	r := applied(events)
	require.Equal(t, 6, r.Ended())
	require.NotNil(t, r.steps["failures/E1/build"])
	require.Len(t, r.Claims, 2)
}

func TestShortNames(t *testing.T) {
	for id, want := range map[string]string{
		"a/E1":                                 "E1",
		"a/E1/build":                           "build",
		"a/E1/policy=lru,size=10,seed=1":       "lru, size=10, seed=1",
		"a/E1/policy=lru,size=10/run":          "lru, size=10/run",
		"a/E1/size=1%":                         "1%",
		"a/E1/trace=gen:loop?objects=10,seed=": "gen:loop?objects=10, seed=",
	} {
		r := NewRun()
		require.Equal(t, want, r.step(id).Short, id)
	}
}

func TestEstimates(t *testing.T) {
	r := NewRun()
	at := func(seconds int, p event.Payload) {
		r.Apply(event.Event{Run: "r", Time: noon.Add(time.Duration(seconds) * time.Second), Payload: p})
	}
	left := func(seconds int) string {
		d, known := r.Left(noon.Add(time.Duration(seconds) * time.Second))
		if !known {
			return "unknown"
		}
		return clock(d)
	}
	at(0, event.RunStarted{Artifacts: []string{"a"}, Steps: 4})
	at(0, event.Planned{Experiments: []event.PlannedExperiment{{Artifact: "a", Experiment: "E1", Steps: []string{"a/E1/1", "a/E1/2", "a/E1/3", "a/E1/4"}}}})
	at(0, event.StepStarted{Step: "a/E1/1"})
	require.Equal(t, "unknown", left(5), "nothing to go by yet")
	at(10, event.StepFinished{Step: "a/E1/1", Status: event.Done, Seconds: 10})
	at(10, event.StepReused{Step: "a/E1/2", Seconds: 100})
	at(10, event.StepStarted{Step: "a/E1/3"})
	require.Equal(t, "20 s", left(10), "two more like the first; a reused one says nothing")
	require.Equal(t, "14 s", left(16))
	require.Equal(t, "10 s", left(99), "it takes longer than the first, and another waits")
	at(20, event.StepProgress{Step: "a/E1/3", Done: 1, Total: 4})
	require.Equal(t, "40 s", left(20), "a quarter took ten seconds, and another waits")
	at(20, event.StepStarted{Step: "a/E1/4"})
	require.Equal(t, "20 s", left(20), "two side by side")
	at(50, event.RunFinished{Outcome: "finished", Seconds: 50})
	require.Equal(t, "unknown", left(50))
}

func TestMetricsOfRepeats(t *testing.T) {
	r := NewRun()
	values := []float64{3, 1, 4, 1, 5, 9, 2, 6}
	for i, v := range values {
		r.Apply(event.Event{Payload: event.Observed{Step: "a/E1/x", Observation: checks.Observation{
			Metric: "m", Unit: "us", Value: v, Labels: map[string]string{"experiment": "E1", "policy": "lru", "seed": fmt.Sprint(i)},
		}}})
	}
	m := r.Experiments[0].Metrics[0]
	require.Equal(t, []string{"policy"}, m.Labels)
	require.Len(t, m.Cells, 1)
	c := m.Cells[0]
	require.InDelta(t, stats.Mean(values), c.Mean, 1e-12)
	low, high, ok := c.Interval()
	require.True(t, ok)
	half := stats.StudentQuantile(0.975, 7) * math.Sqrt(stats.Variance(values)/8)
	require.InDelta(t, c.Mean-half, low, 1e-12)
	require.InDelta(t, c.Mean+half, high, 1e-12)
	require.ElementsMatch(t, values, c.Sample)
}

func TestObservationsTakeBoundedMemory(t *testing.T) {
	r := NewRun()
	o := event.Observed{Step: "a/E1/x", Observation: checks.Observation{Metric: "m", Unit: "1"}}
	for i := range 3 * mostCells {
		o.Value, o.Labels = float64(i), map[string]string{"i": fmt.Sprint(i)}
		r.Apply(event.Event{Payload: o})
	}
	m := r.Experiments[0].Metrics[0]
	require.Len(t, m.Cells, mostCells)
	require.Equal(t, 2*mostCells, m.Folded)
	require.Equal(t, 3*mostCells, m.N)
	for i := range 10_000 {
		o.Value, o.Labels = float64(i), map[string]string{"i": "1"}
		r.Apply(event.Event{Payload: o})
	}
	require.Len(t, m.Cells[1].Sample, cellSample)
}

func TestTheFeedLosesOnlyWhatTheLogCanSpare(t *testing.T) {
	var f feed
	n := mostQueued + mostQueued/2
	f.push(event.Event{Payload: event.RunStarted{}})
	for i := range n {
		f.push(event.Event{Payload: event.Observed{Step: "a/E1"}})
		if i%10 == 0 {
			f.push(event.Event{Payload: event.StepProgress{Step: "a/E1"}})
		}
	}
	f.push(event.Event{Payload: event.RunFinished{}})
	events, lost := f.take(nil)
	require.Less(t, len(events), mostQueued)
	require.IsType(t, event.RunStarted{}, events[0].Payload)
	require.IsType(t, event.RunFinished{}, events[len(events)-1].Payload)
	observed := 0
	for _, e := range events {
		if _, is := e.Payload.(event.Observed); is {
			observed++
		}
	}
	require.Equal(t, n, observed+lost)
}

func TestFilter(t *testing.T) {
	for _, c := range []struct {
		filter, row string
		want        bool
	}{
		{"lru", "a/E1/policy=LRU", true},
		{"LRU", "a/E1/policy=lru", false},
		{"!lru", "a/E1/policy=lru", false},
		{"!lru", "a/E1/policy=arc", true},
		{"~alr", "a/E1/policy=lru", true},
		{"~rla", "a/E1/policy=lru", false},
		{"!~alr", "a/E1/policy=lru", false},
		{"!", "anything", true},
		{"~", "anything", true},
	} {
		f := filter{text: c.filter}
		require.Equal(t, c.want, f.matches(c.row), "%+v", c)
	}
}

func FuzzCleanText(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m\ttab\r\n", 7)
	f.Add("編譯失敗 👩‍💻 e\u0301 \u202eabc\x00\x9b2J", 3)
	f.Fuzz(func(t *testing.T, s string, w int) {
		w = 1 + (w%80+80)%80
		for _, r := range clean(s) {
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				t.Fatalf("%q holds %q", clean(s), r)
			}
		}
		for _, made := range []string{fit(clean(s), w), middle(clean(s), w), row(clean(s), "right", w)} {
			if n := ansi.StringWidth(made); n > w {
				t.Fatalf("%q is %d wide, not %d", made, n, w)
			}
		}
	})
}
