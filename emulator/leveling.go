package emulator

// levelerState is a policy that remembers something of every line, in exported
// fields that a snapshot keeps as JSON.
type levelerState interface{ remembers(lines int) bool }

func (p *oldBlockProtection) remembers(lines int) bool { return len(p.Swapped) == lines }
func (p *dualPool) remembers(lines int) bool           { return len(p.Hot) == lines && len(p.Since) == lines }

// WearLeveler is a static wear-leveling policy: it decides when data that
// does not change must leave a line so that the line takes its share of erases.
type WearLeveler interface {
	// Erased is called when collection has erased a line. If move, the data of
	// the closed line from is to be moved to the line into, which is the one
	// just erased or another closed line; into's own data goes elsewhere first.
	Erased(l *Lines, erased uint32) (from, into uint32, move bool)
}

// levelerKinds are the policies a Config can name.
var levelerKinds = []struct {
	name, doc string
	make      func(Config) WearLeveler
}{
	{"none", "no data is moved for wear", func(Config) WearLeveler { return nil }},
	{"threshold", "coldest data into the line just erased, if that is wl_threshold (20) erases beyond the least", func(c Config) WearLeveler {
		return &threshold{orDefault(c.Threshold, 20)}
	}},
	{"pwl", "progressive (Chen et al., DATE'15): as threshold, against a limit that rises from 3/4 of the endurance with the mean", func(c Config) WearLeveler {
		return &pwl{}
	}},
	{"dual-pool", "a hot and a cold pool of lines trade members when their counts part by wl_threshold (5) (Chang, SAC'07)", func(c Config) WearLeveler {
		return newDualPool(c, orDefault(c.Threshold, 5))
	}},
	{"obp", "old block protection: as threshold (5), but a line that got cold data is left alone for a while", func(c Config) WearLeveler {
		return &oldBlockProtection{gap: orDefault(c.Threshold, 5), Swapped: make([]uint64, c.Lines())}
	}},
	{"random-swap", "data of a random line into the line just erased, with wl_probability", func(c Config) WearLeveler {
		return &randomSwap{c.Probability}
	}},
}

func orDefault(v, def uint32) uint32 {
	if v == 0 {
		return def
	}
	return v
}

// PauseLeveling stops wear leveling, or lets it go on: studies wear their
// devices in without it.
func (d *Device) PauseLeveling(paused bool) { d.leveling = paused }

// level asks the policy for a migration after the erase of line and does it.
// It reports whether line was taken for the migrated data.
func (d *Device) level(line uint32) (taken bool) {
	from, into, move := d.leveler.Erased(&d.lines, line)
	if !move || from == into || !d.lines.isClosed(from) || into != line && !d.lines.isClosed(into) {
		return false
	}
	d.leveling = true // what it erases must not ask again
	defer func() { d.leveling = false }()
	d.stats.Swaps++
	if into == line {
		return d.migrate(from, into)
	}
	// The worn line is in use: its data has to leave first.
	if !d.cfg.SeparateWL {
		d.shift(into, line) // which frees into, unless it is done for
		if i := d.free.find(into); i >= 0 && d.lines.isClosed(from) {
			d.freePages -= uint64(d.lines.Capacity[d.free.remove(i)])
			d.shift(from, into)
		}
		return true
	}
	d.setFree(line)
	d.lines.reopen(into)
	if d.empty(into, d.gcStream(), byWL) && d.erase(into, byWL) && !d.migrate(from, into) {
		d.setFree(into)
	}
	return true
}

// migrate moves the data of from, and frees from. With a write point of its
// own, wear leveling continues in the erased line into when its present line is
// full; otherwise every page goes to the same place in into. It reports whether
// into was used.
func (d *Device) migrate(from, into uint32) (used bool) {
	s := &d.streams[streamWL]
	if !d.cfg.SeparateWL {
		d.shift(from, into)
		return true
	}
	d.lines.reopen(from)
	for {
		at := d.nextValid(from*d.pagesPerLine, (from+1)*d.pagesPerLine)
		if at == none {
			break
		}
		if s.line == none && !used {
			d.open(s, into)
			used = true
		}
		if d.move(at, streamWL, byWL) != nil {
			d.lines.close(from)
			return used
		}
	}
	if d.erase(from, byWL) {
		d.setFree(from)
	}
	return used
}

// shift copies every valid page of from to its own place in the erased line
// into, which keeps the age of from's data, and frees from. Pages that have no
// place there because of a bad block are collected.
func (d *Device) shift(from, into uint32) {
	closedAt := d.lines.ClosedAt[from]
	d.lines.reopen(from)
	end := (from + 1) * d.pagesPerLine
	for at := d.nextValid(from*d.pagesPerLine, end); at != none; at = d.nextValid(at, end) {
		dest := at - from*d.pagesPerLine + into*d.pagesPerLine
		if d.hasBad[into] && d.isBad(into, dest%d.units) {
			if d.move(at, d.gcStream(), byWL) != nil {
				break
			}
			continue
		}
		logical := d.owner[at]
		d.valid[at>>6] &^= 1 << (at & 63)
		d.lines.Valid[from]--
		d.mapping[logical], d.owner[dest] = dest, logical
		d.valid[dest>>6] |= 1 << (dest & 63)
		d.lines.Valid[into]++
		d.lines.Clock++
		d.stats.Programs[byWL]++
		if d.timed {
			d.media.copy(d.now, at%d.units, dest%d.units, uint32(d.retryCount[from]))
		}
	}
	d.skipped += uint64(d.lines.Capacity[into] - d.lines.Valid[into])
	d.lines.close(into)
	d.lines.ClosedAt[into] = closedAt
	switch {
	case d.lines.Valid[from] != 0:
		d.lines.close(from)
	case d.erase(from, byWL):
		d.setFree(from)
	}
}

