package tui

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// threadTime is the processor time of the thread that asks.
func threadTime(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
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

// BenchmarkRunWatched is how much a stream of 50,000 events a second slows the
// run that makes it: a run that works for about a second and writes its events into
// the log, without and with the UI watching it at 20 frames a second in the
// same process, in turn. What is compared is the processor time of the run's
// own thread, so that other work of the machine does not count.
func BenchmarkRunWatched(b *testing.B) {
	const second = 50_000
	events := observations(2500)
	// run does a second's work and emits its events; it gives how long the
	// thread that it is on was busy.
	run := func(show event.Subscriber) time.Duration {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		log := event.NewLog("r", io.Discard, time.Now, show)
		x := uint64(1)
		began := threadTime(b)
		for i := range second {
			for range 10_000 { // the run's own work: some 20 µs an event
				x ^= x << 13
				x ^= x >> 7
				x ^= x << 17
			}
			log.Emit(events[i%len(events)].Payload)
		}
		sink = x
		return threadTime(b) - began
	}
	m := watching(b, still("default"), many(10_000), 120, 40)
	m.Update(keystroke("4"))
	var alone, watched time.Duration
	for b.Loop() {
		alone += run(func(event.Event) {})
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			frames := time.NewTicker(frameTime)
			defer frames.Stop()
			for {
				select {
				case <-stop:
					return
				case <-frames.C:
					m.Update(frame(noon))
					m.View()
				}
			}
		}()
		watched += run(m.feed.push)
		close(stop)
		<-stopped
		m.intake()
	}
	b.ReportMetric(100*(float64(watched)/float64(alone)-1), "slower-%")
	b.ReportMetric(float64(alone.Microseconds())/float64(b.N)/second, "µs-work/event")
}

var sink uint64
