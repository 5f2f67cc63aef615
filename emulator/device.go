package emulator

import (
	"errors"
	"fmt"
	"math/rand/v2"
)

// Config describes a Device. Where it has no opinion of its own, the value is
// that of DefaultConfig.
type Config struct {
	Geometry    `yaml:",inline"`
	Timing      `yaml:",inline"`
	Reliability `yaml:",inline"`

	Scheduling  string `yaml:"scheduling" doc:"out-of-order: pages cross a bus as they get ready, copies keep nobody waiting; in-order: bookings of a bus stay in the order they were made"`
	Suspend     int64  `yaml:"suspend_lat" doc:"time to suspend and resume a program or erase for a read, ns; 0: reads wait"`
	Buffer      int    `yaml:"buffer_pgs" doc:"pages of the write buffer; 0: a write ends with its program"`
	BufferEntry int64  `yaml:"buffer_lat" doc:"time to take a page into the write buffer or read one from it, ns"`
	Link        int64  `yaml:"link_mb_s" doc:"what the host's link carries each way, 10^6 bytes a second; 0: any rate"`

	OverProvision float64 `yaml:"op_pcent" doc:"spare capacity, in percent of the logical capacity"`
	LogicalPages  int     `yaml:"logical_pgs" doc:"logical capacity in pages; in place of op_pcent if not 0"`

	GC          string  `yaml:"gc_policy" doc:"victim selection"`
	GCChoices   int     `yaml:"gc_choices" doc:"lines that d-choice and wear-aware look at"`
	GCFree      int     `yaml:"gc_free_lines" doc:"free lines at or below which lines are collected"`
	GCPace      string  `yaml:"gc_pace" doc:"incremental: a few pages copied with each page written; line: a whole line at once"`
	SeparateGC  bool    `yaml:"separate_gc" doc:"collection writes to lines of its own"`
	SeparateWL  bool    `yaml:"separate_wl" doc:"wear leveling packs what it moves into lines of its own; otherwise a page keeps its place in the line, as in the published algorithms"`
	HotCold     bool    `yaml:"hot_cold" doc:"pages overwritten soon go to lines of their own"`
	Allocation  string  `yaml:"allocation" doc:"line opened next: fifo, the longest free; youngest, the least erased; hot-young, the least erased for what the host writes and the most erased for what is copied, which is colder"`
	Leveling    string  `yaml:"wear_leveling" doc:"static wear leveling"`
	Threshold   uint32  `yaml:"wl_threshold" doc:"difference of erase counts that wear leveling tolerates; 0: the policy's own"`
	Probability float64 `yaml:"wl_probability" doc:"chance of a swap after an erase (random-swap)"`

	Seed uint64 `yaml:"seed" doc:"seed of every random choice"`
}

// Errors of a Device; both leave it readable.
var (
	// ErrNoSpace: every page is valid and nothing can be collected.
	ErrNoSpace = errors.New("no space left on device")
	// ErrWornOut: so many blocks are bad that the logical capacity does not fit.
	ErrWornOut = errors.New("device worn out: it is read-only")
)

// The values of Config.Scheduling.
const (
	outOfOrder = "out-of-order"
	inOrder    = "in-order"
)

// The values of Config.Allocation.
const (
	fifo     = "fifo"
	youngest = "youngest"
	hotYoung = "hot-young"
)

// The write points. Without a separate one, collection shares the host's.
const (
	streamHost = iota
	streamHot
	streamGC
	streamWL
	streams
)

// cause is why a page was programmed.
type cause uint8

const (
	byHost cause = iota
	byGC
	byWL
	byRefresh
	causes
)

// stream is a write point: the next page of an open line and the line's end.
type stream struct {
	line, next, end uint32
}

