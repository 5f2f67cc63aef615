package profiling

import (
	"fmt"
	"math"
	"slices"

	"reprise/traces/telemetry"
)

// Features names a set of features.
type Features string

// The sets of features, over the seven sensors of the SuperCloud challenge.
const (
	Statistics Features = "statistics" // of each sensor: mean, deviation, least, quartiles, greatest, slope
	Covariance Features = "covariance" // upper triangle of the sensors' covariance, each standardised over the training part
	Spectrum   Features = "spectrum"   // of utilisation and power: period, its share of the variance, entropy, four bands
	Changes    Features = "changes"    // of utilisation and power: change points a second, greatest step, longest stretch
	Every      Features = "all"        // all of these
)

// FeatureSets are the sets by name.
var FeatureSets = []Features{Statistics, Covariance, Spectrum, Changes, Every}

// ParseFeatures reads the name of a set.
func ParseFeatures(s string) (Features, error) {
	if slices.Contains(FeatureSets, Features(s)) {
		return Features(s), nil
	}
	return "", fmt.Errorf("features %q: want one of %v", s, FeatureSets)
}

// watched are the sensors whose course in time is looked at.
var watched = []telemetry.Sensor{telemetry.UtilizationGPU, telemetry.Power}

// Extractor makes features of windows. What it knows of the sensors' scale it
// learned from the training part alone.
type Extractor struct {
	set      Features
	mean, sd [telemetry.Challenge]float64
}

// FitExtractor learns the scale of the sensors.
func FitExtractor(set Features, train []Example) *Extractor {
	e := &Extractor{set: set}
	for s := range telemetry.Challenge {
		n, squares := 0.0, 0.0
		for i := range train {
			for j := range train[i].Samples {
				if v := train[i].Samples[j].Values[s]; !math.IsNaN(v) {
					n++
					d := v - e.mean[s]
					e.mean[s] += d / n
					squares += d * (v - e.mean[s])
				}
			}
		}
		if n > 0 {
			e.sd[s] = math.Sqrt(squares / n)
		}
	}
	return e
}

// Features are those of one window.
func (e *Extractor) Features(w []telemetry.Sample) []float64 {
	var x []float64
	columns := make([][]float64, telemetry.Challenge)
	for s := range columns {
		columns[s] = filled(w, telemetry.Sensor(s))
	}
	if e.set == Statistics || e.set == Every {
		for _, v := range columns {
			x = append(x, statistics(v)...)
		}
	}
	if e.set == Covariance || e.set == Every {
		x = append(x, e.covariance(columns)...)
	}
	if e.set == Spectrum || e.set == Every {
		t := times(w)
		for _, s := range watched {
			x = append(x, spectral(t, columns[s])...)
		}
	}
	if e.set == Changes || e.set == Every {
		for _, s := range watched {
			x = append(x, changes(columns[s], w)...)
		}
	}
	return x
}

// Names are those of the features, in their order.
func (e *Extractor) Names() []string {
	var names []string
	if e.set == Statistics || e.set == Every {
		for s := range telemetry.Challenge {
			for _, n := range []string{"mean", "sd", "min", "p25", "median", "p75", "max", "slope"} {
				names = append(names, fmt.Sprintf("%v.%s", s, n))
			}
		}
	}
	if e.set == Covariance || e.set == Every {
		for a := range telemetry.Challenge {
			for b := a; b < telemetry.Challenge; b++ {
				names = append(names, fmt.Sprintf("cov.%v.%v", a, b))
			}
		}
	}
	for _, set := range []struct {
		of    Features
		names []string
	}{{Spectrum, []string{"period", "share", "entropy", "band1", "band2", "band3", "band4"}}, {Changes, []string{"changes", "step", "stretch"}}} {
		if e.set == set.of || e.set == Every {
			for _, s := range watched {
				for _, n := range set.names {
					names = append(names, fmt.Sprintf("%v.%s", s, n))
				}
			}
		}
	}
	return names
}

func times(w []telemetry.Sample) []float64 {
	t := make([]float64, len(w))
	for i := range w {
		t[i] = w[i].Time - w[0].Time
	}
	return t
}

// filled are a sensor's readings; a missing one is the last before it, or the
// first after; without any, zeros.
func filled(w []telemetry.Sample, s telemetry.Sensor) []float64 {
	v := make([]float64, len(w))
	last, first := math.NaN(), -1
	for i := range w {
		if r := w[i].Values[s]; !math.IsNaN(r) {
			last = r
			if first < 0 {
				first = i
			}
		}
		v[i] = last
	}
	for i := range v {
		if first < 0 {
			v[i] = 0
		} else if i < first {
			v[i] = v[first]
		}
	}
	return v
}

func meanOf(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

func statistics(v []float64) []float64 {
	n := float64(len(v))
	mean := meanOf(v)
	squares, slope, spread := 0.0, 0.0, 0.0
	for i, x := range v {
		squares += (x - mean) * (x - mean)
		at := float64(i) - (n-1)/2
		slope += at * x
		spread += at * at
	}
	if spread > 0 {
		slope /= spread
	}
	sorted := slices.Sorted(slices.Values(v))
	at := func(q float64) float64 { // linear between order statistics, as numpy has it
		p := q * (n - 1)
		i := int(p)
		if i+1 >= len(sorted) {
			return sorted[len(sorted)-1]
		}
		return sorted[i] + (p-float64(i))*(sorted[i+1]-sorted[i])
	}
	return []float64{mean, math.Sqrt(squares / n), sorted[0], at(0.25), at(0.5), at(0.75), sorted[len(sorted)-1], slope}
}

// covariance is the upper triangle of zᵀz/n of the standardised sensors, as the
// challenge's baseline has it: moments about the mean of the training part, so
// that the window's level is in them.
func (e *Extractor) covariance(columns [][]float64) []float64 {
	n := len(columns[0])
	z := make([][]float64, len(columns))
	for s, v := range columns {
		z[s] = make([]float64, n)
		for i := range v {
			if e.sd[s] > 0 {
				z[s][i] = (v[i] - e.mean[s]) / e.sd[s]
			}
		}
	}
	var x []float64
	for a := range z {
		for b := a; b < len(z); b++ {
			sum := 0.0
			for i := range n {
				sum += z[a][i] * z[b][i]
			}
			x = append(x, sum/float64(n))
		}
	}
	return x
}
