package tui

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"reprise/checks"
	"reprise/runner/event"
)

// BenchmarkRedraw is the time from a key to the screen it leads to, in a run
// of 10,000 steps: cursor, panes, filter, chart. On a machine that does other
// work the process's own time tells more than the wall clock's.
func BenchmarkRedraw(b *testing.B) {
	m := watching(b, still("default"), many(10_000), 120, 40)
	keys := []string{"j", "ctrl+d", "G", "k", "g", "4", "v", "2", "3", "1", "/", "7", "enter", "esc", "z", "z"}
	var wall, cpu []time.Duration
	for i := 0; b.Loop(); i++ {
		began, used := time.Now(), cpuTime(b)
		m.Update(keystroke(keys[i%len(keys)]))
		m.View()
		wall, cpu = append(wall, time.Since(began)), append(cpu, cpuTime(b)-used)
	}
	for name, times := range map[string][]time.Duration{"p99-wall-µs": wall, "p99-cpu-µs": cpu} {
		slices.Sort(times)
		b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), name)
	}
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	b.ReportMetric(float64(mem.HeapAlloc)/(1<<20), "MiB-heap")
	runtime.KeepAlive(m)
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRedrawUnderLoad is a frame in which 2,500 events have come: 50,000
// a second at 20 frames a second.
func BenchmarkRedrawUnderLoad(b *testing.B) {
	m := watching(b, still("default"), many(10_000), 120, 40)
	m.Update(keystroke("4"))
	events := observations(2500)
	for b.Loop() {
		for _, e := range events {
			m.feed.push(e)
		}
		m.intake()
		settle(m)
		m.View()
	}
}

func observations(n int) []event.Event {
	var events []event.Event
	for i := range n {
		events = append(events, event.Event{Time: noon, Payload: event.Observed{Step: "many/E1/policy=p1,size=0%,seed=1", Observation: checks.Observation{
			Metric: "m1", Value: float64(i), Unit: "1", Labels: map[string]string{"policy": fmt.Sprint("p", i%40), "size": fmt.Sprint(i/40%50, "%")},
		}}})
	}
	return events
}

// BenchmarkPush is what an event costs the run: 50,000 a second at 200 ns each
// are 1 % of a core.
func BenchmarkPush(b *testing.B) {
	var f feed
	var spare []event.Event
	events := observations(2500)
	for i := 0; b.Loop(); i++ {
		f.push(events[i%len(events)])
		if i%2500 == 0 {
			spare, _ = f.take(spare)
		}
	}
}

// BenchmarkApply is what an observation costs the UI.
func BenchmarkApply(b *testing.B) {
	r := applied(many(1000))
	events := observations(2500)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Apply(events[i%len(events)])
	}
}

// BenchmarkFrame is a frame in which nothing has happened.
func BenchmarkFrame(b *testing.B) {
	m := watching(b, still("default"), many(10_000), 120, 40)
	m.View()
	for b.Loop() {
		m.Update(frame(noon))
		m.View()
	}
}
