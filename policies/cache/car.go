package cache

import "math"

var carSpec = Spec{
	Name:   "car",
	Doc:    "CAR: ARC with a CLOCK in the place of each of its two lists, so that a hit only sets a bit",
	Source: "Bansal & Modha, FAST 2004, figure 2; where sizes count, steps and comparisons are in units of size",
	new: func(c Config) Policy {
		p := &car{store: newStore(c.Capacity, 4)}
		for i := range p.lists {
			p.lists[i].root = Handle(i + 1)
		}
		return p
	},
}

// car has the lists of arc: T1 and T2 are clocks whose hands are their oldest
// objects, B1 and B2 ghosts. node.freq is the reference bit.
type car struct {
	store
	lists  [4]queue
	target float64 // the size T1 is to have
	// ghostHit is b1 or b2 while the object last looked for was there, else 0.
	ghostHit   int
	ghostHitID uint64
}

func (p *car) Find(k Key) Handle {
	p.ghostHit = 0
	h := p.lookup(k)
	if h == None {
		return None
	}
	if p.nodes[h].flag&flagGhost != 0 {
		p.ghostHit, p.ghostHitID = int(p.nodes[h].list)-1, k.ID
		return None
	}
	p.nodes[h].freq = 1
	return h
}

func (p *car) Insert(k Key, size uint32, origin Origin) Handle {
	if !p.Admits(size) {
		return None
	}
	hit := p.ghostHit
	if p.ghostHitID != k.ID || origin != Demand {
		hit = 0
	}
	p.ghostHit = 0
	full := p.occupied+int64(size) > p.capacity
	for p.occupied+int64(size) > p.capacity {
		p.replace()
	}
	g := p.lookup(k) // unless it has just been dropped
	if origin == Prefetched && g != None {
		p.dropGhost(g)
		g = None
	}
	switch {
	case hit == 0 || g == None:
		hit = 0
		// Directory replacement.
		if full {
			for p.lists[b1].n > 0 && p.lists[t1].bytes+p.lists[b1].bytes+int64(size) > p.capacity {
				p.forget(p.pop(&p.lists[b1]))
			}
			for p.lists[b2].n > 0 && p.occupied+p.lists[b1].bytes+p.lists[b2].bytes+int64(size) > 2*p.capacity {
				p.forget(p.pop(&p.lists[b2]))
			}
		}
	default:
		step := max(float64(p.lists[b1+b2-hit].bytes)/float64(p.lists[hit].bytes), 1) * float64(p.nodes[g].size)
		if hit == b1 {
			p.target = math.Min(p.target+step, float64(p.capacity))
		} else {
			p.target = math.Max(p.target-step, 0)
		}
		p.dropGhost(g)
	}
	h := p.add(k, size, origin)
	if hit != 0 {
		p.push(&p.lists[t2], h)
	} else {
		p.push(&p.lists[t1], h)
	}
	return h
}

func (p *car) dropGhost(g Handle) {
	p.pull(&p.lists[p.nodes[g].list-1], g)
	p.forget(g)
}

// replace sweeps a clock until it finds an object without its bit. From T1 an
// object with the bit moves to T2, from T2 it goes round again.
func (p *car) replace() {
	for {
		from, ghosts := t2, b2
		if p.lists[t1].n > 0 && float64(p.lists[t1].bytes) >= math.Max(1, p.target) || p.lists[t2].n == 0 {
			from, ghosts = t1, b1
		}
		h := p.pop(&p.lists[from])
		if p.nodes[h].freq == 0 {
			p.ghosted(h)
			p.push(&p.lists[ghosts], h)
			p.report(p.victim(h))
			return
		}
		p.nodes[h].freq = 0
		p.push(&p.lists[t2], h)
	}
}

func (p *car) Remove(h Handle) {
	p.pull(&p.lists[p.nodes[h].list-1], h)
	p.forget(h)
}

// Demote puts h under the hand of T1, without its bit.
func (p *car) Demote(h Handle) {
	p.pull(&p.lists[p.nodes[h].list-1], h)
	p.nodes[h].freq = 0
	p.pushOldest(&p.lists[t1], h)
}
