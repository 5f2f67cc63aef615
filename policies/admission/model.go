package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Recipe says how a model is made of samples.
type Recipe struct {
	Name     string
	Doc      string
	Inputs   Inputs
	Scaling  Scaling
	Clip     bool
	Hidden   []int    // widths of hidden layers; none is logistic regression
	Training Training // of the network
	Growing  Growing  // of trees, in place of a network where Trees > 0
	Cutoff   bool     // trained on LinnOS's labels, unfiltered
	Reads    bool     // periods are labelled over reads alone
	Balance  bool     // the threshold is moved to the best balanced accuracy on the holdout
}

// Recipes lists the models compared: as published, and what this package adds.
func Recipes() []Recipe {
	adam := Training{Loss: CrossEntropy, Rate: 1e-3, Batch: 32, Epochs: 20, Patience: 3, MinDelta: 0.01, Holdout: 0.2}
	hinge := Training{Loss: BiasedHinge, Rate: 1e-3, Batch: 128, Epochs: 8, Holdout: 0.2}
	ours := Training{Loss: CrossEntropy, Rate: 1e-3, Batch: 64, Epochs: 20, Patience: 4, MinDelta: 0.0005, Holdout: 0.2, KeepBest: true}
	return []Recipe{
		{Name: "linnos", Doc: "LinnOS (OSDI '20): digits of pages in flight and latencies, 31-256-2, biased hinge, cutoff labels",
			Inputs: LinnOSInputs, Scaling: NoScaling, Hidden: []int{256}, Training: hinge, Cutoff: true},
		{Name: "logistic", Doc: "logistic regression on Heimdall's features",
			Inputs: HeimdallInputs, Scaling: MinMax, Training: adam},
		{Name: "tree", Doc: "one decision tree on Heimdall's features",
			Inputs: HeimdallInputs, Growing: Growing{Trees: 1, Depth: 8, Leaf: 50}},
		{Name: "forest", Doc: "random forest on Heimdall's features",
			Inputs: HeimdallInputs, Growing: Growing{Trees: 30, Depth: 10, Leaf: 20, Bagging: true, Features: 4}},
		{Name: "boosted", Doc: "gradient-boosted trees on Heimdall's features",
			Inputs: HeimdallInputs, Growing: Growing{Trees: 40, Depth: 4, Leaf: 50, Boost: 0.2}},
		{Name: "heimdall", Doc: "Heimdall (EuroSys '25): 11-128-16-1, min-max, cross entropy",
			Inputs: HeimdallInputs, Scaling: MinMax, Hidden: []int{128, 16}, Training: adam},
		{Name: "heimdall-reads", Doc: "Heimdall's network, its slow periods labelled over reads alone",
			Inputs: HeimdallInputs, Scaling: MinMax, Hidden: []int{128, 16}, Training: adam, Reads: true},
		{Name: "extended", Doc: "ours: Heimdall's network on 16 features in logarithms, the threshold balanced on a holdout",
			Inputs: ExtendedInputs, Scaling: Logarithm, Clip: true, Hidden: []int{128, 16}, Training: ours, Balance: true},
	}
}

// RecipeNamed finds a recipe.
func RecipeNamed(name string) (Recipe, error) {
	var names []string
	for _, r := range Recipes() {
		if r.Name == name {
			return r, nil
		}
		names = append(names, r.Name)
	}
	return Recipe{}, fmt.Errorf("model %q: want one of %v", name, names)
}

// Model decides: a scaler and a network, or trees.
type Model struct {
	Recipe    string
	Inputs    Inputs
	Group     int // reads one decision is for
	Width     int
	Threshold float32 // scores above it are slow
	Scaler    *Scaler // nil with Trees
	Network   *Network
	Trees     *Trees
	Trained   Trained
}

// ErrOneKind: all samples are slow, or none is.
var ErrOneKind = errors.New("there is nothing to tell apart")

// Train makes a model of samples. What is held out for validation are the last
// of them.
func Train(ctx context.Context, r Recipe, s *Samples) (*Model, error) {
	m := &Model{Recipe: r.Name, Inputs: s.Inputs, Group: s.Group, Width: s.Width}
	if s.Len() == 0 {
		return nil, fmt.Errorf("train %s: no samples", r.Name)
	}
	if !s.Mixed() {
		return nil, fmt.Errorf("train %s: %w: all %d samples are of one kind", r.Name, ErrOneKind, s.Len())
	}
	var err error
	if r.Growing.Trees > 0 {
		m.Trees, err = GrowTrees(ctx, s, r.Growing)
		return m, err
	}
	if m.Scaler, err = FitScaler(r.Scaling, r.Clip, s); err != nil {
		return nil, err
	}
	widths := append([]int{s.Width}, r.Hidden...)
	outputs := 1
	if r.Training.Loss == BiasedHinge {
		outputs = 2
	}
	m.Network = NewNetwork(r.Training.Seed, append(widths, outputs)...)
	if m.Trained, err = m.Network.Fit(ctx, m.Scaler.Apply(s), s.Slow, r.Training); err != nil {
		return nil, err
	}
	if r.Balance {
		held := s.Slice(s.Len()-int(float64(s.Len())*r.Training.Holdout), s.Len())
		m.Threshold = balance(m.Scores(held), held.Slow)
	}
	return m, nil
}

// Scores gives the score of each sample: above 0 is slow.
func (m *Model) Scores(s *Samples) []float32 {
	if m.Trees != nil {
		return m.Trees.Scores(s)
	}
	scores := m.Network.Scores(m.Scaler.Apply(s))
	for i := range scores {
		scores[i] -= m.Threshold
	}
	return scores
}

// balance is the threshold with the best balanced accuracy.
func balance(scores []float32, slow []bool) float32 {
	order := make([]int32, len(scores))
	positives := 0
	for i := range order {
		order[i] = int32(i)
		if slow[i] {
			positives++
		}
	}
	negatives := len(scores) - positives
	if positives == 0 || negatives == 0 {
		return 0
	}
	slices.SortFunc(order, func(a, b int32) int {
		if scores[a] < scores[b] {
			return -1
		}
		return 1
	})
	best, threshold := 1.0, float32(0) // TPR + TNR when all are called slow
	missed, passed := 0, 0
	for k, i := range order {
		if slow[i] {
			missed++
		} else {
			passed++
		}
		if k+1 < len(order) && scores[order[k+1]] == scores[i] {
			continue
		}
		sum := 1 - float64(missed)/float64(positives) + float64(passed)/float64(negatives)
		if sum > best {
			best, threshold = sum, scores[i]
		}
	}
	return threshold
}
