package emulator

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// Ageing says how far a device is to be worn, and how carefully. Lengths are
// volumes: the logical capacity, written by the host.
type Ageing struct {
	Warm      float64 // simulated until the state is steady
	Watch     float64 // simulated then to see how erases go on; twice as long, and so on, while that cannot be told
	MaxWatch  float64 // before it is given up
	Tolerance float64 // of the standard deviation of erase counts, as a share of it
	// The goal: Volumes to be written after Warm, or if that is 0 the mean erase
	// count of lines to be reached.
	Volumes, Erases float64
}

// AgeReport is the Report of an aged device, with how it got there.
type AgeReport struct {
	Warm      float64 `json:"warm_volumes"`
	Watched   float64 `json:"watched_volumes"`
	Forwarded float64 `json:"forwarded_volumes"`
	// SDError is the error told of the standard deviation of erase counts, as a
	// share of it: see Growth.
	SDError float64 `json:"erase_sd_error"`
	Pinned  int     `json:"pinned_lines"` // that the workload does not reach
	Report
}

// Age wears a device by the requests that next yields, one after the other
// without a pause: first every page is written that is not mapped, then comes
// Warm, then it is watched, and the rest of the way is added at once (see
// Aging). told, unless nil, hears the volumes written so far. An error leaves the
// device where simulation has brought it.
func Age(ctx context.Context, d *Device, next func() (Request, error), way Ageing, told func(volumes float64)) (AgeReport, error) {
	var r AgeReport
	volume := float64(d.Pages())
	if !(way.Watch > 0 && way.Warm >= 0 && way.Tolerance > 0 && way.MaxWatch >= way.Watch) || !(way.Volumes > 0) == !(way.Erases > 0) {
		return r, errors.New("ageing needs a watch, a tolerance above 0, and volumes or erases to reach, but not both")
	}
	start := d.stats.Programs[byHost]
	pause := func(n uint64) error {
		if n&0xfff != 0 {
			return nil
		}
		if told != nil {
			told(float64(d.stats.Programs[byHost]-start) / volume)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return nil
	}
	n := uint64(0)
	for p, at := range d.mapping {
		if at != none {
			continue
		}
		if err := pause(n); err != nil {
			return r, err
		}
		if _, err := d.Write(d.now, uint64(p)*uint64(d.cfg.SectorsPerPage), uint64(d.cfg.SectorsPerPage)); err != nil {
			return r, err
		}
		n++
	}
	// write lets the host write for so many volumes.
	write := func(volumes float64) (written float64, err error) {
		from, idle := d.stats.Programs[byHost], uint64(0)
		for float64(d.stats.Programs[byHost]-from) < volumes*volume {
			if err := pause(n); err != nil {
				return 0, err
			}
			n++
			q, err := next()
			if err != nil {
				return 0, err
			}
			before := d.stats.Programs[byHost]
			var latency int64
			switch q.Op {
			case 'R':
				latency, err = d.Read(d.now, q.LBA, q.Sectors)
			case 'W':
				latency, err = d.Write(d.now, q.LBA, q.Sectors)
			case 'T':
				latency, err = d.Trim(d.now, q.LBA, q.Sectors)
			}
			if err != nil {
				return 0, err
			}
			d.now += latency
			if idle++; d.stats.Programs[byHost] != before {
				idle = 0
			}
			if idle > 1<<24 {
				return 0, errors.New("the workload writes nothing")
			}
		}
		return float64(d.stats.Programs[byHost]-from) / volume, nil
	}
	var err error
	if r.Warm, err = write(way.Warm); err != nil {
		return r, err
	}
	a, erased, host := NewAging(d), d.lines.TotalErases, d.stats.Programs[byHost]
	defer func() { d.watch = nil }()
	for watch := way.Watch; ; watch = r.Watched {
		if way.Volumes > 0 {
			watch = min(watch, way.Volumes-r.Watched)
		}
		written, err := write(min(watch, way.MaxWatch-r.Watched))
		if err != nil {
			return r, err
		}
		r.Watched += written
		left := way.Volumes - r.Watched
		if way.Erases > 0 {
			lines := float64(len(d.lines.Erases))
			rate := float64(d.lines.TotalErases-erased) / lines / float64(d.stats.Programs[byHost]-host) // of all lines, a page
			left = (way.Erases - float64(d.lines.TotalErases)/lines) / rate / volume
		}
		if !(left > 0) || math.IsInf(left, 1) {
			if left <= 0 {
				break // simulated to the end
			}
			return r, fmt.Errorf("%w: nothing was erased in %.3g volumes", ErrUnsure, r.Watched)
		}
		g, err := a.Forward(uint64(left*volume), way.Tolerance)
		if err == nil {
			r.Forwarded, r.SDError, r.Pinned = left, g.Error, g.Pinned
			break
		}
		if !errors.Is(err, ErrUnsure) || r.Watched >= way.MaxWatch {
			return r, fmt.Errorf("after %.3g volumes watched: %w", r.Watched, err)
		}
	}
	r.Report = d.Report()
	return r, nil
}

// Now is the virtual time of the latest request, in nanoseconds.
func (d *Device) Now() int64 { return d.now }
