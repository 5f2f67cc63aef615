package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"reprise/artifacts"
)

func (a *app) showCommand() *cobra.Command {
	var profile string
	var asJSON, readme bool
	c := &cobra.Command{
		Use:   "show ARTIFACT",
		Short: "Show an artifact's claims, their sources, and its experiments",
		Long: `Show what an artifact claims and where the paper says so, and its experiments
with their time budgets and the number of points they run at. With a profile it
shows that profile's machine, limits, axes and parameters as well.

ARTIFACT is the name of one that reprise ships, a manifest, or the folder of one.`,
		Example: `  reprise show codesign
  reprise show codesign --profile paper
  reprise show my/artifact --json
  reprise show codesign --readme`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			manifests, err := a.loadAll(args)
			if err != nil {
				return err
			}
			m := manifests[0]
			switch {
			case readme:
				return a.showReadme(m)
			case asJSON:
				return a.showJSON(m, profile)
			}
			return a.showText(m, profile)
		},
	}
	c.Flags().StringVar(&profile, "profile", "", "show the experiments in this profile: kick, local or paper")
	among(c.Flags(), "profile", artifacts.ProfileNames...)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.Flags().BoolVar(&readme, "readme", false, "print the artifact's README.md instead")
	c.MarkFlagsMutuallyExclusive("json", "readme")
	return c
}

func (a *app) showReadme(m *artifacts.Manifest) error {
	text, err := m.Readme()
	if errors.Is(err, fs.ErrNotExist) {
		return fail(ExitManifest, fmt.Errorf("artifact %s has no README.md", m.Artifact))
	}
	if err == nil {
		_, err = a.stdout.Write(text)
	}
	if err != nil {
		return fail(ExitInfrastructure, err)
	}
	return nil
}

type shown struct {
	Artifact    string            `json:"artifact"`
	Title       string            `json:"title"`
	Description string            `json:"description,omitempty"`
	Venue       string            `json:"venue,omitempty"`
	DOI         string            `json:"doi,omitempty"`
	File        string            `json:"file"`
	Digest      string            `json:"digest"`
	Claims      []shownClaim      `json:"claims"`
	Experiments []shownExperiment `json:"experiments"`
}

type shownClaim struct {
	ID         string   `json:"id"`
	Statement  string   `json:"statement"`
	Where      string   `json:"where"`
	Kind       string   `json:"kind"`
	Experiment string   `json:"experiment"`
	Profiles   []string `json:"profiles"`
	Checks     int      `json:"checks"`
}

type shownExperiment struct {
	ID           string                  `json:"id"`
	Title        string                  `json:"title"`
	HumanMinutes float64                 `json:"human_minutes"`
	Needs        []string                `json:"needs,omitempty"`
	Builtin      string                  `json:"builtin,omitempty"`
	Steps        []string                `json:"steps,omitempty"`
	Secrets      []string                `json:"secrets,omitempty"`
	Profiles     map[string]shownProfile `json:"profiles"`
}

type shownProfile struct {
	ComputeSeconds float64          `json:"compute_seconds"`
	MemoryBytes    uint64           `json:"memory_bytes,omitempty"`
	DiskBytes      uint64           `json:"disk_bytes,omitempty"`
	Platform       string           `json:"platform,omitempty"`
	Points         int              `json:"points"`
	Axes           []artifacts.Axis `json:"axes"`
	With           map[string]any   `json:"with,omitempty"`

	compute      artifacts.Duration
	memory, disk artifacts.Size
}

// describe gathers what is shown of m: its experiments in one profile, or in
// all when profile is empty.
func describe(m *artifacts.Manifest, profile string) (shown, error) {
	s := shown{
		Artifact: m.Artifact, Title: m.Title, Description: strings.TrimSpace(m.Description), Venue: m.Paper.Venue, DOI: m.Paper.DOI,
		File: m.File, Digest: m.Digest, Claims: []shownClaim{}, Experiments: []shownExperiment{},
	}
	for _, id := range m.ClaimIDs() {
		c := m.Claims[id]
		decided := c.Profiles
		if decided == nil {
			decided = slices.DeleteFunc(slices.Clone(artifacts.ProfileNames), func(p string) bool {
				_, has := m.Experiments[c.Experiment].Profiles[p]
				return !has
			})
		}
		s.Claims = append(s.Claims, shownClaim{id, strings.TrimSpace(c.Statement), c.Source.Where, c.Source.Kind, c.Experiment, decided, len(c.Checks)})
	}
	for _, id := range m.ExperimentIDs() {
		e := m.Experiments[id]
		x := shownExperiment{ID: id, Title: e.Title, HumanMinutes: e.HumanMinutes, Needs: e.Needs, Builtin: e.Run.Builtin, Secrets: e.SecretNames(), Profiles: map[string]shownProfile{}}
		for _, step := range e.Run.Steps {
			x.Steps = append(x.Steps, step.Name)
		}
		for name, p := range e.Profiles {
			if profile != "" && name != profile {
				continue
			}
			points, err := e.Count(name, nil)
			if err != nil {
				return shown{}, fmt.Errorf("experiment %s: %w", id, err)
			}
			axes, err := e.Axes(name)
			if err != nil {
				return shown{}, fmt.Errorf("experiment %s: %w", id, err)
			}
			x.Profiles[name] = shownProfile{
				ComputeSeconds: time.Duration(p.Compute).Seconds(), MemoryBytes: uint64(p.Memory), DiskBytes: uint64(p.Disk),
				Platform: p.Platform, Points: points, Axes: axes, With: p.With, compute: p.Compute, memory: p.Memory, disk: p.Disk,
			}
		}
		s.Experiments = append(s.Experiments, x)
	}
	return s, nil
}

