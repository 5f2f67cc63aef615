package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/runner/event"
	"reprise/runner/node"
	"reprise/runner/node/nodetest"
	"reprise/runner/source"
	"reprise/runner/store"
)

// TestMain lets the test binary be the child that runs built-ins, and the
// run that the crash test kills.
func TestMain(m *testing.M) {
	artifacts.Register(artifacts.Builtin{
		Name: "demo.measure", Version: 1, Doc: "reports its parameter n",
		Params: []artifacts.Param{{Name: "n", Doc: "value", Default: 1}, {Name: "do", Doc: "what goes wrong", Default: ""}, {Name: "file", Doc: "not read", Default: "", File: true}},
		Run: func(ctx context.Context, env *artifacts.Env) error {
			n := env.Params["n"].(int)
			switch env.Params["do"] {
			case "panic":
				panic("boom")
			case "error":
				return errors.New("the disk is made of cheese")
			case "garbage":
				fmt.Println("not a report")
			case "nan":
				zero := 0.0
				return env.Observe(checks.Observation{Metric: "n", Value: zero / zero, Unit: "1"})
			case "wait":
				<-ctx.Done()
				return ctx.Err()
			case "hog":
				hog := make([]byte, 1<<30)
				for i := range hog {
					hog[i] = 1
					if i%(8<<20) == 0 {
						time.Sleep(5 * time.Millisecond)
					}
				}
			}
			env.Progress(1, 2, "counting")
			return env.Observe(checks.Observation{Metric: "n", Value: float64(n), Unit: "1", Labels: map[string]string{"kind": "demo"}})
		},
	})
	artifacts.Register(artifacts.Builtin{
		Name: "demo.sweep", Version: 1, Doc: "reports a product",
		Params: []artifacts.Param{{Name: "n", Doc: "factor", Default: 1}, {Name: "seed", Doc: "factor", Default: 1}, {Name: "size", Doc: "factor", Default: 1}},
		Run: func(_ context.Context, env *artifacts.Env) error {
			v := env.Params["n"].(int) * env.Params["seed"].(int) * env.Params["size"].(int)
			return env.Observe(checks.Observation{Metric: "miss_ratio", Value: float64(v), Unit: "1"})
		},
	})
	artifacts.Register(artifacts.Builtin{
		Name: "demo.traces", Version: 1, Doc: "reads traces", ReadsTraces: true,
		Run: func(context.Context, *artifacts.Env) error { return nil },
	})
	if len(os.Args) == 4 && os.Args[1] == "exec" {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		if err := Exec(ctx, os.Args[2], os.Args[3], ".", "", os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(4)
		}
		os.Exit(0)
	}
	if len(os.Args) == 3 && os.Args[1] == "crash" {
		switch failed, err := runCrashPlan(os.Args[2]); {
		case err != nil:
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		case failed > 0:
			os.Exit(nodetest.SomeFailed)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// bench is an engine over a store of its own, and what it emitted.
type bench struct {
	t      *testing.T
	engine *Engine
	mu     sync.Mutex
	events []event.Event
}

func newBench(t *testing.T) *bench {
	kept, err := store.Open(t.TempDir())
	require.NoError(t, err)
	here := node.NewLocal()
	here.Grace = time.Second
	return &bench{t: t, engine: &Engine{
		Store: kept, Nodes: []node.Node{here}, Version: "test", Jobs: 2, Now: time.Now,
		Fetch: source.Cache{Dir: t.TempDir()}.Fetch,
	}}
}

func (b *bench) run(ctx context.Context, yaml string, params map[string]any, watch ...event.Subscriber) Summary {
	b.t.Helper()
	sum, err := b.try(ctx, yaml, params, watch...)
	require.NoError(b.t, err)
	return sum
}

// try is run where the run may be one that cannot be recorded.
func (b *bench) try(ctx context.Context, yaml string, params map[string]any, watch ...event.Subscriber) (Summary, error) {
	b.t.Helper()
	m, findings := artifacts.Load("artifact.yaml", []byte(yaml))
	require.NoError(b.t, findings.Err())
	plan, err := NewPlan([]*artifacts.Manifest{m}, Options{Profile: "kick", Params: params, Platform: b.engine.Nodes[0].Machine().Platform(), SourceKey: source.Key})
	require.NoError(b.t, err)
	b.events = nil
	record := func(e event.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, e)
	}
	return b.engine.Execute(ctx, plan, func(Summary) int { return 0 }, append(watch, record)...)
}

// story tells each step's fate in one line, in the order of the events.
func (b *bench) story() []string {
	var lines []string
	for _, e := range b.events {
		switch v := e.Payload.(type) {
		case event.StepReused:
			lines = append(lines, v.Step+" reused")
		case event.StepStarted:
			lines = append(lines, v.Step+" started: "+v.Reason)
		case event.StepFinished:
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", v.Step, v.Status, v.Class, v.Error)))
		}
	}
	return lines
}

func (b *bench) finished(step string) event.StepFinished {
	b.t.Helper()
	for _, e := range b.events {
		if v, ok := e.Payload.(event.StepFinished); ok && v.Step == step {
			return v
		}
	}
	require.Fail(b.t, "no such step ended: "+step)
	return event.StepFinished{}
}

const head = "reprise: 1\nartifact: demo\ntitle: t\nexperiments:\n"

func TestReuseAndReasons(t *testing.T) {
	b := newBench(t)
	yaml := head + `
  E1:
    title: t
    profiles: {kick: {compute: 20s, with: {n: 1}}}
    run: demo.measure
`
	ctx := context.Background()
	b.run(ctx, yaml, nil)
	require.Equal(t, []string{"demo/E1 started: first run", "demo/E1 done"}, b.story())
	sum := b.run(ctx, yaml, nil)
	require.Equal(t, []string{"demo/E1 reused"}, b.story())
	require.Equal(t, 1, sum.Steps["reused"])
	b.run(ctx, yaml, map[string]any{"n": "7"})
	require.Equal(t, "demo/E1 started: changed: n 1 → 7", b.story()[0])
	b.engine.Fresh = true
	b.run(ctx, yaml, nil)
	require.Equal(t, "demo/E1 started: asked for by --fresh", b.story()[0])
	b.engine.Fresh = false
	b.run(ctx, yaml, map[string]any{"n": 7})
	require.Equal(t, []string{"demo/E1 reused"}, b.story(), "an earlier content is found again")
}

func TestObservationsCarryAxesAsLabels(t *testing.T) {
	b := newBench(t)
	yaml := head + `
  E1:
    title: t
    profiles: {kick: {compute: 20s}}
    matrix: {n: [3, 4], repeat: 2}
    run: demo.measure
`
	for range 2 { // measured, then reused
		b.run(context.Background(), yaml, nil)
		var seen []string
		for _, e := range b.events {
			if v, ok := e.Payload.(event.Observed); ok {
				seen = append(seen, fmt.Sprint(v.Value, v.Labels))
			}
		}
		require.ElementsMatch(t, []string{
			"3 map[experiment:E1 kind:demo n:3 seed:1]", "3 map[experiment:E1 kind:demo n:3 seed:2]",
			"4 map[experiment:E1 kind:demo n:4 seed:1]", "4 map[experiment:E1 kind:demo n:4 seed:2]",
		}, seen)
	}
}

func TestBuiltinThatGoesWrongIsAFailedStep(t *testing.T) {
	for do, want := range map[string]string{
		"panic":   "exit status 2",
		"error":   "exit status 4",
		"garbage": "neither an observation nor progress",
		"nan":     "exit status 4",
		"wait":    "still running after its limit of 1s",
		"hog":     "used more memory than its limit of 100MiB",
	} {
		t.Run(do, func(t *testing.T) {
			b := newBench(t)
			limit := "20s"
			if do == "wait" {
				limit = "1s"
			}
			sum := b.run(context.Background(), head+fmt.Sprintf(`
  E1:
    title: t
    profiles: {kick: {compute: %s, memory: 100MiB, with: {do: %s}}}
    run: demo.measure
claims:
  C1:
    statement: s
    source: {where: here, kind: text}
    experiment: E1
    checks: [{value: {metric: n, assume: exact, expect: 1}}]
`, limit, do), nil)
			end := b.finished("demo/E1")
			require.Equal(t, event.Failed, end.Status)
			require.Equal(t, event.ExperimentFailure, end.Class)
			require.Contains(t, end.Error, want)
			require.Equal(t, 1, sum.Claims[checks.Error], "a failed experiment decides nothing: %v", sum.Claims)
			if do == "error" {
				require.Equal(t, []string{"the disk is made of cheese"}, end.Tail)
			}
			b.run(context.Background(), head+`
  E1:
    title: t
    profiles: {kick: {compute: 20s, with: {do: "ok"}}}
    run: demo.measure
`, nil)
			require.Equal(t, event.Done, b.finished("demo/E1").Status)
		})
	}
}

const chain = head + `
  E1:
    title: t
    profiles: {kick: {compute: 20s}}
    run:
      - {name: build, sh: "mkdir -p out; echo built >out/tool; echo scrap >scrap", outputs: [out]}
      - {name: use, sh: "cat out/tool; echo changed >>out/tool; test ! -e scrap; echo v=1", extract: [{metric: v, regex: {line: "v=(?P<value>.*)"}}]}
      - {name: again, sh: "test $(wc -l <out/tool) = 1; echo v=2", extract: [{metric: v, regex: {line: "v=(?P<value>.*)"}}]}
`

func TestShellStepsPassDeclaredOutputsOnly(t *testing.T) {
	b := newBench(t)
	b.run(context.Background(), chain, nil)
	for _, step := range []string{"build", "use", "again"} {
		require.Equal(t, event.Done, b.finished("demo/E1/"+step).Status, "%v", b.story())
	}
	// A change in the middle reruns what comes after it, and says why.
	b.run(context.Background(), strings.Replace(chain, "test ! -e scrap", "test ! -f scrap", 1), nil)
	story := b.story()
	require.Equal(t, "demo/E1/build reused", story[0])
	require.Contains(t, story[1], "demo/E1/use started: changed: command cat out/tool")
	require.Contains(t, story[3], "demo/E1/again started: changed: after use")
}

func TestFailureSkipsWhatNeedsIt(t *testing.T) {
	b := newBench(t)
	yaml := head + `
  E1:
    title: t
    profiles: {kick: {compute: 20s}}
    run: [{name: a, sh: "echo why >&2; exit 7"}, {name: b, sh: "true"}]
  E2:
    title: t
    needs: [E1]
    profiles: {kick: {compute: 20s}}
    run: demo.measure
  E3:
    title: t
    profiles: {kick: {compute: 20s}}
    run: demo.measure
`
	sum := b.run(context.Background(), yaml, nil)
	require.Equal(t, event.Failed, b.finished("demo/E1/a").Status)
	require.Equal(t, "exit status 7", b.finished("demo/E1/a").Error)
	require.Equal(t, []string{"why"}, b.finished("demo/E1/a").Tail)
	require.Equal(t, event.SkippedOn, b.finished("demo/E1/b").Status)
	require.Equal(t, event.SkippedOn, b.finished("demo/E2").Status)
	require.Equal(t, event.Done, b.finished("demo/E3").Status)
	require.Equal(t, map[string]int{"failed": 1, "skipped": 2, "done": 1}, sum.Steps)

	b.run(context.Background(), yaml, nil)
	require.Contains(t, strings.Join(b.story(), "\n"), "did not succeed in run "+sum.Run+": exit status 7")
}

func TestMissingOutputFailsTheStep(t *testing.T) {
	b := newBench(t)
	b.run(context.Background(), head+`
  E1:
    title: t
    profiles: {kick: {compute: 20s}}
    run: [{name: a, sh: "true", outputs: [result.csv]}]
`, nil)
	require.Equal(t, "output result.csv was not written", b.finished("demo/E1/a").Error)
}

func TestCancelKeepsWhatHasFinished(t *testing.T) {
	b := newBench(t)
	b.engine.Jobs = 1
	yaml := head + `
  E1:
    title: t
    profiles: {kick: {compute: 60s}}
    matrix: {wait: [0, 60, 0.1]}
    run: [{name: a, sh: "sleep ${wait}"}]
`
	ctx, cancel := context.WithCancel(context.Background())
	sum := b.run(ctx, yaml, nil, func(e event.Event) {
		if v, ok := e.Payload.(event.StepStarted); ok && strings.Contains(v.Step, "wait=60") {
			cancel()
		}
	})
	require.True(t, sum.Interrupted)
	require.Equal(t, map[string]int{"done": 1, "cancelled": 2}, sum.Steps)

	sum = b.run(context.Background(), strings.Replace(yaml, "[0, 60, 0.1]", "[0, 0.1]", 1), nil)
	require.Equal(t, 1, sum.Steps["reused"])
	require.Contains(t, b.story(), "demo/E1/wait=0.1/a started: first run")
	b.run(context.Background(), strings.Replace(yaml, "sleep ${wait}", "sleep 0", 1), nil)
}

func TestCancelOneStep(t *testing.T) {
	b := newBench(t)
	yaml := head + `
  E1:
    title: t
    profiles: {kick: {compute: 60s}}
    matrix: {wait: [60, 0.1]}
    run: [{name: a, sh: "sleep ${wait}"}, {name: b, sh: "true"}]
`
	b.engine.Cancel("demo/E1/wait=60/a") // nothing runs
	sum := b.run(context.Background(), yaml, nil, func(e event.Event) {
		if v, ok := e.Payload.(event.StepStarted); ok && strings.Contains(v.Step, "wait=60") {
			go b.engine.Cancel(v.Step)
		}
	})
	require.False(t, sum.Interrupted)
	require.Equal(t, map[string]int{"done": 2, "cancelled": 1, "skipped": 1}, sum.Steps)
	require.Equal(t, event.Cancelled, b.finished("demo/E1/wait=60/a").Status)
	require.Equal(t, event.SkippedOn, b.finished("demo/E1/wait=60/b").Status)
	require.Empty(t, sum.Failures)
}

func TestExclusiveStepsRunAlone(t *testing.T) {
	b := newBench(t)
	b.engine.Jobs = 4
	shared := filepath.Join(t.TempDir(), "busy")
	sum := b.run(context.Background(), head+fmt.Sprintf(`
  E1:
    title: t
    exclusive: true
    profiles: {kick: {compute: 20s}}
    matrix: {n: [1, 2, 3]}
    run: [{name: a, sh: "mkdir %[1]s; sleep 0.05; rmdir %[1]s"}]
  E2:
    title: t
    profiles: {kick: {compute: 20s}}
    matrix: {n: [1, 2, 3]}
    run: [{name: a, sh: "test ! -e %[1]s; sleep 0.05; test ! -e %[1]s"}]
`, shared), nil)
	require.Equal(t, map[string]int{"done": 6}, sum.Steps, "%v", b.story())
}

func TestSourceReachesTheStep(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data"), []byte("v=5\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "artifact.yaml"), []byte(`
reprise: 1
artifact: demo
title: t
sources: {my-data: {path: data}}
experiments:
  E1:
    title: t
    sources: [my-data]
    profiles: {kick: {compute: 20s}}
    run: [{name: a, sh: "cat \"$REPRISE_SOURCE_MY_DATA\"", extract: [{metric: v, regex: {line: "v=(?P<value>.*)"}}]}]
`), 0o600))
	m, findings, err := artifacts.LoadFile(filepath.Join(dir, "artifact.yaml"))
	require.NoError(t, err)
	require.NoError(t, findings.Err())
	b := newBench(t)
	execute := func() Summary {
		plan, err := NewPlan([]*artifacts.Manifest{m}, Options{Profile: "kick", Platform: "p", SourceKey: source.Key})
		require.NoError(t, err)
		sum, err := b.engine.Execute(context.Background(), plan, func(Summary) int { return 0 })
		require.NoError(t, err)
		return sum
	}
	require.Equal(t, 1, execute().Steps["done"])
	require.Equal(t, 1, execute().Steps["reused"])
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data"), []byte("v=6\n"), 0o600))
	require.Equal(t, 1, execute().Steps["done"], "the source's content is part of the key")
}

