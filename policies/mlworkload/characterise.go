package mlworkload

import (
	"cmp"
	"math"
	"slices"
	"time"

	"reprise/checks/stats"
)

// Summary describes a sample of N values.
type Summary struct {
	N                     int
	Mean, SD              float64
	Min, Median, P90, P99 float64
	Max                   float64
	Zeros, Ties           int // values that are 0; values that equal another
}

// CV is the coefficient of variation.
func (s Summary) CV() float64 { return s.SD / s.Mean }

// Summarise describes a sample. Its standard deviation is that of the sample
// itself, divided by N.
func Summarise(values []float64) Summary {
	v := slices.Sorted(slices.Values(values))
	s := Summary{N: len(v), Mean: stats.Mean(v), Median: stats.Quantile(v, 0.5), P90: stats.Quantile(v, 0.9), P99: stats.Quantile(v, 0.99)}
	if s.N == 0 {
		s.SD, s.Min, s.Max = math.NaN(), math.NaN(), math.NaN()
		return s
	}
	s.Min, s.Max = v[0], v[len(v)-1]
	if s.N > 1 {
		s.SD = math.Sqrt(stats.Variance(v) * float64(s.N-1) / float64(s.N))
	}
	for i, x := range v {
		if x == 0 {
			s.Zeros++
		}
		if i > 0 && v[i-1] == x || i+1 < len(v) && v[i+1] == x {
			s.Ties++
		}
	}
	return s
}

// Count is how many jobs there are of a kind, and their GPU time.
type Count struct {
	Name    string
	Jobs    int
	GPUTime float64 // s of one GPU
}

// Characteristics describe a log.
type Characteristics struct {
	Jobs, Censored int
	Gaps           Summary // times between submissions, s
	Durations      Summary // of jobs that were not censored, s
	Residences     Summary // from submission to end, above 0, s
	Waits, GPUs    Summary
	Hours          [24]int
	Weekdays       [7]int // Monday first
	Months         []Count
	Sizes          []Count // by number of GPUs, the most frequent first
	VCs            []Count // the busiest first
	// GiniJobs and GiniGPUTime say how unevenly jobs and GPU time are spread
	// over the VCs: 0 evenly, towards 1 all in one. NaN without VCs.
	GiniJobs, GiniGPUTime float64
	// Dependence is Spearman's rank correlation of duration and number of GPUs.
	Dependence float64
	// KPSS is the statistic of stationarity of the jobs a day, see KPSS.
	KPSS float64
	// Dispersion is the variance of the jobs an hour over their mean: 1 for a
	// Poisson process of a constant rate.
	Dispersion float64
	// MonthDistance is the greatest Kolmogorov–Smirnov distance between the
	// durations of two successive months of at least 100 jobs.
	MonthDistance float64
}

// Characterise describes a log.
func Characterise(l *Log) Characteristics {
	c := Characteristics{Jobs: len(l.Jobs), Gaps: Summarise(l.Gaps()), Durations: Summarise(l.Durations()),
		Residences: Summarise(slices.DeleteFunc(l.Values(func(j *Job) float64 { return j.Residence }), func(x float64) bool { return x <= 0 })),
		Waits:      Summarise(l.Values(func(j *Job) float64 { return j.Wait })),
		GPUs:       Summarise(l.Values(func(j *Job) float64 { return j.GPUs }))}
	var sizes, durations []float64
	months, vcs, counts := map[string]*Count{}, map[string]*Count{}, map[string]*Count{}
	byMonth := map[string][]float64{}
	add := func(to map[string]*Count, name string, j *Job) {
		if to[name] == nil {
			to[name] = &Count{Name: name}
		}
		to[name].Jobs++
		if t := j.Duration * j.GPUs * j.Share; !math.IsNaN(t) {
			to[name].GPUTime += t
		}
	}
	for i := range l.Jobs {
		j := &l.Jobs[i]
		t := l.At(j.Submit)
		c.Hours[t.Hour()]++
		c.Weekdays[(int(t.Weekday())+6)%7]++
		month := t.Format("2006-01")
		add(months, month, j)
		if j.VC != "" {
			add(vcs, j.VC, j)
		}
		if !math.IsNaN(j.GPUs) {
			add(counts, text(j.GPUs), j)
		}
		if j.Censored {
			c.Censored++
		} else if !math.IsNaN(j.Duration) {
			byMonth[month] = append(byMonth[month], j.Duration)
			if !math.IsNaN(j.GPUs) {
				sizes, durations = append(sizes, j.GPUs), append(durations, j.Duration)
			}
		}
	}
	c.Months, c.VCs, c.Sizes = list(months), list(vcs), list(counts)
	slices.SortFunc(c.Months, func(a, b Count) int { return cmp.Compare(a.Name, b.Name) })
	c.GiniJobs = Gini(c.VCs, func(v Count) float64 { return float64(v.Jobs) })
	c.GiniGPUTime = Gini(c.VCs, func(v Count) float64 { return v.GPUTime })
	c.Dependence = stats.Spearman(sizes, durations)
	c.KPSS = KPSS(l.whole(24 * time.Hour))
	hourly := l.whole(time.Hour)
	c.Dispersion = stats.Variance(hourly) / stats.Mean(hourly)
	previous := []float64(nil)
	for _, m := range c.Months {
		now := byMonth[m.Name]
		if len(now) < 100 {
			continue
		}
		if previous != nil {
			c.MonthDistance = max(c.MonthDistance, KSDistance(previous, now))
		}
		previous = now
	}
	return c
}

