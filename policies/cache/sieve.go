package cache

var sieveSpec = Spec{
	Name:   "sieve",
	Doc:    "SIEVE: a FIFO queue whose hand spares objects hit since it last passed, without moving them",
	Source: "Zhang et al., NSDI 2024",
	new:    func(c Config) Policy { return &sieve{store: newStore(c.Capacity, 1)} },
}

// sieve keeps the hand at the next object to examine; None means the oldest.
// node.freq is the visited bit.
type sieve struct {
	store
	hand Handle
}

func (p *sieve) Find(k Key) Handle {
	h := p.lookup(k)
	if h != None {
		p.nodes[h].freq = 1
	}
	return h
}

func (p *sieve) Insert(k Key, size uint32, origin Origin) Handle {
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		p.evict()
	}
	h := p.add(k, size, origin)
	p.pushHead(1, h)
	return h
}

func (p *sieve) evict() {
	h := p.hand
	if h == None {
		h = p.oldest(1)
	}
	if h == 1 {
		return
	}
	for p.nodes[h].freq != 0 {
		p.nodes[h].freq = 0
		if h = p.nodes[h].prev; h == 1 {
			h = p.oldest(1)
		}
	}
	p.hand = h
	p.take(h)
	p.evicted(h)
}

// take unlinks h, and moves the hand on if it points there.
func (p *sieve) take(h Handle) {
	if p.hand == h {
		if p.hand = p.nodes[h].prev; p.hand == 1 {
			p.hand = None
		}
	}
	p.unlink(h)
}

func (p *sieve) Remove(h Handle) {
	p.take(h)
	p.forget(h)
}

// Demote puts h under the hand.
func (p *sieve) Demote(h Handle) {
	p.nodes[h].freq = 0
	if p.hand == h {
		return
	}
	p.unlink(h)
	at := p.hand
	if at == None {
		p.pushTail(1, h)
		return
	}
	// Just older than the object under the hand.
	n := &p.nodes[h]
	n.prev, n.next = at, p.nodes[at].next
	p.nodes[n.next].prev = h
	p.nodes[at].next = h
	p.hand = h
}
