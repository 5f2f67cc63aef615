package jobprofile

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/policies/profiling"
)

func TestRecordedSetIsWhatItsReadmeSays(t *testing.T) {
	series, err := Recorded()
	require.NoError(t, err)
	runs, configs, samples := map[string]string{}, map[string]map[string]bool{}, 0
	for _, s := range series {
		samples += len(s.Samples)
		if s.Labels["phase"] != "run" {
			continue
		}
		require.Empty(t, runs[s.Labels["run"]], "%s was recorded twice", s.Labels["run"])
		runs[s.Labels["run"]] = s.Labels["config"]
		if s.Labels["load"] == "stall" {
			require.InDelta(t, 8, s.Duration(), 0.5)
			continue
		}
		require.InDelta(t, 4, s.Duration(), 0.5)
		pair := s.Labels["family"] + " " + s.Labels["mode"]
		if configs[pair] == nil {
			configs[pair] = map[string]bool{}
		}
		configs[pair][s.Labels["config"]] = true
	}
	require.Equal(t, 5667+1054, samples)
	require.Len(t, runs, 125)
	require.Len(t, working(series), 120)
	require.Len(t, configs, 23)
	for pair, c := range configs {
		if pair == "idle idle" {
			require.Len(t, c, 3)
		} else {
			require.Len(t, c, 4, pair)
		}
	}
}

// TestNoLeak looks at the splits as the experiments use them: no configuration
// or run is on both sides of one that claims to hold it out.
func TestNoLeak(t *testing.T) {
	series, err := Recorded()
	require.NoError(t, err)
	examples := profiling.Cut(working(series), 1, 0.5)
	for split, of := range map[string]func(*profiling.Example) string{
		"configuration": func(e *profiling.Example) string { return e.Config },
		"run":           func(e *profiling.Example) string { return e.Run },
	} {
		all, err := folds(split, examples, 1)
		require.NoError(t, err)
		for _, f := range all {
			require.NotEmpty(t, f.Test)
			trained := map[string]bool{}
			for _, i := range f.Train {
				trained[of(&examples[i])] = true
			}
			for _, i := range f.Test {
				require.False(t, trained[of(&examples[i])], "%s of %s trains and tests", split, examples[i].Run)
			}
		}
	}
}

func TestExperimentsObserve(t *testing.T) {
	for name, c := range map[string]struct {
		params map[string]any
		metric string
		least  int
	}{
		"jobprofile.classify": {map[string]any{"models": []any{"centroid"}, "features": []any{"statistics"}}, "accuracy", 1},
		"jobprofile.period":   {nil, "period_error", 15},
		"jobprofile.changes":  {nil, "change_found", 150},
	} {
		b, ok := artifacts.LookupBuiltin(name)
		require.True(t, ok)
		perform := func(params map[string]any) (n int) {
			resolved, err := b.Resolve(params)
			require.NoError(t, err)
			require.NoError(t, b.Run(context.Background(), &artifacts.Env{Params: resolved, Dir: t.TempDir(), Progress: func(float64, float64, string) {},
				Observe: func(o checks.Observation) error {
					require.Contains(t, []string{"recorded", "imported", "synthetic"}, o.Labels["data"])
					if o.Metric == c.metric {
						n++
					}
					return nil
				}}))
			return n
		}
		require.GreaterOrEqual(t, perform(c.params), c.least, name)
		require.Zero(t, perform(map[string]any{"data": "file"}), "%s without a file", name)
	}
}
