package public

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSets(t *testing.T) {
	sets, err := Sets()
	require.NoError(t, err)
	require.NotEmpty(t, sets)
	root := os.Getenv("REPRISE_TRACES")
	for _, s := range sets {
		require.NotEmpty(t, s.About, s.Name)
		require.NotEmpty(t, s.Source, s.Name)
		if size, got, err := digest(context.Background(), filepath.Join(root, s.File)); root != "" && err == nil {
			require.Equal(t, s.SHA256, got, s.Name)
			require.Equal(t, s.Size, size, s.Name)
		}
	}
}

func TestRead(t *testing.T) {
	const good = "- {name: a, file: x/a.bin, url: 'https://example.org/a', licence: MIT}\n"
	_, err := Read(strings.NewReader(good))
	require.NoError(t, err)
	for text, message := range map[string]string{
		good + good: "a: listed twice",
		"- {name: A, file: a, url: 'https://e.org/a', licence: x}":              `entry 1: name "A"`,
		"- {name: a, file: ../a, url: 'https://e.org/a', licence: x}":           "does not lie below",
		"- {name: a, file: /a, url: 'https://e.org/a', licence: x}":             "does not lie below",
		"- {name: a, file: fetched.lock, url: 'https://e.org/a', licence: x}":   "does not lie below",
		"- {name: a, file: a, url: 'ftp://e.org/a', licence: x}":                "not an http",
		"- {name: a, file: a, url: 'https://e.org/a', licence: x, sha256: abc}": "not 64 digits",
		"- {name: a, file: a, url: 'https://e.org/a', licence: x, size: -1}":    "negative",
		"- {name: a, file: a, url: 'https://e.org/a'}":                          "no licence",
		"- {name: a, fiel: a}": "field fiel not found",
		"{":                    "yaml",
	} {
		_, err := Read(strings.NewReader(text))
		require.ErrorContains(t, err, message, text)
	}
}

// server serves data, and cuts a connection after so many bytes as cut gives.
type server struct {
	data     []byte
	etag     string
	noRanges bool
	cut      func(request int) int // −1: not at all
	requests atomic.Int64
	ranges   atomic.Int64
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := int(s.requests.Add(1))
	if s.noRanges {
		r.Header.Del("Range")
	}
	if r.Header.Get("Range") != "" {
		s.ranges.Add(1)
	}
	if s.etag != "" {
		w.Header().Set("ETag", s.etag)
	}
	if s.cut != nil {
		if left := s.cut(n); left >= 0 {
			w = &cutter{w, left}
		}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.data))
}

type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	if n > 0 {
		if _, err := c.ResponseWriter.Write(p[:n]); err != nil {
			return 0, err
		}
	}
	if c.left -= n; c.left == 0 {
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, nil
}

