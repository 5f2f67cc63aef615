package chart

import (
	"cmp"
	"math"
	"slices"
)

// Series is one line of a chart: points in the order of X.
type Series struct {
	Name string
	X, Y []float64
}

// Line draws series as braille lines, each point marked with the series'
// letter, over axes with their range. The x axis is logarithmic when all of it
// is positive and it spans a factor of 50 or more.
func Line(series []Series, w, h int, paint Paint) []string {
	if w < 12 || h < 3 {
		return nil
	}
	x0, x1, y0, y1 := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, s := range series {
		for i := range s.X {
			if finite(s.X[i]) && finite(s.Y[i]) {
				x0, x1, y0, y1 = min(x0, s.X[i]), max(x1, s.X[i]), min(y0, s.Y[i]), max(y1, s.Y[i])
			}
		}
	}
	if x0 > x1 {
		return nil
	}
	logarithmic := x0 > 0 && x1/x0 >= 50
	place := func(v, low, high float64, steps int) int {
		if high <= low {
			return steps / 2
		}
		// Halving first keeps the difference of the largest numbers finite.
		return int(math.Round((v/2 - low/2) / (high/2 - low/2) * float64(steps)))
	}
	ordinate := max(len(Number(y0)), len(Number(y1)))
	left := ordinate + 2
	if w-left < 4 {
		return nil
	}
	c := newCanvas(w, h)
	plot := newCanvas(w-left, h-1)
	dots := func(s Series, i int) (int, int) {
		x, low, high := s.X[i], x0, x1
		if logarithmic {
			x, low, high = math.Log(x), math.Log(low), math.Log(high)
		}
		return place(x, low, high, 2*plot.w-1), 4*plot.h - 1 - place(s.Y[i], y0, y1, 4*plot.h-1)
	}
	type mark struct{ x, y, n int }
	var marks []mark
	for n, s := range series {
		px, py, begun := 0, 0, false
		for i := range s.X {
			if !finite(s.X[i]) || !finite(s.Y[i]) {
				begun = false
				continue
			}
			x, y := dots(s, i)
			if begun {
				plot.stroke(px, py, x, y, n)
			} else {
				plot.dot(x, y, n)
			}
			px, py, begun = x, y, true
			if len(s.X) <= plot.w/3 || i == len(s.X)-1 {
				marks = append(marks, mark{x / 2, y / 4, n})
			}
		}
	}
	for _, m := range marks {
		plot.set(m.x, m.y, Letter(m.n), m.n)
	}
	for y := range plot.h {
		for x := range plot.w {
			i := y*plot.w + x
			c.set(left+x, y, plot.runes[i], int(plot.series[i]))
		}
		c.set(left-1, y, '│', axes)
	}
	c.text(0, 0, padLeft(Number(y1), ordinate))
	if plot.h > 1 {
		c.text(0, plot.h-1, padLeft(Number(y0), ordinate))
	}
	c.text(left, h-1, Number(x0))
	end := Number(x1)
	c.text(w-len([]rune(end)), h-1, end)
	if note := "log scale"; logarithmic && w-left > len(Number(x0))+len(end)+len(note)+4 {
		c.text(left+(w-left-len(note))/2, h-1, note)
	}
	return c.lines(paint)
}

// CDF makes a series of a sample: the share of values up to each.
func CDF(name string, sample []float64) Series {
	sorted := slices.Clone(sample)
	slices.SortFunc(sorted, cmp.Compare[float64])
	s := Series{Name: name}
	for i, v := range sorted {
		s.X = append(s.X, v)
		s.Y = append(s.Y, float64(i+1)/float64(len(sorted)))
	}
	return s
}
