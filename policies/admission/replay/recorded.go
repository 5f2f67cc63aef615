package replay

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"reprise/traces"
)

// Recorded is a Device that a recorded log plays: a request of the log, at its
// time, takes what it took. A read that is not of the log, one that a policy
// moved here, takes what the read recorded nearest in time took, of several
// the one nearest in size.
//
// That answers what a policy's reads would have met on the other device. It
// does not answer what moving them changes: neither the relief of the device
// they leave nor the load on the one they go to. While few reads move, that is
// little; where many do, the figures flatter the mover.
type Recorded struct {
	rows  []recordedRow // by time
	at    int           // the first row that is not before the last request
	reads []int32       // rows that are reads
}

type recordedRow struct {
	time         int64
	lba, sectors uint64
	latency      int64
	read, taken  bool
}

// Read gives the recorded latency of a read.
func (d *Recorded) Read(now int64, lba, sectors uint64) (int64, error) {
	if i := d.own(now, lba, sectors, true); i >= 0 {
		d.rows[i].taken = true
		return d.rows[i].latency, nil
	}
	return d.standIn(now, sectors)
}

// Write gives the recorded latency of a write.
func (d *Recorded) Write(now int64, lba, sectors uint64) (int64, error) {
	i := d.own(now, lba, sectors, false)
	if i < 0 {
		return 0, errors.New("a write that is not in the recorded log")
	}
	d.rows[i].taken = true
	return d.rows[i].latency, nil
}

// Peek is what a read would take.
func (d *Recorded) Peek(now int64, lba, sectors uint64) int64 {
	if i := d.own(now, lba, sectors, true); i >= 0 {
		return d.rows[i].latency
	}
	latency, err := d.standIn(now, sectors)
	if err != nil {
		return 1 << 62
	}
	return latency
}

// own is the log's row of a request, or -1.
func (d *Recorded) own(now int64, lba, sectors uint64, read bool) int {
	for d.at < len(d.rows) && d.rows[d.at].time < now {
		d.at++
	}
	for i := d.at; i < len(d.rows) && d.rows[i].time == now; i++ {
		r := &d.rows[i]
		if !r.taken && r.lba == lba && r.sectors == sectors && r.read == read {
			return i
		}
	}
	return -1
}

// standIn is the latency of the read nearest in time.
func (d *Recorded) standIn(now int64, sectors uint64) (int64, error) {
	if len(d.reads) == 0 {
		return 0, errors.New("the recorded log has no read that could stand in")
	}
	after, _ := slices.BinarySearchFunc(d.reads, now, func(row int32, t int64) int { return cmp.Compare(d.rows[row].time, t) })
	best := min(after, len(d.reads)-1)
	distance := func(i int) int64 { return max(d.rows[d.reads[i]].time-now, now-d.rows[d.reads[i]].time) }
	if after > 0 && distance(after-1) < distance(best) {
		best = after - 1
	}
	nearest, latency := int64(-1), int64(0)
	instant := d.rows[d.reads[best]].time
	for best > 0 && d.rows[d.reads[best-1]].time == instant {
		best--
	}
	for ; best < len(d.reads) && d.rows[d.reads[best]].time == instant; best++ {
		r := &d.rows[d.reads[best]]
		if gap := max(int64(r.sectors)-int64(sectors), int64(sectors)-int64(r.sectors)); nearest < 0 || gap < nearest {
			nearest, latency = gap, r.latency
		}
	}
	return latency, nil
}

// recordedBytes is a capacity into which every offset of a log folds to itself.
const recordedBytes = 1 << 62

// recordedLogs are devices that two logs play.
type recordedLogs struct{ parts [2][2][]recordedRow }

// NewRecordedStudy makes two recorded logs a pair of devices, each with its own
// log's requests as its client's trace. Writes go to the primary, as they did.
func NewRecordedStudy(seed uint64, logs [2]*traces.LatencyLog) (*Study, error) {
	var lists [2][]traces.Request
	var latencies [2][]int64
	for c, l := range logs {
		order := make([]int32, 0, l.Len())
		for i := range l.Len() {
			if (l.Op[i] == traces.Read || l.Op[i] == traces.Write) && l.Size[i] == l.Transferred[i] && l.Size[i] > 0 {
				order = append(order, int32(i))
			}
		}
		slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(l.Submit[a], l.Submit[b]) })
		for _, i := range order {
			lists[c] = append(lists[c], traces.Request{Time: l.Submit[i] - l.Submit[order[0]], Op: l.Op[i], Offset: l.Offset[i], Size: l.Size[i]})
			latencies[c] = append(latencies[c], max(l.Latency[i], 1000))
		}
	}
	s, err := NewStudy(seed, nil, lists[0], lists[1])
	if err != nil {
		return nil, err
	}
	r := &recordedLogs{}
	for c := range lists {
		from := 0
		for p := range s.Parts {
			for i, q := range s.Parts[p][c] {
				lba := (q.Offset &^ (pageSize - 1)) / sectorSize
				r.parts[p][c] = append(r.parts[p][c], recordedRow{
					time: q.Time, lba: lba, sectors: (uint64(q.Size) + sectorSize - 1) / sectorSize,
					latency: latencies[c][from+i], read: q.Op == traces.Read,
				})
			}
			from += len(s.Parts[p][c])
		}
	}
	s.Machine = r
	return s, nil
}

// Up gives devices that the logs' part plays.
func (r *recordedLogs) Up(part int, _ uint64) (Config, error) {
	c := Config{Bytes: recordedBytes}
	for client := range r.parts[part] {
		d := &Recorded{rows: slices.Clone(r.parts[part][client])}
		for i := range d.rows {
			if d.rows[i].read {
				d.reads = append(d.reads, int32(i))
			}
		}
		if len(d.reads) == 0 {
			return c, fmt.Errorf("part %d of log %d has no read", part+1, client+1)
		}
		c.Devices = append(c.Devices, d)
	}
	return c, nil
}

// Stateful is false: the log goes its own way.
func (r *recordedLogs) Stateful() bool { return false }
