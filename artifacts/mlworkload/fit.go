package mlworkload

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"reprise/artifacts"
	"reprise/checks/stats"
	"reprise/policies/mlworkload"
	"reprise/policies/mlworkload/fit"
)

// halves gives n values to fit and n to hold out, fewer where there are not as
// many.
func halves(x []float64, n int, rng *rand.Rand) (fitted, held []float64) {
	n = min(n, len(x)/2)
	both := pick(x, 2*n, rng)
	return both[:n], both[n:]
}

// byTime is the same, with every value held out later than every one fitted.
func byTime(x []float64, n int, rng *rand.Rand) (fitted, held []float64) {
	n = min(n, len(x)/2)
	return pick(x[:len(x)/2], n, rng), pick(x[len(x)/2:], n, rng)
}

// pythonSeed starts the draw of the values that another program fitted. It did
// not say which they were; they were found by trying (docs/artifacts/mlworkload.md).
const pythonSeed = 1

// asPython gives the n values that Python's random.sample draws from those that
// the log records, ties and all but in rounded-gap, and n of the rest to hold
// out.
func asPython(l *mlworkload.Log, variable string, n int, rng *rand.Rand) (fitted, held []float64, err error) {
	x, err := l.Recorded(variable)
	if err != nil {
		return nil, nil, err
	}
	if variable == "rounded-gap" {
		x = mlworkload.Jitter(x, mlworkload.Tick(x), rng)
	}
	n = min(n, len(x)/2)
	drawn, err := mlworkload.PythonSample(pythonSeed, len(x), n)
	if err != nil {
		return nil, nil, err
	}
	taken := make([]bool, len(x))
	for _, at := range drawn {
		taken[at] = true
		fitted = append(fitted, x[at])
	}
	var rest []float64
	for at, value := range x {
		if !taken[at] {
			rest = append(rest, value)
		}
	}
	return fitted, pick(rest, n, rng), nil
}

// divided gives the values of the variable that the parameters name, those to
// fit and those to hold out.
func divided(env *artifacts.Env) (fitted, held []float64, err error) {
	l, rng, err := load(env)
	if err != nil {
		return nil, nil, err
	}
	variable, n := env.Params["variable"].(string), env.Params["n"].(int)
	x, err := l.Sample(variable, rng)
	if err != nil {
		return nil, nil, err
	}
	switch split := env.Params["split"].(string); split {
	case "random":
		fitted, held = halves(x, n, rng)
	case "time":
		fitted, held = byTime(x, n, rng)
	case "python":
		fitted, held, err = asPython(l, variable, n, rng)
	default:
		err = fmt.Errorf("split %q: want random, time or python", split)
	}
	return fitted, held, err
}

