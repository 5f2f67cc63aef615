package traces

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

var blkparse = Format{
	Name:       "blkparse",
	Doc:        "what blkparse prints of a blktrace recording",
	Layout:     "text: device (major,minor), cpu, sequence, time (s), pid, action, operation (RWBS), sector + sectors [process]; the summary ends it",
	Options:    []string{"--action"},
	Extensions: []string{".blkparse", ".blktrace"},
	Addressed:  true, Timed: true, HasSize: true, HasOp: true,
	detect: func(s *sample) fit {
		ended := false
		return s.fields(0, func(f []string) fit {
			if ended = ended || blkparseSummary(f[0]); ended {
				return sure
			}
			if len(f) < 7 {
				return no
			}
			major, minor, ok := strings.Cut(f[0], ",")
			return fitIf(sure, ok && isUint(major) && isUint(minor) && isUint(f[1]) && isUint(f[2]) && isFixed(f[3]) && isUint(f[4]))
		})
	},
	open: func(src *source, o Options, _ *Info) (decoder, error) {
		action := o.Action
		if action == "" {
			action = "Q"
		}
		if action != "Q" && action != "D" && action != "C" {
			return nil, fmt.Errorf("%s: blkparse: unknown action %q: want Q (queued), D (issued) or C (completed)", src.name, o.Action)
		}
		return &blkparseDecoder{text: text{source: src}, action: action[0]}, nil
	},
}

type blkparseDecoder struct {
	text
	action byte
	seen   [256]bool // the actions met
	ended  bool      // the summary has begun
}

func blkparseSummary(word string) bool {
	return strings.HasPrefix(word, "CPU") || word == "Total" || word == "Throughput" || word == "Events" || word == "Input"
}

func (d *blkparseDecoder) decode(dst []Request, _ *LatencyLog) (n int, err error) {
	for n < len(dst) && !d.ended && d.next() {
		if c := d.line[d.at]; c-'0' > 9 {
			word, _, _ := bytes.Cut(d.line[d.at:], []byte(" "))
			if d.ended = blkparseSummary(string(word)); !d.ended {
				d.failf("want an event that starts with a device, or the summary, got %q", d.line[:min(len(d.line), 60)])
			}
			break
		}
		volume := d.device()
		d.skip(2) // cpu, sequence
		time := d.fixed("time", 1e9)
		d.skip(1) // pid
		action := d.take()
		if d.err != nil {
			break
		}
		d.seen[action[0]] = true
		if len(action) != 1 || action[0] != d.action {
			continue
		}
		r := Request{Time: time, Volume: volume}
		rwbs := d.take()
		var block uint64
		if d.hasMore() && d.line[d.at] != '[' {
			block, r.Offset = d.address("sector", 512)
			if plus := d.take(); d.err == nil && string(plus) != "+" {
				d.want("separator", "+", plus)
			}
			r.Size = d.size("sectors", 512)
		}
		if d.err != nil {
			break
		}
		r.ID = volumeID(volume, block)
		var known bool
		if r.Op, known = rwbsOp(rwbs, r.Size); !known {
			continue // no data, as "N" of a passed-through command
		}
		dst[n] = r
		n++
	}
	if n == 0 && (d.ended || errors.Is(d.err, io.EOF)) {
		return 0, d.end()
	}
	return n, d.err
}

// end is io.EOF, unless the recording holds events but none of those wanted.
func (d *blkparseDecoder) end() error {
	if d.err == nil {
		d.err = io.EOF
	}
	var others []byte
	for _, a := range []byte("QDC") {
		if d.seen[a] && a != d.action {
			others = append(others, a)
		}
	}
	if errors.Is(d.err, io.EOF) && !d.seen[d.action] && len(others) > 0 {
		d.err = nil
		d.failf("no event with action %c: take one of those recorded, %q", d.action, others)
	}
	return d.err
}

// device takes "major,minor" and numbers the volume major·256+minor, each
// modulo 256.
func (d *blkparseDecoder) device() uint16 {
	f := d.take()
	major, minor, _ := bytes.Cut(f, []byte(","))
	a, ok1 := parseUint(major)
	b, ok2 := parseUint(minor)
	if !ok1 || !ok2 {
		d.want("device", "major,minor", f)
	}
	return uint16(a&0xff)<<8 | uint16(b&0xff)
}

// rwbsOp reads blkparse's operation letters: D discards, R reads, W writes, F
// alone or on a write without sectors flushes.
func rwbsOp(rwbs []byte, size uint32) (Op, bool) {
	switch {
	case bytes.IndexByte(rwbs, 'D') >= 0:
		return Trim, true
	case bytes.IndexByte(rwbs, 'R') >= 0:
		return Read, true
	case bytes.IndexByte(rwbs, 'W') >= 0 && size > 0:
		return Write, true
	case bytes.IndexByte(rwbs, 'F') >= 0:
		return Flush, true
	}
	return Write, bytes.IndexByte(rwbs, 'W') >= 0
}
