package cache

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/policies/cache/prefetch"
	"reprise/traces"
)

const page = 4096

// requestReader hands out requests from memory.
type requestReader []traces.Request

func (r *requestReader) Read(dst []traces.Request) (int, error) {
	n := copy(dst, *r)
	*r = (*r)[n:]
	if len(*r) == 0 {
		return n, io.EOF
	}
	return n, nil
}

func blockTrace(t testing.TB, requests []traces.Request) *BlockTrace {
	reader := requestReader(slices.Clone(requests))
	trace, err := LoadBlocks(context.Background(), &reader, BlockOptions{})
	require.NoError(t, err)
	return trace
}

// ops writes a trace as words: "r10+4@5" reads four pages from page 10 on at
// 5 ms, "w" writes.
func ops(words string) []traces.Request {
	var requests []traces.Request
	for word := range strings.FieldsSeq(words) {
		var op byte
		var first, n uint64
		var ms int64
		if _, err := fmt.Sscanf(word, "%c%d+%d@%d", &op, &first, &n, &ms); err != nil {
			panic(word)
		}
		r := traces.Request{Time: ms * 1e6, Offset: first * page, Size: uint32(n * page)}
		if op == 'w' {
			r.Op = traces.Write
		}
		requests = append(requests, r)
	}
	return requests
}

func replayBlocks(t testing.TB, trace *BlockTrace, policy, pre string, size int64, b Backend) BlockResult {
	p := choice(t, policy).New(size, 1)
	r, err := ReplayBlocks(context.Background(), trace, p, prefetcher(t, pre).New(size, int64(trace.PageSize), 1), b, nil)
	require.NoError(t, err)
	require.LessOrEqual(t, p.Occupied(), max(size, 0))
	return r
}

// scripted fetches what it is told to by the first page of a request.
type scripted map[uint64][]prefetch.Want

func (s scripted) Access(r *prefetch.Request, p *prefetch.Plan) {
	for _, w := range s[r.First] {
		p.Prefetch(w.Page, int(w.N), w.Tag)
	}
}
func (scripted) Bytes() int { return 0 }

func replayScript(t testing.TB, words string, size int64, s scripted, b Backend) BlockResult {
	r, err := ReplayBlocks(context.Background(), blockTrace(t, ops(words)), choice(t, "lru").New(size, 0), s, b, nil)
	require.NoError(t, err)
	return r
}

func TestBlockMerging(t *testing.T) {
	script := scripted{10: {{Page: 14, N: 2}, {Page: 12, N: 3}, {Page: 30, N: 2}, {Page: 9, N: 1}}}
	r := replayScript(t, "r12+1@0 r10+4@1", 100, script, Backend{})
	// First 12 alone. Then 9, 10, 11 are adjacent, 12 is there, 13, 14, 15 are
	// adjacent, and 30, 31 go on their own.
	require.EqualValues(t, 4, r.Read.Requests)
	require.EqualValues(t, 1, r.PrefetchRequests)
	require.EqualValues(t, 5, r.Prefetched)
	require.EqualValues(t, 4, r.ReadMisses)
	require.EqualValues(t, 9*page, r.Read.Bytes)
	require.EqualValues(t, 1, r.Hits)
	require.InDelta(t, 4*0.0115+9*4096/(143*1024*1024.0), r.Read.DiskHeadSeconds(), 1e-12)
}

func TestBlockLatency(t *testing.T) {
	script := scripted{10: {{Page: 20, N: 2}}}
	r := replayScript(t, "r10+1@0 r10+1@5 r20+1@8 r20+1@9 r21+1@10 r21+1@11 r10+1@30", 100, script, Backend{Latency: 10e6})
	require.EqualValues(t, 1, r.Misses)
	require.EqualValues(t, 6, r.Hits)
	require.EqualValues(t, 3, r.Joined) // 10 at 5, 20 at 8 and at 9; at 10 all have landed
	require.EqualValues(t, 2, r.PrefetchHits)
	require.EqualValues(t, 1, r.Late)
	require.InDelta(t, 0.010+0.005+0.002+0.001, r.Wait, 1e-12)
	// What the group counts: 2 pages prefetched, 4 of 7 reads not in memory.
	require.InDelta(t, 6*page, r.GroupLoad, 1e-9)
	require.EqualValues(t, 3, r.GroupHits)
}

