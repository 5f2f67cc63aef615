package report

import (
	"cmp"
	"fmt"
	"html"
	"html/template"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"reprise/checks"
)

// svg is a drawing under way. Colours are classes of the page's style, so that
// a drawing follows its dark and light looks; shapes tell series apart too.
type svg struct {
	b    strings.Builder
	w, h float64
}

func newSVG(w, h float64) *svg { return &svg{w: w, h: h} }

// figure closes the drawing and describes it for those who do not see it.
func (s *svg) figure(about string) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg class="plot" viewBox="0 0 %s %s" role="img" aria-label="%s">%s</svg>`, //nolint:gosec // every text is escaped where it is written
		num(s.w), num(s.h), html.EscapeString(about+"; the table below has the data"), s.b.String()))
}

// inline closes a drawing that only decorates.
func (s *svg) inline() template.HTML {
	return template.HTML(fmt.Sprintf(`<svg class="sign" viewBox="0 0 %s %s" aria-hidden="true">%s</svg>`, num(s.w), num(s.h), s.b.String())) //nolint:gosec // as above
}

func (s *svg) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&s.b, `<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`, class, num(x1), num(y1), num(x2), num(y2))
}

func (s *svg) rect(class string, x, y, w, h float64) {
	fmt.Fprintf(&s.b, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"/>`, class, num(x), num(y), num(max(w, 0)), num(max(h, 0)))
}

func (s *svg) text(class string, x, y float64, text string) {
	fmt.Fprintf(&s.b, `<text class="%s" x="%s" y="%s">%s</text>`, class, num(x), num(y), html.EscapeString(text))
}

func (s *svg) path(class string, points [][2]float64) {
	fmt.Fprintf(&s.b, `<path class="%s" d="`, class)
	for i, p := range points {
		verb := "L"
		if i == 0 {
			verb = "M"
		}
		s.b.WriteString(verb + num(p[0]) + " " + num(p[1]))
	}
	s.b.WriteString(`"/>`)
}

// mark is a point of a series: ten shapes and colours.
func (s *svg) mark(x, y float64, series int) {
	class := fmt.Sprintf("m s%d", series%mostSeries)
	const r = 3.4
	poly := func(points ...float64) {
		fmt.Fprintf(&s.b, `<path class="%s" d="`, class)
		for i := 0; i < len(points); i += 2 {
			verb := "L"
			if i == 0 {
				verb = "M"
			}
			s.b.WriteString(verb + num(x+r*points[i]) + " " + num(y+r*points[i+1]))
		}
		s.b.WriteString(`Z"/>`)
	}
	switch series % mostSeries {
	case 0:
		fmt.Fprintf(&s.b, `<circle class="%s" cx="%s" cy="%s" r="%s"/>`, class, num(x), num(y), num(r))
	case 1:
		poly(-.9, -.9, .9, -.9, .9, .9, -.9, .9)
	case 2:
		poly(0, -1.2, 1.1, .8, -1.1, .8)
	case 3:
		poly(0, -1.3, 1.3, 0, 0, 1.3, -1.3, 0)
	case 4:
		poly(0, 1.2, 1.1, -.8, -1.1, -.8)
	case 5:
		poly(-.4, -1.2, .4, -1.2, .4, -.4, 1.2, -.4, 1.2, .4, .4, .4, .4, 1.2, -.4, 1.2, -.4, .4, -1.2, .4, -1.2, -.4, -.4, -.4)
	case 6:
		poly(-1.2, 0, .8, -1.1, .8, 1.1)
	case 7:
		poly(1.2, 0, -.8, -1.1, -.8, 1.1)
	case 8:
		poly(-1.2, -.5, 1.2, -.5, 1.2, .5, -1.2, .5)
	default:
		poly(-.5, -1.2, .5, -1.2, .5, 1.2, -.5, 1.2)
	}
}

// num writes a coordinate.
func num(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

// The measures of a panel.
const (
	panelW, panelH       = 340, 230
	left, right          = 48, 12
	top, bottom          = 12, 38
	plotW, plotH         = panelW - left - right, panelH - top - bottom
	barRow, barPad       = 20, 4
	barLabel, barNumbers = 112, 66
)

// scale maps values to coordinates.
type scale struct {
	low, high float64
	log       bool
	from, to  float64
}

func (s scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		v, low, high = math.Log(max(v, s.low)), math.Log(low), math.Log(high)
	}
	if high == low {
		return (s.from + s.to) / 2
	}
	return s.from + (v-low)/(high-low)*(s.to-s.from)
}

