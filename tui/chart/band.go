package chart

import (
	"math"
	"strings"
)

// Band is an expectation and what was measured: the values from Lower to
// Upper are expected (a nil bound is open), Value was measured with the
// interval from Low to High.
type Band struct {
	Lower, Upper *float64
	Value        float64
	Low, High    float64
}

// Draw lays the band on a line of w characters, with ░ for what is expected, ├─┤ for
// the interval and ● for the value:
//
//	····░░░░░├──●──┤░░░░░····
func (b Band) Draw(w int) string {
	if w < 5 || !finite(b.Value) {
		return ""
	}
	low, high := min(b.Value, b.Low), max(b.Value, b.High)
	for _, bound := range []*float64{b.Lower, b.Upper} {
		if bound != nil && finite(*bound) {
			low, high = min(low, *bound), max(high, *bound)
		}
	}
	margin := (high/2 - low/2) * 0.3
	if margin <= 0 {
		margin = max(math.Abs(high)*0.1, math.SmallestNonzeroFloat64)
	}
	low, high = low-margin, high+margin
	at := func(v float64) int {
		return clamp(int((v/2-low/2)/(high/2-low/2)*float64(w)), w)
	}
	line := []rune(strings.Repeat("·", w))
	from, to := 0, w-1
	if b.Lower != nil {
		from = at(*b.Lower)
	}
	if b.Upper != nil {
		to = at(*b.Upper)
	}
	if b.Lower != nil || b.Upper != nil {
		for i := from; i <= to; i++ {
			line[i] = '░'
		}
	}
	if b.Low < b.High {
		from, to := at(b.Low), at(b.High)
		for i := from; i <= to; i++ {
			line[i] = '─'
		}
		line[from], line[to] = '├', '┤'
	}
	line[at(b.Value)] = '●'
	return string(line)
}
