package runner

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/runner/node"
)

func TestNeighbours(t *testing.T) {
	second := time.Second
	load := func(busy, idle time.Duration) node.Load { return node.Load{Busy: busy, Idle: idle} }
	for name, c := range map[string]struct {
		before, after node.Load
		used          node.Usage
		share         float64
		noisy         bool
	}{
		"alone":               {load(10*second, 90*second), load(20*second, 100*second), node.Usage{Wall: 10 * second, User: 10 * second}, 0, false},
		"a busy neighbour":    {load(10*second, 90*second), load(28*second, 92*second), node.Usage{Wall: 10 * second, User: 8 * second}, 0.5, true},
		"what a system does":  {load(0, 0), load(10*second+second/2, 9*second+second/2), node.Usage{Wall: 10 * second, User: 9 * second, Sys: second}, 0.025, false},
		"too short to say":    {load(0, 0), load(second/5, 0), node.Usage{Wall: second / 10}, 0, false},
		"counters went back":  {load(second, second), load(0, 0), node.Usage{Wall: second}, 0, false},
		"nothing was counted": {load(second, second), load(second, second), node.Usage{Wall: second}, 0, false},
	} {
		share, noisy := neighbours(c.before, c.after, c.used)
		require.InDelta(t, c.share, share, 1e-9, name)
		require.Equal(t, c.noisy, noisy, name)
	}
}
