package glogue

import (
	"context"
	"math"
	"math/bits"
)

// Truth is what every step of every plan of a pattern really takes in a graph,
// found by running them: the oracle that plans are held against.
type Truth struct {
	pattern Pattern
	counts  map[uint64]float64
	entries map[[2]uint64]float64 // of an extension: the set and the vertex's bit
}

// Measure runs every connected part of a pattern, as homomorphisms. It gives up
// with ok false where a part has more than limit matches.
func Measure(ctx context.Context, g *Graph, p Pattern, limit float64) (t *Truth, ok bool, err error) {
	t = &Truth{p, map[uint64]float64{}, map[[2]uint64]float64{}}
	for set := uint64(1); set <= p.all(); set++ {
		if !p.connected(set) {
			continue
		}
		var lists []source // of all extensions from the set
		var bit []uint64
		for v := range uint8(len(p.Vertices)) {
			if set>>v&1 != 0 {
				continue
			}
			for _, e := range p.extension(set, v) {
				// Also where another edge of the extension is nowhere in the graph.
				if l, ok := g.sources(p, p.Vertices[v], []ExtendEdge{e}); ok {
					lists, bit = append(lists, l...), append(bit, 1<<v)
				}
			}
		}
		part, places := p.induced(set)
		entries := make([]float64, len(lists))
		inner, cancel := context.WithCancel(ctx)
		over, n := false, 0.0
		at := make([]int, len(p.Vertices))
		for i, v := range places {
			at[v] = i
		}
		w, err := Each(inner, g, Greedy(g, part), Homomorphism, func(row []uint32) {
			if n++; n > limit {
				over = true
				cancel()
				return
			}
			for i, l := range lists {
				entries[i] += float64(len(l.csr.list(row[at[l.vertex]])))
			}
		})
		cancel()
		if over {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		t.counts[set] = float64(w.Matches)
		for i, b := range bit {
			t.entries[[2]uint64{set, b}] += entries[i]
		}
	}
	return t, true, nil
}

// Count is how many matches the pattern has.
func (t *Truth) Count() float64 { return t.counts[t.pattern.all()] }

// Work is what a plan takes: the entries of lists that its extensions read, and
// the rows that its joins read and write.
func (t *Truth) Work(plan *Plan) float64 {
	switch plan.Kind {
	case ScanStep:
		return 0
	case JoinStep:
		return t.Work(plan.From) + t.Work(plan.With) + t.join(plan.From.Set, plan.With.Set)
	}
	return t.Work(plan.From) + t.extend(plan.From.Set, plan.Vertex)
}

func (t *Truth) join(left, right uint64) float64 {
	return t.counts[left] + t.counts[right] + t.counts[left|right]
}

func (t *Truth) extend(from uint64, v uint8) float64 { return t.entries[[2]uint64{from, 1 << v}] }

// Best is the plan of a space that takes the least work of all.
func (t *Truth) Best(space Space) (*Plan, error) {
	return search(t.pattern, space, costs{
		count:  func(set uint64) float64 { return t.counts[set] },
		extend: func(from uint64, v uint8, _ []ExtendEdge) float64 { return t.extend(from, v) },
		join:   t.join,
	})
}

// Worst is the most work that any order of extension takes.
func (t *Truth) Worst() float64 {
	most := map[uint64]float64{}
	var from func(set uint64) float64
	from = func(set uint64) float64 {
		if bits.OnesCount64(set) == 1 {
			return 0
		}
		if w, ok := most[set]; ok {
			return w
		}
		w := math.Inf(-1)
		for s := set; s != 0; s &= s - 1 {
			v := uint8(bits.TrailingZeros64(s))
			if rest := set &^ (1 << v); t.pattern.connected(rest) && len(t.pattern.extension(rest, v)) > 0 {
				w = max(w, from(rest)+t.extend(rest, v))
			}
		}
		most[set] = w
		return w
	}
	return from(t.pattern.all())
}
