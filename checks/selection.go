package checks

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"reprise/checks/stats"
)

// Selection says which observations a check is about. Every kind of check
// begins with these keys.
//
// Observations that agree in all labels but seed and repeat are repeats of one
// point. The points are grouped into cells: by the labels in Per, or, when Per
// is absent, by every label the check does not compare over. Points that fall
// into one cell because Per leaves their label out are pooled by arithmetic
// mean, and a warning says so.
type Selection struct {
	Metric string            `yaml:"metric" required:"true" doc:"name of the metric"`
	Where  map[string]string `yaml:"where" doc:"labels the observations must carry, with their values"`
	Per    []string          `yaml:"per" doc:"labels whose combinations are the cells the check is made in; all labels not compared over when absent"`
	Share  *Quantity         `yaml:"share" doc:"share of the cells in which the expectation must hold, for example 90%; when absent value, change and ratio are decided on the aggregate over cells and the other checks must hold in every cell"`
	Assume string            `yaml:"assume" enum:"exact" doc:"exact: the experiment is deterministic, so one run is the whole truth"`
}

// The labels that tell the repeats of one point apart, and the one by which the
// runner says whose observation it is.
const (
	labelSeed       = "seed"
	labelRepeat     = "repeat"
	labelExperiment = "experiment"
)

func reserved(label string) bool {
	return label == labelSeed || label == labelRepeat || label == labelExperiment
}

// validate reports what is wrong with the keys of a check that compares over
// the given labels.
func (sel Selection) validate(report Report, compares []string) {
	for _, label := range sortedKeys(sel.Where) {
		switch {
		case reserved(label):
			report("where."+label, fmt.Sprintf("%s cannot be selected by: it tells repeats or experiments apart", label), "leave it out")
		case slices.Contains(compares, label):
			report("where."+label, fmt.Sprintf("where fixes %s, which the check compares over", label), "leave it out of where")
		}
	}
	for i, label := range sel.Per {
		path := fmt.Sprintf("per[%d]", i)
		switch {
		case reserved(label):
			report(path, fmt.Sprintf("%s cannot make cells: it tells repeats or experiments apart", label), "leave it out")
		case slices.Contains(compares, label):
			report(path, fmt.Sprintf("cells cannot be made by %s, which the check compares over", label), "leave it out of per")
		case slices.Contains(sel.Per[:i], label):
			report(path, fmt.Sprintf("%s is named twice", label), "name it once")
		}
	}
	if sel.Share != nil {
		if f, err := sel.Share.fraction(); err != nil || !(f > 0 && f <= 1) {
			report("share", fmt.Sprintf("%s is not a share", sel.Share), "more than 0% and at most 100%, for example 90%")
		}
	}
}

// run tells the repeats of a point apart.
type run struct{ seed, repeat string }

// point is one place of an experiment, with the repeats made there in the order
// of their runs.
type point struct {
	key    string
	labels map[string]string
	runs   []run
	values []float64
	units  []string // one for each value until the sample has converted them
}

// index finds observations by experiment and metric, and makes points of them
// once.
type index struct {
	observations map[[2]string][]*Observation
	points       map[[2]string][]*point
	boot         *stats.Bootstrap
}

func newIndex(observations []Observation) *index {
	ix := &index{map[[2]string][]*Observation{}, map[[2]string][]*point{}, &stats.Bootstrap{Level: confidence}}
	for i := range observations {
		o := &observations[i]
		key := [2]string{o.Labels[labelExperiment], o.Metric}
		ix.observations[key] = append(ix.observations[key], o)
	}
	return ix
}

