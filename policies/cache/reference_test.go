package cache

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// The policies once more, written for being obviously right: plain slices with
// the newest object first, searched from end to end.

type refObject struct {
	id   uint64
	size int64
	freq int
	time int // of the last use, or of the eviction of a ghost
}

type refList []refObject

func (l refList) find(id uint64) int {
	return slices.IndexFunc(l, func(o refObject) bool { return o.id == id })
}

func (l refList) bytes() (n int64) {
	for _, o := range l {
		n += o.size
	}
	return n
}

func (l *refList) push(o refObject) { *l = slices.Insert(*l, 0, o) }

func (l *refList) take(i int) refObject {
	o := (*l)[i]
	*l = slices.Delete(*l, i, i+1)
	return o
}

func (l *refList) pop() refObject { return l.take(len(*l) - 1) }

// pushBounded is for ghosts.
func (l *refList) pushBounded(o refObject, bound int64) {
	if o.size > bound {
		return
	}
	for l.bytes()+o.size > bound {
		l.pop()
	}
	l.push(o)
}

// reference serves a request and says whether it hit.
type reference func(id uint64, size int64) bool

var references = map[string]func(c int64, next []uint32) reference{
	"lru":  func(c int64, _ []uint32) reference { return refQueue(c, true) },
	"fifo": func(c int64, _ []uint32) reference { return refQueue(c, false) },
	"clock": func(c int64, _ []uint32) reference {
		var l refList
		return func(id uint64, size int64) bool {
			if i := l.find(id); i >= 0 {
				l[i].freq = 1
				return true
			}
			if size > c {
				return false
			}
			for l.bytes()+size > c {
				if o := l.pop(); o.freq > 0 {
					o.freq--
					l.push(o)
				}
			}
			l.push(refObject{id: id, size: size})
			return false
		}
	},
	"sieve": func(c int64, _ []uint32) reference {
		var l refList
		hand, held := uint64(0), false
		return func(id uint64, size int64) bool {
			if i := l.find(id); i >= 0 {
				l[i].freq = 1
				return true
			}
			if size > c {
				return false
			}
			for l.bytes()+size > c {
				i := len(l) - 1
				if held {
					i = l.find(hand)
				}
				for l[i].freq > 0 {
					l[i].freq = 0
					if i--; i < 0 {
						i = len(l) - 1
					}
				}
				if held = i > 0; held {
					hand = l[i-1].id
				}
				l.take(i)
			}
			l.push(refObject{id: id, size: size})
			return false
		}
	},
	"s3fifo": func(c int64, _ []uint32) reference {
		var small, main, ghost refList
		smallSize, ghostSize := int64(0.1*float64(c)), int64(0.9*float64(c))
		return func(id uint64, size int64) bool {
			if i := small.find(id); i >= 0 {
				small[i].freq++
				return true
			}
			again := false
			if i := ghost.find(id); i >= 0 {
				ghost.take(i)
				again = true
			}
			if i := main.find(id); i >= 0 {
				main[i].freq++
				return true
			}
			if size > smallSize {
				return false
			}
			for small.bytes()+main.bytes()+size > c {
				if main.bytes() > c-smallSize || len(small) == 0 {
					for {
						o := main.pop()
						if o.freq == 0 {
							break
						}
						o.freq = min(o.freq, 3) - 1
						main.push(o)
					}
					continue
				}
				for len(small) > 0 {
					o := small.pop()
					if o.freq < 2 {
						ghost.pushBounded(o, ghostSize)
						break
					}
					o.freq = 0
					main.push(o)
				}
			}
			if again {
				main.push(refObject{id: id, size: size})
			} else if size < smallSize {
				small.push(refObject{id: id, size: size})
			}
			return false
		}
	},
	"s3fifo-paper": func(c int64, _ []uint32) reference {
		var small, main, ghost refList
		smallSize := int64(0.1 * float64(c))
		return func(id uint64, size int64) bool {
			for _, l := range []refList{small, main} {
				if i := l.find(id); i >= 0 {
					l[i].freq = min(l[i].freq+1, 3)
					return true
				}
			}
			again := false
			if i := ghost.find(id); i >= 0 {
				ghost.take(i)
				again = true
			}
			if size > c {
				return false
			}
			for small.bytes()+main.bytes()+size > c {
				if len(small) > 0 && (small.bytes() >= smallSize || len(main) == 0) {
					for len(small) > 0 {
						o := small.pop()
						if o.freq < 2 {
							ghost.pushBounded(o, c-smallSize)
							break
						}
						o.freq = 0
						main.push(o)
					}
					continue
				}
				o := main.pop()
				for o.freq > 0 {
					o.freq--
					main.push(o)
					o = main.pop()
				}
			}
			if again {
				main.push(refObject{id: id, size: size})
			} else {
				small.push(refObject{id: id, size: size})
			}
			return false
		}
	},
	"twoq": func(c int64, _ []uint32) reference {
		var in, main, out refList
		inSize, outSize := int64(0.25*float64(c)), int64(0.5*float64(c))
		return func(id uint64, size int64) bool {
			if in.find(id) >= 0 {
				return true
			}
			again := false
			if i := out.find(id); i >= 0 {
				out.take(i)
				again = true
			}
			if i := main.find(id); i >= 0 {
				main.push(main.take(i))
				return true
			}
			if size > inSize {
				return false
			}
			for in.bytes()+main.bytes()+size > c {
				if in.bytes() > inSize || len(main) == 0 {
					out.pushBounded(in.pop(), outSize)
				} else {
					main.pop()
				}
			}
			if again {
				for main.bytes()+size > c-inSize {
					main.pop()
				}
				main.push(refObject{id: id, size: size})
			} else {
				in.push(refObject{id: id, size: size})
			}
			return false
		}
	},
	"slru": func(c int64, _ []uint32) reference {
		s := newRefSLRU(c, []float64{1, 1, 1, 1})
		return func(id uint64, size int64) bool {
			if s.hit(id) {
				return true
			}
			if size > s.sizes[0] {
				return false
			}
			for s.bytes()+size > c {
				s.evict()
			}
			s.insert(refObject{id: id, size: size})
			return false
		}
	},
	"arc":       func(c int64, _ []uint32) reference { return refARC(c, false) },
	"arc-paper": func(c int64, _ []uint32) reference { return refARC(c, true) },
	"lirs":      func(c int64, _ []uint32) reference { return refLIRS(c) },
	"lfu": func(c int64, _ []uint32) reference {
		return refLeast(c, func(a, b refObject) bool { return a.freq < b.freq || a.freq == b.freq && a.time < b.time })
	},
	"gdsf": func(c int64, _ []uint32) reference {
		return refGreedy(c, func(o refObject) float64 { return float64(o.freq) * 1e6 / float64(o.size) })
	},
	"lfuda": func(c int64, _ []uint32) reference {
		return refGreedy(c, func(o refObject) float64 { return float64(o.freq) })
	},
	"lecar": func(c int64, _ []uint32) reference { return refLeCaR(c) },
	"wtinylfu": func(c int64, _ []uint32) reference {
		var window refList
		windowSize := int64(0.01 * float64(c))
		main := newRefSLRU(c-windowSize, []float64{1, 4})
		counts := &refBloom{n: uint64(math.Ceil(float64(c-windowSize) * 14.37758756605116)), counts: map[uint64]uint32{}}
		hits := int64(0)
		return func(id uint64, size int64) bool {
			if i := window.find(id); i >= 0 {
				window.push(window.take(i))
				return true
			}
			if main.hit(id) {
				counts.add(id)
				if hits++; hits >= 32*main.capacity {
					hits = 0
					counts.halve()
				}
				return true
			}
			if size > windowSize {
				return false
			}
			for window.bytes()+main.bytes()+size > c {
				for {
					if len(window) == 0 {
						main.evict()
						break
					}
					o := window.pop()
					if main.bytes()+o.size > main.capacity {
						v := main.victim()
						if v == nil || counts.estimate(o.id) <= counts.estimate(v.id) {
							counts.add(o.id)
							break
						}
						main.evict()
					}
					counts.add(o.id)
					main.insert(o)
				}
			}
			window.push(refObject{id: id, size: size})
			counts.add(id)
			return false
		}
	},
	"belady": func(c int64, next []uint32) reference {
		var l refList // time is that of the next request
		now := -1
		return func(id uint64, size int64) bool {
			now++
			if i := l.find(id); i >= 0 {
				l[i].time = int(next[now])
				return true
			}
			if size > c {
				return false
			}
			for l.bytes()+size > c {
				last := 0
				for i := range l {
					if l[i].time > l[last].time {
						last = i
					}
				}
				l.take(last)
			}
			l.push(refObject{id: id, size: size, time: int(next[now])})
			return false
		}
	},
}

