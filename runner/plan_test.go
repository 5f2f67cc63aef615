package runner

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/runner/store"
)

// TestProgramInKeys: the code of this program is part of the keys of what it
// measures, in so far as nothing else in the key tells it.
func TestProgramInKeys(t *testing.T) {
	m, findings := artifacts.Load("artifact.yaml", []byte(head+`
  E1:
    title: t
    profiles: {kick: {compute: 20s}}
    run: demo.measure
  E2:
    title: t
    profiles: {kick: {compute: 20s}}
    run:
      - {name: calls, sh: '"$REPRISE" cachesim'}
      - {name: braces, sh: 'x=${REPRISE}'}
      - {name: source, sh: 'cat "$REPRISE_SOURCE_X" ${REPRISE_DEVICE_Y} REPRISE'}
`))
	require.NoError(t, findings.Err())
	keys := func(o Options) map[string]string {
		o.Profile, o.Platform = "kick", "p"
		plan, err := NewPlan([]*artifacts.Manifest{m}, o)
		require.NoError(t, err)
		keys := map[string]string{}
		for _, s := range plan.Steps {
			keys[s.ID] = ""
			for _, p := range s.Parts {
				if p.Name == "program" {
					keys[s.ID] = p.Value
				}
			}
		}
		return keys
	}
	require.Equal(t, map[string]string{"demo/E1": "", "demo/E2/calls": "v1", "demo/E2/braces": "v1", "demo/E2/source": ""}, keys(Options{Program: "v1"}))
	require.Equal(t, map[string]string{"demo/E1": "x", "demo/E2/calls": "x", "demo/E2/braces": "x", "demo/E2/source": ""}, keys(Options{Program: "x", Unsettled: true}))
}

func TestTracesAreReadOnlyIfNeeded(t *testing.T) {
	load := func(run string) *artifacts.Manifest {
		m, findings := artifacts.Load("artifact.yaml", []byte(head+"\n  E1:\n    title: t\n    profiles: {kick: {compute: 20s}}\n    run: "+run+"\n"))
		require.NoError(t, findings.Err())
		return m
	}
	missing := Options{Profile: "kick", TracesKey: func() (string, error) { return "", errors.New("no such folder") }}
	_, err := NewPlan([]*artifacts.Manifest{load("demo.measure")}, missing)
	require.NoError(t, err)
	_, err = NewPlan([]*artifacts.Manifest{load("demo.traces")}, missing)
	require.ErrorContains(t, err, "no such folder")
	plan, err := NewPlan([]*artifacts.Manifest{load("demo.traces")}, Options{Profile: "kick", TracesKey: func() (string, error) { return "digest", nil }})
	require.NoError(t, err)
	require.Contains(t, plan.Steps[0].Parts, store.Part{Name: "traces", Value: "digest"})
}
