package cache

var sarcSpec = Spec{
	Name: "sarc",
	Doc: "SARC: an LRU list of sequential pages and one of the others, balanced by what a page is worth at the old end of each; " +
		"ids must be page numbers",
	Source: "Gill & Modha, ATC 2005. Its prefetcher of that name goes with it. The sizes of the old ends and the large ratio are not " +
		"given there; 5 % and 20 are ours",
	Params: []Param{
		{Name: "threshold", Doc: "consecutive pages that make a sequence", Default: 3, Min: 1, Max: 1 << 15, Whole: true},
		{Name: "end", Doc: "the old end of a list whose hits are looked at, as a share of the capacity", Default: 0.05, Min: 0, Max: 1},
		{Name: "large", Doc: "sequential misses per hit there above which the sequential list is worth more", Default: 20, Min: 0, Max: 1e6},
	},
	new: func(c Config) Policy {
		p := &sarc{
			store: newStore(c.Capacity, 4), threshold: uint16(c.whole("threshold")), large: c.number("large"),
			end: max(c.share("end"), 1),
		}
		p.random.young.root, p.random.old.root = 1, 2
		p.sequential.young.root, p.sequential.old.root = 3, 4
		return p
	},
}

// sarc counts in node.freq how many pages before a page were there when it came
// in, up to the threshold. Prefetched pages are sequential. It takes 4 bytes an
// object beyond the store.
type sarc struct {
	store
	random, sequential halves
	threshold          uint16
	large              float64
	end                int64
	desired            float64 // size of the sequential list
	adapt              float64 // twice what it changes by with an eviction
	missed             float64 // sequential pages since the last hit at the old end of the random list
	clock              uint32
	used               []uint32 // by handle: when
}

// halves is an LRU list whose old end, of the size looked at, is kept apart.
type halves struct{ young, old queue }

func (l *halves) bytes() int64 { return l.young.bytes + l.old.bytes }

func (p *sarc) listOf(h Handle) *halves {
	if Handle(p.nodes[h].list) >= p.sequential.young.root {
		return &p.sequential
	}
	return &p.random
}

func (p *sarc) isOld(h Handle) bool { return p.nodes[h].list%2 == 0 }

func (p *sarc) Find(k Key) Handle {
	h := p.lookup(k)
	if h == None {
		return None
	}
	l := p.listOf(h)
	if p.isOld(h) {
		ratio := 2 * p.missed * float64(p.end) / float64(max(p.sequential.bytes(), 1))
		if l == &p.random {
			p.missed = 0
			p.adapt = max(-1, min(1, ratio-1))
		} else if ratio > p.large {
			p.adapt = 1
		}
	}
	p.take(h)
	p.enter(l, h)
	return h
}

func (p *sarc) Insert(k Key, size uint32, origin Origin) Handle {
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		p.evict()
	}
	count := uint16(1)
	if before := p.lookup(KeyOf(k.ID - 1)); before != None {
		count = min(p.nodes[before].freq+1, p.threshold)
	}
	if origin == Prefetched {
		count = p.threshold
	}
	h := p.add(k, size, origin)
	p.nodes[h].freq = count
	if count < p.threshold {
		p.enter(&p.random, h)
		return h
	}
	if origin == Demand {
		p.missed++
	}
	p.enter(&p.sequential, h)
	return h
}

// enter puts h at the young end.
func (p *sarc) enter(l *halves, h Handle) {
	p.push(&l.young, h)
	for int(h) >= len(p.used) {
		p.used = widened(p.used, cap(p.nodes))
	}
	p.clock++
	p.used[h] = p.clock
	p.age(l)
}

// age moves what is among the oldest into the old half.
func (p *sarc) age(l *halves) {
	for l.old.bytes < p.end && l.young.n > 0 {
		p.push(&l.old, p.pop(&l.young))
	}
}

func (p *sarc) take(h Handle) {
	l := p.listOf(h)
	if p.isOld(h) {
		p.pull(&l.old, h)
	} else {
		p.pull(&l.young, h)
	}
	p.age(l)
}

func (p *sarc) evict() {
	l := &p.random
	switch {
	case p.random.bytes() == 0:
		l = &p.sequential
	case p.sequential.bytes() == 0:
	case p.sequential.bytes() < p.end || p.random.bytes() < p.end:
		// Too short to tell by: the older of the two oldest goes.
		a, b := p.oldest(p.sequential.old.root), p.oldest(p.random.old.root)
		if p.clock-p.used[a] > p.clock-p.used[b] {
			l = &p.sequential
		}
	case float64(p.sequential.bytes()) > p.desired:
		l = &p.sequential
	}
	p.desired = max(0, min(p.desired+p.adapt/2, float64(p.capacity)))
	h := p.pop(&l.old)
	p.age(l)
	p.evicted(h)
}

func (p *sarc) Remove(h Handle) {
	p.take(h)
	p.forget(h)
}

// Demote makes h the oldest of its list.
func (p *sarc) Demote(h Handle) {
	l := p.listOf(h)
	p.take(h)
	p.pushOldest(&l.old, h)
}
