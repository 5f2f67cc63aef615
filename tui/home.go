package tui

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"reprise/artifacts"
	"reprise/checks"
)

// Home is what the home screen offers and what it can do.
type Home struct {
	Artifacts []*artifacts.Manifest
	// Runs lists the recorded runs, the newest first. It runs beside the UI.
	Runs func() ([]*Recorded, error)
	// Plan lays out what a choice would run, and refuses what cannot be run.
	// It runs beside the UI.
	Plan func(Choice) (*Preview, error)
	// Start makes the job of a choice that Plan has accepted.
	Start func(Choice) (*Job, error)
	// Open makes the job that shows a recorded run, or follows it.
	Open func(*Recorded) *Job
}

// Choice is what a user has chosen to run.
type Choice struct {
	Artifacts []string
	Profile   string
	Only      []string // experiment ids; all when empty
	Params    map[string]string
	Fresh     bool
}

// Preview is what a choice comes to.
type Preview struct {
	Steps        []PlannedStep
	Compute      time.Duration // budget of the experiments of which a step would run
	HumanMinutes float64
}

// PlannedStep is a step that would run, or be reused, and why.
type PlannedStep struct {
	ID     string
	Reused bool
	Why    string
}

// homeView is the first screen: artifacts with their last verdicts, and
// recorded runs.
type homeView struct {
	home   *Home
	m      *model
	filter filter
	art    cursor
	rec    cursor
	focus  int // 0 artifacts, 1 runs
	marked map[string]bool
	runs   []*Recorded
	failed error
	loaded bool
	stale  bool // the runs are to be read again
	// verdicts are the latest on each claim, by artifact/claim.
	verdicts map[string]lastVerdict
}

type lastVerdict struct {
	checks.Verdict
	profile string
	at      time.Time
}

type runsLoaded struct {
	runs []*Recorded
	err  error
}

func newHomeView(h *Home, m *model) *homeView {
	return &homeView{home: h, m: m, marked: map[string]bool{}, verdicts: map[string]lastVerdict{}}
}

func (v *homeView) load() tea.Cmd {
	v.stale = false
	return func() tea.Msg {
		runs, err := v.home.Runs()
		return runsLoaded{runs, err}
	}
}

func (v *homeView) take(msg tea.Msg) tea.Cmd {
	if loaded, is := msg.(runsLoaded); is {
		v.runs, v.failed, v.loaded = loaded.runs, loaded.err, true
		clear(v.verdicts)
		for _, r := range v.runs {
			for artifact, list := range r.Verdicts {
				for _, verdict := range list {
					name := artifact + "/" + verdict.Claim
					if _, later := v.verdicts[name]; !later && verdict.Outcome != checks.Skipped {
						v.verdicts[name] = lastVerdict{verdict, r.Start.Profile, r.Started}
					}
				}
			}
		}
	}
	return nil
}

func (v *homeView) tick(*look) tea.Cmd {
	if v.stale {
		return v.load()
	}
	return nil
}

func (v *homeView) prompt(l *look, w int) string {
	if v.filter.editing {
		return v.filter.prompt(l.Theme, w)
	}
	return ""
}

func (v *homeView) artifacts() []*artifacts.Manifest {
	if !v.filter.on() {
		return v.home.Artifacts
	}
	var out []*artifacts.Manifest
	for _, a := range v.home.Artifacts {
		if v.filter.matches(a.Artifact + " " + a.Title) {
			out = append(out, a)
		}
	}
	return out
}

func (v *homeView) recorded() []*Recorded {
	if !v.filter.on() {
		return v.runs
	}
	var out []*Recorded
	for _, r := range v.runs {
		if v.filter.matches(r.ID + " " + strings.Join(r.Start.Artifacts, " ") + " " + r.Start.Profile + " " + r.Outcome()) {
			out = append(out, r)
		}
	}
	return out
}

func (v *homeView) help() []helpGroup { return []helpGroup{{"home", v.actions()}} }

