package cmd

import (
	"context"
	"fmt"
	"math"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"reprise/runner/event"
	"reprise/tui"
)

func (a *app) replayCommand() *cobra.Command {
	var f watchFlags
	var speed float64
	c := &cobra.Command{
		Use:   "replay [RUN]",
		Short: "Play a recorded run back",
		Long: `Play a recorded run back as it happened, faster or slower. RUN is the id of a
run, the beginning of one, latest (which it is by default), or the path of an
event log.`,
		Example: `  reprise replay                        the latest run, as fast as it was
  reprise replay 20261122-2006 --speed 10
  reprise replay latest --speed 0       at once, without waiting`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if speed < 0 || math.IsNaN(speed) {
				return fail(ExitUsage, fmt.Errorf("--speed %g: time does not run backwards", speed), "0 does not wait at all")
			}
			ref := "latest"
			if len(args) > 0 {
				ref = args[0]
			}
			_, path, err := a.findRun(ref, f.store)
			if err != nil {
				return err
			}
			if path == "" {
				return fail(ExitUsage, fmt.Errorf("a replay needs a recorded run, not standard input"), "reprise attach - follows a stream of events")
			}
			p := &playback{path: path, speed: speed, now: a.now}
			if _, err := a.watch(cmd.Context(), f, &tui.Job{Title: "replaying " + ref, Command: "reprise replay " + ref, Run: p.run, Now: p.clock}); err != nil {
				return fail(ExitInfrastructure, err)
			}
			if cmd.Context().Err() != nil {
				return fail(ExitInterrupted, nil)
			}
			return nil
		},
	}
	c.Flags().Float64Var(&speed, "speed", 1, "how many times as fast; 0 does not wait")
	f.add(c)
	return c
}

// playback shows recorded events at the pace at which they happened, times
// speed.
type playback struct {
	path  string
	speed float64
	now   func() time.Time

	mu         sync.Mutex
	began      time.Time // when the playback began
	first, top time.Time // of the events: the first, and the latest shown
	over       bool
}

// clock tells the time within the recorded run.
func (p *playback) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.speed == 0 || p.first.IsZero() {
		return p.top
	}
	return p.first.Add(time.Duration(float64(p.now().Sub(p.began)) * p.speed))
}

func (p *playback) run(ctx context.Context, show event.Subscriber) error {
	f, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	defer func() {
		p.mu.Lock()
		p.over = true
		p.mu.Unlock()
	}()
	for e, err := range event.Read(f) {
		if err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
		p.mu.Lock()
		if p.first.IsZero() {
			p.first, p.top, p.began = e.Time, e.Time, p.now()
		}
		due := e.Time.Sub(p.first)
		p.mu.Unlock()
		if p.speed > 0 {
			wait := time.Duration(float64(due)/p.speed) - p.now().Sub(p.began)
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.mu.Lock()
		p.top = e.Time
		p.mu.Unlock()
		show(e)
	}
	return nil
}
