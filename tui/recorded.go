package tui

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"reprise/checks"
	"reprise/runner/event"
	"reprise/runner/store"
)

// Recorded is what a list shows of a recorded run.
type Recorded struct {
	ID       string
	Started  time.Time
	Start    event.RunStarted
	End      *event.RunFinished // nil: it is under way or was killed
	Holder   *store.Holder      // process that has it under way, or resumes it
	Damage   error              // why the rest of its log cannot be read
	Verdicts map[string][]checks.Verdict
}

// Outcome says in a word or two how the run ended.
func (r *Recorded) Outcome() string {
	switch {
	case r.Damage != nil:
		return "damaged log"
	case r.End == nil && r.Holder != nil && !r.Holder.Resumes:
		return "under way"
	case r.End == nil:
		return "killed"
	case r.End.Outcome == "finished" && r.End.Steps[string(event.Failed)] > 0:
		return "failures"
	}
	return r.End.Outcome
}

// Unfinished says that the run was killed or interrupted, or that something
// failed in it, so that there is something to go on with.
func (r *Recorded) Unfinished() bool {
	if r.End == nil {
		return r.Holder == nil || r.Holder.Resumes
	}
	return r.Damage != nil || r.End.Outcome != "finished" || r.End.Steps[string(event.Failed)]+r.End.Steps[string(event.Cancelled)] > 0
}

// ReadRecorded summarises the event log of a run without taking in its
// observations.
func ReadRecorded(path string) (*Recorded, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	r := &Recorded{Verdicts: map[string][]checks.Verdict{}}
	// Before the log is read: a run that ends meanwhile must not look killed.
	if r.Holder, err = store.HolderOf(filepath.Dir(path)); err != nil {
		return nil, err
	}
	lines := bufio.NewReaderSize(f, 1<<16)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return nil, err
		}
		if err == io.EOF {
			break // a last line cut short says nothing
		}
		if n > 1 && !holdsAny(line, `"event":"verdict"`, `"event":"run_finished"`) {
			continue
		}
		var e event.Event
		if err := json.Unmarshal(line, &e); err != nil {
			r.Damage = &event.DamageError{Line: n, Err: err}
			break
		}
		switch v := e.Payload.(type) {
		case event.RunStarted:
			r.ID, r.Started, r.Start = e.Run, e.Time, v
		case event.Judged:
			r.Verdicts[v.Artifact] = append(r.Verdicts[v.Artifact], v.Verdict)
		case event.RunFinished:
			r.End = &v
		}
	}
	if r.ID == "" {
		if r.Damage != nil {
			return nil, fmt.Errorf("%s: %w", path, r.Damage)
		}
		return nil, fmt.Errorf("%s: the log does not say what was run", path)
	}
	return r, nil
}

func holdsAny(line []byte, texts ...string) bool {
	for _, t := range texts {
		if bytes.Contains(line, []byte(t)) {
			return true
		}
	}
	return false
}
