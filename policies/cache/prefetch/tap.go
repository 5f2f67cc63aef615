package prefetch

import (
	"unsafe"

	"reprise/policies/cache/params"
)

var tapSpec = Spec{
	Name: "tap",
	Doc:  "TaP: a table of the addresses that would continue recent misses tells streams without holding data for it",
	Source: "Li et al., FAST 2008. Its prefetch cache is part of the shared cache here: the size that TaP tunes bounds the " +
		"prefetched pages that wait for their use; a use makes it one larger, a waste one smaller, which is ours",
	Params: []params.Param{
		{Name: "table", Doc: "addresses remembered", Default: 4096, Min: 1, Max: 1 << 22, Whole: true},
		{Name: "degree", Doc: "pages to be ahead of a stream", Default: 16, Min: 1, Max: 1 << 16, Whole: true},
		{Name: "share", Doc: "share of the cache for prefetched pages to start with", Default: 0.125, Min: 0, Max: 1},
	},
	new: func(c Config) Prefetcher {
		return &tap{
			degree: uint64(c.Int("degree")), table: newStreams[tapStream](c.Int("table")),
			room: max(int64(float64(c.Capacity)*c.Number("share")), int64(c.Int("degree"))), most: max(c.Capacity/2, 1),
		}
	},
}

// tap takes 20 bytes for each address.
type tap struct {
	degree  uint64
	table   streams[tapStream]
	waiting int64 // prefetched pages that were not used yet
	room    int64 // how many there may be
	most    int64
}

type tapStream struct {
	fetched uint64 // the page after the last one fetched ahead; 0 for a mere miss
}

var (
	_ Prefetcher = (*tap)(nil)
	_ Listener   = (*tap)(nil)
)

func (t *tap) Bytes() int { return t.table.bytes(int(unsafe.Sizeof(tapStream{}))) }

func (t *tap) Access(r *Request, p *Plan) {
	for _, o := range r.Outcomes {
		if o.First() {
			t.waiting--
			t.room = min(t.room+1, t.most)
		}
	}
	next := r.End()
	s := t.table.find(r.First)
	if s == nil {
		if r.Missed() {
			t.table.of(r.Next)
		}
		return
	}
	fetched := max(s.fetched, next)
	t.table.drop(r.First)
	if fetched < next+(t.degree+1)/2 {
		n := min(int64(next+t.degree-fetched), t.room-t.waiting)
		if n > 0 {
			p.Prefetch(fetched, int(n), 0)
			fetched += uint64(n)
		}
	}
	t.table.of(r.Next).fetched = fetched
}

// Event keeps count of the pages that wait, and of those that did in vain. One
// that came too early makes up for its waste.
func (t *tap) Event(e Event) {
	switch e.Kind {
	case Fetched:
		t.waiting++
	case Wasted:
		t.waiting--
		t.room = max(t.room-1, int64(t.degree))
	case TooEarly:
		t.room = min(t.room+1, t.most)
	}
}
