package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"reprise/traces"
)

func (a *app) traceCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "trace",
		Short: "Describe, convert, generate and download request traces",
		Long: `Trace reads the block and object traces of the field in the format they come in,
compressed or not. The format is detected from the content; --format overrides it.

Wherever a trace's path stands, - is standard input and a generated trace may stand:

` + traces.SpecHelp,
		Example: `  reprise trace info w11.oracleGeneral.bin.zst
  reprise trace head src1_0.csv -n 3
  reprise trace convert src1_0.csv.gz src1_0.oracleGeneral.zst --to oracleGeneral
  reprise trace gen 'zipf?objects=100000&alpha=0.9&n=1000000' zipf.csv
  reprise trace info 'profile:msr-prxy_0?n=200000&seed=2' --json
  reprise trace fetch cloudphysics-sample`,
	}
	c.AddCommand(a.traceInfoCommand(), a.traceHeadCommand(), a.traceConvertCommand(), a.traceGenCommand(),
		a.traceFormatsCommand(), a.traceProfilesCommand(), a.traceFetchCommand())
	return c
}

// traceFlags are the flags of the commands that read a trace.
type traceFlags struct {
	options traces.Options
	volume  int
	limit   int64
	delim   string
}

func (f *traceFlags) add(c *cobra.Command) {
	flags, o := c.Flags(), &f.options
	flags.StringVar(&o.Format, "format", "", "the input's `format`, see reprise trace formats (default: detected)")
	among(flags, "format", traceFormats()...)
	flags.Uint32Var(&o.BlockSize, "block-size", 0, "`bytes` of a block in formats that count blocks (default 512)")
	flags.StringVar(&o.TimeUnit, "time-unit", "", "`unit` of times where the format leaves it open: s, ms, us, ns, 100ns")
	among(flags, "time-unit", traces.TimeUnits()...)
	flags.IntVar(&f.volume, "volume", -1, "only the requests of volume `number`")
	flags.StringVar(&o.Action, "action", "", "blkparse `event` that counts as a request: Q, D or C (default Q)")
	among(flags, "action", "Q", "D", "C")
	flags.StringVar(&o.CSV.Time, "time", "", "csv `column` of the arrival time, by name or number from 1")
	flags.StringVar(&o.CSV.ID, "id", "", "csv `column` of the object's id")
	flags.StringVar(&o.CSV.Offset, "offset", "", "csv `column` of the address")
	flags.StringVar(&o.CSV.Size, "size", "", "csv `column` of the size")
	flags.StringVar(&o.CSV.Op, "op", "", "csv `column` of the operation")
	flags.StringVar(&o.CSV.Volume, "volume-column", "", "csv `column` of the volume")
	flags.StringVar(&o.CSV.Latency, "latency", "", "csv `column` of the measured latency")
	flags.StringVar(&o.CSV.LatencyUnit, "latency-unit", "", "`unit` of the latency")
	among(flags, "latency-unit", traces.TimeUnits()...)
	flags.Uint32Var(&o.CSV.OffsetUnit, "offset-unit", 0, "`bytes` in one unit of the address (default: by the column's name)")
	flags.Uint32Var(&o.CSV.SizeUnit, "size-unit", 0, "`bytes` in one unit of the size (default: by the column's name)")
	flags.StringSliceVar(&o.CSV.ReadValues, "op-read", nil, "`values` of the operation that mean read")
	flags.StringSliceVar(&o.CSV.WriteValues, "op-write", nil, "`values` of the operation that mean write")
	flags.StringSliceVar(&o.CSV.TrimValues, "op-trim", nil, "`values` of the operation that mean trim")
	flags.StringSliceVar(&o.CSV.FlushValues, "op-flush", nil, "`values` of the operation that mean flush")
	flags.StringVar(&f.delim, "delimiter", "", "csv `character` between columns, or tab (default: detected)")
	flags.StringVar(&o.CSV.Header, "header", "", "csv: whether the first line names the columns, `yes` or no (default: detected)")
	among(flags, "header", "yes", "no")
	flags.BoolVar(&o.CSV.HashIDs, "hash-ids", false, "csv: ids are text; take their hash")
}

func traceFormats() []string {
	var names []string
	for _, f := range traces.Formats() {
		names = append(names, f.Name)
	}
	return names
}

