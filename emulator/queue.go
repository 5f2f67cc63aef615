package emulator

// queue is a ring of lines, first in first out, that holds at most as many as
// it was made for.
type queue struct {
	ring       []uint32
	head, size int
}

func newQueue(capacity int) queue { return queue{ring: make([]uint32, capacity)} }

func (q *queue) len() int { return q.size }

func (q *queue) push(line uint32) {
	tail := q.head + q.size
	if tail >= len(q.ring) {
		tail -= len(q.ring)
	}
	q.ring[tail] = line
	q.size++
}

func (q *queue) pop() uint32 {
	line := q.ring[q.head]
	if q.head++; q.head == len(q.ring) {
		q.head = 0
	}
	q.size--
	return line
}
