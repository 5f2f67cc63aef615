package report_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/runner/report"
)

func sampleManifest(t *testing.T) *artifacts.Manifest {
	t.Helper()
	m, _, err := artifacts.Find(filepath.Join("testdata", "sample", "artifact.yaml"))
	require.NoError(t, err)
	return m
}

func repeto(t *testing.T, m *artifacts.Manifest, r *report.Run, readme string) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, report.Repeto(&b, m, r, []byte(readme)))
	return b.String()
}

func TestRepeto(t *testing.T) {
	m := sampleManifest(t)
	golden(t, "golden/repeto-estimated.md", []byte(repeto(t, m, nil, "")))
	measured := repeto(t, m, read(t, "sample"), "Type reprise run sample. A warning that it is small is harmless.")
	golden(t, "golden/repeto-measured.md", []byte(measured))

	// What the badge's page requires of a preamble, and every question of the lists.
	for _, required := range []string{"**Description.** ", "**Paper.** ", "**Estimated time to reproduce.**", "**Reproducibility status.** ", "**Support status.** "} {
		require.Contains(t, measured, required)
	}
	items := map[string]int{}
	section := ""
	for line := range strings.Lines(measured) {
		if title, is := strings.CutPrefix(line, "### "); is {
			section = strings.TrimSpace(title)
		}
		if strings.HasPrefix(line, "- [") {
			items[section]++
			require.Regexp(t, `^- \[[x ]\] .+: .+\n$`, line, "a box, a question and an answer")
			if !strings.HasPrefix(line, "- [x]") {
				require.Regexp(t, `: (lacking: |for the authors to say)`, line)
			}
		}
	}
	require.Equal(t, map[string]int{
		"Hardware": 5, "Software": 9, "Data": 7, "Artifact longevity": 4,
		"Structure": 4, "Validation": 5, "Configuration": 6, "Reproducibility condition": 5, "Time and resource estimates": 6,
	}, items)
	count := func(text string) int { return strings.Count(text, "- [x]") }
	require.Greater(t, count(measured), count(repeto(t, m, nil, "")), "a run and a README.md answer more")
	m.Support = "ada@example.org, until the end of 2028"
	require.Contains(t, repeto(t, m, nil, ""), "- [x] how long it will be maintained: ada@example.org")

	require.ErrorContains(t, report.Repeto(&bytes.Buffer{}, m, read(t, "failed-step"), nil), "is not of sample")
	for _, name := range artifacts.EmbeddedNames() {
		shipped, _, err := artifacts.EmbeddedManifest(name)
		require.NoError(t, err)
		readme, err := shipped.Readme()
		require.NoError(t, err)
		require.NotContains(t, repeto(t, shipped, nil, string(readme)), "lacking: \n", name)
	}
}

func trovi(t *testing.T, m *artifacts.Manifest, r *report.Run, tags ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, report.Trovi(&b, m, r, report.Publication{Tags: tags, Date: time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)}))
	return b.Bytes()
}

// TestTrovi reads trovi.json as Trovi's importer does: by what it takes from the
// root and what its models demand (ChameleonCloud/trovi, trovi/importing).
func TestTrovi(t *testing.T) {
	m := sampleManifest(t)
	golden(t, "golden/trovi.json", trovi(t, m, read(t, "sample"), "storage", "reproducibility"))
	long := *m
	long.Title, long.Description = strings.Repeat("ü", 300), strings.Repeat("word ", 3000)+"."
	long.Paper.Venue = ""
	for _, text := range [][]byte{trovi(t, m, nil, "storage"), trovi(t, &long, nil, "a b")} {
		var document struct {
			Graph []map[string]any `json:"@graph"`
		}
		require.NoError(t, json.Unmarshal(text, &document))
		byID := map[string]map[string]any{}
		for _, e := range document.Graph {
			require.NotEmpty(t, e["@type"])
			byID[e["@id"].(string)] = e
		}
		require.Equal(t, map[string]any{"@id": "./"}, byID["trovi.json"]["about"])
		root := byID["./"]
		require.NotContains(t, byID, "ro-crate-metadata.json")
		for property, most := range map[string]int{"name": 140, "disambiguatingDescription": 200, "description": 5000} {
			text := root[property].(string)
			require.NotEmpty(t, text)
			require.LessOrEqual(t, utf8.RuneCountInString(text), most, property)
		}
		for tag := range strings.SplitSeq(root["keywords"].(string), ",") {
			require.Equal(t, tag, strings.TrimSpace(tag))
			require.NotEmpty(t, tag)
		}
		deref := func(v any) map[string]any { return byID[v.(map[string]any)["@id"].(string)] }
		authors := root["author"].([]any)
		require.Len(t, authors, 2)
		for _, a := range authors {
			require.NotEmpty(t, deref(a)["name"])
		}
		environment := deref(root["actionApplication"].([]any)[0])
		require.Equal(t, "SoftwareApplication", environment["@type"])
		require.Equal(t, []any{"jupyterhub", "{}"}, []any{environment["trovi_type"], environment["trovi_arguments"]})
		article := deref(root["citation"].([]any)[0])
		require.NotEmpty(t, article["name"])
		require.Equal(t, "https://doi.org/10.1145/0000000.0000000", article["identifier"])
		if venue, has := article["isPartOf"]; has {
			require.Equal(t, "Workshop '26", deref(venue)["name"])
			require.Equal(t, "2026", article["datePublished"])
		}
		require.Regexp(t, regexp.MustCompile(`^\d{4}-\d\d-\d\d$`), root["datePublished"])
		require.NotNil(t, deref(root["license"]))
	}

	fails := func(m *artifacts.Manifest, said string, tags ...string) {
		require.ErrorContains(t, report.Trovi(&bytes.Buffer{}, m, nil, report.Publication{Tags: tags}), said)
	}
	fails(m, "needs tags")
	fails(m, "is no tag", "a,b")
	nobody := *m
	nobody.Paper.Authors = nil
	fails(&nobody, "needs authors", "storage")
}
