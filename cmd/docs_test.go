package cmd

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadmeHasTheExitCodes(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	source, err := os.ReadFile("exit.go")
	require.NoError(t, err)
	found := 0
	for line := range strings.Lines(string(source)) {
		name, rest, isCode := strings.Cut(strings.TrimSpace(line), "=")
		if !strings.HasPrefix(name, "Exit") || !isCode {
			continue
		}
		code, meaning, _ := strings.Cut(rest, "//")
		require.Contains(t, string(readme), fmt.Sprintf("| %s | %s |", strings.TrimSpace(code), strings.TrimSpace(meaning)))
		found++
	}
	require.Equal(t, 8, found)
}

func TestDependenciesAreExplained(t *testing.T) {
	doc, err := os.ReadFile("../docs/dependencies.md")
	require.NoError(t, err)
	out, err := exec.Command("go", "list", "-m", "-f", "{{if not .Indirect}}{{.Path}}{{end}}", "all").Output()
	require.NoError(t, err)
	for _, module := range strings.Fields(string(out)) {
		if module != "reprise" {
			require.Contains(t, string(doc), "| "+module+" |", "docs/dependencies.md does not say why %s is needed", module)
		}
	}
}
