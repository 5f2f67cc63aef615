package traces

import (
	"errors"
	"io"
	"math"
	"math/bits"
	"slices"
)

// Summary describes a trace. Shares run from 0 to 1. What the trace does not
// record is left out: a pointer is nil then.
type Summary struct {
	Info     Info   `json:"info"`
	Requests uint64 `json:"requests"`
	Reads    uint64 `json:"reads"`
	Writes   uint64 `json:"writes"`
	Trims    uint64 `json:"trims"`
	Flushes  uint64 `json:"flushes"`
	Empty    uint64 `json:"empty"` // requests of size 0
	Volumes  int    `json:"volumes"`

	Bytes      uint64 `json:"bytes"` // all requests'
	ReadBytes  uint64 `json:"read_bytes"`
	WriteBytes uint64 `json:"write_bytes"`

	// Objects counts the distinct ids, Footprint adds up their sizes, each as
	// first seen; OneHit is the share of them requested once. ObjectSample is
	// the share of ids that were followed, 1 unless there were too many: then
	// the three are estimates from that sample.
	Objects      uint64  `json:"objects"`
	Footprint    uint64  `json:"footprint_bytes"`
	OneHit       float64 `json:"one_hit_share"`
	ObjectSample float64 `json:"object_sample"`
	// Pages counts the distinct 4 KiB pages touched, on all volumes.
	Pages      *uint64  `json:"pages_4k,omitempty"`
	PageSample *float64 `json:"page_sample,omitempty"`

	Size      SizeSummary `json:"size"`
	ReadSize  SizeSummary `json:"read_size"`
	WriteSize SizeSummary `json:"write_size"`

	// Sequential is the share of requests that start where the one before
	// them on the same volume ended.
	Sequential *float64 `json:"sequential_share,omitempty"`
	// Random is the share of requests that start more than 128 KiB from where
	// each of the 32 before them on the same volume started: the randomness
	// ratio of J. Li et al., "An In-Depth Comparative Analysis of Cloud Block
	// Storage Workloads", ACM TOS 19(2), 2023, finding B.9.
	Random *float64 `json:"random_share,omitempty"`
	// ZipfAlpha is the negative slope of log frequency over log rank, among
	// the objects requested at least 8 times; nil with fewer than 20 of them.
	ZipfAlpha *float64 `json:"zipf_alpha,omitempty"`

	// Duration runs from the earliest to the latest arrival; InterArrival is
	// the mean gap and InterArrivalCV the gaps' coefficient of variation, in
	// the order of the trace. Backward counts requests that arrive before the
	// one in front of them; their gap counts as 0.
	Duration       *float64 `json:"duration_s,omitempty"`
	InterArrival   *float64 `json:"interarrival_s,omitempty"`
	InterArrivalCV *float64 `json:"interarrival_cv,omitempty"`
	Backward       *uint64  `json:"backward,omitempty"`
}

// SizeSummary describes sizes in bytes. The percentiles are exact for whole
// sectors up to 128 KiB and at most 1/128 low otherwise.
type SizeSummary struct {
	Mean float64 `json:"mean"`
	Min  uint32  `json:"min"`
	P50  uint32  `json:"p50"`
	P75  uint32  `json:"p75"`
	P90  uint32  `json:"p90"`
	P99  uint32  `json:"p99"`
	Max  uint32  `json:"max"`
}

// followed bounds how many objects, and how many pages, Summarize follows: 16
// bytes each in a table at most three quarters full, 512 MiB for both. Beyond
// that it halves its sample of them, chosen by hash.
const followed = 12 << 20

// Summarize reads a stream to its end. Its memory is bounded whatever the
// trace: see Summary.ObjectSample. With an error it describes the requests
// before the fault.
func Summarize(s *Stream) (Summary, error) {
	c := NewSummarizer(s.Info())
	dst := make([]Request, batch)
	for {
		n, err := s.Read(dst)
		c.Add(dst[:n])
		if errors.Is(err, io.EOF) {
			return c.Summary(), nil
		}
		if err != nil {
			return c.Summary(), err
		}
	}
}

// Summarizer is Summarize for a caller that reads the stream itself.
type Summarizer struct {
	info           Info
	sum            Summary
	objects, pages sampleTable
	last           map[uint16]*recent
	volume         uint16
	now            *recent // last[volume]

	all, read, write       sizeCounts
	sequential, random     uint64
	first, latest, before  int64
	gaps, gapMean, gapDevs float64
	backward               uint64
}

