package cmd

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A server that cuts the connection in the middle once, and a list that says
// what the file must be.
func TestTraceFetch(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
	asked := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 1 {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			_, _ = w.Write(content[:1000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	defer web.Close()
	dir := t.TempDir()
	catalogue := filepath.Join(dir, "list.yaml")
	list := func(digest string) {
		text := fmt.Sprintf("- {name: mine, file: a/mine.bin, url: '%s/mine.bin', sha256: '%s', size: %d, licence: none}\n", web.URL, digest, len(content))
		require.NoError(t, os.WriteFile(catalogue, []byte(text), 0o644))
	}
	run := func() (int, string, string) {
		var out, err bytes.Buffer
		a := &app{stdout: &out, stderr: &err, getenv: func(string) string { return "" }, now: time.Now}
		code := a.run([]string{"trace", "fetch", "mine", "--catalogue", catalogue, "--dir", dir})
		return code, out.String(), err.String()
	}
	list(fmt.Sprintf("%x", sha256.Sum256(content)))
	code, out, errors := run()
	require.Zero(t, code, errors)
	require.Contains(t, out, "mine.bin, 0.1 MiB, downloaded")
	require.Contains(t, errors, "mine: terms: none")
	require.Contains(t, errors, "the connection broke")
	got, err := os.ReadFile(filepath.Join(dir, "a", "mine.bin"))
	require.NoError(t, err)
	require.Equal(t, content, got)
	require.Equal(t, 2, asked)

	require.NoError(t, os.Remove(filepath.Join(dir, "a", "mine.bin")))
	list(fmt.Sprintf("%x", sha256.Sum256([]byte("another"))))
	code, _, errors = run()
	require.Equal(t, ExitInfrastructure, code)
	require.Contains(t, errors, "what was downloaded, and is dropped, has SHA-256")
	require.NoFileExists(t, filepath.Join(dir, "a", "mine.bin"))
}
