//go:build linux

package remote

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/runner"
	"reprise/runner/event"
	"reprise/runner/node"
	"reprise/runner/node/nodetest"
	"reprise/runner/store"
)

// inNamespace runs the test in a network of its own, which ends with it. There
// it returns true; outside it runs the test there and returns false.
func inNamespace(t *testing.T) bool {
	t.Helper()
	const inside = "REPRISE_TEST_NAMESPACE"
	if os.Getenv(inside) != "" {
		ip(t, "link", "set", "lo", "up")
		return true
	}
	if out, err := exec.Command("unshare", "--net", "--pid", "--fork", "--mount-proc", "ip", "link").CombinedOutput(); err != nil {
		t.Skipf("needs the right to make network namespaces (root, util-linux, iproute2): %v %s", err, out)
	}
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.Command("unshare", "--net", self, "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "120s")
	c.Env = append(os.Environ(), inside+"=1")
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	if strings.Contains(string(out), "--- SKIP") {
		t.Skipf("%s", out)
	}
	return false
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	require.NoError(t, err, "ip %v: %s", args, out)
}

// machine is a host with processes and a network of its own at the end of a
// cable.
type machine struct {
	*nodetest.SSHD
	cable string
	n     int
	first []string // words before the server's command, once inside
}

func newMachine(t *testing.T, n int) *machine {
	t.Helper()
	m := &machine{SSHD: nodetest.PrepareSSHD(t, fmt.Sprintf("10.99.%d.2:2022", n)), cable: fmt.Sprint("cable", n), n: n}
	m.boot(t)
	return m
}

func (m *machine) boot(t *testing.T) {
	t.Helper()
	m.Start(t, append([]string{"unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"}, m.first...)...)
	pid := strconv.Itoa(m.PID())
	ours, err := os.Readlink("/proc/self/ns/net")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		its, err := os.Readlink("/proc/" + pid + "/ns/net")
		return err == nil && its != ours
	}, 5*time.Second, 5*time.Millisecond)
	there := func(args ...string) {
		out, err := exec.Command("nsenter", append([]string{"-t", pid, "-n", "ip"}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	ip(t, "link", "add", m.cable, "type", "veth", "peer", "name", "eth0", "netns", pid)
	ip(t, "addr", "add", fmt.Sprintf("10.99.%d.1/30", m.n), "dev", m.cable)
	there("addr", "add", fmt.Sprintf("10.99.%d.2/30", m.n), "dev", "eth0")
	there("link", "set", "lo", "up")
	there("link", "set", "eth0", "up")
	there("route", "add", "default", "via", fmt.Sprintf("10.99.%d.1", m.n))
	m.plug(t)
}

func (m *machine) plug(t *testing.T)   { t.Helper(); ip(t, "link", "set", m.cable, "up") }
func (m *machine) unplug(t *testing.T) { t.Helper(); ip(t, "link", "set", m.cable, "down") }

// halt kills everything on the machine at once.
func (m *machine) halt(t *testing.T) {
	t.Helper()
	m.Stop()
	require.Eventually(t, func() bool {
		return exec.Command("ip", "link", "show", m.cable).Run() != nil
	}, 10*time.Second, 10*time.Millisecond, "the cable goes with the machine")
}

func (m *machine) node(t *testing.T, patience time.Duration) *Node {
	t.Helper()
	way := reach(m.SSHD)
	way.Alive = 300 * time.Millisecond
	var n *Node
	var err error
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if n, err = OpenSSH(t.Context(), m.Target(), way); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v\n%s", err, m.Log())
		}
	}
	n.Grace, n.Patience = time.Second, patience
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// execute runs one experiment of several points on the nodes; watch sees the
// events.
func execute(t *testing.T, points int, sh string, watch func(event.Event), nodes ...node.Node) runner.Summary {
	t.Helper()
	sum, err := executeIn(t.Context(), t.TempDir(), points, sh, watch, nodes...)
	require.NoError(t, err)
	return sum
}

// executeIn is execute with a folder for the store.
func executeIn(ctx context.Context, dir string, points int, sh string, watch func(event.Event), nodes ...node.Node) (runner.Summary, error) {
	var values []string
	for i := range points {
		values = append(values, fmt.Sprint(i+1))
	}
	m, findings := artifacts.Load("artifact.yaml", fmt.Appendf(nil, `
reprise: 1
artifact: net
title: t
experiments:
  E1:
    title: t
    profiles: {kick: {compute: 90s}}
    matrix: {n: [%s]}
    run: [{name: a, sh: %q, extract: [{metric: v, regex: {line: "v=(?P<value>.*)"}}]}]
`, strings.Join(values, ", "), sh))
	if err := findings.Err(); err != nil {
		return runner.Summary{}, err
	}
	plan, err := runner.NewPlan([]*artifacts.Manifest{m}, runner.Options{Profile: "kick", Platform: nodes[0].Machine().Platform()})
	if err != nil {
		return runner.Summary{}, err
	}
	kept, err := store.Open(dir)
	if err != nil {
		return runner.Summary{}, err
	}
	e := &runner.Engine{Store: kept, Nodes: nodes, Version: "test", Now: time.Now, Attempts: 3, Backoff: 200 * time.Millisecond}
	return e.Execute(ctx, plan, func(runner.Summary) int { return 0 }, watch)
}

// record keeps what the tests ask of a run, and calls then once when a step
// has started on a node.
type record struct {
	mu       sync.Mutex
	values   []float64
	warnings []string
	done     map[string]string // step to the node that it ran on last
	on       string
	then     func()
}

func (r *record) see(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch v := e.Payload.(type) {
	case event.Observed:
		r.values = append(r.values, v.Value)
	case event.Warned:
		r.warnings = append(r.warnings, v.Message)
	case event.StepStarted:
		r.done[v.Step] = v.Node
		if v.Node == r.on && r.then != nil {
			go r.then()
			r.then = nil
		}
	}
}

// TestCableCut unplugs a host for some seconds in the middle of a step, once
// so briefly that the connection lives, once until it is given up.
func TestCableCut(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	away := []time.Duration{500 * time.Millisecond, 3 * time.Second}
	if os.Getenv("REPRISE_SLOW") != "" {
		away = append(away, 30*time.Second)
	}
	m := newMachine(t, 1)
	n := m.node(t, time.Minute)
	for _, away := range away {
		r := &record{done: map[string]string{}, on: n.Name(), then: func() {
			time.Sleep(300 * time.Millisecond)
			m.unplug(t)
			time.Sleep(away)
			m.plug(t)
		}}
		sum := execute(t, 1, `for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; echo $i; done; echo v=7`, r.see, n)
		require.Equal(t, 1, sum.Steps["done"], "%v", r.warnings)
		require.Equal(t, []float64{7}, r.values)
		if away > 2*time.Second {
			require.Contains(t, strings.Join(r.warnings, "\n"), "is back after")
		}
	}
}

// TestMachineHalts kills everything on one of two hosts in the middle of its
// steps; the other does them. Started again with its old key the host is used
// again; with another key it is refused.
func TestMachineHalts(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	one, two := newMachine(t, 1), newMachine(t, 2)
	first, second := one.node(t, 2*time.Second), two.node(t, 2*time.Second)
	const script = `sleep 0.4; echo v=${n}`

	r := &record{done: map[string]string{}, on: first.Name(), then: func() {
		time.Sleep(200 * time.Millisecond)
		one.halt(t)
	}}
	sum := execute(t, 12, script, r.see, first, second)
	require.Equal(t, 12, sum.Steps["done"], "%v", r.warnings)
	require.ElementsMatch(t, []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, r.values)
	require.Contains(t, strings.Join(r.warnings, "\n"), "will be tried again: "+first.Name()+" could not be reached")
	for _, on := range r.done {
		require.Equal(t, second.Name(), on, "nothing ended on the host that halted")
	}

	one.boot(t)
	r = &record{done: map[string]string{}}
	sum = execute(t, 8, script, r.see, first, second)
	require.Equal(t, 8, sum.Steps["done"], "%v", r.warnings)
	require.Contains(t, values(r.done), first.Name(), "the host is used again")

	one.halt(t)
	one.NewHostKey(t)
	one.boot(t)
	r = &record{done: map[string]string{}}
	sum = execute(t, 4, script, r.see, first, second)
	require.Equal(t, 4, sum.Steps["done"])
	require.NotContains(t, values(r.done), first.Name())
	require.Contains(t, strings.Join(r.warnings, "\n"), "has changed")
}

func values(m map[string]string) (all []string) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// TestNodesInRolesReachEachOther has a client on one machine talk to a server on
// another, by the address that it is told.
func TestNodesInRolesReachEachOther(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	require.NoError(t, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644))
	client, server := newMachine(t, 1), newMachine(t, 2)
	m, findings := artifacts.Load("artifact.yaml", []byte(`
reprise: 1
artifact: net
title: t
platforms:
  lab: {provider: ssh, hosts: [a, b], nodes: {client: 1, server: 1}}
experiments:
  E1:
    title: t
    profiles: {kick: {compute: 60s, platform: lab}}
    run:
      - {name: address, role: server, sh: "ip -4 -o addr show dev eth0 >here", outputs: [here]}
      - name: talk
        role: client
        sh: |
          grep -qF " $REPRISE_NODES_SERVER/" here
          bash -c 'exec 3<>"/dev/tcp/$REPRISE_NODES_SERVER/2022"; head -c 4 <&3' >said
          [ "$(cat said)" = SSH- ]
          echo v=1
        extract: [{metric: v, regex: {line: "v=(?P<value>.*)"}}]
`))
	require.NoError(t, findings.Err())
	nodes := []*Node{client.node(t, time.Minute), server.node(t, time.Minute)}
	plan, err := runner.NewPlan([]*artifacts.Manifest{m}, runner.Options{Profile: "kick", Platform: nodes[0].Machine().Platform()})
	require.NoError(t, err)
	kept, err := store.Open(t.TempDir())
	require.NoError(t, err)
	roles, err := runner.SeatNodes(plan.RolesNeeded(), []runner.Seat{{Node: nodes[0], Address: nodes[0].Address()}, {Node: nodes[1], Address: nodes[1].Address()}}, nil)
	require.NoError(t, err)
	e := &runner.Engine{Store: kept, Nodes: []node.Node{nodes[0], nodes[1]}, Roles: roles, Version: "test", Now: time.Now}
	on := map[string]string{}
	sum, err := e.Execute(t.Context(), plan, func(runner.Summary) int { return 0 }, func(e event.Event) {
		if v, is := e.Payload.(event.StepStarted); is {
			on[v.Step] = v.Node
		}
	})
	require.NoError(t, err)
	require.Equal(t, map[string]int{"done": 2}, sum.Steps)
	require.Equal(t, map[string]string{"net/E1/address": nodes[1].Name(), "net/E1/talk": nodes[0].Name()}, on)
}
