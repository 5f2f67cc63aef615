// Package runner turns manifests into plans of steps and executes them.
package runner

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"reprise/artifacts"
	"reprise/runner/store"
)

// Step is one command or built-in experiment at one point of its matrix.
type Step struct {
	ID         string // artifact/experiment[/axis=value,…][/name], unique in a plan
	Artifact   string
	Experiment string
	Params     map[string]any
	Labels     map[string]string // added to its observations: the axes' values
	Builtin    *artifacts.Builtin
	Shell      *artifacts.ShellStep
	Sources    map[string]artifacts.Source
	Limit      time.Duration
	Memory     uint64                      // bytes; 0: no limit
	Exclusive  bool                        // runs alone on its node
	Devices    map[string]artifacts.Device // that it may overwrite
	Nodes      map[string]int              // of its platform, by role; nil without roles
	Role       string                      // that it runs on; any node when empty
	Instance   int                         // which node of the role
	After      []string                    // steps that must have succeeded
	Inputs     []string                    // steps of the same point whose outputs it finds in its folder
	Key        string
	Parts      []store.Part // what Key digests
}

// Plan is the graph of steps of a run, in an order that respects After.
type Plan struct {
	Profile   string
	Artifacts []*artifacts.Manifest
	Steps     []*Step
	// Left names experiments that are not run, with the reason.
	Left map[ExperimentID]string
	// Trees are the digests of path sources, by artifact/source.
	Trees map[string]string
	// Repository tells the commit and state of the git repository of a folder, if
	// anybody does.
	Repository func(folder string) (commit, state string)
}

// ExperimentID names an experiment across artifacts.
type ExperimentID struct{ Artifact, Experiment string }

// Options choose what of the manifests is run.
type Options struct {
	Profile  string
	Only     []string       // experiment ids; all when empty
	Params   map[string]any // values that replace the manifest's
	Platform string         // class of the machine the steps will run on
	// TracesKey identifies the content of the folder of real traces, "" if there
	// is none; nil stands for that too. It may take long, and is called only if a
	// step reads traces.
	TracesKey func() (string, error)
	// Program identifies the code of this program, which commands call as
	// $REPRISE. Unsettled says that it is a build of code that no commit has, so
	// that a built-in's version does not tell what it measures.
	Program   string
	Unsettled bool
	// SourceKey gives what identifies the content of a source that its
	// manifest does not pin by itself (a path).
	SourceKey func(m *artifacts.Manifest, s artifacts.Source) (string, error)
	// Repository, if given, is kept in the plan for the record.
	Repository func(folder string) (commit, state string)
}

// NewPlan lays out the steps of the manifests' experiments.
func NewPlan(manifests []*artifacts.Manifest, o Options) (*Plan, error) {
	p := &Plan{Profile: o.Profile, Artifacts: manifests, Left: map[ExperimentID]string{}, Trees: map[string]string{}, Repository: o.Repository}
	wanted := map[string]bool{}
	for _, id := range o.Only {
		wanted[id] = false
	}
	unknown := maps.Clone(o.Params)
	var takes []string
	for _, m := range manifests {
		keys := map[string][]*Step{} // by experiment
		for _, id := range experimentOrder(m) {
			e := m.Experiments[id]
			if _, want := wanted[id]; len(o.Only) > 0 && !want {
				p.Left[ExperimentID{m.Artifact, id}] = "left out by --only"
				continue
			}
			wanted[id] = true
			profile, has := e.Profiles[o.Profile]
			if !has {
				p.Left[ExperimentID{m.Artifact, id}] = fmt.Sprintf("has no %s profile", o.Profile)
				continue
			}
			params := map[string]any{}
			for _, name := range e.ParamNames(o.Profile) {
				takes = append(takes, name)
				if v, given := o.Params[name]; given {
					params[name] = v
					delete(unknown, name)
				}
			}
			points, err := e.Expand(o.Profile, params)
			if err != nil {
				return nil, fmt.Errorf("%s, experiment %s: %w", m.Artifact, id, err)
			}
			sources, parts, err := stepSources(m, e, o, p.Trees)
			if err != nil {
				return nil, fmt.Errorf("%s, experiment %s: %w", m.Artifact, id, err)
			}
			var after []string
			for _, need := range e.Needs {
				for _, s := range keys[need] {
					after = append(after, s.ID)
					parts = append(parts, store.Part{Name: "needs " + s.ID, Value: s.Key})
				}
			}
			for _, point := range points {
				steps, err := pointSteps(m, id, e, profile, point, o, sources, parts, after)
				if err != nil {
					return nil, fmt.Errorf("%s, experiment %s: %w", m.Artifact, id, err)
				}
				keys[id] = append(keys[id], steps...)
				p.Steps = append(p.Steps, steps...)
			}
		}
	}
	for _, id := range o.Only {
		if !wanted[id] {
			var known []string
			for _, m := range manifests {
				known = append(known, m.ExperimentIDs()...)
			}
			return nil, &askedError{fmt.Sprintf("no experiment %q in %s", id, names(manifests)), artifacts.DidYouMean(id, known)}
		}
	}
	if len(unknown) > 0 {
		wrong := sortedStrings(unknown)
		return nil, &askedError{"no experiment that runs takes a parameter " + strings.Join(wrong, ", "), artifacts.DidYouMean(wrong[0], takes)}
	}
	return p, nil
}

