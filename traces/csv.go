package traces

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// CSVOptions declare the columns of a csv trace and what they mean. A column
// is its name in the header or its number from 1; a column left empty is found
// by its name if the header has one of those in csvNames. Names ending in _ns,
// _us, _ms or _s declare a time's unit, names that say sectors or blocks count
// Options.BlockSize bytes.
type CSVOptions struct {
	Time, ID, Offset, Size, Op, Volume, Latency string
	// OffsetUnit and SizeUnit are the bytes in one unit of their column; 0
	// goes by the column's name, and otherwise by bytes.
	OffsetUnit, SizeUnit uint32
	// LatencyUnit is what the latency is counted in, like Options.TimeUnit.
	LatencyUnit string
	// ReadValues, WriteValues, TrimValues and FlushValues are what the
	// operation column holds for each; letters compare without case. Left
	// empty all four, the usual words are known (r, read, w, write, …), but a
	// number is an error: 1 is a read to some and a write to others.
	ReadValues, WriteValues, TrimValues, FlushValues []string
	// Delimiter separates columns; 0 detects one of , ; tab | and space.
	Delimiter byte
	// Header says whether the first line names the columns: "yes", "no", or
	// empty to detect it.
	Header string
	// HashIDs takes ids as text and uses their 64-bit FNV-1a hash; without it
	// an id that is not a number is an error.
	HashIDs bool
}

func (o *CSVOptions) declared() bool {
	return o.Time != "" || o.ID != "" || o.Offset != "" || o.Size != "" || o.Op != "" || o.Volume != "" || o.Latency != ""
}

var csvFormat = Format{
	Name:   "csv",
	Doc:    "text with delimiters and declared columns; what reprise writes is read without declaring any",
	Layout: "a header line that names columns (or --time, --id, --offset, --size, --op, --volume, --latency by name or number); delimiter and header are detected",
	Options: []string{"--time", "--id", "--offset", "--size", "--op", "--volume-column", "--latency", "--time-unit", "--latency-unit",
		"--offset-unit", "--size-unit", "--op-read", "--op-write", "--op-trim", "--op-flush", "--delimiter", "--header", "--hash-ids"},
	Extensions: []string{".csv", ".tsv"},
	detect: func(s *sample) fit {
		if !s.text || len(s.lines) == 0 {
			return no
		}
		header := csvHeader(string(s.lines[0]), detectDelimiter(s.lines))
		_, id := findColumn(header, "id")
		_, offset := findColumn(header, "offset")
		return fitIf(sure, len(header) > 1, id || offset)
	},
	open: openCSV,
}

// csvNames are the header names a column is found by, without a unit's ending.
var csvNames = map[string][]string{
	"time":    {"time", "timestamp", "ts", "arrival", "arrival_time"},
	"id":      {"id", "obj_id", "object_id", "object", "obj", "key"},
	"offset":  {"offset", "addr", "address", "lba", "lbn", "sector", "start_sector", "block"},
	"size":    {"size", "bytes", "length", "len", "obj_size", "object_size", "nsectors", "sectors", "blocks"},
	"op":      {"op", "operation", "opcode", "io_type", "iotype", "rw"},
	"volume":  {"volume", "volume_id", "vol", "device", "device_id", "dev", "disk"},
	"latency": {"latency", "response_time"},
}

var csvBlockNames = []string{"lba", "lbn", "sector", "start_sector", "block", "nsectors", "sectors", "blocks"}

// findColumn finds the header's column for a role.
func findColumn(header []string, role string) (int, bool) {
	for i, h := range header {
		if name, _ := splitUnit(h); slices.Contains(csvNames[role], name) {
			return i, true
		}
	}
	return 0, false
}

// splitUnit takes a header's name apart: "time_us" is "time" counted in "us".
func splitUnit(header string) (name, unit string) {
	name = strings.ToLower(strings.Trim(header, `" #`))
	if i := strings.LastIndexByte(name, '_'); i > 0 {
		switch unit := name[i+1:]; unit {
		case "s", "ms", "us", "ns", "bytes":
			return name[:i], unit
		}
	}
	return name, ""
}

func detectDelimiter(lines [][]byte) byte {
	for _, d := range []byte(",;\t|") {
		if n := countUnquoted(lines[0], d); n > 0 && (len(lines) == 1 || countUnquoted(lines[1], d) == n) {
			return d
		}
	}
	return 0
}

func countUnquoted(line []byte, delim byte) (n int) {
	quoted := false
	for _, c := range line {
		if c == '"' {
			quoted = !quoted
		} else if c == delim && !quoted {
			n++
		}
	}
	return n
}

