package cmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"reprise/artifacts"
	"reprise/runner/node"
	"reprise/runner/node/remote"
	"reprise/runner/slurm"
)

// nodeFlags say where steps run.
type nodeFlags struct {
	on        string
	sshConfig string
	programs  []string
	lease     leaseFlags
	sbatch    []string
	roles     []string // of an inventory's hosts, in order; nil where it gives none
}

func (f *nodeFlags) flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.on, "on", "", "where steps run: local, ssh:[user@]host[:port][,…], FILE.yaml of such hosts, slurm[:option=value,…], or chameleon[:PLATFORM] (default: the platform that the profile names, else local)")
	flags.StringArrayVar(&f.sbatch, "sbatch-arg", nil, "a further `argument` of sbatch, with --on slurm; may be repeated")
	flags.StringVar(&f.sshConfig, "ssh-config", "", "`file` in ssh_config's format (default ~/.ssh/config)")
	flags.StringArrayVar(&f.programs, "program", nil, "reprise built for another platform, for hosts of it; may be repeated")
	f.lease.flags(flags)
}

// placeKinds are what --on begins with, where it names no file.
var placeKinds = []string{"local", "ssh", "slurm", "chameleon"}

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

// names lists the nodes.
func (ns nodes) names() string {
	var list []string
	for _, n := range ns {
		list = append(list, n.Name())
	}
	return strings.Join(list, ", ")
}

func (ns nodes) close() {
	for _, n := range ns {
		if c, is := n.(interface{ Close() error }); is {
			_ = c.Close()
		}
	}
}

// spot is where experiments of a manifest run by their profile.
type spot struct {
	manifest    *artifacts.Manifest
	where       string // as --on has it
	experiments []string
}

// spots lists where the chosen experiments run by the platforms that their
// profile names, manifest by manifest.
func spots(manifests []*artifacts.Manifest, f runFlags) []spot {
	var list []spot
	for _, m := range manifests {
		on := map[string][]string{}
		for _, id := range m.ExperimentIDs() {
			profile, has := m.Experiments[id].Profiles[f.profile]
			if !has || len(f.only) > 0 && !slices.Contains(f.only, id) {
				continue
			}
			where := "local"
			switch p := m.Platforms[profile.Platform]; p.Provider {
			case "ssh":
				where = "ssh:" + strings.Join(p.Hosts, ",")
			case "chameleon":
				where = "chameleon:" + profile.Platform
			case "slurm":
				where = "slurm"
			}
			on[where] = append(on[where], id)
		}
		for _, where := range slices.Sorted(maps.Keys(on)) {
			list = append(list, spot{m, where, on[where]})
		}
	}
	return list
}

// place resolves where the experiments of the manifests run: where --on says,
// else on the platform that the profile of all of them names, else here.
func place(manifests []*artifacts.Manifest, f runFlags) (string, error) {
	if f.nodes.on != "" {
		return f.nodes.on, nil
	}
	on := map[string][]string{} // experiments by place
	for _, s := range spots(manifests, f) {
		for _, id := range s.experiments {
			on[s.where] = append(on[s.where], s.manifest.Artifact+"/"+id)
		}
	}
	wheres := slices.Sorted(maps.Keys(on))
	var all []string
	for _, where := range wheres {
		all = append(all, fmt.Sprintf("%s on %s", strings.Join(on[where], ", "), where))
	}
	switch len(wheres) {
	case 0:
		return "local", nil
	case 1:
		return wheres[0], nil
	}
	return "", fail(ExitUsage, fmt.Errorf("the %s profile runs in several places: %s", f.profile, strings.Join(all, "; ")),
		"run them one place at a time with --only, or all in one with --on; --dry-run shows one after the other")
}

// severally gives a run that is to be planned in several places as one of each;
// nil for one place. A parameter goes where it is taken, or everywhere if it is
// taken nowhere, which is then found out.
func severally(manifests []*artifacts.Manifest, f runFlags) (list []spot, flags []runFlags) {
	if f.nodes.on != "" {
		return nil, nil
	}
	list = spots(manifests, f)
	if !slices.ContainsFunc(list, func(s spot) bool { return s.where != list[0].where }) {
		return nil, nil
	}
	takes := func(s spot, param string) bool {
		name, _, _ := strings.Cut(param, "=")
		return slices.ContainsFunc(s.experiments, func(id string) bool {
			return slices.Contains(s.manifest.Experiments[id].ParamNames(f.profile), name)
		})
	}
	for _, s := range list {
		g := f
		g.nodes.on, g.only = s.where, s.experiments
		g.params = slices.DeleteFunc(slices.Clone(f.params), func(param string) bool {
			return !takes(s, param) && slices.ContainsFunc(list, func(o spot) bool { return takes(o, param) })
		})
		flags = append(flags, g)
	}
	return list, flags
}

// openNodes connects to all the machines that --on names, which have to be of
// one platform: results are kept apart by it.
func (a *app) openNodes(ctx context.Context, f nodeFlags, storeFlag string) (nodes, error) {
	if f.on == "" || f.on == "local" {
		return nodes{node.NewLocal()}, nil
	}
	if options, is := strings.CutPrefix(f.on, "slurm"); is && (options == "" || options[0] == ':') {
		return a.openSlurm(ctx, strings.TrimPrefix(options, ":"), f.sbatch, storeFlag)
	}
	if isInventory(f.on) {
		var err error
		if f, err = readInventory(f); err != nil {
			return nil, err
		}
	}
	list, ok := strings.CutPrefix(f.on, "ssh:")
	if !ok {
		kind, _, _ := strings.Cut(f.on, ":")
		return nil, fail(ExitUsage, fmt.Errorf("--on %q is no place to run", f.on), artifacts.DidYouMean(kind, placeKinds), "write --on local, --on ssh:user@host,user@other, --on slurm or --on chameleon:PLATFORM")
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
	return a.openSSH(ctx, targets, way)
}

// openSSH connects to hosts, all at once.
func (a *app) openSSH(ctx context.Context, targets []string, way remote.SSH) (nodes, error) {
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

// openSlurm opens this machine's Slurm; options are those of sbatch without
// their dashes. The spool folder is in the store, which the machines of the
// cluster have to share anyway: steps work in it.
func (a *app) openSlurm(ctx context.Context, options string, args []string, storeFlag string) (nodes, error) {
	var all []string
	for option := range strings.SplitSeq(options, ",") {
		if name, _, ok := strings.Cut(option, "="); ok && name != "" {
			if err := slurm.CheckOption(name); err != nil {
				return nil, fail(ExitUsage, fmt.Errorf("--on slurm:%s: %w", options, err))
			}
			all = append(all, "--"+option)
		} else if option != "" {
			return nil, fail(ExitUsage, fmt.Errorf("--on slurm:%s: %q has no value", options, option), "write --on slurm:partition=NAME,account=NAME; options without a value go in --sbatch-arg")
		}
	}
	root, err := a.storeDir(storeFlag)
	if err != nil {
		return nil, err
	}
	n, err := slurm.Open(ctx, slurm.Options{Spool: filepath.Join(root, "slurm"), Args: append(all, args...)})
	if err != nil {
		if ctx.Err() != nil {
			return nil, fail(ExitInterrupted, errInterrupted)
		}
		var option *slurm.OptionError
		if errors.As(err, &option) {
			return nil, fail(ExitUsage, err)
		}
		return nil, fail(ExitInfrastructure, err)
	}
	return nodes{n}, nil
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
