package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/event"
	"reprise/runner/node/nodetest"
)

const onHosts = `
reprise: 1
artifact: spread
title: t
sources:
  words: {path: words.txt}
experiments:
  E1:
    title: built in
    profiles: {kick: {compute: 60s}}
    matrix: {v: [1, 2, 3, 4, 5, 6, 7, 8]}
    run: demo.value
  E2:
    title: two steps in a row, and a source
    sources: [words]
    exclusive: true
    profiles: {kick: {compute: 60s}}
    matrix: {n: [1, 2]}
    run:
      - {name: write, sh: "wc -c <$REPRISE_SOURCE_WORDS >size; echo ${n} >>size", outputs: [size]}
      - {name: read, sh: "cat size | tr '\n' ' '; ps -A -o args >processes", extract: [{metric: size, regex: {line: "(?P<value>[0-9]+) "}}], env: {TOKEN: "PLANTED-of-the-step"}}
claims:
  C1:
    statement: s
    source: {where: here, kind: text}
    experiment: E1
    checks: [{value: {metric: v, aggregate: sum, expect: 36, tolerance: {value: 0%, because: exact}}}]
`

// sshConfig names hosts one, two, … as a person would.
func sshConfig(t *testing.T, hosts ...*nodetest.SSHD) (path string) {
	t.Helper()
	var text strings.Builder
	for i, h := range hosts {
		host, port, err := net.SplitHostPort(h.Address)
		require.NoError(t, err)
		fmt.Fprintf(&text, "Host host%d\n  HostName %s\n  Port %s\n  User %s\n  IdentityFile %s\n  UserKnownHostsFile %s\n", i+1, host, port, h.User, h.Identity, h.KnownHosts)
	}
	path = filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(path, []byte(text.String()), 0o600))
	return path
}

// reprise runs the program and gives its exit code and output.
func reprise(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, bad bytes.Buffer
	c := exec.Command("reprise", args...)
	c.Env = append(os.Environ(), env...)
	c.Stdout, c.Stderr = &out, &bad
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return c.ProcessState.ExitCode(), out.String(), bad.String()
}

// observed are the observations of a run, in some fixed order.
func observed(t *testing.T, events string) (all []string) {
	t.Helper()
	for line := range strings.Lines(events) {
		var e struct {
			Event, Step, Metric string
			Value               float64
		}
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		if e.Event == "observation" {
			all = append(all, fmt.Sprint(e.Step, e.Metric, e.Value))
		}
	}
	sort.Strings(all)
	return all
}

// TestRunOnHosts runs an artifact on two hosts and on this one: the results
// are the same, and nothing secret is left behind.
func TestRunOnHosts(t *testing.T) {
	one, two := nodetest.StartSSHD(t), nodetest.StartSSHD(t)
	config := sshConfig(t, one, two)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "artifact.yaml"), []byte(onHosts), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "words.txt"), []byte("some words"), 0o644))
	secret := []string{"PLANTED=PLANTED-of-the-runner"}

	here, there := t.TempDir(), t.TempDir()
	code, local, bad := reprise(t, secret, "run", dir, "--json", "--store", here)
	require.Zero(t, code, bad)
	code, remote, bad := reprise(t, secret, "run", dir, "--json", "--store", there, "--ssh-config", config, "--on", "ssh:host1,host2")
	require.Zero(t, code, bad)
	require.Len(t, observed(t, local), 8+2)
	require.Equal(t, observed(t, local), observed(t, remote))
	for _, host := range []string{"host1", "host2"} {
		require.Contains(t, remote, `"node":"`+host+`"`)
	}
	for line := range strings.Lines(remote) {
		if strings.Contains(line, `"event":"warning"`) {
			require.Contains(t, line, "waits for other commands on the machine", "both hosts are one machine")
		}
	}

	// What one place has measured, another reuses: the key is the same.
	code, again, bad := reprise(t, nil, "run", dir, "--json", "--store", there)
	require.Zero(t, code, bad)
	require.NotContains(t, again, "step_started")

	identity, err := os.ReadFile(one.Identity)
	require.NoError(t, err)
	secrets := []string{"PLANTED-of-the-runner", strings.Split(string(identity), "\n")[2]}
	shown := map[string]string{"events": remote, "stderr": bad, "sshd": one.Log() + two.Log()}
	for _, place := range []string{there, one.Home, two.Home} {
		require.NoError(t, filepath.WalkDir(place, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || d.Name() == "reprise" { // the program holds the words of this test
				return err
			}
			data, err := os.ReadFile(path)
			shown[path] = string(data)
			return err
		}))
	}
	processes := 0
	for path, text := range shown {
		for _, s := range secrets {
			require.NotContains(t, text, s, path)
		}
		if filepath.Base(path) == "processes" {
			processes++
			require.NotContains(t, text, "PLANTED", "a step's variables are not in the list of processes")
		}
	}
	require.Equal(t, 2, processes)
	for _, h := range []*nodetest.SSHD{one, two} {
		jobs, err := os.ReadDir(filepath.Join(h.Home, ".cache", "reprise", "jobs"))
		require.NoError(t, err)
		require.Empty(t, jobs, "jobs that have ended are removed")
	}
}

