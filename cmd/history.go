package cmd

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/runner/report"
)

func (a *app) historyCommand() *cobra.Command {
	var storeFolder, profile string
	var asJSON bool
	c := &cobra.Command{
		Use:   "history ARTIFACT [CLAIM …]",
		Short: "Follow an artifact's claims over all recorded runs",
		Long: `Follow an artifact's claims over all recorded runs, the oldest first: every run's
verdicts as signs in the order of the claims (` + legend() + `), and
below them what changed from the run before of the same profile. With claims
named, their measured values run by run.`,
		Example: `  reprise history codesign
  reprise history codesign C6 --profile local
  reprise history heimdall --json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.history(args[0], args[1:], profile, storeFolder, asJSON)
		},
	}
	c.Flags().StringVar(&profile, "profile", "", "runs of this profile only")
	among(c.Flags(), "profile", artifacts.ProfileNames...)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a run")
	storeFlag(c, &storeFolder)
	return c
}

func legend() string {
	var parts []string
	for _, o := range checks.Outcomes {
		parts = append(parts, o.Glyph()+" "+string(o))
	}
	return strings.Join(parts, ", ")
}

// past is a run as history --json prints it.
type past struct {
	Run     string           `json:"run"`
	Started time.Time        `json:"started"`
	Profile string           `json:"profile"`
	Version string           `json:"version"`
	Outcome string           `json:"outcome"`
	Claims  []checks.Verdict `json:"claims"`
}

func (a *app) history(artifact string, claims []string, profile, storeFolder string, asJSON bool) error {
	kept, err := a.openStore(storeFolder)
	if err != nil {
		return err
	}
	ids, err := kept.Runs()
	if err != nil {
		return fail(ExitInfrastructure, err)
	}
	slices.Reverse(ids)
	var runs []past
	known := map[string]bool{}
	for _, id := range ids {
		r, err := report.Summarise(kept.RunDir(id))
		if err != nil {
			continue // a run without a readable log has no history
		}
		for _, art := range r.Artifacts {
			known[art.Artifact] = true
			if art.Artifact != artifact || profile != "" && r.Start.Profile != profile {
				continue
			}
			p := past{Run: id, Started: r.Started, Profile: r.Start.Profile, Version: r.Start.Version, Outcome: r.Outcome(), Claims: []checks.Verdict{}}
			for _, c := range art.Claims() {
				if len(claims) == 0 || slices.Contains(claims, c.Claim) {
					p.Claims = append(p.Claims, c.Verdict)
				}
			}
			runs = append(runs, p)
		}
	}
	if len(runs) == 0 {
		hint := "reprise runs lists the recorded runs"
		if profile != "" && known[artifact] {
			hint = "it was run with another profile"
		}
		return fail(ExitUsage, fmt.Errorf("no recorded run of %s", artifact), hint)
	}
	for _, claim := range claims {
		if !slices.ContainsFunc(runs, func(p past) bool {
			return slices.ContainsFunc(p.Claims, func(v checks.Verdict) bool { return v.Claim == claim })
		}) {
			return fail(ExitUsage, fmt.Errorf("no run of %s has a claim %s", artifact, claim))
		}
	}
	if asJSON {
		out := json.NewEncoder(a.stdout)
		for _, p := range runs {
			if err := out.Encode(p); err != nil {
				return fail(ExitInfrastructure, err)
			}
		}
		return nil
	}
	if len(claims) > 0 {
		return a.claimHistory(runs)
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RUN\tPROFILE\tREPRISE\tOUTCOME\tCLAIMS\tCHANGED")
	before := map[string]past{}
	for _, p := range runs {
		var signs strings.Builder
		for _, v := range p.Claims {
			signs.WriteString(v.Outcome.Glyph())
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", p.Run, p.Profile, p.Version, p.Outcome, signs.String(), changes(before[p.Profile], p))
		before[p.Profile] = p
	}
	return table.Flush()
}

// changes names the claims whose verdict differs from that of an earlier run.
func changes(before, now past) string {
	if before.Run == "" {
		return ""
	}
	var out []string
	for _, v := range now.Claims {
		at := slices.IndexFunc(before.Claims, func(b checks.Verdict) bool { return b.Claim == v.Claim })
		switch {
		case at < 0:
			out = append(out, v.Claim+" new")
		case before.Claims[at].Outcome != v.Outcome:
			out = append(out, fmt.Sprintf("%s %s→%s", v.Claim, before.Claims[at].Outcome.Glyph(), v.Outcome.Glyph()))
		}
	}
	return strings.Join(out, ", ")
}

// claimHistory prints the measured values of claims run by run.
func (a *app) claimHistory(runs []past) error {
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RUN\tPROFILE\tCLAIM\tVERDICT\tMEASURED")
	for _, p := range runs {
		for _, v := range p.Claims {
			measured := v.Reason
			if len(v.Results) > 0 {
				measured = v.Results[0].String()
			}
			if v.Outcome == "" {
				measured = "no verdict"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s %s\t%s\n", p.Run, p.Profile, v.Claim, v.Outcome.Glyph(), v.Outcome, measured)
		}
	}
	return table.Flush()
}
