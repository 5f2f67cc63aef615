package tui

import (
	"fmt"
	"slices"
	"time"

	"charm.land/lipgloss/v2"
)

// look is what views need to draw: the theme, the time and the frame of the
// sign for work under way.
type look struct {
	*Theme
	now  time.Time
	spin string
}

// gutter marks the selected row, by a sign and not by colour alone.
func (l *look) gutter(selected, focused bool, text string, w int) string {
	if !selected {
		return fit(" "+text, w)
	}
	if focused {
		return l.Select.Render(fit("▸"+text, w))
	}
	return l.Strong.Render(fit("▸"+text, w))
}

// treeRow is an experiment, or a step of one.
type treeRow struct {
	experiment *Experiment
	step       *Step // nil for the experiment itself
}

func (r treeRow) id() string {
	if r.step != nil {
		return r.step.ID
	}
	return r.experiment.Name()
}

// tree is the pane of experiments and their steps.
type tree struct {
	run    *Run
	filter filter
	cur    cursor
	closed map[string]bool
	follow bool // the cursor stays on the step that started last

	rows []treeRow
	made string // what rows were made from
	turn int    // grows when experiments are opened or closed
}

func newTree(run *Run) *tree { return &tree{run: run, closed: map[string]bool{}, follow: true} }

// refresh makes the rows anew if anything has changed, and keeps the cursor on
// its row.
func (t *tree) refresh() {
	made := fmt.Sprint(t.run.Version, t.turn, t.filter.text)
	if made == t.made {
		return
	}
	t.made = made
	was := ""
	if t.cur.at < len(t.rows) {
		was = t.rows[t.cur.at].id()
	}
	t.rows = t.rows[:0]
	for _, x := range t.run.Experiments {
		head := len(t.rows)
		t.rows = append(t.rows, treeRow{experiment: x})
		if t.closed[x.Name()] && !t.filter.on() {
			continue
		}
		for _, s := range x.Steps {
			if !t.filter.on() || t.filter.matches(s.ID+" "+s.Word()) {
				t.rows = append(t.rows, treeRow{x, s})
			}
		}
		if t.filter.on() && len(t.rows) == head+1 {
			t.rows = t.rows[:head]
		}
	}
	if t.follow {
		var latest *Step
		for _, s := range t.run.Running() {
			if latest == nil || s.Started.After(latest.Started) {
				latest = s
			}
		}
		if latest != nil {
			was = latest.ID
		}
	}
	if at := slices.IndexFunc(t.rows, func(r treeRow) bool { return r.id() == was }); at >= 0 {
		t.cur.at = at
	}
	t.cur.move(0, len(t.rows))
}

// selected is the row under the cursor; its experiment is nil if there is none.
func (t *tree) selected() treeRow {
	t.refresh()
	if len(t.rows) == 0 {
		return treeRow{}
	}
	return t.rows[t.cur.at]
}

func (t *tree) name() string { return "Steps" }

func (t *tree) find() *filter { return &t.filter }

func (t *tree) title(*look) string {
	switch {
	case t.filter.on():
		return fmt.Sprintf("%d match /%s", t.steps(), t.filter.text)
	case t.follow && t.run.End == nil:
		return "following"
	}
	return ""
}

func (t *tree) steps() int {
	t.refresh()
	n := 0
	for _, r := range t.rows {
		if r.step != nil {
			n++
		}
	}
	return n
}

func (t *tree) actions() []action {
	return append(moves(func(d int) {
		t.follow = false
		t.cur.move(d, len(t.rows))
	}, func() int { return t.cur.page }),
		act("enter", "open or close an experiment", t.fold, "enter", "space"),
		act("f", "follow the step that runs", func() { t.follow = !t.follow; t.turn++ }, "f"),
		act("F", "go to the next failure", t.nextFailure, "F"),
	)
}

func (t *tree) fold() {
	if x := t.selected().experiment; x != nil {
		t.closed[x.Name()] = !t.closed[x.Name()]
		t.turn++
		t.refresh()
		t.follow = false
		t.cur.at = max(0, slices.IndexFunc(t.rows, func(r treeRow) bool { return r.step == nil && r.experiment == x }))
	}
}

