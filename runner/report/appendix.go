package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"reprise/artifacts"
)

// Appendix writes an artifact's appendix after the template that SOSP and
// EuroSys share: how to get it, what it needs, its claims, and each experiment
// with the minutes of a person and of a machine. Where a run of the artifact is
// given, what it measured takes the place of the manifest's estimates.
//
// The format is markdown or latex.
func Appendix(w io.Writer, m *artifacts.Manifest, r *Run, format string) error {
	a := &appendix{m: m, measured: map[string]*Experiment{}}
	if r != nil {
		a.run = r
		for _, x := range r.Experiments() {
			if x.Artifact == m.Artifact {
				a.measured[x.Experiment] = x
			}
		}
		if len(a.measured) == 0 {
			return fmt.Errorf("run %s is not of %s", r.ID, m.Artifact)
		}
	}
	switch format {
	case "markdown":
		a.markup = markdownAppendix{}
	case "latex":
		a.markup = latexAppendix{}
	default:
		return fmt.Errorf("no format %q; there are markdown, latex, repeto and trovi", format)
	}
	a.write()
	_, err := io.WriteString(w, a.text.String())
	return err
}

type appendix struct {
	markup
	m        *artifacts.Manifest
	run      *Run
	measured map[string]*Experiment
	text     strings.Builder
}

// markup is how a format says things.
type markup interface {
	begin(title string) string
	end() string
	section(depth int, title string) string
	item(term, text string) string
	list(open bool) string
	code(text string) string
	plain(text string) string
}

func (a *appendix) say(format string, args ...any) { fmt.Fprintf(&a.text, format, args...) }

func (a *appendix) write() {
	m := a.m
	a.say("%s", a.begin("Artifact appendix: "+m.Title))
	a.say("%s", a.section(1, "Abstract"))
	a.say("%s\n", a.plain(strings.Join(strings.Fields(m.Description), " ")))

	a.say("%s", a.section(1, "Description and requirements"))
	a.say("%s", a.section(2, "How to access"))
	a.say("%s", a.list(true))
	if m.License != "" {
		a.say("%s", a.item("Licence", m.License))
	}
	for _, name := range sortedKeys(m.Sources) {
		s := m.Sources[name]
		a.say("%s", a.item(name, strings.TrimSpace(s.Git+s.Archive+s.Path+" "+s.Commit+s.SHA256)))
	}
	a.say("%s", a.item("Runner", "reprise "+a.version()+", one static binary"))
	a.say("%s", a.list(false))

	a.say("%s", a.section(2, "Hardware dependencies"))
	a.say("%s", a.list(true))
	a.say("%s", a.item("kick and local scale", "any machine with Linux or macOS"))
	for _, name := range sortedKeys(m.Platforms) {
		a.say("%s", a.item(name, platform(m.Platforms[name])))
	}
	if a.run != nil {
		for i, n := range a.run.Nodes {
			a.say("%s", a.item(fmt.Sprintf("measured on machine %d", i+1), n.Machine.String()))
		}
	}
	a.say("%s", a.list(false))
	a.say("%s", a.section(2, "Software dependencies"))
	if packages := a.packages(); len(packages) > 0 {
		a.say("%s\n", a.plain("Packages that the machines are prepared with: "+strings.Join(packages, ", ")+"."))
	} else {
		a.say("%s\n", a.plain("None beside the runner: its experiments are built in, or their steps install what they need."))
	}
	a.say("%s", a.section(1, "Set-up"))
	a.say("%s", a.code("reprise kick "+m.Artifact))

	a.say("%s", a.section(1, "Evaluation workflow"))
	a.say("%s", a.section(2, "Major claims"))
	if len(m.Claims) == 0 {
		a.say("%s\n", a.plain("The artifact makes no claims."))
	} else {
		a.claims()
	}

	a.say("%s", a.section(2, "Experiments"))
	for _, id := range m.ExperimentIDs() {
		a.experiment(id, m.Experiments[id])
	}
	a.say("%s", a.end())
}

func (a *appendix) claims() {
	m := a.m
	a.say("%s", a.list(true))
	for _, id := range m.ClaimIDs() {
		c := m.Claims[id]
		a.say("%s", a.item(id, fmt.Sprintf("%s. This is shown by experiment %s; %s (%s).", strings.TrimSuffix(strings.Join(strings.Fields(c.Statement), " "), "."), c.Experiment, c.Source.Where, c.Source.Kind)))
	}
	a.say("%s", a.list(false))
}

func (a *appendix) version() string {
	if a.run != nil {
		return a.run.Start.Version
	}
	return ""
}

func platform(p artifacts.Platform) string {
	switch p.Provider {
	case "local":
		return "any machine"
	case "chameleon":
		return fmt.Sprintf("%d × %s at %s, image %s", p.Machines(), p.Hardware(), p.Site, p.Image)
	}
	return fmt.Sprintf("%d × a machine reached by %s", max(p.Count, len(p.Hosts), 1), p.Provider)
}

