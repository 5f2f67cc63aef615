package glogue

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
)

// Semantics says which maps from a pattern's vertices to a graph's count.
type Semantics int

// A homomorphism may map several vertices of the pattern to one of the graph;
// an injective one may not, as in isomorphic subgraph matching without
// regard to edges that the pattern lacks.
const (
	Homomorphism Semantics = iota
	Injective
)

// Work is what running a plan took.
type Work struct {
	Matches uint64 // of the whole pattern
	// Extensions counts the tuples that extensions put out, those of the last step
	// too: for every tuple that is extended, the vertices that are on all of its
	// lists, and with Injective are none of its own. Graphflow's E/I operators
	// count the same, but its plans start with a scan of edges; here they start
	// with one of vertices, and the edges that extend those are counted.
	Extensions uint64
	// Entries is the length of the lists that extensions intersected, however they
	// did (the i-cost of Mhedhbi and Salihoglu); those are not counted again for
	// which the last answer was kept.
	Entries uint64
	Rows    uint64 // that joins read and wrote
}

// Total is the work in one number, in which an entry of a list and a row of a
// join count the same.
func (w Work) Total() uint64 { return w.Entries + w.Rows }

// Count runs a plan and counts the matches of its pattern.
func Count(ctx context.Context, g *Graph, plan *Plan, sem Semantics) (Work, error) {
	var w Work
	err := run(ctx, g, plan, sem, &w, nil)
	return w, err
}

// Each runs a plan and visits the matches: the graph's vertex for each of the
// pattern's. The slice is used again.
func Each(ctx context.Context, g *Graph, plan *Plan, sem Semantics, visit func([]uint32)) (Work, error) {
	var w Work
	err := run(ctx, g, plan, sem, &w, visit)
	return w, err
}

// MatchLimit is how many rows a side of a join may have.
const MatchLimit = 1 << 26

func run(ctx context.Context, g *Graph, plan *Plan, sem Semantics, w *Work, visit func([]uint32)) error {
	// The extensions on top, down to a scan or a join.
	var steps []*Plan
	bottom := plan
	for bottom.Kind == ExtendStep {
		steps = append(steps, bottom)
		bottom = bottom.From
	}
	slices.Reverse(steps)
	m := &matcher{ctx: ctx, g: g, pattern: plan.Pattern, injective: sem == Injective, visit: visit, work: w,
		binding: make([]uint32, len(plan.Pattern.Vertices)), levels: make([]level, len(steps))}
	bound, last := bottom.Set, -1
	if bottom.Kind == ScanStep {
		last = int(bottom.Vertex)
	}
	for i, s := range steps {
		l, err := m.level(s, bound, last)
		if err != nil {
			return err
		}
		m.levels[i] = l
		bound |= 1 << s.Vertex
		last = int(s.Vertex)
	}
	switch bottom.Kind {
	case ScanStep:
		return m.scan(bottom.Vertex)
	default:
		return m.join(bottom, sem)
	}
}

type matcher struct {
	ctx       context.Context
	g         *Graph
	pattern   Pattern
	injective bool
	visit     func([]uint32)
	work      *Work
	binding   []uint32 // by vertex of the pattern
	levels    []level
	ticks     uint32
	err       error
}

// level binds one more vertex.
type level struct {
	vertex uint8
	extender
	// rivals are the bound vertices that the new one may be found to be.
	rivals []uint8
}

// level prepares a step of a plan; last is the vertex that the step before binds,
// or -1 where that is a join.
func (m *matcher) level(s *Plan, bound uint64, last int) (level, error) {
	if len(s.Edges) == 0 {
		return level{}, fmt.Errorf("vertex %d hangs on nothing", s.Vertex)
	}
	label := m.pattern.Vertices[s.Vertex]
	l := level{vertex: s.Vertex, extender: newExtender(m.g, m.pattern, label, s.Edges, last)}
	if !m.injective {
		return l, nil
	}
	for b := bound; b != 0; b &= b - 1 {
		v := uint8(bits.TrailingZeros64(b))
		// There are no loops, so no vertex is on a list of its own.
		hangs := slices.ContainsFunc(s.Edges, func(e ExtendEdge) bool { return e.Source == v })
		if m.pattern.Vertices[v] == label && !hangs {
			l.rivals = append(l.rivals, v)
		}
	}
	return l, nil
}

func (m *matcher) scan(v uint8) error {
	label := m.pattern.Vertices[v]
	if int(label) >= len(m.g.Schema.Vertices) {
		return nil
	}
	for x := m.g.first[label]; x < m.g.first[label+1]; x++ {
		m.binding[v] = x
		m.descend(0)
		if m.err != nil {
			return m.err
		}
	}
	return nil
}

