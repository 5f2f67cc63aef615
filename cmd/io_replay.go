package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"reprise/checks"
	"reprise/emulator"
	"reprise/policies/admission/replay"
	"reprise/policies/admission/replay/disk"
	"reprise/traces"
)

// ioReplay is the flags of io replay.
type ioReplay struct {
	policies, writes, format, preset, device, span string
	seed                                           uint64
	workers, suspend, depth                        int
	rerate                                         float64
	recorded, fill, destroy, asJSON                bool
}

func (a *app) ioReplayCommand() *cobra.Command {
	var o ioReplay
	c := &cobra.Command{
		Use:   "replay LIGHT HEAVY",
		Short: "Replay two traces on a pair of replicated devices under admission policies",
		Long: `Replay puts each trace to a device of its own, the other being its replica. The
first half of the traces, under the baseline, trains the models; the second half
is measured under each policy. Latencies count from when a trace wants its
request; "service" counts from when the request was handed to a device.
Percentiles are of histograms whose buckets are 1/32 wide.

The devices are one of three:

  emulated   (the default) two SSDs in virtual time, aged to steady state and
             brought to the same state before each policy (--preset)
  --recorded LIGHT and HEAVY are latency logs, and each plays its device: a read
             where it was recorded takes what it took; one that a policy moves
             takes what the other log's read nearest in time took. That cannot
             tell what moving reads does to either device, so it is fair to
             policies that move few reads and flatters those that move many.
  --device   two real block devices or files, with O_DIRECT, in real time, each
             policy after the other. One path stands for both: its halves, which
             then share a drive. THIS OVERWRITES THEM. What is mounted, swapped
             to, partitioned or held by another device is refused; what would be
             lost is shown, and asked about unless --yes-destroy is given.

Offsets are folded into the device. Policies: ` + strings.Join(replay.PolicyNames(), ", ") + `.`,
		Example: `  reprise io replay 'profile:alibaba?n=100000' 'profile:tencent?n=100000' --rerate 5
  reprise io replay light.trace heavy.trace --format heimdall --policy baseline,c3,heimdall,oracle --json
  reprise io replay a.log b.log --recorded
  reprise io replay light.trace heavy.trace --device /dev/nvme0n1,/dev/nvme1n1 --policy baseline,heimdall
  fallocate -l 4G a.img; fallocate -l 4G b.img
  reprise io replay light.trace heavy.trace --device a.img,b.img --fill --yes-destroy`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return a.ioReplay(c.Context(), c, o, args) },
	}
	f := c.Flags()
	f.StringVarP(&o.policies, "policy", "p", "all", "comma list of policies; all leaves the oracle out on real devices")
	among(f, "policy", append(replay.PolicyNames(), "all")...).several()
	f.StringVar(&o.writes, "writes", "primary", "where writes go: primary or both")
	among(f, "writes", "primary", "both")
	f.StringVar(&o.format, "format", "", "format of the traces (default: detect it)")
	among(f, "format", traceFormats()...)
	f.StringVar(&o.preset, "preset", "small", "emulated device: "+strings.Join(presetNames(), ", "))
	among(f, "preset", presetNames()...)
	f.IntVar(&o.suspend, "suspend", 0, "ns to suspend a program or erase of an emulated device for a read; 0: reads wait")
	f.BoolVar(&o.recorded, "recorded", false, "LIGHT and HEAVY are latency logs that play their devices")
	f.StringVar(&o.device, "device", "", "two real block devices or files, PATH,PATH, to overwrite; one PATH: its halves")
	f.IntVar(&o.depth, "depth", 64, "requests a real device takes at a time")
	f.StringVar(&o.span, "span", "", "how much of each real device to use, such as 8GiB (default: what the smaller has)")
	f.BoolVar(&o.fill, "fill", false, "write the span of the real devices once before the replay, so that reads meet data")
	f.BoolVar(&o.destroy, "yes-destroy", false, "overwrite the real devices without asking")
	f.IntVar(&o.workers, "workers", 0, "requests a client has under way at most; 0: any number")
	f.Float64Var(&o.rerate, "rerate", 1, "speed the traces up by a factor")
	f.Uint64Var(&o.seed, "seed", 1, "seed of devices, models and random choices")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object a policy")
	c.MarkFlagsMutuallyExclusive("recorded", "device")
	c.MarkFlagsMutuallyExclusive("recorded", "rerate")
	return c
}

