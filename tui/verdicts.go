package tui

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"reprise/checks"
)

// Artifact is the verdicts on one artifact's claims, in order.
type Artifact struct {
	Name     string
	Verdicts []checks.Verdict
}

// Verdicts prints the table of verdicts: for each claim what became of it,
// what was measured against what the source says, and what to know about it.
func Verdicts(w io.Writer, list []Artifact, width int, color bool) {
	paint := painter(color)
	claimWidth := len("claim")
	for _, a := range list {
		for _, v := range a.Verdicts {
			claimWidth = max(claimWidth, utf8.RuneCountInString(a.Name+"/"+v.Claim))
		}
	}
	const outcomeWidth = len("✓ not-reproduced") - len("✓") + 1
	indent := claimWidth + 2 + outcomeWidth + 2
	text := max(width-indent, 40)

	fmt.Fprintf(w, "%-*s  %-*s  %s\n", claimWidth, "claim", outcomeWidth, "verdict", "what was claimed and measured")
	for _, a := range list {
		for _, v := range a.Verdicts {
			lead := fmt.Sprintf("%-*s  %s", claimWidth, a.Name+"/"+v.Claim, Glyph(v.Outcome)+" "+paint.outcome(v.Outcome)+
				strings.Repeat(" ", outcomeWidth-2-len(v.Outcome)))
			var lines []string
			statement := fmt.Sprintf("%s (%s; %s)", strings.TrimSpace(v.Statement), v.Source.Where, v.Source.Kind)
			lines = append(lines, wrap(statement, text, "")...)
			for _, r := range v.Results {
				lines = append(lines, wrap(fmt.Sprintf("%s %v", Glyph(r.Outcome), r), text, "  ")...)
				for _, warning := range r.Warnings {
					lines = append(lines, wrap("warning: "+warning, text, "    ")...)
				}
				if r.Needs != "" {
					lines = append(lines, wrap(r.Needs, text, "    ")...)
				}
			}
			if v.Reason != "" && len(v.Results) == 0 {
				lines = append(lines, wrap("→ "+v.Reason, text, "  ")...)
			}
			for i, l := range lines {
				if i == 0 {
					fmt.Fprintf(w, "%s  %s\n", lead, l)
				} else {
					fmt.Fprintf(w, "%s%s\n", strings.Repeat(" ", indent), l)
				}
			}
		}
	}
}

// wrap breaks text at blanks into lines of at most width columns, each after
// the first indented by two more.
func wrap(text string, width int, indent string) []string {
	var lines []string
	line := indent
	for _, word := range strings.Fields(printable(text)) {
		switch {
		case strings.TrimSpace(line) == "":
			line += word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = indent + "  " + word
		}
	}
	return append(lines, line)
}
