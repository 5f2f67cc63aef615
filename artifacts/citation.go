package artifacts

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// CheckCitation says what a CITATION.cff lacks of what version 1.2 of the Citation
// File Format demands: the keys cff-version, message, title and authors, a name for
// each author, and the form of dates, DOI and ORCID where they are given.
func CheckCitation(data []byte) []string {
	var file struct {
		Version  string           `yaml:"cff-version"`
		Message  string           `yaml:"message"`
		Title    string           `yaml:"title"`
		Type     string           `yaml:"type"`
		DOI      string           `yaml:"doi"`
		Released string           `yaml:"date-released"`
		Authors  []map[string]any `yaml:"authors"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return []string{strings.ReplaceAll(err.Error(), "\n", " ")}
	}
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	switch {
	case file.Version == "":
		say("cff-version is missing: write 1.2.0")
	case file.Version != "1.2.0":
		say("cff-version is %q: write 1.2.0", file.Version)
	}
	for _, key := range [][2]string{{"message", file.Message}, {"title", file.Title}} {
		if strings.TrimSpace(key[1]) == "" {
			say("%s is missing", key[0])
		}
	}
	if file.Type != "" && file.Type != "software" && file.Type != "dataset" {
		say("type is %q: there are software and dataset", file.Type)
	}
	if file.DOI != "" && !citedDOI.MatchString(file.DOI) {
		say("doi is %q: write it as 10.1234/abc, without an address", file.DOI)
	}
	if file.Released != "" && !citedDate.MatchString(file.Released) {
		say("date-released is %q: write it as 2026-01-31", file.Released)
	}
	if len(file.Authors) == 0 {
		say("authors is missing")
	}
	for i, a := range file.Authors {
		named := slices.ContainsFunc([]string{"name", "family-names", "given-names", "alias"}, func(key string) bool {
			text, is := a[key].(string)
			return is && strings.TrimSpace(text) != ""
		})
		if !named {
			say("author %d has no name: give family-names and given-names, or name for a group", i+1)
		}
		if orcid, has := a["orcid"]; has && !citedORCID.MatchString(fmt.Sprint(orcid)) {
			say("the orcid of author %d is %v: write it as https://orcid.org/0000-0000-0000-0000", i+1, orcid)
		}
	}
	return wrong
}

var (
	citedDOI   = regexp.MustCompile(`^10\.\d{4,9}(?:\.\d+)?/\S+$`)
	citedDate  = regexp.MustCompile(`^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])$`)
	citedORCID = regexp.MustCompile(`^https://orcid\.org/[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X]$`)
)
