package artifacts

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"reprise/checks"
)

// formatVersion is the version of the manifest format this package reads.
const formatVersion = 1

// kickBudget is how long all experiments of an artifact together should take
// in profile kick.
const kickBudget = 2 * time.Minute

// maxPointsInAll bounds the points of all experiments and profiles together.
const maxPointsInAll = 4 * MaxPoints

// validate checks what the types alone cannot say: references between the
// parts of a manifest, and what an experiment's parameters come to.
func (d *decoder) validate(m *Manifest) {
	if d.keys["reprise"] != nil && !d.broken("reprise") && m.Version != formatVersion {
		d.errorf("reprise", fmt.Sprintf("this reprise reads version %d", formatVersion), "version %d of the manifest format is not known", m.Version)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Platforms)) {
		d.platform(m, name)
	}
	for _, id := range m.ExperimentIDs() {
		d.experiment(m, id)
	}
	d.cycles(m)
	d.kick(m)
	for _, id := range m.ClaimIDs() {
		c, at := m.Claims[id], "claims."+id
		if c.Experiment != "" {
			reference(d, at+".experiment", c.Experiment, "experiment", "experiments", m.Experiments)
		}
		e, known := m.Experiments[c.Experiment]
		for i, p := range c.Profiles {
			if known && e.Profiles != nil {
				reference(d, fmt.Sprintf("%s.profiles[%d]", at, i), p, "profile of "+c.Experiment, "profiles", e.Profiles)
			}
		}
		if known {
			d.labels(c, e, at)
		}
	}
}

// platform checks what a platform demands of its machines.
func (d *decoder) platform(m *Manifest, name string) {
	p, at := m.Platforms[name], "platforms."+name
	for _, device := range slices.Sorted(maps.Keys(p.Devices)) {
		v, at := p.Devices[device], at+".devices."+device
		if _, err := path.Match(v.Model, ""); err != nil {
			d.errorf(at+".model", "* stands for any text, ? for one character", "model %q is no pattern", v.Model)
		}
		if v.Count < 0 {
			d.errorf(at+".count", "", "count is below 0")
		}
		if v.Model == "" && v.Kind == "" && v.Size == 0 {
			d.errorfKey(at, "say model, kind or size", "any disk of the machine would do, and be overwritten")
		}
	}
	if p.Provider == "local" && len(p.Prepare) > 0 {
		d.errorfKey(at+".prepare", "say in the artifact's page what a person has to install", "the machine that reprise runs on is never prepared")
	}
	named := map[string]bool{}
	for i, step := range p.Prepare {
		at := fmt.Sprintf("%s.prepare[%d]", at, i)
		if named[step.Name] {
			d.errorf(at+".name", "", "two steps of the preparation are named %q", step.Name)
		}
		named[step.Name] = true
		kinds := 0
		for _, has := range []bool{len(step.Packages) > 0, step.Sh != "", step.Reboot != ""} {
			if has {
				kinds++
			}
		}
		if kinds != 1 && !d.broken(at) {
			d.errorf(at, "", "%s has to give one of packages, sh and reboot, and gives %d", step.Name, kinds)
		}
		for j, pkg := range step.Packages {
			if !packageName.MatchString(pkg) {
				d.errorf(fmt.Sprintf("%s.packages[%d]", at, j), "write name or name=version", "%q names no package", pkg)
			}
		}
		if _, err := path.Match(step.Reboot, ""); err != nil {
			d.errorf(at+".reboot", "* stands for any text, ? for one character", "reboot %q is no pattern", step.Reboot)
		}
		for j, s := range step.Sources {
			reference(d, fmt.Sprintf("%s.sources[%d]", at, j), s, "source", "sources", m.Sources)
		}
	}
}

