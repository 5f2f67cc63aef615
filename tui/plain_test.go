package tui

import (
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/exp/golden"
	"github.com/stretchr/testify/require"

	"reprise/runner/event"
)

func TestPlain(t *testing.T) {
	for _, name := range streams {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			p := NewPlain(&b, PlainOptions{})
			for _, e := range stream(t, name) {
				p.Show(e)
			}
			require.NotContains(t, b.String(), "\x1b")
			golden.RequireEqual(t, []byte(b.String()))
		})
	}
}

func TestPlainFoldsLogsForGitHub(t *testing.T) {
	var b strings.Builder
	p := NewPlain(&b, PlainOptions{Groups: true})
	for _, e := range stream(t, "failures") {
		p.Show(e)
	}
	require.Contains(t, b.String(), "::group::standard error of failures/E1/build\n")
	require.Equal(t, strings.Count(b.String(), "::group::"), strings.Count(b.String(), "::endgroup::"))
}

func TestPlainBeatsForSilentSteps(t *testing.T) {
	var b strings.Builder
	p := NewPlain(&b, PlainOptions{})
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	p.Show(event.Event{Time: at(0), Run: "r", Payload: event.RunStarted{Steps: 2}})
	p.Show(event.Event{Time: at(0), Payload: event.StepStarted{Step: "a/E1", Node: "local", Reason: "first run"}})
	for s := range 35 {
		p.Beat(at(s))
	}
	require.Equal(t, 3, strings.Count(b.String(), "a/E1 running for"), b.String())
	require.Contains(t, b.String(), "   30.0s … a/E1 running for 30 s\n")
	p.Show(event.Event{Time: at(36), Payload: event.StepProgress{Step: "a/E1", Done: 1, Total: 2}})
	require.NotContains(t, b.String(), "50 %", "a line was printed just before")
	p.Beat(at(45))
	require.Contains(t, b.String(), "a/E1 50 %, about 45 s left\n")
	p.Show(event.Event{Time: at(46), Payload: event.StepFinished{Step: "a/E1", Status: event.Done}})
	before := b.Len()
	p.Beat(at(99))
	require.Equal(t, before, b.Len(), "nothing runs")
}

// TestPlainSaysQueued of what waits in a node's queue, until it begins.
func TestPlainSaysQueued(t *testing.T) {
	var b strings.Builder
	p := NewPlain(&b, PlainOptions{})
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	p.Show(event.Event{Time: at(0), Run: "r", Payload: event.RunStarted{Steps: 2}})
	for _, id := range []string{"a/E1", "a/E2"} {
		p.Show(event.Event{Time: at(0), Payload: event.StepStarted{Step: id, Node: "slurm", Reason: "first run", Queued: true}})
		p.Show(event.Event{Time: at(1), Payload: event.StepQueued{Step: id, Reason: "Resources: the machines it needs are busy"}})
	}
	for s := range 65 {
		p.Beat(at(s))
	}
	require.NotContains(t, b.String(), "running for")
	require.Contains(t, b.String(), "a/E1 queued on slurm: first run\n")
	require.Contains(t, b.String(), "a/E1 queued (Resources: the machines it needs are busy)\n")
	require.NotContains(t, b.String(), "a/E2 queued (", "the same reason is said once")
	require.Contains(t, b.String(), "[0/2] 0 running; 2 queued (Resources: the machines it needs are busy)\n")
	p.Show(event.Event{Time: at(70), Payload: event.StepQueued{Step: "a/E1", Begun: true}})
	require.Contains(t, b.String(), "a/E1 started on slurm\n")
	p.Beat(at(90))
	require.Contains(t, b.String(), "a/E1 running for 20 s\n")
	p.Show(event.Event{Time: at(91), Payload: event.StepFinished{Step: "a/E2", Status: event.Cancelled}})
	require.Zero(t, p.run.Queued())
}

func TestPlainFoldsReusedSteps(t *testing.T) {
	var b strings.Builder
	p := NewPlain(&b, PlainOptions{})
	p.Show(event.Event{Time: noon, Run: "r", Payload: event.RunStarted{Steps: 101}})
	for range 2 {
		for i := range 50 {
			p.Show(event.Event{Time: noon, Payload: event.StepReused{Step: "a/E1/n=" + strings.Repeat("1", i+1), From: "x"}})
		}
	}
	p.Show(event.Event{Time: noon, Payload: event.StepReused{Step: "a/E2", From: "x"}})
	p.Show(event.Event{Time: noon, Payload: event.RunFinished{Outcome: "finished"}})
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	require.Len(t, lines, 1+reusedShown+1+1+1, b.String())
	require.Contains(t, lines[1+reusedShown], "and 95 more steps of a/E1 reused")
}

// TestPlainTellsOfTheRun once a minute: the time left, the nodes, the leases.
func TestPlainTellsOfTheRun(t *testing.T) {
	var b strings.Builder
	p := NewPlain(&b, PlainOptions{})
	for _, e := range busyNodes() {
		p.Show(e)
	}
	require.Contains(t, b.String(), "lease reprise-demo at CHI@UC, 2 nodes: 10:00 left, 2.00 SU so far")
	require.Contains(t, b.String(), "held: demo/E0 has ended")
	for s := range 65 {
		p.Beat(noon.Add(time.Duration(s) * time.Second))
	}
	require.Contains(t, b.String(), "[0/2] 1 running; node0: processor 97 %, memory 40.0 of 128.0 GiB, load 40.0; lease 9:00 left, 2.03 SU so far\n")
}
