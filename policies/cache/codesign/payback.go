// Package codesign has Payback, a prefetcher and an eviction policy in one. It
// fetches ahead what is likely to pay back what it costs, and its eviction
// reports what was.
//
// # Prefetching
//
// A stream is a sequence of reads, each near the end of the one before. How
// likely it is to go on is counted from the streams before it (survival), and
// corrected by what became of the pages fetched on such predictions. The cost
// of fetching is told in pages: RequestCost for a request to the backend, which
// a miss has paid for already, and for each page one and what pollution costs.
// The run is lengthened while its next pages are likelier to be used than what
// it has, on the average, gained for what it cost (the marginal value theorem).
//
// # Eviction
//
// Pages wait in one queue until they are used. Used ones of a stream are done
// with and go first; those that ghosts remember, and those used again, are kept
// in a CLOCK queue, others that misses brought in pass a small queue as in
// S3-FIFO. No more pages wait than the streams that still go on have ahead.
//
// Every page has size 1.
//
// # Memory
//
// Beyond what it takes to find its pages, Payback keeps as many ghosts of
// requested pages as the cache has pages and a quarter of that of prefetched
// ones, at 26 bytes, and a stream of 56 bytes (and up to 8 in an index) for 16
// pages, 16 384 at most: 37 bytes a page, 0.9 % of 4 KiB, and about 5 KiB for
// the counts. Work for a request and for a page fetched is constant, and nothing
// is allocated.
package codesign

import (
	"unsafe"

	"reprise/policies/cache"
	"reprise/policies/cache/prefetch"
)

// Payback is the policy and the prefetcher.
type Payback struct {
	cache.Table
	o Options

	survival survival
	streams  streams
	tick     uint32

	// The run being fetched: its first page, how likely each is to be used, in
	// sixteenths, and the class of the stream.
	from   uint64
	levels []uint8
	class  int

	ghostSeen uint64  // the page last found among the demand ghosts, plus one
	share     float32 // of the capacity, at most, for waiting pages
	keep      float32 // of the capacity for pages done with
	// hold is the part of the room for waiting pages that windows may count on.
	hold float32
	// patience is after how many of the usual gaps a stream is taken for dead.
	patience float32
	lead     float32 // how many requests ahead of its end a run is continued
	// polluted per prefetched is the share of fetched pages that cost a miss.
	polluted counts
	gap      float32 // requests between two of a stream
	rate     float32 // pages prefetched a request
	fetched  int     // pages prefetched since the last request
}

var (
	_ cache.Policy        = (*Payback)(nil)
	_ prefetch.Prefetcher = (*Payback)(nil)
	_ prefetch.Listener   = (*Payback)(nil)
)

// The queues.
const (
	small   uint8 = iota + 1 // came by a miss, not yet reused
	main                     // reused
	waiting                  // prefetched, not yet used
	done                     // used by a stream that has passed
	ghosts                   // were evicted from small, main and done
	early                    // were evicted from waiting
	queues  = iota
)

// Bits of a page's note.
const (
	freqMask  = 3
	known     = 1 << 2 // was a ghost when it was prefetched
	displaced = 1 << 3 // ghost: went to make room for a prefetched page
	wasDone   = 1 << 4 // ghost: was evicted from done
	levelAt   = 5      // 4 bits: probability of use
	classAt   = 9      // 5 bits: class of age
)

// slowest is the least number of pages by which a stream's requests are taken to
// move on: large pages may each be asked for by many.
const slowest = 1. / 16

// New makes an empty cache of so many pages of so many bytes.
func New(capacity, page int64, o Options) *Payback {
	o.RequestCost = o.RequestCost * cache.DefaultPageSize / float32(page)
	o.Window = int(min(max(int64(o.Window)*cache.DefaultPageSize/page, 1), maxWindow))
	x := &Payback{
		Table:    cache.NewTable(capacity, capacity+capacity/4, queues),
		o:        o,
		survival: newSurvival(),
		streams:  newStreams(int(min(max(capacity/16, 16), 1<<14)), page),
		levels:   make([]uint8, o.Window),
		share:    0.5,
		keep:     0.02,
		patience: 64,
		hold:     1,
		lead:     1,
		polluted: counts{0, 64},
		gap:      1,
	}
	return x
}

