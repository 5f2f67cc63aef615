package profiling

import (
	"math/rand/v2"
	"slices"
)

// Fold says which examples train and which test.
type Fold struct{ Train, Test []int }

// ByConfiguration holds whole configurations out: fold k tests the k-th
// configuration of every stratum (such as a family in training), with all its
// runs, and trains on the others. A stratum with fewer than folds
// configurations is not tested in the last folds.
func ByConfiguration(examples []Example, folds int, stratum func(*Example) string) []Fold {
	configs := map[string][]string{}
	for i := range examples {
		s := stratum(&examples[i])
		if !slices.Contains(configs[s], examples[i].Config) {
			configs[s] = append(configs[s], examples[i].Config)
		}
	}
	held := map[string]int{}
	for _, all := range configs {
		slices.Sort(all)
		for k, c := range all {
			held[c] = k % folds
		}
	}
	return divide(examples, folds, func(i int) int { return held[examples[i].Config] })
}

// ByRun holds whole runs out, of configurations that were run more than once:
// the last run of each, in the order of their names, tests; all other runs
// train.
func ByRun(examples []Example) []Fold {
	runs := map[string][]string{}
	for i := range examples {
		c := examples[i].Config
		if !slices.Contains(runs[c], examples[i].Run) {
			runs[c] = append(runs[c], examples[i].Run)
		}
	}
	var f Fold
	for i := range examples {
		all := runs[examples[i].Config]
		if len(all) > 1 && slices.Max(all) == examples[i].Run {
			f.Test = append(f.Test, i)
		} else {
			f.Train = append(f.Train, i)
		}
	}
	return []Fold{f}
}

// ByWindow deals windows out at random, whatever run they come from. It leaks:
// windows of one run, some of which share samples, train and test. It is here
// to show what that does to a figure.
func ByWindow(examples []Example, folds int, seed uint64) []Fold {
	order := rand.New(rand.NewPCG(seed, 0x6c65616b)).Perm(len(examples))
	return divide(examples, folds, func(i int) int { return order[i] % folds })
}

// ByPart tests the examples whose label part says test: a split that came with
// the data.
func ByPart(examples []Example) []Fold {
	var f Fold
	for i := range examples {
		if examples[i].Labels["part"] == "test" {
			f.Test = append(f.Test, i)
		} else {
			f.Train = append(f.Train, i)
		}
	}
	return []Fold{f}
}

func divide(examples []Example, folds int, fold func(int) int) []Fold {
	all := make([]Fold, folds)
	for i := range examples {
		for k := range all {
			if fold(i) == k {
				all[k].Test = append(all[k].Test, i)
			} else {
				all[k].Train = append(all[k].Train, i)
			}
		}
	}
	return all
}
