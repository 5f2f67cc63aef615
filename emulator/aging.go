package emulator

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Aging brings a device to a state of wear that would take too long to
// simulate, under a workload that does not change: it watches erases while part
// of the way is simulated, and adds the rest at once.
//
// Extending each line's own count in a straight line, as FF-SSD does (Jiao and
// Kim, HotStorage'22), takes chance for destiny: the spread grows with n where
// it should grow with its root. Nor do counts over a few windows tell the two
// apart: a difference between lines that is lost in the noise of the watch would
// decide the spread a hundred watches later. What the policies look at does:
//
//   - A policy that never looks at erase counts knows a line by its data alone,
//     and an erase takes that away: what happens to the line next does not
//     depend on what happened before. The times between a line's erases are then
//     those of a renewal process, whose count has variance t*var/mean^3 after a
//     long time t (Cox, Renewal Theory, 1962), enlarged by what a time has in
//     common with the one after it (neighbouring lines are filled alike).
//   - Where the least erased of the free lines is opened, how long a line is in use
//     is chance as before, but how long it waits is not. Lines are then simulated
//     without their pages, with times in use as they were watched (see parked).
//   - A policy that follows erase counts otherwise holds them together: the spread
//     stays as it is, provided that lines forget where they stood while watched.
//   - Lines all of whose data was kept while watched are reached by nothing, and
//     stay as they are.
//
// The device must be in steady state when watching begins. Growth measures its
// own error, and Forward refuses to go on where that is too large.
type Aging struct {
	d      *Device
	erases []uint32 // when watching began, as the others
	valid  []uint32
	stats  Stats
	clock  uint64
}

// NewAging begins to watch a device.
func NewAging(d *Device) *Aging {
	d.watch = newEraseWatch(d)
	return &Aging{d, slices.Clone(d.lines.Erases), slices.Clone(d.lines.Valid), d.stats, d.lines.Clock}
}

// Growth is what Aging found, per page written by the host.
type Growth struct {
	Mean   float64 // erases of a line that is not Pinned
	Chance float64 // variance between lines gained, but for what waiting makes of it; 0 if the policy holds them together
	Pinned int     // lines that the workload does not reach
	// Error is the relative error of the standard deviation of erase counts that
	// goes with these: a standard error, and what the watch contradicts itself by.
	Error float64
}

// ErrUnsure: the watch does not tell how wear goes on. A longer one may.
var ErrUnsure = errors.New("cannot tell how wear goes on")

// agingLines is the least number of lines whose spread means anything.
const agingLines = 32

// Growth analyses what was seen so far, for a way of so many more pages written by
// the host.
func (a *Aging) Growth(pages uint64) (Growth, error) {
	g, _, err := a.growth(pages)
	return g, err
}

func (a *Aging) growth(pages uint64) (g Growth, inUse []float64, err error) {
	d := a.d
	host := float64(d.stats.Programs[byHost] - a.stats.Programs[byHost])
	pinned := a.pinned(pages)
	var active []uint32
	erases := 0.0
	for i, e := range d.lines.Erases {
		if !pinned[i] {
			active = append(active, uint32(i))
			erases += float64(e - a.erases[i])
		}
	}
	n := float64(len(active))
	g = Growth{Mean: erases / n / host, Pinned: len(a.erases) - len(active)}
	switch {
	case d.cfg.Leveling == "pwl":
		return g, nil, errors.New("wear leveling pwl changes its ways with the endurance that is left")
	case d.parks() && d.cfg.writePoints() > 1:
		return g, nil, fmt.Errorf("with allocation %s and several write points, what a line is filled with goes with its erases; "+
			"wear can be added with allocation fifo", d.cfg.Allocation)
	case len(active) < agingLines:
		return g, nil, fmt.Errorf("%w: %d lines are erased under this workload, and a spread needs %d", ErrUnsure, len(active), agingLines)
	case erases < 2*n:
		return g, nil, fmt.Errorf("%w: lines were erased %.2g times in the mean while watched, and 2 are needed", ErrUnsure, erases/n)
	case d.cfg.GC == "fifo" && d.cfg.ReadReclaim == 0 && !d.followsWear():
		return g, nil, nil // lines take turns
	case d.followsWear():
		g.Error = a.held(active)
		return g, nil, nil
	}
	now := d.lines.Clock
	if d.watch.full != 0 {
		now = d.watch.full
	}
	w := d.watch
	lives, entries := w.lifetimes(now)
	in := make([]bool, len(a.erases))
	if w.inUse {
		n -= w.waiting(now, a.clock)
		inUse = make([]float64, 1<<16)
	}
	span := n * float64(now-a.clock) / float64(len(w.spans))
	of := func(lines []uint32, lengths []float64) spread {
		clear(in)
		for _, i := range lines {
			in[i] = true
		}
		return renewal(lives, entries, in, span, lengths)
	}
	s := of(active, inUse)
	g.Chance = s.rate * float64(d.lines.Clock-a.clock) / host
	g.Error = math.Hypot(s.correction, groupError(active, func(lines []uint32) float64 {
		return of(lines, nil).rate
	})/s.rate/2) // a root's is half
	return g, inUse, nil
}

