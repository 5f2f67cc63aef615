package cache

import (
	"math"
	"math/bits"
)

var wtinylfuSpec = Spec{
	Name: "wtinylfu",
	Doc:  "W-TinyLFU: a small LRU window, and an SLRU that admits an object if a sketch has counted it more often than the one it displaces",
	Source: "Einziger, Friedman & Manes, ACM TOS 2017, as libCacheSim has it: objects must fit in the window, so that a capacity under " +
		"100 objects caches nothing; hits in the window are not counted; an eviction goes on until it has dropped one from the window",
	Params: []Param{
		{Name: "window", Doc: "share of the window", Default: 0.01, Min: 0, Max: 1},
		{Name: "segments", Doc: "sizes of the main segments in proportion, the lowest first", Max: maxSegments, Ratios: []float64{1, 4}},
		{Name: "fpr", Doc: "false-positive rate the sketch is sized for", Default: 0.001, Min: 1e-9, Max: 0.5},
	},
	new: func(c Config) Policy {
		ratios := c.list("segments")
		p := &wtinylfu{store: newStore(c.Capacity, 1+len(ratios))}
		p.window.root = 1
		p.windowSize = c.share("window")
		p.main.init(2, c.Capacity-p.windowSize, ratios)
		p.counts = newCountingBloom(p.main.capacity, c.number("fpr"))
		p.counts.locate(p.rival, &p.rivalAt)
		return p
	},
}

// wtinylfu takes 29 bytes of sketch for each unit of the main capacity or, where
// that is large (bytes), about 200 for each object ever seen.
type wtinylfu struct {
	store
	window     queue
	windowSize int64
	main       segments
	mainHits   int64
	counts     countingBloom
	// The counters of the main victim last looked at, which often stays the
	// same.
	rival   uint64
	rivalAt counters
}

func (p *wtinylfu) Find(k Key) Handle {
	h := p.lookup(k)
	if h == None {
		return None
	}
	if Handle(p.nodes[h].list) == p.window.root {
		p.toHead(p.window.root, h)
		return h
	}
	p.main.hit(&p.store, h, p.evicted)
	p.counts.add(k.ID)
	if p.mainHits++; p.mainHits >= 32*p.main.capacity {
		p.mainHits = 0
		p.counts.halve()
	}
	return h
}

func (p *wtinylfu) Admits(size uint32) bool { return int64(size) <= min(p.windowSize, p.main.sizes[0]) }

func (p *wtinylfu) Insert(k Key, size uint32, origin Origin) Handle {
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		p.evict()
	}
	h := p.add(k, size, origin)
	p.push(&p.window, h)
	if origin == Demand {
		p.counts.add(k.ID)
	}
	return h
}

// evict goes through the window from its old end: what fits in the main
// segments or beats the main victim moves there, the first to lose is dropped.
// If none loses, a main object goes in its place: the loop of libCacheSim,
// which does not stop at the main victims it has evicted, evicts one more.
func (p *wtinylfu) evict() {
	for p.window.n > 0 {
		h := p.oldest(p.window.root)
		size := int64(p.sizeOf(h))
		var at counters
		p.counts.locate(p.nodes[h].id(), &at)
		wins := true
		if p.main.bytes+size > p.main.capacity {
			rival := p.main.victim(&p.store)
			if wins = rival != None && p.counts.estimateAt(&at) > p.estimateRival(rival); wins {
				p.main.remove(&p.store, rival)
				p.evicted(rival)
			}
		}
		p.counts.addAt(&at)
		p.pull(&p.window, h)
		if !wins {
			p.evicted(h)
			return
		}
		p.main.insert(&p.store, h, p.evicted)
	}
	if h := p.main.victim(&p.store); h != None {
		p.main.remove(&p.store, h)
		p.evicted(h)
	}
}

func (p *wtinylfu) estimateRival(h Handle) uint32 {
	if id := p.nodes[h].id(); id != p.rival {
		p.rival = id
		p.counts.locate(id, &p.rivalAt)
	}
	return p.counts.estimateAt(&p.rivalAt)
}

func (p *wtinylfu) take(h Handle) {
	if Handle(p.nodes[h].list) == p.window.root {
		p.pull(&p.window, h)
	} else {
		p.main.remove(&p.store, h)
	}
}

func (p *wtinylfu) Remove(h Handle) {
	p.take(h)
	p.forget(h)
}

// Demote makes h the oldest of the window.
func (p *wtinylfu) Demote(h Handle) {
	p.take(h)
	p.pushOldest(&p.window, h)
}

// countingBloom estimates how often ids were added. It never estimates too
// low.
type countingBloom struct {
	n       uint64 // counters there could be
	inverse uint64 // 2⁶⁴/n rounded up, to take remainders by multiplying
	hashes  int
	// dense are the counters, one at its maximum standing for what is in high.
	dense []uint16
	high  map[uint32]uint32
	// sparse holds, where n is too large for an array, the counters that are
	// not 0, open-addressed: the position above the count.
	sparse []uint64
	used   int
}

// counters are the positions of an id's counters: as many as there are hashes.
type counters [32]uint32

