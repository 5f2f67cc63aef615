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
	Job   *Job   // shown at first; nil: the home screen
	Home  *Home  // nil: leaving the run leaves the UI
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
	// Cancel stops one running step; nil where that cannot be done.
	Cancel func(step string) bool
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

	job     *Job
	active  *underway // the job while it runs
	last    *underway // the job that ran last
	asked   int       // times the run was asked to stop
	leaving bool      // quit once the job has ended

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
	m.feed.take(nil)
	m.run = NewRun()
	m.watch = newRunView(m.run)
	m.watch.job = job.Title
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
		m.message = "the run has ended; look round, q leaves"
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
		m.message = "stopping " + names(m.run.Running()) + "; ctrl-c again kills"
	case 2:
		m.job.Kill()
		m.message = "killed " + names(m.run.Running())
	default:
		return tea.Quit
	}
	return nil
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
	if m.busy() && m.job.ours() {
		all = append(all, on("c", "cancel the run", m.cancelRun, "c"))
		if s := m.watch.tree.selected().step; m.job.Cancel != nil && s != nil && s.State == Running {
			all = append(all, on("x", "cancel the step", m.cancelStep, "x"))
		}
	}
	if !m.busy() && m.job != nil && m.job.ours() {
		all = append(all, on("r", "run again, reusing what is done", func() tea.Cmd { return m.begin(m.job) }, "r"))
	}
	if len(m.run.Warnings) > 0 {
		all = append(all, act("W", "warnings", func() { m.overlay, m.scroll = warningsOverlay, 0 }, "W"))
	}
	if m.job != nil && m.job.Command != "" {
		all = append(all, on("y", "copy its command", func() tea.Cmd {
			m.message = "copied: " + m.job.Command
			return tea.SetClipboard(m.job.Command)
		}, "y"))
	}
	return all
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
	m.ask("x", "cancel and lose the work of "+s.ID, func() tea.Cmd {
		m.job.Cancel(s.ID)
		m.message = "stopping " + s.ID
		return nil
	})
	return nil
}

// quit goes back to the home screen or leaves; what would lose work asks first.
func (m *model) quit() tea.Cmd {
	switch {
	case m.at != m.watch && m.at != m.home && m.home != nil:
		m.at = m.home
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
		act("esc", "close", func() { m.overlay = nothing }, "esc", "q", "?", "W", "enter"))
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
	if m.overlay == warningsOverlay {
		return m.watch.warnings(l, w), fmt.Sprintf("%d warnings", len(m.run.Warnings))
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
	return hints(slices.DeleteFunc(all, func(a action) bool { k := a.Help().Key; return k == "g" || k == "G" || strings.HasPrefix(k, "ctrl-") }), l.Theme, w)
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
