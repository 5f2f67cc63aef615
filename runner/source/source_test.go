package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/stretchr/testify/require"

	"reprise/artifacts"
)

// repository makes a git repository with two commits and gives their hashes.
func repository(t *testing.T) (dir, first, second string) {
	t.Helper()
	dir = t.TempDir()
	repo, err := git.PlainInit(dir, false)
	require.NoError(t, err)
	tree, err := repo.Worktree()
	require.NoError(t, err)
	commit := func(text string) string {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "run.sh"), []byte(text), 0o600))
		_, err := tree.Add("run.sh")
		require.NoError(t, err)
		hash, err := tree.Commit(text, &git.CommitOptions{Author: &object.Signature{Name: "a", Email: "a@example.org", When: time.Unix(1, 0)}})
		require.NoError(t, err)
		return hash.String()
	}
	return dir, commit("one"), commit("two")
}

func TestGitAtPinnedCommit(t *testing.T) {
	dir, first, second := repository(t)
	c := Cache{t.TempDir()}
	for _, want := range []struct{ commit, text string }{{first, "one"}, {second, "two"}} {
		s := artifacts.Source{Git: dir, Commit: want.commit}
		path, err := c.Fetch(context.Background(), &artifacts.Manifest{}, "upstream", s)
		require.NoError(t, err)
		text, err := os.ReadFile(filepath.Join(path, "run.sh"))
		require.NoError(t, err)
		require.Equal(t, want.text, string(text))
	}
	// What has been fetched needs the repository no more.
	require.NoError(t, os.RemoveAll(dir))
	_, err := c.Fetch(context.Background(), &artifacts.Manifest{}, "upstream", artifacts.Source{Git: dir, Commit: first})
	require.NoError(t, err)
}

func TestGitUnknownCommit(t *testing.T) {
	dir, _, _ := repository(t)
	c := Cache{t.TempDir()}
	_, err := c.Fetch(context.Background(), &artifacts.Manifest{}, "upstream", artifacts.Source{Git: dir, Commit: "0123456789012345678901234567890123456789"})
	require.ErrorContains(t, err, "does not have this commit")
	left, err := filepath.Glob(filepath.Join(c.Dir, "git", "*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestArchiveDigest(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/trace.bin" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte("data"))
	}))
	defer server.Close()
	sum := sha256.Sum256([]byte("data"))
	good := hex.EncodeToString(sum[:])
	c := Cache{t.TempDir()}
	ctx := context.Background()

	path, err := c.Fetch(ctx, &artifacts.Manifest{}, "t", artifacts.Source{Archive: server.URL + "/trace.bin", SHA256: good})
	require.NoError(t, err)
	require.Equal(t, "trace.bin", filepath.Base(path))

	_, err = c.Fetch(ctx, &artifacts.Manifest{}, "t", artifacts.Source{Archive: server.URL + "/trace.bin", SHA256: good[:62] + "00"})
	require.ErrorContains(t, err, "the manifest pins")
	_, err = c.Fetch(ctx, &artifacts.Manifest{}, "t", artifacts.Source{Archive: server.URL + "/gone", SHA256: good[:60] + "0000"})
	require.ErrorContains(t, err, "404")
}

func TestPathKeyFollowsContent(t *testing.T) {
	m := &artifacts.Manifest{Dir: t.TempDir()}
	s := artifacts.Source{Path: "src"}
	file := filepath.Join(m.Dir, "src", "a.c")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte("1"), 0o600))
	before, err := Key(m, s)
	require.NoError(t, err)

	later := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(file, later, later))
	same, err := Key(m, s)
	require.NoError(t, err)
	require.Equal(t, before, same, "a time stamp is no content")

	require.NoError(t, os.WriteFile(file, []byte("2"), 0o600))
	changed, err := Key(m, s)
	require.NoError(t, err)
	require.NotEqual(t, before, changed)
	require.NoError(t, os.Rename(file, filepath.Join(m.Dir, "src", "b.c")))
	renamed, err := Key(m, s)
	require.NoError(t, err)
	require.NotEqual(t, changed, renamed)
}

func TestRepository(t *testing.T) {
	dir := t.TempDir()
	commit, state := Repository(dir)
	require.Equal(t, "", commit+state, "no repository")

	repo, err := git.PlainInit(dir, false)
	require.NoError(t, err)
	commit, state = Repository(dir)
	require.Equal(t, "", commit+state, "no commit")

	inside := filepath.Join(dir, "a", "b")
	require.NoError(t, os.MkdirAll(inside, 0o755))
	file := filepath.Join(inside, "artifact.yaml")
	require.NoError(t, os.WriteFile(file, []byte("one"), 0o600))
	tree, err := repo.Worktree()
	require.NoError(t, err)
	_, err = tree.Add("a/b/artifact.yaml")
	require.NoError(t, err)
	hash, err := tree.Commit("x", &git.CommitOptions{Author: &object.Signature{Name: "n", Email: "e", When: time.Unix(0, 0)}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "untracked"), nil, 0o600))
	commit, state = Repository(inside)
	require.Equal(t, hash.String(), commit)
	require.Equal(t, "clean", state, "what is not tracked does not count")

	require.NoError(t, os.WriteFile(file, []byte("two"), 0o600))
	_, state = Repository(inside)
	require.Equal(t, "changed", state)
	_, err = tree.Add("a/b/artifact.yaml")
	require.NoError(t, err)
	_, state = Repository(inside)
	require.Equal(t, "changed", state, "staged only")
}
