package glogue

import (
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// Kind is what a step of a plan does.
type Kind int

// The kinds of step: all vertices of a label; one more vertex by intersecting
// adjacency lists; two sets of matches joined on the vertices they share.
const (
	ScanStep Kind = iota
	ExtendStep
	JoinStep
)

// Plan is the last step of a way to match the part of a pattern that lies on a
// set of its vertices, with the plans of what it builds on.
type Plan struct {
	Pattern Pattern // the whole
	Set     uint64
	Kind    Kind
	Vertex  uint8 // scanned or added
	Edges   []ExtendEdge
	From    *Plan // extended, or built into a table
	With    *Plan // probes the table
	// Count is the estimated number of matches, Cost the estimated cost with
	// that of the steps before.
	Count, Cost float64
}

func (p *Plan) vertices() []uint8 {
	var list []uint8
	for s := p.Set; s != 0; s &= s - 1 {
		list = append(list, uint8(bits.TrailingZeros64(s)))
	}
	return list
}

// String shows the plan in a line: (0 +1 +2) is a scan and two extensions, ⋈ a
// join.
func (p *Plan) String() string {
	switch p.Kind {
	case ScanStep:
		return fmt.Sprint(p.Vertex)
	case JoinStep:
		return "(" + p.From.String() + ") ⋈ (" + p.With.String() + ")"
	}
	from := p.From.String()
	if p.From.Kind == JoinStep {
		from = "(" + from + ")"
	}
	return fmt.Sprintf("%s +%d", from, p.Vertex)
}

// InOrder is the plan that scans the first of the vertices and adds the others
// as they come.
func InOrder(p Pattern, order []uint8) (*Plan, error) {
	if len(order) != len(p.Vertices) {
		return nil, fmt.Errorf("an order of %d vertices for a pattern of %d", len(order), len(p.Vertices))
	}
	plan := &Plan{Pattern: p, Kind: ScanStep, Set: 1 << order[0], Vertex: order[0]}
	for _, v := range order[1:] {
		edges := p.extension(plan.Set, v)
		if len(edges) == 0 || plan.Set>>v&1 != 0 {
			return nil, fmt.Errorf("vertex %d hangs on none of those before it, or comes twice", v)
		}
		plan = &Plan{Pattern: p, Kind: ExtendStep, Set: plan.Set | 1<<v, Vertex: v, Edges: edges, From: plan}
	}
	return plan, nil
}

// Naive is the plan of someone who takes the vertices as they are written,
// skipping ahead only where one does not hang together with those before it.
func Naive(p Pattern) *Plan {
	order := []uint8{0}
	for set := uint64(1); set != p.all(); {
		for v := range uint8(len(p.Vertices)) {
			if set>>v&1 == 0 && len(p.extension(set, v)) > 0 {
				order, set = append(order, v), set|1<<v
				break
			}
		}
	}
	plan, err := InOrder(p, order)
	if err != nil {
		panic(err) // the order was made to fit
	}
	return plan
}

// Greedy is the plan that starts at the vertex with the rarest label and goes
// on where most edges lead back, the rarer label first. It needs no catalogue,
// and serves patterns that are too big for one.
func Greedy(g *Graph, p Pattern) *Plan {
	size := func(v uint8) int {
		if l := p.Vertices[v]; int(l) < len(g.Schema.Vertices) {
			return g.Vertices(l)
		}
		return 0
	}
	best := uint8(0)
	for v := range uint8(len(p.Vertices)) {
		if a, b := size(v)*p.degree(best), size(best)*p.degree(v); a < b {
			best = v
		}
	}
	order := []uint8{best}
	for set := uint64(1) << best; set != p.all(); {
		next, edges := uint8(0), 0
		for v := range uint8(len(p.Vertices)) {
			if set>>v&1 != 0 {
				continue
			}
			n := len(p.extension(set, v))
			if n > edges || n == edges && n > 0 && size(v) < size(next) {
				next, edges = v, n
			}
		}
		order, set = append(order, next), set|1<<next
	}
	plan, err := InOrder(p, order)
	if err != nil {
		panic(err) // the order was made to fit
	}
	return plan
}

// Space says which plans are looked at.
type Space int

// The plan spaces.
const (
	Hybrid Space = iota
	ExtendOnly
	JoinOnly // extensions by one edge, and joins
)

// Weights of the cost model, as published: of the adjacency lists read, of the
// intermediate sets of an intersection, and of a row on either side of a join.
const (
	adjacencyWeight = 0.15
	intersectWeight = 0.10
	joinWeight      = 6
)

// costs is what a search needs to know of every step.
type costs struct {
	count  func(set uint64) float64
	extend func(from uint64, v uint8, edges []ExtendEdge) float64
	join   func(left, right uint64) float64
}

// maxPlanned bounds the patterns that are planned by search: it looks at every
// pair of connected sets of vertices.
const maxPlanned = 14

// Optimal finds the plan of least estimated cost in a space.
func Optimal(p Pattern, est Estimator, space Space) (*Plan, error) {
	sets := map[uint64]float64{}
	count := func(set uint64) float64 {
		c, ok := sets[set]
		if !ok {
			q, _ := p.induced(set)
			c = est.Count(q)
			sets[set] = c
		}
		return c
	}
	return search(p, space, costs{
		count: count,
		extend: func(from uint64, v uint8, edges []ExtendEdge) float64 {
			pre, post := count(from), count(from|1<<v)
			cost := pre + post
			if len(edges) > 1 {
				adjacency, intersect := intersectCosts(p, est, from, v)
				cost += pre*float64(len(edges)) + adjacencyWeight*adjacency + intersectWeight*intersect
			}
			return cost
		},
		join: func(left, right uint64) float64 {
			return count(left|right) + joinWeight*count(left) + joinWeight*count(right)
		},
	})
}

// intersectCosts are the entries of the lists that adding v reads, and the
// matches left after each intersection but the last, edges in their cheapest
// order.
func intersectCosts(p Pattern, est Estimator, from uint64, v uint8) (adjacency, intersect float64) {
	var hang []int // edges between v and the set
	for i, e := range p.Edges {
		if e.From == v && from>>e.To&1 != 0 || e.To == v && from>>e.From&1 != 0 {
			hang = append(hang, i)
		}
	}
	counts := make([]float64, 1<<len(hang))
	least := make([]float64, 1<<len(hang))
	for kept := 1; kept < len(counts); kept++ {
		q, _ := p.sub(from|1<<v, func(e PatternEdge) bool {
			for i, h := range hang {
				if p.Edges[h] == e {
					return kept>>i&1 != 0
				}
			}
			return true
		})
		counts[kept] = est.Count(q)
		if kept&(kept-1) == 0 {
			adjacency += counts[kept]
			continue
		}
		least[kept] = math.Inf(1)
		for i := range hang {
			if kept>>i&1 != 0 {
				least[kept] = min(least[kept], least[kept&^(1<<i)]+counts[kept&^(1<<i)])
			}
		}
	}
	return adjacency, least[len(least)-1]
}

// search finds the cheapest plan by dynamic programming over connected sets of
// vertices: the cost of a step depends on the sets it leads from only, not on
// how they were matched.
func search(p Pattern, space Space, c costs) (*Plan, error) {
	n := len(p.Vertices)
	if n > maxPlanned {
		return nil, fmt.Errorf("a pattern of %d vertices is too big to plan by search (%d); use Greedy", n, maxPlanned)
	}
	best := make([]*Plan, 1<<n)
	for v := range n {
		set := uint64(1) << v
		best[set] = &Plan{Pattern: p, Kind: ScanStep, Set: set, Vertex: uint8(v), Count: c.count(set)}
	}
	for set := uint64(1); set < 1<<n; set++ {
		if best[set] != nil || !p.connected(set) {
			continue
		}
		size := c.count(set)
		offer := func(plan *Plan) {
			if plan.Set, plan.Pattern, plan.Count = set, p, size; best[set] == nil || plan.Cost < best[set].Cost {
				best[set] = plan
			}
		}
		for s := set; s != 0; s &= s - 1 {
			v := uint8(bits.TrailingZeros64(s))
			from := best[set&^(1<<v)]
			if from == nil {
				continue
			}
			edges := p.extension(from.Set, v)
			if space == JoinOnly && len(edges) > 1 {
				continue
			}
			offer(&Plan{Kind: ExtendStep, Vertex: v, Edges: edges, From: from, Cost: from.Cost + c.extend(from.Set, v, edges)})
		}
		if space == ExtendOnly {
			continue
		}
		p.splits(set, func(left, right uint64) {
			a, b := best[left], best[right]
			if a == nil || b == nil {
				return
			}
			if a.Count > b.Count {
				a, b = b, a // the smaller side is built
			}
			offer(&Plan{Kind: JoinStep, From: a, With: b, Cost: a.Cost + b.Cost + c.join(a.Set, b.Set)})
		})
	}
	plan := best[p.all()]
	if plan == nil {
		return nil, fmt.Errorf("the plan space has no plan for the pattern")
	}
	return plan, nil
}

// splits visits the pairs of smaller connected sets that share a vertex and
// have all vertices and edges of a set between them, each pair once.
func (p Pattern) splits(set uint64, visit func(left, right uint64)) {
	for left := (set - 1) & set; left != 0; left = (left - 1) & set {
		rest := set &^ left
		// Vertices outside left and every vertex that has an edge to them.
		must := rest
		for _, e := range p.Edges {
			f, t := uint64(1)<<e.From, uint64(1)<<e.To
			if set&f != 0 && set&t != 0 && (rest&f != 0 || rest&t != 0) {
				must |= f | t
			}
		}
		if must == set || must&left == 0 || !p.connected(left) {
			continue
		}
		// The other side may have more of left than it must.
		free := left &^ must
		for extra := free; ; extra = (extra - 1) & free {
			right := must | extra
			if right != set && left < right && bits.OnesCount64(left) > 1 && p.connected(right) {
				visit(left, right)
			}
			if extra == 0 {
				break
			}
		}
	}
}

// steps lists how many steps of a kind a plan has.
func (p *Plan) steps(k Kind) int {
	if p == nil {
		return 0
	}
	n := p.From.steps(k) + p.With.steps(k)
	if p.Kind == k {
		n++
	}
	return n
}

// Joins is how many joins a plan has.
func (p *Plan) Joins() int { return p.steps(JoinStep) }

// Explain writes a plan step by step, with the estimated counts and costs.
func (p *Plan) Explain(s *Schema) string {
	var b strings.Builder
	var write func(p *Plan, depth int)
	write = func(p *Plan, depth int) {
		b.WriteString(strings.Repeat("  ", depth))
		switch p.Kind {
		case ScanStep:
			fmt.Fprintf(&b, "scan %d:%s", p.Vertex, s.Vertices[p.Pattern.Vertices[p.Vertex]])
		case ExtendStep:
			fmt.Fprintf(&b, "extend to %d:%s by", p.Vertex, s.Vertices[p.Pattern.Vertices[p.Vertex]])
			for i, e := range p.Edges {
				if i > 0 {
					b.WriteString(" ∩")
				}
				if e.Out {
					fmt.Fprintf(&b, " %d-%s->", e.Source, s.Edges[e.Label])
				} else {
					fmt.Fprintf(&b, " %d<-%s-", e.Source, s.Edges[e.Label])
				}
			}
		case JoinStep:
			b.WriteString("join")
		}
		fmt.Fprintf(&b, "  (about %.4g matches, cost %.4g)\n", p.Count, p.Cost)
		for _, q := range []*Plan{p.From, p.With} {
			if q != nil {
				write(q, depth+1)
			}
		}
	}
	write(p, 0)
	return b.String()
}
