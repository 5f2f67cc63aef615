// Package nodetest holds what every node.Node must do, whatever machine it
// stands for and however it is reached.
package nodetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/node"
)

// Run runs the suite against a node. The node's grace period must be one
// second. The commands need a POSIX shell and its usual companions.
func Run(t *testing.T, n node.Node) {
	s := suite{n}
	t.Run("Ends", s.ends)
	t.Run("Environment", s.environment)
	t.Run("Secrets", s.secrets)
	t.Run("StandardInputIsEmpty", s.standardInput)
	t.Run("StreamsAreKeptApart", s.streams)
	t.Run("LargeAndBinaryOutput", s.largeOutput)
	t.Run("OutputArrivesWhileItRuns", s.liveOutput)
	t.Run("FolderGoesInAndOut", s.folder)
	t.Run("LargeFiles", s.largeFiles)
	t.Run("FilesToRead", s.files)
	t.Run("TimeLimit", s.timeLimit)
	t.Run("MemoryLimitCountsChildren", s.memoryLimit)
	t.Run("CancelledAsksFirst", s.cancelledAsks)
	t.Run("CancelledKillsTheGroup", s.cancelledKills)
	t.Run("CancelledBefore", s.cancelledBefore)
	t.Run("LeavesNothingRunning", s.leavesNothing)
	t.Run("Usage", s.usage)
	t.Run("MissingProgramIsTheNodesError", s.missingProgram)
	t.Run("Concurrent", s.concurrent)
	t.Run("Self", s.self)
	t.Run("Load", s.load)
}

type suite struct{ node node.Node }

// sh runs a script and gives its result and output.
func (s suite) sh(t *testing.T, ctx context.Context, c node.Command, script string) (r node.Result, stdout, stderr string) {
	t.Helper()
	var out, bad bytes.Buffer
	c.Argv = []string{"sh", "-c", script}
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	if c.Stdout == nil {
		c.Stdout = &out
	}
	c.Stderr = &bad
	r, err := s.node.Run(ctx, c)
	require.NoError(t, err)
	return r, out.String(), bad.String()
}

func (s suite) ends(t *testing.T) {
	r, _, _ := s.sh(t, t.Context(), node.Command{}, `exit 0`)
	require.Equal(t, node.Exited, r.End)
	require.Zero(t, r.ExitCode)

	r, _, _ = s.sh(t, t.Context(), node.Command{}, `exit 3`)
	require.Equal(t, node.Exited, r.End)
	require.Equal(t, 3, r.ExitCode)

	for signal, name := range map[string]syscall.Signal{"SEGV": syscall.SIGSEGV, "KILL": syscall.SIGKILL} {
		r, _, _ = s.sh(t, t.Context(), node.Command{}, `kill -`+signal+` $$`)
		require.Equal(t, node.Signalled, r.End)
		require.Equal(t, name.String(), r.Signal)
	}
}

func (s suite) environment(t *testing.T) {
	env := []string{"WORD=héllo wörld", "QUOTES=a'b\"c $HOME `x` \\", "LINES=one\ntwo", "EMPTY="}
	_, out, _ := s.sh(t, t.Context(), node.Command{Env: env}, `printf '%s|' "$WORD" "$QUOTES" "$LINES" "${EMPTY-unset}"; [ -n "$PATH" ] && echo path`)
	require.Equal(t, "héllo wörld|a'b\"c $HOME `x` \\|one\ntwo||path\n", out)
}

// secrets hands a command a secret; it prints it, looks for it where others could
// find it, and leaves it in a file. A queue refuses.
func (s suite) secrets(t *testing.T) {
	const secret = "handed-5f1c9e"
	dir := t.TempDir()
	var out, bad bytes.Buffer
	c := node.Command{
		Dir: dir, Secrets: []string{"A_TOKEN=" + secret, "LINES=one\ntwo"}, Stdout: &out, Stderr: &bad,
		Argv: []string{"sh", "-c", `
			[ "$A_TOKEN" = ` + secret[:6] + `"-5f1c9e" ] && echo "${#A_TOKEN} $LINES"
			grep -rl "$A_TOKEN" .. 2>/dev/null
			ps -A -o args | grep "$A_TOKEN" | grep -v grep
			echo "$A_TOKEN" >left`},
	}
	_, err := s.node.Run(t.Context(), c)
	if _, is := s.node.(node.Queue); is {
		require.ErrorContains(t, err, "secrets are not handed over")
		return
	}
	require.NoError(t, err)
	require.Equal(t, "13 one\ntwo\n", out.String())
	require.Empty(t, bad.String())
	data, err := os.ReadFile(filepath.Join(dir, "left"))
	require.NoError(t, err)
	require.Equal(t, secret+"\n", string(data), "files are the runner's to clear")
}

