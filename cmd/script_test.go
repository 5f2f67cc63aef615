package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"reprise/artifacts"
	"reprise/checks"
)

// TestMain makes the test binary stand in for reprise in the scripts, with a
// few experiments that only they use.
func TestMain(m *testing.M) {
	artifacts.Register(artifacts.Builtin{
		Name: "demo.value", Version: 1, Doc: "observes the metric v",
		Params: []artifacts.Param{{Name: "v", Doc: "value", Default: 1.0}},
		Run: func(_ context.Context, env *artifacts.Env) error {
			return env.Observe(checks.Observation{Metric: "v", Value: env.Params["v"].(float64), Unit: "1"})
		},
	})
	artifacts.Register(artifacts.Builtin{
		Name: "demo.traces", Version: 1, Doc: "observes the size of the traces", ReadsTraces: true,
		Run: func(_ context.Context, env *artifacts.Env) error {
			size := 0.0
			if env.Traces != "" {
				err := filepath.WalkDir(env.Traces, func(path string, d fs.DirEntry, err error) error {
					if err != nil || d.IsDir() {
						return err
					}
					data, err := os.ReadFile(path)
					size += float64(len(data))
					return err
				})
				if err != nil {
					return err
				}
			}
			return env.Observe(checks.Observation{Metric: "size", Value: size, Unit: "B"})
		},
	})
	testscript.Main(m, map[string]func(){"reprise": Main, "reprise-breaks": mainThatBreaks})
}

// mainThatBreaks is Main with a clock that panics once the file exists that
// REPRISE_BREAKS names.
func mainThatBreaks() {
	a := newApp()
	a.now = func() time.Time {
		if _, err := os.Stat(os.Getenv("REPRISE_BREAKS")); err == nil {
			panic("the clock is broken")
		}
		return time.Now()
	}
	os.Exit(a.run(os.Args[1:]))
}

// TestScripts runs testdata/script/*.txtar. Beside testscript's own commands
// there are:
//
//	jsonl FILE KEY…     every line of FILE is a JSON object with these keys
//	waitfor FILE TEXT   FILE comes to hold TEXT
//	noescapes FILE      FILE holds no escape code
//	exits CODE PROG…    the program ends with this exit code
//	testbed             a testbed site to lease from
//	testbed empty       nothing is left on it; testbed only THING…: just these
//	testbed lease NAME  somebody leases two hosts of it by hand; testbed end: all leases end
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("REPRISE_STORE", filepath.Join(env.WorkDir, ".store"))
			env.Setenv("TRACES", traceFolder())
			return nil
		},
		Condition: func(condition string) (bool, error) {
			switch condition {
			case "traces":
				return traceFolder() != "", nil
			case "root":
				return os.Getuid() == 0, nil
			}
			return false, os.ErrInvalid
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"jsonl":     scriptJSONL,
			"waitfor":   scriptWaitFor,
			"noescapes": scriptNoEscapes,
			"exits":     scriptExits,
			"testbed":   scriptTestbed,
		},
	})
}

// traceFolder is the folder of real traces, where there is one.
func traceFolder() string {
	dir := os.Getenv("REPRISE_TRACES")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "traces")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	if _, err := os.Stat(filepath.Join(dir, "MANIFEST.tsv")); err != nil {
		return ""
	}
	return dir
}

func scriptJSONL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: jsonl FILE KEY…")
	}
	text := strings.TrimRight(ts.ReadFile(args[0]), "\n")
	if text == "" {
		ts.Fatalf("%s is empty", args[0])
	}
	for i, line := range strings.Split(text, "\n") {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			ts.Fatalf("%s:%d: %v: %s", args[0], i+1, err, line)
		}
		for _, key := range args[1:] {
			if _, has := object[key]; !has {
				ts.Fatalf("%s:%d: no key %q: %s", args[0], i+1, key, line)
			}
		}
	}
}

func scriptWaitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitfor FILE TEXT")
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		files, _ := filepath.Glob(ts.MkAbs(args[0]))
		for _, file := range files {
			if data, err := os.ReadFile(file); err == nil && bytes.Contains(data, []byte(args[1])) {
				return
			}
		}
	}
	ts.Fatalf("%s never held %q", args[0], args[1])
}

func scriptNoEscapes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: noescapes FILE")
	}
	if i := strings.IndexByte(ts.ReadFile(args[0]), 0x1b); i >= 0 {
		ts.Fatalf("%s holds an escape code at byte %d", args[0], i)
	}
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROG…")
	}
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, not %s", code, args[0])
	}
}
