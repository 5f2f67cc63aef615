package emulator

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
)

// Cycle skips whole periods of a workload that is repeated over and over, such
// as a trace in a loop or sequential overwrites. A device whose policies follow
// the state alone must come back to a state it was in; from then on everything
// it does repeats, and any number of periods can be added exactly: counters,
// erase counts and mapping are what simulating them would have left. What the
// policies cannot see, the number of erases so far, may differ between the two
// states. Aging is for workloads that do not repeat.
type Cycle struct {
	d      *Device
	seed   maphash.Seed
	seen   map[uint64]int // digest -> index into marks
	marks  []cycleMark
	period int
}

type cycleMark struct {
	erases                []uint32
	stats                 Stats
	clock, total, skipped uint64
}

// maxCycleMarks bounds what is remembered: beyond it no cycle is looked for.
const maxCycleMarks = 1 << 12

// NewCycle begins to watch a device, which must be between two passes of the
// workload. It refuses policies that draw lots or follow the wear.
func NewCycle(d *Device) (*Cycle, error) {
	c := &d.cfg
	switch {
	case !slices.Contains([]string{"greedy", "fifo", "cost-benefit"}, c.GC):
		return nil, fmt.Errorf("gc_policy %s does not follow the state alone", c.GC)
	case c.Leveling != "none":
		return nil, fmt.Errorf("wear_leveling %s does not follow the state alone", c.Leveling)
	}
	y := &Cycle{d: d, seed: maphash.MakeSeed(), seen: map[uint64]int{}}
	y.Mark()
	return y, nil
}

// Mark is called after every pass of the workload. It returns the number of
// passes after which the device repeats itself, 0 while that is not known.
func (y *Cycle) Mark() (period int) {
	if y.period != 0 || len(y.marks) == maxCycleMarks {
		return y.period
	}
	d := y.d
	digest := y.digest()
	if at, ok := y.seen[digest]; ok {
		y.period = len(y.marks) - at
	}
	y.seen[digest] = len(y.marks)
	y.marks = append(y.marks, cycleMark{erases: slices.Clone(d.lines.Erases), stats: d.stats, clock: d.lines.Clock, total: d.lines.TotalErases, skipped: d.skipped})
	return y.period
}

// digest is of everything that decides what the device does next.
func (y *Cycle) digest() uint64 {
	d, l := y.d, &y.d.lines
	var h maphash.Hash
	h.SetSeed(y.seed)
	add := func(v any) { maphash.WriteComparable(&h, v) }
	for _, at := range d.mapping {
		add(at)
	}
	for _, s := range d.streams {
		add(s)
	}
	free := slices.Clone(d.free.heap)
	slices.SortFunc(free, func(a, b freeLine) int { return int(int64(a.seq - b.seq)) })
	for _, f := range free {
		add(f.line)
	}
	closed := l.Closed
	if d.cfg.GC != "cost-benefit" { // which alone decides ties by this order
		closed = slices.Sorted(slices.Values(closed))
	}
	for _, line := range closed {
		add([2]uint64{uint64(line), l.Clock - l.ClosedAt[line]})
	}
	for _, next := range l.order.next {
		add(next)
	}
	least := slices.Min(l.Erases)
	if d.free.young {
		for _, n := range l.Erases {
			add(n - least)
		}
	}
	if d.cfg.ReadReclaim != 0 {
		for _, n := range l.Reads {
			add(n)
		}
		for _, line := range d.refresh {
			add(line)
		}
	}
	for _, line := range l.Capacity {
		add(line)
	}
	add([3]uint64{uint64(d.collecting), uint64(d.cursor), d.credit})
	return h.Sum64()
}

// Skip adds the wear of at most so many passes, in whole periods and as long
// as no block goes bad, and returns how many it added. The device must be as
// it was at the Mark that found the period.
func (y *Cycle) Skip(passes int) (skipped int, err error) {
	if y.period == 0 {
		return 0, errors.New("the device has not come back to a state it was in")
	}
	d, l := y.d, &y.d.lines
	last, first := &y.marks[len(y.marks)-1], &y.marks[len(y.marks)-1-y.period]
	if last.clock != l.Clock {
		return 0, errors.New("the device has been written since the last mark")
	}
	n := uint64(max(passes, 0) / y.period)
	for line, e := range l.Erases {
		if grown := uint64(last.erases[line] - first.erases[line]); grown > 0 && l.Capacity[line] > 0 {
			n = min(n, uint64(d.nextBad[line]-1-min(e, d.nextBad[line]-1))/grown)
		}
	}
	for line := range l.Erases {
		l.Erases[line] += uint32(n) * (last.erases[line] - first.erases[line])
		d.retryCount[line] = d.cfg.retries(l.Erases[line], l.Reads[line])
	}
	clock := n * (last.clock - first.clock)
	l.Clock += clock
	for line := range l.ClosedAt {
		l.ClosedAt[line] += clock // ages stay
	}
	l.TotalErases += n * (last.total - first.total)
	d.skipped += n * (last.skipped - first.skipped)
	d.stats.grow(&last.stats, &first.stats, func(grown uint64) uint64 { return n * grown })
	d.renewFree()
	// What follows repeats too.
	for _, m := range []*cycleMark{first, last} {
		m.clock += clock
	}
	return int(n) * y.period, nil
}
