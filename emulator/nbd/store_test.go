package nbd

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// slabsInUse counts the slabs of a memory store and checks that every page that
// has room has room of its own and that all else is free.
func slabsInUse(t *testing.T, m *memory) (n int) {
	t.Helper()
	taken := make(map[uint32]uint64)
	for _, at := range m.pages {
		if at != 0 {
			bit := uint64(1) << ((at - 1) % slabPages)
			require.Zero(t, taken[(at-1)/slabPages]&bit, "two pages in one place")
			taken[(at-1)/slabPages] |= bit
		}
	}
	var open []uint32
	for id, s := range m.slabs {
		if s == nil {
			continue
		}
		n++
		require.Equal(t, ^taken[uint32(id)], s.free)
		if s.free != 0 {
			require.Equal(t, uint32(id), m.open[s.at])
			open = append(open, uint32(id))
		}
	}
	require.ElementsMatch(t, open, m.open)
	return n
}

// Scattered small writes take the room of their pages, and what is zeroed gives
// it back and reads as zeros when room is used again.
func TestMemoryRoom(t *testing.T) {
	const size = 1<<26 + 1000 // the last page is not whole
	m := NewMemory(size).(*memory)
	rng := rand.New(rand.NewPCG(3, 4))
	var at []int64
	for _, i := range rng.Perm(size / pageSize)[:10*slabPages] {
		off := int64(i)*pageSize + rng.Int64N(pageSize-8)
		_, err := m.WriteAt([]byte("reprise!"), off)
		require.NoError(t, err)
		at = append(at, off)
	}
	require.Equal(t, 10, slabsInUse(t, m))

	got := make([]byte, 3*pageSize)
	for _, off := range at[:5*slabPages] {
		require.NoError(t, m.Zero(off/pageSize*pageSize, pageSize))
	}
	slabsInUse(t, m)
	for _, off := range at[:5*slabPages] { // room that held other pages
		_, err := m.WriteAt([]byte{'!'}, off)
		require.NoError(t, err)
		page := got[:min(pageSize, size-off/pageSize*pageSize)]
		_, err = m.ReadAt(page, off/pageSize*pageSize)
		require.NoError(t, err)
		want := make([]byte, len(page))
		want[off%pageSize] = '!'
		require.True(t, bytes.Equal(want, page))
	}
	require.Equal(t, 10, slabsInUse(t, m))

	_, err := m.WriteAt(bytes.Repeat([]byte{1}, 3000), size-3000)
	require.NoError(t, err)
	require.NoError(t, m.Zero(0, size))
	length, hole := m.Extent(0, size-size%pageSize)
	require.True(t, hole)
	require.EqualValues(t, size-size%pageSize, length)
	require.Equal(t, 1, slabsInUse(t, m), "what is left is the last page, zeroed in part")
}