func refQueue(c int64, recency bool) reference {
	var l refList
	return func(id uint64, size int64) bool {
		if i := l.find(id); i >= 0 {
			if recency {
				l.push(l.take(i))
			}
			return true
		}
		if size > c {
			return false
		}
		for l.bytes()+size > c {
			l.pop()
		}
		l.push(refObject{id: id, size: size})
		return false
	}
}

// refLeast evicts the least object; freq counts uses, time is the last one.
func refLeast(c int64, less func(a, b refObject) bool) reference {
	var l refList
	now := 0
	return func(id uint64, size int64) bool {
		now++
		if i := l.find(id); i >= 0 {
			l[i].freq++
			l[i].time = now
			return true
		}
		if size > c {
			return false
		}
		for l.bytes()+size > c {
			least := 0
			for i := range l {
				if less(l[i], l[least]) {
					least = i
				}
			}
			l.take(least)
		}
		l.push(refObject{id: id, size: size, freq: 1, time: now})
		return false
	}
}

func refGreedy(c int64, worth func(refObject) float64) reference {
	var l refList
	rank := map[uint64]float64{}
	age, now := 0.0, 0
	return func(id uint64, size int64) bool {
		now++
		if i := l.find(id); i >= 0 {
			l[i].freq++
			l[i].time = now
			rank[id] = age + worth(l[i])
			return true
		}
		if size > c {
			return false
		}
		for l.bytes()+size > c {
			least := 0
			for i, o := range l {
				a, b := rank[o.id], rank[l[least].id]
				if a < b || a == b && o.time < l[least].time {
					least = i
				}
			}
			age = rank[l[least].id]
			l.take(least)
		}
		o := refObject{id: id, size: size, freq: 1, time: now}
		rank[id] = age + worth(o)
		l.push(o)
		return false
	}
}