// Device is a page-mapped SSD with wear, the emulator's own model. It keeps no
// data, only where data is. Per flash page it takes 4 bytes for the owner, 4
// for the mapping of the logical page and a bit for validity: 8.1 bytes and
// less where pages are spare.
//
// Lines are the unit of collection. Pages are numbered in a line row by row,
// so neighbours lie on different channels. A bad block's pages are left out:
// its line goes on with the rest. A Device is not safe for concurrent use.
type Device struct {
	cfg          Config
	units        uint32
	pagesPerLine uint32
	perLine      divisor

	mapping []uint32 // logical page -> page
	owner   []uint32 // page -> logical page
	valid   []uint64 // a bit a page
	bad     []uint64 // a bit a block: line*units + unit
	// nextBad is the erase count at which the next block of a line goes bad;
	// hasBad marks lines with bad blocks, and retryCount how often a read of
	// the line is repeated.
	nextBad    []uint32
	hasBad     []bool
	retryCount []uint8

	lines    Lines
	free     freeLines
	streams  [streams]stream
	victims  VictimPolicy
	leveler  WearLeveler
	leveling bool // a migration is under way, or leveling is paused

	// The line being collected: the next page to look at and why.
	collecting             uint32 // none: no line
	cursor                 uint32
	collectCause           cause
	credit                 uint64
	refresh                []uint32 // lines to rewrite because of reads
	freePages              uint64   // pages of the free lines
	startBelow, forceBelow uint64   // freePages at or below which to collect, and to make the host wait
	timed                  bool
	now                    int64
	media                  media
	link                   link
	buffer                 writeBuffer
	rng                    *rand.PCG
	wornOut                bool
	capacity               uint64 // pages that are not bad
	mapped                 int

	watch *eraseWatch // set by Aging

	ahead uint32 // see WritePage

	// skipped counts pages that were erased, or will be, without a program.
	skipped uint64

	stats Stats
}

// Stats counts what a Device has done.
type Stats struct {
	Programs    [causes]uint64 // pages, by cause: host, collection, wear leveling, read reclaim
	Erases      [causes]uint64 // lines
	Reads       uint64         // pages read for the host
	Retries     uint64         // repeated reads for the host
	Trimmed     uint64         // pages unmapped by the host
	Swaps       uint64         // migrations by wear leveling
	BadBlocks   uint64
	BlockErases uint64
	// FirstBad and WornOut are the host pages written until the first block
	// went bad and until the device was worn out, 0 before that.
	FirstBad, WornOut uint64
}

// WAF is all programs over those for the host, 1 before the first.
func (s *Stats) WAF() float64 {
	if s.Programs[byHost] == 0 {
		return 1
	}
	return float64(s.programs()) / float64(s.Programs[byHost])
}

func (s *Stats) programs() (n uint64) {
	for _, p := range s.Programs {
		n += p
	}
	return n
}

// divisor divides by a constant: by shifting if it is a power of two.
type divisor struct {
	by    uint32
	shift int8 // -1: not a power of two
}

func newDivisor(by uint32) divisor {
	d := divisor{by: by, shift: -1}
	if by&(by-1) == 0 {
		for d.shift = 0; 1<<d.shift != by; d.shift++ {
		}
	}
	return d
}

func (d divisor) div(n uint32) uint32 {
	if d.shift >= 0 {
		return n >> uint(d.shift)
	}
	return n / d.by
}

// New makes a device with nothing written.
func New(cfg Config) (*Device, error) {
	victims, order, leveler, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	lines, perLine := cfg.Lines(), cfg.PagesPerLine()
	rng := rand.NewPCG(cfg.Seed, 0x5eed)
	d := &Device{
		cfg: cfg, units: uint32(cfg.Units()), pagesPerLine: uint32(perLine), perLine: newDivisor(uint32(perLine)),
		mapping: make([]uint32, cfg.LogicalPages), owner: make([]uint32, cfg.Pages()), valid: make([]uint64, (cfg.Pages()+63)/64),
		bad: make([]uint64, (lines*cfg.Units()+63)/64), nextBad: make([]uint32, lines), hasBad: make([]bool, lines), retryCount: make([]uint8, lines),
		lines: newLines(lines, perLine, order, rand.New(rng)), free: freeLines{young: cfg.Allocation != fifo},
		victims: victims, leveler: leveler, collecting: none, rng: rng, capacity: uint64(cfg.Pages()),
		timed: cfg.Timing != Timing{}, media: newMedia(cfg), link: newLink(cfg), buffer: newWriteBuffer(cfg.Buffer),
	}
	d.lines.Endurance = cfg.Endurance
	d.startBelow, d.forceBelow = uint64(cfg.GCFree*perLine), uint64(cfg.reserve()*perLine)
	for i := range d.mapping {
		d.mapping[i] = none
	}
	for i := range d.streams {
		d.streams[i].line = none
	}
	for line := range uint32(lines) {
		d.nextBad[line] = d.weakest(line)
		d.retryCount[line] = cfg.retries(0, 0)
		d.setFree(line)
	}
	return d, nil
}

// Pages is the number of logical pages.
func (d *Device) Pages() int { return len(d.mapping) }

// Sectors is the number of sectors a request may touch.
func (d *Device) Sectors() uint64 { return uint64(len(d.mapping)) * uint64(d.cfg.SectorsPerPage) }

// SectorSize is the size of a sector in bytes.
func (d *Device) SectorSize() int { return d.cfg.SectorSize }

