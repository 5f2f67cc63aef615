package report

import (
	"fmt"
	"io"
	"strings"

	"reprise/checks"
)

// Markdown writes the run as a page of GitHub's Markdown.
func Markdown(w io.Writer, r *Run) error {
	_, err := io.WriteString(w, markdown(r))
	return err
}

func markdown(r *Run) string {
	v := newPage(r)
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\nRun %s, %s profile, reprise %s. **%s**\n\n", inline(v.Title), v.ID, v.Profile, v.Version, inline(v.Headline))
	for _, f := range v.Facts {
		fmt.Fprintf(&b, "- %s: %s\n", f.Name, inline(f.Value))
	}
	if len(v.Trouble) > 0 {
		b.WriteString("\n## What went wrong\n")
		for _, t := range v.Trouble {
			fmt.Fprintf(&b, "\n%s **%s %s**", t.State.Glyph, inline(t.Step), t.State.Word)
			if t.Error != "" {
				fmt.Fprintf(&b, ": %s", inline(t.Error))
			}
			fmt.Fprintf(&b, " (%s)\n", inline(t.About))
			if len(t.Tail) > 0 {
				fence := fence(strings.Join(t.Tail, "\n"))
				fmt.Fprintf(&b, "\n%s\n%s\n%s\n", fence, strings.Join(t.Tail, "\n"), fence)
			}
		}
	}
	for _, a := range v.Artifacts {
		fmt.Fprintf(&b, "\n## %s\n\n", inline(a.Title))
		if a.Paper != "" {
			fmt.Fprintf(&b, "%s\n\n", inline(a.Paper))
		}
		if len(a.Claims) == 0 {
			b.WriteString("It makes no claims.\n")
			continue
		}
		b.WriteString("| claim | verdict | what the paper says | expected | measured here |\n|---|---|---|---|---|\n")
		for _, c := range a.Claims {
			fmt.Fprintf(&b, "| %s | %s %s | %s (%s) | %s | %s |\n", inline(c.Claim), c.Verdict.Glyph, c.Verdict.Word, inline(c.Statement), inline(c.Source), inline(c.Expected), inline(joinNonEmpty(", ", c.Measured, c.Spread)))
		}
		for _, c := range a.Claims {
			if !c.Details {
				continue
			}
			fmt.Fprintf(&b, "\n### %s %s %s\n\n%s (%s)\n\n", inline(c.Name), c.Verdict.Glyph, c.Verdict.Word, inline(c.Statement), inline(c.Source))
			if c.Reason != "" {
				fmt.Fprintf(&b, "%s\n\n", inline(c.Reason))
			}
			for _, k := range c.Checks {
				fmt.Fprintf(&b, "- %s %s: measured %s; expected %s, %s\n", k.Verdict.Glyph, inline(k.What), inline(summary(k)), inline(joinNonEmpty(" ", k.Expected, parenthesised(k.Bounds))), inline(k.Origin))
				if k.Because != "" {
					fmt.Fprintf(&b, "  - tolerance, because: %s\n", inline(k.Because))
				}
				for _, warning := range k.Warnings {
					fmt.Fprintf(&b, "  - ⚠ %s\n", inline(warning))
				}
				if k.Needs != "" {
					fmt.Fprintf(&b, "  - needs %s\n", inline(k.Needs))
				}
				if k.Points != nil {
					b.WriteString("\n")
					markdownTable(&b, k.Points.table)
					b.WriteString("\n")
				}
			}
		}
	}
	b.WriteString("\n## Environment\n\n")
	markdownTable(&b, v.Machines.table)
	for _, known := range v.Known {
		fmt.Fprintf(&b, "\n<details><summary>%s</summary>\n\n", inline(known.Caption))
		markdownTable(&b, known.table)
		b.WriteString("\n</details>\n")
	}
	for _, p := range v.Provenance {
		if p.Sources != nil {
			fmt.Fprintf(&b, "\nSources of %s\n\n", inline(p.Artifact))
			markdownTable(&b, p.Sources.table)
		}
	}
	fmt.Fprintf(&b, "\n%s.\n", v.StepCount)
	if v.Command != "" {
		fmt.Fprintf(&b, "\n```console\n$ %s\n```\n", v.Command)
	}
	if len(v.Warnings) > 0 {
		b.WriteString("\n## Warnings\n\n")
		for _, text := range v.Warnings {
			fmt.Fprintf(&b, "- ⚠ %s\n", inline(text))
		}
	}
	return b.String()
}

func parenthesised(text string) string {
	if text == "" {
		return ""
	}
	return "(" + text + ")"
}

func markdownTable(b *strings.Builder, t table) {
	for i, h := range t.Head {
		if i == 0 {
			b.WriteString("|")
		}
		b.WriteString(" " + inline(h) + " |")
	}
	b.WriteString("\n|")
	for _, n := range t.Numeric {
		if n {
			b.WriteString("---:|")
		} else {
			b.WriteString("---|")
		}
	}
	b.WriteString("\n")
	for _, row := range t.Rows {
		b.WriteString("|")
		for _, c := range row {
			b.WriteString(" " + inline(c) + " |")
		}
		b.WriteString("\n")
	}
}

var escapes = strings.NewReplacer("\\", "\\\\", "|", "\\|", "<", "&lt;", ">", "&gt;", "*", "\\*", "_", "\\_", "`", "\\`", "[", "\\[", "]", "\\]")

// inline makes text fit for a line or a table's cell of Markdown.
func inline(text string) string { return escapes.Replace(strings.Join(strings.Fields(text), " ")) }

// fence is a code fence longer than any in the text.
func fence(text string) string {
	f := "```"
	for strings.Contains(text, f) {
		f += "`"
	}
	return f
}

// verdictWord is a verdict's sign and word.
func verdictWord(o checks.Outcome) string {
	b := verdictBadge(o)
	return b.Glyph + " " + b.Word
}
