package cmd

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"reprise/policies/admission"
	"reprise/traces"
)

func (a *app) ioCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "io",
		Short: "Learn from a device's log which reads it will serve slowly, and decide",
		Long: `Io holds the steps of Heimdall's pipeline (EuroSys '25) as tools of their own.

A LOG is what a device took for each request: FlashNet's and Heimdall's replay
logs, or any trace with latencies that reprise reads (csv with a latency column,
blkparse).`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.ioLabelCommand())
	return c
}

// ioLog is how the commands of io read a log.
type ioLog struct{ format, sort string }

func (o *ioLog) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.format, "format", "", "format of the log (default: detect it)")
	c.Flags().StringVar(&o.sort, "sort", "stable", "order of requests submitted at the same time: stable, or quicksort as the published code has it")
}

func (o *ioLog) read(path string) (*admission.Log, error) {
	order, err := admission.ParseOrder(o.sort)
	if err != nil {
		return nil, fail(ExitUsage, err)
	}
	rec, _, err := traces.ReadLatencyLog(path, traces.Options{Format: o.format})
	if err != nil {
		return nil, fail(ExitManifest, err)
	}
	l := admission.NewLog(rec, order)
	if l.Len() == 0 {
		return nil, fail(ExitManifest, fmt.Errorf("%s: no request to learn from: %d rows, %d of them moved fewer bytes than asked for", path, rec.Len(), l.Short))
	}
	return l, nil
}

// ioLabels is what io label prints of a log.
type ioLabels struct {
	Log              string  `json:"log"`
	Sort             string  `json:"sort"`
	Compat           string  `json:"compat"`
	Requests         int     `json:"n"`
	Short            int     `json:"short_transfers"`
	Latency          int64   `json:"ip_lat"`
	Percentile       float64 `json:"ip_lat_percentile"`
	Throughput       int64   `json:"ip_thpt"`
	MedianLatency    float64 `json:"med_lat"`
	MedianThroughput float64 `json:"med_thpt"`
	SlowBeforeFilter int     `json:"slow_before_filter"`
	Outlier1         int     `json:"outlier1"`
	Outlier2         int     `json:"outlier2"`
	Outlier3         int     `json:"outlier3"`
	Labeled          int     `json:"labeled"`
	Fast             int     `json:"fast"`
	Slow             int     `json:"slow"`
	CutoffFast       int     `json:"cutoff_fast"`
	CutoffSlow       int     `json:"cutoff_slow"`
}

func (a *app) ioLabelCommand() *cobra.Command {
	var o ioLog
	var compatName string
	var asJSON bool
	c := &cobra.Command{
		Use:   "label LOG...",
		Short: "Mark the slow periods of a log and filter the noise out",
		Long: `Label finds the inflection points of latency and throughput, marks slow periods,
and takes three kinds of outliers out: fast requests in slow periods, slow
requests out of them, and slow bursts of at most three. It also counts LinnOS's
labels: slower than the inflection point or not.

Latencies are microseconds, throughputs bytes per microsecond rounded half to
even. A request that moved fewer bytes than asked for is left out. With --compat
artifact or fixed the constants are the published code's, with paper a period
ends at the first request back at the median throughput and outliers are judged
by the medians of their period.`,
		Example: `  reprise io label device.trace
  reprise io label device.trace --sort quicksort --json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			compat, err := admission.ParseCompat(compatName)
			if err != nil {
				return fail(ExitUsage, err)
			}
			for _, path := range args {
				if c.Context().Err() != nil {
					return fail(ExitInterrupted, errInterrupted)
				}
				l, err := o.read(path)
				if err != nil {
					return err
				}
				if err := a.printLabels(labelsOf(l, path, o.sort, compat), asJSON); err != nil {
					return err
				}
			}
			return nil
		},
	}
	o.flags(c)
	c.Flags().StringVar(&compatName, "compat", "fixed", "labelling: fixed, paper or artifact")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a log")
	return c
}

func labelsOf(l *admission.Log, path, sort string, compat admission.Compat) ioLabels {
	t := l.Thresholds()
	labels := l.Label(t, compat)
	f := labels.Filter()
	slow := labels.CountIn(f.Rows)
	cutoff := l.LabelCutoff(t).Count()
	return ioLabels{
		Log: filepath.Base(path), Sort: sort, Compat: string(compat), Requests: l.Len(), Short: l.Short,
		Latency: t.Latency, Percentile: t.LatencyPercentile, Throughput: t.Throughput,
		MedianLatency: t.MedianLatency, MedianThroughput: t.MedianThroughput,
		SlowBeforeFilter: labels.Count(), Outlier1: f.FastInSlow, Outlier2: f.SlowInFast, Outlier3: f.Bursts,
		Labeled: len(f.Rows), Fast: len(f.Rows) - slow, Slow: slow,
		CutoffFast: l.Len() - cutoff, CutoffSlow: cutoff,
	}
}

func (a *app) printLabels(r ioLabels, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(a.stdout).Encode(r)
	}
	_, err := fmt.Fprintf(a.stdout, `%s (%s sort, %s)
  requests                      %8d   (%d more moved too few bytes)
  inflection point, latency     %8d us  at percentile %.2f
  inflection point, throughput  %8d B/us
  median latency                %8.1f us
  median throughput             %8.1f B/us
  slow before the filter        %8d
  fast in slow periods, out     %8d
  slow in fast periods, out     %8d
  slow bursts, out              %8d
  labelled                      %8d   fast %d, slow %d
  by the cutoff alone           %8d   fast %d, slow %d
`, r.Log, r.Sort, r.Compat, r.Requests, r.Short, r.Latency, r.Percentile, r.Throughput, r.MedianLatency, r.MedianThroughput,
		r.SlowBeforeFilter, r.Outlier1, r.Outlier2, r.Outlier3, r.Labeled, r.Fast, r.Slow, r.Requests, r.CutoffFast, r.CutoffSlow)
	return err
}
