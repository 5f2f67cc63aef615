package cmd

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"
)

var demo = flag.Bool("demo", false, "record the demonstration in docs/demo anew, from a run in a terminal")

// Size of the demonstration's terminal.
const demoWidth, demoHeight = 110, 32

// TestDemo records docs/demo: an asciinema cast of two experiments in the
// kick profile, from the first screen to the report, and screens of it as SVG. Everything in it comes from
// the program in a terminal, as it happens.
func TestDemo(t *testing.T) {
	if !*demo {
		t.Skip("go test ./cmd -run TestDemo -demo")
	}
	x := newTmux(t)
	x.run("resize-window", "-x", strconv.Itoa(demoWidth), "-y", strconv.Itoa(demoHeight))
	x.press("PS1='$ '; clear", "Enter")
	time.Sleep(time.Second)
	folder := filepath.Join("..", "docs", "demo")
	require.NoError(t, os.MkdirAll(folder, 0o755))
	cast := recordCast(t, x)
	shot := func(name string) {
		screen := x.run("capture-pane", "-p", "-e")
		require.NoError(t, os.WriteFile(filepath.Join(folder, name+".svg"), svg(screen, demoWidth, demoHeight), 0o644))
	}
	pause := func(seconds float64) { time.Sleep(time.Duration(seconds * float64(time.Second))) }

	x.press("reprise", "Enter")
	x.sees("1 Artifacts", "codesign")
	pause(2)
	shot("home")
	x.press("/", "w", "e", "a", "r", "Enter", "Enter")
	x.sees(`\d+ steps: \d+ run`)
	pause(1)
	// Two of its experiments: lifetime under wear leveling.
	x.press("g", "j", "Space", "j", "Space", "j", "Space", "j", "j", "j", "Space", "j", "Space")
	x.sees(`66 steps: \d+ run`)
	pause(2)
	x.press("s")
	x.within(time.Minute, "running", "[5-9]/[0-9]+ steps|[1-9][0-9]+/[0-9]+ steps")
	pause(1)
	x.press("5")
	x.sees("processor")
	pause(3)
	x.press("4", "1")
	require.NotContains(t, x.within(5*time.Minute, "finished (after|with)"), "with failures", "on a machine that does other work, try again")
	pause(1)
	// The erase counts along the blocks, by policy.
	x.press("/", "E", "4", "Enter", "g", "4")
	metric := func(title string) {
		for range 15 {
			if pause(0.4); strings.Contains(x.screen(), title) {
				return
			}
			x.press("j")
		}
		x.sees(title)
	}
	metric("wa_so_far by volume")
	pause(2)
	metric("erases along block")
	pause(2)
	shot("run")
	x.press("2", "j")
	pause(2)
	x.press("o")
	x.sees("Report of run")
	pause(2)
	shot("report")
	x.press("q", "q", "q")
	x.sees("Records: ")
	pause(1)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "reprise.cast"), cast(), 0o644))
}

// recordCast takes down what the terminal is sent, with its times, in the
// format of asciinema, version 2. The function that it gives ends it.
func recordCast(t *testing.T, x *tmux) func() []byte {
	pipe := filepath.Join(x.dir, "cast")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	var out bytes.Buffer
	var mu sync.Mutex
	head, err := json.Marshal(map[string]any{
		"version": 2, "width": demoWidth, "height": demoHeight, "timestamp": time.Now().Unix(), "idle_time_limit": 2,
		"title": "reprise: two experiments of wearlevel, kick profile, from the first screen to the verdicts", "env": map[string]string{"TERM": "xterm-256color"},
	})
	require.NoError(t, err)
	out.Write(append(head, '\n'))
	began := time.Now()
	go func() {
		f, err := os.Open(pipe)
		if err != nil {
			return
		}
		defer func() { _ = f.Close() }()
		data := make([]byte, 1<<16)
		var part []byte // of a character cut in two
		for {
			n, err := f.Read(data)
			if err != nil {
				return
			}
			whole := append(part, data[:n]...)
			cut := len(whole) - incomplete(whole)
			line, _ := json.Marshal([]any{float64(time.Since(began).Milliseconds()) / 1000, "o", string(whole[:cut])})
			part = bytes.Clone(whole[cut:])
			mu.Lock()
			out.Write(append(line, '\n'))
			mu.Unlock()
		}
	}()
	x.run("pipe-pane", "-O", "cat >"+pipe)
	return func() []byte {
		x.run("pipe-pane")
		mu.Lock()
		defer mu.Unlock()
		return bytes.Clone(out.Bytes())
	}
}

