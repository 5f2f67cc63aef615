package traces

var webcachesim = Format{
	Name:       "webcachesim",
	Doc:        "object requests to a web cache, as webcachesim, AdaptSize and LRB have them",
	Layout:     "text: time (s, see --time-unit), object id, size (bytes); more fields are passed over",
	Options:    []string{"--time-unit"},
	Extensions: []string{".tr"},
	Timed:      true, HasSize: true,
	detect: func(s *sample) fit {
		return s.fields(0, func(f []string) fit {
			return fitIf(maybe, len(f) == 3 && isUint(f[0]) && isUint(f[1]) && isUint(f[2]))
		})
	},
	open: func(src *source, o Options, _ *Info) (decoder, error) {
		scale, err := o.timeScale("s")
		return &webcachesimDecoder{text{source: src}, scale}, err
	},
}

type webcachesimDecoder struct {
	text
	timeScale int64
}

func (d *webcachesimDecoder) decode(dst []Request, _ *LatencyLog) (n int, err error) {
	for n < len(dst) && d.next() {
		dst[n] = Request{Time: d.fixed("time", d.timeScale), ID: d.uint("id"), Size: d.size("size", 1)}
		if d.err != nil {
			break
		}
		n++
	}
	return n, d.err
}
