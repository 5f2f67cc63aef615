package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"reprise/runner/device"
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

// steady remembers which disks steps of this run have brought into the steady
// state in which they are measured, by machine and path.
type steady struct{ disks sync.Map }

// after takes in a step that has succeeded on a machine with these disks and some
// observations, and says which disks it measured that nothing had preconditioned.
// Evidence is a step that declares it and ran to its end, on that machine and
// disk, in this run: what was done before may have been undone since.
func (p *steady) after(s *Step, machine string, disks map[string][]device.Device, observations int) (warnings []string) {
	for _, name := range sortedStrings(disks) {
		fresh := []string{}
		for _, path := range paths(disks[name]) {
			if s.Shell != nil && slices.Contains(s.Shell.Preconditions, name) {
				p.disks.Store(machine+" "+path, true)
			} else if _, done := p.disks.Load(machine + " " + path); !done {
				fresh = append(fresh, path)
			}
		}
		uses := s.Shell == nil || strings.Contains(s.Shell.Sh, DeviceVariable(name))
		if len(fresh) > 0 && uses && observations > 0 {
			warnings = append(warnings, fmt.Sprintf("device %s (%s) was not preconditioned in this run: a drive that is not in its steady state is faster", name, strings.Join(fresh, ", ")))
		}
	}
	return warnings
}
