package checks

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

var percentage = regexp.MustCompile(`[0-9]+(?:\.[0-9]+)? %`)

// Gather says each warning of several steps once: those that differ in their first
// percentage only become one with the range of it, and what not all steps share
// says of how many it is. Each element of warnings is of one step.
func Gather(warnings [][]string) []string {
	type gathered struct {
		before, after string
		steps         int
		low, high     float64
		figure        bool
	}
	var list []*gathered
	for _, ofStep := range warnings {
		var seen []*gathered
		for _, text := range ofStep {
			g := &gathered{before: text}
			if at := percentage.FindStringIndex(text); at != nil {
				value, _ := strconv.ParseFloat(text[at[0]:at[1]-len(" %")], 64)
				g = &gathered{before: text[:at[0]], after: text[at[1]:], low: value, high: value, figure: true}
			}
			i := slices.IndexFunc(list, func(o *gathered) bool {
				return o.before == g.before && o.after == g.after && o.figure == g.figure
			})
			if i < 0 {
				list = append(list, g)
				i = len(list) - 1
			}
			known := list[i]
			known.low, known.high = min(known.low, g.low), max(known.high, g.high)
			if !slices.Contains(seen, known) {
				seen = append(seen, known)
				known.steps++
			}
		}
	}
	var out []string
	for _, g := range list {
		text := g.before
		switch {
		case g.figure && g.low < g.high:
			text += fmt.Sprintf("%g to %g %%", g.low, g.high) + g.after
		case g.figure:
			text += fmt.Sprintf("%g %%", g.low) + g.after
		}
		if len(warnings) > 1 {
			text += fmt.Sprintf(" (in %d of %d steps)", g.steps, len(warnings))
		}
		out = append(out, text)
	}
	return out
}
