package runner

import (
	"reprise/artifacts"
	"reprise/runner/event"
)

// measures reports whether what the step observes depends on the machine it
// runs on, as a built-in simulation's results do not.
func (s *Step) measures() bool { return s.Exclusive || s.Shell != nil }

// planned is the plan as the log has it.
func planned(p *Plan) event.Planned {
	steps := p.byExperiment()
	var out event.Planned
	for _, m := range p.Artifacts {
		out.About = append(out.About, about(m, p))
		for _, id := range m.ExperimentIDs() {
			at := ExperimentID{m.Artifact, id}
			e := event.PlannedExperiment{Artifact: m.Artifact, Experiment: id, Title: m.Experiments[id].Title, Left: p.Left[at]}
			lay(&e, steps[at])
			for _, claim := range m.ClaimIDs() {
				if c := m.Claims[claim]; c.Experiment == id {
					e.Claims = append(e.Claims, event.PlannedClaim{Claim: claim, Statement: c.Statement, Source: c.Source})
				}
			}
			out.Experiments = append(out.Experiments, e)
		}
	}
	return out
}

func about(m *artifacts.Manifest, p *Plan) event.PlannedArtifact {
	a := event.PlannedArtifact{
		Artifact: m.Artifact, Title: m.Title, Venue: m.Paper.Venue, DOI: m.Paper.DOI, URL: m.Paper.URL,
		Authors: m.Paper.Authors, License: m.License, Manifest: m.Digest,
	}
	if m.Paper.Title != "" {
		a.Title = m.Paper.Title
	}
	if m.Dir != "" && p.Repository != nil {
		a.Commit, a.State = p.Repository(m.Dir)
	}
	for _, name := range sortedStrings(m.Sources) {
		s := m.Sources[name]
		a.Sources = append(a.Sources, event.PlannedSource{Name: name, From: s.Git + s.Archive + s.Path, Pin: s.Commit + s.SHA256, Tree: p.Trees[m.Artifact+"/"+name]})
	}
	return a
}

// lay notes the steps of an experiment and the parameters of its points. The
// axes are the labels of the steps, in the order of the points.
func lay(e *event.PlannedExperiment, steps []*Step) {
	type point struct{ axis, value string }
	seen := map[point]bool{}
	for _, s := range steps {
		e.Steps = append(e.Steps, s.ID)
		e.Measured = e.Measured || s.measures()
		for name, value := range s.Params {
			axis, isAxis := s.Labels[name]
			at := point{name, axis}
			switch {
			case isAxis && seen[at]:
			case isAxis && e.Axes == nil:
				seen[at] = true
				e.Axes = map[string][]string{name: {axis}}
			case isAxis:
				seen[at] = true
				e.Axes[name] = append(e.Axes[name], axis)
			case !isAxis && e.Params == nil:
				e.Params = map[string]string{name: artifacts.FormatValue(value)}
			case !isAxis:
				e.Params[name] = artifacts.FormatValue(value)
			}
		}
	}
}
