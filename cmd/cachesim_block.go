package cmd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"

	"reprise/policies/cache"
	"reprise/traces"
)

// blockFlags are the flags of cachesim that hold in block mode only.
type blockFlags struct {
	latency, window, interval time.Duration
	writes                    string
}

func (b *blockFlags) register(f *pflag.FlagSet) {
	f.DurationVar(&b.latency, "latency", cache.DefaultLatency, "block mode: time the backend takes for a request")
	f.StringVar(&b.writes, "writes", "through", "block mode: through (to cache and backend), back (to the cache) or around it")
	among(f, "writes", "through", "back", "around")
	f.DurationVar(&b.window, "window", 10*time.Minute, "block mode: time over which the peak load is averaged")
	f.DurationVar(&b.interval, "interarrival", 0, "block mode: time between requests, instead of the trace's own; needed if it has none")
}

func (b *blockFlags) check(o cachesim) error {
	if b.latency < 0 || b.window <= 0 || b.interval < 0 {
		return errors.New("--latency and --interarrival must not be negative, --window must be more than 0")
	}
	if _, err := cache.ParseWriteMode(b.writes); err != nil {
		return fmt.Errorf("--writes: %w", err)
	}
	if o.mode == "block" && o.ignoreSizes {
		return errors.New("--ignore-obj-size is for object mode; in block mode sizes are ranges of pages")
	}
	return nil
}

// blockRow is a result in block mode as --json prints it.
type blockRow struct {
	Trace    string `json:"trace"`
	Mode     string `json:"mode"`
	Policy   string `json:"policy"`
	Prefetch string `json:"prefetch"`
	Size     int64  `json:"size"`
	PageSize uint32 `json:"page_size"`

	Requests     int64   `json:"requests"`
	Pages        int64   `json:"pages"`
	Hits         int64   `json:"hits"`
	Misses       int64   `json:"misses"`
	MissRatio    float64 `json:"miss_ratio"`
	HitRatio     float64 `json:"hit_ratio"`
	ReqBytes     int64   `json:"req_bytes"`
	HitBytes     int64   `json:"hit_bytes"`
	ByteHitRatio float64 `json:"byte_hit_ratio"`

	Reads        int64   `json:"reads"`
	ReadPages    int64   `json:"read_pages"`
	ReadMisses   int64   `json:"read_misses"`
	ReadHitRatio float64 `json:"read_hit_ratio"`
	Joined       int64   `json:"joined"`
	MeanWait     float64 `json:"mean_wait_seconds"`

	prefetchRow
	Coverage float64 `json:"coverage"`
	Overhead float64 `json:"overhead"`

	BackendRequests  int64   `json:"backend_requests"`
	BackendBytes     int64   `json:"backend_bytes"`
	ReadRequests     int64   `json:"backend_read_requests"`
	ReadBytes        int64   `json:"backend_read_bytes"`
	WriteRequests    int64   `json:"backend_write_requests"`
	WriteBytes       int64   `json:"backend_write_bytes"`
	PrefetchRequests int64   `json:"prefetch_requests"`
	Dirty            int64   `json:"dirty_pages"`
	DiskHeadSeconds  float64 `json:"disk_head_seconds"`
	ReadHeadSeconds  float64 `json:"read_disk_head_seconds"`
	Duration         float64 `json:"duration_seconds"`
	MeanDiskHead     float64 `json:"mean_disk_head_utilization"`
	PeakDiskHead     float64 `json:"peak_disk_head_utilization"`
	MeanBytes        float64 `json:"mean_backend_bytes_per_second"`
	PeakBytes        float64 `json:"peak_backend_bytes_per_second"`
	GroupLoad        float64 `json:"group_load_bytes"`
	GroupHits        int64   `json:"group_hits"`

	Seconds         float64 `json:"seconds"`
	NanosPerRequest float64 `json:"ns_per_request"`
}

