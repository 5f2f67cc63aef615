package runner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"reprise/runner/node"
)

// watchConditions looks at the machine around a step that measures it. The
// function it gives is called after the step, with what the step used, and says
// what should be known of its observations.
func watchConditions(ctx context.Context, s *Step, n node.Node) func(node.Usage) []string {
	if !s.Exclusive {
		return func(node.Usage) []string { return nil }
	}
	var warnings []string
	if g := n.Machine().Governor; g != "" && g != "performance" {
		warnings = append(warnings, fmt.Sprintf("the frequency governor was %s, not performance", g))
	}
	sampler, can := n.(node.Sampler)
	if !can {
		return func(node.Usage) []string { return warnings }
	}
	before, err := sampler.Load(ctx)
	if err != nil {
		return func(node.Usage) []string { return warnings }
	}
	return func(u node.Usage) []string {
		after, err := sampler.Load(ctx)
		if err != nil {
			return warnings
		}
		if share, noisy := neighbours(before, after, u); noisy {
			warnings = append(warnings, fmt.Sprintf("something else used %.0f %% of the machine's processors while it ran", 100*share))
		}
		return warnings
	}
}

// neighbours is the share of all cores' time that others than a step used
// between two samples. Less than a twentieth is what any system does by itself,
// and steps of less than half a second are too short for the kernel's ticks.
func neighbours(before, after node.Load, u node.Usage) (share float64, noisy bool) {
	busy, idle := after.Busy-before.Busy, after.Idle-before.Idle
	if busy < 0 || idle < 0 || busy+idle == 0 || u.Wall < 500*time.Millisecond {
		return 0, false
	}
	share = float64(busy-u.User-u.Sys) / float64(busy+idle)
	return share, share > 0.05
}

// addWarnings adds those that are not there yet; those of many steps differ in
// a figure only, so the first three of them stand for all.
func addWarnings(list, more []string) []string {
	const most = 3
	for _, w := range more {
		if len(list) < most && !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	return list
}
