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
// A few windows tell the rate of chance only to some percent; the times between
// a line's erases tell it several times better: over t the variance of the
// count tends to t*var/mean^3 of those times (Cox, Renewal Theory, 1962), var
// being enlarged by what successive ones have in common. That is used if it
// agrees with what the windows say.
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
	d.watch = newEraseWatch(len(d.lines.Erases))
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
	window := float64(a.marks[windows].stats.Programs[byHost]-a.marks[0].stats.Programs[byHost]) / float64(windows)
	rate, ok := a.d.watch.rate(a.d.stats.Programs[byHost], g.Mean/window)
	rate *= window
	grown := variance + 2*cov // over both halves the variance is v1+v2+2cov, over one it is their mean
	switch {
	case cov > significant && !ok:
		g.Lasting = cov / (h * h)
		g.Chance = max(0, variance-cov) / h
		return g, nil
	case cov > significant || ok && grown > significant && math.Abs(rate*h-grown) <= significant:
		// Both halves have long spans in common, but lines soon forget them.
		g.Chance = rate
	case grown > significant:
		g.Chance = grown / h
	}
	g.Bound = max(0, variance-g.Chance*h)
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
	// Normal scores, dealt out by lot: a sample of draws would have a spread of
	// its own.
	deal := l.Rand.Perm(len(l.Erases))
	score := func(rank int) float64 {
		return math.Sqrt2 * math.Erfinv((2*float64(rank)+1)/float64(len(l.Erases))-1)
	}
	var added uint64
	for i := range l.Erases {
		x := mean*k + lasting*k*(float64(last.erases[i]-base.erases[i])-mean) + spread*score(deal[i])
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

	before, blocks := d.stats.programs(), added*uint64(d.units)
	erased := d.stats.BlockErases + blocks
	d.stats.grow(&last.stats, &base.stats, func(grown uint64) uint64 { return uint64(math.Round(float64(grown) * k)) })
	d.stats.BlockErases = erased
	l.TotalErases += added
	l.Clock += d.stats.programs() - before
	for i := range l.ClosedAt {
		l.ClosedAt[i] += d.stats.programs() - before // ages stay
	}
	// The books balance: erased pages that were never programmed, or (modulo
	// 2^64) programs never erased.
	d.skipped += blocks*uint64(d.cfg.PagesPerBlock) - (d.stats.programs() - before)
	d.renewFree()
	*a = *NewAging(d)
	return g, nil
}

// grow adds to the counters what times makes of their growth between two
// earlier states.
func (s *Stats) grow(until, from *Stats, times func(uint64) uint64) {
	for c := range causes {
		s.Programs[c] += times(until.Programs[c] - from.Programs[c])
		s.Erases[c] += times(until.Erases[c] - from.Erases[c])
	}
	s.Reads += times(until.Reads - from.Reads)
	s.Retries += times(until.Retries - from.Retries)
	s.Trimmed += times(until.Trimmed - from.Trimmed)
	s.Swaps += times(until.Swaps - from.Swaps)
	s.BlockErases += times(until.BlockErases - from.BlockErases)
}

// renewFree puts the free lines in order again after their erase counts have
// changed.
func (d *Device) renewFree() {
	lines := slices.Clone(d.free.heap)
	slices.SortFunc(lines, func(x, y freeLine) int { return int(int64(x.seq - y.seq)) })
	d.free.heap, d.freePages = d.free.heap[:0], 0
	for _, f := range lines {
		d.setFree(f.line)
	}
}

// eraseWatch keeps the times, in pages written by the host, between the erases
// of each line.
type eraseWatch struct {
	last  []uint64 // of each line's latest erase, 0 if there was none
	spans []eraseSpan
}

type eraseSpan struct {
	length uint64
	line   uint32
}

const maxEraseSpans = 1 << 22

func newEraseWatch(lines int) *eraseWatch { return &eraseWatch{last: make([]uint64, lines)} }

func (w *eraseWatch) erased(line uint32, now uint64) {
	if w.last[line] != 0 && len(w.spans) < maxEraseSpans {
		w.spans = append(w.spans, eraseSpan{now - w.last[line], line})
	}
	w.last[line] = max(now, 1)
}

// rate is the variance of erases between lines gained per page written, by
// what each line's spans have been until now; mean is the erases of a line per
// page. It has no answer for a watch that was too short.
func (w *eraseWatch) rate(now uint64, mean float64) (rate float64, ok bool) {
	if len(w.spans) < len(w.last) || len(w.spans) == maxEraseSpans {
		return 0, false // too short, or so long that the windows will do
	}
	m, variance := w.moments(now)
	if math.Abs(m*mean-1) > 0.02 {
		return 0, false // spans have a tail that has not been seen, or some lines none
	}
	sum, lags := w.correlation()
	if lags > 1+len(w.spans)/len(w.last)/4 {
		return 0, false // lines do not forget
	}
	return variance * (1 + 2*sum) / (m * m * m), true
}

// moments are the mean and variance of the spans. Those that have not ended
// are long ones more often than not; Kaplan and Meier's estimate (1958) makes
// use of what is known of them.
func (w *eraseWatch) moments(now uint64) (mean, variance float64) {
	ended := make([]uint64, len(w.spans))
	for i, s := range w.spans {
		ended[i] = s.length
	}
	slices.Sort(ended)
	var open []uint64
	for _, at := range w.last {
		if at != 0 {
			open = append(open, now-at)
		}
	}
	slices.Sort(open)
	atRisk, survive := float64(len(ended)+len(open)), 1.0
	var squares, last float64 // mean and squares are the integrals of S and 2xS
	for _, length := range ended {
		for len(open) > 0 && open[0] < length {
			open, atRisk = open[1:], atRisk-1
		}
		x := float64(length)
		mean += survive * (x - last)
		squares += survive * (x*x - last*last)
		survive *= 1 - 1/atRisk
		atRisk, last = atRisk-1, x
	}
	return mean, squares - mean*mean
}

// correlation is the sum of the correlations of a line's spans with those that
// follow, up to the first that cannot be told from nothing, and how many there
// are.
func (w *eraseWatch) correlation() (sum float64, lags int) {
	slices.SortStableFunc(w.spans, func(a, b eraseSpan) int { return int(a.line) - int(b.line) })
	var mean, variance float64
	for _, s := range w.spans {
		mean += float64(s.length)
	}
	mean /= float64(len(w.spans))
	for _, s := range w.spans {
		variance += (float64(s.length) - mean) * (float64(s.length) - mean)
	}
	variance /= float64(len(w.spans))
	for lag := 1; lag < len(w.spans) && variance > 0; lag++ {
		var n, products float64
		for i := lag; i < len(w.spans); i++ {
			if a, b := w.spans[i-lag], w.spans[i]; a.line == b.line {
				n++
				products += (float64(a.length) - mean) * (float64(b.length) - mean)
			}
		}
		r := products / n / variance
		if n == 0 || math.Abs(r) < 3/math.Sqrt(n) {
			break
		}
		sum, lags = sum+r, lag
	}
	return sum, lags
}
