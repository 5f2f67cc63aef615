package traces

// The block traces that cloud providers published.

var alibaba = Format{
	Name:       "alibaba",
	Doc:        "Alibaba Cloud block storage, January 2020 (io_traces.csv)",
	Layout:     "csv: device id, R|W, offset (bytes), length (bytes), timestamp (us)",
	Extensions: []string{".csv"},
	Addressed:  true, Timed: true, HasSize: true, HasOp: true,
	detect: func(s *sample) fit {
		return s.fields(',', func(f []string) fit {
			return fitIf(sure, len(f) == 5 && isUint(f[0]) && (f[1] == "R" || f[1] == "W") && isUint(f[2]) && isUint(f[3]) && isUint(f[4]))
		})
	},
	open: func(src *source, _ Options, _ *Info) (decoder, error) {
		return &alibabaDecoder{text{source: src, delim: ','}}, nil
	},
}

type alibabaDecoder struct{ text }

func (d *alibabaDecoder) decode(dst []Request, _ *LatencyLog) (n int, err error) {
	for n < len(dst) && d.next() {
		volume := d.volume("device_id")
		op := d.word("opcode", "r", "w")
		block, offset := d.address("offset", 1)
		size := d.size("length", 1)
		time := d.fixed("timestamp", 1e3)
		if d.err != nil {
			break
		}
		dst[n] = Request{Time: time, ID: volumeID(volume, block), Offset: offset, Size: size, Op: op, Volume: volume}
		n++
	}
	return n, d.err
}

var tencent = Format{
	Name:       "tencent",
	Doc:        "Tencent Cloud Block Storage, October 2018 (SNIA IOTTA 27917)",
	Layout:     "csv: timestamp (s), offset (sectors), size (sectors), type (0 = read, 1 = write), volume id",
	Options:    []string{"--block-size"},
	Extensions: []string{".csv"},
	Addressed:  true, Timed: true, HasSize: true, HasOp: true,
	detect: func(s *sample) fit {
		return s.fields(',', func(f []string) fit {
			return fitIf(maybe, len(f) == 5 && len(f[0]) >= 10 && isUint(f[0]) && isUint(f[1]) && isUint(f[2]) && isBit(f[3]) && isUint(f[4]))
		})
	},
	open: func(src *source, o Options, _ *Info) (decoder, error) {
		return &tencentDecoder{text{source: src, delim: ','}, o.blockSize()}, nil
	},
}

type tencentDecoder struct {
	text
	blockSize uint32
}

func (d *tencentDecoder) decode(dst []Request, _ *LatencyLog) (n int, err error) {
	for n < len(dst) && d.next() {
		time := d.fixed("timestamp", 1e9)
		block, offset := d.address("offset", d.blockSize)
		size := d.size("size", d.blockSize)
		op := d.bit("type", Write, Read)
		volume := d.volume("volume id")
		if d.err != nil {
			break
		}
		dst[n] = Request{Time: time, ID: volumeID(volume, block), Offset: offset, Size: size, Op: op, Volume: volume}
		n++
	}
	return n, d.err
}