// Config is what the device was made from, defaults filled in.
func (d *Device) Config() Config { return d.cfg }

// Stats returns the counters so far.
func (d *Device) Stats() Stats { return d.stats }

// Lines is the policies' view of the lines. The caller must not change it.
func (d *Device) Lines() *Lines { return &d.lines }

// Capacity is the number of pages whose block is not bad.
func (d *Device) Capacity() uint64 { return d.capacity }

// pages turns sectors into the logical pages first <= p < end and says whether
// the first and last are only partly covered.
func (d *Device) pages(lba, sectors uint64) (first, end uint32, headPartial, tailPartial bool, err error) {
	per := uint64(d.cfg.SectorsPerPage)
	if sectors == 0 || lba+sectors < lba || (lba+sectors-1)/per >= uint64(len(d.mapping)) {
		return 0, 0, false, false, fmt.Errorf("%w: sectors %d+%d of %d", ErrRange, lba, sectors, uint64(len(d.mapping))*per)
	}
	return uint32(lba / per), uint32((lba+sectors-1)/per) + 1, lba%per != 0, (lba+sectors)%per != 0, nil
}

// Read reads sectors that arrive at virtual time now and returns the latency
// in nanoseconds. Pages never written take the link's time only.
func (d *Device) Read(now int64, lba, sectors uint64) (latency int64, err error) {
	first, end, _, _, err := d.pages(lba, sectors)
	if err != nil {
		return 0, err
	}
	d.now = max(d.now, now)
	done := now
	for p := first; p < end; p++ {
		ready := d.readPage(p)
		if d.timed {
			ready = d.link.send(d.now, ready)
		}
		done = max(done, ready)
	}
	if len(d.refresh) != 0 {
		d.reclaim()
	}
	return done - now, nil
}

func (d *Device) readPage(logical uint32) (done int64) {
	at := d.mapping[logical]
	if at == none {
		return d.now
	}
	d.stats.Reads++
	if d.buffer.holds(at, d.now) {
		return d.now + d.cfg.BufferEntry
	}
	line := d.perLine.div(at)
	retries := uint32(d.retryCount[line])
	d.lines.Reads[line]++
	if reads := d.lines.Reads[line]; reads&1023 == 0 {
		d.retryCount[line] = d.cfg.retries(d.lines.Erases[line], reads)
	}
	if d.cfg.ReadReclaim != 0 && d.lines.Reads[line] == d.cfg.ReadReclaim {
		d.refresh = append(d.refresh, line)
	}
	d.stats.Retries += uint64(retries)
	if !d.timed {
		return d.now
	}
	return d.media.read(d.now, at%d.units, retries)
}

// Write writes sectors. A page covered in part is read first. On ErrNoSpace
// and ErrWornOut some of the pages may have been written.
func (d *Device) Write(now int64, lba, sectors uint64) (latency int64, err error) {
	first, end, head, tail, err := d.pages(lba, sectors)
	if err != nil {
		return 0, err
	}
	d.now = max(d.now, now)
	done := d.now
	if head || tail {
		done = max(done, d.readPage(first))
		if tail && end-1 != first {
			done = max(done, d.readPage(end-1))
		}
	}
	for p := first; p < end; p++ {
		accepted, err := d.WritePage(p)
		if err != nil {
			return 0, err
		}
		done = max(done, accepted)
	}
	return done - now, nil
}

// WritePage writes one logical page at the time of the latest request and
// returns when it is accepted.
func (d *Device) WritePage(logical uint32) (accepted int64, err error) {
	d.ahead = d.mapping[logical] // kept so that it is read, and in the cache after collection
	if err := d.makeRoom(); err != nil {
		return 0, err
	}
	to := streamHost
	old := d.mapping[logical]
	if old != none {
		if d.cfg.HotCold && d.isHot(old) {
			to = streamHot
		}
		d.drop(old)
	} else {
		d.mapped++
	}
	at := d.place(to, logical, byHost)
	if !d.timed {
		return d.now, nil
	}
	arrived := d.link.receive(d.now)
	if d.cfg.Buffer == 0 {
		end := d.media.program(d.now, arrived, at%d.units)
		d.buffer.last = max(d.buffer.last, end)
		return end, nil
	}
	accepted = d.buffer.ready(arrived) + d.cfg.BufferEntry
	d.buffer.enter(at, d.media.program(d.now, accepted, at%d.units))
	return accepted, nil
}

// isHot says that a page is overwritten sooner than most: its line was closed
// within the last half turn of the log.
func (d *Device) isHot(at uint32) bool {
	line := d.perLine.div(at)
	return !d.lines.isClosed(line) || d.lines.Clock-d.lines.ClosedAt[line] < uint64(len(d.owner))/2
}

