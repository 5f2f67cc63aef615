package glogue

import (
	"fmt"
	"math"
	"slices"
)

// Graph is a property graph in compressed sparse rows, one pair of them (out
// and in) for every edge type. Vertices are numbered by label, so that those of
// a label are neighbours and no adjacency list needs a filter.
type Graph struct {
	*Schema
	first []uint32 // of each label, and one past the last
	rows  map[EdgeType]*rows
	edges int
}

// rows is the adjacency of one edge type, both ways; lists are sorted.
type rows struct {
	out, in csr
}

// csr holds the list of the i-th vertex of its source's label at
// adj[at[i]:at[i+1]].
type csr struct {
	base uint32 // number of the first vertex of the source's label
	at   []uint32
	adj  []uint32
}

func (c *csr) list(v uint32) []uint32 {
	i := v - c.base
	return c.adj[c.at[i]:c.at[i+1]]
}

// Vertices is how many vertices of a label there are.
func (g *Graph) Vertices(l VertexLabel) int { return int(g.first[l+1] - g.first[l]) }

// Edges is how many edges of a type there are.
func (g *Graph) Edges(t EdgeType) int {
	if r := g.rows[t]; r != nil {
		return len(r.out.adj)
	}
	return 0
}

// AllVertices and AllEdges are the sizes of the whole graph.
func (g *Graph) AllVertices() int { return int(g.first[len(g.first)-1]) }

// AllEdges is how many edges of any type there are.
func (g *Graph) AllEdges() int { return g.edges }

// Builder collects a graph. The zero value is ready for use after its schema
// has been set.
type Builder struct {
	Schema *Schema
	labels []VertexLabel
	edges  map[EdgeType][]uint64 // from<<32 | to, in the builder's numbers
}

// Vertex adds a vertex and gives its number.
func (b *Builder) Vertex(l VertexLabel) uint32 {
	b.labels = append(b.labels, l)
	return uint32(len(b.labels) - 1)
}

// Edge adds an edge between two vertices that have been added. A loop is
// refused; the same edge added twice is there once.
func (b *Builder) Edge(from uint32, label EdgeLabel, to uint32) error {
	if int(from) >= len(b.labels) || int(to) >= len(b.labels) {
		return fmt.Errorf("the edge %d → %d leads to a vertex that there is not", from, to)
	}
	if from == to {
		return fmt.Errorf("the edge %d → %d is a loop", from, to)
	}
	if b.edges == nil {
		b.edges = map[EdgeType][]uint64{}
	}
	t := EdgeType{b.labels[from], label, b.labels[to]}
	b.edges[t] = append(b.edges[t], uint64(from)<<32|uint64(to))
	return nil
}

// Graph builds the graph. Edge types that the schema lacks are added to a copy
// of it.
func (b *Builder) Graph() (*Graph, error) {
	if len(b.labels) > math.MaxUint32-1 {
		return nil, fmt.Errorf("%d vertices are too many", len(b.labels))
	}
	schema := *b.Schema
	schema.Types = slices.Clone(schema.Types)
	g := &Graph{Schema: &schema, first: make([]uint32, len(schema.Vertices)+1), rows: map[EdgeType]*rows{}}
	for _, l := range b.labels {
		if int(l) >= len(schema.Vertices) {
			return nil, fmt.Errorf("vertex label %d is not in the schema", l)
		}
		g.first[l+1]++
	}
	for l := range schema.Vertices {
		g.first[l+1] += g.first[l]
	}
	next := slices.Clone(g.first)
	number := make([]uint32, len(b.labels))
	for v, l := range b.labels {
		number[v] = next[l]
		next[l]++
	}
	for t, list := range b.edges {
		if int(t.Label) >= len(schema.Edges) {
			return nil, fmt.Errorf("edge label %d is not in the schema", t.Label)
		}
		if !slices.Contains(schema.Types, t) {
			schema.Types = append(schema.Types, t)
		}
		for i, e := range list {
			list[i] = uint64(number[e>>32])<<32 | uint64(number[uint32(e)])
		}
		g.add(t, list)
	}
	slices.SortFunc(schema.Types, compareTypes)
	b.edges = nil // renumbered
	return g, nil
}

func compareTypes(a, b EdgeType) int {
	key := func(t EdgeType) uint64 { return uint64(t.From)<<32 | uint64(t.Label)<<16 | uint64(t.To) }
	return int(int64(key(a)) - int64(key(b)))
}

// add makes the rows of an edge type from its edges in the graph's numbers.
func (g *Graph) add(t EdgeType, list []uint64) {
	slices.Sort(list)
	list = slices.Compact(list)
	r := &rows{}
	r.out = g.csr(t.From, list)
	for i, e := range list {
		list[i] = e<<32 | e>>32
	}
	slices.Sort(list)
	r.in = g.csr(t.To, list)
	g.rows[t] = r
	g.edges += len(list)
}

func (g *Graph) csr(from VertexLabel, sorted []uint64) csr {
	c := csr{g.first[from], make([]uint32, g.Vertices(from)+1), make([]uint32, len(sorted))}
	for i, e := range sorted {
		c.at[uint32(e>>32)-c.base+1]++
		c.adj[i] = uint32(e)
	}
	for i := 1; i < len(c.at); i++ {
		c.at[i] += c.at[i-1]
	}
	return c
}

// eachEdge visits the edges of a type.
func (g *Graph) eachEdge(t EdgeType, visit func(from, to uint32)) {
	r := g.rows[t]
	if r == nil {
		return
	}
	for i := range len(r.out.at) - 1 {
		v := r.out.base + uint32(i)
		for _, w := range r.out.list(v) {
			visit(v, w)
		}
	}
}

// EachEdge visits the edges of a type; vertices are counted from 0 within their
// label.
func (g *Graph) EachEdge(t EdgeType, visit func(from, to int)) {
	a, b := g.first[t.From], g.first[t.To]
	g.eachEdge(t, func(from, to uint32) { visit(int(from-a), int(to-b)) })
}
