package codesign

import (
	"math/bits"
	"unsafe"
)

// stream is a sequence of read requests, each beginning near the end of the one
// before.
type stream struct {
	next    uint64  // the page after its last request
	fetched uint64  // the page after the last one fetched for it
	mean    float32 // pages by which its requests move on
	gap     float32 // requests of others between two of its own
	age     uint32
	tick    uint32 // of its last request
	chain   int32  // the next stream in its slot of the index
	older   int32
	newer   int32
	owed    uint32
	context uint8
	turn    uint16 // how often the place was given to another stream
}

// streams is a table of streams, found by the page they go on with; the one
// that rested longest gives its place to a new one.
type streams struct {
	all   []stream // 0 is the end of the list
	index []int32
	// alive is the stream that rested longest of those not yet taken for dead,
	// and owed how many pages were fetched for these and not passed by them.
	alive int32
	owed  int64
	near  uint // log 2 of near in pages
}

// near is how far from where it is expected a request may begin, in bytes; where
// pages are large, two of them.
const near = 128 << 10

// few bounds how many streams share a slot of the index.
const few = 8

func newStreams(n int, page int64) streams {
	slots := 1
	for slots < n {
		slots *= 2
	}
	return streams{all: make([]stream, 1, n+1), index: make([]int32, slots), near: uint(bits.Len64(uint64(max(near/page, 2))) - 1)}
}

func (t *streams) bytes() int {
	return cap(t.all)*int(unsafe.Sizeof(stream{})) + 4*len(t.index)
}

func (t *streams) slot(page uint64) *int32 {
	h := page >> t.near * 0x9e3779b97f4a7c15 >> 32
	return &t.index[h&uint64(len(t.index)-1)]
}

func (t *streams) tag(s *stream) uint32 {
	i := (uintptr(unsafe.Pointer(s)) - uintptr(unsafe.Pointer(&t.all[0]))) / unsafe.Sizeof(stream{})
	return uint32(i) | uint32(s.turn)<<16
}

// tagged finds a stream by its tag, nil if it is no more.
func (t *streams) tagged(tag uint32) *stream {
	i := int(tag & 0xffff)
	if i == 0 || i >= len(t.all) || t.all[i].turn != uint16(tag>>16) {
		return nil
	}
	return &t.all[i]
}

// find looks for the stream that a request for pages [first, end) continues.
func (t *streams) find(first, end uint64) *stream {
	if s := t.probe(first, first, end); s != nil {
		return s
	}
	if before := first - 1<<t.near; first >= 1<<t.near {
		if s := t.probe(before, first, end); s != nil {
			return s
		}
	}
	if end>>t.near != first>>t.near {
		return t.probe(end, first, end)
	}
	return nil
}

func (t *streams) probe(page, first, end uint64) *stream {
	var best *stream
	for i := *t.slot(page); i != 0; i = t.all[i].chain {
		s := &t.all[i]
		if s.next <= first && first-s.next < 1<<t.near || s.next > first && s.next <= end && s.next-first < 1<<t.near {
			if best == nil || s.next > best.next {
				best = s
			}
		}
	}
	return best
}

// start makes a stream that goes on at page next.
func (t *streams) start(next uint64) *stream {
	var i int32
	if len(t.all) < cap(t.all) {
		i = int32(len(t.all))
		t.all = append(t.all, stream{})
	} else {
		i = t.all[0].newer // the ring's oldest
		t.leave(i)
		t.unlink(i)
		t.owed -= int64(t.all[i].owed)
	}
	s := &t.all[i]
	*s = stream{next: next, turn: s.turn + 1}
	t.link(i)
	t.enter(i)
	return s
}

// move notes that a stream goes on at page next.
func (t *streams) move(s *stream, next uint64) {
	i := int32(t.tag(s) & 0xffff)
	t.leave(i)
	s.next = next
	t.enter(i)
	t.unlink(i)
	t.link(i)
	t.owe(s)
}

// owe takes note of how many pages a stream has ahead of it.
func (t *streams) owe(s *stream) {
	ahead := uint32(s.fetched - s.next)
	t.owed += int64(ahead) - int64(s.owed)
	s.owed = ahead
}

// expire takes streams for dead that rested for longer than patience requests.
func (t *streams) expire(now, patience uint32) {
	for t.alive != 0 && now-t.all[t.alive].tick > patience {
		s := &t.all[t.alive]
		t.owed -= int64(s.owed)
		s.owed = 0
		t.alive = s.newer
	}
}

// enter adds a stream to the index. Where more than a few go on at nearly the
// same place, the one that came there first is found by its tags only.
func (t *streams) enter(i int32) {
	at := t.slot(t.all[i].next)
	t.all[i].chain = *at
	*at = i
	for range few {
		if at = &t.all[*at].chain; *at == 0 {
			return
		}
	}
	*at = 0
}

func (t *streams) leave(i int32) {
	at := t.slot(t.all[i].next)
	for *at != i {
		if *at == 0 {
			return
		}
		at = &t.all[*at].chain
	}
	*at = t.all[i].chain
}

// link makes a stream the newest of the ring around 0.
func (t *streams) link(i int32) {
	newest := t.all[0].older
	t.all[i].older, t.all[i].newer = newest, 0
	t.all[newest].newer = i
	t.all[0].older = i
	if t.alive == 0 {
		t.alive = i
	}
}

func (t *streams) unlink(i int32) {
	s := &t.all[i]
	if t.alive == i {
		t.alive = s.newer
	}
	t.all[s.older].newer = s.newer
	t.all[s.newer].older = s.older
}
