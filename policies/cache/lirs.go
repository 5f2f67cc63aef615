package cache

var lirsSpec = Spec{
	Name: "lirs",
	Doc:  "LIRS: keeps the objects whose last two uses lie closest together (LIR), and a small queue of the others (HIR)",
	Source: "Jiang & Zhang, SIGMETRICS 2002, as libCacheSim has it: a hit on an object that is in the queue alone makes room among " +
		"the LIR objects as if it were to become one; the stack is bounded; objects must fit in the queue",
	Params: []Param{
		{Name: "hir", Doc: "share of the queue of HIR objects, at least 1", Default: 0.01, Min: 0, Max: 1},
		{Name: "stack", Doc: "bound of the stack, as a multiple of the capacity", Default: 2, Min: 1, Max: 16},
	},
	new: func(c Config) Policy {
		p := &lirs{store: newStore(c.Capacity, 1)}
		p.hirSize = max(c.share("hir"), 1)
		p.lirSize = c.Capacity - p.hirSize
		p.stackSize = c.share("stack")
		p.expect(p.stackSize+p.hirSize, p.stackSize+p.hirSize)
		p.stack.root = 1
		p.side = make([]link, 3)
		p.side[sideQueue] = link{sideQueue, sideQueue}
		p.side[sideGhosts] = link{sideGhosts, sideGhosts}
		return p
	},
}

// lirs has every object that it knows in the stack (node.prev, node.next, the
// newest at the head) or, if resident, in the queue, or in both. The ghosts,
// which are all in the stack, make a third list in the order they became so.
// The queue and the ghosts share one pair of links: 8 bytes an object beyond
// the store.
type lirs struct {
	store
	stack     queue
	side      []link // by handle; the first ones are the roots of queue and ghosts
	lirBytes  int64
	hirBytes  int64
	lirSize   int64
	hirSize   int64
	stackSize int64
	leftLast  uint64 // id of the object that left the queue last
}

type link struct{ prev, next Handle }

const (
	sideQueue  = 1
	sideGhosts = 2
	sideBase   = 2 // what a handle is shifted by in side
)

const (
	flagLIR     = flagPolicy
	flagStacked = flagPolicy << 1
	// flagPhantom marks an object that a hit on itself pushed out (see Source
	// of the spec). libCacheSim leaves its stack entry marked resident, so that
	// the next request to it counts as a hit; so does this.
	flagPhantom = flagPolicy << 2
)

// sidePush puts h after the node at in a side list: at the head if at is its
// root, at the tail if at is the last before the root.
func (p *lirs) sidePush(at, h Handle) {
	for int(h)+sideBase >= len(p.side) {
		p.side = widened(p.side, cap(p.nodes)+sideBase)
	}
	i := h + sideBase
	next := p.side[at].next
	p.side[i] = link{at, next}
	p.side[next].prev = i
	p.side[at].next = i
}

func (p *lirs) sideUnlink(h Handle) {
	l := p.side[h+sideBase]
	p.side[l.prev].next = l.next
	p.side[l.next].prev = l.prev
}

// sideOldest gives the tail of a side list, or None.
func (p *lirs) sideOldest(root Handle) Handle {
	if i := p.side[root].prev; i != root {
		return i - sideBase
	}
	return None
}

func (p *lirs) is(h Handle, flag uint8) bool { return p.nodes[h].flag&flag != 0 }

func (p *lirs) stackUp(h Handle) {
	p.push(&p.stack, h)
	p.nodes[h].flag |= flagStacked
}

func (p *lirs) stackOut(h Handle) {
	p.pull(&p.stack, h)
	p.nodes[h].flag &^= flagStacked
}

func (p *lirs) Find(k Key) Handle {
	h := p.lookup(k)
	if h == None {
		return None
	}
	size := int64(p.sizeOf(h))
	switch {
	case p.is(h, flagPhantom):
		p.nodes[h].flag &^= flagPhantom | flagGhost
		p.resident++
		p.occupied += size
		p.promote(h)
		for p.occupied > p.capacity {
			p.evictHIR()
		}
	case p.is(h, flagGhost):
		p.toHead(p.stack.root, h)
		return None // Insert finds it again
	case p.is(h, flagLIR):
		p.toHead(p.stack.root, h)
		p.prune()
	case p.is(h, flagStacked):
		p.sideUnlink(h)
		p.hirBytes -= size
		p.promote(h)
	default:
		p.sideUnlink(h)
		p.sidePush(sideQueue, h)
		p.makeRoomFor(k.ID, size)
		if back := p.Peek(k); back == None {
			// The demotions pushed the object itself out of the queue.
			h = p.add(k, uint32(size), Demand)
			p.ghosted(h)
			p.nodes[h].flag |= flagPhantom
		} else if back != h || p.is(h, flagLIR|flagStacked) {
			return back // so they did, and the observer brought it back
		}
		p.stackUp(h)
	}
	p.bound()
	return h
}

// makeRoomFor demotes LIR objects until object id, the newest of the queue, would
// fit among them. libCacheSim goes on reading its size after the demotions have
// pushed the object itself out and freed it; what lies there then is the object
// that took its memory, the one demoted last. So the size to fit changes.
func (p *lirs) makeRoomFor(id uint64, size int64) {
	for p.lirBytes+size > p.lirSize && p.lirBytes > 0 {
		p.leftLast = ^id
		demoted, itsSize := p.demoteLIR()
		if p.leftLast == id {
			id, size = demoted, itsSize
		}
	}
}