// valueScale fits a span with a little room, vertical coordinates.
func valueScale(y span, from, to float64) scale {
	s := scale{y.low, y.high, y.log, from, to}
	switch {
	case y.log:
		s.low, s.high = y.low*0.8, y.high*1.25
	case y.low == y.high:
		room := math.Abs(y.low) * 0.1
		if room == 0 {
			room = 1
		}
		s.low, s.high = y.low-room, y.high+room
	default:
		room := (y.high - y.low) * 0.06
		if y.low >= 0 && y.low < 0.35*y.high {
			s.low = 0
		} else {
			s.low -= room
		}
		s.high += room
	}
	return s
}

// ticks are round values within a scale.
func (s scale) ticks(most int) []float64 {
	if s.log {
		var out []float64
		for e := math.Floor(math.Log10(s.low)); e <= math.Ceil(math.Log10(s.high)); e++ {
			for _, m := range []float64{1, 2, 5} {
				if v := m * math.Pow(10, e); v >= s.low && v <= s.high {
					out = append(out, v)
				}
			}
		}
		for len(out) > most { // only powers of ten, then every other
			if slices.ContainsFunc(out, func(v float64) bool { return math.Abs(math.Mod(math.Log10(v), 1)) > 1e-9 }) {
				out = slices.DeleteFunc(out, func(v float64) bool {
					f := math.Abs(math.Mod(math.Log10(v), 1))
					return f > 1e-9 && f < 1-1e-9
				})
				if len(out) <= most {
					break
				}
			}
			var half []float64
			for i := 0; i < len(out); i += 2 {
				half = append(half, out[i])
			}
			out = half
		}
		return out
	}
	raw := (s.high - s.low) / float64(most)
	mag := math.Pow(10, math.Floor(math.Log10(raw)))
	step := mag * 10
	for _, m := range []float64{1, 2, 5} {
		if m*mag >= raw {
			step = m * mag
			break
		}
	}
	var out []float64
	for i := math.Ceil(s.low/step - 1e-9); i*step <= s.high*(1+1e-12)+1e-12 && len(out) <= 2*most; i++ {
		out = append(out, i*step+0) // +0 makes −0 a 0
	}
	return out
}

// short writes a value for an axis.
func short(v float64) string {
	a := math.Abs(v)
	switch {
	case a == 0 || a < 1e-12:
		return "0"
	case a >= 1e15 || a < 1e-4:
		return strconv.FormatFloat(v, 'g', 2, 64)
	case a >= 1e12:
		return trim(v/1e12) + "T"
	case a >= 1e9:
		return trim(v/1e9) + "G"
	case a >= 1e6:
		return trim(v/1e6) + "M"
	case a >= 1e4:
		return trim(v/1e3) + "k"
	}
	return trim(v)
}

func trim(v float64) string { return strconv.FormatFloat(math.Round(v*1e4)/1e4, 'g', 4, 64) }

// frame draws the axes of a panel.
func (s *svg) frame(y scale) {
	for _, v := range y.ticks(5) {
		at := y.at(v)
		s.line("grid", left, at, left+plotW, at)
		s.text("tick end", left-6, at+3.5, short(v))
	}
	s.line("axis", left, top+plotH, left+plotW, top+plotH)
}

