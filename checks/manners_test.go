package checks

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// warningsOf judges repeats of one measurement and gives the warnings.
func warningsOf(values []float64, status Status) string {
	var in Input
	for i, v := range values {
		in.Observations = append(in.Observations, Observation{Metric: "t", Value: v, Unit: "us", Labels: map[string]string{"experiment": "E1", "repeat": fmt.Sprint(i)}})
	}
	in.Experiments = map[string]Status{"E1": status}
	most := Quantity{Value: 1e9, Unit: "us"}
	v := Evaluate(map[string]Claim{"C1": {Experiment: "E1", Source: Source{Where: "x", Kind: "text"}, Checks: []Check{{Value: &Value{Selection: Selection{Metric: "t"}, Expect: Expectation{Max: &most}}}}}}, in)
	return strings.Join(v[0].Results[0].Warnings, "\n")
}

func TestManners(t *testing.T) {
	measured := Status{State: OK, Measured: true}
	quiet := []float64{100, 101, 99, 100, 102, 98, 100, 101, 99, 100}
	require.Empty(t, warningsOf(quiet, measured))

	slow := append([]float64{400}, quiet...)
	require.Contains(t, warningsOf(slow, measured), "the first run differs by far from the others (400us, the others' median 100us)")
	require.Empty(t, warningsOf(slow, Status{State: OK}), "a simulation's seeds are not asked")

	out := append(append([]float64{}, quiet...), 300)
	require.Contains(t, warningsOf(out, measured), "a run lies far out (300us, the median 100us)")

	var rising []float64
	for i := range 12 {
		rising = append(rising, 100+5*float64(i)+float64(i*7%3))
	}
	require.Contains(t, warningsOf(rising, measured), "values drift from run to run (from 10")

	require.Contains(t, warningsOf(quiet, Status{State: OK, Measured: true, Warnings: []string{"others used the machine"}}), "others used the machine")
}

// Of normal repeats hardly any is warned about: drift in about 1 % at most,
// first runs and outliers in fewer.
func TestMannersAreQuiet(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const trials = 5000
	warned := 0
	for range trials {
		x := make([]float64, 10)
		for i := range x {
			x[i] = 100 + 10*rng.NormFloat64()
		}
		first, outliers := farOut(x)
		_, _, drifts := drift(x, 0.01)
		if first || len(outliers) > 0 || drifts {
			warned++
		}
	}
	require.Less(t, float64(warned)/trials, 0.02)
}
