package runner

import (
	"fmt"
	"slices"

	"reprise/artifacts"
	"reprise/runner/node"
)

// Wanted is a variable that a manifest has a step handed as a secret.
type Wanted struct {
	Name     string
	Step     string // the first that it is for
	manifest *artifacts.Manifest
	path     string
}

// Finding is an error at the place where the manifest asks for it.
func (w Wanted) Finding(message, suggestion string) artifacts.Finding {
	return w.manifest.Finding(w.path, message, suggestion)
}

// Wanted lists the variables that the steps are handed for which runs holds,
// once for each place in a manifest.
func (p *Plan) Wanted(runs func(*Step) bool) []Wanted {
	var all []Wanted
	for _, m := range p.Artifacts {
		for _, s := range p.Steps {
			if s.Artifact != m.Artifact || s.Shell == nil || len(s.Shell.Secrets) == 0 || !runs(s) {
				continue
			}
			at := slices.IndexFunc(m.Experiments[s.Experiment].Run.Steps, func(sh artifacts.ShellStep) bool { return sh.Name == s.Shell.Name })
			for i, name := range s.Shell.Secrets {
				w := Wanted{name, s.ID, m, fmt.Sprintf("experiments.%s.run[%d].secrets[%d]", s.Experiment, at, i)}
				if !slices.ContainsFunc(all, func(o Wanted) bool { return o.manifest == m && o.path == w.path }) {
					all = append(all, w)
				}
			}
		}
	}
	return all
}

// secretNames lists the variables that steps of the plan are handed.
func (p *Plan) secretNames() []string {
	var all []string
	for _, m := range p.Artifacts {
		for _, e := range m.Experiments {
			all = append(all, e.SecretNames()...)
		}
	}
	return all
}

// handed gives what a step is handed, NAME=VALUE.
func (x *execution) handed(s *Step) (secrets []string, err error) {
	if s.Shell == nil {
		return nil, nil
	}
	for _, name := range s.Shell.Secrets {
		value, is := x.Handed[name]
		if !is {
			return nil, fmt.Errorf("nobody has handed over %s", name)
		}
		secrets = append(secrets, name+"="+value)
	}
	return secrets, nil
}

// blot takes what a step was handed out of the files that it has left, and says so.
func blot(secrets []string, dir string, say func(string)) error {
	held, err := node.NewSecrets(secrets).Blot(dir)
	for _, name := range held {
		say(fmt.Sprintf("%s held a secret that the step was handed; asterisks stand in its place", name))
	}
	if err != nil {
		return fmt.Errorf("files of the step may hold secrets: %w", err)
	}
	return nil
}
