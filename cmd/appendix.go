package cmd

import (
	"bytes"
	"errors"

	"github.com/spf13/cobra"

	"reprise/artifacts"
	"reprise/runner/report"
)

func (a *app) appendixCommand() *cobra.Command {
	var format, output, run, storeFolder string
	c := &cobra.Command{
		Use:   "appendix ARTIFACT|PATH",
		Short: "Write the artifact appendix that a conference asks for",
		Long: `Write an artifact's appendix after the template of SOSP and EuroSys, from its
manifest: how to get it, what it needs, its major claims, and every experiment
with the minutes of a person and of a machine. With --run the times, memory and
verdicts of a recorded run take the place of the estimates.`,
		Example: `  reprise appendix heimdall
  reprise appendix heimdall --run latest --format latex -o appendix.tex`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			m, _, err := artifacts.Find(args[0])
			var missing *artifacts.NotFoundError
			if errors.As(err, &missing) {
				return fail(ExitUsage, err, missing.Suggestion())
			}
			if err != nil {
				return fail(ExitManifest, err)
			}
			var r *report.Run
			if run != "" {
				if r, err = a.readRun(run, storeFolder); err != nil {
					return err
				}
				r.Anonymise(private()...)
			}
			var b bytes.Buffer
			if err := report.Appendix(&b, m, r, format); err != nil {
				return fail(ExitUsage, err)
			}
			if output == "" || output == "-" {
				_, err = b.WriteTo(a.stdout)
			} else {
				err = replaceFile(output, b.Bytes())
			}
			if err != nil {
				return fail(ExitInfrastructure, err)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&format, "format", "f", "markdown", "markdown or latex")
	c.Flags().StringVarP(&output, "output", "o", "-", "write to this `file` (- is standard output)")
	c.Flags().StringVar(&run, "run", "", "take measured times and verdicts from this `run`")
	storeFlag(c, &storeFolder)
	return c
}
