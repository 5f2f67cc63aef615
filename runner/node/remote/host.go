// Package remote runs commands on another machine: a Node for a machine
// reached by SSH, and what this same program does there for it.
//
// The runner ships the program to the machine once and starts it there as
// `reprise supervise serve`, a Host that answers calls over the connection:
// copy a tree, start a job, read on in its output. Every call may be made
// again with the same effect, so a broken connection is mended by connecting
// again and repeating the call. A job runs under a process of its own,
// `reprise supervise run`, that needs no connection. On the machine there is
//
//	~/.cache/reprise/
//	  bin/DIGEST/reprise    this program
//	  files/DIGEST/         sources and other files that commands only read
//	  jobs/ID/              command.json, owner, work/, stdout, stderr, result.json
package remote

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"reprise/runner/node"
)

// Host answers a runner's calls on the machine that its commands run on. Its
// methods are called through net/rpc; the folders they are given are inside
// the host's own.
type Host struct{ home string }

// greeting precedes the calls, because a login shell may talk first.
const greeting = "reprise host 1\n"

// Supervise is what `reprise supervise` does. args are "serve" and the host's
// folder, or "run" and a job's folder.
func Supervise(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	switch {
	case len(args) == 2 && args[0] == "serve":
		return serve(args[1], in, out)
	case len(args) == 2 && args[0] == "run":
		return supervise(ctx, args[1], in)
	}
	return errors.New("supervise takes serve HOME or run DIR")
}

func serve(home string, in io.Reader, out io.Writer) error {
	for _, dir := range []string{"jobs", "files"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			return err
		}
	}
	h := &Host{home}
	h.clean()
	server := rpc.NewServer()
	if err := server.RegisterName("Host", h); err != nil {
		return err
	}
	if _, err := io.WriteString(out, greeting); err != nil {
		return err
	}
	server.ServeConn(stream{bufio.NewReader(in), out})
	return nil
}

// stream is a connection made of a process's standard input and output.
type stream struct {
	io.Reader
	io.Writer
}

func (stream) Close() error { return nil }

// dir is a folder of the host's own.
func (h *Host) dir(path string) (string, error) {
	if !filepath.IsLocal(path) {
		return "", fmt.Errorf("%q is not inside the host's folder", path)
	}
	return filepath.Join(h.home, path), nil
}

// Nothing stands for no argument or no answer.
type Nothing struct{}

// Describe says what machine this is.
func (h *Host) Describe(_ Nothing, m *node.Machine) error {
	*m = node.ThisMachine().On("work", h.home)
	return nil
}

// Load says how busy this machine is.
func (h *Host) Load(_ Nothing, l *node.Load) (err error) {
	*l, err = node.ThisLoad()
	return err
}

// Tree is a folder with what belongs in it.
type Tree struct {
	Dir     string
	Entries []Entry
}

// Prepare makes a folder like its list but for the content it does not hold,
// and answers what that is. Where nothing is wanted the copy is finished.
func (h *Host) Prepare(t Tree, wants *[]Want) error {
	dir, err := h.dir(t.Dir)
	if err != nil {
		return err
	}
	if *wants, err = prepare(dir, t.Entries); err != nil || len(*wants) > 0 {
		return err
	}
	return finish(dir, t.Entries)
}

// Content is pieces for a folder.
type Content struct {
	Dir    string
	Pieces []Piece
}

// Write takes in pieces of content.
func (h *Host) Write(c Content, _ *Nothing) error {
	dir, err := h.dir(c.Dir)
	if err != nil {
		return err
	}
	return write(dir, c.Pieces)
}

// Finish checks the content that has come and puts it in its place.
func (h *Host) Finish(t Tree, _ *Nothing) error {
	dir, err := h.dir(t.Dir)
	if err != nil {
		return err
	}
	return finish(dir, t.Entries)
}

// List answers what is in a folder.
func (h *Host) List(path string, entries *[]Entry) error {
	dir, err := h.dir(path)
	if err != nil {
		return err
	}
	*entries, err = list(dir, ".")
	return err
}

// Request asks for content of a folder.
type Request struct {
	Dir   string
	Wants []Want
}

// Read answers the first of the content that is asked for.
func (h *Host) Read(r Request, pieces *[]Piece) error {
	dir, err := h.dir(r.Dir)
	if err != nil {
		return err
	}
	*pieces, _, err = read(dir, r.Wants)
	return err
}

