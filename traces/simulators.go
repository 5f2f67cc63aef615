package traces

import "strings"

// The text inputs of the device simulators. They look alike and differ in the
// unit of time and in what the last field means.

var mqsim = Format{
	Name:       "mqsim",
	Doc:        "MQSim's and SSDSim's ASCII traces",
	Layout:     "text: arrival (ns), device, start sector, size (sectors), type (1 = read, 0 = write)",
	Options:    []string{"--block-size", "--time-unit"},
	Extensions: []string{".trace", ".ascii"},
	Addressed:  true, Timed: true, HasSize: true, HasOp: true,
	detect: func(s *sample) fit {
		return s.fiveFields(false, func(f []string) bool { return isUint(f[0]) && isBit(f[4]) })
	},
	open: func(src *source, o Options, _ *Info) (decoder, error) {
		scale, err := o.timeScale("ns")
		return &mqsimDecoder{text{source: src}, scale, o.blockSize()}, err
	},
}

type mqsimDecoder struct {
	text
	timeScale int64
	blockSize uint32
}

func (d *mqsimDecoder) decode(dst []Request, _ *LatencyLog) (n int, err error) {
	for n < len(dst) && d.next() {
		time := d.fixed("arrival", d.timeScale)
		volume := d.volume("device")
		block, offset := d.address("start sector", d.blockSize)
		size := d.size("size", d.blockSize)
		op := d.bit("type", Read, Write)
		if d.err != nil {
			break
		}
		dst[n] = Request{Time: time, ID: volumeID(volume, block), Offset: offset, Size: size, Op: op, Volume: volume}
		n++
	}
	return n, d.err
}

var disksim = Format{
	Name:       "disksim",
	Doc:        "DiskSim's ASCII traces",
	Layout:     "text: arrival (ms), device, block, size (blocks), flags (hexadecimal; bit 0: 1 = read, 0 = write)",
	Options:    []string{"--block-size", "--time-unit"},
	Extensions: []string{".ascii", ".trace"},
	Addressed:  true, Timed: true, HasSize: true, HasOp: true,
	detect: func(s *sample) fit {
		return s.fiveFields(false, func(f []string) bool {
			_, ok := parseHex([]byte(f[4]))
			return strings.Contains(f[0], ".") && isFixed(f[0]) && ok
		})
	},
	open: func(src *source, o Options, _ *Info) (decoder, error) {
		scale, err := o.timeScale("ms")
		return &disksimDecoder{text{source: src}, scale, o.blockSize()}, err
	},
}

type disksimDecoder struct {
	text
	timeScale int64
	blockSize uint32
}

func (d *disksimDecoder) decode(dst []Request, _ *LatencyLog) (n int, err error) {
	for n < len(dst) && d.next() {
		time := d.fixed("arrival", d.timeScale)
		volume := d.volume("device")
		block, offset := d.address("block", d.blockSize)
		size := d.size("size", d.blockSize)
		f := d.take()
		flags, ok := parseHex(f)
		if !ok {
			d.want("flags", "a hexadecimal number", f)
		}
		if d.err != nil {
			break
		}
		op := Write
		if flags&1 == 1 {
			op = Read
		}
		dst[n] = Request{Time: time, ID: volumeID(volume, block), Offset: offset, Size: size, Op: op, Volume: volume}
		n++
	}
	return n, d.err
}

func parseHex(b []byte) (v uint32, ok bool) {
	if len(b) > 2 && b[0] == '0' && b[1]|0x20 == 'x' {
		b = b[2:]
	}
	for _, c := range b {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		v = v<<4 | uint32(c)
	}
	return v, len(b) > 0 && len(b) <= 8
}

// fiveFields matches lines of time, device, address, size and a flag. Formats
// that count bytes show addresses and sizes that are whole sectors; those that
// count sectors show some that, taken as bytes, are not.
func (s *sample) fiveFields(bytes bool, match func([]string) bool) fit {
	whole := true
	got := s.fields(0, func(f []string) fit {
		if len(f) != 5 || !isFixed(f[0]) || !isUint(f[1]) || !isUint(f[2]) || !isUint(f[3]) || !match(f) {
			return no
		}
		for _, number := range f[2:4] {
			v, _ := parseUint([]byte(number))
			whole = whole && v%512 == 0
		}
		return maybe
	})
	return fitIf(got, whole == bytes)
}
