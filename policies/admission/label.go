package admission

import "math"

// Labels says of each request of a log whether it lies in a slow period.
type Labels struct {
	Thresholds Thresholds
	Slow       []bool
	log        *Log
	compat     Compat
}

// recovery is how many requests in a row must reach the median throughput to
// end a slow period in the published code.
const recovery = 3

// Label marks slow periods (Heimdall §3.1). A period begins with a request
// that reaches the latency threshold, does not exceed the throughput's, and
// whose throughput fell by the drop rate against the request before. It ends
// where throughput is back at its median: of three requests in a row as the
// code has it, of one as the paper has it. The request that ends a period
// belongs to none and begins none.
func (l *Log) Label(t Thresholds, compat Compat) *Labels {
	n := l.Len()
	labels := &Labels{Thresholds: t, Slow: make([]bool, n), log: l, compat: compat}
	for i := 0; i < n; i++ {
		if !l.begins(i, t) {
			continue
		}
		for labels.Slow[i] = true; i+1 < n && !l.recovers(i+1, t, compat); i++ {
			labels.Slow[i+1] = true
		}
		i++
	}
	return labels
}

func (l *Log) begins(i int, t Thresholds) bool {
	if l.Throughput[i] > t.Throughput || l.Latency[i] < t.Latency {
		return false
	}
	before := 0.0
	if i > 0 {
		before = float64(l.Throughput[i-1])
	}
	drop := math.RoundToEven(before/(float64(l.Throughput[i])+0.1)*10) / 10
	return drop >= t.Drop
}

func (l *Log) recovers(i int, t Thresholds, compat Compat) bool {
	if compat == Paper {
		return float64(l.Throughput[i]) >= t.MedianThroughput
	}
	for k := i; k < i+recovery; k++ {
		thpt := 0.0 // what is not there yet has moved nothing
		if k < l.Len() {
			thpt = float64(l.Throughput[k])
		}
		if thpt < t.MedianThroughput {
			return false
		}
	}
	return true
}

// LabelCutoff marks every request slower than the latency threshold: the
// labels of LinnOS.
func (l *Log) LabelCutoff(t Thresholds) *Labels {
	labels := &Labels{Thresholds: t, Slow: make([]bool, l.Len()), log: l}
	for i, latency := range l.Latency {
		labels.Slow[i] = latency > t.Latency
	}
	return labels
}

// Count is the number of slow requests.
func (b *Labels) Count() (slow int) {
	for _, s := range b.Slow {
		if s {
			slow++
		}
	}
	return slow
}

// Filtered is what the noise filter leaves of a labelled log.
type Filtered struct {
	Rows []int32 // of the log, in order
	// FastInSlow, SlowInFast and Bursts count what the stages took out.
	FastInSlow, SlowInFast, Bursts int
}

// longestBurst is the longest run of slow requests that counts as noise.
const longestBurst = 3

// Filter takes out what the labels are likely wrong about (Heimdall §3.2):
// first, in slow periods, requests not slower than the median latency and not
// below the median throughput, and out of them, requests above the latency
// threshold and below the median throughput; then, among what is left, runs of
// at most three slow requests that a fast one follows. The medians are the
// whole log's; in the paper's text, the slow period's own.
func (b *Labels) Filter() Filtered {
	l, t := b.log, b.Thresholds
	f := Filtered{Rows: make([]int32, 0, l.Len())}
	medianLatency, medianThroughput := t.MedianLatency, t.MedianThroughput
	periodEnd := 0
	for i := range l.Len() {
		if b.compat == Paper && b.Slow[i] && i >= periodEnd {
			periodEnd = i + 1
			for periodEnd < l.Len() && b.Slow[periodEnd] {
				periodEnd++
			}
			period := l.Slice(i, periodEnd).Thresholds()
			medianLatency, medianThroughput = period.MedianLatency, period.MedianThroughput
		}
		latency, thpt := float64(l.Latency[i]), float64(l.Throughput[i])
		switch {
		case b.Slow[i] && latency <= medianLatency && thpt >= medianThroughput:
			f.FastInSlow++
		case !b.Slow[i] && l.Latency[i] > t.Latency && thpt < t.MedianThroughput:
			f.SlowInFast++
		default:
			f.Rows = append(f.Rows, int32(i))
		}
	}
	rows, run := f.Rows, 0
	f.Rows = f.Rows[:0]
	for _, row := range rows {
		if b.Slow[row] {
			run++
		} else {
			if run <= longestBurst {
				f.Bursts += run
				f.Rows = f.Rows[:len(f.Rows)-run]
			}
			run = 0
		}
		f.Rows = append(f.Rows, row)
	}
	return f
}

// CountIn is the number of slow requests among rows.
func (b *Labels) CountIn(rows []int32) (slow int) {
	for _, r := range rows {
		if b.Slow[r] {
			slow++
		}
	}
	return slow
}

// Periods labels the slow periods of a log as a recipe wants them, with the
// thresholds of its first known requests, and gives the rows that the noise
// filter leaves.
//
// Over reads alone writes are as if they were not there: a device that takes
// them into a buffer at once has thresholds among its writes' latencies and a
// median throughput that no read reaches, and hardly a read is fast then.
// Writes are all kept, and fast.
func (r Recipe) Periods(l *Log, known int, compat Compat) (slow []bool, rows []int32) {
	if !r.Reads {
		labels := l.Label(l.Slice(0, known).ThresholdsFor(compat), compat)
		return labels.Slow, labels.Filter().Rows
	}
	var reads []int32
	knownReads := 0
	for i, read := range l.Read {
		if read {
			reads = append(reads, int32(i))
			if i < known {
				knownReads++
			}
		}
	}
	alone := l.pick(reads)
	labels := alone.Label(alone.Slice(0, knownReads).ThresholdsFor(compat), compat)
	slow = make([]bool, l.Len())
	for i, s := range labels.Slow {
		slow[reads[i]] = s
	}
	left := labels.Filter().Rows
	at, kept := 0, 0 // among reads, among those left
	for i, read := range l.Read {
		if read {
			keep := kept < len(left) && left[kept] == int32(at)
			at++
			if !keep {
				continue
			}
			kept++
		}
		rows = append(rows, int32(i))
	}
	return slow, rows
}

// Taught are the labels that a recipe's model is trained on: slow periods, those
// of Periods, or with Cutoff what is above the latency threshold of the first
// known requests.
func (r Recipe) Taught(l *Log, slow []bool, known int, compat Compat) []bool {
	if !r.Cutoff {
		return slow
	}
	return l.LabelCutoff(l.Slice(0, known).ThresholdsFor(compat)).Slow
}
