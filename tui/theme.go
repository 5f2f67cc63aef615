package tui

import (
	"fmt"
	"image/color"
	"strings"

	"charm.land/lipgloss/v2"

	"reprise/checks"
)

// Theme is the looks of the terminal UI. Whatever a colour says, a sign or a
// word says too.
type Theme struct {
	Name   string
	Dim    lipgloss.Style // less important
	Strong lipgloss.Style // headings
	Accent lipgloss.Style // what has the focus
	Good   lipgloss.Style
	Warn   lipgloss.Style
	Bad    lipgloss.Style
	Busy   lipgloss.Style // under way
	Select lipgloss.Style // the selected row
	Series []lipgloss.Style
}

// themes are made of six colours each; dim, accent, good, warn, bad, busy.
var themes = []struct {
	name, about string
	colors      [6]string
}{
	{"default", "the terminal's own sixteen colours", [6]string{"8", "6", "2", "3", "1", "4"}},
	{"light", "darker colours for a light background", [6]string{"#6a6a6a", "#005f87", "#2e6b00", "#8a5a00", "#b3261e", "#0b50c0"}},
	{"high-contrast", "bright colours, bold where it matters", [6]string{"15", "14", "10", "11", "9", "12"}},
	{"colour-blind-safe", "the palette of Okabe and Ito", [6]string{"#999999", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7"}},
	{"mono", "no colours", [6]string{}},
}

// ThemeNames lists the themes.
func ThemeNames() []string {
	var names []string
	for _, t := range themes {
		names = append(names, t.name)
	}
	return names
}

// NewTheme makes the theme of a name.
func NewTheme(name string) (*Theme, error) {
	for _, t := range themes {
		if t.name != name {
			continue
		}
		plain := lipgloss.NewStyle()
		style := func(i int) lipgloss.Style {
			if t.colors[i] == "" {
				return plain
			}
			return plain.Foreground(lipgloss.Color(t.colors[i]))
		}
		th := &Theme{
			Name: t.name, Dim: style(0), Strong: plain.Bold(true), Accent: style(1).Bold(true), Good: style(2), Warn: style(3),
			Bad: style(4).Bold(true), Busy: style(5), Select: plain.Reverse(true),
		}
		if t.name == "mono" {
			th.Dim = plain.Faint(true)
		}
		if t.name == "high-contrast" {
			th.Good, th.Warn, th.Busy = th.Good.Bold(true), th.Warn.Bold(true), th.Busy.Bold(true)
		}
		for _, i := range []int{1, 3, 2, 5, 4} {
			th.Series = append(th.Series, style(i))
		}
		return th, nil
	}
	return nil, fmt.Errorf("no theme %q; there are %s", name, strings.Join(ThemeNames(), ", "))
}

// themeFor chooses a theme by the terminal's background.
func themeFor(background color.Color) string {
	if background == nil {
		return "default"
	}
	r, g, b, _ := background.RGBA()
	if (299*r+587*g+114*b)/1000 > 0x8000 {
		return "light"
	}
	return "default"
}

// next is the theme after this one.
func (t *Theme) next() *Theme {
	names := ThemeNames()
	for i, name := range names {
		if name == t.Name {
			next, err := NewTheme(names[(i+1)%len(names)])
			if err == nil {
				return next
			}
		}
	}
	return t
}

// state is a step's sign in its colour.
func (t *Theme) state(s StepState, spin string) (glyph string, style lipgloss.Style) {
	switch s {
	case Running:
		return spin, t.Busy
	case Reused:
		return "↺", t.Good
	case Done:
		return "✓", t.Good
	case Failed:
		return "✗", t.Bad
	case Cancelled:
		return "■", t.Warn
	case Skipped:
		return "–", t.Dim
	}
	return "·", t.Dim
}

// outcome is the colour of an outcome; Glyph is its sign.
func (t *Theme) outcome(o checks.Outcome) lipgloss.Style {
	switch o {
	case checks.Reproduced:
		return t.Good
	case checks.Partial, checks.Inconclusive:
		return t.Warn
	case checks.NotReproduced, checks.Error:
		return t.Bad
	}
	return t.Dim
}

// paint is the theme for charts.
func (t *Theme) paint(series int, text string) string {
	if series < 0 {
		return t.Dim.Render(text)
	}
	return t.Series[series%len(t.Series)].Render(text)
}
