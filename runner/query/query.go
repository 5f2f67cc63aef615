// Package query answers questions about the observations of a recorded run:
// the metric M, by these labels, where those hold.
package query

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"reprise/checks"
	"reprise/checks/stats"
)

// Query is what is asked for.
type Query struct {
	Metric string
	Change *Change  // between two values of a label; nil: the metric itself
	By     []string // labels; each combination of their values is a group
	Where  []Condition
}

// Condition holds for an observation whose label has the value, or another one.
// A label that an observation lacks is empty.
type Condition struct {
	Label, Value string
	Not          bool
}

// Parse reads "METRIC [change LABEL=VALUE from ANOTHER] [by LABEL,…] [where LABEL=VALUE,LABEL!=VALUE,…]".
func Parse(text string) (q Query, err error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return q, fmt.Errorf("the query is empty")
	}
	q.Metric = words[0]
	list := func(keyword string) []string {
		if len(words) == 0 || words[0] != keyword {
			return nil
		}
		end := 1
		for end < len(words) && words[end] != "where" {
			end++
		}
		parts := strings.Split(strings.Join(words[1:end], " "), ",")
		words = words[end:]
		for i, p := range parts {
			if parts[i] = strings.TrimSpace(p); strings.Contains(parts[i], " ") {
				err = fmt.Errorf("a comma is missing in %q", parts[i])
			}
		}
		return parts
	}
	if words = words[1:]; len(words) > 0 && words[0] == "change" {
		n := min(len(words), 4)
		if q.Change, err = parseChange(words[1:n]); err != nil {
			return q, err
		}
		words = words[n:]
	}
	q.By = list("by")
	conditions := list("where")
	if err != nil {
		return q, err
	}
	if len(words) > 0 {
		return q, fmt.Errorf("%q is not expected in %q", words[0], text)
	}
	if q.Change != nil && slices.Contains(q.By, q.Change.Label) {
		return q, fmt.Errorf("%s tells the sides apart, so it cannot group them too", q.Change.Label)
	}
	if slices.Contains(q.By, "") {
		return q, fmt.Errorf("a label is missing after by in %q", text)
	}
	for _, c := range conditions {
		label, value, ok := strings.Cut(c, "=")
		not := strings.HasSuffix(label, "!")
		if label = strings.TrimSuffix(label, "!"); !ok || label == "" {
			return q, fmt.Errorf("%q is no condition; write label=value or label!=value", c)
		}
		q.Where = append(q.Where, Condition{label, value, not})
	}
	return q, nil
}

// Group is the observations whose labels agree in what the query groups by.
type Group struct {
	Labels []string // values, in the order of Query.By
	Unit   string   // of the values; groups of unlike units are kept apart
	Values []float64

	cell   string // of one side of a change, and whether it is that of Change.Of
	of     bool
	change bool // values are changes in percent
}

// Summary of a group, in its unit. The mean of changes is the geometric one, of
// the ratios.
type Summary struct {
	N                             int
	Mean, Min, P50, P90, P99, Max float64
}

// Summary aggregates the group.
func (g Group) Summary() Summary {
	s := Summary{
		N: len(g.Values), Mean: stats.Mean(g.Values), Min: slices.Min(g.Values), P50: stats.Quantile(g.Values, 0.5),
		P90: stats.Quantile(g.Values, 0.9), P99: stats.Quantile(g.Values, 0.99), Max: slices.Max(g.Values),
	}
	if g.change {
		ratios := make([]float64, len(g.Values))
		for i, v := range g.Values {
			ratios[i] = 1 + v/100
		}
		s.Mean = 100 * (stats.GeoMean(ratios) - 1)
	}
	return s
}

// Result is the answer to a query.
type Result struct {
	Groups  []Group  // in the natural order of their labels
	Left    int      // cells without a change, if one is asked for
	Metrics []string // that the run observed, sorted, if it did not observe the query's
}

// observed is what a query needs of an event.
type observed struct {
	Step string `json:"step"`
	checks.Observation
}

var isObservation = []byte(`"event":"observation"`)

