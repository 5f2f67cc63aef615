package slurm

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"reprise/runner/node"
)

// spec is what a task runs.
type spec struct {
	Key       string
	Argv      []string
	Dir       string
	Env       []string
	Files     map[string]string
	Limit     time.Duration
	Memory    uint64
	Exclusive bool
	Grace     time.Duration
}

// ending is how a task ended, as it writes it down.
type ending struct {
	Result node.Result
	Failed string // why the machine failed, if it did
	Sizes  [len(streams)]int64
}

type end struct {
	ending
	err error
}

// streams are the files that a task writes as it goes.
var streams = [...]string{"stdout", "stderr"}

// task is a command in the queue.
type task struct {
	spec
	array *array // nil: not submitted
	index int

	command  *node.Command // nil: of an earlier runner, not asked for yet
	dir      string        // where command wants what the task leaves
	done     chan end
	offsets  [len(streams)]int64
	unwanted bool
	asked    bool   // scancel was
	over     bool   // done has its end
	told     string // the last reason for waiting
	begun    bool
	missed   time.Time // when it was first not in the queue
}

func (t *task) follow(c node.Command, dir string) {
	t.command, t.dir, t.done = &c, dir, make(chan end, 1)
}

func (t *task) note(text string) {
	if t.command != nil && t.command.Note != nil {
		t.command.Note(text)
	}
}

// waits says why the task waits, or with no reason that it begins.
func (t *task) waits(reason string) {
	if t.begun || reason == t.told && reason != "" {
		return
	}
	t.told, t.begun = reason, reason == ""
	if t.command != nil && t.command.Queued != nil {
		t.command.Queued(reason)
	}
}

func (t *task) id() string { return fmt.Sprintf("%s_%d", t.array.job, t.index) }

// finish hands the task's end to who waits for it.
func (t *task) finish(e end) {
	if !t.over && t.done != nil {
		t.over = true
		t.done <- e
	}
}

// bring moves what the task of an earlier runner has left to where it is wanted
// now.
func (t *task) bring() error {
	if t.dir == t.Dir {
		return nil
	}
	if err := os.RemoveAll(t.dir); err != nil {
		return err
	}
	return os.Rename(t.Dir, t.dir)
}

// array is a job array.
type array struct {
	name  string
	dir   string
	job   string
	tasks map[int]*task // not yet taken in
	lock  *os.File
	since time.Time // when it was submitted
	told  time.Time // when the reasons for waiting were last looked at
}

func (a *array) release() {
	if a.lock != nil {
		_ = a.lock.Close()
		a.lock = nil
	}
}

// followed counts the tasks that somebody waits for.
func (a *array) followed() (n int) {
	for _, t := range a.tasks {
		if t.command != nil {
			n++
		}
	}
	return n
}

// Names in an array's folder.
const (
	tasksFile  = "tasks"
	indexFile  = "index"
	jobFile    = "job"
	lockFile   = "lock"
	scriptFile = "script"
	logFile    = "log"
	outDir     = "out"
	endsDir    = "ends"
)

// jobName is the array's name in the queue.
func jobName(array string) string { return "reprise-" + array }

// alike says by what commands may share an array.
type alike struct {
	minutes   int
	mebibytes uint64
	exclusive bool
}

// overhead is the memory of the program around a command.
const overhead = 64 << 20

func (t *task) alike() alike { return demands(t.Limit, t.Grace, t.Memory, t.Exclusive) }

func demands(limit, grace time.Duration, memory uint64, exclusive bool) alike {
	k := alike{exclusive: exclusive}
	if limit > 0 {
		const slack = 30 * time.Second // the limit is kept on the machine; Slurm's only catches what escapes
		k.minutes = int((limit + grace + slack + time.Minute - 1) / time.Minute)
	}
	if memory > 0 {
		k.mebibytes = (memory + overhead + 1<<20 - 1) >> 20
	}
	return k
}

// arguments of sbatch.
func (k alike) arguments() (args []string) {
	if k.minutes > 0 {
		args = append(args, fmt.Sprintf("--time=%d", k.minutes))
	}
	if k.exclusive {
		args = append(args, "--exclusive")
	}
	if k.mebibytes > 0 {
		args = append(args, fmt.Sprintf("--mem=%dM", k.mebibytes))
	}
	return args
}

// Arguments gives those of sbatch that ask for what a command needs: its time
// limit, its memory limit in bytes (0: none) and whether it runs alone.
func Arguments(limit time.Duration, memory uint64, exclusive bool) []string {
	return demands(limit, defaultGrace, memory, exclusive).arguments()
}

