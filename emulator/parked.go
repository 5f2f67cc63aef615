package emulator

import (
	"cmp"
	"slices"
)

// parked simulates lines without their pages, for so many erases, where the least
// erased of the free lines is opened. How long a line is in use does not depend on
// its erases, so that the times are drawn from the quantiles of those watched. How
// many lines are free goes on as watched. The most erased of them wait for as long
// as the others take to catch up, which cuts the upper end of the spread off.
func (a *Aging) parked(lengths []float64, erases, pages uint64) (more []uint32) {
	d, w := a.d, a.d.watch
	l := &d.lines
	now := l.Clock
	if w.full != 0 {
		now = w.full
	}
	free, counts := freeLines{heap: slices.Clone(d.free.heap), seq: d.free.seq, young: true}, slices.Clone(l.Erases)
	var queue endings
	pinned := a.pinned(pages)
	for i := range counts {
		line := uint32(i)
		if pinned[i] || free.find(line) >= 0 {
			continue
		}
		age := 0.0
		if w.last[i] != unused {
			age = float64(now - w.last[i])
		}
		at, _ := slices.BinarySearch(lengths, age)
		at = min(at, len(lengths)-1)
		left := max(0, lengths[at+l.Rand.IntN(len(lengths)-at)]-age)
		queue.push(ending{left, line})
	}
	at := 0.0
	for n := 0; ; n++ {
		for free.len() < max(1, int(w.openings[n%len(w.openings)])) {
			if erases == 0 {
				return a.exchange(counts, free.heap)
			}
			erases--
			e := queue.pop()
			at = e.at
			counts[e.line]++
			free.push(e.line, counts[e.line])
		}
		line := free.pop()
		queue.push(ending{at + lengths[l.Rand.IntN(len(lengths))], line})
	}
}

// exchange gives the free lines of the device the counts of the lines that ended
// free, which held data until then, and says what is more than before.
func (a *Aging) exchange(counts []uint32, free []freeLine) (more []uint32) {
	ended, here := make([]bool, len(counts)), make([]bool, len(counts))
	for _, f := range free {
		ended[f.line] = true
	}
	for _, f := range a.d.free.heap {
		here[f.line] = true
	}
	only := func(in, not []bool) (lines []uint32) {
		for i := range in {
			if in[i] && !not[i] {
				lines = append(lines, uint32(i))
			}
		}
		slices.SortFunc(lines, func(x, y uint32) int { return cmp.Compare(counts[x], counts[y]) })
		return lines
	}
	x, y := only(ended, here), only(here, ended)
	for i := range min(len(x), len(y)) {
		counts[x[i]], counts[y[i]] = counts[y[i]], counts[x[i]]
	}
	more = make([]uint32, len(counts))
	for i, n := range counts {
		more[i] = n - min(n, a.d.lines.Erases[i])
	}
	return more
}

// endings is a heap of the lines in use, the next to be erased first.
type endings []ending

type ending struct {
	at   float64
	line uint32
}

func (q *endings) push(e ending) {
	h := append(*q, e)
	i := len(h) - 1
	for ; i > 0 && e.at < h[(i-1)/2].at; i = (i - 1) / 2 {
		h[i] = h[(i-1)/2]
	}
	h[i], *q = e, h
}

func (q *endings) pop() ending {
	h := *q
	first, e := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	i := 0
	for c := 1; c < len(h); c = 2*i + 1 {
		if c+1 < len(h) && h[c+1].at < h[c].at {
			c++
		}
		if e.at <= h[c].at {
			break
		}
		h[i], i = h[c], c
	}
	if len(h) > 0 {
		h[i] = e
	}
	*q = h
	return first
}