type refSLRU struct {
	capacity int64
	lists    []refList
	sizes    []int64
}

func newRefSLRU(c int64, ratios []float64) *refSLRU {
	s := &refSLRU{capacity: c, lists: make([]refList, len(ratios))}
	sum := 0.0
	for _, r := range ratios {
		sum += r
	}
	for _, r := range ratios {
		s.sizes = append(s.sizes, int64(r/sum*float64(c)))
	}
	return s
}

func (s *refSLRU) bytes() (n int64) {
	for _, l := range s.lists {
		n += l.bytes()
	}
	return n
}

func (s *refSLRU) hit(id uint64) bool {
	for i := range s.lists {
		j := s.lists[i].find(id)
		if j < 0 {
			continue
		}
		o := s.lists[i].take(j)
		if i < len(s.lists)-1 {
			i++
			s.room(i, o.size)
		}
		s.lists[i].push(o)
		return true
	}
	return false
}

func (s *refSLRU) room(i int, size int64) {
	for len(s.lists[i]) > 0 && s.lists[i].bytes()+size > s.sizes[i] {
		o := s.lists[i].pop()
		if i > 0 {
			s.room(i-1, o.size)
			s.lists[i-1].push(o)
		}
	}
}

func (s *refSLRU) victim() *refObject {
	for _, l := range s.lists {
		if len(l) > 0 {
			return &l[len(l)-1]
		}
	}
	return nil
}

