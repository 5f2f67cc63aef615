package emulator

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// FEMUConfig describes a device of FEMU's black-box model.
type FEMUConfig struct {
	Geometry    `yaml:",inline"`
	Timing      `yaml:",inline"`
	GCThreshold float64 `yaml:"gc_thres_pcent" doc:"share of lines in use, in percent, from which a line is collected after every request"`
	GCHigh      float64 `yaml:"gc_thres_pcent_high" doc:"share of lines in use, in percent, from which a write waits for collection"`
	GC          string  `yaml:"gc_policy" doc:"victim selection: greedy, fifo, cost-benefit or d-choice"`
}

// DefaultFEMU is FEMU's default device.
func DefaultFEMU() FEMUConfig {
	return FEMUConfig{Geometry: FEMUGeometry(), Timing: FEMUTiming(), GCThreshold: 75, GCHigh: 95, GC: "greedy"}
}

// FEMUPolicies are the victim selections of FEMU that depend on nothing but
// the requests.
var FEMUPolicies = []string{"greedy", "fifo", "cost-benefit", "d-choice"}

// Errors a device answers a request with.
var (
	// ErrRange: the request touches pages that the device does not have.
	ErrRange = errors.New("request beyond the end of the device")
	// ErrNoFreeLines: the FEMU model has nowhere left to write, now and for
	// every request to come. FEMU ends the whole virtual machine here.
	ErrNoFreeLines = errors.New("no free line left")
)

const none = ^uint32(0)

// FEMU is the black-box SSD of FEMU (Li et al., FAST'18), as its code of July
// 2025 to August 2026 (99ce4fb2b) behaves: one write pointer, whole lines
// collected at once, one first-come-first-served queue a LUN, no channel
// contention. Given the same requests it yields FEMU's latencies, mapping and
// erase counts bit for bit, its questionable defaults included; Device is the
// better emulator. Planes are as FEMU has them since August 2026: they widen a
// line, share their LUN's queue, and are erased together.
//
// The clock FEMU reads while collecting is the time of the request at hand.
// A FEMU is not safe for concurrent use.
type FEMU struct {
	cfg             FEMUConfig
	units           uint32 // planes of all LUNs
	pagesPerLine    uint32
	gcLines, gcHigh int // free lines at or below which to collect

	// Pages are numbered line by line, in a line LUN by LUN and plane by plane,
	// so that a collection walks the arrays in order.
	mapping []uint32 // logical page -> page
	owner   []uint32 // page -> logical page
	valid   []uint64 // a bit a page

	lineValid, lineInvalid, lineErases []uint32
	lineClosed                         []int64
	heapPos                            []uint32 // 1-based; 0: not in the heap
	victims                            []uint32 // heap of lines by lineValid; index 0 unused
	full                               uint32   // lines without an invalid page
	free                               queue

	availableAt []int64  // per LUN
	lunOf       []uint32 // plane -> LUN

	// The write pointer: slot-th plane in channel-first order, page row, line.
	slotUnit []uint32
	slot     uint32
	row      uint32
	line     uint32
	dead     bool // ErrNoFreeLines was met
	now      int64
	selectFn func(*FEMU) uint32

	stats femuStats
}

// femuStats counts what a FEMU device has done.
type femuStats struct {
	HostPages   uint64 // pages the host wrote
	GCLines     uint64 // lines collected
	GCPages     uint64 // pages copied by collection
	BlockErases uint64
}

// WAF is flash programs over host programs, 1 before the first write.
func (s femuStats) WAF() float64 {
	if s.HostPages == 0 {
		return 1
	}
	return float64(s.HostPages+s.GCPages) / float64(s.HostPages)
}