func (v *homeView) actions() []action {
	enter := on("enter", "choose what of it to run", v.enter, "enter")
	if v.focus == 1 {
		enter = on("enter", "look at the run", v.enter, "enter")
	}
	return append([]action{
		enter,
		act("space", "mark several artifacts", v.mark, "space"),
		act("tab", "artifacts, runs", func() { v.focus = 1 - v.focus }, "tab", "shift+tab"),
		act("1 2", "artifacts, runs", func() {}, "1", "2"),
		act("/", "filter", func() { v.filter.open() }, "/"),
		act("esc", "clear the filter", func() { v.filter.text = "" }, "esc"),
	}, moves(func(d int) {
		if v.focus == 0 {
			v.art.move(d, len(v.artifacts()))
		} else {
			v.rec.move(d, len(v.recorded()))
		}
	}, func() int {
		if v.focus == 0 {
			return v.art.page
		}
		return v.rec.page
	})...)
}

func (v *homeView) press(msg tea.KeyPressMsg) (tea.Cmd, bool) {
	if v.filter.editing {
		v.filter.edit(msg)
		return nil, true
	}
	if k := msg.String(); k == "1" || k == "2" {
		v.focus = int(k[0] - '1')
		return nil, true
	}
	return dispatch(msg, v.actions())
}

func (v *homeView) mark() {
	if list := v.artifacts(); v.focus == 0 && v.art.at < len(list) {
		name := list[v.art.at].Artifact
		v.marked[name] = !v.marked[name]
		v.art.move(1, len(list))
	}
}

func (v *homeView) enter() tea.Cmd {
	if v.focus == 1 {
		list := v.recorded()
		if v.rec.at >= len(list) {
			return nil
		}
		return v.m.begin(v.home.Open(list[v.rec.at]))
	}
	var chosen []*artifacts.Manifest
	for _, a := range v.home.Artifacts {
		if v.marked[a.Artifact] {
			chosen = append(chosen, a)
		}
	}
	if list := v.artifacts(); len(chosen) == 0 && v.art.at < len(list) {
		chosen = append(chosen, list[v.art.at])
	}
	if len(chosen) == 0 {
		return nil
	}
	v.m.start = newStartView(v.m, v.home, chosen)
	v.m.at = v.m.start
	return v.m.start.plan()
}

func (v *homeView) view(l *look, w, h int) []string {
	out := []string{fit(l.Strong.Render("reprise")+" "+l.Dim.Render("reproduce storage-systems papers and judge their claims"), w)}
	body := h - 1
	if w < twoColumns || body < twoLines {
		return append(out, v.box(l, v.focus, w, body)...)
	}
	left := min(max(40, w*2/5), 72)
	rest := w - left - 3
	up := max(6, min(len(v.home.Artifacts)+2, body/2))
	lists := append(v.box(l, 0, left, up), v.box(l, 1, left, body-up)...)
	return append(out, join(lists, v.details(l, rest, body), left, rest, l)...)
}

// box draws one of the two lists.
func (v *homeView) box(l *look, at, w, h int) []string {
	focused := at == v.focus
	name, title := "1 Artifacts", ""
	var lines []string
	if at == 0 {
		if n := v.markedCount(); n > 0 {
			title = fmt.Sprintf("%d marked", n)
		}
		lines = v.artifactRows(l, focused, w, h-1)
	} else {
		name, title = "2 Recorded runs", fmt.Sprint(len(v.runs))
		lines = v.runRows(l, focused, w, h-1)
	}
	if v.filter.on() && focused {
		title = "/" + v.filter.text
	}
	out := append([]string{titleLine(l, name, title, focused, w)}, lines...)
	for len(out) < h {
		out = append(out, "")
	}
	return out[:max(h, 0)]
}

func (v *homeView) markedCount() int {
	n := 0
	for _, is := range v.marked {
		if is {
			n++
		}
	}
	return n
}

func (v *homeView) artifactRows(l *look, focused bool, w, h int) []string {
	list := v.artifacts()
	if len(list) == 0 {
		return []string{l.Dim.Render(fit(" no artifact matches", w))}
	}
	from, to := v.art.show(len(list), h)
	var out []string
	for i := from; i < to; i++ {
		a := list[i]
		mark := " "
		if v.marked[a.Artifact] {
			mark = "*"
		}
		n := map[checks.Outcome]int{}
		for _, id := range a.ClaimIDs() {
			n[v.verdicts[a.Artifact+"/"+id].Outcome]++
		}
		text := row(mark+" "+a.Artifact+"  "+printable(a.Title), tally(n), w-1)
		out = append(out, l.gutter(i == v.art.at, focused, text, w))
	}
	return out
}

