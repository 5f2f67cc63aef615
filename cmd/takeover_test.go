package cmd

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/node/nodetest"
)

// killedAndRunAgain kills a run while some of its steps run elsewhere and one
// waits for them, and runs it again: no step begins twice, and what is observed
// is what an undisturbed run observes.
func killedAndRunAgain(t *testing.T, on ...string) {
	dir, kept := t.TempDir(), t.TempDir()
	begun, gate := filepath.Join(dir, "begun"), filepath.Join(dir, "gate")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "artifact.yaml"), fmt.Appendf(nil, `
reprise: 1
artifact: far
title: t
experiments:
  E1:
    title: t
    profiles: {kick: {compute: 60s}}
    matrix: {n: [1, 2]}
    run:
      - {name: a, sh: "echo ${n}a >>%[1]s; while [ ! -e %[2]s ]; do sleep 0.1; done; echo $((n * 10)) >out", outputs: [out]}
      - {name: b, sh: "echo ${n}b >>%[1]s; echo v=$(cat out)", extract: [{metric: v, regex: {line: "v=(?P<value>.*)"}}]}
`, begun, gate), 0o644))
	args := append([]string{"run", dir, "--json", "--jobs", "2", "--store", kept}, on...)
	first := exec.Command("reprise", args...)
	first.Stderr = os.Stderr
	require.NoError(t, first.Start())
	t.Cleanup(func() { _ = first.Process.Kill() })
	require.Eventually(t, func() bool {
		data, _ := os.ReadFile(begun)
		return strings.Count(string(data), "\n") == 2
	}, 60*time.Second, 20*time.Millisecond)
	require.NoError(t, first.Process.Kill())
	_ = first.Wait()

	require.NoError(t, os.WriteFile(gate, nil, 0o644))
	code, out, bad := reprise(t, nil, args...)
	require.Zero(t, code, "%s%s", out, bad)
	require.Equal(t, []string{"far/E1/n=1/bv10", "far/E1/n=2/bv20"}, observed(t, out))
	taken := 0
	for line := range strings.Lines(out) {
		var e struct{ Event, Message string }
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		if e.Event == "warning" && strings.Contains(e.Message, "taken over") {
			taken++
		}
	}
	require.Equal(t, 2, taken, out)
	data, err := os.ReadFile(begun)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"1a", "2a", "1b", "2b"}, strings.Fields(string(data)), "none begins twice")
}

func TestWrongSlurmOption(t *testing.T) {
	store := t.TempDir()
	for on, want := range map[string]string{
		"slurm:partitoin=short": `did you mean "partition"? there are account, `,
		"slurm:partition":       "write --on slurm:partition=NAME",
	} {
		code, _, bad := reprise(t, nil, "run", "codesign", "--dry-run", "--store", store, "--on", on)
		require.Equal(t, ExitUsage, code, bad)
		require.Contains(t, bad, want)
	}
}

func TestKilledOnSlurm(t *testing.T) {
	nodetest.StartSlurm(t)
	killedAndRunAgain(t, "--on", "slurm")

	code, _, bad := reprise(t, nil, "run", "codesign", "--dry-run", "--store", t.TempDir(), "--on", "slurm:partition=shrt")
	require.Equal(t, ExitUsage, code, bad)
	require.Contains(t, bad, `did you mean "short"? there are main, short`)

	secretive := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(secretive, "artifact.yaml"), []byte(`
reprise: 1
artifact: secretive
title: t
experiments:
  E1: {title: t, profiles: {kick: {compute: 20s}}, run: [{name: a, sh: "true", secrets: [HF_TOKEN]}]}
`), 0o644))
	code, _, bad = reprise(t, []string{"HF_TOKEN=planted-hf-token"}, "run", secretive, "--headless", "--store", t.TempDir(), "--on", "slurm")
	require.Equal(t, ExitUsage, code, bad)
	require.Contains(t, bad, "6:90: error: HF_TOKEN is not handed to secretive/E1/a through Slurm")
	require.NotContains(t, bad, "planted")

	// What waits in the queue is not said to run.
	code, _, bad = reprise(t, []string{"CI=1"}, "run", "codesign", "--only", "E1", "--param", "seed=1", "--param", "workload=profile:cdn", "--headless", "--store", t.TempDir(), "--on", "slurm:begin=now+3")
	require.NotEqual(t, ExitInfrastructure, code, bad)
	require.Contains(t, bad, "seed=1 queued on slurm: first run\n")
	require.Contains(t, bad, "seed=1 queued (BeginTime: its time to begin has not come)\n")
}

func TestKilledOnHost(t *testing.T) {
	s := nodetest.StartSSHD(t)
	killedAndRunAgain(t, "--ssh-config", sshConfig(t, s), "--on", "ssh:host1")
}

// TestTracesTravel runs what reads traces on a host: it finds there what the
// runner has, and not what the host has.
func TestTracesTravel(t *testing.T) {
	s := nodetest.StartSSHD(t)
	dir, traces := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "artifact.yaml"), []byte(`
reprise: 1
artifact: reads
title: t
experiments:
  E1: {title: t, profiles: {kick: {compute: 60s}}, run: demo.traces}
`), 0o644))
	require.NoError(t, os.MkdirAll(filepath.Join(traces, "deep"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(traces, "deep", "a"), []byte("12345"), 0o644))
	run := func(folder string) (int, string, string) {
		return reprise(t, []string{"REPRISE_TRACES=" + folder}, "run", dir, "--json", "--store", t.TempDir(), "--ssh-config", sshConfig(t, s), "--on", "ssh:host1")
	}
	for folder, want := range map[string]string{traces: "reads/E1size5", "": "reads/E1size0"} {
		code, out, bad := run(folder)
		require.Zero(t, code, "%s%s", out, bad)
		require.Equal(t, []string{want}, observed(t, out))
	}
	require.NoError(t, os.Symlink("deep/a", filepath.Join(traces, "inside")))
	code, out, bad := run(traces)
	require.Zero(t, code, "%s%s", out, bad)
	require.Equal(t, []string{"reads/E1size10"}, observed(t, out))
	require.NoError(t, os.Symlink("/etc/hostname", filepath.Join(traces, "out")))
	code, _, bad = run(traces)
	require.Equal(t, ExitUsage, code, bad)
	require.Contains(t, bad, "is a link out of the folder, to /etc/hostname")
}
