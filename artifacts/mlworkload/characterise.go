package mlworkload

import (
	"context"
	"errors"
	"slices"

	"reprise/artifacts"
	"reprise/policies/mlworkload"
)

// characterise observes jobs, and of gap, duration, residence, wait and gpus
// their _count, _mean, _cv, _median, _p90, _p99 and _max; jobs_by hour, weekday,
// month, gpus and vc; and what else Characteristics holds.
func characterise(_ context.Context, env *artifacts.Env) error {
	l, _, err := load(env)
	if err != nil {
		return err
	}
	c := mlworkload.Characterise(l)
	observe := observer(env)
	var errs []error
	note := func(metric string, value float64, unit string, labels ...string) {
		errs = append(errs, observe(metric, value, unit, labels...))
	}
	note("jobs", float64(c.Jobs), "1")
	note("censored", float64(c.Censored), "1")
	dropped := 0
	for _, n := range l.Dropped {
		dropped += n
	}
	note("dropped", float64(dropped), "1")
	note("clock_tick", l.Tick, "s")
	for _, v := range []struct {
		name, unit string
		s          mlworkload.Summary
	}{{"gap", "s", c.Gaps}, {"duration", "s", c.Durations}, {"residence", "s", c.Residences}, {"wait", "s", c.Waits}, {"gpus", "1", c.GPUs}} {
		if v.s.N == 0 {
			continue
		}
		note(v.name+"_count", float64(v.s.N), "1")
		note(v.name+"_zeros", float64(v.s.Zeros), "1")
		note(v.name+"_cv", v.s.CV(), "1")
		note(v.name+"_mean", v.s.Mean, v.unit)
		note(v.name+"_median", v.s.Median, v.unit)
		note(v.name+"_p90", v.s.P90, v.unit)
		note(v.name+"_p99", v.s.P99, v.unit)
		note(v.name+"_max", v.s.Max, v.unit)
	}
	for h, n := range c.Hours {
		note("jobs_by_hour", float64(n), "1", "hour", whole(h))
	}
	for d, n := range c.Weekdays {
		note("jobs_by_weekday", float64(n), "1", "weekday", []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}[d])
	}
	for _, m := range c.Months {
		note("jobs_by_month", float64(m.Jobs), "1", "month", m.Name)
	}
	// A log may have thousands of groups and sizes; the rest is in the totals.
	for _, s := range c.Sizes[:min(20, len(c.Sizes))] {
		note("jobs_by_gpus", float64(s.Jobs), "1", "gpus", s.Name)
	}
	for _, v := range c.VCs[:min(20, len(c.VCs))] {
		note("jobs_by_vc", float64(v.Jobs), "1", "vc", v.Name)
	}
	note("vcs", float64(len(c.VCs)), "1")
	note("gini_jobs", c.GiniJobs, "1")
	note("gini_gpu_time", c.GiniGPUTime, "1")
	note("duration_gpus_spearman", c.Dependence, "1")
	note("daily_kpss", c.KPSS, "1")
	note("hourly_dispersion", c.Dispersion, "1")
	note("month_distance", c.MonthDistance, "1")
	if l.Span() >= 86400 {
		note("peak_to_mean_hour", float64(slices.Max(c.Hours[:]))*24/float64(c.Jobs), "1")
	}
	return errors.Join(errs...)
}
