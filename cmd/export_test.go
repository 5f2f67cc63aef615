package cmd

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/runner/export"
	"reprise/runner/node/nodetest"
)

// exported has what makes scripts hard: outputs that later steps of a point
// need, experiments that need others, words that shells, make and GNU parallel
// read in their own way.
const exported = `
reprise: 1
artifact: small
title: t
sources:
  words: {path: "some words.txt"}
experiments:
  E1:
    title: built in
    profiles: {kick: {compute: 20s, memory: 500MB}}
    matrix: {v: [1, 2.5, 3]}
    run: demo.value
  E2:
    title: steps in a row
    sources: [words]
    profiles: {kick: {compute: 20s}}
    matrix: {n: [1, 2], word: ["it's", "a $b {} #c % \\d \"e\""]}
    run:
      - name: write
        sh: |
          printf 'n,v\n%s,%s\n' "$n" "${#word}" >table.csv
          mkdir -p kept/deep
          # a comment, and an empty line

          printf '%s\n' "$word $TWICE" >kept/deep/.word
          ls ~+ >/dev/null 2>&1 || :
        env: {TWICE: "${n}${n} *"}
        outputs: ["*.csv", "kept/*"]
        extract: [{from: table.csv, csv: {value: v, labels: [n]}, metric: length}]
      - name: read
        sh: 'wc -c <kept/deep/.word; cat table.csv >&2; wc -c <"$REPRISE_SOURCE_WORDS"; "$REPRISE" --version >/dev/null; cat'
        extract:
          - {regex: {line: '\s*(?P<value>\d+)$'}, metric: size, labels: {a: "b's"}}
          - {from: stderr, regex: {line: '(?P<n>\d+),(?P<value>\d+)'}, metric: seen, unit: B}
  E3:
    title: alone, after the others
    needs: [E1, E2]
    exclusive: true
    profiles: {kick: {compute: 20s}}
    matrix: {k: [1, 2]}
    run: [{name: a, sh: 'echo "{\"list\": [{\"x\": $k}, {\"x\": 7}]}"', extract: [{json: {value: "list[*].x"}, metric: x}]}]
`

// observationsOf gives the observations among lines of JSON, in some fixed order.
func observationsOf(t *testing.T, lines string) (all []string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		var e map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		if kind, has := e["event"]; has && kind != "observation" {
			continue
		}
		labels, err := json.Marshal(e["labels"])
		require.NoError(t, err)
		all = append(all, fmt.Sprint(e["step"], " ", e["metric"], " ", e["value"], " ", e["unit"], " ", string(labels)))
	}
	sort.Strings(all)
	return all
}