func data(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func start(t *testing.T, s *server) (*Client, Set) {
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	c := &Client{HTTP: web.Client(), Dir: t.TempDir(), Tries: 3, Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
	return c, Set{Name: "x", File: "sub/x.bin", URL: web.URL + "/x.bin", Size: int64(len(s.data)), SHA256: sum(s.data), Licence: "none"}
}

func TestFetchOverBrokenConnections(t *testing.T) {
	s := &server{data: data(1 << 20), etag: `"v1"`, cut: func(n int) int {
		if n < 6 {
			return 100_000 + n
		}
		return -1
	}}
	c, set := start(t, s)
	var last int64
	c.Progress = func(done, total int64) {
		require.Greater(t, done, last)
		require.Equal(t, set.Size, total)
		last = done
	}
	o, err := c.Fetch(context.Background(), set)
	require.NoError(t, err)
	got, err := os.ReadFile(o.Path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(s.data, got))
	require.EqualValues(t, 6, s.requests.Load())
	require.EqualValues(t, 5, s.ranges.Load())
	left, err := filepath.Glob(filepath.Join(c.Dir, "sub", "*"))
	require.NoError(t, err)
	require.Equal(t, []string{o.Path}, left)

	o, err = c.Fetch(context.Background(), set)
	require.NoError(t, err)
	require.True(t, o.Present)
	require.EqualValues(t, 6, s.requests.Load())
}

func TestFetchGoesOnInAnotherProcess(t *testing.T) {
	s := &server{data: data(500_000), etag: `"v1"`, cut: func(n int) int {
		if n == 1 {
			return 200_000
		}
		return -1
	}}
	c, set := start(t, s)
	c.Tries = 1
	_, err := c.Fetch(context.Background(), set)
	require.ErrorContains(t, err, "200000 bytes are kept in")
	c.Tries = 3
	o, err := c.Fetch(context.Background(), set)
	require.NoError(t, err)
	require.EqualValues(t, 200_000, o.Resumed)

	// A part of another version is not gone on with.
	require.NoError(t, os.Rename(o.Path, o.Path+".part"))
	require.NoError(t, os.WriteFile(o.Path+".part", []byte("old"), 0o644))
	require.NoError(t, os.WriteFile(o.Path+".part.etag", []byte("\"v0\"\n"), 0o644))
	o, err = c.Fetch(context.Background(), set)
	require.NoError(t, err)
	require.Zero(t, o.Resumed)

	// A part that is whole already.
	require.NoError(t, os.Rename(o.Path, o.Path+".part"))
	before := s.requests.Load()
	_, err = c.Fetch(context.Background(), set)
	require.NoError(t, err)
	require.Equal(t, before, s.requests.Load())
}

func TestFetchWithoutRanges(t *testing.T) {
	s := &server{data: data(300_000), noRanges: true, cut: func(n int) int {
		if n == 1 {
			return 100_000
		}
		return -1
	}}
	c, set := start(t, s)
	_, err := c.Fetch(context.Background(), set)
	require.NoError(t, err)
}

func TestFetchRefusesAMismatch(t *testing.T) {
	s := &server{data: data(1000)}
	c, set := start(t, s)
	set.SHA256 = sum([]byte("other"))
	o, err := c.Fetch(context.Background(), set)
	var mismatch *MismatchError
	require.ErrorAs(t, err, &mismatch)
	require.False(t, mismatch.Kept)
	require.ErrorContains(t, err, "published is "+set.SHA256)
	require.NoFileExists(t, o.Path)
	require.NoFileExists(t, o.Path+".part")

	// A file of that name that somebody put there stays.
	require.NoError(t, os.WriteFile(o.Path, []byte("mine"), 0o644))
	_, err = c.Fetch(context.Background(), set)
	require.ErrorAs(t, err, &mismatch)
	require.True(t, mismatch.Kept)
	require.FileExists(t, o.Path)
	require.NoError(t, os.Remove(o.Path))

	set.Size++
	_, err = c.Fetch(context.Background(), set)
	require.ErrorContains(t, err, "has 1000 bytes, 1001 are expected")
}

func TestFetchTrustsTheFirst(t *testing.T) {
	s := &server{data: data(1000)}
	c, set := start(t, s)
	set.SHA256, set.Size = "", 0
	o, err := c.Fetch(context.Background(), set)
	require.NoError(t, err)
	require.True(t, o.Trusted)
	require.Equal(t, sum(s.data), o.SHA256)

	require.NoError(t, os.Remove(o.Path))
	o, err = c.Fetch(context.Background(), set)
	require.NoError(t, err)
	require.False(t, o.Trusted)

	require.NoError(t, os.Remove(o.Path))
	s.data[7]++
	_, err = c.Fetch(context.Background(), set)
	var mismatch *MismatchError
	require.ErrorAs(t, err, &mismatch)
	require.True(t, mismatch.Locked)
}

func TestFetchErrors(t *testing.T) {
	s := &server{data: data(1000)}
	c, set := start(t, s)
	missing := set
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	missing.URL = web.URL
	_, err := c.Fetch(context.Background(), missing)
	require.ErrorContains(t, err, "404 Not Found")
	web.Close()
	waits := 0
	c.Wait = func(context.Context, time.Duration) error { waits++; return nil }
	_, err = c.Fetch(context.Background(), missing)
	require.Error(t, err)
	require.Equal(t, 2, waits)

	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("enough")
	cancel(stop)
	_, err = c.Fetch(ctx, set)
	require.ErrorIs(t, err, stop)

	require.NoError(t, os.WriteFile(filepath.Join(c.Dir, LockName), []byte("nonsense\n"), 0o644))
	set.SHA256 = ""
	_, err = c.Fetch(context.Background(), set)
	require.ErrorContains(t, err, "line 1 is not")
}

func FuzzRead(f *testing.F) {
	f.Add(builtin)
	f.Fuzz(func(t *testing.T, text []byte) {
		sets, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		for _, s := range sets {
			require.True(t, filepath.IsLocal(filepath.FromSlash(s.File)))
		}
	})
}
