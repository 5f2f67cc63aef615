package mlworkload

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"reprise/artifacts"
	"reprise/checks/stats"
	"reprise/policies/mlworkload"
	"reprise/policies/mlworkload/fit"
)

// arrivals observes, of models fitted to the first part of a log and held
// against the rest, log_likelihood a slot held out by model: poisson (one rate),
// seasonal (the season's rate) and mmpp (the season's, Markov-modulated); how
// many states BIC chose; gap_cv on the clock and on the season's clock; and
// gap_ks of the chosen renewal process's gaps held out.
func arrivals(_ context.Context, env *artifacts.Env) error {
	l, rng, err := load(env)
	if err != nil {
		return err
	}
	early, late := cutAt(l, env.Params["part"].(float64))
	slot := float64(env.Params["slot"].(int))
	counts := l.Counts(time.Duration(slot * float64(time.Second)))
	season := mlworkload.FitSeason(early)
	exposure := season.Exposure(slot, len(counts))
	from := int(float64(len(counts)) * env.Params["part"].(float64))
	if from < 1 || from >= len(counts) {
		return fmt.Errorf("%s spans %d slots of %v s: too few to hold some out", l.Name, len(counts), slot)
	}
	observe := observer(env)
	var errs []error
	flat := slices.Repeat([]float64{1}, len(counts))
	for _, m := range []struct {
		name     string
		states   int
		exposure []float64
	}{{"poisson", 1, flat}, {"seasonal", 1, exposure}, {"mmpp", 6, exposure}} {
		p, err := mlworkload.ChooseMMPP(counts[:from], m.exposure[:from], m.states)
		if err != nil {
			return err
		}
		_, logs := p.Ahead(counts, m.exposure)
		errs = append(errs, observe("log_likelihood", stats.Mean(logs[from:]), "1", "model", m.name),
			observe("states", float64(len(p.Rates)), "1", "model", m.name))
	}
	gaps := season.Gaps(early, rng)
	errs = append(errs, observe("gap_cv", mlworkload.Summarise(early.JitteredGaps(rng)).CV(), "1", "clock", "wall"),
		observe("gap_cv", mlworkload.Summarise(gaps).CV(), "1", "clock", "season"))
	model, err := mlworkload.FitModel(early, false, rng)
	if err == nil {
		held := season.Gaps(late, rng)
		errs = append(errs, observe("gap_ks", fit.Measure(model.Gaps, held).KS, "1", "of", "held"),
			observe("gap_ks", fit.Measure(model.Gaps, gaps).KS, "1", "of", "fit"))
	}
	return errors.Join(errs...)
}

// cutAt divides a log at a part of its span.
func cutAt(l *mlworkload.Log, part float64) (early, late *mlworkload.Log) {
	at := l.Span() * part
	early = l.Select(func(j *mlworkload.Job) bool { return j.Submit <= at })
	late = l.Select(func(j *mlworkload.Job) bool { return j.Submit > at })
	return early, late
}

// forecast observes mae of the arrivals in a slot, by forecaster, over the part
// of a log that the season and the forecasters' parameters were not found on;
// and relative_mae, over persistence's.
func forecast(_ context.Context, env *artifacts.Env) error {
	l, _, err := load(env)
	if err != nil {
		return err
	}
	part, slot := env.Params["part"].(float64), env.Params["slot"].(int)
	if slot < 1 || 86400%slot != 0 {
		return fmt.Errorf("slot %d: want seconds that divide a day", slot)
	}
	counts := l.Counts(time.Duration(slot) * time.Second)
	from := int(float64(len(counts)) * part)
	if from < 7*86400/slot || from >= len(counts) {
		return fmt.Errorf("%s: the part to learn from has %d slots of %d s: want at least a week", l.Name, from, slot)
	}
	early, _ := cutAt(l, part)
	season := mlworkload.FitSeason(early)
	exposure := season.Exposure(float64(slot), len(counts))
	observe := observer(env)
	errs := []error{observe("slots", float64(len(counts)-from), "1"), observe("mean_arrivals", stats.Mean(counts[from:]), "1")}
	persistence := math.NaN()
	for _, f := range mlworkload.Seasonal(86400/slot, exposure) {
		env.Progress(0, 0, f.Name)
		foretold, err := f.Run(counts, from)
		if err != nil {
			return err
		}
		mae := mlworkload.MAE(foretold, counts[from:])
		if f.Name == "persistence" {
			persistence = mae
		}
		errs = append(errs, observe("mae", mae, "1", "forecaster", f.Name), observe("relative_mae", mae/persistence, "1", "forecaster", f.Name))
	}
	return errors.Join(errs...)
}