// TestExport runs an artifact by each kind of script; what is observed is what
// reprise run observes.
func TestExport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "an artifact")
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "artifact.yaml"), []byte(exported), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "some words.txt"), []byte("some words"), 0o644))
	kept := t.TempDir()
	code, events, bad := reprise(t, nil, "run", dir, "--json", "--store", kept)
	require.Zero(t, code, "%s%s", bad, events)
	want := observationsOf(t, events)
	require.Len(t, want, 3+4*(1+2+1)+2*2)

	how := map[string][]string{"sh": {"sh", "script"}, "parallel": {"sh", "script"}, "slurm": {"sh", "script", "--wait"}, "make": {"make", "-f", "script", "-k", "-j4"}}
	for _, format := range export.Formats {
		t.Run(format, func(t *testing.T) {
			switch format {
			case "parallel", "make":
				if out, err := exec.Command(format, "--version").CombinedOutput(); err != nil || !strings.Contains(string(out), "GNU") {
					t.Skipf("needs GNU %s: apt-get install %s", format, format)
				}
			case "slurm":
				nodetest.StartSlurm(t)
			}
			at := t.TempDir()
			code, _, bad := reprise(t, nil, "export", dir, "--format", format, "-o", filepath.Join(at, "script"), "--store", kept)
			require.Zero(t, code, bad)
			run := func() (string, error) {
				c := exec.Command(how[format][0], how[format][1:]...)
				c.Dir = at
				out, err := c.CombinedOutput()
				return string(out), err
			}
			said, err := run()
			if log, bad := os.ReadFile(filepath.Join(at, "small-kick", "slurm.log")); bad == nil {
				said += string(log)
			}
			require.NoError(t, err, said)
			got, err := os.ReadFile(filepath.Join(at, "small-kick", "observations.jsonl"))
			require.NoError(t, err, said)
			require.Equal(t, want, observationsOf(t, string(got)), said)

			// Nothing runs again, but what is missing and what needs it.
			steps, err := filepath.Glob(filepath.Join(at, "small-kick", "steps", "*", "done"))
			require.NoError(t, err)
			require.Len(t, steps, 3+8+2)
			before, err := os.Stat(steps[0])
			require.NoError(t, err)
			require.NoError(t, os.Remove(steps[len(steps)-1]))
			said, err = run()
			require.NoError(t, err, said)
			require.FileExists(t, steps[len(steps)-1])
			after, err := os.Stat(steps[0])
			require.NoError(t, err)
			require.Equal(t, before.ModTime(), after.ModTime())
		})
	}

	// A recorded run is exported as it was asked for.
	_, artifact, _ := reprise(t, nil, "export", dir, "--store", kept)
	code, run, bad := reprise(t, nil, "export", "latest", "--store", kept)
	require.Zero(t, code, bad)
	require.Equal(t, artifact, run)
	code, _, bad = reprise(t, nil, "export", "latest", "--only", "E1", "--store", kept)
	require.Equal(t, ExitUsage, code)
	require.Contains(t, bad, "--only")
	code, _, bad = reprise(t, nil, "export", "nothing", "--store", kept)
	require.Equal(t, ExitUsage, code)
	require.Contains(t, bad, "neither an artifact nor a recorded run")
	code, _, bad = reprise(t, nil, "export", dir, "--format", "bat", "--store", kept)
	require.Equal(t, ExitUsage, code)
	require.Contains(t, bad, "sh, parallel, slurm, make")
}

// TestExportFails has a step that fails: what needs it does not run, the rest
// does, and the exit code says so.
func TestExportFails(t *testing.T) {
	dir, kept := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "artifact.yaml"), []byte(`
reprise: 1
artifact: fails
title: t
experiments:
  E1:
    title: t
    profiles: {kick: {compute: 20s}}
    matrix: {n: [1, 2, 3]}
    run:
      - {name: a, sh: 'echo "n is $n" >&2; [ "$n" != 2 ]; : >made'}
      - {name: b, sh: 'echo v=$n', timeout: 1s, extract: [{regex: {line: 'v=(?P<value>\d)'}, metric: v}]}
  E2:
    title: t
    profiles: {kick: {compute: 20s}}
    run: [{name: a, sh: 'sleep 60', timeout: 500ms}]
  E3:
    title: t
    needs: [E2]
    profiles: {kick: {compute: 20s}}
    run: [{name: a, sh: 'echo v=9', extract: [{regex: {line: 'v=(?P<value>\d)'}, metric: v}]}]
`), 0o644))
	for _, format := range []string{"sh", "parallel", "make"} {
		t.Run(format, func(t *testing.T) {
			if _, err := exec.LookPath(format); err != nil {
				t.Skipf("needs %s", format)
			}
			script := filepath.Join(t.TempDir(), "script")
			code, _, bad := reprise(t, nil, "export", dir, "--format", format, "-o", script, "--store", kept)
			require.Zero(t, code, bad)
			c := exec.Command("sh", script)
			if format == "make" {
				c = exec.Command("make", "-k", "-f", script)
			}
			c.Dir = filepath.Dir(script)
			out, err := c.CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(out), "fails/E1/n=2/a: failed: exit status 1")
			require.Contains(t, string(out), "n is 2")
			require.Contains(t, string(out), "fails/E2/a: failed: still running after 0.5 s")
			if format == "make" {
				return // which does not come to the end
			}
			require.Contains(t, string(out), "fails/E1/n=2/b: not run")
			require.Contains(t, string(out), "fails/E3/a: not run")
			require.Contains(t, string(out), "4 steps have not succeeded")
			got, err := os.ReadFile(filepath.Join(filepath.Dir(script), "fails-kick", "observations.jsonl"))
			require.NoError(t, err)
			require.Len(t, observationsOf(t, string(got)), 2)
		})
	}
}
