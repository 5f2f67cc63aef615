// Package slurm runs commands through an existing Slurm. It implements
// node.Node.
//
// Commands that are alike in their limits and come at about the same time are
// submitted as one job array. The machines that Slurm runs them on have to see
// the runner's files under the same paths, which a cluster's shared file system
// gives. Each task of an array is this program, `reprise supervise task`, which
// keeps the limits as on a machine of one's own (it is a node.Local) and leaves
// the command's output and end in files. So nothing depends on the runner's
// being there: a later one finds the arrays in the spool folder and follows
// them on. In that folder there are
//
//	bin/DIGEST/reprise     this program, as it was when the array was submitted
//	arrays/ID/             one array
//	  tasks, index         what to run, one JSON object a line, and where each line begins
//	  job                  the array's job id
//	  lock                 held by the runner that follows it
//	  out/N.stdout, …      output of task N
//	  ends/N               how it ended
package slurm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"reprise/artifacts"
	"reprise/runner/node"
)

// Options say how to use a Slurm.
type Options struct {
	// Spool is a folder that this machine and those of the cluster share.
	Spool string
	// Args are further arguments of sbatch: --partition=short, --account=me.
	Args []string
	// Grace is how long a command has to stop by itself once asked to.
	Grace time.Duration
	// Poll is how often the queue is looked at, 1 s by default.
	Poll time.Duration
	// Gather is how long a command waits for others to be submitted with it
	// after the last one came, 300 ms by default.
	Gather time.Duration
	// Settle is how long what a task wrote may take to be seen here, 15 s by
	// default.
	Settle time.Duration
}

// Node is a Slurm. Only its loop's goroutine submits, polls and cancels.
type Node struct {
	Options
	machine  node.Machine
	self     string
	maxArray int // most tasks of an array

	wake  chan struct{}
	close context.CancelFunc
	ended chan struct{} // the loop

	mu     sync.Mutex
	coming []*task           // not submitted
	last   time.Time         // when the last of them came
	first  time.Time         // when the first of them came
	arrays map[string]*array // that have tasks to follow, by id
	kept   map[string]*task  // by key; of earlier runners, not yet asked for
}

// Times that follow from how Slurm works.
const (
	mostGather  = 3 * time.Second  // a command waits at most so long to be submitted
	callLimit   = time.Minute      // for one of Slurm's programs
	controlDown = 10 * time.Minute // how long its controller may be away
	endPatience = 90 * time.Second // for the end of a task that was cancelled

	defaultGrace = 5 * time.Second
)

// mostDepth bounds the commands in the queue at once.
const mostDepth = 10_000

