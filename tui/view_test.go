package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/exp/golden"
	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/runner/event"
	"reprise/runner/node"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// still are options under which views depend on nothing but the events.
func still(theme string) Options {
	return Options{Now: func() time.Time { return noon }, Theme: theme, Still: true}
}

// watching is a model that has seen events, at a size.
func watching(t testing.TB, o Options, events []event.Event, w, h int) *model {
	m, err := newModel(o)
	require.NoError(t, err)
	m.at = m.watch
	m.Update(tea.WindowSizeMsg{Width: w, Height: h})
	for _, e := range events {
		m.feed.push(e)
	}
	m.intake()
	settle(m)
	return m
}

// settle runs what the screen wants done beside the UI.
func settle(m *model) {
	if cmd := m.at.tick(m.look()); cmd != nil {
		m.Update(cmd())
	}
}

// keystroke is the message of a key by its name.
func keystroke(name string) tea.KeyPressMsg {
	switch name {
	case "enter":
		return tea.KeyPressMsg{Code: tea.KeyEnter}
	case "esc":
		return tea.KeyPressMsg{Code: tea.KeyEscape}
	case "tab":
		return tea.KeyPressMsg{Code: tea.KeyTab}
	case "space":
		return tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
	case "down", "up", "left", "right":
		return tea.KeyPressMsg{Code: map[string]rune{"down": tea.KeyDown, "up": tea.KeyUp, "left": tea.KeyLeft, "right": tea.KeyRight}[name]}
	case "ctrl+c", "ctrl+d", "ctrl+u":
		return tea.KeyPressMsg{Code: rune(name[5]), Mod: tea.ModCtrl}
	}
	return tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
}

func press(m *model, keys ...string) {
	for _, k := range keys {
		m.Update(keystroke(k))
	}
	settle(m)
}

// screenOf is the screen as text without colours.
func screenOf(m *model) string {
	m.dirty = true
	return ansi.Strip(m.View().Content)
}

// fits fails the test if the screen does not fit, or holds what a terminal
// would obey.
func fits(t *testing.T, m *model) {
	t.Helper()
	m.dirty = true
	lines := strings.Split(m.View().Content, "\n")
	if len(lines) > m.h {
		t.Fatalf("%d×%d: %d lines", m.w, m.h, len(lines))
	}
	for i, line := range lines {
		if n := ansi.StringWidth(line); n > m.w {
			t.Fatalf("%d×%d: line %d is %d wide: %q", m.w, m.h, i, n, line)
		}
		if at := strings.IndexFunc(ansi.Strip(line), unicode.IsControl); at >= 0 {
			t.Fatalf("%d×%d: line %d holds a control character: %q", m.w, m.h, i, line)
		}
	}
}

// played is a job that shows recorded events at once.
func played(events []event.Event) *Job {
	return &Job{Title: "replaying", Run: func(_ context.Context, show event.Subscriber) error {
		for _, e := range events {
			show(e)
		}
		return nil
	}}
}

// demoHome is a home screen over the demo manifests and the recorded runs.
func demoHome(t testing.TB) *Home {
	h := &Home{Form: Form{
		Platforms: func() []Platform {
			return []Platform{
				{On: "local", Name: "this machine", State: "here", About: "AMD EPYC, 2 cores, 8 GiB, linux 6.1"},
				{On: "chameleon:storage", Name: "verdicts:storage", State: "not leased", About: "1 × storage_nvme at CHI@UC\n6.2 h, 6.25 SU", Artifact: "verdicts"},
			}
		},
		Start: func(Choice) (*Job, error) {
			j := played(stream(t, "verdicts"))
			j.Kill = func() {}
			return j, nil
		},
		Plan: func(c Choice) (*Preview, error) {
			if bad, given := c.Params["seed"]; given && bad == "x" {
				return nil, errors.New(`experiment E1: parameter "seed" takes a whole number such as 5, 50k or 1M, not "x"`)
			}
			p := &Preview{Compute: time.Minute, HumanMinutes: 1, On: "local", Steps: []PlannedStep{
				{ID: "verdicts/E1/policy=lru,seed=1", Why: "first run"},
				{ID: "verdicts/E1/policy=lru,seed=2", Reused: true, Why: "from run 20260102-120000"},
			}}
			if c.On == "chameleon:storage" {
				p.Cost = "lease: 1 × storage_nvme at CHI@UC for 6.25 h: 6.25 SU"
			}
			return p, nil
		},
	},
		Open: func(*Recorded) *Job { return played(stream(t, "failures")) },
		Runs: func() ([]*Recorded, error) {
			var runs []*Recorded
			for _, name := range streams {
				r, err := ReadRecorded("testdata/" + name + ".jsonl")
				if err != nil {
					return nil, err
				}
				r.ID, r.Started = "20260102-12000"+fmt.Sprint(len(runs)), noon
				runs = append(runs, r)
			}
			return runs, nil
		},
	}
	for _, name := range streams {
		m, findings, err := artifacts.LoadFile("testdata/demo/" + name + ".yaml")
		require.NoError(t, err)
		require.NoError(t, findings.Err())
		h.Artifacts = append(h.Artifacts, m)
	}
	return h
}