// askedError says that the options ask for what there is not.
type askedError struct{ message, hint string }

func (e *askedError) Error() string { return e.message }

// Hint says what was probably meant.
func (e *askedError) Hint() string { return e.hint }

func names(manifests []*artifacts.Manifest) string {
	var out []string
	for _, m := range manifests {
		out = append(out, m.Artifact)
	}
	return strings.Join(out, ", ")
}

// experimentOrder lists the experiments so that each follows what it needs.
// The loader has refused cycles.
func experimentOrder(m *artifacts.Manifest) []string {
	var order []string
	seen := map[string]bool{}
	var visit func(string)
	visit = func(id string) {
		if seen[id] {
			return
		}
		seen[id] = true
		for _, need := range m.Experiments[id].Needs {
			visit(need)
		}
		order = append(order, id)
	}
	for _, id := range m.ExperimentIDs() {
		visit(id)
	}
	return order
}

func stepSources(m *artifacts.Manifest, e artifacts.Experiment, o Options, trees map[string]string) (map[string]artifacts.Source, []store.Part, error) {
	if len(e.Sources) == 0 {
		return nil, nil, nil
	}
	sources := map[string]artifacts.Source{}
	var parts []store.Part
	for _, name := range slices.Sorted(slices.Values(e.Sources)) {
		s := m.Sources[name]
		sources[name] = s
		value := s.Commit + s.SHA256
		if value == "" {
			var err error
			if value, err = o.SourceKey(m, s); err != nil {
				return nil, nil, fmt.Errorf("source %s: %w", name, err)
			}
			trees[m.Artifact+"/"+name] = value
		}
		parts = append(parts, store.Part{Name: "source " + name, Value: value})
	}
	return sources, parts, nil
}

