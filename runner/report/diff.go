package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"reprise/checks"
	"reprise/checks/stats"
)

// significant is the level below which a difference counts.
const significant = 0.05

// Comparison is two or more runs side by side: their environment first, then
// verdicts that changed, then metrics.
type Comparison struct {
	Runs        []string     `json:"runs"`
	Environment []Difference `json:"environment"` // that differs
	Verdicts    []Difference `json:"verdicts"`    // that changed
	Metrics     []Compared   `json:"metrics"`     // that differ in a digit
	Equal       int          `json:"equal"`       // places whose values agree to the last digit in all runs
	Notes       []string     `json:"notes"`       // what Compared.Notes count from 1
}

// Difference is one thing that differs between runs, a value for each.
type Difference struct {
	What   string   `json:"what"`
	Values []string `json:"values"`
}

// Compared is a metric at one place in every run. The first run is the base
// that the others are compared with.
type Compared struct {
	Experiment string    `json:"experiment"`
	Metric     string    `json:"metric"`
	Unit       string    `json:"unit"`
	Place      string    `json:"place"`
	Sides      []Side    `json:"sides"`
	Change     []float64 `json:"change"`      // of the medians, from the base; NaN is left out
	P          []float64 `json:"p"`           // Mann–Whitney, two-sided
	Clear      []bool    `json:"significant"` // p below 0.05
	Notes      []int     `json:"notes,omitempty"`
}

// Side is one run's repeats.
type Side struct {
	N      int      `json:"n"`
	Median *float64 `json:"median,omitempty"` // nil: not measured
	Low    *float64 `json:"low,omitempty"`    // of the 95 % interval, nil for fewer than 6
	High   *float64 `json:"high,omitempty"`
}

// Compare compares runs with the first of them.
func Compare(runs []*Run) *Comparison {
	c := &Comparison{Environment: []Difference{}, Verdicts: []Difference{}, Metrics: []Compared{}, Notes: []string{}}
	for _, r := range runs {
		c.Runs = append(c.Runs, r.ID)
	}
	c.environment(runs)
	c.verdicts(runs)
	c.metrics(runs)
	return c
}

