package cache

var arcSpec = Spec{
	Name: "arc",
	Doc:  "ARC: LRU lists of objects seen once and more than once, balanced by hits among their ghosts",
	Source: "Megiddo & Modha, FAST 2003, as libCacheSim has it: the balance moves by at least 1, which is one byte where sizes " +
		"count and hardly moves it",
	new: func(c Config) Policy {
		return newARC(c.Capacity, false)
	},
}

var arcPaperSpec = Spec{
	Name:   "arc-paper",
	Doc:    "ARC as published: where sizes count, the balance moves by the size of the object found again",
	Source: "Megiddo & Modha, FAST 2003; with sizes ignored it is arc",
	new: func(c Config) Policy {
		return newARC(c.Capacity, true)
	},
}

func newARC(capacity int64, bySize bool) *arc {
	p := &arc{store: newStore(capacity, 4), bySize: bySize}
	for i := range p.lists {
		p.lists[i].root = Handle(i + 1)
	}
	return p
}

// Places of an object in ARC: T1, T2, and their ghosts.
const (
	t1 = iota
	t2
	b1
	b2
)

type arc struct {
	store
	lists  [4]queue
	target float64 // the size T1 is to have
	bySize bool    // a ghost hit moves target in units of the object's size
	// ghostHit is b1 or b2 while the object last looked for was there, else 0.
	ghostHit   int
	ghostHitID uint64
}

func (p *arc) Find(k Key) Handle {
	p.ghostHit = 0
	h := p.lookup(k)
	if h == None {
		return None
	}
	at := int(p.nodes[h].list) - 1
	switch at {
	case t1:
		p.pull(&p.lists[t1], h)
		p.push(&p.lists[t2], h)
		return h
	case t2:
		p.toHead(p.lists[t2].root, h)
		return h
	}
	step := max(float64(p.lists[b1+b2-at].bytes)/float64(p.lists[at].bytes), 1)
	if p.bySize {
		step *= float64(p.nodes[h].size)
	}
	if at == b1 {
		p.target = min(p.target+step, float64(p.capacity))
	} else {
		p.target = max(p.target-step, 0)
	}
	p.pull(&p.lists[at], h)
	p.forget(h)
	p.ghostHit, p.ghostHitID = at, k.ID
	return None
}

func (p *arc) Insert(k Key, size uint32, origin Origin) Handle {
	hit := p.ghostHit
	if p.ghostHitID != k.ID || origin != Demand {
		hit = 0
	}
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		p.evict(hit, int64(size))
	}
	if origin == Prefetched {
		if g := p.lookup(k); g != None {
			p.pull(&p.lists[p.nodes[g].list-1], g)
			p.forget(g)
		}
	}
	h := p.add(k, size, origin)
	if hit != 0 {
		p.push(&p.lists[t2], h)
	} else {
		p.push(&p.lists[t1], h)
	}
	return h
}

// evict makes some room for an object of size that was found among the ghosts
// of hit, or nowhere (0).
func (p *arc) evict(hit int, size int64) {
	if hit == 0 {
		if p.lists[t1].bytes+p.lists[b1].bytes+size > p.capacity {
			if p.lists[b1].n == 0 {
				p.evicted(p.pop(&p.lists[t1]))
				return
			}
			p.forget(p.pop(&p.lists[b1]))
		} else if p.lists[t1].bytes+p.lists[t2].bytes+p.lists[b1].bytes+p.lists[b2].bytes >= 2*p.capacity && p.lists[b2].n > 0 {
			p.forget(p.pop(&p.lists[b2]))
		}
	}
	p.replace(hit)
}

func (p *arc) replace(hit int) {
	t := float64(p.lists[t1].bytes)
	from, to := t2, b2
	if p.lists[t1].n > 0 && (t > p.target || t == p.target && hit == b2) || p.lists[t2].n == 0 {
		from, to = t1, b1
	}
	h := p.pop(&p.lists[from])
	p.ghosted(h)
	p.push(&p.lists[to], h)
	p.report(p.victim(h))
}

func (p *arc) Remove(h Handle) {
	p.pull(&p.lists[p.nodes[h].list-1], h)
	p.forget(h)
}

// Demote makes h the oldest of T1.
func (p *arc) Demote(h Handle) {
	p.pull(&p.lists[p.nodes[h].list-1], h)
	p.pushOldest(&p.lists[t1], h)
}