// csvHeader gives the names in a first line, and nil if it holds a number.
func csvHeader(line string, delim byte) []string {
	var names []string
	if delim == 0 {
		names = strings.Fields(line)
	} else {
		names = strings.Split(line, string(delim))
	}
	for i := range names {
		names[i] = strings.Trim(names[i], "\" \r")
		if names[i] != "" && isFixed(names[i]) {
			return nil
		}
	}
	return names
}

type csvRole uint8

const (
	csvSkip csvRole = iota
	csvTime
	csvID
	csvOffset
	csvSize
	csvOp
	csvVolume
	csvLatency
)

type csvDecoder struct {
	text
	roles                []csvRole // one a column, up to the last one used
	names                []string  // the same, as the header or the option has them
	timeScale            int64
	latencyScale         int64
	offsetUnit, sizeUnit uint32
	hasID, hashIDs       bool
	fixedSize            uint32 // of every request where there is no size column
	ops                  map[string]Op
	opText               string
	pending              bool // the current line was read ahead and is data
}

func openCSV(src *source, o Options, info *Info) (decoder, error) {
	c := &o.CSV
	d := &csvDecoder{text: text{source: src, delim: c.Delimiter}, hashIDs: c.HashIDs}
	switch d.delim {
	case ' ':
		d.delim = 0
	case 0:
		if s := newSample(src.fill(8<<10), src.err != nil); len(s.lines) > 0 {
			d.delim = detectDelimiter(s.lines)
		}
	}
	fail := func(format string, args ...any) (decoder, error) {
		return nil, fmt.Errorf("%s: csv: %s", src.name, fmt.Sprintf(format, args...))
	}
	var header []string
	switch {
	case d.next():
		header = csvHeader(string(d.line), d.delim)
		switch c.Header {
		case "yes":
			if header == nil {
				return fail("line %d: want a header, got numbers in %q", d.num, d.line)
			}
		case "no":
			header = nil
		case "":
		default:
			return fail(`header: want "yes", "no" or nothing, got %q`, c.Header)
		}
		d.pending = header == nil
	case !errors.Is(d.err, io.EOF):
		return nil, d.err
	case !c.declared():
		return fail("empty: no header names the columns")
	}
	for _, col := range []struct {
		role     csvRole
		name     string
		declared string
	}{
		{csvTime, "time", c.Time}, {csvID, "id", c.ID}, {csvOffset, "offset", c.Offset}, {csvSize, "size", c.Size},
		{csvOp, "op", c.Op}, {csvVolume, "volume", c.Volume}, {csvLatency, "latency", c.Latency},
	} {
		at, found := 0, false
		if col.declared == "" {
			at, found = findColumn(header, col.name)
		} else if n, err := strconv.Atoi(col.declared); err == nil && n >= 1 && n <= 1000 {
			at, found = n-1, true
		} else {
			at = slices.IndexFunc(header, func(h string) bool { return strings.EqualFold(h, col.declared) })
			if found = at >= 0; !found {
				return fail("no column %q for %s: the header has %q", col.declared, col.name, header)
			}
		}
		if !found {
			continue
		}
		name := col.name
		if at < len(header) {
			name = header[at]
		}
		for len(d.roles) <= at {
			d.roles, d.names = append(d.roles, csvSkip), append(d.names, "")
		}
		if d.roles[at] != csvSkip {
			return fail("column %d is declared twice", at+1)
		}
		d.roles[at], d.names[at] = col.role, name
		_, unit := splitUnit(name)
		bytesIn := uint32(1)
		if base, _ := splitUnit(name); slices.Contains(csvBlockNames, base) {
			bytesIn = o.blockSize()
		}
		switch col.role {
		case csvTime, csvLatency:
			declared, flag := o.TimeUnit, "--time-unit"
			if col.role == csvLatency {
				declared, flag = c.LatencyUnit, "--latency-unit"
			}
			if declared != "" {
				unit = declared
			}
			scale, ok := timeUnits[unit]
			if !ok {
				return fail("column %q: unit of the %s unknown: declare it with %s (s, ms, us, ns or 100ns) or in the name (%s_us)", name, col.name, flag, col.name)
			}
			if col.role == csvTime {
				d.timeScale, info.Timed = scale, true
			} else {
				d.latencyScale, info.HasLatency = scale, true
			}
		case csvID:
			d.hasID = true
		case csvOffset:
			d.offsetUnit, info.Addressed = bytesIn, true
			if c.OffsetUnit > 0 {
				d.offsetUnit = c.OffsetUnit
			}
		case csvSize:
			d.sizeUnit, info.HasSize = bytesIn, true
			if c.SizeUnit > 0 {
				d.sizeUnit = c.SizeUnit
			}
		case csvOp:
			info.HasOp = true
		}
	}
	if !d.hasID && !info.Addressed {
		return fail("no column for id or offset: declare one by name or number (first line %q)", d.line)
	}
	if !info.HasSize {
		d.fixedSize = 1
		if info.Addressed {
			d.fixedSize = o.blockSize()
		}
	}
	return d, d.setOps(c)
}