func (a *appendix) packages() []string {
	var all []string
	for _, name := range sortedKeys(a.m.Platforms) {
		for _, p := range a.m.Platforms[name].Prepare {
			all = append(all, p.Packages...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (a *appendix) experiment(id string, e artifacts.Experiment) {
	profile, scale := e.Profiles["local"], "local"
	for _, name := range []string{"local", "paper", "kick"} {
		if p, ok := e.Profiles[name]; ok {
			profile, scale = p, name
			break
		}
	}
	compute, how := time.Duration(profile.Compute), "at most"
	x := a.measured[id]
	if x != nil {
		if took := x.computed(); took > 0 {
			compute, how, scale = took, "measured", a.run.Start.Profile
		}
	}
	a.say("%s", a.section(3, fmt.Sprintf("Experiment %s: %s [%s human-minutes, %s %s of computing]", id, e.Title, number(e.HumanMinutes), how, took(compute))))
	a.say("%s", a.list(true))
	needs := []string{}
	if profile.Memory > 0 {
		needs = append(needs, profile.Memory.String()+" of memory")
	}
	if profile.Disk > 0 {
		needs = append(needs, profile.Disk.String()+" of disk")
	}
	if x != nil {
		if peak := x.peak(); peak > 0 {
			needs = append(needs, size(peak)+" of memory used by a step at its peak")
		}
		if disk := x.disk(); disk > 0 {
			needs = append(needs, size(disk)+" of disk taken by what its steps left")
		}
	}
	for _, name := range e.SecretNames() {
		needs = append(needs, "a value of one's own for "+name+" in the environment")
	}
	if e.Exclusive {
		needs = append(needs, "a machine on which nothing else runs")
	}
	preparation := "none"
	if len(needs) > 0 {
		preparation = strings.Join(needs, ", ")
	}
	a.say("%s", a.item("Preparation", preparation))
	a.say("%s", a.item("Execution", fmt.Sprintf("reprise run %s --only %s --profile %s", a.m.Artifact, id, scale)))
	for _, claim := range a.m.ClaimIDs() {
		if a.m.Claims[claim].Experiment == id {
			a.say("%s", a.item("Results, "+claim, a.results(x, claim)))
		}
	}
	a.say("%s", a.list(false))
}

// results says what became of a claim in the run, or what is to be expected.
func (a *appendix) results(x *Experiment, claim string) string {
	if x != nil {
		for _, c := range x.Claims {
			if c.Claim != claim || c.Outcome == "" {
				continue
			}
			lines := []string{string(c.Outcome)}
			for _, r := range c.Results {
				lines = append(lines, r.String())
			}
			return strings.Join(lines, "; ")
		}
	}
	return "the verdict that reprise prints, with the expected band and the value measured"
}

// computed is how long the steps of an experiment took, one after another.
func (e *Experiment) computed() time.Duration {
	var sum time.Duration
	for _, s := range e.Steps {
		sum += s.Took()
	}
	return sum
}

// peak is the most memory that a step took, in bytes.
func (e *Experiment) peak() uint64 {
	var most uint64
	for _, s := range e.Steps {
		most = max(most, s.MaxRSS)
	}
	return most
}

// disk is what all steps of an experiment left on disk, in bytes.
func (e *Experiment) disk() uint64 {
	var sum uint64
	for _, s := range e.Steps {
		sum += s.Disk
	}
	return sum
}

func number(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }

type markdownAppendix struct{}

func (markdownAppendix) begin(title string) string { return "# " + inline(title) + "\n" }
func (markdownAppendix) end() string               { return "" }
func (markdownAppendix) section(depth int, title string) string {
	return "\n" + strings.Repeat("#", depth+1) + " " + inline(title) + "\n\n"
}
func (markdownAppendix) item(term, text string) string {
	return "- **" + inline(term) + "**: " + inline(text) + "\n"
}
func (markdownAppendix) list(bool) string         { return "" }
func (markdownAppendix) code(text string) string  { return "```console\n$ " + text + "\n```\n" }
func (markdownAppendix) plain(text string) string { return inline(text) }

type latexAppendix struct{}

var latexEscapes = strings.NewReplacer(
	`\`, `\textbackslash{}`, `{`, `\{`, `}`, `\}`, `$`, `\$`, `&`, `\&`, `#`, `\#`, `%`, `\%`, `_`, `\_`, `~`, `\textasciitilde{}`, `^`, `\textasciicircum{}`,
	`<`, `\textless{}`, `>`, `\textgreater{}`, `|`, `\textbar{}`, "\"", "''", "±", `$\pm$`, "×", `$\times$`, "−", `$-$`, "∞", `$\infty$`, "–", "--", "≤", `$\le$`, "≥", `$\ge$`,
	"→", `$\to$`, "§", `\S{}`, "µ", `$\mu$`, "…", `\ldots{}`, "·", `$\cdot$`, "²", `$^2$`, "⁰", `$^0$`)

func latex(text string) string { return latexEscapes.Replace(strings.Join(strings.Fields(text), " ")) }

func (latexAppendix) begin(title string) string {
	return "% Made by reprise appendix. Include it with \\input, or compile it as it stands.\n" +
		"\\documentclass[10pt]{article}\n\\usepackage[utf8]{inputenc}\n\\usepackage[T1]{fontenc}\n\\begin{document}\n\\appendix\n\\section*{" + latex(title) + "}\n"
}
func (latexAppendix) end() string { return "\\end{document}\n" }
func (latexAppendix) section(depth int, title string) string {
	return "\n\\" + map[int]string{1: "subsection", 2: "subsubsection", 3: "paragraph"}[depth] + "*{" + latex(title) + "}\n"
}
func (latexAppendix) item(term, text string) string {
	return "\\item[" + latex(term) + "] " + latex(text) + "\n"
}
func (latexAppendix) list(open bool) string {
	if open {
		return "\\begin{description}\n"
	}
	return "\\end{description}\n"
}
func (latexAppendix) code(text string) string  { return "\\noindent\\texttt{" + latex(text) + "}\n" }
func (latexAppendix) plain(text string) string { return latex(text) }
