package cache

// maxSegments bounds the segments of an SLRU, as libCacheSim does.
const maxSegments = 16

var slruSpec = Spec{
	Name: "slru",
	Doc:  "segmented LRU: a hit moves an object up one segment, a full segment pushes its oldest down",
	Source: "Karedla et al., IEEE Computer 1994, as libCacheSim has it: newcomers enter the lowest segment with room, so that " +
		"the upper ones fill first; objects must fit in the lowest segment",
	Params: []Param{
		{Name: "segments", Doc: "sizes of the segments in proportion, the lowest first", Max: maxSegments, Ratios: []float64{1, 1, 1, 1}},
	},
	new: func(c Config) Policy {
		ratios := c.list("segments")
		p := &slru{store: newStore(c.Capacity, len(ratios))}
		p.segments.init(1, c.Capacity, ratios)
		return p
	},
}

// segments are the lists of an SLRU. The methods take the store they are in.
type segments struct {
	capacity int64
	bytes    int64
	lists    []queue
	sizes    []int64
}

// init lays the lists on the roots from first on.
func (g *segments) init(first Handle, capacity int64, ratios []float64) {
	sum := 0.0
	for _, r := range ratios {
		sum += r
	}
	g.capacity = capacity
	for i, r := range ratios {
		g.lists = append(g.lists, queue{root: first + Handle(i)})
		g.sizes = append(g.sizes, int64(r/sum*float64(capacity)))
	}
}

// of gives the segment that h is in.
func (g *segments) of(s *store, h Handle) int { return int(Handle(s.nodes[h].list) - g.lists[0].root) }

// hit promotes h. evict is called for what drops out at the bottom.
func (g *segments) hit(s *store, h Handle, evict func(Handle)) {
	i := g.of(s, h)
	if i == len(g.lists)-1 {
		s.toHead(g.lists[i].root, h)
		return
	}
	s.pull(&g.lists[i], h)
	size := int64(s.sizeOf(h))
	g.makeRoom(s, i+1, size, evict)
	s.push(&g.lists[i+1], h)
}

// makeRoom pushes the oldest objects of segment i down until size fits in.
func (g *segments) makeRoom(s *store, i int, size int64, evict func(Handle)) {
	q := &g.lists[i]
	for q.bytes+size > g.sizes[i] && q.n > 0 {
		h := s.pop(q)
		moved := int64(s.sizeOf(h))
		if i == 0 {
			g.bytes -= moved
			evict(h)
			continue
		}
		g.makeRoom(s, i-1, moved, evict)
		s.push(&g.lists[i-1], h)
	}
}

// insert puts h in the lowest segment with room or, after evicting until it
// fits in all, in the lowest.
func (g *segments) insert(s *store, h Handle, evict func(Handle)) {
	size := int64(s.sizeOf(h))
	to := 0
	for to < len(g.lists) && g.lists[to].bytes+size > g.sizes[to] {
		to++
	}
	if to == len(g.lists) {
		to = 0
		for g.bytes > 0 && g.bytes+size > g.capacity {
			v := g.victim(s)
			g.remove(s, v)
			evict(v)
		}
	}
	g.bytes += size
	s.push(&g.lists[to], h)
}

// victim is the oldest object of the lowest segment that has any, or None.
func (g *segments) victim(s *store) Handle {
	for i := range g.lists {
		if g.lists[i].n > 0 {
			return s.oldest(g.lists[i].root)
		}
	}
	return None
}

func (g *segments) remove(s *store, h Handle) {
	g.bytes -= int64(s.sizeOf(h))
	s.pull(&g.lists[g.of(s, h)], h)
}

type slru struct {
	store
	segments segments
}

func (p *slru) Find(k Key) Handle {
	h := p.lookup(k)
	if h != None {
		p.segments.hit(&p.store, h, p.evicted)
	}
	return h
}

func (p *slru) Admits(size uint32) bool { return int64(size) <= p.segments.sizes[0] }

func (p *slru) Insert(k Key, size uint32, origin Origin) Handle {
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		h := p.segments.victim(&p.store)
		p.segments.remove(&p.store, h)
		p.evicted(h)
	}
	h := p.add(k, size, origin)
	p.segments.insert(&p.store, h, p.evicted)
	return h
}

func (p *slru) Remove(h Handle) {
	p.segments.remove(&p.store, h)
	p.forget(h)
}

// Demote makes h the oldest of the lowest segment.
func (p *slru) Demote(h Handle) {
	p.segments.remove(&p.store, h)
	p.segments.bytes += int64(p.sizeOf(h))
	p.pushOldest(&p.segments.lists[0], h)
}
