package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"reprise/checks"
)

// Plot is what an experiment observed under one name, laid out: the form that
// the data's axes ask for, small panels side by side, and all of it as a table.
type Plot struct {
	ID     string // unique in a report
	Metric string
	Unit   string
	Form   string // in words: lines, bars, heat map, distribution
	Shows  string // what a mark stands for, in words
	Legend []key
	Panels []panel
	Left   int // panels that are not drawn; the table has their data
	Table  table
	Claims []*Claim // that look at it
	// Warnings are about how it was measured: those of the claims' checks.
	Warnings []string
}

// key is a series in the legend: its number and name.
type key struct {
	Series int
	Name   string
}

// Sign is the series' mark as in the plot.
func (k key) Sign() template.HTML {
	s := newSVG(14, 14)
	s.mark(7, 7, k.Series)
	return s.inline()
}

// panel is one drawing of a plot.
type panel struct {
	Title string
	SVG   template.HTML
}

// table is data as rows of text; numbers are aligned right.
type table struct {
	Head    []string
	Numeric []bool
	Rows    [][]string
	Left    int // rows left out
}

// Bounds of what is drawn and written out of one metric. What is left out is
// said, and is in the JSON report.
const (
	mostPanels = 12
	mostSeries = 10
	mostRows   = 1200
	mostHeat   = 40 // rows and columns of a heat map
)

// cell is one place of a metric in a plot.
type cell struct {
	checks.Place
	mean      float64
	interval  *checks.Interval
	reference *float64
}

// layout says which label does what.
type layout struct {
	axis   string // numeric label that lines run over
	series string // label that tells the series, or a heat map's rows, apart
	facets []string
	form   form
}

type form int

const (
	bars form = iota
	lines
	heat
	distribution
)

var formNames = [...]string{"bars", "lines", "heat map", "distribution"}

// plot lays out the metric of an experiment.
func plot(e *Experiment, metric string) *Plot {
	places := e.Places(metric)
	if len(places) == 0 {
		return nil
	}
	cells := make([]*cell, len(places))
	for i, p := range places {
		cells[i] = &cell{Place: p, mean: p.Mean(), interval: p.Interval()}
	}
	p := &Plot{ID: anchor(e.Name() + "-" + metric), Metric: metric, Unit: places[0].Unit}
	for _, c := range e.Claims {
		if slices.ContainsFunc(c.Results, func(r checks.Result) bool { return r.Metric == metric }) {
			p.Claims = append(p.Claims, c)
		}
	}
	for _, c := range p.Claims {
		for _, r := range c.Results {
			for _, w := range r.Warnings {
				if r.Metric == metric && e.Measured && !slices.Contains(p.Warnings, w) {
					p.Warnings = append(p.Warnings, w)
				}
			}
		}
	}
	varying := varyingLabels(cells)
	references := p.refer(cells)
	l := arrange(cells, varying)
	p.Form = formNames[l.form]
	p.draw(cells, l)
	p.Table = dataTable(cells, varying, p.Unit, references)
	return p
}

// refer gives the cells the reference points of the claims' curves, and says
// whether there are any.
func (p *Plot) refer(cells []*cell) bool {
	found := false
	for _, c := range p.Claims {
		for _, r := range c.Results {
			for _, point := range r.Points {
				if r.Metric != p.Metric || point.Unit != p.Unit {
					continue
				}
				over := strings.TrimPrefix(r.Subject, "over ")
				over, _, _ = strings.Cut(over, ",")
				for _, cell := range cells {
					if cell.reference == nil && sameQuantity(cell.Labels[over], point.At) && cell.inCell(point.Cell) && math.Abs(cell.mean-point.Value) <= 1e-9*math.Abs(point.Value) {
						v := point.Reference
						cell.reference, found = &v, true
					}
				}
			}
		}
	}
	return found
}

// inCell reports whether the labels are those that a check's cell is named by.
func (c *cell) inCell(name string) bool {
	for _, pair := range strings.Fields(name) {
		label, value, ok := strings.Cut(pair, "=")
		if ok && c.Labels[label] != value {
			return false
		}
	}
	return true
}

func sameQuantity(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := checks.ParseQuantity(a)
	y, errY := checks.ParseQuantity(b)
	return errX == nil && errY == nil && x == y
}

// label is a label that tells cells apart.
type label struct {
	name    string
	values  []string           // distinct, in natural order
	numbers map[string]float64 // nil if they are no quantities of one unit
}

