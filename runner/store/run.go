package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"reprise/runner/node"
)

// Run is the folder of one run.
type Run struct {
	ID       string
	Dir      string
	store    *Store
	events   file
	lock     *os.File // the store's, which keeps Collect away
	attempts atomic.Int32
}

// NewRun makes the folder of a run; its id is made of the time and, where
// runs begin in the same second, a number.
func (s *Store) NewRun(now time.Time) (run *Run, err error) {
	lock, err := s.lock(syscall.LOCK_SH)
	if err != nil {
		return nil, fmt.Errorf("lock store: %w", err)
	}
	defer func() {
		if err != nil {
			_ = lock.Close()
		}
	}()
	base := now.UTC().Format("20060102-150405")
	for n := 1; ; n++ {
		id := base
		if n > 1 {
			id = fmt.Sprintf("%s-%d", base, n)
		}
		dir := filepath.Join(s.root, "runs", id)
		err := s.fs.Mkdir(dir)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("make run folder: %w", err)
		}
		events, err := s.fs.Create(filepath.Join(dir, EventsFile))
		if err != nil {
			return nil, fmt.Errorf("make event log: %w", err)
		}
		return &Run{ID: id, Dir: dir, store: s, events: events, lock: lock}, nil
	}
}

// Write appends to the run's event log.
func (r *Run) Write(line []byte) (int, error) { return r.events.Write(line) }

// Close syncs and closes the run's event log.
func (r *Run) Close() error {
	defer func() { _ = r.lock.Close() }()
	if err := r.events.Sync(); err != nil {
		return errors.Join(err, r.events.Close())
	}
	return r.events.Close()
}

// Attempt is a step under way.
type Attempt struct {
	Dir    string // of the attempt's records
	Work   string // the step's own working folder
	run    *Run
	record Result
}

// Begin makes an attempt's folder and remembers that the step is under way,
// in that order, before anything of the step runs.
func (r *Run) Begin(step, key string, parts []Part, nodeName string, machine node.Machine, now time.Time) (*Attempt, error) {
	name := fmt.Sprintf("%04d-%s", r.attempts.Add(1), fileName(step))
	a := &Attempt{
		Dir:    filepath.Join(r.Dir, "attempts", name),
		run:    r,
		record: Result{Step: step, Key: key, Parts: parts, Run: r.ID, Node: nodeName, Machine: machine, Started: now.UTC()},
	}
	a.Work = filepath.Join(a.Dir, WorkDir)
	if err := r.store.fs.MkdirAll(a.Work); err != nil {
		return nil, fmt.Errorf("make step folder: %w", err)
	}
	return a, a.remember(statusRunning)
}

func (a *Attempt) remember(status string) error {
	l := last{Step: a.record.Step, Key: a.record.Key, Parts: a.record.Parts, Run: a.record.Run, Status: status}
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return a.run.store.writeFile(a.run.store.lastFile(a.record.Step), data)
}

// Ran says where the step has run, if that was not known when it began.
func (a *Attempt) Ran(nodeName string, machine node.Machine) {
	a.record.Node, a.record.Machine = nodeName, machine
}

// Warn keeps a warning on the conditions of the attempt with its result.
func (a *Attempt) Warn(text string) { a.record.Warnings = append(a.record.Warnings, text) }

// Done stores the attempt as the result for its key.
func (a *Attempt) Done(usage node.Usage, observations []byte, lines int) (*Result, error) {
	a.record.Usage, a.record.Lines, a.record.Checksum = usage, lines, digest(observations)
	data, err := json.MarshalIndent(a.record, "", "  ")
	if err != nil {
		return nil, err
	}
	s := a.run.store
	if err := s.writeFile(filepath.Join(a.Dir, ObservationsFile), observations); err != nil {
		return nil, err
	}
	if err := s.writeFile(filepath.Join(a.Dir, resultFile), data); err != nil {
		return nil, err
	}
	if err := s.syncTree(a.Dir); err != nil {
		return nil, fmt.Errorf("sync result: %w", err)
	}
	final := s.resultDir(a.record.Key)
	if err := s.makeShelf(filepath.Dir(final)); err != nil {
		return nil, fmt.Errorf("store result: %w", err)
	}
	// A result that is already there is either damaged, which is why this
	// attempt was made, or that of a run beside this one with the same content.
	if _, err := os.Stat(final); err == nil {
		if err := s.fs.Rename(final, filepath.Join(a.run.Dir, "attempts", filepath.Base(a.Dir)+"-replaced")); err != nil {
			return nil, fmt.Errorf("replace result: %w", err)
		}
	}
	if err := s.fs.Rename(a.Dir, final); err != nil {
		return nil, fmt.Errorf("store result: %w", err)
	}
	if err := s.fs.Sync(filepath.Dir(final)); err != nil {
		return nil, fmt.Errorf("store result: %w", err)
	}
	r := a.record
	r.Dir = final
	return &r, a.remember(statusDone)
}

// makeShelf makes one of the folders that results are spread over, durably.
func (s *Store) makeShelf(dir string) error {
	err := s.fs.Mkdir(dir)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.fs.Sync(filepath.Dir(dir))
}

// Failed leaves the attempt's records in the run's folder and remembers why.
func (a *Attempt) Failed(why string) error { return a.remember(why) }

// fileName makes a step's id into a name for a folder.
func fileName(step string) string {
	const most = 80
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("-_.=", r):
			return r
		}
		return '_'
	}, step)
	if len(clean) > most {
		clean = clean[:most]
	}
	return clean
}
