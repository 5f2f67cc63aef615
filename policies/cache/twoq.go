package cache

var twoqSpec = Spec{
	Name:   "twoq",
	Doc:    "2Q: a FIFO queue of newcomers (Ain), a ghost queue of those that left it (Aout), LRU for the objects that came back (Am)",
	Source: "Johnson & Shasha, VLDB 1994; objects must fit in Ain",
	Params: []Param{
		{Name: "in", Doc: "share of Ain", Default: 0.25, Min: 0, Max: 1},
		{Name: "out", Doc: "size of Aout, as a share of the capacity", Default: 0.5, Min: 0, Max: 16},
	},
	new: func(c Config) Policy {
		p := &twoq{store: newStore(c.Capacity, 2), inSize: c.share("in"), outSize: c.share("out")}
		p.expect(c.Capacity, c.Capacity+p.outSize)
		p.in.root, p.main.root, p.out = 1, 2, newGhostQueue(0)
		return p
	},
}

type twoq struct {
	store
	in, main        queue
	out             ghostQueue
	inSize, outSize int64
	ghostHit        bool // the object last looked for was in Aout
	ghostHitID      uint64
}

func (p *twoq) Find(k Key) Handle {
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
	if Handle(p.nodes[h].list) == p.main.root {
		p.toHead(p.main.root, h)
	}
	return h
}

func (p *twoq) Admits(size uint32) bool { return int64(size) <= p.inSize }

func (p *twoq) Insert(k Key, size uint32, origin Origin) Handle {
	toMain := p.ghostHit && p.ghostHitID == k.ID && origin == Demand
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		p.evict()
	}
	if origin == Prefetched {
		if g := p.lookup(k); g != None {
			p.raise(g)
		}
	}
	if toMain {
		// Am has a bound of its own, which counts when Ain is not full.
		for p.main.n > 0 && p.main.bytes+int64(size) > p.capacity-p.inSize {
			p.evicted(p.pop(&p.main))
		}
	}
	h := p.add(k, size, origin)
	if toMain {
		p.push(&p.main, h)
	} else {
		p.push(&p.in, h)
	}
	return h
}

func (p *twoq) evict() {
	if p.in.bytes <= p.inSize && p.main.n > 0 {
		p.evicted(p.pop(&p.main))
		return
	}
	h := p.pop(&p.in)
	if p.makeGhostRoom(&p.out, int64(p.sizeOf(h)), p.outSize) {
		p.evictedTo(&p.out, h)
	} else {
		p.evicted(h)
	}
}

func (p *twoq) Remove(h Handle) {
	p.take(h)
	p.forget(h)
}

func (p *twoq) take(h Handle) {
	if Handle(p.nodes[h].list) == p.in.root {
		p.pull(&p.in, h)
	} else {
		p.pull(&p.main, h)
	}
}

// Demote makes h the oldest of its queue.
func (p *twoq) Demote(h Handle) {
	q := &p.main
	if Handle(p.nodes[h].list) == p.in.root {
		q = &p.in
	}
	p.pull(q, h)
	p.pushOldest(q, h)
}
