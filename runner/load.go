package runner

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"reprise/runner/event"
	"reprise/runner/node"
)

// Samples of the nodes' load come every second at first; their number grows
// with the run by sampleShare of its length at most, so that the log of a long
// run is not made of them.
const (
	firstSample = time.Second
	sampleShare = 1. / 200
	rarest      = 30 * time.Second
)

// watchNodes records how busy the nodes are, and the leases, until the
// function that it gives is called.
func (x *execution) watchNodes(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	panicked := make(chan any, len(x.Nodes)+1)
	beside := func(f func()) {
		all.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					panicked <- fmt.Sprintf("%v\n\n%s", p, debug.Stack())
				}
			}()
			f()
		})
	}
	began := time.Now()
	every := func(look func()) {
		for {
			wait := min(max(firstSample, time.Duration(float64(time.Since(began))*sampleShare)), rarest)
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
				look()
			}
		}
	}
	for _, n := range x.Nodes {
		s, can := n.(node.Sampler)
		if !can {
			continue
		}
		beside(func() {
			last, _ := s.Load(ctx)
			every(func() {
				now, err := s.Load(ctx)
				if err != nil {
					return // whether the node is lost, its steps will tell
				}
				e := event.NodeLoad{Node: n.Name(), MemoryUsed: now.MemoryUsed, MemoryTotal: now.MemoryTotal, Load1: now.Load1}
				busy, idle := now.Busy-last.Busy, now.Idle-last.Idle
				if busy >= 0 && idle >= 0 && busy+idle > 0 {
					e.CPU = float64(busy) / float64(busy+idle)
				}
				last = now
				x.log.Emit(e)
			})
		})
	}
	if x.Leases != nil {
		known := map[string]event.Leased{}
		look := func() {
			for _, l := range x.Leases() {
				if known[l.Name] != l {
					known[l.Name] = l
					x.log.Emit(l)
				}
			}
		}
		look()
		beside(func() { every(look) })
	}
	return func() {
		cancel()
		all.Wait()
		select {
		case p := <-panicked:
			panic(p) // as with that of a step
		default:
		}
	}
}
