package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"reprise/checks"
	"reprise/checks/stats"
	"reprise/runner/event"
)

//go:embed page.html.tmpl
var pageText string

//go:embed style.css
var styleText string

var page = template.Must(template.New("page").Parse(pageText))

// HTML writes the run as one page that needs nothing else: no network, no
// script.
func HTML(w io.Writer, r *Run) error { return page.Execute(w, newPage(r)) }

// badge is a verdict or state as the page shows it: a sign and a word, never a
// colour alone.
type badge struct {
	Class, Glyph, Word string
	N                  int
}

func verdictBadge(o checks.Outcome) badge {
	if o == "" {
		return badge{Class: "waiting", Glyph: "·", Word: "no verdict"}
	}
	return badge{Class: string(o), Glyph: o.Glyph(), Word: string(o)}
}

type captioned struct {
	table
	Caption string
}

type pageView struct {
	Version, ID, Profile, Title, Headline string
	Anonymous                             bool
	Style                                 template.CSS
	Tally                                 []badge
	Facts                                 []Fact
	Trouble                               []troubleView
	Artifacts                             []artifactView
	Plots                                 []plotView
	Also                                  *captioned
	Steps                                 []stepView
	StepCount                             string
	FoldSteps                             bool
	StepsLeft                             int
	Machines                              captioned
	Known                                 []captioned
	Command                               string
	Provenance                            []provenanceView
	Warnings                              []string
}

type troubleView struct {
	Step, Class, Error, About string
	State                     badge
	Tail                      []string
}

type artifactView struct {
	Title, Paper string
	Claims       []claimView
}

type claimView struct {
	ID, Claim, Name, Statement, Source string
	Expected, Measured, Spread, Reason string
	Verdict                            badge
	Details                            bool
	Checks                             []checkView
	Plots                              []*Plot
}

type checkView struct {
	What, Measured, Spread, Observed  string
	Origin, Expected, Bounds, Because string
	Reason, Needs                     string
	Verdict                           badge
	Band                              template.HTML
	Warnings, Failing                 []string
	Points                            *captioned
}

type plotView struct {
	*Plot
	Title, Experiment string
	Table             captioned
	For               []claimView
	One               bool
}

type stepView struct {
	Step, State, Took, CPU, Memory, Node string
	Bar                                  template.HTML
}

type provenanceView struct {
	Artifact   string
	Facts      []Fact
	Sources    *captioned
	Parameters *captioned
	Outputs    *captioned
}

// The most steps that the page lists, and that it lists without folding.
const (
	mostSteps   = 1500
	mostSurface = 40
)

func newPage(r *Run) pageView {
	v := pageView{
		Version: r.Start.Version, ID: r.ID, Profile: r.Start.Profile, Headline: r.Headline(), Style: template.CSS(styleText), //nolint:gosec // our own
		Command: r.Start.Command, Anonymous: r.anonymous,
	}
	var titles []string
	for _, a := range r.Artifacts {
		titles = append(titles, a.Title)
	}
	if v.Title = strings.Join(titles, " · "); len(titles) > 1 {
		v.Title = fmt.Sprintf("%d artifacts", len(titles))
	}
	tally := r.Tally()
	for _, o := range append(slices.Clone(checks.Outcomes), "") {
		if n := tally[o]; n > 0 {
			b := verdictBadge(o)
			b.N = n
			v.Tally = append(v.Tally, b)
		}
	}
	v.Facts = []Fact{{"Started", r.Started.UTC().Format("2006-01-02 15:04 UTC")}, {"Took", took(r.Ended.Sub(r.Started))}, {"Ended", r.ending()}}
	for i, n := range r.Nodes {
		if i == 3 {
			v.Facts = append(v.Facts, Fact{"Machines", fmt.Sprintf("and %d more", len(r.Nodes)-i)})
			break
		}
		v.Facts = append(v.Facts, Fact{"Machine " + n.Name, n.Machine.String()})
	}
	for _, s := range r.Failed() {
		v.Trouble = append(v.Trouble, trouble(s))
	}
	plots := map[*Experiment]map[string]*Plot{}
	for _, a := range r.Artifacts {
		for _, e := range a.Experiments {
			plots[e] = map[string]*Plot{}
			for _, metric := range e.Metrics {
				if p := plot(e, metric); p != nil && (len(p.Claims) > 0 || len(e.Claims) == 0) {
					plots[e][metric] = p
				}
			}
		}
	}
	for _, a := range r.Artifacts {
		av := artifactView{Title: a.Title, Paper: paper(a.PlannedArtifact)}
		for _, c := range a.Claims() {
			av.Claims = append(av.Claims, newClaim(c, plots[c.Experiment]))
		}
		v.Artifacts = append(v.Artifacts, av)
	}
	var also captioned
	for _, e := range r.Experiments() {
		for _, metric := range e.Metrics {
			p := plots[e][metric]
			if p == nil {
				also.addSummary(e, metric)
				continue
			}
			pv := plotView{
				Plot: p, Title: metric + suffix(p.Unit), Experiment: joinNonEmpty(": ", e.Name(), e.Title),
				Table: captioned{p.Table, "Data: " + e.Name() + " " + metric}, One: len(p.Panels) == 1,
			}
			for _, c := range p.Claims {
				pv.For = append(pv.For, newClaim(c, nil))
			}
			v.Plots = append(v.Plots, pv)
		}
	}
	if len(also.Rows) > 0 {
		also.Caption = "Metrics that no claim looks at"
		also.Head, also.Numeric = []string{"experiment", "metric", "places", "runs", "least", "median", "most"}, []bool{false, false, true, true, true, true, true}
		v.Also = &also
	}
	v.steps(r)
	v.environment(r)
	return v
}

