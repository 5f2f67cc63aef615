package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/runner/event"
	"reprise/runner/node"
	"reprise/runner/store"
)

// crashSteps is the plan of the crash test: many short steps, each of which
// notes on disk that it ran to its end.
func crashManifest(steps int, ledger string) string {
	return head + fmt.Sprintf(`
  E1:
    title: t
    profiles: {kick: {compute: 60s}}
    matrix: {n: [%s]}
    run:
      - {name: a, sh: "echo v=${n}; echo ${n} >>%s", extract: [{metric: v, regex: {line: "v=(?P<value>.*)"}}]}
`, strings.Trim(strings.ReplaceAll(fmt.Sprint(upTo(steps)), " ", ","), "[]"), ledger)
}

func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i + 1
	}
	return list
}

// runCrashPlan runs the plan to its end in this process: what the child of the
// crash test does.
func runCrashPlan(storeDir, manifest string) error {
	m, findings := artifacts.Load("artifact.yaml", []byte(manifest))
	if err := findings.Err(); err != nil {
		return err
	}
	kept, err := store.Open(storeDir)
	if err != nil {
		return err
	}
	engine := &Engine{Store: kept, Nodes: []node.Node{node.NewLocal()}, Version: "test", Jobs: 2, Now: time.Now}
	plan, err := NewPlan([]*artifacts.Manifest{m}, Options{Profile: "kick", Platform: "p"})
	if err != nil {
		return err
	}
	_, err = engine.Execute(context.Background(), plan, func(Summary) int { return 0 })
	return err
}

// results reads all observations of a run, in order of their step.
func results(t *testing.T, storeDir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(storeDir, "steps", "*", "*", store.ObservationsFile))
	require.NoError(t, err)
	var lines []string
	for _, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		lines = append(lines, string(data))
	}
	sort.Strings(lines)
	return lines
}

// TestCrashAnywhere kills a run at random instants and runs it again until it
// is through. The results equal those of an undisturbed run, and no step ran
// again after its result was stored. REPRISE_CRASHES sets the number of kills.
func TestCrashAnywhere(t *testing.T) {
	const steps = 60
	kills := 12
	if n, err := strconv.Atoi(os.Getenv("REPRISE_CRASHES")); err == nil {
		kills = n
	}
	self, err := os.Executable()
	require.NoError(t, err)
	undisturbed := t.TempDir()
	require.NoError(t, runCrashPlan(undisturbed, crashManifest(steps, "/dev/null")))
	want := results(t, undisturbed)
	require.Len(t, want, steps)

	rng := rand.New(rand.NewPCG(7, 7))
	for killed := 0; killed < kills; {
		dir := t.TempDir()
		ledger := filepath.Join(t.TempDir(), "ledger")
		manifest := crashManifest(steps, ledger)
		for {
			child := exec.Command(self, "crash", dir, manifest)
			child.Stderr = os.Stderr
			require.NoError(t, child.Start())
			timer := time.AfterFunc(time.Duration(rng.IntN(250))*time.Millisecond, func() { _ = child.Process.Kill() })
			err := child.Wait()
			timer.Stop()
			if err == nil {
				break
			}
			status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
			require.True(t, ok && status.Signal() == syscall.SIGKILL, "the run failed by itself: %v", err)
			killed++
		}
		require.Equal(t, want, results(t, dir))

		// Each run's log tells what it started and what it stored. What one has
		// stored, none after it may start.
		logs, err := filepath.Glob(filepath.Join(dir, "runs", "*", "events.jsonl"))
		require.NoError(t, err)
		sort.Slice(logs, func(i, j int) bool { return runOrder(logs[i]) < runOrder(logs[j]) })
		done := map[string]bool{}
		for _, log := range logs {
			f, err := os.Open(log)
			require.NoError(t, err)
			for e, err := range event.Read(f) {
				require.NoError(t, err, "%s", log)
				switch v := e.Payload.(type) {
				case event.StepStarted:
					require.False(t, done[v.Step], "%s ran again after it had finished", v.Step)
				case event.StepFinished:
					if v.Status == event.Done {
						done[v.Step] = true
					}
				}
			}
			require.NoError(t, f.Close())
		}
		require.Len(t, done, steps-countStoredUnsaid(t, dir, done))
	}
}

// countStoredUnsaid counts the results whose run was killed between storing
// them and saying so.
func countStoredUnsaid(t *testing.T, dir string, said map[string]bool) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "steps", "*", "*", "result.json"))
	require.NoError(t, err)
	n := 0
	for _, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		var r store.Result
		require.NoError(t, json.Unmarshal(data, &r))
		if !said[r.Step] {
			n++
		}
	}
	return n
}

// runOrder makes 20260102-120000-10 come after 20260102-120000-9.
func runOrder(log string) string {
	id := filepath.Base(filepath.Dir(log))
	parts := strings.Split(id, "-")
	if len(parts) == 2 {
		parts = append(parts, "1")
	}
	return fmt.Sprintf("%s-%s-%06s", parts[0], parts[1], parts[2])
}
