// Package export writes a plan as a script that runs without the engine: for a
// shell, GNU parallel, Slurm or make. The scripts share the shell functions of
// lib.sh and have one line for each step. Built-in experiments are called as
// `reprise exec`, shell steps run as they stand, and `reprise extract` reads
// the observations; the files that appear are
//
//	OUT/steps/STEP/       work/, stdout.log, stderr.log, outputs/, observations.jsonl
//	  done                the step has succeeded and is not run again
//	OUT/observations.jsonl  of all steps, in the plan's order
package export

import (
	"bufio"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"reprise/runner"
)

// Formats are the kinds of scripts.
var Formats = []string{"sh", "parallel", "slurm", "make"}

// Options say what stands in a script beside the plan.
type Options struct {
	Format  string
	Made    string                        // by what: a line without a newline
	Remarks []string                      // for who runs it
	Sources map[SourceID]string           // where the sources of the plan's steps are
	Slurm   func(s *runner.Step) []string // sbatch's arguments for a step
}

// SourceID names a source across artifacts.
type SourceID struct{ Artifact, Source string }

//go:embed lib.sh
var library string

// script is a plan on its way to a script.
type script struct {
	*bufio.Writer
	plan    *runner.Plan
	options Options
	folders map[string]string // of steps, by id
	sets    map[string]int    // lists of needed steps, by content
	lists   [][]string
	waves   map[string]int // by step: how many steps stand before it at most
	inline  bool           // a step has to be one line
	byID    map[string]*runner.Step
}

// Write writes the plan's script.
func Write(out io.Writer, p *runner.Plan, o Options) error {
	x := &script{
		Writer: bufio.NewWriter(out), plan: p, options: o, inline: o.Format != "sh",
		folders: map[string]string{}, sets: map[string]int{}, waves: map[string]int{},
	}
	for _, s := range p.Steps {
		x.folders[s.ID] = folder(s)
		for _, id := range s.After {
			x.waves[s.ID] = max(x.waves[s.ID], x.waves[id]+1)
		}
	}
	if o.Format == "slurm" && slices.ContainsFunc(p.Steps, func(s *runner.Step) bool { return len(secrets(s)) > 0 }) {
		return ErrSecrets
	}
	write, known := map[string]func(*script) error{"sh": (*script).sh, "parallel": (*script).parallel, "slurm": (*script).slurm, "make": (*script).makefile}[o.Format]
	if !known {
		return fmt.Errorf("no format %q; there are %s", o.Format, strings.Join(Formats, ", "))
	}
	if err := write(x); err != nil {
		return err
	}
	return x.Flush()
}

// ErrSecrets says that a step is handed secrets, which Slurm would keep in files.
var ErrSecrets = errors.New("steps are handed secrets from the environment, which Slurm would keep in files")

// secrets are the variables that a step is handed.
func secrets(s *runner.Step) []string {
	if s.Shell == nil {
		return nil
	}
	return s.Shell.Secrets
}

// folder names a step's folder: for people by its id, and by its content, so
// that a plan that has changed takes nothing for done that is not.
func folder(s *runner.Step) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, s.ID)
	const most = 80
	sum := sha256.Sum256([]byte(s.ID + "\n" + s.Key))
	return fmt.Sprintf("%s-%x", name[:min(len(name), most)], sum[:6])
}

// quote makes one word for a shell of a text.
func (x *script) quote(text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=,:+@%") == "" {
		return text
	}
	text = "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	if x.inline {
		text = strings.ReplaceAll(text, "\n", `'"$nl"'`)
	}
	return text
}

func (x *script) quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = x.quote(w)
	}
	return strings.Join(quoted, " ")
}

// name makes a variable's name of a text.
func name(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, text)
}

// line is what runs a step. Its parts are verbs of the library.
func (x *script) line(s *runner.Step, parts ...string) (string, error) {
	at := x.folders[s.ID]
	begin := []string{at, s.ID}
	var inputs []string
	for _, in := range s.Inputs {
		begin = append(begin, x.folders[in])
		if earlier := x.step(in); earlier.Shell != nil && len(earlier.Shell.Outputs) > 0 {
			inputs = append(inputs, x.folders[in])
		}
	}
	verbs := []string{"begin " + x.quoteAll(begin)}
	if list := x.needs(s); list >= 0 && x.options.Format != "make" {
		verbs = append(verbs, fmt.Sprintf("needs %d", list))
	}
	if len(inputs) > 0 {
		verbs = append(verbs, "inputs "+x.quoteAll(inputs))
	}
	for _, name := range secrets(s) {
		verbs = append(verbs, "secret "+name)
	}
	for _, d := range slices.Sorted(maps.Keys(s.Devices)) {
		what, err := json.Marshal(s.Devices[d])
		if err != nil {
			return "", err
		}
		verbs = append(verbs, fmt.Sprintf("device %s %s", runner.DeviceVariable(d), x.quote(string(what))))
	}
	verbs = append(verbs, parts...)
	const program = "\x00"
	argv, err := runner.Argv(s, program)
	if err != nil {
		return "", err
	}
	words := []string{"run", strconv.FormatFloat(s.Limit.Seconds(), 'f', -1, 64)}
	env := runner.Environ(s)
	if len(env)+len(s.Sources) > 0 {
		words = append(words, "env")
	}
	for _, source := range slices.Sorted(maps.Keys(s.Sources)) {
		words = append(words, fmt.Sprintf(`%s="$%s"`, runner.SourceVariable(source), sourceName(s.Artifact, source)))
	}
	words = append(words, x.quoteAll(env))
	for _, w := range argv {
		if w == program {
			words = append(words, `"$REPRISE"`)
		} else {
			words = append(words, x.quote(w))
		}
	}
	verbs = append(verbs, strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " "))
	finish := "finish"
	if c := runner.CollectionOf(s); c.Report || len(c.Outputs)+len(c.Extract) > 0 {
		spec, err := json.Marshal(c)
		if err != nil {
			return "", err
		}
		finish += " " + x.quote(string(spec))
	}
	verbs = append(verbs, finish)
	if x.inline {
		return "( " + strings.Join(verbs, " && ") + " )", nil
	}
	return "(\n\t" + strings.Join(verbs, " &&\n\t") + "\n)", nil
}

