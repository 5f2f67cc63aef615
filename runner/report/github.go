package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"reprise/checks"
)

// GitHub shows at most so many annotations of a kind for a step, and cuts a
// job's summary at so many bytes.
const (
	mostAnnotations = 10
	mostSummary     = 1 << 20
)

// GitHub writes annotations for GitHub Actions: an error for every claim that
// is contradicted or could not be checked and for every failed step, a warning
// for one in part reproduced or undecided, a notice with what came of the run.
// Where there are more than GitHub shows, the last says how many are left out.
func GitHub(w io.Writer, r *Run) error {
	kinds := map[string][]string{}
	add := func(kind, title, text string) {
		kinds[kind] = append(kinds[kind], fmt.Sprintf("::%s title=%s::%s\n", kind, property(title), data(text)))
	}
	for _, s := range r.Failed() {
		v := trouble(s)
		add("error", s.ID+" "+v.State.Word, joinNonEmpty("\n", joinNonEmpty(": ", v.About, v.Error), strings.Join(v.Tail, "\n")))
	}
	for _, a := range r.Artifacts {
		for _, c := range a.Claims() {
			kind := ""
			switch c.Outcome {
			case checks.NotReproduced, checks.Error:
				kind = "error"
			case checks.Partial, checks.Inconclusive, "":
				kind = "warning"
			default:
				continue
			}
			add(kind, c.Name()+" "+verdictWord(c.Outcome), joinNonEmpty("\n", c.Statement, c.Reason))
		}
	}
	add("notice", "reprise run "+r.ID, r.Headline()+" "+counted(r.Tally()))
	for _, kind := range []string{"error", "warning", "notice"} {
		list := kinds[kind]
		if more := len(list) - (mostAnnotations - 1); len(list) > mostAnnotations {
			list = append(list[:mostAnnotations-1:mostAnnotations-1], fmt.Sprintf("::%s title=%s::%s\n", kind, property(fmt.Sprintf("and %d more", more)), "the job summary has all of them"))
		}
		for _, line := range list {
			if _, err := io.WriteString(w, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// Summary is the run for GitHub's job summary: Markdown within its limit.
func Summary(r *Run) string {
	text := markdown(r)
	if len(text) <= mostSummary {
		return text
	}
	const note = "\n\n*The rest is left out: GitHub takes 1 MiB at most.*\n"
	text = text[:mostSummary-len(note)]
	if i := strings.LastIndexByte(text, '\n'); i > 0 {
		text = text[:i]
	}
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text + note
}

// data and property escape what would end a workflow command.
func data(text string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(printable(text))
}

func property(text string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(data(text))
}
