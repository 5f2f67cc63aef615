package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"reprise/checks"
	"reprise/runner/event"
	"reprise/runner/store"
	"reprise/tui"
)

// watchFlags are those of the commands that show a recorded run.
type watchFlags struct {
	plain, json bool
	store       string
	looks       looks
}

func (f *watchFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.BoolVar(&f.plain, "plain", false, "a line for every change instead of the terminal UI")
	flags.BoolVar(&f.json, "json", false, "the run's events as JSON, one object a line")
	storeFlag(c, &f.store)
	f.looks.flags(c)
}

func (a *app) attachCommand() *cobra.Command {
	var f watchFlags
	var there elsewhere
	c := &cobra.Command{
		Use:   "attach [RUN]",
		Short: "Follow a run that another process executes",
		Long: `Follow a run by its event log until it ends. RUN is the id of a run, the
beginning of one, latest (which it is by default), or the path of an event log.
Leaving does not disturb the run. One that was killed is shown up to there.

With --on ssh:[user@]host the run is one of another machine: reprise is copied
there, reads the log and the steps' own logs, and leaves nothing behind but
itself in ~/.cache/reprise. --remote-store names the folder of runs there, where
it is not the user's.

The exit code is the run's own; 0 when you leave before it ends.`,
		Example: `  reprise attach                       the latest run
  reprise attach 20261122-2006         the run whose id begins like this
  reprise attach --on ssh:me@lab       the latest run of another machine
  ssh lab reprise attach --json latest | reprise attach --plain -`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref := "latest"
			if len(args) > 0 {
				ref = args[0]
			}
			if ref == "-" && !f.json {
				f.plain = true // standard input is taken
			}
			job, err := a.attachJob(cmd.Context(), ref, f.store, there)
			if err != nil {
				return err
			}
			end, err := a.watch(cmd.Context(), f, job)
			switch {
			case err != nil:
				return fail(ExitInfrastructure, err)
			case cmd.Context().Err() != nil:
				return fail(ExitInterrupted, nil)
			case end != nil && end.Exit != ExitOK:
				return fail(end.Exit, nil)
			}
			return nil
		},
	}
	f.add(c)
	there.flags(c)
	return c
}

// attachJob makes the job that follows a run, of this machine or another.
func (a *app) attachJob(ctx context.Context, ref, storeFlag string, there elsewhere) (*tui.Job, error) {
	if there.on != "" {
		return a.followElsewhere(ctx, ref, there)
	}
	id, path, err := a.findRun(ref, storeFlag)
	if err != nil {
		return nil, err
	}
	return followJob(id, path), nil
}

// findRun finds the event log of a recorded run.
func (a *app) findRun(ref, storeFlag string) (id, path string, err error) {
	if ref == "-" {
		return ref, "", nil
	}
	if info, err := os.Stat(ref); err == nil {
		if info.IsDir() {
			ref = filepath.Join(ref, store.EventsFile)
		}
		return filepath.Base(filepath.Dir(ref)), ref, nil
	}
	kept, err := a.openStore(storeFlag)
	if err != nil {
		return "", "", err
	}
	id, err = kept.FindRun(ref)
	if err != nil {
		return "", "", fail(ExitUsage, err, "reprise ui lists the recorded runs")
	}
	return id, filepath.Join(kept.RunDir(id), store.EventsFile), nil
}

// watch shows a recorded run as the flags ask for, and gives its end if it
// came to it.
func (a *app) watch(ctx context.Context, f watchFlags, job *tui.Job) (*event.RunFinished, error) {
	run := job.Run
	state := tui.NewRun()
	job.Run = func(ctx context.Context, show event.Subscriber) error {
		return run(ctx, func(e event.Event) {
			state.Apply(e)
			show(e)
		})
	}
	var err error
	switch {
	case f.json:
		lines := json.NewEncoder(a.stdout)
		err = job.Run(ctx, func(e event.Event) { _ = lines.Encode(e) })
	case a.interactive() && !f.plain:
		err = a.live(ctx, f.looks, tui.Options{Job: job})
	default:
		plain := a.plain(a.stdout)
		err = job.Run(ctx, plain.Show)
		plain.Close()
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	if err == nil && !f.json && state.End != nil {
		verdicts := map[string][]checks.Verdict{}
		for _, c := range state.Claims {
			verdicts[c.Artifact] = append(verdicts[c.Artifact], c.Verdict)
		}
		a.printVerdicts(state.Start.Artifacts, verdicts, state.Start.Folder)
	}
	return state.End, err
}

// followJob reads a log until its run has ended, waiting for more where it
// breaks off. An empty path is standard input.
func followJob(id, path string) *tui.Job {
	return &tui.Job{
		Title:   "reading run " + id,
		Command: "reprise attach " + id,
		Run: func(ctx context.Context, show event.Subscriber) error {
			var log io.Reader = os.Stdin
			if path != "" {
				f, err := os.Open(path)
				if err != nil {
					return err
				}
				defer func() { _ = f.Close() }()
				log = &growing{ctx, f}
			}
			for e, err := range event.Read(log) {
				if err != nil {
					return fmt.Errorf("%s: %w", path, err)
				}
				show(e)
				if _, ended := e.Payload.(event.RunFinished); ended {
					return nil
				}
			}
			if ctx.Err() == nil && path != "" {
				return &store.KilledError{Run: id}
			}
			return ctx.Err()
		},
	}
}

// growing reads a file that is still being written: at its end it waits for
// more until ctx is cancelled, or nobody writes it any more.
type growing struct {
	ctx context.Context
	f   *os.File
}

func (g *growing) Read(p []byte) (int, error) {
	const again = 100 * time.Millisecond
	for {
		over := store.Abandoned(filepath.Dir(g.f.Name()))
		n, err := g.f.Read(p)
		if n > 0 || err != io.EOF || over {
			return n, err
		}
		select {
		case <-g.ctx.Done():
			return 0, io.EOF
		case <-time.After(again):
		}
	}
}