func varyingLabels(cells []*cell) []label {
	seen := map[string]map[string]bool{}
	for _, c := range cells {
		for name := range c.Labels {
			if seen[name] == nil {
				seen[name] = map[string]bool{}
			}
		}
	}
	for _, c := range cells {
		for name := range seen {
			seen[name][c.Labels[name]] = true
		}
	}
	var out []label
	for name, values := range seen {
		if len(values) < 2 {
			continue
		}
		l := label{name: name, numbers: map[string]float64{}}
		unit := ""
		for v := range values {
			l.values = append(l.values, v)
			q, err := checks.ParseQuantity(v)
			if err != nil {
				l.numbers = nil
				continue
			}
			if len(l.values) == 1 {
				unit = q.Unit
			}
			if in, err := q.In(unit); err != nil {
				l.numbers = nil
			} else if l.numbers != nil {
				l.numbers[v] = in
			}
		}
		if l.numbers != nil {
			slices.SortFunc(l.values, func(a, b string) int { return cmp.Compare(l.numbers[a], l.numbers[b]) })
		} else {
			slices.SortFunc(l.values, checks.CompareNatural)
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b label) int { return cmp.Compare(a.name, b.name) })
	return out
}

// arrange chooses the form by the axes: lines over a numeric label of three or
// more values, a heat map where two labels are too many for lines or bars,
// a distribution where repeats are many and places few, bars otherwise.
func arrange(cells []*cell, varying []label) layout {
	var l layout
	axis := -1
	for i, v := range varying {
		if v.numbers != nil && len(v.values) >= 3 && (axis < 0 || len(v.values) > len(varying[axis].values)) {
			axis = i
		}
	}
	var others []label
	for i, v := range varying {
		if i != axis {
			others = append(others, v)
		}
	}
	// The label with the most values that a panel can tell apart.
	slices.SortStableFunc(others, func(a, b label) int { return cmp.Compare(len(b.values), len(a.values)) })
	if axis >= 0 {
		l.axis, l.form = varying[axis].name, lines
	}
	least := math.MaxInt
	for _, c := range cells {
		least = min(least, len(c.Values))
	}
	switch {
	case axis >= 0 && len(others) > 0 && len(others[0].values) > mostSeries:
		l.form, l.series = heat, others[0].name
	case axis >= 0 && len(others) == 1 && others[0].numbers != nil && len(others[0].values) >= 4 && len(varying[axis].values) >= 4:
		l.form, l.series = heat, others[0].name
	case axis >= 0:
		if len(others) > 0 {
			l.series = others[0].name
		}
	case least >= 16 && len(cells) <= 6:
		l.form = distribution
		return l
	case len(others) >= 2 && len(others[0].values) > 4 && len(others[1].values) > 4:
		l.form, l.series, l.axis = heat, others[0].name, others[1].name
	case len(others) > 0:
		l.series = others[0].name
	}
	for _, v := range varying {
		if v.name != l.axis && v.name != l.series {
			l.facets = append(l.facets, v.name)
		}
	}
	return l
}

// draw makes the panels.
func (p *Plot) draw(cells []*cell, l layout) {
	titles, groups := facets(cells, l.facets)
	if len(titles) > mostPanels {
		p.Left = len(titles) - mostPanels
		titles = titles[:mostPanels]
	}
	names, at := seriesNames(cells, l.series)
	spread, references := false, false
	for _, c := range cells {
		spread = spread || c.interval != nil
		references = references || c.reference != nil
	}
	about := p.Metric + suffix(p.Unit)
	switch l.form {
	case distribution:
		p.Shows = "share of the runs up to a value"
		series := make([][]float64, len(cells))
		for i, c := range cells {
			series[i] = c.Values
			p.Legend = append(p.Legend, key{i, p.cellName(c)})
		}
		p.Panels = []panel{{SVG: drawCDF(about, series)}}
		if len(cells) == 1 {
			p.Legend = nil
		}
		return
	case lines:
		p.Shows = "mean of the runs over " + l.axis
		x := axisOf(cells, l.axis)
		for i, name := range names {
			p.Legend = append(p.Legend, key{i, name})
		}
		if len(names) < 2 {
			p.Legend = nil
		}
		y := rangeOf(cells)
		for _, title := range titles {
			p.Panels = append(p.Panels, panel{title, drawLines(joined(about, title), groups[title], at, l.series, x, y)})
		}
	case heat:
		p.Shows = "mean of the runs; darker is more"
		rows, columns := valuesOf(cells, l.series), valuesOf(cells, l.axis)
		y := rangeOf(cells)
		for _, title := range titles {
			p.Panels = append(p.Panels, panel{title, drawHeat(joined(about, title), groups[title], l.series, l.axis, rows, columns, y)})
		}
	default:
		p.Shows = "mean of the runs"
		y := rangeOf(cells)
		for _, title := range titles {
			p.Panels = append(p.Panels, panel{title, drawBars(joined(about, title), groups[title], l.series, y)})
		}
	}
	if spread && l.form != heat {
		p.Shows += ", with its 95 % interval"
	}
	if references {
		p.Shows += "; hollow diamonds: the paper's values"
	}
}

