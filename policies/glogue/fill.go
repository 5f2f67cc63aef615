package glogue

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
)

// Sampling says how the counts of a catalogue are found.
type Sampling struct {
	// Rate is the share of a pattern's matches that are extended to count the
	// bigger patterns; 1 when 0.
	Rate float64
	// Limit is how many matches of a pattern are extended at the most;
	// DefaultLimit when 0.
	Limit int
	Seed  uint64
	// Rates are the probabilities with which the graph's edges were kept when it
	// was sparsified; nil where it was not.
	Rates map[EdgeType]float64
	// Published divides by the probabilities of all edges of a pattern, as the
	// published code does, also for matches in which two edges of the pattern
	// are one of the graph. That overcounts those.
	Published bool
}

// DefaultLimit is how many matches of a pattern are kept for extension.
const DefaultLimit = 100_000

// Fill counts the catalogue's patterns in a graph, small ones first: of each
// pattern a sample of matches is kept, and a bigger one is counted by extending
// the sample of the predecessor that has fewest. Counts are of homomorphisms.
func (c *Catalogue) Fill(ctx context.Context, g *Graph, s Sampling) error {
	if s.Rate == 0 {
		s.Rate = 1
	}
	if s.Limit == 0 {
		s.Limit = DefaultLimit
	}
	rng := rand.New(rand.NewPCG(s.Seed, 0x676c6f677565))
	order := make([]int, len(c.Nodes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		p, q := c.Nodes[a].Pattern, c.Nodes[b].Pattern
		return cmp.Or(cmp.Compare(len(p.Vertices), len(q.Vertices)), cmp.Compare(len(p.Edges), len(q.Edges)))
	})
	c.memo, c.pairs = nil, nil
	for _, i := range order {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.fill(g, i, s, rng)
	}
	for i := range c.Nodes {
		c.Nodes[i].rows = nil
	}
	return nil
}

func (c *Catalogue) fill(g *Graph, i int, s Sampling, rng *rand.Rand) {
	n := &c.Nodes[i]
	keep := newReservoir(s, rng, len(n.Pattern.Vertices), slices.ContainsFunc(n.Out, func(a int) bool { return c.Approaches[a].With < 0 }))
	if len(n.Pattern.Vertices) == 1 {
		l := n.Pattern.Vertices[0]
		n.raw = float64(g.Vertices(l))
		n.Count = n.raw
		for v := g.first[l]; v < g.first[l+1]; v++ {
			keep.offer(func(row []uint32) { row[0] = v })
		}
		n.rows = keep.taken()
		return
	}
	// Every extension that leads here is counted, for its mean; the pattern's
	// count is by the one from the smallest predecessor.
	best := -1
	for _, a := range n.In {
		if w := &c.Approaches[a]; w.With < 0 && (best < 0 || c.Nodes[w.From].raw < c.Nodes[c.Approaches[best].From].raw) {
			best = a
		}
	}
	for _, a := range n.In {
		w := &c.Approaches[a]
		if w.With >= 0 {
			continue
		}
		from := &c.Nodes[w.From]
		size := len(from.Pattern.Vertices)
		samples := len(from.rows) / size
		found, weight := 0, 0.0
		// A sample is in no order, so that one source is as good as another.
		last := int(w.Edges[len(w.Edges)-1].Source)
		e := newExtender(g, from.Pattern, w.Target, w.Edges, last)
		for r := range samples {
			row := from.rows[r*size : (r+1)*size]
			list, _ := e.extend(row)
			found += len(list)
			if a != best {
				continue
			}
			for _, v := range list {
				if s.Rates != nil {
					weight += s.weight(from.Pattern, w, row, v)
				}
				keep.offer(func(to []uint32) {
					for j, x := range row {
						to[w.Ranks[j]] = x
					}
					to[w.Ranks[size]] = v
				})
			}
		}
		if samples > 0 {
			w.Mean = float64(found) / float64(samples)
		}
		if a != best {
			continue
		}
		n.raw = from.raw * w.Mean
		n.Count = n.raw
		if s.Rates != nil && found > 0 {
			n.Count *= weight / float64(found)
		}
	}
	n.rows = keep.taken()
}

// weight is one over the probability that sparsification left a match whole.
func (s *Sampling) weight(p Pattern, w *Approach, row []uint32, v uint32) float64 {
	type kept struct {
		from, to uint32
		t        EdgeType
	}
	var edges []kept
	for _, e := range p.Edges {
		edges = append(edges, kept{row[e.From], row[e.To], p.typ(e)})
	}
	for _, e := range w.Edges {
		k := kept{row[e.Source], v, EdgeType{p.Vertices[e.Source], e.Label, w.Target}}
		if !e.Out {
			k = kept{v, row[e.Source], EdgeType{w.Target, e.Label, p.Vertices[e.Source]}}
		}
		edges = append(edges, k)
	}
	weight := 1.0
	for i, e := range edges {
		if s.Published || !slices.Contains(edges[:i], e) {
			weight /= s.Rates[e.t]
		}
	}
	return weight
}

// reservoir keeps an even sample of rows.
type reservoir struct {
	Sampling
	rng   *rand.Rand
	width int
	on    bool
	rows  []uint32
	seen  int // rows past the rate
	// spare is one row of all that were offered, for where the rate takes none.
	spare   []uint32
	offered int
}

func newReservoir(s Sampling, rng *rand.Rand, width int, on bool) *reservoir {
	return &reservoir{Sampling: s, rng: rng, width: width, on: on}
}

// taken is the sample, which has a row if any was offered.
func (r *reservoir) taken() []uint32 {
	if r.seen == 0 {
		return r.spare
	}
	return r.rows
}

// offer takes a row, which write fills in, or leaves it.
func (r *reservoir) offer(write func(row []uint32)) {
	if !r.on {
		return
	}
	if r.offered++; r.Rate < 1 {
		if r.seen == 0 && r.rng.IntN(r.offered) == 0 {
			r.spare = append(r.spare[:0], make([]uint32, r.width)...)
			write(r.spare)
		}
		if r.rng.Float64() >= r.Rate {
			return
		}
	}
	r.seen++
	at := r.seen - 1
	if at >= r.Limit {
		if at = r.rng.IntN(r.seen); at >= r.Limit {
			return
		}
	} else {
		r.rows = append(r.rows, make([]uint32, r.width)...)
	}
	write(r.rows[at*r.width : (at+1)*r.width])
}
