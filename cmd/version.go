package cmd

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"reprise/runner/store"
)

// version is the program's version; of a build that has none, the commit it
// was built from, as far as the build knows it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	var commit, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = " with changes"
		}
	}
	if commit == "" {
		return "devel"
	}
	return fmt.Sprintf("devel %.12s%s", commit, dirty)
}

// program identifies the code that this program runs: by its version, or, where
// that is not the code of a commit, by the digest of the executable.
func program() (identity string, settled bool, err error) {
	info, ok := debug.ReadBuildInfo()
	if ok {
		settled = info.Main.Version != "" && info.Main.Version != "(devel)" && !strings.Contains(info.Main.Version, "+dirty")
		for _, s := range info.Settings {
			settled = settled || s.Key == "vcs.revision"
		}
		for _, s := range info.Settings {
			settled = settled && !(s.Key == "vcs.modified" && s.Value == "true")
		}
	}
	if settled {
		return version(), true, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", false, err
	}
	sum, _, err := store.DigestFile(self)
	return "sha256 " + sum, false, err
}
