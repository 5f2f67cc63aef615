package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"reprise/artifacts"
)

// Publication is what Trovi wants to know beside manifest and run.
type Publication struct {
	Tags []string  // of Trovi's own list; one at least
	Date time.Time // of the publication
}

// What Trovi takes, in characters (its models of an artifact, migration 0012).
const (
	troviTitle       = 140
	troviShort       = 200
	troviDescription = 5000
	troviTag         = 32
)

// Trovi writes trovi.json: the RO-Crate 1.1 metadata by which Trovi, Chameleon's
// hub of artifacts, imports one from the root of a repository on GitHub. Its
// importer reads of the root name, disambiguatingDescription, description,
// keywords, author, actionApplication and citation; the description is the
// REPETO preamble.
func Trovi(w io.Writer, m *artifacts.Manifest, r *Run, about Publication) error {
	p := &paperwork{m: m}
	if err := p.of(r); err != nil {
		return err
	}
	if len(m.Paper.Authors) == 0 {
		return errors.New("trovi.json needs authors: give paper the key authors")
	}
	if len(about.Tags) == 0 {
		return errors.New("trovi.json needs tags of Trovi's own list: --tag NAME, as trovi tag list prints them")
	}
	for _, tag := range about.Tags {
		if tag == "" || strings.Contains(tag, ",") || utf8.RuneCountInString(tag) > troviTag {
			return fmt.Errorf("%q is no tag: one word or two without a comma, %d characters at most", tag, troviTag)
		}
	}
	type object = map[string]any
	refer := func(id string) object { return object{"@id": id} }
	root := object{
		"@id": "./", "@type": "Dataset", "name": cut(m.Title, troviTitle),
		"disambiguatingDescription": cut(either(sentences(m.Description, 1), m.Title), troviShort),
		"description":               cut(p.preamble(), troviDescription),
		"keywords":                  strings.Join(about.Tags, ","),
		"datePublished":             about.Date.UTC().Format("2006-01-02"),
		"actionApplication":         []object{refer("#ChameleonJupyterLab")},
	}
	graph := []object{
		{"@id": "trovi.json", "@type": "CreativeWork", "conformsTo": refer("https://w3id.org/ro/crate/1.1"), "about": refer("./")},
		root,
		// Where Trovi opens it; a terminal there runs reprise.
		{"@id": "#ChameleonJupyterLab", "@type": "SoftwareApplication", "name": "Chameleon JupyterLab", "url": "https://jupyter.chameleoncloud.org/", "trovi_type": "jupyterhub", "trovi_arguments": "{}"},
	}
	var authors []object // a list even of one: the importer goes through it
	for i, name := range m.Paper.Authors {
		id := fmt.Sprintf("#author-%d", i+1)
		authors = append(authors, refer(id))
		graph = append(graph, object{"@id": id, "@type": "Person", "name": name})
	}
	root["author"] = authors
	if m.License != "" {
		id := "https://spdx.org/licenses/" + m.License
		root["license"] = refer(id)
		graph = append(graph, object{"@id": id, "@type": "CreativeWork", "name": m.License})
	}
	if id := paperID(m); id != "" {
		article := object{"@id": id, "@type": "ScholarlyArticle", "name": either(m.Paper.Title, m.Title), "author": authors, "url": id}
		if m.Paper.DOI != "" {
			article["identifier"] = "https://doi.org/" + m.Paper.DOI
		}
		if m.Paper.Venue != "" {
			article["isPartOf"] = refer("#venue")
			graph = append(graph, object{"@id": "#venue", "@type": "Periodical", "name": m.Paper.Venue})
			if y := venueYear(m.Paper.Venue); y != "" {
				article["datePublished"] = y
			}
		}
		root["citation"] = []object{refer(id)}
		graph = append(graph, article)
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(object{
		// These two terms have no meaning but the one that the importer gives them.
		"@context": []any{"https://w3id.org/ro/crate/1.1/context", object{"trovi_type": "https://github.com/ChameleonCloud/trovi#trovi_type", "trovi_arguments": "https://github.com/ChameleonCloud/trovi#trovi_arguments"}},
		"@graph":   graph,
	})
}

func paperID(m *artifacts.Manifest) string {
	if m.Paper.DOI != "" {
		return "https://doi.org/" + m.Paper.DOI
	}
	return m.Paper.URL
}

var yearOfVenue = regexp.MustCompile(`\b((?:19|20)[0-9]{2})\b|['’]([0-9]{2})\b`)

// venueYear finds the year in EuroSys '25 or VLDB 2014.
func venueYear(venue string) string {
	found := yearOfVenue.FindStringSubmatch(venue)
	switch {
	case found == nil:
		return ""
	case found[1] != "":
		return found[1]
	}
	return "20" + found[2]
}

// cut shortens a text to so many characters.
func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
