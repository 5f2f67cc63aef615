package prefetch

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Prefetchers once more, written for being obviously right: slices and maps,
// searched from end to end.

// refPrefetcher serves a request for pages from first on, what became of each
// given, and says what to fetch.
type refPrefetcher func(r *Request) []Want

// refMithril is Mithril as libCacheSim has it, for a support of 2 to 8 and a
// cache of so many bytes.
func refMithril(bytes int, share float64, threshold, lookahead, confidence, successors int) refPrefetcher {
	type mined struct {
		page  uint64
		times []int
		pages int
	}
	type recorded struct {
		page uint64
		time int
	}
	type source struct {
		page uint64
		next []Want
	}
	const shard = 2000
	limit := int(float64(bytes) * share)
	// Of the memory that associations may take, the other tables have theirs.
	recording := int(float64(bytes) * 0.02 / 14)
	taken := 28*(threshold/2) + limit/(shard*successors)*8 + shard*(successors*8+12) + recording*20
	records := make([]recorded, recording) // round and round; the first is not used
	free := 1
	var mining []mined
	sources := make([]source, shard)
	row, full, now := 1, false, -1

	// The k-th time, from 1; what is to be the fourth of four times stored
	// together reads how many of them there are.
	time := func(m mined, k int) int {
		switch k {
		case 4:
			return min(len(m.times), 4)
		case 8:
			return min(len(m.times)-4, 4)
		}
		return m.times[k-1]
	}
	apart := func(a, b int) int { return max(a-b, b-a) }
	follows := func(a, b mined, first bool) bool {
		both, far, close := min(len(a.times), len(b.times)), 0, first
		for k := 1; k < both; k++ {
			d := apart(time(a, k), time(b, k))
			close = close || d == 1
			if d > lookahead {
				far++
			}
		}
		return close && far <= confidence
	}
	associate := func(from uint64, to Want) {
		for i := range sources {
			if s := &sources[i]; from == s.page && s.page != 0 {
				for j := range s.next {
					if s.next[j].Page == to.Page {
						s.next[j] = to
						return
					}
				}
				if s.next = append(s.next, to); len(s.next) > successors {
					s.next = s.next[1:]
				}
				return
			}
		}
		row++
		sources[row] = source{from, []Want{to}}
		if (row+1)%shard != 0 {
			return
		}
		if more := shard * (successors*8 + 12); !full && taken+more < limit {
			taken += more
			sources = append(sources, make([]source, shard)...)
		} else {
			full, row = true, 1
		}
	}
	mine := func() {
		slices.SortStableFunc(mining, func(a, b mined) int { return cmp.Compare(a.times[0], b.times[0]) })
		for i, a := range mining {
			first := true
			for _, b := range mining[i+1:] {
				if b.times[0]-a.times[0] > lookahead {
					break
				}
				if apart(len(a.times), len(b.times)) > confidence {
					continue
				}
				if follows(a, b, first) {
					associate(a.page, Want{b.page, uint32(b.pages), 1})
				}
				first = false
			}
		}
		mining = nil
	}
	record := func(page uint64, pages int) {
		t := now & (1<<15 - 1)
		if i := slices.IndexFunc(mining, func(m mined) bool { return m.page == page }); i >= 0 {
			mining[i].pages = pages
			if mining[i].times = append(mining[i].times, t); len(mining[i].times) > 8 {
				// Too frequent; the last takes its place.
				mining[i] = mining[len(mining)-1]
				mining = mining[:len(mining)-1]
			}
			return
		}
		if i := slices.IndexFunc(records, func(r recorded) bool { return r.page == page }); i >= 0 {
			mining = append(mining, mined{page, []int{records[i].time, t}, pages})
			// The newest record fills the gap.
			if free < 2 {
				records[i].page = 0
				return
			}
			free--
			records[i] = records[free]
			records[free].page = 0
			return
		}
		records[free] = recorded{page, t}
		if free++; free == len(records) {
			free = 1
		}
		records[free].page = 0
	}
	return func(r *Request) []Want {
		now++
		if r.Missed() {
			record(r.First, r.Pages())
			if len(mining) == threshold/2 {
				mine()
			}
		}
		for _, s := range sources {
			if s.page == r.First {
				return slices.Clone(s.next)
			}
		}
		return nil
	}
}

