package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"reprise/runner/event"
)

// Options are what the terminal UI is given of the world around it.
type Options struct {
	In    io.Reader
	Out   io.Writer
	Env   []string
	Now   func() time.Time
	Theme string // one of ThemeNames; empty: by the terminal's background
	Still bool   // nothing moves that does not have to
	Mouse bool   // the wheel and clicks are taken; else they are the terminal's
	Job   *Job   // shown at first; nil: the home screen
	Home  *Home  // nil: leaving the run leaves the UI
	Form  *Form  // of a job that is shown first: with it, its choice can be changed and run again
}

// Job is a run that the UI shows: one that the program executes, or one that
// is read from its log.
type Job struct {
	// Title is shown until the run's own events say more.
	Title string
	// Command makes the same run from a shell.
	Command string
	// Run shows the run's events and returns after the last. When ctx is
	// cancelled it ends the run gracefully, if the run is the program's own.
	Run func(ctx context.Context, show event.Subscriber) error
	// Cancel asks one running step to end; asked again it kills it. Nil where
	// that cannot be done, as are the other wishes.
	Cancel func(step string) bool
	// Skip leaves steps out, and with them those that need them.
	Skip func(steps ...string)
	// Hold has no further step begin, or the recorded time stand still; and lets
	// it go on.
	Hold func(on bool)
	// HoldAfter has the run hold whenever an experiment has ended.
	HoldAfter func(on bool)
	// Speed multiplies the speed of a replay and gives the new one.
	Speed func(factor float64) float64
	// Report writes the report of a run, opens it if there is where to, and says
	// where it is. It runs beside the UI.
	Report func(run string) (where string, err error)
	// ReadLog reads the end of a file of a step's records, at most so many bytes,
	// and says how long it is. Nil: they are on this machine.
	ReadLog func(path string, most int64) (data []byte, size int64, err error)
	// Choice is what was chosen to run.
	Choice *Choice
	// Kill ends the run's steps at once. It is nil where leaving harms nothing
	// because the run is another process's or over.
	Kill func()
	// Now is the clock by which the run's times are told, if not that of the
	// options: a replay has its own.
	Now func() time.Time
}

func (j *Job) ours() bool { return j.Kill != nil }

// Live shows runs in the terminal until the user leaves. Cancelling ctx stops
// the run that is shown and leaves. Whoever calls it has made sure that input
// and output are a terminal. A panic of a job is raised again once the
// terminal is restored.
type Live struct {
	o       Options
	program *tea.Program
	m       *model
}

// NewLive prepares the terminal UI.
func NewLive(o Options) (*Live, error) {
	m, err := newModel(o)
	if err != nil {
		return nil, err
	}
	return &Live{o: o, m: m}, nil
}

// Run shows the UI. The error is the terminal's, or that of the last job.
func (l *Live) Run(ctx context.Context) error {
	l.program = tea.NewProgram(l.m, tea.WithInput(l.o.In), tea.WithOutput(l.o.Out), tea.WithEnvironment(l.o.Env), tea.WithoutSignalHandler(), tea.WithFPS(30))
	l.m.ctx = ctx
	stop := context.AfterFunc(ctx, func() { l.program.Send(interrupted{}) })
	defer stop()
	_, err := l.program.Run()
	l.m.leave()
	if last := l.m.last; last != nil {
		if last.panic != nil {
			panic(last.panic)
		}
		if err == nil {
			err = last.err
		}
	}
	return err
}

// Restore gives the terminal back; for a process that is about to end.
func (l *Live) Restore() {
	if l.program != nil {
		l.program.Kill()
	}
}

// Messages of the UI to itself.
type (
	frame       time.Time
	interrupted struct{}
	jobEnded    struct{ *underway }
	reported    struct {
		where string
		err   error
	}
)

// underway is a job that runs beside the UI.
type underway struct {
	job    *Job
	cancel context.CancelFunc
	done   chan struct{} // closed when the job has ended; then these say how:
	err    error
	panic  any
}

