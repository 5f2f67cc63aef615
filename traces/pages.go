package traces

import "math"

// The page reference strings of the replacement policy papers: order only.

var arc = Format{
	Name:       "arc",
	Doc:        "the traces of the ARC paper (.lis): OLTP, P1 to P14, S1 to S3, DS1",
	Layout:     "text: first page, number of pages, ignored, request number; a line stands for so many requests of one 512-byte page each",
	Options:    []string{"--block-size"},
	Extensions: []string{".lis"},
	Addressed:  true,
	detect: func(s *sample) fit {
		last := uint64(0)
		return s.fields(0, func(f []string) fit {
			if len(f) != 4 || !isUint(f[0]) || !isUint(f[1]) || !isUint(f[2]) || !isUint(f[3]) {
				return no
			}
			number, _ := parseUint([]byte(f[3]))
			ordered := number == 0 || number > last
			last = number
			return fitIf(sure, ordered)
		})
	},
	open: func(src *source, o Options, _ *Info) (decoder, error) {
		return &arcDecoder{text: text{source: src}, pageSize: o.blockSize()}, nil
	},
}

type arcDecoder struct {
	text
	pageSize   uint32
	page, left uint64 // the pages of the current line not yet handed out
}

// arcPages bounds the pages of a line, lest a broken number run for ever.
const arcPages = 1 << 24

func (d *arcDecoder) decode(dst []Request, _ *LatencyLog) (n int, err error) {
	for n < len(dst) {
		if d.left == 0 {
			if !d.next() {
				break
			}
			first, pages := d.uint("first page"), d.uint("number of pages")
			if d.err == nil && (pages > arcPages || first > math.MaxUint64/uint64(d.pageSize)-pages) {
				d.failf("want at most %d pages that end below 2^64 bytes, got %d from page %d", arcPages, pages, first)
			}
			if d.err != nil {
				break
			}
			d.page, d.left = first, pages
		}
		k := int(min(d.left, uint64(len(dst)-n)))
		for i := range k {
			page := d.page + uint64(i)
			dst[n+i] = Request{ID: page, Offset: page * uint64(d.pageSize), Size: d.pageSize}
		}
		d.page, d.left, n = d.page+uint64(k), d.left-uint64(k), n+k
	}
	return n, d.err
}

var lirs = Format{
	Name:       "lirs",
	Doc:        "one block number a line: the LIRS paper's traces, and libCacheSim's txt",
	Layout:     "text: block number; lines of * mark sections and are passed over; every request has size 1",
	Extensions: []string{".trc", ".lirs", ".txt"},
	detect: func(s *sample) fit {
		return s.fields(0, func(f []string) fit {
			return fitIf(maybe, len(f) == 1 && (isUint(f[0]) || f[0] == "*"))
		})
	},
	open: func(src *source, _ Options, _ *Info) (decoder, error) {
		return &lirsDecoder{text{source: src}}, nil
	},
}

type lirsDecoder struct{ text }

func (d *lirsDecoder) decode(dst []Request, _ *LatencyLog) (n int, err error) {
	for n < len(dst) && d.next() {
		if d.line[d.at] == '*' {
			continue
		}
		dst[n] = Request{ID: d.uint("block number"), Size: 1}
		if d.err != nil {
			break
		}
		n++
	}
	return n, d.err
}
