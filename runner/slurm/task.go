package slurm

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"reprise/runner/node"
)

// Task runs a task of an array to its end, on the machine that Slurm chose:
// `reprise supervise task ARRAY`. task is its number, SLURM_ARRAY_TASK_ID.
func Task(ctx context.Context, array, task string) error {
	i, err := strconv.Atoi(task)
	if err != nil {
		return fmt.Errorf("%q is no number of a task", task)
	}
	path := filepath.Join(array, endsDir, strconv.Itoa(i))
	if _, err := os.Stat(path); err == nil {
		return nil // it has run
	}
	s, err := readSpec(array, i)
	if err != nil {
		return err
	}
	var e ending
	e.Result, err = runTask(ctx, array, i, s, &e.Sizes)
	if err != nil {
		e.Failed = err.Error()
	}
	e.Result.Machine = node.ThisMachine().On("work", s.Dir)
	e.Result.Host, _ = os.Hostname()
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return errors.Join(writeSynced(path, data), syncDir(filepath.Dir(path)))
}

// readSpec finds one line of the list of tasks.
func readSpec(array string, task int) (s spec, err error) {
	index, err := os.Open(filepath.Join(array, indexFile))
	if err != nil {
		return s, err
	}
	defer func() { _ = index.Close() }()
	var at [8]byte
	if _, err := index.ReadAt(at[:], int64(8*task)); err != nil {
		return s, fmt.Errorf("task %d: %w", task, err)
	}
	tasks, err := os.Open(filepath.Join(array, tasksFile))
	if err != nil {
		return s, err
	}
	defer func() { _ = tasks.Close() }()
	if _, err := tasks.Seek(int64(binary.LittleEndian.Uint64(at[:])), 0); err != nil {
		return s, err
	}
	return s, json.NewDecoder(tasks).Decode(&s)
}

func runTask(ctx context.Context, array string, i int, s spec, sizes *[len(streams)]int64) (r node.Result, err error) {
	var files [len(streams)]*os.File
	for n, name := range streams {
		path := filepath.Join(array, outDir, fmt.Sprintf("%d.%s", i, name))
		if files[n], err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
			return r, err
		}
		defer func() {
			if info, bad := files[n].Stat(); bad == nil {
				sizes[n] = info.Size()
			}
			err = errors.Join(err, files[n].Sync(), files[n].Close())
			if sizes[n] == 0 {
				_ = os.Remove(path)
			}
		}()
	}
	if _, err := os.Stat(s.Dir); errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("%s is not there; the store has to be on a file system that all machines share: --store FOLDER", s.Dir)
	}
	here := node.NewLocal()
	here.Grace = s.Grace
	r, err = here.Run(ctx, node.Command{
		Argv: s.Argv, Dir: s.Dir, Env: s.Env, Files: s.Files,
		Limit: s.Limit, Memory: s.Memory, Stdout: files[0], Stderr: files[1],
	})
	// Slurm asks the command itself to stop, too, so it may have ended by that
	// before this process came to know; a shell tells of a command that has.
	if r.End == node.Signalled || r.End == node.Exited && r.ExitCode == 128+int(syscall.SIGTERM) {
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	if ctx.Err() != nil && (r.End == node.Exited || r.End == node.Signalled) {
		r.End = node.Stopped
	}
	return r, err
}
