package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/runner/device"
	"reprise/runner/event"
	"reprise/runner/node"
)

// withDisks is this machine with other disks.
type withDisks struct {
	*node.Local
	disks []device.Device
	err   error
}

func (n withDisks) Devices(context.Context) ([]device.Device, error) { return n.disks, n.err }

const overwrites = `reprise: 1
artifact: demo
title: t
platforms:
  disks: {provider: local, devices: {pair: {model: "SAMSUNG*", count: 2}}}
experiments:
  E1:
    title: t
    exclusive: true
    profiles: {kick: {compute: 10s, platform: disks}}
    run: [{name: a, sh: "echo $REPRISE_DEVICE_PAIR"}]
`

func TestStepsGetTheDevicesTheyAskFor(t *testing.T) {
	b := newBench(t)
	n := withDisks{Local: node.NewLocal(), disks: []device.Device{
		{Path: "/dev/nvme0n1", Model: "SAMSUNG MZWLJ7T6HALA", Kind: "nvme", Bytes: 7681501126656},
		{Path: "/dev/nvme1n1", Model: "SAMSUNG MZWLJ7T6HALA", Kind: "nvme", Bytes: 7681501126656},
	}}
	b.engine.Nodes = []node.Node{n}
	b.run(t.Context(), overwrites, nil)
	require.Equal(t, event.Done, b.finished("demo/E1/a").Status)
	var said []string
	for _, e := range b.events {
		if w, is := e.Payload.(event.Warned); is {
			said = append(said, w.Message)
		}
	}
	require.Equal(t, []string{"may overwrite pair: /dev/nvme0n1 (SAMSUNG MZWLJ7T6HALA, nvme, 7.68 TB), /dev/nvme1n1 (SAMSUNG MZWLJ7T6HALA, nvme, 7.68 TB)"}, said)

	// One of them is mounted: nothing is run.
	b = newBench(t)
	n.disks[1].InUse = "/dev/nvme1n1p2 is mounted at /data"
	b.engine.Nodes = []node.Node{n}
	b.run(t.Context(), overwrites, nil)
	end := b.finished("demo/E1/a")
	require.Equal(t, event.Failed, end.Status)
	require.Equal(t, event.ConfigurationFailure, end.Class)
	require.Contains(t, end.Error, "2 × SAMSUNG* are asked for, and the machine has 1 that are free; /dev/nvme1n1 (SAMSUNG MZWLJ7T6HALA, nvme, 7.68 TB) fits but is in use: /dev/nvme1n1p2 is mounted at /data")

	b = newBench(t)
	n.err = errors.New("no answer")
	b.engine.Nodes = []node.Node{n}
	b.run(t.Context(), overwrites, nil)
	require.Equal(t, event.InfrastructureFailure, b.finished("demo/E1/a").Class)
}

// A drive that no step of the run has preconditioned is measured with a warning,
// which the claim carries.
func TestUnpreconditionedDevicesAreToldOf(t *testing.T) {
	manifest := func(preconditions string) string {
		return `reprise: 1
artifact: demo
title: t
platforms:
  disks: {provider: local, devices: {pair: {kind: nvme, count: 2}, log: {kind: hdd}}}
experiments:
  E1:
    title: t
    exclusive: true
    profiles: {kick: {compute: 10s, platform: disks}}
    matrix: {n: [1, 2]}
    run:
      - {name: fill, sh: "echo filling $REPRISE_DEVICE_PAIR"` + preconditions + `}
      - {name: measure, sh: "echo v=${n} on $REPRISE_DEVICE_PAIR", extract: [{metric: v, regex: {line: "v=(?P<value>[0-9]+)"}}]}
claims:
  C1: {statement: s, source: {where: w, kind: text}, experiment: E1, checks: [{value: {metric: v, aggregate: mean, expect: {between: [0, 9]}}}]}
`
	}
	b := newBench(t)
	b.engine.Nodes = []node.Node{withDisks{Local: node.NewLocal(), disks: []device.Device{
		{Path: "/dev/nvme0n1", Kind: "nvme", Bytes: 1e12}, {Path: "/dev/nvme1n1", Kind: "nvme", Bytes: 1e12}, {Path: "/dev/sdb", Kind: "hdd", Bytes: 1e12},
	}}}
	warnings := func(manifest string) []string {
		return b.run(t.Context(), manifest, nil).Verdicts["demo"][0].Results[0].Warnings
	}
	const told = "device pair (/dev/nvme0n1, /dev/nvme1n1) was not preconditioned in this run: a drive that is not in its steady state is faster (in 2 of 4 steps)"
	require.Contains(t, warnings(manifest("")), told)
	require.Contains(t, warnings(manifest("")), told, "reused results keep it")
	require.NotContains(t, fmt.Sprint(warnings(manifest(", preconditions: [pair]"))), "preconditioned")

	// Filling in an earlier run is no evidence for a measurement of this one.
	b.run(t.Context(), manifest(", preconditions: [pair]"), nil)
	again := strings.Replace(manifest(", preconditions: [pair]"), "echo v=", "true; echo v=", 1)
	require.Contains(t, warnings(again), told)
}
