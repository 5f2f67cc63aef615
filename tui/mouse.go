package tui

import tea "charm.land/bubbletea/v2"

// The mouse is the terminal's unless it was asked for, so that text can be
// selected. Then the wheel moves through what has the focus, and a click gives
// a pane the focus.

// area is where on the screen a pane was drawn.
type area struct{ x, y, w, h int }

func (a area) holds(x, y int) bool { return x >= a.x && x < a.x+a.w && y >= a.y && y < a.y+a.h }

const wheelRows = 3

func (m *model) wheel(e tea.Mouse) tea.Cmd {
	key := tea.KeyPressMsg{Code: tea.KeyDown}
	if e.Button == tea.MouseWheelUp {
		key.Code = tea.KeyUp
	} else if e.Button != tea.MouseWheelDown {
		return nil
	}
	var cmds []tea.Cmd
	for range wheelRows {
		cmds = append(cmds, m.press(key))
	}
	return tea.Batch(cmds...)
}

func (m *model) click(e tea.Mouse) {
	if m.at != m.watch || m.overlay != nothing || e.Button != tea.MouseLeft {
		return
	}
	for at, a := range m.watch.areas {
		if a.holds(e.X, e.Y) {
			m.watch.turn(at)
		}
	}
}
