package query

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"reprise/checks/stats"
)

// Change asks for the relative change of a metric between two values of a
// label, (of − from) / from in percent, in every cell: every combination of the
// other labels' values. The query then groups cells, as it does observations
// otherwise. A cell has no change if it lacks a side, if only the side of from is
// 0, or if the sides differ and one is below 0, where a ratio means nothing.
type Change struct{ Label, Of, From string }

// parseChange reads "LABEL=OF from FROM".
func parseChange(words []string) (*Change, error) {
	if len(words) == 3 && words[1] == "from" {
		if label, of, ok := strings.Cut(words[0], "="); ok && label != "" && of != words[2] {
			return &Change{label, of, words[2]}, nil
		}
	}
	return nil, fmt.Errorf("%q is no change; write change LABEL=VALUE from ANOTHER", strings.Join(words, " "))
}

// cell names what an observation has in common with that of the other side.
func (c *Change) cell(o observed) string {
	var parts []string
	for l, v := range o.Labels {
		if l != c.Label {
			parts = append(parts, l+"="+v)
		}
	}
	slices.Sort(parts)
	return strings.Join(append(parts, "artifact="+o.label("artifact")), "\x00")
}

type sides struct{ of, from *Group }

// change is that of one cell, if there is one.
func (s *sides) change() (percent float64, ok bool) {
	if s.of == nil || s.from == nil {
		return 0, false
	}
	of, from := stats.Mean(s.of.Values), stats.Mean(s.from.Values)
	if of == from {
		return 0, true // from 0 to 0 too
	}
	return 100 * (of/from - 1), from > 0 && of >= 0
}

// changes makes the changes of their cells out of the sides, and counts the
// cells that have none.
func changes(groups map[string]*Group) (changed map[string]*Group, left int) {
	cells := map[string]*sides{}
	for _, g := range groups {
		key := g.cell + "\x00" + g.Unit
		c := cells[key]
		if c == nil {
			c = &sides{}
			cells[key] = c
		}
		if g.of {
			c.of = g
		} else {
			c.from = g
		}
	}
	changed = map[string]*Group{}
	for _, key := range slices.Sorted(maps.Keys(cells)) {
		c := cells[key]
		value, ok := c.change()
		if !ok {
			left++
			continue
		}
		name := strings.Join(c.of.Labels, "\x00")
		g := changed[name]
		if g == nil {
			g = &Group{Labels: c.of.Labels, Unit: "%", change: true}
			changed[name] = g
		}
		g.Values = append(g.Values, value)
	}
	return changed, left
}
