package runner

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/event"
	"reprise/runner/node"
)

const inRoles = `reprise: 1
artifact: demo
title: t
platforms:
  lab: {provider: ssh, hosts: [a, b, c], nodes: {server: 1, client: 2}}
experiments:
  E1:
    title: t
    profiles: {kick: {compute: 20s, platform: lab}}
    run:
      - {name: serve, role: server, sh: "echo up >up; env | grep ^REPRISE_N | sort", outputs: [up]}
      - name: load
        role: client
        sh: "cat up; echo mine >got; echo v=$REPRISE_ROLE_INDEX of $REPRISE_ROLE"
        outputs: [got]
        extract: [{metric: v, regex: {line: "v=(?P<value>[0-9]+)"}}]
      - {name: gather, sh: "cat up client0/got client1/got; ls"}
`

// TestStepsRunInTheirRoles: each step runs on the nodes of its role and on no
// other, knows all addresses, and finds what the nodes before it have left.
func TestStepsRunInTheirRoles(t *testing.T) {
	b := newBench(t)
	one, two, three := newScripted("one", nil), newScripted("two", func(run int) error {
		if run == 1 {
			return errCable
		}
		return nil
	}), newScripted("three", nil)
	b.engine.Nodes = []node.Node{one, two, three}
	b.engine.Attempts, b.engine.Backoff = 3, time.Millisecond
	seats := []Seat{{one, "10.0.0.1"}, {two, "10.0.0.2"}, {three, "10.0.0.3"}}
	var err error
	b.engine.Roles, err = SeatNodes(map[string]int{"server": 1, "client": 2}, seats, nil)
	require.NoError(t, err)
	require.Equal(t, map[string][]Seat{"client": seats[:2], "server": seats[2:]}, b.engine.Roles)
	sum := b.run(t.Context(), inRoles, nil)

	on := map[string][]string{}
	logs := map[string]string{}
	labels := map[string]string{}
	for _, e := range b.events {
		switch v := e.Payload.(type) {
		case event.StepStarted:
			on[v.Step] = append(on[v.Step], v.Node)
		case event.StepFinished:
			require.Equal(t, event.Done, v.Status, "%+v", v)
			out, err := os.ReadFile(filepath.Join(sum.Dir, v.Log, "stdout.log"))
			if err != nil {
				out, err = os.ReadFile(filepath.Join(v.Log, "stdout.log"))
			}
			require.NoError(t, err)
			logs[v.Step] = string(out)
		case event.Observed:
			labels[v.Step] = v.Observation.Labels["node"]
		}
	}
	require.Equal(t, []string{"three"}, on["demo/E1/serve"])
	require.Equal(t, []string{"one"}, on["demo/E1/load/client0"])
	require.Equal(t, []string{"two", "two"}, on["demo/E1/load/client1"], "it is tried again where it belongs")
	require.Equal(t, "REPRISE_NODES_CLIENT=10.0.0.1 10.0.0.2\nREPRISE_NODES_SERVER=10.0.0.3\n", logs["demo/E1/serve"])
	require.Equal(t, "up\nv=1 of client\n", logs["demo/E1/load/client1"])
	require.True(t, strings.HasPrefix(logs["demo/E1/gather"], "up\nmine\nmine\n"), logs["demo/E1/gather"])
	require.Equal(t, map[string]string{"demo/E1/load/client0": "client0", "demo/E1/load/client1": "client1"}, labels)

	// What is stored needs no nodes in roles any more; what is not says so.
	b.engine.Roles, b.engine.Nodes = nil, b.engine.Nodes[:1]
	require.Equal(t, 4, b.run(t.Context(), inRoles, nil).Steps["reused"])
	b.run(t.Context(), strings.Replace(inRoles, "echo up", "echo  up", 1), nil)
	end := b.finished("demo/E1/serve")
	require.Equal(t, event.ConfigurationFailure, end.Class)
	require.Equal(t, "demo/E1/serve: its platform has 2 nodes of the role client, and the run has 0", end.Error)
}

func TestSeatNodes(t *testing.T) {
	here := node.NewLocal()
	seats := []Seat{{here, "a"}, {here, "b"}, {here, "c"}}
	addresses := func(given map[string][]Seat) map[string]string {
		out := map[string]string{}
		for role, seats := range given {
			for _, s := range seats {
				out[role] += s.Address
			}
		}
		return out
	}
	for name, c := range map[string]struct {
		need  map[string]int
		roles []string
		want  map[string]string
		err   string
	}{
		"none":                {},
		"in order":            {need: map[string]int{"server": 1, "client": 1}, want: map[string]string{"client": "a", "server": "b"}},
		"named":               {need: map[string]int{"server": 1, "client": 1}, roles: []string{"server", "client", "client"}, want: map[string]string{"server": "a", "client": "bc"}},
		"too few":             {need: map[string]int{"server": 2, "client": 2}, err: "nodes in roles (2 client, 2 server), and there are 1 of server"},
		"a role nobody plays": {need: map[string]int{"server": 1}, roles: []string{"client", "client", "client"}, err: "there are 0 of server"},
	} {
		given, err := SeatNodes(c.need, slices.Clone(seats), c.roles)
		if c.err != "" {
			require.ErrorContains(t, err, c.err, name)
			continue
		}
		require.NoError(t, err, name)
		if c.want == nil {
			c.want = map[string]string{}
		}
		require.Equal(t, c.want, addresses(given), name)
	}
}
