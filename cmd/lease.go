package cmd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"reprise/artifacts"
	"reprise/chameleon"
	"reprise/runner"
	"reprise/runner/event"
)

// leaseFlags say how run leases the machines of --on chameleon.
type leaseFlags struct {
	cloud, site, waitFor, reuse string
	hours, maxSU                float64
	uids                        []string
	yes, keep                   bool
}

const noWait = "0s"

func (f *leaseFlags) flags(flags *pflag.FlagSet) {
	f.consent(flags)
	flags.Float64Var(&f.maxSU, "max-su", 0, "service units that a lease may cost, prolonged as it may be (default: twice its estimate)")
	flags.Float64Var(&f.hours, "hours", 0, "length of the lease in hours (default: estimated)")
	flags.StringVar(&f.waitFor, "wait-for-hardware", noWait, "how long to wait for hosts that are booked: 3d, 12h")
	flags.StringVar(&f.reuse, "reuse-lease", "", "use the hosts of this lease of the project, by id or name, and do not release it")
	flags.BoolVar(&f.keep, "keep", false, "keep the leased nodes after the run; reprise down releases them")
	flags.StringVar(&f.site, "site", "", "testbed site, instead of the manifest's")
	flags.StringSliceVar(&f.uids, "node", nil, "lease these nodes, by uid, instead of any of the node type")
	flags.StringVar(&f.cloud, "cloud", "", "entry of clouds.yaml (default $OS_CLOUD, or the site's)")
}

// consent is the one of them that is asked for anew whenever money is spent.
func (f *leaseFlags) consent(flags *pflag.FlagSet) {
	flags.BoolVarP(&f.yes, "yes", "y", false, "agree to the cost of a lease")
}

// args are the flags that were given, but for the consent.
func (f leaseFlags) args() []string {
	var words []string
	for flag, value := range map[string]string{"--cloud": f.cloud, "--site": f.site, "--reuse-lease": f.reuse} {
		if value != "" {
			words = append(words, flag+"="+value)
		}
	}
	if f.waitFor != "" && f.waitFor != noWait {
		words = append(words, "--wait-for-hardware="+f.waitFor)
	}
	for flag, value := range map[string]float64{"--hours": f.hours, "--max-su": f.maxSU} {
		if value != 0 {
			words = append(words, fmt.Sprintf("%s=%g", flag, value))
		}
	}
	if f.keep {
		words = append(words, "--keep")
	}
	for _, uid := range f.uids {
		words = append(words, "--node="+uid)
	}
	slices.Sort(words)
	return words
}

// leasePlan sizes the lease for those experiments of a manifest that are going
// to be measured.
func (a *app) leasePlan(manifests []*artifacts.Manifest, on string, experiments []string, f runFlags) (chameleon.Plan, error) {
	none := chameleon.Plan{}
	if len(manifests) != 1 {
		return none, fail(ExitUsage, errors.New("a lease is for one artifact"), "name one: reprise run ARTIFACT --on chameleon")
	}
	sites, err := a.sites()
	if err != nil {
		return none, err
	}
	l := f.nodes.lease
	_, platform, _ := strings.Cut(on, ":")
	plan, err := chameleon.NewPlan(manifests[0], sites, chameleon.Request{
		Platform: platform, Profile: f.profile, Only: experiments, Whole: true, Hours: l.hours, Site: l.site, Nodes: l.uids,
	})
	if err != nil {
		return none, fail(ExitUsage, err)
	}
	return plan, nil
}

// imagePlatform is the platform that nodes of an image will turn out to be.
func imagePlatform(image string) string {
	if strings.Contains(strings.ToUpper(image), "ARM64") {
		return "linux/arm64"
	}
	return "linux/amd64"
}

// leased are nodes on lease for the time of a run.
type leased struct {
	nodes
	app        *app
	provider   *chameleon.Provider
	deployment *chameleon.Deployment
	step       time.Duration // by which the lease is prolonged
	limit      time.Time     // how far

	mu   sync.Mutex
	held []string // messages kept back while the terminal UI has the screen
	hold bool
}

