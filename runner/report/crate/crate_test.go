package crate

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"reprise/runner/store"
)

var kinds = []string{"sample", "failed-step", "failed-claim", "cancelled", "no-data"}

func recorded(kind string) string { return filepath.Join("..", "testdata", kind) }

func packed(t testing.TB, kind string, o Options) *Crate {
	t.Helper()
	if o.Manifests == nil {
		data, err := os.ReadFile(filepath.Join(recorded(kind), "artifact.yaml"))
		require.NoError(t, err)
		o.Manifests = map[string][]byte{kind: data}
	}
	c, err := Pack(recorded(kind), o)
	require.NoError(t, err)
	return c
}

func opened(t testing.TB, c *Crate) fs.FS {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, c.Zip(&b))
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	require.NoError(t, err)
	return z
}

func TestPackedRunsAreInOrder(t *testing.T) {
	for _, kind := range kinds {
		c := packed(t, kind, Options{})
		wrong, err := Verify(opened(t, c))
		require.NoError(t, err)
		require.Empty(t, wrong, kind)

		dir := filepath.Join(t.TempDir(), "crate")
		require.NoError(t, c.WriteFolder(dir))
		folder, closer, err := Open(dir)
		require.NoError(t, err)
		require.NoError(t, closer.Close())
		wrong, err = Verify(folder)
		require.NoError(t, err)
		require.Empty(t, wrong, kind)
		require.ErrorContains(t, c.WriteFolder(dir), "is there and not empty")

		var once, again bytes.Buffer
		require.NoError(t, c.Zip(&once))
		require.NoError(t, packed(t, kind, Options{}).Zip(&again))
		require.True(t, bytes.Equal(once.Bytes(), again.Bytes()), "the same run gives the same archive")
	}
}

// TestQuestions asks what the Workflow Run RO-Crate profiles are made to
// answer (their competency questions), as far as they are about runs of
// programs.
func TestQuestions(t *testing.T) {
	eachCrate(t, questions)
}

// eachCrate visits the crate of the recorded sample and those in the folder that
// REPRISE_CRATES names, as the slow test of cmd does for every artifact's run.
func eachCrate(t *testing.T, visit func(*testing.T, fs.FS)) {
	t.Run("sample", func(t *testing.T) { visit(t, opened(t, packed(t, "sample", Options{}))) })
	folder := os.Getenv("REPRISE_CRATES")
	if folder == "" {
		return
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	require.NoError(t, err)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			fsys, closer, err := Open(file)
			require.NoError(t, err)
			defer func() { _ = closer.Close() }()
			wrong, err := Verify(fsys)
			require.NoError(t, err)
			require.Empty(t, wrong)
			visit(t, fsys)
		})
	}
}

func questions(t *testing.T, fsys fs.FS) {
	g, err := Read(fsys)
	require.NoError(t, err)
	actions := g.Actions()
	require.Greater(t, len(actions), 2)
	answered := map[string]int{}
	for _, a := range actions {
		// What was executed, and which version of it?
		for _, i := range Refs(a, "instrument") {
			tool := g.Entity(i)
			if tool["version"] == nil {
				for _, r := range Refs(tool, "softwareRequirements") {
					tool = g.Entity(r)
				}
			}
			require.NotEmpty(t, tool["version"])
			answered["version"]++
		}
		// When was it, and how long did it take?
		require.NotEmpty(t, a["startTime"])
		require.LessOrEqual(t, a["startTime"].(string)[:19], a["endTime"].(string)[:19])
		// Did it succeed?
		require.Contains(t, a["actionStatus"], "ActionStatus")
		// Which parameters and inputs did it have, and on what machine did it run?
		for _, o := range Refs(a, "object") {
			e := g.Entity(o)
			if Is(e, "PropertyValue") {
				require.NotNil(t, e["value"])
				answered["parameter"]++
				if strings.HasSuffix(e["name"].(string), "processor") || strings.HasSuffix(e["name"].(string), "platform") {
					answered["machine"]++
				}
			}
		}
		// Which files did it make?
		for _, r := range Refs(a, "result") {
			require.True(t, Is(g.Entity(r), "File"))
			answered["result"]++
		}
		// How much processor time and memory did it use?
		for _, u := range Refs(a, "resourceUsage") {
			require.NotEmpty(t, g.Entity(u)["unitCode"])
			answered["usage"]++
		}
	}
	// How was it configured: which manifest was it made from?
	for _, e := range g.Entities {
		answered["manifest"] += len(Refs(e, "isBasedOn"))
	}
	for _, question := range []string{"version", "parameter", "machine", "result", "usage", "manifest"} {
		require.Positive(t, answered[question], question)
	}
}

