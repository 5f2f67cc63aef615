package traces

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// FormatError says where an input is not what its format promises.
type FormatError struct {
	Name   string // the input's name, as it was opened
	Format string // the format it was read as
	Line   int64  // the line, counted from 1; 0 in a binary format
	Offset int64  // the byte, counted from 0 after decompression, where the line or record starts
	Msg    string // what was expected and what was found
}

func (e *FormatError) Error() string {
	where := fmt.Sprintf("byte %d", e.Offset)
	if e.Line > 0 {
		where = fmt.Sprintf("line %d (byte %d)", e.Line, e.Offset)
	}
	return fmt.Sprintf("%s: %s: %s: %s", e.Name, e.Format, where, e.Msg)
}

const (
	bufferSize = 256 << 10 // fits a level 2 cache
	maxLine    = 64 << 10
)

// source is a window over the input: buf[pos:end] is read and not yet used.
type source struct {
	r        io.Reader
	name     string
	format   string
	buf      []byte
	pos, end int
	base     int64 // offset of buf[0] in the stream
	err      error // what r ended with
}

func newSource(r io.Reader, name string) *source {
	return &source{r: r, name: name, buf: make([]byte, bufferSize)}
}

// more reads on, keeping the bytes not yet used. It is false when the buffer
// is full or the input has ended; s.err then tells which.
func (s *source) more() bool {
	if s.err != nil {
		return false
	}
	if s.pos > 0 {
		copy(s.buf, s.buf[s.pos:s.end])
		s.base += int64(s.pos)
		s.end -= s.pos
		s.pos = 0
	}
	if s.end == len(s.buf) {
		return false
	}
	for empty := 0; ; empty++ {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		if err != nil {
			s.err = err
		} else if n == 0 && empty < 100 {
			continue
		} else if n == 0 {
			s.err = io.ErrNoProgress
		}
		return n > 0
	}
}

// fill reads until n bytes are at hand or the input ends.
func (s *source) fill(n int) []byte {
	for s.end-s.pos < n && s.more() {
	}
	return s.buf[s.pos:s.end]
}

func (s *source) offset() int64 { return s.base + int64(s.pos) }

func (s *source) errorf(format string, args ...any) error {
	return &FormatError{Name: s.name, Format: s.format, Offset: s.offset(), Msg: fmt.Sprintf(format, args...)}
}

// records gives as many whole records as are at hand, at least one, or the
// error that the input ended with. The caller advances s.pos.
func (s *source) records(size int) ([]byte, error) {
	b := s.fill(size)
	if len(b) >= size {
		return b, nil
	}
	switch {
	case !errors.Is(s.err, io.EOF):
		return nil, s.readError()
	case len(b) > 0:
		return nil, s.errorf("truncated: want a record of %d bytes, got %d", size, len(b))
	}
	return nil, io.EOF
}

func (s *source) readError() error {
	return fmt.Errorf("%s: %s: byte %d: %w", s.name, s.format, s.base+int64(s.end), s.err)
}

// text reads lines and their fields from a source. The first fault stays in
// err, so that a decoder asks once a line.
type text struct {
	*source
	delim byte   // between fields; 0 is any run of blanks
	line  []byte // the current line, without its end
	at    int    // the next field starts here; > len(line) when none is left
	num   int64  // the current line's number, from 1
	start int64  // the current line's offset
	col   int    // the number of fields taken from the line
	err   error
}

// next goes to the next line that is neither blank nor a # comment.
func (t *text) next() bool {
	for t.err == nil {
		s := t.source
		i := bytes.IndexByte(s.buf[s.pos:s.end], '\n')
		for i < 0 {
			had := s.end - s.pos
			if had > maxLine || !s.more() {
				break
			}
			if i = bytes.IndexByte(s.buf[had:s.end], '\n'); i >= 0 {
				i += had
			}
		}
		t.num++
		t.start, t.at, t.col = s.offset(), 0, 0
		switch {
		case i > maxLine || i < 0 && s.end-s.pos > maxLine:
			t.line = s.buf[s.pos : s.pos+20]
			t.failf("line longer than %d bytes, starting %q", maxLine, t.line)
			return false
		case i >= 0:
			t.line = s.buf[s.pos : s.pos+i]
			s.pos += i + 1
		case !errors.Is(s.err, io.EOF):
			t.err = s.readError()
			return false
		case s.pos == s.end:
			t.err = io.EOF
			return false
		default:
			t.line = s.buf[s.pos:s.end]
			s.pos = s.end
		}
		if n := len(t.line); n > 0 && t.line[n-1] == '\r' {
			t.line = t.line[:n-1]
		}
		t.skipBlanks()
		if t.at < len(t.line) && t.line[t.at] != '#' {
			return true
		}
	}
	return false
}

