package traces

import "strings"

var spc = Format{
	Name:       "spc",
	Doc:        "Storage Performance Council traces: UMass Financial and WebSearch",
	Layout:     "csv: application storage unit, block, size (bytes), R|W, timestamp (s); more fields are passed over",
	Options:    []string{"--block-size"},
	Extensions: []string{".spc"},
	Addressed:  true, Timed: true, HasSize: true, HasOp: true,
	detect: func(s *sample) fit {
		return s.fields(',', func(f []string) fit {
			return fitIf(sure, len(f) >= 5 && isUint(f[0]) && isUint(f[1]) && isUint(f[2]) &&
				(strings.EqualFold(f[3], "r") || strings.EqualFold(f[3], "w")) && isFixed(f[4]))
		})
	},
	open: func(src *source, o Options, _ *Info) (decoder, error) {
		return &spcDecoder{text{source: src, delim: ','}, o.blockSize()}, nil
	},
}

type spcDecoder struct {
	text
	blockSize uint32
}

func (d *spcDecoder) decode(dst []Request, _ *LatencyLog) (n int, err error) {
	for n < len(dst) && d.next() {
		volume := d.volume("application storage unit")
		block, offset := d.address("block", d.blockSize)
		size := d.size("size", 1)
		op := d.word("opcode", "r", "w")
		time := d.fixed("timestamp", 1e9)
		if d.err != nil {
			break
		}
		dst[n] = Request{Time: time, ID: volumeID(volume, block), Offset: offset, Size: size, Op: op, Volume: volume}
		n++
	}
	return n, d.err
}
