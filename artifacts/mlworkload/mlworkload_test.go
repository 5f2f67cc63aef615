package mlworkload

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/policies/mlworkload"
)

// run runs a built-in experiment with its defaults but for the given
// parameters, in a folder.
func run(t *testing.T, dir, name string, params map[string]any) ([]checks.Observation, error) {
	t.Helper()
	b, ok := artifacts.LookupBuiltin(name)
	require.True(t, ok, name)
	all, err := b.Resolve(params)
	require.NoError(t, err)
	var observed []checks.Observation
	err = b.Run(t.Context(), &artifacts.Env{Params: all, Dir: dir, Traces: os.Getenv("REPRISE_TRACES"),
		Observe:  func(o checks.Observation) error { observed = append(observed, o); return nil },
		Progress: func(float64, float64, string) {}})
	return observed, err
}

// value is the one observation of a metric with labels, in pairs.
func value(t *testing.T, observed []checks.Observation, metric string, labels ...string) float64 {
	t.Helper()
	var found []float64
	for _, o := range observed {
		fits := o.Metric == metric
		for i := 0; i < len(labels); i += 2 {
			fits = fits && o.Labels[labels[i]] == labels[i+1]
		}
		if fits {
			found = append(found, o.Value)
		}
	}
	require.Len(t, found, 1, "%s %v", metric, labels)
	return found[0]
}

func TestExperiments(t *testing.T) {
	made := map[string]any{"log": "made", "jobs": 2000}
	with := func(more ...any) map[string]any {
		p := map[string]any{}
		for k, v := range made {
			p[k] = v
		}
		for i := 0; i < len(more); i += 2 {
			p[more[i].(string)] = more[i+1]
		}
		return p
	}
	o, err := run(t, "", "mlworkload.characterise", made)
	require.NoError(t, err)
	require.EqualValues(t, 2000, value(t, o, "jobs"))
	require.EqualValues(t, 3, value(t, o, "vcs"))
	require.Positive(t, value(t, o, "duration_gpus_spearman"), "jobs on more GPUs run longer")

	o, err = run(t, "", "mlworkload.fit", with("n", 800, "families", []any{"exponential", "lognormal-mix-3"}))
	require.NoError(t, err)
	require.Less(t, value(t, o, "ks", "family", "lognormal-mix-3", "of", "held"), 0.07)
	require.Greater(t, value(t, o, "ks", "family", "exponential", "of", "held"), 0.3)
	require.Zero(t, value(t, o, "bic_above_best", "family", "lognormal-mix-3"))

	drawn, err := run(t, "", "mlworkload.fit", with("n", 800, "families", []any{"lognormal"}, "split", "python", "seed", 1))
	require.NoError(t, err)
	again, err := run(t, "", "mlworkload.fit", with("n", 800, "families", []any{"lognormal"}, "split", "python", "seed", 1))
	require.NoError(t, err)
	require.Equal(t, drawn, again)
	_, err = run(t, "", "mlworkload.fit", with("split", "half"))
	require.ErrorContains(t, err, "want random, time or python")

	o, err = run(t, "", "mlworkload.pvalues", with("families", []any{"exponential"}, "sizes", []any{100}, "samples", 3, "replicates", 19, "draw", "window"))
	require.NoError(t, err)
	require.InDelta(t, 0.05, value(t, o, "p", "test", "bootstrap-ad", "n", "100"), 0.01, "1 in 20")
	require.Less(t, value(t, o, "p", "test", "naive", "n", "all"), 1e-9)

	o, err = run(t, "", "mlworkload.coverage", map[string]any{"family": "exponential", "rounds": 300, "n": 20})
	require.NoError(t, err)
	require.InDelta(t, 0.05, value(t, o, "rejected", "test", "bootstrap-ks"), 0.045)
	require.Less(t, value(t, o, "rejected", "test", "naive"), 0.02)

	o, err = run(t, "", "mlworkload.lublin", map[string]any{"jobs": 3000})
	require.NoError(t, err)
	require.InDelta(t, 1, value(t, o, "recovered", "parameter", "gap scale"), 0.15)
	require.Zero(t, value(t, o, "bic_above_best", "family", "log-hyper-gamma"))

	o, err = run(t, "", "mlworkload.arrivals", made)
	require.NoError(t, err)
	require.Greater(t, value(t, o, "log_likelihood", "model", "seasonal"), value(t, o, "log_likelihood", "model", "poisson"), "made has seasons")

	o, err = run(t, "", "mlworkload.forecast", with("jobs", 4000))
	require.NoError(t, err)
	require.Less(t, value(t, o, "relative_mae", "forecaster", "level"), 1.0)
	_, err = run(t, "", "mlworkload.forecast", with("slot", 7000))
	require.ErrorContains(t, err, "want seconds that divide a day")

	o, err = run(t, "", "mlworkload.generalise", with("n", 300))
	require.NoError(t, err)
	require.Greater(t, value(t, o, "ks", "from", "vision", "to", "language"), value(t, o, "ks", "from", "language", "to", "language"))
	_, err = run(t, "", "mlworkload.generalise", with("by", "month"))
	require.ErrorContains(t, err, "has 1 groups by month of at least 400 run times: want two")
}

