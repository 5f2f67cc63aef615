package node

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSecretNames(t *testing.T) {
	for _, name := range []string{"OS_PASSWORD", "OS_APPLICATION_CREDENTIAL_SECRET", "GITHUB_TOKEN", "apiKey", "AWS_SECRET_ACCESS_KEY", "SSH_KEY_PASSPHRASE", "PGPASSWORD", "DB_PASSWD", "TOKENS"} {
		require.True(t, IsSecret(name), name)
	}
	for _, name := range []string{"PATH", "TOKENIZERS_PARALLELISM", "KEYBOARD_LAYOUT", "KEYMAP", "REPRISE_TRACES", "OS_AUTH_URL", ""} {
		require.False(t, IsSecret(name), name)
	}
	require.Equal(t, []string{"PATH=/bin", "A=PASSWORD=x"}, withoutSecrets([]string{"PATH=/bin", "OS_PASSWORD=x", "A=PASSWORD=x", "MY_TOKEN", "LICENCE=x"}, []string{"LICENCE"}))
}

func TestHide(t *testing.T) {
	s := SecretsOf([]string{"A_TOKEN=abcdefgh", "B_TOKEN=abcdefghijkl", "C_TOKEN=short", "PLAIN=plain text", "D_KEY=-----BEGIN\nfirst line\nshort\nsecond line\n-----END"})
	require.Equal(t, "x [secret A_TOKEN] [secret B_TOKEN]! short plain text", s.Hide("x abcdefgh abcdefghijkl! short plain text"))
	require.Equal(t, "[secret D_KEY]\nshort\n[secret D_KEY]", s.Hide("first line\nshort\nsecond line"))
	require.Equal(t, "abcdefgh", Secrets(nil).Hide("abcdefgh"))

	over := NewSecrets([]string{"A=abcabcabc", "B=bcabcabcd", "C=xabcabc"})
	require.Equal(t, "[secret C]-[secret A]", over.Hide("xabcabcabcd-abcabcabcabc"), "nothing is left of those that overlap")
}

// written gives what comes through a Writer that is written to in pieces.
func written(t *testing.T, s Secrets, pieces ...string) string {
	t.Helper()
	var b strings.Builder
	w := s.Writer(&b)
	for _, p := range pieces {
		n, err := io.WriteString(w, p)
		require.NoError(t, err)
		require.Equal(t, len(p), n)
		for _, one := range s {
			require.NotContains(t, b.String(), one.value)
		}
	}
	require.NoError(t, w.Close())
	return b.String()
}

// TestWriterHides cuts texts with secrets in two at every position, in three at
// every two, and in single bytes.
func TestWriterHides(t *testing.T) {
	s := NewSecrets([]string{"A_TOKEN=abcdefgh", "B_TOKEN=abcdefghijkl", "C=hijklmnop", "D=aaaaaaa", "E_KEY=-----BEGIN\nline of a key\nits other line\n-----END"})
	for text, want := range map[string]string{
		"x abcdefgh y":                 "x [secret A_TOKEN] y",
		"abcdefghijk":                  "[secret A_TOKEN]ijk",
		"abcdefghijkl":                 "[secret B_TOKEN]",
		"abcdefghijklmnop.":            "[secret B_TOKEN].",
		"abcdefgabcdefghabcdefgh":      "abcdefg[secret A_TOKEN][secret A_TOKEN]",
		"aaaaaaaaaaaaaaaaaa":           "[secret D]",
		"aaaaaa aaaaaaabcdefgh":        "aaaaaa [secret D]",
		"line of a key\nits other lin": "[secret E_KEY]\nits other lin",
		"\xff\x00abcdefgh\xfe":         "\xff\x00[secret A_TOKEN]\xfe",
		"abcdefg":                      "abcdefg",
	} {
		require.Equal(t, want, s.Hide(text))
		require.Equal(t, want, written(t, s, strings.Split(text, "")...))
		for i := range len(text) + 1 {
			require.Equal(t, want, written(t, s, text[:i], text[i:]), "%q cut at %d", text, i)
			for j := i; j <= len(text); j++ {
				require.Equal(t, want, written(t, s, text[:i], text[i:j], text[j:]), "%q cut at %d and %d", text, i, j)
			}
		}
	}
}

