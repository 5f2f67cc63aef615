package admission

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Trees is a sum of regression trees over unscaled features: one tree, a
// forest's mean, or boosted trees. A score above 0 is slow.
type Trees struct {
	Nodes []Node
	Roots []int32
	Bias  float32
}

// Node is a split, or a leaf where Feature is negative.
type Node struct {
	Feature int32
	Cut     float32 // values up to it go to Left, others to Left+1
	Left    int32
	Value   float32
}

// Growing says how trees are grown.
type Growing struct {
	Trees    int
	Depth    int
	Leaf     int     // samples in a leaf, at least
	Boost    float64 // step of gradient boosting (Friedman; second order as XGBoost has it); 0: each tree fits the labels
	Bagging  bool    // each tree from samples drawn with replacement
	Features int     // features tried at a split, drawn at random; 0: all
	Seed     uint64
}

const bins = 256

// GrowTrees fits trees to samples. Splits are sought among at most 255 cuts a
// feature, at quantiles of its values.
func GrowTrees(ctx context.Context, s *Samples, g Growing) (*Trees, error) {
	n := s.Len()
	if n == 0 {
		return nil, fmt.Errorf("grow trees: no samples")
	}
	b := &grower{set: g, width: s.Width, trees: &Trees{}, rng: rand.New(rand.NewPCG(g.Seed, 0x74726565))}
	b.bin(s)
	b.grad, b.hess = make([]float32, n), make([]float32, n)
	score := make([]float64, n)
	if g.Boost > 0 {
		positive := 0.0
		for _, slow := range s.Slow {
			if slow {
				positive++
			}
		}
		prior := math.Log((positive + 1) / (float64(n) - positive + 1))
		b.trees.Bias = float32(prior)
		for i := range score {
			score[i] = prior
		}
	}
	rows := make([]int32, n)
	for k := range g.Trees {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		for i, slow := range s.Slow {
			rows[i] = int32(i)
			if g.Bagging {
				rows[i] = int32(b.rng.IntN(n))
			}
			y := -1.0
			if slow {
				y = 1
			}
			b.grad[i], b.hess[i] = float32(y), 1
			if g.Boost > 0 {
				p := sigmoid(score[i])
				b.grad[i], b.hess[i] = float32((y+1)/2-p), float32(p*(1-p))
			}
		}
		root := b.leaf()
		b.trees.Roots = append(b.trees.Roots, root)
		b.grow(root, rows, g.Depth)
		if g.Boost > 0 && k+1 < g.Trees {
			for i := range n {
				score[i] += float64(b.trees.walk(root, s.X[i*s.Width:]))
			}
		}
	}
	if g.Boost == 0 {
		for i := range b.trees.Nodes {
			b.trees.Nodes[i].Value /= float32(g.Trees)
		}
	}
	return b.trees, nil
}

// Scores gives the score of each sample.
func (t *Trees) Scores(s *Samples) []float32 {
	scores := make([]float32, s.Len())
	for i := range scores {
		scores[i] = t.Score(s.X[i*s.Width : (i+1)*s.Width])
	}
	return scores
}

// Score is the score of one sample.
func (t *Trees) Score(x []float32) float32 {
	sum := t.Bias
	for _, root := range t.Roots {
		sum += t.walk(root, x)
	}
	return sum
}

func (t *Trees) walk(at int32, x []float32) float32 {
	for {
		n := &t.Nodes[at]
		switch {
		case n.Feature < 0:
			return n.Value
		case x[n.Feature] <= n.Cut:
			at = n.Left
		default:
			at = n.Left + 1
		}
	}
}

type grower struct {
	set        Growing
	width      int
	trees      *Trees
	rng        *rand.Rand
	cuts       [][]float32
	binned     []uint8 // width values a sample
	grad, hess []float32
}

func (b *grower) bin(s *Samples) {
	n := s.Len()
	b.binned = make([]uint8, n*s.Width)
	values := make([]float32, n)
	for f := range s.Width {
		for i := range values {
			values[i] = s.X[i*s.Width+f]
		}
		slices.Sort(values)
		var cuts []float32
		for k := 1; k < bins; k++ {
			cut := values[k*(n-1)/bins]
			if cut < values[n-1] && (len(cuts) == 0 || cut > cuts[len(cuts)-1]) {
				cuts = append(cuts, cut)
			}
		}
		for i := range n {
			at, _ := slices.BinarySearchFunc(cuts, s.X[i*s.Width+f], cmp.Compare[float32])
			b.binned[i*s.Width+f] = uint8(at)
		}
		b.cuts = append(b.cuts, cuts)
	}
}

func (b *grower) leaf() int32 {
	b.trees.Nodes = append(b.trees.Nodes, Node{Feature: -1})
	return int32(len(b.trees.Nodes) - 1)
}

func (b *grower) grow(at int32, rows []int32, depth int) {
	var sumG, sumH float64
	for _, r := range rows {
		sumG += float64(b.grad[r])
		sumH += float64(b.hess[r])
	}
	const ridge = 1
	step := 1.0
	if b.set.Boost > 0 {
		step = b.set.Boost
	}
	b.trees.Nodes[at].Value = float32(step * sumG / (sumH + ridge))
	if depth == 0 || len(rows) < 2*b.set.Leaf {
		return
	}
	type sums struct {
		g, h float64
		n    int
	}
	bestGain, bestFeature, bestCut := 1e-6, -1, 0
	tried := b.rng.Perm(b.width)
	if b.set.Features > 0 {
		tried = tried[:b.set.Features]
	}
	for _, f := range tried {
		var h [bins]sums
		for _, r := range rows {
			c := &h[b.binned[int(r)*b.width+f]]
			c.g += float64(b.grad[r])
			c.h += float64(b.hess[r])
			c.n++
		}
		var left sums
		for cut := range b.cuts[f] {
			left.g, left.h, left.n = left.g+h[cut].g, left.h+h[cut].h, left.n+h[cut].n
			if left.n < b.set.Leaf || len(rows)-left.n < b.set.Leaf {
				continue
			}
			g, hess := sumG-left.g, sumH-left.h
			gain := left.g*left.g/(left.h+ridge) + g*g/(hess+ridge) - sumG*sumG/(sumH+ridge)
			if gain > bestGain {
				bestGain, bestFeature, bestCut = gain, f, cut
			}
		}
	}
	if bestFeature < 0 {
		return
	}
	mid := 0
	for i, r := range rows {
		if int(b.binned[int(r)*b.width+bestFeature]) <= bestCut {
			rows[i], rows[mid] = rows[mid], r
			mid++
		}
	}
	left := b.leaf()
	b.leaf()
	n := &b.trees.Nodes[at]
	n.Feature, n.Cut, n.Left = int32(bestFeature), b.cuts[bestFeature][bestCut], left
	b.grow(left, rows[:mid], depth-1)
	b.grow(left+1, rows[mid:], depth-1)
}
