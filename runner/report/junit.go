package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"reprise/checks"
	"reprise/runner/event"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Time     string       `xml:"time,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Name    string      `xml:"name,attr"`
	Class   string      `xml:"classname,attr"`
	Time    string      `xml:"time,attr"`
	Skipped *junitSaid  `xml:"skipped"`
	Error   *junitSaid  `xml:"error"`
	Failure *junitSaid  `xml:"failure"`
	Out     *junitCData `xml:"system-out"`
	Err     *junitCData `xml:"system-err"`
}

type junitSaid struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

type junitCData struct {
	Text string `xml:",chardata"`
}

// JUnit writes the run as JUnit XML. A suite is an experiment; its cases are
// its claims and, where one failed, its steps. A claim that the data contradict
// is a failure, one that could not be checked an error, as is a step that
// failed; one that could not be decided, or is not decided in this profile, is
// skipped, and the message says which. What was measured stands in the suite's
// properties: the schema has none in a case.
func JUnit(w io.Writer, r *Run) error {
	out := junitSuites{Name: "reprise run " + r.ID, Time: seconds(r.Ended.Sub(r.Started).Seconds())}
	for _, e := range r.Experiments() {
		s := junitSuite{Name: printable(joinNonEmpty(" ", e.Name(), e.Title)), Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05"), Properties: []junitProperty{
			{"run", r.ID}, {"profile", r.Start.Profile}, {"reprise", r.Start.Version},
		}}
		total := 0.0
		for _, step := range e.Steps {
			total += step.Seconds
			if c := junitStep(e, step); c != nil {
				s.Cases = append(s.Cases, *c)
				s.Errors++
			}
		}
		s.Time = seconds(total)
		for _, c := range e.Claims {
			jc := junitCase{Name: printable(c.Claim + " " + strings.TrimSpace(c.Statement)), Class: c.Experiment.Name(), Time: "0"}
			said := &junitSaid{Type: string(c.Outcome), Message: printable(c.Reason), Text: printable(details(c))}
			switch c.Outcome {
			case checks.Reproduced:
				jc.Out = &junitCData{said.Text}
			case checks.NotReproduced, checks.Partial:
				jc.Failure = said
				s.Failures++
			case checks.Error:
				jc.Error = said
				s.Errors++
			default:
				if c.Outcome == "" {
					said.Type, said.Message = "no verdict", "the run ended before it was decided"
				}
				said.Message = printable(joinNonEmpty(": ", said.Type, said.Message))
				jc.Skipped = said
				s.Skipped++
			}
			s.Cases = append(s.Cases, jc)
			s.Properties = append(s.Properties, metricsOf(c)...)
		}
		s.Tests = len(s.Cases)
		out.Tests, out.Failures, out.Errors = out.Tests+s.Tests, out.Failures+s.Failures, out.Errors+s.Errors
		out.Suites = append(out.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// junitStep is the case of a step that did not come to its end; nil for others.
func junitStep(e *Experiment, s *Step) *junitCase {
	said := &junitSaid{Message: printable(s.Error), Text: printable(strings.Join(s.Tail, "\n"))}
	switch s.State {
	case string(event.Failed):
		said.Type = string(s.Class) + " failure"
	case string(event.Cancelled):
		said.Type, said.Message = "cancelled", "stopped before its end"
	case running:
		said.Type, said.Message = "no end", "was running when the record ends"
	default:
		return nil
	}
	return &junitCase{Name: printable("step " + s.ID), Class: e.Name(), Time: seconds(s.Seconds), Error: said}
}

// details are a claim's checks, one a line.
func details(c *Claim) string {
	var lines []string
	for _, r := range c.Results {
		lines = append(lines, verdictWord(r.Outcome)+": "+r.String())
		for _, w := range r.Warnings {
			lines = append(lines, "  warning: "+w)
		}
		if r.Needs != "" {
			lines = append(lines, "  needs "+r.Needs)
		}
	}
	return strings.Join(lines, "\n")
}

// metricsOf are a claim's numbers as properties: C1.1.value, C1.1.low, ….
func metricsOf(c *Claim) []junitProperty {
	var out []junitProperty
	for i, r := range c.Results {
		if r.Value == nil {
			continue
		}
		name := fmt.Sprintf("%s.%d", c.Claim, i+1)
		number := func(what string, v *float64) {
			if v != nil {
				out = append(out, junitProperty{name + "." + what, strconv.FormatFloat(*v, 'g', -1, 64)})
			}
		}
		out = append(out, junitProperty{name + ".metric", printable(joinNonEmpty(" ", r.Metric, r.Subject))})
		number("value", r.Value)
		if r.Interval != nil {
			number("ci_low", &r.Interval.Low)
			number("ci_high", &r.Interval.High)
		}
		number("lower", r.Lower)
		number("upper", r.Upper)
		out = append(out, junitProperty{name + ".unit", printable(r.Unit)}, junitProperty{name + ".n", strconv.Itoa(r.N)})
	}
	return out
}

func seconds(s float64) string {
	return strconv.FormatFloat(time.Duration(s*float64(time.Second)).Seconds(), 'f', 3, 64)
}

// printable drops what XML 1.0 and terminals cannot hold.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, text)
}
