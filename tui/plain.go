// Package tui shows a run to a person: line by line (Plain), or live in a
// terminal (Live). Both are subscribers of the run's events and own no state
// of the run.
package tui

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"reprise/checks"
	"reprise/runner/event"
)

// Plain prints one line for every change of state, without escape codes
// unless colour is asked for. It is safe for concurrent use.
type Plain struct {
	mu     sync.Mutex
	w      io.Writer
	paint  painter
	groups bool
	run    *Run
	beat   map[string]time.Time // last line about a running step
	folded int                  // reused steps not printed, of the experiment:
	reused *Experiment
	inRow  int       // of its reused steps, one after another
	told   time.Time // when the last line about the run as a whole was printed
	why    string    // the last reason printed for which a step is queued
}

// PlainOptions choose how Plain prints.
type PlainOptions struct {
	Color  bool
	Groups bool // fold logs as GitHub's workflow log does
}

const (
	// heartbeat is the longest a running step stays silent.
	heartbeat = 10 * time.Second
	// statusEvery is how often a line tells of the run as a whole: what is left,
	// how busy the nodes are, the leases.
	statusEvery = time.Minute
	// reusedShown is the number of reused steps printed in a row; a count
	// stands for the rest of the experiment's.
	reusedShown = 5
)

// NewPlain makes a printer to w.
func NewPlain(w io.Writer, o PlainOptions) *Plain {
	return &Plain{w: w, paint: painter(o.Color), groups: o.Groups, run: NewRun(), beat: map[string]time.Time{}}
}

// Show prints an event.
func (p *Plain) Show(e event.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o, is := e.Payload.(event.Observed); is {
		p.run.step(o.Step).N++ // a printer needs no metrics
		return
	}
	p.run.Apply(e)
	if _, reused := e.Payload.(event.StepReused); !reused {
		p.unfold(e.Time)
	}
	switch v := e.Payload.(type) {
	case event.RunStarted:
		p.line(e.Time, "run %s: %s, profile %s, %d steps, reprise %s on %s", e.Run, strings.Join(v.Artifacts, ", "), v.Profile, v.Steps, v.Version, v.Platform)
	case event.StepReused:
		x := p.run.step(v.Step).Experiment
		if x != p.reused {
			p.unfold(e.Time)
			p.reused, p.inRow = x, 0
		}
		if p.inRow++; p.inRow > reusedShown {
			p.folded++
			return
		}
		p.line(e.Time, "%s %s reused from run %s (%d observations, took %s then)", p.count(), v.Step, v.From, v.Observations, took(v.Seconds))
	case event.StepStarted:
		if v.Queued {
			p.line(e.Time, "%s %s queued on %s: %s", p.paint.dim("…"), v.Step, v.Node, printable(v.Reason))
			return
		}
		p.beat[v.Step] = e.Time
		p.line(e.Time, "%s %s started on %s: %s", p.paint.dim("…"), v.Step, v.Node, printable(v.Reason))
	case event.StepQueued:
		s := p.run.step(v.Step)
		switch {
		case v.Begun:
			p.beat[v.Step] = e.Time
			p.line(e.Time, "%s %s started on %s", p.paint.dim("…"), v.Step, s.Node)
		case v.Reason != p.why: // most steps wait for the same
			p.why = v.Reason
			p.line(e.Time, "%s %s %s", p.paint.dim("…"), v.Step, s.Word())
		}
	case event.StepProgress:
		p.pulse(p.run.step(v.Step), e.Time)
	case event.StepFinished:
		delete(p.beat, v.Step)
		switch v.Status {
		case event.Done:
			p.line(e.Time, "%s %s done in %s (%d observations, %s)", p.count(), v.Step, took(v.Seconds), v.Observations, memory(v.MaxRSS))
		case event.Failed:
			p.line(e.Time, "%s %s %s: %s", p.count(), v.Step, p.paint.bad("failed"), printable(v.Error))
			p.tail(v)
		default:
			p.line(e.Time, "%s %s %s %s", p.count(), v.Step, v.Status, printable(v.Error))
		}
	case event.Held:
		if v.On {
			p.line(e.Time, "held: %s", printable(v.Why))
		} else {
			p.line(e.Time, "goes on")
		}
	case event.Leased:
		p.line(e.Time, "lease %s at %s, %d nodes: %s", printable(v.Name), printable(v.Site), v.Nodes, leaseText(&v, e.Time))
	case event.Warned:
		p.line(e.Time, "%s %s", p.paint.warn("warning:"), printable(v.Message))
	case event.Judged:
		p.line(e.Time, "%s %s/%s %s", Glyph(v.Outcome), v.Artifact, v.Claim, p.paint.outcome(v.Outcome))
	case event.RunFinished:
		p.line(e.Time, "run %s %s after %s", e.Run, v.Outcome, took(v.Seconds))
	}
}