func (a *app) ioReplay(ctx context.Context, c *cobra.Command, o ioReplay, args []string) error {
	names := replay.PolicyNames()
	if o.policies != "all" {
		names = strings.Split(o.policies, ",")
	} else if o.device != "" {
		names = slices.DeleteFunc(names, func(n string) bool { return n == "oracle" })
	}
	if err := replay.CheckPolicies(names); err != nil {
		return fail(ExitUsage, err)
	}
	if o.device != "" && slices.Contains(names, "oracle") {
		return fail(ExitUsage, errors.New("policy oracle: a real device does not tell what a read would take"))
	}
	if !(o.rerate > 0) || math.IsInf(o.rerate, 0) {
		return fail(ExitUsage, fmt.Errorf("--rerate %v: want more than 0", o.rerate))
	}
	for _, flag := range []string{"depth", "span", "fill", "yes-destroy"} {
		if o.device == "" && c.Flags().Changed(flag) {
			return fail(ExitUsage, fmt.Errorf("--%s is about real devices: name them with --device", flag))
		}
	}
	if o.recorded {
		return a.replayRecorded(ctx, o, names, args)
	}
	lists, err := o.traces(args)
	if err != nil {
		return err
	}
	cfg, err := emulator.Preset(o.preset)
	if err != nil {
		return fail(ExitUsage, err)
	}
	cfg.Suspend = int64(o.suspend)
	s, err := replay.NewStudy(o.seed, replay.Emulated{Device: cfg}, lists[0], lists[1])
	if err != nil {
		return fail(ExitManifest, err)
	}
	s.Writes, s.Workers = replay.Replicas(o.writes), o.workers
	if o.device != "" {
		return a.replayReal(ctx, o, s, names)
	}
	return a.measure(ctx, s, names, replayRow{Devices: "emulated"}, o.asJSON)
}

// traces reads both traces, their times from 0 and sped up.
func (o *ioReplay) traces(paths []string) (lists [2][]traces.Request, err error) {
	for i, path := range paths {
		list, info, err := traces.ReadAll(path, traces.Options{Format: o.format})
		if err != nil {
			return lists, fail(ExitManifest, err)
		}
		if !info.Timed || !info.Addressed {
			return lists, fail(ExitManifest, fmt.Errorf("%s: a replay needs times and addresses, which %s does not have", path, info.Format))
		}
		first := int64(0)
		for k := range list {
			if k == 0 {
				first = list[0].Time
			}
			list[k].Time = int64(float64(list[k].Time-first) / o.rerate)
		}
		lists[i] = list
	}
	return lists, nil
}

func (a *app) replayRecorded(ctx context.Context, o ioReplay, names, paths []string) error {
	if o.writes != string(replay.WritePrimary) {
		return fail(ExitUsage, errors.New("--recorded: a log has not recorded writes to the other replica; writes stay with the primary"))
	}
	var logs [2]*traces.LatencyLog
	for i, path := range paths {
		rec, _, err := traces.ReadLatencyLog(path, traces.Options{Format: o.format})
		if err != nil {
			return fail(ExitManifest, err)
		}
		logs[i] = rec
	}
	s, err := replay.NewRecordedStudy(o.seed, logs)
	if err != nil {
		return fail(ExitManifest, err)
	}
	s.Workers = o.workers
	return a.measure(ctx, s, names, replayRow{Devices: "recorded"}, o.asJSON)
}