// ending says how the run ended, with its exit code.
func (r *Run) ending() string {
	if r.End == nil {
		return "not recorded"
	}
	return fmt.Sprintf("%s, exit code %d", r.Outcome(), r.End.Exit)
}

func paper(a event.PlannedArtifact) string {
	authors := strings.Join(a.Authors, ", ")
	if len(a.Authors) > 4 {
		authors = a.Authors[0] + " and others"
	}
	doi := ""
	if a.DOI != "" {
		doi = "doi:" + a.DOI
	}
	return joinNonEmpty(" · ", authors, a.Venue, doi)
}

func trouble(s *Step) troubleView {
	v := troubleView{Step: s.ID, Class: "alert", Error: s.Error, Tail: s.Tail}
	where := ""
	if s.Node != "" {
		where = "on " + s.Node
	}
	switch s.State {
	case string(event.Failed):
		v.State = badge{Class: "failed", Glyph: "✗", Word: "failed"}
		v.About = joinNonEmpty(", ", joinNonEmpty(" ", blame(s.Class), where), "after "+took(s.Took()))
	case string(event.Cancelled):
		v.Class, v.State = "stopped", badge{Class: "cancelled", Glyph: "■", Word: "stopped"}
		v.About = joinNonEmpty(", ", "stopped before its end", where)
		if s.Seconds > 0 {
			v.About += ", after " + took(s.Took())
		}
	default:
		v.Class, v.State = "stopped", badge{Class: "cancelled", Glyph: "■", Word: "no end recorded"}
		v.About = joinNonEmpty(" ", "was running", where, "when the record ends")
	}
	return v
}

// blame says in words whose fault a failure is.
func blame(c event.Class) string {
	switch c {
	case event.InfrastructureFailure:
		return "the machine, disk or network failed"
	case event.ConfigurationFailure:
		return "the artifact's set-up is wrong"
	}
	return "the experiment failed"
}

func newClaim(c *Claim, plots map[string]*Plot) claimView {
	v := claimView{
		ID: anchor(c.Name()), Claim: c.Claim, Name: c.Name(), Statement: strings.TrimSpace(c.Statement), Source: origin(c.Source),
		Verdict: verdictBadge(c.Outcome), Details: len(c.Results) > 0,
	}
	if c.Outcome != checks.Reproduced {
		v.Reason = c.Reason
	}
	// The first check that decided the verdict stands for the claim.
	decisive := max(0, slices.IndexFunc(c.Results, func(r checks.Result) bool { return r.Outcome == c.Outcome }))
	for i, r := range c.Results {
		check := newCheck(c, r)
		v.Checks = append(v.Checks, check)
		if i == decisive {
			v.Measured, v.Spread, v.Expected = check.Measured, check.Spread, joinNonEmpty(": ", check.What, check.Expected)
			if check.Measured == "–" {
				v.Measured = r.Reason
			}
		}
		if p := plots[r.Metric]; p != nil && !slices.Contains(v.Plots, p) {
			v.Plots = append(v.Plots, p)
		}
	}
	if n := len(c.Results); n > 1 {
		v.Expected += fmt.Sprintf(" (one of %d checks)", n)
	}
	if len(c.Results) == 0 {
		v.Measured, v.Reason = c.Reason, ""
		if c.Outcome == "" {
			v.Measured = "the run ended before it was decided"
		}
	}
	return v
}

// summary is what a check measured, in a line.
func summary(c checkView) string {
	if c.Measured == "–" {
		return joinNonEmpty(", ", joinNonEmpty("; ", c.Observed, c.Reason), c.Spread)
	}
	return joinNonEmpty(", ", c.Measured, c.Spread)
}

