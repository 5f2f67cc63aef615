package cmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"time"

	"github.com/spf13/cobra"

	"reprise/artifacts"
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
	theme string
	still bool
}

func (l *looks) flags(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&l.theme, "theme", "", "colours of the terminal UI: default, light, high-contrast, colour-blind-safe or mono (default $REPRISE_THEME or by the terminal's background)")
	flags.BoolVar(&l.still, "reduced-motion", false, "nothing in the terminal UI moves that does not have to (default $REPRISE_REDUCED_MOTION)")
}

// interactive says whether the terminal UI can be opened.
func (a *app) interactive() bool { return a.terminal && a.getenv("CI") == "" }

// live opens the terminal UI and returns once the user has left.
func (a *app) live(ctx context.Context, l looks, o tui.Options) error {
	o.In, o.Out, o.Env, o.Now = a.stdin, a.stdout, os.Environ(), a.now
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
	var last *session
	sessionOf := func(c tui.Choice) (*session, runFlags, error) {
		var chosen []*artifacts.Manifest
		for _, m := range manifests {
			if slices.Contains(c.Artifacts, m.Artifact) {
				chosen = append(chosen, m)
			}
		}
		f := runFlags{profile: c.Profile, only: c.Only, fresh: c.Fresh, store: storeFlag}
		for name, value := range c.Params {
			f.params = append(f.params, name+"="+value)
		}
		sort.Strings(f.params)
		s, err := a.prepare(ctx, chosen, f)
		return s, f, err
	}
	err = a.live(ctx, l, tui.Options{Home: &tui.Home{
		Artifacts: manifests,
		Runs:      func() ([]*tui.Recorded, error) { return recordedRuns(kept) },
		Plan: func(c tui.Choice) (*tui.Preview, error) {
			s, _, err := sessionOf(c)
			if err != nil {
				return nil, err
			}
			return s.preview(), nil
		},
		Start: func(c tui.Choice) (*tui.Job, error) {
			s, f, err := sessionOf(c)
			if err != nil {
				return nil, err
			}
			if s.lease != nil && len(s.experimentsToRun()) > 0 {
				return nil, fmt.Errorf("this leases machines for %.2f SU: leave, and run %s", s.lease.SU(), f.command(c.Artifacts))
			}
			a.onForcedExit(s.nodes.kill)
			last = s
			return s.job(f.command(c.Artifacts)), nil
		},
		Open: func(r *tui.Recorded) *tui.Job {
			return followJob(r.ID, filepath.Join(kept.RunDir(r.ID), store.EventsFile))
		},
	}})
	if err != nil {
		return fail(ExitInfrastructure, err)
	}
	if last == nil || last.summary.Run == "" {
		return nil
	}
	a.printVerdicts(last.artifacts(), last.summary.Verdicts, last.summary.Dir)
	if code := exitCode(last.summary); code != ExitOK {
		return fail(code, nil)
	}
	return nil
}

// preview is the plan as the home screen shows it.
func (s *session) preview() *tui.Preview {
	p := &tui.Preview{}
	type experiment struct{ artifact, id string }
	running := map[experiment]bool{}
	for _, step := range s.plan.Steps {
		result, err := s.engine.Store.Lookup(step.Key)
		planned := tui.PlannedStep{ID: step.ID, Reused: result != nil && !s.engine.Fresh}
		switch {
		case planned.Reused:
			planned.Why = "from run " + result.Run
		case s.engine.Fresh:
			planned.Why = "asked for"
		default:
			planned.Why = s.engine.Store.Why(step.ID, step.Key, step.Parts, err)
		}
		if !planned.Reused {
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