// TestSweepOverHosts runs a sweep of caches on three hosts and on this machine,
// requires the same results, and tells what a point costs.
func TestSweepOverHosts(t *testing.T) {
	points, err := strconv.Atoi(os.Getenv("REPRISE_SWEEP"))
	if err != nil {
		t.Skip("runs with REPRISE_SWEEP=2000")
	}
	dir := t.TempDir()
	var values []string
	for i := range points {
		values = append(values, strconv.Itoa(i+1))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "artifact.yaml"), fmt.Appendf(nil, `
reprise: 1
artifact: sweep
title: t
experiments:
  E1:
    title: t
    profiles:
      kick:
        compute: 60s
        with: {workload: "gen:zipf?objects=2000", requests: 20000, policies: [lru, sieve, s3fifo], sizes: ["1%%", "10%%"]}
    matrix: {seed: [%s]}
    run: codesign.eviction
`, strings.Join(values, ", ")), 0o644))
	config := sshConfig(t, nodetest.StartSSHD(t), nodetest.StartSSHD(t), nodetest.StartSSHD(t))
	var want []string
	for _, on := range []string{"local", "ssh:host1", "ssh:host1,host2,host3"} {
		started := time.Now()
		code, out, bad := reprise(t, nil, "run", dir, "--json", "--store", t.TempDir(), "--ssh-config", config, "--on", on)
		took := time.Since(started)
		require.Zero(t, code, bad)
		got := observed(t, out)
		require.Len(t, got, points*3*2*2)
		if want == nil {
			want = got
		}
		require.Equal(t, want, got)
		t.Logf("%d points on %s: %v, %v a point", points, on, took.Round(time.Millisecond), (took / time.Duration(points)).Round(10*time.Microsecond))
	}
}

func TestRunOnNoHost(t *testing.T) {
	s := nodetest.StartSSHD(t)
	config := sshConfig(t, s)
	store := t.TempDir()
	run := func(on string) (int, string) {
		code, _, bad := reprise(t, nil, "run", "codesign", "--dry-run", "--store", store, "--ssh-config", config, "--on", on)
		return code, bad
	}
	code, _ := run("ssh:host1")
	require.Zero(t, code)
	for on, want := range map[string]string{
		"moon":            "--on local, --on ssh:",
		"ssh:":            "twice or not at all",
		"ssh:host1,host1": "twice or not at all",
		"ssh:a b":         "no host",
	} {
		code, bad := run(on)
		require.NotZero(t, code)
		require.Contains(t, bad, want)
	}
	s.Stop()
	s.NewHostKey(t)
	s.Start(t)
	code, bad := run("ssh:host1")
	require.Equal(t, ExitInfrastructure, code)
	require.Contains(t, bad, "reprise: error: the key of")
	require.Contains(t, bad, "has changed")
	require.Contains(t, bad, "reprise: hint: if the host was installed anew: ssh-keygen -f ")
}

