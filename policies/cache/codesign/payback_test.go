package codesign

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/policies/cache"
	"reprise/policies/cache/prefetch"
	"reprise/traces"
)

// read shows a cache a read of pages [first, end), as the harness does, and
// gives what it was asked to fetch.
func read(x *Payback, plan *prefetch.Plan, first, end uint64) []prefetch.Want {
	r := prefetch.Request{First: first}
	for p := first; p < end; p++ {
		o, mark := prefetch.Hit, prefetch.Mark{}
		if h := x.Find(cache.KeyOf(p)); h == cache.None {
			o = prefetch.Miss
			x.Insert(cache.KeyOf(p), 1, cache.Demand)
		} else if x.Used(h) {
			o = prefetch.Used
		}
		r.Outcomes, r.Marks = append(r.Outcomes, o), append(r.Marks, mark)
	}
	plan.Reset(first)
	x.Access(&r, plan)
	for _, w := range plan.Wants() {
		for p := w.Page; p < w.Page+uint64(w.N); p++ {
			if x.Peek(cache.KeyOf(p)) == cache.None {
				x.Insert(cache.KeyOf(p), 1, cache.Prefetched)
			}
		}
	}
	return plan.Wants()
}

func newPlan(x *Payback) *prefetch.Plan {
	return prefetch.NewPlan(x.Capacity(), 1<<16, true, func(p uint64) bool { return x.Peek(cache.KeyOf(p)) != cache.None })
}

// TestStream follows a stream of reads of four pages in a cache of 1024. The
// priors say 1/4, 1/2, 3/4 for ages 0, 1, 2 and on, each worth eight trials,
// and a stream counts as dead until it goes on.
func TestStream(t *testing.T) {
	o := Defaults()
	o.RequestCost, o.Least, o.Alone = 12, 0.2, 0.5
	x := New(1024, cache.DefaultPageSize, o)
	plan := newPlan(x)

	// Age 0: one trial more makes 2/9. The miss has gained four pages for
	// 12 + 4, so 2/9 · 16 < 4 and it stops.
	require.Empty(t, read(x, plan, 100, 104))

	// Age 1: now 4/9, from the coarse estimate 4/9 that eight trials of prior
	// lend to none but one dead of its own: 8·4/9 / 9 = 0.395. 0.395·16 > 4,
	// so the next four are fetched. To age 3: 0.395 · 0.75 = 0.296, and
	// 0.296·20 = 5.9 > 4 + 4·0.395 = 5.58, so four more. Then 0.222·24 = 5.33,
	// and 5.58 + 4·0.296 = 6.77 is more: it stops.
	wants := read(x, plan, 104, 108)
	require.Equal(t, []prefetch.Want{{Page: 108, N: 8, Tag: wants[0].Tag}}, wants)
	require.Equal(t, 8, x.Count(waiting))
	require.EqualValues(t, 8, x.streams.owed)

	// The pages are used and done with; four are ahead, which is no more than
	// the lead of one request, but a request for them alone takes one half.
	read(x, plan, 108, 112)
	require.Equal(t, 4, x.Count(done), "used by the stream")
	require.EqualValues(t, 2, x.streams.all[1].age)
}

// TestUnits checks that it is bytes that are fetched ahead: as many for pages of
// any size, of streams whose requests are pages and more.
func TestUnits(t *testing.T) {
	const request, cached = 256 << 10, 1 << 30
	ahead := func(page int64) (bytes []int64) {
		x := New(cached/page, page, Defaults())
		plan := newPlan(x)
		n := uint64(request / page)
		for i := range uint64(50) {
			sum := 0
			for _, w := range read(x, plan, i*n, (i+1)*n) {
				sum += int(w.N)
			}
			bytes = append(bytes, int64(sum)*page)
		}
		return bytes
	}
	want := ahead(cache.DefaultPageSize)
	require.Greater(t, slices.Max(want), int64(request))
	for _, page := range []int64{1 << 10, 64 << 10, 256 << 10} {
		require.Equal(t, want, ahead(page), "pages of %d bytes", page)
	}
}

