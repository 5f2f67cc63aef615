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

// Form is what a run is chosen with.
type Form struct {
	Artifacts []*artifacts.Manifest
	// Platforms lists where runs can go, this machine first. It runs beside the
	// UI.
	Platforms func() []Platform
	// Plan lays out what a choice would run, and refuses what cannot be run.
	// It runs beside the UI.
	Plan func(Choice) (*Preview, error)
	// Start makes the job of a choice that Plan has accepted.
	Start func(Choice) (*Job, error)
}

// Home is what the home screen offers and what it can do.
type Home struct {
	Form
	// Runs lists the recorded runs, the newest first. It runs beside the UI.
	Runs func() ([]*Recorded, error)
	// Open makes the job that shows a recorded run, or follows it.
	Open func(*Recorded) *Job
	// Resume makes the job that goes on with a recorded run.
	Resume func(*Recorded) (*Job, error)
}

// Platform is a place where steps can run.
type Platform struct {
	On        string // as --on has it
	SSHConfig string // the file that tells how to reach it, if it needs one
	Name      string
	About     string // what there is, and what it costs
	State     string // in a word: here, leased, not leased
	Artifact  string // that it is for; empty: any
}

// Choice is what a user has chosen to run.
type Choice struct {
	Artifacts []string
	Profile   string
	Only      []string // experiment ids; all when empty
	Params    map[string]string
	Fresh     bool
	On        string // where to run, as --on has it; empty: as the profile says
	SSHConfig string
}

func (c Choice) clone() Choice {
	c.Artifacts, c.Only = slices.Clone(c.Artifacts), slices.Clone(c.Only)
	if c.Params = maps.Clone(c.Params); c.Params == nil {
		c.Params = map[string]string{}
	}
	return c
}