// TestAttachOverSSH follows a run of another machine while it goes on, and
// reads a step's log from there.
func TestAttachOverSSH(t *testing.T) {
	host := nodetest.StartSSHD(t)
	config := sshConfig(t, host)
	dir, there := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "artifact.yaml"), []byte(`
reprise: 1
artifact: far
title: t
experiments:
  E1:
    title: t
    profiles: {kick: {compute: 60s}}
    run: [{name: a, sh: "echo far away; while [ ! -e `+dir+`/go ]; do sleep 0.1; done"}]
`), 0o644))
	running := exec.Command("reprise", "run", dir, "--headless", "--store", there)
	running.Env = append(os.Environ(), "CI=1")
	require.NoError(t, running.Start())
	require.Eventually(t, func() bool {
		logs, _ := filepath.Glob(filepath.Join(there, "runs", "*", "events.jsonl"))
		if len(logs) != 1 {
			return false
		}
		data, _ := os.ReadFile(logs[0])
		return bytes.Contains(data, []byte("step_started"))
	}, 20*time.Second, 20*time.Millisecond)

	at := elsewhere{on: "ssh:host1", sshConfig: config, store: there}
	a := &app{getenv: os.Getenv, now: time.Now}
	job, err := a.followElsewhere(t.Context(), "latest", at)
	require.NoError(t, err)
	var kinds []string
	require.NoError(t, job.Run(t.Context(), func(e event.Event) {
		kinds = append(kinds, e.Payload.Kind())
		if v, is := e.Payload.(event.StepStarted); is {
			var data []byte
			require.Eventually(t, func() bool {
				var size int64
				var err error
				data, size, err = job.ReadLog(filepath.Join(v.Log, "stdout.log"), 8)
				return err == nil && size == 9
			}, 20*time.Second, 50*time.Millisecond)
			require.Equal(t, "ar away\n", string(data))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o644))
		}
	}))
	require.Contains(t, kinds, "run_finished")
	require.NoError(t, running.Wait())

	code, out, _ := reprise(t, nil, "attach", "--plain", "--on", "ssh:host1", "--ssh-config", config, "--remote-store", there)
	require.Zero(t, code)
	require.Contains(t, out, "far/E1/a done")

	code, _, bad := reprise(t, nil, "attach", "1999", "--plain", "--on", "ssh:host1", "--ssh-config", config, "--remote-store", there)
	require.Equal(t, ExitInfrastructure, code)
	require.Contains(t, bad, `no run "1999"`)
	code, _, _ = reprise(t, nil, "attach", "--on", "elsewhere")
	require.Equal(t, ExitUsage, code)
}

const inRoles = `
reprise: 1
artifact: pair
title: t
platforms:
  lab: {provider: chameleon, site: CHI@Test, node_type: compute_nvme, image: CC-Ubuntu22.04, nodes: {client: 1, server: 1}}
experiments:
  E1:
    title: two nodes
    profiles: {kick: {compute: 60s, platform: lab}}
    run:
      - {name: serve, role: server, sh: "echo $HOME >home; echo $REPRISE_NODES_SERVER", outputs: [home]}
      - {name: load, role: client, sh: "cat home; echo $HOME; echo v=1", extract: [{metric: v, regex: {line: "v=(?P<value>.*)"}}]}
`

// TestRunInRoles takes the roles from an inventory, or from the order of hosts.
func TestRunInRoles(t *testing.T) {
	one, two := nodetest.StartSSHD(t), nodetest.StartSSHD(t)
	dir := t.TempDir()
	config := sshConfig(t, one, two)
	manifest := filepath.Join(dir, "artifact.yaml")
	require.NoError(t, os.WriteFile(manifest, []byte(inRoles), 0o644))
	inventory := filepath.Join(dir, "hosts.yaml")
	require.NoError(t, os.WriteFile(inventory, []byte("roles: {server: [host1], client: [host2]}\nssh_config: "+config+"\n"), 0o644))
	for name, c := range map[string]struct {
		on             []string
		client, server *nodetest.SSHD
	}{
		"an inventory": {[]string{"--on", inventory}, two, one},
		"in order":     {[]string{"--on", "ssh:host1,host2", "--ssh-config", config}, one, two},
	} {
		t.Run(name, func(t *testing.T) {
			kept := t.TempDir()
			code, out, stderr := reprise(t, []string{"REPRISE_STORE=" + kept}, append([]string{"run", manifest, "--headless"}, c.on...)...)
			require.Zero(t, code, "%s%s", out, stderr)
			var said []string
			require.NoError(t, filepath.WalkDir(kept, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.Name() == "stdout.log" {
					data, err := os.ReadFile(path)
					said = append(said, string(data))
					return err
				}
				return err
			}))
			require.ElementsMatch(t, []string{"127.0.0.1\n", c.server.Home + "\n" + c.client.Home + "\nv=1\n"}, said)
		})
	}
	code, _, stderr := reprise(t, []string{"REPRISE_STORE=" + t.TempDir()}, "run", manifest, "--on", "ssh:host1", "--ssh-config", config)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "the experiments ask for nodes in roles (1 client, 1 server), and there are 0 of server")
	require.Contains(t, stderr, "hint: name hosts for all of them")
	code, _, stderr = reprise(t, []string{"REPRISE_STORE=" + t.TempDir()}, "export", manifest)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "nodes in roles (1 client, 1 server)")
}
