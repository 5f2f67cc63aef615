package checks_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/checks"
)

func quantity(text string) *checks.Quantity {
	q, err := checks.ParseQuantity(text)
	if err != nil {
		panic(err)
	}
	return &q
}

func only(check checks.Check) map[string]checks.Claim {
	return map[string]checks.Claim{"C1": {Experiment: "E1", Checks: []checks.Check{check}}}
}

// world is a made-up experiment: latencies of policies on traces at sizes.
func world(rng *rand.Rand) []checks.Observation {
	var all []checks.Observation
	for trace := range 3 {
		for p, policy := range []string{"a", "b", "c"} {
			for _, size := range []string{"1MiB", "4MiB", "16MiB"} {
				for seed := range 3 {
					all = append(all, checks.Observation{Metric: "latency", Unit: "us",
						Value:  100 + 10*float64(p*trace) + float64(len(size)*p) + 2*rng.NormFloat64(),
						Labels: map[string]string{"experiment": "E1", "trace": fmt.Sprint("w", trace), "policy": policy, "size": size, "seed": fmt.Sprint(seed)}})
				}
			}
		}
	}
	return all
}

// claimsOfWorld asks every kind of check of it.
func claimsOfWorld() map[string]checks.Claim {
	sel := checks.Selection{Metric: "latency"}
	share := checks.Selection{Metric: "latency", Share: quantity("50%")}
	a := checks.Selection{Metric: "latency", Where: map[string]string{"policy": "b"}}
	because := func(v string) *checks.Tolerance {
		return &checks.Tolerance{Value: quantity(v), Because: "made up"}
	}
	rho := 0.5
	one := []checks.Check{
		{Value: &checks.Value{Selection: a, Aggregate: "mean", Expect: checks.Expectation{Value: quantity("0.11ms")}, Tolerance: because("5%")}},
		{Value: &checks.Value{Selection: share, Expect: checks.Expectation{Max: quantity("110us")}}},
		{Order: &checks.Order{Selection: sel, By: "policy", First: "a", Ties: *quantity("1%")}},
		{Order: &checks.Order{Selection: share, By: "policy", Expect: []string{"a", "b", "c"}}},
		{Change: &checks.Change{Selection: sel, By: "policy", Of: "a", From: "best-of-rest", Expect: checks.Expectation{Max: quantity("-5%")}}},
		{Change: &checks.Change{Selection: share, By: "policy", Of: "a", From: "b", Expect: checks.Expectation{Max: quantity("-5%")}}},
		{Ratio: &checks.Ratio{Selection: sel, By: "policy", Of: "c", To: "a", Aggregate: "worst", Expect: checks.Expectation{Min: quantity("1.2x")}}},
		{Trend: &checks.Trend{Selection: a, Over: "size", Expect: "increasing", Ties: *quantity("2%")}},
		{Curve: &checks.Curve{Selection: a, Over: "size", RankCorr: &rho, Tolerance: because("20us"),
			Reference: map[string]checks.Quantity{"1MiB": *quantity("110us"), "16MiB": *quantity("120us")}}},
		{Crossover: &checks.Crossover{Selection: sel, By: "policy", A: "a", B: "b", Over: "size"}},
	}
	claims := map[string]checks.Claim{}
	for i, c := range one {
		claims[fmt.Sprint("C", i+1)] = checks.Claim{Experiment: "E1", Checks: []checks.Check{c}}
	}
	return claims
}

func TestOrderOfObservationsIsOfNoAccount(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 5 {
		data := world(rng)
		want := checks.Evaluate(claimsOfWorld(), checks.Input{Observations: data})
		for _, v := range want {
			require.NotEqual(t, checks.Error, v.Outcome, v.Reason)
		}
		for range 5 {
			rng.Shuffle(len(data), func(i, j int) { data[i], data[j] = data[j], data[i] })
			require.Equal(t, want, checks.Evaluate(claimsOfWorld(), checks.Input{Observations: data}))
		}
	}
}

