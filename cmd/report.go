package cmd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"reprise/checks"
	"reprise/runner/report"
	"reprise/runner/store"
)

func (a *app) reportCommand() *cobra.Command {
	var format, output, storeFolder string
	var exit, identify bool
	var formats strings.Builder
	names := []string{"table"}
	for _, f := range report.Formats {
		fmt.Fprintf(&formats, "  %-12s %s\n", f.Name, f.About)
		names = append(names, f.Name)
	}
	c := &cobra.Command{
		Use:   "report [RUN]",
		Short: "Write a recorded run as a page, table or file for CI",
		Long: `Write a recorded run: its verdicts beside the paper's figures, what was measured,
how and where. The report is made from the records alone, so it can be made
again at any time. RUN is the id of a run, the beginning of one, latest (which it
is by default), or the path of a run's folder. Formats:

  table        the table of verdicts, for a terminal
` + formats.String() + `
Names of users and machines, their folders and addresses are left out of every
format but table, in errors and logs too, unless --identify is given. With
--format github and in GitHub Actions the job summary is written, too.

The exit code says whether the report could be made; with --exit-code it is that
of the run.`,
		Example: `  reprise report                             the table of the last run
  reprise report --format html -o report.html
  reprise report 20261122-2006 --format bench > new.txt; benchstat old.txt new.txt
  reprise report latest --format junit -o junit.xml --exit-code`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			ref := "latest"
			if len(args) > 0 {
				ref = args[0]
			}
			r, err := a.readRun(ref, storeFolder)
			if err != nil {
				return err
			}
			if !identify && format != "table" {
				r.Anonymise(private()...)
			}
			if err := a.writeReport(r, format, output); err != nil {
				return err
			}
			if exit && r.End == nil {
				return fail(ExitInterrupted, nil)
			}
			if exit && r.End.Exit != ExitOK {
				return fail(r.End.Exit, nil)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&format, "format", "f", "table", "table, html, markdown, junit, github, bench, openmetrics or json")
	among(c.Flags(), "format", names...)
	c.Flags().StringVarP(&output, "output", "o", "-", "write to this `file` (- is standard output)")
	c.Flags().BoolVar(&identify, "identify", false, "keep the names of users, machines and folders")
	c.Flags().BoolVar(&exit, "exit-code", false, "end with the exit code of the run")
	storeFlag(c, &storeFolder)
	return c
}

// runDir finds the folder of a recorded run.
func (a *app) runDir(ref, storeFolder string) (string, error) {
	if info, err := os.Stat(filepath.Join(ref, store.EventsFile)); err == nil && !info.IsDir() {
		return ref, nil
	}
	kept, err := a.openStore(storeFolder)
	if err != nil {
		return "", err
	}
	id, err := kept.FindRun(ref)
	if err != nil {
		return "", fail(ExitUsage, err, "reprise runs lists the recorded runs")
	}
	return kept.RunDir(id), nil
}

func (a *app) readRun(ref, storeFolder string) (*report.Run, error) {
	dir, err := a.runDir(ref, storeFolder)
	if err != nil {
		return nil, err
	}
	r, err := report.Read(dir)
	if err != nil {
		return nil, fail(ExitManifest, err)
	}
	return r, nil
}

// writeReport writes a run to a file, whole or not at all, or to standard output.
func (a *app) writeReport(r *report.Run, format, path string) error {
	var b bytes.Buffer
	if format == "table" {
		a.reportTable(&b, r)
	} else {
		f, err := report.FindFormat(format)
		if err != nil {
			return fail(ExitUsage, err)
		}
		if err := f.Write(&b, r); err != nil {
			return fail(ExitInfrastructure, err)
		}
	}
	if summary := a.getenv("GITHUB_STEP_SUMMARY"); format == "github" && summary != "" {
		if err := appendTo(summary, report.Summary(r)); err != nil {
			return fail(ExitInfrastructure, fmt.Errorf("job summary: %w", err))
		}
	}
	if path == "-" || path == "" {
		if _, err := b.WriteTo(a.stdout); err != nil {
			return fail(ExitInfrastructure, err)
		}
		return nil
	}
	if err := replaceFile(path, b.Bytes()); err != nil {
		return fail(ExitInfrastructure, err, "name a file in a folder that exists and may be written to")
	}
	return nil
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // the user names it
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	if bad := f.Close(); err == nil {
		err = bad
	}
	return err
}

// reportTable writes the run for a terminal: the verdicts, and what failed.
func (a *app) reportTable(w io.Writer, r *report.Run) {
	fmt.Fprintf(w, "run %s, %s profile: %s\n", r.ID, r.Start.Profile, r.Headline())
	verdicts := map[string][]checks.Verdict{}
	var ids []string
	for _, art := range r.Artifacts {
		ids = append(ids, art.Artifact)
		for _, c := range art.Claims() {
			if c.Outcome != "" {
				verdicts[art.Artifact] = append(verdicts[art.Artifact], c.Verdict)
			}
		}
	}
	a.verdictTable(w, ids, verdicts)
	for _, s := range r.Failed() {
		fmt.Fprintf(w, "✗ %s %s", s.ID, s.State)
		if s.Error != "" {
			fmt.Fprintf(w, ": %s", s.Error)
		}
		fmt.Fprintln(w)
		for _, line := range s.Tail {
			fmt.Fprintf(w, "    %s\n", line)
		}
	}
	for _, text := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", text)
	}
}

// outputs are reports that are written at the end of a run.
type outputs struct{ files map[string]*string }

// flags adds a flag for every format, --junit FILE and the like; json is
// taken by the run's own events.
func (o *outputs) flags(flags *pflag.FlagSet) {
	o.files = map[string]*string{}
	for _, f := range report.Formats {
		name := f.Name
		if name == "json" {
			name = "report-json"
		}
		o.files[f.Name] = flags.String(name, "", "at the end write to this `file`: "+f.About)
	}
}

// write makes the reports that were asked for.
func (o *outputs) write(a *app, dir string) error {
	var r *report.Run
	for _, f := range report.Formats {
		path := o.files[f.Name]
		if path == nil || *path == "" {
			continue
		}
		if r == nil {
			var err error
			if r, err = report.Read(dir); err != nil {
				return fail(ExitInfrastructure, err)
			}
			r.Anonymise(private()...)
		}
		if err := a.writeReport(r, f.Name, *path); err != nil {
			return err
		}
	}
	return nil
}
