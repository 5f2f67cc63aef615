// Package chart draws small charts with characters: lines in braille, bars
// with intervals, distributions, heat maps, sparklines, and the band of an
// expectation with the measured interval in it. Charts are text first: series
// carry letters, so that colour is never what tells them apart.
package chart

import (
	"math"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Paint colours a piece of a chart that belongs to the series with a number;
// −1 is axes and labels.
type Paint func(series int, text string) string

// canvas is a grid of characters, each of a series.
type canvas struct {
	w, h   int
	runes  []rune
	series []int8
}

const axes = -1

func newCanvas(w, h int) *canvas {
	c := &canvas{w: w, h: h, runes: make([]rune, w*h), series: make([]int8, w*h)}
	for i := range c.runes {
		c.runes[i], c.series[i] = ' ', axes
	}
	return c
}

func (c *canvas) set(x, y int, r rune, series int) {
	if x >= 0 && x < c.w && y >= 0 && y < c.h {
		c.runes[y*c.w+x], c.series[y*c.w+x] = r, int8(series%127)
	}
}

func (c *canvas) text(x, y int, s string) {
	for _, r := range s {
		c.set(x, y, r, axes)
		x++
	}
}

// dot sets one of the 2 × 4 dots of a character.
func (c *canvas) dot(x, y, series int) {
	cx, cy := x/2, y/4
	if x < 0 || y < 0 || cx >= c.w || cy >= c.h {
		return
	}
	bits := [4][2]rune{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}
	r := c.runes[cy*c.w+cx]
	if r < 0x2800 || r > 0x28ff {
		r = 0x2800
	}
	c.set(cx, cy, r|bits[y%4][x%2], series)
}

// stroke draws a straight line of dots (Bresenham).
func (c *canvas) stroke(x0, y0, x1, y1, series int) {
	dx, dy := abs(x1-x0), -abs(y1-y0)
	sx, sy := sign(x1-x0), sign(y1-y0)
	for e := dx + dy; ; {
		c.dot(x0, y0, series)
		if x0 == x1 && y0 == y1 {
			return
		}
		e2 := 2 * e
		if e2 >= dy {
			e += dy
			x0 += sx
		}
		if e2 <= dx {
			e += dx
			y0 += sy
		}
	}
}

func (c *canvas) lines(paint Paint) []string {
	out := make([]string, c.h)
	for y := range out {
		var b strings.Builder
		for x := 0; x < c.w; {
			from, s := x, c.series[y*c.w+x]
			for x < c.w && c.series[y*c.w+x] == s {
				x++
			}
			piece := string(c.runes[y*c.w+from : y*c.w+x])
			if s == axes && strings.TrimSpace(piece) == "" {
				b.WriteString(piece)
				continue
			}
			b.WriteString(paint(int(s), piece))
		}
		out[y] = b.String()
	}
	return out
}

// Number writes a value with three significant digits.
func Number(v float64) string {
	switch a := math.Abs(v); {
	case v == 0:
		return "0"
	case a >= 1e15 || a < 1e-4:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case a >= 1e12:
		return short(v/1e12) + "T"
	case a >= 1e9:
		return short(v/1e9) + "G"
	case a >= 1e6:
		return short(v/1e6) + "M"
	case a >= 1e4:
		return short(v/1e3) + "k"
	}
	return short(v)
}

func short(v float64) string {
	decimals := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	text := strconv.FormatFloat(v, 'f', max(0, min(decimals, 6)), 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// Letter is the sign of a series: a, b, … z, then capitals, then +.
func Letter(series int) rune {
	switch {
	case series < 26:
		return rune('a' + series)
	case series < 52:
		return rune('A' + series - 26)
	}
	return '+'
}

func pad(s string, w int) string {
	s = ansi.Truncate(s, w, "…")
	return s + strings.Repeat(" ", max(0, w-ansi.StringWidth(s)))
}

func padLeft(s string, w int) string {
	s = ansi.Truncate(s, w, "…")
	return strings.Repeat(" ", max(0, w-ansi.StringWidth(s))) + s
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func abs(v int) int { return max(v, -v) }

func sign(v int) int {
	switch {
	case v < 0:
		return -1
	case v > 0:
		return 1
	}
	return 0
}