func (x *Payback) on(f Feedback) bool { return x.o.Off&f == 0 }

// Bytes is the memory of the prefetching half, beyond the cache's table.
func (x *Payback) Bytes() int {
	return int(unsafe.Sizeof(*x)) - int(unsafe.Sizeof(x.Table)) + cap(x.levels) + x.streams.bytes()
}

// Metadata is all memory beyond what it takes to find the pages that are
// there: that of the prefetching half, and of the ghosts.
func (x *Payback) Metadata() int { return x.Bytes() + (x.Known()-x.Len())*cache.NodeBytes }

// Find looks for a page that is requested.
func (x *Payback) Find(k cache.Key) cache.Handle {
	h := x.Lookup(k)
	if h == cache.None {
		return cache.None
	}
	note := x.Note(h)
	if x.Ghost(h) {
		if x.Queue(h) == early {
			// Right, but too early: the room for waiting pages is too small.
			if x.on(TooEarly) {
				x.hold = max(x.hold*0.995, 0.3)
				x.patience = min(x.patience*1.02, 1<<14)
			}
			if x.on(Share) {
				x.share = min(0.9, x.share+1/float32(x.room(8)))
			}
			return cache.None
		}
		x.ghostSeen = k.ID + 1
		if *note&displaced != 0 {
			x.polluted.yes++
			if x.on(Share) {
				x.share = max(0.1, x.share-1/float32(x.room(8)))
			}
		}
		if *note&wasDone != 0 {
			x.keep = min(0.9, x.keep+1/float32(x.room(8)))
		} else {
			x.keep = max(0.02, x.keep-1/float32(x.room(8)))
		}
		return cache.None
	}
	switch x.Queue(h) {
	case waiting:
		// What it taught is learnt in Access: a write may be what found it.
		x.Pull(h)
		switch {
		case *note&known != 0 && x.on(Reused):
			x.Push(main, h)
		case x.on(Finished):
			x.Push(done, h)
		default:
			x.Push(small, h)
		}
		*note &^= known
	case done:
		x.Pull(h)
		x.Push(main, h)
	default:
		if *note&freqMask < freqMask {
			*note++
		}
	}
	return h
}

// room is a share of the capacity, one page at least.
func (x *Payback) room(part int64) int64 { return max(x.Capacity()/part, 1) }

// Event is told what became of pages: of those wasted, only an overwritten one
// is news.
func (x *Payback) Event(e prefetch.Event) {
	if e.Kind != prefetch.Wasted {
		return
	}
	if h := x.Peek(cache.KeyOf(e.Page)); h != cache.None {
		x.resolve(*x.Note(h), 0)
	}
}

// resolve learns what became of a prefetched page.
func (x *Payback) resolve(note uint16, used float32) {
	c := &x.survival.trust[note>>classAt]
	c.yes += used
	c.all += (float32(note>>levelAt&15) + 0.5) / 16
	if c.all > memory {
		c.yes /= 2
		c.all /= 2
	}
}

// Insert brings in a page.
func (x *Payback) Insert(k cache.Key, size uint32, origin cache.Origin) cache.Handle {
	if !x.Admits(size) {
		return cache.None
	}
	for x.Occupied()+int64(size) > x.Capacity() {
		x.evict(origin)
	}
	ghost := false
	if g := x.Lookup(k); g != cache.None {
		ghost = x.Queue(g) == ghosts
		x.Pull(g)
		x.Forget(g)
	}
	h := x.Add(k, size, origin)
	switch {
	case origin == cache.Prefetched:
		var level uint8
		if at := k.ID - x.from; at < uint64(len(x.levels)) {
			level = x.levels[at]
		}
		*x.Note(h) = uint16(level)<<levelAt | uint16(x.class)<<classAt
		if ghost {
			*x.Note(h) |= known
		}
		x.Push(waiting, h)
		x.fetched++
		x.polluted.all++
		if x.polluted.all > 4*memory {
			x.polluted.yes /= 2
			x.polluted.all /= 2
		}
	case ghost:
		x.Push(main, h)
	default:
		x.Push(small, h)
	}
	return h
}

