package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/checks"
	"reprise/runner/node"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func collect(t *testing.T, log string) ([]Event, error) {
	t.Helper()
	var events []Event
	for e, err := range Read(bytes.NewBufferString(log)) {
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
	return events, nil
}

func TestEveryKindSurvivesTheLog(t *testing.T) {
	payloads := []Payload{
		RunStarted{Version: "1", Profile: "kick", Artifacts: []string{"codesign"}, Steps: 2},
		Planned{Experiments: []PlannedExperiment{{Artifact: "codesign", Experiment: "E1", Steps: []string{"a"}, Claims: []PlannedClaim{{Claim: "C1"}}}}},
		Node{Name: "slurm:n1", Machine: node.Machine{OS: "linux", Cores: 2, NUMA: []node.NUMANode{{CPUs: "0-1", Memory: 1 << 30}}}},
		StepReused{Step: "a", From: "r", Observations: 3},
		StepStarted{Step: "a", Reason: "first run"},
		StepQueued{Step: "a", Reason: "Priority"},
		StepProgress{Step: "a", Done: 1, Total: 2, Doing: "lru"},
		Observed{Step: "a", Observation: checks.Observation{Metric: "m", Value: 0.5, Unit: "1", Labels: map[string]string{"x": "y"}}},
		StepFinished{Step: "a", Status: Failed, Class: ExperimentFailure, Error: "exit status 1", Tail: []string{"boom"}},
		Warned{Message: "w"},
		Held{On: true, Why: "asked for"},
		NodeLoad{Node: "local", CPU: 0.5, MemoryUsed: 1 << 30, MemoryTotal: 4 << 30, Load1: 1.5},
		Leased{Name: "l", Site: "CHI@UC", Nodes: 2, Starts: noon, Ends: noon.Add(time.Hour), PerHour: 1, Unit: "SU"},
		Judged{Artifact: "codesign", Verdict: checks.Verdict{Claim: "C1", Outcome: checks.Reproduced}},
		RunFinished{Outcome: "finished", Claims: map[string]int{"reproduced": 1}, Steps: map[string]int{"done": 1}},
	}
	require.Len(t, payloads, len(decoders), "a kind is missing here")
	var file bytes.Buffer
	var seen []Event
	log := NewLog("r1", &file, func() time.Time { return noon }, func(e Event) { seen = append(seen, e) })
	for _, p := range payloads {
		log.Emit(p)
	}
	require.NoError(t, log.Err())
	got, err := collect(t, file.String())
	require.NoError(t, err)
	require.Equal(t, seen, got)
	require.Contains(t, file.String(), `{"seq":10,"time":"2026-01-02T12:00:00Z","run":"r1","event":"warning","message":"w"}`+"\n")
	require.Contains(t, file.String(), `{"seq":11,"time":"2026-01-02T12:00:00Z","run":"r1","event":"held","on":true,"why":"asked for"}`+"\n")
}

func TestVerdictEventHasItsKeys(t *testing.T) {
	line, err := json.Marshal(Event{1, noon, "r", Judged{Artifact: "a", Verdict: checks.Verdict{Claim: "C1", Outcome: checks.Partial}}})
	require.NoError(t, err)
	var keys map[string]any
	require.NoError(t, json.Unmarshal(line, &keys))
	require.Equal(t, "C1", keys["claim"])
	require.Equal(t, "partial", keys["verdict"])
	require.Equal(t, "verdict", keys["event"])
}

func TestReadCutShort(t *testing.T) {
	const whole = `{"seq":1,"run":"r","event":"warning","message":"a"}` + "\n"
	got, err := collect(t, whole+`{"seq":2,"run":"r","ev`)
	require.NoError(t, err, "a killed process leaves half a line")
	require.Len(t, got, 1)

	// So does a machine that lost power while the file was being extended.
	got, err = collect(t, whole+"\x00\x00\x00\x00")
	require.NoError(t, err)
	require.Len(t, got, 1)

	got, err = collect(t, whole+"garbage\n"+whole)
	require.Len(t, got, 1)
	var damage *DamageError
	require.ErrorAs(t, err, &damage)
	require.Equal(t, 2, damage.Line)
	require.ErrorContains(t, err, "line 2")
	require.Contains(t, damage.Hint(), "reprise resume")
}

func TestTimesNeverGoBack(t *testing.T) {
	clock := noon
	var file bytes.Buffer
	log := NewLog("r", &file, func() time.Time { return clock })
	for _, at := range []time.Duration{0, time.Minute, -time.Hour, -time.Hour + time.Minute, -time.Hour + time.Minute - 10*time.Millisecond, 0} {
		clock = noon.Add(at)
		log.Emit(Held{})
	}
	got, err := collect(t, file.String())
	require.NoError(t, err)
	var at []time.Duration
	var said []string
	for i, e := range got {
		require.Equal(t, i+1, e.Seq)
		at = append(at, e.Time.Sub(noon))
		if w, is := e.Payload.(Warned); is {
			said = append(said, w.Message)
		}
	}
	require.Equal(t, []string{"the clock was set back by 1h1m0s; the times of this log go on from where they were"}, said)
	require.IsNonDecreasing(t, at)
	require.Equal(t, 2*time.Minute, at[4], "a minute passed since it was set back")
}

func TestUnknownKindIsKept(t *testing.T) {
	const later = `{"seq":7,"time":"2026-01-02T12:00:00Z","run":"r","event":"lease_extended","hours":2}`
	got, err := collect(t, later+"\n")
	require.NoError(t, err)
	require.Equal(t, "lease_extended", got[0].Payload.Kind())
	again, err := json.Marshal(got[0])
	require.NoError(t, err)
	require.JSONEq(t, later, string(again))
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestWriteErrorIsReported(t *testing.T) {
	shown := 0
	log := NewLog("r", full{}, time.Now, func(Event) { shown++ })
	log.Emit(Warned{Message: "a"})
	require.ErrorContains(t, log.Err(), "no space left")
	require.Equal(t, 1, shown, "viewers still see what happens")
}

// TestTextsAreHidden goes through all kinds: what a program or an error says is
// given to Hide before anybody sees it, and what it was given stays as it was.
func TestTextsAreHidden(t *testing.T) {
	const secret = "hunter2 hunter2"
	tail := []string{"a", secret}
	var file bytes.Buffer
	var seen []Event
	log := NewLog("r", &file, time.Now, func(e Event) { seen = append(seen, e) })
	log.Hide = func(text string) string { return strings.ReplaceAll(text, secret, "…") }
	for _, p := range []Payload{
		RunStarted{Command: secret, Args: []string{secret}},
		StepStarted{Reason: "did not succeed: " + secret},
		StepQueued{Reason: secret},
		StepProgress{Doing: secret},
		StepFinished{Error: secret, Tail: tail},
		Warned{Message: secret},
		Held{Why: secret},
		Judged{Verdict: checks.Verdict{Reason: secret}},
	} {
		log.Emit(p)
	}
	require.NotContains(t, file.String(), secret)
	require.Equal(t, 10, strings.Count(file.String(), "…"))
	for _, e := range seen {
		line, err := json.Marshal(e)
		require.NoError(t, err)
		require.NotContains(t, string(line), secret)
	}
	require.Equal(t, secret, tail[1])
}
