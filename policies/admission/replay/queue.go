package replay

// event is the completion of a copy, or a read's hedging timer.
type event struct {
	at    int64
	seq   uint32 // ties in the order of their making
	of    uint32
	timer bool
}

// events is a heap, the earliest on top.
type events []event

func (a event) before(b event) bool {
	return a.at < b.at || a.at == b.at && int32(a.seq-b.seq) < 0
}

func (q *events) push(ev event) {
	h := append(*q, ev)
	*q = h
	at := len(h) - 1
	for at > 0 {
		parent := (at - 1) / 2
		if !ev.before(h[parent]) {
			break
		}
		h[at] = h[parent]
		at = parent
	}
	h[at] = ev
}

func (q *events) pop() event {
	h := *q
	first, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*q = h
	at := 0
	for child := 1; child < len(h); child = 2*at + 1 {
		if child+1 < len(h) && h[child+1].before(h[child]) {
			child++
		}
		if !h[child].before(last) {
			break
		}
		h[at] = h[child]
		at = child
	}
	if len(h) > 0 {
		h[at] = last
	}
	return first
}

// fifo is a queue in a ring.
type fifo struct {
	ring        []uint32
	first, size int
}

func (q *fifo) len() int { return q.size }

func (q *fifo) push(v uint32) {
	if q.size == len(q.ring) {
		larger := make([]uint32, max(16, 2*q.size))
		for i := range q.size {
			larger[i] = q.ring[(q.first+i)%len(q.ring)]
		}
		q.ring, q.first = larger, 0
	}
	q.ring[(q.first+q.size)&(len(q.ring)-1)] = v
	q.size++
}

func (q *fifo) pop() uint32 {
	v := q.ring[q.first]
	q.first = (q.first + 1) & (len(q.ring) - 1)
	q.size--
	return v
}