// drawLines draws a panel of lines over a numeric label.
func drawLines(about string, cells []*cell, at map[string]int, by string, x axis, y span) template.HTML {
	s := newSVG(panelW, panelH)
	ys := valueScale(y, top+plotH, top)
	xs := scale{x.at[0], x.at[len(x.at)-1], x.log, left + 8, left + plotW - 8}
	s.frame(ys)
	if len(x.names) <= 7 {
		room := 0.0
		for i, name := range x.names {
			px := xs.at(x.at[i])
			if px < room {
				continue // it would run into the one before
			}
			s.line("axis", px, top+plotH, px, top+plotH+3)
			s.text("tick mid", px, top+plotH+15, clip(name, 12))
			room = px + 7*float64(min(len(name), 12))
		}
	} else {
		for _, v := range xs.ticks(5) {
			px := xs.at(v)
			s.line("axis", px, top+plotH, px, top+plotH+3)
			s.text("tick mid", px, top+plotH+15, short(v))
		}
	}
	name := x.label
	if x.log {
		name += ", log scale"
	}
	if y.log {
		name += " (values: log scale)"
	}
	s.text("name mid", left+plotW/2, panelH-6, name)
	series := map[string][]*cell{}
	for _, c := range cells {
		series[c.Labels[by]] = append(series[c.Labels[by]], c)
	}
	for _, name := range slices.SortedFunc(maps.Keys(series), func(a, b string) int { return cmp.Compare(at[a], at[b]) }) {
		n, own := at[name], series[name]
		slices.SortFunc(own, func(a, b *cell) int {
			return cmp.Compare(x.places[a.Labels[x.label]], x.places[b.Labels[x.label]])
		})
		var points, reference [][2]float64
		for _, c := range own {
			px := xs.at(x.places[c.Labels[x.label]])
			points = append(points, [2]float64{px, ys.at(c.mean)})
			if c.reference != nil {
				reference = append(reference, [2]float64{px, ys.at(*c.reference)})
			}
		}
		s.path(fmt.Sprintf("l s%d", n%mostSeries), points)
		if len(reference) > 1 {
			s.path("reference", reference)
		}
		for i, c := range own {
			if c.interval != nil {
				s.line(fmt.Sprintf("w s%d", n%mostSeries), points[i][0], ys.at(c.interval.Low), points[i][0], ys.at(c.interval.High))
			}
			if len(own) <= 40 {
				s.mark(points[i][0], points[i][1], n)
			}
		}
		for _, p := range reference {
			s.diamond(p[0], p[1])
		}
	}
	return s.figure("lines: " + about + " over " + x.label)
}

// diamond marks a value of the paper.
func (s *svg) diamond(x, y float64) {
	const r = 5
	s.b.WriteString(`<path class="paper" d="M` + num(x) + " " + num(y-r) + "L" + num(x+r) + " " + num(y) + "L" + num(x) + " " + num(y+r) + "L" + num(x-r) + " " + num(y) + `Z"/>`)
}

// drawBars draws a panel of bars with intervals, one for each value of a label.
func drawBars(about string, cells []*cell, by string, y span) template.HTML {
	cells = slices.Clone(cells)
	slices.SortStableFunc(cells, func(a, b *cell) int { return checks.CompareNatural(a.Labels[by], b.Labels[by]) })
	const most = 60
	left := len(cells) - most
	if left > 0 {
		cells = cells[:most]
	}
	h := float64(len(cells)*barRow + 2*barPad)
	if left > 0 {
		h += barRow
	}
	s := newSVG(panelW, h)
	low, high := min(0, y.low), max(0, y.high)
	if high == low {
		high = 1
	}
	xs := scale{low, high, false, barLabel, panelW - barNumbers}
	if y.log {
		xs = scale{y.low * 0.8, y.high, true, barLabel, panelW - barNumbers}
	}
	zero := xs.at(max(low, xs.low))
	if !y.log {
		zero = xs.at(0)
	}
	for i, c := range cells {
		row := float64(barPad + i*barRow)
		name := c.Labels[by]
		if by == "" {
			name = "all"
		}
		s.text("bar end", barLabel-8, row+14, clip(name, 17))
		to := xs.at(c.mean)
		s.rect("bar", min(zero, to), row+4, math.Abs(to-zero), barRow-8)
		if c.interval != nil {
			mid := row + barRow/2
			a, b := xs.at(max(c.interval.Low, xs.low)), xs.at(min(c.interval.High, xs.high))
			s.line("whisker", a, mid, b, mid)
			s.line("whisker", a, mid-3, a, mid+3)
			s.line("whisker", b, mid-3, b, mid+3)
		}
		if c.reference != nil {
			s.diamond(xs.at(*c.reference), row+barRow/2)
		}
		s.text("bar end", panelW-4, row+14, short(c.mean))
	}
	if left > 0 {
		s.text("bar", barLabel, h-6, fmt.Sprintf("and %d more in the table", left))
	}
	s.line("axis", zero, barPad, zero, float64(barPad+len(cells)*barRow))
	kind := "bars: "
	if y.log {
		kind = "bars on a log scale: "
	}
	if by != "" {
		about += " by " + by
	}
	return s.figure(kind + about)
}