// refPG counts what comes within a window after a page.
func refPG(bytes int, share float64, window int, threshold float64) refPrefetcher {
	type node struct {
		total, pages int
		after        map[uint64]int
	}
	limit := int(float64(bytes) * share)
	nodes := map[uint64]*node{}
	ring, at, edges, stopped := make([]uint64, window), 0, 0, false
	record := func(page uint64) {
		leaving := ring[at]
		ring[at] = page
		at = (at + 1) % window
		n := nodes[leaving]
		if leaving == 0 || n == nil && stopped {
			return
		}
		if n == nil {
			n = &node{after: map[uint64]int{}}
			nodes[leaving] = n
		}
		for _, to := range ring {
			n.total++
			if n.after[to] == 0 {
				if stopped {
					return
				}
				edges++
			}
			n.after[to]++
		}
		stopped = 32*(len(nodes)+edges) >= limit
	}
	return func(r *Request) (wants []Want) {
		record(r.First)
		n := nodes[r.First]
		if n == nil {
			return nil
		}
		n.pages = r.Pages()
		for page, count := range n.after {
			if float64(count) > threshold*float64(n.total) {
				pages := 1
				if s := nodes[page]; s != nil {
					pages = max(s.pages, 1)
				}
				wants = append(wants, Want{Page: page, N: uint32(pages)})
			}
		}
		return wants
	}
}

// refLeap follows the distance that most of the latest faults were apart.
func refLeap(history, least, most int, cluster bool) refPrefetcher {
	var faults []uint64
	uses, last, trend := 0, 0, int64(0)
	majority := func() (int64, bool) {
		for w := history / 4; ; w = min(2*w, history) {
			counts := map[int64]int{}
			for i := len(faults) - 1; i > 0 && i >= len(faults)-w; i-- {
				d := int64(faults[i] - faults[i-1])
				if counts[d]++; 2*counts[d] > w {
					return d, true
				}
			}
			if w == history {
				return 0, false
			}
		}
	}
	return func(r *Request) (wants []Want) {
		for i, o := range r.Outcomes {
			if o == Hit {
				continue
			}
			page := r.First + uint64(i)
			faults = append(faults, page)
			if o.First() {
				uses++
			}
			if o != Miss {
				continue
			}
			size := 1
			for size < uses+2 {
				size *= 2
			}
			size = min(max(size, least, last/2), most)
			d, found := majority()
			switch {
			case found:
				trend = d
			case uses > 0:
				d = trend
			case cluster:
				wants = append(wants, Want{Page: page / uint64(size) * uint64(size), N: uint32(size)})
			}
			for k := 1; k < size && d != 0; k++ {
				wants = append(wants, Want{Page: page + uint64(int64(k)*d), N: 1})
			}
			uses, last = 0, size
		}
		return wants
	}
}

// refSARC fetches on where consecutive pages were read.
func refSARC(threshold, degree, distance int) refPrefetcher {
	type stream struct{ count, fetched int }
	streams := map[uint64]stream{} // by the page they go on with
	return func(r *Request) (wants []Want) {
		s := streams[r.First]
		delete(streams, r.First)
		s.count += int(r.Next - r.First)
		if next := int(r.End()); s.count >= threshold && s.fetched-next <= distance {
			from := max(s.fetched, next)
			wants = append(wants, Want{Page: uint64(from), N: uint32(degree)})
			s.fetched = from + degree
		}
		streams[r.Next] = s
		return wants
	}
}

// refTaP finds streams by a table of the addresses that would go on with recent
// misses. No prefetch is wasted, so that the room for them only grows.
func refTaP(capacity, degree int, share float64) refPrefetcher {
	table := map[uint64]int{} // what was fetched up to
	room, waiting := max(int(float64(capacity)*share), degree), 0
	return func(r *Request) (wants []Want) {
		for _, o := range r.Outcomes {
			if o.First() {
				waiting--
				room = min(room+1, max(capacity/2, 1))
			}
		}
		fetched, known := table[r.First]
		if !known {
			if _, there := table[r.Next]; r.Missed() && !there {
				table[r.Next] = 0
			}
			return nil
		}
		delete(table, r.First)
		end := int(r.End())
		fetched = max(fetched, end)
		if fetched-end < (degree+1)/2 {
			if n := min(end+degree-fetched, room-waiting); n > 0 {
				wants = append(wants, Want{Page: uint64(fetched), N: uint32(n)})
				fetched += n
				waiting += n
			}
		}
		table[r.Next] = fetched
		return wants
	}
}

