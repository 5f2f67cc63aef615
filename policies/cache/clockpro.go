package cache

var clockproSpec = Spec{
	Name: "clockpro",
	Doc:  "CLOCK-Pro: LIRS on one clock with three hands; an object used again within its test period turns hot",
	Source: "Jiang, Chen & Zhang, USENIX ATC 2005, §3: the room for cold objects adapts, as many ghosts as residents; where sizes " +
		"count, steps are in units of size",
	Params: []Param{
		{Name: "cold", Doc: "share of the capacity for cold objects at first", Default: 0.01, Min: 0, Max: 1},
	},
	new: func(c Config) Policy {
		p := &clockpro{store: newStore(c.Capacity, 1), coldTarget: c.share("cold")}
		p.expect(2*c.Capacity, 2*c.Capacity)
		p.hot, p.cold, p.test = 1, 1, 1
		return p
	},
}

// clockpro has all objects on the ring of root 1, in the order in which the
// hands pass them: along prev, from older to newer. New ones enter just behind
// hand hot. node.freq is the reference bit; node.list tells hot from cold.
//
// Hand cold would pass many hot objects and ghosts for each one that it is for,
// the resident cold ones. These stand in two queues as well, in the order of the
// ring: ahead has those from hand cold on to hand hot, beyond those from hand hot
// on to hand cold. That takes 4 to 8 bytes for each of them. A cold object that is
// removed keeps its node and its place in the queue until it comes first there.
type clockpro struct {
	store
	ahead, beyond handles
	gone          int // objects in the queues that were removed
	// The hands: the object each is to look at next, or the root.
	hot, cold, test Handle
	hotSize         int64
	ghostSize       int64
	coldTarget      int64
	ghostHit        bool
	ghostHitID      uint64
}

const (
	listHot  = 1
	listCold = 2
	// flagTest marks a cold object in its test period; ghosts always are.
	flagTest = flagPolicy
	// flagGone marks a cold object that was removed.
	flagGone = flagPolicy << 1
)

func (p *clockpro) Admits(size uint32) bool { return int64(size) <= p.capacity }

func (p *clockpro) Find(k Key) Handle {
	p.ghostHit = false
	h := p.lookup(k)
	if h == None {
		return None
	}
	if p.nodes[h].flag&flagGhost != 0 {
		p.ghostHit, p.ghostHitID = true, k.ID
		return None
	}
	p.nodes[h].freq = 1
	return h
}

func (p *clockpro) Insert(k Key, size uint32, origin Origin) Handle {
	again := p.ghostHit && p.ghostHitID == k.ID && origin == Demand
	p.ghostHit = false
	if !p.Admits(size) {
		return None
	}
	if g := p.lookup(k); g != None {
		old := int64(p.sizeOf(g))
		p.drop(g)
		if again { // used again within its test period
			p.coldTarget = min(p.coldTarget+old, p.capacity)
		}
	} else {
		again = false
	}
	for p.occupied+int64(size) > p.capacity {
		p.runCold()
	}
	h := p.add(k, size, origin)
	if again {
		p.turnHot(h)
	} else {
		p.nodes[h].list, p.nodes[h].flag = listCold, p.nodes[h].flag|flagTest
		p.place(h)
		p.queue(h)
	}
	p.balance()
	return h
}

// place puts h just behind hand hot, which will reach it last.
func (p *clockpro) place(h Handle) {
	at := p.hot
	n := &p.nodes[h]
	// Older than where the hand points, newer than what it has passed.
	n.prev, n.next = at, p.nodes[at].next
	p.nodes[n.next].prev = h
	p.nodes[at].next = h
}

// queue puts a cold object that is just behind hand hot in a queue.
func (p *clockpro) queue(h Handle) {
	if p.cold == p.hot {
		p.allAhead()
	}
	p.ahead.push(h)
}

// Where the hands meet, all cold objects are ahead or all beyond, as one likes.