// A page that is evicted in flight is not fetched twice.
func TestBlockEvictedInFlight(t *testing.T) {
	r := replayScript(t, "r10+1@0 r20+1@1 r10+1@2 r10+1@30 r20+1@31", 1, nil, Backend{Latency: 10e6})
	require.EqualValues(t, 3, r.ReadMisses)
	require.EqualValues(t, 1, r.Joined)
	r = replayScript(t, "r10+1@0 r10+1@1 r10+1@20", 0, nil, Backend{Latency: 10e6})
	require.EqualValues(t, 2, r.ReadMisses)
	require.EqualValues(t, 1, r.Joined)
}

// But a prefetched one that nobody waits for is lost.
func TestBlockPrefetchLostInFlight(t *testing.T) {
	script := scripted{10: {{Page: 20, N: 1}}}
	r := replayScript(t, "r10+1@0 r30+1@1 r20+1@2", 1, script, Backend{Latency: 10e6})
	require.EqualValues(t, 3, r.ReadMisses)
	require.EqualValues(t, 0, r.Joined)
	require.EqualValues(t, 1, r.TooEarly)
}

func TestBlockFeedback(t *testing.T) {
	// A cache of three. 1, 2, 3 are displaced by 50 to 52 when 3 is read anew.
	script := scripted{4: {{Page: 50, N: 3, Tag: 9}}}
	r := replayScript(t, "r1+1@0 r2+1@0 r4+1@0 r1+1@1 r60+3@2 r50+1@3", 3, script, Backend{})
	require.EqualValues(t, 3, r.Prefetched)
	require.EqualValues(t, 1, r.Polluted) // 1, displaced
	require.EqualValues(t, 3, r.Wasted)   // 50 by 1, 51 and 52 by 60 to 62
	require.EqualValues(t, 1, r.TooEarly)
	require.EqualValues(t, 0, r.PrefetchHits)
}

// recorder takes down what it is told.
type recorder struct {
	scripted
	events []prefetch.Event
	marks  []prefetch.Mark
}

func (r *recorder) Event(e prefetch.Event) { r.events = append(r.events, e) }
func (r *recorder) Access(q *prefetch.Request, p *prefetch.Plan) {
	r.scripted.Access(q, p)
	for i, o := range q.Outcomes {
		if o.First() {
			r.marks = append(r.marks, q.Marks[i])
		}
	}
}

func TestBlockEvents(t *testing.T) {
	rec := &recorder{scripted: scripted{4: {{Page: 50, N: 2, Tag: 9}}}}
	trace := blockTrace(t, ops("r1+1@0 r2+1@0 r4+1@1 r50+1@2 r1+1@3 r70+2@4 r51+1@5"))
	_, err := ReplayBlocks(context.Background(), trace, choice(t, "lru").New(3, 0), rec, Backend{}, nil)
	require.NoError(t, err)
	require.Equal(t, []prefetch.Event{
		{Kind: prefetch.Displaced, Page: 1, Now: 1e6},
		{Kind: prefetch.Fetched, Page: 50, Tag: 9, Now: 1e6},
		{Kind: prefetch.Displaced, Page: 2, Now: 1e6},
		{Kind: prefetch.Fetched, Page: 51, Tag: 9, Now: 1e6},
		{Kind: prefetch.Polluted, Page: 1, Now: 3e6},
		{Kind: prefetch.Wasted, Page: 51, Tag: 9, Now: 4e6},
		{Kind: prefetch.TooEarly, Page: 51, Now: 5e6},
	}, rec.events)
	require.Equal(t, []prefetch.Mark{{Tag: 9, Age: 1}}, rec.marks) // 51 came in since
}

func TestBlockWrites(t *testing.T) {
	words := "w10+4@0 r10+2@1 w10+1@2 r80+3@3"
	through := replayScript(t, words, 4, nil, Backend{Writes: WriteThrough})
	require.Equal(t, Traffic{2, 5 * page}, through.Written)
	require.Equal(t, Traffic{1, 3 * page}, through.Read)
	require.EqualValues(t, 3, through.Hits)

	back := replayScript(t, words, 4, nil, Backend{Writes: WriteBack})
	require.Equal(t, Traffic{1, 3 * page}, back.Written) // 11, 12, 13 leave together
	require.EqualValues(t, 1, back.Dirty)

	around := replayScript(t, words, 4, nil, Backend{Writes: WriteAround})
	require.Equal(t, Traffic{2, 5 * page}, around.Written)
	require.Equal(t, Traffic{2, 5 * page}, around.Read)
	require.EqualValues(t, 1, around.Hits) // the second write's, which drops it

	// No room at all: what is written goes to the backend at once.
	require.Equal(t, Traffic{2, 5 * page}, replayScript(t, words, 0, nil, Backend{Writes: WriteBack}).Written)
}

