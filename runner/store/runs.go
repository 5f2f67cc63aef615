package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Names in a run's folder.
const (
	EventsFile  = "events.jsonl"
	attemptsDir = "attempts"
	lockFile    = "lock"
)

// Runs lists the ids of the recorded runs, the newest first.
func (s *Store) Runs() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.root, "runs"))
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() {
			ids = append(ids, e.Name())
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return compareRuns(b, a) })
	return ids, nil
}

// compareRuns orders the ids of runs by their age, the oldest first. Those of
// one second are numbered: -2 is older than -10.
func compareRuns(a, b string) int {
	const second = len(secondForm)
	if len(a) > second && len(b) > second && a[:second] == b[:second] && len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// RunDir is the folder of the run with an id.
func (s *Store) RunDir(id string) string { return filepath.Join(s.root, "runs", id) }

// FindRun finds a recorded run by its id, by a beginning of it that no other
// run shares, or as "latest" or "previous".
func (s *Store) FindRun(ref string) (id string, err error) {
	ids, err := s.Runs()
	switch {
	case err != nil:
		return "", err
	case len(ids) == 0:
		return "", fmt.Errorf("no run is recorded in %s", s.root)
	case ref == "latest":
		return ids[0], nil
	case ref == "previous" && len(ids) == 1:
		return "", fmt.Errorf("there is no run before %s", ids[0])
	case ref == "previous":
		return ids[1], nil
	case slices.Contains(ids, ref):
		return ref, nil
	}
	var found []string
	for _, id := range ids {
		if ref != "" && strings.HasPrefix(id, ref) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no run %q; the latest is %s", ref, ids[0])
	case 1:
		return found[0], nil
	}
	const most = 5
	return "", fmt.Errorf("%q is the beginning of %d runs: %s", ref, len(found), strings.Join(found[:min(most, len(found))], ", "))
}
