package prefetch

import (
	"unsafe"

	"reprise/policies/cache/params"
)

var strideSpec = Spec{
	Name: "stride",
	Doc:  "reference prediction table: the distance between requests of a stream, once it has repeated",
	Source: "Chen & Baer, IEEE ToC 1995. Storage has no program counter: a stream is the requests to one region of a " +
		"volume. What is fetched is as long as the request",
	Params: []params.Param{
		{Name: "degree", Doc: "requests to fetch ahead", Default: 4, Min: 1, Max: 1024, Whole: true},
		{Name: "region", Doc: "pages of a region; 0: the volume", Default: 1 << 14, Min: 0, Max: 1 << 47, Whole: true},
		{Name: "streams", Doc: "regions remembered", Default: 1024, Min: 1, Max: 1 << 22, Whole: true},
	},
	new: func(c Config) Prefetcher {
		return &stride{degree: c.Int("degree"), region: uint64(c.Int("region")), streams: newStreams[strideStream](c.Int("streams"))}
	},
}

// stride takes 32 bytes for each region.
type stride struct {
	degree  int
	region  uint64
	streams streams[strideStream]
}

type strideStream struct {
	last       uint64
	stride     int64
	confidence uint8 // 0 to 3, from 2 on it is acted on
	started    bool
}

func (s *stride) Bytes() int { return s.streams.bytes(int(unsafe.Sizeof(strideStream{}))) }

func (s *stride) Access(r *Request, p *Plan) {
	key := r.First >> volumeShift << volumeShift
	if s.region != 0 {
		key = r.First - r.First%s.region
	}
	t := s.streams.of(key)
	stride := int64(r.First - t.last)
	t.last = r.First
	switch {
	case !t.started:
		t.started = true
		return
	case stride == t.stride:
		t.confidence = min(t.confidence+1, 3)
	case t.confidence > 0:
		t.confidence--
	default:
		t.stride = stride
	}
	if t.confidence < 2 || t.stride == 0 || stride != t.stride {
		return
	}
	for k := 1; k <= s.degree; k++ {
		p.Prefetch(r.First+uint64(int64(k)*t.stride), r.Pages(), 0)
	}
}
