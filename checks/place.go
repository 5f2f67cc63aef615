package checks

import (
	"maps"
	"math"

	"reprise/checks/stats"
)

// Place is one point of an experiment as the checks see it: the repeats of a
// measurement, in the order of their seeds and repeats.
type Place struct {
	Labels map[string]string // without seed, repeat and experiment
	Unit   string            // of Values; the same at all places of a metric
	Values []float64
	// Runs names the repeats, "seed=1 repeat=2", "" where nothing tells them apart.
	Runs []string
}

// Mean is the mean of the repeats.
func (p Place) Mean() float64 { return stats.Mean(p.Values) }

// Interval is the confidence interval of the mean after Student, as the checks
// have it; nil for a single run and for repeats that agree.
func (p Place) Interval() *Interval {
	n := len(p.Values)
	if n < 2 {
		return nil
	}
	half := stats.StudentQuantile((1+confidence)/2, n-1) * math.Sqrt(stats.Variance(p.Values)/float64(n))
	mean := p.Mean()
	if !(half > 1e-12*math.Abs(mean)) || math.IsInf(half, 0) {
		return nil
	}
	return &Interval{mean - half, mean + half, confidence}
}

// Places groups the observations of an experiment's metric, in natural order of
// their labels. Observations in a unit of another dimension than the first
// place's, and those that are no numbers, are left out.
func Places(observations []Observation, metric string) []Place {
	experiment := ""
	for _, o := range observations {
		if o.Metric == metric {
			experiment = o.Labels[labelExperiment]
			break
		}
	}
	var places []Place
	for _, p := range newIndex(observations).series(experiment, metric) {
		place := Place{Labels: maps.Clone(p.labels), Unit: p.units[0]}
		if len(places) > 0 {
			place.Unit = places[0].Unit
		}
		for _, reserved := range []string{labelSeed, labelRepeat, labelExperiment} {
			delete(place.Labels, reserved)
		}
		for i, v := range p.values {
			v, err := convert(v, p.units[i], place.Unit)
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
				continue
			}
			run := map[string]string{}
			if s := p.runs[i].seed; s != "" {
				run[labelSeed] = s
			}
			if r := p.runs[i].repeat; r != "" {
				run[labelRepeat] = r
			}
			place.Values = append(place.Values, v)
			place.Runs = append(place.Runs, describeLabels(run, sortedKeys(run)))
		}
		if len(place.Values) > 0 {
			places = append(places, place)
		}
	}
	return places
}