// screen is what fills the terminal above the last line.
type screen interface {
	view(l *look, w, h int) []string
	press(msg tea.KeyPressMsg) (tea.Cmd, bool)
	// prompt is the last line while a text is written, empty otherwise.
	prompt(l *look, w int) string
	help() []helpGroup
	// tick is called for every frame.
	tick(l *look) tea.Cmd
	// take is given the messages of the screen's own commands.
	take(msg tea.Msg) tea.Cmd
}

const (
	frameTime = 50 * time.Millisecond
	silence   = 30 * time.Second
)

// model is the UI's state.
type model struct {
	o     Options
	ctx   context.Context
	theme *Theme
	auto  bool // the theme goes by the background
	w, h  int
	spin  int

	feed  feed
	spare []event.Event
	run   *Run
	watch *runView
	home  *homeView
	start *startView
	at    screen
	from  screen // where the form was opened

	job     *Job
	active  *underway      // the job while it runs
	last    *underway      // the job that ran last
	asked   int            // times the run was asked to stop
	leaving bool           // quit once the job has ended
	stopped map[string]int // times each step was asked to stop
	opened  *Recorded      // the run of the home screen that is shown
	halts   bool           // the run holds after every experiment

	overlay overlay
	scroll  int
	confirm *question
	message string
	content string
	drawn   time.Time
	dirty   bool
}

// overlay is what covers the screen.
type overlay int

const (
	nothing overlay = iota
	helpOverlay
	warningsOverlay
	reportOverlay
)

// question waits for an answer: the key that asked it again or y says yes.
type question struct {
	text string
	key  string
	yes  func() tea.Cmd
}

func newModel(o Options) (*model, error) {
	name := o.Theme
	if name == "" {
		name = "default"
	}
	theme, err := NewTheme(name)
	if err != nil {
		return nil, err
	}
	m := &model{o: o, theme: theme, auto: o.Theme == "", run: NewRun(), ctx: context.Background(), w: 80, h: 24, dirty: true}
	m.watch = newRunView(m.run)
	if o.Home != nil {
		m.home = newHomeView(o.Home, m)
	}
	m.at = m.watch
	if o.Job == nil && m.home != nil {
		m.at = m.home
	}
	return m, nil
}

// Init implements tea.Model.
func (m *model) Init() tea.Cmd {
	cmds := []tea.Cmd{m.tick()}
	if m.auto {
		cmds = append(cmds, tea.RequestBackgroundColor)
	}
	if m.o.Job != nil {
		cmds = append(cmds, m.begin(m.o.Job))
	}
	if m.home != nil {
		cmds = append(cmds, m.home.load())
	}
	return tea.Batch(cmds...)
}

func (m *model) tick() tea.Cmd {
	return tea.Tick(frameTime, func(t time.Time) tea.Msg { return frame(t) })
}

// begin shows a job and lets it run.
func (m *model) begin(job *Job) tea.Cmd {
	m.leave()
	ctx, cancel := context.WithCancel(m.ctx)
	u := &underway{job: job, cancel: cancel, done: make(chan struct{})}
	m.job, m.active, m.last, m.asked, m.leaving = job, u, u, 0, false
	m.stopped, m.halts, m.opened = map[string]int{}, false, nil
	if job.HoldAfter != nil {
		job.HoldAfter(false)
	}
	m.feed.take(nil)
	m.run = NewRun()
	m.watch = newRunView(m.run)
	m.watch.job, m.watch.logs.read = job.Title, job.ReadLog
	m.at = m.watch
	m.overlay, m.message, m.dirty = nothing, "", true
	go func() {
		defer close(u.done)
		defer func() {
			if p := recover(); p != nil {
				u.panic = fmt.Sprintf("%v\n\n%s", p, debug.Stack())
			}
		}()
		u.err = job.Run(ctx, m.feed.push)
	}()
	return func() tea.Msg { <-u.done; return jobEnded{u} }
}

// busy says that the job has not ended.
func (m *model) busy() bool { return m.active != nil }

// leave ends the job, whatever it is doing, and waits for it.
func (m *model) leave() {
	if u := m.active; u != nil {
		u.cancel()
		if u.job.ours() && m.asked > 1 {
			u.job.Kill()
		}
		<-u.done
		m.active = nil
	}
}

