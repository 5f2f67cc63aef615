package cache

import "math"

var cacheusSpec = Spec{
	Name: "cacheus",
	Doc:  "CACHEUS: LeCaR's weights over a scan-resistant LRU and a churn-resistant LFU, its learning rate adapted to the hit ratio",
	Source: "Rodriguez et al., FAST 2021, with the constants of the authors' code: ghosts for half the capacity each, 1 % for new " +
		"objects at first, weights kept within 0.01 and 0.99, a rate that did not help for ten periods is started anew",
	Params: []Param{
		{Name: "new", Doc: "share of the list for new and demoted objects at first", Default: 0.01, Min: 0, Max: 1},
		{Name: "ghost", Doc: "size of each ghost list, as a share of the capacity", Default: 0.5, Min: 0, Max: 16},
	},
	new: func(c Config) Policy {
		p := &cacheus{ranking: ranking{store: newStore(c.Capacity, 2)}, random: lcg(c.Seed)}
		for i := range p.expelled {
			p.expelled[i] = newGhostQueue(i)
		}
		p.links = make([]link, 3)
		for _, l := range []Handle{reused, fresh} {
			p.links[l] = link{l, l}
		}
		p.ghosts.noted = true
		p.ghostRoom = c.share("ghost")
		p.expect(c.Capacity, c.Capacity+2*p.ghostRoom)
		p.freshLimit = min(max(c.share("new"), 1), c.Capacity)
		p.reusedLimit = c.Capacity - p.freshLimit
		p.weight = [2]float64{0.5, 0.5}
		return p
	},
}

// The two lists of the scan-resistant LRU, named by their roots: objects that
// were used again, and those that are new or had to leave the first list.
const (
	reused Handle = 1
	fresh  Handle = 2
)

// Bits of node.flag in cacheus.
const (
	flagDemoted = flagPolicy      // came to the fresh list from the reused one
	flagNew     = flagPolicy << 1 // never used again since it came in
)

// ghostNew is flagNew in the note of a ghost, the use count being above it.
const ghostNew = 1

// cacheus ranks objects by use count (node.prev), among equals the latest
// first, and has them in one of two lists by links of its own. It takes 20
// bytes an object beyond the store.
type cacheus struct {
	ranking
	links                   []link // by handle
	bytes                   [3]int64
	reusedLimit, freshLimit int64
	demoted, newGhosts      int           // objects with those flags: resident, among the ghosts of recency
	expelled                [2]ghostQueue // by expert
	ghostRoom               int64         // of each
	weight                  [2]float64
	learning                learningRate
	random                  lcg
	now                     uint32
	restored                uint32 // use count of the ghost last found
	restoredID              uint64
	isRestored              bool
}

func (p *cacheus) listed(list, h Handle) {
	for int(h) >= len(p.links) {
		p.links = widened(p.links, cap(p.nodes))
	}
	next := p.links[list].next
	p.links[h] = link{list, next}
	p.links[next].prev = h
	p.links[list].next = h
	p.nodes[h].list = uint8(list)
	p.bytes[list] += int64(p.sizeOf(h))
}

func (p *cacheus) unlisted(h Handle) {
	l := p.links[h]
	p.links[l.prev].next = l.next
	p.links[l.next].prev = l.prev
	p.bytes[p.nodes[h].list] -= int64(p.sizeOf(h))
}

func (p *cacheus) Find(k Key) Handle {
	p.now++
	p.isRestored = false
	h := p.lookup(k)
	hit := h != None && !isGhost(h)
	p.learning.request(hit, p.resident, &p.random)
	switch {
	case h == None:
		return None
	case !hit:
		p.ghostHit(h, k)
		return None
	}
	n := &p.nodes[h]
	n.prev++
	n.flag &^= flagNew
	p.rerank(h, timed(uint32(n.prev), ^p.now))
	if Handle(n.list) == fresh && n.flag&flagDemoted != 0 {
		n.flag &^= flagDemoted
		p.resize(true)
		p.demoted--
	}
	p.unlisted(h)
	p.listed(reused, h)
	p.limit()
	return h
}

// ghostHit takes weight from the expert that evicted the object.
func (p *cacheus) ghostHit(h Handle, k Key) {
	expert, note := p.ghostQueueOf(h), *p.ghostNote(h)
	if expert == byRecency && note&ghostNew != 0 {
		p.newGhosts--
		p.resize(false)
	}
	p.restored, p.restoredID, p.isRestored = note>>1, k.ID, true
	p.raise(h)
	w := p.weight[expert] * math.Exp(-p.learning.rate)
	w /= w + p.weight[1-expert]
	w = min(max(w, 0.01), 0.99)
	p.weight[expert], p.weight[1-expert] = w, 1-w
}

// resize moves room to the list for reused objects after a demoted one was
// used, and from it after one was wanted that left before it could be reused.
func (p *cacheus) resize(toReused bool) {
	demoted, gone := float64(max(p.demoted, 1)), float64(max(p.newGhosts, 1))
	// A step is in objects; where sizes count, in objects of the mean size.
	unit := max(p.occupied/int64(max(p.resident, 1)), 1)
	if toReused {
		p.reusedLimit = min(p.capacity-unit, p.reusedLimit+unit*max(1, int64(gone/demoted+0.5)))
		p.freshLimit = p.capacity - p.reusedLimit
		return
	}
	p.freshLimit = min(p.capacity-unit, p.freshLimit+unit*max(1, int64(demoted/gone+0.5)))
	p.reusedLimit = p.capacity - p.freshLimit
}

// limit moves the oldest of the reused objects that are too many.
func (p *cacheus) limit() {
	for p.bytes[reused] > max(p.reusedLimit, 0) {
		h := p.links[reused].prev
		p.unlisted(h)
		p.nodes[h].flag |= flagDemoted
		p.demoted++
		p.listed(fresh, h)
	}
}

