package tui

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
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
	slice      int // of the metrics that are too much for one chart
	last       drawing
	w, h       int // of the room for the last one
	look       *look
	of         *Experiment // of which shown was made, of so many observations
	seen       int
	shown      []*Metric
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
	of := fmt.Sprint(p.experiment.Name(), m.Name, m.Unit, p.form, p.slice, w, h, l.Name)
	const many, often = 500, 250 * time.Millisecond
	if of == p.last.of && (m.N == p.last.n || m.N > p.last.n && len(m.Cells) > many && l.now.Sub(p.last.at) < often) {
		return p.last.lines, p.last.about
	}
	a := arrange(m, p.slice)
	f := p.form
	if f == automatic {
		f = a.suits()
	}
	drawn, about := a.draw(f, w, h, l)
	if drawn == nil {
		for _, line := range paragraph("these observations, or this room, do not make "+formNames[f]+"; v for another form", w) {
			drawn = append(drawn, l.Dim.Render(fit(line, w)))
		}
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
	if p.experiment == nil || len(p.metrics()) == 0 {
		return nil
	}
	return p.metrics()[p.index()]
}

// metrics are those of the experiment; before a family of quantiles, such as
// latency_p50, latency_p99, stands the distribution that they are points of.
func (p *chartsPane) metrics() []*Metric {
	n := 0
	for _, m := range p.experiment.Metrics {
		n += m.N
	}
	if p.of == p.experiment && p.seen == n {
		return p.shown
	}
	p.of, p.seen, p.shown = p.experiment, n, nil
	families := map[string][]*Metric{}
	for _, m := range p.experiment.Metrics {
		if name, _, is := quantile(m.Name); is {
			families[name+" "+m.Unit] = append(families[name+" "+m.Unit], m)
		}
	}
	for _, m := range p.experiment.Metrics {
		if name, _, is := quantile(m.Name); is && len(families[name+" "+m.Unit]) >= 3 {
			p.shown = append(p.shown, distribution(name, families[name+" "+m.Unit]))
			delete(families, name+" "+m.Unit)
		}
		p.shown = append(p.shown, m)
	}
	return p.shown
}

// quantile takes the name of a quantile apart: read_latency_p999 is the value
// of read_latency that a share of 0.999 does not exceed.
func quantile(name string) (of string, share float64, is bool) {
	at := strings.LastIndex(name, "_p")
	if at < 1 {
		return "", 0, false
	}
	digits := name[at+2:]
	v, err := strconv.ParseUint(digits, 10, 32)
	switch {
	case err != nil || v == 0:
		return "", 0, false
	case len(digits) <= 2 || digits == "100":
		share = float64(v) / 100
	default:
		share = float64(v) / math.Pow10(len(digits))
	}
	return name[:at], share, true
}

// distribution is the metric whose quantiles others are.
func distribution(name string, quantiles []*Metric) *Metric {
	d := &Metric{Name: name, Unit: quantiles[0].Unit, Labels: append(slices.Clone(quantiles[0].Labels), shareLabel)}
	for _, m := range quantiles {
		_, share, _ := quantile(m.Name)
		d.N += m.N
		for _, c := range m.Cells {
			point := *c
			point.Labels = maps.Clone(c.Labels)
			point.Labels[shareLabel] = strconv.FormatFloat(share, 'g', -1, 64)
			d.Cells = append(d.Cells, &point)
		}
	}
	return d
}

// shareLabel tells the quantiles of a distribution apart.
const shareLabel = "share"

// index is the place of the metric shown: the one chosen, or that of the
// experiment's first claim, or the first.
func (p *chartsPane) index() int {
	if at, chosen := p.metric[p.experiment.Name()]; chosen {
		return at % len(p.metrics())
	}
	for _, c := range p.run.Claims {
		if c.Experiment != p.experiment {
			continue
		}
		for _, r := range c.Results {
			if at := slices.IndexFunc(p.metrics(), func(m *Metric) bool { return m.Name == r.Metric }); at >= 0 {
				return at
			}
		}
	}
	return 0
}

