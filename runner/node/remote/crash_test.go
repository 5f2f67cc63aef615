package remote

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/runner"
	"reprise/runner/node"
	"reprise/runner/node/nodetest"
	"reprise/runner/store"
)

func crashPlan(platform string) (*runner.Plan, error) {
	_, steps := nodetest.CrashSize()
	var values []string
	for i := range steps / 2 {
		values = append(values, strconv.Itoa(i+1))
	}
	m, findings := artifacts.Load("artifact.yaml", fmt.Appendf(nil, `
reprise: 1
artifact: crash
title: t
experiments:
  E1:
    title: t
    profiles: {kick: {compute: 90s}}
    matrix: {n: [%s]}
    run:
      - {name: a, sh: "seq ${n} >out; echo a=${n}", outputs: [out], extract: [{metric: a, regex: {line: "a=(?P<value>.*)"}}]}
      - {name: b, sh: "echo b=$(wc -l <out)", extract: [{metric: b, regex: {line: "b=(?P<value>.*)"}}]}
`, strings.Join(values, ", ")))
	if err := findings.Err(); err != nil {
		return nil, err
	}
	return runner.NewPlan([]*artifacts.Manifest{m}, runner.Options{Profile: "kick", Platform: platform})
}

// runCrashPlan runs the plan on a host and says how many steps have not
// succeeded: what the child of the crash test does.
func runCrashPlan(dir, target string, way SSH) (failed int, err error) {
	n, err := OpenSSH(context.Background(), target, way)
	if err != nil {
		return 1, nil // cut before it was made: to be started again
	}
	n.Grace = time.Second
	plan, err := crashPlan(n.Machine().Platform())
	if err != nil {
		return 0, err
	}
	kept, err := store.Open(dir)
	if err != nil {
		return 0, err
	}
	engine := &runner.Engine{Store: kept, Nodes: []node.Node{n}, Version: "test", Jobs: 8, Now: time.Now, Attempts: 3, Backoff: 10 * time.Millisecond}
	sum, err := engine.Execute(context.Background(), plan, func(runner.Summary) int { return 0 })
	return len(plan.Steps) - sum.Steps["done"] - sum.Steps["reused"], err
}

// TestCrashAnywhereOverSSH kills a run on a host, its connections, and what it
// started there, at random instants, and runs it again until it is through.
func TestCrashAnywhereOverSSH(t *testing.T) {
	t.Parallel()
	kills, steps := nodetest.CrashSize()
	s := nodetest.StartSSHD(t)
	self, err := os.Executable()
	require.NoError(t, err)
	began := time.Now()
	undisturbed := t.TempDir()
	failed, err := runCrashPlan(undisturbed, s.Target(), reach(s))
	require.NoError(t, err)
	require.Zero(t, failed)
	want := observed(t, undisturbed)
	require.Len(t, want, steps)
	nodetest.Crash{
		Kills: kills, Pause: time.Since(began) / 10,
		Runner: func(dir string) *exec.Cmd {
			return exec.Command(self, "crash", dir, s.Target(), s.User, s.KnownHosts, s.Identity)
		},
		Others: []func(int, *rand.Rand) bool{
			func(int, *rand.Rand) bool { s.Cut(t); return true },
			func(_ int, rng *rand.Rand) bool { return killThere(s, rng) },
		},
		Through: func(dir string) { require.Equal(t, want, observed(t, dir)) },
	}.Run(t)
}

// observed gives what the store has of every step of the plan.
func observed(t *testing.T, dir string) map[string]string {
	t.Helper()
	plan, err := crashPlan(node.ThisMachine().Platform())
	require.NoError(t, err)
	kept, err := store.Open(dir)
	require.NoError(t, err)
	content := map[string]string{}
	for _, s := range plan.Steps {
		result, err := kept.Lookup(s.Key)
		require.NoError(t, err, s.ID)
		require.NotNil(t, result, s.ID)
		lines := result.Observations()
		out, _ := os.ReadFile(filepath.Join(result.Dir, store.WorkDir, "out"))
		content[s.ID] = string(lines) + string(out)
	}
	return content
}

// killThere kills a command or a supervisor on the host: any process that works
// in the server's home.
func killThere(s *nodetest.SSHD, rng *rand.Rand) bool {
	const looks = 100
	for range looks {
		var pids []int
		dirs, _ := filepath.Glob("/proc/[0-9]*/cwd")
		for _, dir := range dirs {
			if at, err := os.Readlink(dir); err == nil && strings.HasPrefix(at, s.Home) {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
				pids = append(pids, pid)
			}
		}
		if len(pids) > 0 {
			return syscall.Kill(pids[rng.IntN(len(pids))], syscall.SIGKILL) == nil
		}
	}
	return false
}