// replayReal overwrites devices that are free, after asking.
func (a *app) replayReal(ctx context.Context, o ioReplay, s *replay.Study, names []string) error {
	if o.depth < 1 || o.depth > 1024 {
		return fail(ExitUsage, fmt.Errorf("--depth %d: want 1 to 1024", o.depth))
	}
	options := disk.Options{Depth: o.depth}
	if o.span != "" {
		units := map[string]float64{"B": 1, "MB": 1e6, "GB": 1e9, "TB": 1e12, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
		q, err := checks.ParseQuantity(o.span)
		if err != nil || q.Value*units[q.Unit] < 1 {
			return fail(ExitUsage, fmt.Errorf("--span %s: want bytes, such as 8GiB", o.span))
		}
		options.Span = uint64(q.Value * units[q.Unit])
	}
	seconds := 0.0
	for p, part := range s.Parts {
		longest := int64(0)
		for _, list := range part {
			for _, r := range list {
				options.Most = max(options.Most, uint64(r.Size))
			}
			if len(list) > 0 {
				longest = max(longest, list[len(list)-1].Time)
			}
		}
		if p == 1 {
			longest *= int64(len(names))
		}
		seconds += float64(longest) / 1e9
	}
	var targets []*disk.Target
	paths := strings.Split(o.device, ",")
	if len(paths) > 2 {
		return fail(ExitUsage, fmt.Errorf("--device %s: want two paths, or one whose halves are the devices", o.device))
	}
	for _, path := range paths {
		t, err := disk.Inspect(path)
		if err != nil {
			return fail(ExitInfrastructure, err)
		}
		if t.Sparse && !o.fill {
			return fail(ExitUsage, fmt.Errorf("%s has blocks that were never written, and reading those does not reach a drive", path), "write them first with --fill")
		}
		targets = append(targets, t)
	}
	for _, t := range targets {
		fmt.Fprintf(a.stderr, "will be overwritten: %s\n", t)
	}
	fmt.Fprintf(a.stderr, "the replay takes about %s, training and filling aside\n", time.Duration(seconds*float64(time.Second)).Round(time.Second))
	if err := a.agreeDestroy(o.destroy); err != nil {
		return err
	}
	set, span, err := disk.Open(targets, options)
	if err != nil {
		return fail(ExitInfrastructure, err)
	}
	defer set.Close()
	row := replayRow{Devices: "real", Direct: true}
	for i, direct := range set.Direct {
		if !direct {
			row.Direct = false
			fmt.Fprintf(a.stderr, "warning: %s: its file system has no O_DIRECT, so that latencies are the page cache's, not a drive's\n", targets[i].Path)
		}
	}
	if len(targets) == 1 {
		fmt.Fprintf(a.stderr, "warning: both replicas lie on %s: what slows one slows the other\n", targets[0].Path)
	}
	if o.fill {
		var done atomic.Uint64
		stop := a.progress(func() string {
			return fmt.Sprintf("filling: %.1f of %.1f GB", float64(done.Load())/1e9, 2*float64(span)/1e9)
		})
		err := set.Fill(ctx, span, func(n, _ uint64) { done.Store(n) })
		stop()
		if err != nil {
			return realFailure(ctx, err)
		}
	}
	s.Machine = replay.Real{Live: set, Bytes: span, Depth: o.depth}
	return a.measure(ctx, s, names, row, o.asJSON)
}

// realFailure gives what a device did wrong, or an interruption, its exit code.
func realFailure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return halt(ctx, err)
	}
	return fail(ExitInfrastructure, err)
}

// agreeDestroy asks on a terminal; elsewhere only --yes-destroy agrees.
func (a *app) agreeDestroy(yes bool) error {
	if yes {
		return nil
	}
	if !a.terminal {
		return fail(ExitUsage, errors.New("nobody has agreed that these are overwritten"), "agree with --yes-destroy")
	}
	fmt.Fprint(a.stderr, "everything on them will be lost. Overwrite? [y/N] ")
	answer, _ := bufio.NewReader(a.stdin).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return fail(ExitUsage, errors.New("not agreed; nothing was written"))
	}
	return nil
}

