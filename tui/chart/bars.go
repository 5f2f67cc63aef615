package chart

import (
	"math"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Bar is one bar and, if Low < High, an interval around its end.
type Bar struct {
	Name      string
	Value     float64
	Low, High float64
	Note      string // stands behind the value
}

// Bars draws horizontal bars from zero, one a line, at most h of them. The
// last line says how many more there are.
func Bars(bars []Bar, w, h int, paint Paint) []string {
	if w < 16 || h < 1 || len(bars) == 0 {
		return nil
	}
	more := 0
	if len(bars) > h {
		more = len(bars) - h + 1
		bars = bars[:h-1]
	}
	name, value := 4, 4
	low, high := 0.0, 0.0
	for _, b := range bars {
		name = max(name, ansi.StringWidth(b.Name))
		value = max(value, ansi.StringWidth(barText(b)))
		for _, v := range []float64{b.Value, b.Low, b.High} {
			if finite(v) {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	name = min(name, w/3)
	value = min(value, w/3)
	width := w - name - value - 2
	at := func(v float64) float64 {
		if high <= low || !finite(v) {
			return 0
		}
		return (v/2 - low/2) / (high/2 - low/2) * float64(width)
	}
	var out []string
	for n, b := range bars {
		line := paint(axes, pad(b.Name, name)) + " " + paint(n, bar(at(0), at(b.Value), at(b.Low), at(b.High), b.Low < b.High, width)) +
			" " + paint(axes, padLeft(barText(b), value))
		out = append(out, line)
	}
	if more > 0 {
		out = append(out, paint(axes, pad("… "+Number(float64(more))+" more", w)))
	}
	return out
}

func barText(b Bar) string { return strings.TrimSpace(Number(b.Value) + " " + b.Note) }

// bar fills from zero to the value in eighths of a character and lays the
// interval over its end.
func bar(zero, end, low, high float64, interval bool, width int) string {
	line := []rune(strings.Repeat(" ", max(width, 0)))
	from, to := min(zero, end), max(zero, end)
	for i := range line {
		switch covered := min(to, float64(i+1)) - max(from, float64(i)); {
		case covered >= 1:
			line[i] = '█'
		case covered > 0 && float64(i) >= from:
			line[i] = []rune(" ▏▎▍▌▋▊▉")[int(covered*8)]
		case covered >= 0.5:
			line[i] = '█'
		}
	}
	if interval {
		a, b := clamp(int(low), width), clamp(int(high), width)
		for i := a; i <= b && i < len(line); i++ {
			line[i] = '─'
		}
		if a < len(line) && b < len(line) {
			line[a], line[b] = '├', '┤'
		}
	}
	return string(line)
}

// Heat shades values in reading order, one character for as many neighbours as
// it takes to fit, with the range below.
func Heat(values []float64, w, h int, paint Paint) []string {
	if w < 8 || h < 2 || len(values) == 0 {
		return nil
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	each := (len(values) + w*(h-1) - 1) / (w * (h - 1))
	shades := []rune("·░▒▓█")
	var line []rune
	var out []string
	for from := 0; from < len(values); from += each {
		part := values[from:min(from+each, len(values))]
		mean := 0.0
		for _, v := range part {
			mean += v / float64(len(part))
		}
		shade := 0
		if high > low {
			shade = int((mean/2 - low/2) / (high/2 - low/2) * float64(len(shades)))
		}
		line = append(line, shades[clamp(shade, len(shades))])
		if len(line) == w || from+each >= len(values) {
			out = append(out, paint(0, string(line)))
			line = line[:0]
		}
	}
	legend := "· " + Number(low) + "  █ " + Number(high)
	if each > 1 {
		legend += "  one mark: mean of " + Number(float64(each))
	}
	return append(out, paint(axes, ansi.Truncate(legend, w, "…")))
}

// Row is a series of values along an axis of places.
type Row struct {
	Name   string
	Values []float64
}

// HeatRows shades each row's values along a line of its own, all by one scale,
// with the range below: where along the axis each series is high.
func HeatRows(rows []Row, w, h int, paint Paint) []string {
	if w < 16 || h < 2 || len(rows) == 0 {
		return nil
	}
	name, most := 0, 0
	low, high := math.Inf(1), math.Inf(-1)
	for _, r := range rows {
		name, most = max(name, ansi.StringWidth(r.Name)), max(most, len(r.Values))
		for _, v := range r.Values {
			if finite(v) {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	if low > high {
		return nil
	}
	name = min(name, w/3)
	width := w - name - 1
	more := 0
	if len(rows) > h-1 {
		more = len(rows) - (h - 2)
		rows = rows[:max(h-2, 0)]
	}
	shades := []rune("·░▒▓█")
	var out []string
	for n, r := range rows {
		line := []rune(strings.Repeat(" ", width))
		// Each mark is the mean of the values that fall on it.
		for x := range line {
			from, to := x*most/width, max((x+1)*most/width, x*most/width+1)
			sum, count := 0.0, 0
			for _, v := range r.Values[min(from, len(r.Values)):min(to, len(r.Values))] {
				if finite(v) {
					sum, count = sum+v, count+1
				}
			}
			if count == 0 {
				continue
			}
			shade := 0
			if high > low {
				shade = int((sum/float64(count)/2 - low/2) / (high/2 - low/2) * float64(len(shades)))
			}
			line[x] = shades[clamp(shade, len(shades))]
		}
		out = append(out, paint(axes, pad(r.Name, name))+" "+paint(n, string(line)))
	}
	if more > 0 {
		out = append(out, paint(axes, pad("… "+Number(float64(more))+" more", w)))
	}
	return append(out, paint(axes, ansi.Truncate("· "+Number(low)+"  █ "+Number(high), w, "…")))
}

// Spark draws values as a row of w bars, the latest at the right, between the
// least and the greatest.
func Spark(values []float64, w int) string {
	values = values[max(0, len(values)-w):]
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	return SparkOf(values, w, low, high)
}

// SparkOf is Spark between given bounds.
func SparkOf(values []float64, w int, low, high float64) string {
	var b strings.Builder
	for _, v := range values[max(0, len(values)-w):] {
		level := 3
		if high > low {
			level = clamp(int((v/2-low/2)/(high/2-low/2)*8), 8)
		}
		b.WriteRune([]rune("▁▂▃▄▅▆▇█")[level])
	}
	return b.String()
}

func clamp(i, n int) int { return max(0, min(i, n-1)) }