func (x *Payback) evict(origin cache.Origin) {
	mark := uint16(0)
	if origin == cache.Prefetched {
		mark = displaced
	}
	capacity := float32(x.Capacity())
	for {
		kept := x.Count(small) + x.Count(main)
		switch {
		case float32(x.Count(done)) > max(1, x.keep*capacity), x.Count(waiting)+kept == 0:
			x.bury(x.Pop(done), ghosts, mark|wasDone)
			return
		case float32(x.Count(waiting)) > x.expected(capacity), kept == 0 && x.Count(done) == 0:
			h := x.Pop(waiting)
			x.resolve(*x.Note(h), 0)
			x.bury(h, early, 0)
			return
		case kept == 0:
			x.bury(x.Pop(done), ghosts, mark|wasDone)
			return
		case float32(x.Count(small)) > 0.1*capacity || x.Count(main) == 0:
			h := x.Pop(small)
			if *x.Note(h)&freqMask >= 2 {
				*x.Note(h) = 0
				x.Push(main, h)
				continue
			}
			x.bury(h, ghosts, mark)
			return
		default:
			h := x.Pop(main)
			if n := x.Note(h); *n&freqMask > 0 {
				*n--
				x.Push(main, h)
				continue
			}
			x.bury(h, ghosts, mark)
			return
		}
	}
}

// expected is how many waiting pages there should be at most: no more than have
// room, and than the streams that still go on have ahead of them.
func (x *Payback) expected(capacity float32) float32 {
	room := x.share * capacity
	if x.on(Expected) {
		room = min(room, float32(x.streams.owed))
	}
	return room
}

// bury makes a ghost of a resident page.
func (x *Payback) bury(h cache.Handle, queue uint8, note uint16) {
	limit := x.room(1)
	if queue == early {
		limit = x.room(4)
	}
	v := x.Bury(h)
	*x.Note(h) = note
	x.Push(queue, h)
	if int64(x.Count(queue)) > limit {
		x.Forget(x.Pop(queue))
		if queue == early {
			if x.on(TooEarly) {
				x.patience = max(x.patience*0.998, 16)
			}
			if x.on(Share) {
				x.share = max(0.1, x.share-0.1/float32(x.room(8)))
			}
		}
	}
	x.Report(v)
}

// Remove drops a resident page.
func (x *Payback) Remove(h cache.Handle) { x.Pull(h); x.Forget(h) }

// Demote makes a page the next to go.
func (x *Payback) Demote(h cache.Handle) { x.Pull(h); *x.Note(h) = 0; x.PushOldest(done, h) }

