package heimdall

import (
	"context"
	"maps"
	"slices"

	"reprise/artifacts"
)

// The client-level tables: mean read latency in us of six pairs, from the
// notebook of the authors' repository (commit dd0e0d190) and from that of an
// independent re-run (github.com/czarkos/Heimdall, commit df3f50bc6).
var published6 = map[string]map[string][6]float64{
	"authors": {
		"baseline": {269.0, 305.1, 267.7, 712.4, 226.8, 394.8},
		"hedging":  {258.0, 291.0, 251.0, 720.9, 223.2, 383.7},
		"random":   {207.8, 206.4, 193.1, 590.0, 170.6, 286.8},
		"linnos":   {369.4, 208.2, 156.0, 404.2, 246.2, 222.8},
		"heimdall": {151.2, 119.7, 130.9, 368.4, 123.6, 178.3},
	},
	"rerun": {
		"baseline": {128.4, 220.2, 157.1, 302.0, 121.7, 159.3},
		"hedging":  {130.7, 219.4, 163.7, 301.6, 126.3, 163.7},
		"random":   {96.3, 168.8, 136.5, 233.6, 103.2, 132.7},
		"linnos":   {102.5, 122.7, 135.3, 273.1, 145.9, 186.4},
		"heimdall": {101.9, 164.8, 151.0, 213.2, 111.6, 131.9},
	},
}

// The networks' sizes, from their widths: heimdall 11-128-16-1, linnos 31-256-2.
var widths = map[string][]int{"heimdall": {11, 128, 16, 1}, "linnos": {31, 256, 2}}

// The ladder of figure 14a, in percent.
var figure14a = []struct {
	rung        string
	value, gain float64
}{
	{"linnos", 67, 0}, {"raw", 50.2, -16.8}, {"min-max", 67.5, 17.3}, {"period-labels", 73, 5.5}, {"features", 77, 4}, {"noise-filter", 93, 16},
}

// published observes what follows from published figures alone: read_latency by
// run, policy and pair; weights, parameters and memory by model; and
// ladder_residue, by how much the steps of figure 14a miss its values.
func published(_ context.Context, env *artifacts.Env) error {
	o := &observer{env: env}
	for _, run := range slices.Sorted(maps.Keys(published6)) {
		for _, policy := range slices.Sorted(maps.Keys(published6[run])) {
			for i, v := range published6[run][policy] {
				o.see("read_latency_mean", v, "us", "run", run, "policy", policy, "pair", string(rune('A'+i)))
			}
		}
	}
	for _, model := range slices.Sorted(maps.Keys(widths)) {
		w := widths[model]
		weights, biases := 0, 0
		for i := 1; i < len(w); i++ {
			weights += w[i-1] * w[i]
			biases += w[i]
		}
		o.see("weights", float64(weights), "1", "model", model)
		o.see("parameters", float64(weights+biases), "1", "model", model)
		o.see("memory", 8*float64(weights+biases), "B", "model", model)
	}
	for i := 1; i < len(figure14a); i++ {
		step := figure14a[i]
		residue := figure14a[i-1].value + step.gain - step.value
		if residue < 1e-9 && residue > -1e-9 {
			residue = 0
		}
		o.see("ladder_residue", residue, "pp", "rung", step.rung)
	}
	return o.err
}
