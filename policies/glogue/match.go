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

// Work is what running a plan took: the intermediate matches, and the entries
// of adjacency lists that their extension looked at (the i-cost of Mhedhbi and
// Salihoglu), and the rows that joins read and wrote.
type Work struct {
	Matches uint64 // of the whole pattern
	// Extensions counts the vertices that extensions found, over all levels.
	Extensions uint64
	Entries    uint64
	Rows       uint64
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
	bound := bottom.Set
	for i, s := range steps {
		l, err := m.level(s, bound)
		if err != nil {
			return err
		}
		m.levels[i] = l
		bound |= 1 << s.Vertex
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

// level binds one more vertex by intersecting adjacency lists.
type level struct {
	vertex  uint8
	lists   []source
	rivals  []uint8 // bound vertices of the same label, for injective matching
	buffers [2][]uint32
	// The last intersection is kept: the next match often asks for the same.
	last  []uint32 // bindings of the sources
	found []uint32
	known bool
}

// source is an adjacency list of a bound vertex.
type source struct {
	vertex uint8
	csr    *csr
}

func (m *matcher) level(s *Plan, bound uint64) (level, error) {
	l := level{vertex: s.Vertex}
	for _, e := range s.Edges {
		t := EdgeType{m.pattern.Vertices[e.Source], e.Label, m.pattern.Vertices[s.Vertex]}
		if !e.Out {
			t.From, t.To = t.To, t.From
		}
		r := m.g.rows[t]
		switch {
		case r == nil: // the graph has no such edge
			l.lists = append(l.lists, source{e.Source, nil})
		case e.Out:
			l.lists = append(l.lists, source{e.Source, &r.out})
		default:
			l.lists = append(l.lists, source{e.Source, &r.in})
		}
	}
	if len(l.lists) == 0 {
		return l, fmt.Errorf("vertex %d hangs on nothing", s.Vertex)
	}
	for b := bound; b != 0; b &= b - 1 {
		if v := uint8(bits.TrailingZeros64(b)); m.pattern.Vertices[v] == m.pattern.Vertices[s.Vertex] {
			l.rivals = append(l.rivals, v)
		}
	}
	l.last = make([]uint32, len(l.lists))
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
	if i == len(m.levels) {
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
	found := m.intersect(l)
	if i == len(m.levels)-1 && m.visit == nil {
		n := uint64(len(found))
		if m.injective {
			for _, r := range l.rivals {
				if _, taken := slices.BinarySearch(found, m.binding[r]); taken {
					n--
				}
			}
		}
		m.work.Extensions += n
		m.work.Matches += n
		return
	}
next:
	for _, x := range found {
		if m.injective {
			for _, r := range l.rivals {
				if m.binding[r] == x {
					continue next
				}
			}
		}
		m.work.Extensions++
		m.binding[l.vertex] = x
		m.descend(i + 1)
	}
}

// intersect is the vertices that are on all lists of a level.
func (m *matcher) intersect(l *level) []uint32 {
	if l.known {
		same := true
		for i, s := range l.lists {
			if l.last[i] != m.binding[s.vertex] {
				same = false
				break
			}
		}
		if same {
			return l.found
		}
	}
	l.known = true
	for i, s := range l.lists {
		l.last[i] = m.binding[s.vertex]
	}
	l.found = nil
	if len(l.lists) == 1 {
		if c := l.lists[0].csr; c != nil {
			l.found = c.list(l.last[0])
			m.work.Entries += uint64(len(l.found))
		}
		return l.found
	}
	// The shortest list first, so that what is left shrinks fast.
	shortest, least := -1, 0
	for i, s := range l.lists {
		if s.csr == nil {
			return nil
		}
		n := len(s.csr.list(l.last[i]))
		m.work.Entries += uint64(n)
		if shortest < 0 || n < least {
			shortest, least = i, n
		}
	}
	have := l.lists[shortest].csr.list(l.last[shortest])
	side := 0
	for i, s := range l.lists {
		if i == shortest || len(have) == 0 {
			continue
		}
		l.buffers[side] = intersection(l.buffers[side][:0], have, s.csr.list(l.last[i]))
		have, side = l.buffers[side], 1-side
	}
	l.found = have
	return have
}

// gallop says from which ratio of lengths on it pays to search the longer list
// instead of walking it.
const gallop = 16

// intersection appends to into what two sorted lists share; into is not one of
// them.
func intersection(into, short, long []uint32) []uint32 {
	if len(short) > len(long) {
		short, long = long, short
	}
	if len(long) > gallop*len(short) {
		for _, x := range short {
			step := 1
			for step < len(long) && long[step] < x {
				step *= 2
			}
			i, ok := slices.BinarySearch(long[step/2:min(step+1, len(long))], x)
			i += step / 2
			if ok {
				into = append(into, x)
			}
			if long = long[i:]; len(long) == 0 {
				break
			}
		}
		return into
	}
	i, j := 0, 0
	for i < len(short) && j < len(long) {
		a, b := short[i], long[j]
		if a == b {
			into = append(into, a)
		}
		if a <= b {
			i++
		}
		if b <= a {
			j++
		}
	}
	return into
}

// join runs both sides, hashes the one that the plan builds and probes it with
// the other.
func (m *matcher) join(p *Plan, sem Semantics) error {
	build, width, err := m.rows(p.From, sem)
	if err != nil {
		return err
	}
	var shared, own []uint8
	for s := p.From.Set; s != 0; s &= s - 1 {
		v := uint8(bits.TrailingZeros64(s))
		if p.With.Set>>v&1 != 0 {
			shared = append(shared, v)
		} else {
			own = append(own, v)
		}
	}
	place := make([]int, len(m.pattern.Vertices)) // of a vertex in a row of the build side
	for i, v := range p.From.vertices() {
		place[v] = i
	}
	// Rows of a key are chained by index.
	n := len(build) / max(width, 1)
	mask := uint64(1)<<bits.Len(uint(n)) - 1
	heads := make([]int32, mask+1)
	next := make([]int32, n)
	hash := func(get func(v uint8) uint32) uint64 {
		h := uint64(14695981039346656037)
		for _, v := range shared {
			h = (h ^ uint64(get(v))) * 0x9E3779B97F4A7C15
			h ^= h >> 29
		}
		return h & mask
	}
	for i := range n {
		row := build[i*width:]
		h := hash(func(v uint8) uint32 { return row[place[v]] })
		next[i], heads[h] = heads[h], int32(i+1)
	}
	m.work.Rows += uint64(n)
	_, err = m.each(p.With, sem, func(probe []uint32) {
		m.work.Rows++
	chain:
		for at := heads[hash(func(v uint8) uint32 { return probe[v] })]; at != 0; at = next[at-1] {
			row := build[int(at-1)*width:]
			for _, v := range shared {
				if row[place[v]] != probe[v] {
					continue chain
				}
			}
			for w := p.With.Set; w != 0; w &= w - 1 {
				v := bits.TrailingZeros64(w)
				m.binding[v] = probe[v]
			}
			for _, v := range own {
				m.binding[v] = row[place[v]]
			}
			if m.injective && m.clash(own, p.With.Set) {
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

// clash says whether one of the build side's own vertices is bound as one of
// the probe side's.
func (m *matcher) clash(own []uint8, with uint64) bool {
	for _, v := range own {
		for w := with; w != 0; w &= w - 1 {
			if m.binding[v] == m.binding[bits.TrailingZeros64(w)] {
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
