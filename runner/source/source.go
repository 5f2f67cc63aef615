// Package source brings an artifact's sources to this machine at the commit or
// digest its manifest pins, once per store.
package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"

	"reprise/artifacts"
	"reprise/runner/store"
)

// Cache is a folder of fetched sources.
type Cache struct{ Dir string }

// Fetch gives the folder (git) or file (archive) of a source, fetching it if
// it is not there yet. A path source is used where it stands.
func (c Cache) Fetch(ctx context.Context, m *artifacts.Manifest, name string, s artifacts.Source) (string, error) {
	switch {
	case s.Git != "":
		return c.git(ctx, s)
	case s.Archive != "":
		return c.archive(ctx, s)
	case s.Path != "":
		return localPath(m, s)
	}
	return "", fmt.Errorf("source %s needs git, archive or path", name)
}

func localPath(m *artifacts.Manifest, s artifacts.Source) (string, error) {
	if filepath.IsAbs(s.Path) {
		return s.Path, nil
	}
	if m.Dir == "" {
		return "", fmt.Errorf("path %s: an embedded manifest has no folder", s.Path)
	}
	return filepath.Abs(filepath.Join(m.Dir, s.Path))
}

// Key digests the files of a path source as store.DigestTree does.
func Key(m *artifacts.Manifest, s artifacts.Source) (string, error) {
	root, err := localPath(m, s)
	if err != nil {
		return "", err
	}
	sum, _, err := store.DigestTree(root)
	return sum, err
}

// Repository says at which commit the git repository is that a folder lies in, and
// whether its tracked files are "clean" or "changed" since; "" where that is not
// known: there is no repository, or it is too large to look through before a run.
func Repository(folder string) (commit, state string) {
	const mostFiles = 20_000
	repo, err := git.PlainOpenWithOptions(folder, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if err != nil {
		return "", ""
	}
	head, err := repo.Head()
	if err != nil {
		return "", ""
	}
	commit = head.Hash().String()
	index, err := repo.Storer.Index()
	if err != nil || len(index.Entries) > mostFiles {
		return commit, ""
	}
	tree, err := repo.Worktree()
	if err != nil {
		return commit, "" // bare
	}
	files, err := tree.Status()
	if err != nil {
		return commit, ""
	}
	for _, f := range files {
		if f.Worktree != git.Untracked && (f.Worktree != git.Unmodified || f.Staging != git.Unmodified) {
			return commit, "changed"
		}
	}
	return commit, "clean"
}

// git checks the pinned commit out into a folder of its own. The folder gets
// its name only when it is whole, so a fetch cut short is made again.
func (c Cache) git(ctx context.Context, s artifacts.Source) (string, error) {
	final := filepath.Join(c.Dir, "git", s.Commit)
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return "", err
	}
	temporary, err := os.MkdirTemp(filepath.Dir(final), ".fetch-*")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(temporary) }()
	if err := checkout(ctx, temporary, s); err != nil {
		return "", fmt.Errorf("git %s at %.12s: %w", s.Git, s.Commit, err)
	}
	if err := os.Rename(temporary, final); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return final, nil
}

func checkout(ctx context.Context, dir string, s artifacts.Source) error {
	repo, err := git.PlainInit(dir, false)
	if err != nil {
		return err
	}
	remote, err := repo.CreateRemote(&config.RemoteConfig{Name: "origin", URLs: []string{s.Git}})
	if err != nil {
		return err
	}
	// The commit alone is asked for first; a server that refuses to serve a
	// commit by its hash is asked for its branches and tags.
	hash := plumbing.NewHash(s.Commit)
	err = remote.FetchContext(ctx, &git.FetchOptions{
		Depth: 1, Tags: git.NoTags,
		RefSpecs: []config.RefSpec{config.RefSpec(s.Commit + ":refs/heads/pinned")},
	})
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err = remote.FetchContext(ctx, &git.FetchOptions{Tags: git.AllTags})
	}
	if err != nil {
		return err
	}
	if _, err := repo.CommitObject(hash); err != nil {
		return errors.New("the repository does not have this commit")
	}
	tree, err := repo.Worktree()
	if err != nil {
		return err
	}
	return tree.Checkout(&git.CheckoutOptions{Hash: hash})
}

// archive downloads a file and keeps it only if its digest is the pinned one.
func (c Cache) archive(ctx context.Context, s artifacts.Source) (string, error) {
	address, err := url.Parse(s.Archive)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(c.Dir, "archive", s.SHA256)
	final := filepath.Join(dir, path.Base(address.Path))
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	body, err := open(ctx, address)
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	temporary, err := os.CreateTemp(dir, ".fetch-*")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(temporary, h), body)
	if err := errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return "", fmt.Errorf("download %s: %w", s.Archive, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != s.SHA256 {
		return "", fmt.Errorf("download %s: its SHA-256 is %s, the manifest pins %s", s.Archive, got, s.SHA256)
	}
	return final, os.Rename(temporary.Name(), final)
}

func open(ctx context.Context, address *url.URL) (io.ReadCloser, error) {
	if address.Scheme == "file" {
		return os.Open(address.Path)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("download %s: %s", address, response.Status), response.Body.Close())
	}
	return response.Body, nil
}
