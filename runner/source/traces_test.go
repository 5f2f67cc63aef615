package source

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFolderKeyFollowsNamesAndContents(t *testing.T) {
	f := Folder{Root: t.TempDir(), Known: filepath.Join(t.TempDir(), "known.json")}
	key := func() string {
		key, err := f.Key()
		require.NoError(t, err)
		return key
	}
	long := time.Now().Add(-time.Hour)
	write := func(name, text string, at time.Time) string {
		path := filepath.Join(f.Root, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.Chtimes(path, at, at))
		return path
	}
	a := write("a", "1", long)
	one := key()
	require.Equal(t, one, key(), "from memory")

	write("a", "2", long.Add(time.Second))
	require.NotEqual(t, one, key(), "the size is the same")
	write("a", "1", long.Add(2*time.Second))
	require.Equal(t, one, key())

	// What has just been written may be written again within the same tick.
	now := time.Now()
	write("a", "3", now)
	three := key()
	write("a", "4", now)
	require.NotEqual(t, three, key())
	write("a", "1", long)

	require.NoError(t, os.Rename(a, filepath.Join(f.Root, "b")))
	require.NotEqual(t, one, key())
	require.NoError(t, os.Rename(filepath.Join(f.Root, "b"), a))
	require.Equal(t, one, key())

	// Links count as what they point to, and one to nothing not at all.
	require.NoError(t, os.Symlink(a, filepath.Join(f.Root, "link")))
	require.NotEqual(t, one, key())
	require.NoError(t, os.Remove(filepath.Join(f.Root, "link")))
	require.NoError(t, os.Symlink("nothing", filepath.Join(f.Root, "link")))
	require.Equal(t, one, key())

	// The digests that are remembered are those of the files that are there.
	write("c", "5", long)
	with := key()
	require.NoError(t, os.Remove(filepath.Join(f.Root, "c")))
	write("d", "6", long)
	key()
	var known map[string]remembered
	data, err := os.ReadFile(f.Known)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &known))
	require.Contains(t, known, a)
	require.NotContains(t, known, filepath.Join(f.Root, "c"))

	// Without a memory, or with a damaged one, the key is the same.
	require.NoError(t, os.Remove(filepath.Join(f.Root, "d")))
	write("c", "5", long)
	require.NoError(t, os.WriteFile(f.Known, []byte("{"), 0o600))
	require.Equal(t, with, key())
	f.Known = filepath.Join(f.Root, "no", "such", "folder")
	require.Equal(t, with, key())

	f.Root = filepath.Join(f.Root, "missing")
	_, err = f.Key()
	require.Error(t, err)
	none, err := Folder{}.Key()
	require.NoError(t, err)
	require.Empty(t, none)
}
