package cmd

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"reprise/artifacts"
	"reprise/chameleon"
	"reprise/runner/event"
	"reprise/runner/node"
	"reprise/runner/report"
	"reprise/runner/store"
	"reprise/tui"
)

func (a *app) uiCommand() *cobra.Command {
	var l looks
	var store string
	c := &cobra.Command{
		Use:   "ui",
		Short: "Choose, start and watch runs in the terminal",
		Long: `Open the terminal UI: the artifacts with the last verdicts on their claims, and
the recorded runs. Enter on an artifact chooses what of it to run, s starts it,
? lists the keys. The same as reprise alone.`,
		Example: `  reprise ui
  reprise ui --theme high-contrast
  NO_COLOR=1 reprise ui --reduced-motion`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !a.interactive() {
				return fail(ExitUsage, fmt.Errorf("the terminal UI needs a terminal for input and output, and one that is not dumb"),
					"reprise run prints lines instead; reprise list shows the artifacts")
			}
			return a.home(cmd.Context(), l, store)
		},
	}
	storeFlag(c, &store)
	l.flags(c)
	return c
}

// looks are the flags of commands that open the terminal UI.
type looks struct {
	theme        string
	still, mouse bool
}

func (l *looks) flags(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&l.theme, "theme", "", "colours of the terminal UI: default, light, high-contrast, colour-blind-safe or mono (default $REPRISE_THEME or by the terminal's background)")
	among(flags, "theme", tui.ThemeNames()...)
	flags.BoolVar(&l.mouse, "mouse", false, "the terminal UI takes the mouse: the wheel moves, a click gives a pane the focus; selecting text then needs shift")
	flags.BoolVar(&l.still, "reduced-motion", false, "nothing in the terminal UI moves that does not have to (default $REPRISE_REDUCED_MOTION)")
}

// interactive says whether the terminal UI can be opened.
func (a *app) interactive() bool { return a.terminal && a.getenv("CI") == "" }

// live opens the terminal UI and returns once the user has left.
func (a *app) live(ctx context.Context, l looks, o tui.Options) error {
	o.In, o.Out, o.Env, o.Now = a.stdin, a.stdout, os.Environ(), a.now
	o.Mouse = l.mouse
	o.Theme, o.Still = l.theme, l.still || a.getenv("REPRISE_REDUCED_MOTION") != ""
	if o.Theme == "" {
		o.Theme = a.getenv("REPRISE_THEME")
	}
	ui, err := tui.NewLive(o)
	if err != nil {
		return fail(ExitUsage, err)
	}
	a.onForcedExit(ui.Restore)
	return ui.Run(ctx)
}

// plainPrinter prints lines, and a heartbeat where steps are silent.
type plainPrinter struct {
	*tui.Plain
	stop chan struct{}
}

func (a *app) plain(w io.Writer) *plainPrinter {
	p := &plainPrinter{tui.NewPlain(w, tui.PlainOptions{Color: a.color, Groups: a.getenv("GITHUB_ACTIONS") == "true"}), make(chan struct{})}
	go func() {
		ticks := time.NewTicker(time.Second)
		defer ticks.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-ticks.C:
				p.Beat(a.now())
			}
		}
	}()
	return p
}

// Close ends the heartbeat.
func (p *plainPrinter) Close() { close(p.stop) }

// chooser is the form of the terminal UI on which a run of some manifests is
// chosen, and the session that it has started last.
type chooser struct {
	app       *app
	ctx       context.Context
	manifests []*artifacts.Manifest
	flags     runFlags // what is not chosen on the form
	last      *session
}

func (c *chooser) form() *tui.Form {
	return &tui.Form{Artifacts: c.manifests, Platforms: c.platforms, Plan: c.plan, Start: c.start}
}

func (c *chooser) session(choice tui.Choice) (*session, runFlags, error) {
	var chosen []*artifacts.Manifest
	for _, m := range c.manifests {
		if slices.Contains(choice.Artifacts, m.Artifact) {
			chosen = append(chosen, m)
		}
	}
	f := c.flags
	f.quiet = true
	f.profile, f.only, f.fresh, f.params = choice.Profile, choice.Only, choice.Fresh, nil
	f.nodes.on, f.nodes.sshConfig = choice.On, choice.SSHConfig
	for name, value := range choice.Params {
		f.params = append(f.params, name+"="+value)
	}
	sort.Strings(f.params)
	s, err := c.app.prepare(c.ctx, chosen, f)
	return s, f, err
}