// series is every point of a metric, in natural order.
func (ix *index) series(experiment, metric string) []*point {
	id := [2]string{experiment, metric}
	if points, ok := ix.points[id]; ok {
		return points
	}
	type measured struct {
		run
		value float64
		unit  string
	}
	repeats := map[string][]measured{}
	labels := map[string]map[string]string{}
	var names []string
	var key []byte
	for _, o := range ix.observations[id] {
		names, key = names[:0], key[:0]
		for name := range o.Labels {
			if !reserved(name) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			key = append(append(append(append(key, name...), 0), o.Labels[name]...), 0)
		}
		if _, ok := labels[string(key)]; !ok {
			labels[string(key)] = o.Labels
		}
		repeats[string(key)] = append(repeats[string(key)], measured{run{o.Labels[labelSeed], o.Labels[labelRepeat]}, o.Value, o.Unit})
	}
	points := make([]*point, 0, len(repeats))
	for key, all := range repeats {
		slices.SortFunc(all, func(a, b measured) int {
			return cmp.Or(CompareNatural(a.seed, b.seed), CompareNatural(a.repeat, b.repeat), cmp.Compare(a.value, b.value), cmp.Compare(a.unit, b.unit))
		})
		p := &point{key: key, labels: labels[key]}
		for _, m := range all {
			p.runs, p.values, p.units = append(p.runs, m.run), append(p.values, m.value), append(p.units, m.unit)
		}
		points = append(points, p)
	}
	slices.SortFunc(points, func(a, b *point) int { return CompareNatural(a.key, b.key) })
	ix.points[id] = points
	return points
}

// sample is what a check decides on: its points in cells, values in one unit.
type sample struct {
	Selection
	unit  string
	cells []cell
	boot  *stats.Bootstrap
	// pooled names the labels that neither make cells nor are compared over.
	pooled   []string
	warnings []string
}

// cell is a group of points in which a check is made.
type cell struct {
	name   string // empty where there is one cell only
	points []*point
}

// operand is a side of a comparison: the mean of its points.
type operand []*point

// mean is the mean of the points' means.
func (o operand) mean() float64 {
	var sum float64
	for _, p := range o {
		sum += stats.Mean(p.values)
	}
	return sum / float64(len(o))
}

// undecidable is an outcome other than a verdict on the numbers.
type undecidable struct {
	outcome Outcome
	reason  string
}

func (u *undecidable) Error() string { return u.reason }

func failf(format string, args ...any) *undecidable {
	return &undecidable{Error, fmt.Sprintf(format, args...)}
}

func missingf(format string, args ...any) *undecidable {
	return &undecidable{Inconclusive, fmt.Sprintf(format, args...)}
}

// sample collects the points a check selects.
func (ix *index) sample(experiment string, sel Selection, compares []string) (*sample, *undecidable) {
	series := ix.series(experiment, sel.Metric)
	if len(series) == 0 {
		return nil, missingf("no observation of %s in %s", sel.Metric, experiment)
	}
	points := series
	for _, label := range sortedKeys(sel.Where) {
		var kept []*point
		for _, p := range points {
			if p.labels[label] == sel.Where[label] {
				kept = append(kept, p)
			}
		}
		if len(kept) == 0 {
			return nil, missingf("no observation of %s with %s=%s; %s", sel.Metric, label, sel.Where[label], values(points, label))
		}
		points = kept
	}
	s := &sample{Selection: sel, boot: ix.boot}
	var err *undecidable
	if points, err = s.oneUnit(points); err != nil {
		return nil, err
	}
	if err := s.split(points, compares); err != nil {
		return nil, err
	}
	return s, nil
}

// values lists the values that points have for a label, for messages.
func values(points []*point, label string) string {
	seen := map[string]bool{}
	for _, p := range points {
		if v, ok := p.labels[label]; ok {
			seen[v] = true
		}
	}
	if len(seen) == 0 {
		return "no observation has the label " + label
	}
	return label + " is one of " + some(sortedKeys(seen))
}

// some joins names, the first few of them.
func some(names []string) string {
	const few = 5
	if len(names) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}

// oneUnit brings all values to one unit. The points of the index are shared
// between checks and stay as they are.
func (s *sample) oneUnit(points []*point) ([]*point, *undecidable) {
	units := map[string]bool{}
	for _, p := range points {
		for i, v := range p.values {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, failf("%s is %v at %s", s.Metric, v, p.describe(i))
			}
			units[p.units[i]] = true
		}
	}
	names := sortedKeys(units)
	s.unit = names[0]
	if len(names) == 1 {
		return points, nil
	}
	for _, other := range names[1:] {
		if _, err := convert(0, other, s.unit); err != nil {
			return nil, failf("%s is measured in unlike units, %s and %s", s.Metric, describeUnit(s.unit), describeUnit(other))
		}
	}
	converted := make([]*point, len(points))
	for i, p := range points {
		c := *p
		c.values = make([]float64, len(p.values))
		for j, v := range p.values {
			c.values[j], _ = convert(v, p.units[j], s.unit)
		}
		converted[i] = &c
	}
	return converted, nil
}

