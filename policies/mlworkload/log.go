// Package mlworkload describes the workload of machine-learning clusters: it
// reads job logs, characterises them, fits and tests models of what it found
// (package fit), forecasts arrivals, and generates synthetic logs.
package mlworkload

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Job is one job of a log. What the log does not tell is NaN or empty.
type Job struct {
	// Row is its place among the rows of the log's file that were not dropped,
	// counted from 0; 0 where there is no file.
	Row int
	// Submit is when it was submitted, seconds after the log's Origin.
	Submit float64
	// Wait is from submission to start, s.
	Wait float64
	// Duration is from start to end, s.
	Duration float64
	// Residence is from submission to end, s, of jobs that never started too.
	Residence float64
	// GPUs is how many GPUs it asked for (processors in a log of the Standard
	// Workload Format), and Share what of each, 1 where they are its own.
	GPUs, Share float64
	VC          string // virtual cluster, queue or group
	User        string
	State       string
	// Censored says that it was still there when the log ended: Duration and
	// Residence are then lower bounds.
	Censored bool
}

// Log is a job log in order of submission.
type Log struct {
	Name   string
	Format string
	// Origin is the instant of Submit 0. It is the zero time where the log
	// counts seconds from an instant that it does not tell.
	Origin time.Time
	// Zoned says that the log's times carry a zone, or that one was given;
	// otherwise the hours of the day are those of an unknown clock.
	Zoned bool
	// Tick is the resolution of the clock that the submissions were read
	// from, s; 0 if it is finer than a microsecond.
	Tick float64
	Jobs []Job
	// Dropped counts rows that are not among Jobs, by reason.
	Dropped map[string]int
}

// ticks are the resolutions that clocks of job logs have, s.
var ticks = []float64{3600, 60, 1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6}

// finish orders the jobs, counts times from the first submission and finds the
// clock's tick. Origin is what Submit has been counted from until now.
func (l *Log) finish(origin time.Time) {
	for i := range l.Jobs {
		l.Jobs[i].Row = i
	}
	slices.SortStableFunc(l.Jobs, func(a, b Job) int { return cmp.Compare(a.Submit, b.Submit) })
	if len(l.Jobs) == 0 {
		return
	}
	l.Tick = tick(l.Values(func(j *Job) float64 { return j.Submit }))
	first := l.Jobs[0].Submit
	for i := range l.Jobs {
		l.Jobs[i].Submit -= first
	}
	if !origin.IsZero() {
		l.Origin = origin.Add(time.Duration(first * float64(time.Second)))
	}
}

// tick is the coarsest of the usual resolutions of which all values are
// multiples, 0 if there is none.
func tick(values []float64) float64 {
	for _, t := range ticks {
		if !slices.ContainsFunc(values, func(v float64) bool {
			return math.Abs(v/t-math.Round(v/t)) > 1e-7*max(1, math.Abs(v/t)*1e-6)
		}) {
			return t
		}
	}
	return 0
}

// Span is from the first submission to the last, s.
func (l *Log) Span() float64 {
	if len(l.Jobs) == 0 {
		return 0
	}
	return l.Jobs[len(l.Jobs)-1].Submit
}

