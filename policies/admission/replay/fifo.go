package replay

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
