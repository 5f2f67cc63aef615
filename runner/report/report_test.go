package report_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/checks"
	"reprise/runner/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The recorded runs of testdata: made by record.sh with the artifacts beside
// them, on a real machine.
var kinds = []string{"sample", "failed-step", "failed-claim", "cancelled", "no-data"}

func read(t testing.TB, kind string) *report.Run {
	t.Helper()
	r, err := report.Read(filepath.Join("testdata", kind))
	require.NoError(t, err)
	r.Anonymise()
	return r
}

func written(t testing.TB, format string, r *report.Run) []byte {
	t.Helper()
	f, err := report.FindFormat(format)
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, f.Write(&b, r))
	return b.Bytes()
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "go test ./runner/report -update makes it")
	require.Equal(t, string(want), string(got))
}

// suffixes are the names of the golden files by format.
var suffixes = map[string]string{"html": "html", "markdown": "md", "junit": "xml", "github": "github", "bench": "bench", "openmetrics": "prom", "json": "json"}

func TestGolden(t *testing.T) {
	for _, kind := range kinds {
		r := read(t, kind)
		for _, f := range report.Formats {
			t.Run(kind+"/"+f.Name, func(t *testing.T) {
				got := written(t, f.Name, r)
				if f.Name == "html" { // the style has no place in a golden
					got = regexp.MustCompile(`(?s)<style>.*?</style>`).ReplaceAll(got, []byte("<style></style>"))
				}
				golden(t, "golden/"+kind+"."+suffixes[f.Name], got)
				require.Equal(t, written(t, f.Name, read(t, kind)), written(t, f.Name, r), "a report is the same each time")
			})
		}
	}
}

// Runs that fail in four ways are told apart by headline, exit code and what
// JUnit counts.
func TestFailingRunsDiffer(t *testing.T) {
	for kind, want := range map[string]struct {
		exit                       int
		headline, junit, claim     string
		tests, failures, errs, off int
	}{
		"failed-step":  {4, "1 step failed", "experiment failure", "error", 2, 0, 2, 0},
		"failed-claim": {1, "0 of the 1 claim that this run decides are reproduced", "not-reproduced", "not-reproduced", 1, 1, 0, 0},
		"cancelled":    {130, "stopped before its end", "cancelled", "inconclusive", 2, 0, 1, 1},
		"no-data":      {6, "could not be decided for lack of data", "inconclusive", "inconclusive", 1, 0, 0, 1},
	} {
		t.Run(kind, func(t *testing.T) {
			r := read(t, kind)
			require.Equal(t, want.exit, r.Exit())
			require.Contains(t, r.Headline(), want.headline)
			require.Equal(t, 1, r.Tally()[checks.Outcome(want.claim)])
			xml := string(written(t, "junit", r))
			require.Contains(t, xml, fmt.Sprintf(`tests="%d" failures="%d" errors="%d" skipped="%d"`, want.tests, want.failures, want.errs, want.off))
			require.Contains(t, xml, `type="`+want.junit+`"`)
			for _, format := range []string{"html", "markdown", "json"} {
				require.Contains(t, string(written(t, format, r)), want.headline, format)
			}
		})
	}
	html := string(written(t, "html", read(t, "failed-step")))
	require.Contains(t, html, "cannot open trace: &lt;no such file&gt;", "the end of the step's log, escaped")
	require.Contains(t, string(written(t, "html", read(t, "cancelled"))), "warming up", "what a stopped step had said")
	require.NotContains(t, string(written(t, "html", read(t, "no-data"))), "What went wrong")
}

// A log that ends anywhere still makes a report in every format.
func TestEveryPrefixMakesAReport(t *testing.T) {
	log, err := os.ReadFile("testdata/sample/events.jsonl")
	require.NoError(t, err)
	lines := bytes.SplitAfter(log, []byte("\n"))
	for n := 1; n <= len(lines); n += 9 {
		r, err := report.ReadLog(bytes.NewReader(bytes.Join(lines[:n], nil)))
		require.NoError(t, err)
		for _, f := range report.Formats {
			require.NoError(t, f.Write(&bytes.Buffer{}, r), "%s after %d events", f.Name, n)
		}
	}
	_, err = report.ReadLog(strings.NewReader(""))
	require.ErrorContains(t, err, "does not say what was run")
}