// now is the time by which the run is told.
func (m *model) now() time.Time {
	switch {
	case m.job != nil && m.job.Now != nil:
		return m.job.Now()
	case !m.busy() && m.run.End == nil && !m.run.Last.IsZero():
		return m.run.Last // the log broke off here
	}
	return m.o.Now()
}

func (m *model) look() *look {
	spin := "▶"
	if !m.o.Still {
		frames := []string{"◐", "◓", "◑", "◒"}
		spin = frames[m.spin/4%len(frames)]
	}
	return &look{Theme: m.theme, now: m.now(), spin: spin}
}

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.w, m.h = msg.Width, msg.Height
	case tea.BackgroundColorMsg:
		if m.auto {
			if t, err := NewTheme(themeFor(msg.Color)); err == nil {
				m.theme = t
			}
		}
	case tea.KeyPressMsg:
		cmd = m.press(msg)
	case frame:
		return m, m.frame()
	case interrupted:
		cmd = m.stop(true)
	case jobEnded:
		cmd = m.ended(msg)
	case reported:
		switch {
		case msg.err != nil:
			m.message = "no report: " + printable(msg.err.Error())
		default:
			m.message = msg.where
		}
	case tea.MouseWheelMsg:
		cmd = m.wheel(msg.Mouse())
	case tea.MouseClickMsg:
		m.click(msg.Mouse())
	default:
		for _, s := range m.screens() {
			cmd = tea.Batch(cmd, s.take(msg))
		}
	}
	m.dirty = true
	return m, cmd
}

func (m *model) screens() []screen {
	all := []screen{m.watch}
	if m.home != nil {
		all = append(all, m.home)
	}
	if m.start != nil {
		all = append(all, m.start)
	}
	return all
}

// frame takes in what has happened and decides whether to draw anew.
func (m *model) frame() tea.Cmd {
	m.intake()
	m.spin++
	moving := m.busy() && m.run.Count[Running] > 0
	if moving && (!m.o.Still && m.spin%4 == 0 || m.now().Unix() != m.drawn.Unix()) {
		m.dirty = true
	}
	return tea.Batch(m.at.tick(m.look()), m.tick())
}

// intake applies the events that have come.
func (m *model) intake() {
	events, lost := m.feed.take(m.spare)
	for _, e := range events {
		m.run.Apply(e)
	}
	m.run.Unseen += lost
	m.dirty = m.dirty || len(events) > 0
	m.spare = events
}

func (m *model) ended(msg jobEnded) tea.Cmd {
	if msg.underway != m.active {
		return nil
	}
	m.intake()
	m.active = nil
	msg.cancel()
	m.watch.ending, m.confirm = false, nil
	if m.home != nil {
		m.home.stale = true
	}
	switch {
	case msg.panic != nil || m.leaving:
		return tea.Quit
	case msg.err != nil && !errors.Is(msg.err, context.Canceled):
		m.message = "error: " + printable(msg.err.Error())
	case m.run.End != nil && m.job.ours():
		keys := "o report, r run again, "
		if m.run.Count[Failed] > 0 {
			keys = "F what failed, " + keys
		}
		if m.job.Choice != nil {
			keys += "e edit and run again, "
		}
		m.message = "the run has ended: " + keys + "q leave"
	}
	return nil
}

// stop asks the run to end; asked again, it kills; a third time it leaves.
func (m *model) stop(leave bool) tea.Cmd {
	if !m.busy() || !m.job.ours() {
		return tea.Quit
	}
	m.asked++
	m.leaving = m.leaving || leave
	m.watch.ending = true
	switch m.asked {
	case 1:
		m.active.cancel()
		m.message = "stopping " + names(m.run.Running()) + m.releasing() + "; ctrl-c again kills"
	case 2:
		m.job.Kill()
		m.message = "killed " + names(m.run.Running())
	default:
		return tea.Quit
	}
	return nil
}

// releasing says what of the run's leases is given back.
func (m *model) releasing() string {
	text := ""
	for _, v := range m.run.Leases {
		switch {
		case v.Released:
		case v.Keep:
			text += fmt.Sprintf(", lease %s stays until %s", printable(v.Name), v.Ends.Local().Format("15:04"))
		default:
			text += ", then releasing lease " + printable(v.Name)
		}
	}
	return text
}