// NewFEMU makes a device with every page free.
func NewFEMU(cfg FEMUConfig) (*FEMU, error) {
	if err := cfg.Geometry.validate(); err != nil {
		return nil, fmt.Errorf("geometry: %w", err)
	}
	if err := cfg.Timing.validate(); err != nil {
		return nil, fmt.Errorf("timing: %w", err)
	}
	if cfg.Lines() < 2 {
		return nil, fmt.Errorf("geometry: blks_per_pl is %d; a device needs at least 2 lines", cfg.Lines())
	}
	for name, pct := range map[string]float64{"gc_thres_pcent": cfg.GCThreshold, "gc_thres_pcent_high": cfg.GCHigh} {
		if !(pct >= 0 && pct <= 100) {
			return nil, fmt.Errorf("%s is %v; it must be between 0 and 100", name, pct)
		}
	}
	if cfg.GC == "" {
		cfg.GC = "greedy"
	}
	selectors := map[string]func(*FEMU) uint32{
		"greedy": (*FEMU).greedy, "fifo": (*FEMU).oldest, "cost-benefit": (*FEMU).costBenefit, "d-choice": (*FEMU).dChoice,
	}
	selectFn, ok := selectors[cfg.GC]
	if !ok {
		return nil, fmt.Errorf("gc_policy is %q; FEMU's policies are %s", cfg.GC, strings.Join(FEMUPolicies, ", "))
	}

	lines, units, luns := cfg.Lines(), cfg.Units(), cfg.LUNsPerChannel*cfg.Channels
	d := &FEMU{
		cfg: cfg, units: uint32(units), pagesPerLine: uint32(cfg.PagesPerLine()),
		gcLines: freeLinesAt(cfg.GCThreshold, lines), gcHigh: freeLinesAt(cfg.GCHigh, lines),
		mapping: make([]uint32, cfg.Pages()), owner: make([]uint32, cfg.Pages()), valid: make([]uint64, (cfg.Pages()+63)/64),
		lineValid: make([]uint32, lines), lineInvalid: make([]uint32, lines), lineErases: make([]uint32, lines),
		lineClosed: make([]int64, lines), heapPos: make([]uint32, lines), victims: make([]uint32, 1, lines+1),
		free: newQueue(lines), availableAt: make([]int64, luns), lunOf: make([]uint32, units), slotUnit: make([]uint32, units), selectFn: selectFn,
	}
	for i := range d.mapping {
		d.mapping[i] = none
	}
	for i := range d.slotUnit {
		channel, lun, plane := i%cfg.Channels, i/cfg.Channels%cfg.LUNsPerChannel, i/luns
		d.slotUnit[i] = uint32((channel*cfg.LUNsPerChannel+lun)*cfg.PlanesPerLUN + plane)
		d.lunOf[i] = uint32(i / cfg.PlanesPerLUN)
	}
	for i := 1; i < lines; i++ {
		d.free.push(uint32(i)) // line 0 is open
	}
	return d, nil
}

// freeLinesAt is the number of free lines that pct percent of lines in use leave.
func freeLinesAt(pct float64, lines int) int {
	share := pct / 100
	return int((1 - share) * float64(lines))
}

// Sectors is the number of sectors a request may touch: FEMU's mapping covers
// the raw capacity.
func (d *FEMU) Sectors() uint64 { return uint64(len(d.mapping)) * uint64(d.cfg.SectorsPerPage) }

// SectorSize is the size of a sector in bytes.
func (d *FEMU) SectorSize() int { return d.cfg.SectorSize }

// Pages is the number of logical pages.
func (d *FEMU) Pages() int { return len(d.mapping) }

// pages turns a range of sectors into the logical pages first <= p < end.
func (d *FEMU) pages(lba, sectors uint64) (first, end uint32, err error) {
	if d.dead {
		return 0, 0, ErrNoFreeLines
	}
	per := uint64(d.cfg.SectorsPerPage)
	if sectors == 0 || lba+sectors < lba || (lba+sectors-1)/per >= uint64(len(d.mapping)) {
		return 0, 0, fmt.Errorf("%w: sectors %d+%d of %d", ErrRange, lba, sectors, uint64(len(d.mapping))*per)
	}
	return uint32(lba / per), uint32((lba+sectors-1)/per) + 1, nil
}

// Read reads sectors that arrive at time now and returns the latency in
// nanoseconds; pages never written cost nothing.
func (d *FEMU) Read(now int64, lba, sectors uint64) (latency int64, err error) {
	first, end, err := d.pages(lba, sectors)
	if err != nil {
		return 0, err
	}
	d.now = now
	for p := first; p < end; p++ {
		if at := d.mapping[p]; at != none {
			latency = max(latency, d.occupy(d.lunOf[at%d.pagesPerLine/uint32(d.cfg.PagesPerBlock)], d.cfg.Timing.Read))
		}
	}
	return latency, d.background()
}

// Write writes sectors, whole pages at a time, and returns the latency.
func (d *FEMU) Write(now int64, lba, sectors uint64) (latency int64, err error) {
	first, end, err := d.pages(lba, sectors)
	if err != nil {
		return 0, err
	}
	d.now = now
	for d.free.len() <= d.gcHigh {
		collected, err := d.collect(true)
		if err != nil {
			return 0, err
		}
		if !collected {
			break
		}
	}
	for p := first; p < end; p++ {
		if at := d.mapping[p]; at != none {
			d.invalidate(at)
		}
		latency = max(latency, d.program(p))
		d.stats.HostPages++
		if d.dead {
			return 0, ErrNoFreeLines
		}
	}
	return latency, d.background()
}

