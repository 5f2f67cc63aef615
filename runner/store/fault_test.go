package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/node"
)

// faulty passes calls on to the disk, records them, and lets the n-th fail.
// A failing write writes half of its data first, as a full disk does. Syncs are
// recorded, not made.
type faulty struct {
	disk
	root  string
	fail  int // number of the call that fails, from 1; 0: none
	calls []string
}

func (f *faulty) call(op string, paths ...string) error {
	for i, p := range paths {
		rel, err := filepath.Rel(f.root, p)
		if err != nil {
			return err
		}
		// Names made of digests, times and counters would differ from run to run.
		parts := strings.Split(rel, string(filepath.Separator))
		for j, part := range parts {
			switch {
			case strings.HasPrefix(part, ".new-"):
				parts[j] = "TEMPORARY"
			case j > 0 && parts[0] == "steps" && len(part) == 64:
				parts[j] = "KEY"
			case j == 1 && parts[0] == "steps":
				parts[j] = "KK"
			}
		}
		paths[i] = strings.Join(parts, "/")
	}
	f.calls = append(f.calls, op+" "+strings.Join(paths, " → "))
	if len(f.calls) == f.fail {
		return fmt.Errorf("%s: %w", op, syscall.ENOSPC)
	}
	return nil
}

func (f *faulty) MkdirAll(path string) error {
	if err := f.call("mkdir", path); err != nil {
		return err
	}
	return f.disk.MkdirAll(path)
}

func (f *faulty) Mkdir(path string) error {
	if err := f.call("mkdir", path); err != nil {
		return err
	}
	return f.disk.Mkdir(path)
}

func (f *faulty) Rename(from, to string) error {
	if err := f.call("rename", from, to); err != nil {
		return err
	}
	return f.disk.Rename(from, to)
}

func (f *faulty) Sync(path string) error {
	if err := f.call("sync", path); err != nil {
		return err
	}
	return nil
}

func (f *faulty) Create(path string) (file, error) {
	if err := f.call("create", path); err != nil {
		return nil, err
	}
	inner, err := f.disk.Create(path)
	return &faultyFile{inner, f, path}, err
}

type faultyFile struct {
	file
	on   *faulty
	path string
}

func (f *faultyFile) Write(data []byte) (int, error) {
	if err := f.on.call("write", f.path); err != nil {
		n, _ := f.file.Write(data[:len(data)/2])
		return n, err
	}
	return f.file.Write(data)
}

func (f *faultyFile) Sync() error {
	if err := f.on.call("sync", f.path); err != nil {
		return err
	}
	return nil
}

var stepParts = []Part{{"n", "1"}}

const stepLines = `{"metric":"m","value":1,"unit":"1"}` + "\n"

// measure does what a run does for one step, up to the first error. A step that
// leaves a file gets a folder, another has its result in the pack and its folder
// serves a second step.
func measure(root string, files fileSystem, leaves bool) error {
	s, err := open(root, files)
	if err != nil {
		return err
	}
	run, err := s.NewRun(noon)
	if err != nil {
		return err
	}
	if _, err := run.Write([]byte("{}\n")); err != nil {
		return errors.Join(err, run.Close())
	}
	a, err := run.Begin("x/E1", Key(stepParts), stepParts, "local", node.Machine{}, noon)
	if err != nil {
		return errors.Join(err, run.Close())
	}
	if leaves {
		if err := os.WriteFile(filepath.Join(a.Work, "out"), []byte("x"), 0o600); err != nil {
			return err
		}
	}
	a.Clean = !leaves
	_, err = a.Done(node.Usage{Wall: time.Second}, []byte(stepLines), 1)
	if err == nil && !leaves {
		parts := []Part{{"n", "2"}}
		if a, err = run.Begin("x/E2", Key(parts), parts, "local", node.Machine{}, noon); err == nil {
			_, err = a.Done(node.Usage{}, []byte("{}\n"), 1)
		}
	}
	return errors.Join(err, run.Close())
}