func (p *clockpro) allAhead() {
	if p.ahead.n == 0 || p.gone > 0 {
		p.all(&p.ahead, &p.beyond)
	}
}

func (p *clockpro) allBeyond() {
	if p.beyond.n == 0 || p.gone > 0 {
		p.all(&p.beyond, &p.ahead)
	}
}

// all gives a queue without objects those of the other.
func (p *clockpro) all(q, other *handles) {
	if p.clear(q); q.n == 0 {
		*q, *other = *other, *q
		p.clear(q)
	}
}

// clear takes objects that were removed off the front of a queue.
func (p *clockpro) clear(q *handles) {
	for p.gone > 0 && q.n > 0 && !p.stays(q.ring[q.from]) {
		q.pop()
	}
}

func (p *clockpro) turnHot(h Handle) {
	n := &p.nodes[h]
	n.list = listHot
	n.flag &^= flagTest
	n.freq = 0
	p.hotSize += int64(p.sizeOf(h))
	p.place(h)
}

// take unlinks h; hands that point at it go on.
func (p *clockpro) take(h Handle) {
	for _, hand := range []*Handle{&p.hot, &p.cold, &p.test} {
		if *hand == h {
			*hand = p.nodes[h].prev
		}
	}
	p.unlink(h)
}

// drop forgets an object that is in no queue, a hot one or a ghost, altogether.
func (p *clockpro) drop(h Handle) {
	if p.nodes[h].flag&flagGhost != 0 {
		p.ghostSize -= int64(p.sizeOf(h))
	} else {
		p.hotSize -= int64(p.sizeOf(h))
	}
	p.take(h)
	p.forget(h)
}

// unqueue takes a resident cold object out of the queue that it is in.
func (p *clockpro) unqueue(h Handle) {
	if !p.ahead.drop(h) {
		p.beyond.drop(h)
	}
}

// runCold turns hand cold until it has taken one object out.
func (p *clockpro) runCold() {
	for {
		p.allAhead() // if none is before hand hot
		if p.ahead.n == 0 {
			p.runHot() // nothing is cold
			continue
		}
		h := p.ahead.pop()
		n := &p.nodes[h]
		p.cold = n.prev
		if n.freq != 0 {
			n.freq = 0
			p.take(h)
			if n.flag&flagTest != 0 {
				p.coldTarget = min(p.coldTarget+int64(p.sizeOf(h)), p.capacity)
				p.turnHot(h)
				p.balance()
			} else {
				n.flag |= flagTest
				p.place(h)
				p.queue(h)
			}
			continue
		}
		v := p.victim(h)
		if n.flag&flagTest != 0 {
			p.ghosted(h)
			p.ghostSize += int64(v.Size)
			for p.ghostSize > p.capacity {
				p.runTest()
			}
		} else {
			p.take(h)
			p.forget(h)
		}
		p.report(v)
		return
	}
}

// balance keeps hot objects to the room that cold ones leave.
func (p *clockpro) balance() {
	for p.hotSize > 0 && p.hotSize > p.capacity-p.coldTarget {
		p.runHot()
	}
}

// runHot turns hand hot until a hot object has turned cold. It ends the test
// periods of the cold objects that it passes.
func (p *clockpro) runHot() {
	for {
		h := p.hot
		if h == p.cold {
			p.allBeyond()
		}
		n := &p.nodes[h]
		p.hot = n.prev
		switch {
		case h == 1:
		case n.list == listCold:
			if n.flag&flagGhost == 0 {
				p.clear(&p.beyond)
				p.ahead.push(p.beyond.pop())
			}
			p.endTest(h)
		case n.freq != 0:
			n.freq = 0
		default:
			n.list = listCold
			p.hotSize -= int64(p.sizeOf(h))
			p.queue(h)
			return
		}
	}
}

