package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFindRun(t *testing.T) {
	s, err := Open(t.TempDir())
	require.NoError(t, err)
	_, err = s.FindRun("latest")
	require.ErrorContains(t, err, "no run is recorded")

	first := time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)
	for range 11 {
		_, err := s.NewRun(first)
		require.NoError(t, err)
	}
	later, err := s.NewRun(first.Add(time.Hour))
	require.NoError(t, err)

	ids, err := s.Runs()
	require.NoError(t, err)
	require.Len(t, ids, 12)
	require.Equal(t, []string{later.ID, "20261122-200000-11", "20261122-200000-10", "20261122-200000-9"}, ids[:4])
	require.Equal(t, "20261122-200000", ids[11])

	for ref, want := range map[string]string{"latest": later.ID, "previous": "20261122-200000-11", later.ID: later.ID, "20261122-21": later.ID, "20261122-200000": "20261122-200000"} {
		got, err := s.FindRun(ref)
		require.NoError(t, err)
		require.Equal(t, want, got, ref)
	}
	for ref, want := range map[string]string{"2026": "beginning of 12 runs", "1999": "no run", "": "no run"} {
		_, err := s.FindRun(ref)
		require.ErrorContains(t, err, want)
	}
}