func TestUnitsAndForeignMetricsAreOfNoAccount(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 5 {
		data := world(rng)
		want := outcomes(checks.Evaluate(claimsOfWorld(), checks.Input{Observations: data}))

		scaled := slices.Clone(data)
		mixed := slices.Clone(data)
		foreign := slices.Clone(data)
		for i, o := range data {
			scaled[i].Value, scaled[i].Unit = o.Value/1e3, "ms"
			if i%2 == 0 {
				mixed[i].Value, mixed[i].Unit = o.Value*1e3, "ns"
			}
			o.Metric, o.Value, o.Unit = "other", math.NaN(), "erases"
			foreign = append(foreign, o)
			o.Metric, o.Labels = "latency", maps.Clone(o.Labels)
			o.Labels["experiment"] = "E2"
			foreign = append(foreign, o)
		}
		for name, observations := range map[string][]checks.Observation{"scaled": scaled, "mixed": mixed, "foreign": foreign} {
			require.Equal(t, want, outcomes(checks.Evaluate(claimsOfWorld(), checks.Input{Observations: observations})), name)
		}
	}
}

func outcomes(verdicts []checks.Verdict) (all []checks.Outcome) {
	for _, v := range verdicts {
		all = append(all, v.Outcome)
	}
	return all
}

func TestVerdictsInNaturalOrderAndAsJSON(t *testing.T) {
	verdicts := checks.Evaluate(claimsOfWorld(), checks.Input{Observations: world(rand.New(rand.NewPCG(3, 3)))})
	require.Equal(t, "C2", verdicts[1].Claim)
	require.Equal(t, "C10", verdicts[9].Claim)
	text, err := json.Marshal(verdicts)
	require.NoError(t, err)
	var back []checks.Verdict
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, verdicts, back)
	require.Contains(t, string(text), `{"claim":"C1","statement":"","source":{"where":"","kind":""},"verdict":"reproduced"`)
}

func TestClaimIsTheWorstOfItsChecks(t *testing.T) {
	order := []checks.Outcome{checks.Skipped, checks.Reproduced, checks.Partial, checks.Inconclusive, checks.NotReproduced, checks.Error}
	for i, a := range order {
		for j, b := range order {
			require.Equal(t, i > j, a.Worse(b), "%s, %s", a, b)
		}
	}
}

// Keys that the loader would refuse are an error, not a verdict.
func TestKeysThatMeanNothing(t *testing.T) {
	min1 := checks.Expectation{Min: quantity("1")}
	sel := checks.Selection{Metric: "latency"}
	for want, check := range map[string]checks.Check{
		"a check is exactly one of":                      {},
		"metric is missing":                              {Value: &checks.Value{Expect: min1}},
		"expect is missing":                              {Value: &checks.Value{Selection: sel}},
		`aggregate: "average" is not one of mean`:        {Value: &checks.Value{Selection: sel, Aggregate: "average", Expect: min1}},
		"tolerance.because is missing":                   {Value: &checks.Value{Selection: sel, Expect: min1, Tolerance: &checks.Tolerance{Rel: quantity("5%")}}},
		"expect takes exactly one of its keys, not 2":    {Value: &checks.Value{Selection: sel, Expect: checks.Expectation{Min: quantity("1"), Max: quantity("2")}}},
		"expect.between[0]: the lower bound 2 is above":  {Value: &checks.Value{Selection: sel, Expect: checks.Expectation{Between: []checks.Quantity{{Value: 2}, {Value: 1}}}}},
		`better: "more" is not one of lower, higher`:     {Order: &checks.Order{Selection: sel, By: "policy", First: "a", Better: "more"}},
		"an order takes one of first, last and expect":   {Order: &checks.Order{Selection: sel, By: "policy"}},
		`assume: "luck" is not one of exact`:             {Value: &checks.Value{Selection: checks.Selection{Metric: "latency", Assume: "luck"}, Expect: min1}},
		"where.policy: where fixes policy, which":        {Order: &checks.Order{Selection: checks.Selection{Metric: "latency", Where: map[string]string{"policy": "a"}}, By: "policy", First: "a"}},
		"expect.min: 1us is not a plain number":          {Ratio: &checks.Ratio{Selection: sel, By: "policy", Of: "a", To: "b", Expect: checks.Expectation{Min: quantity("1us")}}},
		"at.between: between takes a lower and an upper": {Crossover: &checks.Crossover{Selection: sel, By: "policy", A: "a", B: "b", Over: "size", At: &checks.Expectation{Between: []checks.Quantity{{}}}}},
	} {
		v := checks.Evaluate(only(check), checks.Input{Observations: world(rand.New(rand.NewPCG(4, 4)))})[0]
		require.Equal(t, checks.Error, v.Outcome, want)
		require.Contains(t, v.Reason, want)
	}
}