// Trim unmaps every page the sectors touch, even in part. It takes no time.
func (d *FEMU) Trim(now int64, lba, sectors uint64) (latency int64, err error) {
	first, end, err := d.pages(lba, sectors)
	if err != nil {
		return 0, err
	}
	d.now = now
	for p := first; p < end; p++ {
		if at := d.mapping[p]; at != none {
			d.invalidate(at)
			d.mapping[p] = none
		}
	}
	return 0, d.background()
}

// occupy queues an operation on a LUN and returns the time until it ends.
func (d *FEMU) occupy(lun uint32, ns int64) int64 {
	end := max(d.now, d.availableAt[lun]) + ns
	d.availableAt[lun] = end
	return end - d.now
}

// program puts a logical page at the write pointer, moves the pointer on and
// returns the time until the page is programmed.
func (d *FEMU) program(logical uint32) int64 {
	unit := d.slotUnit[d.slot]
	at := d.line*d.pagesPerLine + unit*uint32(d.cfg.PagesPerBlock) + d.row
	d.mapping[logical] = at
	d.owner[at] = logical
	d.valid[at>>6] |= 1 << (at & 63)
	d.lineValid[d.line]++
	if d.slot++; d.slot == d.units {
		d.slot = 0
		if d.row++; d.row == uint32(d.cfg.PagesPerBlock) {
			d.row = 0
			d.nextLine()
		}
	}
	return d.occupy(d.lunOf[unit], d.cfg.Timing.Program)
}

// nextLine closes the open line and opens the one longest free.
func (d *FEMU) nextLine() {
	d.lineClosed[d.line] = d.now
	if d.lineValid[d.line] == d.pagesPerLine {
		d.full++
	} else {
		d.heapInsert(d.line)
	}
	if d.free.len() == 0 {
		d.dead = true
		return
	}
	d.line = d.free.pop()
}

func (d *FEMU) invalidate(at uint32) {
	d.valid[at>>6] &^= 1 << (at & 63)
	line := at / d.pagesPerLine
	wasFull := d.lineValid[line] == d.pagesPerLine
	d.lineValid[line]--
	d.lineInvalid[line]++
	if pos := d.heapPos[line]; pos != 0 {
		d.bubbleUp(pos)
	} else if wasFull {
		d.full--
		d.heapInsert(line)
	}
}

// background is the collection step that follows every request.
func (d *FEMU) background() error {
	if d.free.len() <= d.gcLines {
		_, err := d.collect(false)
		return err
	}
	return nil
}

// collect empties and erases one line, if there is one worth it.
func (d *FEMU) collect(force bool) (bool, error) {
	if len(d.victims) == 1 {
		return false, nil
	}
	victim := d.selectFn(d)
	if !force && d.lineInvalid[victim] < d.pagesPerLine/8 {
		return false, nil
	}
	d.heapRemove(victim)
	d.stats.GCLines++

	perBlock := uint32(d.cfg.PagesPerBlock)
	for unit := range d.units {
		lun := d.lunOf[unit]
		from := victim*d.pagesPerLine + unit*perBlock
		for at := from; at < from+perBlock; {
			// The bits of this word that belong to the block.
			w := d.valid[at>>6] >> (at & 63)
			n := min(64-at&63, from+perBlock-at)
			if n < 64 {
				w &= 1<<n - 1
			}
			for ; w != 0; w &= w - 1 {
				d.occupy(lun, d.cfg.Timing.Read)
				d.program(d.owner[at+uint32(bits.TrailingZeros64(w))])
				d.stats.GCPages++
				if d.dead {
					return false, ErrNoFreeLines
				}
			}
			if n == 64 {
				d.valid[at>>6] = 0
			} else {
				d.valid[at>>6] &^= (1<<n - 1) << (at & 63)
			}
			at += n
		}
		if unit+1 == d.units || d.lunOf[unit+1] != lun {
			d.occupy(lun, d.cfg.Timing.Erase) // of all its planes at once
		}
	}
	d.stats.BlockErases += uint64(d.units)
	d.lineErases[victim]++
	d.lineValid[victim], d.lineInvalid[victim] = 0, 0
	d.free.push(victim)
	return true, nil
}

// The victim selections. All of them see the heap's own order, since FEMU
// resolves ties by it.

func (d *FEMU) greedy() uint32 { return d.victims[1] }

func (d *FEMU) oldest() uint32 {
	best := d.victims[1]
	for _, line := range d.victims[2:] {
		if d.lineClosed[line] < d.lineClosed[best] {
			best = line
		}
	}
	return best
}

