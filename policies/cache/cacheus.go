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
		p := &cacheus{ranking: ranking{store: newStore(c.Capacity, 4)}, random: lcg(c.Seed)}
		p.ghosts[byRecency].root, p.ghosts[byFrequency].root = 1, 2
		p.links = make([]link, 5)
		for _, l := range []Handle{reused, fresh} {
			p.links[l] = link{l, l}
		}
		p.ghostSize = c.share("ghost")
		p.freshLimit = min(max(c.share("new"), 1), c.Capacity)
		p.reusedLimit = c.Capacity - p.freshLimit
		p.weight = [2]float64{0.5, 0.5}
		return p
	},
}

// The two lists of the scan-resistant LRU, named by their roots: objects that
// were used again, and those that are new or had to leave the first list.
const (
	reused Handle = 3
	fresh  Handle = 4
)

// Bits of node.flag in cacheus.
const (
	flagDemoted = flagPolicy      // came to the fresh list from the reused one
	flagNew     = flagPolicy << 1 // never used again since it came in
)

// cacheus ranks objects by use count (node.prev), among equals the latest
// first, and has them in one of two lists by links of its own. It takes 24
// bytes an object beyond the store.
type cacheus struct {
	ranking
	links                   []link // by handle
	bytes                   [5]int64
	reusedLimit, freshLimit int64
	demoted, newGhosts      int // objects with those flags: resident, among the ghosts of recency
	ghosts                  [2]queue
	ghostSize               int64
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
		p.links = append(p.links, make([]link, max(cap(p.nodes)-len(p.links), 1))...)
	}
	next := p.links[list].next
	p.links[h] = link{list, next}
	p.links[next].prev = h
	p.links[list].next = h
	p.nodes[h].list = uint8(list)
	p.bytes[list] += int64(p.nodes[h].size)
}

func (p *cacheus) unlisted(h Handle) {
	l := p.links[h]
	p.links[l.prev].next = l.next
	p.links[l.next].prev = l.prev
	p.bytes[p.nodes[h].list] -= int64(p.nodes[h].size)
}

func (p *cacheus) Find(k Key) Handle {
	p.now++
	p.isRestored = false
	h := p.lookup(k)
	hit := h != None && p.nodes[h].flag&flagGhost == 0
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
	p.rerank(h, float64(n.prev), ^p.now)
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
	n := &p.nodes[h]
	expert := int(n.list) - 1
	if expert == byRecency && n.flag&flagNew != 0 {
		p.newGhosts--
		p.resize(false)
	}
	p.restored, p.restoredID, p.isRestored = uint32(p.links[h].prev), k.ID, true
	p.pull(&p.ghosts[expert], h)
	p.forget(h)
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
		if p.nodes[g].list == byRecency+1 && p.nodes[g].flag&flagNew != 0 {
			p.newGhosts--
		}
		p.pull(&p.ghosts[p.nodes[g].list-1], g)
		p.forget(g)
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
	p.ranking.enter(h, float64(uses), ^p.now)
	p.listed(list, h)
	p.limit()
	return h
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
	oldest, rarest := p.oldestFresh(), p.heap[0].h
	h, expert := oldest, byRecency
	if oldest != rarest && float64(p.random.next()>>11)/(1<<53) >= p.weight[byRecency] {
		h, expert = rarest, byFrequency
	}
	uses := p.nodes[h].prev
	p.drop(h)
	ghosts, size := &p.ghosts[expert], int64(p.nodes[h].size)
	if oldest == rarest || size > p.ghostSize {
		p.evicted(h)
		return
	}
	for ghosts.bytes+size > p.ghostSize {
		g := p.pop(ghosts)
		if expert == byRecency && p.nodes[g].flag&flagNew != 0 {
			p.newGhosts--
		}
		p.forget(g)
	}
	p.ghosted(h)
	p.push(ghosts, h)
	p.links[h].prev = uses
	if expert == byRecency && p.nodes[h].flag&flagNew != 0 {
		p.newGhosts++
	}
	p.report(p.victim(h))
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
	p.rerank(h, 0, 0)
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