func TestObservationsWithoutSeedAreRepeats(t *testing.T) {
	var data []checks.Observation
	for _, v := range []float64{10, 11, 12} {
		data = append(data, checks.Observation{Metric: "latency", Value: v, Unit: "us", Labels: map[string]string{"experiment": "E1"}})
	}
	v := checks.Evaluate(only(checks.Check{Value: &checks.Value{Selection: checks.Selection{Metric: "latency"}, Expect: checks.Expectation{Max: quantity("1ms")}}}), checks.Input{Observations: data})[0]
	require.Equal(t, checks.Reproduced, v.Outcome)
	require.Equal(t, 3, v.Results[0].N)
	require.Equal(t, []string{"observations that agree in every label, seed and repeat too, are counted as repeats"}, v.Results[0].Warnings)
}

// A change of x % is judged right as often as its interval promises: with the
// truth on the bound, wrongly decided in at most 1 of 20 cases.
func TestWrongVerdictsAreRare(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	check := only(checks.Check{Change: &checks.Change{Selection: checks.Selection{Metric: "m"}, By: "policy", Of: "a", From: "b",
		Expect: checks.Expectation{Max: quantity("-20%")}}})
	const trials = 400
	decided := 0
	for range trials {
		var data []checks.Observation
		for seed := range 4 {
			load := 1 + rng.Float64() // common to a seed
			for policy, mean := range map[string]float64{"a": 80, "b": 100} {
				data = append(data, checks.Observation{Metric: "m", Unit: "us", Value: load * (mean + rng.NormFloat64()),
					Labels: map[string]string{"experiment": "E1", "policy": policy, "seed": fmt.Sprint(seed)}})
			}
		}
		if o := checks.Evaluate(check, checks.Input{Observations: data})[0].Outcome; o != checks.Inconclusive {
			decided++
		}
	}
	require.InDelta(t, 0.05, float64(decided)/trials, 0.035)
}

func FuzzQuantity(f *testing.F) {
	for _, seed := range []string{"62%", "5pp", "178.7us", "0.61", "1.5x", "12MiB", "2.4 M/s", "-35%", "1e3ms", "1e3", "5 e3", "3 erases", "1/s", "kIOPS", "−4", "1e999", ".", "7 1/s", "2 x2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var q checks.Quantity
		if q.UnmarshalText([]byte(text)) != nil {
			return
		}
		require.False(t, math.IsNaN(q.Value) || math.IsInf(q.Value, 0))
		written, err := q.MarshalText()
		require.NoError(t, err)
		var back checks.Quantity
		require.NoError(t, back.UnmarshalText(written), "%q", written)
		require.Equal(t, q, back, "%q", written)
	})
}

