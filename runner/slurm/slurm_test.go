package slurm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/node"
	"reprise/runner/node/nodetest"
)

// TestMain lets the test binary be the program that tasks run.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "supervise" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := Task(ctx, os.Args[3], os.Getenv("SLURM_ARRAY_TASK_ID")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func open(t *testing.T, s *nodetest.Slurm, args ...string) *Node {
	t.Helper()
	n, err := Open(t.Context(), Options{
		Spool: filepath.Join(s.Dir, "reprise"), Args: args, Grace: time.Second,
		Poll: 100 * time.Millisecond, Gather: 5 * time.Millisecond, Settle: time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func TestSlurm(t *testing.T) {
	s := nodetest.StartSlurm(t)
	t.Run("Conformance", func(t *testing.T) { nodetest.Run(t, open(t, s)) })
	t.Run("LimitsReachSlurm", s2(limits).on(s))
	t.Run("ManyAsArrays", s2(manyAsArrays).on(s))
	t.Run("TakenOver", s2(takenOver).on(s))
	t.Run("CancelledWhileWaiting", s2(cancelledWhileWaiting).on(s))
	t.Run("ReasonForWaiting", s2(reasonForWaiting).on(s))
	t.Run("StoppedBySomebodyElse", s2(stoppedByOthers).on(s))
	t.Run("RefusedBySlurm", s2(refusedBySlurm).on(s))
	t.Run("NothingSecretTravels", s2(nothingSecret).on(s))
}

// s2 is a test that shares the one Slurm.
type s2 func(*testing.T, *nodetest.Slurm)

func (f s2) on(s *nodetest.Slurm) func(*testing.T) { return func(t *testing.T) { f(t, s) } }

// notes collects what a command's way is worth knowing.
type notes struct {
	mu  sync.Mutex
	all []string
}

func (n *notes) add(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, text)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.all, "\n")
}

func sh(t *testing.T, script string) node.Command {
	return node.Command{Argv: []string{"sh", "-c", script}, Dir: t.TempDir(), Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}}
}

func output(c node.Command) string { return c.Stdout.(*bytes.Buffer).String() }

func squeue(t *testing.T, format string) string {
	t.Helper()
	out, err := exec.Command("squeue", "--noheader", "--format="+format).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

func limits(t *testing.T, s *nodetest.Slurm) {
	n := open(t, s)
	c := sh(t, `scontrol show job $SLURM_JOB_ID`)
	c.Exclusive, c.Limit, c.Memory = true, 150*time.Second, 200<<20
	r, err := n.Run(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, node.Exited, r.End)
	require.Contains(t, output(c), "TimeLimit=00:04:00", "150 s, the grace period and some slack")
	require.Contains(t, output(c), "OverSubscribe=NO")
	require.Contains(t, output(c), "NumCPUs=8", "an exclusive job has the whole machine")
	require.Contains(t, output(c), "MinMemoryNode=264M")
	host, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, host, r.Host)
	require.Positive(t, r.Machine.Cores)
}

