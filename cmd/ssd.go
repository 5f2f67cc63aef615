package cmd

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"reprise/emulator"
	"reprise/traces"
)

func (a *app) ssdCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ssd",
		Short: "Emulate flash devices: replay a trace on one, wear one out, serve one as a real disk",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.ssdReplayCommand(), a.ssdAgeCommand(), a.ssdServeCommand(), a.ssdStatCommand())
	return c
}

func (a *app) ssdReplayCommand() *cobra.Command {
	var preset, geometry, gc, latencyOut, load, save string
	var asJSON, wrap bool
	var flags traceFlags
	c := &cobra.Command{
		Use:   "replay TRACE",
		Short: "Replay a trace on an emulated SSD, in virtual time",
		Long: `Replay puts every request of a trace to an emulated SSD at the request's own
time and reports latencies, write amplification by cause, wear, and hashes of the
outcome. The preset femu is the black-box model of FEMU bit for bit.

TRACE is CSV with the header time_ns,op,lba,nsectors (op R, W or T for trim;
sectors as large as the device's), or any format of reprise trace formats that
has addresses; - reads standard input, and a generated trace may stand for it.

A geometry file is YAML under FEMU's property names: secsz, secs_per_pg,
pgs_per_blk, blks_per_pl, pls_per_lun, luns_per_ch, nchs, pg_rd_lat, pg_wr_lat,
blk_er_lat (ns), gc_thres_pcent, gc_thres_pcent_high, gc_policy. What it leaves
out has the preset's value.

With --save the device's state is kept in a file, and --load begins with one: what
is mapped where, erase counts, bad blocks, counters. The clock goes on from there,
with nothing under way. reprise ssd age makes such files of worn devices. The femu
model keeps no state.`,
		Example: `  reprise ssd replay trace.csv --preset femu
  reprise ssd replay trace.csv --preset femu --geometry g0.yaml --gc fifo --json
  reprise ssd replay trace.csv --latency-out lat.csv
  reprise ssd replay src1_0.csv.gz --preset default --wrap
  reprise ssd replay 'profile:msr-prxy_0?n=200000' --preset default --json

  reprise ssd age --preset small --geometry fifo.yaml --erases 1000 --save worn.ssd
  reprise ssd replay src1_0.csv.gz --load worn.ssd --wrap --save after.ssd`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ssd, err := openOrLoad(c, load, func() (emulator.SSD, error) { return openSSD(preset, geometry, gc) })
			if err != nil {
				return err
			}
			device, hasState := ssd.(*emulator.Device)
			if save != "" && !hasState {
				return fail(ExitUsage, errors.New("the femu model keeps no state to save"), "give another --preset: "+strings.Join(presetNames(), ", "))
			}
			source, closeTrace, err := a.openRequests(args[0], &flags, ssd, wrap)
			if err != nil {
				return err
			}
			defer closeTrace()
			loadedAt := int64(0)
			if load != "" {
				loadedAt = device.Now()
			}

			each, closeLatencies, err := latencyWriter(latencyOut)
			if err != nil {
				return fail(ExitInfrastructure, err)
			}
			started, told, done := a.now(), a.now(), 0
			next := func() (emulator.Request, error) {
				if done++; done&0xffff == 0 {
					if now := a.now(); now.Sub(told) >= time.Second {
						told = now
						fmt.Fprintf(a.stderr, "replayed %d requests, %.2f M/s\n", done, float64(done)/1e6/now.Sub(started).Seconds())
					}
				}
				q, err := source()
				q.Time += loadedAt
				return q, err
			}
			report, err := emulator.Replay(c.Context(), ssd, next, each)
			if cerr := closeLatencies(); err == nil && cerr != nil {
				err = fail(ExitInfrastructure, cerr)
			}
			if err != nil {
				return replayError(args[0], err)
			}
			if save != "" {
				if err := saveDevice(device, save); err != nil {
					return fail(ExitInfrastructure, err)
				}
			}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(report)
			}
			return printReplay(a.stdout, report)
		},
	}
	c.Flags().StringVar(&preset, "preset", "femu", "device: femu, "+strings.Join(presetNames(), ", "))
	among(c.Flags(), "preset", append(presetNames(), "femu")...)
	c.Flags().StringVar(&geometry, "geometry", "", "YAML `file` that changes the preset's properties")
	c.Flags().StringVar(&gc, "gc", "", "victim selection: greedy, fifo, cost-benefit, d-choice; other presets also random, wear-aware")
	among(c.Flags(), "gc", emulator.VictimPolicies()...)
	c.Flags().StringVar(&latencyOut, "latency-out", "", "write every request's latency in ns to this CSV `file`")
	c.Flags().BoolVar(&asJSON, "json", false, "print the report as one JSON object")
	c.Flags().BoolVar(&wrap, "wrap", false, "take addresses modulo the device's capacity")
	c.Flags().StringVar(&load, "load", "", "begin with the device whose state is in this `file`")
	c.Flags().StringVar(&save, "save", "", "keep the device's state in this `file`")
	flags.add(c)
	return c
}

