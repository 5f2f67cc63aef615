package cmd

import (
	"fmt"
	"runtime/debug"
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
