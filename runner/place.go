package runner

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"reprise/runner/node"
	"reprise/runner/store"
)

// place is a node with what runs on it.
type place struct {
	node.Node
	machine   node.Machine
	role      string
	instance  int  // which of its role
	queue     bool // keeps exclusive commands apart by itself
	slots     int
	running   int
	storing   int // of those, steps whose result is written and not yet durable
	exclusive bool
	failures  int       // of the node, in a row
	rests     time.Time // until then the node is left alone
}

// places are the nodes of one execution; only walk's goroutine touches them.
type places []*place

func (e *Engine) places() places {
	var ps places
	for _, n := range e.Nodes {
		m := n.Machine()
		queue, isQueue := n.(node.Queue)
		slots := e.Jobs
		switch {
		case slots > 0:
		case isQueue:
			slots = queue.Depth()
		default:
			slots = m.Cores
		}
		p := &place{Node: n, machine: m, queue: isQueue, slots: max(slots, 1)}
		for role, seats := range e.Roles {
			if i := slices.IndexFunc(seats, func(s Seat) bool { return s.Node == n }); i >= 0 {
				p.role, p.instance = role, i
			}
		}
		ps = append(ps, p)
	}
	return ps
}

// plays says whether the place has the role that a step asks for.
func (p *place) plays(s *Step) bool {
	return s.Role == "" || p.role == s.Role && p.instance == s.Instance
}

// takes says whether a step may start on the place now. While the disk makes a
// result durable the step's slot is free, for as many steps as there are slots; but
// nothing exclusive runs beside that.
func (p *place) takes(s *Step, now time.Time) bool {
	return p.running-min(p.storing, p.slots) < p.slots && !p.exclusive && (!s.Exclusive || p.running == 0 || p.queue) && !now.Before(p.rests)
}

// holds says that an earlier run's command for the step is there.
func (p *place) holds(s *Step) bool {
	k, keeps := p.Node.(node.Keeper)
	return keeps && k.Holds(s.Key)
}

// leftBehind says what dead runs have left running on the places that the plan
// does not take over.
func (ps places) leftBehind(plan *Plan, fresh bool) (said []string) {
	keys := map[string]bool{}
	for _, s := range plan.Steps {
		keys[s.Key] = !fresh
	}
	for _, p := range ps {
		if k, keeps := p.Node.(node.Keeper); keeps {
			said = append(said, k.Left(func(key string) bool { return keys[key] })...)
		}
	}
	return said
}

// heldFirst puts the steps first whose commands an earlier run has started, so
// that what runs on a node is counted there before anything is added.
func (ps places) heldFirst(steps []*Step) {
	held := map[*Step]bool{}
	for _, s := range steps {
		if slices.ContainsFunc(ps, func(p *place) bool { return p.holds(s) }) {
			held[s] = true
		}
	}
	if len(held) > 0 {
		slices.SortStableFunc(steps, func(a, b *Step) int {
			switch {
			case held[a] == held[b]:
				return 0
			case held[a]:
				return -1
			}
			return 1
		})
	}
}

// pick finds the emptiest place that takes the step, or nil. A step does not
// go back to a place that has failed it while there is one that has not, and
// goes where an earlier run's command for it is.
func (ps places) pick(s *Step, failed []*place, now time.Time) *place {
	if playing := slices.DeleteFunc(slices.Clone(ps), func(p *place) bool { return !p.plays(s) }); len(playing) > 0 {
		ps = playing // else any says what is missing
	}
	if i := slices.IndexFunc(ps, func(p *place) bool { return p.holds(s) }); i >= 0 {
		if p := ps[i]; p.takes(s, now) {
			return p
		}
		return nil
	}
	var best *place
	for _, p := range ps {
		if !p.takes(s, now) || slices.Contains(failed, p) && len(failed) < len(ps) {
			continue
		}
		if best == nil || p.running*best.slots < best.running*p.slots {
			best = p
		}
	}
	return best
}

// full says that no place could take any step.
func (ps places) full(now time.Time) bool {
	return !slices.ContainsFunc(ps, func(p *place) bool { return p.takes(&Step{}, now) })
}

// rested is when the first of the places that rest may be used again.
func (ps places) rested(now time.Time) time.Time {
	var first time.Time
	for _, p := range ps {
		if now.Before(p.rests) && (first.IsZero() || p.rests.Before(first)) {
			first = p.rests
		}
	}
	return first
}

func (p *place) begin(s *Step) {
	p.running++
	p.exclusive = s.Exclusive && !p.queue
}

// end takes in how the node did. One that failed is left alone for a while,
// longer each time until it has run a command again.
func (p *place) end(o outcome, backoff time.Duration, now time.Time) {
	p.running--
	p.exclusive = false
	if o.stored {
		p.storing--
	}
	switch {
	case o.nodeFailed:
		const mostDoublings = 6
		p.rests = now.Add(backoff << min(p.failures, mostDoublings))
		p.failures++
	case o.node != "" && !o.reused:
		p.failures = 0
	}
}

// measuredOn is the machine of a step's result as unlike compares them.
func measuredOn(s *Step, r *store.Result) string {
	if !s.measures() || r.Machine.Cores == 0 {
		return ""
	}
	return r.Machine.String()
}

// unlike says how the machines that measured an experiment differ, if they do
// so in what a measurement depends on.
func unlike(outcomes []outcome) string {
	kinds := map[string][]string{}
	for _, o := range outcomes {
		if o.node == "" || o.machine == "" {
			continue // not measured, or by a version that did not write it down
		}
		if !slices.Contains(kinds[o.machine], o.node) {
			kinds[o.machine] = append(kinds[o.machine], o.node)
		}
	}
	if len(kinds) < 2 {
		return ""
	}
	var parts []string
	for _, kind := range sortedStrings(kinds) {
		parts = append(parts, fmt.Sprintf("%s (%s)", strings.Join(kinds[kind], ", "), kind))
	}
	return strings.Join(parts, "; ")
}