func (c *chooser) plan(choice tui.Choice) (*tui.Preview, error) {
	s, _, err := c.session(choice)
	if err != nil {
		return nil, err
	}
	return s.preview(), nil
}

func (c *chooser) start(choice tui.Choice) (*tui.Job, error) {
	s, f, err := c.session(choice)
	if err != nil {
		return nil, err
	}
	if s.lease != nil && len(s.experimentsToRun()) > 0 {
		return nil, fmt.Errorf("this leases machines for %.2f SU: leave, and run %s", s.lease.SU(), f.command(choice.Artifacts))
	}
	c.app.onForcedExit(s.nodes.kill)
	c.last = s
	return c.app.job(s, f.command(choice.Artifacts)), nil
}

// resume goes on with a recorded run.
func (c *chooser) resume(kept *store.Store, id string) (*tui.Job, error) {
	shown := c.flags
	shown.quiet = true
	r, err := c.app.resumption(kept, id, shown)
	if err != nil {
		return nil, err
	}
	s, err := r.prepare(c.ctx)
	if err == nil && s.lease != nil && len(s.experimentsToRun()) > 0 {
		err = fmt.Errorf("this leases machines for %.2f SU: leave, and run reprise resume %s", s.lease.SU(), id)
	}
	if err != nil {
		r.release()
		return nil, err
	}
	c.app.onForcedExit(s.nodes.kill)
	c.last = s
	job := c.app.job(s, r.flags.command(s.artifacts()))
	run := job.Run
	job.Run = func(ctx context.Context, show event.Subscriber) error {
		defer r.release()
		return run(ctx, show)
	}
	return job, nil
}

// platforms lists where runs can go: this machine, what is leased, and what
// the manifests name.
func (c *chooser) platforms() []tui.Platform {
	list := []tui.Platform{{On: "local", Name: "this machine", State: "here", About: node.ThisMachine().String()}}
	sites, err := c.app.sites()
	if err != nil {
		list[0].About += "\n" + err.Error()
	}
	leased := map[string]bool{}
	if records, err := c.app.records(c.flags.store); err == nil {
		deployments, _, err := records.List()
		if err != nil {
			list[0].About += "\n" + err.Error()
		}
		for _, d := range deployments {
			if !d.Ready || !d.Ends.After(c.app.now()) {
				continue
			}
			leased[d.Artifact+"/"+d.Platform] = true
			var targets []string
			for i := range d.Nodes {
				targets = append(targets, fmt.Sprintf("node%d", i))
			}
			list = append(list, tui.Platform{
				On: "ssh:" + strings.Join(targets, ","), SSHConfig: d.ConfigFile(), Name: d.Artifact + ":" + d.Platform, State: "leased",
				About: fmt.Sprintf("%d nodes at %s, leased until %s", len(d.Nodes), d.Site, d.Ends.Local().Format(time.DateTime)),
			})
		}
	}
	for _, m := range c.manifests {
		for _, name := range slices.Sorted(maps.Keys(m.Platforms)) {
			p := m.Platforms[name]
			where := tui.Platform{Artifact: m.Artifact, Name: m.Artifact + ":" + name, State: p.Provider}
			switch {
			case p.Provider == "ssh":
				where.On, where.About = "ssh:"+strings.Join(p.Hosts, ","), strings.Join(p.Hosts, ", ")
			case p.Provider == "chameleon" && !leased[m.Artifact+"/"+name]:
				where.On, where.State = "chameleon:"+name, "not leased"
				where.About = fmt.Sprintf("%d × %s at %s, image %s", p.Machines(), p.Hardware(), p.Site, p.Image)
				if plan, err := chameleon.NewPlan(m, sites, chameleon.Request{Platform: name, Profile: "paper"}); err == nil {
					where.About += fmt.Sprintf("\nfor the paper profile: %.1f h, %.2f SU", plan.Lease.Hours(), plan.SU())
				} else {
					where.About += "\n" + err.Error()
				}
			default:
				continue
			}
			list = append(list, where)
		}
	}
	return list
}

