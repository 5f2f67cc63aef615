package cache

// ranking is a store whose objects stand in a heap, the least first. The place
// of an object in the heap is kept in node.next, and node.prev is free for the
// policy. It takes 16 bytes an object beyond the store.
type ranking struct {
	store
	heap []ranked
}

// ranked orders by rank, then by time.
type ranked struct {
	rank float64
	time uint32
	h    Handle
}

func (a ranked) less(b ranked) bool {
	if a.rank != b.rank {
		return a.rank < b.rank
	}
	if a.time != b.time {
		return a.time < b.time
	}
	return a.h < b.h
}

// The heap is four-ary: half as deep as a binary one, and the children of a
// node share a cache line.
const arity = 4

// enter ranks an object that is not in the heap.
func (r *ranking) enter(h Handle, rank float64, time uint32) {
	r.heap = pushed(&r.store, r.heap, ranked{})
	r.up(len(r.heap)-1, ranked{rank, time, h})
}

// rerank changes the rank of an object in the heap.
func (r *ranking) rerank(h Handle, rank float64, time uint32) {
	r.settle(int(r.nodes[h].next), ranked{rank, time, h})
}

// leave takes an object out of the heap.
func (r *ranking) leave(h Handle) {
	i := int(r.nodes[h].next)
	last := r.heap[len(r.heap)-1]
	r.heap = r.heap[:len(r.heap)-1]
	if i < len(r.heap) {
		r.settle(i, last)
	}
}

func (r *ranking) settle(i int, x ranked) {
	if i > 0 && x.less(r.heap[(i-1)/arity]) {
		r.up(i, x)
	} else {
		r.down(i, x)
	}
}

func (r *ranking) put(i int, x ranked) {
	r.heap[i] = x
	r.nodes[x.h].next = Handle(i)
}

func (r *ranking) up(i int, x ranked) {
	for i > 0 {
		parent := (i - 1) / arity
		if !x.less(r.heap[parent]) {
			break
		}
		r.put(i, r.heap[parent])
		i = parent
	}
	r.put(i, x)
}

func (r *ranking) down(i int, x ranked) {
	for {
		child := arity*i + 1
		if child >= len(r.heap) {
			break
		}
		least := child
		for j := child + 1; j < min(child+arity, len(r.heap)); j++ {
			if r.heap[j].less(r.heap[least]) {
				least = j
			}
		}
		if !r.heap[least].less(x) {
			break
		}
		r.put(i, r.heap[least])
		i = least
	}
	r.put(i, x)
}

func (r *ranking) Remove(h Handle) {
	r.leave(h)
	r.forget(h)
}