func (s suite) standardInput(t *testing.T) {
	r, out, _ := s.sh(t, t.Context(), node.Command{Limit: 20 * time.Second}, `cat; echo end`)
	require.Equal(t, node.Exited, r.End)
	require.Equal(t, "end\n", out)
}

func (s suite) streams(t *testing.T) {
	_, out, bad := s.sh(t, t.Context(), node.Command{}, `echo out; echo err >&2; printf 'no newline'`)
	require.Equal(t, "out\nno newline", out)
	require.Equal(t, "err\n", bad)
}

func (s suite) largeOutput(t *testing.T) {
	// Every byte value, and more than any buffer on the way holds.
	dir := t.TempDir()
	block := make([]byte, 1<<16)
	for i := range block {
		block[i] = byte(i ^ i>>8)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "block"), block, 0o644))
	sum := sha256.New()
	counted := &countingWriter{}
	r, _, bad := s.sh(t, t.Context(), node.Command{Dir: dir, Stdout: io.MultiWriter(sum, counted)}, `i=0; while [ $i -lt 120 ]; do cat block; i=$((i+1)); done; head -c 3000000 /dev/zero >&2`)
	require.Equal(t, node.Exited, r.End)
	want := sha256.New()
	for range 120 {
		want.Write(block)
	}
	require.Equal(t, 120<<16, counted.n)
	require.Equal(t, want.Sum(nil), sum.Sum(nil))
	require.Len(t, bad, 3000000)
}

func (s suite) liveOutput(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	// The command waits for the folder's owner to see its first line: it ends
	// by itself only when cancelled, which that line brings about.
	seen := writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("first")) {
			cancel()
		}
		return len(p), nil
	})
	started := time.Now()
	r, _, _ := s.sh(t, ctx, node.Command{Stdout: seen}, `echo first; sleep 60`)
	require.Equal(t, node.Stopped, r.End)
	require.Less(t, time.Since(started), 15*time.Second)
}

// oddNames are names of files that tools get wrong.
var oddNames = []string{"plain", "with blank", " leading and trailing ", "ünïcödé ☃", "-dash", "quote'\"", "new\nline", "star*?[x]", "back\\slash", "日本/語"}

func (s suite) folder(t *testing.T) {
	dir := t.TempDir()
	for i, name := range oddNames {
		path := filepath.Join(dir, "in", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, "content %d of %s", i, name), 0o644))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tool"), []byte("#!/bin/sh\necho ran\n"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "gone"), nil, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "changed"), []byte("before"), 0o644))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	require.NoError(t, os.Symlink("in/plain", filepath.Join(dir, "link")))

	r, out, bad := s.sh(t, t.Context(), node.Command{Dir: dir}, `
		set -e
		./tool
		cat link; echo
		[ -d empty ]
		cp -R in out
		rm gone; rm -r in
		printf after >changed
		mkdir -p made/empty
		printf '#!/bin/sh\n' >made/tool; chmod 750 made/tool
		ln -s changed made/link
		: >made/zero`)
	require.Equal(t, node.Exited, r.End, bad)
	require.Zero(t, r.ExitCode, bad)
	require.Equal(t, "ran\ncontent 0 of plain\n", out)
	for i, name := range oddNames {
		data, err := os.ReadFile(filepath.Join(dir, "out", name))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("content %d of %s", i, name), string(data))
	}
	require.NoFileExists(t, filepath.Join(dir, "gone"))
	require.NoDirExists(t, filepath.Join(dir, "in"))
	require.DirExists(t, filepath.Join(dir, "made", "empty"))
	data, err := os.ReadFile(filepath.Join(dir, "changed"))
	require.NoError(t, err)
	require.Equal(t, "after", string(data))
	info, err := os.Stat(filepath.Join(dir, "made", "tool"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o750), info.Mode())
	target, err := os.Readlink(filepath.Join(dir, "made", "link"))
	require.NoError(t, err)
	require.Equal(t, "changed", target)
	info, err = os.Stat(filepath.Join(dir, "made", "zero"))
	require.NoError(t, err)
	require.Zero(t, info.Size())
}

