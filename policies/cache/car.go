package cache

import "math"

var carSpec = Spec{
	Name:   "car",
	Doc:    "CAR: ARC with a CLOCK in the place of each of its two lists, so that a hit only sets a bit",
	Source: "Bansal & Modha, FAST 2004, figure 2; where sizes count, steps and comparisons are in units of size",
	new: func(c Config) Policy {
		p := &car{store: newStore(c.Capacity, 2), ghostHit: nowhere}
		p.expect(c.Capacity, 2*c.Capacity)
		p.lists.init()
		return p
	},
}

// car has the lists of arc: T1 and T2 are clocks whose hands are their oldest
// objects, B1 and B2 ghosts. node.freq is the reference bit.
type car struct {
	store
	lists  arcLists
	target float64 // the size T1 is to have
	// ghostHit is b1 or b2 while the object last looked for was there, else
	// nowhere.
	ghostHit   int
	ghostHitID uint64
}

func (p *car) Find(k Key) Handle {
	p.ghostHit = nowhere
	h := p.lookup(k)
	if h == None {
		return None
	}
	if isGhost(h) {
		p.ghostHit, p.ghostHitID = p.ghostQueueOf(h), k.ID
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
		hit = nowhere
	}
	p.ghostHit = nowhere
	full := p.occupied+int64(size) > p.capacity
	for p.occupied+int64(size) > p.capacity {
		p.replace()
	}
	g := p.lookup(k) // unless it has just been dropped
	if origin == Prefetched && g != None {
		p.raise(g)
		g = None
	}
	l := &p.lists
	switch {
	case hit == nowhere || g == None:
		hit = nowhere
		// Directory replacement.
		if full {
			for l.ghosts[b1].n > 0 && l.with(t1)+int64(size) > p.capacity {
				p.raiseOldest(&l.ghosts[b1])
			}
			for l.ghosts[b2].n > 0 && l.with(t1)+l.with(t2)+int64(size) > 2*p.capacity {
				p.raiseOldest(&l.ghosts[b2])
			}
		}
	default:
		step := l.step(hit) * float64(p.ghostSize(g))
		if hit == b1 {
			p.target = math.Min(p.target+step, float64(p.capacity))
		} else {
			p.target = math.Max(p.target-step, 0)
		}
		p.raise(g)
	}
	h := p.add(k, size, origin)
	if hit != nowhere {
		p.push(&l.queues[t2], h)
	} else {
		p.push(&l.queues[t1], h)
	}
	return h
}

// replace sweeps a clock until it finds an object without its bit. From T1 an
// object with the bit moves to T2, from T2 it goes round again.
func (p *car) replace() {
	q := &p.lists.queues
	for {
		from := t2
		if q[t1].n > 0 && float64(q[t1].bytes) >= math.Max(1, p.target) || q[t2].n == 0 {
			from = t1
		}
		h := p.pop(&q[from])
		if p.nodes[h].freq == 0 {
			p.evictedTo(&p.lists.ghosts[from], h)
			return
		}
		p.nodes[h].freq = 0
		p.push(&q[t2], h)
	}
}

func (p *car) Remove(h Handle) {
	p.pull(&p.lists.queues[p.nodes[h].list-1], h)
	p.forget(h)
}

// Demote puts h under the hand of T1, without its bit.
func (p *car) Demote(h Handle) {
	p.pull(&p.lists.queues[p.nodes[h].list-1], h)
	p.nodes[h].freq = 0
	p.pushOldest(&p.lists.queues[t1], h)
}
