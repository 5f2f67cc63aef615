package tui

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"reprise/runner/store"
)

// A log is shown from its end: this many bytes of it.
const logBytes = 256 << 10

// logsPane shows what the selected step has written.
type logsPane struct {
	run    *Run
	step   *Step
	search filter
	follow bool
	wrap   bool
	read   func(path string, most int64) ([]byte, int64, error) // nil: from this machine's files
	stderr int                                                  // 0: whichever has something to say; 1 stdout, 2 stderr

	text   logText
	asked  time.Time
	lines  []string // as shown, wrapped
	made   string   // what lines were made from
	top    int
	page   int
	turn   int
	failed bool // the search found nothing further
}

// logText is the content of a log as it was read.
type logText struct {
	folder string
	stream string // file it came from
	size   int64
	cut    bool // there is more before it
	lines  []string
	err    error
}

func newLogs(run *Run) *logsPane { return &logsPane{run: run, follow: true, wrap: true} }

func (p *logsPane) name() string { return "Log" }

func (p *logsPane) find() *filter { return &p.search }

// show changes to another step.
func (p *logsPane) show(s *Step) {
	if s == p.step {
		return
	}
	p.step, p.text, p.top, p.follow, p.asked = s, logText{}, 0, true, time.Time{}
	p.turn++
}

// load reads the log if it may have grown since; it runs beside the UI.
func (p *logsPane) load(now time.Time) tea.Cmd {
	again := 300 * time.Millisecond
	read := store.ReadTail
	if p.read != nil {
		again, read = 3*time.Second, p.read // from another machine
	}
	s := p.step
	if s == nil || s.Log == "" {
		return nil
	}
	fresh := p.text.folder == s.Log && !p.asked.IsZero()
	if fresh && (s.State != Running || now.Sub(p.asked) < again) {
		return nil
	}
	p.asked = now
	p.text.folder = s.Log
	folder, want := s.Log, p.stderr
	if want == 0 && s.State == Failed {
		want = 2
	}
	return func() tea.Msg { return readLog(folder, want, read) }
}

func readLog(folder string, want int, read func(string, int64) ([]byte, int64, error)) logText {
	var names []string
	switch want {
	case 1:
		names = []string{store.StdoutFile}
	case 2:
		names = []string{store.StderrFile}
	default:
		names = []string{store.StdoutFile, store.StderrFile}
	}
	var t logText
	for _, name := range names {
		data, size, err := read(filepath.Join(folder, name), logBytes)
		t = logText{folder: folder, stream: name, size: size, err: err}
		t.lines, t.cut = logLines(data, size)
		if len(t.lines) > 0 {
			break
		}
	}
	return t
}

// logLines cuts the end of a log into lines that can be shown.
func logLines(data []byte, size int64) (lines []string, cut bool) {
	text := string(data)
	if cut = int64(len(data)) < size; cut {
		_, text, _ = strings.Cut(text, "\n")
	}
	if text == "" {
		return nil, cut
	}
	lines = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, line := range lines {
		const longest = 4096
		if len(line) > longest {
			line = line[:longest] + "…"
		}
		lines[i] = clean(line)
	}
	return lines, cut
}

// take shows a log that was read.
func (p *logsPane) take(t logText) {
	if p.step == nil || t.folder != p.step.Log {
		return
	}
	if t.err != nil && p.text.err == nil && p.text.stream != "" && p.step.State == Running {
		return // it is on its way to where results are kept
	}
	p.text = t
	p.turn++
}

func (p *logsPane) title(*look) string {
	if p.step == nil {
		return ""
	}
	parts := []string{}
	if p.text.stream != "" {
		parts = append(parts, strings.TrimSuffix(p.text.stream, ".log"))
	}
	if p.search.on() {
		found := "/" + p.search.text
		if p.failed {
			found += " not found"
		}
		parts = append(parts, found)
	}
	if p.follow && p.step.State == Running {
		parts = append(parts, "following")
	}
	if !p.wrap {
		parts = append(parts, "not wrapped")
	}
	return strings.Join(parts, " · ")
}