// pinned are the lines that the workload does not reach: neither erased nor
// bereft of a page. None is if there are lines that lost pages and were not
// erased, for the others may only have been lucky; nor if there are so few that
// they could each lose a page on the way and none be likely to while watched
// (by the rule of three, less than 3 of all would have).
func (a *Aging) pinned(pages uint64) []bool {
	l := &a.d.lines
	pinned, n := make([]bool, len(a.erases)), 0
	for i := range pinned {
		if l.Erases[i] != a.erases[i] || !l.isClosed(uint32(i)) {
			continue
		}
		if l.Valid[i] != a.valid[i] {
			return make([]bool, len(a.erases))
		}
		pinned[i], n = true, n+1
	}
	if watched := a.d.stats.Programs[byHost] - a.stats.Programs[byHost]; float64(n)*float64(watched) < 3*float64(pages) {
		clear(pinned)
	}
	return pinned
}

// followsWear says that what happens to a line depends on how often it was
// erased, or on which line it is.
func (d *Device) followsWear() bool {
	return d.cfg.GC == "wear-aware" || d.cfg.Leveling != "none" || d.stats.BadBlocks != 0 || d.cfg.Allocation != fifo && d.cfg.GC == "fifo"
}

// parks says that erase counts decide which free line is opened, and nothing else:
// the most erased wait until the others have caught up.
func (d *Device) parks() bool { return d.cfg.Allocation != fifo && !d.followsWear() }

// groupError is the standard error of an estimate from all lines, told from the
// estimates of some groups of them.
func groupError(lines []uint32, estimate func([]uint32) float64) float64 {
	groups := min(16, len(lines)/8)
	var sum, squares float64
	group := make([]uint32, 0, len(lines)/groups+1)
	for g := range groups {
		group = group[:0]
		for i := g; i < len(lines); i += groups {
			group = append(group, lines[i])
		}
		v := estimate(group)
		sum, squares = sum+v, squares+v*v
	}
	k := float64(groups)
	return math.Sqrt(max(0, squares-sum*sum/k) / (k - 1) / k)
}

// held is the relative error of taking the present spread for the one that a
// policy keeps to. If a line keeps the share r of its distance from the mean
// while watched, and the rest is new, the spread tends to new/(1-r^2).
func (a *Aging) held(lines []uint32) float64 {
	now := a.d.lines.Erases
	ratio := func(lines []uint32) float64 {
		n := float64(len(lines))
		var m0, m1, v0, v1, cov float64
		for _, i := range lines {
			m0, m1 = m0+float64(a.erases[i])/n, m1+float64(now[i])/n
		}
		for _, i := range lines {
			x, y := float64(a.erases[i])-m0, float64(now[i])-m1
			v0, v1, cov = v0+x*x, v1+y*y, cov+x*y
		}
		r := cov / v0
		if v0 == 0 || v1 == 0 || r >= 1 {
			return math.Inf(1)
		}
		return math.Sqrt(max(0, v1-r*r*v0) / (1 - r*r) / v1)
	}
	wrong := math.Hypot(ratio(lines)-1, groupError(lines, ratio))
	if math.IsNaN(wrong) { // of infinities
		return math.Inf(1)
	}
	return wrong
}