// NewSummarizer starts a summary of requests that info describes.
func NewSummarizer(info Info) *Summarizer {
	return &Summarizer{info: info, objects: newSampleTable(followed), pages: newSampleTable(followed), last: map[uint16]*recent{}}
}

// recent is where the last requests of a volume went.
type recent struct {
	end    uint64
	starts [32]uint64
	n      uint64
}

// Add takes the next requests in.
func (c *Summarizer) Add(requests []Request) {
	s := &c.sum
	for i := range requests {
		r := &requests[i]
		s.Requests++
		s.Bytes += uint64(r.Size)
		c.all.add(r.Size)
		switch r.Op {
		case Read:
			s.Reads++
			s.ReadBytes += uint64(r.Size)
			c.read.add(r.Size)
		case Write:
			s.Writes++
			s.WriteBytes += uint64(r.Size)
			c.write.add(r.Size)
		case Trim:
			s.Trims++
		case Flush:
			s.Flushes++
		}
		if r.Size == 0 {
			s.Empty++
		}
		c.objects.add(r.ID, r.Size)
		c.space(r)
		if c.info.Timed {
			c.time(r.Time)
		}
	}
}

func (c *Summarizer) space(r *Request) {
	if c.now == nil || r.Volume != c.volume {
		c.volume, c.now = r.Volume, c.last[r.Volume]
		if c.now == nil {
			c.now = &recent{}
			c.last[r.Volume] = c.now
		}
	}
	if !c.info.Addressed || r.Op == Flush {
		return
	}
	l := c.now
	if l.n > 0 && r.Offset == l.end {
		c.sequential++
	}
	near := false
	for _, start := range l.starts[:min(l.n, uint64(len(l.starts)))] {
		if r.Offset-start <= 128<<10 || start-r.Offset <= 128<<10 {
			near = true
			break
		}
	}
	if !near {
		c.random++
	}
	l.starts[l.n%uint64(len(l.starts))] = r.Offset
	l.n++
	l.end = r.Offset + uint64(r.Size)
	if r.Size == 0 {
		return
	}
	for page := r.Offset >> 12; page <= (r.Offset+uint64(r.Size)-1)>>12; page++ {
		c.pages.add(page^uint64(r.Volume)<<48, 0)
	}
}

func (c *Summarizer) time(now int64) {
	if c.sum.Requests == 1 {
		c.first, c.latest, c.before = now, now, now
		return
	}
	gap := float64(now-c.before) / 1e9
	if now < c.before {
		c.backward++
		gap = 0
	}
	c.first, c.latest, c.before = min(c.first, now), max(c.latest, now), now
	c.gaps++ // Welford's running mean and variance
	d := gap - c.gapMean
	c.gapMean += d / c.gaps
	c.gapDevs += d * (gap - c.gapMean)
}

// Summary describes the requests taken in so far.
func (c *Summarizer) Summary() Summary {
	s := c.sum
	s.Info, s.Volumes = c.info, len(c.last)
	s.Info.Requests = int64(s.Requests)
	s.Size, s.ReadSize, s.WriteSize = c.all.summary(), c.read.summary(), c.write.summary()

	once, footprint, counts := 0, uint64(0), make([]uint32, 0, 1024)
	for _, e := range c.objects.entries {
		if e.count == 0 {
			continue
		}
		footprint += uint64(e.size)
		if e.count == 1 {
			once++
		}
		if e.count >= 8 {
			counts = append(counts, e.count)
		}
	}
	s.ObjectSample = c.objects.share()
	s.Objects = uint64(float64(c.objects.used) / s.ObjectSample)
	s.Footprint = uint64(float64(footprint) / s.ObjectSample)
	if c.objects.used > 0 {
		s.OneHit = float64(once) / float64(c.objects.used)
	}
	s.ZipfAlpha = fitZipf(counts)
	if c.info.Addressed {
		share := c.pages.share()
		pages := uint64(float64(c.pages.used) / share)
		s.Pages, s.PageSample = &pages, &share
		if s.Requests > 0 {
			sequential, random := float64(c.sequential)/float64(s.Requests), float64(c.random)/float64(s.Requests)
			s.Sequential, s.Random = &sequential, &random
		}
	}
	if c.info.Timed && s.Requests > 0 {
		duration, backward := float64(c.latest-c.first)/1e9, c.backward
		s.Duration, s.Backward = &duration, &backward
		if c.gapMean > 0 {
			mean, cv := c.gapMean, math.Sqrt(c.gapDevs/c.gaps)/c.gapMean
			s.InterArrival, s.InterArrivalCV = &mean, &cv
		}
	}
	return s
}

