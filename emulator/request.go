package emulator

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
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
	q, err := parseRequest(strings.TrimSuffix(r.lines.Text(), "\r"))
	if err != nil {
		return Request{}, fmt.Errorf("line %d: %w", r.line, err)
	}
	return q, nil
}

// Line is the number of the line read last.
func (r *RequestReader) Line() int { return r.line }

func parseRequest(s string) (q Request, err error) {
	var rest string
	var found bool
	field := func() string {
		var f string
		f, rest, found = strings.Cut(rest, ",")
		return f
	}
	rest = s
	t := field()
	if !found {
		return q, fmt.Errorf("%.60q has fewer than four fields", s)
	}
	if q.Time, err = strconv.ParseInt(t, 10, 64); err != nil || q.Time < 0 {
		return q, fmt.Errorf("time_ns %.40q is not a number of nanoseconds", t)
	}
	op := field()
	if op != "R" && op != "W" && op != "T" {
		return q, fmt.Errorf("op %.40q is not R, W or T", op)
	}
	q.Op = op[0]
	lba := field()
	if q.LBA, err = strconv.ParseUint(lba, 10, 64); err != nil {
		return q, fmt.Errorf("lba %.40q is not a sector number", lba)
	}
	if !found {
		return q, fmt.Errorf("%.60q has fewer than four fields", s)
	}
	n := field()
	if found {
		return q, errors.New("more than four fields")
	}
	if q.Sectors, err = strconv.ParseUint(n, 10, 64); err != nil || q.Sectors == 0 {
		return q, fmt.Errorf("nsectors %.40q is not a positive number", n)
	}
	return q, nil
}
