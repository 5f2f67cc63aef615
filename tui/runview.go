package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/charmbracelet/x/ansi"
)

// pane is a part of the screen with keys of its own.
type pane interface {
	name() string
	title(l *look) string // what stands beside the name
	find() *filter        // nil where there is nothing to search
	actions() []action
	view(l *look, focused bool, w, h int) []string
}

// runView shows one run: steps, claims, the log of a step and charts.
type runView struct {
	run    *Run
	tree   *tree
	claims *claimsPane
	logs   *logsPane
	charts *chartsPane
	panes  []pane
	focus  int
	right  int // the pane shown at the right where there is room for one
	lower  int // the pane shown at the lower right where there is room for two
	whole  bool
	areas  map[int]area // of the panes on the screen

	job    string // what is going on with the job, from its owner
	ending bool   // it was asked to stop
	paused bool   // a replay stands still
}

// Places of the panes.
const (
	stepsAt = iota
	claimsAt
	logAt
	chartAt
	nodesAt
)

func newRunView(run *Run) *runView {
	v := &runView{run: run, tree: newTree(run), claims: &claimsPane{run: run}, logs: newLogs(run), charts: newCharts(run), right: claimsAt, lower: logAt}
	v.panes = []pane{v.tree, v.claims, v.logs, v.charts, &nodesPane{run: run}}
	return v
}

// turn gives the focus to a pane.
func (v *runView) turn(to int) {
	v.focus = (to + len(v.panes)) % len(v.panes)
	if v.focus != stepsAt {
		v.right = v.focus
	}
	if v.focus >= logAt {
		v.lower = v.focus
	}
}

func (v *runView) focused() pane { return v.panes[v.focus] }

func (v *runView) actions() []action {
	return []action{
		act("tab", "next pane", func() { v.turn(v.focus + 1) }, "tab"),
		act("shift-tab", "pane before", func() { v.turn(v.focus - 1) }, "shift+tab"),
		act("1 … 5", "steps, claims, log, chart, nodes", func() {}, "1", "2", "3", "4", "5"),
		act("z", "one pane on the whole screen", func() { v.whole = !v.whole }, "z"),
		act("/", "filter or search", func() {
			if f := v.focused().find(); f != nil {
				f.open()
			}
		}, "/"),
		act("esc", "clear the filter", func() {
			if f := v.focused().find(); f != nil {
				f.text = ""
			}
		}, "esc"),
	}
}

// typing is the filter that is being written, nil if none is.
func (v *runView) typing() *filter {
	if f := v.focused().find(); f != nil && f.editing {
		return f
	}
	return nil
}

// press takes a key.
func (v *runView) press(msg tea.KeyPressMsg) (tea.Cmd, bool) {
	if f := v.typing(); f != nil {
		f.edit(msg)
		if !f.editing && v.focused() == v.logs && f.on() {
			v.logs.seek(map[bool]int{true: -1, false: 1}[v.logs.follow])
		}
		return nil, true
	}
	if n := msg.String(); len(n) == 1 && n[0] >= '1' && int(n[0]-'0') <= len(v.panes) {
		v.turn(int(n[0] - '1'))
		return nil, true
	}
	if cmd, done := dispatch(msg, v.focused().actions()); done {
		return cmd, true
	}
	return dispatch(msg, v.actions())
}

// sync has the other panes follow the selection in the tree.
func (v *runView) sync(l *look) tea.Cmd {
	r := v.tree.selected()
	v.charts.experiment = r.experiment
	s := r.step
	if s == nil && r.experiment != nil {
		// Of an experiment: the step that is the most telling.
		for _, state := range []StepState{Running, Failed, Done, Reused} {
			for _, c := range r.experiment.Steps {
				if s == nil && c.State == state {
					s = c
				}
			}
		}
	}
	v.logs.show(s)
	return v.logs.load(l.now)
}

// Sizes from which on the screen is divided.
const (
	twoColumns  = 80
	twoLines    = 16
	threePanes  = 30
	threeWidths = 160
)

// view draws h lines of w columns.
func (v *runView) view(l *look, w, h int) []string {
	out := v.header(l, w, h)
	top, body := len(out), h-len(out)
	v.areas = map[int]area{}
	// place draws a pane and remembers where.
	place := func(at, x, y, w, h int) []string {
		v.areas[at] = area{x, y, w, h}
		return v.box(l, at, w, h)
	}
	switch {
	case body < 1:
		return out[:h]
	case v.whole || w < twoColumns || body < twoLines:
		return append(out, place(v.focus, 0, top, w, body)...)
	}
	left := min(max(38, w*2/5), 72)
	x, rest := left+3, w-left-3
	var right []string
	switch {
	case body < threePanes:
		right = place(v.right, x, top, rest, body)
	case w < threeWidths:
		up := max(10, body*2/5)
		right = append(place(claimsAt, x, top, rest, up), place(v.lower, x, top+up, rest, body-up)...)
	default:
		up := max(10, body*2/5)
		half := (rest - 3) / 2
		other := chartAt
		if v.lower == nodesAt {
			other = nodesAt
		}
		lower := join(place(logAt, x, top+up, half, body-up), place(other, x+half+3, top+up, rest-3-half, body-up), half, rest-3-half, l)
		right = append(place(claimsAt, x, top, rest, up), lower...)
	}
	return append(out, join(place(stepsAt, 0, top, left, body), right, left, rest, l)...)
}

