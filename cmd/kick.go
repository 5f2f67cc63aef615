package cmd

import (
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"reprise/artifacts"
	"reprise/chameleon"
	"reprise/runner/device"
	"reprise/runner/node"
)

func (a *app) kickCommand() *cobra.Command {
	f := runFlags{profile: "kick", headless: true}
	var look bool
	c := &cobra.Command{
		Use:   "kick [ARTIFACT|PATH …]",
		Short: "Answer an evaluator's questions, and run the smallest scale to the end",
		Long: `Kick the tires: answer the eight questions that artifact evaluators are told to
ask, for one artifact or all, and run its experiments at the smallest scale.

Everything is known before anything is spent: minutes of your attention and of
computing, memory and disk at each scale against what this machine has, the
programs that it would need, and the service units of a leased platform. Names
of machines and users are not printed, so that the output can go into a review.

Exit codes are those of reprise run.`,
		Example: `  reprise kick                 every artifact
  reprise kick heimdall
  reprise kick heimdall --look  only the questions, nothing is run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			manifests, err := a.loadAll(args)
			if err != nil {
				return err
			}
			for _, m := range manifests {
				if err := a.questions(m, f.store); err != nil {
					return err
				}
			}
			if look {
				return nil
			}
			fmt.Fprintf(a.stdout, "Q7 and Q8. A simple experiment to completion, and the numbers to expect\n\n")
			return a.runArtifacts(cmd, args, f)
		},
	}
	c.Flags().BoolVar(&look, "look", false, "answer what can be answered without running anything")
	storeFlag(c, &f.store)
	return c
}

// questions answers those that need no run, under the numbers that the
// evaluators' guide of sysartifacts gives them.
func (a *app) questions(m *artifacts.Manifest, store string) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "# %s: %s\n", m.Artifact, m.Title)
	if m.Paper.Venue != "" {
		fmt.Fprintf(w, "%s %s%s\n", m.Paper.Venue, m.Paper.DOI, m.Paper.URL)
	}
	fmt.Fprintf(w, "\nQ1 and Q2. The central claims, and how each is tested\n\n")
	for _, id := range m.ClaimIDs() {
		c := m.Claims[id]
		decided := c.Profiles
		if len(decided) == 0 {
			decided = slices.SortedFunc(maps.Keys(m.Experiments[c.Experiment].Profiles), byScale)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n\t\tby %s (%s), decided in %s; %s (%s)\n", id, c.Experiment, oneLine(c.Statement),
			c.Experiment, oneLine(m.Experiments[c.Experiment].Title), strings.Join(decided, ", "), c.Source.Where, c.Source.Kind)
	}
	fmt.Fprintf(w, "\nQ3. The code\n\n")
	for _, name := range slices.Sorted(maps.Keys(m.Sources)) {
		s := m.Sources[name]
		fmt.Fprintf(w, "%s\t%s%s%s\t%s%s\n", name, s.Git, s.Archive, s.Path, s.Commit, s.SHA256)
	}
	builtin := 0
	for _, e := range m.Experiments {
		if e.Run.Builtin != "" {
			builtin++
		}
	}
	fmt.Fprintf(w, "%d of %s are written in Go, in reprise itself; reprise show %s --profile kick says what the others run\n", builtin, count(len(m.Experiments), "experiment"), m.Artifact)

	here := node.ThisMachine()
	fmt.Fprintf(w, "\nQ4 and Q5. The hardware\n\n")
	fmt.Fprintf(w, "SCALE\tATTENTION\tCOMPUTE\tMEMORY\tDISK\tMACHINE\n")
	for _, profile := range artifacts.ProfileNames {
		n, err := needsOf(m, profile)
		if err != nil {
			return fail(ExitManifest, err)
		}
		if n.cost.Experiments == 0 {
			continue
		}
		where := "this one"
		if len(n.platforms) > 0 {
			where = strings.Join(n.platforms, ", ")
		}
		fmt.Fprintf(w, "%s\t%s\tat most %s\t%s\t%s\t%s\n", profile, artifacts.Duration(time.Duration(n.cost.HumanMinutes*float64(time.Minute))), artifacts.Duration(n.cost.Compute),
			known(n.memory > 0, n.memory), known(n.disk > 0, n.disk), where)
	}
	kick, err := needsOf(m, "kick")
	if err != nil {
		return fail(ExitManifest, err)
	}
	fmt.Fprintln(w)
	fmt.Fprintf(w, "this machine\t%s\n", here)
	a.preflight(w, kick, here, store)
	for _, name := range slices.Sorted(maps.Keys(m.Platforms)) {
		p := m.Platforms[name]
		if p.Provider == "chameleon" {
			a.testbed(w, m, name)
		}
		for _, wanted := range slices.Sorted(maps.Keys(p.Devices)) {
			want := p.Devices[wanted]
			has := "this machine has it, and nothing uses it"
			disks, err := device.This()
			if err == nil {
				_, err = device.Choose(map[string]artifacts.Device{wanted: want}, disks)
			}
			if err != nil {
				has = "this machine does not have it free"
			}
			fmt.Fprintf(w, "platform %s\tneeds %s to overwrite; %s\n", name, device.Describe(want), has)
		}
	}
	exclusive := []string{}
	for _, id := range m.ExperimentIDs() {
		if m.Experiments[id].Exclusive {
			exclusive = append(exclusive, id)
		}
	}
	if len(exclusive) > 0 {
		fmt.Fprintf(w, "%s measure wall-clock time: nothing else should run on their machine\n", strings.Join(exclusive, ", "))
	}
	fmt.Fprintf(w, "\nQ6. Installing it\n\nreprise %s is installed and has read the manifest without a finding that stops it\n\n", version())
	if err := w.Flush(); err != nil {
		return fail(ExitInfrastructure, err)
	}
	return nil
}

func byScale(a, b string) int {
	return slices.Index(artifacts.ProfileNames, a) - slices.Index(artifacts.ProfileNames, b)
}

func known(is bool, size artifacts.Size) string {
	if !is {
		return "-"
	}
	return size.String()
}

// needs are what a profile of an artifact asks of a machine.
type needs struct {
	cost      artifacts.Cost
	memory    artifacts.Size // of the step that takes most
	disk      artifacts.Size // of all experiments
	platforms []string
	programs  []string // that shell steps begin commands with, as far as they are plain
	secrets   []string // that shell steps are handed from the environment
}

func needsOf(m *artifacts.Manifest, profile string) (needs, error) {
	cost, err := m.Cost(profile)
	n := needs{cost: cost}
	for _, id := range m.ExperimentIDs() {
		e := m.Experiments[id]
		p, has := e.Profiles[profile]
		if !has {
			continue
		}
		n.memory, n.disk = max(n.memory, p.Memory), n.disk+p.Disk
		if p.Platform != "" && !slices.Contains(n.platforms, p.Platform) {
			n.platforms = append(n.platforms, p.Platform)
		}
		n.secrets = append(n.secrets, e.SecretNames()...)
		for _, s := range e.Run.Steps {
			for line := range strings.Lines(s.Sh) {
				if words := strings.Fields(line); len(words) > 1 && words[0] == "command" && words[1] == "-v" && len(words) > 2 {
					n.programs = append(n.programs, words[2])
				}
			}
		}
	}
	return n, err
}

// preflight holds the smallest scale's needs against this machine.
func (a *app) preflight(w io.Writer, n needs, here node.Machine, store string) {
	say := func(ok bool, what, is string) {
		sign := "✓"
		if !ok {
			sign = "✗"
		}
		fmt.Fprintf(w, "%s %s\t%s\n", sign, what, is)
	}
	if n.memory > 0 && here.Memory > 0 {
		say(uint64(n.memory) <= here.Memory, "memory", fmt.Sprintf("%s of %s", n.memory, artifacts.Size(here.Memory>>30<<30)))
	}
	if folder, err := a.storeDir(store); err == nil {
		// The store may not be there yet; its nearest parent is on the same disk.
		for at := folder; ; at = filepath.Dir(at) {
			if free, ok := node.FreeSpace(at); ok {
				say(uint64(n.disk) <= free && free > 100<<20, "disk", fmt.Sprintf("%s free for results, at least %s wanted", artifacts.Size(free>>30<<30), max(n.disk, 100<<20)))
				break
			}
			if at == filepath.Dir(at) {
				break
			}
		}
	}
	for _, program := range n.programs {
		path, err := exec.LookPath(program)
		say(err == nil, program, path)
	}
	slices.Sort(n.secrets)
	for _, name := range slices.Compact(n.secrets) {
		is := "in the environment, handed to the steps that ask for it"
		if a.getenv(name) == "" {
			is = "not set; steps ask for it"
		}
		say(a.getenv(name) != "", name, is)
	}
	if traces := a.getenv("REPRISE_TRACES"); traces != "" {
		_, err := os.Stat(traces)
		say(err == nil, "real traces", "the folder that REPRISE_TRACES names")
	}
}

// testbed says what a leased platform costs, before anything is spent.
func (a *app) testbed(w io.Writer, m *artifacts.Manifest, platform string) {
	sites, err := a.sites()
	if err != nil {
		return
	}
	plan, err := chameleon.NewPlan(m, sites, chameleon.Request{Platform: platform, Profile: "paper"})
	if err != nil {
		fmt.Fprintf(w, "%s\t%v\n", platform, err)
		return
	}
	fmt.Fprintf(w, "platform %s\t%d × %s at %s for %s: %.1f service units; reprise run %s --profile paper --dry-run explains them\n",
		platform, plan.Count, plan.Hardware(), plan.Site.Name, artifacts.Duration(plan.Lease), plan.SU(), m.Artifact)
	found := "are here; reprise chameleon login --check tries them"
	if _, err := chameleon.FindCredentials(plan.Site, "", a.getenv); err != nil {
		found = "are not here"
	}
	fmt.Fprintf(w, "platform %s\tcredentials of %s %s\n", platform, plan.Site.Name, found)
}
