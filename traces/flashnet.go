package traces

// The replayer's files of FlashNet, Heimdall and LinnOS: addresses and sizes in
// bytes, and twice the opposite sense of the same digit.

var flashnet = Format{
	Name:       "flashnet",
	Doc:        "FlashNet's and Heimdall's replay logs: what a real SSD took for each request",
	Layout:     "csv: trace time (ms), latency (us), type (1 = read, 0 = write), size (bytes), offset (bytes), submission (ms), bytes moved; more fields are passed over",
	Extensions: []string{".trace"},
	Addressed:  true, Timed: true, HasSize: true, HasOp: true, HasLatency: true,
	detect: func(s *sample) fit {
		return s.fields(',', func(f []string) fit {
			return fitIf(maybe, (len(f) == 7 || len(f) == 8) && isFixed(f[0]) && isUint(f[1]) && isBit(f[2]) &&
				isUint(f[3]) && isUint(f[4]) && isFixed(f[5]) && isUint(f[6]))
		})
	},
	open: func(src *source, _ Options, _ *Info) (decoder, error) {
		return &flashnetDecoder{text{source: src, delim: ','}}, nil
	},
}

type flashnetDecoder struct{ text }

func (d *flashnetDecoder) decode(dst []Request, log *LatencyLog) (n int, err error) {
	for n < len(dst) && d.next() {
		time := d.fixed("trace time", 1e6)
		latency := d.fixed("latency", 1e3)
		op := d.bit("type", Read, Write)
		size := d.size("size", 1)
		block, offset := d.address("offset", 1)
		submit := d.fixed("submission", 1e6)
		moved := d.size("bytes moved", 1)
		if d.err != nil {
			break
		}
		dst[n] = Request{Time: time, ID: block, Offset: offset, Size: size, Op: op}
		if log != nil {
			log.add(&dst[n], submit, latency, moved)
		}
		n++
	}
	return n, d.err
}

var heimdall = Format{
	Name:       "heimdall",
	Doc:        "the traces that Heimdall's client-level replayer takes",
	Layout:     "text: arrival (ms), device, offset (bytes), size (bytes), type (1 = read, 0 = write)",
	Options:    []string{"--time-unit"},
	Extensions: []string{".trace"},
	Addressed:  true, Timed: true, HasSize: true, HasOp: true,
	detect: detectReplay,
	open: func(src *source, o Options, _ *Info) (decoder, error) {
		scale, err := o.timeScale("ms")
		return &replayDecoder{text{source: src}, scale, Read, Write}, err
	},
}

var linnos = Format{
	Name:       "linnos",
	Doc:        "the traces that LinnOS's and Heimdall's kernel-level replayer takes: mind that 0 is a read",
	Layout:     "text: arrival (us), device, offset (bytes), size (bytes), type (0 = read, 1 = write)",
	Options:    []string{"--time-unit"},
	Extensions: []string{".trace"},
	Addressed:  true, Timed: true, HasSize: true, HasOp: true,
	detect: detectReplay,
	open: func(src *source, o Options, _ *Info) (decoder, error) {
		scale, err := o.timeScale("us")
		return &replayDecoder{text{source: src}, scale, Write, Read}, err
	},
}

// detectReplay fits both replayers' traces: nothing in a file tells a read
// from a write, so that the user has to.
func detectReplay(s *sample) fit {
	return s.fiveFields(true, func(f []string) bool { return isBit(f[4]) })
}

type replayDecoder struct {
	text
	timeScale int64
	one, zero Op
}

func (d *replayDecoder) decode(dst []Request, _ *LatencyLog) (n int, err error) {
	for n < len(dst) && d.next() {
		time := d.fixed("arrival", d.timeScale)
		volume := d.volume("device")
		block, offset := d.address("offset", 1)
		size := d.size("size", 1)
		op := d.bit("type", d.one, d.zero)
		if d.err != nil {
			break
		}
		dst[n] = Request{Time: time, ID: volumeID(volume, block), Offset: offset, Size: size, Op: op, Volume: volume}
		n++
	}
	return n, d.err
}
