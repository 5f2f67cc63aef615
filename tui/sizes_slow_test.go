//go:build slow

package tui

import (
	"fmt"
	"testing"

	tea "charm.land/bubbletea/v2"
)

// TestEverySizeFits draws every screen at every size from 1 × 1 to 200 × 60,
// each of the recorded runs at states spread over its length, with the panes
// by turns. It takes minutes.
func TestEverySizeFits(t *testing.T) {
	const states = 10
	for _, name := range append(streams, "nodes") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events := busyNodes()
			if name != "nodes" {
				events = stream(t, name)
			}
			for i := range states {
				m := watching(t, still(ThemeNames()[i%len(ThemeNames())]), events[:len(events)*i/(states-1)], 80, 24)
				everySize(t, m, "1", "2", "3", "4", "5")
			}
		})
	}
	for name, build := range screens(t, "default") {
		t.Run("screen "+name, func(t *testing.T) {
			t.Parallel()
			everySize(t, build(80, 24))
		})
	}
}

// everySize draws a model at every size; keys are pressed by turns.
func everySize(t *testing.T, m *model, keys ...string) {
	at := 0
	for w := 1; w <= 200; w++ {
		for h := 1; h <= 60; h++ {
			m.Update(tea.WindowSizeMsg{Width: w, Height: h})
			if len(keys) > 0 {
				m.Update(keystroke(keys[at%len(keys)]))
				settle(m)
			}
			at++
			fits(t, m)
		}
	}
	if at != 12_000 {
		t.Fatal(fmt.Sprint("drew ", at, " sizes"))
	}
}