// gather lists the keys of all maps, those of the first map first.
func gather[V any](of []map[string]V) []string {
	var keys []string
	seen := map[string]bool{}
	for _, m := range of {
		for _, k := range sortedKeys(m) {
			if !seen[k] {
				seen[k] = true
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// differences lists the keys whose values differ.
func differences(of []map[string]string) []Difference {
	out := []Difference{}
	for _, k := range gather(of) {
		d := Difference{What: k}
		same := true
		for _, m := range of {
			v, has := m[k]
			if !has {
				v = "–"
			}
			d.Values = append(d.Values, v)
			same = same && v == d.Values[0]
		}
		if !same {
			out = append(out, d)
		}
	}
	return out
}

func (c *Comparison) environment(runs []*Run) {
	facts := make([]map[string]string, len(runs))
	for i, r := range runs {
		f := map[string]string{"reprise": r.Start.Version, "profile": r.Start.Profile, "platform": r.Start.Platform}
		for at, n := range r.Start.Nodes {
			name := "machine"
			if len(r.Start.Nodes) > 1 {
				name = fmt.Sprintf("machine %d", at+1)
			}
			for _, known := range Facts(n.Machine) {
				f[name+", "+strings.ReplaceAll(known.Name, "_", " ")] = known.Value
			}
		}
		for _, a := range r.Artifacts {
			f[a.Artifact+", manifest"] = short12(a.Manifest)
			for _, s := range a.Sources {
				f[a.Artifact+", source "+s.Name] = joinNonEmpty(" ", s.From, short12(s.Pin))
			}
			for _, e := range a.Experiments {
				for k, v := range e.Params {
					f[e.Name()+", "+k] = v
				}
				for k, v := range e.Axes {
					f[e.Name()+", "+k] = strings.Join(v, ", ")
				}
			}
		}
		facts[i] = f
	}
	c.Environment = differences(facts)
}

func short12(pin string) string { return pin[:min(len(pin), 12)] }

func (c *Comparison) verdicts(runs []*Run) {
	facts := make([]map[string]string, len(runs))
	for i, r := range runs {
		facts[i] = map[string]string{}
		for _, a := range r.Artifacts {
			for _, claim := range a.Claims() {
				facts[i][claim.Name()] = verdictWord(claim.Outcome)
			}
		}
	}
	c.Verdicts = differences(facts)
}

// note is the number of a footnote.
func (c *Comparison) note(text string) int {
	if at := slices.Index(c.Notes, text); at >= 0 {
		return at + 1
	}
	c.Notes = append(c.Notes, text)
	return len(c.Notes)
}

func (c *Comparison) metrics(runs []*Run) {
	byName := make([]map[string]*Experiment, len(runs))
	for i, r := range runs {
		byName[i] = map[string]*Experiment{}
		for _, e := range r.Experiments() {
			byName[i][e.Name()] = e
		}
	}
	for _, name := range gather(byName) {
		unlike := c.unlike(runs, byName, name)
		var metrics []string
		for i := range runs {
			if e := byName[i][name]; e != nil {
				for _, m := range e.Metrics {
					if !slices.Contains(metrics, m) {
						metrics = append(metrics, m)
					}
				}
			}
		}
		for _, metric := range metrics {
			places := make([]map[string]checks.Place, len(runs))
			for i := range runs {
				places[i] = map[string]checks.Place{}
				if e := byName[i][name]; e != nil {
					for _, p := range e.Places(metric) {
						places[i][placeName(p)] = p
					}
				}
			}
			for _, at := range gather(places) {
				c.compare(name, metric, at, places, unlike)
			}
		}
	}
}

func placeName(p checks.Place) string {
	var parts []string
	for _, label := range sortedKeys(p.Labels) {
		parts = append(parts, label+"="+p.Labels[label])
	}
	return strings.Join(parts, " ")
}

// unlike finds what makes the runs' values of an experiment unlike things.
func (c *Comparison) unlike(runs []*Run, byName []map[string]*Experiment, name string) []int {
	var notes []int
	base := byName[0][name]
	for i := 1; i < len(runs); i++ {
		e := byName[i][name]
		if base == nil || e == nil {
			continue
		}
		var differ []string
		for _, d := range differences([]map[string]string{base.Params, e.Params}) {
			differ = append(differ, d.What)
		}
		if len(differ) > 0 {
			notes = append(notes, c.note(fmt.Sprintf("%s: measured with other parameters: %s", name, strings.Join(differ, ", "))))
		}
		if (base.Measured || e.Measured) && machines(runs[0]) != machines(runs[i]) {
			notes = append(notes, c.note(name+": measured on unlike machines"))
		}
	}
	if slices.ContainsFunc(byName, func(m map[string]*Experiment) bool {
		e := m[name]
		return e != nil && slices.ContainsFunc(e.Steps, func(s *Step) bool { return s.State == reused })
	}) {
		notes = append(notes, c.note("some of it was measured by an earlier run and reused"))
	}
	return notes
}

func machines(r *Run) string {
	var kinds []string
	for _, n := range r.Start.Nodes {
		kinds = append(kinds, n.Machine.String())
	}
	slices.Sort(kinds)
	return strings.Join(slices.Compact(kinds), "; ")
}

func (c *Comparison) compare(name, metric, at string, places []map[string]checks.Place, notes []int) {
	row := Compared{Experiment: name, Metric: metric, Place: at, Notes: slices.Clone(notes)}
	base := places[0][at]
	equal, few := true, false
	for i := range places {
		p, has := places[i][at]
		side := Side{N: len(p.Values)}
		if !has {
			row.Sides = append(row.Sides, side)
			equal = false
			if i > 0 {
				row.Change, row.P, row.Clear = append(row.Change, 0), append(row.P, 1), append(row.Clear, false)
			}
			continue
		}
		row.Unit = p.Unit
		median := stats.Median(p.Values)
		side.Median = &median
		if low, high, ok := stats.MedianInterval(p.Values, 0.95); ok {
			side.Low, side.High = &low, &high
		}
		row.Sides = append(row.Sides, side)
		if i == 0 {
			continue
		}
		equal = equal && p.Unit == base.Unit && slices.Equal(slices.Sorted(slices.Values(p.Values)), slices.Sorted(slices.Values(base.Values)))
		if len(base.Values) == 0 || p.Unit != base.Unit {
			row.Change, row.P, row.Clear = append(row.Change, 0), append(row.P, 1), append(row.Clear, false)
			if len(base.Values) > 0 {
				row.Notes = append(row.Notes, c.note(fmt.Sprintf("units differ: %s and %s", base.Unit, p.Unit)))
			}
			continue
		}
		_, probability := stats.MannWhitney(p.Values, base.Values)
		change := 0.0
		if m := stats.Median(base.Values); m != 0 {
			change = (median - m) / math.Abs(m)
		}
		row.Change, row.P, row.Clear = append(row.Change, change), append(row.P, probability), append(row.Clear, probability < significant)
		if probability >= significant && !reaches(len(base.Values), len(p.Values)) {
			few = true
		}
	}
	if equal {
		c.Equal++
		return
	}
	if few {
		row.Notes = append(row.Notes, c.note("too few runs to tell: 4 of each are the least for p < 0.05"))
	}
	slices.Sort(row.Notes)
	row.Notes = slices.Compact(row.Notes)
	c.Metrics = append(c.Metrics, row)
}

// reaches reports whether samples of these sizes can differ significantly at
// all: the least p of the test is 2 over the number of their arrangements.
func reaches(n, m int) bool {
	arrangements := 1.0
	for i := 1; i <= m; i++ {
		arrangements *= float64(n+i) / float64(i)
	}
	return 2/arrangements < significant
}

// Text writes the comparison for a terminal. all writes differences that are
// not significant too.
func (c *Comparison) Text(w io.Writer, all bool) error {
	fmt.Fprintf(w, "base %s, compared with %s\n", c.Runs[0], strings.Join(c.Runs[1:], ", "))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	section := func(title string, list []Difference, none string) {
		fmt.Fprintf(t, "\n%s\n", title)
		if len(list) == 0 {
			fmt.Fprintf(t, "  %s\n", none)
		}
		for _, d := range list {
			fmt.Fprintf(t, "  %s\t%s\n", clip(printable(d.What), 48), clipAll(d.Values))
		}
		_ = t.Flush()
	}
	section("environment", c.Environment, "the same, as far as it is recorded")
	section("verdicts", c.Verdicts, "unchanged")
	fmt.Fprintf(w, "\nmetrics (median, 95 %% interval; ~ not significant at p < %g, Mann–Whitney)\n", significant)
	last, hidden := "", 0
	var rows []Compared
	for _, m := range c.Metrics {
		if !all && !slices.Contains(m.Clear, true) && !slices.ContainsFunc(m.Sides, func(s Side) bool { return s.Median == nil }) && len(c.Metrics) > 40 {
			hidden++
			continue
		}
		rows = append(rows, m)
	}
	for _, m := range rows {
		if head := m.Experiment + " " + m.Metric + suffix(m.Unit); head != last {
			_ = t.Flush()
			fmt.Fprintf(w, "  %s\n", head)
			last = head
		}
		place := m.Place
		if place == "" {
			place = "all"
		}
		cells := []string{clip(place, 56)}
		for i, s := range m.Sides {
			cells = append(cells, s.String())
			if i > 0 {
				cells = append(cells, m.delta(i-1))
			}
		}
		var marks []string
		for _, n := range m.Notes {
			marks = append(marks, superscript(n))
		}
		fmt.Fprintf(t, "    %s\n", strings.Join(append(cells, strings.Join(marks, " ")), "\t"))
	}
	_ = t.Flush()
	if c.Equal > 0 {
		fmt.Fprintf(w, "  %s agree to the last digit\n", plural(c.Equal, "place"))
	}
	if hidden > 0 {
		fmt.Fprintf(w, "  %s differ, but not significantly; --all lists them\n", plural(hidden, "place"))
	}
	if len(rows) == 0 && hidden == 0 && c.Equal == 0 {
		fmt.Fprintln(w, "  none measured in these runs")
	}
	for i, n := range c.Notes {
		fmt.Fprintf(w, "%s %s\n", superscript(i+1), n)
	}
	return nil
}

func clipAll(values []string) string {
	out := make([]string, len(values))
	for i, v := range values {
		if out[i] = clip(printable(v), 44); v == "" {
			out[i] = "–"
		}
	}
	return strings.Join(out, "  →\t")
}

func (s Side) String() string {
	if s.Median == nil {
		return "not measured"
	}
	text := checks.Number(*s.Median, "")
	if s.Low != nil {
		text += " [" + checks.Number(*s.Low, "") + ", " + checks.Number(*s.High, "") + "]"
	}
	return text
}

// delta writes the change of a side from the base.
func (m Compared) delta(i int) string {
	base, side := m.Sides[0], m.Sides[i+1]
	if base.Median == nil || side.Median == nil {
		return ""
	}
	if !m.Clear[i] {
		return fmt.Sprintf("~ (p=%.3f n=%d+%d)", m.P[i], base.N, side.N)
	}
	change := "?"
	if *base.Median != 0 {
		change = fmt.Sprintf("%+.2f%%", 100*m.Change[i])
	}
	return fmt.Sprintf("%s (p=%.3f n=%d+%d)", change, m.P[i], base.N, side.N)
}

// superscript is a footnote's mark.
func superscript(n int) string {
	return strings.Map(func(r rune) rune { return []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")[r-'0'] }, fmt.Sprint(n))
}
