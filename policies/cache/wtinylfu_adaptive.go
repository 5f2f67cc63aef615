package cache

import "math/bits"

var wtinylfuAdaptiveSpec = Spec{
	Name: "wtinylfu-adaptive",
	Doc:  "W-TinyLFU whose window grows and shrinks as the hit ratio rises, as Caffeine has it",
	Source: "Einziger, Eytan, Friedman & Manes, Middleware 2018, with Caffeine's constants: 1 % window at first, 80 % of the main room " +
		"protected, steps of 6.25 % of the capacity every 10 times the objects, fading by 0.98, anew where the hit ratio moves by 5 points",
	Params: []Param{
		{Name: "window", Doc: "share of the window at first", Default: 0.01, Min: 0, Max: 1},
		{Name: "protected", Doc: "share of the main room that is protected at first", Default: 0.8, Min: 0, Max: 1},
		{Name: "step", Doc: "first step of the climb, as a share of the capacity; 0 keeps the window as it is", Default: 0.0625, Min: 0, Max: 1},
	},
	new: func(c Config) Policy {
		p := &wtinylfuAdaptive{store: newStore(c.Capacity, 3), random: lcg(c.Seed)}
		p.window.root, p.probation.root, p.protected.root = 1, 2, 3
		main := int64(float64(c.Capacity) * (1 - c.number("window")))
		p.windowSize = c.Capacity - main
		p.protectedSize = int64(float64(main) * c.number("protected"))
		p.firstStep = c.number("step") * float64(c.Capacity)
		p.step = -p.firstStep
		p.sketch.grow(64)
		return p
	},
}

// wtinylfuAdaptive takes up to 16 bytes of sketch an object beyond the store.
type wtinylfuAdaptive struct {
	store
	window, probation, protected queue
	windowSize, protectedSize    int64
	sketch                       sketch
	random                       lcg
	// The climb: hits and requests of this sample, the hit ratio of the one
	// before, the step to take next.
	hits, requests  int
	ratio           float64
	step, firstStep float64
}

func (p *wtinylfuAdaptive) Find(k Key) Handle {
	p.sketch.count(k)
	p.requests++
	h := p.lookup(k)
	if h == None {
		p.climb()
		return None
	}
	p.hits++
	switch Handle(p.nodes[h].list) {
	case p.window.root:
		p.toHead(p.window.root, h)
	case p.protected.root:
		p.toHead(p.protected.root, h)
	default:
		// What is larger than the protected room stays on probation.
		if int64(p.sizeOf(h)) > p.protectedSize {
			p.toHead(p.probation.root, h)
			break
		}
		p.pull(&p.probation, h)
		p.push(&p.protected, h)
		p.demoteProtected()
	}
	p.climb()
	return h
}

func (p *wtinylfuAdaptive) demoteProtected() {
	for p.protected.bytes > p.protectedSize {
		p.push(&p.probation, p.pop(&p.protected))
	}
}

func (p *wtinylfuAdaptive) Insert(k Key, size uint32, origin Origin) Handle {
	if !p.Admits(size) {
		return None
	}
	if p.resident >= p.sketch.objects() {
		p.sketch.grow(2 * p.sketch.objects())
	}
	// Room is made before the object comes in, as if it were in already.
	for p.occupied+int64(size) > p.capacity {
		p.evict(int64(size))
	}
	h := p.add(k, size, origin)
	p.push(&p.window, h)
	for p.window.bytes > p.windowSize && p.window.n > 1 {
		p.push(&p.probation, p.pop(&p.window))
	}
	return h
}

// evict has the oldest of the window, if that is too large with the newcomer,
// compete with the oldest on probation; the one used less often goes.
func (p *wtinylfuAdaptive) evict(size int64) {
	candidate := None
	if p.window.n > 0 && p.window.bytes+size > p.windowSize {
		candidate = p.oldest(p.window.root)
	}
	from := &p.probation
	if from.n == 0 {
		from = &p.protected
	}
	if from.n == 0 {
		from = &p.window
		candidate = None
	}
	victim := p.oldest(from.root)
	if candidate == None {
		p.pull(from, victim)
		p.evicted(victim)
		return
	}
	if p.admit(candidate, victim) {
		p.pull(from, victim)
		p.pull(&p.window, candidate)
		p.push(&p.probation, candidate)
		p.evicted(victim)
		return
	}
	p.pull(&p.window, candidate)
	p.evicted(candidate)
}