func newBlockRow(trace string, r cache.BlockResult) blockRow {
	all := r.Backend()
	return blockRow{
		Trace: trace, Mode: "block", Policy: r.Policy, Prefetch: r.Prefetch, Size: r.Size, PageSize: r.PageSize,
		Requests: r.Requests, Pages: r.Pages, Hits: r.Hits, Misses: r.Misses, MissRatio: 1 - r.HitRatio(), HitRatio: r.HitRatio(),
		ReqBytes: r.Bytes, HitBytes: r.HitBytes, ByteHitRatio: r.ByteHitRatio(),
		Reads: r.Reads, ReadPages: r.ReadPages, ReadMisses: r.ReadMisses, ReadHitRatio: r.ReadHitRatio(), Joined: r.Joined, MeanWait: r.MeanWait(),
		prefetchRow: newPrefetchRow(r.Prefetching), Coverage: r.Coverage(), Overhead: r.Overhead(),
		BackendRequests: all.Requests, BackendBytes: all.Bytes,
		ReadRequests: r.Read.Requests, ReadBytes: r.Read.Bytes, WriteRequests: r.Written.Requests, WriteBytes: r.Written.Bytes,
		PrefetchRequests: r.PrefetchRequests, Dirty: r.Dirty,
		DiskHeadSeconds: all.DiskHeadSeconds(), ReadHeadSeconds: r.Read.DiskHeadSeconds(), Duration: r.Duration,
		MeanDiskHead: r.MeanDiskHead(), PeakDiskHead: r.PeakDiskHead, MeanBytes: r.MeanBytes(), PeakBytes: r.PeakBytes,
		GroupLoad: r.GroupLoad, GroupHits: r.GroupHits,
		Seconds: r.Seconds, NanosPerRequest: r.NanosPerRequest(),
	}
}

func (r blockRow) columns() []column {
	return []column{
		{"trace", r.Trace}, {"policy", r.Policy}, {"prefetch", r.Prefetch}, {"size", r.Size}, {"hit ratio", r.HitRatio}, {"byte hits", r.ByteHitRatio},
		{"prefetched", r.Prefetched}, {"used", r.Accuracy}, {"late", r.Lateness}, {"polluted", r.Polluted},
		{"backend reqs", r.BackendRequests}, {"backend MiB", r.BackendBytes >> 20}, {"disk-head s", r.DiskHeadSeconds},
		{"ns/request", r.NanosPerRequest},
	}
}

func (a *app) replayBlocks(ctx context.Context, o cachesim, path string, jobs cachesimJobs, sweep cache.Sweep, read, total *atomic.Int64, print func(simRow) error) error {
	trace, err := loadBlocks(ctx, path, o, read)
	if err != nil {
		return fail(ExitManifest, err)
	}
	all, err := jobs.cross(func(s cache.Size) (int64, error) { return s.Pages(trace), nil })
	if err != nil {
		return err
	}
	total.Store(int64(len(all)) * int64(trace.Len()))
	writes, err := cache.ParseWriteMode(o.block.writes)
	if err != nil {
		return err
	}
	backend := cache.Backend{Latency: int64(o.block.latency), Writes: writes, Window: int64(o.block.window)}
	return sweep.RunBlocks(ctx, trace, backend, all, func(r cache.BlockResult) error {
		return print(newBlockRow(filepath.Base(path), r))
	})
}

func loadBlocks(ctx context.Context, path string, o cachesim, read *atomic.Int64) (*cache.BlockTrace, error) {
	stream, err := traces.Open(path, traces.Options{Format: o.format})
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	info := stream.Info()
	if !info.Addressed {
		return nil, fmt.Errorf("%s: --mode block needs byte addresses, which the format %s does not have", path, info.Format)
	}
	if !info.Timed && o.block.interval == 0 && o.block.latency != 0 {
		return nil, fmt.Errorf("%s: the format %s has no times; give the time between requests with --interarrival 1ms, or --latency 0", path, info.Format)
	}
	return cache.LoadBlocks(ctx, stream, cache.BlockOptions{
		PageSize: o.pageSize, Interval: int64(o.block.interval), Requests: info.Requests, Read: read,
	})
}
