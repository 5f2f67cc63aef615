package cache

var beladySpec = Spec{
	Name:   "belady",
	Doc:    "Belady's MIN: evicts what is requested again last; with sizes ignored no policy misses less",
	Source: "Belady, IBM Systems Journal 1966; blind to sizes. It takes no prefetched objects, whose next use it cannot know",
	new: func(c Config) Policy {
		return &belady{ranking: ranking{store: newStore(c.Capacity, 0)}}
	},
}

type belady struct {
	ranking
	next []uint32
	now  uint32
}

func (p *belady) Foresee(next []uint32) { p.next = next }

// rank is lower the later the next request to the object of this one. Those that
// are requested no more come first, in the order of their last request.
func (p *belady) rank() uint64 {
	if next := p.next[p.now-1]; next != never {
		return timed(2, never-next)
	}
	return timed(1, p.now)
}

func (p *belady) Find(k Key) Handle {
	p.now++
	h := p.lookup(k)
	if h != None {
		p.rerank(h, p.rank())
	}
	return h
}

func (p *belady) Insert(k Key, size uint32, origin Origin) Handle {
	if origin == Prefetched || !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		h := p.first()
		p.leave(h)
		p.evicted(h)
	}
	h := p.add(k, size, origin)
	p.enter(h, p.rank())
	return h
}

// Demote ranks h below what is never requested again.
func (p *belady) Demote(h Handle) { p.rerank(h, timed(0, p.now)) }
