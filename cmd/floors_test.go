package cmd

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// floors lists the rooms from the top of the house to the bottom; a package
// may import only from a floor below its room's, or from its own room. A
// package belongs to the room with the longest matching path.
var floors = [][]string{
	{"reprise"},
	{"reprise/cmd"},
	{"reprise/tui"},
	{"reprise/chameleon"},
	{"reprise/runner"},
	{"reprise/artifacts/"}, // the folders below artifacts: experiments
	{"reprise/artifacts"},
	{"reprise/policies"},
	{"reprise/emulator", "reprise/traces", "reprise/checks"},
}

// apart lists rooms that may not import others although they stand below:
// experiments and providers register themselves, and only cmd imports them
// for that.
var apart = map[string][]string{
	"reprise/runner": {"reprise/artifacts/"},
	"reprise/tui":    {"reprise/artifacts/", "reprise/policies"},
	"reprise/checks": {"reprise/traces", "reprise/emulator"},
}

func room(pkg string) (floor int, name string) {
	floor = -1
	for i, rooms := range floors {
		for _, r := range rooms {
			inside := pkg == r || strings.HasPrefix(pkg, strings.TrimSuffix(r, "/")+"/")
			if strings.HasSuffix(r, "/") {
				inside = strings.HasPrefix(pkg, r)
			}
			if r == "reprise" {
				inside = pkg == r
			}
			if inside && len(r) > len(name) {
				floor, name = i, r
			}
		}
	}
	return floor, name
}

func TestFloors(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "reprise/...").Output()
	require.NoError(t, err)
	seen := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		from, fromRoom := room(fields[0])
		require.GreaterOrEqual(t, from, 0, "%s is in no room of docs/ARCHITECTURE.md", fields[0])
		for _, imported := range fields[1:] {
			if imported != "reprise" && !strings.HasPrefix(imported, "reprise/") {
				continue
			}
			seen++
			to, toRoom := room(imported)
			if toRoom == fromRoom {
				continue
			}
			require.Greater(t, to, from, "%s imports %s, which is not below it", fields[0], imported)
			require.NotContains(t, apart[fromRoom], toRoom, "%s imports %s", fields[0], imported)
		}
	}
	require.Greater(t, seen, 10)
}

// TestChecksStayPure keeps clock, files and network out of the verdicts.
func TestChecksStayPure(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, "reprise/checks/...").Output()
	require.NoError(t, err)
	for imported := range strings.Lines(string(out)) {
		require.NotContains(t, []string{"os", "time", "net", "net/http", "io/fs", "path/filepath", "syscall"}, strings.TrimSpace(imported))
	}
}