func (t *tree) nextFailure() {
	t.refresh()
	t.follow = false
	for i := 1; i <= len(t.rows); i++ {
		at := (t.cur.at + i) % len(t.rows)
		if s := t.rows[at].step; s != nil && s.State == Failed {
			t.cur.at = at
			return
		}
	}
}

func (t *tree) view(l *look, focused bool, w, h int) []string {
	t.refresh()
	if len(t.rows) == 0 {
		text := "waiting for the plan"
		switch {
		case t.filter.on():
			text = "no step matches"
		case t.run.End != nil:
			text = "the run has no steps"
		}
		return []string{l.Dim.Render(fit(" "+text, w))}
	}
	from, to := t.cur.show(len(t.rows), h)
	several := len(t.run.Start.Artifacts) > 1
	var out []string
	for i := from; i < to; i++ {
		r := t.rows[i]
		var left, right string
		var glyph string
		var style lipgloss.Style
		if r.step == nil {
			left, right, glyph, style = t.experimentRow(l, r.experiment, several, w)
		} else {
			left, right, glyph, style = stepRow(l, r.step, w)
		}
		if i == t.cur.at {
			out = append(out, l.gutter(true, focused, row(left, right, w-1), w))
			continue
		}
		// The sign carries the colour; the words stay plain, and calm.
		text := row(left, right, w-1)
		if at := indexOf(text, glyph); at >= 0 {
			text = text[:at] + style.Render(glyph) + text[at+len(glyph):]
		}
		if r.step == nil {
			text = l.Strong.Render(text)
		} else if r.step.State == Waiting || r.step.State == Skipped {
			text = l.Dim.Render(text)
		}
		out = append(out, l.gutter(false, focused, text, w))
	}
	return out
}

// indexOf finds the sign at the head of a row.
func indexOf(text, glyph string) int {
	const head = 8
	for i := range text {
		if i > head {
			break
		}
		if len(text) >= i+len(glyph) && text[i:i+len(glyph)] == glyph {
			return i
		}
	}
	return -1
}

func (t *tree) experimentRow(l *look, x *Experiment, several bool, w int) (left, right, glyph string, style lipgloss.Style) {
	arrow := "▾"
	if t.closed[x.Name()] && !t.filter.on() {
		arrow = "▸"
	}
	name := x.ID
	if several {
		name = x.Name()
	}
	if len(x.Steps) == 0 {
		return arrow + " – " + name + " " + printable(x.Title), "not run", "–", l.Dim
	}
	state := x.State()
	glyph, style = l.state(state, l.spin)
	right = fmt.Sprintf("%d/%d", x.Ended(), len(x.Steps))
	if w >= 30 {
		right = state.String() + " " + right
	}
	if left, known := x.Left(l.now); known && state == Running && w >= 60 && x.Count[Running] > 0 {
		right += " about " + clock(time.Duration(left/float64(x.Count[Running])*float64(time.Second))) + " left"
	}
	return arrow + " " + glyph + " " + name + " " + printable(x.Title), right, glyph, style
}

func stepRow(l *look, s *Step, w int) (left, right, glyph string, style lipgloss.Style) {
	glyph, style = l.state(s.State, l.spin)
	right = s.State.String()
	if s.Queued {
		right = "queued"
	}
	switch s.State {
	case Running:
		right = "running " + clock(s.Elapsed(l.now))
		if f, known := s.Fraction(); known {
			right = fmt.Sprintf("%.0f %% %s", 100*f, clock(s.Elapsed(l.now)))
			if w >= 60 {
				full, rest := meter(f, 8)
				right = full + rest + " " + right
				if left, known := s.Left(l.now); known {
					right += " ~" + clock(left) + " left"
				}
			}
		}
	case Done, Failed, Cancelled:
		if w >= 30 {
			right += " " + took(s.Seconds)
		}
	}
	room := w - 1 - 4 - len([]rune(right)) - 1
	return "  " + glyph + " " + middle(printable(s.Short), max(room, w/3)), right, glyph, style
}
