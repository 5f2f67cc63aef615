package cmd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInventory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts.yaml")
	read := func(text string) (nodeFlags, error) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return readInventory(nodeFlags{on: path})
	}
	require.True(t, isInventory(path))
	require.False(t, isInventory("ssh:me@node1"))
	f, err := read("hosts: [me@node1, 'node2:2222']\nssh_config: conf\n")
	require.NoError(t, err)
	require.Equal(t, "ssh:me@node1,node2:2222", f.on)
	require.Equal(t, filepath.Join(filepath.Dir(path), "conf"), f.sshConfig)
	require.Nil(t, f.roles)
	f, err = read("roles: {server: [c], client: [me@a, 'b:2222']}\n")
	require.NoError(t, err)
	require.Equal(t, "ssh:me@a,b:2222,c", f.on)
	require.Equal(t, []string{"client", "client", "server"}, f.roles)
	for text, want := range map[string]string{
		"": "empty", "hosts: []": "no hosts", "host: [a]": "field host not found", "hosts: ['a b']": "is no host", "hosts: {a: b}": "cannot unmarshal",
		"{hosts: [a], roles: {server: [b]}}": "both with and without a role", "roles: {server: []}": "no hosts",
	} {
		_, err := read(text)
		require.ErrorContains(t, err, want, text)
	}
	_, err = readInventory(nodeFlags{on: "none.yaml"})
	require.ErrorContains(t, err, "none.yaml")
}
