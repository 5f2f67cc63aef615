package cache

import (
	"math"
	"math/bits"
)

// ranking is a store whose objects stand in a heap, the least first. The place
// of an object in the heap is kept in node.next, and node.prev is free for the
// policy. It takes 16 bytes an object beyond the store.
type ranking struct {
	store
	heap []ranked
	// hole says that the first place is empty: who comes next gets it, which
	// saves filling it from the end of the heap.
	hole bool
}

// ranked is an object by rank, then by time, as one number of 128 bits: the bits
// of a float that is not negative are in the order of floats.
type ranked struct {
	rank uint64
	time uint64 // above, and the handle below
}

// rank makes one; it must not be negative.
func rank(rank float64, time uint32, h Handle) ranked {
	return ranked{math.Float64bits(rank), uint64(time)<<32 | uint64(h)}
}

func (a ranked) handle() Handle { return Handle(uint32(a.time)) }

// below is 1 if a comes before b, else 0. It has no branch: which of two is the
// lesser cannot be predicted.
func (a *ranked) below(b *ranked) int {
	_, borrow := bits.Sub64(a.time, b.time, 0)
	_, borrow = bits.Sub64(a.rank, b.rank, borrow)
	return int(borrow)
}

// The heap is four-ary: half as deep as a binary one, and the children of a
// node share a cache line.
const arity = 4

// first is the least object of a heap that is not empty.
func (r *ranking) first() Handle {
	r.fill()
	return r.heap[0].handle()
}

// enter ranks an object that is not in the heap.
func (r *ranking) enter(h Handle, of float64, time uint32) {
	x := rank(of, time, h)
	if r.hole {
		r.hole = false
		r.down(0, x)
		return
	}
	r.heap = pushed(&r.store, r.heap, ranked{})
	r.up(len(r.heap)-1, x)
}

// rerank changes the rank of an object in the heap.
func (r *ranking) rerank(h Handle, of float64, time uint32) {
	r.fill()
	r.settle(int(r.nodes[h].next), rank(of, time, h))
}

// leave takes an object out of the heap.
func (r *ranking) leave(h Handle) {
	r.fill()
	i := int(r.nodes[h].next)
	if i == 0 {
		r.hole = true
		return
	}
	last := r.heap[len(r.heap)-1]
	r.heap = r.heap[:len(r.heap)-1]
	if i < len(r.heap) {
		r.settle(i, last)
	}
}

// fill puts the last of the heap where there is a hole.
func (r *ranking) fill() {
	if !r.hole {
		return
	}
	r.hole = false
	last := r.heap[len(r.heap)-1]
	r.heap = r.heap[:len(r.heap)-1]
	if len(r.heap) > 0 {
		r.down(0, last)
	}
}

func (r *ranking) settle(i int, x ranked) {
	if i > 0 && x.below(&r.heap[(i-1)/arity]) != 0 {
		r.up(i, x)
	} else {
		r.down(i, x)
	}
}

func (r *ranking) put(i int, x ranked) {
	r.heap[i] = x
	r.nodes[x.handle()].next = Handle(i)
}

func (r *ranking) up(i int, x ranked) {
	for i > 0 {
		parent := (i - 1) / arity
		if x.below(&r.heap[parent]) == 0 {
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
		children := r.heap[child:min(child+arity, len(r.heap))]
		least := 0
		if len(children) == arity {
			// Pairs first, so that the comparisons do not wait for each other.
			a := children[1].below(&children[0])
			b := 2 + children[3].below(&children[2])
			least = a + (b-a)*children[b&3].below(&children[a&3])
		} else {
			for j := range children {
				least += (j - least) * children[j].below(&children[least])
			}
		}
		if children[least].below(&x) == 0 {
			break
		}
		r.put(i, children[least])
		i = child + least
	}
	r.put(i, x)
}

func (r *ranking) Remove(h Handle) {
	r.leave(h)
	r.forget(h)
}