// Forward adds the wear of so many more pages written by the host. Data stays
// where it is; counters of programs and erases grow as they did while watched.
// It refuses, with ErrUnsure, if the error of the standard deviation of erase
// counts would be more than tolerance, as a share of it, and refuses to wear out
// blocks. A device that it refused is as it was but for its generator, and the watch
// can go on.
func (a *Aging) Forward(pages uint64, tolerance float64) (Growth, error) {
	g, inUse, err := a.growth(pages)
	if err != nil {
		return g, err
	}
	switch {
	case math.IsInf(g.Error, 1):
		return g, fmt.Errorf("%w: the policies follow erase counts, but too loosely to hold them together", ErrUnsure)
	case !(g.Error <= tolerance): // NaN neither
		return g, fmt.Errorf("%w: the standard deviation of erase counts may be wrong by %.2g %%", ErrUnsure, 100*g.Error)
	}
	d := a.d
	l := &d.lines
	t := float64(pages)
	if g.Mean*t >= math.MaxUint32/2 {
		return g, fmt.Errorf("%d pages more erase a line more often than can be counted", pages)
	}
	more := make([]uint32, len(l.Erases))
	if d.parks() {
		more = a.parked(inUse, uint64(g.Mean*t*float64(len(l.Erases)-g.Pinned)), pages)
	} else {
		a.deal(more, g, pages)
	}
	for i := range more {
		if l.Capacity[i] == 0 {
			more[i] = 0
		} else if uint64(l.Erases[i])+uint64(more[i]) >= uint64(d.nextBad[i]) {
			return g, fmt.Errorf("line %d has a block that goes bad on the way, at %d erases; the mean will be %.0f more, so go less far", i, d.nextBad[i], g.Mean*t)
		}
	}

	var added uint64
	for i, m := range more {
		l.Erases[i] += m
		added += uint64(m)
		d.retryCount[i] = d.cfg.retries(l.Erases[i], l.Reads[i])
	}
	k := t / float64(d.stats.Programs[byHost]-a.stats.Programs[byHost])
	before, blocks := d.stats, added*uint64(d.units)
	d.stats.grow(&before, &a.stats, func(grown uint64) uint64 { return uint64(math.Round(float64(grown) * k)) })
	d.stats.BlockErases = before.BlockErases + blocks
	programs := d.stats.programs() - before.programs()
	l.TotalErases += added
	l.Clock += programs
	for i := range l.ClosedAt {
		l.ClosedAt[i] += programs // ages stay
	}
	// The books balance: erased pages that were never programmed, or (modulo
	// 2^64) programs never erased.
	d.skipped += blocks*uint64(d.cfg.PagesPerBlock) - programs
	d.renewFree()
	*a = *NewAging(d)
	return g, nil
}

