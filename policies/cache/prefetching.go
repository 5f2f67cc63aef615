package cache

import "reprise/policies/cache/prefetch"

// Prefetching is what a replay counted about prefetches, in pages or objects
// if not said otherwise.
type Prefetching struct {
	Prefetched int64 // fetched ahead
	// PrefetchedBytes counts units of the capacity in object mode.
	PrefetchedBytes int64
	PrefetchHits    int64 // of those, used before they were evicted
	Late            int64 // of those used, asked for before they had arrived
	Wasted          int64 // evicted or overwritten unused
	Spared          int64 // given another chance by the prefetcher
	// Polluted counts misses of what had been evicted to make room for
	// prefetches, TooEarly misses of what had been fetched and evicted unused.
	// Both go by a list of the latest such evictions, as many as fill a cache.
	Polluted, TooEarly int64
	// Metadata is the prefetcher's memory at the end, in bytes.
	Metadata int64
}

// Accuracy is the share of prefetches that were used.
func (p Prefetching) Accuracy() float64 { return ratio(p.PrefetchHits, p.Prefetched) }

// Lateness is the share of the used ones that were asked for before they had
// arrived.
func (p Prefetching) Lateness() float64 { return ratio(p.Late, p.PrefetchHits) }

// fetcher joins an eviction policy and a prefetcher: it tells each what the
// other did, carries plans out and keeps the accounts.
type fetcher struct {
	Prefetching
	policy     Policy
	prefetcher prefetch.Prefetcher
	sparer     prefetch.Sparer // the prefetcher, if it is one
	listeners  []prefetch.Listener
	plan       *prefetch.Plan
	now        int64

	keeping   bool   // notes
	notes     []note // by handle
	insertion uint32 // how many came in so far
	ahead     bool   // what is coming in now is prefetched
	// ghosts are pages displaced by prefetches and, marked as unused, pages
	// wasted.
	ghosts fifo
	// dropped, if not nil, is told of evicted pages that hold what was
	// written.
	dropped func(id uint64)
	// lost, if not nil, is told of prefetched pages that were evicted unused.
	lost func(k Key)
	// fetching, if not nil, says whether a page that is not resident is on its
	// way.
	fetching func(k Key) bool
}

// note is what the fetcher keeps of a resident page.
type note struct {
	tag   uint32
	stamp uint32 // insertions before its own
	dirty bool
}

// newFetcher makes a fetcher; the prefetcher may be nil. Pages are numbered
// volume by volume if volumes is set. Without a prefetcher it keeps notes, of
// what is dirty, only if dirty is set.
func newFetcher(p Policy, pre prefetch.Prefetcher, volumes, dirty bool) *fetcher {
	f := &fetcher{policy: p, prefetcher: pre, keeping: pre != nil || dirty}
	if f.keeping {
		p.Observe(f.evicted)
	}
	if pre == nil {
		return f
	}
	f.ghosts = fifo{newStore(p.Capacity(), 1)}
	f.sparer, _ = pre.(prefetch.Sparer)
	if l, ok := p.(prefetch.Listener); ok {
		f.listeners = append(f.listeners, l)
	}
	// A policy that is its own prefetcher is told once.
	if l, ok := pre.(prefetch.Listener); ok && any(p) != any(pre) {
		f.listeners = append(f.listeners, l)
	}
	limit := int(min(p.Capacity(), maxPlan))
	f.plan = prefetch.NewPlan(p.Capacity(), limit, volumes, func(page uint64) bool {
		k := KeyOf(page)
		return p.Peek(k) != None || f.fetching != nil && f.fetching(k)
	})
	return f
}

// maxPlan bounds what is fetched ahead for one request.
const maxPlan = 1 << 16

// insert brings a page in and gives its handle, or None.
func (f *fetcher) insert(k Key, size uint32, origin Origin, tag uint32) Handle {
	f.ahead = origin == Prefetched
	h := f.policy.Insert(k, size, origin)
	f.ahead = false
	f.keep(h, note{tag: tag})
	return h
}

func (f *fetcher) keep(h Handle, n note) {
	if h == None || !f.keeping {
		return
	}
	for int(h) >= len(f.notes) {
		f.notes = append(f.notes, make([]note, max(64, len(f.notes)/2))...)
	}
	n.stamp = f.insertion
	f.insertion++
	f.notes[h] = n
}

