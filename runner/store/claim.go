package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"reprise/runner/node"
)

// Holder is the process that has a run under way.
type Holder struct {
	PID  int    `json:"pid"`
	Host string `json:"host"`
	// Resumes says that the process does not write the run itself, but one that
	// goes on with it.
	Resumes bool `json:"resumes,omitempty"`
}

// HeldError says that another process has a run under way.
type HeldError struct {
	Run string
	Holder
}

func (e *HeldError) Error() string {
	doing := "under way"
	if e.Resumes {
		doing = "being resumed"
	}
	at := ""
	if here, err := os.Hostname(); err != nil || here != e.Host {
		at = " on " + e.Host
	}
	return fmt.Sprintf("run %s is %s in process %d%s", e.Run, doing, e.PID, at)
}

// Hint says what can be done.
func (e *HeldError) Hint() string {
	return "wait for its end; reprise attach follows a run that is under way"
}

// Claim is the right to write a run, or to go on with it. The kernel takes it
// back when the process dies.
type Claim struct{ file *os.File }

// Close gives the right back.
func (c *Claim) Close() error { return c.file.Close() }

// Claim takes the right to write the run, or to resume it; a HeldError says
// that another process has it.
func (s *Store) Claim(run string, resumes bool) (*Claim, error) {
	f, err := os.OpenFile(filepath.Join(s.RunDir(run), lockFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("claim run %s: %w", run, err)
	}
	// Whoever lists runs holds the lock for an instant.
	for try := 0; ; try++ {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		const tries = 10
		if !errors.Is(err, syscall.EWOULDBLOCK) || try == tries {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = &HeldError{run, readHolder(f)}
	}
	if err == nil {
		me := Holder{PID: os.Getpid(), Resumes: resumes}
		me.Host, _ = os.Hostname()
		var line []byte
		if line, err = json.Marshal(me); err == nil {
			if err = f.Truncate(0); err == nil {
				_, err = f.WriteAt(append(line, '\n'), 0)
			}
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &Claim{f}, nil
}

// HolderOf gives the process that has the run of a folder under way, nil if
// none has.
func HolderOf(dir string) (*Holder, error) {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		h := readHolder(f)
		return &h, nil
	}
	return nil, err
}

// Abandoned says that a process has written the run of a folder which does so
// no longer.
func Abandoned(dir string) bool {
	h, err := HolderOf(dir)
	_, made := os.Stat(filepath.Join(dir, lockFile))
	return h == nil && err == nil && made == nil
}

// KilledError says that a run's log has no end, and will get none.
type KilledError struct{ Run string }

func (e *KilledError) Error() string { return fmt.Sprintf("run %s was killed before its end", e.Run) }

// Hint says how to go on.
func (e *KilledError) Hint() string { return "reprise resume " + e.Run + " goes on with it" }

func readHolder(f *os.File) Holder {
	var h Holder
	const most = 4 << 10
	if data, err := io.ReadAll(io.NewSectionReader(f, 0, most)); err == nil {
		_ = json.Unmarshal(data, &h) // an empty one: it is about to write it
	}
	return h
}

// ErrGone says that the folder of a run under way has been removed or replaced.
var ErrGone = errors.New("the run's folder was removed while the run was under way")

// Unusable says whether an error means that nothing can be kept in the store
// any more, so that to go on measuring would be for nothing, and how to mend it.
func (s *Store) Unusable(err error) (mend string, is bool) {
	switch {
	case err == nil:
	case errors.Is(err, ErrGone):
		return "what had finished is stored; run the same again, which reuses it", true
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Sprintf("make room on the disk of %s, with reprise gc for example, and go on with reprise resume", s.root), true
	case errors.Is(err, syscall.EROFS):
		return fmt.Sprintf("%s is on a file system that has become read-only: see dmesg, mount it for writing, and go on with reprise resume", s.root), true
	case errors.Is(err, syscall.EIO):
		return fmt.Sprintf("the disk of %s fails: see dmesg, and choose another with --store", s.root), true
	}
	return "", false
}

// Writable says whether runs and results can be kept in the store.
func (s *Store) Writable() error {
	for _, dir := range []string{"runs", "steps", packsDir} {
		path := filepath.Join(s.root, dir)
		const write, search = 2, 1
		if err := syscall.Access(path, write|search); err != nil {
			return &fs.PathError{Op: "write in", Path: path, Err: err}
		}
	}
	// A record may still fit where a file would not.
	const least = 64 << 10
	if free, known := node.FreeSpace(s.root); known && free < least {
		return &fs.PathError{Op: "write in", Path: s.root, Err: syscall.ENOSPC}
	}
	return nil
}