// Open finds out what the Slurm of this machine is like.
func Open(ctx context.Context, o Options) (*Node, error) {
	o.Poll = or(o.Poll, time.Second)
	o.Gather = or(o.Gather, 300*time.Millisecond)
	o.Settle = or(o.Settle, 15*time.Second)
	o.Grace = or(o.Grace, defaultGrace)
	if err := refuse(o.Args); err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("sbatch"); err != nil {
		return nil, &MissingError{err}
	}
	spool, err := filepath.Abs(o.Spool)
	if err != nil {
		return nil, err
	}
	o.Spool = spool
	n := &Node{
		Options: o, machine: node.Machine{OS: runtime.GOOS, Arch: runtime.GOARCH},
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
		arrays: map[string]*array{}, kept: map[string]*task{},
	}
	config, err := program(ctx, "scontrol", "show", "config")
	if err != nil {
		return nil, err
	}
	n.maxArray = 1000
	if most, err := strconv.Atoi(configValue(config, "MaxArraySize")); err == nil {
		n.maxArray = most
	}
	if n.maxArray < 1 {
		return nil, errors.New("this Slurm allows no job arrays: MaxArraySize is 0")
	}
	if err := n.describe(ctx); err != nil {
		return nil, err
	}
	for _, dir := range []string{"arrays", "bin"} {
		if err := os.MkdirAll(filepath.Join(spool, dir), 0o700); err != nil {
			return nil, fmt.Errorf("spool folder: %w", err)
		}
	}
	if n.self, err = keepProgram(filepath.Join(spool, "bin")); err != nil {
		return nil, fmt.Errorf("copy this program to the spool folder: %w", err)
	}
	if err := n.find(ctx); err != nil {
		return nil, err
	}
	loop, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.close = stop
	go n.loop(loop)
	return n, nil
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// MissingError says that this machine has no Slurm to submit to.
type MissingError struct{ err error }

func (e *MissingError) Error() string { return "this machine submits to no Slurm: " + e.err.Error() }

// Hint says how to mend it.
func (e *MissingError) Hint() string {
	return "run reprise on a login node of the cluster, where sbatch is on the path"
}

// OptionError says that a job cannot be submitted with an option of sbatch.
type OptionError struct{ what, hint string }

func (e *OptionError) Error() string { return e.what }

// Hint says how to mend it.
func (e *OptionError) Hint() string { return e.hint }

// reserved are the arguments of sbatch that this package gives itself.
var reserved = []string{"array", "job-name", "output", "error", "wait", "wrap", "parsable", "chdir", "requeue", "no-requeue", "test-only", "input", "open-mode"}

// options are those of sbatch, by their long names, that take a value and make
// sense for a step.
var options = []string{
	"account", "acctg-freq", "batch", "bb", "bbf", "begin", "cluster-constraint", "clusters", "comment", "constraint",
	"container", "core-spec", "cores-per-socket", "cpu-freq", "cpus-per-gpu", "cpus-per-task", "deadline", "delay-boot",
	"dependency", "distribution", "exclude", "exclusive", "export", "export-file", "extra-node-info", "gid", "gpu-bind",
	"gpu-freq", "gpus", "gpus-per-node", "gpus-per-socket", "gpus-per-task", "gres", "gres-flags", "hint", "licenses",
	"mail-type", "mail-user", "mcs-label", "mem", "mem-bind", "mem-per-cpu", "mem-per-gpu", "mincpus", "network",
	"nice", "nodefile", "nodelist", "nodes", "ntasks", "ntasks-per-core", "ntasks-per-node", "ntasks-per-socket",
	"partition", "power", "prefer", "priority", "profile", "propagate", "qos", "reservation", "signal",
	"sockets-per-node", "switches", "thread-spec", "threads-per-core", "time", "time-min", "tmp", "uid", "wckey",
}

// CheckOption says what is wrong with an option that is given by its long name
// without dashes: nothing, or that sbatch has none of that name.
func CheckOption(name string) error {
	if slices.Contains(options, name) || slices.Contains(reserved, name) {
		return nil // refuse says more of the latter
	}
	hint := "there are " + strings.Join(options, ", ") + "; others go in --sbatch-arg"
	if nearest := artifacts.DidYouMean(name, options); nearest != "" {
		hint = nearest + " " + hint
	}
	return &OptionError{fmt.Sprintf("sbatch has no option %q that takes a value", name), hint}
}

func refuse(args []string) error {
	for _, arg := range args {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if !strings.HasPrefix(arg, "-") {
			return &OptionError{fmt.Sprintf("%q is no option of sbatch", arg), "write it as sbatch takes it: --name=value"}
		}
		for _, r := range reserved {
			if name == r {
				return &OptionError{fmt.Sprintf("%s is set by reprise itself", arg), "leave it out"}
			}
		}
	}
	return nil
}

// describe asks for the machines of the partition.
func (n *Node) describe(ctx context.Context) error {
	args := []string{"--noheader", "--format=%c %m"}
	for _, arg := range n.Args {
		if strings.HasPrefix(arg, "--partition=") {
			args = append(args, arg)
		}
	}
	out, err := program(ctx, "sinfo", args...)
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		var cores int
		var mib uint64
		// Values of unlike machines end in a plus.
		if _, err := fmt.Sscan(strings.ReplaceAll(line, "+", ""), &cores, &mib); err == nil && cores > n.machine.Cores {
			n.machine.Cores, n.machine.Memory = cores, mib<<20
		}
	}
	if n.machine.Cores == 0 {
		if err := n.unknownPartition(ctx); err != nil {
			return err
		}
		return fmt.Errorf("sinfo lists no machine for %q; sinfo --summarize shows the partitions", strings.Join(args[2:], " "))
	}
	return nil
}

// unknownPartition says so where a partition is named that there is not.
func (n *Node) unknownPartition(ctx context.Context) error {
	out, err := program(ctx, "sinfo", "--noheader", "--format=%R")
	if err != nil {
		return err
	}
	there := slices.Compact(slices.Sorted(strings.FieldsSeq(out)))
	for _, arg := range n.Args {
		given, is := strings.CutPrefix(arg, "--partition=")
		for name := range strings.SplitSeq(given, ",") {
			if is && !slices.Contains(there, name) {
				hint := "there are " + strings.Join(there, ", ")
				if nearest := artifacts.DidYouMean(name, there); nearest != "" {
					hint = nearest + " " + hint
				}
				return &OptionError{fmt.Sprintf("this Slurm has no partition %q", name), hint}
			}
		}
	}
	return nil
}

// Name is "slurm".
func (n *Node) Name() string { return "slurm" }

// Machine is the platform, and the most cores that one of the machines has;
// results carry the machine that each was measured on.
func (n *Node) Machine() node.Machine { return n.machine }