// submitAll submits what has come as few arrays.
func (n *Node) submitAll(ctx context.Context) {
	n.mu.Lock()
	coming := n.coming
	n.coming = nil
	n.mu.Unlock()
	groups := map[alike][]*task{}
	var order []alike
	for _, t := range coming {
		k := t.alike()
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], t)
	}
	for _, k := range order {
		for tasks := range slices.Chunk(groups[k], n.maxArray) {
			if err := n.submit(ctx, k, tasks); err != nil {
				n.mu.Lock()
				for _, t := range tasks {
					t.finish(end{err: fmt.Errorf("submit to Slurm: %w", err)})
				}
				n.mu.Unlock()
			}
		}
	}
}

// submit writes an array's folder, durably, and then submits it.
func (n *Node) submit(ctx context.Context, k alike, tasks []*task) (err error) {
	a := &array{name: strings.ToLower(rand.Text()[:12]), tasks: map[int]*task{}}
	a.dir = filepath.Join(n.Spool, "arrays", a.name)
	for _, dir := range []string{outDir, endsDir} {
		if err := os.MkdirAll(filepath.Join(a.dir, dir), 0o700); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil {
			a.release()
			_ = os.RemoveAll(a.dir)
		}
	}()
	if a.lock, err = lock(filepath.Join(a.dir, lockFile)); err != nil {
		return err
	}
	var lines bytes.Buffer
	var index []byte
	for i, t := range tasks {
		a.tasks[i] = t
		index = binary.LittleEndian.AppendUint64(index, uint64(lines.Len()))
		if err := json.NewEncoder(&lines).Encode(t.spec); err != nil {
			return err
		}
	}
	script := fmt.Sprintf("#!/bin/sh\n# Tasks of reprise; see %[1]s/tasks.\nexec '%[2]s' supervise task '%[1]s' 2>>'%[1]s/%[3]s'\n", a.dir, n.self, logFile)
	for name, data := range map[string][]byte{tasksFile: lines.Bytes(), indexFile: index, scriptFile: []byte(script)} {
		if err := writeSynced(filepath.Join(a.dir, name), data); err != nil {
			return err
		}
	}
	if err := syncDir(a.dir, filepath.Dir(a.dir)); err != nil {
		return err
	}
	args := []string{
		"--parsable", "--no-requeue", "--ntasks=1", "--chdir=/", "--input=/dev/null", "--output=/dev/null", "--error=/dev/null",
		"--job-name=" + jobName(a.name), fmt.Sprintf("--array=0-%d", len(tasks)-1), "--export=ALL",
	}
	args = append(append(append(args, k.arguments()...), n.Args...), filepath.Join(a.dir, scriptFile))
	var out string
	for since, pause := time.Now(), time.Second; ; pause = min(2*pause, 30*time.Second) {
		if out, err = program(ctx, "sbatch", args...); err == nil || !away(err) || time.Since(since) > controlDown {
			break
		}
		// It may have been taken in although the answer was lost.
		if a.job = findJob(ctx, a.name); a.job != "" {
			err = nil
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	if err != nil {
		return err
	}
	if a.job == "" {
		a.job, _, _ = strings.Cut(strings.TrimSpace(out), ";")
	}
	if _, bad := strconv.Atoi(a.job); bad != nil {
		return fmt.Errorf("sbatch answers %q, which is no job id", out)
	}
	// Without this file a later runner asks Slurm for the job by its name.
	err = errors.Join(writeSynced(filepath.Join(a.dir, jobFile), []byte(a.job)), syncDir(a.dir))
	if err != nil {
		_, _ = program(context.WithoutCancel(ctx), "scancel", a.job)
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	a.since = time.Now()
	for i, t := range a.tasks {
		t.array, t.index = a, i
	}
	n.arrays[a.name] = a
	return nil
}

// findJob gives the id of an array's job by its name, "" if there is none.
func findJob(ctx context.Context, name string) string {
	for _, args := range [][]string{
		{"squeue", "--noheader", "--states=all", "--format=%F", "--name=" + jobName(name)},
		{"sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID", "--name=" + jobName(name)},
	} {
		if out, err := program(ctx, args[0], args[1:]...); err == nil {
			if fields := strings.Fields(out); len(fields) > 0 {
				job, _, _ := strings.Cut(fields[0], "_")
				return job
			}
		}
	}
	return ""
}

// keepDead is how long an array stays that nobody came for.
const keepDead = 14 * 24 * time.Hour

// find takes up the arrays of earlier runners that have died.
func (n *Node) find(ctx context.Context) error {
	entries, err := os.ReadDir(filepath.Join(n.Spool, "arrays"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		a := &array{name: e.Name(), dir: filepath.Join(n.Spool, "arrays", e.Name()), tasks: map[int]*task{}, since: time.Now()}
		if a.lock, err = lock(filepath.Join(a.dir, lockFile)); err != nil {
			continue // its runner lives
		}
		specs, err := readSpecs(a.dir)
		if err == nil {
			var job []byte
			if job, err = os.ReadFile(filepath.Join(a.dir, jobFile)); err == nil {
				a.job = string(job)
			} else if a.job = findJob(ctx, a.name); a.job != "" {
				err = writeSynced(filepath.Join(a.dir, jobFile), []byte(a.job))
			}
		}
		if info, bad := e.Info(); err != nil || bad != nil || time.Since(info.ModTime()) > keepDead {
			a.release()
			// It was never submitted, or long ago.
			_ = os.RemoveAll(a.dir)
			continue
		}
		for i, s := range specs {
			t := &task{spec: s, array: a, index: i}
			if _, there := n.kept[s.Key]; there || s.Key == "" {
				continue
			}
			if _, err := os.Stat(s.Dir); err != nil {
				continue // taken in already, or removed
			}
			a.tasks[i], n.kept[s.Key] = t, t
		}
		if len(a.tasks) == 0 {
			a.release()
			_ = os.RemoveAll(a.dir)
			continue
		}
		n.arrays[a.name] = a
	}
	return nil
}

func readSpecs(dir string) ([]spec, error) {
	data, err := os.ReadFile(filepath.Join(dir, tasksFile))
	if err != nil {
		return nil, err
	}
	var specs []spec
	lines := json.NewDecoder(bytes.NewReader(data))
	for {
		var s spec
		err := lines.Decode(&s)
		if errors.Is(err, io.EOF) {
			return specs, nil
		}
		if err != nil {
			return nil, err
		}
		specs = append(specs, s)
	}
}

// cancelAll cancels the tasks that nobody wants any more: the whole array where
// that is all of it.
func (n *Node) cancelAll(ctx context.Context) {
	n.mu.Lock()
	var ids []string
	for _, a := range n.arrays {
		var some []string
		whole := true
		for _, t := range a.tasks {
			if t.over {
				continue
			}
			whole = whole && t.unwanted
			if t.unwanted && !t.asked {
				t.asked = true
				some = append(some, t.id())
			}
		}
		if whole && len(some) > 0 {
			some = []string{a.job}
		}
		ids = append(ids, some...)
	}
	n.mu.Unlock()
	for chunk := range slices.Chunk(ids, 500) {
		_, _ = program(ctx, "scancel", append([]string{"--quiet"}, chunk...)...)
	}
}

// poll takes in how far the tasks are. What the queue says is asked before the
// files are read, so the end of a task that has left the queue can be seen.
func (n *Node) poll(ctx context.Context) {
	n.mu.Lock()
	var jobs []string
	byJob := map[string]*array{}
	for _, a := range n.arrays {
		if a.followed() > 0 {
			jobs = append(jobs, a.job)
			byJob[a.job] = a
		}
	}
	n.mu.Unlock()
	if len(jobs) == 0 {
		return
	}
	asked := time.Now()
	lines, queueErr := queue(ctx, jobs)
	n.mu.Lock()
	defer n.mu.Unlock()
	present := map[string][]queued{}
	for _, q := range lines {
		present[q.job] = append(present[q.job], q)
	}
	for job, a := range byJob {
		ends := map[int]bool{}
		if names, err := os.ReadDir(filepath.Join(a.dir, endsDir)); err == nil {
			for _, e := range names {
				if i, err := strconv.Atoi(e.Name()); err == nil {
					ends[i] = true
				}
			}
		}
		a.explain(present[job])
		for _, i := range slices.Sorted(maps.Keys(a.tasks)) {
			t := a.tasks[i]
			if t.command == nil || t.over {
				continue
			}
			state := ""
			for _, q := range present[job] {
				if q.holds(i) {
					state = q.state
				}
			}
			switch {
			case ends[i]:
				n.take(t)
			case state == "PENDING" || state == "CONFIGURING":
				t.missed = time.Time{}
			case state != "":
				t.missed = time.Time{}
				t.waits("")
				if err := t.read(nil); err != nil {
					t.finish(end{err: err})
				}
			case queueErr != nil || asked.Before(a.since):
			case t.missed.IsZero():
				t.missed = asked
			}
			if state == "" && !ends[i] && !t.missed.IsZero() && (t.unwanted || time.Since(t.missed) > n.Settle) {
				n.lost(ctx, t)
			}
		}
	}
}

// tellEvery bounds how often the tasks of an array are told why they wait: there
// may be thousands, and the scheduler's reasons come and go.
const tellEvery = 30 * time.Second

// explain says why an array's tasks wait.
func (a *array) explain(lines []queued) {
	if time.Since(a.told) < tellEvery {
		return
	}
	for _, q := range lines {
		if q.state != "PENDING" || q.reason == "None" {
			continue
		}
		a.told = time.Now()
		for i, t := range a.tasks {
			if t.command != nil && q.holds(i) {
				t.waits(explain(q.reason))
			}
		}
	}
}

// take takes in a task that has written how it ended.
func (n *Node) take(t *task) {
	data, err := os.ReadFile(filepath.Join(t.array.dir, endsDir, strconv.Itoa(t.index)))
	var e end
	if err == nil {
		err = json.Unmarshal(data, &e.ending)
	}
	if err == nil {
		err = t.read(&e.Sizes)
	}
	if errors.Is(err, errNotYet) {
		if t.missed.IsZero() {
			t.missed = time.Now()
		}
		if time.Since(t.missed) < n.Settle {
			return
		}
	}
	e.err = err
	if err == nil && e.Result.End == node.Stopped && !t.unwanted {
		// Somebody else had it stopped.
		e = judgeState(t, "", e)
	}
	t.finish(e)
}

// errNotYet says that not all of a task's output can be seen here.
var errNotYet = errors.New("the task's output does not arrive; is the spool folder on a file system that all machines share?")

// read hands on what the task has put out; to its end if sizes are given.
func (t *task) read(sizes *[len(streams)]int64) error {
	for i, w := range []io.Writer{t.command.Stdout, t.command.Stderr} {
		if sizes != nil && sizes[i] <= t.offsets[i] {
			continue
		}
		f, err := os.Open(filepath.Join(t.array.dir, outDir, fmt.Sprintf("%d.%s", t.index, streams[i])))
		if errors.Is(err, fs.ErrNotExist) {
			if sizes != nil {
				return errNotYet
			}
			continue
		}
		if err != nil {
			return err
		}
		if w == nil {
			w = io.Discard
		}
		copied, err := io.Copy(w, io.NewSectionReader(f, t.offsets[i], 1<<62))
		_ = f.Close()
		t.offsets[i] += copied
		if err != nil {
			return fmt.Errorf("output of %s: %w", t.Argv[0], err)
		}
		if sizes != nil && t.offsets[i] < sizes[i] {
			return errNotYet
		}
	}
	return nil
}

// lost decides about a task that has left the queue without a word.
func (n *Node) lost(ctx context.Context, t *task) {
	if t.unwanted {
		_ = t.read(nil)
		t.finish(end{ending: ending{Result: node.Result{End: node.Stopped}}})
		return
	}
	state, host := fate(ctx, t.id())
	var e end
	e.Result.Host = host
	_ = t.read(nil)
	t.finish(judgeState(t, state, e))
}

// judgeState says how a task ended that did not end by itself.
func judgeState(t *task, state string, e end) end {
	switch state {
	case "TIMEOUT", "DEADLINE":
		e.Result.End = node.TimedOut
		return e
	case "OUT_OF_MEMORY":
		e.Result.End = node.OverLimit
		return e
	}
	said := ""
	if log, err := os.ReadFile(filepath.Join(t.array.dir, logFile)); err == nil && len(log) > 0 {
		lines := strings.Split(strings.TrimSpace(string(log)), "\n")
		said = ": " + lines[len(lines)-1]
	}
	where := ""
	if e.Result.Host != "" {
		where = " on " + e.Result.Host
	}
	switch state {
	case "NODE_FAIL", "BOOT_FAIL":
		e.err = fmt.Errorf("job %s: its machine failed%s (%s)", t.id(), where, state)
	case "CANCELLED", "PREEMPTED", "REVOKED":
		e.err = fmt.Errorf("job %s was stopped%s by somebody else (%s)", t.id(), where, state)
	case "":
		e.err = fmt.Errorf("job %s was stopped%s by somebody else, or Slurm has forgotten it%s", t.id(), where, said)
	default:
		e.err = fmt.Errorf("job %s ended%s without a word (%s)%s; does that machine see %s?", t.id(), where, state, said, t.array.dir)
	}
	return e
}

// keepProgram copies the running program to where tasks find it, once a
// build.
func keepProgram(bin string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(self)
	if err != nil {
		return "", err
	}
	path := filepath.Join(bin, fmt.Sprintf("%x", sha256.Sum256(data)), "reprise")
	if info, err := os.Stat(path); err == nil && info.Size() == int64(len(data)) {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	beside := path + "." + rand.Text()
	if err := os.WriteFile(beside, data, 0o700); err != nil {
		return "", errors.Join(err, os.Remove(beside))
	}
	return path, os.Rename(beside, path)
}

// lock takes a file's lock or fails; it ends with the process.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// writeSynced writes a file whole or not at all, durably.
func writeSynced(path string, data []byte) error {
	beside := path + ".new"
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(beside, path)
}

func syncDir(dirs ...string) error {
	for _, dir := range dirs {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}
