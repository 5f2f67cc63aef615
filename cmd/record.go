package cmd

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"reprise/traces/telemetry"
)

func (a *app) recordCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "record",
		Short: "Record what the sensors of a machine tell while a job runs",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.recordGPUCommand())
	return c
}

// marksVariable tells a recorded command where to write its marks.
const marksVariable = "REPRISE_MARKS"

func (a *app) recordGPUCommand() *cobra.Command {
	r := &telemetry.Recording{Labels: telemetry.Labels{}, Zone: time.Local}
	var output string
	var labels []string
	var length time.Duration
	var force bool
	c := &cobra.Command{
		Use:   "gpu -o FILE [-- COMMAND…]",
		Short: "Sample the sensors of NVIDIA GPUs, with labels",
		Long: `Gpu samples utilisation, memory, temperatures, power, clocks and PCIe rates of
NVIDIA GPUs through the driver's nvidia-smi, until COMMAND ends, until --for has
passed, or until Ctrl-C, and writes a csv line for each sample of each GPU.

--label gives every sample a label. Where one command runs many things, it says
so itself: it appends to the file that ` + marksVariable + ` names a line with the time
in seconds since 1970 and the labels that hold from then on,

    1790000000.25 family=resnet mode=train batch=64

and a line with a time alone ends them. --marks follows a file that something
else writes.

The period between samples is --interval plus what nvidia-smi takes for a query,
about 10 ms; every sample carries its own time. PCIe rates come once a second.
FILE is compressed if its name ends in .gz.`,
		Example: `  reprise record gpu -o resnet.csv.gz --label family=resnet --label mode=train -- python3 train.py
  reprise record gpu -o all.csv.gz -- python3 artifacts/jobprofile/workloads.py
  reprise record gpu -o idle.csv --for 60s --gpu 0 --label family=idle`,
		RunE: func(c *cobra.Command, args []string) error {
			for _, l := range labels {
				k, v, err := telemetry.ParseLabel(l)
				if err != nil {
					return fail(ExitUsage, err)
				}
				r.Labels[k] = v
			}
			if r.Interval < time.Millisecond || length < 0 {
				return fail(ExitUsage, errors.New("--interval wants a millisecond at least, --for no negative time"))
			}
			return a.recordGPU(c.Context(), r, output, force, length, args)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write; - is standard output")
	c.Flags().BoolVar(&force, "force", false, "replace the output if it exists")
	c.Flags().DurationVar(&r.Interval, "interval", 100*time.Millisecond, "`time` between samples")
	c.Flags().DurationVar(&length, "for", 0, "stop after this `time` (default: when COMMAND ends, or Ctrl-C)")
	c.Flags().StringVar(&r.GPU, "gpu", "", "index or UUID of the `GPU` (default: all)")
	c.Flags().StringArrayVar(&labels, "label", nil, "`key=value` for every sample; once for each")
	c.Flags().StringVar(&r.Marks, "marks", "", "follow the marks in this `file`")
	c.Flags().BoolVar(&r.PCIe, "pcie", true, "record PCIe rates too")
	c.Flags().StringVar(&r.Program, "nvidia-smi", "nvidia-smi", "the `program` to ask")
	if err := c.MarkFlagRequired("output"); err != nil {
		panic(err)
	}
	return c
}

func (a *app) recordGPU(ctx context.Context, r *telemetry.Recording, output string, force bool, length time.Duration, command []string) error {
	info, err := r.Probe(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return fail(ExitInterrupted, errInterrupted)
		}
		hint := "is there an NVIDIA GPU with its driver? nvidia-smi comes with it; --nvidia-smi names another path"
		return fail(ExitInfrastructure, fmt.Errorf("ask the GPUs: %w", err), hint)
	}
	out, finish, err := a.recordTo(output, force)
	if err != nil {
		return err
	}
	w := telemetry.NewWriter(out)
	for _, g := range info.GPUs {
		err = errors.Join(err, w.Comment("gpu "+g))
	}
	err = errors.Join(err, w.Comment(fmt.Sprintf("recorded by reprise %s every %v; nvidia-smi fields: %s", version(), r.Interval, strings.Join(info.Fields, " "))))
	if err != nil {
		return fail(ExitInfrastructure, err)
	}

	recording, stop := context.WithCancel(ctx)
	defer stop()
	if length > 0 {
		recording, stop = context.WithTimeout(ctx, length)
		defer stop()
	}
	commandDone := make(chan error, 1)
	if len(command) > 0 {
		if r.Marks == "" {
			dir, err := os.MkdirTemp("", "reprise-marks-")
			if err != nil {
				return fail(ExitInfrastructure, err)
			}
			defer os.RemoveAll(dir)
			r.Marks = filepath.Join(dir, "marks")
		}
		p := exec.CommandContext(recording, command[0], command[1:]...)
		p.Env = append(os.Environ(), marksVariable+"="+r.Marks)
		// What is recorded may print; a csv on standard output stays clean.
		p.Stdin, p.Stdout, p.Stderr = a.stdin, a.stderr, a.stderr
		p.Cancel = func() error { return p.Process.Signal(syscall.SIGTERM) }
		p.WaitDelay = 5 * time.Second
		if err := p.Start(); err != nil {
			return fail(ExitUsage, err)
		}
		go func() { commandDone <- p.Wait(); stop() }()
	}

	var n, labelled int
	first, last, told := 0.0, 0.0, a.now()
	err = r.Run(recording, info, func(s *telemetry.Sample, l telemetry.Labels) error {
		if n == 0 {
			first = s.Time
		}
		last = s.Time
		n++
		if len(l) > 0 {
			labelled++
		}
		if now := a.now(); now.Sub(told) > 5*time.Second {
			told = now
			fmt.Fprintf(a.stderr, "reprise: %d samples, %.0f s, now %s\n", n, last-first, l)
			if err := errors.Join(w.Write(s, l), w.Flush()); err != nil {
				return err
			}
			return finish(false)
		}
		return w.Write(s, l)
	})
	stop()
	var ran error
	if len(command) > 0 {
		ran = <-commandDone
	}
	saved := errors.Join(w.Flush(), finish(true))
	var marks *telemetry.FormatError
	switch {
	case saved != nil:
		return fail(ExitInfrastructure, saved)
	case errors.As(err, &marks) && marks.Name == r.Marks:
		err = fail(ExitManifest, fmt.Errorf("a mark was left out: %w", err), "all samples were recorded; a mark is a time in seconds since 1970 and key=value labels")
	case err != nil:
		return fail(ExitInfrastructure, err)
	}
	gpus := max(1, len(info.GPUs))
	period := 0.0
	if per := n / gpus; per > 1 {
		period = (last - first) / float64(per-1)
	}
	fmt.Fprintf(a.stderr, "reprise: %d samples over %.1f s, %d labelled, %.0f ms apart\n", n, last-first, labelled, 1000*period)
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return fail(ExitInterrupted, errInterrupted)
	case ran != nil && recording.Err() != context.DeadlineExceeded:
		return fail(ExitStepFailed, fmt.Errorf("%s: %w", command[0], ran), "what was recorded until then is in "+output)
	}
	return nil
}

// recordTo opens the output. finish(false) makes what was written so far
// readable, finish(true) closes it.
func (a *app) recordTo(output string, force bool) (w io.Writer, finish func(end bool) error, err error) {
	if output == "-" {
		return a.stdout, func(bool) error { return nil }, nil
	}
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(output, mode, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return nil, nil, fail(ExitUsage, err, "--force replaces it")
	}
	if err != nil {
		return nil, nil, fail(ExitInfrastructure, err)
	}
	if !strings.HasSuffix(output, ".gz") {
		return f, func(end bool) error {
			if end {
				return f.Close()
			}
			return nil
		}, nil
	}
	z := gzip.NewWriter(f)
	return z, func(end bool) error {
		if !end {
			return z.Flush()
		}
		return errors.Join(z.Close(), f.Close())
	}, nil
}