// Access is told of a read request after its misses were brought in.
func (x *Payback) Access(r *prefetch.Request, p *prefetch.Plan) {
	x.tick++
	x.rate += (float32(x.fetched) - x.rate) / 256
	x.fetched = 0
	missed, used, late := 0, -1, false
	for i, o := range r.Outcomes {
		switch {
		case o == prefetch.Miss:
			missed++
		case o.First():
			used = i
			x.hold = min(x.hold*1.0005, 1)
			if h := x.Peek(cache.KeyOf(r.First + uint64(i))); h != cache.None {
				x.resolve(*x.Note(h), 1)
			}
			late = late || o == prefetch.Late
		}
	}
	n := float32(r.Pages())
	var s *stream
	if used >= 0 {
		s = x.streams.tagged(r.Marks[used].Tag)
		if s != nil && s.next > r.End()+maxWindow {
			s = nil // a latecomer to what the stream left behind
		}
	}
	if s == nil {
		s = x.streams.find(r.First, r.End())
	}
	if s == nil {
		if missed == 0 && used < 0 {
			return
		}
		context := 0
		if x.on(Context) {
			if x.ghostSeen > r.First && x.ghostSeen <= r.End() {
				context = 1
			}
			if r.First > 0 && x.Lookup(cache.KeyOf(r.First-1)) != cache.None {
				context |= 2
			}
		}
		s = x.streams.start(r.End())
		s.mean, s.context, s.tick = n, uint8(context), x.tick
		s.fetched = r.End()
		s.gap = x.gap
	} else {
		x.survival.lived(int(s.age), sizeClass(s.mean), int(s.context))
		s.age = min(s.age+1, 1<<20)
		s.mean = max(s.mean+(min(n, float32(r.End()-min(s.next, r.End())))-s.mean)/4, slowest)
		gap := float32(x.tick - s.tick)
		s.gap += (min(gap, 4*s.gap+4) - s.gap) / 4
		if gap > x.gap {
			x.gap *= 1.02
		} else {
			x.gap = max(x.gap/1.02, 1)
		}
		s.tick = x.tick
		s.fetched = max(s.fetched, r.End())
		x.streams.move(s, r.End())
	}
	x.streams.expire(x.tick, uint32(x.patience*x.gap))
	size, context := sizeClass(s.mean), int(s.context)
	x.survival.reached(int(s.age), size, context)
	if x.on(Lateness) {
		if late {
			x.lead = min(x.lead+0.25, 16)
		} else if used >= 0 {
			x.lead = max(x.lead-0.01, 1)
		}
	}
	if s.age >= 2 && x.on(Finished) {
		x.pass(r)
	}

	// Fetch on when little is left, or with the request that a miss makes
	// anyway.
	ahead := float32(s.fetched - r.End())
	if ahead > x.lead*s.mean {
		return
	}
	merged := missed > 0 && s.fetched == r.End() && r.Outcomes[len(r.Outcomes)-1] == prefetch.Miss
	x.class = bucket(int(s.age))
	trust := float32(1)
	if x.on(Trust) {
		t := x.survival.trust[x.class]
		trust = min(t.yes/t.all, 1.2)
	}
	price := float32(1)
	if x.on(Pollution) {
		price += x.polluted.yes / x.polluted.all * (1 + x.o.RequestCost/s.mean)
	}
	limit := float32(min(len(x.levels), int(x.room(4))))
	if x.on(Turnover) {
		// A window of w requests is used up after w·gap requests, in which
		// w·gap·rate pages were prefetched: the room for waiting pages must
		// hold them.
		limit = min(limit, max(s.mean, x.hold*x.share*float32(x.Capacity())/(max(s.gap*x.rate, s.mean))*s.mean))
	}
	q := trust
	gain, cost := float32(0), x.o.RequestCost
	if merged {
		gain, cost = float32(missed), cost+float32(missed)
	}
	age := int(s.age)
	for k := float32(0); k*s.mean < ahead; k++ {
		q *= x.survival.goesOn(age, size, context)
		age++
	}
	depth := float32(0)
	want := 0
	for want < int(limit) {
		q *= x.survival.goesOn(age, size, context)
		age++
		if q < x.o.Least || q*cost < gain*price || want == 0 && !merged && q < x.o.Alone {
			break
		}
		depth += s.mean
		gain += q * s.mean
		cost += s.mean * price
		level := uint8(min(q*16, 15))
		for ; want < int(min(depth, limit)); want++ {
			x.levels[want] = level
		}
	}
	// A request to the backend is worth making for at least as much as is left.
	if want == 0 || ahead > s.mean && float32(want) < ahead {
		return
	}
	x.from = s.fetched
	p.Prefetch(s.fetched, want, x.streams.tag(s))
	s.fetched += uint64(want)
	x.streams.owe(s)
}

// pass puts pages that a stream came by, and missed, where its others go.
func (x *Payback) pass(r *prefetch.Request) {
	for i, o := range r.Outcomes {
		if o != prefetch.Miss {
			continue
		}
		h := x.Peek(cache.KeyOf(r.First + uint64(i)))
		if h != cache.None && x.Queue(h) == small {
			x.Pull(h)
			x.Push(done, h)
		}
	}
}