func TestQuantity(t *testing.T) {
	for text, want := range map[string]checks.Quantity{
		"62%": {Value: 62, Unit: "%"}, "178.7us": {Value: 178.7, Unit: "us"}, "0.61": {Value: 0.61}, "2.4 M/s": {Value: 2.4, Unit: "M/s"},
		"−35%": {Value: -35, Unit: "%"}, "+.5x": {Value: 0.5, Unit: "x"}, "1e3": {Value: 1000}, "5eggs": {Value: 5, Unit: "eggs"}, " 7 ": {Value: 7},
	} {
		got, err := checks.ParseQuantity(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "x", "%", "1,000", "nan", "inf", "0x1p4", "1e999", "1 2", "5 us us", "--1", "1..2"} {
		_, err := checks.ParseQuantity(text)
		require.ErrorContains(t, err, "is not a quantity", text)
	}
}

// FuzzEvaluate builds claims and observations from bytes. Nothing panics, every
// claim gets a verdict that JSON can write, and no data is never a pass.
func FuzzEvaluate(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, seed*7)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		rng := rand.New(rand.NewPCG(a, b))
		claims := map[string]checks.Claim{}
		for i := range 4 {
			claims[fmt.Sprint("C", i)] = checks.Claim{Experiment: "E1", Checks: []checks.Check{randomCheck(rng)}}
		}
		var data []checks.Observation
		for range rng.IntN(40) {
			o := checks.Observation{Metric: pick(rng, "m", "m", "n"), Value: pick(rng, 0, 1, 2, -1, 1e300, 1e-300, rng.NormFloat64()), Unit: pick(rng, "us", "us", "us", "ms", "B"),
				Labels: map[string]string{"experiment": "E1"}}
			if rng.IntN(200) == 0 {
				o.Value = pick(rng, math.NaN(), math.Inf(1))
			}
			for _, label := range []string{"policy", "size", "seed", "trace"} {
				if rng.IntN(8) > 0 {
					o.Labels[label] = pick(rng, "1", "2", "3", "4%", "x")
				}
			}
			data = append(data, o)
		}
		verdicts := checks.Evaluate(claims, checks.Input{Observations: data})
		require.Len(t, verdicts, len(claims))
		for _, v := range verdicts {
			require.NotEmpty(t, v.Reason)
			require.NotEmpty(t, v.Results[0].String())
		}
		_, err := json.Marshal(verdicts)
		require.NoError(t, err)
		for _, v := range checks.Evaluate(claims, checks.Input{}) {
			require.NotContains(t, []checks.Outcome{checks.Reproduced, checks.Partial, checks.Skipped}, v.Outcome)
		}
	})
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