// newCountingBloom is sized, as Bloom filters are, for so many ids and a rate
// of false positives.
func newCountingBloom(ids int64, fpr float64) countingBloom {
	perID := -math.Log(fpr) / 0.480453013918201 // (ln 2)²
	b := countingBloom{n: uint64(math.Ceil(float64(ids) * perID)), hashes: int(math.Ceil(math.Ln2 * perID))}
	if b.n <= 1<<26 {
		b.dense = make([]uint16, max(b.n, 1))
		b.n = uint64(len(b.dense))
	} else {
		b.sparse = make([]uint64, 1<<12)
	}
	b.inverse = math.MaxUint64/b.n + 1
	return b
}

// locate finds the counters of an id.
func (c *countingBloom) locate(id uint64, to *counters) {
	at, step := uint32(xxh64(id, 0x12345678)), uint32(xxh64(id, 0x12344321))
	hashes := c.hashes & (len(to) - 1)
	if c.n > math.MaxUint32 {
		for i := range hashes {
			to[i] = at
			at += step
		}
		return
	}
	n, inverse := c.n, c.inverse
	for i := range hashes {
		// at mod n, exactly: Lemire, Kaser & Kurz 2019.
		rest, _ := bits.Mul64(inverse*uint64(at), n)
		to[i] = uint32(rest)
		at += step
	}
}

func (c *countingBloom) add(id uint64) {
	var at counters
	c.locate(id, &at)
	c.addAt(&at)
}

func (c *countingBloom) addAt(at *counters) {
	if c.dense == nil {
		for _, i := range at[:c.hashes] {
			c.addSparse(i, 1)
		}
		return
	}
	dense := c.dense
	for _, i := range at[:c.hashes] {
		if n := &dense[i]; *n < math.MaxUint16-1 {
			*n++
		} else {
			c.addHigh(i)
		}
	}
}

func (c *countingBloom) addHigh(i uint32) {
	if c.high == nil {
		c.high = map[uint32]uint32{}
	}
	if c.dense[i] < math.MaxUint16 {
		c.dense[i], c.high[i] = math.MaxUint16, math.MaxUint16
	} else {
		c.high[i]++
	}
}

func (c *countingBloom) estimateAt(at *counters) uint32 {
	least := uint32(math.MaxUint32)
	if c.dense == nil {
		for _, i := range at[:c.hashes] {
			least = min(least, uint32(c.sparse[c.slot(i)]))
		}
		return least
	}
	dense := c.dense
	for _, i := range at[:c.hashes] {
		least = min(least, uint32(dense[i]))
	}
	if least == math.MaxUint16 { // all of them stand for what is in high
		least = math.MaxUint32
		for _, i := range at[:c.hashes] {
			least = min(least, c.high[i])
		}
	}
	return least
}

func (c *countingBloom) halve() {
	for i := range c.dense {
		if c.dense[i] < math.MaxUint16 {
			c.dense[i] /= 2
		} else if half := c.high[uint32(i)] / 2; half < math.MaxUint16 {
			c.dense[i] = uint16(half)
			delete(c.high, uint32(i))
		} else {
			c.high[uint32(i)] = half
		}
	}
	if c.sparse == nil {
		return
	}
	old := c.sparse
	c.sparse, c.used = make([]uint64, len(old)), 0
	for _, e := range old {
		if count := uint32(e) / 2; count > 0 {
			c.addSparse(uint32(e>>32), count)
		}
	}
}

// slot finds the slot of a counter, or the empty one where it would be.
func (c *countingBloom) slot(at uint32) uint64 {
	mask := uint64(len(c.sparse) - 1)
	i := uint64(at) * 0x9e3779b97f4a7c15 >> 32 & mask
	for uint32(c.sparse[i]) != 0 && uint32(c.sparse[i]>>32) != at {
		i = (i + 1) & mask
	}
	return i
}

func (c *countingBloom) addSparse(at, count uint32) {
	i := c.slot(at)
	if c.sparse[i] != 0 {
		c.sparse[i] += uint64(count)
		return
	}
	c.sparse[i] = uint64(at)<<32 | uint64(count)
	if c.used++; 2*c.used > len(c.sparse) {
		old := c.sparse
		c.sparse = make([]uint64, 2*len(old))
		for _, e := range old {
			if e != 0 {
				c.sparse[c.slot(uint32(e>>32))] = e
			}
		}
	}
}

// xxh64 is the XXH64 hash of the eight bytes of id.
func xxh64(id, seed uint64) uint64 {
	const (
		p1 = 0x9e3779b185ebca87
		p2 = 0xc2b2ae3d27d4eb4f
		p3 = 0x165667b19e3779f9
		p4 = 0x85ebca77c2b2ae63
		p5 = 0x27d4eb2f165667c5
	)
	h := seed + p5 + 8
	h ^= bits.RotateLeft64(id*p2, 31) * p1
	h = bits.RotateLeft64(h, 27)*p1 + p4
	h ^= h >> 33
	h *= p2
	h ^= h >> 29
	h *= p3
	return h ^ h>>32
}
