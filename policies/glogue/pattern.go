package glogue

import (
	"fmt"
	"math/bits"
	"slices"
)

// MaxPatternVertices bounds a pattern, so that a set of its vertices is a word.
const MaxPatternVertices = 64

// PatternEdge is an edge between two vertices of a pattern.
type PatternEdge struct {
	From, To uint8
	Label    EdgeLabel
}

// Pattern is a connected graph with labels on vertices and edges, at most one
// edge of a label each way between two vertices.
type Pattern struct {
	Vertices []VertexLabel
	Edges    []PatternEdge
}

// NewPattern makes a pattern, or says what it is not.
func NewPattern(vertices []VertexLabel, edges []PatternEdge) (Pattern, error) {
	p := Pattern{vertices, edges}
	if n := len(vertices); n == 0 || n > MaxPatternVertices {
		return p, fmt.Errorf("a pattern has 1 to %d vertices, not %d", MaxPatternVertices, n)
	}
	for i, e := range edges {
		switch {
		case int(e.From) >= len(vertices) || int(e.To) >= len(vertices):
			return p, fmt.Errorf("edge %d leads to a vertex that the pattern has not", i)
		case e.From == e.To:
			return p, fmt.Errorf("edge %d is a loop", i)
		case slices.Contains(edges[:i], e):
			return p, fmt.Errorf("edge %d is there twice", i)
		}
	}
	if p.reach(1, p.all()) != p.all() {
		return p, fmt.Errorf("the pattern is in several pieces")
	}
	return p, nil
}

// PatternOf makes a pattern of a schema from the labels of its vertices and its
// edges as from, label, to.
func (s *Schema) PatternOf(vertices []string, edges [][3]any) (Pattern, error) {
	labels := make([]VertexLabel, len(vertices))
	for i, name := range vertices {
		l, err := s.VertexLabel(name)
		if err != nil {
			return Pattern{}, err
		}
		labels[i] = l
	}
	list := make([]PatternEdge, len(edges))
	for i, e := range edges {
		from, to := e[0].(int), e[2].(int)
		t, err := s.Type(vertices[from], e[1].(string), vertices[to])
		if err != nil {
			return Pattern{}, err
		}
		list[i] = PatternEdge{uint8(from), uint8(to), t.Label}
	}
	return NewPattern(labels, list)
}

func (p Pattern) all() uint64 { return 1<<len(p.Vertices) - 1 }

// reach is the set of vertices within a set that can be reached from start
// without leaving it.
func (p Pattern) reach(start, within uint64) uint64 {
	for {
		next := start
		for _, e := range p.Edges {
			f, t := uint64(1)<<e.From, uint64(1)<<e.To
			if within&f != 0 && within&t != 0 && next&(f|t) != 0 {
				next |= f | t
			}
		}
		if next == start {
			return start
		}
		start = next
	}
}

// connected says whether a set of vertices hangs together.
func (p Pattern) connected(set uint64) bool {
	return set != 0 && p.reach(set&-set, set) == set
}

// typ is the edge type of an edge.
func (p Pattern) typ(e PatternEdge) EdgeType {
	return EdgeType{p.Vertices[e.From], e.Label, p.Vertices[e.To]}
}

// induced is the pattern on a set of vertices with all edges among them, and
// the place of each of its vertices in p.
func (p Pattern) induced(set uint64) (Pattern, []uint8) {
	return p.sub(set, func(PatternEdge) bool { return true })
}

// sub is the pattern on a set of vertices with the edges among them that are
// kept.
func (p Pattern) sub(set uint64, keep func(PatternEdge) bool) (Pattern, []uint8) {
	var place [MaxPatternVertices]uint8
	var q Pattern
	var from []uint8
	for s := set; s != 0; s &= s - 1 {
		v := uint8(bits.TrailingZeros64(s))
		place[v] = uint8(len(from))
		from = append(from, v)
		q.Vertices = append(q.Vertices, p.Vertices[v])
	}
	for _, e := range p.Edges {
		if set>>e.From&1 != 0 && set>>e.To&1 != 0 && keep(e) {
			q.Edges = append(q.Edges, PatternEdge{place[e.From], place[e.To], e.Label})
		}
	}
	return q, from
}

// without is the pattern less one edge and less the vertex that hung on it
// alone; ok is false where the rest is in pieces.
func (p Pattern) without(edge int) (rest Pattern, ok bool) {
	gone := p.Edges[edge]
	set := p.all()
	for _, v := range []uint8{gone.From, gone.To} {
		if p.degree(v) == 1 {
			set &^= 1 << v
		}
	}
	rest, _ = p.sub(set, func(e PatternEdge) bool { return e != gone })
	return rest, len(rest.Vertices) > 0 && rest.connected(rest.all())
}

func (p Pattern) degree(v uint8) int {
	n := 0
	for _, e := range p.Edges {
		if e.From == v || e.To == v {
			n++
		}
	}
	return n
}

// ExtendEdge joins a new vertex to one that a pattern has: out leads from the
// old one to the new.
type ExtendEdge struct {
	Source uint8
	Label  EdgeLabel
	Out    bool
}

// Extend is the pattern with one more vertex.
func (p Pattern) Extend(target VertexLabel, edges []ExtendEdge) Pattern {
	q := Pattern{append(slices.Clone(p.Vertices), target), slices.Clone(p.Edges)}
	v := uint8(len(p.Vertices))
	for _, e := range edges {
		if e.Out {
			q.Edges = append(q.Edges, PatternEdge{e.Source, v, e.Label})
		} else {
			q.Edges = append(q.Edges, PatternEdge{v, e.Source, e.Label})
		}
	}
	return q
}

// extension lists the edges by which a vertex hangs on a set, as from the set.
func (p Pattern) extension(set uint64, v uint8) []ExtendEdge {
	var list []ExtendEdge
	for _, e := range p.Edges {
		switch {
		case e.To == v && set>>e.From&1 != 0:
			list = append(list, ExtendEdge{e.From, e.Label, true})
		case e.From == v && set>>e.To&1 != 0:
			list = append(list, ExtendEdge{e.To, e.Label, false})
		}
	}
	return list
}
