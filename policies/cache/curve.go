package cache

import (
	"context"
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
)

// LRUCurve gives the misses of LRU at many capacities in one pass over a trace,
// by stack distances (Mattson et al., IBM Systems Journal 1970): a request hits
// if the objects requested since the last one to the same object, and it, fit.
// The results are in the order of sizes.
//
// From the capacity exact on they are those of replaying LRU. That is all
// capacities with sizes ignored, and those of the largest object and above where
// sizes count, but none if an object changes its size: it is taken at that of
// its first request.
func LRUCurve(ctx context.Context, t *Trace, sizes []int64, served *atomic.Int64) (results []Result, exact int64, err error) {
	sorted := slices.Clone(sizes)
	slices.Sort(sorted)
	// hits[i] are those of distances up to sorted[i] and above the one before.
	hits, hitBytes := make([]int64, len(sorted)+1), make([]int64, len(sorted)+1)
	total := Result{Requests: int64(t.Len())}
	s := newStack()
	for i, id := range t.ids {
		if i%chunk == 0 {
			if ctx.Err() != nil {
				return nil, 0, context.Cause(ctx)
			}
			if served != nil && i > 0 {
				served.Add(chunk)
			}
		}
		total.ReqBytes += int64(t.size(i))
		if d := s.distance(id, t.size(i)); d > 0 {
			at, _ := slices.BinarySearch(sorted, d)
			hits[at]++
			hitBytes[at] += int64(t.size(i))
		}
	}
	if served != nil && t.Len() > 0 {
		served.Add(int64((t.Len()-1)%chunk + 1))
	}
	for i := 1; i < len(hits); i++ {
		hits[i] += hits[i-1]
		hitBytes[i] += hitBytes[i-1]
	}
	results = make([]Result, len(sizes))
	for i, size := range sizes {
		at, _ := slices.BinarySearch(sorted, size)
		for at+1 < len(sorted) && sorted[at+1] == size {
			at++ // the hits are with the first of equal sizes, their sum with each
		}
		r := total
		r.Size = size
		r.Misses = total.Requests - hits[at]
		r.MissBytes = total.ReqBytes - hitBytes[at]
		results[i] = r
	}
	switch {
	case s.changed:
		exact = math.MaxInt64
	case t.sizes != nil:
		exact = int64(s.largest)
	}
	return results, exact, nil
}

// stack finds stack distances. Each object has a place in the order of last
// uses; a Fenwick tree over the places sums the sizes of those after one. Places
// run out once in as many requests as there are objects, and are then numbered
// anew.
type stack struct {
	places idTable
	tree   []int64  // Fenwick, from 1
	ids    []uint64 // by place
	sizes  []uint32 // by place; 0 if nothing is there any more
	next   int      // place
	sum    int64    // of all sizes

	largest uint32
	changed bool // an object changed its size
}

func newStack() *stack {
	s := &stack{places: *newIDTable()}
	s.room(1 << 12)
	return s
}

func (s *stack) room(n int) {
	s.tree, s.ids, s.sizes = make([]int64, n+1), make([]uint64, n), make([]uint32, n)
}

// distance takes note of a request and gives the sizes of the objects used since
// the last one to the same object, its own included; 0 if there was none.
func (s *stack) distance(id uint64, size uint32) int64 {
	if s.next == len(s.ids) {
		s.renumber()
	}
	place, known := s.places.put(id, uint32(s.next))
	d := int64(0)
	if known {
		s.changed = s.changed || size != s.sizes[place]
		size = s.sizes[place]
		d = s.sum - s.before(int(place))
		s.add(int(place), -int64(size))
		s.sizes[place] = 0
	} else {
		s.sum += int64(size)
		s.largest = max(s.largest, size)
	}
	s.ids[s.next], s.sizes[s.next] = id, size
	s.add(s.next, int64(size))
	s.next++
	return d
}

// before sums the sizes at places before one.
func (s *stack) before(place int) (sum int64) {
	for i := place; i > 0; i &= i - 1 {
		sum += s.tree[i]
	}
	return sum
}

func (s *stack) add(place int, size int64) {
	for i := place + 1; i < len(s.tree); i += i & -i {
		s.tree[i] += size
	}
}