func TestAgainstReferences(t *testing.T) {
	const page = 4096
	for _, c := range []struct {
		text     string
		capacity int
		ref      func() refPrefetcher
	}{
		{"mithril:mining-threshold=64", 100, func() refPrefetcher { return refMithril(100*page, 0.1, 64, 20, 1, 2) }},
		{"mithril:mining-threshold=200,lookahead-range=7,pf-list-size=3", 400, func() refPrefetcher { return refMithril(400*page, 0.1, 200, 7, 1, 3) }},
		{"mithril:mining-threshold=40,confidence=2,max-metadata-size=0.9", 60, func() refPrefetcher { return refMithril(60*page, 0.9, 40, 20, 2, 2) }},
		{"mithril:mining-threshold=1000", 3000, func() refPrefetcher { return refMithril(3000*page, 0.1, 1000, 20, 1, 2) }},
		{"pg", 1000, func() refPrefetcher { return refPG(1000*page, 0.1, 20, 0.05) }},
		{"pg:lookahead-range=3,prefetch-threshold=0.2", 5000, func() refPrefetcher { return refPG(5000*page, 0.1, 3, 0.2) }},
		{"leap", 1000, func() refPrefetcher { return refLeap(32, 4, 8, true) }},
		{"leap:history=16,cluster=0,min=2,max=32", 1000, func() refPrefetcher { return refLeap(16, 2, 32, false) }},
		{"sarc:streams=1048576", 1000, func() refPrefetcher { return refSARC(3, 16, 4) }},
		{"sarc:streams=1048576,threshold=5,degree=7,distance=0", 1000, func() refPrefetcher { return refSARC(5, 7, 0) }},
		{"tap:table=1048576", 1000, func() refPrefetcher { return refTaP(1000, 16, 0.125) }},
		{"tap:table=1048576,degree=5,share=0.01", 1000, func() refPrefetcher { return refTaP(1000, 5, 0.01) }},
	} {
		t.Run(c.text, func(t *testing.T) {
			for seed := range uint64(3) {
				againstReference(t, choice(t, c.text).New(int64(c.capacity), page, 0), c.ref(), seed)
			}
		})
	}
}

// againstReference shows both the same requests: motifs of pages that come
// together, streams and strides. What is fetched stays until it is used, and
// what is used is there half of the time.
func againstReference(t *testing.T, p Prefetcher, ref refPrefetcher, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 21))
	plan := NewPlan(1<<20, 1<<20, false, func(uint64) bool { return false })
	listener, _ := p.(Listener)
	fetched := map[uint64]bool{}
	type stream struct{ at, step uint64 }
	streams := make([]stream, 3)
	var motif []uint64
	total := 0
	for i := range 30_000 {
		first, n := uint64(0), 1
		switch rng.IntN(6) {
		case 0:
			first = 1 + rng.Uint64N(500)
		case 1, 2:
			s := &streams[rng.IntN(len(streams))]
			if s.at == 0 || rng.IntN(40) == 0 {
				*s = stream{1<<20 + rng.Uint64N(1<<20), []uint64{0, 0, 5, 12}[rng.IntN(4)]}
			}
			first, n = s.at, 1+rng.IntN(3)
			s.at += max(uint64(n), s.step)
		default:
			if len(motif) == 0 {
				from := 10_000 + rng.Uint64N(1500)*8
				motif = []uint64{from, from + 1000*(from%7), from + 3}
			}
			first, motif = motif[0], motif[1:]
		}
		r := Request{Now: int64(i), First: first, Next: first + uint64(n), Outcomes: make([]Outcome, n), Marks: make([]Mark, n)}
		for j := range r.Outcomes {
			page := first + uint64(j)
			switch {
			case fetched[page]:
				r.Outcomes[j] = Used
				delete(fetched, page)
			case rng.IntN(8) == 0:
				r.Outcomes[j] = Hit
			}
		}
		if rng.IntN(4) == 0 {
			r.Next = max(r.Next-1, r.First) // it ends within a page
		}
		plan.Reset(first)
		p.Access(&r, plan)
		got, want := slices.Clone(plan.Wants()), ref(&r)
		byPage := func(a, b Want) int { return cmp.Compare(a.Page, b.Page) }
		slices.SortStableFunc(got, byPage)
		slices.SortStableFunc(want, byPage)
		require.Equal(t, append([]Want{}, want...), append([]Want{}, got...), "request %d, for %d pages from %d", i, n, first)
		for _, w := range got {
			for page := w.Page; page != w.Page+uint64(w.N); page++ {
				total++
				if listener != nil {
					listener.Event(Event{Kind: Fetched, Page: page})
				}
				fetched[page] = true
			}
		}
	}
	require.Greater(t, total, 100)
}
