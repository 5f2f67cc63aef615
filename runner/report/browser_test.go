package report_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/runner/report"
)

// The pages in headless Chromium at phone and desktop widths, light and dark:
// valid HTML, no console error, nothing asked of the network, no sideways
// scrolling, no serious fault found by axe, a table for every plot. Screenshots
// are kept where REPRISE_SCREENSHOTS says.
//
//	npm install --prefix DIR axe-core html-validate puppeteer-core
//	REPRISE_BROWSER=DIR go test ./runner/report -run Browser
func TestInABrowser(t *testing.T) {
	dir := os.Getenv("REPRISE_BROWSER")
	if dir == "" {
		t.Skip("REPRISE_BROWSER names no folder with axe-core, html-validate and puppeteer-core")
	}
	chromium, err := exec.LookPath("chromium")
	require.NoError(t, err, "Debian: chromium")
	shots := os.Getenv("REPRISE_SCREENSHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	require.NoError(t, os.MkdirAll(shots, 0o755))
	pages := map[string][]byte{}
	for _, kind := range kinds {
		pages[kind] = written(t, "html", read(t, kind))
	}
	// A machine of which everything is known, and outputs with long names.
	described, err := report.ReadLog(strings.NewReader(betrayed(t)))
	require.NoError(t, err)
	pages["described"] = written(t, "html", described)
	for kind, text := range pages {
		t.Run(kind, func(t *testing.T) {
			page := filepath.Join(t.TempDir(), kind+".html")
			require.NoError(t, os.WriteFile(page, text, 0o600))
			c := exec.Command("node", "testdata/browser/check.cjs", page, shots)
			c.Env = append(os.Environ(), "CHROMIUM="+chromium, "NODE_PATH="+filepath.Join(dir, "node_modules"))
			c.Stderr = os.Stderr
			out, err := c.Output()
			require.NoError(t, err)
			var faults []string
			require.NoError(t, json.Unmarshal(out, &faults), "%s", out)
			require.Empty(t, faults)
		})
	}
}
