package cmd

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"reprise/runner/report"
)

func (a *app) diffCommand() *cobra.Command {
	var storeFolder string
	var all, asJSON bool
	c := &cobra.Command{
		Use:   "diff RUN RUN …",
		Short: "Compare recorded runs: environment, verdicts, metrics",
		Long: `Compare recorded runs with the first of them: what differs in machine, version,
sources and parameters, then which verdicts changed, then the metrics, each with
its median, the median's 95 % interval (from six repeats on) and whether the
difference is significant (Mann–Whitney U, two-sided, p < 0.05). ~ is not
significant; a footnote tells where unlike things were compared. Values that
agree to the last digit are counted only.

RUN is the id of a run, the beginning of one, latest, previous (the one before it), or a
run's folder.`,
		Example: `  reprise diff previous latest
  reprise diff 20261122-2006 latest --json | jq .verdicts`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			var runs []*report.Run
			for _, ref := range args {
				r, err := a.readRun(ref, storeFolder)
				if err != nil {
					return err
				}
				runs = append(runs, r)
			}
			comparison := report.Compare(runs)
			if asJSON {
				out := json.NewEncoder(a.stdout)
				out.SetIndent("", "  ")
				return out.Encode(comparison)
			}
			return comparison.Text(a.stdout, all)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "list differences that are not significant, too, however many")
	c.Flags().BoolVar(&asJSON, "json", false, "print the comparison as JSON")
	storeFlag(c, &storeFolder)
	return c
}
