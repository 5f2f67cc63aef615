package emulator

import (
	"encoding/json"
	"math/bits"
)

// Histogram counts durations in nanoseconds in buckets at most 1/32 wide, in
// fixed memory. The zero value is empty and ready.
type Histogram struct {
	buckets [64 * histogramSteps]uint64
	count   uint64
	sum     float64
	max     int64
}

const (
	histogramBits  = 5
	histogramSteps = 1 << histogramBits
)

// bucketOf numbers values below 32 by themselves; above, each power of two has
// 32 buckets.
func bucketOf(v uint64) int {
	if v < histogramSteps {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - histogramBits
	return (shift+1)<<histogramBits | int(v>>shift)&(histogramSteps-1)
}

func bucketTop(b int) int64 {
	if b < histogramSteps {
		return int64(b)
	}
	shift := b>>histogramBits - 1
	return int64((uint64(b&(histogramSteps-1)|histogramSteps)+1)<<shift - 1)
}

// Add counts a duration; a negative one counts as zero.
func (h *Histogram) Add(ns int64) {
	ns = max(ns, 0)
	h.buckets[bucketOf(uint64(ns))]++
	h.count++
	h.sum += float64(ns)
	h.max = max(h.max, ns)
}

// Count is the number of durations added.
func (h *Histogram) Count() uint64 { return h.count }

// Mean is the exact mean, 0 of nothing.
func (h *Histogram) Mean() float64 {
	if h.count == 0 {
		return 0
	}
	return h.sum / float64(h.count)
}

// Max is the exact maximum.
func (h *Histogram) Max() int64 { return h.max }

// Quantile is a bound that a share q of the durations does not exceed, at
// most 1/32 too high.
func (h *Histogram) Quantile(q float64) int64 {
	if h.count == 0 {
		return 0
	}
	rank := max(uint64(q*float64(h.count)+0.5), 1)
	for b, n := range h.buckets {
		if n >= rank {
			return min(bucketTop(b), h.max)
		}
		rank -= n
	}
	return h.max
}

// MarshalJSON writes count, mean, the usual percentiles and the maximum in
// nanoseconds.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Count uint64  `json:"count"`
		Mean  float64 `json:"mean"`
		P50   int64   `json:"p50"`
		P90   int64   `json:"p90"`
		P99   int64   `json:"p99"`
		P999  int64   `json:"p999"`
		P9999 int64   `json:"p9999"`
		Max   int64   `json:"max"`
	}{h.count, h.Mean(), h.Quantile(.5), h.Quantile(.9), h.Quantile(.99), h.Quantile(.999), h.Quantile(.9999), h.max})
}
