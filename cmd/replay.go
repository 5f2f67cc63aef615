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
event log.

In a terminal p pauses and goes on, + and - change the speed.`,
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
			p := newPlayback(path, speed, a.now)
			job := &tui.Job{Title: "replaying " + ref, Command: "reprise replay " + ref, Run: p.run, Now: p.clock}
			if speed > 0 {
				job.Hold, job.Speed = p.pause, p.faster
			}
			if _, err := a.watch(cmd.Context(), f, job); err != nil {
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
// speed. It can be paused and its speed changed.
type playback struct {
	path  string
	speed float64
	now   func() time.Time

	mu     sync.Mutex
	at     time.Time // within the recorded run, as of since
	since  time.Time // by now
	paused bool
	over   bool
	turned chan struct{} // closed when pace or pause change
}

func newPlayback(path string, speed float64, now func() time.Time) *playback {
	return &playback{path: path, speed: speed, now: now, turned: make(chan struct{})}
}

// place is the time within the recorded run; mu is held.
func (p *playback) place() time.Time {
	if p.over || p.paused || p.speed == 0 || p.at.IsZero() {
		return p.at
	}
	return p.at.Add(time.Duration(float64(p.now().Sub(p.since)) * p.speed))
}

// clock tells the time within the recorded run.
func (p *playback) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.place()
}

// turn changes how the time goes on from here.
func (p *playback) turn(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at, p.since = p.place(), p.now()
	change()
	close(p.turned)
	p.turned = make(chan struct{})
}

// pause has the recorded time stand still, or go on.
func (p *playback) pause(on bool) { p.turn(func() { p.paused = on }) }

// faster multiplies the speed, and gives the new one.
func (p *playback) faster(by float64) (speed float64) {
	const least, most = 1. / 64, 1 << 16
	p.turn(func() {
		p.speed = min(max(p.speed*by, least), most)
		speed = p.speed
	})
	return speed
}

// wait returns when the recorded time has come to t, or ctx is cancelled.
func (p *playback) wait(ctx context.Context, t time.Time) {
	for ctx.Err() == nil {
		p.mu.Lock()
		due, turned := time.Duration(math.MaxInt64), p.turned
		switch left := t.Sub(p.place()); {
		case p.at.IsZero() || p.speed == 0 && !p.paused || left <= 0 && !p.paused:
			p.at, p.since = t, p.now()
			p.mu.Unlock()
			return
		case !p.paused:
			due = time.Duration(float64(left) / p.speed)
		}
		p.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-turned:
		case <-time.After(due):
		}
	}
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
		if p.wait(ctx, e.Time); ctx.Err() != nil {
			return ctx.Err()
		}
		show(e)
	}
	return nil
}
