package store

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/node"
)

// points measures as many points of a sweep and gives their keys and the run.
func points(t *testing.T, s *Store, from, to int) (keys []string, run *Run) {
	t.Helper()
	run, err := s.NewRun(noon)
	require.NoError(t, err)
	for i := from; i < to; i++ {
		keys = append(keys, point(t, run, i))
	}
	return keys, run
}

func point(t *testing.T, run *Run, i int) string {
	t.Helper()
	parts := []Part{{"i", fmt.Sprint(i)}}
	a, err := run.Begin(fmt.Sprintf("x/E1/i=%d", i), Key(parts), parts, "local", node.Machine{CPU: "a processor"}, noon)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(a.Dir, StderrFile), fmt.Appendf(nil, "point %d\n", i), 0o600))
	_, err = a.Done(node.Usage{Wall: time.Second}, fmt.Appendf(nil, "{\"metric\":\"m\",\"value\":%d}\n", i), 1)
	require.NoError(t, err)
	return Key(parts)
}

func TestSmallResultsShareAPack(t *testing.T) {
	root := t.TempDir()
	s, err := Open(root)
	require.NoError(t, err)
	keys, run := points(t, s, 0, 20)
	require.NoError(t, run.Close())

	for _, s := range []*Store{s, reopen(t, root)} {
		for i, key := range keys {
			r, err := s.Lookup(key)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("x/E1/i=%d", i), r.Step)
			require.Equal(t, "a processor", r.Machine.CPU)
			require.Equal(t, fmt.Sprintf("{\"metric\":\"m\",\"value\":%d}\n", i), string(r.Observations()))
			require.Equal(t, []string{fmt.Sprintf("point %d", i)}, Tail(filepath.Join(r.Dir, StderrFile)))
			require.Nil(t, Tail(filepath.Join(r.Dir, StdoutFile)))
		}
		found, err := packedKeys(s)
		require.NoError(t, err)
		require.ElementsMatch(t, keys, found)
	}
	left, err := filepath.Glob(filepath.Join(root, "runs", "*", attemptsDir, "*"))
	require.NoError(t, err)
	require.Empty(t, left, "a finished attempt stands in one place only")
	shelves, err := os.ReadDir(filepath.Join(root, "steps"))
	require.NoError(t, err)
	require.Empty(t, shelves)

	_, _, err = ReadTail(filepath.Join(run.journal.pack.path, Key([]Part{{"no", "such"}}), StdoutFile), 10)
	require.ErrorIs(t, err, fs.ErrNotExist)
	data, size, err := ReadTail(filepath.Join(run.journal.pack.path, keys[3], StderrFile), 2)
	require.NoError(t, err)
	require.Equal(t, "3\n", string(data))
	require.EqualValues(t, 8, size)
}

