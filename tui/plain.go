// Package tui shows a run to a person: line by line (Plain), or live in a
// terminal (Live). Both are subscribers of the run's events and own no state
// of the run.
package tui

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"reprise/checks"
	"reprise/runner/event"
)

// Plain prints one line for every change of state, without escape codes
// unless colour is asked for.
type Plain struct {
	w       io.Writer
	paint   painter
	started time.Time
	steps   int
	ended   int
	// heartbeat is the least time between two progress lines of a step.
	heartbeat time.Duration
	beat      map[string]time.Time
	start     map[string]time.Time
}

// NewPlain makes a printer to w.
func NewPlain(w io.Writer, color bool) *Plain {
	return &Plain{w: w, paint: painter(color), heartbeat: 10 * time.Second, beat: map[string]time.Time{}, start: map[string]time.Time{}}
}

// Show prints an event.
func (p *Plain) Show(e event.Event) {
	switch v := e.Payload.(type) {
	case event.RunStarted:
		p.started, p.steps = e.Time, v.Steps
		p.line(e, "run %s: %s, profile %s, %d steps, reprise %s on %s", e.Run, strings.Join(v.Artifacts, ", "), v.Profile, v.Steps, v.Version, v.Platform)
	case event.StepReused:
		p.ended++
		p.line(e, "%s %s reused from run %s (%d observations, took %s then)", p.count(), v.Step, v.From, v.Observations, seconds(v.Seconds))
	case event.StepStarted:
		p.start[v.Step], p.beat[v.Step] = e.Time, e.Time
		p.line(e, "%s %s started on %s: %s", p.paint.dim("…"), v.Step, v.Node, v.Reason)
	case event.StepProgress:
		if e.Time.Sub(p.beat[v.Step]) < p.heartbeat {
			return
		}
		p.beat[v.Step] = e.Time
		p.line(e, "%s %s %s", p.paint.dim("…"), v.Step, Progress(v, e.Time.Sub(p.start[v.Step])))
	case event.StepFinished:
		p.ended++
		switch v.Status {
		case event.Done:
			p.line(e, "%s %s done in %s (%d observations, %s)", p.count(), v.Step, seconds(v.Seconds), v.Observations, bytes(v.MaxRSS))
		case event.Failed:
			p.line(e, "%s %s %s: %s", p.count(), v.Step, p.paint.bad("failed"), printable(v.Error))
			for _, l := range v.Tail {
				fmt.Fprintf(p.w, "             | %s\n", printable(l))
			}
		default:
			p.line(e, "%s %s %s %s", p.count(), v.Step, v.Status, printable(v.Error))
		}
	case event.Warned:
		p.line(e, "%s %s", p.paint.warn("warning:"), printable(v.Message))
	case event.Judged:
		p.line(e, "%s %s/%s %s", Glyph(v.Outcome), v.Artifact, v.Claim, p.paint.outcome(v.Outcome))
	case event.RunFinished:
		p.line(e, "run %s %s after %s", e.Run, v.Outcome, seconds(v.Seconds))
	}
}

func (p *Plain) line(e event.Event, format string, args ...any) {
	at := e.Time.Sub(p.started)
	if p.started.IsZero() {
		at = 0
	}
	fmt.Fprintf(p.w, "%s %s\n", p.paint.dim(fmt.Sprintf("%7.1fs", at.Seconds())), fmt.Sprintf(format, args...))
}

func (p *Plain) count() string { return fmt.Sprintf("[%d/%d]", p.ended, p.steps) }

// Progress puts a step's progress in words, with rate and time left where
// they can be told.
func Progress(v event.StepProgress, elapsed time.Duration) string {
	var b strings.Builder
	if v.Total > 0 {
		fmt.Fprintf(&b, "%.0f %%", 100*v.Done/v.Total)
		if v.Done > 0 && elapsed > time.Second {
			left := time.Duration(float64(elapsed) * (v.Total - v.Done) / v.Done)
			fmt.Fprintf(&b, ", about %s left", left.Round(time.Second))
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
func Glyph(o checks.Outcome) string {
	switch o {
	case checks.Reproduced:
		return "✓"
	case checks.Partial:
		return "◐"
	case checks.NotReproduced:
		return "✗"
	case checks.Inconclusive:
		return "?"
	case checks.Error:
		return "!"
	}
	return "–"
}

func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", s)
	}
	return d.Round(time.Second).String()
}

func bytes(n uint64) string { return fmt.Sprintf("%d MiB", n>>20) }

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
