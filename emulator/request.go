package emulator

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"strings"
)

// Request is one request to a device, in sectors.
type Request struct {
	Time    int64 // nanoseconds
	Op      byte  // 'R', 'W', 'T' (trim) or 'F' (flush)
	LBA     uint64
	Sectors uint64
}

// RequestReader reads requests from CSV with the header
// time_ns,op,lba,nsectors.
type RequestReader struct {
	lines *bufio.Scanner
	line  int
}

// RequestHeader is the first line of such CSV.
const RequestHeader = "time_ns,op,lba,nsectors"

// NewRequestReader reads and checks the header.
func NewRequestReader(r io.Reader) (*RequestReader, error) {
	rr := &RequestReader{lines: bufio.NewScanner(r), line: 1}
	if !rr.lines.Scan() {
		if err := rr.lines.Err(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("line 1: nothing there; want the header %s", RequestHeader)
	}
	if got := strings.TrimRight(rr.lines.Text(), "\r"); got != RequestHeader {
		return nil, fmt.Errorf("line 1: header is %.60q; want %s", got, RequestHeader)
	}
	return rr, nil
}

// Next returns the next request, io.EOF after the last, and an error that
// names the line for anything else than four fields in the header's form.
func (r *RequestReader) Next() (Request, error) {
	if !r.lines.Scan() {
		if err := r.lines.Err(); err != nil {
			return Request{}, fmt.Errorf("line %d: %w", r.line+1, err)
		}
		return Request{}, io.EOF
	}
	r.line++
	q, err := parseRequest(bytes.TrimSuffix(r.lines.Bytes(), []byte{'\r'}))
	if err != nil {
		return Request{}, fmt.Errorf("line %d: %w", r.line, err)
	}
	return q, nil
}

func parseRequest(s []byte) (q Request, err error) {
	rest, more := s, true
	field := func() (f []byte) {
		f, rest, more = bytes.Cut(rest, []byte{','})
		return f
	}
	t := field()
	time, ok := parseUint(t)
	if !ok || time > math.MaxInt64 {
		return q, fmt.Errorf("time_ns %.40q is not a number of nanoseconds", t)
	}
	q.Time = int64(time)
	if !more {
		return q, fmt.Errorf("%.60q has fewer than four fields", s)
	}
	op := field()
	if len(op) != 1 || op[0] != 'R' && op[0] != 'W' && op[0] != 'T' {
		return q, fmt.Errorf("op %.40q is not R, W or T", op)
	}
	q.Op = op[0]
	if !more {
		return q, fmt.Errorf("%.60q has fewer than four fields", s)
	}
	lba := field()
	if q.LBA, ok = parseUint(lba); !ok {
		return q, fmt.Errorf("lba %.40q is not a sector number", lba)
	}
	if !more {
		return q, fmt.Errorf("%.60q has fewer than four fields", s)
	}
	n := field()
	if more {
		return q, errors.New("more than four fields")
	}
	if q.Sectors, ok = parseUint(n); !ok || q.Sectors == 0 {
		return q, fmt.Errorf("nsectors %.40q is not a positive number", n)
	}
	return q, nil
}

// parseUint reads a decimal number of 64 bits without allocating.
func parseUint(s []byte) (n uint64, ok bool) {
	if len(s) == 0 || len(s) > 20 {
		return 0, false
	}
	for _, c := range s {
		c -= '0'
		hi, lo := bits.Mul64(n, 10)
		sum, carry := bits.Add64(lo, uint64(c), 0)
		if c > 9 || hi != 0 || carry != 0 {
			return 0, false
		}
		n = sum
	}
	return n, true
}
