package glogue

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// Estimator tells how many homomorphisms of a pattern a graph has, about.
type Estimator interface {
	Count(p Pattern) float64
}

// Catalogue is GLogue: a graph whose vertices are patterns with their counts
// and whose edges are the ways from one to a bigger one.
type Catalogue struct {
	Schema     *Schema
	Nodes      []Node
	Approaches []Approach
	at         map[string]int // node by form
	known      map[string]bool
	memo       map[string]float64
	pairs      map[string]float64
}

// Node is a pattern in its canonical form.
type Node struct {
	Pattern Pattern
	Count   float64 // of homomorphisms, filled by [Catalogue.Fill]
	In, Out []int   // approaches that lead here and on
	raw     float64 // in the graph that was sampled
	rows    []uint32
}

// Approach leads from a pattern to a bigger one: by one more vertex, or, where
// With is not negative, by a join with another pattern.
type Approach struct {
	From, To int
	With     int
	// Target and Edges are the extension; sources are ranks in From.
	Target VertexLabel
	Edges  []ExtendEdge
	// Ranks are, for each vertex of From in order and then the target, its rank
	// in To.
	Ranks []uint8
	// Mean is how many vertices the extension finds for a match of From, on
	// average.
	Mean float64
}

func newCatalogue(s *Schema) *Catalogue {
	return &Catalogue{Schema: s, at: map[string]int{}, known: map[string]bool{}}
}

// form is a canonical pattern as a key.
func form(p Pattern) string {
	b := make([]byte, 0, 1+2*len(p.Vertices)+4*len(p.Edges))
	b = append(b, byte(len(p.Vertices)))
	for _, l := range p.Vertices {
		b = binary.BigEndian.AppendUint16(b, uint16(l))
	}
	for _, e := range p.Edges {
		b = append(b, e.From, e.To)
		b = binary.BigEndian.AppendUint16(b, uint16(e.Label))
	}
	return string(b)
}

// node finds or adds the node of a pattern, and tells the ranks of the
// pattern's vertices in it.
func (c *Catalogue) node(p Pattern) (node int, ranks []uint8, isNew bool) {
	canonical, ranks := p.Canonical()
	key := form(canonical)
	if n, ok := c.at[key]; ok {
		return n, ranks, false
	}
	c.at[key] = len(c.Nodes)
	c.Nodes = append(c.Nodes, Node{Pattern: canonical})
	return len(c.Nodes) - 1, ranks, true
}

// marked stands for the label of the one vertex that an extension has added.
const marked VertexLabel = MaxLabels - 1

// extend adds the approach by which a node's pattern grows by a vertex. Two
// extensions that an automorphism maps onto each other are one.
func (c *Catalogue) extend(from int, target VertexLabel, edges []ExtendEdge) (to int, isNew bool) {
	grown := c.Nodes[from].Pattern.Extend(target, edges)
	to, ranks, isNew := c.node(grown)
	pointed := Pattern{slices.Clone(grown.Vertices), grown.Edges}
	pointed.Vertices[len(pointed.Vertices)-1] = marked
	canonical, _ := pointed.Canonical()
	key := string(binary.BigEndian.AppendUint32(nil, uint32(to))) + form(canonical)
	if !c.known[key] {
		c.known[key] = true
		c.approach(Approach{From: from, To: to, With: -1, Target: target, Edges: edges, Ranks: ranks})
	}
	return to, isNew
}

func (c *Catalogue) approach(a Approach) {
	i := len(c.Approaches)
	c.Approaches = append(c.Approaches, a)
	c.Nodes[a.From].Out = append(c.Nodes[a.From].Out, i)
	c.Nodes[a.To].In = append(c.Nodes[a.To].In, i)
}