// An attempt may have the folder of one before: it finds it empty, and nothing of
// the other in its result. Folders are given away only if they are clean, and none
// stays.
func TestFoldersServeAgain(t *testing.T) {
	s := reopen(t, t.TempDir())
	run, err := s.NewRun(noon)
	require.NoError(t, err)
	attempt := func(i int, clean bool) *Attempt {
		parts := []Part{{"i", fmt.Sprint(i)}}
		a, err := run.Begin(fmt.Sprint("x/E1/i=", i), Key(parts), parts, "local", node.Machine{}, noon)
		require.NoError(t, err)
		a.Clean = clean
		left, err := os.ReadDir(a.Work)
		require.NoError(t, err)
		require.Empty(t, left)
		return a
	}
	write := func(a *Attempt, file string) {
		require.NoError(t, os.WriteFile(filepath.Join(a.Dir, file), []byte("said\n"), 0o600))
	}
	is := func(a *Attempt) os.FileInfo {
		info, err := os.Stat(a.Dir)
		require.NoError(t, err)
		return info
	}
	first := attempt(1, true)
	folder := is(first)
	write(first, StdoutFile)
	write(first, StderrFile)
	r, err := first.Done(node.Usage{}, nil, 0)
	require.NoError(t, err)
	require.Equal(t, []string{"said"}, Tail(filepath.Join(r.Dir, StderrFile)))
	require.EqualValues(t, 10, r.Disk)

	second := attempt(2, true)
	require.True(t, os.SameFile(folder, is(second)))
	require.NoDirExists(t, first.Dir)
	require.Nil(t, Tail(filepath.Join(second.Dir, StderrFile)))
	beside := attempt(3, false)
	require.False(t, os.SameFile(folder, is(beside)))
	r, err = second.Done(node.Usage{}, nil, 0)
	require.NoError(t, err)
	require.Nil(t, Tail(filepath.Join(r.Dir, StdoutFile)))
	require.Zero(t, r.Disk)
	_, err = beside.Done(node.Usage{}, nil, 0)
	require.NoError(t, err)
	require.NoDirExists(t, beside.Dir, "what it started may still write there")

	// One that leaves files keeps its folder.
	third := attempt(4, true)
	require.True(t, os.SameFile(folder, is(third)))
	write(third, filepath.Join(WorkDir, "out"))
	r, err = third.Done(node.Usage{}, nil, 0)
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(r.Dir, WorkDir, "out"))
	last := attempt(5, true)
	require.False(t, os.SameFile(folder, is(last)))
	_, err = last.Done(node.Usage{}, nil, 0)
	require.NoError(t, err)
	require.NoError(t, run.Close())
	left, err := os.ReadDir(filepath.Join(run.Dir, attemptsDir))
	require.NoError(t, err)
	require.Empty(t, left)
}

func packedKeys(s *Store) ([]string, error) {
	results, _, err := s.index.sizes()
	return slices.Collect(maps.Keys(results)), err
}

func reopen(t *testing.T, root string) *Store {
	t.Helper()
	s, err := Open(root)
	require.NoError(t, err)
	return s
}

// What another process stores is found at once, also while it goes on.
func TestPacksOfOtherProcesses(t *testing.T) {
	root := t.TempDir()
	here := reopen(t, root)
	first, run := points(t, here, 0, 1)
	there := reopen(t, root)
	for i := range 5 {
		key := point(t, run, 10+i)
		r, err := there.Lookup(key)
		require.NoError(t, err)
		require.NotNil(t, r)
		other, second := points(t, there, 20+i, 21+i)
		r, err = here.Lookup(other[0])
		require.NoError(t, err)
		require.NotNil(t, r)
		require.NoError(t, second.Close())
	}
	r, err := there.Lookup(first[0])
	require.NoError(t, err)
	require.NotNil(t, r)
}

// A pack is cut at every length: the records before are whole, the torn one is
// not there, and the next run goes on.
func TestTornPack(t *testing.T) {
	root := t.TempDir()
	s := reopen(t, root)
	keys, run := points(t, s, 0, 3)
	require.NoError(t, run.Close())
	path := run.journal.pack.path
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	before := len(keys)
	for n := len(whole); n >= 0; n-- {
		require.NoError(t, os.Truncate(path, int64(n)))
		found, err := packedKeys(reopen(t, root))
		require.NoError(t, err)
		require.LessOrEqual(t, len(found), before)
		require.GreaterOrEqual(t, len(found), before-1, "one record is torn at a time")
		require.Subset(t, keys, found)
		before = len(found)
	}
	require.Zero(t, before)
}

// A byte is changed anywhere: no result is wrong, and at most two are lost, that
// of the record and one whose machine it describes.
func TestDamagedPack(t *testing.T) {
	root := t.TempDir()
	s := reopen(t, root)
	keys, run := points(t, s, 0, 4)
	require.NoError(t, run.Close())
	path := run.journal.pack.path
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	lost := map[int]int{}
	for at := range whole {
		data := bytes.Clone(whole)
		data[at] ^= 0x40
		require.NoError(t, os.WriteFile(path, data, 0o600))
		s := reopen(t, root)
		missing := 0
		for i, key := range keys {
			r, err := s.Lookup(key)
			if err != nil {
				require.ErrorIs(t, err, ErrDamaged)
			}
			if r == nil {
				missing++
				continue
			}
			require.Equal(t, fmt.Sprintf("{\"metric\":\"m\",\"value\":%d}\n", i), string(r.Observations()))
		}
		lost[missing]++
	}
	require.Zero(t, lost[2]+lost[3], "one record is lost, or all that share a machine: %v", lost)
	require.Less(t, lost[4], headerSize+200)
}

