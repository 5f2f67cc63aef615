package tui

import (
	"sync"

	"reprise/runner/event"
)

// feed carries events from a run to the UI. The run only appends; the UI takes
// everything at once, a few times a second.
type feed struct {
	mu    sync.Mutex
	queue []event.Event
	lost  int
}

// mostQueued bounds the feed while the UI cannot draw, as when the terminal
// has been stopped with Ctrl-S.
const mostQueued = 1 << 17

// push is the feed's side of the run.
func (f *feed) push(e event.Event) {
	f.mu.Lock()
	f.queue = append(f.queue, e)
	if len(f.queue) >= mostQueued {
		f.thin()
	}
	f.mu.Unlock()
}

// thin drops what later events make up for: progress, and every second
// observation. The log has them all.
func (f *feed) thin() {
	kept := f.queue[:0]
	odd := false
	for _, e := range f.queue {
		switch e.Payload.(type) {
		case event.StepProgress:
			continue
		case event.Observed:
			if odd = !odd; odd {
				f.lost++
				continue
			}
		}
		kept = append(kept, e)
	}
	clear(f.queue[len(kept):])
	f.queue = kept
}

// take gives what has come since the last time, in a slice that is the
// caller's until it hands it back as spare.
func (f *feed) take(spare []event.Event) (events []event.Event, lost int) {
	clear(spare)
	f.mu.Lock()
	defer f.mu.Unlock()
	events, f.queue = f.queue, spare[:0]
	lost, f.lost = f.lost, 0
	return events, lost
}
