package tui

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// fit makes s exactly w columns wide.
func fit(s string, w int) string {
	if w <= 0 {
		return ""
	}
	n := ansi.StringWidth(s)
	if n > w {
		s = ansi.Truncate(s, w, "…")
		n = ansi.StringWidth(s)
	}
	return s + strings.Repeat(" ", w-n)
}

// middle shortens s to w columns by leaving out its middle: names differ at
// their ends.
func middle(s string, w int) string {
	n := ansi.StringWidth(s)
	switch {
	case n <= w:
		return s
	case w < 4:
		return ansi.Truncate(s, max(w, 0), "")
	}
	head := (w - 1) / 3
	return ansi.Truncate(s, head, "") + ansi.TruncateLeft(s, n-(w-1-head), "…")
}

// row sets left and right at the ends of w columns; left gives way.
func row(left, right string, w int) string {
	r := ansi.StringWidth(right)
	if r+2 > w {
		return fit(left, w)
	}
	if r == 0 {
		return fit(left, w)
	}
	return fit(left, w-r-1) + " " + right
}

// clean makes text of foreign programs fit for the screen: no escape codes, no
// control characters, tabs as blanks, of a rewritten line its last state.
func clean(s string) string {
	s = strings.TrimRight(s, "\r\n")
	if i := strings.LastIndexByte(s, '\r'); i >= 0 {
		s = s[i+1:]
	}
	return printable(strings.ReplaceAll(ansi.Strip(s), "\t", "    "))
}

// paragraph breaks text at blanks into lines of at most w columns.
func paragraph(text string, w int) []string {
	if w < 1 {
		return nil
	}
	words := strings.Join(strings.Fields(printable(text)), " ")
	// A hyphen is a place to break at, but not one that is a number's sign.
	wrapped := ansi.Wrap(sign.ReplaceAllString(words, "${1}\u2011$2"), w, " ")
	return strings.Split(strings.ReplaceAll(wrapped, "\u2011", "-"), "\n")
}

var sign = regexp.MustCompile(`(^|[ (\[])-(\d)`)

// clock writes a time that passes: 3 s, 1:05, 2:00:00.
func clock(d time.Duration) string {
	s := int(d.Seconds())
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// count writes a number of things: 1 warning, 2 warnings.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// took writes a time that has passed: 0.3 s, 12.0 s, 1:05.
func took(seconds float64) string {
	if seconds < 60 {
		return fmt.Sprintf("%.1f s", seconds)
	}
	return clock(time.Duration(seconds * float64(time.Second)))
}

// meter is a bar of w characters, filled by a share from 0 to 1.
func meter(share float64, w int) (full, rest string) {
	n := max(0, min(w, int(share*float64(w)+0.5)))
	return strings.Repeat("━", n), strings.Repeat("─", w-n)
}

// window cuts lines to those from top on that fit h.
func window(lines []string, top, h int) []string {
	top = max(0, min(top, len(lines)-1))
	if len(lines) == 0 {
		return nil
	}
	return lines[top:min(len(lines), top+max(h, 0))]
}

// hardWrap cuts a line into pieces of w columns.
func hardWrap(line string, w int) []string {
	if w < 2 || len(line) <= w || ansi.StringWidth(line) <= w {
		return []string{line}
	}
	return strings.Split(ansi.Hardwrap(line, w, true), "\n")
}
