package artifacts

import (
	"fmt"
	"time"
)

// ProfileNames are the profiles in the order of their scale.
var ProfileNames = []string{"kick", "local", "paper"}

// Cost is what running a profile takes.
type Cost struct {
	Experiments  int
	Points       int           // over all experiments
	Compute      time.Duration // the budgets' sum: the most it takes, one after another
	HumanMinutes float64
}

// Cost adds up what the experiments that have the profile take; it is zero
// when none has.
func (m *Manifest) Cost(profile string) (Cost, error) {
	var c Cost
	for _, id := range m.ExperimentIDs() {
		e := m.Experiments[id]
		p, has := e.Profiles[profile]
		if !has {
			continue
		}
		n, err := e.Count(profile, nil)
		if err != nil {
			return Cost{}, fmt.Errorf("%s, experiment %s: %w", m.Artifact, id, err)
		}
		c.Experiments++
		c.Points += n
		c.Compute += time.Duration(p.Compute)
		c.HumanMinutes += e.HumanMinutes
	}
	return c, nil
}

// Axis is one dimension of a matrix and the values it takes.
type Axis struct {
	Name   string `json:"name"`
	Values []any  `json:"values"`
}

// Axes lists the axes of the experiment in a profile, exclusions disregarded.
func (e Experiment) Axes(profile string) ([]Axis, error) {
	x, err := e.expansion(profile, nil)
	if err != nil {
		return nil, err
	}
	axes := make([]Axis, len(x.axes))
	for i, name := range x.axes {
		axes[i] = Axis{name, x.values[i]}
	}
	return axes, nil
}