// promote makes h, which is in the stack, LIR and its newest.
func (p *lirs) promote(h Handle) {
	p.toHead(p.stack.root, h)
	p.nodes[h].flag |= flagLIR
	p.lirBytes += int64(p.sizeOf(h))
	for p.lirBytes > p.lirSize {
		p.demoteLIR()
	}
}

func (p *lirs) Admits(size uint32) bool {
	return int64(size) <= min(p.hirSize, p.lirSize, p.capacity)
}

func (p *lirs) Insert(k Key, size uint32, origin Origin) Handle {
	n := int64(size)
	if g := p.lookup(k); g != None && origin == Demand && n <= p.capacity {
		p.revive(g, n)
		p.bound()
		return g
	}
	if !p.Admits(size) {
		return None
	}
	for p.occupied+n > p.capacity {
		p.evict()
	}
	if g := p.lookup(k); g != None {
		p.dropGhost(g)
	}
	h := p.add(k, size, origin)
	switch {
	case p.lirBytes+n <= p.lirSize:
		p.nodes[h].flag |= flagLIR
		p.lirBytes += n
		p.stackUp(h)
	default:
		for p.hirBytes+n > p.hirSize {
			p.evictHIR()
		}
		p.hirBytes += n
		p.stackUp(h)
		p.sidePush(sideQueue, h)
	}
	p.bound()
	return h
}

// revive makes the ghost g, which a request for an object of size n found again,
// LIR. It keeps the size it was known with; n only says how much is to be made
// free.
func (p *lirs) revive(g Handle, n int64) {
	size := int64(p.sizeOf(g))
	p.sideUnlink(g)
	p.nodes[g].flag &^= flagGhost | flagUnused
	p.resident++
	p.occupied += size
	p.promote(g)
	for p.occupied-size+n > p.capacity && p.lirBytes > size {
		for p.hirBytes >= p.hirSize {
			p.evictHIR()
		}
		p.demoteLIR()
	}
	for p.occupied > p.capacity { // after Demote the queue may be over its size
		p.evictHIR()
	}
}

// evict makes some room.
func (p *lirs) evict() {
	if p.sideOldest(sideQueue) != None {
		p.evictHIR()
	} else {
		p.demoteLIR()
	}
}

// evictHIR takes the oldest object out of the queue. If it is in the stack, it
// stays there as a ghost.
func (p *lirs) evictHIR() {
	h := p.sideOldest(sideQueue)
	p.leftLast = p.nodes[h].id()
	p.sideUnlink(h)
	p.hirBytes -= int64(p.sizeOf(h))
	if !p.is(h, flagStacked) {
		p.evicted(h)
		return
	}
	p.ghosted(h)
	p.sidePush(sideGhosts, h)
	p.report(p.victim(h))
}

// demoteLIR moves the oldest LIR object, which is the oldest of the stack, to
// the queue, and gives its id and size.
func (p *lirs) demoteLIR() (id uint64, size int64) {
	p.prune()
	h := p.oldest(p.stack.root)
	id, size = p.nodes[h].id(), int64(p.sizeOf(h))
	p.stackOut(h)
	p.nodes[h].flag &^= flagLIR
	p.lirBytes -= size
	if size > p.hirSize {
		p.prune()
		p.evicted(h)
		return id, size
	}
	for p.hirBytes+size > p.hirSize {
		p.evictHIR()
	}
	p.hirBytes += size
	p.sidePush(sideQueue, h)
	p.prune()
	return id, size
}

// prune takes objects off the old end of the stack until one is LIR.
func (p *lirs) prune() {
	for {
		h := p.oldest(p.stack.root)
		if h == p.stack.root || p.is(h, flagLIR) {
			return
		}
		if p.is(h, flagGhost) {
			p.dropGhost(h)
		} else {
			p.stackOut(h)
		}
	}
}

// bound drops the oldest ghosts while the stack is too large.
func (p *lirs) bound() {
	for p.stack.bytes > p.stackSize {
		g := p.sideOldest(sideGhosts)
		if g == None {
			return
		}
		p.dropGhost(g)
	}
}

func (p *lirs) dropGhost(h Handle) {
	if !p.is(h, flagPhantom) {
		p.sideUnlink(h)
	}
	p.stackOut(h)
	p.forget(h)
}

func (p *lirs) Remove(h Handle) {
	p.take(h)
	p.forget(h)
	p.prune()
}

func (p *lirs) take(h Handle) {
	size := int64(p.sizeOf(h))
	if p.is(h, flagStacked) {
		p.stackOut(h)
	}
	if p.is(h, flagLIR) {
		p.nodes[h].flag &^= flagLIR
		p.lirBytes -= size
	} else {
		p.sideUnlink(h)
		p.hirBytes -= size
	}
}

// Demote makes h the oldest of the queue, out of the stack.
func (p *lirs) Demote(h Handle) {
	p.take(h)
	size := int64(p.sizeOf(h))
	p.hirBytes += size
	p.sidePush(p.side[sideQueue].prev, h)
	p.prune()
}
