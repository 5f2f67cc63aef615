package node

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func sh(t *testing.T, ctx context.Context, c Command, script string) (Result, string) {
	t.Helper()
	var out bytes.Buffer
	c.Argv = []string{"sh", "-c", script}
	c.Dir = t.TempDir()
	c.Stdout = &out
	l := NewLocal()
	l.Grace = time.Second
	r, err := l.Run(ctx, c)
	require.NoError(t, err)
	return r, out.String()
}

func TestLocalEnds(t *testing.T) {
	ctx := context.Background()
	r, out := sh(t, ctx, Command{Env: []string{"WORD=héllo"}}, `echo "$WORD"; cat; exit 3`)
	require.Equal(t, Exited, r.End)
	require.Equal(t, 3, r.ExitCode)
	require.Equal(t, "héllo\n", out, "standard input is empty, so cat ends at once")

	r, _ = sh(t, ctx, Command{}, `kill -SEGV $$`)
	require.Equal(t, Signalled, r.End)
	require.Equal(t, "segmentation fault", r.Signal)

	r, _ = sh(t, ctx, Command{Limit: 200 * time.Millisecond}, `sleep 60`)
	require.Equal(t, TimedOut, r.End)
}

func TestLocalMemoryLimitCountsChildren(t *testing.T) {
	// The shell itself stays small; its child takes the memory.
	r, _ := sh(t, context.Background(), Command{Memory: 40 << 20, Limit: 20 * time.Second}, `head -c 100000000 /dev/zero | tail -c 90000000 | sleep 15`)
	require.Equal(t, OverLimit, r.End)
	require.Less(t, r.Usage.Wall, 10*time.Second)
}

func TestLocalStopsWholeGroup(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	pidFile := filepath.Join(t.TempDir(), "pid")
	go func() {
		for {
			if data, err := os.ReadFile(pidFile); err == nil && bytes.HasSuffix(data, []byte("\n")) {
				cancel()
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	// The child ignores the polite request, so it takes the grace period.
	r, _ := sh(t, ctx, Command{Env: []string{"PIDFILE=" + pidFile}}, `sh -c 'trap "" TERM; echo $$ >"$PIDFILE"; while :; do sleep 0.1; done' & wait; sleep 60`)
	require.Equal(t, Stopped, r.End)
	data, err := os.ReadFile(pidFile)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return gone(pid) }, 2*time.Second, 10*time.Millisecond, "the grandchild survived")
}

// gone says that the process has ended; one that nobody has waited for yet
// counts as ended.
func gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return syscall.Kill(pid, 0) != nil
	}
	return bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" Z"))
}

func TestLocalUsage(t *testing.T) {
	r, _ := sh(t, context.Background(), Command{}, `i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done`)
	require.Equal(t, Exited, r.End)
	require.Positive(t, r.Usage.User)
	require.Positive(t, r.Usage.Wall)
	require.Greater(t, r.Usage.MaxRSS, uint64(100<<10))
}

func TestLocalMissingProgramIsTheNodesError(t *testing.T) {
	_, err := NewLocal().Run(context.Background(), Command{Argv: []string{"no-such-program-here"}, Dir: t.TempDir()})
	require.ErrorContains(t, err, "no-such-program-here")
}