func (t *text) failf(format string, args ...any) {
	if t.err == nil {
		t.err = &FormatError{Name: t.name, Format: t.format, Line: t.num, Offset: t.start, Msg: fmt.Sprintf(format, args...)}
	}
}

// want reports that the field just taken is not what it should be.
func (t *text) want(name, what string, got []byte) {
	got = bytes.TrimSpace(got)
	if len(got) > 40 {
		got = got[:40]
	}
	t.failf("field %d (%s): want %s, got %q", t.col, name, what, got)
}

func (t *text) skipBlanks() {
	for t.at < len(t.line) && (t.line[t.at] == ' ' || t.line[t.at] == '\t' && t.delim != '\t') {
		t.at++
	}
}

// take gives the next field, without the blanks around it. A line that has no
// more is a fault.
func (t *text) take() []byte {
	t.col++
	if t.delim == 0 {
		t.skipBlanks()
		begin := t.at
		for t.at < len(t.line) && t.line[t.at] != ' ' && t.line[t.at] != '\t' {
			t.at++
		}
		if begin == t.at {
			return t.missing()
		}
		return t.line[begin:t.at]
	}
	if t.at > len(t.line) {
		return t.missing()
	}
	t.skipBlanks()
	begin, end := t.at, len(t.line)
	if begin < end && t.line[begin] == '"' {
		return t.takeQuoted()
	}
	if i := bytes.IndexByte(t.line[begin:], t.delim); i >= 0 {
		end = begin + i
	}
	t.at = end + 1
	for end > begin && t.line[end-1] == ' ' {
		end--
	}
	return t.line[begin:end:end]
}

func (t *text) missing() []byte {
	t.failf("line ends after %d fields: want more (%q)", t.col-1, t.line[:min(len(t.line), 60)])
	return nil
}

// hasMore says whether the line has another field.
func (t *text) hasMore() bool {
	if t.delim == 0 {
		t.skipBlanks()
		return t.at < len(t.line)
	}
	return t.at <= len(t.line)
}

func (t *text) takeQuoted() []byte {
	begin := t.at + 1
	i := begin
	for ; i < len(t.line); i++ {
		if t.line[i] != '"' {
			continue
		}
		if i+1 < len(t.line) && t.line[i+1] == '"' {
			i++
			continue
		}
		break
	}
	t.at = min(i+1, len(t.line))
	end := t.at
	t.skipBlanks()
	if i >= len(t.line) || t.at < len(t.line) && t.line[t.at] != t.delim {
		t.failf("field %d: want a quoted field that ends in this line", t.col)
		t.at = len(t.line) + 1
		return nil
	}
	t.at++
	return t.line[begin : end-1 : end-1]
}

// skip passes over n fields.
func (t *text) skip(n int) {
	for range n {
		t.take()
	}
}

// digits takes a field of up to 18 digits and nothing else, in one pass. Of
// any other field it takes nothing.
func (t *text) digits() (v uint64, ok bool) {
	if t.delim == 0 {
		t.skipBlanks()
	}
	b, i := t.line, t.at
	for i < len(b) && i < t.at+18 && b[i]-'0' <= 9 {
		v = v*10 + uint64(b[i]-'0')
		i++
	}
	if i <= t.at || i < len(b) && b[i] != t.delim && (t.delim != 0 || b[i] != ' ' && b[i] != '\t') {
		return 0, false
	}
	t.at = i + 1
	t.col++
	return v, true
}

// number takes a field that is an unsigned 64-bit number, and gives the field
// as it stands as well.
func (t *text) number() (v uint64, f []byte, ok bool) {
	begin := t.at
	if v, ok = t.digits(); ok {
		return v, t.line[begin : t.at-1], true
	}
	f = t.take()
	v, ok = parseUint(f)
	return v, f, ok
}

// uint takes a field that is an unsigned decimal number.
func (t *text) uint(name string) uint64 {
	v, f, ok := t.number()
	if !ok {
		t.want(name, "an unsigned 64-bit number", f)
	}
	return v
}

