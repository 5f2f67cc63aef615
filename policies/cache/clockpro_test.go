package cache

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The queues of cold objects are what one meets on the way round the ring.
func TestClockProQueues(t *testing.T) {
	for _, capacity := range []int64{1, 2, 3, 10, 40} {
		rng := rand.New(rand.NewPCG(16, uint64(capacity)))
		p := choice(t, "clockpro").New(capacity, 0).(*clockpro)
		between := func(from, to Handle) []Handle {
			var cold []Handle
			for h := from; h != to; h = p.nodes[h].prev {
				if n := &p.nodes[h]; h != 1 && n.list == listCold && n.flag&flagGhost == 0 {
					cold = append(cold, h)
				}
			}
			return cold
		}
		queued := func(q *handles) []Handle {
			var all []Handle
			for i := range q.n {
				if h := *q.at(i); p.nodes[h].flag&flagGone == 0 {
					all = append(all, h)
				}
			}
			return all
		}
		for step := range 20_000 {
			k := KeyOf(uint64(rng.ExpFloat64() * float64(capacity)))
			h := p.Find(k)
			switch {
			case h == None:
				p.Insert(k, 1, Origin(rng.IntN(8)/7))
			case rng.IntN(20) == 0:
				p.Demote(h)
				if p.Len() == int(capacity) {
					p.runCold()
					require.Equal(t, None, p.Peek(k), "what is demoted goes first")
				}
			case rng.IntN(20) == 0 || step/1000%4 == 3: // removals prevail from time to time
				p.Remove(h)
			}
			require.LessOrEqual(t, len(p.nodes), 4*int(capacity)+2*64, "what was removed takes no room for long")
			ahead, beyond := between(p.cold, p.hot), between(p.hot, p.cold)
			if p.cold == p.hot { // all the way round
				ahead = between(p.nodes[p.cold].prev, p.cold)
				if n := &p.nodes[p.cold]; p.cold != 1 && n.list == listCold && n.flag&flagGhost == 0 {
					ahead = append([]Handle{p.cold}, ahead...)
				}
				require.Equal(t, ahead, append(queued(&p.ahead), queued(&p.beyond)...))
				require.Zero(t, min(len(queued(&p.ahead)), len(queued(&p.beyond))))
				continue
			}
			require.Equal(t, ahead, queued(&p.ahead))
			require.Equal(t, beyond, queued(&p.beyond))
		}
	}
}
