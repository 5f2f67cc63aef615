package emulator

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// linked is clockwork with a buffer and a link that a page takes 10 us to cross.
func linked() Config {
	c := clockwork()
	c.Buffer, c.BufferEntry, c.Link = 64, 8_000, 410
	return c
}

// Pages cross the link in turn, each way by itself.
func TestLink(t *testing.T) {
	d := newDevice(t, linked())
	const page = 9_991 // 4096 bytes at 410 MB/s, rounded up
	require.EqualValues(t, page+8_000, write(t, d, 0, 0, 1))
	require.EqualValues(t, 4*page+8_000, write(t, d, 1e6, 1, 4), "size counts")
	require.EqualValues(t, 5*page+8_000, write(t, d, 1e6, 5, 1), "behind the request before")
	require.EqualValues(t, 45_000+page, read(t, d, 2e6, 0, 1))
	require.InDelta(t, 45_000+4*page, read(t, d, 3e6, 0, 4), page, "four planes are ready at 45 and 50 us, the link is not")
	write(t, d, 4e6, 6, 2)
	require.EqualValues(t, 45_000+page, read(t, d, 4e6, 0, 1), "the other way is free")
	require.InDelta(t, 2*page, read(t, d, 5e6, 40, 2), page, "zeros of pages never written cross it too")

	c := linked()
	c.Link = 0
	require.EqualValues(t, 8_000, write(t, newDevice(t, c), 0, 0, 16))
	c.Link = -1
	_, err := New(c)
	require.ErrorContains(t, err, "link_mb_s is -1")
}

// A page that is ready late leaves the link to others until then.
func TestLinkWaitsForNobody(t *testing.T) {
	d := newDevice(t, linked())
	write(t, d, 0, 0, 4)
	require.Positive(t, d.Flush(0))
	now := int64(1e6)
	d.media.erase(now, 0) // the plane of page 0
	require.EqualValues(t, 2_000_000+45_000+9_991, read(t, d, now, 0, 1))
	require.EqualValues(t, 45_000+9_991, read(t, d, now, 1, 1))
}

// Reading in order, as much as the planes could give, comes at the rate of the
// link, and writing too while there is room.
func TestLinkRate(t *testing.T) {
	c := DefaultConfig()
	c.BlocksPerPlane = 64
	d := newDevice(t, c)
	fill(t, d)
	start := d.Flush(0)
	const pages, size = 4096, 32
	last := int64(0)
	for p := uint64(0); p < pages; p += size {
		last = max(last, start+read(t, d, start, p, size))
	}
	// The first page takes 46 us of the 5 ms, and times are whole nanoseconds.
	require.InEpsilon(t, 3360, float64(pages*4096)*1000/float64(last-start), 0.02, "MB/s")
	last = 0
	now := start + 1e9
	for p := uint64(0); p < uint64(c.Buffer); p += size {
		last = max(last, now+write(t, d, now, p, size))
	}
	require.InEpsilon(t, 3360, float64(c.Buffer*4096)*1000/float64(last-now-c.BufferEntry), 0.001, "MB/s")
}

// What is written when the buffer is full is booked for later; a bus keeps its
// timetable from the present on nevertheless.
func TestFullBufferLeavesThePresent(t *testing.T) {
	c := linked()
	c.Link, c.Suspend = 0, 20_000
	d := newDevice(t, c)
	fill(t, d)
	now := d.Flush(0)
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		now += 1_000 // far faster than the flash
		write(t, d, now, uint64(rng.IntN(d.Pages())), 1)
		for _, b := range d.media.buses {
			require.LessOrEqual(t, b.base<<6*d.cfg.Timing.Transfer, now)
		}
	}
}
