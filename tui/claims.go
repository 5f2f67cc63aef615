package tui

import (
	"fmt"
	"strings"

	"reprise/checks"
	"reprise/tui/chart"
)

// claimsPane shows the claims as they fill in: the expected band with the
// measured interval in it.
type claimsPane struct {
	run    *Run
	filter filter
	cur    cursor
	shown  int // claims that match the filter
}

func (p *claimsPane) name() string { return "Claims" }

func (p *claimsPane) find() *filter { return &p.filter }

func (p *claimsPane) title(*look) string {
	if p.filter.on() {
		return fmt.Sprintf("%d match /%s", len(p.claims()), p.filter.text)
	}
	return tally(p.run.Tally())
}

// outcomes are the outcomes in the order in which they are counted.
var outcomes = []checks.Outcome{checks.Reproduced, checks.Partial, checks.Inconclusive, checks.NotReproduced, checks.Error, checks.Skipped}

// tally counts claims in signs: ✓3 ✗1 ·2 for those that wait.
func tally(n map[checks.Outcome]int) string {
	var parts []string
	for _, o := range outcomes {
		if n[o] > 0 {
			parts = append(parts, fmt.Sprintf("%s%d", Glyph(o), n[o]))
		}
	}
	if n[""] > 0 {
		parts = append(parts, fmt.Sprintf("·%d", n[""]))
	}
	return strings.Join(parts, " ")
}

func (p *claimsPane) claims() []*Claim {
	if !p.filter.on() {
		return p.run.Claims
	}
	var out []*Claim
	for _, c := range p.run.Claims {
		if p.filter.matches(c.Name() + " " + outcomeWord(c) + " " + c.Statement) {
			out = append(out, c)
		}
	}
	return out
}

func outcomeWord(c *Claim) string {
	if !c.Judged {
		return "waiting"
	}
	return string(c.Outcome)
}

func (p *claimsPane) actions() []action {
	return moves(func(d int) { p.cur.move(d, len(p.claims())) }, func() int { return max(1, p.shown) })
}

func (p *claimsPane) view(l *look, focused bool, w, h int) []string {
	list := p.claims()
	if len(list) == 0 {
		text := "no claims"
		if p.filter.on() {
			text = "no claim matches"
		}
		return []string{l.Dim.Render(fit(" "+text, w))}
	}
	p.cur.move(0, len(list))
	several := len(p.run.Start.Artifacts) > 1
	var lines []string
	var first []int // line at which a claim begins
	for i, c := range list {
		first = append(first, len(lines))
		lines = append(lines, claimLines(l, c, several, i == p.cur.at, focused, w)...)
	}
	first = append(first, len(lines))
	// The whole of the selected claim, or as much of it as fits from its head.
	from, to := first[p.cur.at], first[p.cur.at+1]
	p.cur.top = min(p.cur.top, from)
	p.cur.top = max(p.cur.top, min(from, to-h))
	p.cur.top = max(0, min(p.cur.top, len(lines)-h))
	p.shown = 0
	for _, at := range first[:len(list)] {
		if at >= p.cur.top && at < p.cur.top+h {
			p.shown++
		}
	}
	return window(lines, p.cur.top, h)
}

func claimLines(l *look, c *Claim, several, selected, focused bool, w int) []string {
	glyph, style := "·", l.Dim
	if c.Judged {
		glyph, style = Glyph(c.Outcome), l.outcome(c.Outcome)
	}
	name := c.Claim
	if several {
		name = c.Name()
	}
	head := fmt.Sprintf("%s %s %s", glyph, name, outcomeWord(c))
	statement := strings.Join(strings.Fields(printable(c.Statement)), " ")
	var lines []string
	if selected {
		lines = append(lines, l.gutter(true, focused, row(head, "", w-1), w))
		for _, text := range paragraph(statement, w-4) {
			lines = append(lines, "    "+text)
		}
		if where := strings.TrimSpace(c.Source.Where); where != "" {
			lines = append(lines, l.Dim.Render(fit("    "+printable(where)+", "+c.Source.Kind, w)))
		}
	} else {
		lines = append(lines, fit(" "+style.Render(head)+"  "+statement, w))
	}
	for i, r := range c.Results {
		if !selected && i > 0 {
			lines = append(lines, l.Dim.Render(fit(fmt.Sprintf("    and %d more", len(c.Results)-1), w)))
			break
		}
		lines = append(lines, resultLines(l, r, selected, w)...)
	}
	if selected && c.Judged && c.Outcome != checks.Reproduced && c.Reason != "" {
		for _, text := range paragraph("→ "+c.Reason, w-4) {
			lines = append(lines, "    "+text)
		}
	}
	if selected && !c.Judged && c.Experiment != nil {
		x := c.Experiment
		lines = append(lines, l.Dim.Render(fit(fmt.Sprintf("    decided once %s has ended: %d of %d steps have", x.Name(), x.Ended(), len(x.Steps)), w)))
	}
	return lines
}

// resultLines draw one check: the band, and in words what was measured.
func resultLines(l *look, r checks.Result, whole bool, w int) []string {
	var lines []string
	if r.Value != nil {
		band := chart.Band{Lower: r.Lower, Upper: r.Upper, Value: *r.Value, Low: *r.Value, High: *r.Value}
		if r.Interval != nil {
			band.Low, band.High = r.Interval.Low, r.Interval.High
		}
		text := chart.Number(*r.Value) + unit(r.Unit)
		if r.Lower != nil || r.Upper != nil {
			text += " in [" + bound(r.Lower, "−∞") + ", " + bound(r.Upper, "∞") + "]"
		}
		width := max(w-6-len([]rune(text))-2, 0)
		if drawn := band.Draw(min(width, 48)); drawn != "" {
			lines = append(lines, fit("    "+l.outcome(r.Outcome).Render(Glyph(r.Outcome)+" "+drawn)+"  "+text, w))
		} else {
			lines = append(lines, fit("    "+Glyph(r.Outcome)+" "+text, w))
		}
	}
	if whole {
		for _, text := range paragraph(Glyph(r.Outcome)+" "+r.String(), w-6) {
			lines = append(lines, "      "+l.Dim.Render(text))
		}
		for _, warning := range r.Warnings {
			for _, text := range paragraph("warning: "+warning, w-6) {
				lines = append(lines, "      "+l.Warn.Render(text))
			}
		}
		for _, text := range paragraph(r.Needs, w-6) {
			if text != "" {
				lines = append(lines, "      "+text)
			}
		}
	}
	return lines
}

func bound(v *float64, open string) string {
	if v == nil {
		return open
	}
	return chart.Number(*v)
}

func unit(u string) string {
	switch u {
	case "", "1":
		return ""
	case "%", "x":
		return u
	}
	return " " + printable(u)
}