// used says whether h is used for the first time since it was prefetched, and
// if so what is known of it.
func (f *fetcher) used(h Handle) (prefetch.Mark, bool) {
	if f.prefetcher == nil || !f.policy.Used(h) {
		return prefetch.Mark{}, false
	}
	f.PrefetchHits++
	n := f.notes[h]
	return prefetch.Mark{Tag: n.tag, Age: f.insertion - n.stamp - 1}, true
}

// missed looks whether a page that a request missed had been here.
func (f *fetcher) missed(k Key) {
	if f.prefetcher == nil {
		return
	}
	g := f.ghosts.lookup(k)
	if g == None {
		return
	}
	_, _, wasted := f.ghosts.Object(g)
	f.ghosts.Remove(g)
	if wasted {
		f.TooEarly++
		f.tell(prefetch.TooEarly, k.ID, 0)
	} else {
		f.Polluted++
		f.tell(prefetch.Polluted, k.ID, 0)
	}
}

// access shows the prefetcher a request. What it wants is handed to fetch, page
// by page, but for what is there; fetch gives the page's size.
func (f *fetcher) access(r *prefetch.Request, sizeOf func(page uint64) (uint32, bool), fetched func(k Key)) {
	f.plan.Reset(r.First)
	f.prefetcher.Access(r, f.plan)
	for _, w := range f.plan.Wants() {
		for page := w.Page; page != w.Page+uint64(w.N); page++ {
			k := KeyOf(page)
			if f.policy.Peek(k) != None || f.fetching != nil && f.fetching(k) {
				continue
			}
			size, ok := sizeOf(page)
			if !ok || !f.policy.Admits(size) || f.insert(k, size, Prefetched, w.Tag) == None {
				continue
			}
			f.forgetGhost(k)
			f.Prefetched++
			f.PrefetchedBytes += int64(size)
			f.tell(prefetch.Fetched, page, w.Tag)
			if fetched != nil {
				fetched(k)
			}
		}
	}
	for _, page := range f.plan.Demoted() {
		if h := f.policy.Peek(KeyOf(page)); h != None {
			f.policy.Demote(h)
		}
	}
}

// evicted is the policy's observer.
func (f *fetcher) evicted(v Victim) {
	if int(v.Handle) >= len(f.notes) {
		return
	}
	n := f.notes[v.Handle]
	if n.dirty {
		f.dropped(v.ID)
	}
	if f.prefetcher == nil {
		return
	}
	if v.Unused {
		if f.sparer != nil {
			if tag, again := f.sparer.Spare(v.ID, n.tag); again {
				if h := f.policy.Insert(KeyOf(v.ID), v.Size, Prefetched); h != None {
					f.keep(h, note{tag: tag})
					f.Spared++
					return
				}
			}
		}
		f.waste(v.ID, n.tag)
		f.remember(v, Prefetched)
		if f.lost != nil {
			f.lost(KeyOf(v.ID))
		}
	} else if f.ahead {
		f.tell(prefetch.Displaced, v.ID, 0)
		f.remember(v, Demand)
	}
}

func (f *fetcher) waste(page uint64, tag uint32) {
	f.Wasted++
	f.tell(prefetch.Wasted, page, tag)
}

func (f *fetcher) remember(v Victim, origin Origin) {
	k := KeyOf(v.ID)
	f.forgetGhost(k)
	f.ghosts.Insert(k, v.Size, origin)
}

func (f *fetcher) forgetGhost(k Key) {
	if f.prefetcher == nil {
		return
	}
	if g := f.ghosts.lookup(k); g != None {
		f.ghosts.Remove(g)
	}
}

func (f *fetcher) tell(kind prefetch.Kind, page uint64, tag uint32) {
	for _, l := range f.listeners {
		l.Event(prefetch.Event{Kind: kind, Page: page, Tag: tag, Now: f.now})
	}
}

// finish closes the accounts.
func (f *fetcher) finish() Prefetching {
	f.policy.Observe(nil)
	if f.prefetcher != nil {
		f.Metadata = int64(f.prefetcher.Bytes())
	}
	return f.Prefetching
}
