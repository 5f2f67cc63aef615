package event

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"
)

// Subscriber is shown every event in order, one at a time. It must not block
// for long: the run waits for it.
type Subscriber func(Event)

// Log numbers and stamps events, writes each to w as one line of JSON before
// anyone sees it, and then shows it to the subscribers. It is safe for
// concurrent use.
type Log struct {
	mu          sync.Mutex
	run         string
	now         func() time.Time
	w           io.Writer
	seq         int
	subscribers []Subscriber
	err         error
}

// NewLog starts the log of the run with the given id.
func NewLog(run string, w io.Writer, now func() time.Time, subscribers ...Subscriber) *Log {
	return &Log{run: run, w: w, now: now, subscribers: subscribers}
}

// Emit records an event and shows it to the subscribers.
func (l *Log) Emit(p Payload) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	e := Event{Seq: l.seq, Time: l.now().UTC(), Run: l.run, Payload: p}
	if line, err := json.Marshal(e); err != nil {
		l.fail(err)
	} else if _, err := l.w.Write(append(line, '\n')); err != nil {
		l.fail(err)
	}
	for _, show := range l.subscribers {
		show(e)
	}
}

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

// Read yields the events of a log. A last line cut short, as a killed process
// leaves it, ends the log without an error; any other damage is an error that
// names the line.
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
						yield(Event{}, fmt.Errorf("event log, line %d: %w", n, bad))
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
