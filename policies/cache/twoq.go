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
		p := &twoq{store: newStore(c.Capacity, 3), inSize: c.share("in"), outSize: c.share("out")}
		p.in.root, p.main.root, p.out.root = 1, 2, 3
		return p
	},
}

type twoq struct {
	store
	in, main, out   queue
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
	switch Handle(p.nodes[h].list) {
	case p.main.root:
		p.toHead(p.main.root, h)
	case p.out.root:
		p.pull(&p.out, h)
		p.forget(h)
		p.ghostHit, p.ghostHitID = true, k.ID
		return None
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
			p.pull(&p.out, g)
			p.forget(g)
		}
	}
	if toMain {
		// Am has a bound of its own, which counts when Ain is not full.
		for p.main.bytes+int64(size) > p.capacity-p.inSize {
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
	size := int64(p.nodes[h].size)
	if size > p.outSize {
		p.evicted(h)
		return
	}
	for p.out.bytes+size > p.outSize {
		p.forget(p.pop(&p.out))
	}
	p.ghosted(h)
	p.push(&p.out, h)
	p.report(p.victim(h))
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