// drawHeat draws a grid of two labels, darker for more.
func drawHeat(about string, cells []*cell, rowLabel, columnLabel string, rows, columns []string, y span) template.HTML {
	at := map[[2]string]*cell{}
	for _, c := range cells {
		at[[2]string{c.Labels[rowLabel], c.Labels[columnLabel]}] = c
	}
	more := ""
	if len(rows) > mostHeat || len(columns) > mostHeat {
		more = fmt.Sprintf("the first %d × %d of %d × %d", min(len(rows), mostHeat), min(len(columns), mostHeat), len(rows), len(columns))
		rows, columns = rows[:min(len(rows), mostHeat)], columns[:min(len(columns), mostHeat)]
	}
	const labelW, rowH, headH = 104, 18, 62
	w := math.Max(panelW, labelW+float64(len(columns))*14+8)
	h := float64(headH + len(rows)*rowH + 18)
	s := newSVG(w, h)
	cw := (w - labelW - 8) / float64(len(columns))
	for i, name := range columns {
		x := labelW + (float64(i)+0.5)*cw
		fmt.Fprintf(&s.b, `<text class="tick" transform="translate(%s %d) rotate(-45)">%s</text>`, num(x), headH-6, html.EscapeString(clip(name, 11)))
	}
	scale := scale{y.low, y.high, y.log, 0.06, 1}
	for r, row := range rows {
		top := float64(headH + r*rowH)
		s.text("tick end", labelW-6, top+13, clip(row, 16))
		for i, column := range columns {
			c := at[[2]string{row, column}]
			if c == nil {
				continue
			}
			shade := scale.at(c.mean)
			x := labelW + float64(i)*cw
			fmt.Fprintf(&s.b, `<rect class="heat" x="%s" y="%s" width="%s" height="%d" fill-opacity="%.2f"><title>%s %s, %s %s: %s</title></rect>`, num(x), num(top), num(cw-1), rowH-1, shade,
				html.EscapeString(rowLabel), html.EscapeString(row), html.EscapeString(columnLabel), html.EscapeString(column), checks.Number(c.mean, ""))
			if cw >= 34 {
				class := "on mid"
				if shade < 0.55 {
					class = "off mid"
				}
				s.text(class, x+cw/2, top+13, short(c.mean))
			}
		}
	}
	s.text("name", 4, h-5, joinNonEmpty("; ", rowLabel+" down, "+columnLabel+" across", more))
	return s.figure("heat map: " + about + " by " + rowLabel + " and " + columnLabel)
}

// drawCDF draws the distributions of samples.
func drawCDF(about string, series [][]float64) template.HTML {
	s := newSVG(panelW, panelH)
	y := scale{0, 1, false, top + plotH, top}
	for _, v := range []float64{0, .25, .5, .75, 1} {
		s.line("grid", left, y.at(v), left+plotW, y.at(v))
		s.text("tick end", left-6, y.at(v)+3.5, fmt.Sprintf("%g %%", 100*v))
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, values := range series {
		low, high = min(low, slices.Min(values)), max(high, slices.Max(values))
	}
	x := scale{low, high, low > 0 && high/low > 100, left, left + plotW}
	for _, v := range x.ticks(4) {
		s.line("axis", x.at(v), top+plotH, x.at(v), top+plotH+3)
		s.text("tick mid", x.at(v), top+plotH+15, short(v))
	}
	s.line("axis", left, top+plotH, left+plotW, top+plotH)
	name := about
	if x.log {
		name += ", log scale"
	}
	s.text("name mid", left+plotW/2, panelH-6, name)
	for n, values := range series {
		sorted := slices.Sorted(slices.Values(values))
		every := max(1, len(sorted)/200)
		points := [][2]float64{{x.at(sorted[0]), y.at(0)}}
		for i, v := range sorted {
			if i%every != 0 && i != len(sorted)-1 {
				continue
			}
			points = append(points, [2]float64{x.at(v), points[len(points)-1][1]}, [2]float64{x.at(v), y.at(float64(i+1) / float64(len(sorted)))})
		}
		s.path(fmt.Sprintf("l s%d", n%mostSeries), points)
		s.mark(points[len(points)/2][0], points[len(points)/2][1], n)
	}
	return s.figure("distribution: " + about)
}

// clip shortens a name, its middle left out, to n characters.
func clip(name string, n int) string {
	r := []rune(name)
	if len(r) <= n {
		return name
	}
	head := n / 2
	return string(r[:head]) + "…" + string(r[len(r)-(n-1-head):])
}

func joinNonEmpty(by string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), by)
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.SortedFunc(maps.Keys(m), checks.CompareNatural)
}
