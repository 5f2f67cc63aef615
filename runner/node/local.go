package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"reprise/runner/device"
)

// Local runs commands as processes of this machine, each in a process group
// of its own, so that stopping it reaches its children too.
type Local struct {
	// Grace is how long a command has to stop by itself once asked to.
	Grace time.Duration
	// Turns is a file by which every Local of this machine that names it keeps
	// exclusive commands apart from all others; without it there is no such
	// order, and whoever calls Run keeps it.
	Turns string

	mu     sync.Mutex
	groups map[int]struct{}
}

// NewLocal gives a node for this machine.
func NewLocal() *Local {
	return &Local{Grace: 5 * time.Second, groups: map[int]struct{}{}}
}

// Name is "local".
func (l *Local) Name() string { return "local" }

// Machine implements Node.
func (l *Local) Machine() Machine { return ThisMachine() }

// Load implements Sampler.
func (l *Local) Load(context.Context) (Load, error) { return ThisLoad() }

// Devices implements Inventory.
func (l *Local) Devices(context.Context) ([]device.Device, error) { return device.This() }

// Self is the running program's own path.
func (l *Local) Self() string {
	self, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return self
}

// memoryPoll is how often the resident memory of a limited command is read. A
// command can overshoot for that long; the machine is protected by the kernel.
const memoryPoll = 100 * time.Millisecond

// Run implements Node.
func (l *Local) Run(ctx context.Context, c Command) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{End: Stopped}, nil
	}
	if l.Turns != "" {
		leave, err := takeTurn(ctx, l.Turns, c.Exclusive, c.Note)
		if ctx.Err() != nil {
			return Result{End: Stopped}, nil
		}
		if err != nil {
			return Result{}, err
		}
		defer leave()
	}
	// The kernel sends the parent-death signal when the thread that started
	// the child ends, so this goroutine keeps its thread until the child ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
	cmd.Dir = c.Dir
	cmd.Env = slices.Concat(withoutSecrets(os.Environ(), c.Withhold), c.Env, c.Secrets)
	for name, path := range c.Files {
		cmd.Env = append(cmd.Env, name+"="+path)
	}
	cmd.SysProcAttr = ownGroup()
	out, err := connect(cmd, c.Stdout, c.Stderr)
	if err != nil {
		return Result{}, err
	}
	started := time.Now()
	if err := cmd.Start(); err != nil {
		out.close()
		return Result{}, fmt.Errorf("start %s: %w", c.Argv[0], err)
	}
	out.begin()
	group := cmd.Process.Pid
	l.track(group, true)
	defer l.track(group, false)

	ended := make(chan struct{})
	why := make(chan End, 1)
	go func() { why <- l.guard(ctx, group, c, ended) }()
	err = cmd.Wait()
	close(ended)
	end := <-why
	// What the command left running in its group ends with it.
	_ = syscall.Kill(-group, syscall.SIGKILL)
	bad := out.end(l.Grace)

	state := cmd.ProcessState
	if state == nil {
		return Result{}, fmt.Errorf("wait for %s: %w", c.Argv[0], err)
	}
	r := Result{End: end, Usage: usage(state, time.Since(started))}
	if end == Exited {
		if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			r.End, r.Signal = Signalled, status.Signal().String()
		}
		r.ExitCode = state.ExitCode()
	}
	if bad != nil {
		return r, fmt.Errorf("output of %s: %w", c.Argv[0], bad)
	}
	return r, nil
}

// guard waits for the command's end, its limits or the cancelling of ctx, and
// stops the process group where it must.
func (l *Local) guard(ctx context.Context, group int, c Command, ended <-chan struct{}) End {
	var limit, poll <-chan time.Time
	if c.Limit > 0 {
		t := time.NewTimer(c.Limit)
		defer t.Stop()
		limit = t.C
	}
	if c.Memory > 0 {
		t := time.NewTicker(memoryPoll)
		defer t.Stop()
		poll = t.C
	}
	for {
		select {
		case <-ended:
			return Exited
		case <-poll:
			if groupRSS(group) > c.Memory {
				_ = syscall.Kill(-group, syscall.SIGKILL)
				<-ended
				return OverLimit
			}
		case <-limit:
			l.stop(group, ended, c.Now)
			return TimedOut
		case <-ctx.Done():
			l.stop(group, ended, c.Now)
			return Stopped
		}
	}
}

func (l *Local) stop(group int, ended, now <-chan struct{}) {
	_ = syscall.Kill(-group, syscall.SIGTERM)
	select {
	case <-ended:
		return
	case <-now:
	case <-time.After(l.Grace):
	}
	_ = syscall.Kill(-group, syscall.SIGKILL)
	<-ended
}

func (l *Local) track(group int, running bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if running {
		l.groups[group] = struct{}{}
	} else {
		delete(l.groups, group)
	}
}

// Kill ends every running command at once, for a process about to exit.
func (l *Local) Kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for group := range l.groups {
		_ = syscall.Kill(-group, syscall.SIGKILL)
	}
}