// replayRow is a policy's result as --json prints it. Latencies are us.
type replayRow struct {
	Policy     string  `json:"policy"`
	Devices    string  `json:"devices"`
	Direct     bool    `json:"direct"` // real devices past the page cache
	Reads      int     `json:"reads"`
	Writes     int     `json:"writes"`
	Mean       float64 `json:"read_latency_mean_us"`
	P50        float64 `json:"p50_us"`
	P90        float64 `json:"p90_us"`
	P95        float64 `json:"p95_us"`
	P99        float64 `json:"p99_us"`
	P999       float64 `json:"p999_us"`
	P9999      float64 `json:"p9999_us"`
	Service    float64 `json:"service_latency_mean_us"`
	Service50  float64 `json:"service_p50_us"`
	Service99  float64 `json:"service_p99_us"`
	Lag        float64 `json:"lag_mean_us"`
	Lag99      float64 `json:"lag_p99_us"`
	Redirected float64 `json:"redirected"`
	Duplicate  float64 `json:"duplicate_reads"`
	Seconds    float64 `json:"seconds"`
}

// measure prints a line for each policy.
func (a *app) measure(ctx context.Context, s *replay.Study, names []string, row replayRow, asJSON bool) error {
	var doing atomic.Value
	doing.Store("the first half, under the baseline")
	stop := a.progress(func() string { return doing.Load().(string) })
	defer stop()
	real := row.Devices == "real"
	failed := func(err error) error {
		if real {
			return realFailure(ctx, err)
		}
		return halt(ctx, err)
	}
	if err := s.Learn(ctx); err != nil {
		return failed(err)
	}
	if !asJSON {
		fmt.Fprintf(a.stdout, "%-16s  %9s %9s %9s %9s %9s %9s  %9s  %6s %6s  us\n", "policy", "mean", "p50", "p90", "p95", "p99", "p99.9", "service", "moved", "twice")
	}
	for _, name := range names {
		doing.Store(name)
		start := a.now()
		r, err := s.Measure(ctx, name)
		if err != nil {
			return failed(err)
		}
		us := func(h *emulator.Histogram, p float64) float64 { return float64(h.Quantile(p)) / 1000 }
		reads := float64(max(1, r.Reads))
		row.Policy, row.Reads, row.Writes = name, r.Reads, r.Writes
		row.Mean, row.P50, row.P90, row.P95 = r.Latency.Mean()/1000, us(&r.Latency, 0.5), us(&r.Latency, 0.9), us(&r.Latency, 0.95)
		row.P99, row.P999, row.P9999 = us(&r.Latency, 0.99), us(&r.Latency, 0.999), us(&r.Latency, 0.9999)
		row.Service, row.Service50, row.Service99 = r.Service.Mean()/1000, us(&r.Service, 0.5), us(&r.Service, 0.99)
		row.Lag, row.Lag99 = r.Lag.Mean()/1000, us(&r.Lag, 0.99)
		row.Redirected, row.Duplicate = float64(r.Redirected)/reads, float64(r.Hedged-r.Cancelled)/reads
		row.Seconds = a.now().Sub(start).Seconds()
		if real && row.Lag99 > 1000 {
			fmt.Fprintf(a.stderr, "warning: %s: this machine was late with requests, by %.0f us at the 99th percentile; latencies count that, service does not\n", name, row.Lag99)
		}
		if asJSON {
			if err := json.NewEncoder(a.stdout).Encode(row); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(a.stdout, "%-16s  %9.1f %9.1f %9.1f %9.1f %9.1f %9.1f  %9.1f  %5.1f%% %5.1f%%\n", name,
			row.Mean, row.P50, row.P90, row.P95, row.P99, row.P999, row.Service, 100*row.Redirected, 100*row.Duplicate); err != nil {
			return err
		}
	}
	return nil
}