// origin says where a figure of the paper comes from.
func origin(s checks.Source) string {
	return joinNonEmpty(", ", s.Where, sourceKinds[s.Kind])
}

var sourceKinds = map[string]string{
	"text": "said in the text", "table": "from a table", "figure": "read off a figure",
	"derived": "derived from theory", "author-statement": "stated by the authors only",
}

func newCheck(c *Claim, r checks.Result) checkView {
	v := checkView{
		What: joinNonEmpty(" ", r.Metric, r.Subject), Measured: "–", Observed: r.Observed, Origin: joinNonEmpty(", ", r.Source, sourceKinds[c.Source.Kind]),
		Expected: r.Expected, Because: r.Because, Reason: r.Reason, Needs: r.Needs, Verdict: verdictBadge(r.Outcome), Warnings: r.Warnings, Failing: r.Failing,
	}
	v.What = strings.ReplaceAll(v.What, " ,", ",")
	if v.Expected == "" {
		v.Expected = "–"
	}
	if r.Value != nil {
		v.Measured, v.Bounds, v.Band = checks.Number(*r.Value, r.Unit), bounds(r), band(r)
	} else if r.Observed != "" {
		v.Measured, v.Observed = r.Observed, ""
	}
	if len(c.Results) == 1 {
		v.Reason = "" // the claim's own says it
	}
	v.Spread = spread(r)
	if len(r.Points) > 0 {
		t := captioned{Caption: "the paper's values and those measured here"}
		t.Head, t.Numeric = []string{"at", "paper", "measured", "95 % interval", "n", "difference"}, []bool{true, true, true, true, true, true}
		cells := slices.ContainsFunc(r.Points, func(p checks.ReferencePoint) bool { return p.Cell != "" })
		if cells {
			t.Head, t.Numeric = slices.Insert(t.Head, 0, "curve"), slices.Insert(t.Numeric, 0, false)
		}
		for _, p := range r.Points {
			interval := "–"
			if p.Interval != nil {
				interval = between(*p.Interval, "")
			}
			difference := "–"
			if p.Reference != 0 {
				difference = fmt.Sprintf("%+.1f %%", 100*(p.Value-p.Reference)/math.Abs(p.Reference))
			}
			row := []string{p.At, checks.Number(p.Reference, p.Unit), checks.Number(p.Value, p.Unit), interval, fmt.Sprint(p.N), difference}
			if cells {
				row = slices.Insert(row, 0, p.Cell)
			}
			t.Rows = append(t.Rows, row)
		}
		v.Points = &t
	}
	return v
}

// spread says how sure a result is: its interval and number of runs.
func spread(r checks.Result) string {
	var parts []string
	if r.Interval != nil {
		parts = append(parts, fmt.Sprintf("%g %% CI %s", 100*r.Interval.Level, between(*r.Interval, r.Unit)))
	}
	if r.N > 0 {
		parts = append(parts, fmt.Sprintf("n = %d", r.N))
	}
	return strings.Join(parts, ", ")
}

// bounds writes the absolute bounds of a result, tolerance included.
func bounds(r checks.Result) string {
	switch {
	case r.Lower == nil && r.Upper == nil:
		return ""
	case r.Lower == nil:
		return "accepted up to " + checks.Number(*r.Upper, r.Unit)
	case r.Upper == nil:
		return "accepted from " + checks.Number(*r.Lower, r.Unit)
	}
	return "accepted from " + checks.Number(*r.Lower, "") + " to " + checks.Number(*r.Upper, r.Unit)
}

