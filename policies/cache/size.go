package cache

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a capacity as a user writes it: a number of objects or bytes, a
// number with a binary unit, or a share of a trace's footprint.
type Size struct {
	Text    string
	units   int64
	inBytes bool    // written with a unit
	percent float64 // of the footprint; 0 if units count
	share   bool
}

var byteUnits = []struct {
	name  string
	bytes float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"B", 1}}

// ParseSizes reads a comma list such as 489,10MiB,1%.
func ParseSizes(list string) ([]Size, error) {
	var sizes []Size
	for text := range strings.SplitSeq(list, ",") {
		s, err := parseSize(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		sizes = append(sizes, s)
	}
	return sizes, nil
}

func parseSize(text string) (Size, error) {
	bad := fmt.Errorf("size %q is not a number of objects or bytes (489), of KiB, MiB, GiB or TiB (10MiB), or a share of the footprint (1%%)", text)
	s := Size{Text: text}
	if number, ok := strings.CutSuffix(text, "%"); ok {
		v, err := strconv.ParseFloat(number, 64)
		if err != nil || !(v >= 0 && v <= 1e6) {
			return Size{}, bad
		}
		s.percent, s.share = v, true
		return s, nil
	}
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(v >= 0 && v*u.bytes < math.MaxInt64) {
			return Size{}, bad
		}
		s.units, s.inBytes = int64(v*u.bytes), true
		return s, nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 {
		return Size{}, bad
	}
	s.units = v
	return s, nil
}

// Resolve gives the capacity for a trace, truncated to whole units.
func (s Size) Resolve(t *Trace) (int64, error) {
	if s.share {
		return int64(float64(t.Footprint().Bytes) * s.percent / 100), nil
	}
	if s.inBytes && t.sizes == nil {
		return 0, fmt.Errorf("size %s is in bytes, but with object sizes ignored a cache is measured in objects; write a number or a share", s.Text)
	}
	return s.units, nil
}
