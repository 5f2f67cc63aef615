package cache

import "math"

// sampled is a store whose residents also stand in an array, in no order, so
// that any of them can be drawn. The place of an object in it is kept in
// node.next. T is what the policy keeps of an object.
type sampled[T any] struct {
	store
	slots  []slot[T]
	random lcg
}

type slot[T any] struct {
	h    Handle
	data T
}

func (s *sampled[T]) enter(h Handle, data T) {
	s.nodes[h].next = Handle(len(s.slots))
	s.slots = pushed(&s.store, s.slots, slot[T]{h, data})
}

func (s *sampled[T]) of(h Handle) *T { return &s.slots[s.nodes[h].next].data }

// leave takes an object out of the array; the last one takes its place.
func (s *sampled[T]) leave(h Handle) {
	i := s.nodes[h].next
	last := s.slots[len(s.slots)-1]
	s.slots = s.slots[:len(s.slots)-1]
	if last.h != h {
		s.slots[i] = last
		s.nodes[last.h].next = i
	}
}

// draw is the place of a resident, all being as likely.
func (s *sampled[T]) draw() int {
	return int(s.random.next() >> 32 * uint64(len(s.slots)) >> 32)
}

func (s *sampled[T]) Remove(h Handle) {
	s.leave(h)
	s.forget(h)
}

// least is the object of the lowest score among so many drawn, or among all
// where there are no more.
func (s *sampled[T]) least(samples int, score func(*slot[T]) float64) Handle {
	if len(s.slots) <= samples {
		best, low := None, 0.0
		for i := range s.slots {
			if x := score(&s.slots[i]); best == None || x < low {
				best, low = s.slots[i].h, x
			}
		}
		return best
	}
	best, low := None, 0.0
	for range samples {
		c := &s.slots[s.draw()]
		if x := score(c); best == None || x < low {
			best, low = c.h, x
		}
	}
	return best
}

var randomSpec = Spec{
	Name:   "random",
	Doc:    "evicts any object, all being as likely",
	Source: "for independent requests it misses as often as FIFO: Gelenbe, IEEE Trans. Computers 1973",
	new: func(c Config) Policy {
		return &random{sampled: sampled[struct{}]{store: newStore(c.Capacity, 0), random: lcg(c.Seed)}}
	},
}

// random takes 4 bytes an object beyond the store.
type random struct {
	sampled[struct{}]
	doomed Handle // demoted, to go first
}

func (p *random) Find(k Key) Handle {
	h := p.lookup(k)
	if h == p.doomed {
		p.doomed = None
	}
	return h
}

func (p *random) Insert(k Key, size uint32, origin Origin) Handle {
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		h := p.doomed
		if h == None {
			h = p.slots[p.draw()].h
		}
		p.drop(h)
		p.evicted(h)
	}
	h := p.add(k, size, origin)
	p.enter(h, struct{}{})
	return h
}

func (p *random) drop(h Handle) {
	if h == p.doomed {
		p.doomed = None
	}
	p.leave(h)
}

func (p *random) Remove(h Handle) {
	p.drop(h)
	p.forget(h)
}

func (p *random) Demote(h Handle) { p.doomed = h }

var hyperbolicSpec = Spec{
	Name:   "hyperbolic",
	Doc:    "Hyperbolic caching: of a sample, evicts the object with the fewest uses per time in the cache",
	Source: "Blankstein, Sen & Freedman, ATC 2017, of equal cost and size",
	Params: []Param{
		{Name: "samples", Doc: "objects drawn for an eviction", Default: 64, Min: 1, Max: 1 << 20, Whole: true},
	},
	new: func(c Config) Policy {
		return &hyperbolic{sampled: sampled[uses]{store: newStore(c.Capacity, 0), random: lcg(c.Seed)}, samples: c.whole("samples")}
	},
}

type uses struct{ n, born uint32 }

// hyperbolic takes 12 bytes an object beyond the store.
type hyperbolic struct {
	sampled[uses]
	samples int
	now     uint32
}

func (p *hyperbolic) Find(k Key) Handle {
	p.now++
	h := p.lookup(k)
	if h != None {
		p.of(h).n++
	}
	return h
}

func (p *hyperbolic) Insert(k Key, size uint32, origin Origin) Handle {
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		h := p.victimOf()
		p.leave(h)
		p.evicted(h)
	}
	h := p.add(k, size, origin)
	p.enter(h, uses{1, p.now})
	return h
}

// victimOf draws objects, or looks at all where there are no more. It compares
// uses per time without dividing.
func (p *hyperbolic) victimOf() Handle {
	best, n, age := None, uint64(1), uint64(0)
	for i := range min(p.samples, len(p.slots)) {
		if len(p.slots) > p.samples {
			i = p.draw()
		}
		c := &p.slots[i]
		itsN, itsAge := uint64(c.data.n), uint64(max(p.now-c.data.born, 1))
		if itsN*age < n*itsAge {
			best, n, age = c.h, itsN, itsAge
		}
	}
	return best
}

// Demote takes all uses from h.
func (p *hyperbolic) Demote(h Handle) { p.of(h).n = 0 }

var beladySizeSpec = Spec{
	Name: "belady-size",
	Doc:  "Belady for objects of unlike sizes: of a sample, evicts what takes most room for longest until it is requested again",
	Source: "as libCacheSim's BeladySize: what is not requested again is not kept. No exact rule is known to be best " +
		"(the problem is NP-hard); it takes no prefetched objects, whose next use it cannot know",
	Params: []Param{
		{Name: "samples", Doc: "objects drawn for an eviction", Default: 128, Min: 1, Max: 1 << 20, Whole: true},
	},
	new: func(c Config) Policy {
		return &beladySize{sampled: sampled[uint32]{store: newStore(c.Capacity, 0), random: lcg(c.Seed)}, samples: c.whole("samples")}
	},
}

// beladySize keeps the time of an object's next request, and takes 8 bytes an
// object beyond the store.
type beladySize struct {
	sampled[uint32]
	samples int
	next    []uint32
	now     uint32
}

func (p *beladySize) Foresee(next []uint32) { p.next = next }

func (p *beladySize) Find(k Key) Handle {
	p.now++
	h := p.lookup(k)
	if h != None {
		if *p.of(h) = p.next[p.now-1]; *p.of(h) == never {
			p.leave(h)
			p.evicted(h)
		}
	}
	return h
}

func (p *beladySize) Insert(k Key, size uint32, origin Origin) Handle {
	if origin == Prefetched || !p.Admits(size) || p.next[p.now-1] == never {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		h := p.victimOf()
		p.leave(h)
		p.evicted(h)
	}
	h := p.add(k, size, origin)
	p.enter(h, p.next[p.now-1])
	return h
}

// victimOf draws objects, or looks at all where there are no more.
func (p *beladySize) victimOf() Handle {
	best, most := None, uint64(0)
	for i := range min(p.samples, len(p.slots)) {
		if len(p.slots) > p.samples {
			i = p.draw()
		}
		c := &p.slots[i]
		room := uint64(c.data-p.now) * uint64(p.sizeOf(c.h))
		if c.data == never {
			room = math.MaxUint64
		}
		if best == None || room > most {
			best, most = c.h, room
		}
	}
	return best
}

// Demote has h as if it were never requested again.
func (p *beladySize) Demote(h Handle) { *p.of(h) = never }