// incomplete is how many bytes at the end begin a character that they do not
// complete.
func incomplete(text []byte) int {
	for back := 1; back <= min(3, len(text)); back++ {
		b := text[len(text)-back]
		switch {
		case b < 0x80:
			return 0
		case b >= 0xf0 && back < 4, b >= 0xe0 && b < 0xf0 && back < 3, b >= 0xc0 && b < 0xe0 && back < 2:
			return back
		case b >= 0xc0:
			return 0
		}
	}
	return 0
}

// palette is the sixteen colours that a terminal might have.
var palette = []string{
	"#16181d", "#e06c75", "#98c379", "#d7ba7d", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4",
	"#7f848e", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#ffffff",
}

var sgr = regexp.MustCompile("\x1b\\[([0-9;]*)m")

// svg draws a screen as tmux captures it: text with colours.
func svg(screen string, w, h int) []byte {
	const cell, line, margin = 8.4, 18, 12
	var b bytes.Buffer
	width, height := float64(w)*cell+2*margin, h*line+2*margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" font-family="DejaVu Sans Mono,Menlo,Consolas,monospace" font-size="14" xml:space="preserve">`+"\n", width, height)
	fmt.Fprintf(&b, "<rect width=\"100%%\" height=\"100%%\" rx=\"6\" fill=\"%s\"/>\n", palette[0])
	type style struct {
		fill          string
		bold, reverse bool
	}
	plain := style{fill: palette[7]}
	now := plain
	for y, text := range strings.Split(strings.TrimRight(screen, "\n"), "\n") {
		x := 0
		base := margin + y*line + 14
		put := func(s string) {
			n := ansi.StringWidth(s)
			at, size := margin+float64(x)*cell, float64(n)*cell
			x += n
			fill := now.fill
			if now.reverse {
				fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`, at, base-14, size, line, fill)
				fill = palette[0]
			}
			// Blanks at the ends are places, not text: viewers drop them.
			lead := len(s) - len(strings.TrimLeft(s, " "))
			if s = strings.Trim(s, " "); s == "" {
				return
			}
			at, size = at+float64(lead)*cell, float64(ansi.StringWidth(s))*cell
			weight := ""
			if now.bold {
				weight = ` font-weight="bold"`
			}
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" textLength="%.1f" fill="%s"%s>%s</text>`, at, base, size, fill, weight, html.EscapeString(s))
		}
		for len(text) > 0 {
			at := sgr.FindStringSubmatchIndex(text)
			if at == nil {
				put(text)
				break
			}
			if at[0] > 0 {
				put(text[:at[0]])
			}
			for code := range strings.SplitSeq(text[at[2]:at[3]], ";") {
				switch n, _ := strconv.Atoi(code); {
				case n == 0:
					now = plain
				case n == 1:
					now.bold = true
				case n == 2:
					now.fill = palette[8]
				case n == 7:
					now.reverse = true
				case n == 27:
					now.reverse = false
				case n == 39:
					now.fill = palette[7]
				case n >= 30 && n <= 37:
					now.fill = palette[n-30]
				case n >= 90 && n <= 97:
					now.fill = palette[n-90+8]
				}
			}
			text = text[at[1]:]
		}
		b.WriteByte('\n')
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func TestSVG(t *testing.T) {
	got := string(svg("a \x1b[1;31m<b>\x1b[0m\n\x1b[7mc\x1b[0m", 10, 2))
	require.Contains(t, got, `fill="#e06c75" font-weight="bold">&lt;b&gt;</text>`)
	require.Contains(t, got, `height="18" fill="#c8ccd4"/>`)
	require.Equal(t, 2, incomplete([]byte("a\xe2\x96")))
	require.Zero(t, incomplete([]byte("a▶")))
	require.Equal(t, 1, incomplete([]byte("\xf0")))
}
