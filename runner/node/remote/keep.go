package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"reprise/runner/node"
)

// A command that has a key goes on when its runner dies. The next runner asks
// the host for such jobs, and takes those over that it is asked to run. Whether
// a job's runner still lives only its own machine knows; on another one a runner
// counts as dead when it has not been heard of for a while.

// Runner is the process that a job belongs to.
type Runner struct {
	Host  string // name of its machine
	Boot  string // tells one start of that machine's kernel from the next
	Space string // in which PID counts
	PID   int
	Start string // of the process, since a PID is used again
}

var thisRunner = sync.OnceValue(func() Runner {
	r := Runner{PID: os.Getpid(), Start: processStart(os.Getpid())}
	r.Host, _ = os.Hostname()
	r.Boot, _ = boot()
	r.Space, _ = os.Readlink("/proc/self/ns/pid")
	return r
})

// processStart gives the kernel's word for when a process started, "" if there
// is none.
func processStart(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// Fields are counted from behind the command's name: state is the third, the
	// time of the start the 22nd.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

// lives says whether a runner does, if that can be known here.
func (r Runner) lives() (lives, known bool) {
	me := thisRunner()
	switch {
	case r.Host != me.Host:
		return false, false
	case r.Boot != me.Boot:
		return false, true
	case r.Space != me.Space:
		return false, false
	case r.Start != "" || me.Start != "":
		return r.Start == processStart(r.PID), true
	}
	err := syscall.Kill(r.PID, 0)
	return err == nil || errors.Is(err, syscall.EPERM), true
}

// unheard is for how long the runner of a job has to be unheard of before
// another machine's runner takes the job over.
const unheard = 3 * readPatience

// Kept is a job that has not been forgotten.
type Kept struct {
	Job     string
	Key     string
	Name    string
	Runner  Runner
	Since   time.Time     // when it was started, by the host's clock
	Unheard time.Duration // of its runner
	Ended   bool
	Useless bool   // it was lost or stopped: the command has to be run again
	Dir     string // on the host
}

// dead says that nobody follows the job, or will.
func (k Kept) dead() bool {
	lives, known := k.Runner.lives()
	if known {
		return !lives
	}
	return k.Unheard > unheard
}

// Jobs lists the jobs that have keys.
func (h *Host) Jobs(_ Nothing, list *[]Kept) error {
	dirs, err := os.ReadDir(filepath.Join(h.home, "jobs"))
	if err != nil {
		return err
	}
	for _, d := range dirs {
		dir := filepath.Join(h.home, "jobs", d.Name())
		data, err := os.ReadFile(filepath.Join(dir, commandFile))
		var j Job
		if err != nil || json.Unmarshal(data, &j) != nil || j.Key == "" {
			continue
		}
		k := Kept{Job: j.ID, Key: j.Key, Name: j.Name, Dir: dir}
		if k.Runner, err = owner(dir, nil); err != nil {
			continue
		}
		if info, err := os.Stat(filepath.Join(dir, commandFile)); err == nil {
			k.Since = info.ModTime()
		}
		if info, err := os.Stat(filepath.Join(dir, lockFile)); err == nil {
			k.Unheard = time.Since(info.ModTime())
		}
		end, err := ended(dir)
		if err != nil {
			continue
		}
		k.Ended, k.Useless = end != nil, end != nil && end.useless()
		*list = append(*list, k)
	}
	return nil
}

// useless says that the command has to be run again.
func (e *jobEnd) useless() bool { return e.Failed != "" || e.Result.End == node.Stopped }

// Claim says that a job is to belong to another runner, if it belongs to Was.
type Claim struct {
	Job      string
	Was, Now Runner
}

// Claim gives a job to another runner. It answers false where it belongs to
// somebody else, is not there, or is of no use.
func (h *Host) Claim(c Claim, ok *bool) error {
	dir, err := h.dir(Job{ID: c.Job}.dir())
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, commandFile)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if end, err := ended(dir); err != nil || end != nil && end.useless() {
		return err
	}
	is, err := owner(dir, &c)
	*ok = err == nil && is == c.Now
	return err
}

