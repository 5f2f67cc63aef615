package cmd

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"reprise/checks"
	"reprise/runner/store"
	"reprise/tui"
)

func (a *app) runsCommand() *cobra.Command {
	var asJSON bool
	var storeFlagValue string
	var most int
	c := &cobra.Command{
		Use:   "runs",
		Short: "List the recorded runs, the newest first",
		Long: `List the recorded runs, the newest first: what was run, how it ended and what
came of the claims. One that is under way has the process that writes it; one
that was killed or interrupted, or in which something failed, is gone on with
by reprise resume.`,
		Example: `  reprise runs
  reprise runs -n 5 --json
  reprise replay latest`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.runs(storeFlagValue, most, asJSON) },
	}
	c.Flags().IntVarP(&most, "number", "n", 20, "list at most so many runs; 0 for all")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a run")
	storeFlag(c, &storeFlagValue)
	return c
}

// listedRun is a run as runs --json prints it.
type listedRun struct {
	Run       string                 `json:"run"`
	Started   time.Time              `json:"started"`
	Profile   string                 `json:"profile"`
	Artifacts []string               `json:"artifacts"`
	Nodes     []string               `json:"nodes"`
	Outcome   string                 `json:"outcome"`
	PID       int                    `json:"pid,omitempty"`        // of the process that has it under way
	Resumes   string                 `json:"resumes,omitempty"`    // run that it goes on with
	ResumedBy string                 `json:"resumed_by,omitempty"` // newest run that goes on with it
	Seconds   float64                `json:"seconds,omitempty"`    // of a run that has ended
	Claims    map[checks.Outcome]int `json:"claims"`
	Folder    string                 `json:"folder"`
}

func (a *app) runs(storeFlag string, most int, asJSON bool) error {
	kept, err := a.openStore(storeFlag)
	if err != nil {
		return err
	}
	ids, err := kept.Runs()
	if err != nil {
		return fail(ExitInfrastructure, err)
	}
	if len(ids) == 0 && !asJSON {
		fmt.Fprintf(a.stdout, "no run is recorded in %s\n", kept.Root())
		return nil
	}
	if most > 0 {
		ids = ids[:min(most, len(ids))]
	}
	resumed := map[string]string{}
	lines := json.NewEncoder(a.stdout)
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RUN\tPROFILE\tARTIFACTS\tON\tTOOK\tOUTCOME\tCLAIMS")
	for _, id := range ids {
		row := listedRun{Run: id, Outcome: "no readable log", Claims: map[checks.Outcome]int{}, Folder: kept.RunDir(id)}
		if r, err := tui.ReadRecorded(filepath.Join(kept.RunDir(id), store.EventsFile)); err == nil {
			row.Started, row.Profile, row.Artifacts, row.Outcome = r.Started, r.Start.Profile, r.Start.Artifacts, r.Outcome()
			if r.Holder != nil {
				row.PID = r.Holder.PID
			}
			row.Resumes, row.ResumedBy = r.Start.Resumes, resumed[id]
			if _, newer := resumed[row.Resumes]; !newer && row.Resumes != "" {
				resumed[row.Resumes] = id
			}
			for _, n := range r.Start.Nodes {
				row.Nodes = append(row.Nodes, n.Name)
			}
			for _, verdicts := range r.Verdicts {
				for _, v := range verdicts {
					row.Claims[v.Outcome]++
				}
			}
			if r.End != nil {
				row.Seconds = r.End.Seconds
			}
		}
		if asJSON {
			if err := lines.Encode(row); err != nil {
				return fail(ExitInfrastructure, err)
			}
			continue
		}
		switch {
		case row.ResumedBy != "":
			row.Outcome += ", resumed as " + row.ResumedBy
		case row.PID != 0:
			row.Outcome += fmt.Sprintf(" in process %d", row.PID)
		}
		took := "-"
		if row.Seconds > 0 {
			took = time.Duration(row.Seconds * float64(time.Second)).Round(10 * time.Millisecond).String()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.Run, row.Profile, strings.Join(row.Artifacts, ","), strings.Join(row.Nodes, ","), took, row.Outcome, tally(row.Claims))
	}
	if asJSON {
		return nil
	}
	if err := table.Flush(); err != nil {
		return fail(ExitInfrastructure, err)
	}
	if r := unfinished(kept, ids); r != nil {
		fmt.Fprintf(a.stdout, "reprise resume goes on with %s\n", r.ID)
	}
	return nil
}
