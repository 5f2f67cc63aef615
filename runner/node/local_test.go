package node_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/node"
	"reprise/runner/node/nodetest"
)

func TestLocal(t *testing.T) {
	l := node.NewLocal()
	l.Grace = time.Second
	nodetest.Run(t, l)
}

// TestExclusiveRunsAlone runs shared and exclusive commands of two nodes that
// know of each other only by the file; each notes when it begins and ends.
func TestExclusiveRunsAlone(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	nodes := []*node.Local{node.NewLocal(), node.NewLocal()}
	done := make(chan error)
	const commands = 12
	for i := range commands {
		n := nodes[i%2]
		n.Turns = filepath.Join(dir, "turns")
		name := "s"
		if i%3 == 0 {
			name = "x"
		}
		go func() {
			_, err := n.Run(t.Context(), node.Command{
				Argv: []string{"sh", "-c", "echo +$0 >>" + log + "; sleep 0.03; echo -$0 >>" + log, name}, Dir: dir,
				Exclusive: name == "x", Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{},
			})
			done <- err
		}()
	}
	for range commands {
		require.NoError(t, <-done)
	}
	data, err := os.ReadFile(log)
	require.NoError(t, err)
	running, exclusive, most := 0, 0, 0
	for _, line := range bytes.Fields(data) {
		step := 1
		if line[0] == '-' {
			step = -1
		}
		running += step
		if line[1] == 'x' {
			exclusive += step
		}
		most = max(most, running)
		if exclusive > 0 {
			require.Equal(t, 1, running, "%s", data)
		}
	}
	require.Greater(t, most, 1, "commands that are not exclusive run beside each other")
}

func TestWaitingForATurnCanBeCancelled(t *testing.T) {
	turns := filepath.Join(t.TempDir(), "turns")
	busy, waits := node.NewLocal(), node.NewLocal()
	busy.Turns, waits.Turns = turns, turns
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	ready := make(chan struct{})
	go func() {
		defer close(ended)
		out := writer(func() { close(ready) })
		_, _ = busy.Run(ctx, node.Command{Argv: []string{"sh", "-c", "echo; exec sleep 60"}, Exclusive: true, Dir: t.TempDir(), Stdout: out, Stderr: out})
	}()
	<-ready
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	r, err := waits.Run(short, node.Command{Argv: []string{"true"}, Dir: t.TempDir()})
	require.NoError(t, err)
	require.Equal(t, node.Stopped, r.End)
	stop()
	<-ended
	r, err = waits.Run(t.Context(), node.Command{Argv: []string{"true"}, Dir: t.TempDir()})
	require.NoError(t, err)
	require.Equal(t, node.Exited, r.End)
}

type writer func()

func (w writer) Write(p []byte) (int, error) { w(); return len(p), nil }

// TestStoppedWithoutGrace has a command that does not end when asked to and
// would have a minute for it.
func TestStoppedWithoutGrace(t *testing.T) {
	l := node.NewLocal()
	l.Grace = time.Minute
	ctx, ask := context.WithCancel(t.Context())
	now := make(chan struct{})
	var once sync.Once
	out := writer(func() {
		once.Do(func() {
			ask()
			close(now)
		})
	})
	r, err := l.Run(ctx, node.Command{Argv: []string{"sh", "-c", "trap '' TERM; echo; while :; do sleep 0.1; done"}, Dir: t.TempDir(), Now: now, Stdout: out, Stderr: out})
	require.NoError(t, err)
	require.Equal(t, node.Stopped, r.End)
	require.Less(t, r.Usage.Wall, l.Grace)
}

func TestStepsGetNoCredentials(t *testing.T) {
	t.Setenv("OS_PASSWORD", "planted-secret")
	t.Setenv("OS_APPLICATION_CREDENTIAL_SECRET", "planted-secret")
	t.Setenv("OS_CLOUD", "chi")
	t.Setenv("LICENCE", "planted-secret")
	var out bytes.Buffer
	_, err := node.NewLocal().Run(t.Context(), node.Command{Argv: []string{"env"}, Withhold: []string{"LICENCE"}, Dir: t.TempDir(), Stdout: &out, Stderr: &out})
	require.NoError(t, err)
	require.NotContains(t, out.String(), "planted-secret")
	require.Contains(t, out.String(), "OS_CLOUD=chi")
}

// TestLeftoversDoNotDelay ends a command that has left something running with its
// output open: at once where that can be killed, after the grace period where it
// has got away.
func TestLeftoversDoNotDelay(t *testing.T) {
	l := node.NewLocal()
	l.Grace = 300 * time.Millisecond
	for script, want := range map[string]string{
		"echo out; sleep 60 &":                              "out\n",
		"echo out; setsid sh -c 'echo $$; exec sleep 60' &": "out\n",
	} {
		var out bytes.Buffer
		r, err := l.Run(t.Context(), node.Command{Argv: []string{"sh", "-c", script + " sleep 0.1"}, Dir: t.TempDir(), Stdout: &out, Stderr: &out})
		require.NoError(t, err)
		require.Equal(t, node.Exited, r.End)
		text, pid, away := strings.Cut(out.String(), want)
		require.Empty(t, text)
		if pid = strings.TrimSpace(pid); away && pid != "" {
			n, err := strconv.Atoi(pid)
			require.NoError(t, err)
			require.NoError(t, syscall.Kill(n, syscall.SIGKILL))
		}
	}
}
