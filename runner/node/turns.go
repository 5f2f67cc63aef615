package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// turnPoll is how often a command that waits for its turn looks again.
const turnPoll = 50 * time.Millisecond

// takeTurn waits until a command may run on this machine: an exclusive one
// until no other runs, another until no exclusive one runs or waits. The order
// is kept by locks on two files, which end with the process that holds them,
// however it ends, and hold between users.
func takeTurn(ctx context.Context, path string, exclusive bool, note func(string)) (leave func(), err error) {
	waits := func() {
		if note != nil {
			note("waits for other commands on the machine to end; one of them, or this, runs alone")
			note = nil
		}
	}
	// Everyone passes the gate alone. An exclusive command stays in it while it
	// waits, so that a stream of others cannot keep it out for ever.
	gate, err := lock(ctx, path+".gate", syscall.LOCK_EX, waits)
	if err != nil {
		return nil, err
	}
	defer func() { _ = gate.Close() }()
	how := syscall.LOCK_SH
	if exclusive {
		how = syscall.LOCK_EX
	}
	turn, err := lock(ctx, path, how, waits)
	if err != nil {
		return nil, err
	}
	return func() { _ = turn.Close() }, nil
}

func lock(ctx context.Context, path string, how int, waits func()) (*os.File, error) {
	f, err := openShared(path)
	if err != nil {
		return nil, fmt.Errorf("lock of exclusive commands: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		waits()
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		case <-time.After(turnPoll):
		}
	}
}

// openShared opens a file that may belong to another user: a lock needs no
// right to write.
func openShared(path string) (*os.File, error) {
	f, err := os.Open(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	f, err = os.OpenFile(path, os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return os.Open(path)
	}
	if err != nil {
		return nil, err
	}
	return f, f.Chmod(0o644) // whatever the umask
}
