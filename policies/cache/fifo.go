package cache

var fifoSpec = Spec{
	Name: "fifo",
	Doc:  "first in, first out: a hit changes nothing",
	new:  func(c Config) Policy { return &fifo{newStore(c.Capacity, 1)} },
}

var lruSpec = Spec{
	Name: "lru",
	Doc:  "least recently used",
	new:  func(c Config) Policy { return &lru{fifo{newStore(c.Capacity, 1)}} },
}

var clockSpec = Spec{
	Name:   "clock",
	Doc:    "FIFO with reinsertion: a second chance for objects hit since they last came round",
	Params: []Param{{Name: "bits", Doc: "bits of the reference counter", Default: 1, Min: 1, Max: 16, Whole: true}},
	new: func(c Config) Policy {
		return &clock{fifo{newStore(c.Capacity, 1)}, uint16(1<<c.whole("bits") - 1)}
	},
}

// fifo evicts in the order of arrival.
type fifo struct{ store }

func (p *fifo) Find(k Key) Handle { return p.lookup(k) }

func (p *fifo) Insert(k Key, size uint32, origin Origin) Handle {
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		p.evict()
	}
	h := p.add(k, size, origin)
	p.pushHead(1, h)
	return h
}

func (p *fifo) evict() {
	if h := p.oldest(1); h != 1 {
		p.unlink(h)
		p.evicted(h)
	}
}

func (p *fifo) Remove(h Handle) {
	p.unlink(h)
	p.forget(h)
}

func (p *fifo) Demote(h Handle) {
	p.unlink(h)
	p.pushTail(1, h)
}

// lru is fifo with a use counted as an arrival.
type lru struct{ fifo }

func (p *lru) Find(k Key) Handle {
	h := p.lookup(k)
	if h != None {
		p.toHead(1, h)
	}
	return h
}

// clock is FIFO, except that an object hit since it last reached the old end
// goes round again, once for each count.
type clock struct {
	fifo
	max uint16
}

func (p *clock) Find(k Key) Handle {
	h := p.lookup(k)
	if h != None {
		if n := &p.nodes[h]; n.freq < p.max {
			n.freq++
		}
	}
	return h
}

func (p *clock) Insert(k Key, size uint32, origin Origin) Handle {
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		p.evict()
	}
	h := p.add(k, size, origin)
	p.pushHead(1, h)
	return h
}

func (p *clock) evict() {
	h := p.oldest(1)
	if h == 1 {
		return
	}
	for p.nodes[h].freq > 0 {
		p.nodes[h].freq--
		p.toHead(1, h)
		h = p.oldest(1)
	}
	p.unlink(h)
	p.evicted(h)
}

func (p *clock) Demote(h Handle) {
	p.nodes[h].freq = 0
	p.fifo.Demote(h)
}