func (s suite) largeFiles(t *testing.T) {
	dir := t.TempDir()
	data := make([]byte, 7<<20)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "large"), data, 0o644))
	for i := range 300 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprint("small", i)), fmt.Append(nil, i), 0o644))
	}
	r, _, bad := s.sh(t, t.Context(), node.Command{Dir: dir}, `cat large small* >all && mkdir d && cp small* d`)
	require.Zero(t, r.ExitCode, bad)
	all, err := os.ReadFile(filepath.Join(dir, "all"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, all[:len(data)]))
	copied, err := os.ReadDir(filepath.Join(dir, "d"))
	require.NoError(t, err)
	require.Len(t, copied, 300)
}

func (s suite) files(t *testing.T) {
	from := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(from, "one file"), []byte("trace\n"), 0o644))
	tree := filepath.Join(from, "tree")
	require.NoError(t, os.MkdirAll(filepath.Join(tree, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "sub", "tool"), []byte("#!/bin/sh\necho tool\n"), 0o755))
	c := node.Command{Files: map[string]string{"REPRISE_SOURCE_TRACE": filepath.Join(from, "one file"), "REPRISE_SOURCE_CODE": tree}}
	for range 2 { // the second time they are there already
		r, out, bad := s.sh(t, t.Context(), c, `cat "$REPRISE_SOURCE_TRACE" && "$REPRISE_SOURCE_CODE/sub/tool"; ls`)
		require.Zero(t, r.ExitCode, bad)
		require.Equal(t, "trace\ntool\n", out, "and they are not in the command's own folder")
	}
}

func (s suite) timeLimit(t *testing.T) {
	r, out, _ := s.sh(t, t.Context(), node.Command{Limit: 300 * time.Millisecond}, `echo begun; sleep 60`)
	require.Equal(t, node.TimedOut, r.End)
	require.Equal(t, "begun\n", out)
	require.GreaterOrEqual(t, r.Usage.Wall, 300*time.Millisecond)
	require.Less(t, r.Usage.Wall, 20*time.Second)
}

func (s suite) memoryLimit(t *testing.T) {
	// The shell itself stays small; its child takes the memory.
	r, _, _ := s.sh(t, t.Context(), node.Command{Memory: 40 << 20, Limit: 30 * time.Second}, `head -c 100000000 /dev/zero | tail -c 90000000 | sleep 25`)
	require.Equal(t, node.OverLimit, r.End)
	require.Less(t, r.Usage.Wall, 20*time.Second)
}

// cancelWhen cancels a context when text appears in the output.
func cancelWhen(ctx context.Context, text string) (context.Context, *syncBuffer) {
	ctx, cancel := context.WithCancel(ctx)
	b := &syncBuffer{}
	b.after = func() {
		if strings.Contains(b.b.String(), text) {
			cancel()
		}
	}
	return ctx, b
}

func (s suite) cancelledAsks(t *testing.T) {
	dir := t.TempDir()
	ctx, out := cancelWhen(t.Context(), "ready")
	r, _, _ := s.sh(t, ctx, node.Command{Dir: dir, Stdout: out}, `trap 'echo asked; echo tidy >tidied; exit 0' TERM; echo ready; while :; do sleep 0.05; done`)
	require.Equal(t, node.Stopped, r.End)
	require.Contains(t, out.String(), "asked")
}

