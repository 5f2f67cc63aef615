package tui

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"reprise/artifacts"
)

// startView is the form on which a run is chosen: profile, experiments,
// parameters; with the plan it comes to.
type startView struct {
	m       *model
	offer   *Form
	places  []Platform
	chosen  []*artifacts.Manifest
	choice  Choice
	left    map[string]bool // experiments left out, by id
	fields  []field
	cur     cursor
	input   textinput.Model
	editing bool

	asked   int // plans asked for
	preview *Preview
	failed  error
	planned bool // preview or failed is the answer to the last question
	eager   bool // start as soon as it is
	top     int
}

// field is one line of the form.
type field struct {
	kind  fieldKind
	name  string
	about string
	value string // a parameter's value unless another is given
}

type fieldKind int

const (
	profileField fieldKind = iota
	experimentField
	freshField
	paramField
	placeField
	startField
)

// planReady answers a question to Home.Plan.
type planReady struct {
	asked   int
	preview *Preview
	err     error
}

var profiles = []string{"kick", "local", "paper"}

// newStartView opens the form with a choice, which is the view's from here on.
func newStartView(m *model, form *Form, c *Choice) *startView {
	v := &startView{m: m, offer: form, left: map[string]bool{}, choice: *c}
	for _, a := range form.Artifacts {
		if slices.Contains(c.Artifacts, a.Artifact) {
			v.chosen = append(v.chosen, a)
		}
	}
	if v.choice.Profile == "" {
		v.choice.Profile = profiles[0]
	}
	if !v.has(v.choice.Profile) {
		v.step(1)
	}
	for _, a := range v.chosen {
		for _, id := range a.ExperimentIDs() {
			if len(c.Only) > 0 && !slices.Contains(c.Only, id) {
				v.left[id] = true
			}
		}
	}
	v.choice.Fresh = false
	v.lay()
	v.cur.at = len(v.fields) - 1
	return v
}

// has says whether an experiment has the profile.
func (v *startView) has(profile string) bool {
	for _, a := range v.chosen {
		for _, e := range a.Experiments {
			if _, is := e.Profiles[profile]; is {
				return true
			}
		}
	}
	return false
}

// step goes to the next profile that an experiment has.
func (v *startView) step(by int) {
	at := slices.Index(profiles, v.choice.Profile)
	for range profiles {
		at = (at + by + len(profiles)) % len(profiles)
		if v.has(profiles[at]) {
			v.choice.Profile = profiles[at]
			return
		}
	}
}