// TestWithinPage checks that many requests for one page do not pass for a
// stream that moves on by a page with each.
func TestWithinPage(t *testing.T) {
	const page = 256 << 10
	x := New(1024, page, Defaults())
	plan := newPlan(x)
	fetched := 0
	const last = 20
	for p := range uint64(last) {
		for range page / (8 << 10) {
			for _, w := range read(x, plan, p, p+1) {
				fetched = int(w.Page) + int(w.N)
			}
		}
	}
	require.Greater(t, fetched, last, "the stream is followed")
	require.LessOrEqual(t, fetched, last+2, "its requests move on by a thirty-second of a page")
}

// TestExpected checks that waiting pages of a stream that has ceased are let go
// before others, and that this is what the arrow does.
func TestExpected(t *testing.T) {
	for _, off := range []Feedback{0, Expected} {
		o := Defaults()
		o.Off = off
		x := New(256, cache.DefaultPageSize, o)
		plan := newPlan(x)
		for p := uint64(0); p < 40; p += 4 {
			read(x, plan, p, p+4)
		}
		waits := x.Count(waiting)
		require.Positive(t, waits)
		for p := uint64(1 << 20); p < 1<<20+64*5000; p += 64 {
			read(x, plan, p, p+1)
		}
		if off == 0 {
			require.Zero(t, x.Count(waiting))
		} else {
			require.GreaterOrEqual(t, x.Count(waiting), waits)
		}
	}
}

// TestReused checks that a page prefetched again is kept once it is used.
func TestReused(t *testing.T) {
	for off, want := range map[Feedback]uint8{0: main, Reused: done} {
		o := Defaults()
		o.Off = off
		x := New(16, cache.DefaultPageSize, o)
		k := cache.KeyOf(7)
		x.Insert(k, 1, cache.Demand)
		for p := uint64(100); x.Peek(k) != cache.None; p++ {
			x.Insert(cache.KeyOf(p), 1, cache.Demand)
		}
		x.Insert(k, 1, cache.Prefetched)
		require.Equal(t, want, x.Queue(x.Find(k)))
	}
}

// TestTrust checks that waste lowers what a class is believed, and use raises it.
func TestTrust(t *testing.T) {
	x := New(64, cache.DefaultPageSize, Defaults())
	note := uint16(8)<<levelAt | uint16(3)<<classAt
	for range 100 {
		x.resolve(note, 0)
	}
	c := x.survival.trust[3]
	require.Less(t, c.yes/c.all, float32(0.2))
	for range 2000 {
		x.resolve(note, 1)
	}
	c = x.survival.trust[3]
	require.Greater(t, c.yes/c.all, float32(1.2))
}

func mixed(t testing.TB, n int) *cache.BlockTrace { return workload(t, "cloudphysics-vm", n) }