// TestOrderOfFileOperations is the crash-safety argument in one list: content
// is synced before it gets its name, and the name before anything builds on it.
func TestOrderOfFileOperations(t *testing.T) {
	files := &faulty{root: t.TempDir()}
	require.NoError(t, measure(files.root, files, true))
	require.Equal(t, `mkdir runs
mkdir steps
mkdir packs
mkdir runs/20260102-120000
mkdir runs/20260102-120000/attempts
create runs/20260102-120000/events.jsonl
sync runs/20260102-120000
sync runs
write runs/20260102-120000/events.jsonl
mkdir runs/20260102-120000/attempts/0001-x_E1
mkdir runs/20260102-120000/attempts/0001-x_E1/work
create packs/20260102-120000.pack
sync packs
write packs/20260102-120000.pack
create runs/20260102-120000/attempts/0001-x_E1/TEMPORARY
write runs/20260102-120000/attempts/0001-x_E1/TEMPORARY
sync runs/20260102-120000/attempts/0001-x_E1/TEMPORARY
rename runs/20260102-120000/attempts/0001-x_E1/TEMPORARY → runs/20260102-120000/attempts/0001-x_E1/observations.jsonl
sync runs/20260102-120000/attempts/0001-x_E1
create runs/20260102-120000/attempts/0001-x_E1/TEMPORARY
write runs/20260102-120000/attempts/0001-x_E1/TEMPORARY
sync runs/20260102-120000/attempts/0001-x_E1/TEMPORARY
rename runs/20260102-120000/attempts/0001-x_E1/TEMPORARY → runs/20260102-120000/attempts/0001-x_E1/result.json
sync runs/20260102-120000/attempts/0001-x_E1
sync runs/20260102-120000/attempts/0001-x_E1/observations.jsonl
sync runs/20260102-120000/attempts/0001-x_E1/result.json
sync runs/20260102-120000/attempts/0001-x_E1/work/out
sync runs/20260102-120000/attempts/0001-x_E1/work
sync runs/20260102-120000/attempts/0001-x_E1
mkdir steps/KK
sync steps
rename runs/20260102-120000/attempts/0001-x_E1 → steps/KK/KEY
sync steps/KK
write packs/20260102-120000.pack
sync runs/20260102-120000/events.jsonl
write packs/20260102-120000.pack
sync packs/20260102-120000.pack`, strings.Join(files.calls, "\n"))

	files = &faulty{root: t.TempDir()}
	require.NoError(t, measure(files.root, files, false))
	_, calls, _ := strings.Cut(strings.Join(files.calls, "\n"), "write runs/20260102-120000/events.jsonl\n")
	require.Equal(t, `mkdir runs/20260102-120000/attempts/0001-x_E1
mkdir runs/20260102-120000/attempts/0001-x_E1/work
create packs/20260102-120000.pack
sync packs
write packs/20260102-120000.pack
write packs/20260102-120000.pack
write packs/20260102-120000.pack
sync packs/20260102-120000.pack
rename runs/20260102-120000/attempts/0001-x_E1 → runs/20260102-120000/attempts/0002-x_E2
write packs/20260102-120000.pack
write packs/20260102-120000.pack
sync packs/20260102-120000.pack
sync runs/20260102-120000/events.jsonl
write packs/20260102-120000.pack
sync packs/20260102-120000.pack`, calls)
}

// TestFaultAtEveryCall lets each file operation fail in turn, once with no
// result stored before and once with a damaged one. Whatever fails, the error
// says so, what the store then holds is whole or nothing, and the next run
// measures and stores it.
func TestFaultAtEveryCall(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		for _, damagedBefore := range []bool{false, true} {
			faultAtEveryCall(t, leaves, damagedBefore)
		}
	}
}

func faultAtEveryCall(t *testing.T, leaves, damagedBefore bool) {
	for n := 1; ; n++ {
		root := t.TempDir()
		if damagedBefore {
			require.NoError(t, measure(root, &faulty{root: root}, leaves))
			kept, err := Open(root)
			require.NoError(t, err)
			if leaves {
				require.NoError(t, os.WriteFile(filepath.Join(kept.resultDir(Key(stepParts)), ObservationsFile), []byte("{"), 0o600))
			} else {
				damage(t, kept, "metric")
			}
		}
		files := &faulty{root: root, fail: n}
		err := measure(root, files, leaves)
		if len(files.calls) < n {
			require.NoError(t, err)
			require.Greater(t, n, 18)
			break
		}
		require.ErrorIs(t, err, syscall.ENOSPC, "call %d: %s", n, files.calls[n-1])

		kept, err := Open(root)
		require.NoError(t, err)
		result, err := kept.Lookup(Key(stepParts))
		if result == nil && err != nil {
			require.ErrorIs(t, err, ErrDamaged)
			require.True(t, damagedBefore, "call %d (%s) left half a result", n, files.calls[n-1])
		}
		require.NoError(t, measure(root, &faulty{root: root}, leaves), "after a fault at %s", files.calls[n-1])
		result, err = kept.Lookup(Key(stepParts))
		require.NoError(t, err)
		require.Equal(t, 1, result.Lines)
		require.Equal(t, stepLines, string(result.Observations()))
		if leaves {
			require.FileExists(t, filepath.Join(result.Dir, WorkDir, "out"))
		}
	}
}

// damage changes a byte of every pack where text stands last.
func damage(t *testing.T, s *Store, text string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.root, packsDir, "*"+packEnd))
	require.NoError(t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		at := bytes.LastIndex(data, []byte(text))
		require.Positive(t, at)
		data[at] ^= 1
		require.NoError(t, os.WriteFile(file, data, 0o600))
	}
}