// band draws the accepted band with the measured value and its interval in it.
func band(r checks.Result) template.HTML {
	if r.Lower == nil && r.Upper == nil {
		return ""
	}
	low, high := *r.Value, *r.Value
	take := func(v *float64) {
		if v != nil {
			low, high = min(low, *v), max(high, *v)
		}
	}
	take(r.Lower)
	take(r.Upper)
	if r.Interval != nil {
		take(&r.Interval.Low)
		take(&r.Interval.High)
	}
	room := (high - low) * 0.15
	if room == 0 {
		room = max(math.Abs(high)*0.1, 1e-9)
	}
	const w, h, mid = 300, 38, 13
	x := scale{low - room, high + room, false, 8, w - 8}
	s := newSVG(w, h)
	from, to := x.from, x.to
	if r.Lower != nil {
		from = x.at(*r.Lower)
	}
	if r.Upper != nil {
		to = x.at(*r.Upper)
	}
	s.line("axis", x.from, mid, x.to, mid)
	s.rect("expected", from, mid-8, math.Max(to-from, 2), 16)
	if r.Interval != nil {
		s.line("whisker", x.at(r.Interval.Low), mid, x.at(r.Interval.High), mid)
		s.line("whisker", x.at(r.Interval.Low), mid-4, x.at(r.Interval.Low), mid+4)
		s.line("whisker", x.at(r.Interval.High), mid-4, x.at(r.Interval.High), mid+4)
	}
	fmt.Fprintf(&s.b, `<circle class="value" cx="%s" cy="%d" r="4"/>`, num(x.at(*r.Value)), mid)
	place := func(at float64) (string, float64) {
		switch {
		case at < 50:
			return "tick", x.from
		case at > w-50:
			return "tick end", x.to
		}
		return "tick mid", at
	}
	if r.Lower != nil {
		class, at := place(from)
		if r.Upper != nil && to-from < 60 && class == "tick mid" {
			class = "tick end"
		}
		s.text(class, at, h-3, short(*r.Lower))
	}
	if r.Upper != nil && (r.Lower == nil || *r.Lower != *r.Upper) {
		class, at := place(to)
		if r.Lower != nil && to-from < 60 && class == "tick mid" {
			class = "tick"
		}
		s.text(class, at, h-3, short(*r.Upper))
	}
	return template.HTML(fmt.Sprintf(`<svg class="band" viewBox="0 0 %d %d" aria-hidden="true">%s</svg>`, w, h, s.b.String())) //nolint:gosec // only numbers
}

// addSummary adds a metric that is not plotted.
func (t *captioned) addSummary(e *Experiment, metric string) {
	places := e.Places(metric)
	if len(places) == 0 {
		return
	}
	var values []float64
	for _, p := range places {
		values = append(values, p.Values...)
	}
	t.Rows = append(t.Rows, []string{
		e.Name(), metric + suffix(places[0].Unit), fmt.Sprint(len(places)), fmt.Sprint(len(values)),
		checks.Number(slices.Min(values), ""), checks.Number(stats.Median(values), ""), checks.Number(slices.Max(values), ""),
	})
}

func (v *pageView) steps(r *Run) {
	steps := r.Steps()
	count := map[string]int{}
	whole := r.Ended.Sub(r.Started).Seconds()
	slices.SortStableFunc(steps, func(a, b *Step) int {
		if a.Started.IsZero() != b.Started.IsZero() {
			if a.Started.IsZero() {
				return 1
			}
			return -1
		}
		return a.Started.Compare(b.Started)
	})
	for _, s := range steps {
		state := s.State
		if state == "" {
			state = "not begun"
		}
		count[state]++
		if len(v.Steps) == mostSteps {
			v.StepsLeft++
			continue
		}
		sv := stepView{Step: s.ID, State: state, Node: s.Node, Took: "–", CPU: "–", Memory: "–"}
		if s.Seconds > 0 {
			sv.Took = took(s.Took())
		}
		if cpu := s.UserSeconds + s.SysSeconds; cpu > 0 {
			sv.CPU = took(time.Duration(cpu * float64(time.Second)))
		}
		if s.MaxRSS > 0 {
			sv.Memory = size(s.MaxRSS)
		}
		if s.State == reused {
			sv.State = "reused from " + s.From
			if s.Node == "" {
				sv.Node = "–"
			}
		}
		if whole > 0 && !s.Started.IsZero() {
			from := s.Started.Sub(r.Started).Seconds() / whole * 1000
			to := s.Ended.Sub(r.Started).Seconds() / whole * 1000
			sv.Bar = template.HTML(fmt.Sprintf(`<svg viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="from %s to %s"><rect class="%s" x="%s" y="0" width="%s" height="10"/></svg>`, //nolint:gosec // numbers and our own words
				took(s.Started.Sub(r.Started)), took(s.Ended.Sub(r.Started)), s.State, num(from), num(math.Max(to-from, 3))))
		}
		v.Steps = append(v.Steps, sv)
	}
	var parts []string
	for _, state := range []string{"done", reused, "failed", "cancelled", "skipped", running, "not begun"} {
		if count[state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[state], state))
		}
	}
	v.StepCount = fmt.Sprintf("%s: %s", plural(len(steps), "step"), strings.Join(parts, ", "))
	v.FoldSteps = len(v.Steps) > mostSurface
}

// overview are the facts that the table of machines has of each.
var overview = []string{"platform", "kernel", "processor", "cores", "memory_bytes"}