// Trim unmaps the pages that the sectors cover wholly.
func (d *Device) Trim(now int64, lba, sectors uint64) (latency int64, err error) {
	first, end, head, tail, err := d.pages(lba, sectors)
	if err != nil {
		return 0, err
	}
	d.now = max(d.now, now)
	if head {
		first++
	}
	if tail && end > first {
		end--
	}
	for p := first; p < end; p++ {
		if at := d.mapping[p]; at != none {
			d.drop(at)
			d.mapping[p] = none
			d.mapped--
			d.stats.Trimmed++
		}
	}
	return 0, nil
}

// Flush waits until every page accepted so far is programmed.
func (d *Device) Flush(now int64) (latency int64) { return max(0, d.buffer.last-now) }

// drop makes a page invalid.
func (d *Device) drop(at uint32) {
	d.valid[at>>6] &^= 1 << (at & 63)
	d.lines.lost(d.perLine.div(at))
}

// place programs the next page of a write point, which must have or be able
// to get one, and maps it to a logical page.
func (d *Device) place(to int, logical uint32, why cause) uint32 {
	s := &d.streams[to]
	if s.line == none {
		d.open(s, d.takeFree(to))
	}
	at := s.next
	d.mapping[logical] = at
	d.owner[at] = logical
	d.valid[at>>6] |= 1 << (at & 63)
	d.lines.Valid[s.line]++
	d.lines.Clock++
	d.stats.Programs[why]++
	s.next++
	if d.hasBad[s.line] {
		d.skipBad(s)
	}
	if s.next == s.end {
		d.lines.close(s.line)
		s.line = none
	}
	return at
}

func (d *Device) open(s *stream, line uint32) {
	s.line, s.next = line, line*d.pagesPerLine
	s.end = s.next + d.pagesPerLine
	if d.hasBad[line] {
		d.skipBad(s)
	}
}

// skipBad moves a write point over the pages of bad blocks.
func (d *Device) skipBad(s *stream) {
	for s.next < s.end && d.isBad(s.line, s.next%d.units) {
		s.next++
	}
}

func (d *Device) isBad(line, unit uint32) bool {
	block := uint64(line)*uint64(d.units) + uint64(unit)
	return d.bad[block>>6]>>(block&63)&1 != 0
}

// weakest is the least erase count at which one of a line's good blocks goes bad.
func (d *Device) weakest(line uint32) uint32 {
	least := none
	for unit := range d.units {
		if !d.isBad(line, unit) {
			least = min(least, d.cfg.limit(d.cfg.Seed, uint64(line)*uint64(d.units)+uint64(unit)))
		}
		if d.cfg.EnduranceSD == 0 && least != none {
			break // all alike
		}
	}
	return least
}

// erase erases a line that holds no valid page and retires the blocks that do
// not survive it. It reports whether any block is left.
func (d *Device) erase(line uint32, why cause) bool {
	l := &d.lines
	l.Erases[line]++
	if d.watch != nil {
		d.watch.erased(line, d.lines.Clock)
	}
	l.TotalErases++
	l.Reads[line] = 0
	d.stats.Erases[why]++
	d.retryCount[line] = d.cfg.retries(l.Erases[line], 0)
	d.stats.BlockErases += uint64(l.Capacity[line]) / uint64(d.cfg.PagesPerBlock)
	if d.timed {
		for unit := range d.units {
			if !d.hasBad[line] || !d.isBad(line, unit) {
				d.media.erase(d.now, unit)
			}
		}
	}
	if l.Erases[line] < d.nextBad[line] {
		return true
	}
	if d.stats.FirstBad == 0 {
		d.stats.FirstBad = d.stats.Programs[byHost]
	}
	for unit := range d.units {
		block := uint64(line)*uint64(d.units) + uint64(unit)
		if !d.isBad(line, unit) && d.cfg.limit(d.cfg.Seed, block) <= l.Erases[line] {
			d.bad[block>>6] |= 1 << (block & 63)
			l.Capacity[line] -= uint32(d.cfg.PagesPerBlock)
			d.capacity -= uint64(d.cfg.PagesPerBlock)
			d.stats.BadBlocks++
		}
	}
	d.hasBad[line] = true
	d.nextBad[line] = d.weakest(line)
	if !d.wornOut && d.capacity < uint64(len(d.mapping))+uint64(d.cfg.spareLines())*uint64(d.pagesPerLine) {
		d.wornOut = true
		d.stats.WornOut = d.stats.Programs[byHost]
	}
	return l.Capacity[line] != 0
}