// open opens the trace at path for reading.
func (a *app) openTrace(path string, f *traceFlags) (*traces.Stream, error) {
	switch {
	case f.delim == "tab" || f.delim == `\t`:
		f.options.CSV.Delimiter = '\t'
	case len(f.delim) == 1:
		f.options.CSV.Delimiter = f.delim[0]
	case f.delim != "":
		return nil, fail(ExitUsage, fmt.Errorf("--delimiter %q: want one character, or tab", f.delim))
	}
	if f.volume >= 0 {
		if f.volume > 65535 {
			return nil, fail(ExitUsage, fmt.Errorf("--volume %d: want a number up to 65535", f.volume))
		}
		v := uint16(f.volume)
		f.options.Volume = &v
	}
	var s *traces.Stream
	var err error
	if path == "-" {
		s, err = traces.NewStream(a.stdin, "standard input", f.options)
	} else {
		s, err = traces.Open(path, f.options)
	}
	if err != nil {
		return nil, traceError(err)
	}
	return s, nil
}

func traceError(err error) error {
	var hints []string
	var fault *traces.FormatError
	switch {
	case errors.Is(err, context.Canceled):
		return fail(ExitInterrupted, errInterrupted)
	case errors.As(err, &fault):
		hints = append(hints, "if the format was detected wrongly, name it with --format; reprise trace formats shows their layouts")
	case strings.Contains(err.Error(), "format"):
		hints = append(hints, "reprise trace formats shows the formats' layouts")
	}
	return fail(ExitManifest, err, hints...)
}

// eachBatch reads s to its end or to limit requests (0: no limit), telling how
// far it is every two seconds.
func (a *app) eachBatch(ctx context.Context, s *traces.Stream, limit int64, take func([]traces.Request) error) error {
	dst := make([]traces.Request, 8192)
	told, n := a.now(), int64(0)
	for limit == 0 || n < limit {
		if ctx.Err() != nil {
			return context.Canceled
		}
		want := int64(len(dst))
		if limit > 0 {
			want = min(want, limit-n)
		}
		k, err := s.Read(dst[:want])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := take(dst[:k]); err != nil {
			return err
		}
		n += int64(k)
		if now := a.now(); now.Sub(told) > 2*time.Second {
			told = now
			if all := s.Info().Requests; all > 0 {
				fmt.Fprintf(a.stderr, "reprise: %d of %d requests\n", n, all)
			} else {
				fmt.Fprintf(a.stderr, "reprise: %d requests\n", n)
			}
		}
	}
	return nil
}

func (a *app) traceInfoCommand() *cobra.Command {
	var f traceFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "info TRACE…",
		Short: "Count, measure and characterise traces",
		Long: `Info reads each trace once, in bounded memory, and tells how many requests there
are, of what sizes, to how many objects, how sequential, how skewed and how bursty.
With a fault in the input it describes the requests before it and then fails.`,
		Example: `  reprise trace info OLTP.lis.zst
  reprise trace info w11.vscsi w12.vscsi --json
  reprise trace info trace.csv --time 1 --time-unit us --offset 3 --op 2 --op-read 0 --op-write 1`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			for i, path := range args {
				s, err := a.openTrace(path, &f)
				if err != nil {
					return err
				}
				sum := traces.NewSummarizer(s.Info())
				err = a.eachBatch(c.Context(), s, f.limit, func(r []traces.Request) error { sum.Add(r); return nil })
				s.Close()
				if errors.Is(err, context.Canceled) {
					return traceError(err)
				}
				result := sum.Summary()
				if asJSON {
					line := struct {
						Trace string `json:"trace"`
						traces.Summary
					}{path, result}
					if err := json.NewEncoder(a.stdout).Encode(line); err != nil {
						return fail(ExitInfrastructure, err)
					}
				} else {
					if i > 0 {
						fmt.Fprintln(a.stdout)
					}
					a.printSummary(path, &result)
				}
				if err != nil {
					return traceError(err)
				}
			}
			return nil
		},
	}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a trace")
	c.Flags().Int64VarP(&f.limit, "requests", "n", 0, "only the first `number` requests")
	c.Flags().BoolVar(&f.options.Validate, "validate", false, "also check oracleGeneral's next accesses")
	return c
}

