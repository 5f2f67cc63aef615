package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"reprise/artifacts"
	"reprise/chameleon"
	"reprise/checks"
	"reprise/runner"
	"reprise/runner/event"
	"reprise/runner/node"
	"reprise/runner/node/remote"
	"reprise/runner/source"
	"reprise/runner/store"
	"reprise/tui"
)

type runFlags struct {
	profile  string
	only     []string
	params   []string
	jobs     int
	fresh    bool
	dryRun   bool
	json     bool
	headless bool
	store    string
	nodes    nodeFlags
	outputs  outputs
	looks    looks
	quiet    bool     // the terminal UI has the screen
	resumes  []string // the run that is gone on with, and those before it
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run [ARTIFACT|PATH …]",
		Short: "Run experiments and judge the claims they decide",
		Long: `Run the experiments of artifacts and print a verdict on every claim. Without an
argument every artifact that reprise ships is run; a PATH is a manifest or the
folder of one.

Results are kept by the content of what was run: parameters, commands, sources.
What has been measured before is reused; every step that does run says why.
Steps that ask for secrets, such as a token, are handed them from the environment;
--dry-run names them.
--on ssh:HOST,… runs the steps on other machines: reprise is copied there, each
step runs where most cores are free, exclusive ones alone, and goes on
where it is when the connection breaks or reprise is killed; the next run takes
it over. A step whose machine fails is tried again on another. Keys come from the
agent or key files, host keys have to be in known_hosts; of ~/.ssh/config HostName,
User, Port, IdentityFile, IdentitiesOnly, ProxyJump and UserKnownHostsFile are used.
--on slurm submits the steps to the cluster of this machine, as job arrays, with
the manifest's limits of time and memory, exclusive ones with --exclusive. The
store has to be on a file system that the cluster's machines share. When reprise
is killed the jobs go on, and the next run takes them over.

--on chameleon leases the platform of that provider on the Chameleon testbed,
boots it, runs there and gives everything back: at the end, when something
fails, and on Ctrl-C. The lease is sized by the budgets of what is going to be
measured; its cost is shown and has to be agreed to, and it is prolonged while
the run is alive, up to --max-su. Where a profile names such a platform it is
leased without --on. --dry-run shows every call and command, without network.

Ctrl-C stops the running steps and keeps what has finished; a second Ctrl-C
ends at once.

In a terminal the run is shown live: ? lists the keys. With --plain, in CI, with
TERM=dumb and where input or output is no terminal it prints a line for every
change instead.

Exit codes: 0 every decided claim reproduced, 1 a claim not or only partly
reproduced, 2 usage, 3 invalid manifest, 4 a step failed, 5 machine, disk or
network failed, 6 a claim could not be decided, 130 interrupted.`,
		Example: `  reprise run                                  every artifact, kick profile
  reprise run codesign --profile local         the scale for a laptop
  reprise run codesign --only E1 --param n=1M  one experiment, another length
  reprise run my/artifact --dry-run            what would run, and why
  reprise run codesign --on ssh:me@node1,me@node2   on two other machines
  reprise run heimdall --on chameleon --max-su 4 --yes   on leased hosts
  reprise run codesign --on slurm:partition=short,account=me
  reprise run --headless --json > events.jsonl for CI
  reprise run --headless --junit junit.xml --html report.html --github -`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.runArtifacts(cmd, args, f) },
	}
	f.flags(c)
	return c
}

func (f *runFlags) flags(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.profile, "profile", "kick", "scale of the run: kick, local or paper")
	among(flags, "profile", artifacts.ProfileNames...)
	flags.StringSliceVar(&f.only, "only", nil, "run these experiments only (E1,E3)")
	flags.StringArrayVar(&f.params, "param", nil, "set a parameter, `name=value`; a list a,b,c makes an axis; may be repeated")
	flags.IntVar(&f.jobs, "jobs", 0, "steps that run at once on each machine (default: one for each of its cores)")
	flags.BoolVar(&f.fresh, "fresh", false, "measure again whatever is stored")
	f.nodes.flags(flags)
	f.showFlags(c)
}

