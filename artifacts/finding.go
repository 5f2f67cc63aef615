package artifacts

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// Severity says whether a finding makes a manifest unusable.
type Severity string

// An error must be mended before anything runs; a warning need not.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Finding is one thing wrong with a manifest and where it is.
type Finding struct {
	File     string   `json:"file"`
	Line     int      `json:"line"` // from 1
	Col      int      `json:"col"`  // from 1, in characters
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	// Suggestion is how to mend it, as a phrase: `did you mean "policy"?`.
	Suggestion string `json:"suggestion,omitempty"`
	// Excerpt is the source line and, under it, a caret at Col.
	Excerpt string `json:"excerpt,omitempty"`
}

// Finding is an error at the value of a path, such as
// experiments.E1.run[0].secrets[0], or at what encloses it.
func (m *Manifest) Finding(path, message, suggestion string) Finding {
	d := decoder{file: m.File, lines: lineBreak.Split(string(m.Text), -1), values: m.places, bad: map[string]bool{}, inside: map[string]bool{}}
	d.errorf(path, suggestion, "%s", message)
	return d.findings[0]
}

// String is the finding on one line, without its excerpt.
func (f Finding) String() string {
	s := fmt.Sprintf("%s:%d:%d: %s: %s", f.File, f.Line, f.Col, f.Severity, f.Message)
	if f.Suggestion != "" {
		s += "; " + f.Suggestion
	}
	return s
}

// Findings are all findings of one load, in the order of their positions.
type Findings []Finding

// Errors leaves the warnings out.
func (fs Findings) Errors() Findings {
	var errs Findings
	for _, f := range fs {
		if f.Severity == SeverityError {
			errs = append(errs, f)
		}
	}
	return errs
}

// Err is nil when no finding is an error; otherwise it lists those that are.
func (fs Findings) Err() error {
	var errs []error
	for _, f := range fs.Errors() {
		errs = append(errs, errors.New(f.String()))
	}
	return errors.Join(errs...)
}

// Print writes every finding with its excerpt and suggestion.
func (fs Findings) Print(w io.Writer) error {
	var b strings.Builder
	for _, f := range fs {
		fmt.Fprintf(&b, "%s:%d:%d: %s: %s\n", f.File, f.Line, f.Col, f.Severity, f.Message)
		for line := range strings.Lines(f.Excerpt) {
			fmt.Fprintf(&b, "    %s", line)
		}
		if f.Excerpt != "" {
			b.WriteByte('\n')
		}
		if f.Suggestion != "" {
			fmt.Fprintf(&b, "    %s\n", f.Suggestion)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// maxFindings bounds a report; a file with more mistakes is not a manifest.
const maxFindings = 200

// sorted orders findings by position, and drops repetitions and the warnings
// about a place that has an error.
func (fs Findings) sorted() Findings {
	type place struct{ line, col int }
	wrong := map[place]bool{}
	for _, f := range fs.Errors() {
		wrong[place{f.Line, f.Col}] = true
	}
	fs = slices.DeleteFunc(fs, func(f Finding) bool {
		return f.Severity == SeverityWarning && wrong[place{f.Line, f.Col}]
	})
	slices.SortFunc(fs, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col),
			cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Message, b.Message),
			cmp.Compare(a.Suggestion, b.Suggestion))
	})
	return slices.Compact(fs)
}

// excerptWidth is the most characters of a source line that an excerpt shows.
const excerptWidth = 100

// excerpt renders line with a caret under column col. Control characters are
// replaced, so that a hostile manifest cannot drive the terminal.
func excerpt(line string, col int) string {
	runes := []rune(strings.TrimRight(line, " \t\r\n"))
	if len(runes) == 0 {
		return ""
	}
	at := min(max(col-1, 0), len(runes))
	from := 0
	if len(runes) > excerptWidth && at > excerptWidth/2 {
		from = min(at-excerptWidth/2, len(runes)-excerptWidth)
	}
	shown := runes[from:min(len(runes), from+excerptWidth)]
	pad := make([]rune, 0, at-from)
	out := make([]rune, 0, len(shown))
	for i, r := range shown {
		space := ' '
		if r == '\t' {
			space = '\t'
		} else if !unicode.IsPrint(r) {
			r = unicode.ReplacementChar
		}
		if i < at-from {
			pad = append(pad, space)
		}
		out = append(out, r)
	}
	return string(out) + "\n" + string(pad) + "^"
}
