package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"reprise/runner/node"
)

// Job is a command to run in a folder of the host.
type Job struct {
	ID        string
	Key, Name string // of the command; see node.Command
	Runner    Runner // that starts it
	Boot      string // of the host, which sets it
	Argv      []string
	Env       []string
	Handed    []string          // names of Secrets
	Secrets   []string          `json:"-"` // goes to the supervisor by its standard input
	Files     map[string]string // variable to path inside the host's folder
	Limit     time.Duration
	Memory    uint64
	Exclusive bool
	Grace     time.Duration
	// Abandoned is how long the job goes on when nobody follows it; 0: to its
	// end.
	Abandoned time.Duration
}

func (j Job) dir() string { return filepath.Join("jobs", j.ID) }

// Names in a job's folder.
const (
	commandFile   = "command.json"
	ownerFile     = "owner" // the runner that follows the job
	lockFile      = "lock"  // held while the supervisor lives; touched by who follows
	stopFile      = "stop"  // asks the supervisor to stop the command
	killFile      = "kill"  // … at once
	workDir       = "work"
	resultFile    = "result.json"
	supervisorLog = "supervisor.log"
)

// streams are the files that a job writes as it goes.
var streams = [...]string{"stdout", "stderr", "notes"}

// turnsFile keeps exclusive commands apart on a machine, whoever's they are.
const turnsFile = "/tmp/reprise.turns"

// jobEnd is how a job ended.
type jobEnd struct {
	Result node.Result
	Failed string // why the node failed, if it did
}

// supervise runs the job of a folder to its end. The open file 3 holds the
// job's lock.
func supervise(ctx context.Context, dir string, in io.Reader) error {
	syscall.CloseOnExec(3)
	data, err := os.ReadFile(filepath.Join(dir, commandFile))
	if err != nil {
		return err
	}
	var j Job
	if err := json.Unmarshal(data, &j); err != nil {
		return fmt.Errorf("%s: %w", commandFile, err)
	}
	var end jobEnd
	if err = j.receive(in); err == nil {
		end.Result, err = runJob(ctx, dir, j)
	}
	if err != nil {
		end.Failed = err.Error()
	}
	if data, err = json.Marshal(end); err != nil {
		return err
	}
	beside := filepath.Join(dir, ".result")
	if err := os.WriteFile(beside, data, 0o600); err != nil {
		return err
	}
	return os.Rename(beside, filepath.Join(dir, resultFile))
}

// receive reads the secrets that the job is handed.
func (j *Job) receive(in io.Reader) error {
	if len(j.Handed) == 0 {
		return nil
	}
	if err := json.NewDecoder(in).Decode(&j.Secrets); err != nil || len(j.Secrets) != len(j.Handed) {
		return errors.Join(errors.New("the secrets that the command needs have not come"), err)
	}
	return nil
}

func runJob(ctx context.Context, dir string, j Job) (r node.Result, err error) {
	var files [len(streams)]*os.File
	for i, name := range streams {
		if files[i], err = os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, files[i].Close()) }()
	}
	here := node.NewLocal()
	here.Grace, here.Turns = j.Grace, turnsFile

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan struct{})
	defer close(ended)
	go watch(dir, j.Abandoned, stop, here.Kill, ended)
	// What the files hold may stay: the runner may be gone for good.
	stdout, stderr, flush := node.NewSecrets(j.Secrets).Before(files[0], files[1])
	defer func() { err = errors.Join(err, flush()) }()
	home := filepath.Dir(filepath.Dir(dir))
	paths := map[string]string{}
	for name, path := range j.Files {
		paths[name] = filepath.Join(home, path)
	}
	return here.Run(ctx, node.Command{
		Argv: j.Argv, Dir: filepath.Join(dir, workDir), Env: j.Env, Secrets: j.Secrets, Files: paths,
		Limit: j.Limit, Memory: j.Memory, Exclusive: j.Exclusive,
		Note:   func(text string) { _, _ = fmt.Fprintln(files[2], text) },
		Stdout: stdout, Stderr: stderr,
	})
}

// watchPoll is how often a supervisor looks for what it is asked to do.
const watchPoll = 50 * time.Millisecond

// watch stops the command when it is asked to and when nobody has followed the
// job for so long. It counts by its own steady clock; the lock file's time only
// shows that somebody came.
func watch(dir string, abandoned time.Duration, stop, kill func(), ended <-chan struct{}) {
	there := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	var came time.Time
	since := time.Now()
	tick := time.NewTicker(watchPoll)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		if info, err := os.Stat(filepath.Join(dir, lockFile)); err == nil && !info.ModTime().Equal(came) {
			came, since = info.ModTime(), time.Now()
		}
		if there(stopFile) || abandoned > 0 && time.Since(since) > abandoned {
			stop()
		}
		if there(killFile) {
			stop()
			kill()
		}
	}
}

// held says that the job's supervisor lives.
func held(dir string) bool {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// anew says that the machine has started since the job did: what the job wrote
// may not have reached the disk.
func anew(dir string) bool {
	data, err := os.ReadFile(filepath.Join(dir, commandFile))
	var j Job
	if err != nil || json.Unmarshal(data, &j) != nil || j.Boot == "" {
		return false
	}
	now, err := boot()
	return err == nil && now != j.Boot
}

// ended gives how a job ended, or nil while it runs.
func ended(dir string) (*jobEnd, error) {
	runs := held(dir) // asked first: the result is there before the lock goes
	data, err := os.ReadFile(filepath.Join(dir, resultFile))
	switch {
	case err == nil:
		if anew(dir) {
			return &jobEnd{Failed: "the machine started anew before the command's files were safe"}, nil
		}
		var end jobEnd
		return &end, json.Unmarshal(data, &end)
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	case runs:
		return nil, nil
	}
	why := "its supervisor was killed, or the machine started anew"
	if log, err := os.ReadFile(filepath.Join(dir, supervisorLog)); err == nil && len(log) > 0 {
		lines := strings.Split(strings.TrimSpace(string(log)), "\n")
		why = lines[len(lines)-1]
	}
	return &jobEnd{Failed: "the command was lost: " + why}, nil
}