func TestBlockOverwrittenPrefetch(t *testing.T) {
	script := scripted{10: {{Page: 20, N: 2}}}
	for _, mode := range []WriteMode{WriteThrough, WriteBack, WriteAround} {
		r := replayScript(t, "r10+1@0 w20+1@1 r20+1@2", 9, script, Backend{Writes: mode, Latency: 10e6})
		require.EqualValues(t, 2, r.Prefetched)
		require.EqualValues(t, 0, r.PrefetchHits, mode)
		require.EqualValues(t, 1, r.Wasted, mode)
		require.EqualValues(t, 0, r.Joined, mode) // what is on its way is out of date
	}
}

func TestBlockBytes(t *testing.T) {
	r, err := ReplayBlocks(context.Background(), blockTrace(t, []traces.Request{
		{Offset: 4096 + 1000, Size: 100},
		{Offset: 1000, Size: 3*4096 - 1000 + 5},
		{Offset: 4095, Size: 2},
		{Size: 0}, {Size: 100, Op: traces.Trim},
	}), choice(t, "lru").New(100, 0), nil, Backend{}, nil)
	require.NoError(t, err)
	require.EqualValues(t, 3, r.Requests)
	require.EqualValues(t, 1+4+2, r.Pages)
	require.EqualValues(t, 1+2, r.Hits)
	require.EqualValues(t, 4096+2, r.HitBytes)
	require.EqualValues(t, 100+3*4096-1000+5+2, r.Bytes)
	require.EqualValues(t, 4*4096, r.Read.Bytes)
	require.EqualValues(t, 1+2, r.Read.Requests) // 1; then 0 and 2 to 3
}

func TestBlockPeak(t *testing.T) {
	// 10 s of windows: two reads in the first, none in the second, one in the
	// third.
	r := replayScript(t, "r1+1@0 r5+1@9999 r9+2@25000", 9, nil, Backend{Window: 10e9})
	require.InDelta(t, 25, r.Duration, 1e-9)
	require.InDelta(t, 2*page/10., r.PeakBytes, 1e-9)
	require.InDelta(t, r.Backend().DiskHeadSeconds()/25, r.MeanDiskHead(), 1e-9)
	require.Greater(t, r.PeakDiskHead, r.MeanDiskHead())
	// Shorter than a window, peak and mean are one.
	r = replayScript(t, "r1+1@0 r5+1@9999 r9+2@25000", 9, nil, Backend{})
	require.InDelta(t, r.MeanBytes(), r.PeakBytes, 1e-9)
}

// Volumes are apart, and untimed traces can be given a time.
func TestLoadBlocks(t *testing.T) {
	reader := &requestReader{{Offset: 0, Size: 1, Volume: 1}, {Offset: 8192, Size: 8192, Volume: 2}, {Time: -5, Offset: 8192, Size: 8192, Volume: 2}}
	var read atomic.Int64
	trace, err := LoadBlocks(context.Background(), reader, BlockOptions{PageSize: 8192, Interval: 7, Read: &read})
	require.NoError(t, err)
	require.Equal(t, []blockRequest{{0, 1 << 48, 1, 0, false}, {7, 2<<48 | 1, 8192, 0, false}, {14, 2<<48 | 1, 8192, 0, false}}, trace.requests)
	require.EqualValues(t, 3, read.Load())
	require.EqualValues(t, 2, trace.Footprint())
	sizes, err := ParseSizes("50%,16KiB,3")
	require.NoError(t, err)
	require.EqualValues(t, 1, sizes[0].Pages(trace))
	require.EqualValues(t, 2, sizes[1].Pages(trace))
	require.EqualValues(t, 3, sizes[2].Pages(trace))

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = LoadBlocks(ctx, &requestReader{{}}, BlockOptions{})
	require.ErrorIs(t, err, context.Canceled)
	_, err = ReplayBlocks(ctx, trace, choice(t, "lru").New(3, 0), nil, Backend{}, nil)
	require.ErrorIs(t, err, context.Canceled)
}