// atHome is a model at the home screen.
func atHome(t testing.TB, theme string, w, h int) *model {
	o := still(theme)
	o.Home = demoHome(t)
	m, err := newModel(o)
	require.NoError(t, err)
	m.Update(tea.WindowSizeMsg{Width: w, Height: h})
	run(m, m.home.load())
	return m
}

// run does what a command asks for, and what comes of that.
func run(m *model, cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	msg := cmd()
	if batch, is := msg.(tea.BatchMsg); is {
		for _, cmd := range batch {
			run(m, cmd)
		}
		return
	}
	_, next := m.Update(msg)
	run(m, next)
}

// planning is a model at the form that chooses a run.
func planning(t testing.TB, theme string, w, h int) *model {
	m := atHome(t, theme, w, h)
	_, cmd := m.Update(keystroke("enter"))
	run(m, cmd)
	return m
}

// TestEverythingFits takes a walk of random keys and sizes over all screens at
// many states of the recorded runs.
func TestEverythingFits(t *testing.T) {
	const states = 8
	var models []*model
	for _, name := range streams {
		events := stream(t, name)
		for i := range states {
			models = append(models, watching(t, still(ThemeNames()[i%5]), events[:i*len(events)/(states-1)], 80, 24))
		}
	}
	models = append(models, atHome(t, "default", 80, 24), planning(t, "mono", 80, 24))
	keys := []string{"1", "2", "3", "4", "tab", "z", "?", "esc", "j", "k", "g", "G", "ctrl+d", "ctrl+u", "f", "F", "w", "n", "N", "v", "s", "]",
		"/", "a", "!", "~", "enter", "space", "x", "T", "W", "left", "right", "h"}
	rng := rand.New(rand.NewPCG(6, 6))
	at := 0
	for w := 1; w <= 200; w++ {
		// Every height at the widths where the layout changes, every third
		// elsewhere.
		stride := 3
		if w <= 44 || w >= 76 && w <= 84 || w >= 156 && w <= 164 {
			stride = 1
		}
		for h := 1 + rng.IntN(stride); h <= 60; h += stride {
			m := models[at%len(models)]
			at++
			m.Update(tea.WindowSizeMsg{Width: w, Height: h})
			m.Update(keystroke(keys[rng.IntN(len(keys))]))
			settle(m)
			fits(t, m)
		}
	}
	t.Logf("%d screens", at)
}

// TestEveryStateFits goes through every event of every recorded run at the
// usual sizes.
func TestEveryStateFits(t *testing.T) {
	for _, name := range streams {
		events := stream(t, name)
		for i, size := range [][2]int{{120, 40}, {80, 24}, {40, 10}, {200, 60}} {
			m := watching(t, still("default"), nil, size[0], size[1])
			for n, e := range events {
				m.feed.push(e)
				m.intake()
				if _, plenty := e.Payload.(event.Observed); plenty && n%8 != i {
					continue
				}
				settle(m)
				press(m, fmt.Sprint(1+(n+i)%4))
				fits(t, m)
			}
		}
	}
}

var sizes = [][2]int{{120, 40}, {80, 24}, {40, 10}}

// screens are all screens, each as a model at a size.
func screens(t testing.TB, theme string) map[string]func(w, h int) *model {
	watched := func(name string, share float64, keys ...string) func(w, h int) *model {
		return func(w, h int) *model {
			events := stream(t, name)
			m := watching(t, still(theme), events[:int(share*float64(len(events)))], w, h)
			for _, k := range keys {
				press(m, k)
			}
			return m
		}
	}
	home := func(keys ...string) func(w, h int) *model {
		return func(w, h int) *model {
			m := atHome(t, theme, w, h)
			press(m, keys...)
			return m
		}
	}
	return map[string]func(w, h int) *model{
		"running":        watched("verdicts", 0.3),
		"finished":       watched("verdicts", 1),
		"failed":         watched("failures", 1, "F"),
		"interrupted":    watched("interrupted", 1),
		"claims":         watched("verdicts", 1, "2", "j", "j"),
		"log":            watched("failures", 1, "F", "3"),
		"chart":          watched("verdicts", 1, "4"),
		"bars":           watched("verdicts", 1, "4", "v", "v"),
		"heat":           watched("verdicts", 1, "G", "k", "4"),
		"filter":         watched("verdicts", 1, "/", "l", "r", "u"),
		"help":           watched("verdicts", 1, "?"),
		"report":         watched("verdicts", 1, "o"),
		"home":           home(),
		"home-runs":      home("tab"),
		"home-platforms": home("3", "j"),
		"start":          func(w, h int) *model { return planning(t, theme, w, h) },
		"nodes": func(w, h int) *model {
			m := watching(t, still(theme), busyNodes(), w, h)
			press(m, "5")
			return m
		},
	}
}