// At is the time of an instant of the log, in Origin's zone; without an Origin
// the first submission is taken to be at a Monday's midnight.
func (l *Log) At(submit float64) time.Time {
	origin := l.Origin
	if origin.IsZero() {
		origin = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return origin.Add(time.Duration(submit * float64(time.Second)))
}

// Select is the log of the jobs for which keep holds.
func (l *Log) Select(keep func(*Job) bool) *Log {
	s := *l
	s.Jobs = nil
	for i := range l.Jobs {
		if keep(&l.Jobs[i]) {
			s.Jobs = append(s.Jobs, l.Jobs[i])
		}
	}
	return &s
}

// Values are what of gives for each job, without those it does not know.
func (l *Log) Values(of func(*Job) float64) []float64 {
	v := make([]float64, 0, len(l.Jobs))
	for i := range l.Jobs {
		if x := of(&l.Jobs[i]); !math.IsNaN(x) {
			v = append(v, x)
		}
	}
	return v
}

// Durations are the known run times, s. Those of censored jobs are left out,
// which makes long jobs rarer than they are; the log says how many there are.
func (l *Log) Durations() []float64 {
	return l.Values(func(j *Job) float64 {
		if j.Censored {
			return math.NaN()
		}
		return j.Duration
	})
}

// Gaps are the times between successive submissions, s; the clock's ticks make
// ties of them.
func (l *Log) Gaps() []float64 { return gaps(l.Values(func(j *Job) float64 { return j.Submit })) }

func gaps(times []float64) []float64 {
	if len(times) < 2 {
		return nil
	}
	g := make([]float64, len(times)-1)
	for i := range g {
		g[i] = times[i+1] - times[i]
	}
	return g
}

// JitteredGaps are the gaps of submissions that are spread uniformly inside
// their clock tick, and so have no ties. A job of a tick may have come at any
// instant of it: spreading the instants, not the gaps, keeps their sum.
func (l *Log) JitteredGaps(rng *rand.Rand) []float64 {
	times := l.Values(func(j *Job) float64 { return j.Submit })
	for i := range times {
		times[i] += rng.Float64() * l.Tick
	}
	slices.Sort(times)
	g := gaps(times)
	return slices.DeleteFunc(g, func(x float64) bool { return x <= 0 })
}

// Variables are what of a log distributions are fitted to.
var Variables = []string{"duration", "residence", "gap", "rounded-gap"}

// Sample is one of Variables in order of submission: run times, times from
// submission to end, or times between submissions, s. Ties by the clock's tick
// are spread: for gaps as JitteredGaps does, for rounded-gap as if the gaps
// themselves had been rounded. Other variables that are not above 0 are left out.
func (l *Log) Sample(variable string, rng *rand.Rand) ([]float64, error) {
	var v []float64
	switch variable {
	case "duration":
		v = l.Durations()
	case "residence":
		v = l.Values(func(j *Job) float64 { return j.Residence })
	case "rounded-gap":
		v = l.Gaps()
	case "gap":
		v = l.JitteredGaps(rng)
	default:
		return nil, fmt.Errorf("variable %q: want one of %s", variable, strings.Join(Variables, ", "))
	}
	if variable != "rounded-gap" {
		v = slices.DeleteFunc(v, func(x float64) bool { return x <= 0 })
	}
	if len(v) == 0 {
		return nil, fmt.Errorf("%s: no job has a %s", l.Name, variable)
	}
	if variable != "gap" {
		v = Jitter(v, tick(v), rng)
	}
	return v, nil
}

// Recorded is one of Variables as the file has it, ties and all: run times and
// residences above 0 in the order of its rows, gaps in order of submission.
func (l *Log) Recorded(variable string) ([]float64, error) {
	switch variable {
	case "gap", "rounded-gap":
		return l.Gaps(), nil
	case "duration", "residence":
		rows := *l
		rows.Jobs = slices.SortedFunc(slices.Values(l.Jobs), func(a, b Job) int { return cmp.Compare(a.Row, b.Row) })
		v := rows.Durations()
		if variable == "residence" {
			v = rows.Values(func(j *Job) float64 { return j.Residence })
		}
		return slices.DeleteFunc(v, func(x float64) bool { return x <= 0 }), nil
	}
	return nil, fmt.Errorf("variable %q: want one of %s", variable, strings.Join(Variables, ", "))
}

// Tick is the resolution of values that were rounded, 0 if it is not a usual one.
func Tick(values []float64) float64 { return tick(values) }

// Jitter spreads values that were rounded to a tick uniformly around it, and
// keeps them above 0.
func Jitter(values []float64, tick float64, rng *rand.Rand) []float64 {
	spread := make([]float64, len(values))
	for i, v := range values {
		for spread[i] <= 0 {
			spread[i] = v + (rng.Float64()-0.5)*tick
			if v+0.5*tick <= 0 {
				spread[i] = math.SmallestNonzeroFloat64
			}
		}
	}
	return spread
}
