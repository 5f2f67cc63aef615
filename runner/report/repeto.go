package report

import (
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"reprise/artifacts"
	"reprise/checks"
)

// Repeto writes what the REPETO initiative asks of an artifact on Chameleon's
// Trovi: the preamble of its badge, and the two checklists of the report on
// practical reproducibility (Keahey et al., 2025, doi 10.5281/zenodo.15306610,
// appendices A and B), filled from the manifest, its README.md and, if there is
// one, a run of it. What neither tells is left to the authors, and says so.
func Repeto(w io.Writer, m *artifacts.Manifest, r *Run, readme []byte) error {
	p := &paperwork{m: m, readme: strings.ToLower(string(readme))}
	if err := p.of(r); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("# " + inline(m.Title) + "\n\n")
	b.WriteString(p.preamble())
	for _, list := range []struct {
		title    string
		sections []section
	}{{"Experiment packaging checklist", p.packaging()}, {"Experiment style checklist", p.style()}} {
		fmt.Fprintf(&b, "\n## %s\n", list.title)
		for _, s := range list.sections {
			fmt.Fprintf(&b, "\n### %s\n\n", s.title)
			for _, i := range s.items {
				box := " "
				if i.state == yes {
					box = "x"
				}
				says := i.says
				switch {
				case i.state == forPeople:
					says = "for the authors to say"
				case says != "":
					says = inline(says)
				}
				fmt.Fprintf(&b, "- [%s] %s: %s\n", box, i.asks, says)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// paperwork is what forms are filled from.
type paperwork struct {
	m      *artifacts.Manifest
	run    *Run // nil: none
	readme string
}

// of takes in the run, which has to be of the manifest.
func (p *paperwork) of(r *Run) error {
	if r != nil && !slices.ContainsFunc(r.Artifacts, func(a *Artifact) bool { return a.Artifact == p.m.Artifact }) {
		return fmt.Errorf("run %s is not of %s", r.ID, p.m.Artifact)
	}
	p.run = r
	return nil
}

// preamble has the five parts that the badge asks for, in Markdown.
func (p *paperwork) preamble() string {
	var b strings.Builder
	m := p.m
	about := sentences(m.Description, 2)
	if about == "" {
		about = m.Title
	}
	fmt.Fprintf(&b, "**Description.** %s\n\n", inline(about))
	fmt.Fprintf(&b, "**Paper.** %s\n\n", inline(p.citation()))
	b.WriteString("**Estimated time to reproduce.**\n\n")
	for _, profile := range artifacts.ProfileNames {
		minutes, compute, experiments := 0.0, artifacts.Duration(0), 0
		for _, e := range m.Experiments {
			if at, has := e.Profiles[profile]; has {
				minutes, compute, experiments = minutes+e.HumanMinutes, compute+at.Compute, experiments+1
			}
		}
		if experiments > 0 {
			attention := number(minutes) + " minutes of a person's attention"
			if minutes == 0 {
				attention = "a person's attention is not stated (human_minutes)"
			}
			fmt.Fprintf(&b, "- %s scale: %s, at most %s of computing (%s)\n", profile, attention, compute, plural(experiments, "experiment"))
		}
	}
	if r := p.run; r != nil {
		fmt.Fprintf(&b, "- measured at %s scale: %s in all\n", r.Start.Profile, took(r.Ended.Sub(r.Started)))
	}
	b.WriteString("\n**Reproducibility status.** " + inline(p.status()) + "\n\n")
	support := m.Support
	if support == "" {
		support = "not stated by the authors (the manifest's key support)"
	}
	fmt.Fprintf(&b, "**Support status.** %s\n", inline(support))
	return b.String()
}

func (p *paperwork) citation() string {
	m := p.m
	title := m.Title
	if m.Paper.Title != "" {
		title = m.Paper.Title
	}
	link := m.Paper.URL
	if m.Paper.DOI != "" {
		link = "https://doi.org/" + m.Paper.DOI
	}
	if link == "" {
		link = "no address is given"
	}
	return joinNonEmpty(". ", strings.Join(m.Paper.Authors, ", "), title, m.Paper.Venue, link)
}

// status says how reproducibility was verified, if it was.
func (p *paperwork) status() string {
	r := p.run
	if r == nil {
		return "No run is given here; reprise appendix --format repeto --run RUN fills this in."
	}
	n := map[checks.Outcome]int{}
	total := 0
	for _, a := range r.Artifacts {
		if a.Artifact == p.m.Artifact {
			for _, c := range a.Claims() {
				total++
				n[c.Outcome]++
			}
		}
	}
	return fmt.Sprintf("A run of reprise %s on %s at %s scale checked the %s against the paper's figures: %s. It ended as: %s. No person's judgement and no badge is recorded here.",
		r.Start.Version, r.Started.UTC().Format("2006-01-02"), r.Start.Profile, plural(total, "claim"), counted(n), r.ending())
}

// sentences are the first n sentences of a text.
func sentences(text string, n int) string {
	text = strings.Join(strings.Fields(text), " ")
	ends := sentenceEnd.FindAllStringIndex(text, n)
	if len(ends) < n {
		return text
	}
	return text[:ends[n-1][0]+1]
}

var sentenceEnd = regexp.MustCompile(`[.!?](?: |$)`)

type section struct {
	title string
	items []item
}

// item is a question of a checklist, in few words.
type item struct {
	asks  string
	state answer
	says  string // how it is met, or what is lacking
}

type answer int

const (
	no answer = iota
	yes
	forPeople // neither manifest, README.md nor run tells
)

func met(asks string, is bool, how, lacking string) item {
	if is {
		return item{asks, yes, how}
	}
	return item{asks, no, "lacking: " + lacking}
}

func person(asks string) item { return item{asks: asks, state: forPeople} }

// mentioned is met where README.md has one of the words, else for people.
func (p *paperwork) mentioned(asks string, words ...string) item {
	for _, w := range words {
		if strings.Contains(p.readme, w) {
			return item{asks, yes, "README.md speaks of it (" + w + ")"}
		}
	}
	return person(asks)
}

func (p *paperwork) packaging() []section {
	m := p.m
	var unpinned, unversioned, hosts, platforms, images []string
	for _, name := range sortedKeys(m.Sources) {
		s := m.Sources[name]
		if s.Path != "" {
			unpinned = append(unpinned, name)
		}
		if u, err := url.Parse(s.Git + s.Archive); err == nil && u.Host != "" && !slices.Contains(hosts, u.Host) {
			hosts = append(hosts, u.Host)
		}
	}
	overwrites := false
	for _, name := range sortedKeys(m.Platforms) {
		at := m.Platforms[name]
		platforms = append(platforms, name+": "+platform(at))
		if at.Image != "" {
			images = append(images, at.Image)
		}
		overwrites = overwrites || len(at.Devices) > 0
		for _, step := range at.Prepare {
			for _, pkg := range step.Packages {
				if !strings.Contains(pkg, "=") {
					unversioned = append(unversioned, pkg)
				}
			}
		}
	}
	builtin, needs, seeds := true, []string{}, []string{}
	var anywhere []string
	for _, id := range m.ExperimentIDs() {
		e := m.Experiments[id]
		builtin = builtin && e.Run.Builtin != ""
		for _, profile := range artifacts.ProfileNames {
			at, has := e.Profiles[profile]
			if !has {
				continue
			}
			if at.Platform == "" {
				anywhere = append(anywhere, id+" "+profile)
			}
			if what := joinNonEmpty(" and ", sizeOf(at.Memory, "memory"), sizeOf(at.Disk, "disk")); what != "" {
				needs = append(needs, fmt.Sprintf("%s %s %s", id, profile, what))
			}
			trials := e.Matrix.Repeat
			if list, is := at.With["seeds"].([]any); is {
				trials = len(list)
			}
			if trials > 1 {
				seeds = append(seeds, fmt.Sprintf("%s %s %d", id, profile, trials))
			}
		}
	}
	var system []string
	governor := false
	if p.run != nil {
		for _, n := range p.run.Nodes {
			system = append(system, n.OS+" "+n.Kernel)
			governor = governor || n.CommandLine != ""
		}
		slices.Sort(system)
		system = slices.Compact(system)
	}
	pinned := len(unpinned) == 0
	unpinnedText := "pin " + strings.Join(unpinned, ", ") + " to a commit or digest"
	scales := p.scales()
	persistent := slices.ContainsFunc(hosts, func(h string) bool { return strings.Contains(h, "zenodo") || strings.Contains(h, "doi.org") })
	return []section{
		{"Hardware", []item{
			met("resources quantified", len(needs) > 0, strings.Join(needs, "; "), "give profiles the keys memory and disk"),
			met("how to get the hardware", true, either(strings.Join(platforms, "; "), "any machine"), ""),
			met("the smallest scale that is worth running", len(scales) > 1, "profiles "+strings.Join(scales, ", "), "give experiments a smaller profile, kick or local"),
			met("settings that affect results", governor, "each run records governor, kernel command line and memory nodes; firmware settings (BIOS) are not recorded", "give a run with --run: it records governor and kernel command line"),
			met("equivalents where hardware is special", len(anywhere) > 0, fmt.Sprintf("on any machine: %s", strings.Join(anywhere, ", ")), "give experiments a profile without a platform"),
		}},
		{"Software", []item{
			met("all source code", builtin || len(m.Sources) > 0, either(p.sources(), "the experiments are part of reprise"), "list it under sources"),
			met("dependencies with versions or commits", pinned && len(unversioned) == 0, "every source is pinned, every package has its version", joinNonEmpty("; ", unlessEmpty(unpinned, unpinnedText), unlessEmpty(unversioned, "name the versions of "+strings.Join(unversioned, ", ")))),
			person("licences of all dependencies agree"),
			met("configuration with the parameters used", true, "artifact.yaml has every parameter of every profile", ""),
			met("operating systems required and tested", len(system)+len(images) > 0, joinNonEmpty("; ", strings.Join(images, ", "), prefixed("run on ", strings.Join(system, ", "))), "give a run with --run, or a platform's image"),
			met("environment packaged", builtin || len(images) > 0, either(strings.Join(images, ", "), "one static binary"), "name an image of the platform, or build in a container"),
			person("how to get licences of proprietary software"),
			met("the exact version of the paper", pinned, either(p.sources(), "reprise's version")+"; whether it is the paper's is for the authors to say", unpinnedText),
			met("privileges and security", builtin || overwrites, either(strings.Join(p.overwritten(), "; "), "runs as an ordinary user, in folders of its own"), "say in README.md what runs with privileges"),
		}},
		{"Data", []item{
			met("input data or generators", builtin || len(m.Sources) > 0, either(p.sources(), "the experiments generate their input"), "list it under sources"),
			met("several seeds or trials", len(seeds) > 0, strings.Join(seeds, "; "), "give the matrix repeat, or a profile seeds"),
			met("versions, origin and access of data", pinned, either(p.sources(), "generated"), unpinnedText),
			met("downloads with persistent identifiers", persistent || len(hosts) == 0, either(strings.Join(hosts, ", "), "nothing is downloaded"), "reprise downloads from "+strings.Join(hosts, ", ")+"; put it in an archive that gives DOIs"),
			met("a reduced data set for quick tests", slices.Contains(scales, "kick"), "profile kick", "give an experiment the profile kick"),
			person("preprocessing is described"),
			met("integrity of inputs is checked before the run", pinned, "reprise compares every source with its commit or digest", unpinnedText),
		}},
		{"Artifact longevity", []item{
			met("how long it will be maintained", year.MatchString(m.Support), m.Support, "say until when in the key support"),
			met("persistent identifiers", m.Paper.DOI != "" || persistent, prefixed("the paper's DOI ", m.Paper.DOI), "give paper a doi"),
			met("dependencies that may end its life", true, either(prefixed("it downloads from ", strings.Join(hosts, ", ")), "it downloads nothing"), ""),
			met("whom to ask", m.Support != "", m.Support, "say so in the key support"),
		}},
	}
}

var year = regexp.MustCompile(`\b20[0-9]{2}\b`)

func (p *paperwork) style() []section {
	m := p.m
	exact, bounded := 0, 0
	metrics := []string{}
	for _, id := range m.ClaimIDs() {
		for _, check := range m.Claims[id].Checks {
			if check.Exact() {
				exact++
			} else {
				bounded++
			}
			if name := check.Metric(); name != "" && !slices.Contains(metrics, name) {
				metrics = append(metrics, name)
			}
		}
	}
	slices.Sort(metrics)
	claims := len(m.Claims) > 0
	uncovered := []string{}
	for _, id := range m.ExperimentIDs() {
		if !m.Serves(id) {
			uncovered = append(uncovered, id)
		}
	}
	builtin := true
	for _, e := range m.Experiments {
		builtin = builtin && e.Run.Builtin != ""
	}
	guide := strings.Contains(p.readme, "reprise run") || strings.Contains(p.readme, "reprise kick")
	scales := p.scales()
	repeats := 0
	noisy := ""
	if p.run != nil {
		for _, a := range p.run.Artifacts {
			for _, c := range a.Claims() {
				for _, r := range c.Results {
					repeats = max(repeats, r.N)
				}
			}
		}
		noisy = "each run records what else used the processors"
	}
	perPhase := []string{}
	for _, id := range m.ExperimentIDs() {
		for _, profile := range artifacts.ProfileNames {
			if at, has := m.Experiments[id].Profiles[profile]; has {
				perPhase = append(perPhase, fmt.Sprintf("%s %s %s", id, profile, at.Compute))
			}
		}
	}
	hardcoded := person("nothing hard-coded, no passwords")
	changeable := person("what may change is a parameter")
	if builtin {
		hardcoded = met("nothing hard-coded, no passwords", true, "the experiments take parameters only", "")
		changeable = met("what may change is a parameter", true, "--param NAME=VALUE", "")
	}
	return []section{
		{"Structure", []item{
			met("phases", true, "reprise prepares machines, runs the steps, and judges the claims", ""),
			met("a guide through all of it", guide, "README.md shows the commands", "show reprise run or reprise kick in README.md"),
			met("parts can be run alone", true, "reprise run "+m.Artifact+" --only "+strings.Join(m.ExperimentIDs(), " --only "), ""),
			person("folders and names that explain themselves"),
		}},
		{"Validation", []item{
			met("a check after each phase", claims && len(uncovered) == 0, "every experiment serves a claim that is checked", either(prefixed("nothing checks ", strings.Join(uncovered, ", ")), "list claims")),
			met("samples of expected output", claims, fmt.Sprintf("%s with the paper's figures", plural(len(m.Claims), "claim")), "list claims"),
			met("automatic tests", slices.Contains(scales, "kick") && claims, "reprise kick "+m.Artifact, "give an experiment the profile kick, and list claims"),
			p.mentioned("warnings that can be ignored", "warning", "harmless"),
			p.mentioned("help with common trouble", "trouble", "if it fails", "goes wrong"),
		}},
		{"Configuration", []item{
			met("one place for all parameters", true, "artifact.yaml, and --param on the command line", ""),
			hardcoded, changeable,
			met("defaults for everything", true, "every profile has all parameters", ""),
			met("experiment apart from environment", true, "experiments and platforms are apart in artifact.yaml", ""),
			met("the environment is checked first", true, "reprise kick "+m.Artifact+" --look compares needs with the machine", ""),
		}},
		{"Reproducibility condition", []item{
			met("what counts as reproduced", claims, fmt.Sprintf("%s exact, %s within bounds", plural(exact, "check"), plural(bounded, "check")), "list claims with checks"),
			met("thresholds", claims, "every check has its bounds, and every tolerance its reason", "list claims with checks"),
			met("metrics", len(metrics) > 0, strings.Join(metrics, ", "), "list claims with checks"),
			met("sources of variation, and statistics", repeats > 1, fmt.Sprintf("up to %d repeats, 95 %% intervals", repeats), "give a run with --run that repeats its measurements"),
			met("a tool that compares results", claims, "reprise judges each claim when its experiment ends", "list claims with checks"),
		}},
		{"Time and resource estimates", []item{
			met("of the whole", len(scales) > 0, "see the preamble", "give profiles their compute"),
			met("of each phase, and progress", len(perPhase) > 0, "at most "+strings.Join(perPhase, ", ")+"; reprise shows progress", "give profiles their compute"),
			met("where one waits", true, "reprise run --dry-run lists the steps with their limits", ""),
			met("what else may disturb the times", noisy != "", noisy, "give a run with --run: it records what else used the processors"),
			met("how needs grow", len(scales) > 1, "the profiles "+strings.Join(scales, ", ")+" side by side in the preamble", "give a second profile"),
			person("advice for other hardware"),
		}},
	}
}

// scales are the profiles that some experiment has.
func (p *paperwork) scales() []string {
	return slices.DeleteFunc(slices.Clone(artifacts.ProfileNames), func(name string) bool {
		for _, e := range p.m.Experiments {
			if _, has := e.Profiles[name]; has {
				return false
			}
		}
		return true
	})
}

func (p *paperwork) sources() string {
	var list []string
	for _, name := range sortedKeys(p.m.Sources) {
		s := p.m.Sources[name]
		list = append(list, joinNonEmpty(" ", name, s.Git+s.Archive+s.Path, short12(s.Commit+s.SHA256)))
	}
	return strings.Join(list, "; ")
}

// overwritten says which disks are destroyed.
func (p *paperwork) overwritten() []string {
	var list []string
	for _, name := range sortedKeys(p.m.Platforms) {
		for _, device := range sortedKeys(p.m.Platforms[name].Devices) {
			list = append(list, fmt.Sprintf("on %s it overwrites the disks %s, and none that is in use", name, device))
		}
	}
	return list
}

func sizeOf(n artifacts.Size, what string) string {
	if n == 0 {
		return ""
	}
	return n.String() + " of " + what
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func unlessEmpty(list []string, text string) string {
	if len(list) == 0 {
		return ""
	}
	return text
}