// busyNodes is a run that is held, on two leased nodes of which one is busy.
func busyNodes() []event.Event {
	var events []event.Event
	log := event.NewLog("20260102-115500", io.Discard, func() time.Time { return noon }, func(e event.Event) { events = append(events, e) })
	machine := node.Machine{OS: "linux", Arch: "amd64", Kernel: "6.1.0", CPU: "AMD EPYC", Cores: 24, Memory: 128 << 30}
	log.Emit(event.RunStarted{
		Artifacts: []string{"demo"}, Profile: "paper", Steps: 2,
		Nodes: []event.Node{{Name: "node0", Machine: machine}, {Name: "node1", Machine: machine}},
	})
	log.Emit(event.Planned{Experiments: []event.PlannedExperiment{{Artifact: "demo", Experiment: "E1", Title: "waits", Steps: []string{"demo/E1/a", "demo/E1/b"}}}})
	log.Emit(event.Leased{Name: "reprise-demo", Site: "CHI@UC", Nodes: 2, Starts: noon.Add(-time.Hour), Ends: noon.Add(10 * time.Minute), PerHour: 1, Unit: "SU"})
	log.Emit(event.StepStarted{Step: "demo/E1/a", Node: "node0", Reason: "first run"})
	for i := range 30 {
		log.Emit(event.NodeLoad{Node: "node0", CPU: float64(i) / 30, MemoryUsed: 40 << 30, MemoryTotal: 128 << 30, Load1: 40})
	}
	log.Emit(event.Held{On: true, Why: "demo/E0 has ended"})
	return events
}

// TestScreens compares every screen at three sizes with what it looked like
// when somebody last looked (-update).
func TestScreens(t *testing.T) {
	for name, build := range screens(t, "default") {
		for _, size := range sizes {
			t.Run(fmt.Sprintf("%s-%dx%d", name, size[0], size[1]), func(t *testing.T) {
				m := build(size[0], size[1])
				fits(t, m)
				golden.RequireEqual(t, []byte(trimmed(screenOf(m))))
			})
		}
	}
}

// TestScreensInEveryTheme compares how every screen is styled, in every theme
// at the three sizes: a line for each line of the screen, with the style codes
// and how many columns each holds for. The text is that of TestScreens.
func TestScreensInEveryTheme(t *testing.T) {
	for name, build := range screens(t, "default") {
		t.Run(name, func(t *testing.T) {
			var got strings.Builder
			for _, size := range sizes {
				plain := screenOf(build(size[0], size[1]))
				for _, theme := range ThemeNames() {
					m := screens(t, theme)[name](size[0], size[1])
					fits(t, m)
					require.Equal(t, plain, screenOf(m), "colour is never the only signal: %s", theme)
					fmt.Fprintf(&got, "== %s %dx%d\n", theme, size[0], size[1])
					got.WriteString(styles(m.View().Content))
				}
			}
			golden.RequireEqual(t, []byte(got.String()))
		})
	}
}

// styles tells of each line of a screen the columns and the codes of its
// styles: "2 1;36m 9 m" is two plain columns, nine bold cyan ones. Lines that
// are alike are counted.
func styles(screen string) string {
	var out strings.Builder
	last, times := "", 0
	flush := func() {
		if times > 1 {
			fmt.Fprintf(&out, "%d× ", times)
		}
		if times > 0 {
			out.WriteString(last + "\n")
		}
	}
	for line := range strings.SplitSeq(screen, "\n") {
		var parts []string
		for line != "" {
			text, rest, _ := strings.Cut(line, "\x1b[")
			if n := ansi.StringWidth(text); n > 0 {
				parts = append(parts, fmt.Sprint(n))
			}
			code, after, styled := strings.Cut(rest, "m")
			if styled {
				parts = append(parts, code+"m")
			}
			line = after
		}
		if now := strings.Join(parts, " "); now == last {
			times++
		} else {
			flush()
			last, times = now, 1
		}
	}
	flush()
	return out.String()
}

// trimmed drops the blanks at the ends of lines.
func trimmed(screen string) string {
	lines := strings.Split(screen, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// TestColourIsNeverTheOnlySignal says that themes differ in colours alone: the
// text of the screen is the same in all of them.
func TestColourIsNeverTheOnlySignal(t *testing.T) {
	var first string
	for _, theme := range ThemeNames() {
		m := watching(t, still(theme), stream(t, "verdicts"), 120, 40)
		if text := screenOf(m); first == "" {
			first = text
		} else {
			require.Equal(t, first, text, theme)
		}
	}
	for _, word := range []string{"reproduced", "not-reproduced", "partial", "done"} {
		require.Contains(t, first, word)
	}
	_, err := NewTheme("nope")
	require.ErrorContains(t, err, "high-contrast")
	m := watching(t, still("mono"), stream(t, "verdicts"), 120, 40)
	m.dirty = true
	require.NotRegexp(t, `\x1b\[[0-9;]*(3|4|9|10)[0-7](;|m)`, m.View().Content, "mono has no colours")
}