// owner reads whose a job is; a claim that is justified is carried out first.
func owner(dir string, c *Claim) (is Runner, err error) {
	f, err := os.OpenFile(filepath.Join(dir, ownerFile), os.O_RDWR, 0o600)
	if err != nil {
		return is, err
	}
	defer func() { _ = f.Close() }()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return is, err
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return is, err
	}
	if len(data) > 0 { // else who claimed it was killed in between
		if err := json.Unmarshal(data, &is); err != nil {
			return is, err
		}
	}
	if c == nil || is != c.Was {
		return is, nil
	}
	if data, err = json.Marshal(c.Now); err != nil {
		return is, err
	}
	// In place: whoever waits for the lock has this file open.
	if err := f.Truncate(0); err != nil {
		return is, err
	}
	_, err = f.WriteAt(data, 0)
	return c.Now, err
}

// find asks the host what earlier runners have left.
func (n *Node) find(ctx context.Context) error {
	list, err := call[[]Kept](ctx, n, "Jobs", Nothing{}, nil)
	if err != nil {
		return err
	}
	for _, k := range list {
		switch {
		case !k.dead():
		case k.Useless:
			_, _ = call[Nothing](ctx, n, "Forget", k.Job, nil)
		default:
			n.mu.Lock()
			n.kept[k.Key] = k
			n.mu.Unlock()
		}
	}
	return nil
}

// Holds implements node.Keeper.
func (n *Node) Holds(key string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, holds := n.kept[key]
	return holds && key != ""
}

// Left implements node.Keeper.
func (n *Node) Left(asked func(key string) bool) (said []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for key, k := range n.kept {
		if !k.Ended && !asked(key) {
			said = append(said, fmt.Sprintf("%s still runs %s, which a run started at %s that has died; to stop it, make the file %s there",
				n.name, k.Name, k.Since.Format(time.RFC3339), filepath.Join(k.Dir, stopFile)))
		}
	}
	slices.Sort(said)
	return said
}

// adopt gives the job that already runs a command, "" if there is none: that of
// an earlier runner, or this runner's own that it has lost sight of.
func (n *Node) adopt(ctx context.Context, c node.Command) (string, error) {
	if c.Key == "" {
		return "", nil
	}
	n.mu.Lock()
	k, is := n.kept[c.Key]
	if !is {
		k, is = n.unseen[c.Key]
	}
	delete(n.kept, c.Key)
	delete(n.unseen, c.Key)
	n.mu.Unlock()
	if !is {
		return "", nil
	}
	ok, err := call[bool](ctx, n, "Claim", Claim{k.Job, k.Runner, thisRunner()}, c.Note)
	if err != nil {
		n.mu.Lock()
		n.unseen[c.Key] = k // for when the host is there again
		n.mu.Unlock()
		return "", err
	}
	if !ok {
		return "", nil
	}
	if c.Note != nil && k.Runner != thisRunner() {
		c.Note(fmt.Sprintf("taken over: an earlier run started it on %s at %s", n.name, k.Since.Format(time.RFC3339)))
	}
	return k.Job, nil
}

// lostSight remembers a job that may go on although its host is given up.
func (n *Node) lostSight(c node.Command, job string) {
	if c.Key == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unseen[c.Key] = Kept{Job: job, Key: c.Key, Runner: thisRunner()}
}

// stopUnseen has the jobs stopped that nobody came back for.
func (n *Node) stopUnseen() {
	n.mu.Lock()
	unseen := n.unseen
	n.unseen = map[string]Kept{}
	n.mu.Unlock()
	if len(unseen) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	for _, k := range unseen {
		if k.Runner != thisRunner() {
			continue // it may still be taken over
		}
		if _, err := call[Nothing](ctx, n, "Stop", Halt{Job: k.Job, Kill: true}, nil); err != nil {
			return
		}
	}
}
