package tui

import (
	"fmt"
	"strings"
	"time"

	"reprise/runner/event"
	"reprise/tui/chart"
)

// nodesPane shows the machines that steps run on, how busy they are, and the
// leases they belong to.
type nodesPane struct {
	run *Run
	cur cursor
	n   int // lines that there are
}

func (p *nodesPane) name() string { return "Nodes" }

func (p *nodesPane) find() *filter { return nil }

func (p *nodesPane) title(l *look) string { return strings.Join(leaseWords(p.run, l.now), " · ") }

func (p *nodesPane) actions() []action {
	return moves(func(d int) { p.cur.move(d, max(1, p.n-p.cur.page+1)) }, func() int { return p.cur.page })
}

func (p *nodesPane) view(l *look, _ bool, w, h int) []string {
	var out []string
	for _, n := range p.run.Nodes {
		out = append(out, p.node(l, n, w)...)
	}
	if len(p.run.Leases) > 0 {
		out = append(out, l.Strong.Render(fit("Leases", w)))
	}
	for _, lease := range p.run.Leases {
		out = append(out, leaseLines(l, lease, w)...)
	}
	if len(out) == 0 {
		return []string{l.Dim.Render(fit(" no node has been named yet", w))}
	}
	p.n, p.cur.page = len(out), h
	p.cur.at = max(0, min(p.cur.at, len(out)-h))
	return window(out, p.cur.at, h)
}

func (p *nodesPane) node(l *look, n *NodeState, w int) []string {
	var here []string
	for _, s := range p.run.Running() {
		if s.Node == n.Name {
			here = append(here, s.Short)
		}
	}
	out := []string{row(l.Strong.Render(printable(n.Name)), fmt.Sprintf("%d running", len(here)), w)}
	if n.Cores > 0 {
		out = append(out, l.Dim.Render(fit("  "+printable(n.Machine.String()), w)))
	}
	if len(n.CPU) == 0 {
		return append(out, l.Dim.Render(fit("  how busy it is has not been sampled", w)))
	}
	bar := func(name string, share float64, text string) string {
		full, rest := meter(share, max(0, min(20, w-len([]rune(name+text))-4)))
		style := l.Good
		if share > 0.95 {
			style = l.Warn
		}
		return fit("  "+name+" "+style.Render(full)+l.Dim.Render(rest)+" "+text, w)
	}
	v := n.Load
	cpu := fmt.Sprintf("%.0f %%", 100*v.CPU)
	if room := w - 40; room >= 8 {
		cpu += "  " + chart.SparkOf(n.CPU, min(room, 40), 0, 1)
	}
	out = append(out, bar("processor", v.CPU, cpu))
	if v.MemoryTotal > 0 {
		out = append(out, bar("memory   ", float64(v.MemoryUsed)/float64(v.MemoryTotal), gib(v.MemoryUsed)+" of "+gib(v.MemoryTotal)+" GiB"))
	}
	load := fmt.Sprintf("load      %.1f", v.Load1)
	if n.Cores > 0 {
		load += fmt.Sprintf(" on %d cores", n.Cores)
		if v.Load1 > 1.5*float64(n.Cores) {
			load += ", more than it has: timings suffer"
		}
	}
	out = append(out, fit("  "+load, w))
	for _, s := range here {
		out = append(out, fit("  "+l.Busy.Render(l.spin)+" "+printable(s), w))
	}
	return out
}

func gib(bytes uint64) string { return fmt.Sprintf("%.1f", float64(bytes)/(1<<30)) }

func leaseLines(l *look, v *event.Leased, w int) []string {
	out := []string{row("  "+printable(v.Name)+" at "+printable(v.Site), fmt.Sprintf("%d nodes", v.Nodes), w)}
	share := 0.0
	if whole := v.Ends.Sub(v.Starts); whole > 0 {
		share = float64(l.now.Sub(v.Starts)) / float64(whole)
	}
	full, rest := meter(share, max(0, min(20, w-30)))
	style := l.Good
	if v.Ends.Sub(l.now) < leaseEndsSoon {
		style = l.Warn
	}
	return append(out, fit("  "+style.Render(full)+l.Dim.Render(rest)+" "+leaseText(v, l.now), w))
}

// leaseEndsSoon is when a lease's end becomes a matter of concern.
const leaseEndsSoon = 15 * time.Minute

// leaseText is the time left and the cost so far.
func leaseText(v *event.Leased, now time.Time) string {
	cost := fmt.Sprintf("%.2f %s so far", v.Cost(now), v.Unit)
	switch {
	case v.Released:
		return "released, " + fmt.Sprintf("%.2f %s", v.Cost(now), v.Unit)
	case now.Before(v.Starts):
		return "starts in " + clock(v.Starts.Sub(now))
	case !now.Before(v.Ends):
		return "has ended, " + fmt.Sprintf("%.2f %s", v.Cost(now), v.Unit)
	}
	return clock(v.Ends.Sub(now)) + " left, " + cost
}

// leaseWords tells of each lease that counts down.
func leaseWords(r *Run, now time.Time) []string {
	var out []string
	for _, v := range r.Leases {
		out = append(out, "lease "+leaseText(v, now))
	}
	return out
}

// busyWords tells how busy each node is, in a few words.
func busyWords(r *Run) []string {
	var out []string
	for _, n := range r.Nodes {
		if len(n.CPU) == 0 {
			continue
		}
		text := fmt.Sprintf("%s: processor %.0f %%", printable(n.Name), 100*n.Load.CPU)
		if n.Load.MemoryTotal > 0 {
			text += ", memory " + gib(n.Load.MemoryUsed) + " of " + gib(n.Load.MemoryTotal) + " GiB"
		}
		out = append(out, text+fmt.Sprintf(", load %.1f", n.Load.Load1))
	}
	return out
}