func (v *pageView) environment(r *Run) {
	v.Machines = captioned{Caption: "machines that steps ran on"}
	v.Machines.Head = []string{"machine", "processor", "cores", "memory", "system", "kernel"}
	v.Machines.Numeric = []bool{false, false, true, true, false, false}
	for _, n := range r.Nodes {
		v.Machines.Rows = append(v.Machines.Rows, []string{n.Name, n.CPU, fmt.Sprint(n.Cores), size(n.Memory), n.Platform(), n.Kernel})
		t := captioned{Caption: "what else is known of " + n.Name}
		t.Head, t.Numeric = []string{"fact", "value"}, []bool{false, false}
		for _, f := range Facts(n.Machine) {
			if !slices.Contains(overview, f.Name) {
				t.Rows = append(t.Rows, []string{strings.ReplaceAll(f.Name, "_", " "), f.Value})
			}
		}
		if len(t.Rows) > 0 {
			v.Known = append(v.Known, t)
		}
	}
	for _, a := range r.Artifacts {
		p := provenanceView{Artifact: a.Title}
		for _, f := range []Fact{{"Artifact", a.Artifact}, {"Paper", paper(a.PlannedArtifact)}, {"Licence", a.License}, {"Manifest, SHA-256", a.Manifest}, {"Repository", joinNonEmpty(", ", a.Commit, prefixed("tracked files ", a.State))}} {
			if f.Value != "" {
				p.Facts = append(p.Facts, f)
			}
		}
		if len(a.Sources) > 0 {
			t := captioned{Caption: "sources of " + a.Artifact}
			t.Head, t.Numeric = []string{"source", "from", "commit or SHA-256"}, []bool{false, false, false}
			for _, s := range a.Sources {
				pin := s.Pin
				if pin == "" {
					pin = joinNonEmpty(", ", "not pinned", prefixed("files ", s.Tree))
				}
				t.Rows = append(t.Rows, []string{s.Name, s.From, pin})
			}
			p.Sources = &t
		}
		t := captioned{Caption: "parameters and seeds of " + a.Artifact}
		t.Head, t.Numeric = []string{"experiment", "parameter", "values"}, []bool{false, false, false}
		for _, e := range a.Experiments {
			if e.Left != "" {
				t.Rows = append(t.Rows, []string{e.Experiment, "–", "not run: " + e.Left})
			}
			for _, name := range sortedKeys(e.Axes) {
				t.Rows = append(t.Rows, []string{e.Experiment, name, strings.Join(e.Axes[name], ", ")})
			}
			for _, name := range sortedKeys(e.Params) {
				t.Rows = append(t.Rows, []string{e.Experiment, name, e.Params[name]})
			}
		}
		if len(t.Rows) > 0 {
			p.Parameters = &t
		}
		out := captioned{Caption: "files that steps of " + a.Artifact + " left"}
		out.Head, out.Numeric = []string{"step", "file", "bytes", "SHA-256"}, []bool{false, false, true, false}
		for _, e := range a.Experiments {
			for _, s := range e.Steps {
				for _, o := range s.Outputs {
					out.Rows = append(out.Rows, []string{s.ID, o.Name, fmt.Sprint(o.Bytes), o.SHA256})
				}
			}
		}
		if len(out.Rows) > 0 {
			if len(out.Rows) > mostSteps {
				out.Left, out.Rows = len(out.Rows)-mostSteps, out.Rows[:mostSteps]
			}
			p.Outputs = &out
		}
		v.Provenance = append(v.Provenance, p)
	}
	v.Warnings = slices.Clone(r.Warnings)
	for _, e := range r.Experiments() {
		var ran [][]string
		var warned []*Step
		for _, s := range e.Steps {
			if s.State != "" && s.State != string(event.SkippedOn) {
				ran = append(ran, s.Warnings)
			}
			if len(s.Warnings) > 0 {
				warned = append(warned, s)
			}
		}
		of := e.Name()
		if len(warned) == 1 {
			of, ran = warned[0].ID, [][]string{warned[0].Warnings}
		}
		for _, w := range checks.Gather(ran) {
			v.Warnings = append(v.Warnings, of+": "+w)
		}
	}
}

// took writes a length of time.
func took(d time.Duration) string {
	s := d.Seconds()
	switch {
	case s < 0.0995:
		return fmt.Sprintf("%.0f ms", s*1000)
	case s < 10:
		return fmt.Sprintf("%.1f s", s)
	case s < 100:
		return fmt.Sprintf("%.0f s", s)
	}
	return d.Round(time.Second).String()
}

// size writes bytes.
func size(n uint64) string {
	switch {
	case n == 0:
		return "–"
	case n >= 10<<30:
		return fmt.Sprintf("%.0f GiB", float64(n)/(1<<30))
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
}
