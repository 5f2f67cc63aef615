package remote

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/node/nodetest"
)

// TestMain lets the test binary be the program that is shipped to a host, and a
// runner that tests kill.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "supervise" {
		if err := Supervise(context.Background(), os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 7 && os.Args[1] == "crash" {
		switch failed, err := runCrashPlan(os.Args[2], os.Args[3], SSH{User: os.Args[4], KnownHosts: os.Args[5:6], Identities: os.Args[6:]}); {
		case err != nil:
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		case failed > 0:
			os.Exit(nodetest.SomeFailed)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == "runner" {
		if err := asRunner(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// asRunner is what the test binary does as a runner, on systems whose tests kill
// one.
var asRunner func(args []string) error

func reach(s *nodetest.SSHD) SSH {
	return SSH{User: s.User, KnownHosts: []string{s.KnownHosts}, Identities: []string{s.Identity}}
}

func open(t *testing.T, s *nodetest.SSHD) *Node {
	t.Helper()
	n, err := OpenSSH(t.Context(), s.Target(), reach(s))
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.Close() })
	n.Grace = time.Second
	return n
}

func TestSSH(t *testing.T) {
	t.Parallel()
	nodetest.Run(t, open(t, nodetest.StartSSHD(t)))
}