// Run answers a query from an event log. A last line cut short, as a killed
// process leaves it, is not counted.
func Run(log []byte, q Query) (Result, error) {
	// Lines that cannot match are told by their bytes, the others are decoded
	// on all cores.
	name, err := json.Marshal(q.Metric)
	if err != nil {
		return Result{}, err
	}
	wanted := append([]byte(`"metric":`), name...)
	parts := split(log[:bytes.LastIndexByte(log, '\n')+1], runtime.GOMAXPROCS(0))
	partial := make([]map[string]*Group, len(parts))
	errs := make([]error, len(parts))
	var wait sync.WaitGroup
	for i, part := range parts {
		wait.Go(func() { partial[i], errs[i] = q.scan(part, wanted) })
	}
	wait.Wait()
	groups := map[string]*Group{}
	for i, some := range partial {
		if errs[i] != nil {
			return Result{}, errs[i]
		}
		for key, g := range some {
			if all := groups[key]; all != nil {
				all.Values = append(all.Values, g.Values...)
			} else {
				groups[key] = g
			}
		}
	}
	if len(groups) == 0 {
		all, err := metrics(log)
		return Result{Metrics: all}, err
	}
	var r Result
	if q.Change != nil {
		groups, r.Left = changes(groups)
	}
	for _, g := range groups {
		r.Groups = append(r.Groups, *g)
	}
	slices.SortFunc(r.Groups, func(a, b Group) int {
		for i := range a.Labels {
			if c := checks.CompareNatural(a.Labels[i], b.Labels[i]); c != 0 {
				return c
			}
		}
		return strings.Compare(a.Unit, b.Unit)
	})
	return r, nil
}

func (q Query) scan(log, wanted []byte) (map[string]*Group, error) {
	groups := map[string]*Group{}
	for line := range bytes.Lines(log) {
		if !bytes.Contains(line, isObservation) || !bytes.Contains(line, wanted) {
			continue
		}
		var o observed
		if err := json.Unmarshal(line, &o); err != nil {
			return nil, fmt.Errorf("event log: %q: %w", line[:min(len(line), 80)], err)
		}
		if o.Metric != q.Metric || !q.holds(o) {
			continue
		}
		labels := make([]string, len(q.By))
		for i, l := range q.By {
			labels[i] = o.label(l)
		}
		key := strings.Join(labels, "\x00") + "\x00" + o.Unit
		cell, of := "", false
		if c := q.Change; c != nil {
			side := o.label(c.Label)
			if of = side == c.Of; !of && side != c.From {
				continue
			}
			cell = c.cell(o)
			key += "\x00" + cell + "\x00" + side
		}
		g := groups[key]
		if g == nil {
			g = &Group{Labels: labels, Unit: o.Unit, cell: cell, of: of}
			groups[key] = g
		}
		g.Values = append(g.Values, o.Value)
	}
	return groups, nil
}

// label gives a label; artifact is the first part of the step's name.
func (o observed) label(name string) string {
	if v, ok := o.Labels[name]; ok || name != "artifact" {
		return v
	}
	artifact, _, _ := strings.Cut(o.Step, "/")
	return artifact
}

func (q Query) holds(o observed) bool {
	for _, c := range q.Where {
		if (o.label(c.Label) == c.Value) == c.Not {
			return false
		}
	}
	return true
}

func metrics(log []byte) ([]string, error) {
	seen := map[string]bool{}
	var all []string
	for line := range bytes.Lines(log) {
		if !bytes.Contains(line, isObservation) || !bytes.HasSuffix(line, []byte("\n")) {
			continue
		}
		var o observed
		if err := json.Unmarshal(line, &o); err != nil {
			return nil, err
		}
		if !seen[o.Metric] {
			seen[o.Metric] = true
			all = append(all, o.Metric)
		}
	}
	slices.Sort(all)
	return all, nil
}

// split cuts lines into about n parts of equal size.
func split(log []byte, n int) [][]byte {
	var parts [][]byte
	size := len(log)/n + 1
	for len(log) > 0 {
		end := min(size, len(log))
		if next := bytes.IndexByte(log[end:], '\n'); end < len(log) && next >= 0 {
			end += next + 1
		} else {
			end = len(log)
		}
		parts = append(parts, log[:end])
		log = log[end:]
	}
	return parts
}