// publishedForecast observes mae of a forecast that was published with what
// happened, and of persistence, yesterday and last-week on the same slots. The
// file is Venus_throughput_pred.csv of Lucid's repository, by its parameter or
// in the folder of traces; without it nothing is observed.
func publishedForecast(_ context.Context, env *artifacts.Env) error {
	path := env.Params["file"].(string)
	if path == "" {
		if env.Traces == "" {
			return nil
		}
		path = filepath.Join(env.Traces, "mlcluster", "lucid_venus_throughput_pred.csv")
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	table, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	observe := observer(env)
	var errs []error
	for what, column := range map[string]string{"jobs": "job", "gpus": "num"} {
		truth, err := numbers(path, table, "submit_gpu_"+column)
		if err != nil {
			return err
		}
		published, err := numbers(path, table, "pred_gpu_"+column)
		if err != nil {
			return err
		}
		errs = append(errs, observe("mae", mlworkload.MAE(published, truth), "1", "forecaster", "lucid", "of", what))
		for name, back := range map[string]int{"persistence": 1, "yesterday": 144, "last-week": 1008} {
			if len(truth) > back {
				errs = append(errs, observe("mae", mlworkload.MAE(truth[:len(truth)-back], truth[back:]), "1", "forecaster", name, "of", what))
			}
		}
	}
	return errors.Join(errs...)
}

// numbers is a column of a table by its name.
func numbers(path string, table [][]string, name string) ([]float64, error) {
	if len(table) < 2 {
		return nil, fmt.Errorf("%s: no rows", path)
	}
	at := slices.Index(table[0], name)
	if at < 0 {
		return nil, fmt.Errorf("%s:1: no column %q", path, name)
	}
	var v []float64
	for i, row := range table[1:] {
		x, err := strconv.ParseFloat(row[at], 64)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %s %q: want a number", path, i+2, name, row[at])
		}
		v = append(v, x)
	}
	return v, nil
}