// manyAsArrays submits more commands at once than an array holds.
func manyAsArrays(t *testing.T, s *nodetest.Slurm) {
	n := open(t, s)
	n.Gather = 300 * time.Millisecond
	n.maxArray = 9
	var wait sync.WaitGroup
	var mu sync.Mutex
	jobs := map[string]int{}
	for i := range 20 {
		wait.Go(func() {
			c := sh(t, fmt.Sprintf(`echo $SLURM_ARRAY_JOB_ID; exit %d`, i))
			r, err := n.Run(t.Context(), c)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || r.ExitCode != i {
				t.Errorf("command %d: %v %+v", i, err, r)
			}
			jobs[output(c)]++
		})
	}
	wait.Wait()
	require.Len(t, jobs, 3)
	left, err := os.ReadDir(filepath.Join(n.Spool, "arrays"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// takenOver lets a runner go away while one command runs and one waits; the
// next takes both over, with what they have put out and left in their folders.
func takenOver(t *testing.T, s *nodetest.Slurm) {
	first := open(t, s)
	ran := filepath.Join(t.TempDir(), "ran")
	command := func(i int) node.Command {
		c := sh(t, fmt.Sprintf(`echo begun %d; echo x >>%s; sleep 2; echo left >f; echo end`, i, ran))
		c.Key = fmt.Sprint("key", i)
		return c
	}
	for i := range 2 {
		c := command(i)
		go func() { _, _ = first.Run(context.Background(), c) }()
	}
	require.Eventually(t, func() bool { data, _ := os.ReadFile(ran); return len(data) == 4 }, 20*time.Second, 20*time.Millisecond)
	beside := open(t, s)
	require.False(t, beside.Holds("key0"), "its runner lives")
	require.NoError(t, first.Close())

	second := open(t, s)
	require.True(t, second.Holds("key0"))
	require.False(t, second.Holds("key2"))
	left := second.Left(func(key string) bool { return key == "key0" })
	require.Len(t, left, 1)
	require.Regexp(t, `^job (\d+) .* has 1 tasks .* scancel \d+$`, left[0])
	for i := range 2 {
		c := command(i)
		var said notes
		c.Note = said.add
		r, err := second.Run(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, node.Exited, r.End)
		require.Equal(t, fmt.Sprintf("begun %d\nend\n", i), output(c))
		data, err := os.ReadFile(filepath.Join(c.Dir, "f"))
		require.NoError(t, err)
		require.Equal(t, "left\n", string(data))
		require.Contains(t, said.String(), "taken over")
	}
	data, err := os.ReadFile(ran)
	require.NoError(t, err)
	require.Len(t, data, 4, "neither ran twice")
	require.False(t, second.Holds("key0"), "it has been taken in")
}

func cancelledWhileWaiting(t *testing.T, s *nodetest.Slurm) {
	n := open(t, s, "--begin=now+1hour")
	ctx, cancel := context.WithCancel(t.Context())
	var said notes
	c := sh(t, `echo ran`)
	c.Queued = func(reason string) { said.add(reason); cancel() }
	started := time.Now()
	r, err := n.Run(ctx, c)
	require.NoError(t, err)
	require.Equal(t, node.Stopped, r.End)
	require.Empty(t, output(c))
	require.Contains(t, said.String(), "BeginTime: its time to begin has not come")
	require.Less(t, time.Since(started), 30*time.Second)
	require.Eventually(t, func() bool { return squeue(t, "%T") == "" }, 10*time.Second, 100*time.Millisecond)
}

func reasonForWaiting(t *testing.T, s *nodetest.Slurm) {
	n := open(t, s, "--partition=short")
	ctx, cancel := context.WithCancel(t.Context())
	c := sh(t, `echo ran`)
	c.Limit = time.Hour
	var said notes
	c.Queued = func(reason string) { said.add(reason); cancel() }
	r, err := n.Run(ctx, c)
	if err != nil { // as the cluster is configured, it is refused at once
		require.ErrorContains(t, err, "time limit")
		return
	}
	require.Equal(t, node.Stopped, r.End)
	require.Contains(t, said.String(), "so it will never start")
}

func stoppedByOthers(t *testing.T, s *nodetest.Slurm) {
	n := open(t, s)
	c := sh(t, `scancel $SLURM_JOB_ID; sleep 60`)
	_, err := n.Run(t.Context(), c)
	require.ErrorContains(t, err, "was stopped")
	require.ErrorContains(t, err, "by somebody else")

	// A shell whose command the signal reaches first says so by its exit code.
	c = sh(t, `trap "" TERM; scancel $SLURM_JOB_ID; exit 143`)
	_, err = n.Run(t.Context(), c)
	require.ErrorContains(t, err, "by somebody else")

	// A task that dies without a word, as on a machine that fails.
	c = sh(t, `kill -9 $PPID; sleep 60`)
	_, err = n.Run(t.Context(), c)
	require.ErrorContains(t, err, "without a word (FAILED)")
}

func refusedBySlurm(t *testing.T, s *nodetest.Slurm) {
	n := open(t, s, "--qos=none", "--reservation=none")
	_, err := n.Run(t.Context(), sh(t, `echo ran`))
	require.ErrorContains(t, err, "submit to Slurm: ")
	left, bad := os.ReadDir(filepath.Join(n.Spool, "arrays"))
	require.NoError(t, bad)
	require.Empty(t, left)

	_, err = Open(t.Context(), Options{Spool: t.TempDir(), Args: []string{"--partition=none"}})
	require.ErrorContains(t, err, `no partition "none"`)
	_, err = Open(t.Context(), Options{Spool: t.TempDir(), Args: []string{"--partition=shrt"}})
	var option *OptionError
	require.ErrorAs(t, err, &option)
	require.Equal(t, `did you mean "short"? there are main, short`, option.Hint())
	_, err = Open(t.Context(), Options{Spool: t.TempDir(), Args: []string{"--array=1-3"}})
	require.ErrorContains(t, err, "set by reprise itself")
}

func TestOptions(t *testing.T) {
	require.NoError(t, CheckOption("partition"))
	var option *OptionError
	require.ErrorAs(t, CheckOption("partitoin"), &option)
	require.ErrorContains(t, option, `no option "partitoin"`)
	require.Regexp(t, `^did you mean "partition"\? there are account, .*, wckey; others go in --sbatch-arg$`, option.Hint())
}

func nothingSecret(t *testing.T, s *nodetest.Slurm) {
	t.Setenv("OS_PASSWORD", "hunter2")
	n := open(t, s)
	c := sh(t, `env; cat /proc/$PPID/environ`)
	_, err := n.Run(t.Context(), c)
	require.NoError(t, err)
	require.Contains(t, output(c), "PATH=")
	require.NotContains(t, output(c), "hunter2")
}

func TestQueueIsRead(t *testing.T) {
	lines, err := parseQueue("7|3-5,9|PENDING|Resources\n7|0|RUNNING|None\n8|0-8:4%2|PENDING|(ReqNodeNotAvail, UnavailableNodes:n1)\n9|N/A|RUNNING|None\n")
	require.NoError(t, err)
	require.Len(t, lines, 4)
	for task, is := range map[int]bool{2: false, 3: true, 5: true, 6: false, 9: true} {
		require.Equal(t, is, lines[0].holds(task), task)
	}
	for task, is := range map[int]bool{0: true, 1: false, 4: true, 8: true} {
		require.Equal(t, is, lines[2].holds(task), task)
	}
	require.Equal(t, "ReqNodeNotAvail, UnavailableNodes:n1: the machines it needs are down or reserved; scontrol show reservation and sinfo -R say why", explain(lines[2].reason))
	require.Equal(t, "SomethingNew", explain("SomethingNew"))
	for _, bad := range []string{"7|3\n", "7|a|RUNNING|None\n", "7|5-3|RUNNING|None\n", "7|0-8:0|RUNNING|None\n"} {
		_, err := parseQueue(bad)
		require.Error(t, err, bad)
	}
}
