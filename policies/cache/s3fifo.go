package cache

var s3fifoSpec = Spec{
	Name: "s3fifo",
	Doc:  "S3-FIFO: a small queue that quick demotion passes through, a main CLOCK queue, a ghost queue of ids",
	Source: "Yang et al., SOSP 2023, as libCacheSim aa0fc40 has it (its later S3-FIFOv0): the ghost holds 0.9 of the capacity, " +
		"objects as large as the small queue are not kept",
	Params: []Param{
		{Name: "small", Doc: "share of the small queue", Default: 0.1, Min: 0, Max: 1},
		{Name: "ghost", Doc: "size of the ghost queue, as a share of the capacity", Default: 0.9, Min: 0, Max: 16},
		{Name: "threshold", Doc: "hits in the small queue that lead to the main one", Default: 2, Min: 1, Max: 1000, Whole: true},
	},
	new: func(c Config) Policy {
		p := &s3fifo{threshold: uint16(c.whole("threshold"))}
		p.init(c.Capacity, c.share("small"), c.share("ghost"))
		return p
	},
}

var s3fifoPaperSpec = Spec{
	Name:   "s3fifo-paper",
	Doc:    "S3-FIFO as published: the small queue is kept at its size, counters stop at 3, the ghost queue equals the main one",
	Source: "Yang et al., SOSP 2023, algorithm 1",
	Params: []Param{
		{Name: "small", Doc: "share of the small queue", Default: 0.1, Min: 0, Max: 1},
		{Name: "threshold", Doc: "hits in the small queue that lead to the main one", Default: 2, Min: 1, Max: 3, Whole: true},
	},
	new: func(c Config) Policy {
		p := &s3fifoPaper{s3fifo{threshold: uint16(c.whole("threshold"))}}
		p.init(c.Capacity, c.share("small"), c.Capacity-c.share("small"))
		return p
	},
}

type s3fifo struct {
	store
	small, main                    queue
	ghost                          ghostQueue
	smallSize, mainSize, ghostSize int64
	threshold                      uint16
	// ghostHit is true while the object last looked for was found among the
	// ghosts.
	ghostHit   bool
	ghostHitID uint64
}

func (p *s3fifo) init(capacity, small, ghost int64) {
	p.store = newStore(capacity, 2)
	p.expect(capacity, capacity+ghost)
	p.small.root, p.main.root, p.ghost = 1, 2, newGhostQueue(0)
	p.smallSize, p.mainSize, p.ghostSize = small, capacity-small, ghost
}

func (p *s3fifo) Find(k Key) Handle {
	p.ghostHit = false
	h := p.lookup(k)
	if h == None {
		return None
	}
	if isGhost(h) {
		p.raise(h)
		p.ghostHit, p.ghostHitID = true, k.ID
		return None
	}
	if n := &p.nodes[h]; n.freq < 1<<16-1 {
		n.freq++
	}
	return h
}

func (p *s3fifo) Admits(size uint32) bool { return int64(size) <= p.smallSize }

func (p *s3fifo) Insert(k Key, size uint32, origin Origin) Handle {
	toMain := p.ghostHit && p.ghostHitID == k.ID && origin == Demand
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		p.evict()
	}
	if origin == Prefetched {
		p.dropGhost(k)
	}
	if !toMain && int64(size) >= p.smallSize {
		return None // libCacheSim finds this out only after it made room
	}
	h := p.add(k, size, origin)
	if toMain {
		p.push(&p.main, h)
	} else {
		p.push(&p.small, h)
	}
	return h
}

func (p *s3fifo) dropGhost(k Key) {
	if g := p.lookup(k); g != None {
		p.raise(g)
	}
}

func (p *s3fifo) evict() {
	if p.main.bytes > p.mainSize || p.small.n == 0 {
		p.evictMain()
	} else {
		p.evictSmall()
	}
}

func (p *s3fifo) evictSmall() {
	for p.small.n > 0 {
		h := p.pop(&p.small)
		if p.nodes[h].freq >= p.threshold {
			p.nodes[h].freq = 0
			p.push(&p.main, h)
			continue
		}
		if p.makeGhostRoom(&p.ghost, int64(p.sizeOf(h)), p.ghostSize) {
			p.evictedTo(&p.ghost, h)
		} else {
			p.evicted(h)
		}
		return
	}
}

func (p *s3fifo) evictMain() {
	for p.main.n > 0 {
		h := p.pop(&p.main)
		n := &p.nodes[h]
		if n.freq == 0 {
			p.evicted(h)
			return
		}
		n.freq = min(n.freq, 3) - 1
		p.push(&p.main, h)
	}
}

func (p *s3fifo) Remove(h Handle) {
	if Handle(p.nodes[h].list) == p.small.root {
		p.pull(&p.small, h)
	} else {
		p.pull(&p.main, h)
	}
	p.forget(h)
}

// Demote makes h the oldest of the small queue, with no hits.
func (p *s3fifo) Demote(h Handle) {
	if Handle(p.nodes[h].list) == p.small.root {
		p.pull(&p.small, h)
	} else {
		p.pull(&p.main, h)
	}
	p.nodes[h].freq = 0
	p.pushOldest(&p.small, h)
}

// s3fifoPaper shares the queues of s3fifo, and differs in when it uses them.
type s3fifoPaper struct{ s3fifo }

func (p *s3fifoPaper) Admits(size uint32) bool { return int64(size) <= p.capacity }

func (p *s3fifoPaper) Find(k Key) Handle {
	h := p.s3fifo.Find(k)
	if h != None {
		n := &p.nodes[h]
		n.freq = min(n.freq, 3)
	}
	return h
}

func (p *s3fifoPaper) Insert(k Key, size uint32, origin Origin) Handle {
	toMain := p.ghostHit && p.ghostHitID == k.ID && origin == Demand
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		if p.small.n > 0 && (p.small.bytes >= p.smallSize || p.main.n == 0) {
			p.evictSmall()
		} else {
			p.evictMain()
		}
	}
	if origin == Prefetched {
		p.dropGhost(k)
	}
	h := p.add(k, size, origin)
	if toMain {
		p.push(&p.main, h)
	} else {
		p.push(&p.small, h)
	}
	return h
}
