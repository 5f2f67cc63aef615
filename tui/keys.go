package tui

import (
	"slices"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
)

// action is a key and what it does. Panes match keys and write their help from
// the same list, so that the help cannot lie.
type action struct {
	key.Binding
	do func() tea.Cmd
}

// on makes an action; keys are those it answers to, as Bubble Tea names them,
// show is how the help writes them.
func on(show, help string, do func() tea.Cmd, keys ...string) action {
	return action{key.NewBinding(key.WithKeys(keys...), key.WithHelp(show, help)), do}
}

// act makes an action of a function without a command.
func act(show, help string, do func(), keys ...string) action {
	return on(show, help, func() tea.Cmd { do(); return nil }, keys...)
}

// dispatch does what the first action that matches does.
func dispatch(msg tea.KeyPressMsg, actions []action) (tea.Cmd, bool) {
	for _, a := range actions {
		if key.Matches(msg, a.Binding) {
			return a.do(), true
		}
	}
	return nil, false
}

const far = 1 << 30

// moves are the keys that move through a list; by moves, half a page is page/2.
func moves(by func(rows int), page func() int) []action {
	return []action{
		act("j ↓", "down", func() { by(1) }, "j", "down"),
		act("k ↑", "up", func() { by(-1) }, "k", "up"),
		act("g", "to the top", func() { by(-far) }, "g", "home"),
		act("G", "to the end", func() { by(far) }, "G", "end"),
		act("ctrl-d", "half a page down", func() { by(max(1, page()/2)) }, "ctrl+d", "pgdown"),
		act("ctrl-u", "half a page up", func() { by(-max(1, page()/2)) }, "ctrl+u", "pgup"),
	}
}

// cursor is a place in a list of which a part is shown.
type cursor struct {
	at, top, page int
}

// move goes by rows in a list of n.
func (c *cursor) move(rows, n int) { c.at = max(0, min(c.at+rows, n-1)) }

// show gives the part of a list of n rows that h lines show, with the cursor
// in it.
func (c *cursor) show(n, h int) (from, to int) {
	c.page = h
	c.at = max(0, min(c.at, n-1))
	c.top = max(0, min(c.top, n-h))
	if c.at < c.top {
		c.top = c.at
	}
	if h > 0 && c.at >= c.top+h {
		c.top = c.at - h + 1
	}
	return c.top, min(n, c.top+max(h, 0))
}

// helpText lists actions under headings in columns for a screen of w columns.
type helpGroup struct {
	title   string
	actions []action
}

func helpLines(groups []helpGroup, t *Theme, w int) []string {
	groups = slices.DeleteFunc(slices.Clone(groups), func(g helpGroup) bool { return len(g.actions) == 0 })
	const keyWidth, narrow, gap = 10, 46, "  "
	columns := max(1, min(len(groups), (w+len(gap))/(narrow+len(gap))))
	width := narrow
	if columns == 1 {
		width = w
	}
	var blocks [][]string
	for _, g := range groups {
		block := []string{t.Strong.Render(fit(g.title, width))}
		for _, a := range g.actions {
			h := a.Help()
			block = append(block, fit(" "+t.Accent.Render(fit(h.Key, keyWidth))+h.Desc, width))
		}
		blocks = append(blocks, append(block, fit("", width)))
	}
	if columns == 1 {
		return slices.Concat(blocks...)
	}
	stacks := make([][]string, columns)
	for _, b := range blocks {
		shortest := 0
		for i := range stacks {
			if len(stacks[i]) < len(stacks[shortest]) {
				shortest = i
			}
		}
		stacks[shortest] = append(stacks[shortest], b...)
	}
	return beside(stacks, width, gap)
}

// beside sets columns of equal width side by side.
func beside(columns [][]string, w int, gap string) []string {
	n := 0
	for _, c := range columns {
		n = max(n, len(c))
	}
	lines := make([]string, n)
	for i := range lines {
		for j, c := range columns {
			if j > 0 {
				lines[i] += gap
			}
			if i < len(c) {
				lines[i] += fit(c[i], w)
			} else {
				lines[i] += fit("", w)
			}
		}
	}
	return lines
}

// hints names actions in one line, as many as fit.
func hints(actions []action, t *Theme, w int) string {
	line, n := "", 0
	for _, a := range actions {
		h := a.Help()
		need := len([]rune(h.Key)) + 1 + len([]rune(h.Desc)) + 2
		if n+need > w {
			continue
		}
		line += t.Accent.Render(h.Key) + " " + t.Dim.Render(h.Desc) + "  "
		n += need
	}
	return line
}