// Self implements node.Node.
func (n *Node) Self() string { return n.self }

// Depth implements node.Queue: what its arrays and the open files of this
// process allow.
func (n *Node) Depth() int {
	depth := mostDepth
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		const each, others = 3, 100
		depth = min(depth, max(1, (int(min(files.Cur, 1<<30))-others)/each))
	}
	return depth
}

// Holds implements node.Keeper.
func (n *Node) Holds(key string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return key != "" && n.kept[key] != nil
}

// Left implements node.Keeper.
func (n *Node) Left(asked func(key string) bool) (said []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	tasks := map[string]int{} // by job
	for key, t := range n.kept {
		if _, err := os.Stat(filepath.Join(t.array.dir, endsDir, strconv.Itoa(t.index))); err != nil && !asked(key) {
			tasks[t.array.job]++
		}
	}
	for job, count := range tasks {
		said = append(said, fmt.Sprintf("job %s of a run that has died has %d tasks that are not asked for; to end it: scancel %s", job, count, job))
	}
	slices.Sort(said)
	return said
}

// Close ends following; what is in the queue stays there.
func (n *Node) Close() error {
	n.close()
	<-n.ended
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.arrays {
		a.release()
	}
	return nil
}

// Kill implements node.Node.
func (n *Node) Kill() {
	n.mu.Lock()
	var jobs []string
	for _, a := range n.arrays {
		if a.job != "" && a.followed() > 0 {
			jobs = append(jobs, a.job)
		}
	}
	n.mu.Unlock()
	if len(jobs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, _ = program(ctx, "scancel", append([]string{"--quiet", "--full", "--signal=KILL"}, jobs...)...)
	_, _ = program(ctx, "scancel", append([]string{"--quiet"}, jobs...)...)
}

// ErrSecrets says that a command is to be handed secrets. What a job gets waits
// for it in files, of this program or of Slurm's.
var ErrSecrets = errors.New("secrets are not handed over through a queue, where they would wait in files")

// Run implements node.Node.
func (n *Node) Run(ctx context.Context, c node.Command) (node.Result, error) {
	if ctx.Err() != nil {
		return node.Result{End: node.Stopped}, nil
	}
	if len(c.Secrets) > 0 {
		return node.Result{}, ErrSecrets
	}
	t, err := n.enter(c)
	if err != nil {
		return node.Result{}, err
	}
	var e end
	select {
	case e = <-t.done:
	case <-ctx.Done():
		n.cancel(t)
		now, patience := c.Now, time.After(endPatience)
		for waits := true; waits; {
			select {
			case e = <-t.done:
				waits = false
			case <-now:
				now = nil
				n.kill(t)
			case <-patience:
				waits = false
			}
		}
	}
	if ctx.Err() != nil {
		n.leave(t)
		return node.Result{End: node.Stopped, Usage: e.Result.Usage}, nil
	}
	if e.err == nil && e.Failed != "" {
		e.err = fmt.Errorf("%s: %s", e.Result.Host, e.Failed)
	}
	if e.err == nil {
		if e.err = t.bring(); e.err != nil {
			e.err = fmt.Errorf("take over the step's folder: %w", e.err)
		}
	}
	n.leave(t)
	return e.Result, e.err
}

// enter puts a command in line, or finds the task of an earlier runner for it.
func (n *Node) enter(c node.Command) (*task, error) {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	s := spec{Key: c.Key, Argv: c.Argv, Dir: dir, Env: c.Env, Files: map[string]string{}, Limit: c.Limit, Memory: c.Memory, Exclusive: c.Exclusive, Grace: n.Grace}
	for name, path := range c.Files {
		if s.Files[name], err = filepath.Abs(path); err != nil {
			return nil, err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	defer n.stir()
	if t := n.kept[c.Key]; t != nil && c.Key != "" {
		delete(n.kept, c.Key)
		t.follow(c, dir)
		t.note(fmt.Sprintf("taken over: an earlier run submitted it as job %s", t.id()))
		return t, nil
	}
	t := &task{spec: s}
	t.follow(c, dir)
	n.last = time.Now()
	if len(n.coming) == 0 {
		n.first = n.last
	}
	n.coming = append(n.coming, t)
	return t, nil
}

// cancel has a task stopped that nobody wants any more.
func (n *Node) cancel(t *task) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t.unwanted = true
	for i, c := range n.coming {
		if c == t {
			n.coming = append(n.coming[:i], n.coming[i+1:]...)
			t.finish(end{ending: ending{Result: node.Result{End: node.Stopped}}})
			return
		}
	}
	n.stir()
}

// kill ends a task that runs without asking the command first.
func (n *Node) kill(t *task) {
	n.mu.Lock()
	id := ""
	if t.array != nil {
		id = t.id()
	}
	n.mu.Unlock()
	if id != "" {
		_, _ = program(context.Background(), "scancel", "--quiet", "--full", "--signal=KILL", id)
	}
}

// leave forgets a task that has ended; the last of its array takes the array's
// folder with it.
func (n *Node) leave(t *task) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := t.array
	if a == nil {
		return
	}
	delete(a.tasks, t.index)
	if len(a.tasks) == 0 {
		delete(n.arrays, a.name)
		_ = os.RemoveAll(a.dir)
		a.release()
	}
}

func (n *Node) stir() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// loop submits what has come and looks after what runs.
func (n *Node) loop(ctx context.Context) {
	defer close(n.ended)
	tick := time.NewTimer(n.Poll)
	defer tick.Stop()
	var polled time.Time
	for {
		pause := n.Poll - time.Since(polled)
		if wait, some := n.untilSubmit(time.Now()); some {
			pause = min(pause, wait)
		}
		tick.Reset(max(pause, time.Millisecond))
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		case <-tick.C:
		}
		if wait, some := n.untilSubmit(time.Now()); some && wait <= 0 {
			n.submitAll(ctx)
		}
		n.cancelAll(ctx)
		if time.Since(polled) >= n.Poll {
			n.poll(ctx)
			polled = time.Now()
		}
	}
}