// costBenefit maximises age*(1-u)/(2u), u the share of valid pages. Of empty
// lines it takes the last.
func (d *FEMU) costBenefit() uint32 {
	best := d.victims[1]
	for _, line := range d.victims[2:] {
		if d.lineValid[line] == 0 {
			best = line
			continue
		}
		if d.lineValid[best] == 0 {
			continue
		}
		hi, lo := bits.Mul64(uint64(d.now-d.lineClosed[line]), uint64(d.lineInvalid[line])*uint64(d.lineValid[best]))
		bestHi, bestLo := bits.Mul64(uint64(d.now-d.lineClosed[best]), uint64(d.lineInvalid[best])*uint64(d.lineValid[line]))
		if hi > bestHi || hi == bestHi && lo > bestLo {
			best = line
		}
	}
	return best
}

// dChoice takes the emptiest of four lines that the clock picks.
func (d *FEMU) dChoice() uint32 {
	n := uint64(len(d.victims) - 1)
	best := none
	for s := range uint32(4) {
		line := d.victims[1+(uint64(d.now)+uint64(s*2654435761))%n]
		if best == none || d.lineValid[line] < d.lineValid[best] {
			best = line
		}
	}
	return best
}

// The heap: 1-based, least lineValid first, equal keys where they fall.

func (d *FEMU) heapInsert(line uint32) {
	d.victims = append(d.victims, line)
	d.bubbleUp(uint32(len(d.victims) - 1))
}

func (d *FEMU) heapRemove(line uint32) {
	pos := d.heapPos[line]
	d.heapPos[line] = 0
	last := len(d.victims) - 1
	moved := d.victims[last]
	d.victims = d.victims[:last]
	if int(pos) == last {
		return
	}
	d.victims[pos] = moved
	if d.lineValid[line] > d.lineValid[moved] {
		d.bubbleUp(pos)
	} else {
		d.percolateDown(pos)
	}
}

func (d *FEMU) bubbleUp(pos uint32) {
	line := d.victims[pos]
	key := d.lineValid[line]
	for pos > 1 {
		parent := d.victims[pos/2]
		if d.lineValid[parent] <= key {
			break
		}
		d.victims[pos], d.heapPos[parent] = parent, pos
		pos /= 2
	}
	d.victims[pos], d.heapPos[line] = line, pos
}

func (d *FEMU) percolateDown(pos uint32) {
	line := d.victims[pos]
	key := d.lineValid[line]
	size := uint32(len(d.victims))
	for {
		child := 2 * pos
		if child >= size {
			break
		}
		if child+1 < size && d.lineValid[d.victims[child]] > d.lineValid[d.victims[child+1]] {
			child++
		}
		if key <= d.lineValid[d.victims[child]] {
			break
		}
		d.victims[pos], d.heapPos[d.victims[child]] = d.victims[child], pos
		pos = child
	}
	d.victims[pos], d.heapPos[line] = line, pos
}

// Report says what the device has done so far and how it stands.
func (d *FEMU) Report() Report {
	mapped := 0
	for _, n := range d.lineValid {
		mapped += int(n)
	}
	wear := WearOf(d.lineErases)
	return Report{
		HostPages: d.stats.HostPages, GCPages: d.stats.GCPages, BlockErases: d.stats.BlockErases, WAF: d.stats.WAF(), GCLines: d.stats.GCLines,
		FreeLines: d.free.len(), VictimLines: len(d.victims) - 1, FullLines: int(d.full),
		GCThresholdLines: d.gcLines, GCHighLines: d.gcHigh, Lines: d.cfg.Lines(), PagesPerLine: d.cfg.PagesPerLine(), Pages: d.cfg.Pages(),
		MappedPages: mapped, EraseMin: wear.Min, EraseMax: wear.Max, EraseMean: wear.Mean, EraseSD: wear.SD, Wear: wear,
	}
}

// Hashes digests the device's state: see SSD.
func (d *FEMU) Hashes() (mapping, erases Hash64) {
	mapping = NewHash64()
	for p := range d.mapping {
		index, ok := d.Locate(p)
		if !ok {
			index = ^uint64(0)
		}
		mapping.Add(index)
	}
	return mapping, hashCounts(d.lineErases)
}

// EraseCounts is the erase count of each line. The caller must not change it.
func (d *FEMU) EraseCounts() []uint32 { return d.lineErases }

// Locate returns the flat index that FEMU gives the page holding a logical
// page: channel by channel, LUN by LUN, plane by plane, block by block.
func (d *FEMU) Locate(logical int) (index uint64, mapped bool) {
	at := d.mapping[logical]
	if at == none {
		return 0, false
	}
	perBlock := uint32(d.cfg.PagesPerBlock)
	line, unit, page := at/d.pagesPerLine, at%d.pagesPerLine/perBlock, at%perBlock
	return (uint64(unit)*uint64(d.cfg.BlocksPerPlane)+uint64(line))*uint64(perBlock) + uint64(page), true
}
