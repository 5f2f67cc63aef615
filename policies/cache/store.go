package cache

import "math/bits"

// Handle names an object a policy knows: an index into its table of nodes. It
// stays valid until the object leaves, and is used again after.
type Handle uint32

// None is the handle of no object.
const None Handle = 0

// Key is an object's id together with its hash, so that a caller that looks
// ahead hashes each request once.
type Key struct {
	ID   uint64
	hash uint32
}

// KeyOf gives the key of object id.
func KeyOf(id uint64) Key {
	// One folded multiplication mixes strided and sequential ids well enough
	// for linear probing, at four cycles.
	hi, lo := bits.Mul64(id^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	return Key{id, uint32((hi ^ lo) >> 32)}
}

// Origin says why an object is brought in.
type Origin uint8

// An object is brought in because a request missed, or ahead of one.
const (
	Demand Origin = iota
	Prefetched
)

// Victim is an object that has just left the cache by eviction. Removals that
// the caller asks for are not reported.
type Victim struct {
	ID   uint64
	Size uint32
	// Handle is what the object was known by; the next one to come in may get
	// it.
	Handle Handle
	// Unused is true of a prefetched object that no request has found.
	Unused bool
}

// node is one object: 20 bytes. The id is in halves, since a node with a field
// of 64 bits would take 24.
type node struct {
	idLow, idHigh uint32
	prev          Handle // the next newer in its list, or whatever the policy keeps here
	next          Handle // the next older
	freq          uint16
	list          uint8 // which of the policy's lists, 0 being none
	flag          uint8
}

const nodeBytes = 20

func (n *node) id() uint64 { return uint64(n.idHigh)<<32 | uint64(n.idLow) }

// Bits of node.flag. A policy may use those from flagPolicy on.
const (
	flagKnown  uint8 = 1 << iota // in the index
	flagUnused                   // prefetched, not yet requested
	flagGhost                    // known, but not resident: a ghost that keeps its node
	flagPolicy
)

// store is what every policy is made of: a slice of nodes, and an index from id
// to handle.
type store struct {
	nodes    []node
	sizes    []uint32 // by handle; nil while every object had size 1
	index    index
	ghosts   ghosts
	free     Handle // chain of unused nodes through next
	known    int    // objects in the index: resident and ghosts
	resident int
	capacity int64
	occupied int64
	// How many nodes and known objects there are when a unit-size cache is
	// full, so that tables stop growing there.
	fullNodes, fullKnown int64
	observer             func(Victim)
}

// newStore makes a store for objects of capacity units together, with the
// nodes 1..lists set apart as the ends of circular lists.
func newStore(capacity int64, lists int) store {
	s := store{
		nodes:    make([]node, lists+1, 64),
		index:    newIndex(8),
		capacity: capacity,
	}
	s.expect(capacity, capacity)
	for i := range s.nodes {
		s.nodes[i].prev, s.nodes[i].next = Handle(i), Handle(i)
	}
	return s
}

// expect tells how many nodes and known objects there will be.
func (s *store) expect(nodes, known int64) {
	s.fullNodes, s.fullKnown = min(nodes, 1<<31), min(known, 1<<32)
}

func (s *store) base() *store { return s }

// Capacity is the size of the cache: objects in unit mode, else bytes.
func (s *store) Capacity() int64 { return s.capacity }

// Occupied is how much of the capacity is in use.
func (s *store) Occupied() int64 { return s.occupied }

// Len is the number of resident objects.
func (s *store) Len() int { return s.resident }

// Known is the number of objects the policy keeps track of, ghosts included.
func (s *store) Known() int { return s.known }

// Observe has f called after each eviction, when the object is gone and the
// policy consistent: f may call any method of the policy.
func (s *store) Observe(f func(Victim)) { s.observer = f }

// Admits says whether an object of this size could be cached at all.
func (s *store) Admits(size uint32) bool { return int64(size) <= s.capacity }

// Peek gives the handle of a resident object, or None. It changes nothing.
func (s *store) Peek(k Key) Handle {
	h := s.lookup(k)
	if isGhost(h) || s.nodes[h].flag&flagGhost != 0 {
		return None
	}
	return h
}

// Object gives the id and stored size of a resident object, and whether it was
// prefetched and no request has found it yet.
func (s *store) Object(h Handle) (id uint64, size uint32, unused bool) {
	n := &s.nodes[h]
	return n.id(), s.sizeOf(h), n.flag&flagUnused != 0
}

// sizeOf gives the size of an object that has a node.
func (s *store) sizeOf(h Handle) uint32 {
	if s.sizes == nil {
		return 1
	}
	return s.sizes[h]
}

// Used takes note that a request found h, and says whether it was the first
// to find it after a prefetch.
func (s *store) Used(h Handle) bool {
	n := &s.nodes[h]
	first := n.flag&flagUnused != 0
	n.flag &^= flagUnused
	return first
}

// idOf gives the id of an object that is known, by node or as a ghost.
func (s *store) idOf(h Handle) uint64 {
	if isGhost(h) {
		c, slot := s.ghosts.at(h)
		return c.ids[slot]
	}
	return s.nodes[h].id()
}

func (s *store) lookup(k Key) Handle {
	t := tag(k.hash)
	i := s.index.home(k.hash)
	for start := i; ; {
		b := &s.index.buckets[i]
		for m := b.match(t); m != 0; m &= m - 1 {
			if h := s.index.handle(b, i, slotOf(m)); s.idOf(h) == k.ID {
				return h
			}
		}
		if !b.morePassed(t) {
			return None
		}
		if i = s.index.after(i); i == start {
			return None
		}
	}
}

// add makes a node for an object that is not known, and counts it as resident.
func (s *store) add(k Key, size uint32, origin Origin) Handle {
	h := s.free
	if h != None {
		s.free = s.nodes[h].next
	} else {
		h = s.newNode()
	}
	s.resident++
	s.occupied += int64(size)
	s.known++
	if s.known*loadDen > len(s.index.buckets)*loadNum {
		s.growIndex() // enters every known node, so this one must not be known yet
	}
	s.nodes[h] = node{idLow: uint32(k.ID), idHigh: uint32(k.ID >> 32), flag: flagKnown | uint8(origin)*flagUnused}
	if s.sizes != nil {
		s.sizes[h] = size
	} else if size != 1 {
		s.sizes = make([]uint32, cap(s.nodes))
		for i := range s.sizes {
			s.sizes[i] = 1
		}
		s.sizes[h] = size
	}
	s.index.enter(k.hash, h)
	return h
}

func (s *store) newNode() Handle {
	if len(s.nodes) == cap(s.nodes) {
		n := s.enlarged(cap(s.nodes), s.fullNodes+spare)
		bigger := make([]node, len(s.nodes), n)
		copy(bigger, s.nodes)
		s.nodes = bigger
		if s.sizes != nil {
			s.sizes = widened(s.sizes, n)
		}
	}
	s.nodes = s.nodes[:len(s.nodes)+1]
	return Handle(len(s.nodes) - 1)
}

// pushed is append for a table of the residents, which grows no further than a
// full cache needs.
func pushed[T any](s *store, table []T, x T) []T {
	if len(table) == cap(table) {
		table = widened(table, s.enlarged(max(cap(table), 8), s.fullNodes))[:len(table)]
	}
	return append(table, x)
}

// spare is how many nodes there may be for the ends of lists.
const spare = 24

// widened gives a table of n that begins with what a shorter one has.
func widened[T any](old []T, n int) []T {
	bigger := make([]T, n)
	copy(bigger, old)
	return bigger
}

// enlarged is the next length of a table of n: twice as much, later a quarter
// more, and never past full before full is reached, so that a unit-size cache
// takes just what it needs.
func (s *store) enlarged(n int, full int64) int {
	next := int64(2 * n)
	if n >= 1<<16 {
		next = int64(n + n/4)
	}
	switch {
	case int64(n) < full:
		next = min(next, full)
	case n >= 1<<8: // it should have been enough
		next = int64(n + n/16)
	}
	return int(next)
}

func (s *store) growIndex() {
	s.index = newIndex(s.enlarged(len(s.index.buckets), s.fullKnown*loadDen/loadNum+8))
	for h := range s.nodes {
		if s.nodes[h].flag&flagKnown != 0 {
			s.index.enter(KeyOf(s.nodes[h].id()).hash, Handle(h))
		}
	}
	s.ghosts.all(func(h Handle, id uint64) { s.index.enter(KeyOf(id).hash, h) })
}

// forget drops a node, resident or ghost, from the index and frees it. It must
// be in no list.
func (s *store) forget(h Handle) {
	s.strike(h)
	s.release(h)
}

// strike drops a node, resident or ghost, from the index. It is no longer known,
// but still taken.
func (s *store) strike(h Handle) {
	n := &s.nodes[h]
	if n.flag&flagGhost == 0 {
		s.resident--
		s.occupied -= int64(s.sizeOf(h))
	}
	s.known--
	s.index.leave(KeyOf(n.id()).hash, h)
	n.flag &^= flagKnown
}

// release frees a node.
func (s *store) release(h Handle) {
	n := &s.nodes[h]
	n.flag = 0
	n.next = s.free
	s.free = h
}

// evicted forgets a resident object that has no ghost, and reports it.
func (s *store) evicted(h Handle) {
	if s.observer == nil {
		s.forget(h)
		return
	}
	v := s.victim(h)
	s.forget(h)
	s.observer(v)
}

// ghosted turns a resident object into a ghost that keeps its node, for
// policies that have ghosts among residents in a list. The caller reports it,
// once it is consistent again.
func (s *store) ghosted(h Handle) {
	s.nodes[h].flag |= flagGhost
	s.resident--
	s.occupied -= int64(s.sizeOf(h))
}

func (s *store) victim(h Handle) Victim {
	n := &s.nodes[h]
	return Victim{n.id(), s.sizeOf(h), h, n.flag&flagUnused != 0}
}

func (s *store) report(v Victim) {
	if s.observer != nil {
		s.observer(v)
	}
}

// Circular lists. root is the node set apart for the list: its next is the
// newest object ("head"), its prev the oldest ("tail").

func (s *store) pushHead(root, h Handle) {
	r := &s.nodes[root]
	n := &s.nodes[h]
	n.prev, n.next = root, r.next
	s.nodes[r.next].prev = h
	r.next = h
}

func (s *store) pushTail(root, h Handle) {
	r := &s.nodes[root]
	n := &s.nodes[h]
	n.prev, n.next = r.prev, root
	s.nodes[r.prev].next = h
	r.prev = h
}

func (s *store) unlink(h Handle) {
	n := &s.nodes[h]
	s.nodes[n.prev].next = n.next
	s.nodes[n.next].prev = n.prev
}

func (s *store) toHead(root, h Handle) {
	if s.nodes[root].next == h {
		return
	}
	s.unlink(h)
	s.pushHead(root, h)
}

// oldest gives the tail of a list, or root itself if the list is empty.
func (s *store) oldest(root Handle) Handle { return s.nodes[root].prev }

// queue is a list that knows its length and size. Its root is also the mark
// that its nodes carry in node.list.
type queue struct {
	root  Handle
	n     int
	bytes int64
}

func (s *store) push(q *queue, h Handle) {
	s.pushHead(q.root, h)
	s.enterQueue(q, h)
}

func (s *store) pushOldest(q *queue, h Handle) {
	s.pushTail(q.root, h)
	s.enterQueue(q, h)
}

func (s *store) enterQueue(q *queue, h Handle) {
	s.nodes[h].list = uint8(q.root)
	q.n++
	q.bytes += int64(s.sizeOf(h))
}

func (s *store) pull(q *queue, h Handle) {
	s.unlink(h)
	q.n--
	q.bytes -= int64(s.sizeOf(h))
}

// pop takes the oldest off a list that is not empty.
func (s *store) pop(q *queue) Handle {
	h := s.oldest(q.root)
	s.pull(q, h)
	return h
}

// large says that the tables outgrow the processor's nearer caches, so that
// touch pays.
func (s *store) large() bool { return len(s.index.buckets) > 1<<13 }

// touch reads what lookups of these keys will want first, so that the waits
// for memory overlap. It gives a value only so that the reads are not optimized
// away.
//
//go:noinline
func (s *store) touch(keys *[ahead]Key) uint64 {
	var matches [ahead]Handle
	for i := range keys {
		at := s.index.home(keys[i].hash)
		b := &s.index.buckets[at]
		if m := b.match(tag(keys[i].hash)); m != 0 {
			matches[i] = s.index.handle(b, at, slotOf(m))
		}
	}
	sum := uint64(0)
	for _, h := range matches {
		sum += s.idOf(h)
	}
	return sum
}
