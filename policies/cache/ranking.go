package cache

import "math/bits"

// ranking is a store whose objects stand in a heap, the least first. The place
// of an object in the heap is kept in node.next, and node.prev is free for the
// policy. It takes 12 bytes an object beyond the store.
//
// A rank is a number of 64 bits. Most policies make it of what they rank by and
// the time, so that no two are equal; for the others, times decides.
type ranking struct {
	store
	ranks  []uint64
	ranked []Handle // whose ranks these are
	times  []uint32 // by handle; nil if ranks tell all objects apart
	// hole says that the first place is empty: who comes next gets it, which
	// saves filling it from the end of the heap.
	hole bool
}

// The heap is four-ary: half as deep as a binary one, and the children of a
// node share a cache line.
const arity = 4

// timed is a rank by a number of 32 bits, then by another.
func timed(rank, time uint32) uint64 { return uint64(rank)<<32 | uint64(time) }

// before is 1 if a is less than b, else 0. It has no branch: which of two is the
// lesser cannot be predicted.
func before(a, b uint64) int {
	_, borrow := bits.Sub64(a, b, 0)
	return int(borrow)
}

// comes says whether an object with one rank comes before one with another.
func (r *ranking) comes(a uint64, h Handle, b uint64, than Handle) bool {
	if a != b {
		return a < b
	}
	if r.times != nil && r.times[h] != r.times[than] {
		return r.times[h] < r.times[than]
	}
	return h < than
}

// first is the least object of a heap that is not empty.
func (r *ranking) first() Handle {
	r.fill()
	return r.ranked[0]
}

// enter ranks an object that is not in the heap.
func (r *ranking) enter(h Handle, rank uint64) {
	if r.hole {
		r.hole = false
		r.down(0, rank, h)
		return
	}
	r.ranks = pushed(&r.store, r.ranks, rank)
	r.ranked = pushed(&r.store, r.ranked, h)
	r.up(len(r.ranks)-1, rank, h)
}

// rerank changes the rank of an object in the heap.
func (r *ranking) rerank(h Handle, rank uint64) {
	r.fill()
	r.settle(int(r.nodes[h].next), rank, h)
}

// leave takes an object out of the heap.
func (r *ranking) leave(h Handle) {
	r.fill()
	i := int(r.nodes[h].next)
	if i == 0 {
		r.hole = true
		return
	}
	if rank, last := r.last(); last != h {
		r.settle(i, rank, last)
	}
}

// fill puts the last of the heap where there is a hole.
func (r *ranking) fill() {
	if !r.hole {
		return
	}
	r.hole = false
	if rank, last := r.last(); len(r.ranks) > 0 {
		r.down(0, rank, last)
	}
}

// last takes the last place off the heap.
func (r *ranking) last() (uint64, Handle) {
	n := len(r.ranks) - 1
	rank, h := r.ranks[n], r.ranked[n]
	r.ranks, r.ranked = r.ranks[:n], r.ranked[:n]
	return rank, h
}

func (r *ranking) settle(i int, rank uint64, h Handle) {
	if parent := (i - 1) / arity; i > 0 && r.comes(rank, h, r.ranks[parent], r.ranked[parent]) {
		r.up(i, rank, h)
	} else {
		r.down(i, rank, h)
	}
}

func (r *ranking) put(i int, rank uint64, h Handle) {
	r.ranks[i], r.ranked[i] = rank, h
	r.nodes[h].next = Handle(i)
}

func (r *ranking) up(i int, rank uint64, h Handle) {
	for i > 0 {
		parent := (i - 1) / arity
		if !r.comes(rank, h, r.ranks[parent], r.ranked[parent]) {
			break
		}
		r.put(i, r.ranks[parent], r.ranked[parent])
		i = parent
	}
	r.put(i, rank, h)
}

func (r *ranking) down(i int, rank uint64, h Handle) {
	for {
		child := arity*i + 1
		if child >= len(r.ranks) {
			break
		}
		least := r.least(r.ranks[child:min(child+arity, len(r.ranks))], child)
		if !r.comes(r.ranks[least], r.ranked[least], rank, h) {
			break
		}
		r.put(i, r.ranks[least], r.ranked[least])
		i = least
	}
	r.put(i, rank, h)
}

// least gives the place of the least of the children that begin at a place.
func (r *ranking) least(children []uint64, at int) int {
	if len(children) == arity {
		// Pairs first, so that the comparisons do not wait for each other.
		a := before(children[1], children[0])
		b := 2 + before(children[3], children[2])
		x, y := children[a&3], children[b&3]
		if children[0] != children[1] && children[2] != children[3] && x != y {
			return at + a + (b-a)*before(y, x)
		}
	}
	least := at
	for i := at + 1; i < at+len(children); i++ {
		if r.comes(r.ranks[i], r.ranked[i], r.ranks[least], r.ranked[least]) {
			least = i
		}
	}
	return least
}

func (r *ranking) Remove(h Handle) {
	r.leave(h)
	r.forget(h)
}
