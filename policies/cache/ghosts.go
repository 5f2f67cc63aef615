package cache

import "math/bits"

// A ghost is an object that was evicted and is still known: an id in a chunk,
// found by the store's index under a handle with ghostBit set. Ghosts of a
// queue are in the order in which they came, and may leave from anywhere in it.
// Each takes 8.2 bytes and its part of the index, with 4 more where sizes count
// and 4 for a note. The places of those that left from amid the queue stay empty
// until their chunk is, but are few.
type ghosts struct {
	chunks []ghostChunk
	free   int32 // chain of empty chunks through next
	sized  bool
	noted  bool // the policy keeps 32 bits of each
}

const (
	ghostBit   Handle = 1 << 31
	chunkBits         = 9
	chunkSlots        = 1 << chunkBits
	noChunk           = -1
	// gapsBound is for how many ghosts of a queue there may be one empty place,
	// beyond two chunks.
	gapsBound = 16
)

type ghostChunk struct {
	ids        *[chunkSlots]uint64
	sizes      *[chunkSlots]uint32 // nil: all 1
	notes      *[chunkSlots]uint32
	live       [chunkSlots / 64]uint64 // bits
	n          int32                   // live ones
	used       int32                   // slots filled so far
	prev, next int32                   // the next older chunk of the queue, the next newer
	queue      *ghostQueue
}

// ghostQueue is a queue of ghosts. Its number is the policy's, for telling which
// queue a ghost was in.
type ghostQueue struct {
	number       int
	n            int
	bytes        int64
	oldest, last int32 // chunks
	from         int   // 64 slots of the oldest chunk, before which none is live
	chunks       int
}

func newGhostQueue(number int) ghostQueue {
	return ghostQueue{number: number, oldest: noChunk, last: noChunk}
}

func (g *ghosts) at(h Handle) (c *ghostChunk, slot uint32) {
	return &g.chunks[(h&^ghostBit)>>chunkBits], uint32(h) & (chunkSlots - 1)
}

// all calls f with every ghost.
func (g *ghosts) all(f func(h Handle, id uint64)) {
	for i := range g.chunks {
		c := &g.chunks[i]
		for w, m := range c.live {
			for ; m != 0; m &= m - 1 {
				slot := w*64 + bits.TrailingZeros64(m)
				f(ghostBit|Handle(i<<chunkBits|slot), c.ids[slot])
			}
		}
	}
}

// place gives the newest place of a queue.
func (g *ghosts) place(q *ghostQueue) Handle {
	if q.last == noChunk || g.chunks[q.last].used == chunkSlots {
		g.extend(q)
	}
	c := &g.chunks[q.last]
	slot := c.used
	c.used++
	c.n++
	c.live[slot/64] |= 1 << (slot % 64)
	return ghostBit | Handle(q.last<<chunkBits|slot)
}

func (g *ghosts) extend(q *ghostQueue) {
	at := g.free - 1 // 0 is the end of the chain
	if at >= 0 {
		g.free = g.chunks[at].next
	} else {
		at = int32(len(g.chunks))
		if n := len(g.chunks); n == cap(g.chunks) {
			g.chunks = widened(g.chunks, n+n/16+4)[:n]
		}
		g.chunks = append(g.chunks, ghostChunk{ids: new([chunkSlots]uint64)})
	}
	c := &g.chunks[at]
	c.used, c.queue, c.prev, c.next = 0, q, q.last, noChunk
	if g.sized && c.sizes == nil {
		c.sizes = new([chunkSlots]uint32)
	}
	if g.noted && c.notes == nil {
		c.notes = new([chunkSlots]uint32)
	}
	if q.last == noChunk {
		q.oldest = at
	} else {
		g.chunks[q.last].next = at
	}
	q.last = at
	q.chunks++
}

// drop takes a chunk out of its queue.
func (g *ghosts) drop(q *ghostQueue, at int32) {
	c := &g.chunks[at]
	if c.prev == noChunk {
		q.oldest, q.from = c.next, 0
	} else {
		g.chunks[c.prev].next = c.next
	}
	if c.next == noChunk {
		q.last = c.prev
	} else {
		g.chunks[c.next].prev = c.prev
	}
	c.n, c.used, c.queue = 0, 0, nil
	c.next, g.free = g.free, at+1
	q.chunks--
}

// isGhost says whether h is that of a ghost in a queue of ghosts.
func isGhost(h Handle) bool { return h&ghostBit != 0 }

// ghostQueueOf gives the number of the queue a ghost is in.
func (s *store) ghostQueueOf(h Handle) int {
	c, _ := s.ghosts.at(h)
	return c.queue.number
}

// ghostSize gives the size of a ghost.
func (s *store) ghostSize(h Handle) uint32 {
	c, slot := s.ghosts.at(h)
	if c.sizes == nil {
		return 1
	}
	return c.sizes[slot]
}

