package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/event"
	"reprise/runner/node"
)

// recorded makes a run that measured or reused steps; every result holds a
// file of 1000 bytes.
func recorded(t *testing.T, s *Store, at time.Time, steps ...string) (id string) {
	t.Helper()
	run, err := s.NewRun(at)
	require.NoError(t, err)
	log := event.NewLog(run.ID, run, func() time.Time { return at })
	log.Emit(event.RunStarted{})
	for _, step := range steps {
		parts := []Part{{Name: "step", Value: step}}
		key := Key(parts)
		if r, _ := s.Lookup(key); r != nil {
			log.Emit(event.StepReused{Step: step, Key: key, From: r.Run})
			continue
		}
		a, err := run.Begin(step, key, parts, "local", node.Machine{}, at)
		require.NoError(t, err)
		log.Emit(event.StepStarted{Step: step, Key: key})
		require.NoError(t, os.WriteFile(filepath.Join(a.Work, "file"), make([]byte, 1000), 0o644))
		_, err = a.Done(node.Usage{}, []byte(stepLines), 1)
		require.NoError(t, err)
	}
	require.NoError(t, log.Err())
	require.NoError(t, run.Close())
	return run.ID
}

func lookup(t *testing.T, s *Store, step string) *Result {
	t.Helper()
	r, err := s.Lookup(Key([]Part{{Name: "step", Value: step}}))
	require.NoError(t, err)
	return r
}

func TestCollectByAge(t *testing.T) {
	root := t.TempDir()
	s, err := Open(root)
	require.NoError(t, err)
	old := recorded(t, s, noon, "a", "b")
	young := recorded(t, s, noon.Add(48*time.Hour), "b", "c")
	now := noon.Add(72 * time.Hour)

	all, err := s.Collect(Keep{}, now, false)
	require.NoError(t, err)
	require.Empty(t, all.Removed, "nothing is asked to go")

	would, err := s.Collect(Keep{Age: 36 * time.Hour}, now, true)
	require.NoError(t, err)
	require.NotNil(t, lookup(t, s, "a"))
	did, err := s.Collect(Keep{Age: 36 * time.Hour}, now, false)
	require.NoError(t, err)
	require.Equal(t, would, did)
	require.Len(t, did.Removed, 1)
	require.Equal(t, old, did.Removed[0].Run)
	require.Equal(t, 1, did.Removed[0].Results, "b is used by the younger run")
	require.Equal(t, all.Kept, did.Bytes+did.Kept)

	require.Nil(t, lookup(t, s, "a"))
	require.NotNil(t, lookup(t, s, "b"))
	require.NotNil(t, lookup(t, s, "c"))
	ids, err := s.Runs()
	require.NoError(t, err)
	require.Equal(t, []string{young}, ids)
	require.NoDirExists(t, filepath.Join(root, "removed"))
}

func TestCollectBySize(t *testing.T) {
	s, err := Open(t.TempDir())
	require.NoError(t, err)
	for i, step := range []string{"a", "b", "c", "d"} {
		recorded(t, s, noon.Add(time.Duration(i)*time.Minute), step)
	}
	all, err := s.Collect(Keep{}, noon, true)
	require.NoError(t, err)
	did, err := s.Collect(Keep{Size: all.Kept/2 + 10}, noon, false)
	require.NoError(t, err)
	require.Len(t, did.Removed, 2)
	require.LessOrEqual(t, did.Kept, all.Kept/2+10)
	for step, stays := range map[string]bool{"a": false, "b": false, "c": true, "d": true} {
		require.Equal(t, stays, lookup(t, s, step) != nil, step)
	}
}

// TestCollectResultsWithoutARun ages results by themselves where somebody has
// removed the folder of their run.
func TestCollectResultsWithoutARun(t *testing.T) {
	s, err := Open(t.TempDir())
	require.NoError(t, err)
	id := recorded(t, s, noon, "a")
	require.NoError(t, os.RemoveAll(s.RunDir(id)))
	did, err := s.Collect(Keep{Age: time.Hour}, noon.Add(30*time.Minute), false)
	require.NoError(t, err)
	require.Empty(t, did.Removed)
	did, err = s.Collect(Keep{Age: time.Hour}, noon.Add(2*time.Hour), false)
	require.NoError(t, err)
	require.Equal(t, "a", did.Removed[0].Step)
	require.Nil(t, lookup(t, s, "a"))
}

func TestCollectWaitsForRuns(t *testing.T) {
	s, err := Open(t.TempDir())
	require.NoError(t, err)
	run, err := s.NewRun(noon)
	require.NoError(t, err)
	_, err = s.Collect(Keep{Age: 1}, noon.Add(time.Hour), false)
	require.ErrorContains(t, err, "a run is under way")
	require.NoError(t, run.Close())
	did, err := s.Collect(Keep{Age: 1}, noon.Add(time.Hour), false)
	require.NoError(t, err)
	require.Len(t, did.Removed, 1)
}

// TestCollectGoesOn finishes what a collection that was killed left, and reads
// a damaged log as far as it goes.
func TestCollectGoesOn(t *testing.T) {
	root := t.TempDir()
	s, err := Open(root)
	require.NoError(t, err)
	id := recorded(t, s, noon, "a")
	left := filepath.Join(root, "removed", "x", "locked")
	require.NoError(t, os.MkdirAll(filepath.Join(left, "in"), 0o755))
	require.NoError(t, os.Chmod(left, 0o500))
	f, err := os.OpenFile(filepath.Join(s.RunDir(id), EventsFile), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("garbage\n{}\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	did, err := s.Collect(Keep{Age: time.Hour}, noon, false)
	require.NoError(t, err)
	require.Empty(t, did.Removed)
	require.NotNil(t, lookup(t, s, "a"))
	require.NoDirExists(t, filepath.Join(root, "removed"))
}
