package remote

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/node"
	"reprise/runner/node/nodetest"
)

// BenchmarkCommand is the time a command that does nothing takes from Run's
// call to its return, on this machine and on a host over loopback: the
// difference is what a step pays for being elsewhere.
func BenchmarkCommand(b *testing.B) {
	s := nodetest.StartSSHD(b)
	there, err := OpenSSH(b.Context(), s.Target(), reach(s))
	require.NoError(b, err)
	defer func() { _ = there.Close() }()
	for _, n := range []node.Node{node.NewLocal(), there} {
		b.Run(map[bool]string{true: "local", false: "ssh"}[n.Name() == "local"], func(b *testing.B) {
			dir := b.TempDir()
			for b.Loop() {
				var out bytes.Buffer
				r, err := n.Run(b.Context(), node.Command{Argv: []string{"true"}, Dir: dir, Stdout: &out, Stderr: &out, Limit: time.Minute})
				if err != nil || r.ExitCode != 0 {
					b.Fatal(r, err)
				}
			}
		})
	}
}
