package glogue

import (
	"cmp"
	"slices"
)

// Canonical is the one form that all patterns isomorphic to p share, and the
// rank of each of p's vertices in it.
//
// Vertices are told apart by refining colours; where that leaves several alike
// each is tried and the least form taken, except among twins, which any
// automorphism may swap. So two patterns have the same form exactly if they are
// isomorphic, which the greedy tie break of the published code does not ensure.
func (p Pattern) Canonical() (Pattern, []uint8) {
	c := &canonizer{p: p}
	colors := make([]uint8, len(p.Vertices))
	order := make([]uint8, len(colors))
	for v := range order {
		order[v] = uint8(v)
	}
	slices.SortFunc(order, func(a, b uint8) int { return cmp.Compare(p.Vertices[a], p.Vertices[b]) })
	for i, v := range order {
		colors[v] = uint8(i)
		if i > 0 && p.Vertices[order[i-1]] == p.Vertices[v] {
			colors[v] = colors[order[i-1]]
		}
	}
	c.search(colors)
	return c.best, c.ranks
}

type canonizer struct {
	p     Pattern
	best  Pattern
	ranks []uint8
}

// look is how a vertex sees one of its edges.
type look struct {
	out   bool
	label EdgeLabel
	color uint8
}

func compareLooks(a, b look) int {
	out := func(l look) int {
		if l.out {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(out(a), out(b)), cmp.Compare(a.label, b.label), cmp.Compare(a.color, b.color))
}

// refine splits colours until vertices of one colour see the same. The colour
// of a vertex is how many vertices come before its colour's.
func (c *canonizer) refine(colors []uint8) {
	n := len(colors)
	order := make([]uint8, n)
	for v := range order {
		order[v] = uint8(v)
	}
	for {
		looks := make([][]look, n)
		for _, e := range c.p.Edges {
			looks[e.From] = append(looks[e.From], look{true, e.Label, colors[e.To]})
			looks[e.To] = append(looks[e.To], look{false, e.Label, colors[e.From]})
		}
		for _, l := range looks {
			slices.SortFunc(l, compareLooks)
		}
		compare := func(a, b uint8) int {
			return cmp.Or(cmp.Compare(colors[a], colors[b]), slices.CompareFunc(looks[a], looks[b], compareLooks))
		}
		slices.SortFunc(order, compare)
		next := make([]uint8, n)
		changed := false
		for i, v := range order {
			next[v] = uint8(i)
			if i > 0 && compare(order[i-1], v) == 0 {
				next[v] = next[order[i-1]]
			}
			changed = changed || next[v] != colors[v]
		}
		copy(colors, next)
		if !changed {
			return
		}
	}
}

// search refines and, where colours are left with several vertices, tries each
// vertex of the first such colour as its first.
func (c *canonizer) search(colors []uint8) {
	c.refine(colors)
	n := len(colors)
	members := make([][]uint8, n)
	for v, color := range colors {
		members[color] = append(members[color], uint8(v))
	}
	for _, alike := range members {
		if len(alike) < 2 {
			continue
		}
		for i, v := range alike {
			if i > 0 && c.twins(alike[0], v) {
				continue // as good as the first
			}
			tried := slices.Clone(colors)
			for _, w := range alike {
				if w != v {
					tried[w]++
				}
			}
			c.search(tried)
		}
		return
	}
	// Colours are ranks now.
	form := Pattern{make([]VertexLabel, n), make([]PatternEdge, len(c.p.Edges))}
	for v, rank := range colors {
		form.Vertices[rank] = c.p.Vertices[v]
	}
	for i, e := range c.p.Edges {
		form.Edges[i] = PatternEdge{colors[e.From], colors[e.To], e.Label}
	}
	slices.SortFunc(form.Edges, comparePatternEdges)
	if c.ranks == nil || slices.CompareFunc(form.Edges, c.best.Edges, comparePatternEdges) < 0 {
		c.best, c.ranks = form, slices.Clone(colors)
	}
}

func comparePatternEdges(a, b PatternEdge) int {
	return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Label, b.Label))
}

// twins says whether swapping two vertices maps the pattern onto itself.
func (c *canonizer) twins(a, b uint8) bool {
	swapped := make([]PatternEdge, len(c.p.Edges))
	swap := func(v uint8) uint8 {
		switch v {
		case a:
			return b
		case b:
			return a
		}
		return v
	}
	for i, e := range c.p.Edges {
		swapped[i] = PatternEdge{swap(e.From), swap(e.To), e.Label}
	}
	for _, e := range swapped {
		if !slices.Contains(c.p.Edges, e) {
			return false
		}
	}
	return true
}