func (v *homeView) runRows(l *look, focused bool, w, h int) []string {
	list := v.recorded()
	switch {
	case v.failed != nil:
		return []string{l.Bad.Render(fit(" "+printable(v.failed.Error()), w))}
	case !v.loaded:
		return []string{l.Dim.Render(fit(" reading", w))}
	case len(list) == 0 && v.filter.on():
		return []string{l.Dim.Render(fit(" no run matches", w))}
	case len(list) == 0:
		return []string{l.Dim.Render(fit(" none yet: choose an artifact and press enter", w))}
	}
	from, to := v.rec.show(len(list), h)
	var out []string
	for i := from; i < to; i++ {
		r := list[i]
		text := row(r.Started.Format("01-02 15:04")+"  "+strings.Join(r.Start.Artifacts, ", ")+" "+r.Start.Profile, r.Outcome(), w-1)
		out = append(out, l.gutter(i == v.rec.at, focused, text, w))
	}
	return out
}

// details tell of the selected artifact or run.
func (v *homeView) details(l *look, w, h int) []string {
	if v.focus == 1 {
		if list := v.recorded(); v.rec.at < len(list) {
			return v.runDetails(l, list[v.rec.at], w, h)
		}
		return nil
	}
	list := v.artifacts()
	if v.art.at >= len(list) {
		return nil
	}
	a := list[v.art.at]
	out := []string{titleLine(l, a.Artifact, a.Paper.Venue, false, w)}
	for _, text := range paragraph(cmp.Or(a.Paper.Title, a.Title), w) {
		out = append(out, l.Strong.Render(text))
	}
	out = append(out, "", l.Strong.Render("Claims and their last verdicts"))
	for _, id := range a.ClaimIDs() {
		c := a.Claims[id]
		last, known := v.verdicts[a.Artifact+"/"+id]
		head := "· " + id + " not tried"
		style := l.Dim
		if known {
			head = Glyph(last.Outcome) + " " + id + " " + string(last.Outcome) + " (" + last.profile + ")"
			style = l.outcome(last.Outcome)
		}
		out = append(out, fit(style.Render(head)+"  "+strings.Join(strings.Fields(printable(c.Statement)), " "), w))
	}
	if len(a.Claims) == 0 {
		out = append(out, l.Dim.Render("none"))
	}
	out = append(out, "", l.Strong.Render("Experiments"))
	for _, id := range a.ExperimentIDs() {
		e := a.Experiments[id]
		out = append(out, fit(id+" "+printable(e.Title), w))
		for _, p := range []string{"kick", "local", "paper"} {
			if profile, has := e.Profiles[p]; has {
				where := "this machine"
				if on, named := a.Platforms[profile.Platform]; named {
					where = profile.Platform + " (" + on.Provider + ")"
				}
				out = append(out, l.Dim.Render(fit(fmt.Sprintf("   %-5s up to %v on %s", p, time.Duration(profile.Compute), where), w)))
			}
		}
	}
	return window(out, 0, h)
}

func (v *homeView) runDetails(l *look, r *Recorded, w, h int) []string {
	out := []string{titleLine(l, "Run "+r.ID, "", false, w)}
	out = append(out, fit(strings.Join(r.Start.Artifacts, ", ")+", profile "+r.Start.Profile, w),
		l.Dim.Render(fit(r.Started.Format(time.DateTime)+", reprise "+r.Start.Version+" on "+r.Start.Platform, w)))
	end := r.Outcome()
	if r.End != nil {
		end += " after " + took(r.End.Seconds)
	}
	out = append(out, fit(end, w), "")
	for _, artifact := range slices.Sorted(maps.Keys(r.Verdicts)) {
		for _, verdict := range r.Verdicts[artifact] {
			out = append(out, fit(l.outcome(verdict.Outcome).Render(Glyph(verdict.Outcome)+" "+artifact+"/"+verdict.Claim+" "+string(verdict.Outcome))+
				"  "+strings.Join(strings.Fields(printable(verdict.Statement)), " "), w))
		}
	}
	return window(out, 0, h)
}