func workload(t testing.TB, profile string, n int) *cache.BlockTrace {
	s, err := traces.Open(fmt.Sprintf("profile:%s?n=%d&seed=3", profile, n), traces.Options{})
	require.NoError(t, err)
	b, err := cache.LoadBlocks(context.Background(), s, cache.BlockOptions{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	return b
}

func replay(t testing.TB, trace *cache.BlockTrace, capacity int64, o Options) cache.BlockResult {
	x := New(capacity, cache.DefaultPageSize, o)
	r, err := cache.ReplayBlocks(context.Background(), trace, x, x, cache.Backend{Latency: cache.DefaultLatency}, nil)
	require.NoError(t, err)
	require.LessOrEqual(t, x.Occupied(), capacity)
	return r
}

// TestReplay checks the accounts of whole replays, in caches down to none.
func TestReplay(t *testing.T) {
	trace := mixed(t, 5000)
	for _, capacity := range []int64{0, 1, 2, 17, 500, 1 << 20} {
		r := replay(t, trace, capacity, Defaults())
		require.Equal(t, r.Pages, r.Hits+r.Misses)
		require.LessOrEqual(t, r.PrefetchHits+r.Wasted, r.Prefetched)
		require.Equal(t, r, replay(t, trace, capacity, Defaults()), "deterministic")
	}
}

// TestArrows checks that each arrow matters to some workload.
func TestArrows(t *testing.T) {
	loads := []*cache.BlockTrace{mixed(t, 10_000), workload(t, "db-scan", 40_000)}
	var full []cache.BlockResult
	for _, l := range loads {
		full = append(full, replay(t, l, 500, Defaults()))
	}
	for _, arrow := range Arrows() {
		o, err := ParseOptions("no-" + arrow)
		require.NoError(t, err)
		var without []cache.BlockResult
		for _, l := range loads {
			without = append(without, replay(t, l, 500, o))
		}
		require.NotEqual(t, full, without, arrow)
	}
}

// TestInvariants drives the cache with random calls and looks inside.
func TestInvariants(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		capacity := int64(1 + rng.IntN(400))
		o := Defaults()
		o.Off = Feedback(rng.IntN(1 << len(arrows)))
		x := New(capacity, cache.DefaultPageSize, o)
		plan := newPlan(x)
		at := uint64(1000)
		for range 4000 {
			switch rng.IntN(6) {
			case 0:
				at = rng.Uint64N(3000)
			case 1:
				if h := x.Peek(cache.KeyOf(at)); h != cache.None {
					if rng.IntN(2) == 0 {
						x.Remove(h)
					} else {
						x.Demote(h)
					}
				}
			}
			n := 1 + rng.Uint64N(6)
			read(x, plan, at, at+n)
			at += n
			queued := x.Count(small) + x.Count(main) + x.Count(waiting) + x.Count(done)
			require.Equal(t, x.Len(), queued)
			require.LessOrEqual(t, int64(queued), capacity)
			require.Equal(t, x.Known()-x.Len(), x.Count(ghosts)+x.Count(early))
			require.LessOrEqual(t, int64(x.Count(ghosts)), max(capacity, 1))
			require.LessOrEqual(t, int64(x.Count(early)), max(capacity/4, 1))
			owed := int64(0)
			for i := range x.streams.all {
				owed += int64(x.streams.all[i].owed)
			}
			require.Equal(t, owed, x.streams.owed)
		}
	}
}

// TestMetadata checks the bound that the package states.
func TestMetadata(t *testing.T) {
	trace := mixed(t, 20_000)
	for _, capacity := range []int64{256, 1000, 5000} {
		x := New(capacity, cache.DefaultPageSize, Defaults())
		_, err := cache.ReplayBlocks(context.Background(), trace, x, x, cache.Backend{}, nil)
		require.NoError(t, err)
		require.LessOrEqual(t, float64(x.Metadata()), 0.02*float64(capacity*cache.DefaultPageSize), capacity)
	}
}

func TestParseOptions(t *testing.T) {
	o, err := ParseOptions("request-cost=12;no-trust;no-share")
	require.NoError(t, err)
	want := Defaults()
	want.RequestCost, want.Off = 12, Trust|Share
	require.Equal(t, want, o)
	for _, bad := range []string{"", "no-", "no-such", "window=0", "least=2", "alone", "window=1e9", "request-cost=nan", "colour=1"} {
		_, err := ParseOptions(bad)
		require.ErrorContains(t, err, fmt.Sprintf("variant %q", bad))
	}
}

// BenchmarkPayback is the whole of a request: the harness, the cache and the
// prefetcher. Past the warm-up it allocates nothing.
func BenchmarkPayback(b *testing.B) {
	x := New(1<<14, cache.DefaultPageSize, Defaults())
	plan := newPlan(x)
	r := prefetch.Request{Outcomes: make([]prefetch.Outcome, 4), Marks: make([]prefetch.Mark, 4)}
	rng := rand.New(rand.NewPCG(1, 1))
	var at [64]uint64
	step := func() {
		i := rng.IntN(len(at))
		if rng.IntN(32) == 0 {
			at[i] = rng.Uint64N(1 << 20)
		}
		r.First = at[i]
		for j := range r.Outcomes {
			k := cache.KeyOf(r.First + uint64(j))
			r.Outcomes[j] = prefetch.Hit
			if h := x.Find(k); h == cache.None {
				r.Outcomes[j] = prefetch.Miss
				x.Insert(k, 1, cache.Demand)
			} else if x.Used(h) {
				r.Outcomes[j] = prefetch.Used
			}
		}
		at[i] += 4
		plan.Reset(r.First)
		x.Access(&r, plan)
		for _, w := range plan.Wants() {
			for p := w.Page; p < w.Page+uint64(w.N); p++ {
				if k := cache.KeyOf(p); x.Peek(k) == cache.None {
					x.Insert(k, 1, cache.Prefetched)
				}
			}
		}
	}
	for range 200_000 {
		step()
	}
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}
