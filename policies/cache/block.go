package cache

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"reprise/policies/cache/prefetch"
)

// Block mode replays reads and writes of ranges of pages in front of a backend
// that takes time.
//
// A read fetches the pages that it misses. From then until the backend's
// latency has passed the pages are in flight: they hold their places in the
// cache, and a read of one waits for the rest of the time and is no miss. That
// is also so if such a page was evicted meanwhile, since the reader that it is
// fetched for holds it, and it comes in again; but a prefetched page that is
// evicted before any use has nobody to hold it, and is lost when it arrives.
// Once a read is served the prefetcher acts.
// The pages that the read missed and those prefetched make one backend request
// for each run of adjacent ones.
//
// A write covers pages whole: it never fetches, the valid part of a page being
// known to the sector. Written pages that a policy will not keep go to the
// backend at once.
//
// Time is the trace's.

// WriteMode says what a write does.
type WriteMode uint8

// The ways to write.
const (
	// WriteThrough writes to cache and backend.
	WriteThrough WriteMode = iota
	// WriteBack writes to the cache; what it evicts goes to the backend.
	WriteBack
	// WriteAround writes to the backend and drops the pages from the cache.
	WriteAround
)

var writeModes = []string{"through", "back", "around"}

func (m WriteMode) String() string { return writeModes[m] }

// ParseWriteMode reads the name of a way to write.
func ParseWriteMode(name string) (WriteMode, error) {
	i := slices.Index(writeModes, name)
	if i < 0 {
		return 0, fmt.Errorf("writes go through, back or around, not %q", name)
	}
	return WriteMode(i), nil
}

// Backend is what a cache stands in front of.
type Backend struct {
	Latency int64 // ns from a request to its data
	Writes  WriteMode
	// Window is the time over which load is averaged to find its peak, in
	// nanoseconds; 0 stands for ten minutes.
	Window int64
}

// DefaultLatency is what the one public simulator of the group that published
// the co-design takes for a disk, in nanoseconds.
const DefaultLatency = 20e6

// A disk head is taken, by Baleen's figures (Wong et al., FAST 2024), 11.5 ms
// for each request and a second for 143 MiB.
const (
	seekSeconds    = 0.0115
	bytesPerSecond = 143 << 20
)

// Traffic is what a backend was asked for.
type Traffic struct {
	Requests, Bytes int64
}

// DiskHeadSeconds is how long a disk would be busy with it.
func (l Traffic) DiskHeadSeconds() float64 {
	return float64(l.Requests)*seekSeconds + float64(l.Bytes)/bytesPerSecond
}

func (l *Traffic) add(requests, bytes int64) {
	l.Requests += requests
	l.Bytes += bytes
}

// BlockResult is what a replay in block mode counted.
type BlockResult struct {
	Policy, Prefetch string // as they were asked for, parameters included
	Size             int64  // the capacity in pages
	PageSize         uint32

	Requests int64 // reads and writes
	Pages    int64 // that they touch
	Bytes    int64 // that they ask for
	// Hits and Misses make up Pages. A page in flight is a hit; a page written
	// is a hit if it was there.
	Hits, Misses int64
	HitBytes     int64 // of Bytes, those in pages that were hits

	Reads, ReadPages, ReadBytes int64
	// ReadMisses are the pages fetched because a read asked for them, and
	// Joined the pages read that were hits, but in flight.
	ReadMisses, Joined int64
	Wait               float64 // seconds that reads waited for the backend, summed

	Prefetching
	Read, Written Traffic // what the backend was asked for
	// PrefetchRequests are the backend's reads that hold prefetched pages only.
	PrefetchRequests int64
	Dirty            int64 // pages not written back by the end

	Duration     float64 // seconds from the first request to the last
	PeakDiskHead float64 // disk-head seconds per second in the busiest window
	PeakBytes    float64 // bytes per second in the busiest window
	// GroupLoad is the backend load as the UCARE group's public simulator
	// counts it, in bytes: the prefetched ones, and of each read as large a
	// share as its pages were not in memory, those in flight among them.
	// GroupHits counts the reads all of whose pages were in memory. With pages
	// of 256 KiB and a latency of 20 ms it is that simulator's definition.
	GroupLoad float64
	GroupHits int64

	Seconds float64 // that the replay took, reading the trace excluded
}

// HitRatio is hits per page requested, 0 for an empty trace.
func (r BlockResult) HitRatio() float64 { return ratio(r.Hits, r.Pages) }

// ByteHitRatio is the share of the bytes requested that hits had.
func (r BlockResult) ByteHitRatio() float64 { return ratio(r.HitBytes, r.Bytes) }