func (p *cacheus) Insert(k Key, size uint32, origin Origin) Handle {
	restored := p.isRestored && p.restoredID == k.ID && origin == Demand
	p.isRestored = false
	if !p.Admits(size) {
		return None
	}
	if g := p.lookup(k); g != None { // a ghost that a prefetch does not read
		p.dropGhost(g)
	}
	for p.occupied+int64(size) > p.capacity {
		p.evict()
	}
	h := p.add(k, size, origin)
	uses := uint32(1)
	list := fresh
	switch {
	case restored:
		uses, list = p.restored+1, reused
	case p.bytes[reused]+int64(size) <= p.reusedLimit && p.bytes[fresh] == 0:
		list = reused
		p.nodes[h].flag |= flagNew
	default:
		p.nodes[h].flag |= flagNew
	}
	p.nodes[h].prev = Handle(uses)
	p.ranking.enter(h, timed(uses, ^p.now))
	p.listed(list, h)
	p.limit()
	return h
}

// dropGhost forgets a ghost unread.
func (p *cacheus) dropGhost(g Handle) {
	if p.ghostQueueOf(g) == byRecency && *p.ghostNote(g)&ghostNew != 0 {
		p.newGhosts--
	}
	p.raise(g)
}

// oldestFresh is the victim of the scan-resistant LRU.
func (p *cacheus) oldestFresh() Handle {
	if h := p.links[fresh].prev; h != fresh {
		return h
	}
	return p.links[reused].prev
}

func (p *cacheus) evict() {
	p.learning.start(p.resident)
	oldest, rarest := p.oldestFresh(), p.first()
	h, expert := oldest, byRecency
	if oldest != rarest && float64(p.random.next()>>11)/(1<<53) >= p.weight[byRecency] {
		h, expert = rarest, byFrequency
	}
	note := uint32(p.nodes[h].prev) << 1
	if p.nodes[h].flag&flagNew != 0 {
		note |= ghostNew
	}
	p.drop(h)
	ghosts, v := &p.expelled[expert], p.victim(h)
	size := int64(v.Size)
	if oldest == rarest || size > p.ghostRoom {
		p.evicted(h)
		return
	}
	for ghosts.bytes+size > p.ghostRoom {
		p.dropGhost(p.oldestGhost(ghosts))
	}
	*p.ghostNote(p.bury(ghosts, h)) = note
	if expert == byRecency && note&ghostNew != 0 {
		p.newGhosts++
	}
	p.report(v)
}

// drop takes a resident out of list and rank.
func (p *cacheus) drop(h Handle) {
	if p.nodes[h].flag&flagDemoted != 0 {
		p.nodes[h].flag &^= flagDemoted
		p.demoted--
	}
	p.unlisted(h)
	p.leave(h)
}

func (p *cacheus) Remove(h Handle) {
	p.drop(h)
	p.forget(h)
}

// Demote makes h the oldest fresh object and the rarest, so that both experts
// name it.
func (p *cacheus) Demote(h Handle) {
	p.unlisted(h)
	p.listed(fresh, h)
	// From the newest place to the oldest.
	l := p.links[h]
	p.links[l.prev].next, p.links[l.next].prev = l.next, l.prev
	last := p.links[fresh].prev
	p.links[h] = link{last, fresh}
	p.links[last].next = h
	p.links[fresh].prev = h
	p.nodes[h].prev = 0
	p.rerank(h, 0)
}

// learningRate climbs: every period, of as many requests as the cache has
// objects, it goes on in the direction in which the hit ratio rose.
type learningRate struct {
	rate, last, initial float64
	hits, requests      int
	ratio               float64 // of the period before
	falls, stalls       int
}

// start sets the rate once the number of objects is known.
func (l *learningRate) start(objects int) {
	if l.rate == 0 {
		l.rate = math.Sqrt(2 * math.Ln2 / float64(max(objects, 1)))
		l.initial = min(max(l.rate, 0.001), 1)
	}
}

func (l *learningRate) request(hit bool, objects int, random *lcg) {
	if hit {
		l.hits++
	}
	if l.requests++; l.rate == 0 || l.requests < max(objects, 1) {
		return
	}
	round := func(x float64) float64 { return math.Round(x*1000) / 1000 }
	ratio := round(float64(l.hits) / float64(l.requests))
	rise, moved := round(ratio-l.ratio), round(l.rate)-round(l.last)
	l.last, l.ratio, l.hits, l.requests = l.rate, ratio, 0, 0
	switch {
	case moved*rise > 0:
		l.rate, l.falls, l.stalls = min(l.rate+math.Abs(l.rate*moved), 1), 0, 0
	case moved*rise < 0:
		l.rate, l.falls, l.stalls = max(l.rate-math.Abs(l.rate*moved), 0.001), 0, 0
	case rise <= 0:
		if ratio <= 0 && rise == 0 {
			l.stalls++
		}
		if rise < 0 {
			l.falls++
			l.stalls++
		}
		switch {
		case l.stalls >= 10:
			l.rate, l.stalls = l.initial, 0
		case rise < 0 && l.falls >= 10:
			l.rate, l.falls = l.initial, 0
		case rise < 0:
			l.step(random)
		}
	}
}

// step moves the rate either way.
func (l *learningRate) step(random *lcg) {
	switch {
	case l.rate >= 1:
		l.rate = 0.9
	case l.rate <= 0.001:
		l.rate = 0.005
	case random.next()>>63 == 0:
		l.rate = min(l.rate*1.25, 1)
	default:
		l.rate = max(l.rate*0.75, 0.001)
	}
}