// generate fits a model to a part of a log, generates a log of the time that is
// held out (of the whole log where every second day is), leaves it as
// generated.swf and generated.csv, and observes, by variable and by what is held
// against what is held out (of: generated, or past, the part that was fitted),
// ks, p, and small_p, the mean p of samples of 200.
func generate(_ context.Context, env *artifacts.Env) error {
	l, rng, err := load(env)
	if err != nil {
		return err
	}
	var past, held *mlworkload.Log
	from := 0.0
	switch split := env.Params["split"].(string); split {
	case "time":
		past, held = cutAt(l, env.Params["part"].(float64))
		from = l.Span() * env.Params["part"].(float64)
	case "days":
		// Even days are fitted, odd ones held out, both of one period. Gaps
		// are not compared, since both have the nights between their days.
		odd := func(j *mlworkload.Job) bool { return int(j.Submit/86400)%2 == 1 }
		past = l.Select(func(j *mlworkload.Job) bool { return !odd(j) })
		held = l.Select(odd)
	default:
		return fmt.Errorf("split %q: want time or days", split)
	}
	if len(past.Jobs) < 2 || len(held.Jobs) < 2 {
		return fmt.Errorf("%s: %d jobs to fit and %d held out: want two of each", l.Name, len(past.Jobs), len(held.Jobs))
	}
	arrivals := env.Params["arrivals"].(string)
	if arrivals != "renewal" && arrivals != "mmpp" {
		return fmt.Errorf("arrivals %q: want renewal or mmpp", arrivals)
	}
	model, err := mlworkload.FitModel(past, arrivals == "mmpp", rng)
	if err != nil {
		return err
	}
	made := model.Generate(l, from, l.Span()-from, rng)
	if len(made.Jobs) < 2 {
		return fmt.Errorf("%s: the model generated %d jobs", l.Name, len(made.Jobs))
	}
	about := "synthetic, from a model fitted to " + filepath.Base(l.Name)
	if err := errors.Join(save(filepath.Join(env.Dir, "generated.swf"), made, (*mlworkload.Log).WriteSWF, about),
		save(filepath.Join(env.Dir, "generated.csv"), made, (*mlworkload.Log).WriteCSV, about)); err != nil {
		return err
	}
	observe := observer(env)
	errs := []error{observe("jobs", float64(len(made.Jobs)), "1", "of", "generated"), observe("jobs", float64(len(held.Jobs)), "1", "of", "held")}
	gpus := func(l *mlworkload.Log) []float64 { return l.Values(func(j *mlworkload.Job) float64 { return j.GPUs }) }
	gaps := func(l *mlworkload.Log) []float64 { return l.JitteredGaps(rng) }
	for _, v := range []struct {
		name string
		of   func(*mlworkload.Log) []float64
	}{{"duration", (*mlworkload.Log).Durations}, {"gpus", gpus}, {"gap", gaps}} {
		if v.name == "gap" && from == 0 {
			continue
		}
		truth := v.of(held)
		for _, of := range []string{"generated", "past"} {
			other := v.of(map[string]*mlworkload.Log{"generated": made, "past": past}[of])
			c := mlworkload.Compare(other, truth, 200, 30, rng)
			errs = append(errs, observe("ks", c.KS, "1", "variable", v.name, "of", of), observe("p", c.P, "1", "variable", v.name, "of", of),
				observe("small_p", c.SmallP, "1", "variable", v.name, "of", of))
		}
	}
	return errors.Join(errs...)
}

func save(path string, l *mlworkload.Log, write func(*mlworkload.Log, io.Writer, ...string) error, about string) error {
	var b bytes.Buffer
	if err := write(l, &b, about); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// generalise observes ks and small_p (mean p of 200 values) of the fit to one
// group's run times on another's, by the groups (fitted, tested) and whether
// they are the same; and holds, the share of pairs of which 200 values do not
// tell that the fit is another group's, at 5 %.
func generalise(ctx context.Context, env *artifacts.Env) error {
	by := env.Params["by"].(string)
	groups, names, rng, err := grouped(env, by)
	if err != nil {
		return err
	}
	f, err := fit.Lookup(env.Params["family"].(string))
	if err != nil {
		return err
	}
	observe := observer(env)
	var errs []error
	type half struct{ fitted, held []float64 }
	halved := map[string]half{}
	for _, name := range names {
		a, b := halves(groups[name], env.Params["n"].(int), rng)
		halved[name] = half{a, b}
	}
	done := 0
	for _, from := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		d, err := f.Fit(halved[from].fitted)
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		for _, to := range names {
			done++
			env.Progress(float64(done), float64(len(names)*len(names)), from)
			x := halved[to].held
			same := "no"
			if from == to {
				same = "yes"
			}
			n, held := min(200, len(x)), 0
			var p []float64
			for range 30 {
				p = append(p, fit.KolmogorovP(fit.Measure(d, pick(x, n, rng)).KS, n))
				if p[len(p)-1] > 0.05 {
					held++
				}
			}
			labels := []string{"from", from, "to", to, "same", same}
			errs = append(errs, observe("ks", fit.Measure(d, x).KS, "1", labels...), observe("small_p", stats.Mean(p), "1", labels...),
				observe("holds", float64(held)/float64(len(p)), "1", labels...))
		}
	}
	return errors.Join(errs...)
}