// names lists the first few steps.
func names(steps []*Step) string {
	const most = 2
	var list []string
	for _, s := range steps[:min(most, len(steps))] {
		list = append(list, s.ID)
	}
	switch {
	case len(steps) == 0:
		return "the run"
	case len(steps) > most:
		list = append(list, fmt.Sprintf("and %d more", len(steps)-most))
	}
	return strings.Join(list, ", ")
}

// actions are the keys of every screen.
func (m *model) actions() []action {
	all := []action{
		act("?", "help", func() { m.overlay, m.scroll = helpOverlay, 0 }, "?"),
		on("q", "leave", m.quit, "q"),
		on("ctrl-c", "stop, leave; again: kill", func() tea.Cmd { return m.stop(true) }, "ctrl+c"),
		act("T", "next theme", func() {
			m.theme, m.auto = m.theme.next(), false
			m.message = "theme " + m.theme.Name
		}, "T"),
	}
	if m.at != m.watch {
		return all
	}
	job, selected := m.job, m.watch.tree.selected()
	if m.busy() && job.ours() {
		all = append(all, on("c", "cancel the run", m.cancelRun, "c"))
		if s := selected.step; job.Cancel != nil && s != nil && (s.State == Running || s.Queued) {
			what := "cancel the step"
			if m.stopped[s.ID] > 0 {
				what = "kill the step"
			}
			all = append(all, on("x", what, m.cancelStep, "x"))
		}
		if ids := m.skippable(); job.Skip != nil && len(ids) > 0 {
			what := "skip the step"
			if selected.step == nil {
				what = "skip what is left of it"
			}
			all = append(all, on("S", what, m.skip, "S"))
		}
	}
	if m.busy() && job.Hold != nil {
		what := "pause"
		if m.watch.paused || m.run.Held.On {
			what = "go on"
		}
		all = append(all, act("p", what, m.pause, "p"))
		if job.HoldAfter != nil {
			what := "pause after every experiment"
			if m.halts {
				what = "no more pauses"
			}
			all = append(all, act("P", what, func() {
				m.halts = !m.halts
				job.HoldAfter(m.halts)
				m.message = map[bool]string{true: "the run holds whenever an experiment has ended", false: "the run goes on when an experiment has ended"}[m.halts]
			}, "P"))
		}
	}
	if m.busy() && job.Speed != nil {
		speed := func(by float64) func() {
			return func() { m.message = fmt.Sprintf("%g times as fast", job.Speed(by)) }
		}
		all = append(all, act("+", "faster", speed(2), "+", "="), act("-", "slower", speed(0.5), "-"))
	}
	if !m.busy() && job != nil && job.ours() {
		all = append(all, on("r", "run again, reusing what is done", func() tea.Cmd { return m.begin(m.job) }, "r"))
	}
	if r := m.opened; !m.busy() && r != nil && r.Unfinished() && m.home.home.Resume != nil {
		all = append(all, on("r", "go on with it", func() tea.Cmd { return m.home.goOn(r) }, "r"))
	}
	if job != nil && job.Choice != nil && m.form() != nil {
		all = append(all, on("e", "edit, run again", m.edit, "e"))
	}
	if m.run.ID != "" {
		all = append(all, on("o", "report", m.report, "o"))
	}
	if len(m.run.Warnings) > 0 {
		all = append(all, act("W", "warnings", func() { m.overlay, m.scroll = warningsOverlay, 0 }, "W"))
	}
	if job != nil && job.Command != "" {
		all = append(all, on("y", "copy its command", func() tea.Cmd {
			m.message = "copied: " + job.Command
			return tea.SetClipboard(job.Command)
		}, "y"))
	}
	return all
}

// form is what a run can be chosen with, nil if there is nothing.
func (m *model) form() *Form {
	if m.home != nil {
		return &m.home.home.Form
	}
	return m.o.Form
}

// edit opens the form with what was chosen for the run.
func (m *model) edit() tea.Cmd {
	c := m.job.Choice.clone()
	m.start = newStartView(m, m.form(), &c)
	m.from, m.at = m.watch, m.start
	return m.start.open()
}