// lease agrees on the cost, leases the plan's hosts and connects to them.
func (a *app) lease(ctx context.Context, plan chameleon.Plan, f runFlags) (*leased, error) {
	l := f.nodes.lease
	wait, err := parseDays(l.waitFor)
	if err != nil {
		return nil, fail(ExitUsage, fmt.Errorf("--wait-for-hardware %s: %w", l.waitFor, err), "write a number of days, 3d, or hours, 12h")
	}
	longest := 2 * plan.Lease
	if l.maxSU > 0 {
		longest = plan.Buys(l.maxSU)
	}
	if l.reuse == "" {
		a.printTestbedPlan(a.stderr, plan)
		if longest < plan.Lease {
			return nil, fail(ExitUsage, fmt.Errorf("the lease costs %.2f SU, more than --max-su %g", plan.SU(), l.maxSU), "shorten it with --hours, or choose experiments with --only")
		}
		there, err := a.leasedAlready(plan, f.store)
		if err != nil {
			return nil, err
		}
		if there != nil {
			fmt.Fprintf(a.stderr, "it is leased until %s already; nothing more is spent unless the run takes longer\n", there.Ends.UTC().Format("2006-01-02 15:04 UTC"))
		} else if err := a.agree(l.yes, fmt.Sprintf("Spend %.2f SU, and up to %.2f if the run takes longer?", plan.SU(), plan.SU()*longest.Hours()/plan.Lease.Hours())); err != nil {
			return nil, err
		}
	}
	p, err := a.provider(ctx, plan.Site, testbedFlags{cloud: l.cloud, store: f.store})
	if err != nil {
		return nil, err
	}
	held := &leased{app: a, provider: p, step: max(plan.Lease/2, 10*time.Minute), limit: a.now().Add(longest)}
	p.Say = held.say
	a.onForcedExit(func() {
		fmt.Fprintln(a.stderr, "reprise: not everything was released: run reprise chameleon cleanup")
	})
	if held.deployment, err = p.Up(ctx, plan, chameleon.UpOptions{Keep: l.keep, Wait: wait, Lease: l.reuse}); err != nil {
		return nil, a.testbedFailed(err)
	}
	if held.nodes, err = held.connect(ctx, f); err != nil {
		return nil, held.release(err)
	}
	return held, nil
}

// leasedAlready gives this machine's record of a platform whose nodes are
// ready, nil if there is none.
func (a *app) leasedAlready(plan chameleon.Plan, store string) (*chameleon.Deployment, error) {
	records, err := a.records(store)
	if err != nil {
		return nil, err
	}
	list, _, err := records.List()
	if err != nil {
		return nil, fail(ExitInfrastructure, err)
	}
	i := slices.IndexFunc(list, func(d *chameleon.Deployment) bool {
		return d.Artifact == plan.Artifact && d.Platform == plan.Platform && d.Site == plan.Site.Name && d.Ready && d.Ends.After(a.now())
	})
	if i < 0 {
		return nil, nil
	}
	return list[i], nil
}

// connect opens every node by the configuration that was written for it.
func (l *leased) connect(ctx context.Context, f runFlags) (nodes, error) {
	way, err := l.app.ssh(nodeFlags{sshConfig: l.deployment.ConfigFile(), programs: f.nodes.programs})
	if err != nil {
		return nil, fail(ExitInfrastructure, err)
	}
	// Nothing of the user's own ~/.ssh concerns a leased node.
	way.Identities, way.KnownHosts, way.Agent = nil, nil, ""
	var targets []string
	for i := range l.deployment.Nodes {
		targets = append(targets, fmt.Sprintf("node%d", i))
	}
	return l.app.openSSH(ctx, targets, way)
}

// seats are the nodes with their addresses on the network that they share.
func (l *leased) seats() []runner.Seat {
	list := l.nodes.seats()
	for i, m := range l.deployment.Nodes {
		list[i].Address = cmp.Or(m.Private, m.Address)
	}
	return list
}

// events gives the lease as the run's events have it, from its record: the
// lease is prolonged while the run goes on.
func (l *leased) events() []event.Leased {
	d, err := l.provider.Records.Read(l.deployment.Name)
	if err != nil {
		return nil
	}
	return []event.Leased{leaseEvent(d, l.provider.Cloud.Site)}
}

func leaseEvent(d *chameleon.Deployment, site chameleon.Site) event.Leased {
	return event.Leased{
		Name: d.Name, Site: d.Site, Nodes: len(d.Nodes), Starts: d.Starts, Ends: d.Ends, PerHour: site.Rate(d.Flavor), Unit: "SU", Keep: d.Keep || d.Borrowed,
	}
}