func TestPlanRefusesUnknownNames(t *testing.T) {
	m, findings := artifacts.Load("a", []byte(head+`
  E1: {title: t, profiles: {kick: {compute: 20s}}, run: demo.measure}
`))
	require.NoError(t, findings.Err())
	_, err := NewPlan([]*artifacts.Manifest{m}, Options{Profile: "kick", Only: []string{"E9"}})
	require.ErrorContains(t, err, `no experiment "E9" in demo`)
	_, err = NewPlan([]*artifacts.Manifest{m}, Options{Profile: "kick", Params: map[string]any{"m": "1"}})
	require.ErrorContains(t, err, "takes a parameter m")
}

// The log describes this machine with the file system that steps work on, and
// an unlike machine of which a result is reused.
func TestMachinesAreDescribed(t *testing.T) {
	b := newBench(t)
	b.run(t.Context(), sweep(2, ""), nil)
	started := b.events[0].Payload.(event.RunStarted)
	require.NotEmpty(t, started.Nodes[0].Kernel)
	if runtime.GOOS == "linux" {
		require.Equal(t, "work", started.Nodes[0].Mounts[0].Of)
		require.NotEmpty(t, started.Records.Type)
	}
	described := func() (names []string) {
		for _, e := range b.events {
			if n, is := e.Payload.(event.Node); is {
				names = append(names, n.Name)
			}
		}
		return names
	}
	require.Empty(t, described())
	b.run(t.Context(), sweep(2, ""), nil)
	require.Empty(t, described(), "measured on a machine like this")

	first := b.events[0].Run
	other := newScripted("other", nil)
	b.on(other).run(t.Context(), sweep(2, ""), nil)
	names := described()
	require.Len(t, names, 1, "once for all steps")
	require.Contains(t, names[0], "/local")
	require.NotContains(t, names[0], first+"/", "the run that measured, not the one that reused")
}