// describe names the i-th observation of a point.
func (p *point) describe(i int) string {
	labels := maps.Clone(p.labels)
	delete(labels, labelSeed)
	delete(labels, labelRepeat)
	delete(labels, labelExperiment)
	if labels == nil {
		labels = map[string]string{}
	}
	if r := p.runs[i]; r.seed != "" {
		labels[labelSeed] = r.seed
	}
	if r := p.runs[i]; r.repeat != "" {
		labels[labelRepeat] = r.repeat
	}
	if len(labels) == 0 {
		return "its only point"
	}
	return describeLabels(labels, sortedKeys(labels))
}

func describeLabels(labels map[string]string, names []string) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = name + "=" + labels[name]
	}
	return strings.Join(parts, " ")
}

// split groups points into cells.
func (s *sample) split(points []*point, compares []string) *undecidable {
	carried, varying := map[string]bool{}, map[string]bool{}
	for _, p := range points {
		for name := range p.labels {
			if !reserved(name) {
				carried[name] = true
			}
		}
	}
	for name := range carried {
		for _, p := range points {
			if p.labels[name] != points[0].labels[name] {
				varying[name] = true
				break
			}
		}
	}
	for _, name := range compares {
		if !carried[name] {
			return missingf("no observation of %s has the label %s%s", s.Metric, name, instead(carried))
		}
		delete(varying, name)
	}
	per := s.Per
	if per == nil {
		per = sortedKeys(varying)
	}
	var shown []string // labels that tell the cells apart
	for _, name := range per {
		if !carried[name] {
			return missingf("no observation of %s has the label %s, by which it should be split%s", s.Metric, name, instead(carried))
		}
		if varying[name] {
			shown = append(shown, name)
			delete(varying, name)
		}
	}
	s.pooled = sortedKeys(varying)

	at := map[string]int{}
	for _, p := range points {
		name := describeLabels(p.labels, shown)
		i, ok := at[name]
		if !ok {
			i = len(s.cells)
			at[name] = i
			s.cells = append(s.cells, cell{name: name})
		}
		s.cells[i].points = append(s.cells[i].points, p)
	}
	slices.SortFunc(s.cells, func(a, b cell) int { return CompareNatural(a.name, b.name) })
	return nil
}

// instead lists the labels there are, at the end of a message that one is not.
func instead(carried map[string]bool) string {
	if len(carried) == 0 {
		return ""
	}
	return "; they have " + some(sortedKeys(carried))
}

// by groups the points of a cell by a label, and gives the label's values in
// natural order.
func (c cell) by(label string) (map[string]operand, []string) {
	sides := map[string]operand{}
	for _, p := range c.points {
		if v, ok := p.labels[label]; ok {
			sides[v] = append(sides[v], p)
		}
	}
	return sides, sortedKeys(sides)
}

// pool warns that operands are means of several points, and requires that all
// are means of points of the same description: a mean over more windows is not
// comparable with one over fewer.
func (s *sample) pool(c cell, operands ...operand) *undecidable {
	if len(s.pooled) == 0 || len(operands) == 0 {
		return nil
	}
	most := slices.MaxFunc(operands, func(a, b operand) int { return cmp.Compare(len(a), len(b)) })
	if len(most) > 1 {
		s.warn("pooled by mean over %s, %d points a value", strings.Join(s.pooled, ", "), len(most))
	}
	for _, o := range operands {
		has := map[string]bool{}
		for _, p := range o {
			has[describeLabels(p.labels, s.pooled)] = true
		}
		for _, p := range most {
			switch name := describeLabels(p.labels, s.pooled); {
			case has[name]:
			case len(most) == 1:
				s.warn("the sides compared differ in %s", strings.Join(s.pooled, ", "))
			default:
				return missingf("means over %s are of different points%s: %s is missing on one side", strings.Join(s.pooled, ", "), in(c), name)
			}
		}
	}
	return nil
}

// in names a cell at the end of a message.
func in(c cell) string {
	if c.name == "" {
		return ""
	}
	return " in " + c.name
}

// warn adds a warning once.
func (s *sample) warn(format string, args ...any) {
	if w := fmt.Sprintf(format, args...); !slices.Contains(s.warnings, w) {
		s.warnings = append(s.warnings, w)
	}
}
