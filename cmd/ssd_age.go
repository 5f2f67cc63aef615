package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"reprise/emulator"
)

func (a *app) ssdAgeCommand() *cobra.Command {
	var preset, geometry, gc, load, save string
	var asJSON bool
	var flags traceFlags
	way := emulator.Ageing{Warm: 30, Watch: 4, MaxWatch: 64, Tolerance: 0.02}
	c := &cobra.Command{
		Use:   "age [WORKLOAD]",
		Short: "Wear an emulated SSD without simulating all of it",
		Long: `Age writes a device's pages in order and then WORKLOAD, over and over, until
lines have been erased --erases times in the mean, or for --volumes. A volume is
the logical capacity. Only part of the way is simulated: after --warm volumes,
which bring the device into steady state, it is watched for --watch volumes, and
the rest of the wear is added at once.

The standard deviation of erase counts that results has an error, which is told.
Above --tolerance the watch is made longer, up to --max-watch, and then given up.
It can only be told for workloads that do not change over time, and for policies
that never look at erase counts (wear_leveling none, allocation fifo, and any
gc_policy but wear-aware), let free lines wait by them (another allocation, with one
write point) or hold them close together; the presets, with allocation hot-young
and several write points, do none of these. On a device of few lines the simulated
spread is itself a matter of luck: of n lines it differs by 100/sqrt(2n) % from one
seed to another, whatever the error told.

WORKLOAD is a trace (see reprise trace formats) or a generated one (see reprise
trace gen), whose addresses are folded into the device and whose times are
ignored: each request follows the one before. Without it pages are written at
random. With --save the state is kept for reprise ssd replay --load.`,
		Example: `  reprise ssd age --preset small --geometry fifo.yaml --erases 1000 --save worn.ssd

  # 90 % of the writes to a tenth of the pages of the preset small, which has 233,016
  reprise ssd age 'gen:mix?part=9,uniform,objects=23301&part=1,uniform,objects=209715&reads=0&n=1000000000000' \
    --preset small --geometry fifo.yaml --volumes 500 --json

  # a year of a trace of a week
  reprise ssd age src1_0.csv.gz --load worn.ssd --volumes 200 --save older.ssd`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if !(way.Volumes > 0) == !(way.Erases > 0) {
				return fail(ExitUsage, errors.New("say how far: --erases of a line in the mean, or --volumes, but not both"))
			}
			if !(way.Watch > 0 && way.Warm >= 0 && way.Tolerance > 0) {
				return fail(ExitUsage, errors.New("--watch and --tolerance must be above 0, and --warm not below"))
			}
			way.MaxWatch = max(way.MaxWatch, way.Watch)
			d, err := openOrLoad(c, load, func() (*emulator.Device, error) {
				cfg, err := nativeConfig(preset, geometry)
				if err != nil {
					return nil, err
				}
				if gc != "" {
					cfg.GC = gc
				}
				d, err := emulator.New(cfg)
				if err != nil {
					return nil, fail(ExitManifest, fmt.Errorf("%s: %w", configSource(preset, geometry), err))
				}
				return d, nil
			})
			if err != nil {
				return err
			}
			workload := fmt.Sprintf("gen:uniform?objects=%d&block=%d&sizes=%[2]d&reads=0&rate=1000000&n=%d", d.Pages(), pageSize(d), int64(1)<<40)
			if len(args) == 1 {
				workload = args[0]
			}
			next, done, err := a.repeat(workload, &flags, d)
			if err != nil {
				return err
			}
			defer func() { done() }()
			told := a.now()
			report, err := emulator.Age(c.Context(), d, next, way, func(volumes float64) {
				if now := a.now(); now.Sub(told) >= time.Second {
					told = now
					fmt.Fprintf(a.stderr, "written %.1f volumes\n", volumes)
				}
			})
			switch {
			case errors.Is(err, emulator.ErrUnsure):
				return fail(ExitStepFailed, err, "watch longer with --max-watch, or accept more with --tolerance",
					"is it a policy that looks at erase counts? allocation: fifo and wear_leveling: none in the --geometry file do not")
			case err != nil:
				return replayError(workload, err)
			}
			if save != "" {
				if err := saveDevice(d, save); err != nil {
					return fail(ExitInfrastructure, err)
				}
			}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(report)
			}
			return printAge(a.stdout, report)
		},
	}
	f := c.Flags()
	f.StringVar(&preset, "preset", "small", "device: "+strings.Join(presetNames(), ", "))
	among(f, "preset", presetNames()...)
	f.StringVar(&geometry, "geometry", "", "YAML `file` that changes the preset's properties")
	f.StringVar(&gc, "gc", "", "victim selection: "+strings.Join(emulator.VictimPolicies(), ", "))
	among(f, "gc", emulator.VictimPolicies()...)
	f.Float64Var(&way.Erases, "erases", 0, "erases of a line to reach, in the mean of all")
	f.Float64Var(&way.Volumes, "volumes", 0, "volumes to write after --warm")
	f.Float64Var(&way.Warm, "warm", way.Warm, "volumes until the state is steady")
	f.Float64Var(&way.Watch, "watch", way.Watch, "volumes to watch at first")
	f.Float64Var(&way.MaxWatch, "max-watch", way.MaxWatch, "volumes to watch at most")
	f.Float64Var(&way.Tolerance, "tolerance", way.Tolerance, "error of the standard deviation of erase counts that is accepted, as a share of it")
	f.StringVar(&load, "load", "", "begin with the device whose state is in this `file`")
	f.StringVar(&save, "save", "", "keep the device's state in this `file`")
	f.BoolVar(&asJSON, "json", false, "print the report as one JSON object")
	flags.add(c)
	return c
}

func pageSize(d *emulator.Device) int { cfg := d.Config(); return cfg.PageSize() }

// repeat yields the requests of a trace, from its start again when it ends.
func (a *app) repeat(path string, flags *traceFlags, d *emulator.Device) (next func() (emulator.Request, error), done func(), err error) {
	if path == "-" {
		return nil, nil, fail(ExitUsage, errors.New("standard input cannot be repeated"), "write it to a file")
	}
	source, end, err := a.openRequests(path, flags, d, true)
	if err != nil {
		return nil, nil, err
	}
	got := false
	return func() (emulator.Request, error) {
		q, err := source()
		if errors.Is(err, io.EOF) {
			if !got {
				return q, fail(ExitManifest, fmt.Errorf("%s has no requests", path))
			}
			end()
			if source, end, err = a.openRequests(path, flags, d, true); err != nil {
				end = func() {}
				return q, err
			}
			got = false
			return source()
		}
		got = true
		return q, err
	}, func() { end() }, nil
}

func printAge(w io.Writer, r emulator.AgeReport) error {
	added := "no wear was added: all of the way is simulated"
	if r.Forwarded > 0 {
		added = fmt.Sprintf("the wear of %.4g was added; the standard deviation of erase counts may be wrong by %.2g %%", r.Forwarded, 100*r.SDError)
	}
	_, err := fmt.Fprintf(w, `volumes          %.3g to get steady, %.3g watched; %s
host pages       %d
WA               %.3f
block erases     %d; a line min %d, mean %.2f, max %d, sd %.2f
lines unreached  %d of %d
bad blocks       %d
`, r.Warm, r.Watched, added, r.HostPages, r.WAF, r.BlockErases, r.EraseMin, r.EraseMean, r.EraseMax, r.EraseSD, r.Pinned, r.Lines, r.BadBlocks)
	return err
}
