package tui

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/tui/chart"
)

// chartsPane draws the metrics of the selected experiment.
type chartsPane struct {
	run        *Run
	experiment *Experiment
	metric     map[string]int // chosen metric by experiment
	form       form
	last       drawing
}

// drawing is a chart as it was drawn last.
type drawing struct {
	of    string
	n     int // observations in it
	at    time.Time
	lines []string
	about string
}

// draw draws m, or gives the last drawing where nothing has changed. One of
// very many cells is drawn anew four times a second at most.
func (p *chartsPane) draw(m *Metric, w, h int, l *look) ([]string, string) {
	of := fmt.Sprint(p.experiment.Name(), m.Name, m.Unit, p.form, w, h, l.Name)
	const many, often = 500, 250 * time.Millisecond
	if of == p.last.of && (m.N == p.last.n || m.N > p.last.n && len(m.Cells) > many && l.now.Sub(p.last.at) < often) {
		return p.last.lines, p.last.about
	}
	a := arrange(m)
	f := p.form
	if f == automatic {
		f = a.suits()
	}
	drawn, about := a.draw(f, w, h, l)
	if drawn == nil {
		drawn = []string{l.Dim.Render(fit("these observations, or this room, do not make "+formNames[f]+"; v for another form", w))}
	}
	p.last = drawing{of, m.N, l.now, drawn, about}
	return drawn, about
}

// form is a way to draw a metric.
type form int

const (
	automatic form = iota
	asLines
	asBars
	asDistribution
	asHeat
)

var formNames = [...]string{"automatic", "lines", "bars", "distribution", "heat map"}

func newCharts(run *Run) *chartsPane { return &chartsPane{run: run, metric: map[string]int{}} }

func (p *chartsPane) name() string { return "Chart" }

func (p *chartsPane) find() *filter { return nil }

// chosen is the metric shown, nil if nothing has been observed.
func (p *chartsPane) chosen() *Metric {
	if p.experiment == nil || len(p.experiment.Metrics) == 0 {
		return nil
	}
	return p.experiment.Metrics[p.metric[p.experiment.Name()]%len(p.experiment.Metrics)]
}

func (p *chartsPane) turn(by int) {
	if p.experiment == nil || len(p.experiment.Metrics) == 0 {
		return
	}
	n, name := len(p.experiment.Metrics), p.experiment.Name()
	p.metric[name] = (p.metric[name]%n + by + n) % n
}

func (p *chartsPane) title(*look) string {
	if p.chosen() == nil {
		return ""
	}
	n := len(p.experiment.Metrics)
	return fmt.Sprintf("%s · metric %d of %d", p.experiment.Name(), p.metric[p.experiment.Name()]%n+1, n)
}

func (p *chartsPane) actions() []action {
	return []action{
		act("j ↓ →", "next metric", func() { p.turn(1) }, "j", "down", "right"),
		act("k ↑ ←", "metric before", func() { p.turn(-1) }, "k", "up", "left"),
		act("v", "lines, bars, distribution, heat map", func() { p.form = (p.form + 1) % form(len(formNames)) }, "v"),
	}
}

func (p *chartsPane) view(l *look, _ bool, w, h int) []string {
	m := p.chosen()
	if m == nil {
		text := "nothing observed yet"
		if p.experiment == nil {
			text = "choose an experiment to see what it measures"
		}
		return []string{l.Dim.Render(fit(" "+text, w))}
	}
	head := printable(m.Name)
	if m.Unit != "" && m.Unit != "1" {
		head += " in " + printable(m.Unit)
	}
	drawn, about := p.draw(m, w, h-2, l)
	note := fmt.Sprintf("%d observations", m.N)
	if m.Folded > 0 {
		note += fmt.Sprintf(", %d of them in too many cells to draw", m.Folded)
	}
	if p.run.Unseen > 0 {
		note += fmt.Sprintf(", %d came too fast to show", p.run.Unseen)
	}
	room := max(0, w-len([]rune(head+about+note))-8)
	spark := chart.Spark(m.latest(), min(room, 24))
	out := []string{fit(l.Strong.Render(head)+" "+about, w), l.Dim.Render(row(spark, note, w))}
	return append(out, drawn...)
}

// latest gives the newest value of each cell in the order the cells appeared.
func (m *Metric) latest() []float64 {
	const most = 24
	var out []float64
	for _, c := range m.Cells[max(0, len(m.Cells)-most):] {
		out = append(out, c.Latest)
	}
	return out
}

// arrangement is a metric's cells laid out: which label is the x axis, and
// which labels tell the series apart.
type arrangement struct {
	metric *Metric
	axis   string // numeric label with the most values, "" if there is none
	by     []string
	x      []float64 // of each cell
	points int       // distinct values on the axis
}

func arrange(m *Metric) arrangement {
	a := arrangement{metric: m}
	for _, label := range m.Labels {
		values := map[string]bool{}
		for _, c := range m.Cells {
			values[c.Labels[label]] = true
		}
		if len(values) < 2 {
			continue
		}
		a.by = append(a.by, label)
		if x := numbers(m.Cells, label); x != nil && len(values) > a.points {
			a.axis, a.x, a.points = label, x, len(values)
		}
	}
	if a.axis != "" {
		a.by = slices.DeleteFunc(a.by, func(label string) bool { return label == a.axis })
	}
	return a
}

