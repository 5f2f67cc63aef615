package store

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/runner/node"
)

// tmpfs mounts a file system of a size in memory, where that is allowed.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("reprise-test", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a file system to fill cannot be mounted (root can): %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

// TestDiskFull fills a real file system while a run writes its log and results,
// makes room, and has the next run measure what is missing.
func TestDiskFull(t *testing.T) {
	root := tmpfs(t, "256k")
	s, err := Open(root)
	require.NoError(t, err)
	run, err := s.NewRun(noon)
	require.NoError(t, err)
	parts := func(i int) []Part { return []Part{{"n", strings.Repeat("x", i)}} }
	lines := []byte(strings.Repeat(stepLines, 100))
	stored := 0
	var full error
	for i := 0; full == nil; i++ {
		require.Less(t, i, 1000, "the disk is never full")
		_, _ = run.Write([]byte(`{"filler":"` + strings.Repeat("y", 2000) + "\"}\n"))
		var a *Attempt
		if a, full = run.Begin("step", Key(parts(i)), parts(i), "local", node.Machine{}, noon); full == nil {
			if _, full = a.Done(node.Usage{}, lines, 100); full == nil {
				stored++
			}
		}
	}
	require.ErrorIs(t, full, syscall.ENOSPC)
	_, is := s.Unusable(full)
	require.True(t, is)
	_ = run.Close()
	log, err := os.ReadFile(filepath.Join(run.Dir, EventsFile))
	require.NoError(t, err)
	for line := range strings.Lines(string(log)) {
		require.True(t, strings.HasPrefix(line, `{"filler"`) && strings.HasSuffix(line, "\"}\n"), "half a line: %.40s", line)
	}
	for i := range stored {
		result, err := s.Lookup(Key(parts(i)))
		require.NoError(t, err)
		require.NotNil(t, result)
	}

	require.NoError(t, syscall.Mount("", root, "", syscall.MS_REMOUNT, "size=4m"))
	again, err := s.NewRun(noon)
	require.NoError(t, err)
	a, err := again.Begin("step", Key(parts(stored)), parts(stored), "local", node.Machine{}, noon)
	require.NoError(t, err)
	_, err = a.Done(node.Usage{}, lines, 100)
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

func TestReadOnlyStore(t *testing.T) {
	root := tmpfs(t, "1m")
	s, err := Open(root)
	require.NoError(t, err)
	require.NoError(t, s.Writable())
	require.NoError(t, measure(root, disk{}, true))
	require.NoError(t, syscall.Mount("", root, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	s, err = Open(root)
	require.NoError(t, err, "it can still be read")
	require.ErrorIs(t, s.Writable(), syscall.EROFS)
	require.ErrorContains(t, s.Writable(), root)
	_, err = s.NewRun(noon)
	require.ErrorIs(t, err, syscall.EROFS)
	ids, err := s.Runs()
	require.NoError(t, err)
	holder, err := HolderOf(s.RunDir(ids[0]))
	require.NoError(t, err)
	require.Nil(t, holder)
}
