package cmd

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"reprise/artifacts"
)

func (a *app) listCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the artifacts, what they claim and what running them takes",
		Long: `List the artifacts that reprise ships: how many claims each makes, and for every
profile how many points its experiments run at and the sum of their time
budgets. A budget is the most a profile takes on one machine, step after step.`,
		Example: `  reprise list
  reprise list --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.list(asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object an artifact")
	return c
}

// listed is an artifact as list --json prints it.
type listed struct {
	Artifact    string                 `json:"artifact"`
	Title       string                 `json:"title"`
	Venue       string                 `json:"venue,omitempty"`
	Claims      []string               `json:"claims"`
	Experiments []string               `json:"experiments"`
	Profiles    map[string]profileCost `json:"profiles"`
}

type profileCost struct {
	Experiments    int     `json:"experiments"`
	Points         int     `json:"points"`
	ComputeSeconds float64 `json:"compute_seconds"`
	HumanMinutes   float64 `json:"human_minutes"`
}

func (a *app) list(asJSON bool) error {
	manifests, err := a.loadAll(nil)
	if err != nil {
		return err
	}
	lines := json.NewEncoder(a.stdout)
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ARTIFACT\tCLAIMS\tEXPERIMENTS\tKICK\tLOCAL\tPAPER\tTITLE")
	for _, m := range manifests {
		row := listed{
			Artifact: m.Artifact, Title: m.Title, Venue: m.Paper.Venue,
			Claims: append([]string{}, m.ClaimIDs()...), Experiments: m.ExperimentIDs(), Profiles: map[string]profileCost{},
		}
		fmt.Fprintf(table, "%s\t%d\t%d", m.Artifact, len(m.Claims), len(m.Experiments))
		for _, profile := range artifacts.ProfileNames {
			cost, err := m.Cost(profile)
			if err != nil {
				return fail(ExitManifest, err)
			}
			if cost.Experiments == 0 {
				fmt.Fprint(table, "\t-")
				continue
			}
			fmt.Fprintf(table, "\t%s", budget(artifacts.Duration(cost.Compute), cost.Points))
			row.Profiles[profile] = profileCost{cost.Experiments, cost.Points, cost.Compute.Seconds(), cost.HumanMinutes}
		}
		fmt.Fprintf(table, "\t%s\n", m.Title)
		if asJSON {
			if err := lines.Encode(row); err != nil {
				return fail(ExitInfrastructure, err)
			}
		}
	}
	if asJSON {
		return nil
	}
	if err := table.Flush(); err != nil {
		return fail(ExitInfrastructure, err)
	}
	return nil
}

// budget says how long something may take and at how many points it runs.
func budget(compute artifacts.Duration, points int) string {
	if points == 1 {
		return fmt.Sprintf("%s, 1 point", compute)
	}
	return fmt.Sprintf("%s, %d points", compute, points)
}