// report shows the verdicts, and has the report written.
func (m *model) report() tea.Cmd {
	m.overlay, m.scroll = reportOverlay, 0
	if m.busy() || m.job == nil || m.job.Report == nil {
		return nil
	}
	m.message = "writing the report"
	write, run := m.job.Report, m.run.ID
	return func() tea.Msg {
		where, err := write(run)
		return reported{where, err}
	}
}

// pause holds the run or the replay, or lets it go on.
func (m *model) pause() {
	to := !(m.watch.paused || m.run.Held.On)
	m.job.Hold(to)
	if m.job.ours() {
		m.message = map[bool]string{true: "no further step begins; what runs goes on", false: ""}[to]
		return
	}
	m.watch.paused = to
}

// skippable are the steps of the selection that have not ended.
func (m *model) skippable() (ids []string) {
	r := m.watch.tree.selected()
	switch {
	case r.step != nil && !r.step.State.Ended():
		return []string{r.step.ID}
	case r.step == nil && r.experiment != nil:
		for _, s := range r.experiment.Steps {
			if !s.State.Ended() {
				ids = append(ids, s.ID)
			}
		}
	}
	return ids
}

func (m *model) skip() tea.Cmd {
	ids := m.skippable()
	what := ids[0]
	if len(ids) > 1 {
		what = fmt.Sprintf("%d steps of %s", len(ids), m.watch.tree.selected().experiment.Name())
	}
	yes := func() tea.Cmd {
		m.job.Skip(ids...)
		m.message = "skipping " + what + " and what needs it"
		return nil
	}
	for _, id := range ids {
		if m.run.steps[id].State == Running {
			m.ask("S", "skip and lose the work of "+what, yes)
			return nil
		}
	}
	return yes()
}

func (m *model) cancelRun() tea.Cmd {
	if m.asked > 0 {
		return nil
	}
	m.ask("c", "cancel the run and lose the work of "+names(m.run.Running()), func() tea.Cmd { return m.stop(false) })
	return nil
}

func (m *model) cancelStep() tea.Cmd {
	s := m.watch.tree.selected().step
	if m.stopped[s.ID] > 0 {
		m.stopped[s.ID]++
		m.job.Cancel(s.ID)
		m.message = "killing " + s.ID
		return nil
	}
	m.ask("x", "cancel and lose the work of "+s.ID, func() tea.Cmd {
		m.stopped[s.ID]++
		m.job.Cancel(s.ID)
		m.message = fmt.Sprintf("stopping %s and releasing its place on %s; x again kills it", s.ID, s.Node)
		return nil
	})
	return nil
}

// quit goes back to the home screen or leaves; what would lose work asks first.
func (m *model) quit() tea.Cmd {
	switch {
	case m.at == m.start && m.start != nil:
		m.at = m.from
		return nil
	case m.busy() && m.job.ours():
		if m.asked > 0 {
			m.leaving = true
			return nil
		}
		m.ask("q", "stop, leave and lose the work of "+names(m.run.Running()), func() tea.Cmd { return m.stop(true) })
		return nil
	case m.at == m.watch && m.home != nil:
		m.leave()
		m.at = m.home
		return m.home.load()
	}
	return tea.Quit
}

func (m *model) ask(key, text string, yes func() tea.Cmd) {
	m.confirm = &question{text: key + " or y: " + text + "; any other key: no", key: key, yes: yes}
}

func (m *model) press(msg tea.KeyPressMsg) tea.Cmd {
	key := msg.String()
	if key == "ctrl+c" {
		m.confirm = nil
		return m.stop(true)
	}
	if q := m.confirm; q != nil {
		m.confirm = nil
		if key == q.key || key == "y" || key == "enter" {
			return q.yes()
		}
		return nil
	}
	m.message = ""
	if m.overlay != nothing {
		return m.pressOverlay(msg)
	}
	if m.at.prompt(m.look(), m.w) == "" {
		if cmd, done := dispatch(msg, m.actions()); done {
			return cmd
		}
	}
	cmd, _ := m.at.press(msg)
	return tea.Batch(cmd, m.at.tick(m.look()))
}

// overlayActions are the keys while help or warnings are shown.
func (m *model) overlayActions() []action {
	return append(moves(func(d int) { m.scroll = max(0, min(m.scroll+d, far)) }, func() int { return m.h }),
		act("esc", "close", func() { m.overlay = nothing }, "esc", "q", "?", "W", "o", "enter"))
}