// packageName is what may be handed to a package manager as a name.
var packageName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+_:-]*(=[A-Za-z0-9.+:~*-]+)?$`)

// labels reports labels of a claim's checks that no observation of the
// experiment can carry. A built-in experiment adds labels of its own, which
// only its observations show.
func (d *decoder) labels(c checks.Claim, e Experiment, at string) {
	if len(e.Run.Steps) == 0 || d.broken("experiments."+c.Experiment+".run") || d.broken("experiments."+c.Experiment+".matrix") {
		return
	}
	has := map[string]bool{}
	for _, axis := range e.axisOrder() {
		has[axis] = true
	}
	add := func(names ...string) {
		for _, name := range names {
			has[name] = true
		}
	}
	extracts := 0
	for _, s := range e.Run.Steps {
		extracts += len(s.Extract)
		if s.Role != "" {
			add(RoleLabel)
		}
		for _, x := range s.Extract {
			add(slices.Collect(maps.Keys(x.Labels))...)
			if x.Regex != nil {
				if re, err := regexp.Compile(x.Regex.Line); err == nil {
					add(re.SubexpNames()...)
				}
			}
			if x.CSV != nil {
				add(x.CSV.Labels...)
			}
			if x.JSON != nil {
				add(slices.Collect(maps.Keys(x.JSON.Labels))...)
			}
		}
	}
	if extracts == 0 {
		return // no observation at all, whatever its labels
	}
	for _, name := range []string{"", "value", "metric", "unit"} {
		delete(has, name)
	}
	known := slices.Sorted(maps.Keys(has))
	add("seed", "repeat", "experiment") // given by the runner; the check itself says what they are not for
	for i, check := range c.Checks {
		check.EachLabel(func(path, label string) {
			if path = fmt.Sprintf("%s.checks[%d].%s", at, i, path); label != "" && !has[label] && !d.broken(path) {
				d.errorf(path, suggestAmong(label, known, "labels"), "no observation of %s has the label %q", c.Experiment, label)
			}
		})
	}
}

// reference reports a name that a section does not have. When the section
// itself could not be read nothing is said.
func reference[V any](d *decoder, at, name, what, section string, has map[string]V) {
	if _, ok := has[name]; ok || d.lost[section] || d.bad[section] || d.bad[at] || d.full() {
		return
	}
	d.errorf(at, suggestAmong(name, sortedIDs(has), section), "there is no %s %q", what, name)
}

// suggested is the way to mend an error, if it knows one.
func suggested(err error) string {
	var m interface{ Suggestion() string }
	if errors.As(err, &m) {
		return m.Suggestion()
	}
	return ""
}

func (d *decoder) experiment(m *Manifest, id string) {
	e, at := m.Experiments[id], "experiments."+id
	if e.HumanMinutes < 0 {
		d.errorf(at+".human_minutes", "", "human_minutes is below 0")
	}
	for i, need := range e.Needs {
		reference(d, fmt.Sprintf("%s.needs[%d]", at, i), need, "experiment", "experiments", m.Experiments)
	}
	for i, s := range e.Sources {
		reference(d, fmt.Sprintf("%s.sources[%d]", at, i), s, "source", "sources", m.Sources)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Profiles)) {
		if p := e.Profiles[name]; p.Platform != "" {
			reference(d, at+".profiles."+name+".platform", p.Platform, "platform", "platforms", m.Platforms)
			if len(m.Platforms[p.Platform].Devices) > 0 && !e.Exclusive {
				d.errorfKey(at+".profiles."+name+".platform", "set exclusive: true", "steps that overwrite the devices of %s must not run beside each other", p.Platform)
			}
		}
	}
	devices := map[string]Device{}
	for _, p := range e.Profiles {
		maps.Copy(devices, m.Platforms[p.Platform].Devices)
	}
	for i, step := range e.Run.Steps {
		for j, name := range step.Preconditions {
			reference(d, fmt.Sprintf("%s.run[%d].preconditions[%d]", at, i, j), name, "device", "devices of its platforms", devices)
		}
	}
	d.matrix(e, at+".matrix")
	if e.Run.Builtin != "" && !d.broken(at+".run") {
		d.builtin(e, at)
	}
	d.steps(e, at)
	d.roles(m, e, at)
	if d.broken(at+".matrix") || d.broken(at+".profiles") || d.broken(at+".run") {
		return
	}
	// What the checks above do not single out, the expansion itself finds.
	said := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(e.Profiles)) {
		x, err := e.expansion(name, nil)
		if err == nil {
			if d.points += x.size(); d.points > maxPointsInAll {
				if d.points-x.size() <= maxPointsInAll {
					d.errorfKey(at+".matrix", "", "the matrices of the manifest have more than %d points in all", maxPointsInAll)
				}
				return
			}
			err = x.each(func([]any) {})
		}
		if err != nil && !said[err.Error()] {
			said[err.Error()] = true
			if strings.HasPrefix(err.Error(), "exclude") {
				d.errorfKey(at+".matrix.exclude", suggested(err), "profile %s: %v", name, err)
			} else {
				d.errorfKey(at+".profiles."+name, suggested(err), "profile %s: %v", name, err)
			}
		}
	}
}

// cycles reports experiments that wait for each other.
func (d *decoder) cycles(m *Manifest) {
	const visiting, done = 1, 2
	state := map[string]int{}
	var stack []string
	var visit func(id string)
	visit = func(id string) {
		state[id] = visiting
		stack = append(stack, id)
		for i, need := range m.Experiments[id].Needs {
			switch state[need] {
			case visiting:
				circle := append(slices.Clone(stack[slices.Index(stack, need):]), need)
				d.errorf(fmt.Sprintf("experiments.%s.needs[%d]", id, i), "", "needs go in a circle: %s", strings.Join(circle, " → "))
			case 0:
				if _, known := m.Experiments[need]; known {
					visit(need)
				}
			}
		}
		stack = stack[:len(stack)-1]
		state[id] = done
	}
	for _, id := range m.ExperimentIDs() {
		if state[id] == 0 {
			visit(id)
		}
	}
}

func (d *decoder) kick(m *Manifest) {
	total, single := time.Duration(0), false
	for _, id := range m.ExperimentIDs() {
		compute := time.Duration(m.Experiments[id].Profiles["kick"].Compute)
		if total += compute; compute > kickBudget {
			single = true
			d.warnf("experiments."+id+".profiles.kick.compute", "give it less to do, or leave it to profile local", "profile kick is to prove that everything works; all experiments together should take under %s", Duration(kickBudget))
		}
	}
	if total > kickBudget && !single {
		n := d.keyAt("experiments")
		d.report(SeverityWarning, n.Line, n.Column, "", fmt.Sprintf("profile kick takes %s over all experiments; it should take under %s", Duration(total), Duration(kickBudget)), "")
	}
}

// seeded says whether some profile of e runs over seeds.
func seeded(e Experiment) bool {
	for _, p := range e.Profiles {
		if p.With["seeds"] != nil {
			return true
		}
	}
	return e.Matrix.Repeat > 0
}

func (d *decoder) matrix(e Experiment, at string) {
	if d.keys[at] == nil || d.broken(at) {
		return
	}
	m := e.Matrix
	if len(m.Axes) == 0 && len(m.Zip) == 0 && d.keys[at+".repeat"] == nil {
		d.errorfKey(at, "give it an axis, or remove it", "the matrix is empty")
		return
	}
	if d.keys[at+".repeat"] != nil && m.Repeat < 1 {
		d.errorf(at+".repeat", "", "repeat must be at least 1")
	}
	if _, both := m.Axes["seed"]; both && m.Repeat > 0 {
		d.errorfKey(at+".repeat", "give one of the two", "repeat makes the axis seed, which the matrix has already")
	}
	if _, is := m.Axes["seeds"]; is {
		d.errorfKey(at+".seeds", `did you mean "seed"?`, "the axis of seeds is called seed")
	}
	for _, name := range slices.Sorted(maps.Keys(m.Axes)) {
		d.axis(at+"."+name, name, m.Axes[name])
	}
	home := map[string]string{}
	for i, group := range m.Zip {
		at := fmt.Sprintf("%s.zip[%d]", at, i)
		if len(group) == 0 {
			d.errorf(at, "", "the zip group is empty")
		}
		names := slices.Sorted(maps.Keys(group))
		// The order of the file tells which axis is the odd one out.
		slices.SortFunc(names, func(a, b string) int { return slices.Index(m.order, a) - slices.Index(m.order, b) })
		for _, name := range names {
			d.axis(at+"."+name, name, group[name])
			if _, twice := m.Axes[name]; twice || home[name] != "" {
				d.errorfKey(at+"."+name, "", "axis %q is in the matrix twice", name)
			}
			home[name] = at
			if first := names[0]; len(group[name]) != len(group[first]) && len(group[name]) > 0 && len(group[first]) > 0 {
				d.errorf(at+"."+name, "axes of a group need as many values each", "zipped axes differ in length: %s has %d, %s has %d", first, len(group[first]), name, len(group[name]))
			}
		}
	}
	axes := axisWords(e)
	for i, text := range m.Exclude {
		d.exclude(axes, fmt.Sprintf("%s.exclude[%d]", at, i), text)
	}
}

func (d *decoder) axis(at, name string, values []any) {
	if len(values) == 0 {
		d.errorf(at, "give it values, or remove it", "axis %q has no values", name)
	}
	first := map[string]int{}
	for i, v := range values {
		at := fmt.Sprintf("%s[%d]", at, i)
		if _, is := v.([]any); is {
			d.errorf(at, "", "a value of an axis is a text, a number or a truth value, not a list")
			continue
		}
		label := FormatValue(v)
		if _, twice := first[label]; twice {
			d.errorf(at, "", "axis %q has the value %s twice", name, label)
		}
		first[label] = i
	}
}

// words are the values of an axis in any profile that are no quantities.
type words struct {
	all  []string
	has  map[string]bool
	free bool // any value may come: a seed
}

// axisWords gathers the words of every axis that e has in some profile.
func axisWords(e Experiment) map[string]*words {
	axes := map[string]*words{}
	add := func(name string, values []any) {
		w := axes[name]
		if w == nil {
			w = &words{has: map[string]bool{}}
			axes[name] = w
		}
		for _, v := range values {
			if _, is := quantity(v); !is && !w.has[FormatValue(v)] {
				w.all, w.has[FormatValue(v)] = append(w.all, FormatValue(v)), true
			}
		}
	}
	for name, values := range e.Matrix.Axes {
		add(name, values)
	}
	for _, g := range e.Matrix.Zip {
		for name, values := range g {
			add(name, values)
		}
	}
	for _, profile := range slices.Sorted(maps.Keys(e.Profiles)) {
		for name, v := range e.Profiles[profile].With {
			if list, is := v.([]any); axes[name] != nil && is {
				add(name, list)
			} else if axes[name] != nil {
				add(name, []any{v})
			}
		}
	}
	if seeded(e) && axes["seed"] == nil {
		axes["seed"] = &words{free: true}
	}
	return axes
}

// exclude checks one condition of a matrix against its axes.
func (d *decoder) exclude(axes map[string]*words, at, text string) {
	if d.full() {
		return
	}
	c, err := parseCondition(text)
	if err != nil {
		var mistake *conditionError
		offset := 0
		if errors.As(err, &mistake) {
			offset = mistake.at
		}
		d.errorInText(at, text, offset, "in this condition: "+err.Error(), "")
		return
	}
	for _, r := range c.names {
		axis := axes[r.name]
		switch {
		case axis == nil:
			d.errorInText(at, text, r.at, fmt.Sprintf("there is no axis %q", r.name), suggestAmong(r.name, slices.Sorted(maps.Keys(axes)), "axes"))
			continue
		case axis.free:
			continue
		case r.numeric && len(axis.all) > 0:
			d.errorInText(at, text, r.at, fmt.Sprintf("axis %q has the value %q, which is no number to compare with", r.name, axis.all[0]), "use == or in")
		}
		for _, want := range r.values {
			if _, is := quantity(want); !is && !axis.has[FormatValue(want)] {
				d.warnf(at, DidYouMean(FormatValue(want), axis.all), "axis %q never has the value %q", r.name, FormatValue(want))
			}
		}
	}
}

// errorInText reports an error at a byte offset of a text, when the text stands
// in the file as it is; otherwise at its beginning.
func (d *decoder) errorInText(at, text string, offset int, message, suggestion string) {
	n := follow(d.valueAt(at))
	line, col := n.Line, n.Column
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		col++
	}
	if line >= 1 && line <= len(d.lines) {
		source := []rune(d.lines[line-1])
		if from := min(max(col-1, 0), len(source)); strings.HasPrefix(string(source[from:]), text) {
			d.report(SeverityError, line, col+utf8.RuneCountInString(text[:min(offset, len(text))]), at, message, suggestion)
			return
		}
	}
	d.errorAt(n, at, message, suggestion)
}

// errorAtToken reports an error where token first stands in the source of the
// text at path.
func (d *decoder) errorAtToken(at, token, message, suggestion string) {
	if d.full() {
		return
	}
	n := follow(d.valueAt(at))
	for line := max(n.Line, 1); line <= len(d.lines); line++ {
		text := d.lines[line-1]
		from := 0
		if line == n.Line {
			from = len(string([]rune(text)[:min(max(n.Column-1, 0), utf8.RuneCountInString(text))]))
		}
		if i := strings.Index(text[from:], token); i >= 0 {
			d.report(SeverityError, line, utf8.RuneCountInString(text[:from+i])+1, at, message, suggestion)
			return
		}
	}
	d.errorAt(n, at, message, suggestion)
}

// builtin checks an experiment's parameters against those its built-in takes.
func (d *decoder) builtin(e Experiment, at string) {
	b, ok := LookupBuiltin(e.Run.Builtin)
	if !ok {
		err := unknownBuiltin(e.Run.Builtin)
		d.errorf(at+".run", suggested(err), "%v", err)
		return
	}
	takes := func(at, name string) (Param, bool) {
		p, ok := b.param(name)
		if !ok {
			d.errorfKey(at, suggestAmong(name, b.paramNames(), "parameters"), "%s takes no parameter %q", b.Name, name)
		}
		return p, ok
	}
	convert := func(p Param, at string, v any) {
		if d.broken(at) {
			return
		}
		if _, err := p.convert(v); err != nil {
			d.errorf(at, suggested(err), "%v", err)
		}
	}
	axes := e.axisOrder()
	check := func(at string, values map[string][]any) {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if name == "seeds" { // reported as a mistaken seed
				continue
			}
			if p, ok := takes(at+"."+name, name); ok {
				for i, v := range values[name] {
					convert(p, fmt.Sprintf("%s.%s[%d]", at, name, i), v)
				}
			}
		}
	}
	check(at+".matrix", e.Matrix.Axes)
	for i, g := range e.Matrix.Zip {
		check(fmt.Sprintf("%s.matrix.zip[%d]", at, i), g)
	}
	for _, profile := range slices.Sorted(maps.Keys(e.Profiles)) {
		with := e.Profiles[profile].With
		at := at + ".profiles." + profile
		given := slices.Clone(axes)
		for _, name := range slices.Sorted(maps.Keys(with)) {
			v, at := with[name], at+".with."+name
			if given = append(given, name); name == "seeds" {
				name = "seed"
				given = append(given, name)
			} else if slices.Contains(axes, name) {
				// An unknown axis has been reported where the matrix has it.
				if _, ok := b.param(name); !ok {
					continue
				}
			}
			p, ok := takes(at, name)
			if !ok {
				continue
			}
			if list, is := v.([]any); is && (name == "seed" || slices.Contains(axes, name)) {
				for i, v := range list {
					convert(p, fmt.Sprintf("%s[%d]", at, i), v)
				}
			} else {
				convert(p, at, v)
			}
		}
		for _, p := range b.Params {
			if p.Default == nil && !slices.Contains(given, p.Name) && (p.Name != "seed" || e.Matrix.Repeat == 0) {
				d.errorfKey(at, "", "%s needs the parameter %q (%s)", b.Name, p.Name, p.Doc)
			}
		}
	}
}

// steps checks the shell steps of an experiment together.
// roles checks that every profile's platform has the roles that the steps name.
func (d *decoder) roles(m *Manifest, e Experiment, at string) {
	for i, s := range e.Run.Steps {
		if s.Role == "" {
			continue
		}
		at := fmt.Sprintf("%s.run[%d].role", at, i)
		for _, axis := range e.axisOrder() {
			if axis == RoleLabel {
				d.errorf(at, "call the axis something else", "observations of a step with a role have the label %s, which is an axis too", RoleLabel)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(e.Profiles)) {
			platform := e.Profiles[name].Platform
			p, known := m.Platforms[platform]
			if _, has := p.Nodes[s.Role]; has || platform != "" && !known {
				continue
			}
			if len(p.Nodes) == 0 {
				d.errorf(at, "name a platform with nodes in roles: nodes: {"+s.Role+": 1}", "profile %s has no nodes in roles", name)
			} else {
				d.errorf(at, suggestAmong(s.Role, slices.Sorted(maps.Keys(p.Nodes)), "roles"), "platform %s of profile %s has no role %q", platform, name, s.Role)
			}
		}
	}
}

// RoleLabel is the label of observations that says which node of a role they are
// of: client1.
const RoleLabel = "node"

func (d *decoder) steps(e Experiment, at string) {
	named := map[string]bool{}
	for i, s := range e.Run.Steps {
		at := fmt.Sprintf("%s.run[%d]", at, i)
		if s.Name != "" && named[s.Name] {
			d.errorf(at+".name", "", "the experiment has two steps %q", s.Name)
		}
		named[s.Name] = true
		said := map[string]bool{}
		for _, m := range braced.FindAllStringSubmatch(s.Sh, -1) {
			name := m[1]
			if _, set := s.Env[name]; set || said[name] || slices.Contains(s.Secrets, name) || environment.MatchString(name) || setIn(s.Sh, name) {
				continue
			}
			said[name] = true
			d.variable(e, at+".sh", "${"+name+"}", name)
		}
		d.secrets(e, s, at)
		for _, key := range slices.Sorted(maps.Keys(s.Env)) {
			os.Expand(s.Env[key], func(name string) string {
				if name == "" {
					return ""
				}
				token := "${" + name + "}"
				if !strings.Contains(s.Env[key], token) {
					token = "$" + name
				}
				d.variable(e, at+".env."+key, token, name)
				return ""
			})
		}
	}
}

// secrets checks the variables that a step is handed.
func (d *decoder) secrets(e Experiment, s ShellStep, at string) {
	params := e.axisOrder()
	for _, p := range e.Profiles {
		params = slices.AppendSeq(params, maps.Keys(p.With))
	}
	for i, name := range s.Secrets {
		at := fmt.Sprintf("%s.secrets[%d]", at, i)
		_, set := s.Env[name]
		switch {
		case d.broken(at):
		case slices.Contains(s.Secrets[:i], name):
			d.errorf(at, "", "%s is named twice", name)
		case set:
			d.errorf(at, "name the variable otherwise in one of them", "env gives %s a value of its own", name)
		case slices.Contains(params, name):
			d.errorf(at, "name the parameter otherwise", "%s is a parameter too", name)
		case strings.HasPrefix(name, "REPRISE_"):
			d.errorf(at, "name the variable otherwise", "%s is a name of reprise's own", name)
		case slices.Contains(noSecrets, name):
			d.errorf(at, "every step has it", "%s is no secret", name)
		}
	}
}

// noSecrets are variables that every program needs, and that would be missing
// elsewhere, and in logs, if they were taken for secret.
var noSecrets = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "PWD", "LANG", "TERM", "TZ", "LD_LIBRARY_PATH"}

var (
	braced = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)
	// environment are the names that by convention come from outside.
	environment = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)
)

// setIn says whether a script seems to give the variable a value itself.
func setIn(script, name string) bool {
	set := regexp.MustCompile(`(^|[\s;&|(])` + name + `=|\bfor\s+` + name + `\b|\b(read|getopts)\b[^\n;]*\b` + name + `\b`)
	return set.MatchString(script)
}

// variable reports a variable of a step that is no parameter in some profile.
func (d *decoder) variable(e Experiment, at, token, name string) {
	var lacking, known []string
	for _, profile := range slices.Sorted(maps.Keys(e.Profiles)) {
		with := e.Profiles[profile].With
		names := append(e.axisOrder(), slices.Sorted(maps.Keys(with))...)
		if with["seeds"] != nil || e.Matrix.Repeat > 0 {
			names = append(names, "seed")
		}
		names = slices.DeleteFunc(names, func(n string) bool { return n == "seeds" })
		if !slices.Contains(names, name) {
			lacking = append(lacking, profile)
		}
		known = append(known, names...)
	}
	slices.Sort(known)
	known = slices.Compact(known)
	switch {
	case len(lacking) == 0:
	case len(lacking) == len(e.Profiles):
		d.errorAtToken(at, token, fmt.Sprintf("nothing gives %s a value", token), suggestAmong(name, known, "parameters"))
	default:
		d.errorAtToken(at, token, fmt.Sprintf("%s has no value in profile %s", token, strings.Join(lacking, ", ")), "")
	}
}

// Validate checks that the DOI is bare.
func (p *Paper) Validate(report func(path, message, suggestion string)) {
	if _, bare, found := strings.Cut(p.DOI, "doi.org/"); found {
		report("doi", "the DOI comes without the address of its resolver", fmt.Sprintf("did you mean %q?", bare))
	}
}

var (
	commitForm = regexp.MustCompile(`^[0-9a-f]{40}$`)
	digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
	hexForm    = regexp.MustCompile(`^[0-9a-fA-F]+$`)
)

// Validate checks that the source is of one kind and pinned.
func (s *Source) Validate(report func(path, message, suggestion string)) {
	kinds := 0
	for _, v := range []string{s.Git, s.Archive, s.Path} {
		if v != "" {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		report("", "a source needs exactly one of the keys git, archive and path", "")
		return
	case s.Git != "" && s.Commit == "":
		report("git", "the git source lacks its commit", "pin it: commit: the full hash that git rev-parse HEAD prints")
	case s.Archive != "" && s.SHA256 == "":
		report("archive", "the archive lacks its sha256", "pin it: sha256: the digest that sha256sum prints")
	case s.Path != "" && !filepath.IsLocal(s.Path):
		report("path", fmt.Sprintf("path %q leaves the manifest's folder", s.Path), "give a path inside it")
	}
	switch {
	case s.Commit == "" || commitForm.MatchString(s.Commit) && s.Git != "":
	case s.Git == "":
		report("commit", "commit belongs to a git source", "")
	case commitForm.MatchString(strings.ToLower(s.Commit)):
		report("commit", "a commit is written in small letters", fmt.Sprintf("did you mean %q?", strings.ToLower(s.Commit)))
	case hexForm.MatchString(s.Commit) && len(s.Commit) < 40:
		report("commit", fmt.Sprintf("%q is a shortened commit, which may come to mean another", s.Commit), "give all 40 digits, as git rev-parse prints them")
	default:
		report("commit", fmt.Sprintf("%q is no commit: branches and tags move", s.Commit), "give the hash of 40 digits that git rev-parse prints")
	}
	switch {
	case s.SHA256 == "" || digestForm.MatchString(s.SHA256) && s.Archive != "":
	case s.Archive == "":
		report("sha256", "sha256 belongs to an archive", "")
	default:
		report("sha256", fmt.Sprintf("%q is no SHA-256 digest", s.SHA256), "give the 64 small hexadecimal digits that sha256sum prints")
	}
}

// Hardware is what a testbed leases for the platform: a node type, or a flavour.
func (p Platform) Hardware() string { return cmp.Or(p.NodeType, p.Flavor) }

// Validate checks that a platform has what its provider needs.
func (p *Platform) Validate(report func(path, message, suggestion string)) {
	if p.Count < 0 {
		report("count", "count is below 0", "")
	}
	if p.Hours < 0 {
		report("hours", "hours is below 0", "")
	}
	if p.Count > 0 && len(p.Nodes) > 0 {
		report("count", "nodes says how many machines there are in each role: leave count out", "")
	}
	for _, role := range slices.Sorted(maps.Keys(p.Nodes)) {
		if p.Nodes[role] < 1 {
			report("nodes."+role, "a role is of at least one machine", "")
		}
	}
	if p.Provider == "slurm" && len(p.Nodes) > 0 {
		report("nodes", "Slurm chooses the machines, and knows no roles", "use the provider ssh or chameleon")
	}
	switch {
	case p.Provider == "ssh" && len(p.Hosts) > 0 && len(p.Hosts) < p.Machines():
		report("hosts", fmt.Sprintf("%d hosts, and nodes asks for %d", len(p.Hosts), p.Machines()), "")
	case p.Provider == "ssh" && len(p.Hosts) == 0:
		report("provider", "provider ssh needs the key hosts", "")
	case p.Provider == "chameleon" && p.Site == "":
		report("provider", "provider chameleon needs the key site", "for example CHI@UC")
	case p.Provider == "chameleon" && p.NodeType == "" && p.Flavor == "":
		report("provider", "provider chameleon needs the key node_type", "for example storage_nvme; or the key flavor, for virtual machines")
	case p.NodeType != "" && p.Flavor != "":
		report("flavor", "node_type leases whole machines and flavor virtual ones: give one of them", "")
	case p.Network != "" && p.Provider != "chameleon":
		report("network", "only machines of the provider chameleon are put on a network", "")
	case p.Flavor != "" && len(p.Devices) > 0:
		report("devices", "virtual machines have no devices to choose", "lease whole machines by node_type")
	}
}

// Validate checks that the outputs are files of the step's folder.
func (s *ShellStep) Validate(report func(path, message, suggestion string)) {
	for i, glob := range s.Outputs {
		at := fmt.Sprintf("outputs[%d]", i)
		if _, err := path.Match(glob, ""); err != nil {
			report(at, fmt.Sprintf("%q is no pattern of file names", glob), "")
		} else if !filepath.IsLocal(glob) {
			report(at, fmt.Sprintf("%q leaves the step's folder", glob), "give a path inside it")
		}
	}
}

// Validate checks that the extract says how and what it reads.
func (x *Extract) Validate(report func(path, message, suggestion string)) {
	if x.From != "" && !filepath.IsLocal(x.From) {
		report("from", fmt.Sprintf("%q leaves the step's folder", x.From), "give a path inside it")
	}
	kinds, named := 0, false
	if x.Regex != nil {
		kinds++
		if re, err := regexp.Compile(x.Regex.Line); err == nil {
			named = re.SubexpIndex("metric") >= 0
		}
	}
	if x.CSV != nil {
		kinds++
		named = true // by a column, which only the table shows
	}
	if x.JSON != nil {
		kinds++
	}
	if kinds != 1 {
		report("", "an extract needs exactly one of the keys regex, csv and json", "")
	} else if x.Metric == "" && !named {
		report("", "the extract does not name its metric", "give the key metric")
	}
}

// Validate checks that the expression compiles and finds a value.
func (x *RegexExtract) Validate(report func(path, message, suggestion string)) {
	re, err := regexp.Compile(x.Line)
	switch {
	case err != nil:
		report("line", "the regular expression does not compile: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "), "")
	case re.SubexpIndex("value") < 0:
		report("line", "the regular expression lacks the group value", "write (?P<value>[0-9.]+) where the number stands")
	}
}

// Validate checks that the separator is one character.
func (x *CSVExtract) Validate(report func(path, message, suggestion string)) {
	if x.Comma != "" && utf8.RuneCountInString(x.Comma) != 1 {
		report("comma", fmt.Sprintf("the separator must be one character, not %q", x.Comma), "")
	}
}
