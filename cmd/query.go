package cmd

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"reprise/runner/query"
)

func (a *app) queryCommand() *cobra.Command {
	var storeFolder string
	var asJSON, asCSV bool
	c := &cobra.Command{
		Use:   "query RUN 'METRIC [change LABEL=VALUE from ANOTHER] [by LABEL,…] [where LABEL=VALUE,…]'",
		Short: "Aggregate a run's observations of a metric",
		Long: `Print, for every combination of the labels' values, how many observations of a
metric a recorded run has, their mean, smallest, median, 90th and 99th
percentile and largest value. Labels are the axes of the experiments' matrices,
what the experiments add, experiment and artifact. A condition is label=value or
label!=value; all have to hold. RUN is the id of a run, the beginning of one,
latest, or the path of an event log; it may be under way.

With change, what is aggregated is how much the metric changes from one value of
a label to another, (VALUE − ANOTHER) / ANOTHER, in every combination of the other
labels that has both; then n counts these, and the mean is the geometric one, of
the ratios.`,
		Example: `  reprise query latest 'disk_head_time change system=payback from hindsight by workload'
  reprise query latest 'miss_ratio by policy,size'
  reprise query latest 'read_latency_mean by policy where experiment=E3' --csv`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if asJSON && asCSV {
				return fail(ExitUsage, errors.New("--json and --csv exclude each other"))
			}
			q, err := query.Parse(args[1])
			if err != nil {
				return fail(ExitUsage, err, "write METRIC change LABEL=VALUE from ANOTHER by LABEL,LABEL where LABEL=VALUE")
			}
			_, path, err := a.findRun(args[0], storeFolder)
			if err != nil {
				return err
			}
			if path == "" {
				return fail(ExitUsage, errors.New("a query needs a recorded run, not standard input"))
			}
			log, err := os.ReadFile(path)
			if err != nil {
				return fail(ExitInfrastructure, err)
			}
			r, err := query.Run(log, q)
			if err != nil {
				return fail(ExitManifest, err)
			}
			if r.Left > 0 {
				fmt.Fprintf(a.stderr, "warning: %d cells have no change: they lack a side, are below 0, or are 0 for %s\n", r.Left, q.Change.From)
			}
			if len(r.Groups) == 0 && r.Left > 0 {
				return fail(ExitInconclusive, fmt.Errorf("no cell of %s has a change from %s=%s to %s", q.Metric, q.Change.Label, q.Change.From, q.Change.Of))
			}
			if len(r.Groups) == 0 {
				if slices.Contains(r.Metrics, q.Metric) {
					if q.Change != nil {
						return fail(ExitInconclusive, fmt.Errorf("no observation of %s with %s=%s or %s satisfies the conditions", q.Metric, q.Change.Label, q.Change.Of, q.Change.From))
					}
					return fail(ExitInconclusive, fmt.Errorf("no observation of %s satisfies the conditions", q.Metric))
				}
				if len(r.Metrics) == 0 {
					return fail(ExitInconclusive, errors.New("the run has no observations"), "reprise runs says what came of it")
				}
				return fail(ExitUsage, fmt.Errorf("the run has no observation of %q", q.Metric), "it has "+strings.Join(r.Metrics, ", "))
			}
			if err := a.printGroups(q, r, asJSON, asCSV); err != nil {
				return fail(ExitInfrastructure, err)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a group")
	c.Flags().BoolVar(&asCSV, "csv", false, "print comma-separated values")
	storeFlag(c, &storeFolder)
	return c
}

func (a *app) printGroups(q query.Query, r query.Result, asJSON, asCSV bool) error {
	mean := "mean"
	if q.Change != nil {
		mean = "geomean"
	}
	head := append(slices.Clone(q.By), "n", mean, "min", "p50", "p90", "p99", "max", "unit")
	lines := json.NewEncoder(a.stdout)
	values := csv.NewWriter(a.stdout)
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	row := func(digits int, g query.Group) []string {
		s := g.Summary()
		cells := append(slices.Clone(g.Labels), strconv.Itoa(s.N))
		for _, v := range []float64{s.Mean, s.Min, s.P50, s.P90, s.P99, s.Max} {
			cells = append(cells, strconv.FormatFloat(v, 'g', digits, 64))
		}
		return append(cells, g.Unit)
	}
	if asCSV {
		_ = values.Write(head) // Flush's error comes below
	} else if !asJSON {
		fmt.Fprintln(table, strings.ToUpper(strings.Join(head, "\t")))
	}
	for _, g := range r.Groups {
		switch {
		case asJSON:
			s := g.Summary()
			labels := map[string]string{}
			for i, l := range q.By {
				labels[l] = g.Labels[i]
			}
			if err := lines.Encode(map[string]any{
				"metric": q.Metric, "labels": labels, "unit": g.Unit, "n": s.N, mean: s.Mean,
				"min": s.Min, "p50": s.P50, "p90": s.P90, "p99": s.P99, "max": s.Max,
			}); err != nil {
				return err
			}
		case asCSV:
			_ = values.Write(row(-1, g))
		default:
			fmt.Fprintln(table, strings.Join(row(6, g), "\t"))
		}
	}
	values.Flush()
	return errors.Join(values.Error(), table.Flush())
}