func (a *app) printSummary(path string, s *traces.Summary) {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	share := func(n uint64) string {
		if s.Requests == 0 {
			return ""
		}
		return fmt.Sprintf("(%.1f %%)", 100*float64(n)/float64(s.Requests))
	}
	format := s.Info.Format
	if s.Info.Compression != "" {
		format += ", " + s.Info.Compression
	}
	row("trace", "%s", path)
	row("format", "%s", format)
	row("requests", "%d", s.Requests)
	if s.Info.HasOp {
		row("reads", "%d %s", s.Reads, share(s.Reads))
		row("writes", "%d %s", s.Writes, share(s.Writes))
		if s.Trims+s.Flushes > 0 {
			row("trims, flushes", "%d, %d", s.Trims, s.Flushes)
		}
	} else {
		row("operations", "not recorded")
	}
	if s.Volumes > 1 {
		row("volumes", "%d", s.Volumes)
	}
	row("bytes", "%d", s.Bytes)
	estimate := ""
	if s.ObjectSample < 1 {
		estimate = fmt.Sprintf(" (estimated from %.3g of them)", s.ObjectSample)
	}
	row("objects", "%d%s, %.1f %% requested once", s.Objects, estimate, 100*s.OneHit)
	row("footprint", "%d bytes, each object as first seen", s.Footprint)
	if s.Pages != nil {
		row("pages touched", "%d of 4 KiB (%d bytes)", *s.Pages, *s.Pages*4096)
	}
	row("size", "mean %.0f, median %d, p75 %d, p90 %d, p99 %d, max %d bytes", s.Size.Mean, s.Size.P50, s.Size.P75, s.Size.P90, s.Size.P99, s.Size.Max)
	if s.Empty > 0 {
		row("empty requests", "%d", s.Empty)
	}
	if s.Sequential != nil {
		row("sequential", "%.1f %% start where the one before ended", 100**s.Sequential)
		row("random", "%.1f %% start over 128 KiB from each of the 32 before", 100**s.Random)
	}
	if s.ZipfAlpha != nil {
		row("zipf alpha", "%.3f fitted", *s.ZipfAlpha)
	}
	if s.Duration != nil {
		row("duration", "%s s", strconv.FormatFloat(*s.Duration, 'f', -1, 64))
		if s.InterArrival != nil {
			row("inter-arrival", "mean %.6g s, coefficient of variation %.3g", *s.InterArrival, *s.InterArrivalCV)
		}
		if *s.Backward > 0 {
			row("out of order", "%d arrive before the one in front of them", *s.Backward)
		}
	} else {
		row("times", "not recorded")
	}
}

func (a *app) traceHeadCommand() *cobra.Command {
	var f traceFlags
	c := &cobra.Command{
		Use:   "head TRACE",
		Short: "Print a trace's first requests as csv",
		Example: `  reprise trace head prxy_0.csv.gz -n 5
  reprise trace head 'gen:sequential?streams=2&run=4&objects=1000'`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := a.openTrace(args[0], &f)
			if err != nil {
				return err
			}
			defer s.Close()
			w := traces.NewCSVWriter(a.stdout)
			err = a.eachBatch(c.Context(), s, max(f.limit, 1), w.Write)
			if flushed := w.Flush(); err == nil && flushed != nil {
				return fail(ExitInfrastructure, flushed)
			}
			if err != nil {
				return traceError(err)
			}
			return nil
		},
	}
	f.add(c)
	c.Flags().Int64VarP(&f.limit, "requests", "n", 10, "`number` of requests")
	return c
}

// traceOutput is where a trace is written to, and how.
type traceOutput struct {
	to    string
	force bool
}

func (o *traceOutput) add(c *cobra.Command) {
	c.Flags().StringVar(&o.to, "to", "", "the output's `format`: oracleGeneral or csv (default: by the output's name, otherwise csv)")
	among(c.Flags(), "to", "oracleGeneral", "csv")
	c.Flags().BoolVar(&o.force, "force", false, "replace the output if it exists")
}

func (a *app) traceConvertCommand() *cobra.Command {
	var f traceFlags
	var o traceOutput
	c := &cobra.Command{
		Use:   "convert TRACE OUTPUT",
		Short: "Write a trace in another format",
		Long: `Convert writes csv, with every field of each request, or libCacheSim's
oracleGeneral, which keeps whole seconds, id and size, and needs the trace in
memory (about 40 bytes a request). The output is compressed if its name ends in
.zst or .gz, appears only when it is complete, and is standard output for -.`,
		Example: `  reprise trace convert src1_0.csv.gz src1_0.oracleGeneral.zst
  reprise trace convert OLTP.lis.zst - | head`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := a.openTrace(args[0], &f)
			if err != nil {
				return err
			}
			defer s.Close()
			return a.writeTrace(c.Context(), s, f.limit, args[1], o)
		},
	}
	f.add(c)
	o.add(c)
	c.Flags().Int64VarP(&f.limit, "requests", "n", 0, "only the first `number` requests")
	return c
}