// empty moves all data out of a line that is in no list; if that fails, the
// line is closed again.
func (d *Device) empty(line uint32, to int, why cause) bool {
	for {
		at := d.nextValid(line*d.pagesPerLine, (line+1)*d.pagesPerLine)
		if at == none {
			return true
		}
		if d.move(at, to, why) != nil {
			d.lines.close(line)
			return false
		}
	}
}

// threshold is classic static wear leveling.
type threshold struct{ gap uint32 }

func (p *threshold) Erased(l *Lines, erased uint32) (from, into uint32, move bool) {
	if len(l.Closed) == 0 {
		return 0, 0, false
	}
	from = l.youngest()
	return from, erased, l.Erases[erased] > l.Erases[from]+p.gap
}

type pwl struct{}

func (*pwl) Erased(l *Lines, erased uint32) (from, into uint32, move bool) {
	if len(l.Closed) == 0 || l.Endurance == 0 {
		return 0, 0, false
	}
	start := float64(l.Endurance) / 4 * 3
	mean := float64(l.TotalErases) / float64(len(l.Erases))
	limit := mean*(float64(l.Endurance)-start)/float64(l.Endurance) + start
	if float64(l.Erases[erased]) <= limit {
		return 0, 0, false
	}
	from = l.youngest()
	return from, erased, l.Valid[from] > 0 && l.Erases[from] < l.Erases[erased]
}

// oldBlockProtection follows Jiao et al., HotStorage'22.
type oldBlockProtection struct {
	gap     uint32
	Swapped []uint64 // total erases when the line last got cold data, plus 1
}

const protectedErases = 8

func (p *oldBlockProtection) Erased(l *Lines, erased uint32) (from, into uint32, move bool) {
	if len(l.Closed) == 0 || p.Swapped[erased] != 0 && l.TotalErases+1-p.Swapped[erased] <= protectedErases {
		return 0, 0, false
	}
	from = l.youngest()
	if l.Erases[erased] <= l.Erases[from]+p.gap {
		return 0, 0, false
	}
	p.Swapped[erased] = l.TotalErases + 1
	return from, erased, true
}

type randomSwap struct{ probability float64 }

func (p *randomSwap) Erased(l *Lines, erased uint32) (from, into uint32, move bool) {
	if len(l.Closed) == 0 || l.Rand.Float64() >= p.probability {
		return 0, 0, false
	}
	return l.Closed[l.Rand.Uint32N(uint32(len(l.Closed)))], erased, true
}

// dualPool follows Chang, SAC'07, as Jiao et al. (HotStorage'22) apply it: hot
// lines take the writes, cold lines keep cold data.
type dualPool struct {
	gap uint32
	Hot []bool
	// Since is a line's erase count when it was last Swapped: its effective
	// count starts there.
	Since []uint32
}

func newDualPool(c Config, gap uint32) *dualPool {
	p := &dualPool{gap: gap, Hot: make([]bool, c.Lines()), Since: make([]uint32, c.Lines())}
	for line := range p.Hot {
		p.Hot[line] = mix(c.Seed^uint64(line))&1 != 0
	}
	return p
}

func (p *dualPool) Erased(l *Lines, erased uint32) (from, into uint32, move bool) {
	// Of the hot pool by erases, of lines in use and of all; by effective erases.
	worn, hottest, coolest, leastEffective := none, none, none, none
	coldest, mostEffective := none, none // of the cold pool; coldest in use
	effective := func(line uint32) uint32 { return l.Erases[line] - p.Since[line] }
	for i := range p.Hot {
		line := uint32(i)
		if l.Capacity[line] == 0 {
			continue
		}
		erases, inUse := l.Erases[line], l.isClosed(line)
		if !p.Hot[line] {
			if inUse && (coldest == none || erases < l.Erases[coldest]) {
				coldest = line
			}
			if mostEffective == none || effective(line) > effective(mostEffective) {
				mostEffective = line
			}
			continue
		}
		if inUse && (worn == none || erases > l.Erases[worn]) {
			worn = line
		}
		if hottest == none || erases > l.Erases[hottest] {
			hottest = line
		}
		if coolest == none || erases < l.Erases[coolest] {
			coolest = line
		}
		if leastEffective == none || effective(line) < effective(leastEffective) {
			leastEffective = line
		}
	}
	if mostEffective != none && leastEffective != none && effective(mostEffective) > effective(leastEffective)+p.gap {
		p.Hot[mostEffective] = true
	}
	if hottest != none && l.Erases[hottest] > l.Erases[coolest]+2*p.gap {
		p.Hot[coolest] = false
	}
	if worn == none || coldest == none || l.Erases[worn] <= l.Erases[coldest]+p.gap {
		return 0, 0, false
	}
	p.Hot[worn], p.Hot[coldest] = false, true
	p.Since[worn], p.Since[coldest] = l.Erases[worn], l.Erases[coldest]
	return coldest, worn, true
}
