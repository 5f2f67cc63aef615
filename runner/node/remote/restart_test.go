//go:build linux

package remote

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/runner"
	"reprise/runner/device"
	"reprise/runner/node"
	"reprise/runner/node/nodetest"
)

// TestDevicesOverSSH sees on the other side what is seen here: it is the same
// machine.
func TestDevicesOverSSH(t *testing.T) {
	s := nodetest.StartSSHD(t)
	n, err := OpenSSH(t.Context(), s.Target(), reach(s))
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.Close() })
	there, err := n.Devices(t.Context())
	require.NoError(t, err)
	here, err := device.This()
	require.NoError(t, err)
	require.Equal(t, here, there)
}

// TestPrepareRestartsIntoAnotherKernel prepares a machine whose second step is
// a restart: it goes away, with all its processes and connections, comes back
// with another kernel, and the experiment runs there. The kernel's files of
// which the program reads its release and its start are the machine's own.
func TestPrepareRestartsIntoAnotherKernel(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	m := &machine{SSHD: nodetest.PrepareSSHD(t, "10.99.1.2:2022"), cable: "cable1", n: 1}
	release, bootID := filepath.Join(m.Home, "osrelease"), filepath.Join(m.Home, "boot_id")
	write := func(path, text string, mode os.FileMode) {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text+"\n"), mode))
	}
	write(release, "5.15.0-old", 0o644)
	write(bootID, "first", 0o644)
	m.first = []string{"sh", "-euc", fmt.Sprintf(`mount --bind %s /proc/sys/kernel/osrelease; mount --bind %s /proc/sys/kernel/random/boot_id; exec "$@"`, release, bootID), "sh"}
	asked := filepath.Join(m.Home, "asked")
	write(filepath.Join(m.Home, "bin", "reboot"), "#!/bin/sh\n: >"+asked, 0o755)
	// What the boot loader will start next, as a package's script would set it.
	next := filepath.Join(m.Home, "next-kernel")
	m.boot(t)
	n := m.node(t, time.Second)
	require.Equal(t, "5.15.0-old", n.Machine().Kernel)

	restarts := 0
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			if _, err := os.Stat(asked); err != nil {
				continue
			}
			restarts++
			_ = os.Remove(asked)
			m.halt(t)
			time.Sleep(300 * time.Millisecond) // it takes longer to boot than to answer
			write(bootID, fmt.Sprint("boot ", restarts), 0o644)
			if kernel, err := os.ReadFile(next); err == nil {
				require.NoError(t, os.WriteFile(release, kernel, 0o644))
			}
			m.boot(t)
		}
	})
	t.Cleanup(func() { close(stop); wait.Wait() })

	manifest, findings := artifacts.Load("artifact.yaml", fmt.Appendf(nil, `
reprise: 1
artifact: kernels
title: t
platforms:
  bare:
    provider: ssh
    hosts: [m]
    prepare:
      - {name: build, sh: "echo 6.0.0-heimdall >%s; echo built >>$HOME/built"}
      - {name: boot, reboot: "6.0.0-heim*", timeout: 60s}
      - {name: after, sh: "cat /proc/sys/kernel/osrelease >>$HOME/built"}
experiments:
  E1:
    title: t
    profiles: {paper: {compute: 90s, platform: bare}}
    run: [{name: a, sh: "grep -c 6.0.0-heimdall /proc/sys/kernel/osrelease", extract: [{metric: v, regex: {line: "(?P<value>.*)"}}]}]
`, next))
	require.NoError(t, findings.Err())
	var said []string
	p := &runner.Preparer{Manifest: manifest, Platform: "bare", Say: func(s string) { said = append(said, s) }}
	require.NoError(t, p.Prepare(t.Context(), []node.Node{n}), "%s", m.Log())
	require.Equal(t, 1, restarts)
	require.Equal(t, "6.0.0-heimdall", n.Machine().Kernel)

	// A second time nothing is left to do.
	said = nil
	require.NoError(t, p.Prepare(t.Context(), []node.Node{n}))
	require.Equal(t, 1, restarts)
	require.Equal(t, []string{
		n.Name() + ": build was done before", n.Name() + ": runs kernel 6.0.0-heimdall already", n.Name() + ": after was done before",
	}, said)
	built, err := os.ReadFile(filepath.Join(m.Home, "built"))
	require.NoError(t, err)
	require.Equal(t, "built\n6.0.0-heimdall\n", string(built))

	// A kernel that does not come up as asked is an error.
	bare := manifest.Platforms["bare"]
	bare.Prepare = append(bare.Prepare[:1:1], artifacts.Preparation{Name: "boot", Reboot: "7.*"})
	manifest.Platforms["bare"] = bare
	require.ErrorContains(t, p.Prepare(t.Context(), []node.Node{n}), "boot: after its restart "+n.Name()+" runs kernel 6.0.0-heimdall, not 7.*")
	require.Equal(t, 2, restarts)

	require.ErrorContains(t, p.Prepare(t.Context(), []node.Node{node.NewLocal()}), "the machine that reprise runs on is left as it is")
}