// numbers reads a label of all cells as numbers of one unit, or sizes; nil if
// that cannot be done.
func numbers(cells []*Cell, label string) []float64 {
	x := make([]float64, len(cells))
	unit := ""
	for i, c := range cells {
		text := c.Labels[label]
		var size artifacts.Size
		q, err := checks.ParseQuantity(text)
		switch {
		case err == nil && (i == 0 || q.Unit == unit):
			unit, x[i] = q.Unit, q.Value
		default:
			// Sizes of several units, as in 512KiB and 1MiB.
			for j, c := range cells {
				if size.UnmarshalText([]byte(c.Labels[label])) != nil {
					return nil
				}
				x[j] = float64(size)
			}
			return x
		}
	}
	return x
}

// suits is the form that shows the metric best.
func (a arrangement) suits() form {
	switch {
	case a.points >= 128 && len(a.by) == 0:
		return asHeat
	case a.points >= 3:
		return asLines
	case len(a.metric.Cells) == 1 && a.metric.N >= 16:
		return asDistribution
	}
	return asBars
}

// cellName is the labels in names that tell a cell from the others.
func cellName(c *Cell, labels []string) string {
	var parts []string
	for _, name := range labels {
		v := c.Labels[name]
		if len(labels) > 1 {
			v = name + "=" + v
		}
		parts = append(parts, printable(v))
	}
	if len(parts) == 0 {
		return "all"
	}
	return strings.Join(parts, " ")
}

// groups gathers the cells by the labels that tell series apart.
func (a arrangement) groups(labels []string) (names []string, members map[string][]int) {
	members = map[string][]int{}
	for i, c := range a.metric.Cells {
		name := cellName(c, labels)
		if _, known := members[name]; !known {
			names = append(names, name)
		}
		members[name] = append(members[name], i)
	}
	return names, members
}

// draw draws the metric in a form and says what it shows; nil where the form
// does not apply.
func (a arrangement) draw(f form, w, h int, l *look) (drawn []string, about string) {
	cells := a.metric.Cells
	switch f {
	case asLines:
		if a.axis == "" {
			return nil, ""
		}
		names, members := a.groups(a.by)
		var series []chart.Series
		for _, name := range names {
			at := members[name]
			slices.SortFunc(at, func(i, j int) int { return cmp.Compare(a.x[i], a.x[j]) })
			s := chart.Series{Name: name}
			for _, i := range at {
				s.X, s.Y = append(s.X, a.x[i]), append(s.Y, cells[i].Mean)
			}
			series = append(series, s)
		}
		return legend(series, chart.Line(series, w, h-1, l.paint), w, l), "by " + printable(a.axis)
	case asBars:
		by := a.by
		if a.axis != "" {
			by = append(slices.Clone(by), a.axis)
		}
		var list []chart.Bar
		for _, c := range cells {
			b := chart.Bar{Name: cellName(c, by), Value: c.Mean, Note: fmt.Sprintf("n=%d", c.N)}
			if low, high, ok := c.Interval(); ok {
				b.Low, b.High = low, high
				b.Note = "±" + chart.Number(high-c.Mean) + " " + b.Note
			}
			list = append(list, b)
		}
		about := "mean"
		if slices.ContainsFunc(list, func(b chart.Bar) bool { return b.Low < b.High }) {
			about = "mean, 95 % interval"
		}
		return chart.Bars(list, w, h, l.paint), about
	case asDistribution:
		by := a.by
		names, members := a.groups(by)
		var series []chart.Series
		for _, name := range names {
			var sample []float64
			for _, i := range members[name] {
				sample = append(sample, cells[i].Sample...)
			}
			series = append(series, chart.CDF(name, sample))
		}
		return legend(series, chart.Line(series, w, h-1, l.paint), w, l), "share of values up to"
	case asHeat:
		if a.axis == "" {
			return nil, ""
		}
		at := make([]int, len(cells))
		for i := range at {
			at[i] = i
		}
		slices.SortStableFunc(at, func(i, j int) int { return cmp.Compare(a.x[i], a.x[j]) })
		values := make([]float64, 0, len(at))
		for _, i := range at {
			if !math.IsNaN(cells[i].Mean) {
				values = append(values, cells[i].Mean)
			}
		}
		return chart.Heat(values, w, h, l.paint), "by " + printable(a.axis)
	}
	return nil, ""
}

// legend puts the series' letters and names below a chart.
func legend(series []chart.Series, drawn []string, w int, l *look) []string {
	if drawn == nil {
		return nil
	}
	var b strings.Builder
	for n, s := range series {
		if n > 0 {
			b.WriteString("  ")
		}
		b.WriteString(l.paint(n, string(chart.Letter(n))) + " " + s.Name)
	}
	return append(drawn, fit(b.String(), w))
}
