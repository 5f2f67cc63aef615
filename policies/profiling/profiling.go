// Package profiling tells what runs on a GPU from its telemetry: training,
// inference or nothing, and which family of models. It follows the MIT
// SuperCloud workload classification challenge (arXiv 2204.05839) and its
// follow-up (Weiss et al., HPEC '22, arXiv 2209.05300).
//
// The way through: [Cut] makes [Example]s, windows of series with the run and
// the configuration they come from; a split ([ByConfiguration], [ByRun],
// [ByWindow]) says which of them train and which test; [Evaluate] fits an
// [Extractor] of features and a classifier on the one and judges it on the
// other. Nothing that is fitted, the scale of a sensor included, ever sees an
// example of the test part.
package profiling

import (
	"context"
	"fmt"
	"slices"

	"reprise/traces/telemetry"
)

// Example is a window of a run.
type Example struct {
	Samples []telemetry.Sample
	Labels  telemetry.Labels
	Run     string // the run it was cut from
	Config  string // the run's configuration: model, batch size, precision and so on
}

// Cut cuts windows of a length out of series, a step apart (both in seconds).
// Length 0 takes each series whole. Windows that would reach beyond the end are
// left out, as are series that are shorter. The labels run and config name a
// series' run and configuration; without them each series is one of its own.
func Cut(series []telemetry.Series, length, step float64) []Example {
	var all []Example
	for i := range series {
		s := &series[i]
		run := s.Labels["run"]
		if run == "" {
			run = fmt.Sprintf("series-%d", i)
		}
		config := s.Labels["config"]
		if config == "" {
			config = run
		}
		e := Example{Samples: s.Samples, Labels: s.Labels, Run: run, Config: config}
		if length <= 0 {
			if len(s.Samples) > 0 {
				all = append(all, e)
			}
			continue
		}
		// Samples come at an interval that is a little unsteady, so that windows
		// are of so many samples, not of so many seconds: all the same length.
		if len(s.Samples) < 2 || s.Duration() <= 0 {
			continue
		}
		perSecond := float64(len(s.Samples)-1) / s.Duration()
		n, skip := max(2, int(length*perSecond+0.5)), max(1, int(step*perSecond+0.5))
		for at := 0; at+n <= len(s.Samples); at += skip {
			e.Samples = s.Samples[at : at+n]
			all = append(all, e)
		}
	}
	return all
}

// Classes numbers the classes of examples, in the order of their names. class
// gives an example's, empty for one that is to be left out, which gets −1.
func Classes(examples []Example, class func(*Example) string) (names []string, of []int) {
	for i := range examples {
		if c := class(&examples[i]); c != "" {
			names = append(names, c)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	of = make([]int, len(examples))
	for i := range examples {
		of[i], _ = slices.BinarySearch(names, class(&examples[i]))
		if class(&examples[i]) == "" {
			of[i] = -1
		}
	}
	return names, of
}

// Classifier tells a class from features.
type Classifier interface {
	// Fit learns from rows of features and their classes, 0 to classes−1.
	Fit(ctx context.Context, x [][]float64, y []int, classes int) error
	// Predict gives the class of one row. Only after Fit.
	Predict(x []float64) int
}

// Models are the classifiers by name.
var Models = []string{"centroid", "svm", "forest", "boosted"}

// NewClassifier makes a classifier with the settings stated at its type.
func NewClassifier(name string, seed uint64) (Classifier, error) {
	switch name {
	case "centroid":
		return &Centroid{}, nil
	case "svm":
		return &SVM{C: 1, Seed: seed}, nil
	case "forest":
		return NewForest(50, seed), nil
	case "boosted":
		return NewBoosted(100, seed), nil
	}
	return nil, fmt.Errorf("model %q: want one of %v", name, Models)
}

// Score is how well a classifier did.
type Score struct {
	Tested   int     // examples
	Classes  int     // that occur among them
	Accuracy float64 // share of examples told rightly
	Balanced float64 // mean over the classes tested of the share told rightly
	Majority float64 // accuracy of always saying the test's commonest class
	Vote     float64 // share of tested runs whose windows' majority is right; ties go to the lower class
	Runs     int     // tested
	Wrong    map[[2]int]int
}

// Evaluate fits features and a classifier on each fold's training part and
// judges them on its test part; the score is over all folds' tests. class has
// an example's class, negative to leave it out.
func Evaluate(ctx context.Context, examples []Example, class []int, classes int, folds []Fold, features Features, model string, seed uint64) (Score, error) {
	s := Score{Wrong: map[[2]int]int{}}
	right, of := make([]int, classes), make([]int, classes)
	votes := map[string][]int{}
	truth := map[string]int{}
	for k, f := range folds {
		c, err := NewClassifier(model, seed+uint64(k))
		if err != nil {
			return s, err
		}
		var train []Example
		var y []int
		for _, i := range f.Train {
			if class[i] >= 0 {
				train, y = append(train, examples[i]), append(y, class[i])
			}
		}
		if len(train) == 0 {
			return s, fmt.Errorf("fold %d has nothing to train on", k+1)
		}
		ex := FitExtractor(features, train)
		x := make([][]float64, len(train))
		for i := range train {
			x[i] = ex.Features(train[i].Samples)
		}
		if err := c.Fit(ctx, x, y, classes); err != nil {
			return s, err
		}
		for _, i := range f.Test {
			if class[i] < 0 {
				continue
			}
			said := c.Predict(ex.Features(examples[i].Samples))
			of[class[i]]++
			if said == class[i] {
				right[class[i]]++
			} else {
				s.Wrong[[2]int{class[i], said}]++
			}
			run := fmt.Sprintf("%d %s", k, examples[i].Run)
			if votes[run] == nil {
				votes[run] = make([]int, classes)
			}
			votes[run][said]++
			truth[run] = class[i]
		}
	}
	most := 0
	for c := range of {
		if of[c] == 0 {
			continue
		}
		s.Classes++
		s.Tested += of[c]
		s.Accuracy += float64(right[c])
		s.Balanced += float64(right[c]) / float64(of[c])
		most = max(most, of[c])
	}
	if s.Tested == 0 {
		return s, fmt.Errorf("nothing to test on")
	}
	s.Accuracy /= float64(s.Tested)
	s.Balanced /= float64(s.Classes)
	s.Majority = float64(most) / float64(s.Tested)
	for run, v := range votes {
		if slices.Index(v, slices.Max(v)) == truth[run] {
			s.Vote++
		}
	}
	s.Runs = len(votes)
	s.Vote /= float64(s.Runs)
	return s, nil
}