func (s *refSLRU) evict() {
	for i := range s.lists {
		if len(s.lists[i]) > 0 {
			s.lists[i].pop()
			return
		}
	}
}

func (s *refSLRU) insert(o refObject) {
	for i := range s.lists {
		if s.lists[i].bytes()+o.size <= s.sizes[i] {
			s.lists[i].push(o)
			return
		}
	}
	for s.victim() != nil && s.bytes()+o.size > s.capacity {
		s.evict()
	}
	s.lists[0].push(o)
}

func refARC(c int64, bySize bool) reference {
	var t1, t2, b1, b2 refList
	p := 0.0
	return func(id uint64, size int64) bool {
		if i := t1.find(id); i >= 0 {
			t2.push(t1.take(i))
			return true
		}
		if i := t2.find(id); i >= 0 {
			t2.push(t2.take(i))
			return true
		}
		in1, in2 := b1.find(id), b2.find(id)
		switch {
		case in1 >= 0:
			step := max(float64(b2.bytes())/float64(b1.bytes()), 1)
			if bySize {
				step *= float64(b1[in1].size)
			}
			p = min(p+step, float64(c))
			b1.take(in1)
		case in2 >= 0:
			step := max(float64(b1.bytes())/float64(b2.bytes()), 1)
			if bySize {
				step *= float64(b2[in2].size)
			}
			p = max(p-step, 0)
			b2.take(in2)
		}
		if size > c {
			return false
		}
		for t1.bytes()+t2.bytes()+size > c {
			if in1 < 0 && in2 < 0 {
				if t1.bytes()+b1.bytes()+size > c {
					if len(b1) == 0 {
						t1.pop()
						continue
					}
					b1.pop()
				} else if t1.bytes()+t2.bytes()+b1.bytes()+b2.bytes() >= 2*c && len(b2) > 0 {
					b2.pop()
				}
			}
			t := float64(t1.bytes())
			if len(t1) > 0 && (t > p || t == p && in2 >= 0) || len(t2) == 0 {
				b1.push(t1.pop())
			} else {
				b2.push(t2.pop())
			}
		}
		if in1 >= 0 || in2 >= 0 {
			t2.push(refObject{id: id, size: size})
		} else {
			t1.push(refObject{id: id, size: size})
		}
		return false
	}
}

func refLeCaR(c int64) reference {
	var recency refList // time orders objects of equal freq
	var ghosts [2]refList
	w := [2]float64{0.5, 0.5}
	discount := math.Pow(0.005, 1/float64(max(c, 1)))
	random := uint64(0)
	now := 0
	return func(id uint64, size int64) bool {
		now++
		if i := recency.find(id); i >= 0 {
			o := recency.take(i)
			o.freq++
			o.time = now
			recency.push(o)
			return true
		}
		for x := range ghosts {
			if i := ghosts[x].find(id); i >= 0 {
				g := ghosts[x].take(i)
				a := w[x]*math.Exp(-0.45*math.Pow(discount, float64(now-g.time))) + 1e-10
				b := w[1-x] + 1e-10
				w[x], w[1-x] = a/(a+b), b/(a+b)
			}
		}
		if size > c {
			return false
		}
		for recency.bytes()+size > c {
			oldest, rarest := len(recency)-1, 0
			for i, o := range recency {
				r := recency[rarest]
				if o.freq < r.freq || o.freq == r.freq && o.time < r.time {
					rarest = i
				}
			}
			if oldest == rarest {
				recency.pop()
				continue
			}
			random = random*6364136223846793005 + 1442695040888963407
			x, victim := 0, oldest
			if float64(random%100)/100 >= w[0] {
				x, victim = 1, rarest
			}
			o := recency.take(victim)
			o.time = now
			ghosts[x].push(o)
			for ghosts[x].bytes() > int64(0.5*float64(c)) {
				ghosts[x].pop()
			}
		}
		recency.push(refObject{id: id, size: size, freq: 1, time: now})
		return false
	}
}

