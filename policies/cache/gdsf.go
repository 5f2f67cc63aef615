package cache

import "math"

var gdsfSpec = Spec{
	Name:   "gdsf",
	Doc:    "GreedyDual-Size-Frequency: favours objects that are small and often used; what was kept long ages",
	Source: "Cherkasova, HP Labs 1998; the cost of a miss is 1, scaled by a million",
	new: func(c Config) Policy {
		return &gdsf{lfuda: lfuda{ranking: ranking{store: newStore(c.Capacity, 0)}}}
	},
}

var lfudaSpec = Spec{
	Name:   "lfuda",
	Doc:    "LFU with dynamic aging: use count plus the rank at which the last victim left",
	Source: "Arlitt et al., 2000, as published; libCacheSim's LFUDA has known defects and is not followed",
	new: func(c Config) Policy {
		return &lfuda{ranking: ranking{store: newStore(c.Capacity, 0)}}
	},
}

// lfuda ranks an object by its uses plus the age of the cache when it was last
// used, then by the time of that. node.prev counts the uses.
//
// A victim raises the age by its uses at most, so that no rank is above the
// number of requests and prefetches.
type lfuda struct {
	ranking
	age uint32 // rank of the last victim
	now uint32
}

func (p *lfuda) Find(k Key) Handle {
	p.now++
	h := p.lookup(k)
	if h != None {
		n := &p.nodes[h]
		n.prev++
		p.rerank(h, timed(p.age+uint32(n.prev), p.now))
	}
	return h
}

func (p *lfuda) Insert(k Key, size uint32, origin Origin) Handle {
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		h := p.first()
		p.age = uint32(p.ranks[0] >> 32)
		p.leave(h)
		p.evicted(h)
	}
	h := p.add(k, size, origin)
	p.nodes[h].prev = 1
	p.enter(h, timed(p.age+1, p.now))
	return h
}

// Demote ranks h below everything else, at the age of the cache.
func (p *lfuda) Demote(h Handle) {
	p.nodes[h].prev = 0
	p.rerank(h, timed(p.age, 0))
}

// useWorth is what a use of an object of size 1 is worth.
const useWorth = 1e6

// gdsf is lfuda while all objects have size 1. From then on a rank is the bits of
// a float, which are in the order of floats as it is not negative, and the times
// are kept apart: 4 bytes an object more.
type gdsf struct {
	lfuda
	sizedAge float64
}

// weigh has sizes count.
func (p *gdsf) weigh() {
	p.fill()
	p.times = make([]uint32, cap(p.nodes))
	for i, rank := range p.ranks {
		p.ranks[i] = math.Float64bits(float64(rank>>32) * useWorth)
		p.times[p.ranked[i]] = uint32(rank)
	}
	p.sizedAge = float64(p.age) * useWorth
}

// rank gives the rank of an object that is used now.
func (p *gdsf) rank(h Handle) uint64 {
	p.times[h] = p.now
	return math.Float64bits(p.sizedAge + float64(p.nodes[h].prev)*useWorth/float64(p.sizeOf(h)))
}

func (p *gdsf) Find(k Key) Handle {
	if p.times == nil {
		return p.lfuda.Find(k)
	}
	p.now++
	h := p.lookup(k)
	if h != None {
		p.nodes[h].prev++
		p.rerank(h, p.rank(h))
	}
	return h
}

func (p *gdsf) Insert(k Key, size uint32, origin Origin) Handle {
	if p.times == nil {
		if size == 1 {
			return p.lfuda.Insert(k, size, origin)
		}
		p.weigh()
	}
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		h := p.first()
		p.sizedAge = math.Float64frombits(p.ranks[0])
		p.leave(h)
		p.evicted(h)
	}
	h := p.add(k, size, origin)
	if int(h) >= len(p.times) {
		p.times = widened(p.times, cap(p.nodes))
	}
	p.nodes[h].prev = 1
	p.enter(h, p.rank(h))
	return h
}

func (p *gdsf) Demote(h Handle) {
	if p.times == nil {
		p.lfuda.Demote(h)
		return
	}
	p.nodes[h].prev, p.times[h] = 0, 0
	p.rerank(h, math.Float64bits(p.sizedAge))
}