func (a *app) showJSON(m *artifacts.Manifest, profile string) error {
	s, err := describe(m, profile)
	if err != nil {
		return fail(ExitManifest, err)
	}
	if err := json.NewEncoder(a.stdout).Encode(s); err != nil {
		return fail(ExitInfrastructure, err)
	}
	return nil
}

func (a *app) showText(m *artifacts.Manifest, profile string) error {
	s, err := describe(m, profile)
	if err != nil {
		return fail(ExitManifest, err)
	}
	fmt.Fprintf(a.stdout, "%s: %s\n", s.Artifact, s.Title)
	for _, line := range []string{s.Venue, s.DOI} {
		if line != "" {
			fmt.Fprintln(a.stdout, line)
		}
	}
	if s.Description != "" {
		fmt.Fprintf(a.stdout, "\n%s\n", s.Description)
	}

	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	if len(s.Claims) > 0 {
		fmt.Fprintln(table, "\nCLAIM\tEXPERIMENT\tDECIDED IN\tSOURCE\tSTATEMENT")
	}
	for _, c := range s.Claims {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s (%s)\t%s\n", c.ID, c.Experiment, strings.Join(c.Profiles, ", "), c.Where, c.Kind, oneLine(c.Statement))
	}
	if profile == "" {
		tableOfBudgets(table, s.Experiments)
	} else {
		tableOfProfile(table, s.Experiments, profile)
	}
	if err := table.Flush(); err != nil {
		return fail(ExitInfrastructure, err)
	}
	return nil
}

func tableOfBudgets(table io.Writer, experiments []shownExperiment) {
	fmt.Fprintln(table, "\nEXPERIMENT\tKICK\tLOCAL\tPAPER\tBY HAND\tTITLE")
	for _, e := range experiments {
		fmt.Fprint(table, e.ID)
		for _, name := range artifacts.ProfileNames {
			if p, has := e.Profiles[name]; has {
				fmt.Fprintf(table, "\t%s", budget(p.compute, p.Points))
			} else {
				fmt.Fprint(table, "\t-")
			}
		}
		fmt.Fprintf(table, "\t%s\t%s\n", byHand(e.HumanMinutes), oneLine(e.Title))
	}
}

func tableOfProfile(table io.Writer, experiments []shownExperiment, profile string) {
	orDash := func(set bool, text fmt.Stringer) string {
		if !set {
			return "-"
		}
		return text.String()
	}
	fmt.Fprintln(table, "\nEXPERIMENT\tCOMPUTE\tPOINTS\tMEMORY\tDISK\tPLATFORM\tBY HAND\tRUNS\tTITLE")
	for _, e := range experiments {
		p, has := e.Profiles[profile]
		if !has {
			fmt.Fprintf(table, "%s\t-\t-\t-\t-\t-\t-\t-\t%s\n", e.ID, oneLine(e.Title))
			continue
		}
		runs := e.Builtin
		if runs == "" {
			runs = strings.Join(e.Steps, ", ")
		}
		platform := p.Platform
		if platform == "" {
			platform = "this machine"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, p.compute, p.Points, orDash(p.memory > 0, p.memory), orDash(p.disk > 0, p.disk), platform, byHand(e.HumanMinutes), runs, oneLine(e.Title))
	}
	fmt.Fprintln(table, "\nEXPERIMENT\tPARAMETER\tVALUES")
	for _, e := range experiments {
		p := e.Profiles[profile]
		axes := map[string]bool{"seeds": true}
		for _, axis := range p.Axes {
			axes[axis.Name] = true
			fmt.Fprintf(table, "%s\t%s\t%s (axis)\n", e.ID, axis.Name, values(axis.Values))
		}
		for _, name := range e.Secrets {
			fmt.Fprintf(table, "%s\t%s\tfrom the environment, secret\n", e.ID, name)
		}
		for _, name := range slices.Sorted(maps.Keys(p.With)) {
			if !axes[name] {
				fmt.Fprintf(table, "%s\t%s\t%s\n", e.ID, name, strings.ReplaceAll(artifacts.FormatValue(p.With[name]), ",", ", "))
			}
		}
	}
}

// values lists an axis' values, the middle left out where there are many.
func values(all []any) string {
	const most = 12
	texts := make([]string, 0, most)
	for i, v := range all {
		if len(all) > most && i >= most-2 && i < len(all)-1 {
			if i == most-2 {
				texts = append(texts, "…")
			}
			continue
		}
		texts = append(texts, artifacts.FormatValue(v))
	}
	return strings.Join(texts, ", ")
}

func byHand(minutes float64) string {
	if minutes == 0 {
		return "-"
	}
	return artifacts.Duration(minutes * float64(time.Minute)).String()
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