// What a step left is in the log with its digests, also when it is reused.
func TestOutputsAreDigested(t *testing.T) {
	const manifest = head + `
  E1:
    title: t
    profiles: {kick: {compute: 20s}}
    run:
      - name: a
        sh: "printf abc >file; mkdir -p d; printf x >d/one; printf y >d/two; printf z >undeclared; echo v=1"
        outputs: [file, d]
        extract: [{metric: v, regex: {line: "v=(?P<value>.*)"}}]
`
	b := newBench(t)
	b.run(t.Context(), manifest, nil)
	made := b.finished("demo/E1/a").Made
	require.Len(t, made.Outputs, 2)
	require.Equal(t, node.Output{Name: "file", Bytes: 3, SHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}, made.Outputs[0])
	require.Equal(t, []any{"d", true, int64(2)}, []any{made.Outputs[1].Name, made.Outputs[1].Folder, made.Outputs[1].Bytes})
	require.Greater(t, made.Disk, uint64(6))
	require.Len(t, made.ObservationsSHA256, 64)
	b.run(t.Context(), manifest, nil)
	for _, e := range b.events {
		if r, is := e.Payload.(event.StepReused); is {
			require.Equal(t, made, r.Made)
			return
		}
	}
	require.Fail(t, "nothing was reused")
}

// TestFileParameter: what a file that a parameter names holds is part of the
// key; a value that is no absolute path is a word like any other.
func TestFileParameter(t *testing.T) {
	m, findings := artifacts.Load("artifact.yaml", []byte(`
reprise: 1
artifact: demo
title: demo
experiments:
  E1:
    title: one
    profiles:
      kick: {compute: 1s, with: {file: word}}
    run: demo.measure
`))
	require.NoError(t, findings.Err())
	key := func(file string) (string, error) {
		params := map[string]any{}
		if file != "" {
			params["file"] = file
		}
		plan, err := NewPlan([]*artifacts.Manifest{m}, Options{Profile: "kick", Params: params})
		if err != nil {
			return "", err
		}
		return plan.Steps[0].Key, nil
	}
	word, err := key("")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "log")
	_, err = key(path)
	require.ErrorContains(t, err, "parameter file: open "+path)
	require.NoError(t, os.WriteFile(path, []byte("a"), 0o600))
	first, err := key(path)
	require.NoError(t, err)
	same, err := key(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte("b"), 0o600))
	other, err := key(path)
	require.NoError(t, err)
	require.Equal(t, first, same)
	require.NotContains(t, []string{word, first}, other)
}
