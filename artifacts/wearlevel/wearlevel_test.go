package wearlevel

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/checks"
)

// observe runs a built-in with defaults filled in and returns its observations.
func observe(t *testing.T, name string, params map[string]any) map[string]float64 {
	t.Helper()
	b, ok := artifacts.LookupBuiltin(name)
	require.True(t, ok)
	all := map[string]any{}
	for _, p := range b.Params {
		all[p.Name] = p.Default
	}
	for k, v := range params {
		all[k] = v
	}
	got := map[string]float64{}
	require.NoError(t, b.Run(context.Background(), &artifacts.Env{
		Params: all, Dir: t.TempDir(), Progress: func(float64, float64, string) {},
		Observe: func(o checks.Observation) error { got[o.Metric] = o.Value; return nil },
	}))
	return got
}

// The streams are made here as the oracle's were, and the answers are FEMU's.
func TestEqualFEMU(t *testing.T) {
	for key := range oracle {
		require.Zero(t, observe(t, "wearlevel.femu", map[string]any{"workload": key[0], "gc": key[1]})["differences"], "%v", key)
	}
}

func TestExperiments(t *testing.T) {
	got := observe(t, "wearlevel.theory", map[string]any{"gc": "greedy", "spare": 0.25, "blocks": 512})
	require.InDelta(t, 1, got["wa_over_theory"], 0.02)
	got = observe(t, "wearlevel.thresholds", map[string]any{"threshold": 90, "pages_per_block": 4})
	require.InEpsilon(t, 3.224, got["waf"], 0.03)
	got = observe(t, "wearlevel.lifetime", map[string]any{"policy": "packed", "footprint": 0.05, "blocks": 200, "endurance": 120})
	require.Greater(t, got["tbw"], 50.0)
	require.NotZero(t, got["bad_blocks"])
	got = observe(t, "wearlevel.aging", map[string]any{"gc": "random", "blocks": 600, "volumes": 40})
	require.Less(t, got["mean_error"], 0.02)
	require.Less(t, got["sd_error"], 0.15)
	got = observe(t, "wearlevel.scale", map[string]any{"gib": 1, "programs": 100_000})
	require.Less(t, got["bytes_per_page"], 10.0)
}
