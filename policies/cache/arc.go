package cache

var arcSpec = Spec{
	Name: "arc",
	Doc:  "ARC: LRU lists of objects seen once and more than once, balanced by hits among their ghosts",
	Source: "Megiddo & Modha, FAST 2003, as libCacheSim has it: the balance moves by at least 1, which is one byte where sizes " +
		"count and hardly moves it",
	new: func(c Config) Policy {
		return newARC(c.Capacity, false)
	},
}

var arcPaperSpec = Spec{
	Name:   "arc-paper",
	Doc:    "ARC as published: where sizes count, the balance moves by the size of the object found again",
	Source: "Megiddo & Modha, FAST 2003; with sizes ignored it is arc",
	new: func(c Config) Policy {
		return newARC(c.Capacity, true)
	},
}

func newARC(capacity int64, bySize bool) *arc {
	p := &arc{store: newStore(capacity, 2), bySize: bySize, ghostHit: nowhere}
	p.expect(capacity, 2*capacity)
	p.lists.init()
	return p
}

// arcLists are the lists of ARC: T1 and T2, and the ghosts B1 and B2 of each.
type arcLists struct {
	queues [2]queue
	ghosts [2]ghostQueue
}

// Numbers of the lists.
const (
	t1, b1  = 0, 0
	t2, b2  = 1, 1
	nowhere = -1
)

func (l *arcLists) init() {
	for i := range l.queues {
		l.queues[i].root, l.ghosts[i] = Handle(i+1), newGhostQueue(i)
	}
}

// with gives the size of a queue and its ghosts.
func (l *arcLists) with(i int) int64 { return l.queues[i].bytes + l.ghosts[i].bytes }

// step is how far a hit among the ghosts of i moves the balance: by 1, or as many
// times as the other has more ghosts.
func (l *arcLists) step(i int) float64 {
	return max(float64(l.ghosts[1-i].bytes)/float64(l.ghosts[i].bytes), 1)
}

type arc struct {
	store
	lists  arcLists
	target float64 // the size T1 is to have
	bySize bool    // a ghost hit moves target in units of the object's size
	// ghostHit is b1 or b2 while the object last looked for was there, else
	// nowhere.
	ghostHit   int
	ghostHitID uint64
}

func (p *arc) Find(k Key) Handle {
	p.ghostHit = nowhere
	h := p.lookup(k)
	switch {
	case h == None:
		return None
	case isGhost(h):
	case int(p.nodes[h].list)-1 == t1:
		p.pull(&p.lists.queues[t1], h)
		p.push(&p.lists.queues[t2], h)
		return h
	default:
		p.toHead(p.lists.queues[t2].root, h)
		return h
	}
	at := p.ghostQueueOf(h)
	step := p.lists.step(at)
	if p.bySize {
		step *= float64(p.ghostSize(h))
	}
	if at == b1 {
		p.target = min(p.target+step, float64(p.capacity))
	} else {
		p.target = max(p.target-step, 0)
	}
	p.raise(h)
	p.ghostHit, p.ghostHitID = at, k.ID
	return None
}

func (p *arc) Insert(k Key, size uint32, origin Origin) Handle {
	hit := p.ghostHit
	if p.ghostHitID != k.ID || origin != Demand {
		hit = nowhere
	}
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		p.evict(hit, int64(size))
	}
	if origin == Prefetched {
		if g := p.lookup(k); g != None {
			p.raise(g)
		}
	}
	h := p.add(k, size, origin)
	if hit != nowhere {
		p.push(&p.lists.queues[t2], h)
	} else {
		p.push(&p.lists.queues[t1], h)
	}
	return h
}

// evict makes some room for an object of size that was found among the ghosts
// of hit, or nowhere.
func (p *arc) evict(hit int, size int64) {
	l := &p.lists
	if hit == nowhere {
		if l.with(t1)+size > p.capacity {
			if l.ghosts[b1].n == 0 {
				p.evicted(p.pop(&l.queues[t1]))
				return
			}
			p.raiseOldest(&l.ghosts[b1])
		} else if l.with(t1)+l.with(t2) >= 2*p.capacity && l.ghosts[b2].n > 0 {
			p.raiseOldest(&l.ghosts[b2])
		}
	}
	p.replace(hit)
}

func (p *arc) replace(hit int) {
	q := &p.lists.queues
	t := float64(q[t1].bytes)
	from := t2
	if q[t1].n > 0 && (t > p.target || t == p.target && hit == b2) || q[t2].n == 0 {
		from = t1
	}
	p.evictedTo(&p.lists.ghosts[from], p.pop(&q[from]))
}

func (p *arc) Remove(h Handle) {
	p.pull(&p.lists.queues[p.nodes[h].list-1], h)
	p.forget(h)
}

// Demote makes h the oldest of T1.
func (p *arc) Demote(h Handle) {
	p.pull(&p.lists.queues[p.nodes[h].list-1], h)
	p.pushOldest(&p.lists.queues[t1], h)
}
