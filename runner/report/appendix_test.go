package report_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/runner/report"
)

func appendix(t *testing.T, m *artifacts.Manifest, r *report.Run, format string) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, report.Appendix(&b, m, r, format))
	return b.Bytes()
}

func TestAppendix(t *testing.T) {
	m, _, err := artifacts.Find(filepath.Join("testdata", "sample", "artifact.yaml"))
	require.NoError(t, err)
	golden(t, "golden/appendix-estimated.md", appendix(t, m, nil, "markdown"))
	golden(t, "golden/appendix-measured.md", appendix(t, m, read(t, "sample"), "markdown"))
	golden(t, "golden/appendix-measured.tex", appendix(t, m, read(t, "sample"), "latex"))

	require.ErrorContains(t, report.Appendix(&bytes.Buffer{}, m, read(t, "failed-step"), "markdown"), "is not of sample")
	require.ErrorContains(t, report.Appendix(&bytes.Buffer{}, m, nil, "pdf"), `no format "pdf"`)
}

// TestAppendixIsLaTeX has chktex look for mistakes in every artifact's appendix.
func TestAppendixIsLaTeX(t *testing.T) {
	chktex, err := exec.LookPath("chktex")
	if err != nil {
		t.Skip("chktex is not installed")
	}
	for _, name := range artifacts.EmbeddedNames() {
		m, _, err := artifacts.EmbeddedManifest(name) // the built-in experiments are not in this test
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), m.Artifact+".tex")
		require.NoError(t, os.WriteFile(file, appendix(t, m, nil, "latex"), 0o600))
		// Errors only; the warnings are of taste.
		out, err := exec.Command(chktex, "-q", "-I0", "-nall", "-e9", "-e10", "-e14", "-e15", "-e16", "-e17", file).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Empty(t, string(out), m.Artifact)
	}
}

// TestAppendixCompiles has pdflatex set every artifact's appendix, and that of a
// run: a letter that LaTeX does not know is an error there.
func TestAppendixCompiles(t *testing.T) {
	pdflatex, err := exec.LookPath("pdflatex")
	if err != nil {
		t.Skip("no pdflatex (Debian: texlive-latex-base)")
	}
	compile := func(name string, text []byte) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "appendix.tex"), text, 0o600))
		c := exec.Command(pdflatex, "-interaction=nonstopmode", "-halt-on-error", "appendix.tex")
		c.Dir = dir
		out, err := c.CombinedOutput()
		require.NoError(t, err, "%s: %s", name, out)
		require.NotContains(t, string(out), "Missing character", name)
	}
	m, _, err := artifacts.Find(filepath.Join("testdata", "sample", "artifact.yaml"))
	require.NoError(t, err)
	compile("sample", appendix(t, m, read(t, "sample"), "latex"))
	for _, name := range artifacts.EmbeddedNames() {
		m, _, err := artifacts.EmbeddedManifest(name) // the built-in experiments are not in this test
		require.NoError(t, err)
		compile(name, appendix(t, m, nil, "latex"))
	}
}
