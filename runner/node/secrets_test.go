package node

import (
	"os"
	"path/filepath"
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
	require.Equal(t, []string{"PATH=/bin", "A=PASSWORD=x"}, withoutSecrets([]string{"PATH=/bin", "OS_PASSWORD=x", "A=PASSWORD=x", "MY_TOKEN"}))
}

func TestHide(t *testing.T) {
	s := SecretsOf([]string{"A_TOKEN=abcdefgh", "B_TOKEN=abcdefghijkl", "C_TOKEN=short", "PLAIN=plain text", "D_KEY=-----BEGIN\nfirst line\nshort\nsecond line\n-----END"})
	require.Equal(t, "x [secret A_TOKEN] [secret B_TOKEN]! short plain text", s.Hide("x abcdefgh abcdefghijkl! short plain text"))
	require.Equal(t, "[secret D_KEY]\nshort\n[secret D_KEY]", s.Hide("first line\nshort\nsecond line"))
	require.Equal(t, "abcdefgh", Secrets(nil).Hide("abcdefgh"))

	path := filepath.Join(t.TempDir(), "log")
	require.Error(t, s.HideIn(path))
	for _, before := range []int{0, 10, 1<<18 - 4, 1 << 18, 1 << 19} {
		text := strings.Repeat(".", before) + "abcdefghijkl" + strings.Repeat(".", 1<<18)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, s.HideIn(path))
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, s.Hide(text), string(got), before)
		require.NotContains(t, string(got), "abcdefgh")
	}
}