// showFlags are those that say how the run is shown and where it is kept, not
// what it is.
func (f *runFlags) showFlags(c *cobra.Command) {
	flags := c.Flags()
	flags.BoolVar(&f.dryRun, "dry-run", false, "print the steps and why each would run, and end")
	flags.BoolVar(&f.json, "json", false, "print the run's events as JSON, one object a line")
	flags.BoolVar(&f.headless, "headless", false, "never open the terminal UI")
	flags.BoolVar(&f.headless, "plain", false, "the same as --headless")
	f.outputs.flags(flags)
	storeFlag(c, &f.store)
	f.looks.flags(c)
}

func storeFlag(c *cobra.Command, store *string) {
	c.Flags().StringVar(store, "store", "", "folder of runs and results (default $REPRISE_STORE or the user's state folder)")
}

// command is the command line that makes the same run.
func (f runFlags) command(args []string) string {
	words := append([]string{"reprise", "run"}, args...)
	words = append(words, f.chosen()...)
	if f.store != "" {
		words = append(words, "--store", f.store)
	}
	for i, w := range words {
		if strings.ContainsAny(w, " \t\n'\"\\$&|;<>()*?[]#~`") {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// chosen are the flags that say what is run and on what.
func (f runFlags) chosen() []string {
	words := []string{"--profile", f.profile}
	if len(f.only) > 0 {
		words = append(words, "--only", strings.Join(f.only, ","))
	}
	for _, p := range f.params {
		words = append(words, "--param", p)
	}
	if f.fresh {
		words = append(words, "--fresh")
	}
	if f.nodes.on != "" {
		words = append(words, "--on", f.nodes.on)
	}
	for _, arg := range f.nodes.sbatch {
		words = append(words, "--sbatch-arg", arg)
	}
	return words
}

// recorded is the command line as the log has it: without where the records
// are, and with artifacts by their names.
func (f runFlags) recorded(manifests []*artifacts.Manifest) string {
	f.store = ""
	var names []string
	for _, m := range manifests {
		names = append(names, m.Artifact)
	}
	return f.command(names)
}

// args are the arguments that ask for the same run from any folder: whatever of
// the flags matters to it, with absolute paths.
func (f runFlags) args(manifests []*artifacts.Manifest) ([]string, error) {
	var words []string
	for _, m := range manifests {
		if m.Dir == "" {
			words = append(words, m.Artifact)
		} else {
			words = append(words, filepath.Join(m.Dir, filepath.Base(m.File)))
		}
	}
	var err error
	absolute := func(path string) string {
		path, bad := filepath.Abs(path)
		err = errors.Join(err, bad)
		return path
	}
	if isInventory(f.nodes.on) {
		f.nodes.on = absolute(f.nodes.on)
	}
	words = append(words, f.chosen()...)
	if f.jobs != 0 {
		words = append(words, "--jobs", strconv.Itoa(f.jobs))
	}
	if f.nodes.sshConfig != "" {
		words = append(words, "--ssh-config", absolute(f.nodes.sshConfig))
	}
	for _, program := range f.nodes.programs {
		words = append(words, "--program", absolute(program))
	}
	return append(words, f.nodes.lease.args()...), err
}

func (a *app) runArtifacts(cmd *cobra.Command, args []string, f runFlags) error {
	manifests, err := a.loadAll(args)
	if err != nil {
		return err
	}
	if list, flags := severally(manifests, f); f.dryRun && list != nil {
		for i, one := range list {
			if i > 0 && !f.json {
				fmt.Fprintln(a.stdout)
			}
			s, err := a.prepare(cmd.Context(), []*artifacts.Manifest{one.manifest}, flags[i])
			if err == nil {
				err = a.runSession(cmd.Context(), s, args, flags[i])
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	s, err := a.prepare(cmd.Context(), manifests, f)
	if err != nil {
		return err
	}
	return a.runSession(cmd.Context(), s, args, f)
}

// runSession executes what has been prepared, or with --dry-run prints it.
func (a *app) runSession(ctx context.Context, s *session, args []string, f runFlags) (err error) {
	if f.dryRun {
		defer s.nodes.close()
		if s.lease != nil {
			return a.printLeasedRun(s, f)
		}
		if !f.json {
			a.printPreparations(s)
		}
		return a.printPlan(s, f, false)
	}
	switch {
	case s.lease != nil && len(s.experimentsToRun()) > 0:
		held, bad := a.lease(ctx, *s.lease, f)
		if bad != nil {
			return bad
		}
		if err = s.on(held.nodes, held.seats(), nil); err == nil {
			s.engine.Leases = held.events
			err = held.attend(ctx, func(ctx context.Context) error {
				if err := a.ready(ctx, s); err != nil {
					return err
				}
				held.quiet(a.interactive() && !f.headless && !f.json)
				defer held.quiet(false)
				return a.show(ctx, s, args, f)
			})
		}
		err = held.release(err)
	default:
		if s.lease != nil {
			fmt.Fprintln(a.stderr, "everything has been measured before; nothing is leased")
		}
		if err = a.ready(ctx, s); err == nil {
			err = a.show(ctx, s, args, f)
		}
		s.nodes.close()
	}
	if err != nil {
		var known *exitError
		if errors.As(err, &known) {
			return err
		}
		return fail(ExitInfrastructure, err)
	}
	if !f.json {
		a.printVerdicts(s.artifacts(), s.summary.Verdicts, s.summary.Dir)
	}
	if err := f.outputs.write(a, s.summary.Dir); err != nil {
		return err
	}
	return f.ended(s.summary)
}

// ended is the error that ends the process as the run came to: nil if all is well.
func (f runFlags) ended(sum runner.Summary) error {
	code := exitCode(sum)
	resume := "reprise resume"
	if f.store != "" {
		resume += " --store " + f.store
	}
	switch code {
	case ExitOK:
		return nil
	case ExitInterrupted:
		return fail(code, nil, resume+" goes on where it stopped")
	case ExitStepFailed, ExitInfrastructure:
		return fail(code, nil, resume+" tries again what failed")
	}
	return fail(code, nil)
}

// choice is what the flags choose, as the terminal UI's form has it.
func (f runFlags) choice(names []string) *tui.Choice {
	c := &tui.Choice{Artifacts: names, Profile: f.profile, Only: f.only, Params: map[string]string{}, Fresh: f.fresh, On: f.nodes.on, SSHConfig: f.nodes.sshConfig}
	for _, p := range f.params {
		name, value, _ := strings.Cut(p, "=")
		c.Params[name] = value
	}
	return c
}

// preparers make the nodes ready for what the session is going to measure, by
// platform.
func (s *session) preparers(say func(string)) []*runner.Preparer {
	var list []*runner.Preparer
	ids := s.experimentsToRun()
	for _, m := range s.plan.Artifacts {
		for _, name := range slices.Sorted(maps.Keys(m.Platforms)) {
			named := func(step *runner.Step) bool {
				return step.Artifact == m.Artifact && slices.Contains(ids, step.Experiment) && m.Experiments[step.Experiment].Profiles[s.plan.Profile].Platform == name
			}
			if len(m.Platforms[name].Prepare) > 0 && slices.ContainsFunc(s.plan.Steps, named) {
				list = append(list, &runner.Preparer{Manifest: m, Platform: name, Fetch: s.engine.Fetch, Say: say})
			}
		}
	}
	return list
}

// ready prepares the session's nodes.
func (a *app) ready(ctx context.Context, s *session) error {
	for _, p := range s.preparers(func(message string) { fmt.Fprintln(a.stderr, message) }) {
		if err := p.Prepare(ctx, s.nodes); err != nil {
			if errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled) {
				return fail(ExitInterrupted, err)
			}
			return fail(ExitInfrastructure, err)
		}
	}
	return nil
}

// printPreparations shows what would be done to the nodes first.
func (a *app) printPreparations(s *session) {
	for _, p := range s.preparers(nil) {
		fmt.Fprintf(a.stdout, "preparation of each machine of platform %s, unless it has been done there:\n", p.Platform)
		for _, step := range p.Manifest.Platforms[p.Platform].Prepare {
			if step.Reboot != "" {
				fmt.Fprintf(a.stdout, "  %s: restart, unless uname -r is %s; it has to be then\n", step.Name, step.Reboot)
				continue
			}
			fmt.Fprintf(a.stdout, "  %s\n", step.Name)
			indented(a.stdout, runner.Script(step))
		}
	}
}

// show executes the session where somebody can watch it.
func (a *app) show(ctx context.Context, s *session, args []string, f runFlags) (err error) {
	a.onForcedExit(s.nodes.kill)
	switch {
	case f.json:
		lines := json.NewEncoder(a.stdout)
		return s.execute(ctx, func(e event.Event) { _ = lines.Encode(e) })
	case a.interactive() && !f.headless:
		c := &chooser{app: a, ctx: ctx, manifests: s.plan.Artifacts, flags: f, last: s}
		job := a.job(s, f.command(args))
		if s.lease == nil { // one on a lease is over when the lease is
			job.Choice = f.choice(s.artifacts())
		}
		err := a.live(ctx, f.looks, tui.Options{Job: job, Form: c.form()})
		*s = *c.last
		return err
	}
	plain := a.plain(a.stderr)
	defer plain.Close()
	return s.execute(ctx, plain.Show)
}

// session is a plan and what it takes to execute it, as often as asked.
type session struct {
	plan     *runner.Plan
	platform string // of the machines, as results are kept by it
	engine   *runner.Engine
	nodes    nodes
	lease    *chameleon.Plan // what has to be leased first; nil for nothing
	summary  runner.Summary  // of the last time
}

// prepare plans a run of the manifests.
func (a *app) prepare(ctx context.Context, manifests []*artifacts.Manifest, f runFlags) (*session, error) {
	params, err := parseParams(f.params)
	if err != nil {
		return nil, fail(ExitUsage, err, "write --param name=value")
	}
	if f.jobs < 0 {
		return nil, fail(ExitUsage, fmt.Errorf("--jobs %d: at least one step has to run", f.jobs))
	}
	if f.nodes.on, err = place(manifests, f); err != nil {
		return nil, err
	}
	if kind, _, _ := strings.Cut(f.nodes.on, ":"); kind == "chameleon" {
		s, err := a.prepareLease(manifests, params, f)
		if err == nil {
			err = a.handOver(s, f)
		}
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	where := f.nodes // the run's record has the file
	if isInventory(where.on) {
		if where, err = readInventory(where); err != nil {
			return nil, err
		}
	}
	on, err := a.openNodes(ctx, where, f.store)
	if err != nil {
		return nil, err
	}
	s, err := a.prepareFor(on[0].Machine().Platform(), manifests, params, f)
	if err == nil {
		err = s.on(on, on.seats(), where.roles)
	}
	if err == nil {
		err = a.handOver(s, f)
	}
	if err != nil {
		on.close()
		return nil, err
	}
	return s, nil
}

// prepareLease plans a run on nodes that are still to be leased. Of the lease,
// the machine has to be known in advance only by its platform.
func (a *app) prepareLease(manifests []*artifacts.Manifest, params map[string]any, f runFlags) (*session, error) {
	whole, err := a.leasePlan(manifests, f.nodes.on, f.only, f)
	if err != nil {
		return nil, err
	}
	s, err := a.prepareFor(imagePlatform(whole.Image), manifests, params, f)
	if err != nil {
		return nil, err
	}
	s.lease = &whole
	if ids := s.experimentsToRun(); len(ids) > 0 {
		if whole, err = a.leasePlan(manifests, f.nodes.on, ids, f); err != nil {
			return nil, err
		}
	}
	s.nodes = nodes{node.NewLocal()} // which has nothing to do
	s.engine.Nodes = s.nodes
	s.engine.Attempts, s.engine.Backoff = stepAttempts, firstBackoff
	return s, nil
}

// seats are the nodes with the addresses at which the others reach them.
func (ns nodes) seats() []runner.Seat {
	var list []runner.Seat
	for _, n := range ns {
		seat := runner.Seat{Node: n, Address: "127.0.0.1"}
		if reached, is := n.(interface{ Address() string }); is {
			seat.Address = reached.Address()
		}
		list = append(list, seat)
	}
	return list
}

// on says where the session runs; roles are those of the seats, where somebody
// has given them.
func (s *session) on(ns nodes, seats []runner.Seat, roles []string) (err error) {
	if s.engine.Roles, err = runner.SeatNodes(s.plan.RolesNeeded(), seats, roles); err != nil {
		return fail(ExitUsage, err, "name hosts for all of them with --on ssh:a,b,c, or a file with roles: {server: [a], client: [b, c]}")
	}
	if is := ns[0].Machine().Platform(); is != s.platform {
		return fail(ExitInfrastructure, fmt.Errorf("%s is %s, not %s", ns[0].Name(), is, s.platform), "run with --on ssh: on it")
	}
	reads := func(step *runner.Step) bool { return step.Builtin != nil && step.Builtin.ReadsTraces }
	if _, far := ns[0].(*remote.Node); far && s.engine.Traces != "" && slices.ContainsFunc(s.plan.Steps, reads) {
		if err := (source.Folder{Root: s.engine.Traces}).Movable(); err != nil {
			return fail(ExitUsage, fmt.Errorf("REPRISE_TRACES: %w", err), "put the file itself there; the folder is copied to the machines of --on ssh:")
		}
	}
	s.nodes, s.engine.Nodes = ns, ns
	return nil
}

func (a *app) prepareFor(platform string, manifests []*artifacts.Manifest, params map[string]any, f runFlags) (*session, error) {
	kept, err := a.openStore(f.store)
	if err != nil {
		return nil, err
	}
	if !f.dryRun {
		if err := kept.Writable(); err != nil {
			return nil, fail(ExitInfrastructure, fmt.Errorf("the store cannot be written: %w", err), "choose another folder with --store, or mend the permissions of this one")
		}
	}
	identity, settled, err := program()
	if err != nil {
		return nil, fail(ExitInfrastructure, err)
	}
	plan, err := runner.NewPlan(manifests, runner.Options{
		Profile: f.profile, Only: f.only, Params: params, Platform: platform, SourceKey: source.Key, Repository: source.Repository, TracesKey: a.tracesKey(kept, f.quiet),
		Program: identity, Unsettled: !settled,
	})
	if err != nil {
		var known *exitError
		if errors.As(err, &known) {
			return nil, fail(known.code, err, known.hints...)
		}
		return nil, fail(ExitUsage, err)
	}
	if len(plan.Steps) == 0 {
		return nil, fail(ExitUsage, fmt.Errorf("no experiment has a profile %q", f.profile), "reprise show NAME lists an artifact's profiles")
	}
	args, err := f.args(manifests)
	if err != nil {
		return nil, fail(ExitInfrastructure, err)
	}
	traces := a.getenv(runner.TracesVariable)
	if traces != "" {
		if traces, err = filepath.Abs(traces); err != nil {
			return nil, fail(ExitUsage, err)
		}
	}
	engine := &runner.Engine{
		Traces: traces,
		Store:  kept, Version: version(), Command: f.recorded(manifests), Args: args, Resumes: f.resumes, Jobs: f.jobs, Fresh: f.fresh, Now: a.now, Secrets: a.secrets,
		Fetch: source.Cache{Dir: filepath.Join(kept.Root(), "sources")}.Fetch,
	}
	if f.nodes.on != "" && f.nodes.on != "local" {
		engine.Attempts, engine.Backoff = stepAttempts, firstBackoff
	}
	if f.nodes.sshConfig != "" {
		engine.Leases = a.leasesReachedBy(f.nodes.sshConfig, f.store)
	}
	return &session{plan: plan, platform: platform, engine: engine}, nil
}

// tracesKey gives what identifies the content of the folder of real traces. The
// first time it is read as a whole.
func (a *app) tracesKey(kept *store.Store, quiet bool) func() (string, error) {
	folder := source.Folder{Root: a.getenv("REPRISE_TRACES"), Known: filepath.Join(kept.Root(), "traces.json")}
	if !quiet {
		folder.Say = func(done, total int64) {
			a.note("reading the traces in %s for the first time: %s of %s", folder.Root, inBytes(done), inBytes(total))
		}
	}
	return sync.OnceValues(func() (string, error) {
		key, err := folder.Key()
		if err != nil {
			return "", fail(ExitUsage, fmt.Errorf("REPRISE_TRACES: %w", err), "name a folder of traces, by its absolute path, or nothing")
		}
		return key, nil
	})
}

// execute runs the plan. What has finished once is reused the next time.
func (s *session) execute(ctx context.Context, show event.Subscriber) error {
	var err error
	s.summary, err = s.engine.Execute(ctx, s.plan, exitCode, show)
	s.engine.Fresh, s.engine.Resumes = false, nil
	return err
}

// artifacts lists what the session runs, by name.
func (s *session) artifacts() []string {
	var ids []string
	for _, m := range s.plan.Artifacts {
		ids = append(ids, m.Artifact)
	}
	return ids
}

// job is the session as the terminal UI runs it.
func (a *app) job(s *session, command string) *tui.Job {
	return &tui.Job{
		Title: "starting", Command: command, Run: s.execute, Kill: s.nodes.kill,
		Cancel: s.engine.Cancel, Skip: s.engine.Skip, Hold: s.engine.Hold, HoldAfter: s.engine.HoldAfterExperiments,
		Report: a.reportOf(s.engine.Store.RunDir),
	}
}

func (a *app) openStore(flag string) (*store.Store, error) {
	root, err := a.storeDir(flag)
	if err != nil {
		return nil, err
	}
	kept, err := store.Open(root)
	if err != nil {
		return nil, fail(ExitInfrastructure, err, "choose another folder with --store")
	}
	return kept, nil
}

// loadAll loads the manifests the arguments name, all shipped ones without
// arguments, and prints every finding of all of them.
func (a *app) loadAll(args []string) ([]*artifacts.Manifest, error) { return load(args, a.stderr) }

// load loads as loadAll does, and prints findings to w.
func load(args []string, w io.Writer) ([]*artifacts.Manifest, error) {
	if len(args) == 0 {
		args = artifacts.EmbeddedNames()
	}
	var manifests []*artifacts.Manifest
	seen := map[string]bool{}
	invalid := false
	for _, arg := range args {
		m, findings, err := artifacts.Find(arg)
		if err != nil {
			var missing *artifacts.NotFoundError
			if errors.As(err, &missing) {
				return nil, fail(ExitUsage, err, missing.Suggestion())
			}
			return nil, fail(ExitManifest, err)
		}
		if err := findings.Print(w); err != nil {
			return nil, fail(ExitInfrastructure, err)
		}
		if len(findings.Errors()) > 0 {
			invalid = true
			continue
		}
		if seen[m.Artifact] {
			return nil, fail(ExitUsage, fmt.Errorf("artifact %s is named twice", m.Artifact))
		}
		seen[m.Artifact] = true
		manifests = append(manifests, m)
	}
	if invalid {
		return nil, fail(ExitManifest, errors.New("the manifest is invalid"))
	}
	return manifests, nil
}

func parseParams(given []string) (map[string]any, error) {
	params := map[string]any{}
	for _, p := range given {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--param %q has no name or no value", p)
		}
		if _, twice := params[name]; twice {
			return nil, fmt.Errorf("--param %s is given twice", name)
		}
		params[name] = value
	}
	return params, nil
}

// storeDir is where runs and results are kept.
func (a *app) storeDir(flag string) (string, error) {
	home, err := os.UserHomeDir()
	switch {
	case flag != "":
		return flag, nil
	case a.getenv("REPRISE_STORE") != "":
		return a.getenv("REPRISE_STORE"), nil
	case a.getenv("XDG_STATE_HOME") != "":
		return filepath.Join(a.getenv("XDG_STATE_HOME"), "reprise"), nil
	case err == nil:
		return filepath.Join(home, ".local", "state", "reprise"), nil
	}
	return "", fail(ExitInfrastructure, fmt.Errorf("no folder for results: %w", err), "choose one with --store")
}

// commandOf is what a step runs.
func commandOf(s *runner.Step) string {
	if s.Builtin == nil {
		return s.Shell.Sh
	}
	params, err := json.Marshal(s.Params)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("reprise exec %s '%s'", s.Builtin.Name, params)
}

func (a *app) printPlan(s *session, f runFlags, commands bool) error {
	run := 0
	for _, step := range s.plan.Steps {
		result, why := s.engine.Stored(step)
		if result == nil {
			run++
			why = "would run: " + why
		} else {
			why = "reused from run " + result.Run
		}
		if f.json {
			about := map[string]any{"step": step.ID, "key": step.Key, "params": step.Params, "after": step.After, "run": result == nil, "reason": why}
			if step.Shell != nil && len(step.Shell.Secrets) > 0 {
				about["secrets"] = step.Shell.Secrets
			}
			line, err := json.Marshal(about)
			if err != nil {
				return fail(ExitInfrastructure, err)
			}
			fmt.Fprintf(a.stdout, "%s\n", line)
			continue
		}
		if result == nil && step.Shell != nil && len(step.Shell.Secrets) > 0 {
			why += a.handedIn(step.Shell.Secrets)
		}
		if step.Role != "" {
			why += fmt.Sprintf(" (on %s)", step.Labels[artifacts.RoleLabel])
		}
		fmt.Fprintf(a.stdout, "%s  %s\n", step.ID, why)
		if commands && result == nil {
			indented(a.stdout, commandOf(step))
		}
	}
	if !f.json {
		n := len(s.plan.Steps)
		fmt.Fprintf(a.stdout, "%d steps, %d would run, %d would be reused\n", n, run, n-run)
	}
	return nil
}

// printVerdicts prints the table of verdicts of a run and where its records are.
func (a *app) printVerdicts(ids []string, verdicts map[string][]checks.Verdict, dir string) {
	claims := a.verdictTable(a.stdout, ids, verdicts)
	fmt.Fprintf(a.stdout, "%s. Records: %s\n", tally(claims), dir)
}

// verdictTable writes the table of verdicts, and counts them.
func (a *app) verdictTable(w io.Writer, ids []string, verdicts map[string][]checks.Verdict) map[checks.Outcome]int {
	var list []tui.Artifact
	claims := map[checks.Outcome]int{}
	for _, id := range ids {
		list = append(list, tui.Artifact{Name: id, Verdicts: verdicts[id]})
		for _, v := range verdicts[id] {
			claims[v.Outcome]++
		}
	}
	width := 100
	if out, ok := a.stdout.(*os.File); ok && a.terminal {
		if w, _, err := term.GetSize(int(out.Fd())); err == nil {
			width = w
		}
	}
	if len(claims) > 0 {
		fmt.Fprintln(w)
		tui.Verdicts(w, list, width, a.color)
		fmt.Fprintln(w)
	}
	return claims
}

// tally counts the verdicts in words.
func tally(claims map[checks.Outcome]int) string {
	var parts []string
	total := 0
	for _, o := range checks.Outcomes {
		if n := claims[o]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
			total += n
		}
	}
	if total == 0 {
		return "no claims"
	}
	noun := "claims"
	if total == 1 {
		noun = "claim"
	}
	return fmt.Sprintf("%d %s: %s", total, noun, strings.Join(parts, ", "))
}

// exitCode is the worst that happened, in the order of the table in exit.go:
// a run that could not be made says nothing about the claims.
func exitCode(s runner.Summary) int {
	switch {
	case s.Broken != nil:
		return ExitInfrastructure
	case s.Interrupted || s.Steps[string(event.Cancelled)] > 0:
		return ExitInterrupted
	case s.Failures[event.InfrastructureFailure] > 0:
		return ExitInfrastructure
	case s.Failures[event.ExperimentFailure]+s.Failures[event.ConfigurationFailure] > 0:
		return ExitStepFailed
	case s.Claims[checks.NotReproduced]+s.Claims[checks.Partial]+s.Claims[checks.Error] > 0:
		return ExitNotReproduced
	case s.Claims[checks.Inconclusive] > 0:
		return ExitInconclusive
	}
	return ExitOK
}
