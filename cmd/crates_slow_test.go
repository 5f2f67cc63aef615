//go:build slow

package cmd

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/artifacts"
	"reprise/runner/report/crate"
)

// TestCrateOfEveryKick packs the kick run of every artifact. Each crate passes the
// validator and answers the profile's questions, names nobody, and a byte changed
// in any of its files is found.
func TestCrateOfEveryKick(t *testing.T) {
	dir := t.TempDir()
	program, crates := filepath.Join(dir, "reprise"), filepath.Join(dir, "crates")
	out, err := exec.Command("go", "build", "-o", program, "reprise").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.Mkdir(crates, 0o755))
	reprise := func(codes []int, args ...string) {
		t.Helper()
		c := exec.Command(program, args...)
		c.Env = append(os.Environ(), "REPRISE_STORE="+filepath.Join(dir, "store"), "NO_COLOR=1")
		out, _ := c.CombinedOutput()
		require.Contains(t, codes, c.ProcessState.ExitCode(), "%v: %s", args, out)
	}
	for _, name := range artifacts.EmbeddedNames() {
		// On a busy machine a step may reach its limit; such a run has a crate, too.
		reprise([]int{ExitOK, ExitNotReproduced, ExitStepFailed, ExitInconclusive}, "run", name, "--headless")
		file := filepath.Join(crates, name+".zip")
		reprise([]int{ExitOK}, "pack", "latest", "-o", file)
		reprise([]int{ExitOK}, "verify", file)

		folder := filepath.Join(dir, name) + "/"
		reprise([]int{ExitOK}, "pack", "latest", "-o", folder)
		files := 0
		require.NoError(t, filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			for _, word := range identities(t) {
				require.NotContains(t, string(data), word, path)
			}
			if filepath.Base(path) == crate.MetadataFile {
				return nil
			}
			files++
			data[len(data)/2] ^= 1
			require.NoError(t, os.WriteFile(path, data, 0o600))
			wrong, err := crate.Verify(os.DirFS(folder))
			require.NoError(t, err)
			require.NotEmpty(t, wrong, "%s was changed", path)
			data[len(data)/2] ^= 1
			return os.WriteFile(path, data, 0o600)
		}))
		require.Greater(t, files, 3)
	}
	check := exec.Command("go", "test", "reprise/runner/report/crate", "-count=1", "-run", "Questions|Expands")
	check.Env = append(os.Environ(), "REPRISE_CRATES="+crates)
	out, err = check.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// identities are what names this machine and its user, where that is not what
// everybody's are called.
func identities(t *testing.T) []string {
	host, err := os.Hostname()
	require.NoError(t, err)
	u, err := user.Current()
	require.NoError(t, err)
	var words []string
	for _, word := range []string{host, u.Username, u.HomeDir} {
		if len(word) > 5 && word != "localhost" {
			words = append(words, word)
		}
	}
	return words
}