// descend extends the bindings by the levels from i on.
func (m *matcher) descend(i int) {
	if i == len(m.levels) { // a plan that ends with a scan or a join
		m.work.Matches++
		if m.visit != nil {
			m.visit(m.binding)
		}
		return
	}
	if m.ticks++; m.ticks&0xffff == 0 && m.err == nil {
		m.err = m.ctx.Err()
	}
	if m.err != nil {
		return
	}
	l := &m.levels[i]
	found, entries := l.extend(m.binding)
	m.work.Entries += uint64(entries)
	if i < len(m.levels)-1 {
		n := uint64(0)
		for _, x := range found {
			if !m.taken(l, x) {
				n++
				m.binding[l.vertex] = x
				m.descend(i + 1)
			}
		}
		m.work.Extensions += n
		return
	}
	n := uint64(len(found))
	switch {
	case m.visit == nil:
		for _, r := range l.rivals {
			if _, taken := slices.BinarySearch(found, m.binding[r]); taken {
				n--
			}
		}
	case len(l.rivals) == 0:
		for _, x := range found {
			m.binding[l.vertex] = x
			m.visit(m.binding)
		}
	default:
		n = 0
		for _, x := range found {
			if !m.taken(l, x) {
				n++
				m.binding[l.vertex] = x
				m.visit(m.binding)
			}
		}
	}
	m.work.Extensions += n
	m.work.Matches += n
}

// taken says whether a vertex is bound that another must not be.
func (m *matcher) taken(l *level, x uint32) bool {
	for _, r := range l.rivals {
		if m.binding[r] == x {
			return true
		}
	}
	return false
}

// join runs both sides, hashes the one that the plan builds and probes it with
// the other.
func (m *matcher) join(p *Plan, sem Semantics) error {
	build, width, err := m.rows(p.From, sem)
	if err != nil {
		return err
	}
	// Vertices of both sides and of one alone; places in a row of the build side.
	var shared, own, places, ownPlaces []uint8
	for i, v := range p.From.vertices() {
		if p.With.Set>>v&1 != 0 {
			shared, places = append(shared, v), append(places, uint8(i))
		} else {
			own, ownPlaces = append(own, v), append(ownPlaces, uint8(i))
		}
	}
	with := p.With.vertices()
	// Rows of a key are chained by index.
	n := len(build) / width
	mask := uint64(1)<<bits.Len(uint(n)) - 1
	heads := make([]int32, mask+1)
	next := make([]int32, n)
	for i := range n {
		h := hash(build[i*width:], places) & mask
		next[i], heads[h] = heads[h], int32(i+1)
	}
	m.work.Rows += uint64(n)
	_, err = m.each(p.With, sem, func(probe []uint32) {
		m.work.Rows++
		for _, v := range with {
			m.binding[v] = probe[v]
		}
	chain:
		for at := heads[hash(probe, shared)&mask]; at != 0; at = next[at-1] {
			row := build[int(at-1)*width:]
			for i, v := range shared {
				if row[places[i]] != probe[v] {
					continue chain
				}
			}
			for i, v := range own {
				m.binding[v] = row[ownPlaces[i]]
			}
			if m.injective && m.clash(own, with) {
				continue
			}
			m.work.Rows++
			m.descend(0)
		}
	})
	if err == nil {
		err = m.err
	}
	return err
}

// hash mixes the numbers at some places of a row.
func hash(row []uint32, places []uint8) uint64 {
	h := uint64(14695981039346656037)
	for _, i := range places {
		h = (h ^ uint64(row[i])) * 0x9E3779B97F4A7C15
		h ^= h >> 29
	}
	return h
}

// clash says whether one of the build side's own vertices is bound as one of
// the probe side's.
func (m *matcher) clash(own, with []uint8) bool {
	for _, v := range own {
		for _, w := range with {
			if m.binding[v] == m.binding[w] {
				return true
			}
		}
	}
	return false
}

// each runs a part of the plan; its work counts, its matches are not the whole
// pattern's.
func (m *matcher) each(p *Plan, sem Semantics, visit func([]uint32)) (Work, error) {
	var w Work
	err := run(m.ctx, m.g, p, sem, &w, visit)
	m.work.Extensions += w.Extensions
	m.work.Entries += w.Entries
	m.work.Rows += w.Rows
	return w, err
}

// rows are the matches of a part of the plan, each with its vertices in order.
func (m *matcher) rows(p *Plan, sem Semantics) ([]uint32, int, error) {
	vertices := p.vertices()
	var all []uint32
	var over error
	_, err := m.each(p, sem, func(binding []uint32) {
		if len(all) >= MatchLimit*len(vertices) {
			over = fmt.Errorf("a side of a join has more than %d matches", MatchLimit)
			return
		}
		for _, v := range vertices {
			all = append(all, binding[v])
		}
	})
	if err == nil {
		err = over
	}
	return all, len(vertices), err
}
