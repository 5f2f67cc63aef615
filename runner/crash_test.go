package runner

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/runner/node"
	"reprise/runner/node/nodetest"
	"reprise/runner/store"
)

// crashManifest has short steps: two in five are commands, as many need what
// those have written, and the others are built-ins.
func crashManifest() string {
	_, steps := nodetest.CrashSize()
	return head + fmt.Sprintf(`
  E1:
    title: t
    profiles: {kick: {compute: 60s}}
    matrix: {n: [%s]}
    run:
      - {name: a, sh: "seq ${n} >out; echo a=${n}", outputs: [out], extract: [{metric: a, regex: {line: "a=(?P<value>.*)"}}]}
      - {name: b, sh: "echo b=$(wc -l <out)", extract: [{metric: b, regex: {line: "b=(?P<value>.*)"}}]}
  E2:
    title: t
    profiles: {kick: {compute: 60s}}
    needs: [E1]
    matrix: {n: [%s]}
    run: demo.measure
`, upTo(steps/5*2), upTo(steps/5))
}

func upTo(n int) string {
	var list []string
	for i := range n {
		list = append(list, strconv.Itoa(i+1))
	}
	return strings.Join(list, ", ")
}

func crashPlan() (*Plan, error) {
	m, findings := artifacts.Load("artifact.yaml", []byte(crashManifest()))
	if err := findings.Err(); err != nil {
		return nil, err
	}
	return NewPlan([]*artifacts.Manifest{m}, Options{Profile: "kick", Platform: "p"})
}

// runCrashPlan runs the plan in this process and says how many steps have not
// succeeded: what the child of the crash test does.
func runCrashPlan(dir string) (failed int, err error) {
	plan, err := crashPlan()
	if err != nil {
		return 0, err
	}
	kept, err := store.Open(dir)
	if err != nil {
		return 0, err
	}
	engine := &Engine{Store: kept, Nodes: []node.Node{node.NewLocal()}, Version: "test", Jobs: 4, Now: time.Now}
	sum, err := engine.Execute(context.Background(), plan, func(Summary) int { return 0 })
	return len(plan.Steps) - sum.Steps["done"] - sum.Steps["reused"], err
}

// stored gives what the store has of every step of the plan: what it observed
// and what it wrote.
func stored(t *testing.T, dir string) map[string]string {
	t.Helper()
	plan, err := crashPlan()
	require.NoError(t, err)
	kept, err := store.Open(dir)
	require.NoError(t, err)
	content := map[string]string{}
	for _, s := range plan.Steps {
		result, err := kept.Lookup(s.Key)
		require.NoError(t, err, s.ID)
		if result == nil {
			continue
		}
		list, err := readObservations(result.Observations())
		require.NoError(t, err, s.ID)
		lines, err := encodeObservations(list)
		require.NoError(t, err)
		out, _ := os.ReadFile(filepath.Join(result.Dir, store.WorkDir, "out"))
		content[s.ID] = string(lines) + string(out)
	}
	return content
}

// TestCrashAnywhere kills a run and its steps at random instants, and runs it
// again until it is through. The results equal those of an undisturbed run.
func TestCrashAnywhere(t *testing.T) {
	kills, steps := nodetest.CrashSize()
	self, err := os.Executable()
	require.NoError(t, err)
	undisturbed := t.TempDir()
	began := time.Now()
	failed, err := runCrashPlan(undisturbed)
	require.NoError(t, err)
	require.Zero(t, failed)
	want := stored(t, undisturbed)
	require.Len(t, want, steps)
	nodetest.Crash{
		Kills: kills, Pause: time.Since(began) / 10,
		Runner:  func(dir string) *exec.Cmd { return exec.Command(self, "crash", dir) },
		Others:  []func(int, *rand.Rand) bool{nodetest.KillChild},
		Through: func(dir string) { require.Equal(t, want, stored(t, dir)) },
	}.Run(t)
}