func refLIRS(c int64) reference {
	type state struct{ lir, resident, phantom bool }
	var stack, queue, ghosts refList
	at := map[uint64]*state{} // of what is in the stack
	hirSize := max(int64(0.01*float64(c)), 1)
	lirSize := c - hirSize
	var lirs, hirs int64

	prune := func() {
		for len(stack) > 0 && !at[stack[len(stack)-1].id].lir {
			o := stack.pop()
			delete(at, o.id)
			if i := ghosts.find(o.id); i >= 0 {
				ghosts.take(i)
			}
		}
	}
	var out []uint64 // what left the queue
	evictHIR := func() {
		o := queue.pop()
		out = append(out, o.id)
		hirs -= o.size
		if s := at[o.id]; s != nil {
			s.resident = false
			ghosts.push(o)
		}
	}
	demote := func() refObject {
		prune()
		o := stack.pop()
		delete(at, o.id)
		lirs -= o.size
		if o.size <= hirSize {
			for hirs+o.size > hirSize {
				evictHIR()
			}
			hirs += o.size
			queue.push(o)
		}
		prune()
		return o
	}
	promote := func(o refObject) {
		if i := stack.find(o.id); i >= 0 {
			stack.take(i)
		}
		stack.push(o)
		at[o.id] = &state{lir: true, resident: true}
		lirs += o.size
		for lirs > lirSize {
			demote()
		}
	}
	bound := func() {
		for stack.bytes() > 2*c && len(ghosts) > 0 {
			o := ghosts.pop()
			stack.take(stack.find(o.id))
			delete(at, o.id)
		}
	}
	return func(id uint64, size int64) bool {
		defer bound()
		s, q := at[id], queue.find(id)
		switch {
		case s != nil && s.lir:
			stack.push(stack.take(stack.find(id)))
			prune()
			return true
		case s != nil && s.phantom:
			promote(stack[stack.find(id)])
			return true
		case s != nil && s.resident:
			o := queue.take(q)
			hirs -= o.size
			promote(o)
			return true
		case s == nil && q >= 0:
			o := queue.take(q)
			queue.push(o)
			// What lies where the size is read from, once o is gone.
			read := o
			for lirs+read.size > lirSize && lirs > 0 {
				out = nil
				d := demote()
				if len(out) > 0 && out[len(out)-1] == read.id {
					read = d
				}
			}
			if queue.find(id) >= 0 {
				at[id] = &state{resident: true}
			} else {
				at[id] = &state{phantom: true}
			}
			stack.push(o)
			return true
		}
		if i := ghosts.find(id); i >= 0 {
			// It is found again in the stack, whatever it measures now.
			o := stack.take(stack.find(id))
			stack.push(o)
			if size > c {
				return false
			}
			ghosts.take(i)
			promote(o)
			for lirs-o.size+hirs+size > c && lirs > o.size {
				for hirs >= hirSize {
					evictHIR()
				}
				demote()
			}
			return false
		}
		if size > hirSize || size > lirSize || size > c {
			return false
		}
		for lirs+hirs+size > c {
			if len(queue) > 0 {
				evictHIR()
			} else {
				demote()
			}
		}
		o := refObject{id: id, size: size}
		if lirs+size <= lirSize {
			promote(o)
			return false
		}
		for hirs+size > hirSize {
			evictHIR()
		}
		hirs += size
		stack.push(o)
		at[id] = &state{resident: true}
		queue.push(o)
		return false
	}
}

// refBloom is a counting Bloom filter of ten hashes.
type refBloom struct {
	n      uint64
	counts map[uint64]uint32
}

func (b *refBloom) places(id uint64) (all [10]uint64) {
	x, step := uint32(xxh64(id, 0x12345678)), uint32(xxh64(id, 0x12344321))
	for i := range all {
		all[i] = uint64(x) % max(b.n, 1)
		x += step
	}
	return all
}

func (b *refBloom) add(id uint64) {
	for _, at := range b.places(id) {
		b.counts[at]++
	}
}