// chosen looks up the families that a parameter names.
func chosen(env *artifacts.Env) ([]fit.Family, error) {
	var all []fit.Family
	for _, name := range env.Params["families"].([]string) {
		f, err := fit.Lookup(name)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// fits observes, by family, ks, wasserstein and log_wasserstein on the values
// fitted (of: fit) and held out (of: held), log_likelihood a value held out,
// fitted_log_likelihood of all values fitted, bic over that of the best family,
// and each parameter.
func fits(ctx context.Context, env *artifacts.Env) error {
	fitted, held, err := divided(env)
	if err != nil {
		return err
	}
	list, err := chosen(env)
	if err != nil {
		return err
	}
	observe := observer(env)
	errs := []error{observe("n", float64(len(fitted)), "1")}
	bics, least := map[string]float64{}, math.Inf(1)
	for i, f := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		env.Progress(float64(i), float64(len(list)), f.Name)
		d, err := f.Fit(fitted)
		if errors.Is(err, fit.ErrSample) {
			continue // such as the logarithms of values below 1
		}
		if err != nil {
			return err
		}
		bics[f.Name] = f.BIC(d, fitted)
		least = min(least, bics[f.Name])
		for i, values := range [][]float64{fitted, held} {
			of := []string{"fit", "held"}[i]
			errs = append(errs,
				observe("ks", fit.Measure(d, values).KS, "1", "family", f.Name, "of", of),
				observe("wasserstein", fit.Wasserstein(d, values), "s", "family", f.Name, "of", of),
				observe("log_wasserstein", fit.LogWasserstein(d, values), "1", "family", f.Name, "of", of))
		}
		errs = append(errs, observe("log_likelihood", fit.LogLikelihood(d, held)/float64(len(held)), "1", "family", f.Name),
			observe("fitted_log_likelihood", fit.LogLikelihood(d, fitted), "1", "family", f.Name))
		for _, p := range fit.Parameters(d) {
			errs = append(errs, observe("parameter", p.Value, "1", "family", f.Name, "parameter", p.Name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(bics)) {
		errs = append(errs, observe("bic_above_best", bics[name]-least, "1", "family", name))
	}
	return errors.Join(errs...)
}

// pvalues observes p by family, n and test:
//   - fixed: the Kolmogorov–Smirnov p-value of n values held out, against the
//     fit of other values;
//   - naive: that of n values against their own fit, which forgets the fit;
//   - bootstrap-ks, bootstrap-ad, bootstrap-chi-square: those that know of it.
//
// n is all for all values held out, or all values, where only fixed and naive
// are made. ks is the mean distance of n values from their own fit.
func pvalues(ctx context.Context, env *artifacts.Env) error {
	l, rng, err := load(env)
	if err != nil {
		return err
	}
	x, err := l.Sample(env.Params["variable"].(string), rng)
	if err != nil {
		return err
	}
	list, err := chosen(env)
	if err != nil {
		return err
	}
	window := env.Params["draw"].(string) == "window"
	if draw := env.Params["draw"].(string); draw != "random" && !window {
		return fmt.Errorf("draw %q: want random or window", draw)
	}
	observe := observer(env)
	fitted, held := halves(x, env.Params["n"].(int), rng)
	var errs []error
	sizes, samples := env.Params["sizes"].([]int), env.Params["samples"].(int)
	done, total := 0.0, float64(len(list)*len(sizes)*samples)
	for _, f := range list {
		all, err := f.Fit(fitted)
		if errors.Is(err, fit.ErrSample) {
			continue
		}
		if err != nil {
			return err
		}
		errs = append(errs, observe("p", fit.KolmogorovP(fit.Measure(all, held).KS, len(held)), "1", "family", f.Name, "n", "all", "test", "fixed"))
		of, err := f.FitNear(x, all)
		if err != nil {
			return err
		}
		errs = append(errs, observe("p", fit.KolmogorovP(fit.Measure(of, x).KS, len(x)), "1", "family", f.Name, "n", "all", "test", "naive"))
		for _, n := range sizes {
			if n > len(held) {
				continue
			}
			p := map[string][]float64{}
			var distance []float64
			for range samples {
				done++
				env.Progress(done, total, f.Name)
				out, own := pick(held, n, rng), pick(x, n, rng)
				if window {
					from := rng.IntN(len(x) - n + 1)
					own = x[from : from+n]
					out = own
				}
				p["fixed"] = append(p["fixed"], fit.KolmogorovP(fit.Measure(all, out).KS, n))
				_, v, err := f.Test(ctx, own, env.Params["replicates"].(int), rng)
				if errors.Is(err, fit.ErrSample) {
					continue
				}
				if err != nil {
					return err
				}
				distance = append(distance, v.KS)
				for test, value := range map[string]float64{"naive": v.NaiveKS, "bootstrap-ks": v.KSP, "bootstrap-ad": v.ADP, "bootstrap-chi-square": v.ChiSquareBootP} {
					p[test] = append(p[test], value)
				}
			}
			errs = append(errs, observe("ks", stats.Mean(distance), "1", "family", f.Name, "n", whole(n)))
			for _, test := range slices.Sorted(maps.Keys(p)) {
				errs = append(errs, observe("p", stats.Mean(p[test]), "1", "family", f.Name, "n", whole(n), "test", test))
			}
		}
	}
	return errors.Join(errs...)
}

// pick draws n of the values without putting any back.
func pick(x []float64, n int, rng *rand.Rand) []float64 {
	picked := make([]float64, n)
	for i, at := range rng.Perm(len(x))[:n] {
		picked[i] = x[at]
	}
	return picked
}

// coverage observes rejected, by test: the share of samples of a family that the
// test of that family rejects at 5 %.
func coverage(ctx context.Context, env *artifacts.Env) error {
	f, err := fit.Lookup(env.Params["family"].(string))
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(uint64(env.Params["seed"].(int)), 1))
	truth, err := f.Fit(shaped(rng))
	if err != nil {
		return err
	}
	n, rounds := env.Params["n"].(int), env.Params["rounds"].(int)
	rejected := map[string]int{"bootstrap-ks": 0, "bootstrap-ad": 0, "bootstrap-chi-square": 0, "naive": 0}
	for round := range rounds {
		env.Progress(float64(round), float64(rounds), f.Name)
		_, v, err := f.Test(ctx, fit.Sample(truth, n, rng), env.Params["replicates"].(int), rng)
		if err != nil {
			return err
		}
		for test, p := range map[string]float64{"bootstrap-ks": v.KSP, "bootstrap-ad": v.ADP, "bootstrap-chi-square": v.ChiSquareBootP, "naive": v.NaiveKS} {
			if p <= 0.05 {
				rejected[test]++
			}
		}
	}
	observe := observer(env)
	var errs []error
	for _, test := range slices.Sorted(maps.Keys(rejected)) {
		errs = append(errs, observe("rejected", float64(rejected[test])/float64(rounds), "1", "test", test))
	}
	return errors.Join(errs...)
}

// shaped are the run times of a generated log: what each family is fitted to
// for a truth of that family that is shaped as job logs are.
func shaped(rng *rand.Rand) []float64 {
	m := mlworkload.PublishedLublin()
	x, err := m.Generate(5000, rng).Sample("duration", rng)
	if err != nil {
		panic(err) // a generated log has durations
	}
	for i := range x {
		x[i]++ // above 1, for the families of the logarithm
	}
	return x
}

// lublin observes recovered, by parameter: its estimate over the truth; and
// bic_above_best by family, for the run times.
func lublin(_ context.Context, env *artifacts.Env) error {
	rng := rand.New(rand.NewPCG(uint64(env.Params["seed"].(int)), 2))
	truth := mlworkload.PublishedLublin()
	l := truth.Generate(env.Params["jobs"].(int), rng)
	got, err := mlworkload.FitLublin(l, rng)
	if err != nil {
		return err
	}
	observe := observer(env)
	var errs []error
	want := truth.Parameters()
	for i, p := range got.Parameters() {
		errs = append(errs, observe("recovered", p.Value/want[i].Value, "1", "parameter", p.Name))
	}
	x := l.Durations()
	for i := range x {
		x[i] += 1 - rng.Float64() // whole seconds were cut off
	}
	bics, least := map[string]float64{}, math.Inf(1)
	for _, f := range fit.Families {
		d, err := f.Fit(x)
		if err != nil {
			return err
		}
		bics[f.Name] = f.BIC(d, x)
		least = min(least, bics[f.Name])
	}
	for _, name := range slices.Sorted(maps.Keys(bics)) {
		errs = append(errs, observe("bic_above_best", bics[name]-least, "1", "family", name))
	}
	return errors.Join(errs...)
}
