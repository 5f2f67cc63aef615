package emulator

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// SSD is what FEMU and Device have in common: requests at a virtual time in
// nanoseconds, answered with their latency.
type SSD interface {
	Read(now int64, lba, sectors uint64) (latency int64, err error)
	Write(now int64, lba, sectors uint64) (latency int64, err error)
	Trim(now int64, lba, sectors uint64) (latency int64, err error)
	// Sectors is how many sectors of SectorSize bytes requests may touch.
	Sectors() uint64
	SectorSize() int
	Report() Report
	// Hashes digests the state: for every logical page, FEMU's flat index of
	// the page that holds it, all ones where there is none; and every line's
	// erase count.
	Hashes() (mapping, erases Hash64)
}

// ReplayReport is the Report of the device after a replay, with what the
// requests met.
type ReplayReport struct {
	Report
	Requests     uint64     `json:"requests"`
	Reads        uint64     `json:"reads"`
	Writes       uint64     `json:"writes"`
	Trims        uint64     `json:"trims"`
	Flushes      uint64     `json:"flushes,omitempty"` // and requests for nothing; the model answers both at once
	ReadLatency  *Histogram `json:"read_latency_ns"`
	WriteLatency *Histogram `json:"write_latency_ns"`
	// LatencyHash covers every request's latency, in order.
	LatencyHash Hash64 `json:"latency_fnv1a64"`
	// MappingHash and EraseHash are those of SSD.Hashes.
	MappingHash Hash64 `json:"maptbl_fnv1a64"`
	EraseHash   Hash64 `json:"erase_fnv1a64"`
}

// Replay puts the requests that next yields, up to io.EOF, to a device; each,
// unless nil, sees every latency. It stops at the first error, with the report
// up to there.
func Replay(ctx context.Context, ssd SSD, next func() (Request, error), each func(latency int64) error) (ReplayReport, error) {
	r := ReplayReport{ReadLatency: new(Histogram), WriteLatency: new(Histogram), LatencyHash: NewHash64()}
	err := r.replay(ctx, ssd, next, each)
	r.Report = ssd.Report()
	r.MappingHash, r.EraseHash = ssd.Hashes()
	return r, err
}

func (r *ReplayReport) replay(ctx context.Context, ssd SSD, next func() (Request, error), each func(latency int64) error) error {
	for {
		if r.Requests&0xfff == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		q, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var latency int64
		switch q.Op {
		case 'R':
			latency, err = ssd.Read(q.Time, q.LBA, q.Sectors)
			r.ReadLatency.Add(latency)
			r.Reads++
		case 'W':
			latency, err = ssd.Write(q.Time, q.LBA, q.Sectors)
			r.WriteLatency.Add(latency)
			r.Writes++
		case 'T':
			latency, err = ssd.Trim(q.Time, q.LBA, q.Sectors)
			r.Trims++
		case 'F':
			r.Flushes++
		default:
			err = fmt.Errorf("unknown operation %q", q.Op)
		}
		if err != nil {
			return fmt.Errorf("request %d: %w", r.Requests, err)
		}
		r.Requests++
		r.LatencyHash.Add(uint64(latency))
		if each != nil {
			if err := each(latency); err != nil {
				return err
			}
		}
	}
}
