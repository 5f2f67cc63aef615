package runner

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/runner/event"
	"reprise/runner/store"
)

// mischief is a manifest of five steps, one after another on a bench with one job,
// the third of which does what sh says the first time.
func mischief(sh, once string) string {
	return head + `
  E1:
    title: t
    profiles: {kick: {compute: 20s}}
    matrix: {n: [1, 2, 3, 4, 5]}
    run:
      - name: a
        sh: |
          if [ ${n} = 3 ] && [ ! -e '` + once + `' ]; then echo >'` + once + `'; ` + sh + `; fi
          echo v=${n}
        extract: [{metric: v, regex: {line: "v=(?P<value>.*)"}}]
`
}

// goesOn runs the manifest again and requires that what had finished is reused.
func (b *bench) goesOn(yaml string, reused int) {
	b.t.Helper()
	sum := b.run(context.Background(), yaml, nil)
	require.Equal(b.t, reused, sum.Steps["reused"])
	require.Equal(b.t, 5-reused, sum.Steps["done"])
}

func TestRunFolderRemovedByAStep(t *testing.T) {
	b := newBench(t)
	b.engine.Jobs = 1
	yaml := mischief("rm -rf '"+b.engine.Store.Root()+"'/runs/*", filepath.Join(t.TempDir(), "once"))
	sum, err := b.try(context.Background(), yaml, nil)
	require.ErrorIs(t, err, store.ErrGone)
	var broken *BrokenError
	require.ErrorAs(t, err, &broken)
	require.Contains(t, broken.Hint(), "run the same again")
	require.Equal(t, map[string]int{"done": 2, "failed": 1, "cancelled": 2}, sum.Steps)
	require.Equal(t, event.InfrastructureFailure, b.finished("demo/E1/n=3/a").Class)
	b.goesOn(yaml, 2)
}

// TestWorkFolderRemovedByAStep is no matter for the run as a whole: the step
// keeps what it printed, and the next has a folder of its own.
func TestWorkFolderRemovedByAStep(t *testing.T) {
	b := newBench(t)
	b.engine.Jobs = 1
	yaml := mischief(`rm -rf "$PWD"`, filepath.Join(t.TempDir(), "once"))
	require.Equal(t, map[string]int{"done": 5}, b.run(context.Background(), yaml, nil).Steps)
	b.goesOn(yaml, 5)

	// Without its records it has not run; that is its own fault.
	b = newBench(t)
	b.engine.Jobs = 1
	yaml = mischief(`rm -rf "$(dirname "$PWD")"`, filepath.Join(t.TempDir(), "once"))
	require.Equal(t, map[string]int{"done": 4, "failed": 1}, b.run(context.Background(), yaml, nil).Steps)
	failed := b.finished("demo/E1/n=3/a")
	require.Equal(t, event.ExperimentFailure, failed.Class)
	require.Contains(t, failed.Error, "no such file or directory")
	b.goesOn(yaml, 4)
}

// TestDiskFullInMidRun has a step fill the store's disk.
func TestDiskFullInMidRun(t *testing.T) {
	root := t.TempDir()
	if err := syscall.Mount("reprise-test", root, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a file system to fill cannot be mounted (root can): %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(root, syscall.MNT_DETACH)) })
	b := newBench(t)
	var err error
	b.engine.Store, err = store.Open(root)
	require.NoError(t, err)
	b.engine.Jobs = 1
	filler := filepath.Join(root, "filler")
	yaml := mischief("dd if=/dev/zero of='"+filler+"' bs=4k 2>&1 || true", filepath.Join(t.TempDir(), "once"))
	sum, err := b.try(context.Background(), yaml, nil)
	require.ErrorIs(t, err, syscall.ENOSPC)
	var broken *BrokenError
	require.ErrorAs(t, err, &broken)
	require.Contains(t, broken.Hint(), "make room on the disk of "+root)
	require.Equal(t, 2, sum.Steps["done"])
	require.Equal(t, 2, sum.Steps["cancelled"], "nothing is measured that cannot be kept")
	log := filepath.Join(sum.Dir, store.EventsFile)

	require.NoError(t, os.Remove(filler))
	f, err := os.Open(log)
	require.NoError(t, err)
	for _, err := range event.Read(f) {
		require.NoError(t, err)
	}
	require.NoError(t, f.Close())
	b.goesOn(yaml, 2)
}
