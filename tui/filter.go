package tui

import (
	"strings"
	"unicode"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"github.com/charmbracelet/x/ansi"
)

// filter chooses rows by a text: those that hold it, with ! those that do not,
// with ~ those that hold its letters in order. Capitals in it make case count.
type filter struct {
	text    string
	editing bool
	input   textinput.Model
}

func (f *filter) on() bool { return f.text != "" }

// matches says whether a row with this text is shown.
func (f *filter) matches(row string) bool {
	want, inverse, fuzzy := f.text, false, false
	if rest, is := strings.CutPrefix(want, "!"); is {
		want, inverse = rest, true
	}
	if rest, is := strings.CutPrefix(want, "~"); is {
		want, fuzzy = rest, true
	}
	if want == "" {
		return true
	}
	if strings.IndexFunc(want, unicode.IsUpper) < 0 {
		row = strings.ToLower(row)
	}
	holds := false
	if fuzzy {
		holds = inOrder(row, want)
	} else {
		holds = strings.Contains(row, want)
	}
	return holds != inverse
}

// inOrder says whether row holds the letters of want in their order.
func inOrder(row, want string) bool {
	for _, r := range want {
		i := strings.IndexRune(row, r)
		if i < 0 {
			return false
		}
		row = row[i+len(string(r)):]
	}
	return true
}

// open begins to write the filter.
func (f *filter) open() {
	f.input = newInput(f.text)
	f.editing = true
}

// edit takes a key while the filter is written: enter keeps it, esc drops it.
func (f *filter) edit(msg tea.KeyPressMsg) {
	switch msg.String() {
	case "enter":
		f.editing = false
	case "esc":
		f.text, f.editing = "", false
	default:
		f.input, _ = f.input.Update(msg)
		f.text = f.input.Value()
	}
}

// newInput is a line of text to write, with a cursor that does not blink.
func newInput(text string) textinput.Model {
	in := textinput.New()
	in.Prompt = ""
	in.SetValue(text)
	in.Focus()
	return in
}

// prompt is the line in which the filter is written.
func (f *filter) prompt(t *Theme, w int) string {
	const hint = "  ! not  ~ fuzzy  enter keep  esc clear"
	f.input.SetWidth(max(4, w-4))
	line := t.Accent.Render("/") + strings.TrimRight(f.input.View(), " ")
	if ansi.StringWidth(line)+len(hint) < w {
		line += t.Dim.Render(hint)
	}
	return line
}
