package glogue

import (
	"math/rand/v2"
	"slices"
)

// Rates are the probabilities with which edges of each type are kept so that a
// fraction of all edges is left and the counts' variance least: of
//
//	minimise Σ (1/p − 1)/r   subject to   Σ p·r ≤ fraction · Σ r,  0 ≤ p ≤ 1
//
// over the types, r edges each, the solution is p ∝ 1/r, clipped at 1: every
// type keeps the same number of edges, and rare ones are kept whole.
func (g *Graph) Rates(fraction float64) map[EdgeType]float64 {
	var types []EdgeType
	for _, t := range g.Types {
		if g.Edges(t) > 0 {
			types = append(types, t)
		}
	}
	slices.SortFunc(types, func(a, b EdgeType) int { return g.Edges(a) - g.Edges(b) })
	rates := map[EdgeType]float64{}
	budget := fraction * float64(g.edges)
	for i, t := range types {
		share := budget / float64(len(types)-i)
		keep := min(share, float64(g.Edges(t)))
		rates[t] = keep / float64(g.Edges(t))
		budget -= keep
	}
	return rates
}

// UniformRates keep every edge with the same probability.
func (g *Graph) UniformRates(fraction float64) map[EdgeType]float64 {
	rates := map[EdgeType]float64{}
	for _, t := range g.Types {
		rates[t] = min(fraction, 1)
	}
	return rates
}

// Sparsify is the graph with each edge kept with the probability of its type.
func (g *Graph) Sparsify(rates map[EdgeType]float64, seed uint64) *Graph {
	rng := rand.New(rand.NewPCG(seed, 0x7370617273))
	s := &Graph{Schema: g.Schema, first: g.first, rows: map[EdgeType]*rows{}}
	for _, t := range g.Types {
		var kept []uint64
		g.eachEdge(t, func(from, to uint32) {
			if p := rates[t]; p >= 1 || rng.Float64() < p {
				kept = append(kept, uint64(from)<<32|uint64(to))
			}
		})
		if len(kept) > 0 {
			s.add(t, kept)
		}
	}
	return s
}
