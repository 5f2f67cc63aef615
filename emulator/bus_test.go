package emulator

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The timetable's answers are those of a plain set of slots.
func TestBus(t *testing.T) {
	const page = 5
	rng := rand.New(rand.NewPCG(1, 1))
	var b bus
	all, reads := map[int64]bool{}, map[int64]bool{}
	first := func(taken map[int64]bool, from, end int64) int64 {
		for from < end && taken[from] {
			from++
		}
		return min(from, end)
	}
	now := int64(0)
	for i := range 20_000 {
		now += int64(rng.IntN(12)) * int64(rng.IntN(2))
		if i%4_000 == 0 {
			now += 1_000_000
			clear(all)
			clear(reads)
		}
		ready := now + int64(rng.IntN(1<<rng.IntN(12)))
		ahead := rng.IntN(3) == 0
		end := (now/page>>6 + busWords) << 6
		want, slot := ready, ready/page
		if ahead {
			slot = first(reads, slot, end)
			want = max(want, slot*page)
			if slot < end && all[slot] {
				want += page
				all[first(all, slot, end)] = true
			}
			reads[slot], all[slot] = true, true
		} else {
			slot = first(all, slot, end)
			want = max(want, slot*page)
			all[slot] = true
		}
		delete(all, end)
		delete(reads, end)
		require.Equal(t, want+page, b.book(now, ready, page, ahead), "request %d", i)
	}
}

// However many pages wait, a bus carries them without a gap, and one that comes
// from a busy plane holds up nobody.
func TestBusKeepsBusy(t *testing.T) {
	var b bus
	for i := range int64(1000) {
		require.EqualValues(t, (i+1)*10, b.book(0, 0, 10, false))
	}
	b = bus{}
	require.EqualValues(t, 5010, b.book(0, 5000, 10, false))
	require.EqualValues(t, 10, b.book(0, 0, 10, false))
}