// renumber gives the objects the first places, in their order, and leaves as
// many free as are taken.
func (s *stack) renumber() {
	ids, sizes := s.ids, s.sizes
	live := 0
	for _, size := range sizes {
		if size > 0 {
			live++
		}
	}
	s.room(max(1<<12, 1<<bits.Len(uint(2*live))))
	s.next = 0
	for place, size := range sizes {
		if size == 0 {
			continue
		}
		s.places.put(ids[place], uint32(s.next))
		s.ids[s.next], s.sizes[s.next] = ids[place], size
		s.next++
	}
	// A Fenwick tree in linear time: each node adds itself to its parent.
	for i, size := range s.sizes[:s.next] {
		s.tree[i+1] = int64(size)
	}
	for i := 1; i < len(s.tree); i++ {
		if parent := i + i&-i; parent < len(s.tree) {
			s.tree[parent] += s.tree[i]
		}
	}
}

// Sample is the part of a trace that is to the objects a hash picks at a rate:
// SHARDS, Waldspurger et al., FAST 2015. Replaying it through a cache of the
// same share of the size estimates the miss ratio of any policy ("miniature
// simulation", USENIX ATC 2017); Sampled.Estimate makes the results out.
func (t *Trace) Sample(rate float64) *Sampled { return t.sample(uint64(rate * (1 << 32))) }

// SampleObjects is the sample of so many objects, or all where there are no
// more: SHARDS of a fixed size. The paper lowers the rate as objects turn up, and
// rescales what was counted before; since the trace is in memory, the rate at
// which that ends is found first.
func (t *Trace) SampleObjects(most int) *Sampled {
	threshold := uint64(1 << 32)
	var places []uint64 // the lowest, of distinct objects
	seen := newIDSet(0)
	keep := func() {
		slices.Sort(places)
		if len(places) > most {
			threshold = places[most]
			first, _ := slices.BinarySearch(places, threshold) // not some of several equal ones
			places = places[:first]
		}
	}
	for _, id := range t.ids {
		if place := samplePlace(id); place < threshold && seen.add(id) {
			if places = append(places, place); len(places) > 2*most {
				keep()
			}
		}
	}
	keep()
	return t.sample(threshold)
}

// samplePlace is where an object stands among all, by a hash of 32 bits that
// shares nothing with the one of the index.
func samplePlace(id uint64) uint64 { return xxh64(id, 0x5348415244530001) >> 32 }

// sample takes the objects whose places are below a threshold of up to 2³².
func (t *Trace) sample(threshold uint64) *Sampled {
	s := &Sampled{Trace: &Trace{}, requests: int64(t.Len()), bytes: t.bytes()}
	if t.sizes != nil {
		s.Trace.sizes = []uint32{}
	}
	for i, id := range t.ids {
		if samplePlace(id) >= threshold {
			continue
		}
		s.Trace.ids = append(s.Trace.ids, id)
		if t.sizes != nil {
			s.Trace.sizes = append(s.Trace.sizes, t.sizes[i])
		}
	}
	s.Trace.ready()
	if all := t.Footprint(); all.Objects > 0 {
		got := s.Trace.Footprint()
		s.Rate = float64(got.Objects) / float64(all.Objects)
		s.byteRate = float64(got.Bytes) / float64(all.Bytes)
	}
	return s
}

func (t *Trace) bytes() (n int64) {
	if t.sizes == nil {
		return int64(t.Len())
	}
	for _, size := range t.sizes {
		n += int64(size)
	}
	return n
}

// Sampled is a sample of a trace.
type Sampled struct {
	Trace *Trace
	// Rate is the share of the objects that it has. The paper takes the hash's
	// threshold for it; what was counted errs less, by the error of the number of
	// objects, which is one in the root of those sampled and the same for all sizes.
	Rate     float64
	byteRate float64 // of their bytes
	requests int64   // of the whole trace
	bytes    int64
}

// Size is the capacity in the sample that stands for one in the trace.
func (s *Sampled) Size(full int64) int64 { return int64(float64(full)*s.byteRate + 0.5) }

// Estimate turns a result of the sample, of a cache that stands for one of size
// full, into one of the trace. What the sample has of requests above or below
// its rate is taken to be hits, since it is popular objects that make the
// difference (SHARDS-adj). There is none with prefetching: which object comes
// after which is another matter in a sample.
func (s *Sampled) Estimate(r Result, full int64) Result {
	whole := func(sampled int64, rate float64, all int64) int64 {
		if rate == 0 {
			return 0
		}
		return min(int64(float64(sampled)/rate+0.5), all)
	}
	r.Misses = whole(r.Misses, s.Rate, s.requests)
	r.MissBytes = whole(r.MissBytes, s.byteRate, s.bytes)
	r.Size, r.Requests, r.ReqBytes = full, s.requests, s.bytes
	return r
}