// pointSteps makes the steps of one matrix point: one for a built-in, or the
// shell steps in a row.
func pointSteps(m *artifacts.Manifest, id string, e artifacts.Experiment, profile artifacts.Profile, point artifacts.Point,
	o Options, sources map[string]artifacts.Source, shared []store.Part, after []string) ([]*Step, error) {
	base := m.Artifact + "/" + id
	labels := map[string]string{"experiment": id}
	var at []string
	for _, axis := range point.Axes {
		labels[axis] = artifacts.FormatValue(point.Params[axis])
		at = append(at, axis+"="+labels[axis])
	}
	if len(at) > 0 {
		base += "/" + strings.Join(at, ",")
	}
	common := append([]store.Part{{Name: "platform", Value: o.Platform}}, shared...)
	demands := m.Platforms[profile.Platform]
	if len(demands.Nodes) > 0 {
		value, err := json.Marshal(demands.Nodes)
		if err != nil {
			return nil, err
		}
		common = append(common, store.Part{Name: "nodes", Value: string(value)})
	}
	if len(demands.Devices) > 0 || len(demands.Prepare) > 0 {
		value, err := json.Marshal(struct {
			Devices map[string]artifacts.Device
			Prepare []artifacts.Preparation
		}{demands.Devices, demands.Prepare})
		if err != nil {
			return nil, err
		}
		common = append(common, store.Part{Name: "machine", Value: string(value)})
	}
	for _, name := range slices.Sorted(maps.Keys(point.Params)) {
		value, err := json.Marshal(point.Params[name])
		if err != nil {
			return nil, fmt.Errorf("parameter %s: %w", name, err)
		}
		common = append(common, store.Part{Name: name, Value: string(value)})
	}
	step := func() *Step {
		return &Step{
			ID: base, Artifact: m.Artifact, Experiment: id, Params: point.Params, Labels: labels,
			Sources: sources, Limit: time.Duration(profile.Compute), Memory: uint64(profile.Memory),
			Exclusive: e.Exclusive, Devices: demands.Devices, Nodes: demands.Nodes, After: slices.Clone(after), Parts: slices.Clone(common),
		}
	}
	if e.Run.Builtin != "" {
		b, ok := artifacts.LookupBuiltin(e.Run.Builtin)
		if !ok {
			return nil, fmt.Errorf("no built-in experiment %q", e.Run.Builtin)
		}
		s := step()
		s.Builtin = &b
		if b.ReadsTraces {
			traces := ""
			if o.TracesKey != nil {
				var err error
				if traces, err = o.TracesKey(); err != nil {
					return nil, err
				}
			}
			s.Parts = append(s.Parts, store.Part{Name: "traces", Value: traces})
		}
		files, err := fileParts(&b, point.Params)
		if err != nil {
			return nil, err
		}
		s.Parts = append(s.Parts, files...)
		s.Parts = append(s.Parts, store.Part{Name: "built-in", Value: fmt.Sprintf("%s version %d", b.Name, b.Version)})
		if o.Unsettled {
			s.Parts = append(s.Parts, store.Part{Name: "program", Value: o.Program})
		}
		s.Key = store.Key(s.Parts)
		return []*Step{s}, nil
	}
	var steps []*Step
	for i := range e.Run.Steps {
		sh := &e.Run.Steps[i]
		var all []*Step // one for each node of its role
		for instance := range max(1, demands.Nodes[sh.Role]) {
			s := step()
			s.ID += "/" + sh.Name
			s.Shell = sh
			if sh.Timeout > 0 {
				s.Limit = time.Duration(sh.Timeout)
			}
			if sh.Memory > 0 {
				s.Memory = uint64(sh.Memory)
			}
			for _, earlier := range steps {
				s.After = append(s.After, earlier.ID)
				s.Inputs = append(s.Inputs, earlier.ID)
				s.Parts = append(s.Parts, store.Part{Name: "after " + strings.TrimPrefix(earlier.ID, base+"/"), Value: earlier.Key})
			}
			if sh.Role != "" {
				s.Role, s.Instance = sh.Role, instance
				s.Labels = maps.Clone(labels)
				s.Labels[artifacts.RoleLabel] = s.seat()
				s.Parts = append(s.Parts, store.Part{Name: "role", Value: s.seat()})
				if s.several() {
					s.ID += "/" + s.seat()
				}
			}
			definition, err := json.Marshal(struct {
				Env     map[string]string
				Outputs []string
				Extract []artifacts.Extract
				// Left out where there are none, as it is younger than stored results.
				Preconditions []string `json:",omitempty"`
			}{sh.Env, sh.Outputs, sh.Extract, sh.Preconditions})
			if err != nil {
				return nil, err
			}
			s.Parts = append(s.Parts, store.Part{Name: "command", Value: sh.Sh}, store.Part{Name: "definition", Value: string(definition)})
			if o.Program != "" && callsProgram.MatchString(sh.Sh) {
				s.Parts = append(s.Parts, store.Part{Name: "program", Value: o.Program})
			}
			s.Key = store.Key(s.Parts)
			all = append(all, s)
		}
		steps = append(steps, all...)
	}
	return steps, nil
}

// fileParts digests the files that parameters of a built-in name.
func fileParts(b *artifacts.Builtin, params map[string]any) ([]store.Part, error) {
	var parts []store.Part
	for _, p := range b.Params {
		path, is := params[p.Name].(string)
		if !p.File || !is || !filepath.IsAbs(path) {
			continue
		}
		sum, _, err := store.DigestFile(path)
		if err != nil {
			return nil, fmt.Errorf("parameter %s: %w", p.Name, err)
		}
		parts = append(parts, store.Part{Name: "file " + p.Name, Value: sum})
	}
	return parts, nil
}

// callsProgram finds $REPRISE, but not $REPRISE_SOURCE_X.
var callsProgram = regexp.MustCompile(`\$\{?REPRISE\b`)

// seat names the node that a step with a role runs on.
func (s *Step) seat() string { return fmt.Sprintf("%s%d", s.Role, s.Instance) }

// several says that the step runs on more nodes than one, each time as a Step of
// its own.
func (s *Step) several() bool { return s.Nodes[s.Role] > 1 }

// ByName finds steps by id.
func (p *Plan) ByName() map[string]*Step {
	steps := make(map[string]*Step, len(p.Steps))
	for _, s := range p.Steps {
		steps[s.ID] = s
	}
	return steps
}

func (p *Plan) byExperiment() map[ExperimentID][]*Step {
	steps := map[ExperimentID][]*Step{}
	for _, s := range p.Steps {
		id := ExperimentID{s.Artifact, s.Experiment}
		steps[id] = append(steps[id], s)
	}
	return steps
}

func sortedStrings[M ~map[string]V, V any](m M) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
