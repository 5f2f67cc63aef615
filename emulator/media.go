package emulator

// media is the timing of the flash array. A plane (unit) works by itself; the
// planes of a channel share its bus. A plane is a time up to which it is booked,
// so an operation costs a few additions and no event queue.
//
// A program occupies bus then plane, a read plane then bus, a copy both. With
// suspend, reads go before booked programs and erases: the one under way is
// interrupted, and what was booked ends later by the time the read took.
//
// A controller out of order sends the pages of a channel as they get ready, and
// has so many copies under way that planes and buses do not wait for one
// another. In order, a bus is booked up to a time too: what is booked for later
// keeps everything behind it waiting, and a copy begins with what its planes
// and buses have in hand.
type media struct {
	t        Timing
	suspend  bool
	overhead int64 // of suspending and resuming
	channels uint32

	unitFree, unitReadFree []int64
	buses                  []bus   // out of order
	busFree, busReadFree   []int64 // in order
}

func newMedia(c Config) media {
	m := media{
		t: c.Timing, suspend: c.Suspend > 0, overhead: c.Suspend, channels: uint32(c.Channels),
		unitFree: make([]int64, c.Units()), unitReadFree: make([]int64, c.Units()),
	}
	if c.Scheduling == outOfOrder {
		m.buses = make([]bus, c.Channels)
	} else {
		m.busFree, m.busReadFree = make([]int64, c.Channels), make([]int64, c.Channels)
	}
	return m
}

// send books the transfer of a page that is ready at a time, if ahead before
// those of programs, and returns its end.
func (m *media) send(now, ready int64, channel uint32, ahead bool) (end int64) {
	switch {
	case m.t.Transfer == 0:
		return ready
	case m.buses != nil:
		return m.buses[channel].book(now, ready, m.t.Transfer, ahead)
	case !ahead:
		end = max(ready, m.busFree[channel]) + m.t.Transfer
		m.busFree[channel] = end
		return end
	}
	// The page on the wire goes first; those queued behind it give way.
	start := max(ready, m.busReadFree[channel])
	if m.busFree[channel] > start {
		start += m.t.Transfer
		m.busFree[channel] += m.t.Transfer
	}
	end = start + m.t.Transfer
	m.busReadFree[channel] = end
	m.busFree[channel] = max(m.busFree[channel], end)
	return end
}

// read books a host read whose sensing is repeated retries times and returns
// when the data is across the bus.
func (m *media) read(now int64, unit, retries uint32) int64 {
	sense := m.t.Read * int64(1+retries)
	channel := unit % m.channels
	if !m.suspend {
		end := max(now, m.unitFree[unit]) + sense
		m.unitFree[unit] = end
		return m.send(now, end, channel, false)
	}
	start := max(now, m.unitReadFree[unit])
	if m.unitFree[unit] > start {
		start += m.overhead
		m.unitFree[unit] += sense + m.overhead
	}
	end := start + sense
	m.unitReadFree[unit] = end
	m.unitFree[unit] = max(m.unitFree[unit], end)
	return m.send(now, end, channel, true)
}

// program books the program of a page that is with the controller at ready, and
// returns its end.
func (m *media) program(now, ready int64, unit uint32) int64 {
	sent := m.send(now, ready, unit%m.channels, false)
	end := max(sent, m.unitFree[unit]) + m.t.Program
	m.unitFree[unit] = end
	return end
}

// copy books the move of a page by the device itself; within a plane it does
// not cross the bus.
func (m *media) copy(now int64, from, to, retries uint32) {
	end := max(now, m.unitFree[from]) + m.t.Read*int64(1+retries)
	m.unitFree[from] = end
	switch {
	case from == to:
		m.unitFree[to] = end + m.t.Program
	case m.buses != nil:
		m.send(now, now, from%m.channels, false)
		m.program(now, now, to)
	default:
		m.program(now, m.send(now, end, from%m.channels, false), to)
	}
}

func (m *media) erase(now int64, unit uint32) {
	m.unitFree[unit] = max(now, m.unitFree[unit]) + m.t.Erase
}

// writeBuffer holds pages from their acceptance to the end of their program,
// first in, first out. Pages still in it are read from it.
type writeBuffer struct {
	done []int64 // ring: end of the program of the page in the slot
	slot int
	// recent is a direct-mapped cache of flash page to its end of program, for
	// reads; a collision only means a read from flash.
	page []uint32
	end  []int64
	last int64 // end of the latest program
}

func newWriteBuffer(pages int) writeBuffer {
	size := 1
	for size < 2*pages {
		size *= 2
	}
	b := writeBuffer{done: make([]int64, pages), page: make([]uint32, size), end: make([]int64, size)}
	for i := range b.page {
		b.page[i] = none
	}
	return b
}

// ready is the earliest time from now on that a page can enter.
func (b *writeBuffer) ready(now int64) int64 { return max(now, b.done[b.slot]) }

// enter notes that flash page at, accepted into the buffer, ends its program at end.
func (b *writeBuffer) enter(at uint32, end int64) {
	b.done[b.slot] = end
	if b.slot++; b.slot == len(b.done) {
		b.slot = 0
	}
	i := at & uint32(len(b.page)-1)
	b.page[i], b.end[i] = at, end
	b.last = max(b.last, end)
}

// holds says that the data of a flash page is still buffered.
func (b *writeBuffer) holds(at uint32, now int64) bool {
	i := at & uint32(len(b.page)-1)
	return b.page[i] == at && b.end[i] > now
}