func joined(about, title string) string {
	if title == "" {
		return about
	}
	return about + ", " + title
}

func (p *Plot) cellName(c *cell) string {
	var parts []string
	for _, name := range sortedKeys(c.Labels) {
		parts = append(parts, name+"="+c.Labels[name])
	}
	return strings.Join(parts, " ")
}

// facets groups the cells by the labels that make panels.
func facets(cells []*cell, by []string) (titles []string, groups map[string][]*cell) {
	groups = map[string][]*cell{}
	for _, c := range cells {
		var parts []string
		for _, name := range by {
			if v, has := c.Labels[name]; has {
				parts = append(parts, name+" "+v)
			}
		}
		title := strings.Join(parts, ", ")
		if groups[title] == nil {
			titles = append(titles, title)
		}
		groups[title] = append(groups[title], c)
	}
	slices.SortStableFunc(titles, checks.CompareNatural)
	return titles, groups
}

// seriesNames are the values of the label that tells series apart, and the
// number of each.
func seriesNames(cells []*cell, by string) (names []string, at map[string]int) {
	at = map[string]int{}
	if by == "" {
		return []string{""}, map[string]int{"": 0}
	}
	names = valuesOf(cells, by)
	for i, name := range names {
		at[name] = i
	}
	return names, at
}

// valuesOf are the values of a label, numbers by size.
func valuesOf(cells []*cell, name string) []string {
	for _, l := range varyingLabels(cells) {
		if l.name == name {
			return l.values
		}
	}
	return []string{cells[0].Labels[name]}
}

// axis is a scale for lines to run over.
type axis struct {
	label  string
	names  []string // of the places
	at     []float64
	places map[string]float64
	log    bool
}

func axisOf(cells []*cell, name string) axis {
	a := axis{label: name, places: map[string]float64{}}
	for _, l := range varyingLabels(cells) {
		if l.name == name {
			a.names, a.places = l.values, l.numbers
		}
	}
	for _, n := range a.names {
		a.at = append(a.at, a.places[n])
	}
	a.log = a.at[0] > 0 && a.at[len(a.at)-1]/a.at[0] >= 30
	return a
}

// span is the range of values, intervals and references included.
type span struct {
	low, high float64
	log       bool
}

func rangeOf(cells []*cell) span {
	s := span{math.Inf(1), math.Inf(-1), false}
	least := math.Inf(1)
	for _, c := range cells {
		take := func(v float64) { s.low, s.high, least = min(s.low, v), max(s.high, v), min(least, c.mean) }
		take(c.mean)
		if c.interval != nil {
			take(c.interval.Low)
			take(c.interval.High)
		}
		if c.reference != nil {
			take(*c.reference)
		}
	}
	if least > 0 && s.high/least >= 300 {
		s.log = true
		s.low = max(s.low, least/2)
	}
	return s
}

// dataTable writes the cells out.
func dataTable(cells []*cell, varying []label, unit string, references bool) table {
	var t table
	add := func(head string, numeric bool) { t.Head, t.Numeric = append(t.Head, head), append(t.Numeric, numeric) }
	for _, l := range varying {
		add(l.name, l.numbers != nil)
	}
	add("mean"+suffix(unit), true)
	add("95 % interval", true)
	add("n", true)
	if references {
		add("paper", true)
	}
	order := slices.Clone(cells)
	slices.SortStableFunc(order, func(a, b *cell) int {
		for _, l := range varying {
			x, y := a.Labels[l.name], b.Labels[l.name]
			c := checks.CompareNatural(x, y)
			if l.numbers != nil {
				c = cmp.Compare(l.numbers[x], l.numbers[y])
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
	if len(order) > mostRows {
		t.Left = len(order) - mostRows
		order = order[:mostRows]
	}
	for _, c := range order {
		var row []string
		for _, l := range varying {
			row = append(row, c.Labels[l.name])
		}
		row = append(row, checks.Number(c.mean, ""))
		if c.interval != nil {
			row = append(row, between(*c.interval, ""))
		} else {
			row = append(row, "–")
		}
		row = append(row, fmt.Sprint(len(c.Values)))
		if references {
			if c.reference != nil {
				row = append(row, checks.Number(*c.reference, ""))
			} else {
				row = append(row, "–")
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// between writes an interval.
func between(i checks.Interval, unit string) string {
	to := "–"
	if i.Low < 0 || i.High < 0 {
		to = " to "
	}
	return checks.Number(i.Low, "") + to + checks.Number(i.High, unit)
}

// suffix writes a unit after a metric's name.
func suffix(unit string) string {
	if unit == "" || unit == "1" {
		return ""
	}
	return " (" + unit + ")"
}

// anchor makes a name into an id for a page.
func anchor(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '-'
	}, name)
}
