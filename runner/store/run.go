package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
	journal  *journal
	events   file
	size     int64       // of the event log
	torn     bool        // it ends in a part of a line
	made     os.FileInfo // of the event log
	lock     *os.File    // the store's, which keeps Collect away
	held     *Claim
	attempts atomic.Int32
	mu       sync.Mutex
	spare    []string // folders of attempts that have served
}

const secondForm = "20060102-150405"

// NewRun makes the folder of a run; its id is made of the time and, where
// runs begin in the same second, a number. It comes after all others, also
// where the clock was set back since.
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
	base := now.UTC().Format(secondForm)
	known, err := s.Runs()
	if err != nil {
		return nil, err
	}
	for _, id := range known {
		second := id[:min(len(id), len(secondForm))]
		if _, bad := time.Parse(secondForm, second); bad == nil {
			base = max(base, second)
			break
		}
	}
	for n := 1; ; n++ {
		id := base
		if n > 1 {
			id = fmt.Sprintf("%s-%d", base, n)
		}
		dir := s.RunDir(id)
		err := s.fs.Mkdir(dir)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("make run folder: %w", err)
		}
		if err := s.fs.Mkdir(filepath.Join(dir, attemptsDir)); err != nil {
			return nil, fmt.Errorf("make run folder: %w", err)
		}
		r := &Run{ID: id, Dir: dir, store: s, lock: lock, journal: newJournal(s, id)}
		if r.held, err = s.Claim(id, false); err != nil {
			return nil, err
		}
		path := filepath.Join(dir, EventsFile)
		if r.events, err = s.fs.Create(path); err == nil {
			r.made, err = os.Stat(path)
		}
		for _, named := range []string{dir, filepath.Dir(dir)} {
			if err == nil {
				err = s.fs.Sync(named)
			}
		}
		if err != nil {
			_ = r.held.Close()
			return nil, fmt.Errorf("make event log: %w", err)
		}
		return r, nil
	}
}

// Write appends lines to the run's event log, all of them or none: the part
// that went on a full disk is cut off again, before the next ones at the latest.
func (r *Run) Write(lines []byte) (int, error) {
	if err := r.cut(); err != nil {
		return 0, err
	}
	n, err := r.events.Write(lines)
	if err != nil {
		r.torn = n > 0
		_ = r.cut()
		return 0, err
	}
	r.size += int64(n)
	return n, nil
}

func (r *Run) cut() error {
	if !r.torn {
		return nil
	}
	err := r.events.Truncate(r.size)
	r.torn = err != nil
	return err
}

// ManifestFile is where a run keeps the manifest of an artifact, in its folder.
func ManifestFile(artifact string) string {
	return filepath.Join("manifests", artifact+".yaml")
}

// KeepManifest writes the manifest of an artifact that the run is of.
func (r *Run) KeepManifest(artifact string, text []byte) error {
	path := filepath.Join(r.Dir, ManifestFile(artifact))
	err := r.store.fs.MkdirAll(filepath.Dir(path))
	if err == nil {
		err = r.store.writeFile(path, text)
	}
	if err != nil {
		return fmt.Errorf("keep manifest: %w", err)
	}
	return nil
}

// Sync makes what has been written of the event log durable.
func (r *Run) Sync() error { return r.events.Sync() }

// Close syncs and closes the run's event log. It is an error, ErrGone, when
// that is not where it was made any more.
func (r *Run) Close() error {
	defer func() {
		_ = r.lock.Close()
		_ = r.held.Close()
	}()
	err := r.events.Sync()
	if err == nil {
		err = r.There()
	}
	for dir := r.takeSpare(); dir != ""; dir = r.takeSpare() {
		_ = os.RemoveAll(dir)
	}
	return errors.Join(err, r.events.Close(), r.journal.close())
}

// takeSpare gives a folder for an attempt that another has no more use for, if
// there is one.
func (r *Run) takeSpare() (dir string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.spare); n > 0 {
		dir, r.spare = r.spare[n-1], r.spare[:n-1]
	}
	return dir
}

// There gives ErrGone if the run's folder is no longer the one that was made.
func (r *Run) There() error {
	path := filepath.Join(r.Dir, EventsFile)
	if info, err := os.Stat(path); err != nil || !os.SameFile(info, r.made) {
		return fmt.Errorf("%w: %s", ErrGone, path)
	}
	return nil
}

// gone puts the error that explains it before one that says only that a file
// is missing.
func (r *Run) gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		if bad := r.There(); bad != nil {
			return fmt.Errorf("%w: %w", bad, err)
		}
	}
	return err
}

// Attempt is a step under way.
type Attempt struct {
	Dir  string // of the attempt's records
	Work string // the step's own working folder
	// Clean says that nothing the command started outlives it, so that another
	// attempt may have its folder if it leaves that empty.
	Clean bool
	// Written, if given, is called when a small result is written and only the
	// disk is waited for.
	Written func()
	run     *Run
	record  Result
}

// Begin makes an attempt's folder and remembers that the step is under way,
// in that order, before anything of the step runs.
func (r *Run) Begin(step, key string, parts []Part, nodeName string, machine node.Machine, now time.Time) (*Attempt, error) {
	name := fmt.Sprintf("%04d-%s", r.attempts.Add(1), fileName(step))
	a := &Attempt{
		Dir:    filepath.Join(r.Dir, attemptsDir, name),
		run:    r,
		record: Result{Step: step, Key: key, Parts: parts, Run: r.ID, Node: nodeName, Machine: machine, Started: now.UTC()},
	}
	a.Work = filepath.Join(a.Dir, WorkDir)
	if spare := r.takeSpare(); spare != "" {
		if err := r.store.fs.Rename(spare, a.Dir); err != nil {
			return nil, r.gone(fmt.Errorf("make step folder: %w", err))
		}
		return a, a.remember(begun, "")
	}
	// Not MkdirAll: it would make up for a run's folder that has gone.
	for _, dir := range []string{a.Dir, a.Work} {
		if err := r.store.fs.Mkdir(dir); err != nil {
			return nil, r.gone(fmt.Errorf("make step folder: %w", err))
		}
	}
	return a, a.remember(begun, "")
}