// randomBlocks mixes sequential streams, loops and random requests on two
// volumes.
func randomBlocks(rng *rand.Rand, n int, writes float64) []traces.Request {
	requests := make([]traces.Request, n)
	var heads [3]uint64
	pages := 20 + rng.Uint64N(2000)
	now := int64(0)
	for i := range requests {
		r := &requests[i]
		now += rng.Int64N(4e6)
		r.Time = now
		r.Size = uint32(1 + rng.Uint64N(6*page))
		switch rng.IntN(4) {
		case 0:
			r.Offset = rng.Uint64N(pages * page)
		case 1:
			r.Offset = uint64(i) * 3 % pages * page
		default:
			h := &heads[rng.IntN(3)]
			if rng.IntN(50) == 0 {
				*h = rng.Uint64N(pages*4) * page
			}
			r.Offset = *h
			r.Size = uint32(1+rng.Uint64N(4)) * page
			*h += uint64(r.Size)
		}
		r.Volume = uint16(rng.IntN(2)) * 9
		if rng.Float64() < writes {
			r.Op = traces.Write
		}
	}
	return requests
}

// consistent checks what must hold between the counters.
func consistent(t *testing.T, r BlockResult, b Backend, what string) {
	t.Helper()
	require.Equal(t, r.Pages, r.Hits+r.Misses, what)
	require.LessOrEqual(t, r.PrefetchHits+r.Wasted, r.Prefetched, what)
	require.LessOrEqual(t, r.Prefetched-r.PrefetchHits-r.Wasted, max(r.Size, 0), what)
	require.LessOrEqual(t, r.Late, r.PrefetchHits, what)
	require.LessOrEqual(t, r.Late, r.Joined, what)
	require.LessOrEqual(t, r.Polluted+r.TooEarly, r.ReadMisses, what)
	require.LessOrEqual(t, r.TooEarly, r.Wasted, what)
	require.Equal(t, (r.ReadMisses+r.Prefetched)*int64(r.PageSize), r.Read.Bytes, what)
	require.LessOrEqual(t, r.Read.Requests, r.ReadMisses+r.Prefetched, what)
	require.LessOrEqual(t, r.PrefetchRequests, r.Read.Requests, what)
	require.LessOrEqual(t, r.HitBytes, r.Bytes, what)
	if b.Writes == WriteBack {
		require.Zero(t, r.Written.Bytes%int64(r.PageSize), what)
	} else {
		require.Equal(t, r.Bytes-r.ReadBytes, r.Written.Bytes, what)
		require.Equal(t, r.Requests-r.Reads, r.Written.Requests, what)
	}
	require.LessOrEqual(t, r.GroupHits, r.Reads, what)
	require.LessOrEqual(t, r.GroupLoad, float64(r.ReadBytes)+float64(r.Prefetched)*float64(r.PageSize)+1e-6, what)
}

// Every prefetcher with every policy, at the sizes where things go wrong.
func TestBlockEveryPair(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, spec := range Policies() {
		for _, pre := range prefetch.All() {
			trace := blockTrace(t, randomBlocks(rng, 400, 0.3))
			for _, size := range []int64{0, 1, 2, 5, 33, 200, 2 * trace.Footprint()} {
				b := Backend{Latency: []int64{0, 1e6, 50e6}[rng.IntN(3)], Writes: WriteMode(rng.IntN(3))}
				r := replayBlocks(t, trace, spec.Name, pre.Name, size, b)
				what := fmt.Sprintf("%s and %s of %d, writes %s, latency %d", spec.Name, pre.Name, size, b.Writes, b.Latency)
				consistent(t, r, b, what)
				again := replayBlocks(t, trace, spec.Name, pre.Name, size, b)
				require.Equal(t, r, again, what)
			}
		}
	}
}

// Every prefetcher with every policy, in object mode.
func TestObjectEveryPair(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for _, spec := range Policies() {
		for _, pre := range prefetch.All() {
			trace := randomTrace(rng, 500, rng.IntN(2) == 0)
			for _, size := range []int64{0, 1, 2, 7, 60, 3 * trace.Footprint().Bytes} {
				p := choice(t, spec.Name).New(size, 1)
				r, err := ReplayPrefetch(context.Background(), trace, p, prefetcher(t, pre.Name).New(size, 4096, 1), nil)
				require.NoError(t, err)
				require.LessOrEqual(t, p.Occupied(), size)
				require.LessOrEqual(t, r.PrefetchHits+r.Wasted, r.Prefetched, "%s and %s of %d", spec.Name, pre.Name, size)
			}
		}
	}
}