// FromSchema is the catalogue of all patterns of up to depth vertices that a
// schema allows, at most sameLabel of a label, with at most one edge between
// two vertices.
func FromSchema(s *Schema, depth, sameLabel int) *Catalogue {
	c := newCatalogue(s)
	var queue []int
	for l := range s.Vertices {
		n, _, _ := c.node(Pattern{Vertices: []VertexLabel{VertexLabel(l)}})
		queue = append(queue, n)
	}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		p := c.Nodes[n].Pattern
		if len(p.Vertices) >= depth {
			continue
		}
		for l := range s.Vertices {
			target := VertexLabel(l)
			same := 0
			for _, v := range p.Vertices {
				if v == target {
					same++
				}
			}
			if same >= sameLabel {
				continue
			}
			s.extensions(p, target, 0, nil, func(edges []ExtendEdge) {
				if to, isNew := c.extend(n, target, slices.Clone(edges)); isNew {
					queue = append(queue, to)
				}
			})
		}
	}
	return c
}

// extensions visits the non-empty sets of edges that may join a new vertex to
// the vertices of a pattern from v on, at most one to each.
func (s *Schema) extensions(p Pattern, target VertexLabel, v int, chosen []ExtendEdge, visit func([]ExtendEdge)) {
	if v == len(p.Vertices) {
		if len(chosen) > 0 {
			visit(chosen)
		}
		return
	}
	s.extensions(p, target, v+1, chosen, visit)
	for _, t := range s.Types {
		if t.From == p.Vertices[v] && t.To == target {
			s.extensions(p, target, v+1, append(chosen, ExtendEdge{uint8(v), t.Label, true}), visit)
		}
		if t.To == p.Vertices[v] && t.From == target {
			s.extensions(p, target, v+1, append(chosen, ExtendEdge{uint8(v), t.Label, false}), visit)
		}
	}
}

// FromPattern is the catalogue that planning one pattern needs: its connected
// parts with all edges among their vertices, and from each the parts with one
// more vertex and any of the edges to it.
func FromPattern(s *Schema, p Pattern, space Space) *Catalogue {
	c := newCatalogue(s)
	c.Add(p, space)
	return c
}

// Add puts what planning a pattern needs into a catalogue that may hold more.
func (c *Catalogue) Add(p Pattern, space Space) {
	type part struct {
		set  uint64
		node int
		// rank in the node, by vertex of p
		rank [MaxPatternVertices]uint8
	}
	var queue []part
	for v, l := range p.Vertices {
		n, _, _ := c.node(Pattern{Vertices: []VertexLabel{l}})
		queue = append(queue, part{set: 1 << v, node: n})
	}
	relaxed := map[uint64]bool{}
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		if relaxed[from.set] {
			continue
		}
		relaxed[from.set] = true
		for v := range uint8(len(p.Vertices)) {
			if from.set>>v&1 != 0 {
				continue
			}
			hang := p.extension(from.set, v)
			for i := range hang {
				hang[i].Source = from.rank[hang[i].Source]
			}
			for chosen := 1; chosen < 1<<len(hang); chosen++ {
				var edges []ExtendEdge
				for i, e := range hang {
					if chosen>>i&1 != 0 {
						edges = append(edges, e)
					}
				}
				c.extend(from.node, p.Vertices[v], edges)
			}
			if len(hang) == 0 {
				continue
			}
			next := part{set: from.set | 1<<v}
			var ranks []uint8
			next.node, ranks, _ = c.node(c.Nodes[from.node].Pattern.Extend(p.Vertices[v], hang))
			for s := from.set; s != 0; s &= s - 1 {
				w := bits.TrailingZeros64(s)
				next.rank[w] = ranks[from.rank[w]]
			}
			next.rank[v] = ranks[len(ranks)-1]
			queue = append(queue, next)
		}
	}
	if space != ExtendOnly {
		c.addJoins(p)
	}
}

// addJoins adds the joins of connected parts that make the connected parts of a
// pattern.
func (c *Catalogue) addJoins(p Pattern) {
	for set := uint64(1); set <= p.all(); set++ {
		if bits.OnesCount64(set) < 3 || !p.connected(set) {
			continue
		}
		whole, _ := p.induced(set)
		to, _, _ := c.node(whole)
		p.splits(set, func(left, right uint64) {
			a, _ := p.induced(left)
			b, _ := p.induced(right)
			from, _, _ := c.node(a)
			with, _, _ := c.node(b)
			key := string(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, uint32(to)), uint64(from)<<32|uint64(with)))
			if !c.known[key] {
				c.known[key] = true
				c.approach(Approach{From: from, To: to, With: with})
			}
		})
	}
}

