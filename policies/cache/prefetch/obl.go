package prefetch

import (
	"math"

	"reprise/policies/cache/params"
)

var oblSpec = Spec{
	Name:   "obl",
	Doc:    "one block lookahead: after k+1 consecutive pages, the next",
	Source: "Smith, ACM Computing Surveys 1982, as libCacheSim has it",
	Params: []params.Param{
		{Name: "sequential-confidence-k", Doc: "consecutive pages that must have come before", Default: 4, Min: 1, Max: 1 << 20, Whole: true},
		{Name: "block-size", Doc: "object mode with sizes: bytes of what is fetched", Default: 512, Min: 1, Max: 1 << 31, Whole: true},
	},
	new: func(c Config) Prefetcher {
		return &obl{k: c.Int("sequential-confidence-k"), size: uint32(c.Int("block-size")), last: math.MaxUint64}
	},
}

type obl struct {
	k, run int // run: pages before the last one that led up to it
	last   uint64
	within bool // the last request ended within the last page
	size   uint32
}

var (
	_ Prefetcher = (*obl)(nil)
	_ Sizer      = (*obl)(nil)
)

// Sizer is a prefetcher that knows how large the objects are that it fetches.
// Those of others have the size that they were last requested with.
type Sizer interface {
	ObjectSize() uint32
}

func (o *obl) ObjectSize() uint32 { return o.size }

func (o *obl) Access(r *Request, p *Plan) {
	for i := range r.Outcomes {
		page := r.First + uint64(i)
		switch {
		case page == o.last+1:
			o.run++
		case i > 0 || page != o.last || !o.within:
			o.run = 0
		}
		o.last = page
		if o.run >= o.k {
			p.Prefetch(page+1, 1, 0)
		}
	}
	o.within = r.Next < r.End()
}

func (o *obl) Bytes() int { return 32 }
