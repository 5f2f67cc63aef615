package event

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"time"
)

// Subscriber is shown every event in order, one at a time. It must not block
// for long: the run waits for it.
type Subscriber func(Event)

// Log numbers and stamps events, writes each to w as one line of JSON before
// anyone sees it, and then shows it to the subscribers. It is safe for
// concurrent use. Times never go back: where the clock was set back, a warning
// says so and the log's times go on from where they were.
type Log struct {
	// Hide, if given, is applied to every text of an event that may come from
	// outside, before it is written or shown: secrets are taken out by it.
	Hide func(string) string

	mu          sync.Mutex
	run         string
	now         func() time.Time
	w           io.Writer
	seq         int
	lines       []byte // of the events being written
	subscribers []Subscriber
	err         error
	last        time.Time     // of the last event
	ahead       time.Duration // of the clock, since it was set back
}

// NewLog starts the log of the run with the given id.
func NewLog(run string, w io.Writer, now func() time.Time, subscribers ...Subscriber) *Log {
	return &Log{run: run, w: w, now: now, subscribers: subscribers}
}

// Prepared are events that wait to be recorded.
type Prepared []encoded

// Prepare encodes events, which keeps nobody else waiting.
func (l *Log) Prepare(list ...Payload) Prepared {
	events := make(Prepared, len(list))
	for i, p := range list {
		if l.Hide != nil {
			p = hidden(p, l.Hide)
		}
		events[i] = encode(p)
	}
	return events
}

// Emit records events, in one write, and shows them to the subscribers.
func (l *Log) Emit(list ...Payload) { l.Record(l.Prepare(list...)) }

// Record is Emit for events that were prepared.
func (l *Log) Record(events Prepared) {
	if len(events) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// Without the monotonic reading, which does not know of the clock's setting.
	at := l.now().UTC().Round(0).Add(l.ahead)
	if back := l.last.Sub(at); back > 0 {
		l.ahead += back
		at = l.last
		if back >= worthSaying {
			events = slices.Insert(events, 0, encode(Warned{Message: fmt.Sprintf("the clock was set back by %v; the times of this log go on from where they were", back.Round(time.Second))}))
		}
	}
	l.last = at
	l.lines = l.lines[:0]
	first := l.seq + 1
	header, err := shared(at, l.run)
	if err != nil {
		l.fail(err)
		return
	}
	for _, e := range events {
		l.seq++
		line, err := e.line(l.lines, l.seq, header)
		if err != nil {
			l.fail(err)
			continue
		}
		l.lines = append(line, '\n')
	}
	if _, err := l.w.Write(l.lines); err != nil {
		l.fail(err)
	}
	for i, e := range events {
		for _, show := range l.subscribers {
			show(Event{first + i, at, l.run, e.payload})
		}
	}
}

// worthSaying is how far a clock is set back by more than its usual correction.
const worthSaying = time.Second

func (l *Log) fail(err error) {
	if l.err == nil {
		l.err = fmt.Errorf("writing the event log: %w", err)
	}
}

// Err gives the first error met while writing; the run goes on without a
// complete log, so whoever ends the run must report it.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// DamageError says that a line of an event log is none.
type DamageError struct {
	Line int // from 1
	Err  error
}

func (e *DamageError) Error() string { return fmt.Sprintf("event log, line %d: %v", e.Line, e.Err) }

func (e *DamageError) Unwrap() error { return e.Err }

// Hint says how the log is made whole.
func (e *DamageError) Hint() string {
	return "what the steps measured is kept apart: reprise resume RUN goes through the run again, reuses that, and writes a whole log"
}

// Read yields the events of a log. A last line cut short, as a killed process
// leaves it, ends the log without an error; any other damage is a DamageError.
func Read(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		lines := bufio.NewReader(r)
		for n := 1; ; n++ {
			line, err := lines.ReadBytes('\n')
			if err != nil && err != io.EOF {
				yield(Event{}, err)
				return
			}
			whole := err == nil
			if len(bytes.TrimSpace(line)) > 0 {
				var e Event
				if bad := json.Unmarshal(line, &e); bad != nil {
					if whole {
						yield(Event{}, &DamageError{n, bad})
					}
					return
				}
				if !yield(e, nil) {
					return
				}
			}
			if !whole {
				return
			}
		}
	}
}
