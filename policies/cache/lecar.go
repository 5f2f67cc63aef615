package cache

import "math"

var lecarSpec = Spec{
	Name: "lecar",
	Doc:  "LeCaR: evicts by LRU or by LFU, drawn by weights that regret on ghost hits moves",
	Source: "Vietri et al., HotStorage 2018, as libCacheSim has it: ghosts for half the capacity each, use counts that restart " +
		"at 1, weights that are not kept away from 0 and 1",
	Params: []Param{
		{Name: "rate", Doc: "learning rate", Default: 0.45, Min: 0, Max: 100},
		{Name: "discount", Doc: "what is left of a regret after as many requests as the capacity", Default: 0.005, Min: 1e-9, Max: 1},
		{Name: "ghost", Doc: "size of each ghost list, as a share of the capacity", Default: 0.5, Min: 0, Max: 16},
	},
	new: func(c Config) Policy {
		p := &lecar{classes: classes{store: newStore(c.Capacity, 0)}, random: lcg(c.Seed)}
		for i := range p.expelled {
			p.expelled[i] = newGhostQueue(i)
		}
		p.ghosts.noted = true
		p.ghostRoom = c.share("ghost")
		p.expectClasses(c.Capacity + 2*p.ghostRoom)
		p.rate = c.number("rate")
		p.discount = math.Pow(c.number("discount"), 1/float64(max(c.Capacity, 1)))
		p.weight = [2]float64{0.5, 0.5}
		p.recency = make([]link, 1)
		return p
	},
}

// The experts of LeCaR, whose ghosts are kept apart.
const (
	byRecency = iota
	byFrequency
)

// lecar has its objects in classes of equal use count and, by links of its
// own, in one list by recency. It takes 12 bytes an object beyond the store, and of
// a ghost keeps when it became one.
type lecar struct {
	classes
	recency   []link        // by handle; [0] is the root
	expelled  [2]ghostQueue // by expert
	ghostRoom int64         // of each
	weight    [2]float64
	rate      float64
	discount  float64 // of a regret, by request
	random    lcg
	now       uint32
}

// lcg is libCacheSim's generator of random numbers.
type lcg uint64

func (x *lcg) next() uint64 {
	*x = *x*6364136223846793005 + 1442695040888963407
	return uint64(*x)
}

func (p *lecar) recent(h Handle) {
	for int(h) >= len(p.recency) {
		p.recency = widened(p.recency, cap(p.nodes))
	}
	next := p.recency[0].next
	p.recency[h] = link{0, next}
	p.recency[next].prev = h
	p.recency[0].next = h
}

// take removes h from recency and its class.
func (p *lecar) take(h Handle) {
	l := p.recency[h]
	p.recency[l.prev].next = l.next
	p.recency[l.next].prev = l.prev
	p.part(h)
}

func (p *lecar) Find(k Key) Handle {
	p.now++
	h := p.lookup(k)
	if h == None {
		return None
	}
	if isGhost(h) {
		p.regret(p.ghostQueueOf(h), float64(p.now-*p.ghostNote(h)))
		p.raise(h)
		return None
	}
	p.used(h)
	l := p.recency[h]
	p.recency[l.prev].next = l.next
	p.recency[l.next].prev = l.prev
	p.recent(h)
	return h
}

// regret takes weight from the expert that evicted an object age requests
// before it was wanted again.
func (p *lecar) regret(expert int, age float64) {
	const tiny = 1e-10
	w := p.weight[expert]*math.Exp(-p.rate*math.Pow(p.discount, age)) + tiny
	other := p.weight[1-expert] + tiny
	p.weight[expert], p.weight[1-expert] = w/(w+other), other/(w+other)
}

func (p *lecar) Insert(k Key, size uint32, origin Origin) Handle {
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		p.evict()
	}
	if origin == Prefetched {
		if g := p.lookup(k); g != None {
			p.raise(g)
		}
	}
	h := p.add(k, size, origin)
	p.enter(h)
	p.recent(h)
	return h
}

func (p *lecar) evict() {
	oldest, rarest := p.recency[0].prev, p.first()
	if oldest == rarest {
		p.take(oldest)
		p.evicted(oldest)
		return
	}
	h, expert := oldest, byRecency
	if float64(p.random.next()%100)/100 >= p.weight[byRecency] {
		h, expert = rarest, byFrequency
	}
	p.take(h)
	ghosts := &p.expelled[expert]
	v := p.victim(h)
	size := int64(v.Size)
	for ghosts.n > 0 && ghosts.bytes+size > p.ghostRoom {
		p.raiseOldest(ghosts)
	}
	if size > p.ghostRoom { // it pushes out all others before itself
		p.evicted(h)
		return
	}
	*p.ghostNote(p.bury(ghosts, h)) = p.now
	p.report(v)
}

func (p *lecar) Remove(h Handle) {
	p.take(h)
	p.forget(h)
}

// Demote makes h the oldest by recency and the first of those used once, so
// that both experts name it.
func (p *lecar) Demote(h Handle) {
	p.take(h)
	p.enter(h)
	p.unlink(h)
	p.pushTail(p.class[h], h)
	last := p.recency[0].prev
	p.recency[h] = link{last, 0}
	p.recency[last].next = h
	p.recency[0].prev = h
}