func TestGenerate(t *testing.T) {
	dir := t.TempDir()
	o, err := run(t, dir, "mlworkload.generate", map[string]any{"log": "made", "jobs": 2000})
	require.NoError(t, err)
	// Of the jobs fitted, generated and held out there are about a thousand each:
	// one distance in a thousand is beyond 1.95·√(3/1000).
	require.Less(t, value(t, o, "ks", "variable", "duration", "of", "generated"), 0.107)
	for _, name := range []string{"generated.swf", "generated.csv"} {
		l, err := mlworkload.Open(filepath.Join(dir, name), mlworkload.Options{})
		require.NoError(t, err)
		require.EqualValues(t, len(l.Jobs), value(t, o, "jobs", "of", "generated"))
	}
}

// TestOwnLog runs an experiment on a log of one's own, with columns named, and
// one that the tool itself wrote.
func TestOwnLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own.csv")
	require.NoError(t, os.WriteFile(path, []byte("created,run_s,g\n2024-05-01 08:00:00,60,1\n2024-05-01 09:00:00,120,2\n"), 0o600))
	o, err := run(t, "", "mlworkload.characterise", map[string]any{"log": path, "columns": []any{"submit=created", "duration=run_s", "gpus=g"}, "zone": "Europe/Berlin"})
	require.NoError(t, err)
	require.EqualValues(t, 90, value(t, o, "duration_mean"))
	require.EqualValues(t, 1, value(t, o, "jobs_by_hour", "hour", "9"))
	for want, params := range map[string]map[string]any{
		"or an absolute path, as $PWD/own.csv": {"log": "own.csv"},
		"columns \"when=created\"":             {"log": path, "columns": "when=created"},
		"zone: unknown time zone":              {"log": path, "zone": "Mars/Olympus"},
		"own.csv:1: format philly wants":       {"log": path, "format": "philly"},
		"no such file":                         {"log": filepath.Join(t.TempDir(), "none.csv")},
	} {
		_, err := run(t, "", "mlworkload.characterise", params)
		require.ErrorContains(t, err, want)
	}
}

func TestWithoutTraces(t *testing.T) {
	t.Setenv("REPRISE_TRACES", "")
	_, err := run(t, "", "mlworkload.characterise", map[string]any{"log": "philly"})
	require.ErrorIs(t, err, errNoTraces)
	o, err := run(t, "", "mlworkload.published-forecast", nil)
	require.NoError(t, err)
	require.Empty(t, o)
}

func TestPublishedForecast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pred.csv")
	head := "time,submit_gpu_job,submit_gpu_num,pred_gpu_job,pred_gpu_num\n"
	require.NoError(t, os.WriteFile(path, []byte(head+"a,1,10,2,10\nb,3,10,2,30\nc,3,10,3,10\n"), 0o600))
	o, err := run(t, "", "mlworkload.published-forecast", map[string]any{"file": path})
	require.NoError(t, err)
	require.InDelta(t, 2.0/3, value(t, o, "mae", "forecaster", "lucid", "of", "jobs"), 1e-12)
	require.InDelta(t, 20.0/3, value(t, o, "mae", "forecaster", "lucid", "of", "gpus"), 1e-12)
	require.InDelta(t, 1, value(t, o, "mae", "forecaster", "persistence", "of", "jobs"), 1e-12)
	require.NoError(t, os.WriteFile(path, []byte(head+"a,1,10,x,10\n"), 0o600))
	_, err = run(t, "", "mlworkload.published-forecast", map[string]any{"file": path})
	require.ErrorContains(t, err, `pred.csv:2: pred_gpu_job "x": want a number`)
}

// TestReferenceDraw fits the values of which another program gave distances:
// what has a closed form comes out to the digits given.
func TestReferenceDraw(t *testing.T) {
	if os.Getenv("REPRISE_TRACES") == "" {
		t.Skip("REPRISE_TRACES names no folder")
	}
	for _, c := range []struct {
		log, variable string
		n             int
		want          map[string]float64
	}{
		{"philly", "duration", 4000, map[string]float64{"exponential": 0.543, "weibull": 0.115, "gamma": 0.238, "lognormal": 0.091}},
		{"openb", "residence", 3000, map[string]float64{"exponential": 0.657, "weibull": 0.144, "gamma": 0.290, "lognormal": 0.057}},
		{"code", "gap", 3000, map[string]float64{"exponential": 0.546, "weibull": 0.135, "gamma": 0.227, "lognormal": 0.175}},
		{"conversation", "gap", 3000, map[string]float64{"exponential": 0.027, "gamma": 0.018, "lognormal": 0.091}},
	} {
		o, err := run(t, "", "mlworkload.fit", map[string]any{"log": c.log, "variable": c.variable, "n": c.n, "split": "python",
			"families": []any{"exponential", "weibull", "gamma", "lognormal"}})
		require.NoError(t, err)
		for family, want := range c.want {
			require.InDelta(t, want, value(t, o, "ks", "family", family, "of", "fit"), 0.0005, "%s: %s", c.log, family)
		}
	}
}