// deal gives every line the erases of normal scores, dealt out by lot: a sample of
// draws would have a spread of its own.
func (a *Aging) deal(more []uint32, g Growth, pages uint64) {
	rng, t := a.d.lines.Rand, float64(pages)
	deal := rng.Perm(len(more) - g.Pinned)
	spread := math.Sqrt(g.Chance * t)
	pinned, active := a.pinned(pages), 0
	for i := range more {
		if pinned[i] {
			continue
		}
		x := g.Mean*t + spread*math.Sqrt2*math.Erfinv((2*float64(deal[active])+1)/float64(len(deal))-1)
		active++
		whole := math.Floor(x)
		if g.Chance == 0 {
			whole = math.Round(x)
		} else if rng.Float64() < x-whole {
			whole++
		}
		more[i] = uint32(max(0, whole))
	}
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

// eraseWatch keeps the times, in pages programmed, between the erases of each
// line; or, if erase counts decide how long a free line waits, from the time a
// line is opened to its erase.
type eraseWatch struct {
	// last is when each line was last erased, or opened; entered how long that had
	// been when watching began.
	last, entered []uint64
	spans         []eraseSpan // in the order they ended
	full          uint64      // when no more spans were kept, 0 if they are

	// Where spans begin when a line is opened: how many lines were free then, and
	// the sum of that over the pages programmed until changed.
	inUse                  bool
	openings               []uint32
	free, freeSum, changed uint64
}

type eraseSpan struct {
	length uint64
	line   uint32
}

const maxEraseSpans = 1 << 23

// unused is in place of when a free line was opened.
const unused = math.MaxUint64

func newEraseWatch(d *Device) *eraseWatch {
	l := &d.lines
	w := &eraseWatch{
		last: make([]uint64, len(l.Erases)), entered: make([]uint64, len(l.Erases)),
		inUse: d.parks(), free: uint64(d.free.len()), changed: l.Clock,
	}
	waiting := len(l.Erases) - len(l.Closed)
	if w.inUse {
		waiting -= d.free.len()
	}
	// When a line was filled tells its age, less the time that lines wait and take
	// to be filled: as many of them as are not closed.
	lag := uint64(float64(waiting) * float64(l.Clock) / float64(max(l.TotalErases, 1)))
	for i := range w.last {
		w.last[i] = l.Clock
		if l.isClosed(uint32(i)) {
			w.last[i] = l.ClosedAt[i] - min(lag, l.ClosedAt[i])
		}
		w.entered[i] = l.Clock - w.last[i]
	}
	if w.inUse {
		for _, f := range d.free.heap {
			w.last[f.line] = unused
		}
	}
	return w
}

func (w *eraseWatch) erased(line uint32, now uint64) {
	if w.full == 0 && len(w.spans) == maxEraseSpans {
		w.full = now
	}
	if w.full != 0 {
		return
	}
	w.spans = append(w.spans, eraseSpan{now - w.last[line], line})
	w.last[line] = now
	if w.inUse {
		w.last[line] = unused
		w.pass(now)
		w.free++
	}
}

// opened is told how many lines were free when this one was taken.
func (w *eraseWatch) opened(line uint32, choices int, now uint64) {
	if w.inUse && w.full == 0 {
		w.last[line] = now
		w.openings = append(w.openings, uint32(choices))
		w.pass(now)
		w.free--
	}
}

// pass adds up how many lines were free until now.
func (w *eraseWatch) pass(now uint64) {
	w.freeSum += w.free * (now - w.changed)
	w.changed = now
}

// waiting is how many lines were free in the mean.
func (w *eraseWatch) waiting(now, from uint64) float64 {
	w.pass(now)
	return float64(w.freeSum) / float64(now-from)
}

// erasure is a span, or one that had not ended yet.
type erasure struct {
	length, previous uint64 // previous: the line's span before, 0 if not watched to its end
	line             uint32
	ended            bool
}

// lifetimes are in order of length, and entries, the spans that had begun
// before the watch, in order of their length by then.
func (w *eraseWatch) lifetimes(now uint64) (lives []erasure, entries []eraseSpan) {
	previous := make([]uint64, len(w.last))
	for _, s := range w.spans {
		lives = append(lives, erasure{s.length, previous[s.line], s.line, true})
		previous[s.line] = s.length
	}
	for i, last := range w.last {
		if last != unused {
			lives = append(lives, erasure{now - last, previous[i], uint32(i), false})
		}
		if last != unused || previous[i] != 0 {
			entries = append(entries, eraseSpan{w.entered[i], uint32(i)})
		}
	}
	slices.SortFunc(lives, func(a, b erasure) int { return cmp.Compare(a.length, b.length) })
	slices.SortFunc(entries, func(a, b eraseSpan) int { return cmp.Compare(a.length, b.length) })
	return lives, entries
}

// renewal is what the spans of some lines tell: the variance between the lines
// gained per page programmed, the rate. What a span is in the mean, span, is known
// from the number of erases; correction is how much that changes the root of the
// variance.
//
// Long spans are seen in part only: some had begun before the watch and some go
// on after it. The product-limit estimate uses what is known of both (Kaplan and
// Meier, 1958; Tsai, Jewell and Wang, Biometrika 74, 1987), so that spans longer
// than the watch are counted as often as they occur. The mean of a span weighted
// by the one before it, less the plain mean, is their covariance over the mean;
// what spans further apart have in common is taken to be that of a Markov chain.
// The second moment is corrected by its regression on the mean.
//
// lengths are filled with quantiles of the spans.
func renewal(lives []erasure, entries []eraseSpan, in []bool, span float64, lengths []float64) spread {
	// At risk of ending: all, those whose predecessor is known, and these
	// weighted by it.
	var atRisk, known, weight float64
	for _, t := range lives {
		if in[t.line] && t.previous != 0 {
			known++
			weight += float64(t.previous)
		}
	}
	atRisk = known
	enough := known / 100
	all, plain, weighted := 1.0, 1.0, 1.0  // of them surviving
	var mean, squares, cubes, last float64 // moments: integrals of all, 2x*all and 3x^2*all
	var apart, difference, meanSeen, allSeen float64
	quantile := 0
	for _, t := range lives {
		if !in[t.line] {
			continue
		}
		for len(entries) > 0 && entries[0].length <= t.length {
			if in[entries[0].line] {
				atRisk++
			}
			entries = entries[1:]
		}
		x := float64(t.length)
		mean += all * (x - last)
		squares += all * (x*x - last*last)
		cubes += all * (x*x*x - last*last*last)
		if known > enough {
			apart += (weighted - plain) * (x - last)
			difference, meanSeen, allSeen = weighted-plain, mean, all
		}
		last = x
		if t.ended {
			all *= 1 - 1/atRisk
		}
		for quantile < len(lengths) && 1-all > (float64(quantile)+0.5)/float64(len(lengths)) {
			lengths[quantile] = x
			quantile++
		}
		atRisk--
		if t.previous != 0 {
			if t.ended {
				plain *= 1 - 1/known
				weighted *= 1 - float64(t.previous)/weight
			}
			known, weight = known-1, weight-float64(t.previous)
		}
	}
	if allSeen > 0 { // beyond, spans last as they do on the whole
		apart += difference * (mean - meanSeen) / allSeen
	}
	variance := squares - mean*mean
	r := apart * mean / variance
	slope := (cubes - mean*squares) / variance
	told := squares - slope*(mean-span) - span*span
	for ; quantile < len(lengths); quantile++ {
		lengths[quantile] = last
	}
	for i := range lengths {
		lengths[i] = max(0, span+(lengths[i]-mean)*math.Sqrt(max(0, told)/variance))
	}
	return spread{told / (span * span * span) * (1 + r) / (1 - r), math.Abs(told/variance-1) / 2}
}

// spread is what renewal tells: see there.
type spread struct{ rate, correction float64 }
