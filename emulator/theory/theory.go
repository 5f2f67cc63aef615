// Package theory holds closed-form results on the write amplification of
// page-mapped flash in steady state, the emulator's independent oracles.
//
// alpha is physical over logical capacity, T/U, with the free reserve left out
// of T; its inverse is one less the spare factor S_f. Requests are independent
// single-page writes.
package theory

import "math"

// Alpha is T/U for a spare factor S_f = 1 - U/T.
func Alpha(spare float64) float64 { return 1 / (1 - spare) }

// lambertW is the principal branch of Lambert's W for -1/e <= x < 0.
func lambertW(x float64) float64 {
	// From the expansion at the branch point, then Halley's iteration.
	p := math.Sqrt(max(0, 2*(math.E*x+1)))
	w := -1 + p - p*p/3 + 11*p*p*p/72
	for range 50 {
		e := math.Exp(w)
		f := w*e - x
		step := f / (e*(w+1) - (w+2)*f/(2*w+2))
		if math.IsNaN(step) {
			break
		}
		w -= step
		if math.Abs(step) < 1e-14 {
			break
		}
	}
	return w
}

// FIFO is WA under uniform writes when the oldest block is collected
// (Desnoyers, SYSTOR'12; Xiang and Kurkoski, 2011), the limit of greedy
// collection for large blocks.
func FIFO(alpha float64) float64 {
	return alpha / (alpha + lambertW(-alpha*math.Exp(-alpha)))
}

// Greedy is WA under uniform writes when the block of fewest valid pages, of
// pages in all, is collected (Desnoyers, SYSTOR'12).
func Greedy(alpha float64, pages int) float64 {
	n := float64(pages)
	a := (1 + 1/(2*n)) * alpha
	x0 := 0.5 - n/alpha*lambertW(-a*math.Exp(-a))
	return n / (n - (x0 - 1))
}

// Random is WA under uniform writes when any block is collected.
func Random(alpha float64) float64 { return alpha / (alpha - 1) }

// Class is a part of the logical space whose pages are equally often written.
type Class struct {
	Space  float64 // share of the space
	Writes float64 // share of the writes
}

// HotCold has writes r to f of the space.
func HotCold(r, f float64) []Class { return []Class{{f, r}, {1 - f, 1 - r}} }

// FIFOTraffic is WA when the oldest block is collected, host and collection
// writing to one frontier, for any stationary traffic: with A the result,
// A = sum r_i / (1 - exp(-(r_i/f_i) alpha/A)) over the classes. A page of
// class i survives a turn of the log, in which alpha/A of the capacity is
// written by the host, with the exponential's probability.
func FIFOTraffic(alpha float64, classes []Class) float64 {
	excess := func(a float64) float64 {
		sum := 0.0
		for _, c := range classes {
			if c.Writes > 0 {
				sum += c.Writes / -math.Expm1(-c.Writes/c.Space*alpha/a)
			}
		}
		return sum - a
	}
	// excess falls from positive at 1 as a grows past the root.
	lo, hi := 1.0, 2.0
	for excess(hi) > 0 && hi < 1e9 {
		lo, hi = hi, hi*2
	}
	for range 200 {
		mid := (lo + hi) / 2
		if excess(mid) > 0 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}

// Separated is WA when hot and cold data each have blocks of their own, the
// spare capacity split between them as is best: the least of
// sum r_i FIFO(alpha_i) with sum f_i alpha_i = alpha.
func Separated(alpha, r, f float64) float64 {
	cost := func(hot float64) float64 { // hot: alpha of the hot pool
		cold := (alpha - f*hot) / (1 - f)
		return r*FIFO(hot) + (1-r)*FIFO(cold)
	}
	lo, hi := 1+1e-9, (alpha-(1-f))/f-1e-9
	const golden = 0.6180339887498949
	for range 200 {
		a, b := hi-golden*(hi-lo), lo+golden*(hi-lo)
		if cost(a) < cost(b) {
			hi = b
		} else {
			lo = a
		}
	}
	return cost((lo + hi) / 2)
}