func randomCheck(rng *rand.Rand) checks.Check {
	q := func() *checks.Quantity {
		return &checks.Quantity{Value: pick(rng, 0, 1, -1, 50, 1e300, math.NaN()), Unit: pick(rng, "us", "us", "%", "", "B")}
	}
	maybe := func() *checks.Quantity {
		if rng.IntN(3) > 0 {
			return nil
		}
		return q()
	}
	expect := func() checks.Expectation {
		switch rng.IntN(5) {
		case 0:
			return checks.Expectation{Value: q()}
		case 1:
			return checks.Expectation{Between: []checks.Quantity{*q(), *q()}}
		case 2:
			return checks.Expectation{Min: q()}
		case 3:
			return checks.Expectation{Max: q()}
		}
		return checks.Expectation{Min: maybe(), Max: maybe()}
	}
	var tolerance *checks.Tolerance
	if rng.IntN(2) == 0 {
		tolerance = &checks.Tolerance{Value: maybe(), Rel: maybe(), Abs: maybe(), Because: pick(rng, "", "x", "x")}
	}
	sel := checks.Selection{Metric: pick(rng, "m", "m", "m", "n", "o"), Assume: pick(rng, "", "", "exact")}
	if rng.IntN(4) == 0 {
		sel.Where = map[string]string{pick(rng, "trace", "policy", "none"): "1"}
	}
	if rng.IntN(3) == 0 {
		sel.Per = []string{pick(rng, "trace", "policy", "size")}
	}
	if rng.IntN(4) == 0 {
		sel.Share = &checks.Quantity{Value: pick(rng, 50.0, 100, 0), Unit: "%"}
	}
	ties := checks.Quantity{Value: pick(rng, 0.0, 3, 200), Unit: "%"}
	aggregate := pick(rng, "", "mean", "median", "geomean", "min", "worst", "no")
	name := func() string { return pick(rng, "1", "2", "x", "best-of-rest") }
	switch rng.IntN(7) {
	case 0:
		return checks.Check{Value: &checks.Value{Selection: sel, Aggregate: aggregate, Expect: expect(), Tolerance: tolerance}}
	case 1:
		o := &checks.Order{Selection: sel, By: "policy", Better: pick(rng, "", "higher"), Ties: ties}
		switch rng.IntN(3) {
		case 0:
			o.First = name()
		case 1:
			o.Last = name()
		default:
			o.Expect = []string{name(), name(), name()}[:1+rng.IntN(3)]
		}
		return checks.Check{Order: o}
	case 2:
		return checks.Check{Change: &checks.Change{Selection: sel, By: "policy", Of: name(), From: name(), Better: pick(rng, "", "higher"), Aggregate: aggregate, Expect: expect(), Tolerance: tolerance}}
	case 3:
		return checks.Check{Ratio: &checks.Ratio{Selection: sel, By: "policy", Of: name(), To: name(), Aggregate: aggregate, Expect: expect(), Tolerance: tolerance}}
	case 4:
		return checks.Check{Trend: &checks.Trend{Selection: sel, Over: "size", Expect: pick(rng, "increasing", "decreasing", "flat"), AllowInversions: rng.IntN(2), Ties: ties}}
	case 5:
		rho := pick(rng, 0.9, -1, 2)
		return checks.Check{Curve: &checks.Curve{Selection: sel, Over: "size", RankCorr: &rho, Tolerance: tolerance,
			Reference: map[string]checks.Quantity{"1": *q(), "2": *q(), pick(rng, "3", "4%", "x"): *q()}}}
	}
	c := &checks.Crossover{Selection: sel, By: "policy", A: "1", B: name(), Over: "size", Expect: pick(rng, "", "exists", "none"), Tolerance: tolerance}
	if rng.IntN(2) == 0 {
		at := expect()
		c.At = &at
	}
	return checks.Check{Crossover: c}
}

// BenchmarkEvaluate decides a claim of each sort on 100 000 observations: 10
// policies on 2000 cells, 5 seeds each.
func BenchmarkEvaluate(b *testing.B) {
	rng := rand.New(rand.NewPCG(6, 6))
	data := make([]checks.Observation, 0, 100_000)
	for trace := range 2000 {
		for policy := range 10 {
			for seed := range 5 {
				data = append(data, checks.Observation{Metric: "latency", Unit: "us", Value: 100 + float64(policy) + rng.NormFloat64(),
					Labels: map[string]string{"experiment": "E1", "trace": fmt.Sprint("w", trace), "policy": fmt.Sprint("p", policy), "seed": fmt.Sprint(seed)}})
			}
		}
	}
	all := checks.Selection{Metric: "latency"}
	share := checks.Selection{Metric: "latency", Share: quantity("90%")}
	best := checks.Expectation{Max: quantity("2%")}
	for name, check := range map[string]checks.Check{
		"value":        {Value: &checks.Value{Selection: all, Aggregate: "mean", Expect: checks.Expectation{Max: quantity("1ms")}}},
		"change":       {Change: &checks.Change{Selection: all, By: "policy", Of: "p0", From: "p1", Expect: best}},
		"best-of-rest": {Change: &checks.Change{Selection: all, By: "policy", Of: "p0", From: "best-of-rest", Expect: best}},
		"share":        {Change: &checks.Change{Selection: share, By: "policy", Of: "p0", From: "best-of-rest", Expect: best}},
		"order":        {Order: &checks.Order{Selection: all, By: "policy", First: "p0"}},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				checks.Evaluate(only(check), checks.Input{Observations: data})
			}
		})
	}
}
