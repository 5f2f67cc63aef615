package emulator

import (
	"fmt"
	"math/bits"
)

// Check verifies the device's bookkeeping against itself and returns the first
// contradiction. It takes time in proportion to the device.
func (d *Device) Check() error {
	l := &d.lines
	lines := uint32(len(l.Valid))

	// Every logical page and its flash page point at each other, and no other
	// page is valid.
	mapped := 0
	for p, at := range d.mapping {
		if at == none {
			continue
		}
		mapped++
		if uint64(at) >= uint64(len(d.owner)) || d.owner[at] != uint32(p) || d.valid[at>>6]>>(at&63)&1 == 0 {
			return fmt.Errorf("logical page %d is mapped to page %d, which does not hold it", p, at)
		}
		if d.isBad(d.perLine.div(at), at%d.units) {
			return fmt.Errorf("logical page %d is in a bad block", p)
		}
	}
	valid := 0
	for _, w := range d.valid {
		valid += bits.OnesCount64(w)
	}
	if mapped != valid || mapped != d.mapped {
		return fmt.Errorf("%d pages are mapped, %d valid, %d counted", mapped, valid, d.mapped)
	}

	// Each line is in exactly one place, and its counts are true.
	where := make([]string, lines)
	put := func(line uint32, place string) error {
		if line >= lines || where[line] != "" {
			return fmt.Errorf("line %d is %s and %s", line, where[min(line, lines-1)], place)
		}
		where[line] = place
		return nil
	}
	for i, line := range l.Closed {
		if err := put(line, "closed"); err != nil {
			return err
		}
		if l.closedPos[line] != uint32(i) {
			return fmt.Errorf("closed line %d does not know its place", line)
		}
		if o := &l.order; o.kind != unordered && (o.next[o.prev[line]] != line || o.prev[o.next[line]] != line) {
			return fmt.Errorf("closed line %d is not in its list", line)
		}
	}
	freePages := uint64(0)
	for _, f := range d.free.heap {
		freePages += uint64(l.Capacity[f.line])
		if err := put(f.line, "free"); err != nil {
			return err
		}
		if l.Valid[f.line] != 0 {
			return fmt.Errorf("free line %d holds %d valid pages", f.line, l.Valid[f.line])
		}
	}
	if freePages != d.freePages {
		return fmt.Errorf("free lines have %d pages, %d counted", freePages, d.freePages)
	}
	unwritten := uint64(0) // pages in open lines still to be programmed
	for i, s := range d.streams {
		if s.line == none {
			continue
		}
		if err := put(s.line, "open"); err != nil {
			return err
		}
		if s.next < s.line*d.pagesPerLine || s.next >= s.end || s.end != (s.line+1)*d.pagesPerLine {
			return fmt.Errorf("write point %d is outside its line", i)
		}
		for at := s.next; at < s.end; at++ {
			if !d.isBad(s.line, at%d.units) {
				unwritten++
			}
		}
	}
	if d.collecting != none {
		if err := put(d.collecting, "under collection"); err != nil {
			return err
		}
	}
	var capacity, inUse, erases, blockErasesAtMost uint64
	for line := range lines {
		good := uint32(0)
		for unit := range d.units {
			if !d.isBad(line, unit) {
				good++
			}
		}
		if l.Capacity[line] != good*uint32(d.cfg.PagesPerBlock) {
			return fmt.Errorf("line %d has a capacity of %d pages and %d good blocks", line, l.Capacity[line], good)
		}
		if (where[line] == "") != (good == 0) {
			return fmt.Errorf("line %d with %d good blocks is in no list or in one too many (%s)", line, good, where[line])
		}
		n := uint32(0)
		for at := d.nextValid(line*d.pagesPerLine, (line+1)*d.pagesPerLine); at != none; at = d.nextValid(at+1, (line+1)*d.pagesPerLine) {
			n++
			if at+1 == (line+1)*d.pagesPerLine {
				break
			}
		}
		if n != l.Valid[line] {
			return fmt.Errorf("line %d holds %d valid pages and counts %d", line, n, l.Valid[line])
		}
		capacity += uint64(l.Capacity[line])
		erases += uint64(l.Erases[line])
		blockErasesAtMost += uint64(l.Erases[line]) * uint64(d.units)
		if where[line] == "closed" || where[line] == "open" || where[line] == "under collection" {
			inUse += uint64(l.Capacity[line])
		}
	}
	if capacity != d.capacity {
		return fmt.Errorf("%d pages are good, %d counted", capacity, d.capacity)
	}
	if erases != l.TotalErases || d.stats.BlockErases > blockErasesAtMost {
		return fmt.Errorf("lines were erased %d times, %d counted", erases, l.TotalErases)
	}
	// Conservation: what was programmed has been erased or is still there.
	programs, erased := d.stats.programs(), d.stats.BlockErases*uint64(d.cfg.PagesPerBlock)
	if programs+d.skipped+unwritten != erased+inUse {
		return fmt.Errorf("%d programs and %d pages skipped are not %d erased pages and %d in lines in use", programs, d.skipped, erased, inUse-unwritten)
	}
	return nil
}