func TestFailuresAreActionsThatFailed(t *testing.T) {
	for kind, want := range map[string]string{"failed-step": failed, "cancelled": failed, "sample": completed} {
		g, err := Read(opened(t, packed(t, kind, Options{})))
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(g.Actions(), func(a map[string]any) bool { return a["actionStatus"] == want }), kind)
	}
}

// TestChangesAreFound changes every file of a crate by one byte, leaves each out
// in turn, adds one, and spoils the metadata.
func TestChangesAreFound(t *testing.T) {
	c := packed(t, "sample", Options{})
	in := func(change func(fstest.MapFS)) []string {
		files := fstest.MapFS{}
		for _, f := range c.Files {
			files[f.Name] = &fstest.MapFile{Data: bytes.Clone(f.Data)}
		}
		change(files)
		wrong, err := Verify(files)
		if err != nil {
			return []string{err.Error()}
		}
		return wrong
	}
	require.Empty(t, in(func(fstest.MapFS) {}))
	for _, f := range c.Files[1:] {
		require.Len(t, in(func(m fstest.MapFS) { m[f.Name].Data[len(f.Data)/2] ^= 1 }), 1, f.Name)
		require.NotEmpty(t, in(func(m fstest.MapFS) { delete(m, f.Name) }), f.Name)
	}
	require.NotEmpty(t, in(func(m fstest.MapFS) { m["extra.txt"] = &fstest.MapFile{Data: []byte("x")} }))
	for from, to := range map[string]string{
		`"instrument"`:                `"Instrument"`,
		"urn:uuid:":                   "urn:x:",
		`"actionStatus"`:              `"status"`,
		`"endTime"`:                   `"end"`,
		`"conformsTo"`:                `"conforms"`,
		`"datePublished"`:             `"date"`,
		contextRun:                    "https://example.org",
		`"@type": "Dataset"`:          `"@type": "Data"`,
		`"propertyID": "#user_`:       `"propertyID": "#wall_`,
		`"@id": "` + conformRun + `"`: `"@id": "https://example.org/profile"`,
	} {
		require.NotEmpty(t, in(func(m fstest.MapFS) {
			before := m[MetadataFile].Data
			m[MetadataFile].Data = []byte(strings.ReplaceAll(string(before), from, to))
			require.NotEqual(t, before, m[MetadataFile].Data, from)
		}), "%s → %s", from, to)
	}
	_, err := Verify(fstest.MapFS{})
	require.ErrorContains(t, err, "this is no RO-Crate")
}

// A manifest in which a secret stood is kept without it, so that its digest is
// another.
func TestManifestWithASecretIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	log, err := os.ReadFile(filepath.Join(recorded("sample"), "events.jsonl"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "events.jsonl"), log, 0o600))
	kept := filepath.Join(dir, store.ManifestFile("sample"))
	require.NoError(t, os.Mkdir(filepath.Dir(kept), 0o700))
	require.NoError(t, os.WriteFile(kept, []byte("title: the key is [secret GITHUB_TOKEN]\n"), 0o600))
	c, err := Pack(dir, Options{})
	require.NoError(t, err)
	require.Equal(t, []string{"the manifest of sample is left out: a secret stood in it, which the run has not kept"}, c.Warnings)
}

func TestAnotherManifestIsLeftOut(t *testing.T) {
	c := packed(t, "sample", Options{Manifests: map[string][]byte{"sample": []byte("reprise: 1\n")}})
	require.Len(t, c.Warnings, 1)
	wrong, err := Verify(opened(t, c))
	require.NoError(t, err)
	require.Empty(t, wrong)
}