// untilSubmit is how long to wait for more commands before those that have come
// are submitted.
func (n *Node) untilSubmit(now time.Time) (wait time.Duration, some bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.coming) == 0 {
		return 0, false
	}
	return min(n.last.Add(n.Gather).Sub(now), n.first.Add(mostGather).Sub(now)), true
}

// program runs one of Slurm's programs and gives its output.
func program(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Env = append(environment(), "SLURM_BITSTR_LEN=0") // lists of tasks are not cut short
	var out, bad bytes.Buffer
	c.Stdout, c.Stderr = &out, &bad
	if err := c.Run(); err != nil {
		return out.String(), &CallError{Program: name, Said: strings.TrimSpace(bad.String()), err: err}
	}
	return out.String(), nil
}

// environment is what Slurm's programs and, through sbatch, tasks see of this
// process's environment: what programs need to be found, and no secrets. Naming
// variables with --export instead would have Slurm start a login shell for
// every task.
func environment() []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		prefix, _, _ := strings.Cut(name, "_")
		if slices.Contains(passed, name) || prefix == "SLURM" || prefix == "SBATCH" || prefix == "SQUEUE" {
			env = append(env, v)
		}
	}
	return env
}

var passed = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "MODULEPATH", "LOADEDMODULES", "REPRISE_TRACES"}

// CallError says that one of Slurm's programs failed.
type CallError struct {
	Program string
	Said    string // on its standard error
	err     error
}

func (e *CallError) Error() string {
	if e.Said == "" {
		return fmt.Sprintf("%s: %v", e.Program, e.err)
	}
	lines := strings.Split(e.Said, "\n")
	return lines[len(lines)-1]
}

func (e *CallError) Unwrap() error { return e.err }

// Hint says how to mend it.
func (e *CallError) Hint() string {
	for _, known := range []struct{ said, hint string }{
		{"nvalid partition", "sinfo lists the partitions; name one with --on slurm:partition=NAME"},
		{"nvalid account", "sacctmgr show associations user=$USER lists your accounts; name one with --on slurm:account=NAME"},
		{"nvalid qos", "sacctmgr show qos lists what there is; name one with --on slurm:qos=NAME"},
		{"Unable to contact slurm controller", "the controller does not answer; scontrol ping says whether it is up"},
		{"configuration source", "Slurm's configuration is not where SLURM_CONF says, nor in /etc/slurm"},
		{"Memory specification", "the experiment's memory limit is more than a machine of the partition has"},
	} {
		if strings.Contains(e.Said, known.said) {
			return known.hint
		}
	}
	return "sinfo and scontrol show what this Slurm allows"
}

// away says that Slurm's controller did not answer, which may pass.
func away(err error) bool {
	var call *CallError
	if !errors.As(err, &call) {
		return false
	}
	for _, text := range []string{"Unable to contact", "Socket timed out", "Connection refused", "temporarily unable", "Zero Bytes"} {
		if strings.Contains(call.Said, text) {
			return true
		}
	}
	return errors.Is(call.err, context.DeadlineExceeded)
}

// configValue finds "Name = value" in the output of scontrol show config.
func configValue(config, name string) string {
	for line := range strings.Lines(config) {
		if key, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