func (s suite) cancelledKills(t *testing.T) {
	ctx, out := cancelWhen(t.Context(), "ready")
	started := time.Now()
	r, _, _ := s.sh(t, ctx, node.Command{Stdout: out}, `sh -c 'trap "" TERM; echo $$ ready; while :; do sleep 0.1; done' & wait; sleep 60`)
	require.Equal(t, node.Stopped, r.End)
	require.Less(t, time.Since(started), 20*time.Second)
	s.requireGone(t, strings.Fields(out.String())[0])
}

// requireGone asks the node whether a process still runs; one that nobody has
// waited for yet counts as ended.
func (s suite) requireGone(t *testing.T, pid string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, out, _ := s.sh(t, t.Context(), node.Command{}, `ps -o stat= -p `+pid)
		return out == "" || strings.HasPrefix(out, "Z")
	}, 5*time.Second, 50*time.Millisecond, "process %s survived", pid)
}

// load asks a node that can tell how busy its machine is.
func (s suite) load(t *testing.T) {
	n, can := s.node.(node.Sampler)
	if !can {
		t.Skip("this node does not tell its load")
	}
	before, err := n.Load(t.Context())
	require.NoError(t, err)
	r, _, _ := s.sh(t, t.Context(), node.Command{}, `i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done`)
	require.Equal(t, node.Exited, r.End)
	after, err := n.Load(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, after.Busy, before.Busy)
	require.LessOrEqual(t, after.MemoryUsed, after.MemoryTotal)
	require.GreaterOrEqual(t, after.Load1, 0.)
}

func (s suite) cancelledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, out, _ := s.sh(t, ctx, node.Command{}, `echo ran`)
	require.Equal(t, node.Stopped, r.End)
	require.Empty(t, out)
}

func (s suite) leavesNothing(t *testing.T) {
	r, out, _ := s.sh(t, t.Context(), node.Command{}, `sleep 60 >/dev/null 2>&1 & echo $!`)
	require.Equal(t, node.Exited, r.End)
	s.requireGone(t, strings.TrimSpace(out))
}

func (s suite) usage(t *testing.T) {
	r, _, _ := s.sh(t, t.Context(), node.Command{}, `i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done`)
	require.Equal(t, node.Exited, r.End)
	require.Positive(t, r.Usage.User)
	require.Positive(t, r.Usage.Wall)
	require.Greater(t, r.Usage.MaxRSS, uint64(100<<10))
}

func (s suite) missingProgram(t *testing.T) {
	_, err := s.node.Run(t.Context(), node.Command{Argv: []string{"no-such-program-here"}, Dir: t.TempDir(), Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}})
	require.ErrorContains(t, err, "no-such-program-here")
}

func (s suite) concurrent(t *testing.T) {
	var wait sync.WaitGroup
	for i := range 12 {
		wait.Go(func() {
			dir := t.TempDir()
			var out bytes.Buffer
			_, err := s.node.Run(t.Context(), node.Command{
				Argv: []string{"sh", "-c", `echo "$I"; printf %s "$I" >f; sleep 0.1; exit "$I"`}, Env: []string{fmt.Sprint("I=", i)}, Dir: dir, Stdout: &out, Stderr: &out,
			})
			data, bad := os.ReadFile(filepath.Join(dir, "f"))
			if err != nil || bad != nil || string(data) != fmt.Sprint(i) || out.String() != fmt.Sprintln(i) {
				t.Errorf("command %d: %v %v %q %q", i, err, bad, data, out.String())
			}
		})
	}
	wait.Wait()
}

func (s suite) self(t *testing.T) {
	require.NotEmpty(t, s.node.Name())
	m := s.node.Machine()
	require.Positive(t, m.Cores)
	require.Regexp(t, `^\w+/\w+$`, m.Platform())
	r, _, _ := s.sh(t, t.Context(), node.Command{Env: []string{"SELF=" + s.node.Self()}}, `[ -x "$SELF" ]`)
	require.Zero(t, r.ExitCode, "%s is no program on the node", s.node.Self())
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

type countingWriter struct{ n int }

func (c *countingWriter) Write(p []byte) (int, error) { c.n += len(p); return len(p), nil }

// syncBuffer collects output that another goroutine reads.
type syncBuffer struct {
	mu    sync.Mutex
	b     strings.Builder
	after func()
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Write(p)
	b.after()
	return len(p), nil
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