// Beat prints a line for every running step of which none has been printed for
// a while. Call it every second or so.
func (p *Plain) Beat(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	running := p.run.Running()
	for _, s := range running {
		p.pulse(s, now)
	}
	queued := p.run.Queued()
	if p.told.IsZero() {
		p.told = now
	}
	if len(running)+queued == 0 || now.Sub(p.told) < statusEvery {
		return
	}
	p.told = now
	parts := []string{fmt.Sprintf("%d running", len(running))}
	if left, known := p.run.Left(now); known {
		parts[0] += ", about " + clock(left) + " left"
	}
	if queued > 0 {
		parts = append(parts, fmt.Sprintf("%d queued", queued))
		if p.why != "" {
			parts[len(parts)-1] += " (" + printable(p.why) + ")"
		}
	}
	parts = append(append(parts, busyWords(p.run)...), leaseWords(p.run, now)...)
	p.line(now, "%s %s", p.count(), strings.Join(parts, "; "))
}

// pulse prints how far a step is, unless it has just been printed.
func (p *Plain) pulse(s *Step, now time.Time) {
	last, running := p.beat[s.ID]
	if !running || now.Sub(last) < heartbeat {
		return
	}
	p.beat[s.ID] = now
	if s.Progress.Step == "" {
		p.line(now, "%s %s running for %s", p.paint.dim("…"), s.ID, clock(s.Elapsed(now)))
		return
	}
	p.line(now, "%s %s %s", p.paint.dim("…"), s.ID, Progress(s.Progress, s.Elapsed(now)))
}

// unfold says how many reused steps were not printed.
func (p *Plain) unfold(now time.Time) {
	if p.folded > 0 {
		p.line(now, "%s and %d more steps of %s reused", p.count(), p.folded, p.reused.Name())
	}
	p.reused, p.folded = nil, 0
}

// tail prints the last lines of a failed step's standard error, folded where
// the reader can unfold them.
func (p *Plain) tail(v event.StepFinished) {
	if len(v.Tail) == 0 {
		return
	}
	if p.groups {
		fmt.Fprintf(p.w, "::group::standard error of %s\n", v.Step)
		defer fmt.Fprintln(p.w, "::endgroup::")
	}
	for _, l := range v.Tail {
		fmt.Fprintf(p.w, "             | %s\n", printable(l))
	}
}

func (p *Plain) line(now time.Time, format string, args ...any) {
	fmt.Fprintf(p.w, "%s %s\n", p.paint.dim(fmt.Sprintf("%7.1fs", p.run.since(now).Seconds())), fmt.Sprintf(format, args...))
}

func (p *Plain) count() string { return fmt.Sprintf("[%d/%d]", p.run.Ended(), p.run.Total()) }

// Progress puts a step's progress in words, with rate and time left where
// they can be told.
func Progress(v event.StepProgress, elapsed time.Duration) string {
	var b strings.Builder
	if v.Total > 0 {
		fmt.Fprintf(&b, "%.0f %%", 100*v.Done/v.Total)
		if v.Done > 0 && elapsed > time.Second {
			left := time.Duration(float64(elapsed) * (v.Total - v.Done) / v.Done)
			fmt.Fprintf(&b, ", about %s left", clock(left.Round(time.Second)))
		}
	} else {
		fmt.Fprintf(&b, "%.6g done", v.Done)
	}
	if v.Doing != "" {
		b.WriteString(", " + printable(v.Doing))
	}
	return b.String()
}

// Glyph is the sign of an outcome; it always stands beside the word.
func Glyph(o checks.Outcome) string { return o.Glyph() }

func memory(n uint64) string { return fmt.Sprintf("%d MiB", n>>20) }

// printable keeps control characters of foreign programs off the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		// Besides control characters: those that reorder or join text (Cf).
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || unicode.Is(unicode.Cf, r) || r == utf8.RuneError {
			return '·'
		}
		return r
	}, s)
}

// painter adds colour when it is true.
type painter bool

func (p painter) sgr(code, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p painter) dim(s string) string  { return p.sgr("2", s) }
func (p painter) bad(s string) string  { return p.sgr("31", s) }
func (p painter) warn(s string) string { return p.sgr("33", s) }

func (p painter) outcome(o checks.Outcome) string {
	switch o {
	case checks.Reproduced:
		return p.sgr("32", string(o))
	case checks.Partial, checks.Inconclusive:
		return p.warn(string(o))
	case checks.NotReproduced, checks.Error:
		return p.bad(string(o))
	}
	return p.dim(string(o))
}
