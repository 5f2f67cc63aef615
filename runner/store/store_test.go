package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/node"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func begin(t *testing.T, s *Store, step string, parts []Part) (*Run, *Attempt) {
	t.Helper()
	run, err := s.NewRun(noon)
	require.NoError(t, err)
	a, err := run.Begin(step, Key(parts), parts, "local", node.Machine{}, noon)
	require.NoError(t, err)
	return run, a
}

func TestResultRoundTrip(t *testing.T) {
	s, err := Open(t.TempDir())
	require.NoError(t, err)
	parts := []Part{{"size", "1%"}, {"policy", "lru"}}
	run, a := begin(t, s, "codesign/E1", parts)
	require.NoError(t, os.WriteFile(filepath.Join(a.Work, "curve.csv"), []byte("x"), 0o600))

	found, err := s.Lookup(Key(parts))
	require.NoError(t, err)
	require.Nil(t, found, "a step under way has no result")

	lines := []byte(`{"metric":"m","value":1,"unit":"1"}` + "\n")
	_, err = a.Done(node.Usage{Wall: time.Second}, lines, 1)
	require.NoError(t, err)
	require.NoError(t, run.Close())

	found, err = s.Lookup(Key(parts))
	require.NoError(t, err)
	require.Equal(t, "codesign/E1", found.Step)
	require.Equal(t, parts, found.Parts)
	require.Equal(t, run.ID, found.Run)
	require.Equal(t, time.Second, found.Usage.Wall)
	require.FileExists(t, filepath.Join(found.Dir, WorkDir, "curve.csv"))
	require.NoDirExists(t, a.Dir, "a finished attempt stands in one place only")
}

func TestDamageIsSeen(t *testing.T) {
	for _, damage := range []func(dir string) error{
		func(dir string) error {
			return os.WriteFile(filepath.Join(dir, ObservationsFile), []byte("{}\n"), 0o600)
		},
		func(dir string) error { return os.Remove(filepath.Join(dir, ObservationsFile)) },
		func(dir string) error { return os.Truncate(filepath.Join(dir, resultFile), 20) },
		func(dir string) error { return os.Remove(filepath.Join(dir, resultFile)) },
	} {
		s, err := Open(t.TempDir())
		require.NoError(t, err)
		parts := []Part{{"n", "1"}}
		_, a := begin(t, s, "x/E1", parts)
		require.NoError(t, os.WriteFile(filepath.Join(a.Work, "curve.csv"), []byte("x"), 0o600))
		r, err := a.Done(node.Usage{}, []byte("{\"metric\":\"m\"}\n"), 1)
		require.NoError(t, err)
		require.NoError(t, damage(r.Dir))
		_, err = s.Lookup(Key(parts))
		require.ErrorIs(t, err, ErrDamaged)

		// It is measured again, and the new result takes the damaged one's place.
		_, a = begin(t, s, "x/E1", parts)
		_, err = a.Done(node.Usage{}, []byte("{\"metric\":\"m\"}\n"), 1)
		require.NoError(t, err)
		r, err = s.Lookup(Key(parts))
		require.NoError(t, err)
		require.NotNil(t, r)
	}
}

func TestWhy(t *testing.T) {
	s, err := Open(t.TempDir())
	require.NoError(t, err)
	before := []Part{{"ios", "50k"}, {"policy", "lru"}, {"old", "1"}}
	require.Equal(t, "first run", s.Why("x/E1", Key(before), before, nil))

	run, a := begin(t, s, "x/E1", before)
	require.Equal(t, "interrupted in run "+run.ID, s.Why("x/E1", Key(before), before, nil))
	require.NoError(t, a.Failed("exit status 3"))
	require.Equal(t, "did not succeed in run "+run.ID+": exit status 3", s.Why("x/E1", Key(before), before, nil))

	after := []Part{{"ios", "1M"}, {"policy", "lru"}, {"new", "2"}}
	require.Equal(t, "changed: ios 50k → 1M, new added, old removed", s.Why("x/E1", Key(after), after, nil))

	_, a = begin(t, s, "x/E1", before)
	require.NoError(t, os.WriteFile(filepath.Join(a.Work, "curve.csv"), []byte("x"), 0o600))
	r, err := a.Done(node.Usage{}, nil, 0)
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(r.Dir))
	require.Equal(t, "stored result is gone", s.Why("x/E1", Key(before), before, nil))
}

// TestDifferenceOfNamesakes compares parts of one name in their order.
func TestDifferenceOfNamesakes(t *testing.T) {
	before := []Part{{"traces", `""`}, {"traces", ""}, {"program", "a"}}
	require.Equal(t, "program a → b", difference(before, []Part{{"traces", `""`}, {"traces", ""}, {"program", "b"}}))
	require.Equal(t, "traces nothing → digest", difference(before, []Part{{"traces", `""`}, {"traces", "digest"}, {"program", "a"}}))
	require.Equal(t, "traces removed", difference(before, []Part{{"traces", `""`}, {"program", "a"}}))
	require.Equal(t, "traces added", difference(before, append(before, Part{"traces", "x"})))
}

func TestKeyTellsPartsApart(t *testing.T) {
	require.NotEqual(t, Key([]Part{{"ab", "c"}}), Key([]Part{{"a", "bc"}}))
	require.NotEqual(t, Key([]Part{{"a", "1"}, {"b", "2"}}), Key([]Part{{"a", "12"}, {"b", ""}}))
}

func TestRunsOfOneSecondDiffer(t *testing.T) {
	s, err := Open(t.TempDir())
	require.NoError(t, err)
	a, err := s.NewRun(noon)
	require.NoError(t, err)
	b, err := s.NewRun(noon)
	require.NoError(t, err)
	require.NotEqual(t, a.ID, b.ID)
}
