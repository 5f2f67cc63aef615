package runner

import (
	"context"
	"sync"
)

// control is what whoever watches a run may ask of it while it goes on. The
// walk looks at it whenever it is woken.
type control struct {
	mu      sync.Mutex
	running map[string]*handle
	skip    []string // steps to leave out, not yet seen by the walk
	held    bool     // no step begins
	why     string
	halts   bool // hold whenever an experiment has ended
	woken   chan struct{}
}

// handle stops one running step.
type handle struct {
	cancel  context.CancelFunc
	now     chan struct{} // closed: without grace
	asked   int
	skipped bool
}

// begin forgets what was asked of the run before.
func (c *control) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running, c.skip, c.held, c.why = map[string]*handle{}, nil, false, ""
	c.woken = make(chan struct{}, 1)
}

// wake has the walk look again; mu is held.
func (c *control) wake() {
	select {
	case c.woken <- struct{}{}:
	default: // it has not run yet, or is going to look anyway
	}
}

func (c *control) started(step string, cancel context.CancelFunc) *handle {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &handle{cancel: cancel, now: make(chan struct{})}
	c.running[step] = h
	return h
}

func (c *control) ended(step string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.running[step]; h != nil {
		h.cancel()
		delete(c.running, step)
	}
}

// skipped says whether the running step is being left out.
func (c *control) skipped(h *handle) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return h.skipped
}

// takeSkips gives the steps to leave out that were asked for since.
func (c *control) takeSkips() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	skip := c.skip
	c.skip = nil
	return skip
}

func (c *control) hold(on bool, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held, c.why = on, why
	c.wake()
}

func (c *control) isHeld() (bool, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held, c.why
}

func (c *control) haltsAfterExperiments() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.halts
}

// Cancel stops a running step and lets the run go on with those that do not
// need it. The first time the step is asked to end and has its node's grace
// period for it; asked again, it is killed. It says whether a step of that id
// runs.
func (e *Engine) Cancel(step string) bool {
	e.control.mu.Lock()
	defer e.control.mu.Unlock()
	return e.control.stop(step)
}

// stop asks, then kills; mu is held.
func (c *control) stop(step string) bool {
	h := c.running[step]
	if h == nil {
		return false
	}
	h.cancel()
	if h.asked++; h.asked == 2 {
		close(h.now)
	}
	return true
}

// Skip leaves steps out, and with them those that need them; one that runs is
// stopped as by Cancel. Claims that they decide are then inconclusive.
func (e *Engine) Skip(steps ...string) {
	c := &e.control
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, step := range steps {
		if c.stop(step) {
			c.running[step].skipped = true
		} else {
			c.skip = append(c.skip, step)
		}
	}
	c.wake()
}

// Hold keeps the run from beginning further steps until it is let go again;
// those that run go on.
func (e *Engine) Hold(on bool) { e.control.hold(on, "asked for") }

// HoldAfterExperiments has the run hold whenever an experiment has ended for
// which something was run.
func (e *Engine) HoldAfterExperiments(on bool) {
	e.control.mu.Lock()
	defer e.control.mu.Unlock()
	e.control.halts = on
}

// toLeaveOut gives the steps that are to be left out and have not begun.
func (x *execution) toLeaveOut(begun map[string]bool) []*Step {
	var out []*Step
	twice := map[string]bool{}
	for _, id := range x.control.takeSkips() {
		s := x.steps[id]
		if _, ended := x.outcomes[id]; s != nil && !ended && !begun[id] && !twice[id] {
			out = append(out, s)
		}
		twice[id] = true
	}
	return out
}
