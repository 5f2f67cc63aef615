package emulator

import (
	"math/rand/v2"
	"slices"
)

// Lines is what policies see of a device's lines: struct-of-arrays indexed by
// line. Policies only read it.
type Lines struct {
	Valid    []uint32 // pages that hold current data
	Capacity []uint32 // pages that can be programmed: a bad block's cannot
	Erases   []uint32
	Reads    []uint32 // page reads since the last erase
	ClosedAt []uint64 // Clock when the line was filled
	// Closed lists the lines that can be collected, in no particular order.
	Closed []uint32
	// Clock counts page programs, TotalErases line erases since the start.
	Clock, TotalErases uint64
	// Endurance is the mean number of erases a block survives, 0 for any number.
	Endurance uint32
	// Rand is the device's generator; the same seed gives the same choices.
	Rand *rand.Rand

	closedPos []uint32 // index into Closed, none if not closed
	order     lineOrder
}

// lineOrder keeps closed lines in doubly linked lists, one per bucket, each in
// order of insertion: bucket = valid pages for greedy collection, a single
// bucket for order of closing. Entry n+b is the head of bucket b.
type lineOrder struct {
	kind       orderKind
	next, prev []uint32
	least      uint32 // no bucket below it holds a line
}

type orderKind uint8

const (
	unordered orderKind = iota
	byValid
	byAge
)

func newLines(lines, pagesPerLine int, kind orderKind, rng *rand.Rand) Lines {
	l := Lines{
		Valid: make([]uint32, lines), Capacity: make([]uint32, lines), Erases: make([]uint32, lines), Reads: make([]uint32, lines),
		ClosedAt: make([]uint64, lines), Closed: make([]uint32, 0, lines), Rand: rng, closedPos: make([]uint32, lines),
		order: lineOrder{kind: kind},
	}
	for i := range lines {
		l.Capacity[i] = uint32(pagesPerLine)
		l.closedPos[i] = none
	}
	buckets := map[orderKind]int{unordered: 0, byValid: pagesPerLine + 1, byAge: 1}[kind]
	l.order.next, l.order.prev = make([]uint32, lines+buckets), make([]uint32, lines+buckets)
	for b := lines; b < lines+buckets; b++ {
		l.order.next[b], l.order.prev[b] = uint32(b), uint32(b)
	}
	return l
}

func (l *Lines) isClosed(line uint32) bool { return l.closedPos[line] != none }

func (l *Lines) close(line uint32) {
	l.closedPos[line] = uint32(len(l.Closed))
	l.Closed = append(l.Closed, line)
	l.ClosedAt[line] = l.Clock
	l.link(line)
}

// reopen takes a line out of the closed ones.
func (l *Lines) reopen(line uint32) {
	pos, last := l.closedPos[line], l.Closed[len(l.Closed)-1]
	l.Closed[pos], l.closedPos[last] = last, pos
	l.Closed = l.Closed[:len(l.Closed)-1]
	l.closedPos[line] = none
	l.unlink(line)
}

// lost notes that a page of the line became invalid.
func (l *Lines) lost(line uint32) {
	l.Valid[line]--
	if l.order.kind == byValid && l.closedPos[line] != none {
		l.unlink(line)
		l.link(line)
	}
}

func (l *Lines) link(line uint32) {
	o := &l.order
	bucket := uint32(0)
	switch o.kind {
	case unordered:
		return
	case byValid:
		bucket = l.Valid[line]
		o.least = min(o.least, bucket)
	}
	head := uint32(len(l.Valid)) + bucket
	last := o.prev[head]
	o.next[last], o.prev[line] = line, last
	o.next[line], o.prev[head] = head, line
}

func (l *Lines) unlink(line uint32) {
	o := &l.order
	if o.kind == unordered {
		return
	}
	o.next[o.prev[line]], o.prev[o.next[line]] = o.next[line], o.prev[line]
}

// first is the first line of the least bucket; some line is closed.
func (l *Lines) first() uint32 {
	o := &l.order
	n := uint32(len(l.Valid))
	for o.next[n+o.least] == n+o.least {
		o.least++
	}
	return o.next[n+o.least]
}

// youngest is the closed line of fewest erases, the longest closed of equals;
// some line is closed.
func (l *Lines) youngest() uint32 {
	best := l.Closed[0]
	for _, line := range l.Closed[1:] {
		if e, b := l.Erases[line], l.Erases[best]; e < b || e == b && l.ClosedAt[line] < l.ClosedAt[best] {
			best = line
		}
	}
	return best
}

// freeLines is a heap of erased lines, least key first.
type freeLines struct {
	heap []freeLine
	seq  uint64
	// young orders by erase count first; otherwise the longest free comes first.
	young bool
}

type freeLine struct {
	erases uint32
	line   uint32
	seq    uint64
}

func (f *freeLines) len() int { return len(f.heap) }

func (f *freeLines) less(a, b freeLine) bool {
	if f.young && a.erases != b.erases {
		return a.erases < b.erases
	}
	return a.seq < b.seq
}

func (f *freeLines) push(line, erases uint32) {
	f.seq++
	f.heap = append(f.heap, freeLine{erases, line, f.seq})
	i := len(f.heap) - 1
	for i > 0 && f.less(f.heap[i], f.heap[(i-1)/2]) {
		f.heap[i], f.heap[(i-1)/2] = f.heap[(i-1)/2], f.heap[i]
		i = (i - 1) / 2
	}
}

func (f *freeLines) pop() uint32 { return f.remove(0) }

// mostErased is the index in the heap of the line of most erases, the longest free
// of equals.
func (f *freeLines) mostErased() int {
	best := 0
	for i, e := range f.heap {
		if b := f.heap[best]; e.erases > b.erases || e.erases == b.erases && e.seq < b.seq {
			best = i
		}
	}
	return best
}

// find is the index of a line in the heap, -1 if it is not free.
func (f *freeLines) find(line uint32) int {
	return slices.IndexFunc(f.heap, func(e freeLine) bool { return e.line == line })
}

// remove takes out the i-th entry of the heap.
func (f *freeLines) remove(i int) uint32 {
	line := f.heap[i].line
	last := len(f.heap) - 1
	f.heap[i] = f.heap[last]
	f.heap = f.heap[:last]
	for i > 0 && i < last && f.less(f.heap[i], f.heap[(i-1)/2]) {
		f.heap[i], f.heap[(i-1)/2] = f.heap[(i-1)/2], f.heap[i]
		i = (i - 1) / 2
	}
	for {
		c := 2*i + 1
		if c >= last {
			return line
		}
		if c+1 < last && f.less(f.heap[c+1], f.heap[c]) {
			c++
		}
		if !f.less(f.heap[c], f.heap[i]) {
			return line
		}
		f.heap[i], f.heap[c] = f.heap[c], f.heap[i]
		i = c
	}
}
