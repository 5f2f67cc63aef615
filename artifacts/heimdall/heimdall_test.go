package heimdall

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/policies/admission"
)

// perform runs an experiment and gives its observations.
func perform(t *testing.T, name string, params map[string]any) ([]checks.Observation, error) {
	t.Helper()
	b, ok := artifacts.LookupBuiltin(name)
	require.True(t, ok, name)
	resolved, err := b.Resolve(params)
	require.NoError(t, err)
	var seen []checks.Observation
	err = b.Run(context.Background(), &artifacts.Env{
		Params: resolved, Dir: t.TempDir(),
		Observe:  func(o checks.Observation) error { seen = append(seen, o); return nil },
		Progress: func(float64, float64, string) {},
	})
	return seen, err
}

func values(seen []checks.Observation, metric, label string) map[string]float64 {
	found := map[string]float64{}
	for _, o := range seen {
		if o.Metric == metric {
			found[o.Labels[label]] = o.Value
		}
	}
	return found
}

func TestExperimentsObserve(t *testing.T) {
	for _, c := range []struct {
		name, metric, label string
		params              map[string]any
		values              int
	}{
		{"heimdall.ladder", "balanced_accuracy", "rung", map[string]any{"ios": 12_000}, len(rungs)},
		{"heimdall.joint", "group_accuracy", "group", map[string]any{"ios": 12_000, "groups": []any{1, 3}}, 2},
		{"heimdall.replay", "read_latency_mean", "policy", map[string]any{"ios": 12_000, "pair": "D", "policies": []any{"baseline", "heimdall", "oracle"}}, 3},
		{"heimdall.drift", "accuracy_mean", "policy", map[string]any{"minutes": 7, "ios": 4000}, len(retrainings)},
		{"heimdall.published", "read_latency_mean", "policy", nil, 5},
	} {
		seen, err := perform(t, c.name, c.params)
		require.NoError(t, err, c.name)
		got := values(seen, c.metric, c.label)
		require.Len(t, got, c.values, c.name)
		for at, v := range got {
			require.Greater(t, v, 0.0, "%s %s", c.name, at)
		}
		again, err := perform(t, c.name, c.params)
		require.NoError(t, err)
		require.Equal(t, got, values(again, c.metric, c.label), "%s is the same each time", c.name)
	}
}

func TestPublishedArithmetic(t *testing.T) {
	seen, err := perform(t, "heimdall.published", nil)
	require.NoError(t, err)
	require.Equal(t, map[string]float64{"heimdall": 3617, "linnos": 8706}, values(seen, "parameters", "model"))
	require.Equal(t, map[string]float64{"heimdall": 3472, "linnos": 8448}, values(seen, "weights", "model"))
	for rung, residue := range values(seen, "ladder_residue", "rung") {
		require.InDelta(t, 0, residue, 1e-9, rung)
	}
}

func TestRecordedLogs(t *testing.T) {
	seen, err := perform(t, "heimdall.models", map[string]any{"pair": "recorded"})
	require.NoError(t, err)
	require.Empty(t, seen, "without a folder nothing is observed, and no claim is decided")
	_, err = perform(t, "heimdall.models", map[string]any{"pair": "recorded", "folder": filepath.Join(t.TempDir(), "nowhere")})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = perform(t, "heimdall.models", map[string]any{"pair": "recorded", "folder": t.TempDir()})
	require.ErrorContains(t, err, "no file there ends in .trace")
	_, err = perform(t, "heimdall.replay", map[string]any{"pair": "Z"})
	require.ErrorContains(t, err, "want one of A, B, C, D, E, F")
}

// LinnOS's labels are its own: what is above a latency, so that no read that they
// call slow is faster than one that they call fast.
func TestLabelled(t *testing.T) {
	l := &admission.Log{}
	for i := range 4000 {
		latency := int64(100 + i%7)
		switch {
		case i%40 >= 30: // a slow period, in which some reads are fast
			latency = int64(400 + 600*(i%2))
		case i%97 == 0: // a lone slow read begins none
			latency = 700
		}
		l.Append(int64(i)*1_000_000, latency, 4096, true)
	}
	var seen []checks.Observation
	o := &observer{env: &artifacts.Env{Observe: func(x checks.Observation) error { seen = append(seen, x); return nil }}}
	o.labelled(recipe("linnos"), namedLog{"made", l})
	require.NoError(t, o.err)
	cutoff := l.LabelCutoff(l.Slice(0, l.Len()/2).Thresholds())
	require.InDelta(t, float64(cutoff.Count())/float64(l.Len()), values(seen, "read_share", "labelled")["slow"], 1e-9)
	seen = nil
	o.labelled(recipe("heimdall"), namedLog{"made", l})
	require.NotEqual(t, float64(cutoff.Count())/float64(l.Len()), values(seen, "read_share", "labelled")["slow"], "periods are not the same")
}

func TestWhatIf(t *testing.T) {
	baseline := func(params map[string]any) float64 {
		params["ios"], params["policies"] = 8000, []any{"baseline"}
		seen, err := perform(t, "heimdall.replay", params)
		require.NoError(t, err)
		return values(seen, "read_latency_mean", "policy")["baseline"]
	}
	asIs := baseline(map[string]any{})
	require.Greater(t, baseline(map[string]any{"load": 3.0}), asIs)
	require.Less(t, baseline(map[string]any{"device": "{suspend_lat: 20000}"}), asIs/2, "reads that do not wait for erases")
	_, err := perform(t, "heimdall.replay", map[string]any{"load": -1.0})
	require.ErrorContains(t, err, "want a factor above 0")
	_, err = perform(t, "heimdall.replay", map[string]any{"device": "{suspend: 1}"})
	require.ErrorContains(t, err, "there is no property suspend")
}

func TestManifest(t *testing.T) {
	m, findings, err := artifacts.EmbeddedManifest("heimdall")
	require.NoError(t, err)
	require.NoError(t, findings.Err())
	require.Empty(t, findings)
	require.Len(t, m.Claims, 24)
}
