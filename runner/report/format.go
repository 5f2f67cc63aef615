package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Format is a way to write a run.
type Format struct {
	Name  string
	About string
	Write func(io.Writer, *Run) error
}

// Formats lists the ways to write a run to a file. The terminal's table is
// made by who knows the terminal.
var Formats = []Format{
	{"html", "one page for people, no network needed", HTML},
	{"markdown", "a page for repositories and issues", Markdown},
	{"junit", "JUnit XML: an experiment is a suite, a claim a case", JUnit},
	{"github", "annotations for GitHub Actions", GitHub},
	{"bench", "Go benchmark lines, for benchstat", Bench},
	{"openmetrics", "OpenMetrics text, for a node exporter's folder", OpenMetrics},
	{"json", "everything, for programs", JSON},
}

// FindFormat finds a format by its name.
func FindFormat(name string) (Format, error) {
	at := slices.IndexFunc(Formats, func(f Format) bool { return f.Name == name })
	if at < 0 {
		var names []string
		for _, f := range Formats {
			names = append(names, f.Name)
		}
		return Format{}, fmt.Errorf("no format %q; there are table, %s", name, strings.Join(names, ", "))
	}
	return Formats[at], nil
}

// JSON writes everything that the other formats are made of.
func JSON(w io.Writer, r *Run) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(r)
}
