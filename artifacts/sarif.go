package artifacts

import (
	"encoding/json"
	"path/filepath"
	"strings"
)

// SARIF is the findings in the Static Analysis Results Interchange Format,
// version 2.1.0 (OASIS, 2020), for code scanning and editors.
func (fs Findings) SARIF(version string) ([]byte, error) {
	type text struct {
		Text string `json:"text"`
	}
	type region struct {
		StartLine   int   `json:"startLine"`
		StartColumn int   `json:"startColumn"`
		Snippet     *text `json:"snippet,omitempty"`
	}
	type artifactLocation struct {
		URI string `json:"uri"`
	}
	type physicalLocation struct {
		ArtifactLocation artifactLocation `json:"artifactLocation"`
		Region           region           `json:"region"`
	}
	type location struct {
		PhysicalLocation physicalLocation `json:"physicalLocation"`
	}
	type result struct {
		RuleID    string     `json:"ruleId"`
		Level     Severity   `json:"level"`
		Message   text       `json:"message"`
		Locations []location `json:"locations"`
	}
	type rule struct {
		ID               string `json:"id"`
		ShortDescription text   `json:"shortDescription"`
	}
	type driver struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Rules   []rule `json:"rules"`
	}
	type tool struct {
		Driver driver `json:"driver"`
	}
	type run struct {
		Tool       tool     `json:"tool"`
		ColumnKind string   `json:"columnKind"`
		Results    []result `json:"results"`
	}
	type log struct {
		Schema  string `json:"$schema"`
		Version string `json:"version"`
		Runs    []run  `json:"runs"`
	}
	const id = "manifest"
	results := []result{}
	for _, f := range fs {
		r := result{RuleID: id, Level: f.Severity, Message: text{f.Message}}
		if f.Suggestion != "" {
			r.Message.Text += "; " + f.Suggestion
		}
		at := region{StartLine: max(f.Line, 1), StartColumn: max(f.Col, 1)}
		if f.Excerpt != "" {
			line, _, _ := strings.Cut(f.Excerpt, "\n") // without the caret
			at.Snippet = &text{line}
		}
		r.Locations = []location{{physicalLocation{artifactLocation{filepath.ToSlash(f.File)}, at}}}
		results = append(results, r)
	}
	return json.MarshalIndent(log{
		"https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json", "2.1.0",
		[]run{{tool{driver{"reprise", version, []rule{{id, text{"A manifest says what it means, completely and once"}}}}}, "unicodeCodePoints", results}},
	}, "", "  ")
}