// The runs of versions that wrote no plan name experiments in their steps.
func TestLogWithoutPlan(t *testing.T) {
	r, err := report.ReadLog(strings.NewReader(`{"seq":1,"time":"2026-01-02T12:00:00Z","run":"r","event":"run_started","profile":"kick","artifacts":["a"]}
{"seq":2,"time":"2026-01-02T12:00:01Z","run":"r","event":"observation","step":"a/E1/x=1","metric":"m","value":2,"unit":"us","labels":{"experiment":"E1"}}
`))
	require.NoError(t, err)
	require.Len(t, r.Experiments(), 1)
	require.Contains(t, string(written(t, "bench", r)), "BenchmarkE1 1 2 m-us\n")
}

func TestGitHubLimits(t *testing.T) {
	var log strings.Builder
	log.WriteString(`{"seq":1,"time":"2026-01-02T12:00:00Z","run":"r","event":"run_started","artifacts":["a"]}` + "\n" +
		`{"seq":2,"time":"2026-01-02T12:00:00Z","run":"r","event":"planned","experiments":[{"artifact":"a","experiment":"E1","claims":[`)
	const many = 40
	for i := range many {
		if i > 0 {
			log.WriteString(",")
		}
		fmt.Fprintf(&log, `{"claim":"C%d","statement":"100%% of it,\nas: said","source":{"where":"x","kind":"text"}}`, i+1)
	}
	log.WriteString("]}]}\n")
	for i := range many {
		fmt.Fprintf(&log, `{"seq":%d,"time":"2026-01-02T12:00:01Z","run":"r","event":"verdict","artifact":"a","claim":"C%d","statement":"100%% of it,\nas: said","verdict":"not-reproduced","reason":%q}`+"\n", i+3, i+1, strings.Repeat("long ", 10_000))
	}
	r, err := report.ReadLog(strings.NewReader(log.String()))
	require.NoError(t, err)
	out := string(written(t, "github", r))
	require.Equal(t, 10, strings.Count(out, "::error "))
	require.Contains(t, out, "title=and 31 more::")
	require.Contains(t, out, "::100%25 of it,%0Aas: said")
	require.Equal(t, 11, strings.Count(out, "\n"), "one line each")
	summary := report.Summary(r)
	require.LessOrEqual(t, len(summary), 1<<20)
	require.Contains(t, summary, "The rest is left out")
}

func TestJSONIsWhole(t *testing.T) {
	var out struct {
		Artifacts []struct {
			Claims      []checks.Verdict
			Experiments []struct{ Observations []checks.Observation }
		}
	}
	require.NoError(t, json.Unmarshal(written(t, "json", read(t, "sample")), &out))
	require.Len(t, out.Artifacts[0].Claims, 5)
	require.Len(t, out.Artifacts[0].Experiments[0].Observations, 54)
	require.Len(t, out.Artifacts[0].Claims[0].Results[0].Points, 3, "the paper's points beside ours")
}

// xmllint compares with the schema that Jenkins' xUnit plugin accepts JUnit
// files by, written out in testdata/junit.xsd.
func TestJUnitIsValid(t *testing.T) {
	xmllint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Skip("no xmllint (Debian: libxml2-utils)")
	}
	for _, kind := range kinds {
		file := filepath.Join(t.TempDir(), "junit.xml")
		require.NoError(t, os.WriteFile(file, written(t, "junit", read(t, kind)), 0o600))
		out, err := exec.Command(xmllint, "--noout", "--schema", "testdata/junit.xsd", file).CombinedOutput()
		require.NoError(t, err, "%s: %s", kind, out)
	}
}

// The parser of Prometheus' own Python client reads what we write.
func TestOpenMetricsIsValid(t *testing.T) {
	const script = `import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
print(sum(len(f.samples) for f in parse(sys.stdin.read())))`
	if exec.Command("python3", "-c", "import prometheus_client").Run() != nil {
		t.Skip("no prometheus_client for python3 (Debian: python3-prometheus-client)")
	}
	c := exec.Command("python3", "-c", script)
	c.Stdin = bytes.NewReader(written(t, "openmetrics", read(t, "sample")))
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NotEqual(t, "0", strings.TrimSpace(string(out)))
}

// benchstat reads the lines, where it is installed.
func TestBenchstatReadsIt(t *testing.T) {
	benchstat, err := exec.LookPath("benchstat")
	if err != nil {
		t.Skip("no benchstat (go install golang.org/x/perf/cmd/benchstat@latest)")
	}
	file := filepath.Join(t.TempDir(), "bench")
	require.NoError(t, os.WriteFile(file, written(t, "bench", read(t, "sample")), 0o600))
	out, err := exec.Command(benchstat, file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "digest_time-us")
	require.Contains(t, string(out), "miss_ratio")
	require.NotContains(t, string(out), "unit not")
}