// Without prefetcher and latency it is a cache of pages.
func TestBlockWithoutPrefetcher(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 2))
	for range 5 {
		requests := randomBlocks(rng, 3000, 0.3)
		reader := requestReader(slices.Clone(requests))
		pages, err := Load(context.Background(), &reader, LoadOptions{IgnoreSizes: true, PageSize: page})
		require.NoError(t, err)
		trace := blockTrace(t, requests)
		require.EqualValues(t, pages.Len(), trace.Pages)
		require.Equal(t, pages.Footprint().Objects, trace.Footprint())
		for _, spec := range Policies() {
			for _, mode := range []WriteMode{WriteThrough, WriteBack} {
				require.Equal(t, run(t, pages, spec.Name, 100, 1), replayBlocks(t, trace, spec.Name, "none", 100, Backend{Writes: mode}).Misses, spec.Name)
			}
		}
	}
}

// slowBlocks is block mode once more, for LRU and a script, with lists that are
// searched from end to end.
func slowBlocks(requests []traces.Request, size int, script scripted, b Backend) (r BlockResult) {
	type slot struct {
		page          uint64
		unused, dirty bool
	}
	var lru []slot // the oldest first
	flight := map[uint64]int64{}
	find := func(page uint64) int { return slices.IndexFunc(lru, func(s slot) bool { return s.page == page }) }
	var flushed []uint64
	add := func(s slot) bool {
		if size == 0 {
			return false
		}
		if len(lru) == size {
			if lru[0].unused {
				r.Wasted++
				delete(flight, lru[0].page)
			}
			if lru[0].dirty {
				flushed = append(flushed, lru[0].page)
			}
			lru = lru[1:]
		}
		lru = append(slices.Clone(lru), s)
		return true
	}
	count := func(l *Traffic, pages []uint64) {
		slices.Sort(pages)
		for i, p := range pages {
			if i == 0 || pages[i-1]+1 != p {
				l.Requests++
			}
			l.Bytes += page
		}
	}
	for _, q := range requests {
		flushed = nil
		for p, at := range flight {
			if at <= q.Time {
				delete(flight, p)
			}
		}
		var fetch []uint64
		first, last := q.Offset/page, (q.Offset+uint64(q.Size)-1)/page
		for n := first; n <= last; n++ {
			p := uint64(q.Volume)<<48 | n
			r.Pages++
			at := find(p)
			if q.Op == traces.Write {
				if at >= 0 {
					r.Hits++
					s := lru[at]
					if s.unused {
						r.Wasted++
					}
					lru = slices.Delete(slices.Clone(lru), at, at+1)
					if b.Writes != WriteAround {
						lru = append(lru, slot{p, false, s.dirty || b.Writes == WriteBack})
					}
				} else {
					r.Misses++
					if b.Writes != WriteAround && !add(slot{p, false, b.Writes == WriteBack}) && b.Writes == WriteBack {
						flushed = append(flushed, p)
					}
				}
				delete(flight, p)
				continue
			}
			_, flying := flight[p]
			if flying {
				r.Joined++
			}
			switch {
			case at >= 0:
				if lru[at].unused {
					r.PrefetchHits++
					if flying {
						r.Late++
					}
				}
				s := lru[at]
				lru = append(slices.Delete(slices.Clone(lru), at, at+1), slot{s.page, false, s.dirty})
				r.Hits++
			case flying:
				add(slot{p, false, false})
				r.Hits++
			default:
				r.Misses++
				r.ReadMisses++
				fetch = append(fetch, p)
				add(slot{p, false, false})
			}
		}
		if q.Op == traces.Write {
			if b.Writes != WriteBack {
				r.Written.add(1, int64(q.Size))
			}
		} else {
			for _, p := range fetch {
				flight[p] = q.Time + b.Latency
			}
			for _, w := range script[uint64(q.Volume)<<48|first] {
				for p := w.Page; p < w.Page+uint64(w.N); p++ {
					at, flying := flight[p]
					if find(p) >= 0 || flying && at > q.Time || !add(slot{p, true, false}) {
						continue
					}
					r.Prefetched++
					fetch = append(fetch, p)
					flight[p] = q.Time + b.Latency
				}
			}
			count(&r.Read, fetch)
		}
		count(&r.Written, flushed)
	}
	return r
}