// leasesReachedBy lists the leases on this machine's record whose nodes an ssh
// configuration is for.
func (a *app) leasesReachedBy(config, store string) func() []event.Leased {
	return func() []event.Leased {
		records, err := a.records(store)
		if err != nil {
			return nil
		}
		sites, err := a.sites()
		if err != nil {
			return nil
		}
		list, _, _ := records.List()
		var out []event.Leased
		for _, d := range list {
			if site, err := chameleon.FindSite(sites, d.Site); err == nil && d.ConfigFile() == config {
				e := leaseEvent(d, site)
				e.Keep = true // by reprise up; the run does not release it
				out = append(out, e)
			}
		}
		return out
	}
}

// say tells what happens to the lease, or keeps it until the screen is free.
func (l *leased) say(message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hold {
		l.held = append(l.held, message)
		return
	}
	fmt.Fprintln(l.app.stderr, message)
}

// quiet keeps messages back, or lets them go.
func (l *leased) quiet(hold bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold = hold
	for _, message := range l.held {
		fmt.Fprintln(l.app.stderr, message)
	}
	l.held = nil
}

// attend runs do while the lease is looked after. When the lease ends, the
// context of do does, and its end is the error.
func (l *leased) attend(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	watched, done := context.WithCancel(ctx)
	var wait sync.WaitGroup
	var lost error
	wait.Go(func() {
		if lost = l.provider.Attend(watched, l.deployment, l.step, l.limit); lost != nil {
			cancel(lost)
		}
	})
	err := do(ctx)
	done()
	wait.Wait()
	cancel(nil)
	if lost != nil {
		return errors.Join(l.app.testbedFailed(lost), err)
	}
	return err
}

// release gives the nodes back, unless they are to be kept, and adds what goes
// wrong to err.
func (l *leased) release(err error) error {
	l.close()
	if l.deployment.Keep {
		fmt.Fprintf(l.app.stderr, "%s is kept until %s; reprise down %s:%s releases it\n", l.deployment.Name,
			l.deployment.Ends.UTC().Format("2006-01-02 15:04 UTC"), l.deployment.Artifact, l.deployment.Platform)
		return errors.Join(err, l.deployment.Leave())
	}
	if bad := l.provider.Down(l.deployment); bad != nil {
		bad = l.app.testbedFailed(fmt.Errorf("not everything was released, run reprise chameleon cleanup: %w", bad))
		if err == nil {
			return bad
		}
		return errors.Join(err, bad)
	}
	l.say("released " + l.deployment.Name)
	return err
}

// printLeasedRun shows a run on leased nodes from its first call to its last,
// every command between them, and what it costs.
func (a *app) printLeasedRun(s *session, f runFlags) error {
	plan := *s.lease
	up, down := plan.Calls()
	if f.json {
		line, err := json.Marshal(map[string]any{
			"artifact": plan.Artifact, "platform": plan.Platform, "site": plan.Site.Name, "hours": plan.Lease.Hours(), "su": plan.SU(),
			"estimate": plan.Estimate, "warnings": plan.Warnings, "up": up, "down": down,
		})
		if err != nil {
			return fail(ExitInfrastructure, err)
		}
		fmt.Fprintf(a.stdout, "%s\n", line)
		return a.printPlan(s, f, true)
	}
	a.printTestbedPlan(a.stdout, plan)
	fmt.Fprintln(a.stdout, "calls that lease and boot:")
	if err := printCalls(a.stdout, up); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "over SSH, to each of %d node(s) as %s: this program is copied there, and what the steps need\n", plan.Count, plan.Site.User)
	if need := s.plan.RolesNeeded(); len(need) > 0 {
		fmt.Fprintf(a.stdout, "nodes take roles in this order: %s\n", runner.RolesText(need))
	}
	a.printPreparations(s)
	fmt.Fprintln(a.stdout, "steps, in order:")
	if err := a.printPlan(s, f, true); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, "calls that release, also when a step fails and on Ctrl-C:")
	return printCalls(a.stdout, down)
}

// indented prints a script with a margin.
func indented(w io.Writer, script string) {
	for line := range strings.Lines(strings.TrimRight(script, "\n") + "\n") {
		fmt.Fprintf(w, "    %s", line)
	}
}

// experimentsToRun are those of the session's experiments of which something
// is going to be measured.
func (s *session) experimentsToRun() []string {
	var ids []string
	for _, step := range s.plan.Steps {
		if result, _ := s.engine.Stored(step); result == nil && !slices.Contains(ids, step.Experiment) {
			ids = append(ids, step.Experiment)
		}
	}
	return ids
}
