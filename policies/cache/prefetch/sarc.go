package prefetch

import (
	"unsafe"

	"reprise/policies/cache/params"
)

var sarcSpec = Spec{
	Name: "sarc",
	Doc:  "SARC: a fixed degree for streams whose counter of consecutive pages is full, fetched anew near the end of the last",
	Source: "Gill & Modha, ATC 2005; its partition of the cache is the eviction policy sarc, which goes with it but works with " +
		"any prefetcher. Degree and distance are ours",
	Params: []params.Param{
		{Name: "threshold", Doc: "consecutive pages that make a stream", Default: 3, Min: 1, Max: 1 << 16, Whole: true},
		{Name: "degree", Doc: "pages to fetch", Default: 16, Min: 1, Max: 1 << 16, Whole: true},
		{Name: "distance", Doc: "pages before the end at which to fetch on", Default: 4, Min: 0, Max: 1 << 16, Whole: true},
		{Name: "streams", Doc: "streams remembered", Default: 1024, Min: 1, Max: 1 << 20, Whole: true},
	},
	new: func(c Config) Prefetcher {
		return &sarc{
			threshold: c.Int("threshold"), degree: c.Int("degree"), distance: uint64(c.Int("distance")),
			streams: newStreams[sarcStream](c.Int("streams")),
		}
	},
}

// sarc finds a stream by the page it is to go on with. It takes 28 bytes for
// each.
type sarc struct {
	threshold, degree int
	distance          uint64
	streams           streams[sarcStream]
}

type sarcStream struct {
	fetched uint64 // the page after the last one fetched ahead
	count   int    // consecutive pages so far, up to the threshold
}

func (s *sarc) Bytes() int { return s.streams.bytes(int(unsafe.Sizeof(sarcStream{}))) }

func (s *sarc) Access(r *Request, p *Plan) {
	var t sarcStream
	if old := s.streams.find(r.First); old != nil {
		t = *old
		s.streams.drop(r.First)
	}
	t.count = min(t.count+int(r.Next-r.First), s.threshold)
	next := r.End()
	if t.count >= s.threshold && (t.fetched <= next || t.fetched-next <= s.distance) {
		from := max(t.fetched, next)
		p.Prefetch(from, s.degree, 0)
		t.fetched = from + uint64(s.degree)
	}
	*s.streams.of(r.Next) = t
}