// unless is a line that does nothing for a step that has succeeded.
func (x *script) unless(s *runner.Step) (string, error) {
	line, err := x.line(s)
	return fmt.Sprintf(`[ -e "$OUT/steps/%s/done" ] || %s`, x.folders[s.ID], line), err
}

func sourceName(artifact, source string) string { return name("source_" + artifact + "_" + source) }

func (x *script) step(id string) *runner.Step {
	if x.byID == nil {
		x.byID = x.plan.ByName()
	}
	return x.byID[id]
}

// needs gives the number of the list of steps that a step needs beside its
// inputs, -1 for none.
func (x *script) needs(s *runner.Step) int {
	var list []string
	for _, id := range s.After {
		if !slices.Contains(s.Inputs, id) {
			list = append(list, x.folders[id])
		}
	}
	if len(list) == 0 {
		return -1
	}
	content := strings.Join(list, "\n")
	n, known := x.sets[content]
	if !known {
		n = len(x.lists)
		x.sets[content] = n
		x.lists = append(x.lists, list)
	}
	return n
}

// head writes what a script says of itself.
func (x *script) head(how ...string) {
	var out = "name of the folder for what the steps leave (here " + x.out() + ")"
	fmt.Fprintf(x, "# %s\n#\n", x.options.Made)
	for _, text := range append(how, x.options.Remarks...) {
		fmt.Fprintf(x, "# %s\n", text)
	}
	fmt.Fprintf(x, "#\n# What has succeeded is not run again. Variables:\n#   OUT      %s\n#   REPRISE  this program, for built-in experiments and for reading observations\n", out)
	if slices.ContainsFunc(x.plan.Steps, func(s *runner.Step) bool { return s.Builtin != nil && s.Builtin.ReadsTraces }) {
		fmt.Fprintln(x, "#   REPRISE_TRACES  folder of real traces")
	}
	named := map[string]bool{}
	for _, s := range x.plan.Steps {
		for _, name := range secrets(s) {
			if !named[name] {
				named[name] = true
				fmt.Fprintf(x, "#   %s  a secret that %s and maybe others need; all steps see it, and no log is cleared of it\n", name, s.ID)
			}
		}
	}
	for _, id := range x.sources() {
		fmt.Fprintf(x, "#   %s  where that source is\n", sourceName(id.Artifact, id.Source))
	}
	fmt.Fprintln(x)
}

func (x *script) out() string {
	var names []string
	for _, m := range x.plan.Artifacts {
		names = append(names, m.Artifact)
	}
	return strings.Join(append(names, x.plan.Profile), "-")
}

func (x *script) sources() []SourceID {
	return slices.SortedFunc(maps.Keys(x.options.Sources), func(a, b SourceID) int {
		return strings.Compare(a.Artifact+" "+a.Source, b.Artifact+" "+b.Source)
	})
}

// lib is the library with what this plan sets in it.
func (x *script) lib() string {
	text := strings.ReplaceAll(library, "@OUT@", x.out())
	for _, id := range x.sources() {
		n := sourceName(id.Artifact, id.Source)
		text += fmt.Sprintf("[ -n \"${%[1]s-}\" ] || %[1]s=%[2]s\nexport %[1]s\n", n, x.quote(x.options.Sources[id]))
	}
	return text
}

// folderLists writes the lists of needed steps as commands.
func (x *script) folderLists() {
	for n, list := range x.lists {
		fmt.Fprintf(x, "cat >\"$OUT/needs-%d\" <<'EOF'\n%s\nEOF\n", n, strings.Join(list, "\n"))
	}
}

// collect writes the command that joins the observations.
func (x *script) collect() {
	fmt.Fprintln(x, "collect <<'EOF'")
	for _, s := range x.plan.Steps {
		fmt.Fprintln(x, x.folders[s.ID])
	}
	fmt.Fprintln(x, "EOF")
}