// Count is the count of a pattern: the catalogue's own where it has it, else
// estimated as if edges were independent: the pattern less an edge, times the
// edge, over the vertices that both share, on the average over all edges that
// leave it connected. A vertex or an edge that the catalogue does not have counts
// 0.
func (c *Catalogue) Count(p Pattern) float64 {
	canonical, _ := p.Canonical()
	key := form(canonical)
	if n, ok := c.at[key]; ok {
		return c.Nodes[n].Count
	}
	if count, ok := c.memo[key]; ok {
		return count
	}
	var sum float64
	n := 0
	for i, e := range canonical.Edges {
		rest, ok := canonical.without(i)
		if !ok {
			continue
		}
		n++
		edge := Pattern{[]VertexLabel{canonical.Vertices[e.From], canonical.Vertices[e.To]}, []PatternEdge{{0, 1, e.Label}}}
		estimate := c.Count(rest) * c.Count(edge)
		for _, v := range []uint8{e.From, e.To} {
			if canonical.degree(v) > 1 && estimate > 0 {
				estimate /= c.Count(Pattern{Vertices: []VertexLabel{canonical.Vertices[v]}})
			}
		}
		sum += estimate
	}
	if n > 0 {
		sum /= float64(n)
	}
	if c.memo == nil {
		c.memo = map[string]float64{}
	}
	c.memo[key] = sum
	return sum
}

// Pairs estimates patterns that the catalogue lacks by conditional
// independence of two edges: the pattern less one, times the pattern less the
// other, over the pattern less both, on the average over all pairs that leave
// each of the first two connected. The published code has had this too; it
// keeps what two edges and all others have in common, as a triangle that
// [Catalogue.Count] takes for three edges that happen to close.
func (c *Catalogue) Pairs() Estimator { return pairs{c} }

type pairs struct{ *Catalogue }

func (c pairs) Count(p Pattern) float64 {
	canonical, _ := p.Canonical()
	key := form(canonical)
	if n, ok := c.at[key]; ok {
		return c.Nodes[n].Count
	}
	if count, ok := c.Catalogue.pairs[key]; ok {
		return count
	}
	var sum float64
	n := 0
	for i := range canonical.Edges {
		a, ok := canonical.without(i)
		if !ok {
			continue
		}
		for j := range i {
			b, ok := canonical.without(j)
			if !ok {
				continue
			}
			n++
			if estimate := c.Count(a) * c.Count(b); estimate > 0 {
				sum += estimate / c.pieces(canonical, canonical.Edges[i], canonical.Edges[j])
			}
		}
	}
	if n > 0 {
		sum /= float64(n)
	} else {
		sum = c.Catalogue.Count(canonical)
	}
	if c.Catalogue.pairs == nil {
		c.Catalogue.pairs = map[string]float64{}
	}
	c.Catalogue.pairs[key] = sum
	return sum
}

// pieces counts a pattern less two edges and less the vertices that hung on one
// of them alone; what falls apart counts as the product of its pieces.
func (c pairs) pieces(p Pattern, a, b PatternEdge) float64 {
	keep := func(e PatternEdge) bool { return e != a && e != b }
	set := p.all()
	for _, e := range []PatternEdge{a, b} {
		for _, v := range []uint8{e.From, e.To} {
			if p.degree(v) == 1 {
				set &^= 1 << v
			}
		}
	}
	rest, _ := p.sub(set, keep)
	product := 1.0
	for left := rest.all(); left != 0; {
		piece := rest.reach(left&-left, left)
		q, _ := rest.induced(piece)
		product *= c.Count(q)
		left &^= piece
	}
	return product
}

// Bytes is what the catalogue takes when it is written with a codec: of each
// node the code and an 8-byte count; of each approach the code of its
// extension, the two nodes in 4 bytes each, and an 8-byte mean.
func (c *Catalogue) Bytes(codec Codec) int {
	total := 0
	for _, n := range c.Nodes {
		total += len(codec.Pattern(n.Pattern)) + 8
	}
	for _, a := range c.Approaches {
		if a.With >= 0 {
			total += 12 + 8
			continue
		}
		total += len(codec.Extend(a.Target, a.Edges)) + 8 + 8
	}
	return total
}
