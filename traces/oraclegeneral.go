package traces

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

var oracleGeneral = Format{
	Name:       "oracleGeneral",
	Doc:        "libCacheSim's binary trace with each object's next access",
	Layout:     "24-byte little-endian records: u32 time (s), u64 id, u32 size (bytes), i64 next access (1-based index of the next request to the id, -1 for none)",
	Options:    []string{"--validate"},
	Extensions: []string{".oraclegeneral.bin", ".oraclegeneral"},
	Timed:      true,
	HasSize:    true,
	detect:     detectOracleGeneral,
	open: func(src *source, o Options, _ *Info) (decoder, error) {
		d := &oracleDecoder{src: src}
		if o.Validate {
			d.next = map[uint64]int64{}
		}
		return d, nil
	},
}

const oracleRecord = 24

type oracleDecoder struct {
	src  *source
	next map[uint64]int64 // the next access each object promised; nil: not asked
	n    int64            // requests decoded
}

func (d *oracleDecoder) recordSize() int64 { return oracleRecord }

func (d *oracleDecoder) decode(dst []Request, _ *LatencyLog) (n int, err error) {
	for n < len(dst) {
		b, err := d.src.records(oracleRecord)
		if errors.Is(err, io.EOF) && d.next != nil {
			err = d.checkEnd()
		}
		if err != nil {
			return n, err
		}
		k := min(len(b)/oracleRecord, len(dst)-n)
		if d.next != nil {
			// Record by record, so that a fault's place is that of its record.
			k = 1
			if err := d.check(b); err != nil {
				return n, err
			}
		}
		decodeOracle(dst[n:n+k], b)
		d.src.pos += k * oracleRecord
		d.n += int64(k)
		n += k
	}
	return n, nil
}

func decodeOracle(dst []Request, b []byte) {
	for i := range dst {
		r := b[:oracleRecord]
		dst[i] = Request{
			Time: int64(binary.LittleEndian.Uint32(r)) * 1e9,
			ID:   binary.LittleEndian.Uint64(r[4:]),
			Size: binary.LittleEndian.Uint32(r[12:]),
		}
		b = b[oracleRecord:]
	}
}

func (d *oracleDecoder) check(b []byte) error {
	id, next, at := binary.LittleEndian.Uint64(b[4:]), int64(binary.LittleEndian.Uint64(b[16:])), d.n+1
	promised, seen := d.next[id]
	if seen && promised != at {
		return d.src.errorf("request %d is to object %d, whose last access promised request %d as its next", at, id, promised)
	}
	if next != -1 && next <= at {
		return d.src.errorf("request %d: want a next access of -1 or after %d, got %d", at, at, next)
	}
	d.next[id] = next
	return nil
}

func (d *oracleDecoder) checkEnd() error {
	first := int64(math.MaxInt64)
	for _, next := range d.next {
		if next != -1 {
			first = min(first, next)
		}
	}
	if first < math.MaxInt64 {
		return d.src.errorf("a next access to request %d is promised, but there are %d requests", first, d.n)
	}
	return io.EOF
}

func detectOracleGeneral(s *sample) fit {
	n := len(s.head) / oracleRecord
	if s.text || n == 0 || s.whole && len(s.head)%oracleRecord != 0 {
		return no
	}
	last := uint32(0)
	for i := range min(n, 1000) {
		r := s.head[i*oracleRecord:]
		time, next := binary.LittleEndian.Uint32(r), int64(binary.LittleEndian.Uint64(r[16:]))
		if time < last || next != -1 && (next <= int64(i)+1 || next > 1<<40) {
			return no
		}
		last = time
	}
	return fitIf(sure, n > 1) + fitIf(maybe, n == 1)
}

// WriteOracleGeneral writes requests in libCacheSim's oracleGeneral format. It
// needs the whole trace, for each request carries the index of the next one to
// its object, and 8 bytes a request plus a map entry an object beside it. Time
// is cut to whole seconds; offset, operation and volume have no place in the
// format. A time before 0 or past 2^32 s is an error.
func WriteOracleGeneral(w io.Writer, requests []Request) error {
	next := make([]int64, len(requests))
	seen := make(map[uint64]int64)
	for i := len(requests) - 1; i >= 0; i-- {
		next[i] = -1
		if at, ok := seen[requests[i].ID]; ok {
			next[i] = at
		}
		seen[requests[i].ID] = int64(i) + 1
	}
	buf := make([]byte, 0, bufferSize)
	for i := range requests {
		r := &requests[i]
		if r.Time < 0 || r.Time/1e9 > math.MaxUint32 {
			return fmt.Errorf("oracleGeneral: request %d: time %d ns is outside 0 to 2^32 s", i+1, r.Time)
		}
		buf = binary.LittleEndian.AppendUint32(buf, uint32(r.Time/1e9))
		buf = binary.LittleEndian.AppendUint64(buf, r.ID)
		buf = binary.LittleEndian.AppendUint32(buf, r.Size)
		buf = binary.LittleEndian.AppendUint64(buf, uint64(next[i]))
		if len(buf)+oracleRecord > cap(buf) || i == len(requests)-1 {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	return nil
}
