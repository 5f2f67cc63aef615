package profiling

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"reprise/policies/admission"
)

// scale brings features to mean 0 and deviation 1 over the training part.
type scale struct{ mean, gain []float64 }

func fitScale(x [][]float64) *scale {
	width := len(x[0])
	s := &scale{make([]float64, width), make([]float64, width)}
	for j := range width {
		squares := 0.0
		for _, row := range x {
			s.mean[j] += row[j] / float64(len(x))
		}
		for _, row := range x {
			squares += (row[j] - s.mean[j]) * (row[j] - s.mean[j])
		}
		if sd := math.Sqrt(squares / float64(len(x))); sd > 1e-12 {
			s.gain[j] = 1 / sd
		}
	}
	return s
}

func (s *scale) apply(x []float64) []float64 {
	z := make([]float64, len(x))
	for j, v := range x {
		z[j] = (v - s.mean[j]) * s.gain[j]
	}
	return z
}

func checkRows(x [][]float64, y []int) error {
	if len(x) == 0 || len(x) != len(y) || len(x[0]) == 0 {
		return fmt.Errorf("fit: %d rows of features for %d classes", len(x), len(y))
	}
	return nil
}

// Centroid says the class whose mean of standardised features is nearest.
type Centroid struct {
	scale *scale
	means [][]float64 // nil: a class without training rows
}

// Fit takes the means.
func (c *Centroid) Fit(_ context.Context, x [][]float64, y []int, classes int) error {
	if err := checkRows(x, y); err != nil {
		return err
	}
	c.scale, c.means = fitScale(x), make([][]float64, classes)
	n := make([]float64, classes)
	for i, row := range x {
		if c.means[y[i]] == nil {
			c.means[y[i]] = make([]float64, len(row))
		}
		n[y[i]]++
		for j, v := range c.scale.apply(row) {
			c.means[y[i]][j] += (v - c.means[y[i]][j]) / n[y[i]]
		}
	}
	return nil
}

// Predict gives the nearest class.
func (c *Centroid) Predict(x []float64) int {
	z := c.scale.apply(x)
	best, least := 0, math.Inf(1)
	for k, m := range c.means {
		if m == nil {
			continue
		}
		d := 0.0
		for j := range z {
			d += (z[j] - m[j]) * (z[j] - m[j])
		}
		if d < least {
			best, least = k, d
		}
	}
	return best
}

// SVM is a linear support vector machine of each class against the rest, with
// squared hinge loss, on standardised features: the problem that LIBLINEAR and
// scikit-learn's LinearSVC solve by default, by the same dual coordinate
// descent (Hsieh et al., ICML 2008).
type SVM struct {
	C    float64 // weight of an error
	Seed uint64

	scale   *scale
	weights [][]float64 // of each class; the last is the bias
}

// Fit trains until no gradient exceeds 1e-3, or for 200 passes, after which
// decisions on inseparable data hardly change.
func (s *SVM) Fit(ctx context.Context, x [][]float64, y []int, classes int) error {
	if err := checkRows(x, y); err != nil {
		return err
	}
	s.scale, s.weights = fitScale(x), make([][]float64, classes)
	z, norm := make([][]float64, len(x)), make([]float64, len(x))
	for i := range x {
		z[i] = append(s.scale.apply(x[i]), 1)
		for _, v := range z[i] {
			norm[i] += v * v
		}
	}
	rng := rand.New(rand.NewPCG(s.Seed, 0x73766d))
	diagonal := 1 / (2 * s.C)
	for k := range classes {
		w, alpha := make([]float64, len(z[0])), make([]float64, len(z))
		for range 200 {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			moved := 0.0
			for _, i := range rng.Perm(len(z)) {
				sign := -1.0
				if y[i] == k {
					sign = 1
				}
				dot := 0.0
				for j, v := range z[i] {
					dot += w[j] * v
				}
				gradient := sign*dot - 1 + diagonal*alpha[i]
				if alpha[i] == 0 && gradient >= 0 {
					continue
				}
				moved = max(moved, math.Abs(gradient))
				old := alpha[i]
				alpha[i] = max(0, old-gradient/(norm[i]+diagonal))
				for j, v := range z[i] {
					w[j] += (alpha[i] - old) * sign * v
				}
			}
			if moved < 1e-3 {
				break
			}
		}
		s.weights[k] = w
	}
	return nil
}

// Predict gives the class whose hyperplane says so most strongly.
func (s *SVM) Predict(x []float64) int {
	z := append(s.scale.apply(x), 1)
	return argmax(len(s.weights), func(k int) float64 {
		sum := 0.0
		for j, v := range z {
			sum += s.weights[k][j] * v
		}
		return sum
	})
}

func argmax(n int, of func(int) float64) int {
	best, most := 0, math.Inf(-1)
	for k := range n {
		if v := of(k); v > most {
			best, most = k, v
		}
	}
	return best
}

// Trees are trees of each class against the rest, grown by the pipeline of
// policies/admission: a forest of the means of trees from resampled rows, or
// gradient-boosted trees with logistic loss. The rows that a class has are told
// from all others, so that a class without rows is never said.
type Trees struct {
	growing admission.Growing
	of      []*admission.Trees
}

// NewForest is a random forest: full trees from rows drawn with replacement, a
// root of the number of features tried at each split.
func NewForest(trees int, seed uint64) *Trees {
	return &Trees{growing: admission.Growing{Trees: trees, Depth: 12, Leaf: 1, Bagging: true, Features: -1, Seed: seed}}
}

// NewBoosted is gradient boosting with the challenge's settings for XGBoost:
// rate 0.1, depth 3.
func NewBoosted(trees int, seed uint64) *Trees {
	return &Trees{growing: admission.Growing{Trees: trees, Depth: 3, Leaf: 1, Boost: 0.1, Seed: seed}}
}

// Fit grows the trees.
func (t *Trees) Fit(ctx context.Context, x [][]float64, y []int, classes int) error {
	if err := checkRows(x, y); err != nil {
		return err
	}
	s := &admission.Samples{Width: len(x[0]), Slow: make([]bool, len(x))}
	for _, row := range x {
		for _, v := range row {
			s.X = append(s.X, float32(v))
		}
	}
	growing := t.growing
	if growing.Features < 0 {
		growing.Features = int(math.Ceil(math.Sqrt(float64(s.Width))))
	}
	t.of = make([]*admission.Trees, classes)
	for k := range classes {
		seen := false
		for i := range y {
			s.Slow[i] = y[i] == k
			seen = seen || s.Slow[i]
		}
		if !seen {
			continue
		}
		growing.Seed = t.growing.Seed*1000003 + uint64(k)
		grown, err := admission.GrowTrees(ctx, s, growing)
		if err != nil {
			return err
		}
		t.of[k] = grown
	}
	return nil
}

// Predict gives the class whose trees say so most strongly.
func (t *Trees) Predict(x []float64) int {
	row := make([]float32, len(x))
	for j, v := range x {
		row[j] = float32(v)
	}
	return argmax(len(t.of), func(k int) float64 {
		if t.of[k] == nil {
			return math.Inf(-1)
		}
		return float64(t.of[k].Score(row))
	})
}