// FuzzWriter holds a text written in pieces against the same as a whole.
func FuzzWriter(f *testing.F) {
	f.Add("abababa", "babababa", "xabababababay", uint8(3))
	f.Add("secret of one", "one and two", "the secret of one and two", uint8(1))
	f.Fuzz(func(t *testing.T, a, b, text string, piece uint8) {
		s := NewSecrets([]string{"A=" + a, "B=" + b})
		if strings.ContainsAny(a+b, "[]") || slices.ContainsFunc(s, func(one secret) bool { return strings.Contains("[secret A] [secret B]", one.value) }) {
			t.Skip("what stands in a secret's place may make one")
		}
		text += a + b[:len(b)/2] + a
		var pieces []string
		for rest := text; rest != ""; {
			n := min(1+int(piece), len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		got := written(t, s, pieces...)
		require.Equal(t, s.Hide(text), got)
	})
}

// TestWriterHoldsBackLittle shows at once what cannot be a secret's beginning.
func TestWriterHoldsBackLittle(t *testing.T) {
	var b strings.Builder
	w := NewSecrets([]string{"A=abcdefgh"}).Writer(&b)
	for _, c := range []struct{ write, shown string }{{"1 abc", "1 "}, {"x", "1 abcx"}, {"abcdefg", "1 abcx"}, {"h", "1 abcx[secret A]"}, {"\n", "1 abcx[secret A]\n"}} {
		_, err := io.WriteString(w, c.write)
		require.NoError(t, err)
		require.Equal(t, c.shown, b.String())
	}
}

// BenchmarkWriter writes a log in pieces as a pipe gives them, with five secrets
// to look for.
func BenchmarkWriter(b *testing.B) {
	s := NewSecrets([]string{"A=ghp_0123456789abcdefghijklmnopqrstuvwx", "B=hunter2hunter2", "C=planted-token-4c", "D=hf_abcdefghijklmnop", "E=correct horse battery"})
	line := "step 12: read 4096 bytes at 1234567, latency 91.5 us, hit\n"
	piece := []byte(strings.Repeat(line, 1<<15/len(line)))
	w := s.Writer(io.Discard)
	b.SetBytes(int64(len(piece)))
	for b.Loop() {
		_, _ = w.Write(piece)
	}
}

// TestBlot overwrites secrets in files, wherever they stand.
func TestBlot(t *testing.T) {
	s := NewSecrets([]string{"A=abcdefgh", "B=abcdefghijkl"})
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "file")
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "plain"), []byte("abcdefg"), 0o644))
	require.NoError(t, os.Symlink("sub/file", filepath.Join(dir, "link")))
	for _, before := range []int{0, 10, 1<<18 - 4, 1 << 18, 1<<18 + 11, 1 << 19} {
		_ = os.Remove(path)
		dots := strings.Repeat(".", before)
		require.NoError(t, os.WriteFile(path, []byte(dots+"abcdefghijkl."+dots+"abcdefgh"), 0o400))
		held, err := s.Blot(dir)
		require.NoError(t, err)
		require.Equal(t, []string{"sub/file"}, held)
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, dots+"************."+dots+"********", string(got), before)
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o400), info.Mode())
		held, err = s.Blot(dir)
		require.NoError(t, err)
		require.Empty(t, held)
	}

	// What a file's other names stand for is not the step's.
	other := filepath.Join(t.TempDir(), "other")
	require.NoError(t, os.WriteFile(other, []byte("it is abcdefgh"), 0o600))
	require.NoError(t, os.Link(other, filepath.Join(dir, "linked")))
	held, err := s.Blot(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"linked"}, held)
	for path, want := range map[string]string{other: "it is abcdefgh", filepath.Join(dir, "linked"): "it is ********"} {
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
}
