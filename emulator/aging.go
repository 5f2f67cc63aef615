package emulator

import (
	"errors"
	"math"
	"slices"
)

// Aging brings a device to a state of wear that would take too long to
// simulate, under a workload that does not change: it watches how erase counts
// grow while part of the way is simulated, and adds the rest at once.
//
// Extending each line's own count in a straight line, as FF-SSD does (Jiao and
// Kim, HotStorage'22), takes chance for destiny: the spread grows with n where
// it should grow with its root, and a factor of 2 is all that stays accurate.
// So the growth of the spread is split here. What a line gained in the first
// half of the watch and again in the second is lasting (cold data pinned in
// it) and grows with n; the rest is chance and grows with the root of n, or,
// if a policy holds the counts together, not at all.
//
// The device must be in steady state when watching begins, and wear leveling
// must not change its ways with the endurance that is left.
type Aging struct {
	d     *Device
	marks []agingMark
}

type agingMark struct {
	erases []uint32
	stats  Stats
}

// NewAging begins to watch a device.
func NewAging(d *Device) *Aging {
	a := &Aging{d: d}
	a.Mark()
	return a
}

// Mark notes the present state. Marks must be equal numbers of host writes
// apart; the first is made by NewAging.
func (a *Aging) Mark() {
	a.marks = append(a.marks, agingMark{slices.Clone(a.d.lines.Erases), a.d.stats})
}

// Growth is what Aging found, per window between marks.
type Growth struct {
	Mean    float64 // erases of a line
	Lasting float64 // variance between lines of their lasting rates
	Chance  float64 // variance gained from chance
	Bound   float64 // variance of chance that does not grow
}

const agingWindows = 4

// Growth analyses the marks, of which there must be at least five. Effects
// within four standard errors of nothing count as nothing.
func (a *Aging) Growth() (Growth, error) {
	windows := len(a.marks) - 1
	if windows < agingWindows {
		return Growth{}, errors.New("aging needs at least five marks")
	}
	half := windows / 2
	first, middle, last := a.marks[windows-2*half].erases, a.marks[windows-half].erases, a.marks[windows].erases
	n := float64(len(first))
	var m1, m2 float64
	for i := range first {
		m1 += float64(middle[i] - first[i])
		m2 += float64(last[i] - middle[i])
	}
	m1, m2 = m1/n, m2/n
	var v1, v2, cov float64
	for i := range first {
		x, y := float64(middle[i]-first[i])-m1, float64(last[i]-middle[i])-m2
		v1, v2, cov = v1+x*x, v2+y*y, cov+x*y
	}
	v1, v2, cov = v1/n, v2/n, cov/n
	h := float64(half)
	variance := (v1 + v2) / 2
	g := Growth{Mean: (m1 + m2) / (2 * h)}
	significant := 4 * variance / math.Sqrt(n)
	switch {
	case cov > significant:
		g.Lasting = cov / (h * h)
		g.Chance = max(0, variance-cov) / h
	default:
		// Over both halves the variance is v1+v2+2cov, over one it is their mean.
		if grown := variance + 2*cov; grown > significant {
			g.Chance = grown / h
		}
		g.Bound = max(0, variance-g.Chance*h)
	}
	return g, nil
}

// Forward adds the wear of so many windows more. Data stays where it is;
// counters of programs and erases grow as they did while watched.
func (a *Aging) Forward(windows float64) (Growth, error) {
	g, err := a.Growth()
	if err != nil {
		return g, err
	}
	if !(windows >= 0 && g.Mean*windows < math.MaxUint32/2) {
		return g, errors.New("aging goes forward by a number of windows that erase counts can hold")
	}
	d := a.d
	l := &d.lines
	base, last := a.marks[0], a.marks[len(a.marks)-1]
	watched := float64(len(a.marks) - 1)
	k := windows / watched

	// The part of the differences seen between lines that lasts.
	var seen float64
	mean := g.Mean * watched
	for i := range l.Erases {
		x := float64(last.erases[i]-base.erases[i]) - mean
		seen += x * x
	}
	seen /= float64(len(l.Erases))
	lasting := 0.0
	if seen > 0 {
		lasting = math.Sqrt(min(1, g.Lasting*watched*watched/seen))
	}
	// A bound on chance holds for the whole life: what is there stays.
	spread := math.Sqrt(g.Chance * windows)
	var added uint64
	for i := range l.Erases {
		x := mean*k + lasting*k*(float64(last.erases[i]-base.erases[i])-mean) + spread*l.Rand.NormFloat64()
		whole := math.Floor(x)
		if l.Rand.Float64() < x-whole && (g.Chance > 0 || g.Lasting > 0) {
			whole++
		} else if g.Chance == 0 && g.Lasting == 0 {
			whole = math.Round(x)
		}
		more := uint32(max(0, whole))
		if l.Capacity[i] == 0 {
			more = 0
		}
		l.Erases[i] += more
		added += uint64(more)
		d.retryCount[i] = d.cfg.retries(l.Erases[i], l.Reads[i])
	}

	before := d.stats.programs()
	more := func(to *uint64, from, until uint64) { *to += uint64(math.Round(float64(until-from) * k)) }
	for c := range causes {
		more(&d.stats.Programs[c], base.stats.Programs[c], last.stats.Programs[c])
		more(&d.stats.Erases[c], base.stats.Erases[c], last.stats.Erases[c])
	}
	more(&d.stats.Swaps, base.stats.Swaps, last.stats.Swaps)
	l.TotalErases += added
	l.Clock += d.stats.programs() - before
	for i := range l.ClosedAt {
		l.ClosedAt[i] += d.stats.programs() - before // ages stay
	}
	blocks := added * uint64(d.units)
	d.stats.BlockErases += blocks
	// The books balance: erased pages that were never programmed, or (modulo
	// 2^64) programs never erased.
	d.skipped += blocks*uint64(d.cfg.PagesPerBlock) - (d.stats.programs() - before)

	// The free lines' order depends on their counts.
	lines := slices.Clone(d.free.heap)
	slices.SortFunc(lines, func(x, y freeLine) int { return int(int64(x.seq) - int64(y.seq)) })
	d.free.heap, d.freePages = d.free.heap[:0], 0
	for _, f := range lines {
		d.setFree(f.line)
	}
	a.marks = nil
	a.Mark()
	return g, nil
}
