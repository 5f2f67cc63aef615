package glogue

import "slices"

// source is an adjacency list of a bound vertex.
type source struct {
	vertex uint8
	csr    *csr
}

// sources are the lists that an extension of a pattern to a vertex of a label
// intersects; ok is false where the graph has no edge of a type that it needs.
func (g *Graph) sources(p Pattern, target VertexLabel, edges []ExtendEdge) (list []source, ok bool) {
	for _, e := range edges {
		t := EdgeType{p.Vertices[e.Source], e.Label, target}
		if !e.Out {
			t.From, t.To = t.To, t.From
		}
		r := g.rows[t]
		if r == nil {
			return nil, false
		}
		c := &r.in
		if e.Out {
			c = &r.out
		}
		list = append(list, source{e.Source, c})
	}
	return list, true
}

// extender finds the vertices by which matches grow. Matches that come one after
// the other mostly differ in the vertex that was bound last. So what the lists of
// the others share is kept while those are the same, like Graphflow's cache of
// intersections, and as a bitmap too. A call allocates nothing but to grow a
// buffer.
type extender struct {
	none    bool     // the graph has no such edges
	settled []source // of vertices that were bound before the last
	fresh   []source // of the last

	known   bool
	key     []uint32   // the vertices of settled
	lists   [][]uint32 // their lists, the shortest first
	entries int        // in these
	ready   bool
	shared  []uint32 // what is on all of them
	own     []uint32 // where shared is, if it is not a list of the graph
	marked  bool
	marks   bitmap // of shared
	spent   int    // on searches that shared, or its bitmap, would have saved

	found   [2][]uint32
	side    int    // of found that was written last
	scratch bitmap // empty between two intersections
}

// newExtender prepares an extension of a pattern to a vertex of a label. last is
// the vertex that is another in almost every match, or -1; it bears on speed alone.
func newExtender(g *Graph, p Pattern, target VertexLabel, edges []ExtendEdge, last int) extender {
	sources, ok := g.sources(p, target, edges)
	x := extender{none: !ok}
	if !ok {
		return x
	}
	for _, s := range sources {
		if int(s.vertex) == last {
			x.fresh = append(x.fresh, s)
		} else {
			x.settled = append(x.settled, s)
		}
	}
	x.key = make([]uint32, len(x.settled))
	x.lists = make([][]uint32, len(x.settled))
	x.marks = bitmap{first: g.first[target], size: g.Vertices(target)}
	x.scratch = x.marks
	return x
}

// extend gives the vertices that are on the lists of all bound vertices, sorted,
// and how many entries those lists have; none where the answer was at hand. It is
// good until the next call.
func (x *extender) extend(binding []uint32) (found []uint32, entries int) {
	if x.none {
		return nil, 0
	}
	x.settle(binding)
	if len(x.fresh) == 0 {
		if !x.ready {
			x.share()
			entries = x.entries
		}
		return x.shared, entries
	}
	entries = x.entries
	for i, f := range x.fresh {
		list := f.csr.list(binding[f.vertex])
		entries += len(list)
		switch {
		case i > 0:
			found = x.narrow(found, list)
		case len(x.settled) == 0:
			found = list
		default:
			found = x.meet(list)
		}
	}
	return found, entries
}

// settle looks up the settled lists, unless they are those of the last call.
func (x *extender) settle(binding []uint32) {
	same := x.known
	for i, s := range x.settled {
		if v := binding[s.vertex]; v != x.key[i] {
			x.key[i], same = v, false
		}
	}
	if same {
		return
	}
	if x.marked {
		x.marks.unset(x.shared)
	}
	x.known, x.ready, x.marked, x.spent, x.entries = true, false, false, 0, 0
	for i, s := range x.settled {
		x.lists[i] = s.csr.list(x.key[i])
		x.entries += len(x.lists[i])
	}
	if len(x.lists) > 1 {
		slices.SortFunc(x.lists, func(a, b []uint32) int { return len(a) - len(b) })
	}
}

// share intersects the settled lists.
func (x *extender) share() {
	x.ready, x.spent, x.shared = true, 0, x.lists[0]
	if len(x.lists) > 1 {
		found := x.lists[0]
		for _, list := range x.lists[1:] {
			found = x.narrow(found, list)
		}
		x.own = append(x.own[:0], found...)
		x.shared = x.own
	}
}

// meet intersects a list with the settled ones. It searches for its entries in
// them until that has cost about as much as going through the shortest, and then
// has what they share; and again until it has the bitmap of that.
func (x *extender) meet(list []uint32) []uint32 {
	if !x.ready {
		x.spent += searching * len(list)
		if len(x.lists) > 1 && x.spent < len(x.lists[0]) {
			found := list
			for _, l := range x.lists {
				found = x.narrow(found, l)
			}
			return found
		}
		x.share()
	}
	into := &x.found[x.side]
	if len(list) > searching*len(x.shared) {
		*into = gallop(*into, x.shared, list)
		return *into
	}
	if !x.marked {
		if x.spent += searching * len(list); x.spent < len(x.shared) {
			*into = gallop(*into, list, x.shared)
			return *into
		}
		x.marks.set(x.shared)
		x.marked = true
	}
	*into = x.marks.filter(*into, list)
	return *into
}

// narrow intersects what was found with one more list.
func (x *extender) narrow(found, list []uint32) []uint32 {
	x.side = 1 - x.side
	into := &x.found[x.side]
	if len(found) > len(list) {
		found, list = list, found
	}
	if len(list) > searching*len(found) {
		*into = gallop(*into, found, list)
		return *into
	}
	x.scratch.set(found)
	*into = x.scratch.filter(*into, list)
	x.scratch.unset(found)
	return *into
}

// searching is how many times longer than the other a list is for a search in it
// to cost less than going through it with a bitmap of the other.
const searching = 16

// gallop writes what two sorted lists share over into, which is neither of them.
// It searches the long one in steps that double.
func gallop(into, short, long []uint32) []uint32 {
	into = slices.Grow(into[:0], len(short))[:len(short)]
	n := 0
	for _, x := range short {
		// The first entry that is not below x lies behind half of reach.
		reach := 1
		for reach <= len(long) && long[reach-1] < x {
			reach *= 2
		}
		at := reach / 2
		for size := min(reach, len(long)) - at; size > 0; {
			half := (size + 1) / 2
			if long[at+half-1] < x {
				at += half
			}
			size -= half
		}
		if long = long[at:]; len(long) == 0 {
			break
		}
		into[n] = x
		if long[0] == x {
			n++
		}
	}
	return into[:n]
}

// bitmap is a set of vertices of one label.
type bitmap struct {
	first uint32
	size  int
	words []uint64 // none before the first vertex is set
}

func (b *bitmap) set(list []uint32) {
	if b.words == nil {
		b.words = make([]uint64, (b.size+63)/64)
	}
	for _, v := range list {
		v -= b.first
		b.words[v/64] |= 1 << (v % 64)
	}
}

// unset empties a bitmap that has the vertices of a list and no others.
func (b *bitmap) unset(list []uint32) {
	for _, v := range list {
		b.words[(v-b.first)/64] = 0
	}
}

// filter writes over into the vertices of a list that are in the set. There is no
// branch for a processor to guess wrong.
func (b *bitmap) filter(into, list []uint32) []uint32 {
	into = slices.Grow(into[:0], len(list))[:len(list)]
	n, first, words := 0, b.first, b.words
	for _, v := range list {
		into[n] = v
		v -= first
		n += int(words[v/64] >> (v % 64) & 1)
	}
	return into[:n]
}
