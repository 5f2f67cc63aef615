package chart

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Panel is a line chart as SVG draws it.
type Panel struct {
	Title, X, Y string // the axes' labels
	Series      []Series
}

// The colours of Okabe & Ito, which the colour-blind tell apart, and dashes for
// when they run out.
var (
	svgColours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"}
	svgDashes  = []string{"none", "6 3", "2 2", "8 3 2 3"}
)

// SVG draws panels below each other as a document of its own. The x axis is
// logarithmic where Line's is; the y axis begins at 0 unless a value is below.
func SVG(panels []Panel) string {
	const width, height, left, right, top, bottom, line = 860, 420, 70, 210, 40, 55, 18
	var b strings.Builder
	text := func(x, y float64, anchor, extra, s string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>`+"\n", x, y, anchor, extra, html.EscapeString(s))
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height*len(panels))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height*len(panels))
	for n, p := range panels {
		x0, x1, y0, y1 := math.Inf(1), math.Inf(-1), 0.0, math.Inf(-1)
		for _, s := range p.Series {
			for i := range s.X {
				if finite(s.X[i]) && finite(s.Y[i]) {
					x0, x1, y0, y1 = min(x0, s.X[i]), max(x1, s.X[i]), min(y0, s.Y[i]), max(y1, s.Y[i])
				}
			}
		}
		fmt.Fprintf(&b, `<g transform="translate(0 %d)">`+"\n", n*height)
		text(left, top-16, "start", ` font-weight="bold"`, p.Title)
		if x0 > x1 {
			text(left, top+20, "start", "", "no data")
			b.WriteString("</g>\n")
			continue
		}
		logarithmic := x0 > 0 && x1/x0 >= 50
		scale := func(v, low, high, from, to float64) float64 {
			if high <= low {
				return (from + to) / 2
			}
			return from + (v-low)/(high-low)*(to-from)
		}
		px := func(v float64) float64 {
			if logarithmic {
				return scale(math.Log(v), math.Log(x0), math.Log(x1), left, width-right)
			}
			return scale(v, x0, x1, left, width-right)
		}
		ticks := steps(y0, y1)
		y0, y1 = min(y0, ticks[0]), max(y1, ticks[len(ticks)-1])
		py := func(v float64) float64 { return scale(v, y0, y1, height-bottom, top) }
		for _, v := range ticks {
			fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/>`+"\n", left, py(v), width-right)
			text(left-8, py(v)+4, "end", "", Number(v))
		}
		marks := steps(x0, x1)
		if logarithmic {
			marks = nil
			for e := math.Floor(math.Log10(x0)); e <= math.Ceil(math.Log10(x1)); e++ {
				marks = append(marks, math.Pow(10, e))
			}
		}
		for _, v := range marks {
			if v >= x0 && v <= x1 {
				fmt.Fprintf(&b, `<path d="M%.1f %dV%d" stroke="#ddd"/>`+"\n", px(v), top, height-bottom)
				text(px(v), height-bottom+16, "middle", "", Number(v))
			}
		}
		fmt.Fprintf(&b, `<path d="M%d %dV%dH%d" fill="none" stroke="#333"/>`+"\n", left, top, height-bottom, width-right)
		note := p.X
		if logarithmic {
			note += " (log scale)"
		}
		text((left+width-right)/2, height-14, "middle", "", note)
		text(0, 0, "middle", fmt.Sprintf(` transform="translate(16 %d) rotate(-90)"`, (top+height-bottom)/2), p.Y)
		for i, s := range p.Series {
			style := fmt.Sprintf(`fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s"`,
				svgColours[i%len(svgColours)], svgDashes[i/len(svgColours)%len(svgDashes)])
			var path strings.Builder
			verb := "M"
			for j := range s.X {
				if !finite(s.X[j]) || !finite(s.Y[j]) || logarithmic && s.X[j] <= 0 {
					verb = "M"
					continue
				}
				fmt.Fprintf(&path, "%s%.1f %.1f", verb, px(s.X[j]), py(s.Y[j]))
				verb = "L"
			}
			y := float64(top + 6 + line*i)
			fmt.Fprintf(&b, `<path d="%s" %s><title>%s</title></path>`+"\n", path.String(), style, html.EscapeString(s.Name))
			fmt.Fprintf(&b, `<path d="M%d %.1fh24" %s/>`+"\n", width-right+12, y, style)
			text(width-right+42, y+4, "start", "", s.Name)
		}
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// steps are round numbers that cover a range, four to nine of them.
func steps(low, high float64) []float64 {
	if high <= low {
		return []float64{low}
	}
	step := math.Pow(10, math.Floor(math.Log10(high-low)))
	switch n := (high - low) / step; {
	case n < 2:
		step /= 5
	case n < 5:
		step /= 2
	}
	var all []float64
	for i := math.Floor(low / step); ; i++ {
		all = append(all, i*step)
		if i*step >= high || len(all) > 20 {
			return all
		}
	}
}