// ReadHitRatio is hits per page read.
func (r BlockResult) ReadHitRatio() float64 { return ratio(r.ReadPages-r.ReadMisses, r.ReadPages) }

// GroupHitRatio is GroupHits per read.
func (r BlockResult) GroupHitRatio() float64 { return ratio(r.GroupHits, r.Reads) }

// Backend is all that the backend was asked for.
func (r BlockResult) Backend() Traffic {
	return Traffic{r.Read.Requests + r.Written.Requests, r.Read.Bytes + r.Written.Bytes}
}

// MeanDiskHead is disk-head seconds per second.
func (r BlockResult) MeanDiskHead() float64 {
	return perSecond(r.Backend().DiskHeadSeconds(), r.Duration)
}

// MeanBytes is bytes per second.
func (r BlockResult) MeanBytes() float64 { return perSecond(float64(r.Backend().Bytes), r.Duration) }

func perSecond(x, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return x / seconds
}

// Coverage is the share of the misses without the used prefetches that these
// saved, the effect of prefetches on what else is cached left out.
func (r BlockResult) Coverage() float64 { return ratio(r.PrefetchHits, r.PrefetchHits+r.ReadMisses) }

// Overhead is what the backend read beyond what was asked for, as a share of
// it; it is negative where the cache saves more than prefetches cost.
func (r BlockResult) Overhead() float64 {
	if r.ReadBytes == 0 {
		return 0
	}
	return float64(r.Read.Bytes-r.ReadBytes) / float64(r.ReadBytes)
}

// MeanWait is the seconds that a read waited for the backend on the average.
func (r BlockResult) MeanWait() float64 { return perSecond(r.Wait, float64(r.Reads)) }

// NanosPerRequest is the processor time that a request took.
func (r BlockResult) NanosPerRequest() float64 { return perSecond(r.Seconds*1e9, float64(r.Requests)) }

// ReplayBlocks sends a whole trace through a policy that is empty, and with it
// a prefetcher, which may be nil. An error is the context's.
func ReplayBlocks(ctx context.Context, t *BlockTrace, p Policy, pre prefetch.Prefetcher, b Backend, served *atomic.Int64) (BlockResult, error) {
	s := newBlockSim(t, p, pre, b)
	for from := 0; from < t.Len(); from += blockChunk {
		if ctx.Err() != nil {
			return BlockResult{}, context.Cause(ctx)
		}
		batch := t.requests[from:min(from+blockChunk, t.Len())]
		for i := range batch {
			s.serve(&batch[i])
		}
		if served != nil {
			served.Add(int64(len(batch)))
		}
	}
	return s.finish(), nil
}

// blockChunk is how many requests are replayed between looks at the context.
const blockChunk = 1 << 13

type blockSim struct {
	*fetcher
	count    BlockResult
	trace    *BlockTrace
	backend  Backend
	pageSize int64

	req     prefetch.Request
	flight  flight
	fetch   []uint64 // pages that this request has fetched, by asking or ahead
	asked   []uint64 // those it asked for
	flushed []uint64 // dirty pages that this request evicted

	began, windowEnd int64
	window           Traffic // in the current window
}

func newBlockSim(t *BlockTrace, p Policy, pre prefetch.Prefetcher, b Backend) *blockSim {
	if b.Window <= 0 {
		b.Window = 600e9
	}
	if c, ok := p.(clairvoyant); ok {
		c.Foresee(t.foresight(b.Writes))
	}
	s := &blockSim{
		fetcher: newFetcher(p, pre, true, b.Writes == WriteBack), trace: t, backend: b, pageSize: int64(t.PageSize),
		flight: flight{store: newStore(1<<62, 1)},
	}
	s.count.Size, s.count.PageSize = p.Capacity(), t.PageSize
	s.dropped = func(id uint64) { s.flushed = append(s.flushed, id) }
	s.lost = s.flight.ground
	s.fetching = func(k Key) bool { return s.flight.n > 0 && s.flight.lookup(k) != None }
	if t.Len() > 0 {
		s.began = t.requests[0].time
		s.windowEnd = s.began + b.Window
	}
	return s
}

// foresight is when each access to a page comes again, for the accesses that a
// policy is asked about.
func (t *BlockTrace) foresight(w WriteMode) []uint32 {
	if w == WriteAround {
		return t.nextRead()
	}
	return t.nextAccess()
}

