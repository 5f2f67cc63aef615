package traces

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Info says what a stream carries. It is known once the stream is open.
type Info struct {
	Format      string `json:"format"`
	Compression string `json:"compression,omitempty"` // "gzip", "zstd", "xz", "bzip2"; empty for none
	// Addressed says that Offset is a byte address, and not only an order or
	// an identity.
	Addressed bool `json:"addressed"`
	// Timed, HasSize, HasOp and HasLatency say that the trace records the
	// arrival time, the size, the operation and the latency; without them
	// Time is 0, Size a constant of the format, Op Read.
	Timed      bool `json:"timed"`
	HasSize    bool `json:"has_size"`
	HasOp      bool `json:"has_op"`
	HasLatency bool `json:"has_latency"`
	// Requests is their number, or -1 where only reading will tell.
	Requests int64 `json:"requests"`
}

// Options tell how to read a trace. The zero value detects the format and
// takes that format's own defaults.
type Options struct {
	// Format is a name from Formats, or empty to detect it.
	Format string
	// BlockSize is how many bytes a block has in formats that count blocks;
	// 0 stands for 512.
	BlockSize uint32
	// TimeUnit is what times are counted in where the format leaves it open:
	// "s", "ms", "us", "ns" or "100ns" (Windows ticks). Empty takes the
	// format's own; the csv format then wants it in the column's name.
	TimeUnit string
	// Volume, when not nil, keeps the requests of one volume only.
	Volume *uint16
	// Action is the blkparse event that counts as a request: Q (queued, also
	// the default), D (issued to the driver) or C (completed).
	Action string
	// Validate checks what a reader otherwise passes over: oracleGeneral's
	// next accesses, at the cost of a map entry for each object.
	Validate bool
	// CSV describes the csv format's columns.
	CSV CSVOptions
}

func (o Options) blockSize() uint32 {
	if o.BlockSize == 0 {
		return 512
	}
	return o.BlockSize
}

// timeScale gives the nanoseconds in o.TimeUnit, or in otherwise if empty.
func (o Options) timeScale(otherwise string) (int64, error) {
	unit := o.TimeUnit
	if unit == "" {
		unit = otherwise
	}
	if scale, ok := timeUnits[unit]; ok {
		return scale, nil
	}
	return 0, fmt.Errorf("unknown time unit %q: want one of %s", unit, strings.Join(TimeUnits(), ", "))
}

// TimeUnits are the names that Options.TimeUnit can have.
func TimeUnits() []string { return []string{"s", "ms", "us", "ns", "100ns"} }