// fitZipf fits a line through log frequency over log rank by least squares, at
// ranks spaced evenly in the logarithm, lest the many rare objects outweigh
// the few popular ones.
func fitZipf(counts []uint32) *float64 {
	if len(counts) < 20 {
		return nil
	}
	slices.SortFunc(counts, func(a, b uint32) int { return int(b) - int(a) })
	var n, sx, sy, sxx, sxy float64
	for rank := 1.0; int(rank) <= len(counts); rank = max(rank+1, math.Floor(rank*1.05)) {
		x, y := math.Log(rank), math.Log(float64(counts[int(rank)-1]))
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	alpha := -(n*sxy - sx*sy) / (n*sxx - sx*sx)
	return &alpha
}

// sizeCounts is a histogram with 128 steps in each power of two.
type sizeCounts struct {
	counts   [33 << 7]uint64
	n, sum   uint64
	min, max uint32
}

func (h *sizeCounts) add(size uint32) {
	if h.n == 0 || size < h.min {
		h.min = size
	}
	h.max = max(h.max, size)
	h.n++
	h.sum += uint64(size)
	h.counts[sizeBucket(size)]++
}

// sizeBucket numbers the buckets: sizes below 256 have one each.
func sizeBucket(size uint32) int {
	shift := max(bits.Len32(size)-8, 0)
	return shift<<7 + int(size>>shift)
}

func bucketStart(bucket int) uint32 {
	if bucket < 256 {
		return uint32(bucket)
	}
	shift := bucket>>7 - 1
	return uint32(bucket-shift<<7) << shift
}

func (h *sizeCounts) summary() SizeSummary {
	if h.n == 0 {
		return SizeSummary{}
	}
	s := SizeSummary{Mean: float64(h.sum) / float64(h.n), Min: h.min, Max: h.max}
	for _, p := range []struct {
		share float64
		at    *uint32
	}{{0.50, &s.P50}, {0.75, &s.P75}, {0.90, &s.P90}, {0.99, &s.P99}} {
		rank, seen := uint64(math.Ceil(p.share*float64(h.n))), uint64(0)
		for bucket, n := range h.counts {
			if seen += n; seen >= rank {
				*p.at = max(bucketStart(bucket), h.min)
				break
			}
		}
	}
	return s
}

// sampleTable counts keys, all of them until there are more than limit, and
// from then on those whose hash falls below a bound that halves each time.
type sampleTable struct {
	entries []sampleEntry // open addressing; count 0 is free
	used    int
	limit   int
	halved  int
}

type sampleEntry struct {
	key   uint64
	count uint32
	size  uint32 // as first seen
}

func newSampleTable(limit int) sampleTable {
	return sampleTable{entries: make([]sampleEntry, 1<<12), limit: limit}
}

func (t *sampleTable) share() float64 { return math.Ldexp(1, -t.halved) }

// mix64 is the finaliser of SplitMix64.
func mix64(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// sampled tells by the hash's top bits, which do not choose the entry.
func (t *sampleTable) sampled(hash uint64) bool { return hash>>(64-t.halved) == 0 }

func (t *sampleTable) add(key uint64, size uint32) {
	h := mix64(key)
	if !t.sampled(h) {
		return
	}
	mask := uint64(len(t.entries) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		e := &t.entries[i]
		if e.count == 0 {
			*e = sampleEntry{key, 1, size}
			break
		}
		if e.key == key {
			if e.count < math.MaxUint32 {
				e.count++
			}
			return
		}
	}
	if t.used++; t.used > t.limit {
		t.halved++
		t.rebuild(len(t.entries))
	} else if t.used > len(t.entries)*3/4 {
		t.rebuild(2 * len(t.entries))
	}
}

func (t *sampleTable) rebuild(size int) {
	old := t.entries
	t.entries, t.used = make([]sampleEntry, size), 0
	mask := uint64(size - 1)
	for _, e := range old {
		h := mix64(e.key)
		if e.count == 0 || !t.sampled(h) {
			continue
		}
		i := h & mask
		for t.entries[i].count != 0 {
			i = (i + 1) & mask
		}
		t.entries[i] = e
		t.used++
	}
}
