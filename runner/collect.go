package runner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/runner/event"
	"reprise/runner/store"
)

// OutputsDir holds, in the folder of a step that ran without the engine, the
// declared outputs that later steps copy.
const OutputsDir = "outputs"

// Collection says what is taken in from the folder of a step that ran without
// the engine.
type Collection struct {
	Step    string              `json:"step"`
	Labels  map[string]string   `json:"labels,omitempty"`
	Report  bool                `json:"report,omitempty"` // standard output is the report of a built-in experiment
	Outputs []string            `json:"outputs,omitempty"`
	Extract []artifacts.Extract `json:"extract,omitempty"`
}

// CollectionOf says what is taken in from a step.
func CollectionOf(s *Step) Collection {
	c := Collection{Step: s.ID, Labels: s.Labels, Report: s.Builtin != nil}
	if s.Shell != nil {
		c.Outputs, c.Extract = s.Shell.Outputs, s.Shell.Extract
	}
	return c
}

// MarshalJSON leaves out what is not given; extractors are written as in a
// manifest.
func (c Collection) MarshalJSON() ([]byte, error) {
	type plain Collection
	out := struct {
		plain
		Extract []map[string]any `json:"extract,omitempty"`
	}{plain: plain(c)}
	for _, e := range c.Extract {
		spec := map[string]any{}
		for name, value := range map[string]string{"from": e.From, "metric": e.Metric, "unit": e.Unit} {
			if value != "" {
				spec[name] = value
			}
		}
		if len(e.Labels) > 0 {
			spec["labels"] = e.Labels
		}
		switch {
		case e.Regex != nil:
			spec["regex"] = map[string]any{"line": e.Regex.Line}
		case e.CSV != nil:
			spec["csv"] = map[string]any{"value": e.CSV.Value, "labels": e.CSV.Labels, "comma": e.CSV.Comma}
		case e.JSON != nil:
			spec["json"] = map[string]any{"value": e.JSON.Value, "labels": e.JSON.Labels}
		}
		out.Extract = append(out.Extract, spec)
	}
	var text bytes.Buffer
	w := json.NewEncoder(&text)
	w.SetEscapeHTML(false)
	err := w.Encode(out)
	return bytes.TrimSpace(text.Bytes()), err
}

// Collect takes in what a step has left in its folder: stdout.log, stderr.log
// and the folder work, where the command ran. It writes observations.jsonl, the
// step and one observation a line, and copies the declared outputs to
// OutputsDir.
func Collect(dir string, c Collection) error {
	stdout, stderr, work := filepath.Join(dir, store.StdoutFile), filepath.Join(dir, store.StderrFile), filepath.Join(dir, store.WorkDir)
	var list []checks.Observation
	if c.Report {
		data, err := os.ReadFile(stdout)
		if err != nil {
			return err
		}
		if list, err = readObservations(data); err != nil {
			return err
		}
	}
	for _, spec := range c.Extract {
		found, err := extract(spec, stdout, stderr, work)
		if err != nil {
			return err
		}
		list = append(list, found...)
	}
	if err := checkOutputs(work, c.Outputs); err != nil {
		return err
	}
	files, err := outputs(work, c.Outputs)
	if err != nil {
		return err
	}
	if len(c.Outputs) > 0 {
		if err := os.MkdirAll(filepath.Join(dir, OutputsDir), 0o755); err != nil {
			return err
		}
	}
	for _, name := range files {
		if err := copyAll(filepath.Join(work, name), filepath.Join(dir, OutputsDir, name)); err != nil {
			return fmt.Errorf("output %s: %w", name, err)
		}
	}
	var lines bytes.Buffer
	w := json.NewEncoder(&lines)
	for _, o := range list {
		if err := validObservation(o); err != nil {
			return err
		}
		labels := maps.Clone(c.Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, o.Labels)
		o.Labels = labels
		if err := w.Encode(event.Observed{Step: c.Step, Observation: o}); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, store.ObservationsFile), lines.Bytes(), 0o644)
}

// Environ gives what a step's command finds in its environment, beside the
// places of its sources and disks.
func Environ(s *Step) []string {
	if s.Shell != nil {
		return shellEnv(s)
	}
	if s.Memory > 0 {
		// The collector keeps below the limit where it can.
		return []string{fmt.Sprintf("GOMEMLIMIT=%d", s.Memory/10*9)}
	}
	return nil
}

// Argv gives a step's command. self is the path of this program.
func Argv(s *Step, self string) ([]string, error) {
	if s.Shell != nil {
		return []string{"sh", "-eu", "-c", s.Shell.Sh}, nil
	}
	params, err := json.Marshal(s.Params)
	if err != nil {
		return nil, err
	}
	return []string{self, "exec", s.Builtin.Name, string(params)}, nil
}

// DeviceVariable is the environment variable under which a step finds a disk
// that it may overwrite.
func DeviceVariable(name string) string { return "REPRISE_DEVICE_" + strings.ToUpper(name) }