// ghostNote is 32 bits that the policy keeps of a ghost, if ghosts.noted is
// set.
func (s *store) ghostNote(h Handle) *uint32 {
	c, slot := s.ghosts.at(h)
	return &c.notes[slot]
}

// bury makes a resident object, which is in no list, the newest ghost of a
// queue. The caller reports it, once it is consistent again.
func (s *store) bury(q *ghostQueue, h Handle) (ghost Handle) {
	size := s.sizeOf(h)
	id := s.nodes[h].id()
	if size != 1 && !s.ghosts.sized {
		s.ghosts.sized = true
		for i := range s.ghosts.chunks {
			c := &s.ghosts.chunks[i]
			c.sizes = new([chunkSlots]uint32)
			for i := range c.sizes {
				c.sizes[i] = 1
			}
		}
	}
	ghost = s.ghosts.place(q)
	c, slot := s.ghosts.at(ghost)
	c.ids[slot] = id
	if c.sizes != nil {
		c.sizes[slot] = size
	}
	s.index.replace(KeyOf(id).hash, h, ghost)
	q.n++
	q.bytes += int64(size)
	s.resident--
	s.occupied -= int64(size)
	s.release(h)
	return ghost
}

// raise takes a ghost out of its queue and forgets it.
func (s *store) raise(h Handle) {
	c, slot := s.ghosts.at(h)
	s.raiseFrom(c, slot, h)
}

func (s *store) raiseFrom(c *ghostChunk, slot uint32, h Handle) {
	q := c.queue
	size := int64(1)
	if c.sizes != nil {
		size = int64(c.sizes[slot])
	}
	q.n--
	q.bytes -= size
	s.known--
	s.index.leave(KeyOf(c.ids[slot]).hash, h)
	c.live[slot/64] &^= 1 << (slot % 64)
	if c.n--; c.n == 0 {
		s.ghosts.drop(q, int32(h&^ghostBit>>chunkBits))
	} else if gaps := q.chunks*chunkSlots - q.n; gaps > 2*chunkSlots && gaps > 2*chunkSlots+q.n/gapsBound {
		s.compact(q)
	}
}

// oldestOf gives the oldest ghost of a queue that is not empty.
func (s *store) oldestOf(q *ghostQueue) (c *ghostChunk, slot uint32, h Handle) {
	c = &s.ghosts.chunks[q.oldest]
	for c.live[q.from] == 0 {
		q.from++
	}
	slot = uint32(q.from*64 + bits.TrailingZeros64(c.live[q.from]))
	return c, slot, ghostBit | Handle(q.oldest<<chunkBits) | Handle(slot)
}

// oldestGhost gives the oldest ghost of a queue that is not empty.
func (s *store) oldestGhost(q *ghostQueue) Handle {
	_, _, h := s.oldestOf(q)
	return h
}

// raiseOldest forgets the oldest ghost of a queue that is not empty.
func (s *store) raiseOldest(q *ghostQueue) { s.raiseFrom(s.oldestOf(q)) }

// evictedTo makes a resident object, which is in no list, the newest ghost of a
// queue, and reports it.
func (s *store) evictedTo(q *ghostQueue, h Handle) {
	if s.observer == nil {
		s.bury(q, h)
		return
	}
	v := s.victim(h)
	s.bury(q, h)
	s.observer(v)
}

// makeGhostRoom has the oldest ghosts of a queue make room for one of a size, so
// that all are no larger than limit together. It says whether that can be.
func (s *store) makeGhostRoom(q *ghostQueue, size, limit int64) bool {
	if size > limit {
		return false
	}
	for q.bytes+size > limit {
		s.raiseOldest(q)
	}
	return true
}

// compact closes the gaps in a queue. It moves as many ghosts for each gap as
// gapsBound at most.
func (s *store) compact(q *ghostQueue) {
	g := &s.ghosts
	to, slot := q.oldest, int32(0)
	q.from = 0
	for at := q.oldest; at != noChunk; at = g.chunks[at].next {
		from := &g.chunks[at]
		live := from.live
		from.live, from.n, from.used = [chunkSlots / 64]uint64{}, 0, 0
		for w, m := range live {
			for ; m != 0; m &= m - 1 {
				i := int32(w*64 + bits.TrailingZeros64(m))
				if slot == chunkSlots {
					to, slot = g.chunks[to].next, 0
				}
				c := &g.chunks[to]
				if to != at || slot != i {
					c.ids[slot] = from.ids[i]
					if c.sizes != nil {
						c.sizes[slot] = from.sizes[i]
					}
					if c.notes != nil {
						c.notes[slot] = from.notes[i]
					}
					s.index.replace(KeyOf(from.ids[i]).hash, ghostBit|Handle(at<<chunkBits|i), ghostBit|Handle(to<<chunkBits|slot))
				}
				c.live[slot/64] |= 1 << (slot % 64)
				c.n++
				slot++
				c.used = slot
			}
		}
	}
	for q.last != to {
		g.drop(q, q.last)
	}
}
