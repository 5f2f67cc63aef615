package artifacts

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// validateBySchema is what an editor does: YAML to JSON values, then the schema.
func validateBySchema(t *testing.T, s *jsonschema.Schema, file string) error {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var value any
	require.NoError(t, yaml.Unmarshal(data, &value))
	text, err := json.Marshal(value)
	require.NoError(t, err)
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	return s.Validate(instance)
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("manifest.json", doc))
	s, err := c.Compile("manifest.json")
	require.NoError(t, err)
	return s
}

func TestSchemaAcceptsValidManifests(t *testing.T) {
	s := compileSchema(t)
	for _, file := range append(glob(t, "testdata/valid/*.yaml"), glob(t, "*/artifact.yaml")...) {
		require.NoError(t, validateBySchema(t, s, file), file)
	}
}

// Families of mistakes that only the loader can find: references, parameters,
// contents of texts, and the YAML itself.
var beyondSchema = []string{
	"alias-bomb", "alias-self", "alias-unknown", "bom", "comment-only", "cycles", "documents", "duplicate-keys", "empty",
	"excludes", "keys", "limits", "kick-budget", "kick-sum", "matrices", "merge", "not-utf8", "numbers", "parameters",
	"placeholders", "platforms", "references", "syntax", "syntax-indent", "tabs", "tags", "wide", "root-text",
}

func TestSchemaRejectsStructuralMistakes(t *testing.T) {
	s := compileSchema(t)
	for _, file := range glob(t, "testdata/invalid/*.yaml") {
		name := filepath.Base(file[:len(file)-len(".yaml")])
		if !slices.Contains(beyondSchema, name) {
			require.Error(t, validateBySchema(t, s, file), file)
		}
	}
}

func TestReferenceIsCommitted(t *testing.T) {
	golden(t, "../docs/manifest.md", string(Reference()))
}
