package traces

import (
	"math"
	"strings"
)

var msr = Format{
	Name:       "msr",
	Doc:        "MSR Cambridge enterprise servers (SNIA IOTTA 388), with response times",
	Layout:     "csv: timestamp (Windows FILETIME, 100 ns), host, disk, Read|Write, offset (bytes), size (bytes), response time (100 ns)",
	Extensions: []string{".csv"},
	Addressed:  true, Timed: true, HasSize: true, HasOp: true, HasLatency: true,
	detect: func(s *sample) fit {
		return s.fields(',', func(f []string) fit {
			return fitIf(sure, len(f) == 7 && isUint(f[0]) && isUint(f[2]) && isUint(f[4]) && isUint(f[5]) && isUint(f[6]) &&
				(strings.EqualFold(f[3], "read") || strings.EqualFold(f[3], "write")))
		})
	},
	open: func(src *source, _ Options, _ *Info) (decoder, error) {
		return &msrDecoder{text{source: src, delim: ','}}, nil
	},
}

// unixFiletime is 1970-01-01 as a Windows FILETIME, which counts from 1601 in
// ticks of 100 ns: so counted, nanoseconds would not fit 63 bits.
const unixFiletime = 116444736000000000

type msrDecoder struct{ text }

func (d *msrDecoder) decode(dst []Request, log *LatencyLog) (n int, err error) {
	for n < len(dst) && d.next() {
		ticks := d.uint("timestamp")
		d.take() // host
		volume := d.volume("disk")
		op := d.word("type", "read", "write")
		block, offset := d.address("offset", 1)
		size := d.size("size", 1)
		if d.err == nil && (ticks < unixFiletime || ticks-unixFiletime > math.MaxInt64/100) {
			d.failf("field 1 (timestamp): want a FILETIME from 1970 to 2262, got %d; read times from another clock with the csv format", ticks)
		}
		if d.err != nil {
			break
		}
		dst[n] = Request{
			Time: int64(ticks-unixFiletime) * 100, ID: volumeID(volume, block), Offset: offset,
			Size: size, Op: op, Volume: volume,
		}
		if log != nil {
			latency := d.fixed("response time", 100)
			if d.err != nil {
				break
			}
			log.add(&dst[n], dst[n].Time, latency, size)
		}
		n++
	}
	return n, d.err
}
