package artifacts

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) {
	flag.Parse()
	run := func(context.Context, *Env) error { return nil }
	Register(Builtin{Name: "demo.sim", Version: 1, Doc: "a simulation that tests describe", Run: run, Params: []Param{
		{Name: "policy", Doc: "eviction policy", Default: "lru"},
		{Name: "size", Doc: "cache size", Default: "10%"},
		{Name: "ios", Doc: "requests", Default: 1000},
		{Name: "rate", Doc: "requests per second", Default: 1.5},
		{Name: "warm", Doc: "warm the cache first", Default: false},
		{Name: "sizes", Doc: "request sizes", Default: []int{4096}},
		{Name: "seed", Doc: "seed of the generator", Default: 1},
	}})
	Register(Builtin{Name: "demo.replay", Version: 1, Doc: "needs a trace", Run: run, Params: []Param{
		{Name: "trace", Doc: "name of the trace"},
	}})
	os.Exit(m.Run())
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// Every file of the corpus holds the mistakes of one family; the text beside
// it is what reprise lint prints.
func TestInvalid(t *testing.T) {
	for _, file := range glob(t, "testdata/invalid/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			_, findings := Load(filepath.Base(file), data)
			require.NotEmpty(t, findings)
			var out bytes.Buffer
			require.NoError(t, findings.Print(&out))
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", out.String())

			_, again := Load(filepath.Base(file), data)
			require.Equal(t, findings, again)
		})
	}
}

func TestTenMistakesAreTenFindings(t *testing.T) {
	data, err := os.ReadFile("testdata/invalid/ten-mistakes.yaml")
	require.NoError(t, err)
	_, findings := Load("ten-mistakes.yaml", data)
	require.Len(t, findings, 10)
	require.Len(t, findings.Errors(), 10)
	for i, line := range strings.Split(string(data), "\n") {
		_, mark, marked := strings.Cut(line, "# mistake")
		found := 0
		for _, f := range findings {
			if f.Line == i+1 {
				found++
			}
		}
		if marked {
			require.Equal(t, 1, found, "line %d, mistake%s", i+1, mark)
		} else {
			require.Zero(t, found, "line %d has no mistake", i+1)
		}
	}
}

func TestValid(t *testing.T) {
	for _, file := range glob(t, "testdata/valid/*.yaml") {
		m, findings, err := LoadFile(file)
		require.NoError(t, err)
		require.Empty(t, findings, file)
		require.NotEmpty(t, m.Artifact)
		require.True(t, filepath.IsAbs(m.Dir))
		require.Len(t, m.Digest, 64)
	}
}

func TestLoadDecodes(t *testing.T) {
	m, findings, err := LoadFile("testdata/valid/full.yaml")
	require.NoError(t, err)
	require.NoError(t, findings.Err())
	e := m.Experiments["E1"]
	require.Equal(t, "demo.sim", e.Run.Builtin)
	require.Equal(t, map[string]any{"ios": "50k", "rate": 0.5, "warm": true, "seeds": []any{1, 2}, "size": []any{"1%"}}, e.Profiles["kick"].With)
	require.Equal(t, "1h30m", e.Profiles["local"].Compute.String())
	require.Equal(t, Size(512<<20), e.Profiles["local"].Memory)
	require.Equal(t, "1", m.Experiments["E2"].Run.Steps[0].Extract[0].Unit)
	require.Equal(t, e.Profiles["local"].With, e.Profiles["paper"].With, "an alias is its anchor's value")
	require.Equal(t, 24.0, m.Claims["C1"].Checks[0].Change.Expect.Between[0].Value*-1)
	require.Equal(t, 1.5, m.Claims["C1"].Checks[1].Ratio.Expect.Value.Value)
}

func TestLoadRefusesHugeFiles(t *testing.T) {
	_, findings := Load("huge.yaml", bytes.Repeat([]byte("# filler\n"), maxBytes/9+1))
	require.Len(t, findings, 1)
	require.Contains(t, findings[0].Message, "larger than")
}

func TestFindingsAreBounded(t *testing.T) {
	_, findings := Load("many.yaml", []byte(strings.Repeat("wrong: 1\n", 10_000)))
	require.Len(t, findings, maxFindings)
}

func TestPointsInAllAreBounded(t *testing.T) {
	var text strings.Builder
	text.WriteString("reprise: 1\nartifact: demo\ntitle: t\nexperiments:\n")
	for i := 1; i <= 6; i++ {
		fmt.Fprintf(&text, "  E%d: {title: t, profiles: {kick: {compute: 1s}}, matrix: {repeat: %d}, run: [{name: a, sh: x}]}\n", i, MaxPoints)
	}
	_, findings := Load("large.yaml", []byte(text.String()))
	require.Len(t, findings, 1)
	require.Contains(t, findings[0].String(), "large.yaml:9:51: error: the matrices of the manifest have more than 1000000 points in all")
}

func TestFind(t *testing.T) {
	_, _, err := Find("codesing")
	var missing *NotFoundError
	require.ErrorAs(t, err, &missing)
	require.Contains(t, missing.Suggestion(), `did you mean "codesign"?`)

	m, _, err := Find("codesign")
	require.NoError(t, err)
	require.Empty(t, m.Dir)
	readme, err := m.Readme()
	require.NoError(t, err)
	require.NotEmpty(t, readme)

	m, _, err = Find("./codesign")
	require.NoError(t, err)
	require.Equal(t, "codesign", m.Artifact)
	require.NotEmpty(t, m.Dir)

	_, _, err = Find("nowhere/artifact.yaml")
	require.ErrorIs(t, err, os.ErrNotExist)
}

// Whatever the input, Load neither panics nor reports places outside of it,
// and says the same twice.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/invalid/*.yaml", "testdata/valid/*.yaml", "*/artifact.yaml"} {
		files, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(f, err)
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, findings := Load("fuzz.yaml", data)
		require.NotNil(t, m)
		lines := lineBreak.Split(strings.ToValidUTF8(strings.TrimPrefix(string(data), "\ufeff"), "\ufffd"), -1)
		for _, x := range findings {
			require.NotEmpty(t, x.Message)
			require.GreaterOrEqual(t, x.Line, 1)
			require.LessOrEqual(t, x.Line, len(lines), x.String())
			require.GreaterOrEqual(t, x.Col, 1)
			require.LessOrEqual(t, x.Col, utf8.RuneCountInString(lines[x.Line-1])+1, x.String())
		}
		_, again := Load("fuzz.yaml", data)
		require.Equal(t, findings, again)
		if findings.Err() == nil {
			for id, e := range m.Experiments {
				for profile := range e.Profiles {
					n, err := e.Count(profile, nil)
					require.NoError(t, err, id)
					require.Positive(t, n)
				}
			}
		}
	})
}

func TestBinaryIsNoManifest(t *testing.T) {
	_, findings := Load("not-text.yaml", []byte{0, 1, 2})
	require.Len(t, findings, 1)
	require.Contains(t, findings[0].String(), "not-text.yaml:1:1: error: YAML syntax: control characters are not allowed")
}
