package emulator

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The timetable's answers are those of a plain set of slots without an end, but
// for pages that are ready beyond the end, which take no slot.
func TestBus(t *testing.T) {
	for name, step := range map[string]int{"calm": 24, "crowded": 3} {
		t.Run(name, func(t *testing.T) {
			const page = 5
			rng := rand.New(rand.NewPCG(1, 1))
			var b bus
			all, reads := map[int64]bool{}, map[int64]bool{}
			first := func(taken map[int64]bool, from int64) int64 {
				for taken[from] {
					from++
				}
				return from
			}
			now, spilled := int64(0), 0
			for i := range 18_000 {
				now += int64(rng.IntN(step))
				if i%9_000 == 0 {
					now += int64(rng.IntN(50_000))
				}
				ready := now + int64(rng.IntN(1<<rng.IntN(12)))
				ahead := rng.IntN(3) == 0
				end := (now/page>>6 + busWords) << 6
				want, slot := ready, ready/page
				switch {
				case slot >= end:
				case ahead:
					slot = first(reads, slot)
					want = max(want, slot*page)
					if all[slot] {
						if slot < end {
							want += page
						}
						all[first(all, slot)] = true
					}
					reads[slot], all[slot] = true, true
				default:
					slot = first(all, slot)
					want = max(want, slot*page)
					all[slot] = true
				}
				if slot >= end {
					spilled++
				}
				require.Equal(t, want+page, b.book(now, ready, page, ahead), "request %d", i)
			}
			require.Equal(t, name == "crowded", spilled > 1000, "%d pages went beyond the end", spilled)
		})
	}
}

// However many pages wait, a bus carries them without a gap, and one that comes
// from a busy plane holds up nobody.
func TestBusKeepsBusy(t *testing.T) {
	var b bus
	for i := range int64(10_000) {
		require.EqualValues(t, (i+1)*10, b.book(0, 0, 10, false))
	}
	for i := range int64(10_000) {
		require.EqualValues(t, (10_001+i)*10, b.book(5*i, 5*i, 10, false), "twice what it carries")
	}
	b = bus{}
	require.EqualValues(t, 5010, b.book(0, 5000, 10, false))
	require.EqualValues(t, 10, b.book(0, 0, 10, false))
}
