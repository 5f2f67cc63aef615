package cache

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Two queues of ghosts that leave from anywhere, so that they are compacted, and
// whose sizes come to count later, against slices.
func TestGhosts(t *testing.T) {
	for _, sized := range []bool{false, true} {
		rng := rand.New(rand.NewPCG(14, 14))
		s := newStore(1<<40, 0)
		s.ghosts.noted = true
		queues := [2]ghostQueue{newGhostQueue(0), newGhostQueue(1)}
		var want [2][]uint64
		size := func(id uint64) uint32 {
			if sized && id > 3000 {
				return 1 + uint32(id%7)
			}
			return 1
		}
		next := uint64(0)
		for step := range 60_000 {
			q := rng.IntN(2)
			growing := step < 20_000 || step > 40_000
			switch {
			case growing || len(want[q]) == 0:
				next++
				h := s.bury(&queues[q], s.add(KeyOf(next), size(next), Demand))
				*s.ghostNote(h) = uint32(next)
				want[q] = append(want[q], next)
			case rng.IntN(4) == 0:
				require.Equal(t, want[q][0], s.idOf(s.oldestGhost(&queues[q])))
				s.raiseOldest(&queues[q])
				want[q] = want[q][1:]
			default:
				i := rng.IntN(len(want[q]))
				h := s.lookup(KeyOf(want[q][i]))
				require.True(t, isGhost(h))
				require.Equal(t, q, s.ghostQueueOf(h))
				require.EqualValues(t, want[q][i], *s.ghostNote(h))
				require.Equal(t, size(want[q][i]), s.ghostSize(h))
				s.raise(h)
				want[q] = slices.Delete(want[q], i, i+1)
			}
			require.Equal(t, len(want[q]), queues[q].n)
			require.LessOrEqual(t, queues[q].chunks*chunkSlots, queues[q].n+queues[q].n/gapsBound+2*chunkSlots)
		}
		for q := range queues {
			bytes := int64(0)
			for _, id := range want[q] {
				bytes += int64(size(id))
			}
			require.Equal(t, bytes, queues[q].bytes)
			for _, id := range want[q] {
				require.Equal(t, id, s.idOf(s.oldestGhost(&queues[q])))
				s.raiseOldest(&queues[q])
			}
			require.Zero(t, queues[q].n+queues[q].chunks)
			require.Zero(t, queues[q].bytes)
		}
		require.Zero(t, s.known)
	}
}