// fixed takes a field that is a non-negative decimal number, with or without a
// fraction, and gives it in multiples of 1/scale, cut towards zero.
func (t *text) fixed(name string, scale int64) int64 {
	at, col := t.at, t.col
	if v, ok := t.digits(); ok && v <= uint64(math.MaxInt64/scale) {
		return int64(v) * scale
	}
	t.at, t.col = at, col
	f := t.take()
	v, ok := parseFixed(f, scale)
	if !ok {
		t.want(name, "a non-negative number that fits 63 bits of nanoseconds", f)
	}
	return v
}

// size takes a field that counts units of unit bytes, for a Request's Size.
func (t *text) size(name string, unit uint32) uint32 {
	v, f, ok := t.number()
	if !ok || v > math.MaxUint32/uint64(unit) {
		t.want(name, fmt.Sprintf("a size of at most %d bytes in units of %d", uint32(math.MaxUint32), unit), f)
		return 0
	}
	return uint32(v) * unit
}

// address takes a field that counts units of unit bytes, for an Offset: it
// gives the number as written and the bytes.
func (t *text) address(name string, unit uint32) (block, offset uint64) {
	block, f, ok := t.number()
	if !ok || block > math.MaxUint64/uint64(unit) {
		t.want(name, fmt.Sprintf("an unsigned address in units of %d bytes, below 2^64 bytes", unit), f)
		return 0, 0
	}
	return block, block * uint64(unit)
}

// volume takes a field for a Request's Volume.
func (t *text) volume(name string) uint16 {
	v, f, ok := t.number()
	if !ok || v > math.MaxUint16 {
		t.want(name, "a volume number of at most 65535", f)
	}
	return uint16(v)
}

// bit takes a field that is 1 or 0.
func (t *text) bit(name string, one, zero Op) Op {
	f := t.take()
	if len(f) == 1 && f[0] == '1' {
		return one
	}
	if len(f) != 1 || f[0] != '0' {
		t.want(name, fmt.Sprintf("0 (%v) or 1 (%v)", zero, one), f)
	}
	return zero
}

// word takes a field that is one of two words, in lower case here and in any
// case there.
func (t *text) word(name, read, write string) Op {
	f := t.take()
	switch {
	case equalFold(f, read):
		return Read
	case !equalFold(f, write):
		t.want(name, read+" or "+write, f)
	}
	return Write
}

func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c|0x20 != lower[i] {
			return false
		}
	}
	return true
}

func parseUint(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	var v uint64
	for i, c := range b {
		c -= '0'
		if c > 9 || i == 19 && (v > math.MaxUint64/10 || v == math.MaxUint64/10 && c > math.MaxUint64%10) {
			return 0, false
		}
		v = v*10 + uint64(c)
	}
	return v, true
}

func parseFixed(b []byte, scale int64) (int64, bool) {
	whole, i := uint64(0), 0
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		if whole > math.MaxInt64/10 {
			return 0, false
		}
		whole = whole*10 + uint64(b[i]-'0')
	}
	if whole > uint64(math.MaxInt64/scale) {
		return 0, false
	}
	v := int64(whole) * scale
	if i == len(b) {
		return v, i > 0
	}
	if b[i] == '.' && (i > 0 || len(b) > 1) {
		unit := scale
		num, den := int64(0), int64(1)
		for i++; i < len(b) && b[i]-'0' <= 9; i++ {
			if den < unit {
				num, den = num*10+int64(b[i]-'0'), den*10
			}
		}
		if i == len(b) {
			v += num * unit / den
			return v, v >= 0
		}
	}
	if c := b[i] | 0x20; c != 'e' {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(b), 64)
	f *= float64(scale)
	if err != nil || !(f >= 0 && f < math.MaxInt64) {
		return 0, false
	}
	return int64(f), true
}

// decompress looks at the first bytes of r and, where they are the mark of a
// compressed stream, gives what is inside. It names the compression, "" for
// none.
func decompress(r io.Reader) (io.Reader, func(), string, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, _ := b.Peek(6) // an error comes again when the bytes before it are read
	nothing := func() {}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		return z, nothing, "gzip", err
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderMaxWindow(1<<30))
		if err != nil {
			return nil, nil, "zstd", err
		}
		return z, z.Close, "zstd", nil
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		z, err := xz.NewReader(b)
		return z, nothing, "xz", err
	case bytes.HasPrefix(head, []byte("BZh")):
		return bzip2.NewReader(b), nothing, "bzip2", nil
	}
	return b, nothing, "", nil
}