// join sets two blocks of the same height beside each other.
func join(left, right []string, lw, rw int, l *look) []string {
	bar := l.Dim.Render(" │ ")
	out := make([]string, max(len(left), len(right)))
	for i := range out {
		a, b := "", ""
		if i < len(left) {
			a = left[i]
		}
		if i < len(right) {
			b = right[i]
		}
		out[i] = fit(a, lw) + bar + fit(b, rw)
	}
	return out
}

// box draws a pane under its title, h lines in all.
func (v *runView) box(l *look, at, w, h int) []string {
	p := v.panes[at]
	focused := at == v.focus
	out := []string{titleLine(l, fmt.Sprintf("%d %s", at+1, p.name()), p.title(l), focused, w)}
	if h > 1 {
		for _, line := range p.view(l, focused, w, h-1) {
			if len(out) < h {
				out = append(out, line)
			}
		}
	}
	for len(out) < h {
		out = append(out, "")
	}
	return out[:max(h, 0)]
}

func titleLine(l *look, name, title string, focused bool, w int) string {
	mark, style := "─ ", l.Strong
	if focused {
		mark, style = "▶ ", l.Accent
	}
	line := style.Render(mark+name) + " "
	if title != "" {
		line += l.Dim.Render(ansi.Truncate(title, max(w-len(name)-6, 0), "…")) + " "
	}
	return fit(line+l.Dim.Render(strings.Repeat("─", max(0, w-ansi.StringWidth(line)))), w)
}

// header says what is run and how far it is.
func (v *runView) header(l *look, w, h int) []string {
	r := v.run
	if r.ID == "" {
		return []string{fit(l.Strong.Render("reprise")+" "+v.job, w)}
	}
	what := l.Strong.Render("reprise") + " " + strings.Join(r.Start.Artifacts, ", ") + " · " + r.Start.Profile
	if w >= 100 {
		what += l.Dim.Render(" · run " + r.ID)
	}
	first := row(what, v.status(l, w), w)
	if h < 8 {
		return []string{first}
	}
	share := 0.0
	if r.Total() > 0 {
		share = float64(r.Ended()) / float64(r.Total())
	}
	counts := fmt.Sprintf(" %d/%d steps", r.Ended(), r.Total())
	var parts []string
	for _, s := range []StepState{Running, Reused, Failed, Cancelled, Skipped} {
		if n := r.Count[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if len(parts) > 0 {
		counts += ": " + strings.Join(parts, ", ")
	}
	if n := len(r.Warnings); n > 0 {
		counts += ", " + count(n, "warning")
	}
	full, rest := meter(share, max(0, min(w/3, w-len(counts))))
	style := l.Good
	if r.Count[Failed] > 0 {
		style = l.Bad
	}
	out := []string{first, fit(style.Render(full)+l.Dim.Render(rest)+counts, w)}
	if words := append(leaseWords(r, l.now), busyWords(r)...); h >= 20 && len(words) > 0 && r.End == nil {
		out = append(out, l.Dim.Render(fit(strings.Join(words, " · "), w)))
	}
	return out
}

func (v *runView) status(l *look, w int) string {
	r := v.run
	switch {
	case r.End != nil && r.End.Outcome == "interrupted":
		return l.Warn.Render("■ interrupted") + " after " + took(r.End.Seconds)
	case r.End != nil && r.Count[Failed] > 0:
		return l.Bad.Render("✗ finished with failures") + " after " + took(r.End.Seconds)
	case r.End != nil:
		return l.Good.Render("✓ finished") + " after " + took(r.End.Seconds)
	case v.ending:
		return l.Warn.Render("■ stopping")
	case v.paused:
		return l.Warn.Render("‖ paused") + ", p goes on"
	case r.Held.On:
		text := l.Warn.Render("‖ held")
		if r.Held.Why != "" && w >= 60 {
			text += ": " + printable(r.Held.Why)
		}
		return text + ", p goes on"
	}
	text := l.Busy.Render(l.spin+" running") + " " + clock(r.Elapsed(l.now))
	if left, known := r.Left(l.now); known {
		text += " · about " + clock(left) + " left"
	}
	if quiet := l.now.Sub(r.Last); quiet > silence && v.job != "" {
		text += l.Warn.Render(" · silent for " + clock(quiet))
	}
	return text
}

// warningsShown is how many warnings the screen of warnings lists.
func (v *runView) warnings(l *look, w int) []string {
	var out []string
	for _, warned := range v.run.Warnings {
		text := warned.Message
		if warned.Step != "" {
			text = warned.Step + ": " + text
		}
		for i, line := range paragraph(text, w-4) {
			mark := "  "
			if i == 0 {
				mark = l.Warn.Render("!") + " "
			}
			out = append(out, " "+mark+line)
		}
	}
	return out
}

// report is the table of verdicts, of the claims judged so far.
func (v *runView) report(w int) []string {
	var list []Artifact
	waiting := 0
	for _, name := range v.run.Start.Artifacts {
		a := Artifact{Name: name}
		for _, c := range v.run.Claims {
			switch {
			case c.Artifact != name:
			case c.Judged:
				a.Verdicts = append(a.Verdicts, c.Verdict)
			default:
				waiting++
			}
		}
		list = append(list, a)
	}
	var b strings.Builder
	Verdicts(&b, list, w, false)
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	if waiting > 0 {
		lines = append(lines, fmt.Sprintf("%d claims are still to be judged", waiting))
	}
	return append(lines, "", "Records: "+printable(v.run.Start.Folder))
}
