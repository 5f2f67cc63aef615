package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"reprise/traces"
)

// BlockOptions say how requests become pages.
type BlockOptions struct {
	PageSize uint32 // bytes, 4096 if 0
	// Interval, if not 0, is the time between requests in nanoseconds, in
	// place of the trace's own times.
	Interval int64
	Requests int64         // how many to expect; 0 or less if that is not known
	Read     *atomic.Int64 // if not nil, kept at the number of requests read
}

// DefaultPageSize is the size of a page in bytes.
const DefaultPageSize = 4096

// BlockTrace is a sequence of reads and writes of ranges of pages, in memory,
// 32 bytes a request. It is for reading by many at once.
type BlockTrace struct {
	PageSize uint32
	// Pages is how many pages the requests cover, each counted as often as it
	// is asked for.
	Pages int64
	// Skipped is the number of requests left out: those for 0 bytes, trims and
	// flushes.
	Skipped int

	requests []blockRequest

	footprint  func() int64
	nextRead   func() []uint32
	nextAccess func() []uint32
}

type blockRequest struct {
	time  int64 // ns, never less than of the one before
	first uint64
	size  uint32 // bytes
	skip  uint32 // bytes of the first page before those asked for
	write bool
}

// pages is how many pages the request touches.
func (r *blockRequest) pages(pageSize uint32) int {
	return int((uint64(r.skip) + uint64(r.size) + uint64(pageSize) - 1) / uint64(pageSize))
}

// LoadBlocks reads a trace with addresses to its end. A page's number has the
// volume in its top 16 bits. Times that run backwards are taken to stand still.
func LoadBlocks(ctx context.Context, r Reader, o BlockOptions) (*BlockTrace, error) {
	t := &BlockTrace{PageSize: o.PageSize, requests: make([]blockRequest, 0, max(o.Requests, 0))}
	if t.PageSize == 0 {
		t.PageSize = DefaultPageSize
	}
	batch := make([]traces.Request, 4096)
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		n, err := r.Read(batch)
		for i := range batch[:n] {
			t.append(&batch[i], o.Interval)
		}
		if t.Pages > never-1 {
			return nil, fmt.Errorf("more than %d pages requested", never-1)
		}
		if o.Read != nil {
			o.Read.Store(int64(len(t.requests)))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	t.footprint = sync.OnceValue(t.countFootprint)
	t.nextRead = sync.OnceValue(func() []uint32 { return t.findNext(false) })
	t.nextAccess = sync.OnceValue(func() []uint32 { return t.findNext(true) })
	return t, nil
}

func (t *BlockTrace) append(r *traces.Request, interval int64) {
	if r.Size == 0 || r.Op > traces.Write {
		t.Skipped++
		return
	}
	q := blockRequest{
		time:  r.Time,
		first: uint64(r.Volume)<<48 | r.Offset/uint64(t.PageSize)&(1<<48-1),
		size:  r.Size, skip: uint32(r.Offset % uint64(t.PageSize)), write: r.Op == traces.Write,
	}
	if interval != 0 {
		q.time = int64(len(t.requests)) * interval
	}
	if n := len(t.requests); n > 0 {
		q.time = max(q.time, t.requests[n-1].time)
	}
	t.Pages += int64(q.pages(t.PageSize))
	t.requests = append(t.requests, q)
}

// Len is the number of requests.
func (t *BlockTrace) Len() int { return len(t.requests) }

// Footprint is the number of different pages; it takes a pass the first time.
func (t *BlockTrace) Footprint() int64 { return t.footprint() }

func (t *BlockTrace) countFootprint() int64 {
	seen, n := newIDTable(), int64(0)
	for i := range t.requests {
		r := &t.requests[i]
		for p := range uint64(r.pages(t.PageSize)) {
			if _, old := seen.put(r.first+p, 0); !old {
				n++
			}
		}
	}
	return n
}

// findNext gives, page by page, the time of the next access to the same, in
// accesses; those of writes count if writes is set.
func (t *BlockTrace) findNext(writes bool) []uint32 {
	n := t.Pages
	if !writes {
		n = 0
		for i := range t.requests {
			if r := &t.requests[i]; !r.write {
				n += int64(r.pages(t.PageSize))
			}
		}
	}
	next := make([]uint32, n)
	seen := newIDTable()
	for i := len(t.requests) - 1; i >= 0; i-- {
		r := &t.requests[i]
		if r.write && !writes {
			continue
		}
		for p := r.pages(t.PageSize) - 1; p >= 0; p-- {
			later, known := seen.put(r.first+uint64(p), uint32(n))
			if !known {
				later = never
			}
			n--
			next[n] = later
		}
	}
	return next
}

// Pages gives a capacity in pages, truncated: a share is one of the footprint,
// a plain number counts pages.
func (s Size) Pages(t *BlockTrace) int64 {
	switch {
	case s.share:
		return int64(float64(t.Footprint()) * s.percent / 100)
	case s.inBytes:
		return s.units / int64(t.PageSize)
	}
	return s.units
}