// Preview is what a choice comes to.
type Preview struct {
	Steps        []PlannedStep
	Compute      time.Duration // budget of the experiments of which a step would run
	HumanMinutes float64
	Cost         string // of the lease it needs, and of what it is made; empty: nothing
	On           string // where it runs
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
	plat   cursor
	focus  int // 0 artifacts, 1 runs, 2 platforms
	places []Platform
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

type placesLoaded []Platform

func newHomeView(h *Home, m *model) *homeView {
	return &homeView{home: h, m: m, marked: map[string]bool{}, verdicts: map[string]lastVerdict{}}
}

func (v *homeView) load() tea.Cmd {
	v.stale = false
	runs := func() tea.Msg {
		runs, err := v.home.Runs()
		return runsLoaded{runs, err}
	}
	if v.home.Platforms == nil {
		return runs
	}
	return tea.Batch(runs, func() tea.Msg { return placesLoaded(v.home.Platforms()) })
}

func (v *homeView) take(msg tea.Msg) tea.Cmd {
	if places, is := msg.(placesLoaded); is {
		v.places = places
	}
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
	does := []string{"choose what of it to run", "look at the run", "choose what to run there"}
	enter := on("enter", does[v.focus], v.enter, "enter")
	mark, all := act("space", "mark several artifacts", v.mark, "space"), act("a", "mark all", v.markAll, "a")
	first := []action{enter, mark, all, on("r", "go on with a run that has not finished", v.resume, "r")}
	if v.focus == 1 { // what the list is about comes first
		first = []action{enter, on("r", "go on with it", v.resume, "r"), mark, all}
	}
	return append(append(first,
		act("tab", "next list", func() { v.focus = (v.focus + 1) % homeLists }, "tab"),
		act("shift-tab", "list before", func() { v.focus = (v.focus + homeLists - 1) % homeLists }, "shift+tab"),
		act("1 2 3", "artifacts, runs, platforms", func() {}, "1", "2", "3"),
		act("/", "filter", func() { v.filter.open() }, "/"),
		act("esc", "clear the filter", func() { v.filter.text = "" }, "esc"),
	), moves(func(d int) {
		c, n := v.list()
		c.move(d, n)
	}, func() int { c, _ := v.list(); return c.page })...)
}

// homeLists is the number of lists on the home screen.
const homeLists = 3

// list is the cursor of the list that has the focus, and its length.
func (v *homeView) list() (*cursor, int) {
	switch v.focus {
	case 0:
		return &v.art, len(v.artifacts())
	case 1:
		return &v.rec, len(v.recorded())
	}
	return &v.plat, len(v.platforms())
}

func (v *homeView) platforms() []Platform {
	if !v.filter.on() {
		return v.places
	}
	var out []Platform
	for _, p := range v.places {
		if v.filter.matches(p.Name + " " + p.About + " " + p.State) {
			out = append(out, p)
		}
	}
	return out
}

func (v *homeView) press(msg tea.KeyPressMsg) (tea.Cmd, bool) {
	if v.filter.editing {
		v.filter.edit(msg)
		return nil, true
	}
	if k := msg.String(); k == "1" || k == "2" || k == "3" {
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

// markAll marks the artifacts that are listed, or none if all of them are.
func (v *homeView) markAll() {
	list := v.artifacts()
	all := !slices.ContainsFunc(list, func(a *artifacts.Manifest) bool { return !v.marked[a.Artifact] })
	for _, a := range list {
		v.marked[a.Artifact] = !all
	}
}

func (v *homeView) enter() tea.Cmd {
	if v.focus == 1 {
		list := v.recorded()
		if v.rec.at >= len(list) {
			return nil
		}
		r := list[v.rec.at]
		cmd := v.m.begin(v.home.Open(r))
		v.m.opened = r
		return cmd
	}
	c := Choice{Params: map[string]string{}}
	for _, a := range v.home.Artifacts {
		if v.marked[a.Artifact] {
			c.Artifacts = append(c.Artifacts, a.Artifact)
		}
	}
	if list := v.artifacts(); len(c.Artifacts) == 0 && v.art.at < len(list) {
		c.Artifacts = append(c.Artifacts, list[v.art.at].Artifact)
	}
	if list := v.platforms(); v.focus == 2 {
		if v.plat.at >= len(list) {
			return nil
		}
		p := list[v.plat.at]
		c.On, c.SSHConfig = p.On, p.SSHConfig
		if p.Artifact != "" {
			c.Artifacts = []string{p.Artifact}
		}
	}
	if len(c.Artifacts) == 0 {
		return nil
	}
	v.m.start = newStartView(v.m, &v.home.Form, &c)
	v.m.from, v.m.at = v.m.home, v.m.start
	return v.m.start.open()
}

func (v *homeView) resume() tea.Cmd {
	list := v.recorded()
	if v.home.Resume == nil || v.focus != 1 || v.rec.at >= len(list) {
		return nil
	}
	return v.goOn(list[v.rec.at])
}

// goOn begins a run that goes on with a recorded one.
func (v *homeView) goOn(r *Recorded) tea.Cmd {
	if !r.Unfinished() {
		v.m.message = "there is nothing to go on with: the run has finished or is under way"
		return nil
	}
	if v.m.busy() && v.m.job.ours() {
		v.m.message = "the run before has not ended: q goes back to it, c cancels it"
		return nil
	}
	job, err := v.home.Resume(r)
	if err != nil {
		v.m.message = "error: " + printable(err.Error())
		return nil
	}
	return v.m.begin(job)
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
	down := max(3, min(len(v.places)+2, (body-up)/3))
	lists := slices.Concat(v.box(l, 0, left, up), v.box(l, 1, left, body-up-down), v.box(l, 2, left, down))
	return append(out, join(lists, v.details(l, rest, body), left, rest, l)...)
}

// box draws one of the two lists.
func (v *homeView) box(l *look, at, w, h int) []string {
	focused := at == v.focus
	name, title := "1 Artifacts", ""
	var lines []string
	switch at {
	case 0:
		if n := v.markedCount(); n > 0 {
			title = fmt.Sprintf("%d marked", n)
		}
		lines = v.artifactRows(l, focused, w, h-1)
	case 1:
		name, title = "2 Recorded runs", fmt.Sprint(len(v.runs))
		lines = v.runRows(l, focused, w, h-1)
	case 2:
		name = "3 Platforms"
		lines = v.platformRows(l, focused, w, h-1)
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

func (v *homeView) platformRows(l *look, focused bool, w, h int) []string {
	list := v.platforms()
	if len(list) == 0 {
		return []string{l.Dim.Render(fit(" none", w))}
	}
	from, to := v.plat.show(len(list), h)
	var out []string
	for i := from; i < to; i++ {
		out = append(out, l.gutter(i == v.plat.at, focused, row(printable(list[i].Name), list[i].State, w-1), w))
	}
	return out
}

func platformDetails(l *look, p Platform, w, h int) []string {
	out := []string{titleLine(l, printable(p.Name), p.State, false, w)}
	for line := range strings.SplitSeq(p.About, "\n") {
		out = append(out, paragraph(line, w)...)
	}
	return window(append(out, "", l.Dim.Render(fit("--on "+p.On, w))), 0, h)
}

// details tell of the selected artifact, run or platform.
func (v *homeView) details(l *look, w, h int) []string {
	if v.focus == 2 {
		if list := v.platforms(); v.plat.at < len(list) {
			return platformDetails(l, list[v.plat.at], w, h)
		}
		return nil
	}
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
				out = append(out, l.Dim.Render(fit(fmt.Sprintf("   %-5s up to %v on %s", p, profile.Compute, where), w)))
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
