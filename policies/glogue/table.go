package glogue

import (
	"math/bits"
)

// Table is the tabular catalogue that GLogue replaced, as in Graphflow: for
// each pattern of fewer than so many vertices and each way to extend it by one,
// how many vertices that finds on the average. It has no counts of patterns
// and no edges between entries.
type Table struct {
	source  *Catalogue
	entries map[string]float64 // mean of an extension
	depth   int
	start   map[EdgeType]float64
	memo    map[string]float64
}

// Table makes the table of what a catalogue from a schema has counted in a
// graph. The start of every estimate, the number of edges of a type, is exact.
func (c *Catalogue) Table(g *Graph) *Table {
	t := &Table{source: c, entries: map[string]float64{}, start: map[EdgeType]float64{}, memo: map[string]float64{}}
	for _, a := range c.Approaches {
		if a.With < 0 {
			p := c.Nodes[a.From].Pattern
			t.entries[t.key(p.Extend(a.Target, a.Edges))] = a.Mean
			t.depth = max(t.depth, len(p.Vertices)+1)
		}
	}
	for _, typ := range g.Types {
		t.start[typ] = float64(g.Edges(typ))
	}
	return t
}

// key is the form of a pattern whose last vertex was added last.
func (t *Table) key(p Pattern) string {
	last := len(p.Vertices) - 1
	pointed := Pattern{append([]VertexLabel(nil), p.Vertices...), p.Edges}
	pointed.Vertices[last] = marked
	canonical, _ := pointed.Canonical()
	return string([]byte{byte(p.Vertices[last] >> 8), byte(p.Vertices[last])}) + form(canonical)
}

// Entries is how many entries the table has.
func (t *Table) Entries() int { return len(t.entries) }

// Bytes is what the table takes when it is written with a codec: of each entry
// the code of the pattern, that of the extension and an 8-byte mean.
func (t *Table) Bytes(codec Codec) int {
	total := 0
	for _, a := range t.source.Approaches {
		if a.With < 0 {
			total += len(codec.Pattern(t.source.Nodes[a.From].Pattern)) + len(codec.Extend(a.Target, a.Edges)) + 8
		}
	}
	return total
}

// Count estimates a pattern by taking a vertex off and multiplying what is left
// by the mean of the extension that brings it back, on the average over the
// vertices that leave the rest connected. An extension from more vertices than
// the table's patterns have is estimated by the least mean among its parts that
// the table has.
func (t *Table) Count(p Pattern) float64 {
	switch {
	case len(p.Vertices) == 1:
		return t.source.Count(p)
	case len(p.Edges) == 1:
		return t.start[p.typ(p.Edges[0])]
	}
	canonical, _ := p.Canonical()
	key := form(canonical)
	if count, ok := t.memo[key]; ok {
		return count
	}
	var sum float64
	n := 0
	for v := range uint8(len(canonical.Vertices)) {
		from := canonical.all() &^ (1 << v)
		if !canonical.connected(from) {
			continue
		}
		rest, _ := canonical.induced(from)
		sum += t.Count(rest) * t.mean(canonical, from, v)
		n++
	}
	if n > 0 {
		sum /= float64(n)
	}
	t.memo[key] = sum
	return sum
}

// mean is how many vertices extending a set by v finds.
func (t *Table) mean(p Pattern, from uint64, v uint8) float64 {
	least, found := 0.0, false
	size := min(bits.OnesCount64(from), t.depth-1)
	for part := from; part != 0; part = (part - 1) & from {
		if bits.OnesCount64(part) != size || len(p.extension(part, v)) == 0 || !p.connected(part) {
			continue
		}
		// The vertex last, as the key wants it.
		q, places := p.induced(part)
		edges := p.extension(part, v)
		for i := range edges {
			for at, w := range places {
				if w == edges[i].Source {
					edges[i].Source = uint8(at)
					break
				}
			}
		}
		mean := t.entries[t.key(q.Extend(p.Vertices[v], edges))]
		if !found || mean < least {
			least, found = mean, true
		}
	}
	return least
}