// Steps that end together share syncs, and none returns before its own.
func TestRecordsTogether(t *testing.T) {
	root := t.TempDir()
	files := &slow{}
	s, err := open(root, files)
	require.NoError(t, err)
	run, err := s.NewRun(noon)
	require.NoError(t, err)
	const n = 64
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			parts := []Part{{"i", fmt.Sprint(i)}}
			a, err := run.Begin(fmt.Sprint(i), Key(parts), parts, "local", node.Machine{}, noon)
			if err == nil {
				_, err = a.Done(node.Usage{}, []byte("{}\n"), 1)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.NoError(t, run.Close())
	keys, err := packedKeys(reopen(t, root))
	require.NoError(t, err)
	require.Len(t, keys, n)
	require.Less(t, files.syncs, n, "syncs are shared")
}

// slow is a disk whose syncs take a while.
type slow struct {
	disk
	mu    sync.Mutex
	syncs int
}

func (d *slow) Create(path string) (file, error) {
	f, err := d.disk.Create(path)
	return &slowFile{f, d}, err
}

type slowFile struct {
	file
	on *slow
}

func (f *slowFile) Sync() error {
	f.on.mu.Lock()
	f.on.syncs++
	f.on.mu.Unlock()
	time.Sleep(2 * time.Millisecond)
	return nil
}

// What a run packed and another uses outlives it; the rest goes.
func TestCollectRepacks(t *testing.T) {
	root := t.TempDir()
	s := reopen(t, root)
	keys, run := points(t, s, 0, 6)
	for _, key := range keys {
		_, err := fmt.Fprintf(run, `{"event":"step_started","step":"x","key":%q}`+"\n", key)
		require.NoError(t, err)
	}
	require.NoError(t, run.Close())
	later, err := s.NewRun(noon.Add(24 * time.Hour))
	require.NoError(t, err)
	for _, key := range keys[:2] {
		_, err := fmt.Fprintf(later, `{"event":"step_reused","step":"x","key":%q}`+"\n", key)
		require.NoError(t, err)
	}
	require.NoError(t, later.Close())
	before, err := os.Stat(run.journal.pack.path)
	require.NoError(t, err)

	keep, now := Keep{Age: 2 * time.Hour}, noon.Add(25*time.Hour)
	dry, err := s.Collect(keep, now, true)
	require.NoError(t, err)
	wet, err := s.Collect(keep, now, false)
	require.NoError(t, err)
	require.Equal(t, dry, wet)
	require.Len(t, wet.Removed, 1)
	require.Equal(t, 4, wet.Removed[0].Results)
	after, err := os.Stat(run.journal.pack.path)
	require.NoError(t, err)
	require.Less(t, after.Size(), before.Size()/2)
	for _, s := range []*Store{s, reopen(t, root)} {
		found, err := packedKeys(s)
		require.NoError(t, err)
		require.ElementsMatch(t, keys[:2], found)
		r, err := s.Lookup(keys[1])
		require.NoError(t, err)
		require.Equal(t, "a processor", r.Machine.CPU)
	}

	// With the last run that uses them the pack goes too.
	_, err = s.Collect(keep, now.Add(24*time.Hour), false)
	require.NoError(t, err)
	require.NoFileExists(t, run.journal.pack.path)
	found, err := packedKeys(s)
	require.NoError(t, err)
	require.Empty(t, found)
}

func FuzzScan(f *testing.F) {
	h := header{kind: done, sizes: [sections]uint32{1, 2}}
	f.Add(append(h.encode(), "abc"...))
	f.Add([]byte(magic + magic + magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		next := int64(0)
		end, err := scan(bytes.NewReader(data), 0, int64(len(data)), func(at int64, h header) error {
			require.GreaterOrEqual(t, at, next)
			next = at + headerSize + h.length()
			require.LessOrEqual(t, next, int64(len(data)))
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, next, end)
	})
}
