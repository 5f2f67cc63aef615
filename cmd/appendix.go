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
	var tags []string
	c := &cobra.Command{
		Use:   "appendix ARTIFACT|PATH",
		Short: "Write the paperwork that conferences and testbeds ask for",
		Long: `Write an artifact's appendix after the template of SOSP and EuroSys, from its
manifest: how to get it, what it needs, its major claims, and every experiment
with the minutes of a person and of a machine. With --run the times, memory and
verdicts of a recorded run take the place of the estimates.

Formats:
  markdown, latex  the appendix
  repeto           the preamble that REPETO's badge asks for, and its two checklists
                   (packaging, style), filled in as far as manifest, README.md and
                   run tell; the rest is left to the authors
  trovi            trovi.json, an RO-Crate: from the root of a repository on GitHub
                   Chameleon's Trovi imports the artifact by it; needs --tag`,
		Example: `  reprise appendix heimdall
  reprise appendix heimdall --run latest --format latex -o appendix.tex
  reprise appendix heimdall --run latest --format repeto -o REPETO.md
  reprise appendix heimdall --format trovi --tag storage -o trovi.json`,
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
			switch format {
			case "repeto":
				readme, _ := m.Readme() // what is not there is an open item
				err = report.Repeto(&b, m, r, readme)
			case "trovi":
				err = report.Trovi(&b, m, r, report.Publication{Tags: tags, Date: a.now()})
			default:
				err = report.Appendix(&b, m, r, format)
			}
			if err != nil {
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
	c.Flags().StringVarP(&format, "format", "f", "markdown", "markdown, latex, repeto or trovi")
	among(c.Flags(), "format", "markdown", "latex", "repeto", "trovi")
	c.Flags().StringArrayVar(&tags, "tag", nil, "with --format trovi, a `tag` of Trovi's list; may be repeated")
	c.Flags().StringVarP(&output, "output", "o", "-", "write to this `file` (- is standard output)")
	c.Flags().StringVar(&run, "run", "", "take measured times and verdicts from this `run`")
	storeFlag(c, &storeFolder)
	return c
}
