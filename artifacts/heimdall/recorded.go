package heimdall

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"reprise/artifacts"
	"reprise/policies/admission"
	"reprise/traces"
)

// recordedLogs reads the real logs of a folder. Without a folder there are
// none, and what depends on them stays undecided.
func recordedLogs(env *artifacts.Env) ([]namedLog, error) {
	folder := env.Params["folder"].(string)
	if folder == "" {
		env.Progress(0, 0, "no recorded logs: name their folder with --param folder=PATH")
		return nil, nil
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.trace"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		if _, err := os.Stat(folder); err != nil {
			return nil, fmt.Errorf("folder of recorded logs: %w", err)
		}
		return nil, fmt.Errorf("folder of recorded logs %s: no file there ends in .trace", folder)
	}
	var all []namedLog
	for _, f := range files {
		rec, _, err := traces.ReadLatencyLog(f, traces.Options{Format: "flashnet"})
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(filepath.Base(f), ".trace")
		all = append(all, namedLog{name, admission.NewLog(rec, admission.Stable)})
	}
	return all, nil
}
