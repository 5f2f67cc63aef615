package glogue

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/policies/glogue"
)

// run runs a built-in experiment with its defaults but for the given
// parameters.
func run(t *testing.T, name string, params map[string]any) ([]checks.Observation, error) {
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
	var observed []checks.Observation
	err := b.Run(t.Context(), &artifacts.Env{Params: all, Dir: t.TempDir(), Traces: os.Getenv("REPRISE_TRACES"),
		Observe:  func(o checks.Observation) error { observed = append(observed, o); return nil },
		Progress: func(float64, float64, string) {}})
	return observed, err
}

func TestExperiments(t *testing.T) {
	for name, params := range map[string]map[string]any{
		"glogue.sizes":     nil,
		"glogue.memory":    {"depth": 2},
		"glogue.estimates": {"persons": 60, "limit": 1000},
		"glogue.sparsify":  {"persons": 60, "rounds": 3},
		"glogue.speed":     {"persons": 60},
	} {
		observed, err := run(t, name, params)
		require.NoError(t, err, name)
		require.NotEmpty(t, observed, name)
		for _, o := range observed {
			switch o.Metric {
			case "work_ratio", "q_error":
				require.GreaterOrEqual(t, o.Value, 1-1e-9, "%v", o)
			case "differences":
				require.Zero(t, o.Value, "%v", o)
			}
		}
	}
}

func TestParametersOutOfRange(t *testing.T) {
	for want, params := range map[string]map[string]any{
		"persons is 1; it must be at least 2":                {"persons": 1},
		"limit is 0; it must be at least 1":                  {"limit": 0},
		"depth is -1; it must be at least 2":                 {"depth": -1},
		`there is no graph "foo"; there are social and ldbc`: {"graph": "foo"},
	} {
		_, err := run(t, "glogue.estimates", params)
		require.EqualError(t, err, want)
	}
	for want, params := range map[string]map[string]any{
		"rounds is 0; it must be at least 1":                {"rounds": 0},
		"fraction is 1.5; it must be above 0 and at most 1": {"fraction": 1.5},
		"fraction is NaN; it must be above 0 and at most 1": {"fraction": math.NaN()},
	} {
		_, err := run(t, "glogue.sparsify", params)
		require.EqualError(t, err, want)
	}
}

func TestWithoutTraces(t *testing.T) {
	t.Setenv("REPRISE_TRACES", "")
	_, err := run(t, "glogue.published", nil)
	require.ErrorIs(t, err, errNoTraces)
	_, err = run(t, "glogue.estimates", map[string]any{"graph": "ldbc"})
	require.ErrorIs(t, err, errNoTraces)
}

// TestNeo4j talks to a stand-in for cypher-shell: what is said to it is looked
// at, and its answers are right or wrong.
func TestNeo4j(t *testing.T) {
	folder := t.TempDir()
	log := filepath.Join(folder, "said")
	answer := func(count string) {
		script := "#!/bin/sh\ncat >>" + log + "\necho 'count(*)'\necho " + count + "\n"
		require.NoError(t, os.WriteFile(filepath.Join(folder, "cypher-shell"), []byte(script), 0o700))
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	_, err := run(t, "glogue.neo4j", nil)
	require.ErrorContains(t, err, "--param erase=yes")
	answer("1")
	_, err = run(t, "glogue.neo4j", map[string]any{"erase": "yes", "persons": 30})
	require.ErrorContains(t, err, "matches here, 1 in Neo4j")
	said, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Contains(t, string(said), "DETACH DELETE")
	require.Contains(t, string(said), "UNWIND range(0, 29) AS i CREATE (:person {id: i});")
	require.Contains(t, string(said), "CREATE (a)-[:knows]->(b);")

	g := glogue.Social(30, 1)
	loaded := 0
	require.NoError(t, load(g, func(_, _ int, statement string) error { loaded += strings.Count(statement, "["); return nil }))
	require.Greater(t, loaded, g.AllEdges())
	queries, err := glogue.Queries(g.Schema)
	require.NoError(t, err)
	require.Equal(t, "MATCH (v0:person)-[:knows]->(v1:person) MATCH (v1:person)-[:knows]->(v2:person) MATCH (v0:person)-[:knows]->(v2:person) RETURN count(*);",
		cypher(g.Schema, queries[0].Pattern))
}