// list has the most frequent first.
func list(counts map[string]*Count) []Count {
	var all []Count
	for _, c := range counts {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b Count) int { return cmp.Or(cmp.Compare(b.Jobs, a.Jobs), cmp.Compare(a.Name, b.Name)) })
	return all
}

// Gini is Gini's coefficient of what of gives for each item.
func Gini[T any](items []T, of func(T) float64) float64 {
	var v []float64
	for _, i := range items {
		v = append(v, of(i))
	}
	slices.Sort(v)
	total, weighted := 0.0, 0.0
	for i, x := range v {
		total += x
		weighted += float64(i+1) * x
	}
	n := float64(len(v))
	return 2*weighted/(n*total) - (n+1)/n
}

// Counts are the submissions in successive slots of a length, from the first
// midnight (of the log's clock) before the first submission on; the last slot
// is left out if the log ends within it.
func (l *Log) Counts(slot time.Duration) []float64 {
	if len(l.Jobs) == 0 {
		return nil
	}
	offset := l.midnight()
	counts := make([]float64, int((l.Span()+offset)/slot.Seconds())+1)
	for _, j := range l.Jobs {
		counts[int((j.Submit+offset)/slot.Seconds())]++
	}
	if len(counts) > 1 {
		counts = counts[:len(counts)-1]
	}
	return counts
}

// whole are Counts without the slots in which the log had not begun.
func (l *Log) whole(slot time.Duration) []float64 {
	counts := l.Counts(slot)
	return counts[min(len(counts), int(math.Ceil(l.midnight()/slot.Seconds()))):]
}

// midnight is the time from the last midnight to the first submission, s.
func (l *Log) midnight() float64 {
	t := l.At(0)
	return float64(t.Hour()*3600+t.Minute()*60+t.Second()) + float64(t.Nanosecond())/1e9
}

// KPSS is the statistic of Kwiatkowski, Phillips, Schmidt and Shin (Journal of
// Econometrics 54, 1992) for a series that is stationary around a level, with
// the Newey–West estimate of the long-run variance over 4(n/100)^(1/4) lags.
// Stationarity is rejected at 5 % above 0.463. It is NaN for fewer than four
// values and for constant ones.
func KPSS(series []float64) float64 {
	n := len(series)
	if n < 4 {
		return math.NaN()
	}
	mean := stats.Mean(series)
	partial, squares := 0.0, 0.0
	for _, x := range series {
		partial += x - mean
		squares += partial * partial
	}
	covariance := func(lag int) float64 {
		s := 0.0
		for i := lag; i < n; i++ {
			s += (series[i] - mean) * (series[i-lag] - mean)
		}
		return s / float64(n)
	}
	lags := int(4 * math.Pow(float64(n)/100, 0.25))
	variance := covariance(0)
	for lag := 1; lag <= lags; lag++ {
		variance += 2 * (1 - float64(lag)/float64(lags+1)) * covariance(lag)
	}
	if variance <= 0 {
		return math.NaN()
	}
	return squares / (float64(n) * float64(n) * variance)
}

// KSDistance is the greatest distance between the empirical distribution
// functions of two samples.
func KSDistance(x, y []float64) float64 {
	x, y = slices.Sorted(slices.Values(x)), slices.Sorted(slices.Values(y))
	i, j, d := 0, 0, 0.0
	for i < len(x) && j < len(y) {
		v := min(x[i], y[j])
		for i < len(x) && x[i] == v {
			i++
		}
		for j < len(y) && y[j] == v {
			j++
		}
		d = max(d, math.Abs(float64(i)/float64(len(x))-float64(j)/float64(len(y))))
	}
	return d
}