// openOrLoad makes a device, or loads one, which then has its own properties.
func openOrLoad[D any](c *cobra.Command, load string, open func() (D, error)) (ssd D, err error) {
	if load == "" {
		return open()
	}
	for _, name := range []string{"preset", "geometry", "gc"} {
		if f := c.Flags().Lookup(name); f != nil && f.Changed {
			return ssd, fail(ExitUsage, fmt.Errorf("--load and --%s: the device in %s has properties of its own", name, load))
		}
	}
	device, err := loadDevice(load)
	if err != nil {
		return ssd, err
	}
	return any(device).(D), nil
}

// loadDevice reads a device's state.
func loadDevice(name string, hints ...string) (*emulator.Device, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fail(ExitManifest, err)
	}
	defer f.Close()
	d, err := emulator.Restore(f)
	if err != nil {
		return nil, fail(ExitManifest, fmt.Errorf("%s: %w", name, err), hints...)
	}
	return d, nil
}

// saveDevice writes a device's state, whole or not at all.
func saveDevice(d *emulator.Device, name string) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".state-*")
	if err != nil {
		return err
	}
	err = errors.Join(d.Snapshot(f), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// openRequests opens a trace as requests to a device.
func (a *app) openRequests(path string, flags *traceFlags, ssd emulator.SSD, wrap bool) (next func() (emulator.Request, error), done func(), err error) {
	done = func() {}
	if flags.options.Format == "" && !traces.IsSpec(path) {
		in := a.stdin
		if path != "-" {
			f, err := os.Open(path)
			if err != nil {
				return nil, nil, fail(ExitManifest, err)
			}
			in, done = f, func() { f.Close() }
		}
		buffered := bufio.NewReaderSize(in, 1<<16)
		start, _ := buffered.Peek(len(emulator.RequestHeader)) // shorter: another format
		if string(start) == emulator.RequestHeader {
			reqs, err := emulator.NewRequestReader(buffered)
			if err != nil {
				done()
				return nil, nil, fail(ExitManifest, fmt.Errorf("%s: %w", path, err))
			}
			sectors := ssd.Sectors()
			return func() (emulator.Request, error) {
				q, err := reqs.Next()
				if err != nil && !errors.Is(err, io.EOF) {
					err = fail(ExitManifest, fmt.Errorf("%s: %w", path, err))
				}
				if wrap {
					q.LBA, q.Sectors = fold(q.LBA, q.Sectors, sectors)
				}
				return q, err
			}, done, nil
		}
		done()
		if path == "-" {
			a.stdin = buffered
		}
	}
	stream, err := a.openTrace(path, flags)
	if err != nil {
		return nil, nil, err
	}
	if !stream.Info().Addressed {
		stream.Close()
		return nil, nil, fail(ExitManifest, fmt.Errorf("%s: its format, %s, names objects and not addresses", path, stream.Info().Format))
	}
	var batch, rest []traces.Request
	batch = make([]traces.Request, 4096)
	size, sectors := uint64(ssd.SectorSize()), ssd.Sectors()
	return func() (emulator.Request, error) {
		for len(rest) == 0 {
			n, err := stream.Read(batch)
			if n == 0 && err != nil {
				if !errors.Is(err, io.EOF) {
					err = traceError(err)
				}
				return emulator.Request{}, err
			}
			rest = batch[:n]
		}
		r := rest[0]
		rest = rest[1:]
		q := emulator.Request{Time: r.Time, LBA: r.Offset / size, Op: 'F'}
		q.Sectors = (r.Offset%size + uint64(r.Size) + size - 1) / size
		if r.Size > 0 && r.Op != traces.Flush {
			q.Op = "RWT"[r.Op]
		}
		if wrap {
			q.LBA, q.Sectors = fold(q.LBA, q.Sectors, sectors)
		}
		return q, nil
	}, func() { stream.Close() }, nil
}

// fold puts a range of sectors inside a device of so many, shortened if it
// would stick out.
func fold(lba, n, sectors uint64) (uint64, uint64) {
	lba %= sectors
	return lba, min(n, sectors-lba)
}

// openSSD makes the device of a preset with a geometry file's and a flag's changes.
func openSSD(preset, geometry, gc string) (emulator.SSD, error) {
	if preset != "femu" {
		cfg, err := nativeConfig(preset, geometry)
		if err != nil {
			return nil, err
		}
		if gc != "" {
			cfg.GC = gc
		}
		ssd, err := emulator.New(cfg)
		if err != nil {
			return nil, fail(ExitManifest, fmt.Errorf("%s: %w", configSource(preset, geometry), err))
		}
		return ssd, nil
	}
	cfg, err := readGeometry(geometry, emulator.DefaultFEMU(), emulator.LoadFEMU)
	if err != nil {
		return nil, err
	}
	if gc != "" {
		cfg.GC = gc
	}
	ssd, err := emulator.NewFEMU(cfg)
	if err != nil {
		return nil, fail(ExitManifest, fmt.Errorf("%s: %w", configSource(preset, geometry), err))
	}
	return ssd, nil
}

// nativeConfig is a preset other than femu with a geometry file's changes.
func nativeConfig(preset, geometry string) (emulator.Config, error) {
	cfg, err := emulator.Preset(preset)
	if err != nil {
		return cfg, fail(ExitUsage, err)
	}
	return readGeometry(geometry, cfg, emulator.LoadConfig)
}

func readGeometry[C any](name string, base C, load func(io.Reader, C) (C, error)) (C, error) {
	if name == "" {
		return base, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return base, fail(ExitManifest, err)
	}
	defer f.Close()
	cfg, err := load(f, base)
	if err != nil {
		return base, fail(ExitManifest, fmt.Errorf("%s: %w", name, err))
	}
	return cfg, nil
}

func configSource(preset, geometry string) string {
	if geometry != "" {
		return geometry
	}
	return "preset " + preset
}

// replayError gives an error of a replay its exit code and a way out.
func replayError(trace string, err error) error {
	var coded *exitError
	switch {
	case errors.As(err, &coded):
		return err
	case errors.Is(err, errInterrupted):
		return fail(ExitInterrupted, err)
	case errors.Is(err, emulator.ErrRange):
		return fail(ExitManifest, fmt.Errorf("%s: %w", trace, err), "give a larger device with --geometry, or fold the addresses into it with --wrap")
	case errors.Is(err, emulator.ErrWornOut):
		return fail(ExitStepFailed, fmt.Errorf("%s: %w", trace, err), "give the device more endurance with --geometry")
	case errors.Is(err, emulator.ErrNoFreeLines):
		return fail(ExitStepFailed, fmt.Errorf("%s: %w", trace, err),
			"FEMU ends its virtual machine here: the trace fills more of the device than its spare lines allow")
	}
	return fail(ExitStepFailed, err)
}

// latencyWriter makes the file for --latency-out; without one both functions
// do nothing.
func latencyWriter(name string) (each func(int64) error, done func() error, err error) {
	if name == "" {
		return nil, func() error { return nil }, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, nil, err
	}
	w := bufio.NewWriterSize(f, 1<<16)
	if _, err := w.WriteString("latency_ns\n"); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	var b []byte
	each = func(latency int64) error {
		b = append(strconv.AppendInt(b[:0], latency, 10), '\n')
		_, err := w.Write(b)
		return err
	}
	return each, func() error { return errors.Join(w.Flush(), f.Close()) }, nil
}

func printReplay(w io.Writer, r emulator.ReplayReport) error {
	us := func(ns float64) string { return fmt.Sprintf("%.1f", ns/1000) }
	_, err := fmt.Fprintf(w, `requests         %d: %d reads, %d writes, %d trims
host pages       %d
gc pages         %d from %d lines
wl pages         %d
WA               %.3f
block erases     %d; a line min %d, mean %.2f, max %d, sd %.2f
free lines       %d of %d
`, r.Requests, r.Reads, r.Writes, r.Trims, r.HostPages, r.GCPages, r.GCLines, r.WLPages, r.WAF,
		r.BlockErases, r.EraseMin, r.EraseMean, r.EraseMax, r.EraseSD, r.FreeLines, r.Lines)
	if err != nil {
		return err
	}
	for _, l := range []struct {
		name string
		h    *emulator.Histogram
	}{{"read", r.ReadLatency}, {"write", r.WriteLatency}} {
		if l.h.Count() == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-5s latency us mean %s, p50 %s, p99 %s, p99.9 %s, max %s\n", l.name, us(l.h.Mean()),
			us(float64(l.h.Quantile(.5))), us(float64(l.h.Quantile(.99))), us(float64(l.h.Quantile(.999))), us(float64(l.h.Max()))); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "hashes           latency %v, mapping %v, erases %v\n", r.LatencyHash, r.MappingHash, r.EraseHash)
	return err
}
