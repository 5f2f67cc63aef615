package chameleon

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSnapshot runs what stands for cc-snapshot on the node: it finds the login
// in its environment, and nobody finds it among the processes' arguments.
func TestSnapshot(t *testing.T) {
	b := newBed(t)
	p := b.provider(t)
	d, err := p.Up(t.Context(), b.plan(t, 1), UpOptions{})
	require.NoError(t, err)
	bin := filepath.Join(b.SSH.Home, "bin")
	require.NoError(t, os.MkdirAll(bin, 0o755))
	for name, script := range map[string]string{
		"sudo":        "#!/bin/sh\nshift 2\nexec \"$@\"\n",
		"cc-snapshot": "#!/bin/sh\necho \"$@\" >\"$HOME/args\"; ps -A -o args >\"$HOME/processes\"; env >\"$HOME/env\"; echo \"uploading $OS_PASSWORD\"\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755))
	}
	said, err := p.Snapshot(t.Context(), d, 0, "with-kernel-6.0")
	require.NoError(t, err)
	require.Equal(t, "uploading [secret]\n", said)
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(b.SSH.Home, name))
		require.NoError(t, err)
		return string(data)
	}
	require.Equal(t, "-y with-kernel-6.0\n", read("args"))
	require.Contains(t, read("env"), "OS_PASSWORD="+b.Password+"\n")
	require.Contains(t, read("env"), "OS_PROJECT_NAME="+b.Project+"\n")
	require.Contains(t, read("processes"), "cc-snapshot")
	require.NotContains(t, read("processes"), b.Password)
	b.noSecretIn(t, nil)

	_, err = p.Snapshot(t.Context(), d, 0, "x'; reboot")
	require.Equal(t, Invalid, KindOf(err))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "cc-snapshot"), []byte("#!/bin/sh\necho no space with $OS_PASSWORD; exit 3\n"), 0o755))
	_, err = p.Snapshot(t.Context(), d, 0, "again")
	require.ErrorContains(t, err, "no space with [secret]")
	require.NoError(t, p.Down(d))
}