func (d *csvDecoder) setOps(c *CSVOptions) error {
	values := [...][]string{Read: c.ReadValues, Write: c.WriteValues, Trim: c.TrimValues, Flush: c.FlushValues}
	if len(c.ReadValues)+len(c.WriteValues)+len(c.TrimValues)+len(c.FlushValues) == 0 {
		values = [...][]string{
			Read: {"r", "read", "rs", "ra", "get", "gets"}, Write: {"w", "write", "ws", "set", "put"},
			Trim: {"t", "trim", "d", "discard", "unmap"}, Flush: {"f", "flush"},
		}
		d.opText = "read, write, trim or flush; declare which value means which (a number says nothing by itself)"
	} else {
		d.opText = "one of the values declared for operations"
	}
	d.ops = map[string]Op{}
	for op, words := range values {
		for _, w := range words {
			w = strings.ToLower(w)
			if was, ok := d.ops[w]; ok && was != Op(op) {
				return fmt.Errorf("%s: csv: operation value %q declared as both %v and %v", d.name, w, was, Op(op))
			}
			d.ops[w] = Op(op)
		}
	}
	return nil
}

func (d *csvDecoder) decode(dst []Request, log *LatencyLog) (n int, err error) {
	for n < len(dst) {
		if d.pending {
			d.pending = false
		} else if !d.next() {
			return n, d.err
		}
		r := Request{Size: d.fixedSize}
		var block uint64
		var latency int64
		for i, role := range d.roles {
			switch role {
			case csvSkip:
				d.take()
			case csvTime:
				r.Time = d.fixed(d.names[i], d.timeScale)
			case csvID:
				if d.hashIDs {
					r.ID = fnv1a(d.take())
				} else {
					r.ID = d.uint(d.names[i])
				}
			case csvOffset:
				block, r.Offset = d.address(d.names[i], d.offsetUnit)
			case csvSize:
				r.Size = d.size(d.names[i], d.sizeUnit)
			case csvOp:
				r.Op = d.op(d.names[i])
			case csvVolume:
				r.Volume = d.volume(d.names[i])
			case csvLatency:
				latency = d.fixed(d.names[i], d.latencyScale)
			}
		}
		if d.err != nil {
			return n, d.err
		}
		if !d.hasID {
			r.ID = volumeID(r.Volume, block)
		}
		if log != nil {
			log.add(&r, r.Time, latency, r.Size)
		}
		dst[n] = r
		n++
	}
	return n, nil
}

// op looks a value up in lower case, without allocating.
func (d *csvDecoder) op(name string) Op {
	var lower [16]byte
	f := d.take()
	if len(f) > 0 && len(f) <= len(lower) {
		for i, c := range f {
			if c-'A' < 26 {
				c += 'a' - 'A'
			}
			lower[i] = c
		}
		if op, ok := d.ops[string(lower[:len(f)])]; ok {
			return op
		}
	}
	d.want(name, d.opText, f)
	return Read
}

func fnv1a(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// CSVHeader is the first line that CSVWriter writes.
const CSVHeader = "time_ns,op,offset,size,id,volume"

// CSVWriter writes requests as csv, every field of a Request a column, so that
// the csv reader gives the same requests back without being told anything.
type CSVWriter struct {
	w    *bufio.Writer
	line []byte
}

// NewCSVWriter makes a writer that has written the header.
func NewCSVWriter(w io.Writer) *CSVWriter {
	c := &CSVWriter{w: bufio.NewWriterSize(w, bufferSize), line: make([]byte, 0, 128)}
	_, _ = c.w.WriteString(CSVHeader + "\n") // an error stays with the writer
	return c
}

// Write writes a line a request. A negative time or an operation that has no
// name is an error.
func (c *CSVWriter) Write(requests []Request) error {
	for i := range requests {
		r := &requests[i]
		if r.Time < 0 || r.Op > Flush {
			return fmt.Errorf("csv: cannot write time %d ns, operation %d", r.Time, r.Op)
		}
		b := strconv.AppendInt(c.line, r.Time, 10)
		b = append(append(append(b, ','), r.Op.String()...), ',')
		b = append(strconv.AppendUint(b, r.Offset, 10), ',')
		b = append(strconv.AppendUint(b, uint64(r.Size), 10), ',')
		b = append(strconv.AppendUint(b, r.ID, 10), ',')
		b = append(strconv.AppendUint(b, uint64(r.Volume), 10), '\n')
		if _, err := c.w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// Flush writes out what is buffered.
func (c *CSVWriter) Flush() error { return c.w.Flush() }

// volumeID is the identity of a block in a format that holds several volumes.
func volumeID(volume uint16, block uint64) uint64 { return block ^ uint64(volume)<<48 }
