package mlworkload

import (
	"math"
	"slices"
	"time"
)

const (
	hour        = 3600.0 // s
	hoursOfWeek = 168
	week        = hoursOfWeek * hour
)

// Season is the rate of arrivals by hour of the week, over its mean: a clock
// that goes faster when more jobs come.
type Season struct {
	Weights [hoursOfWeek]float64 // of mean 1, Monday's first hour first
	// Start is where in the week the log's first submission lies, s.
	Start float64
	sums  [hoursOfWeek + 1]float64
}

// FitSeason finds the profile of a log: by hour of the week if it spans at
// least three weeks, by hour of the day if at least three days, else none. An
// hour counts as often as the log went through it; half a job is added to each
// so that no hour is impossible.
func FitSeason(l *Log) Season {
	s := Season{Start: l.weekTime(0)}
	period := hoursOfWeek
	if l.Span() < 3*week {
		period = 24
	}
	if l.Span() < 3*24*hour {
		period = 1
	}
	jobs, passed := make([]float64, period), make([]float64, period)
	for _, j := range l.Jobs {
		jobs[int((s.Start+j.Submit)/hour)%period]++
	}
	for t := 0.0; t < l.Span(); {
		h := math.Floor((s.Start+t)/hour) + 1
		next := min(h*hour-s.Start, l.Span())
		passed[int(h-1)%period] += (next - t) / hour
		if next <= t {
			break
		}
		t = next
	}
	for h := range s.Weights {
		p := h % period
		s.Weights[h] = (jobs[p] + 0.5) / max(passed[p], 1e-9)
	}
	s.normalise()
	return s
}

// NewSeason is the season of rates by hour of the week, of any mean.
func NewSeason(rates [hoursOfWeek]float64) Season {
	s := Season{Weights: rates}
	s.normalise()
	return s
}

func (s *Season) normalise() {
	total := 0.0
	for _, w := range s.Weights {
		total += w
	}
	for h := range s.Weights {
		s.Weights[h] *= hoursOfWeek / total
		s.sums[h+1] = s.sums[h] + s.Weights[h]*hour
	}
}

// weekTime is where in the week an instant lies, s from Monday's midnight.
func (l *Log) weekTime(submit float64) float64 {
	t := l.At(submit)
	day := float64((int(t.Weekday()) + 6) % 7)
	return day*24*hour + t.Sub(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())).Seconds()
}

// Clock is what the season's clock shows at an instant of the log, s.
func (s *Season) Clock(t float64) float64 { return s.since(s.Start+t) - s.since(s.Start) }

func (s *Season) since(t float64) float64 {
	weeks := math.Floor(t / week)
	rest := t - weeks*week
	h := min(hoursOfWeek-1, int(rest/hour))
	return weeks*week + s.sums[h] + s.Weights[h]*(rest-float64(h)*hour)
}

// Time is the instant at which the season's clock shows what Clock gives.
func (s *Season) Time(clock float64) float64 {
	c := clock + s.since(s.Start)
	weeks := math.Floor(c / week)
	rest := c - weeks*week
	h, _ := slices.BinarySearch(s.sums[1:], rest)
	h = min(h, hoursOfWeek-1)
	return weeks*week + float64(h)*hour + (rest-s.sums[h])/s.Weights[h] - s.Start
}
