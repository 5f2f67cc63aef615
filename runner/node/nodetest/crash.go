package nodetest

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/event"
	"reprise/runner/store"
)

// Crash is a test that kills runners and what belongs to them at random
// instants, and starts them again until all steps have succeeded.
type Crash struct {
	Kills int           // at least so many
	Pause time.Duration // between two, on average
	// Runner is the command that executes the plan over a store. It exits with 0
	// when all steps have succeeded, and with SomeFailed when some have not.
	Runner func(storeDir string) *exec.Cmd
	// Others kill something else than the runner, whose process id they are given,
	// and say whether they did.
	Others []func(runner int, rng *rand.Rand) bool
	// Through looks at a store in which all steps have succeeded.
	Through func(storeDir string)
}

// SomeFailed is the exit code of a crash test's runner that has gone through
// the plan, but in which not all steps have succeeded.
const SomeFailed = 3

// CrashSize is how many kills a crash test is to survive, and of how many steps
// its run is: a short one, unless REPRISE_CRASHES asks for so many kills.
func CrashSize() (kills, steps int) {
	if n, err := strconv.Atoi(os.Getenv("REPRISE_CRASHES")); err == nil {
		return n, 200
	}
	return 12, 50
}

// Run makes new stores until there were enough kills.
func (c Crash) Run(t *testing.T) {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	runners, others, runs := 0, 0, 0
	for runners+others < c.Kills {
		dir := t.TempDir()
		for through := false; !through; runs++ {
			runner := c.Runner(dir)
			var said bytes.Buffer
			runner.Stderr = &said
			require.NoError(t, runner.Start())
			ended := make(chan error, 1)
			go func() { ended <- runner.Wait() }()
			for alive := true; alive; {
				select {
				case err := <-ended:
					alive, through = false, err == nil
				case <-time.After(time.Duration(rng.Int64N(int64(2 * c.Pause)))):
					if kind := rng.IntN(2 * max(1, len(c.Others))); kind < len(c.Others) {
						if c.Others[kind](runner.Process.Pid, rng) {
							others++
						}
						continue
					}
					if runner.Process.Kill() == nil {
						runners++
					}
					alive, through = false, <-ended == nil
				}
			}
			if status := runner.ProcessState.Sys().(syscall.WaitStatus); !through && status.Signal() != syscall.SIGKILL {
				require.Equal(t, SomeFailed, status.ExitStatus(), "the run failed by itself: %s", said.String())
			}
		}
		nothingTwice(t, dir)
		c.Through(dir)
	}
	t.Logf("killed %d runners and %d others in %d runs", runners, others, runs)
}

// nothingTwice goes through the logs of all runs of a store: none starts a step
// of which an earlier one has stored the result.
func nothingTwice(t *testing.T, dir string) {
	t.Helper()
	kept, err := store.Open(dir)
	require.NoError(t, err)
	ids, err := kept.Runs()
	require.NoError(t, err)
	order := map[string]int{} // of runs, the oldest first
	for i, id := range ids {
		order[id] = len(ids) - i
	}
	from := map[string]string{} // the run that measured it, by key
	for _, id := range ids {
		holder, err := store.HolderOf(kept.RunDir(id))
		require.NoError(t, err)
		require.Nil(t, holder, "nobody has a run any more")
		f, err := os.Open(filepath.Join(kept.RunDir(id), store.EventsFile))
		if os.IsNotExist(err) {
			continue // killed before it had a log
		}
		require.NoError(t, err)
		keys := map[string]string{}
		for e, err := range event.Read(f) {
			require.NoError(t, err, "%s", id)
			switch v := e.Payload.(type) {
			case event.StepStarted:
				if from[v.Key] == "" {
					result, err := kept.Lookup(v.Key)
					require.NoError(t, err)
					require.NotNil(t, result, "%s has no result", v.Step)
					from[v.Key] = result.Run
				}
				keys[v.Step] = v.Key
				require.LessOrEqual(t, order[id], order[from[v.Key]], "%s measured %s and %s started it again", from[v.Key], v.Step, id)
			case event.StepFinished:
				if v.Status == event.Done {
					require.Equal(t, id, from[keys[v.Step]], "%s says that it has measured %s", id, v.Step)
				}
			}
		}
		require.NoError(t, f.Close())
	}
}

// KillChild kills a process that the runner has started, the next that is seen.
func KillChild(runner int, rng *rand.Rand) bool {
	const looks = 100
	for range looks {
		if pids := Children(runner); len(pids) > 0 {
			return syscall.Kill(pids[rng.IntN(len(pids))], syscall.SIGKILL) == nil
		}
	}
	return false
}