// lay makes the fields of the form for the profile.
func (v *startView) lay() {
	fields := []field{{kind: profileField, name: "profile", about: "scale of the run"}}
	experiments := map[string]string{}
	params := map[string]field{}
	for _, a := range v.chosen {
		for _, id := range a.ExperimentIDs() {
			e := a.Experiments[id]
			if _, has := e.Profiles[v.choice.Profile]; !has {
				continue
			}
			if title, several := experiments[id]; several {
				experiments[id] = title + "; " + e.Title
			} else {
				experiments[id] = e.Title
			}
			if v.left[id] {
				continue
			}
			for _, name := range e.ParamNames(v.choice.Profile) {
				value, about := paramValue(e, v.choice.Profile, name)
				f, known := params[name]
				if !known {
					f = field{kind: paramField, name: name, about: about, value: value}
				} else if f.value != value {
					f.value = "differs between experiments"
				}
				params[name] = f
			}
		}
	}
	ids := slices.SortedFunc(maps.Keys(experiments), func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	for _, id := range ids {
		fields = append(fields, field{kind: experimentField, name: id, about: experiments[id]})
	}
	delete(params, "seeds") // the manifest's way to write several values of seed
	for _, name := range slices.Sorted(maps.Keys(params)) {
		fields = append(fields, params[name])
	}
	fields = append(fields, field{kind: placeField, name: "on", about: "where it runs"}, field{kind: freshField, name: "measure again", about: "whatever is stored"}, field{kind: startField})
	v.fields = fields
	v.cur.move(0, len(fields))
}

// paramValue is a parameter's value in a profile, and what it means.
func paramValue(e artifacts.Experiment, profile, name string) (value, about string) {
	var default_ any
	if b, ok := artifacts.LookupBuiltin(e.Run.Builtin); ok {
		for _, p := range b.Params {
			if p.Name == name {
				default_, about = p.Default, p.Doc
			}
		}
	}
	with := e.Profiles[profile].With
	given, is := with[name]
	if !is && name == "seed" {
		given, is = with["seeds"]
	}
	switch {
	case is:
	case e.Matrix.Axes[name] != nil:
		given = e.Matrix.Axes[name]
	case name == "seed" && e.Matrix.Repeat > 0:
		return fmt.Sprintf("1…%d", e.Matrix.Repeat), about
	default:
		given = default_
		for _, zipped := range e.Matrix.Zip {
			if values, has := zipped[name]; has {
				given = values
			}
		}
	}
	if given == nil {
		return "", about
	}
	if list, is := given.([]any); is {
		var parts []string
		for _, x := range list {
			parts = append(parts, artifacts.FormatValue(x))
		}
		return strings.Join(parts, ","), about
	}
	return artifacts.FormatValue(given), about
}

// open asks for what the form needs to know.
func (v *startView) open() tea.Cmd {
	if v.offer.Platforms == nil {
		return v.plan()
	}
	return tea.Batch(v.plan(), func() tea.Msg { return placesLoaded(v.offer.Platforms()) })
}

// plan asks what the choice comes to.
func (v *startView) plan() tea.Cmd {
	v.choice.Only = nil
	for _, f := range v.fields {
		if f.kind == experimentField && !v.left[f.name] {
			v.choice.Only = append(v.choice.Only, f.name)
		}
	}
	if n := len(v.left); n == 0 || !slices.Contains(slices.Collect(maps.Values(v.left)), true) {
		v.choice.Only = nil
	}
	v.asked++
	v.planned, v.eager = false, false
	asked, choice, ask := v.asked, v.choice, v.offer.Plan
	choice.Params = maps.Clone(choice.Params)
	return func() tea.Msg {
		preview, err := ask(choice)
		return planReady{asked, preview, err}
	}
}

func (v *startView) take(msg tea.Msg) tea.Cmd {
	if places, is := msg.(placesLoaded); is {
		v.places = places
	}
	if ready, is := msg.(planReady); is && ready.asked == v.asked {
		v.preview, v.failed, v.planned = ready.preview, ready.err, true
		if v.eager && v.m.at == v {
			return v.begin()
		}
	}
	return nil
}

func (v *startView) tick(*look) tea.Cmd { return nil }

func (v *startView) prompt(l *look, w int) string {
	if !v.editing {
		return ""
	}
	f := v.fields[v.cur.at]
	v.input.SetWidth(max(4, w-len(f.name)-6))
	return l.Accent.Render(f.name+" = ") + v.input.View()
}

func (v *startView) help() []helpGroup { return []helpGroup{{"what to run", v.actions()}} }

func (v *startView) actions() []action {
	return append([]action{
		on("enter", "change, or start", v.enter, "enter"),
		on("s", "start", v.begin, "s"),
		on("→ space", "next value", func() tea.Cmd { return v.change(1) }, "right", "l", "space"),
		on("←", "value before", func() tea.Cmd { return v.change(-1) }, "left", "h"),
		on("x", "back to the manifest's value", v.reset, "x", "delete", "backspace"),
		act("esc", "back", func() { v.m.at = v.m.from }, "esc"),
		act("[ ]", "scroll the plan", func() {}, "[", "]"),
	}, moves(func(d int) { v.cur.move(d, len(v.fields)) }, func() int { return v.cur.page })...)
}

func (v *startView) press(msg tea.KeyPressMsg) (tea.Cmd, bool) {
	if v.editing {
		switch msg.String() {
		case "enter":
			v.editing = false
			name, text := v.fields[v.cur.at].name, strings.TrimSpace(v.input.Value())
			if v.fields[v.cur.at].kind == placeField {
				v.choice.On, v.choice.SSHConfig = text, ""
				return v.plan(), true
			}
			if text == "" || text == v.fields[v.cur.at].value {
				delete(v.choice.Params, name)
			} else {
				v.choice.Params[name] = text
			}
			return v.plan(), true
		case "esc":
			v.editing = false
			return nil, true
		}
		var cmd tea.Cmd
		v.input, cmd = v.input.Update(msg)
		return cmd, true
	}
	switch msg.String() {
	case "]":
		v.top++
		return nil, true
	case "[":
		v.top = max(0, v.top-1)
		return nil, true
	}
	return dispatch(msg, v.actions())
}

func (v *startView) enter() tea.Cmd {
	f := v.fields[v.cur.at]
	switch f.kind {
	case startField:
		return v.begin()
	case placeField:
		v.editing = true
		v.input = newInput(v.choice.On)
		v.input.Placeholder = "local, ssh:me@host,me@other or chameleon:PLATFORM; empty: as the profile says"
		return nil
	case paramField:
		v.editing = true
		v.input = newInput(v.choice.Params[f.name])
		v.input.Placeholder = f.value
		return nil
	}
	return v.change(1)
}

func (v *startView) change(by int) tea.Cmd {
	f := v.fields[v.cur.at]
	switch f.kind {
	case profileField:
		v.step(by)
	case experimentField:
		v.left[f.name] = !v.left[f.name]
	case freshField:
		v.choice.Fresh = !v.choice.Fresh
	case placeField:
		v.move(by)
	default:
		return nil
	}
	v.lay()
	return v.plan()
}

// move goes to the next platform; before the first is what the profile says.
func (v *startView) move(by int) {
	fits := slices.DeleteFunc(slices.Clone(v.places), func(p Platform) bool {
		return p.Artifact != "" && !slices.Equal(v.choice.Artifacts, []string{p.Artifact})
	})
	fits = append([]Platform{{}}, fits...)
	at := slices.IndexFunc(fits, func(p Platform) bool { return p.On == v.choice.On && p.SSHConfig == v.choice.SSHConfig })
	to := fits[(max(at, 0)+by+len(fits))%len(fits)]
	v.choice.On, v.choice.SSHConfig = to.On, to.SSHConfig
}

// where is the chosen platform in words.
func (v *startView) where() string {
	for _, p := range v.places {
		if p.On == v.choice.On && p.SSHConfig == v.choice.SSHConfig {
			return p.Name
		}
	}
	switch {
	case v.choice.On != "":
		return v.choice.On
	case v.preview != nil && v.preview.On != "":
		return v.preview.On
	}
	return "as the profile says"
}

func (v *startView) reset() tea.Cmd {
	if f := v.fields[v.cur.at]; f.kind == placeField {
		v.choice.On, v.choice.SSHConfig = "", ""
		return v.plan()
	}
	if f := v.fields[v.cur.at]; f.kind == paramField {
		delete(v.choice.Params, f.name)
		return v.plan()
	}
	return nil
}

func (v *startView) begin() tea.Cmd {
	if v.m.busy() && v.m.job.ours() {
		v.m.message = "the run before has not ended: q goes back to it, c cancels it"
		return nil
	}
	if v.eager = !v.planned; v.eager {
		v.m.message = "starts once it is planned; any change calls it off"
		return nil
	}
	if v.failed != nil {
		v.m.message = "there is nothing to start: the plan does not hold"
		return nil
	}
	choice := v.choice.clone()
	job, err := v.offer.Start(choice)
	if err != nil {
		v.failed = err
		return nil
	}
	job.Choice = &choice
	return v.m.begin(job)
}

func (v *startView) view(l *look, w, h int) []string {
	out := []string{titleLine(l, "Run "+strings.Join(v.choice.Artifacts, ", "), "enter changes, s starts, esc goes back", true, w)}
	body := h - 1
	if w >= twoColumns && body >= twoLines {
		left := min(max(40, w/2), 80)
		rest := w - left - 3
		return append(out, join(v.form(l, left, body), v.plans(l, rest, body), left, rest, l)...)
	}
	// The plan needs three lines below the form; the form gives way.
	plan := min(3, max(0, body-3))
	out = append(out, v.form(l, w, body-plan)...)
	return append(out, window(v.plans(l, w, plan), 0, plan)...)
}

func (v *startView) form(l *look, w, h int) []string {
	from, to := v.cur.show(len(v.fields), h)
	width := 8
	for _, f := range v.fields {
		width = max(width, min(len(f.name), w/3))
	}
	var out []string
	for i := from; i < to; i++ {
		f := v.fields[i]
		var text string
		switch f.kind {
		case profileField:
			text = fit(f.name, width) + " ‹ " + v.choice.Profile + " › " + f.about
		case experimentField:
			mark := "[x] "
			if v.left[f.name] {
				mark = "[ ] "
			}
			text = mark + f.name + " " + printable(f.about)
		case freshField:
			mark := "[ ] "
			if v.choice.Fresh {
				mark = "[x] "
			}
			text = mark + f.name + ": " + f.about
		case paramField:
			value := printable(f.value)
			if given, is := v.choice.Params[f.name]; is {
				value = printable(given) + " (changed)"
			}
			text = fit(f.name, width) + " = " + value
			if f.about != "" {
				text += "  " + l.Dim.Render(printable(f.about))
			}
			if i == v.cur.at {
				text = fit(f.name, width) + " = " + value + "  " + printable(f.about)
			}
		case placeField:
			text = fit(f.name, width) + " ‹ " + printable(v.where()) + " › " + f.about
		case startField:
			text = "[ Start ]"
		}
		out = append(out, l.gutter(i == v.cur.at, true, text, w))
	}
	for len(out) < h {
		out = append(out, "")
	}
	return out
}

// plans tells what the choice comes to.
func (v *startView) plans(l *look, w, h int) []string {
	switch {
	case v.failed != nil:
		var out []string
		for _, line := range paragraph("✗ "+v.failed.Error(), w) {
			out = append(out, l.Bad.Render(line))
		}
		return window(out, 0, h)
	case v.preview == nil:
		return []string{l.Dim.Render("planning")}
	}
	p := v.preview
	run := 0
	for _, s := range p.Steps {
		if !s.Reused {
			run++
		}
	}
	out := []string{
		l.Strong.Render(fit(fmt.Sprintf("%d steps: %d run, %d reused", len(p.Steps), run, len(p.Steps)-run), w)),
	}
	for _, line := range paragraph(fmt.Sprintf("at most %v of computing, %g minutes of yours", artifacts.Duration(p.Compute.Round(time.Second)), p.HumanMinutes), w) {
		out = append(out, fit(line, w))
	}
	if p.Cost != "" {
		for line := range strings.SplitSeq(p.Cost, "\n") {
			out = append(out, l.Warn.Render(fit(printable(line), w)))
		}
	} else {
		out = append(out, l.Dim.Render(fit("on "+printable(v.where())+", which costs nothing", w)))
	}
	out = append(out, "")
	room := max(0, h-len(out))
	v.top = max(0, min(v.top, len(p.Steps)-room))
	for _, s := range p.Steps[v.top:min(len(p.Steps), v.top+max(0, room))] {
		glyph, style := "▶", l.Busy
		if s.Reused {
			glyph, style = "↺", l.Good
		}
		out = append(out, fit(style.Render(glyph)+" "+middle(printable(s.ID), w/2)+"  "+l.Dim.Render(printable(s.Why)), w))
	}
	return out
}