func (s *blockSim) serve(r *blockRequest) {
	s.now = r.time
	if s.now >= s.windowEnd {
		s.closeWindow()
	}
	s.flight.land(s.now)
	s.fetch, s.asked, s.flushed = s.fetch[:0], s.asked[:0], s.flushed[:0]
	n := r.pages(s.trace.PageSize)
	s.count.Requests++
	s.count.Pages += int64(n)
	s.count.Bytes += int64(r.size)
	if r.write {
		s.write(r, n)
	} else {
		s.read(r, n)
	}
	if len(s.flushed) > 0 {
		slices.Sort(s.flushed)
		s.load(&s.count.Written, runs(s.flushed), int64(len(s.flushed))*s.pageSize)
	}
}

// bytesOf is how many bytes of page i of n the request asks for.
func (s *blockSim) bytesOf(r *blockRequest, i, n int) int64 {
	bytes := s.pageSize
	if i == 0 {
		bytes -= int64(r.skip)
	}
	if i == n-1 {
		bytes -= int64(n)*s.pageSize - int64(r.skip) - int64(r.size)
	}
	return bytes
}

func (s *blockSim) read(r *blockRequest, n int) {
	s.count.Reads++
	s.count.ReadPages += int64(n)
	s.count.ReadBytes += int64(r.size)
	if n > cap(s.req.Outcomes) {
		s.req.Outcomes, s.req.Marks = make([]prefetch.Outcome, 2*n), make([]prefetch.Mark, 2*n)
	}
	s.req.Now, s.req.First = s.now, r.first
	s.req.Next = r.first + (uint64(r.skip)+uint64(r.size))/uint64(s.pageSize)
	s.req.Outcomes, s.req.Marks = s.req.Outcomes[:n], s.req.Marks[:n]

	ready, landing := 0, s.now
	for i := range s.req.Outcomes {
		k := KeyOf(r.first + uint64(i))
		outcome := prefetch.Hit
		h := s.policy.Find(k)
		first := false
		if h != None {
			s.req.Marks[i], first = s.used(h)
		}
		if first {
			outcome = prefetch.Used
		}
		if at, ok := s.flight.landing(k); ok {
			landing = max(landing, at)
			s.count.Joined++
			outcome = prefetch.Joined
			if first {
				s.Late++
				outcome = prefetch.Late
			}
		} else if h == None {
			outcome = prefetch.Miss
		}
		if h == None {
			if outcome == prefetch.Miss {
				s.missed(k)
				s.asked = append(s.asked, k.ID)
			}
			s.forgetGhost(k)
			s.insert(k, 1, Demand, 0)
		}
		if outcome.Found() {
			s.count.Hits++
			s.count.HitBytes += s.bytesOf(r, i, n)
		} else {
			s.count.Misses++
		}
		if outcome == prefetch.Hit || outcome == prefetch.Used {
			ready++
		}
		s.req.Outcomes[i] = outcome
	}
	if len(s.asked) > 0 {
		s.count.ReadMisses += int64(len(s.asked))
		landing = s.now + s.backend.Latency
		for _, page := range s.asked {
			s.launch(KeyOf(page))
		}
		s.fetch = append(s.fetch, s.asked...)
	}
	s.count.Wait += float64(landing-s.now) / 1e9
	s.count.GroupLoad += float64(r.size) * float64(n-ready) / float64(n)
	if ready == n {
		s.count.GroupHits++
	}
	if s.prefetcher != nil {
		s.access(&s.req, onePage, s.launchAhead)
	}
	if len(s.fetch) == 0 {
		return
	}
	slices.Sort(s.fetch)
	all := runs(s.fetch)
	s.count.PrefetchRequests += all - runsWith(s.fetch, s.asked)
	s.load(&s.count.Read, all, int64(len(s.fetch))*s.pageSize)
}

func onePage(uint64) (uint32, bool) { return 1, true }

func (s *blockSim) launchAhead(k Key) {
	s.fetch = append(s.fetch, k.ID)
	s.count.GroupLoad += float64(s.pageSize)
	s.launch(k)
}

// launch puts a page in flight.
func (s *blockSim) launch(k Key) {
	if s.backend.Latency > 0 {
		s.flight.launch(k, s.now+s.backend.Latency)
	}
}

