package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"reprise/runner/node"
	"reprise/runner/node/remote"
)

// nodeFlags say where steps run.
type nodeFlags struct {
	on        string
	sshConfig string
	programs  []string
}

func (f *nodeFlags) flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.on, "on", "local", "where steps run: local, or ssh:[user@]host[:port][,…]")
	flags.StringVar(&f.sshConfig, "ssh-config", "", "`file` in ssh_config's format (default ~/.ssh/config)")
	flags.StringArrayVar(&f.programs, "program", nil, "reprise built for another platform, for hosts of it; may be repeated")
}

// nodes are the machines that steps run on.
type nodes []node.Node

// kill ends all running commands at once.
func (ns nodes) kill() {
	var wait sync.WaitGroup
	for _, n := range ns {
		wait.Go(n.Kill)
	}
	wait.Wait()
}

func (ns nodes) close() {
	for _, n := range ns {
		if c, is := n.(interface{ Close() error }); is {
			_ = c.Close()
		}
	}
}

// openNodes connects to all the machines that --on names, which have to be of
// one platform: results are kept apart by it.
func (a *app) openNodes(ctx context.Context, f nodeFlags) (nodes, error) {
	if f.on == "" || f.on == "local" {
		return nodes{node.NewLocal()}, nil
	}
	list, ok := strings.CutPrefix(f.on, "ssh:")
	if !ok {
		return nil, fail(ExitUsage, fmt.Errorf("--on %q is no place to run", f.on), "write --on local or --on ssh:user@host,user@other")
	}
	targets := strings.Split(list, ",")
	seen := map[string]bool{}
	for _, target := range targets {
		if target == "" || seen[target] {
			return nil, fail(ExitUsage, fmt.Errorf("--on %q names a host twice or not at all", f.on))
		}
		seen[target] = true
	}
	way, err := a.ssh(f)
	if err != nil {
		return nil, fail(ExitInfrastructure, err)
	}
	opened := make(nodes, len(targets))
	errs := make([]error, len(targets))
	var wait sync.WaitGroup
	for i, target := range targets {
		wait.Go(func() {
			n, err := remote.OpenSSH(ctx, target, way)
			if err != nil {
				errs[i] = err
				return
			}
			opened[i] = n
		})
	}
	wait.Wait()
	var ready nodes
	var hints []string
	for i, n := range opened {
		var hinting interface{ Hint() string }
		switch {
		case n != nil:
			ready = append(ready, n)
		case errors.As(errs[i], &hinting):
			hints = append(hints, hinting.Hint())
		}
	}
	if err := errors.Join(errs...); err != nil {
		ready.close()
		if ctx.Err() != nil {
			return nil, fail(ExitInterrupted, errInterrupted)
		}
		return nil, fail(ExitInfrastructure, err, hints...)
	}
	for _, n := range ready[1:] {
		if was, is := ready[0].Machine().Platform(), n.Machine().Platform(); was != is {
			ready.close()
			return nil, fail(ExitUsage, fmt.Errorf("%s is %s and %s is %s", ready[0].Name(), was, n.Name(), is), "run on hosts of one platform at a time: their results are kept apart")
		}
	}
	return ready, nil
}

// ssh is how this user reaches hosts.
func (a *app) ssh(f nodeFlags) (remote.SSH, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return remote.SSH{}, err
	}
	me, err := user.Current()
	if err != nil {
		return remote.SSH{}, err
	}
	config := f.sshConfig
	if config == "" {
		config = filepath.Join(home, ".ssh", "config")
	} else if _, err := os.Stat(config); err != nil {
		return remote.SSH{}, err
	}
	way := remote.SSH{
		User: me.Username, Home: home, Config: config, Agent: a.getenv("SSH_AUTH_SOCK"), Programs: f.programs,
		KnownHosts: []string{filepath.Join(home, ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"},
	}
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		way.Identities = append(way.Identities, filepath.Join(home, ".ssh", name))
	}
	return way, nil
}

// How steps are tried again whose host fails.
const (
	stepAttempts = 3
	firstBackoff = time.Second
)