// home opens the home screen of the terminal UI.
func (a *app) home(ctx context.Context, l looks, storeFlag string) error {
	manifests, err := artifacts.Embedded()
	if err != nil {
		return fail(ExitManifest, err)
	}
	kept, err := a.openStore(storeFlag)
	if err != nil {
		return err
	}
	c := &chooser{app: a, ctx: ctx, manifests: manifests, flags: runFlags{store: storeFlag}}
	err = a.live(ctx, l, tui.Options{Home: &tui.Home{
		Form: *c.form(),
		Runs: func() ([]*tui.Recorded, error) { return recordedRuns(kept) },
		Open: func(r *tui.Recorded) *tui.Job {
			job := followJob(r.ID, filepath.Join(kept.RunDir(r.ID), store.EventsFile))
			job.Report = a.reportOf(kept.RunDir)
			return job
		},
		Resume: func(r *tui.Recorded) (*tui.Job, error) { return c.resume(kept, r.ID) },
	}})
	if err != nil {
		return fail(ExitInfrastructure, err)
	}
	return a.verdictsOf(c.last)
}

// verdictsOf prints what the last of the runs in the terminal UI came to.
func (a *app) verdictsOf(s *session) error {
	if s == nil || s.summary.Run == "" {
		return nil
	}
	a.printVerdicts(s.artifacts(), s.summary.Verdicts, s.summary.Dir)
	if code := exitCode(s.summary); code != ExitOK {
		return fail(code, nil)
	}
	return nil
}

// reportOf gives what writes the report of a run beside its records and opens
// it where there is a desktop to open it on.
func (a *app) reportOf(folder func(run string) string) func(run string) (string, error) {
	return func(run string) (string, error) {
		r, err := report.Read(folder(run))
		if err != nil {
			return "", err
		}
		r.Anonymise(private()...)
		path := filepath.Join(folder(run), "report.html")
		if err := a.writeReport(r, "html", path); err != nil {
			return "", err
		}
		var opener string
		switch {
		case a.getenv("BROWSER") != "":
			opener = a.getenv("BROWSER")
		case runtime.GOOS == "darwin":
			opener = "open"
		case a.getenv("DISPLAY")+a.getenv("WAYLAND_DISPLAY") != "":
			opener = "xdg-open"
		default:
			return "the report is " + path, nil
		}
		open := exec.Command(opener, path) //nolint:gosec // the user names it
		if err := open.Start(); err != nil {
			return fmt.Sprintf("the report is %s (%v)", path, err), nil
		}
		go func() { _ = open.Wait() }()
		return "opening " + path, nil
	}
}

// preview is the plan as the home screen shows it.
func (s *session) preview() *tui.Preview {
	p := &tui.Preview{On: s.nodes.names()}
	if s.lease != nil && len(s.experimentsToRun()) > 0 {
		p.On = "chameleon:" + s.lease.Platform
		p.Cost = fmt.Sprintf("lease: %d × %s at %s for %.2f h: %.2f SU", s.lease.Count, s.lease.Hardware(), s.lease.Site.Name, s.lease.Lease.Hours(), s.lease.SU())
		for _, line := range s.lease.Estimate {
			p.Cost += fmt.Sprintf("\n  %.2f h  %s", line.Hours, line.What)
		}
	}
	type experiment struct{ artifact, id string }
	running := map[experiment]bool{}
	for _, step := range s.plan.Steps {
		result, why := s.engine.Stored(step)
		planned := tui.PlannedStep{ID: step.ID, Reused: result != nil, Why: why}
		if planned.Reused {
			planned.Why = "from run " + result.Run
		} else {
			running[experiment{step.Artifact, step.Experiment}] = true
		}
		p.Steps = append(p.Steps, planned)
	}
	for _, m := range s.plan.Artifacts {
		for id, e := range m.Experiments {
			if running[experiment{m.Artifact, id}] {
				p.Compute += time.Duration(e.Profiles[s.plan.Profile].Compute)
				p.HumanMinutes += e.HumanMinutes
			}
		}
	}
	return p
}

// recordedRuns summarises the newest runs. One that cannot be read is left
// out: it may have been killed before it said what it runs.
func recordedRuns(kept *store.Store) ([]*tui.Recorded, error) {
	const most = 200
	ids, err := kept.Runs()
	if err != nil {
		return nil, err
	}
	var runs []*tui.Recorded
	for _, id := range ids[:min(most, len(ids))] {
		if r, err := tui.ReadRecorded(filepath.Join(kept.RunDir(id), store.EventsFile)); err == nil {
			runs = append(runs, r)
		}
	}
	return runs, nil
}
