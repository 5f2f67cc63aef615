package cache

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// An index of few buckets, often full, against Go's map; with large handles, and
// hashes that many objects share.
func TestIndex(t *testing.T) {
	for _, from := range []Handle{1, 1 << 23} {
		rng := rand.New(rand.NewPCG(13, uint64(from)))
		x := newIndex(5)
		entered := map[Handle]uint32{}
		var all []Handle
		next := from
		for range 50_000 {
			switch {
			case len(all) < 38 && rng.IntN(2) == 0:
				h := next
				if next++; rng.IntN(2) == 0 {
					h |= ghostBit
				}
				hash := rng.Uint32N(8) << 29
				x.enter(hash, h)
				entered[h], all = hash, append(all, h)
			case len(all) > 0 && rng.IntN(2) == 0:
				i := rng.IntN(len(all))
				h := all[i]
				x.leave(entered[h], h)
				delete(entered, h)
				all[i] = all[len(all)-1]
				all = all[:len(all)-1]
			case len(all) > 0:
				i := rng.IntN(len(all))
				h := next
				next++
				x.replace(entered[all[i]], all[i], h)
				entered[h] = entered[all[i]]
				delete(entered, all[i])
				all[i] = h
			}
			passed := 0
			for i := range x.buckets {
				passed += x.buckets[i].passed()
			}
			if len(all) == 0 {
				require.Zero(t, passed)
			}
			for h, hash := range entered {
				i, found := x.home(hash), false
				for range x.buckets {
					b := &x.buckets[i]
					for m := b.match(tag(hash)); m != 0; m &= m - 1 {
						found = found || x.handle(b, i, slotOf(m)) == h
					}
					if found || b.tags&highBits == 0 {
						break
					}
					i = x.after(i)
				}
				require.True(t, found)
			}
		}
		require.Equal(t, from > 1, x.top != nil)
	}
}

func TestPassedCount(t *testing.T) {
	b := bucket{tags: 0x1122_3344_5566_7700}
	for n := range passedMax + 1 {
		b.setPassed(n)
		require.Equal(t, n, b.passed())
		require.Equal(t, uint64(0x1122_3344_5566_7700), b.tags&tagBits)
	}
}

// Counters that outgrow 16 bits, dense and sparse, against a map.
func TestCountingBloom(t *testing.T) {
	for _, dense := range []bool{true, false} {
		rng := rand.New(rand.NewPCG(15, 15))
		b := newCountingBloom(20, 0.001)
		if !dense {
			b.dense, b.sparse = nil, make([]uint64, 1<<12)
		}
		ref := &refBloom{n: b.n, counts: map[uint64]uint32{}}
		for step := range 400_000 {
			id := rng.Uint64N(3)
			b.add(id)
			ref.add(id)
			if step%150_000 == 0 {
				b.halve()
				ref.halve()
			}
			if step%1000 == 0 || step > 399_000 {
				for id := range uint64(9) {
					var at counters
					b.locate(id, &at)
					require.Equal(t, ref.estimate(id), b.estimateAt(&at), "step %d", step)
				}
			}
		}
	}
}
