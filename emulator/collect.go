package emulator

import (
	"errors"
	"math/bits"
)

// makeRoom collects as much as the next page written needs.
func (d *Device) makeRoom() error {
	if d.wornOut {
		return ErrWornOut
	}
	err := d.collect()
	if errors.Is(err, ErrNoSpace) && d.stats.BadBlocks > 0 {
		// So many blocks died in a row that none is left to collect into.
		d.wornOut = true
		d.stats.WornOut = d.stats.Programs[byHost]
	}
	if d.wornOut {
		return ErrWornOut
	}
	return err
}

func (d *Device) collect() error {
	if d.collecting != none && d.cfg.GCPace == "incremental" {
		if err := d.step(); err != nil {
			return err
		}
	}
	if d.freePages > d.startBelow && len(d.refresh) == 0 {
		return nil
	}
	if d.cfg.GCPace == "incremental" && d.freePages > d.forceBelow {
		if d.collecting == none {
			d.begin()
		}
		return nil
	}
	// Policies that do not look may pick lines that hold nothing invalid: all
	// lines get several turns before the device is called full.
	for tries := 0; d.freePages <= d.forceBelow || len(d.refresh) != 0; tries++ {
		if d.collecting == none && !d.begin() {
			return ErrNoSpace
		}
		if err := d.finish(); err != nil || d.wornOut {
			return err
		}
		if tries > 64*len(d.lines.Valid) {
			return ErrNoSpace
		}
	}
	return nil
}

// reclaim rewrites lines that were read too often. A device that cannot write
// leaves them as they are.
func (d *Device) reclaim() {
	if d.wornOut || d.collecting != none && d.finish() != nil {
		return
	}
	for len(d.refresh) != 0 && d.freePages > d.forceBelow {
		if !d.begin() || d.finish() != nil {
			return
		}
	}
}

// begin chooses the next line to collect.
func (d *Device) begin() bool {
	victim := none
	d.collectCause = byGC
	for len(d.refresh) != 0 && victim == none {
		line := d.refresh[0]
		d.refresh = d.refresh[1:]
		if d.lines.isClosed(line) && d.lines.Reads[line] >= d.cfg.ReadReclaim {
			victim, d.collectCause = line, byRefresh
		}
	}
	if victim == none {
		if len(d.lines.Closed) == 0 {
			return false
		}
		victim = d.victims.Select(&d.lines)
	}
	d.lines.reopen(victim)
	d.collecting, d.cursor, d.credit = victim, victim*d.pagesPerLine, 0
	return true
}

// step copies as many pages of the line under collection as one page written
// must pay for: the line's valid pages over the pages its collection frees.
func (d *Device) step() error {
	line := d.collecting
	valid, capacity := uint64(d.lines.Valid[line]), uint64(d.lines.Capacity[line])
	if valid >= capacity {
		return d.finish()
	}
	// What is still valid must be gone before the freed pages are used up.
	d.credit += valid
	for d.credit >= capacity-valid {
		d.credit -= capacity - valid
		done, err := d.copyNext()
		if done || err != nil {
			return err
		}
	}
	if valid == 0 {
		return d.finish()
	}
	return nil
}

// finish copies all that is left of the line under collection.
func (d *Device) finish() error {
	for {
		if done, err := d.copyNext(); done || err != nil {
			return err
		}
	}
}

// copyNext moves the next valid page of the line under collection, or erases
// the line if there is none.
func (d *Device) copyNext() (done bool, err error) {
	line := d.collecting
	at := d.nextValid(d.cursor, (line+1)*d.pagesPerLine)
	if at == none {
		d.collecting = none
		d.release(line, d.collectCause)
		return true, nil
	}
	d.cursor = at + 1
	return false, d.move(at, d.gcStream(), d.collectCause)
}

// nextValid is the first valid page in [from, end), none if there is none.
func (d *Device) nextValid(from, end uint32) uint32 {
	for at := from; at < end; {
		if w := d.valid[at>>6] >> (at & 63); w != 0 {
			if at += uint32(bits.TrailingZeros64(w)); at < end {
				return at
			}
			return none
		}
		at = at&^63 + 64
		if at == 0 {
			return none // past the last page number
		}
	}
	return none
}

// move copies one page to a write point. With nowhere to put it, it stays.
func (d *Device) move(at uint32, to int, why cause) error {
	if d.streams[to].line == none && d.free.len() == 0 {
		return ErrNoSpace
	}
	from := d.perLine.div(at)
	d.valid[at>>6] &^= 1 << (at & 63)
	d.lines.Valid[from]--
	dest := d.place(to, d.owner[at], why)
	if d.timed {
		d.media.copy(d.now, at%d.units, dest%d.units, uint32(d.retryCount[from]))
	}
	return nil
}

// release erases an empty line, lets wear leveling use the occasion and puts
// the line among the free ones.
func (d *Device) release(line uint32, why cause) {
	if !d.erase(line, why) {
		return // all its blocks are bad
	}
	if d.leveler != nil && !d.leveling && why == byGC && !d.wornOut {
		if d.level(line) {
			return // the line was put to use
		}
	}
	d.setFree(line)
}

// setFree puts an erased line among the free ones.
func (d *Device) setFree(line uint32) {
	d.free.push(line, d.lines.Erases[line])
	d.freePages += uint64(d.lines.Capacity[line])
}

// takeFree takes the next line for a write point from the free ones, of which
// there is one.
func (d *Device) takeFree(to int) uint32 {
	choices, at := d.free.len(), 0
	if to >= streamGC && d.cfg.Allocation == hotYoung {
		at = d.free.mostErased()
	}
	line := d.free.remove(at)
	d.freePages -= uint64(d.lines.Capacity[line])
	if d.watch != nil {
		d.watch.opened(line, choices, d.lines.Clock)
	}
	return line
}

func (d *Device) gcStream() int {
	if d.cfg.SeparateGC {
		return streamGC
	}
	return streamHost
}