func (m *model) pressOverlay(msg tea.KeyPressMsg) tea.Cmd {
	cmd, _ := dispatch(msg, m.overlayActions())
	return cmd
}

// View implements tea.Model.
func (m *model) View() tea.View {
	if m.dirty {
		m.content = strings.Join(m.draw(), "\n")
		m.dirty, m.drawn = false, m.now()
	}
	v := tea.NewView(m.content)
	v.AltScreen = true
	if m.o.Mouse {
		v.MouseMode = tea.MouseModeCellMotion
	}
	v.WindowTitle = "reprise"
	if m.run.ID != "" {
		v.WindowTitle = fmt.Sprintf("reprise %s %s %d/%d", strings.Join(m.run.Start.Artifacts, ","), m.run.Start.Profile, m.run.Ended(), m.run.Total())
	}
	if m.busy() && m.run.Total() > 0 {
		state := tea.ProgressBarDefault
		if m.run.Count[Failed] > 0 {
			state = tea.ProgressBarError
		}
		v.ProgressBar = tea.NewProgressBar(state, 100*m.run.Ended()/m.run.Total())
	}
	return v
}

// draw makes the lines of the screen: at most h, none wider than w.
func (m *model) draw() []string {
	l := m.look()
	w, h := max(m.w, 1), max(m.h, 1)
	foot := 1
	if h < 3 {
		foot = 0
	}
	var body []string
	switch m.overlay {
	case nothing:
		body = m.at.view(l, w, h-foot)
	default:
		text, name := m.overlayText(l, w)
		m.scroll = max(0, min(m.scroll, len(text)-(h-foot-1)))
		body = append([]string{titleLine(l, name, "esc closes", true, w)}, window(text, m.scroll, h-foot-1)...)
	}
	lines := make([]string, 0, h)
	for _, line := range body[:min(len(body), h-foot)] {
		lines = append(lines, fit(line, w))
	}
	for len(lines) < h-foot {
		lines = append(lines, "")
	}
	if foot > 0 {
		lines = append(lines, fit(m.footer(l, w), w))
	}
	return lines
}

func (m *model) overlayText(l *look, w int) (text []string, name string) {
	switch m.overlay {
	case warningsOverlay:
		return m.watch.warnings(l, w), count(len(m.run.Warnings), "warning")
	case reportOverlay:
		return m.watch.report(w), "Report of run " + m.run.ID
	}
	groups := append(m.at.help(), helpGroup{"everywhere", m.actions()})
	return helpLines(groups, l.Theme, w), "Keys"
}

func (m *model) footer(l *look, w int) string {
	if m.confirm != nil {
		return l.Warn.Render("? " + m.confirm.text)
	}
	if p := m.at.prompt(l, w); p != "" && m.overlay == nothing {
		return p
	}
	if m.message != "" {
		return l.Strong.Render(m.message)
	}
	if m.overlay != nothing {
		return hints(m.overlayActions(), l.Theme, w)
	}
	// First the keys of the screen as a whole, then those of the focus.
	all := m.actions()
	all = slices.Concat(all[:2], all[min(4, len(all)):])
	for _, g := range m.at.help() {
		all = append(all, g.actions...)
	}
	return hints(slices.DeleteFunc(all, func(a action) bool {
		k := a.Help().Key
		return k == "g" || k == "G" || k == "shift-tab" || strings.HasPrefix(k, "ctrl-")
	}), l.Theme, w)
}

// The run view as a screen.

func (v *runView) prompt(l *look, w int) string {
	if f := v.typing(); f != nil {
		return f.prompt(l.Theme, w)
	}
	return ""
}

func (v *runView) help() []helpGroup {
	return []helpGroup{{"panes", v.actions()}, {strings.ToLower(v.focused().name()), v.focused().actions()}}
}

func (v *runView) tick(l *look) tea.Cmd { return v.sync(l) }

func (v *runView) take(msg tea.Msg) tea.Cmd {
	if t, is := msg.(logText); is {
		v.logs.take(t)
	}
	return nil
}
