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
				for tag := range uint64(4) {
					passed += x.buckets[i].passed(tag)
				}
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
					if found || !b.morePassed(tag(hash)) {
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
	b := bucket{tags: [2]uint64{0x1122_3344_5566_7700, 0x0077_6655_4433_2211}}
	counts := [4]int{}
	for step := range 10_000 {
		tag := uint64(step * 7 % 127)
		n := step * 5 % (passedMax + 1)
		b.setPassed(tag, n)
		counts[tag%4] = n
		for i, n := range counts {
			require.Equal(t, n, b.passed(uint64(i)))
			require.Equal(t, n > 0, b.morePassed(uint64(i)))
		}
	}
	require.Equal(t, [2]uint64{0x1122_3344_5566_7700, 0x0077_6655_4433_2211}, [2]uint64{b.tags[0] & tagBits, b.tags[1] & tagBits})
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
