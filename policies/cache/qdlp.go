package cache

var qdlpSpec = Spec{
	Name: "qdlp",
	Doc:  "QD-LP-FIFO: a small FIFO queue for quick demotion in front of a CLOCK, and a ghost queue that leads past it",
	Source: "Yang, Qiu, Zhang, Yue & Rashmi, HotOS 2023: 10 % of the capacity for newcomers, as many ghosts as the CLOCK has room for, " +
		"two bits of use",
	Params: []Param{
		{Name: "small", Doc: "share of the queue for newcomers", Default: 0.1, Min: 0, Max: 1},
		{Name: "ghost", Doc: "size of the ghost queue, as a share of the capacity", Default: 0.9, Min: 0, Max: 16},
	},
	new: func(c Config) Policy {
		p := &qdlp{s3fifo{threshold: 1}}
		p.init(c.Capacity, c.share("small"), c.share("ghost"))
		return p
	},
}

// qdlp shares the queues of s3fifo. The newcomers' queue is kept at its size,
// and so is the CLOCK: an object that moves on makes room there first.
type qdlp struct{ s3fifo }

func (p *qdlp) Admits(size uint32) bool { return int64(size) <= p.capacity }

func (p *qdlp) Insert(k Key, size uint32, origin Origin) Handle {
	toMain := p.ghostHit && p.ghostHitID == k.ID && origin == Demand
	if !p.Admits(size) {
		return None
	}
	if origin == Prefetched {
		p.dropGhost(k)
	}
	for p.occupied+int64(size) > p.capacity {
		if p.small.n > 0 {
			p.demote()
		} else {
			p.evictMain()
		}
	}
	if toMain {
		p.roomInMain(int64(size))
	}
	h := p.add(k, size, origin)
	if toMain {
		p.push(&p.main, h)
	} else {
		p.push(&p.small, h)
	}
	return h
}

// demote takes the oldest newcomer: into the CLOCK if it was used, else out,
// leaving a ghost.
func (p *qdlp) demote() {
	h := p.oldest(p.small.root)
	if size := int64(p.sizeOf(h)); p.nodes[h].freq > 0 && size <= p.mainSize {
		p.pull(&p.small, h)
		p.nodes[h].freq = 0
		p.roomInMain(size)
		p.push(&p.main, h)
		return
	}
	p.nodes[h].freq = 0
	p.evictSmall()
}

func (p *qdlp) roomInMain(size int64) {
	for p.main.n > 0 && p.main.bytes+size > p.mainSize {
		p.evictMain()
	}
}