// remember journals how the attempt stands. That is not synced: were it lost
// with the machine's power, only the reason why the step runs again would be.
func (a *Attempt) remember(k kind, why string) error {
	data, err := json.Marshal(last{Step: a.record.Step, Run: a.record.Run, Why: why})
	if err != nil {
		return err
	}
	parts, err := json.Marshal(a.record.Parts)
	if err != nil {
		return err
	}
	h, err := a.header(k)
	if err != nil {
		return err
	}
	return a.run.journal.append(h, [sections][]byte{data, parts}, false, nil)
}

func (a *Attempt) header(k kind) (h header, err error) {
	h = header{kind: k, step: stepDigest(a.record.Step)}
	h.key, err = rawKey(a.record.Key)
	return h, err
}

// Ran says where the step has run, if that was not known when it began.
func (a *Attempt) Ran(nodeName string, machine node.Machine) {
	a.record.Node, a.record.Machine = nodeName, machine
}

// Warn keeps a warning on the conditions of the attempt with its result.
func (a *Attempt) Warn(text string) { a.record.Warnings = append(a.record.Warnings, text) }

// Left digests the declared outputs, paths inside the working folder, and keeps
// that with the result.
func (a *Attempt) Left(outputs []string) error {
	for _, name := range outputs {
		path := filepath.Join(a.Work, name)
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		o := node.Output{Name: name, Folder: info.IsDir()}
		digest := DigestFile
		if o.Folder {
			digest = DigestTree
		}
		if o.SHA256, o.Bytes, err = digest(path); err != nil {
			return fmt.Errorf("output %s: %w", name, err)
		}
		a.record.Outputs = append(a.record.Outputs, o)
	}
	return nil
}

// Done stores the attempt as the result for its key.
func (a *Attempt) Done(usage node.Usage, observations []byte, lines int) (*Result, error) {
	r, err := a.done(usage, observations, lines)
	return r, a.run.gone(err)
}

func (a *Attempt) done(usage node.Usage, observations []byte, lines int) (*Result, error) {
	a.record.Usage, a.record.Lines, a.record.Checksum = usage, lines, digest(observations)
	if stdout, stderr, small := a.small(observations); small {
		a.record.Disk = uint64(len(stdout) + len(stderr) + len(observations))
		return a.pack(observations, stdout, stderr)
	}
	a.record.Disk = folderBytes(a.Dir) + uint64(len(observations))
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
		if err := s.fs.Rename(final, filepath.Join(a.run.Dir, attemptsDir, filepath.Base(a.Dir)+"-replaced")); err != nil {
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
	r.Dir, r.observations = final, observations
	return &r, a.remember(folder, "")
}

// small gives the logs of an attempt that a pack can hold: it has left no files
// of its own.
func (a *Attempt) small(observations []byte) (stdout, stderr []byte, is bool) {
	entries, err := os.ReadDir(a.Dir)
	if err != nil || len(observations) > packed {
		return nil, nil, false
	}
	for _, e := range entries {
		path := filepath.Join(a.Dir, e.Name())
		switch e.Name() {
		case WorkDir:
			if files, err := os.ReadDir(path); err != nil || len(files) > 0 {
				return nil, nil, false
			}
		case StdoutFile, StderrFile:
			data, size, err := readTail(path, packed)
			if err != nil || size > packed {
				return nil, nil, false
			}
			if e.Name() == StdoutFile {
				stdout = data
			} else {
				stderr = data
			}
		default:
			return nil, nil, false
		}
	}
	return stdout, stderr, true
}

// pack stores a small attempt as the result for its key.
func (a *Attempt) pack(observations, stdout, stderr []byte) (*Result, error) {
	j := a.run.journal
	id, err := j.machine(a.record.Machine)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(packedResult{Result: a.record, MachineID: id})
	if err != nil {
		return nil, err
	}
	h, err := a.header(done)
	if err != nil {
		return nil, err
	}
	parts, err := json.Marshal(a.record.Parts)
	if err != nil {
		return nil, err
	}
	if err := j.append(h, [sections][]byte{data, parts, observations, stdout, stderr}, true, a.Written); err != nil {
		return nil, fmt.Errorf("store result: %w", err)
	}
	// It stands in the pack; what is left here would only take up room.
	a.vacate(len(stdout) > 0, len(stderr) > 0)
	r := a.record
	r.Dir, r.observations = filepath.Join(j.pack.path, a.record.Key), observations
	return &r, nil
}

// vacate removes the folder of an attempt, or leaves it to the next with empty
// logs: to make and remove files is what a small step costs most.
func (a *Attempt) vacate(stdout, stderr bool) {
	var err error
	for name, written := range map[string]bool{StdoutFile: stdout, StderrFile: stderr} {
		if a.Clean && written {
			err = errors.Join(err, os.Truncate(filepath.Join(a.Dir, name), 0))
		}
	}
	if !a.Clean || err != nil {
		_ = os.RemoveAll(a.Dir)
		return
	}
	a.run.mu.Lock()
	defer a.run.mu.Unlock()
	a.run.spare = append(a.run.spare, a.Dir)
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
func (a *Attempt) Failed(why string) error { return a.remember(failed, why) }

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