// Start starts a job whose folder has been copied. Once started it is not
// started again, however often this is called.
func (h *Host) Start(j Job, _ *Nothing) error {
	dir, err := h.dir(j.dir())
	if err != nil {
		return err
	}
	held, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = held.Close() }()
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil // it runs
	}
	j.Boot, _ = boot() // systems without it do not tell
	ours, err := json.Marshal(j.Runner)
	if err != nil {
		return err
	}
	command, err := os.OpenFile(filepath.Join(dir, commandFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil // it has run
	}
	if err != nil {
		return err
	}
	if err := errors.Join(json.NewEncoder(command).Encode(j), command.Close(), os.WriteFile(filepath.Join(dir, ownerFile), ours, 0o600)); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, supervisorLog))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// A session of its own outlives this connection. The lock goes over to the
	// supervisor with the open file, so there is no moment without it.
	supervisor := exec.Command(self, "supervise", "run", dir)
	supervisor.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	supervisor.Dir = dir
	supervisor.Stdout, supervisor.Stderr = log, log
	if len(j.Secrets) > 0 {
		secrets, err := json.Marshal(j.Secrets)
		if err != nil {
			return err
		}
		supervisor.Stdin = bytes.NewReader(secrets)
	}
	supervisor.ExtraFiles = []*os.File{held}
	if err := supervisor.Start(); err != nil {
		return err
	}
	go func() { _ = supervisor.Wait() }()
	return nil
}

// Position is how far a job's output has been read.
type Position struct {
	Job     string
	Offsets [len(streams)]int64
}

// Progress is what a job has put out behind a position.
type Progress struct {
	Data [len(streams)][]byte
	// Ended says that there is no more output, and how the job ended.
	Ended  bool
	Result node.Result
	Failed string // why the node failed, if it did
}

const (
	readPatience = 10 * time.Second // how long Follow waits for something new
	readMost     = 1 << 20          // bytes of one stream in an answer
)

// Follow answers what a job has put out behind a position, or how it ended.
// When there is neither it waits a while.
func (h *Host) Follow(p Position, answer *Progress) error {
	dir, err := h.dir(Job{ID: p.Job}.dir())
	if err != nil {
		return err
	}
	now := time.Now()
	_ = os.Chtimes(filepath.Join(dir, lockFile), now, now) // somebody attends
	pause := time.Millisecond
	for {
		// Whether it has ended is asked before the output is read, so the output
		// of a job that has ended is complete.
		end, err := ended(dir)
		if err != nil {
			return err
		}
		some := false
		for i, name := range streams {
			if answer.Data[i], err = readAt(filepath.Join(dir, name), p.Offsets[i]); err != nil {
				return err
			}
			some = some || len(answer.Data[i]) > 0
		}
		if !some && end != nil {
			answer.Ended, answer.Result, answer.Failed = true, end.Result, end.Failed
			return nil
		}
		if some || time.Since(now) > readPatience {
			return nil
		}
		time.Sleep(pause)
		pause = min(pause+pause/4+1, 50*time.Millisecond)
	}
}

func readAt(path string, offset int64) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // nothing yet
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || info.Size() <= offset {
		return nil, err
	}
	data := make([]byte, min(info.Size()-offset, readMost))
	n, err := f.ReadAt(data, offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:n], err
}

// Halt says which job is to stop.
type Halt struct {
	Job  string
	Kill bool // at once, without asking the command first
}

// Stop asks a job's supervisor to stop the command.
func (h *Host) Stop(w Halt, _ *Nothing) error {
	dir, err := h.dir(Job{ID: w.Job}.dir())
	if err != nil {
		return err
	}
	name := stopFile
	if w.Kill {
		name = killFile
	}
	return os.WriteFile(filepath.Join(dir, name), nil, 0o600)
}

// Forget removes a job that has ended.
func (h *Host) Forget(job string, _ *Nothing) error {
	dir, err := h.dir(Job{ID: job}.dir())
	if err != nil {
		return err
	}
	if end, err := ended(dir); err == nil && end == nil {
		return fmt.Errorf("job %s still runs", job)
	}
	return os.RemoveAll(dir)
}

// How long things stay that nobody used.
const (
	keepJobs  = 7 * 24 * time.Hour
	keepFiles = 30 * 24 * time.Hour
)

// clean removes what runners that died left behind.
func (h *Host) clean() {
	for dir, keep := range map[string]time.Duration{"jobs": keepJobs, "files": keepFiles, "bin": keepFiles} {
		entries, _ := os.ReadDir(filepath.Join(h.home, dir))
		for _, e := range entries {
			path := filepath.Join(h.home, dir, e.Name())
			if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > keep && (dir != "jobs" || !held(path)) {
				_ = os.RemoveAll(path)
			}
		}
	}
}