func (s *blockSim) write(r *blockRequest, n int) {
	for i := range n {
		k := KeyOf(r.first + uint64(i))
		s.flight.ground(k) // what is on its way is out of date
		var h Handle
		if s.backend.Writes == WriteAround {
			if h = s.policy.Peek(k); h != None {
				s.overwrite(k, h)
				s.policy.Remove(h)
				s.count.Hits++
				s.count.HitBytes += s.bytesOf(r, i, n)
			} else {
				s.count.Misses++
			}
			continue
		}
		if h = s.policy.Find(k); h != None {
			s.count.Hits++
			s.count.HitBytes += s.bytesOf(r, i, n)
			s.overwrite(k, h)
		} else {
			s.count.Misses++
			h = s.insert(k, 1, Demand, 0)
		}
		if s.backend.Writes == WriteBack && h != None {
			s.notes[h].dirty = true
		} else if s.backend.Writes == WriteBack {
			s.flushed = append(s.flushed, k.ID)
		}
	}
	if s.backend.Writes != WriteBack {
		s.load(&s.count.Written, 1, int64(r.size))
	}
}

// overwrite takes note that what was fetched ahead was not needed.
func (s *blockSim) overwrite(k Key, h Handle) {
	if s.prefetcher != nil && s.policy.Used(h) {
		s.waste(k.ID, s.notes[h].tag)
	}
}

func (s *blockSim) load(l *Traffic, requests, bytes int64) {
	l.add(requests, bytes)
	s.window.add(requests, bytes)
}

func (s *blockSim) closeWindow() {
	s.notePeak(float64(s.backend.Window) / 1e9)
	s.window = Traffic{}
	s.windowEnd += (s.now - s.windowEnd + s.backend.Window) / s.backend.Window * s.backend.Window
}

// notePeak takes the current window for one of so many seconds.
func (s *blockSim) notePeak(seconds float64) {
	if seconds <= 0 {
		return
	}
	s.count.PeakDiskHead = max(s.count.PeakDiskHead, s.window.DiskHeadSeconds()/seconds)
	s.count.PeakBytes = max(s.count.PeakBytes, float64(s.window.Bytes)/seconds)
}

func (s *blockSim) finish() BlockResult {
	s.count.Duration = float64(s.now-s.began) / 1e9
	if s.windowEnd == s.began+s.backend.Window {
		s.notePeak(s.count.Duration) // all of it is shorter than a window
	} else {
		s.notePeak(float64(s.backend.Window) / 1e9)
	}
	if s.backend.Writes == WriteBack {
		s.policy.base().eachResident(func(h Handle) {
			if s.notes[h].dirty {
				s.count.Dirty++
			}
		})
	}
	r := s.count
	r.Prefetching = s.fetcher.finish()
	return r
}

// runs is how many runs of consecutive pages there are in a sorted list.
func runs(pages []uint64) int64 {
	n := int64(0)
	for i, p := range pages {
		if i == 0 || p != pages[i-1]+1 {
			n++
		}
	}
	return n
}

// runsWith is how many of the runs in pages hold one of some, which are among
// them. Both are sorted.
func runsWith(pages, some []uint64) int64 {
	n, j, counted := int64(0), 0, false
	for i, p := range pages {
		if i == 0 || p != pages[i-1]+1 {
			counted = false
		}
		if j < len(some) && some[j] == p {
			j++
			if !counted {
				n, counted = n+1, true
			}
		}
	}
	return n
}

// flight is the pages that the backend is about to deliver, the earliest at the
// old end of a list: every request takes as long.
type flight struct {
	store
	n  int
	at []int64 // by handle: when it lands
}

func (f *flight) launch(k Key, at int64) {
	h := f.add(k, 1, Demand)
	f.pushHead(1, h)
	for int(h) >= len(f.at) {
		f.at = append(f.at, make([]int64, cap(f.nodes)-len(f.at))...)
	}
	f.at[h] = at
	f.n++
}

// land lets go of what has arrived by now.
func (f *flight) land(now int64) {
	for f.n > 0 {
		h := f.oldest(1)
		if f.at[h] > now {
			return
		}
		f.leave(h)
	}
}

// ground takes a page out of flight.
func (f *flight) ground(k Key) {
	if f.n == 0 {
		return
	}
	if h := f.lookup(k); h != None {
		f.leave(h)
	}
}

func (f *flight) leave(h Handle) {
	f.unlink(h)
	f.forget(h)
	f.n--
}

// landing says when a page lands, if it is in flight.
func (f *flight) landing(k Key) (at int64, ok bool) {
	if f.n == 0 {
		return 0, false
	}
	h := f.lookup(k)
	if h == None {
		return 0, false
	}
	return f.at[h], true
}

// eachResident calls f for every resident object.
func (s *store) eachResident(f func(Handle)) {
	for h := range s.nodes {
		if s.nodes[h].flag&(flagKnown|flagGhost) == flagKnown {
			f(Handle(h))
		}
	}
}