func (p *logsPane) actions() []action {
	return append(moves(p.scroll, func() int { return p.page }),
		act("f", "follow the end", func() { p.follow = !p.follow }, "f"),
		act("n", "next match", func() { p.seek(1) }, "n"),
		act("N", "match before", func() { p.seek(-1) }, "N"),
		act("w", "wrap long lines", func() { p.wrap = !p.wrap; p.turn++ }, "w"),
		act("s", "standard output or error", func() {
			p.stderr = p.stderr%2 + 1
			if p.text.stream == store.StdoutFile {
				p.stderr = 2
			}
			p.asked = time.Time{}
		}, "s"),
	)
}

func (p *logsPane) scroll(d int) {
	most := max(0, len(p.lines)-p.page)
	p.top = max(0, min(p.top+d, most))
	p.follow = p.top == most
}

// seek goes to the next line that holds the search text.
func (p *logsPane) seek(direction int) {
	p.failed = false
	if !p.search.on() {
		return
	}
	for i := p.top + direction; i >= 0 && i < len(p.lines); i += direction {
		if p.search.matches(p.lines[i]) {
			p.top, p.follow = i, false
			return
		}
	}
	p.failed = true
}

func (p *logsPane) view(l *look, _ bool, w, h int) []string {
	s := p.step
	if s == nil {
		return []string{l.Dim.Render(fit(" choose a step to see its log", w))}
	}
	var head []string
	glyph, style := l.state(s.State, l.spin)
	line := style.Render(glyph+" "+s.Word()) + " " + middle(printable(s.ID), max(w-20, 10))
	head = append(head, fit(line, w))
	about := printable(s.Reason)
	if s.Node != "" {
		about = "on " + s.Node + ": " + about
	}
	if s.MaxRSS > 0 {
		about += fmt.Sprintf("; %s, %s", took(s.Seconds), memory(s.MaxRSS))
	}
	if s.State == Running && s.Progress.Step != "" {
		about = Progress(s.Progress, s.Elapsed(l.now))
	}
	if s.Error != "" {
		for _, text := range paragraph(s.Error, w) {
			head = append(head, l.Bad.Render(text))
		}
	} else if about != "" {
		head = append(head, l.Dim.Render(fit(about, w)))
	}
	if len(head) > h/2+1 {
		head = head[:h/2+1]
	}
	p.page = h - len(head)
	p.fill(w)
	if len(p.lines) == 0 {
		return append(head, l.Dim.Render(fit(p.empty(), w)))
	}
	most := max(0, len(p.lines)-p.page)
	if p.follow || p.top > most {
		p.top = most
	}
	for _, text := range window(p.lines, p.top, p.page) {
		if p.search.on() && p.search.matches(text) {
			text = l.Accent.Render(text)
		}
		head = append(head, text)
	}
	return head
}

// empty says why there are no lines.
func (p *logsPane) empty() string {
	switch {
	case p.step.State == Waiting:
		return "nothing yet"
	case p.step.Log == "":
		return "no log was recorded"
	case errors.Is(p.text.err, fs.ErrNotExist):
		return "the log is not on this machine"
	case p.text.err != nil:
		return p.text.err.Error()
	case p.text.stream == "":
		return "reading"
	}
	return "it has written nothing to " + strings.TrimSuffix(p.text.stream, ".log")
}

// fill makes the lines that are shown.
func (p *logsPane) fill(w int) {
	made := fmt.Sprint(p.turn, w, p.step.State)
	if made == p.made {
		return
	}
	p.made = made
	p.lines = nil
	source := p.text.lines
	if len(source) == 0 && (p.text.err != nil || p.step.Log == "") {
		for _, line := range p.step.Tail {
			source = append(source, clean(line))
		}
	}
	if p.text.cut {
		p.lines = append(p.lines, "… earlier lines are in "+filepath.Join(p.text.folder, p.text.stream))
	}
	for _, line := range source {
		if !p.wrap {
			p.lines = append(p.lines, fit(line, w))
			continue
		}
		p.lines = append(p.lines, hardWrap(line, w)...)
	}
}
