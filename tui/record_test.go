package tui

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/runner"
	"reprise/runner/event"
	"reprise/runner/node"
	"reprise/runner/source"
	"reprise/runner/store"
)

var record = flag.Bool("record", false, "run the manifests of testdata/demo and record their events anew")

// TestMain makes the test binary stand in for reprise in the steps of the
// demo manifests.
func TestMain(m *testing.M) {
	artifacts.Register(artifacts.Builtin{
		Name: "demo.sweep", Version: 1, Doc: "made-up miss ratios",
		Params: []artifacts.Param{{Name: "policy", Doc: "name of a policy", Default: "lru"}, {Name: "seed", Doc: "of the noise", Default: 1}},
		Run: func(_ context.Context, env *artifacts.Env) error {
			policy, seed := env.Params["policy"].(string), env.Params["seed"].(int)
			noise := rand.New(rand.NewPCG(uint64(seed), uint64(len(policy))))
			base := map[string]float64{"lru": 0.6, "fifo": 0.63, "sieve": 0.54, "belady": 0.4}[policy]
			fmt.Fprintf(os.Stderr, "replaying for %s with seed %d\n", policy, seed)
			for i, size := range []string{"0.1%", "0.5%", "1%", "5%", "10%"} {
				env.Progress(float64(i), 5, "size "+size)
				time.Sleep(60 * time.Millisecond)
				if err := env.Observe(checks.Observation{
					Metric: "miss_ratio", Unit: "1", Value: base*(1-0.12*float64(i)) + 0.004*noise.Float64(), Labels: map[string]string{"size": size},
				}); err != nil {
					return err
				}
			}
			return nil
		},
	})
	artifacts.Register(artifacts.Builtin{
		Name: "demo.wear", Version: 1, Doc: "made-up erase counts",
		Run: func(_ context.Context, env *artifacts.Env) error {
			noise := rand.New(rand.NewPCG(1, 2))
			for block := range 256 {
				env.Progress(float64(block), 256, "")
				if err := env.Observe(checks.Observation{
					Metric: "erases", Unit: "erases", Value: float64(60 + block%7*8 + noise.IntN(20)), Labels: map[string]string{"block": fmt.Sprint(block)},
				}); err != nil {
					return err
				}
			}
			return nil
		},
	})
	if len(os.Args) == 4 && os.Args[1] == "exec" {
		dir, _ := os.Getwd()
		if err := runner.Exec(context.Background(), os.Args[2], os.Args[3], dir, "", os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// streams are the recorded runs that the tests show.
var streams = []string{"verdicts", "failures", "interrupted"}

// TestRecord makes the recordings anew when asked to, by running the manifests
// of testdata/demo.
func TestRecord(t *testing.T) {
	if !*record {
		t.Skip("go test ./tui -run TestRecord -record")
	}
	for _, name := range streams {
		root := t.TempDir()
		engine := demoEngine(t, root)
		plan := demoPlan(t, name)
		ctx, cancel := context.WithCancel(t.Context())
		stop := func(e event.Event) {
			if s, is := e.Payload.(event.StepStarted); is && strings.Contains(s.Step, "wait=31") && name == "interrupted" {
				time.AfterFunc(1500*time.Millisecond, cancel)
			}
		}
		if name == "interrupted" {
			half := *plan
			half.Steps = plan.Steps[:2]
			_, err := engine.Execute(ctx, &half, func(runner.Summary) int { return 0 })
			require.NoError(t, err)
		}
		sum, err := engine.Execute(ctx, plan, func(s runner.Summary) int { return len(s.Failures) }, stop)
		cancel()
		require.NoError(t, err)
		data, err := os.ReadFile(filepath.Join(sum.Dir, store.EventsFile))
		require.NoError(t, err)
		data = bytes.ReplaceAll(data, []byte(root), []byte("/store"))
		require.NoError(t, os.WriteFile(filepath.Join("testdata", name+".jsonl"), data, 0o644))
	}
}

func demoEngine(t *testing.T, root string) *runner.Engine {
	kept, err := store.Open(root)
	require.NoError(t, err)
	return &runner.Engine{
		Store: kept, Nodes: []node.Node{node.NewLocal()}, Version: "demo", Jobs: 2, Now: time.Now,
		Fetch: source.Cache{Dir: t.TempDir()}.Fetch,
	}
}

func demoManifest(t *testing.T, name string) *artifacts.Manifest {
	m, findings, err := artifacts.LoadFile(filepath.Join("testdata", "demo", name+".yaml"))
	require.NoError(t, err)
	require.NoError(t, findings.Err())
	return m
}

func demoPlan(t *testing.T, name string) *runner.Plan {
	plan, err := runner.NewPlan([]*artifacts.Manifest{demoManifest(t, name)}, runner.Options{Profile: "kick", Platform: "linux/amd64", SourceKey: source.Key})
	require.NoError(t, err)
	return plan
}

// stream reads a recorded run.
func stream(t testing.TB, name string) []event.Event {
	f, err := os.Open(filepath.Join("testdata", name+".jsonl"))
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	var events []event.Event
	for e, err := range event.Read(f) {
		require.NoError(t, err)
		events = append(events, e)
	}
	require.NotEmpty(t, events)
	return events
}