func TestBlockAgainstSlow(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	for round := range 60 {
		requests := randomBlocks(rng, 400, 0.25)
		for i := range requests {
			requests[i].Volume = 0 // the script's runs may not cross volumes
		}
		script := scripted{}
		size := rng.IntN(120)
		for _, q := range requests {
			if left := size; rng.IntN(3) == 0 {
				for range 1 + rng.IntN(3) {
					n := 1 + rng.IntN(8)
					if left -= n; left < 0 { // a plan asks for no more than fits
						break
					}
					first := q.Offset / page
					script[first] = append(script[first], prefetch.Want{Page: first + rng.Uint64N(40), N: uint32(n)})
				}
			}
		}
		for first, wants := range script { // a first page drawn twice may ask for too much
			total := 0
			for i, w := range wants {
				if total += int(w.N); total > size {
					script[first] = wants[:i]
					break
				}
			}
		}
		b := Backend{Latency: []int64{0, 3e6, 40e6}[round%3], Writes: WriteMode(rng.IntN(3))}
		want := slowBlocks(requests, size, script, b)
		got, err := ReplayBlocks(context.Background(), blockTrace(t, requests), choice(t, "lru").New(int64(size), 0), script, b, nil)
		require.NoError(t, err)
		got = BlockResult{
			Pages: got.Pages, Hits: got.Hits, Misses: got.Misses, ReadMisses: got.ReadMisses, Joined: got.Joined, Read: got.Read, Written: got.Written,
			Prefetching: Prefetching{Prefetched: got.Prefetched, PrefetchHits: got.PrefetchHits, Late: got.Late, Wasted: got.Wasted},
		}
		require.Equal(t, want, got, "round %d: size %d, writes %s, latency %d", round, size, b.Writes, b.Latency)
	}
}

// Results come in the order of the jobs, whatever the workers.
func TestBlockSweep(t *testing.T) {
	trace := blockTrace(t, randomBlocks(rand.New(rand.NewPCG(5, 2)), 2000, 0.3))
	var jobs []Job
	for _, policy := range []string{"lru", "sieve", "belady"} {
		for _, pre := range []string{"none", "readahead", "amp:max=16"} {
			jobs = append(jobs, Job{Choice: choice(t, policy), Prefetch: prefetcher(t, pre), Size: 50})
		}
	}
	sweep := func(workers int) (results []BlockResult) {
		var served atomic.Int64
		s := Sweep{Workers: workers, Now: func() time.Time { return time.Time{} }, Served: &served}
		require.NoError(t, s.RunBlocks(context.Background(), trace, Backend{Latency: 1e6}, jobs, func(r BlockResult) error {
			results = append(results, r)
			return nil
		}))
		require.EqualValues(t, len(jobs)*trace.Len(), served.Load())
		return results
	}
	one := sweep(1)
	require.Equal(t, one, sweep(3))
	require.Equal(t, "amp:max=16", one[2].Prefetch)
	require.Equal(t, "sieve", one[3].Policy)
	require.Zero(t, one[7].Prefetched) // Belady's takes none
}

func TestBlockNoAllocationPerRequest(t *testing.T) {
	trace := blockTrace(t, randomBlocks(rand.New(rand.NewPCG(6, 2)), 20000, 0.3))
	for _, pre := range prefetch.All() {
		for _, mode := range []WriteMode{WriteThrough, WriteBack} {
			s := newBlockSim(trace, choice(t, "lru").New(500, 0), prefetcher(t, pre.Name).New(500, page, 0), Backend{Latency: 5e6, Writes: mode})
			serve := func() {
				for i := range trace.requests {
					s.serve(&trace.requests[i])
				}
			}
			serve() // tables grow
			require.Less(t, testing.AllocsPerRun(1, serve), 40., "%s, %s", pre.Name, mode)
		}
	}
}

func BenchmarkBlocks(b *testing.B) {
	trace := blockTrace(b, randomBlocks(rand.New(rand.NewPCG(7, 2)), 200_000, 0.3))
	for _, pre := range prefetch.All() {
		b.Run(pre.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				replayBlocks(b, trace, "lru", pre.Name, 1000, Backend{Latency: 5e6})
			}
			b.ReportMetric(float64(trace.Len())*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mreq/s")
			b.ReportMetric(float64(trace.Pages)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mpages/s")
		})
	}
}