// admit compares how often two objects were used. A candidate that loses though
// it is used often is let in now and then, against attacks with colliding
// hashes.
func (p *wtinylfuAdaptive) admit(candidate, victim Handle) bool {
	c, v := p.sketch.estimate(KeyOf(p.nodes[candidate].id())), p.sketch.estimate(KeyOf(p.nodes[victim].id()))
	if c > v {
		return true
	}
	return c >= 6 && p.random.next()>>57 == 0
}

// climb moves room between the window and the protected objects, in the
// direction that last raised the hit ratio.
func (p *wtinylfuAdaptive) climb() {
	if p.requests < 10*p.sketch.objects() || p.firstStep == 0 {
		return
	}
	ratio := float64(p.hits) / float64(p.requests)
	change := ratio - p.ratio
	amount := p.step
	if change < 0 {
		amount = -amount
	}
	switch {
	case change >= 0.05 || change <= -0.05:
		p.step = p.firstStep
		if amount < 0 {
			p.step = -p.firstStep
		}
	default:
		p.step = 0.98 * amount
	}
	p.ratio, p.hits, p.requests = ratio, 0, 0
	if move := int64(amount); move > 0 {
		move = min(move, p.protectedSize)
		p.protectedSize -= move
		p.windowSize += move
		p.demoteProtected()
		// The window fills from the old end of probation.
		for p.probation.n > 0 && p.window.bytes+int64(p.sizeOf(p.oldest(p.probation.root))) <= p.windowSize {
			p.push(&p.window, p.pop(&p.probation))
		}
	} else {
		move = min(-move, max(p.windowSize-1, 0))
		p.protectedSize += move
		p.windowSize -= move
		for p.window.n > 0 && p.window.bytes > p.windowSize {
			p.push(&p.probation, p.pop(&p.window))
		}
	}
}

func (p *wtinylfuAdaptive) queueOf(h Handle) *queue {
	switch Handle(p.nodes[h].list) {
	case p.window.root:
		return &p.window
	case p.probation.root:
		return &p.probation
	}
	return &p.protected
}

func (p *wtinylfuAdaptive) Remove(h Handle) {
	p.pull(p.queueOf(h), h)
	p.forget(h)
}

// Demote makes h the oldest on probation.
func (p *wtinylfuAdaptive) Demote(h Handle) {
	p.pull(p.queueOf(h), h)
	p.pushOldest(&p.probation, h)
}

// sketch is a count-min sketch of 4-bit counters, 16 in a word, four of them an
// object. All are halved when as many uses were counted as ten times the
// objects it is made for.
type sketch struct {
	words  []uint64 // a power of two
	counts int
}

func (s *sketch) objects() int { return len(s.words) }

// grow makes it for so many objects, a power of two, and empty.
func (s *sketch) grow(objects int) { s.words, s.counts = make([]uint64, objects), 0 }

// places are the four counters of an object: word and bit.
func (s *sketch) places(k Key) (words [4]uint32, shifts [4]uint) {
	mask := uint32(len(s.words) - 1)
	x := k.ID*0x9e3779b97f4a7c15 ^ uint64(k.hash)<<32
	for i := range words {
		hi, lo := bits.Mul64(x+uint64(i)*0xd6e8feb86659fd93, 0xa0761d6478bd642f)
		y := hi ^ lo
		words[i] = uint32(y) & mask
		shifts[i] = uint(y>>60) * 4
	}
	return words, shifts
}

func (s *sketch) count(k Key) {
	words, shifts := s.places(k)
	added := false
	for i, w := range words {
		if s.words[w]>>shifts[i]&15 < 15 {
			s.words[w] += 1 << shifts[i]
			added = true
		}
	}
	if !added {
		return
	}
	if s.counts++; s.counts >= 10*len(s.words) {
		odd := 0
		for i, w := range s.words {
			odd += bits.OnesCount64(w & 0x1111111111111111)
			s.words[i] = w >> 1 & 0x7777777777777777
		}
		s.counts = (s.counts - odd/4) / 2
	}
}

func (s *sketch) estimate(k Key) uint64 {
	words, shifts := s.places(k)
	least := uint64(15)
	for i, w := range words {
		least = min(least, s.words[w]>>shifts[i]&15)
	}
	return least
}
