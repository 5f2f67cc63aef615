package crate

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/piprate/json-gold/ld"
	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/runner/report"
)

// stored loads the contexts of testdata, and nothing from anywhere else.
type stored struct{}

func (stored) LoadDocument(url string) (*ld.RemoteDocument, error) {
	file, known := map[string]string{contextRO: "ro-crate-1.1-context.json", contextRun: "workflow-run-context.json"}[url]
	if !known {
		return nil, fmt.Errorf("no context %s", url)
	}
	f, err := os.Open("testdata/" + file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	document, err := ld.DocumentFromReader(f)
	return &ld.RemoteDocument{DocumentURL: url, Document: document}, err
}

// expand expands the metadata of a crate by JSON-LD's rules and says where terms
// do not become addresses. Expansion drops those without a word, so the
// properties of each entity are counted before and after.
func expand(t *testing.T, metadata []byte) (lost []string, entities int) {
	t.Helper()
	var document map[string]any
	require.NoError(t, json.Unmarshal(metadata, &document))
	const base = "https://example.org/crate/"
	options := ld.NewJsonLdOptions(base)
	options.DocumentLoader = stored{}
	expanded, err := ld.NewJsonLdProcessor().Expand(document, options)
	require.NoError(t, err)
	terms := func(e map[string]any) (n int) {
		for name := range e {
			if !strings.HasPrefix(name, "@") {
				n++
			}
		}
		return n
	}
	graph := document["@graph"].([]any)
	require.Len(t, expanded, len(graph))
	for i, e := range expanded { // in the order of the graph
		before, after := graph[i].(map[string]any), e.(map[string]any)
		for _, kind := range after["@type"].([]any) {
			if kind := kind.(string); !strings.Contains(kind, "://") || strings.HasPrefix(kind, base) {
				lost = append(lost, fmt.Sprintf("%v has the type %s", before["@id"], kind))
			}
		}
		if n, m := terms(before), terms(after); n != m {
			lost = append(lost, fmt.Sprintf("%v has %d properties, and %d when expanded", before["@id"], n, m))
		}
	}
	return lost, len(expanded)
}

// An independent implementation of JSON-LD understands every term of the crates.
func TestEveryTermExpands(t *testing.T) {
	for _, kind := range kinds {
		c := packed(t, kind, Options{})
		lost, n := expand(t, c.Files[0].Data)
		require.Empty(t, lost, kind)
		require.Greater(t, n, 5)
	}
	eachCrate(t, func(t *testing.T, fsys fs.FS) {
		data, err := fs.ReadFile(fsys, MetadataFile)
		require.NoError(t, err)
		lost, _ := expand(t, data)
		require.Empty(t, lost)
	})
	c := packed(t, "sample", Options{})
	lost, _ := expand(t, []byte(strings.Replace(string(c.Files[0].Data), `"contentSize"`, `"contentSizes"`, 1)))
	require.Len(t, lost, 1, "a term that no context has")
	lost, _ = expand(t, []byte(strings.Replace(string(c.Files[0].Data), `"@type": "Dataset"`, `"@type": "Dataste"`, 1)))
	require.Equal(t, []string{"./ has the type https://example.org/crate/Dataste"}, lost)
}

// The provenance is a SLSA v1 statement whose subjects and dependencies are the
// crate's files with their digests, and the run's sources.
func TestProvenance(t *testing.T) {
	for _, kind := range kinds {
		c := packed(t, kind, Options{})
		files := map[string][]byte{}
		for _, f := range c.Files {
			files[f.Name] = f.Data
		}
		type descriptor struct {
			Name, URI string
			Digest    map[string]string
		}
		var p struct {
			Type          string `json:"_type"`
			PredicateType string
			Subject       []descriptor
			Predicate     struct {
				BuildDefinition struct {
					BuildType            string
					ExternalParameters   map[string]any
					ResolvedDependencies []descriptor
				}
				RunDetails struct {
					Builder  struct{ ID string }
					Metadata struct{ InvocationID, StartedOn, FinishedOn string }
				}
			}
		}
		require.NoError(t, json.Unmarshal(files[ProvenanceFile], &p))
		require.Equal(t, "https://in-toto.io/Statement/v1", p.Type)
		require.Equal(t, "https://slsa.dev/provenance/v1", p.PredicateType)
		require.Contains(t, p.Predicate.BuildDefinition.BuildType, "://", "a type URI")
		require.NotEmpty(t, p.Predicate.BuildDefinition.ExternalParameters)
		require.Contains(t, p.Predicate.RunDetails.Builder.ID, ":", "a type URI")
		for _, at := range []string{p.Predicate.RunDetails.Metadata.StartedOn, p.Predicate.RunDetails.Metadata.FinishedOn} {
			_, err := time.Parse(time.RFC3339, at)
			require.NoError(t, err)
		}
		covered := map[string]bool{}
		for _, d := range p.Predicate.BuildDefinition.ResolvedDependencies {
			require.True(t, d.URI != "" || len(d.Digest) > 0, "%s: neither address nor digest", d.Name)
			if d.URI != "" {
				u, err := url.Parse(d.URI)
				require.NoError(t, err)
				require.True(t, u.IsAbs(), d.URI)
			}
		}
		for _, d := range append(p.Subject, p.Predicate.BuildDefinition.ResolvedDependencies...) {
			data, packed := files[d.Name]
			if !packed {
				require.Contains(t, d.Name, "/", "a source of an artifact")
				continue
			}
			covered[d.Name] = true
			require.Equal(t, fmt.Sprintf("%x", sha256.Sum256(data)), d.Digest["sha256"], d.Name)
		}
		for _, d := range p.Subject {
			require.NotEmpty(t, d.Digest, d.Name)
		}
		for name := range files {
			if name != MetadataFile && name != ProvenanceFile { // the metadata has the provenance's digest
				require.True(t, covered[name], "%s of %s has no digest", name, kind)
			}
		}
	}
}

// So it does those of trovi.json.
func TestTroviExpands(t *testing.T) {
	for _, name := range artifacts.EmbeddedNames() {
		m, _, err := artifacts.EmbeddedManifest(name)
		require.NoError(t, err)
		if len(m.Paper.Authors) == 0 {
			m.Paper.Authors = []string{"A. Author"}
		}
		var b bytes.Buffer
		require.NoError(t, report.Trovi(&b, m, nil, report.Publication{Tags: []string{"storage"}, Date: time.Unix(0, 0)}), name)
		lost, _ := expand(t, b.Bytes())
		require.Empty(t, lost, name)
	}
}