func (a *app) traceGenCommand() *cobra.Command {
	var o traceOutput
	c := &cobra.Command{
		Use:   "gen SPEC [OUTPUT]",
		Short: "Generate a trace",
		Long:  "Gen writes a generated trace, to standard output if none is named.\n\n" + traces.SpecHelp,
		Example: `  reprise trace gen 'zipf?objects=10000&alpha=1.2&n=100000&seed=7' zipf.oracleGeneral
  reprise trace gen 'profile:cdn?n=1000000' cdn.csv.zst
  reprise trace gen 'mix?part=0.7,zipf,objects=5000&part=0.3,sequential,streams=4&reads=0.6&n=1000'`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			spec := args[0]
			if !traces.IsSpec(spec) {
				spec = "gen:" + spec
			}
			s, err := traces.Open(spec, traces.Options{})
			if err != nil {
				return fail(ExitUsage, err, "reprise trace gen --help lists the patterns and their keys, reprise trace profiles the profiles")
			}
			defer s.Close()
			return a.writeTrace(c.Context(), s, 0, append(args, "-")[1], o)
		},
	}
	o.add(c)
	return c
}

func (a *app) writeTrace(ctx context.Context, s *traces.Stream, limit int64, path string, o traceOutput) error {
	to := o.to
	if to == "" {
		to = "csv"
		if strings.Contains(strings.ToLower(path), "oraclegeneral") {
			to = "oracleGeneral"
		}
	}
	var write func(io.Writer) error
	var readErr error
	switch strings.ToLower(to) {
	case "csv":
		write = func(w io.Writer) error {
			csv := traces.NewCSVWriter(w)
			if readErr = a.eachBatch(ctx, s, limit, csv.Write); readErr != nil {
				return readErr
			}
			return csv.Flush()
		}
	case "oraclegeneral":
		write = func(w io.Writer) error {
			var all []traces.Request
			readErr = a.eachBatch(ctx, s, limit, func(r []traces.Request) error { all = append(all, r...); return nil })
			if readErr != nil {
				return readErr
			}
			return traces.WriteOracleGeneral(w, all)
		}
	default:
		return fail(ExitUsage, fmt.Errorf("--to %s: want oracleGeneral or csv", o.to))
	}
	var err error
	if path == "-" {
		w := bufio.NewWriterSize(a.stdout, 1<<16)
		if err = write(w); err == nil {
			err = w.Flush()
		}
	} else {
		err = traces.WriteFile(path, o.force, write)
	}
	switch {
	case err == nil:
		return nil
	case readErr != nil:
		return traceError(readErr)
	case errors.Is(err, fs.ErrExist):
		return fail(ExitUsage, err, "--force replaces it")
	}
	return fail(ExitInfrastructure, err)
}

func (a *app) traceFormatsCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "formats",
		Short:   "List the formats that are read",
		Example: "  reprise trace formats --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, f := range traces.Formats() {
				if asJSON {
					line := struct {
						Name       string   `json:"name"`
						Doc        string   `json:"doc"`
						Layout     string   `json:"layout"`
						Options    []string `json:"options"`
						Extensions []string `json:"extensions"`
						Latency    bool     `json:"latency"`
					}{f.Name, f.Doc, f.Layout, f.Options, f.Extensions, f.HasLatency}
					if err := json.NewEncoder(a.stdout).Encode(line); err != nil {
						return fail(ExitInfrastructure, err)
					}
					continue
				}
				fmt.Fprintf(a.stdout, "%s: %s\n    %s\n", f.Name, f.Doc, f.Layout)
				if len(f.Options) > 0 {
					fmt.Fprintf(a.stdout, "    options: %s\n", strings.Join(f.Options, " "))
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a format")
	return c
}

func (a *app) traceProfilesCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "profiles [NAME]",
		Short: "List the profiles, and where their figures come from",
		Example: `  reprise trace profiles
  reprise trace profiles msr-prxy_0`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			list := traces.Profiles()
			if len(args) == 1 {
				p, err := traces.LookupProfile(args[0])
				if err != nil {
					return fail(ExitUsage, err)
				}
				list = []traces.Profile{p}
			}
			for _, p := range list {
				if asJSON {
					if err := json.NewEncoder(a.stdout).Encode(p); err != nil {
						return fail(ExitInfrastructure, err)
					}
					continue
				}
				fmt.Fprintf(a.stdout, "%s: %s\n", p.Name, p.Doc)
				if len(args) == 0 {
					continue
				}
				for _, ch := range p.Characteristics {
					from := string(ch.Source.Kind)
					if ch.Source.Work != "" {
						from = fmt.Sprintf("%s; %s (%s)", ch.Source.Work, ch.Source.At, ch.Source.Kind)
					}
					if ch.Source.Note != "" {
						from += ": " + ch.Source.Note
					}
					fmt.Fprintf(a.stdout, "  %s %v ± %v\n    %s\n", ch.Metric, ch.Value, ch.Tolerance, from)
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a profile")
	return c
}