var timeUnits = map[string]int64{"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1, "100ns": 100}

// decoder turns input into requests, a batch at a time. It returns fewer than
// len(dst) only together with an error, and requests before a fault with the
// fault. When log is not nil it appends to it one row a request.
type decoder interface {
	decode(dst []Request, log *LatencyLog) (int, error)
}

// Stream hands out a trace's requests in batches.
type Stream struct {
	dec    decoder
	info   Info
	volume *uint16
	src    *source // nil for a generated trace
	close  []func() error
	err    error
}

// Open opens the trace at path. A path that starts with "gen:" or "profile:"
// is generated: see ParseSpec. Compressed files are read through.
func Open(path string, o Options) (*Stream, error) {
	if IsSpec(path) {
		return openSpec(path, o)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s, err := NewStream(f, path, o)
	if err != nil {
		f.Close()
		return nil, err
	}
	s.close = append(s.close, f.Close)
	if st, err := f.Stat(); err == nil && st.Mode().IsRegular() && s.info.Compression == "" && o.Volume == nil {
		if size := s.recordSize(); size > 0 {
			s.info.Requests = st.Size() / size
		}
	}
	return s, nil
}

func (s *Stream) recordSize() int64 {
	if r, ok := s.dec.(interface{ recordSize() int64 }); ok {
		return r.recordSize()
	}
	return 0
}

// NewStream reads a trace from r; name is used in messages and to choose
// between formats that look alike.
func NewStream(r io.Reader, name string, o Options) (*Stream, error) {
	if _, err := o.timeScale("s"); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	plain, closeZ, compression, err := decompress(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", name, compression, err)
	}
	src := newSource(plain, name)
	s := &Stream{src: src, volume: o.Volume, close: []func() error{func() error { closeZ(); return nil }}}
	f, err := chooseFormat(src, o)
	if err == nil {
		src.format = f.Name
		s.info = Info{
			Format: f.Name, Compression: compression, Requests: -1,
			Addressed: f.Addressed, Timed: f.Timed, HasSize: f.HasSize, HasOp: f.HasOp, HasLatency: f.HasLatency,
		}
		s.dec, err = f.open(src, o, &s.info)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Read fills dst with the next requests and says how many. It may give fewer
// than len(dst), but none only with an error: io.EOF at the end. Requests
// before a fault are handed out before the fault is reported.
func (s *Stream) Read(dst []Request) (int, error) { return s.read(dst, nil) }

// ReadLatencies is Read for traces that record latencies: it replaces log's
// rows with those of the requests read, row i for dst[i].
func (s *Stream) ReadLatencies(dst []Request, log *LatencyLog) (int, error) {
	if !s.info.HasLatency {
		return 0, fmt.Errorf("format %s records no latency: want %s", s.info.Format, strings.Join(latencyFormats(), ", "))
	}
	return s.read(dst, log)
}

func (s *Stream) read(dst []Request, log *LatencyLog) (n int, err error) {
	for n == 0 {
		if s.err != nil {
			return 0, s.err
		}
		if len(dst) == 0 {
			return 0, nil
		}
		log.reset()
		n, s.err = s.dec.decode(dst, log)
		if s.volume != nil {
			n = keepVolume(dst[:n], log, *s.volume)
		}
	}
	return n, nil
}

func keepVolume(dst []Request, log *LatencyLog, volume uint16) int {
	k := 0
	for i := range dst {
		if dst[i].Volume == volume {
			dst[k] = dst[i]
			log.move(k, i)
			k++
		}
	}
	log.truncate(k)
	return k
}

// Info says what the stream carries.
func (s *Stream) Info() Info { return s.info }

// Close lets go of the file. Reading after it gives os.ErrClosed.
func (s *Stream) Close() error {
	s.err = os.ErrClosed
	var first error
	for _, c := range s.close {
		if err := c(); err != nil && first == nil {
			first = err
		}
	}
	s.close = nil
	return first
}

// ReadAll reads a whole trace. With an error it also gives the requests before
// the fault.
func ReadAll(path string, o Options) ([]Request, Info, error) {
	s, err := Open(path, o)
	if err != nil {
		return nil, Info{}, err
	}
	defer s.Close()
	var size int64
	if !IsSpec(path) && s.info.Compression == "" {
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			size = st.Size()
		}
	}
	all, err := s.readAll(size)
	s.info.Requests = int64(len(all))
	return all, s.info, err
}

const batch = 4096

// readAll reads to the end. A text file's requests are counted on from the
// first batch, size being that of the file or 0.
func (s *Stream) readAll(size int64) ([]Request, error) {
	capacity := max(min(s.info.Requests, 1<<24), batch)
	all := make([]Request, 0, capacity)
	for {
		if len(all) == cap(all) {
			want := 2 * cap(all)
			if used := s.used(); size > 0 && used > 0 {
				want = max(int(float64(size)/float64(used)*float64(len(all))*1.02), len(all)+len(all)/8) + batch
			}
			all = slices.Grow(all, want-len(all))
		}
		n, err := s.Read(all[len(all):min(cap(all), len(all)+batch)])
		all = all[:len(all)+n]
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

func (s *Stream) used() int64 {
	if s.src == nil {
		return 0
	}
	return s.src.offset()
}