func (p *chartsPane) turn(by int) {
	if p.chosen() == nil {
		return
	}
	n := len(p.metrics())
	p.metric[p.experiment.Name()] = (p.index() + by + n) % n
	p.slice = 0
}

// nextForm goes to the next form that the metric makes in the room there is.
func (p *chartsPane) nextForm() {
	m := p.chosen()
	for range formNames {
		p.form = (p.form + 1) % form(len(formNames))
		if p.form == automatic || m == nil || p.look == nil {
			return
		}
		if drawn, _ := arrange(m, p.slice).draw(p.form, p.w, p.h, p.look); drawn != nil {
			return
		}
	}
}

func (p *chartsPane) title(*look) string {
	if p.chosen() == nil {
		return ""
	}
	return fmt.Sprintf("%s · metric %d of %d", p.experiment.Name(), p.index()+1, len(p.metrics()))
}

func (p *chartsPane) actions() []action {
	return []action{
		act("j ↓ →", "next metric", func() { p.turn(1) }, "j", "down", "right"),
		act("k ↑ ←", "metric before", func() { p.turn(-1) }, "k", "up", "left"),
		act("]", "next slice of many series", func() { p.slice++ }, "]"),
		act("[", "slice before", func() { p.slice-- }, "["),
		act("v", "lines, bars, distribution, heat map", p.nextForm, "v"),
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
	p.w, p.h, p.look = w, h-2, l
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
// which labels tell the series apart. A metric of too many series for one
// chart is cut into slices; the arrangement is of one of them.
type arrangement struct {
	cells  []*Cell
	n      int
	axis   string // numeric label with the most values, "" if there is none
	by     []string
	x      []float64 // of each cell
	points int       // distinct values on the axis
	slice  string    // the labels all cells have in common, "" if there is one slice
}

// mostSeries is how many series one chart shows.
const mostSeries = 12

func arrange(m *Metric, slice int) arrangement {
	a := arrangement{cells: m.Cells, n: m.N}
	distinct := map[string]int{}
	for _, label := range m.Labels {
		values := map[string]bool{}
		for _, c := range m.Cells {
			values[c.Labels[label]] = true
		}
		if len(values) < 2 {
			continue
		}
		distinct[label] = len(values)
		a.by = append(a.by, label)
		if x := numbers(m.Cells, label); x != nil && (label == shareLabel || a.axis != shareLabel && len(values) > a.points) {
			a.axis, a.x, a.points = label, x, len(values)
		}
	}
	if a.axis != "" {
		a.by = slices.DeleteFunc(a.by, func(label string) bool { return label == a.axis })
	}
	if names, _ := a.groups(a.by); len(names) > mostSeries && len(a.by) > 1 {
		a.cut(distinct, slice)
	}
	return a
}

// cut keeps the series of one label, the one that has the most values a chart
// can show, at one combination of the other labels.
func (a *arrangement) cut(distinct map[string]int, slice int) {
	keep := ""
	for _, label := range a.by {
		if keep == "" || distinct[label] <= mostSeries && (distinct[keep] > mostSeries || distinct[label] > distinct[keep]) {
			keep = label
		}
	}
	others := slices.DeleteFunc(slices.Clone(a.by), func(label string) bool { return label == keep })
	names, members := a.groups(others)
	at := (slice%len(names) + len(names)) % len(names)
	var cells []*Cell
	var x []float64
	for _, i := range members[names[at]] {
		cells = append(cells, a.cells[i])
		if a.axis != "" {
			x = append(x, a.x[i])
		}
	}
	a.cells, a.x, a.by = cells, x, []string{keep}
	a.slice = fmt.Sprintf("%s (slice %d of %d)", names[at], at+1, len(names))
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

// placeLabels are axes of places rather than of quantities: what is of interest
// is where on them something is high.
var placeLabels = []string{"block", "line", "lun", "channel"}

// suits is the form that shows the metric best.
func (a arrangement) suits() form {
	switch {
	case a.axis == shareLabel:
		return asDistribution
	case a.points >= 128 && len(a.by) == 0, a.points >= 16 && slices.Contains(placeLabels, a.axis):
		return asHeat
	case a.points >= 3:
		return asLines
	case len(a.cells) == 1 && a.n >= 16:
		return asDistribution
	}
	return asBars
}

// cellName is the labels in names that tell a cell from the others.
func cellName(c *Cell, labels []string) string {
	var parts []string
	for _, name := range labels {
		v := c.Labels[name]
		if _, err := strconv.ParseFloat(v, 64); err == nil && len(labels) > 1 {
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
	for i, c := range a.cells {
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
	cells := a.cells
	defer func() {
		if a.slice != "" {
			about = strings.TrimPrefix(about+", "+a.slice, ", ")
		}
	}()
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
		return withLegend(series, w, h, l), "by " + printable(a.axis)
	case asBars:
		by := a.by
		if a.axis != "" {
			by = append(slices.Clone(by), a.axis)
		}
		var list []chart.Bar
		for i, c := range cells {
			if i > h { // Bars only counts the rest
				list = append(list, chart.Bar{})
				continue
			}
			b := chart.Bar{Name: middle(cellName(c, by), w/3), Value: c.Mean, Note: fmt.Sprintf("n=%d", c.N)}
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
		if a.axis == shareLabel {
			return withLegend(a.quantiles(), w, h, l), "share of values up to"
		}
		names, members := a.groups(by)
		var series []chart.Series
		for _, name := range names {
			var sample []float64
			for _, i := range members[name] {
				sample = append(sample, cells[i].Sample...)
			}
			series = append(series, chart.CDF(name, sample))
		}
		return withLegend(series, w, h, l), "share of values up to"
	case asHeat:
		if a.axis == "" {
			return nil, ""
		}
		if len(a.by) > 0 {
			names, members := a.groups(a.by)
			var rows []chart.Row
			for _, name := range names {
				at := members[name]
				slices.SortFunc(at, func(i, j int) int { return cmp.Compare(a.x[i], a.x[j]) })
				r := chart.Row{Name: name}
				for _, i := range at {
					r.Values = append(r.Values, cells[i].Mean)
				}
				rows = append(rows, r)
			}
			return chart.HeatRows(rows, w, h, l.paint), "along " + printable(a.axis)
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

// quantiles makes a line of each series of a distribution.
func (a arrangement) quantiles() []chart.Series {
	names, members := a.groups(a.by)
	var series []chart.Series
	for _, name := range names {
		at := members[name]
		slices.SortFunc(at, func(i, j int) int { return cmp.Compare(a.x[i], a.x[j]) })
		s := chart.Series{Name: name}
		for _, i := range at {
			s.X, s.Y = append(s.X, a.cells[i].Mean), append(s.Y, a.x[i])
		}
		series = append(series, s)
	}
	return series
}

// withLegend draws lines and below them the series' letters and names, in a
// third of the room at most.
func withLegend(series []chart.Series, w, h int, l *look) []string {
	if len(series) == 1 {
		return chart.Line(series, w, h, l.paint)
	}
	var legend []string
	line, used := "", 0
	for n, s := range series {
		need := len([]rune(s.Name)) + 4
		if used > 0 && used+need > w {
			legend = append(legend, line)
			line, used = "", 0
		}
		line += l.paint(n, string(chart.Letter(n))) + " " + s.Name + "  "
		used += need
	}
	legend = append(legend, line)
	if most := max(1, h/3); len(legend) > most {
		legend = legend[:most]
		legend[most-1] = fit(legend[most-1], w-1) + "…"
	}
	drawn := chart.Line(series, w, h-len(legend), l.paint)
	if drawn == nil {
		return nil
	}
	return append(drawn, legend...)
}
