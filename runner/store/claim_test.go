package store

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/node"
)

// TestMain lets the test binary be a process that has a run under way.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "hold" {
		s, err := Open(os.Args[2])
		if err == nil {
			_, err = s.NewRun(noon)
		}
		if err != nil {
			panic(err)
		}
		println("holding")
		select {}
	}
	os.Exit(m.Run())
}

func TestTwoProcessesOnOneRun(t *testing.T) {
	root := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	other := exec.Command(self, "hold", root)
	said, err := other.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	t.Cleanup(func() { _ = other.Process.Kill() })
	_, err = said.Read(make([]byte, 16))
	require.NoError(t, err)

	s, err := Open(root)
	require.NoError(t, err)
	ids, err := s.Runs()
	require.NoError(t, err)
	holder, err := HolderOf(s.RunDir(ids[0]))
	require.NoError(t, err)
	require.Equal(t, other.Process.Pid, holder.PID)
	_, err = s.Claim(ids[0], true)
	var held *HeldError
	require.ErrorAs(t, err, &held)
	require.Equal(t, other.Process.Pid, held.PID)
	require.Regexp(t, `^run 20260102-120000 is under way in process \d+$`, err.Error())
	require.NotEmpty(t, held.Hint())

	// A run of its own can go on beside it.
	run, err := s.NewRun(noon)
	require.NoError(t, err)
	require.Equal(t, "20260102-120000-2", run.ID)
	require.NoError(t, run.Close())

	// With the process its right is gone, however it died.
	require.NoError(t, other.Process.Kill())
	_ = other.Wait()
	holder, err = HolderOf(s.RunDir(ids[0]))
	require.NoError(t, err)
	require.Nil(t, holder)
	mine, err := s.Claim(ids[0], true)
	require.NoError(t, err)
	_, err = s.Claim(ids[0], true)
	require.ErrorContains(t, err, "is being resumed in process")
	require.NoError(t, mine.Close())
}

func TestClockSetBack(t *testing.T) {
	s, err := Open(t.TempDir())
	require.NoError(t, err)
	for i, at := range []time.Duration{0, -time.Hour, -24 * time.Hour, time.Second, 0} {
		run, err := s.NewRun(noon.Add(at))
		require.NoError(t, err)
		require.NoError(t, run.Close())
		ids, err := s.Runs()
		require.NoError(t, err)
		require.Len(t, ids, i+1)
		require.Equal(t, run.ID, ids[0], "the newest run is the one that was made last")
	}
}

// TestShortWriteLeavesNoHalfLine lets a full disk take half of a line.
func TestShortWriteLeavesNoHalfLine(t *testing.T) {
	files := &faulty{root: t.TempDir()}
	s, err := open(files.root, files)
	require.NoError(t, err)
	run, err := s.NewRun(noon)
	require.NoError(t, err)
	line := func(text string) error {
		_, err := run.Write([]byte(text + "\n"))
		return err
	}
	require.NoError(t, line(`{"seq":1}`))
	files.fail = len(files.calls) + 1
	require.ErrorIs(t, line(`{"seq":2}`), syscall.ENOSPC)
	require.NoError(t, line(`{"seq":3}`))
	require.NoError(t, run.Close())
	data, err := os.ReadFile(filepath.Join(run.Dir, EventsFile))
	require.NoError(t, err)
	require.Equal(t, "{\"seq\":1}\n{\"seq\":3}\n", string(data))
}

// TestRunFolderRemoved removes the folder of a run under way. What comes after
// is an error that says so, and not a folder made anew without a log.
func TestRunFolderRemoved(t *testing.T) {
	s, err := Open(t.TempDir())
	require.NoError(t, err)
	run, err := s.NewRun(noon)
	require.NoError(t, err)
	begin := func(step string) (*Attempt, error) {
		return run.Begin(step, Key([]Part{{"n", step}}), stepParts, "local", node.Machine{}, noon)
	}
	done, err := begin("done")
	require.NoError(t, err)
	_, err = done.Done(node.Usage{}, []byte(stepLines), 1)
	require.NoError(t, err)
	running, err := begin("running")
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(run.Dir))

	_, err = running.Done(node.Usage{}, []byte(stepLines), 1)
	require.ErrorIs(t, err, ErrGone)
	require.ErrorContains(t, err, run.Dir)
	_, err = begin("next")
	require.ErrorIs(t, err, ErrGone)
	mend, is := s.Unusable(err)
	require.True(t, is)
	require.Contains(t, mend, "run the same again")
	require.ErrorIs(t, run.Close(), ErrGone)
	require.NoDirExists(t, run.Dir)

	result, err := s.Lookup(Key([]Part{{"n", "done"}}))
	require.NoError(t, err)
	require.NotNil(t, result, "what had finished is kept")
}

func TestWhatMakesAStoreUnusable(t *testing.T) {
	s, err := Open(t.TempDir())
	require.NoError(t, err)
	for _, err := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO} {
		mend, is := s.Unusable(errors.Join(errors.New("x"), err))
		require.True(t, is, err)
		require.Contains(t, mend, s.Root())
	}
	for _, err := range []error{nil, syscall.EACCES, os.ErrNotExist} {
		_, is := s.Unusable(err)
		require.False(t, is, err)
	}
}