// runTest ends one test period at hand test.
func (p *clockpro) runTest() {
	for {
		h := p.test
		p.test = p.nodes[h].prev
		if h != 1 && p.nodes[h].list == listCold && p.nodes[h].flag&flagTest != 0 {
			p.endTest(h)
			return
		}
	}
}

// endTest ends the test period of a cold object that was not used in it, with
// which a ghost goes.
func (p *clockpro) endTest(h Handle) {
	n := &p.nodes[h]
	if n.flag&flagTest == 0 {
		return
	}
	if n.freq == 0 {
		p.coldTarget = max(p.coldTarget-int64(p.sizeOf(h)), 0)
	}
	n.flag &^= flagTest
	if n.flag&flagGhost != 0 {
		p.drop(h)
	}
}

func (p *clockpro) Remove(h Handle) {
	n := &p.nodes[h]
	if n.list == listHot {
		p.drop(h)
		return
	}
	p.take(h)
	p.strike(h)
	n.flag = flagGone
	p.gone++
	if most := p.ahead.n + p.beyond.n; p.gone > 64 && p.gone > most/2 {
		p.ahead.sift(p.stays)
		p.beyond.sift(p.stays)
	}
}

// stays says whether an object of a queue was not removed. The node of one that
// was is free then.
func (p *clockpro) stays(h Handle) bool {
	if p.nodes[h].flag&flagGone == 0 {
		return true
	}
	p.release(h)
	p.gone--
	return false
}

// Demote makes h cold, unused and out of its test period, and the next that hand
// cold is to look at.
func (p *clockpro) Demote(h Handle) {
	n := &p.nodes[h]
	if n.list == listHot {
		p.hotSize -= int64(p.sizeOf(h))
		n.list = listCold
	} else {
		p.unqueue(h)
	}
	n.flag &^= flagTest
	n.freq = 0
	p.take(h)
	// Older than what the hand points at.
	n.prev, n.next = p.cold, p.nodes[p.cold].next
	p.nodes[n.next].prev = h
	p.nodes[p.cold].next = h
	if p.hot == p.cold {
		p.allBeyond()
	}
	p.cold = h
	p.ahead.pushFront(h)
}

// handles is a queue of handles, a ring. Its room is twice its length at most,
// while that is not small.
type handles struct {
	ring    []Handle
	from, n int
}

// at gives the place of the i-th.
func (q *handles) at(i int) *Handle {
	if i += q.from; i >= len(q.ring) {
		i -= len(q.ring)
	}
	return &q.ring[i]
}

func (q *handles) push(h Handle) {
	q.grow()
	*q.at(q.n) = h
	q.n++
}

func (q *handles) pushFront(h Handle) {
	q.grow()
	if q.from--; q.from < 0 {
		q.from = len(q.ring) - 1
	}
	q.n++
	q.ring[q.from] = h
}

func (q *handles) pop() Handle {
	h := q.ring[q.from]
	if q.from++; q.from == len(q.ring) {
		q.from = 0
	}
	q.n--
	if len(q.ring) > 64 && q.n < len(q.ring)/2 {
		q.resize()
	}
	return h
}

// sift keeps those for which stays holds.
func (q *handles) sift(stays func(Handle) bool) {
	n := 0
	for i := range q.n {
		if h := *q.at(i); stays(h) {
			*q.at(n) = h
			n++
		}
	}
	q.n = n
	q.resize()
}

// drop takes h out wherever it is, and says whether it was there.
func (q *handles) drop(h Handle) bool {
	for i := range q.n {
		if *q.at(i) != h {
			continue
		}
		for ; i+1 < q.n; i++ {
			*q.at(i) = *q.at(i + 1)
		}
		q.n--
		return true
	}
	return false
}

func (q *handles) grow() {
	if q.n == len(q.ring) {
		q.resize()
	}
}

func (q *handles) resize() {
	ring := make([]Handle, q.n+q.n/4+16)
	for i := range q.n {
		ring[i] = *q.at(i)
	}
	q.ring, q.from = ring, 0
}
