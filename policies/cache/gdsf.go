package cache

import "math"

var gdsfSpec = Spec{
	Name:   "gdsf",
	Doc:    "GreedyDual-Size-Frequency: favours objects that are small and often used; what was kept long ages",
	Source: "Cherkasova, HP Labs 1998; the cost of a miss is 1, scaled by a million",
	new: func(c Config) Policy {
		return &gdsf{ranking: ranking{store: newStore(c.Capacity, 0)}, worth: func(uses, size uint32) float64 {
			return float64(uses) * 1e6 / float64(size)
		}}
	},
}

var lfudaSpec = Spec{
	Name:   "lfuda",
	Doc:    "LFU with dynamic aging: use count plus the rank at which the last victim left",
	Source: "Arlitt et al., 2000, as published; libCacheSim's LFUDA has known defects and is not followed",
	new: func(c Config) Policy {
		return &gdsf{ranking: ranking{store: newStore(c.Capacity, 0)}, worth: func(uses, _ uint32) float64 {
			return float64(uses)
		}}
	},
}

// gdsf ranks an object by its worth plus the age of the cache when it was last
// used. node.prev counts the uses.
type gdsf struct {
	ranking
	worth func(uses, size uint32) float64
	age   float64 // rank of the last victim
	now   uint32
}

func (p *gdsf) Find(k Key) Handle {
	p.now++
	h := p.lookup(k)
	if h != None {
		n := &p.nodes[h]
		n.prev++
		p.rerank(h, p.age+p.worth(uint32(n.prev), p.sizeOf(h)), p.now)
	}
	return h
}

func (p *gdsf) Insert(k Key, size uint32, origin Origin) Handle {
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		h := p.first()
		p.age = math.Float64frombits(p.heap[0].rank)
		p.leave(h)
		p.evicted(h)
	}
	h := p.add(k, size, origin)
	p.nodes[h].prev = 1
	p.enter(h, p.age+p.worth(1, size), p.now)
	return h
}

// Demote ranks h below everything else, at the age of the cache.
func (p *gdsf) Demote(h Handle) {
	p.nodes[h].prev = 0
	p.rerank(h, p.age, 0)
}
