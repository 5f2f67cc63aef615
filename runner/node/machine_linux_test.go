package node

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFindMount(t *testing.T) {
	const table = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 22 0:44 / /data rw,noatime - xfs /dev/nvme0n1p1 rw,attr2
31 30 0:45 / /data/my\040runs rw - nfs4 filer:/export rw,vers=4.2
32 22 0:46 / /database rw - tmpfs tmpfs rw
33 22 0:47 / /data rw - btrfs /dev/nvme1n1 rw
`
	for folder, want := range map[string]Mount{
		"/home/x":         {Type: "ext4", Source: "/dev/sda1", Options: "rw,relatime,errors=remount-ro"},
		"/data":           {Type: "btrfs", Source: "/dev/nvme1n1", Options: "rw"}, // covers the first
		"/data/my runs/a": {Type: "nfs4", Source: "filer:/export", Options: "rw,vers=4.2"},
		"/databases":      {Type: "ext4", Source: "/dev/sda1", Options: "rw,relatime,errors=remount-ro"},
		"/database/a":     {Type: "tmpfs", Source: "tmpfs", Options: "rw"},
	} {
		got, ok := findMount(table, folder)
		require.True(t, ok, folder)
		require.Equal(t, want, got, folder)
	}
	_, ok := findMount("", "/")
	require.False(t, ok)
}

func TestNUMA(t *testing.T) {
	root := t.TempDir()
	for _, n := range []string{"0", "8", "10"} { // they need not follow each other
		dir := filepath.Join(root, "node"+n)
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "cpulist"), []byte(n+"-"+n+"9\n"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "meminfo"), []byte("Node "+n+" MemTotal:        1024 kB\nNode "+n+" MemFree: 1 kB\n"), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(root, "possible"), nil, 0o600))
	require.Equal(t, []NUMANode{{"0-09", 1 << 20}, {"8-89", 1 << 20}, {"10-109", 1 << 20}}, numa(root))
	require.Empty(t, numa(t.TempDir()))
}

func TestThisMachineIsDescribed(t *testing.T) {
	t.Setenv("GOGC", "off")
	t.Setenv("OS_PASSWORD", "secret")
	m := ThisMachine().On("work", t.TempDir())
	require.NotEmpty(t, m.Kernel)
	require.NotEmpty(t, m.CommandLine)
	require.Equal(t, "off", m.Environment["GOGC"])
	require.NotContains(t, m.Environment, "OS_PASSWORD")
	require.NotEmpty(t, m.Identity.Host)
	require.Len(t, m.Mounts, 1)
	require.NotEmpty(t, m.Mounts[0].Type)
	require.Equal(t, "a=1 ro", commandLine("a=1 ro -- --token secret\n"), "what goes to the first process is not the kernel's")
	documented, err := os.ReadFile("../../docs/records.md")
	require.NoError(t, err)
	for _, name := range Variables {
		require.Regexp(t, `[| ]`+name+`[| ]`, string(documented))
		require.NotRegexp(t, "(?i)pass|token|secret|key|proxy", name)
	}
}