func (b *refBloom) estimate(id uint64) uint32 {
	least := uint32(math.MaxUint32)
	for _, at := range b.places(id) {
		least = min(least, b.counts[at])
	}
	return least
}

func (b *refBloom) halve() {
	for at := range b.counts {
		b.counts[at] /= 2
	}
}

// randomTrace has skew, loops and scans, and sizes that depend on the id.
func randomTrace(rng *rand.Rand, n int, sized bool) *Trace {
	t := &Trace{}
	objects := 2 + rng.Uint64N(400)
	scan := uint64(1 << 40)
	for len(t.ids) < n {
		switch rng.IntN(20) {
		case 0:
			for range rng.IntN(60) {
				scan++
				t.ids = append(t.ids, scan)
			}
		case 1:
			from := rng.Uint64N(objects)
			for i := range rng.Uint64N(40) {
				t.ids = append(t.ids, from+i)
			}
		default:
			t.ids = append(t.ids, uint64(float64(objects)*math.Pow(rng.Float64(), 3)))
		}
	}
	if sized {
		unit := 1 + rng.Uint64N(50)
		for _, id := range t.ids {
			t.sizes = append(t.sizes, 1+KeyOf(id).hash%97%uint32(unit))
		}
	}
	t.ready()
	return t
}

func TestAgainstReferences(t *testing.T) {
	for _, spec := range Policies() {
		t.Run(spec.Name, func(t *testing.T) {
			if elsewhere[spec.Name] != "" {
				return
			}
			require.Contains(t, references, spec.Name)
			name := cmp.Or(everyOne[spec.Name], spec.Name)
			rng := rand.New(rand.NewPCG(7, 7))
			for round := range 30 {
				trace := randomTrace(rng, 1500, round%2 == 1)
				if round%4 == 3 { // objects whose sizes change
					for i := range trace.sizes {
						if rng.IntN(3) == 0 {
							trace.sizes[i] = 1 + rng.Uint32N(2*trace.sizes[i])
						}
					}
				}
				capacity := int64(math.Exp(rng.Float64() * math.Log(float64(trace.Footprint().Bytes+10))))
				if round < 8 {
					capacity = int64(round / 2)
				}
				p := choice(t, name).New(capacity, 0)
				if c, ok := p.(clairvoyant); ok {
					c.Foresee(trace.next())
				}
				ref := references[spec.Name](capacity, trace.next())
				for i, id := range trace.ids {
					k, size := KeyOf(id), trace.size(i)
					hit := p.Find(k) != None
					if !hit {
						p.Insert(k, size, Demand)
					}
					require.Equal(t, ref(id, int64(size)), hit, "round %d, capacity %d, request %d to %d of size %d", round, capacity, i, id, size)
					require.LessOrEqual(t, p.Occupied(), capacity)
				}
				check(t, p)
			}
		})
	}
}

// check compares what a store counts with what it holds.
func check(t *testing.T, p Policy) {
	s := p.base()
	known, resident, occupied := 0, 0, int64(0)
	for h := range s.nodes {
		n := &s.nodes[h]
		if n.flag&flagKnown == 0 {
			continue
		}
		known++
		require.Equal(t, Handle(h), s.lookup(KeyOf(n.id())), "object %d is not where the index says", n.id())
		if n.flag&flagGhost == 0 {
			resident++
			occupied += int64(s.sizeOf(Handle(h)))
		}
	}
	s.ghosts.all(func(h Handle, id uint64) {
		known++
		require.Equal(t, h, s.lookup(KeyOf(id)), "ghost %d is not where the index says", id)
	})
	require.Equal(t, []string{fmt.Sprint(known), fmt.Sprint(resident), fmt.Sprint(occupied)},
		[]string{fmt.Sprint(s.Known()), fmt.Sprint(s.Len()), fmt.Sprint(s.Occupied())})
	entries := 0
	for i := range s.index.buckets {
		entries += bucketSlots - bits.OnesCount64(s.index.buckets[i].match(0))
	}
	require.Equal(t, known, entries)
}
