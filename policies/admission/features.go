package admission

import (
	"fmt"
	"slices"
)

// Inputs names a set of features.
type Inputs string

// The sets of features.
const (
	// HeimdallInputs: size, queue length, and queue length, latency and
	// throughput of the last three requests (§3.3): 11 values.
	HeimdallInputs Inputs = "heimdall"
	// ExtendedInputs are ours: HeimdallInputs, bytes and writes in flight, the
	// age of the oldest request in flight, the time since the last completion
	// and the smoothed latency: 16 values.
	ExtendedInputs Inputs = "extended"
	// LinnOSInputs: five numbers of pages in flight as three decimal digits
	// each and four latencies as four: 31 values.
	LinnOSInputs Inputs = "linnos"
)

// Width is the number of values for a decision on one read.
func (in Inputs) Width() int {
	switch in {
	case HeimdallInputs:
		return 11
	case ExtendedInputs:
		return 16
	case LinnOSInputs:
		return 31
	}
	return 0
}

// Names lists the features in order.
func (in Inputs) Names() []string {
	names := []string{"size", "queue_len"}
	for _, what := range []string{"prev_queue_len", "prev_latency", "prev_throughput"} {
		for k := 1; k <= history; k++ {
			names = append(names, fmt.Sprintf("%s_%d", what, k))
		}
	}
	switch in {
	case ExtendedInputs:
		names = append(names, "bytes_in_flight", "writes_in_flight", "oldest_age", "since_completion", "smooth_latency")
	case LinnOSInputs:
		names = nil
		for k := range linnosDepth + 1 {
			for digit := range 3 {
				names = append(names, fmt.Sprintf("pending_%d_digit_%d", k, digit))
			}
		}
		for k := range linnosDepth {
			for digit := range 4 {
				names = append(names, fmt.Sprintf("latency_%d_digit_%d", k, digit))
			}
		}
	}
	return names
}

// Samples are the decisions that a log had to offer: one a read, or one a group
// of reads.
type Samples struct {
	Inputs Inputs
	Group  int       // reads a decision is for
	Width  int       // values a sample
	X      []float32 // Width values a sample, unscaled
	Slow   []bool
	Row    []int32 // in the log: the sample's read, or its group's last
}

// Len is the number of samples.
func (s *Samples) Len() int { return len(s.Slow) }

// Names lists the values of a sample.
func (s *Samples) Names() []string {
	names := s.Inputs.Names()
	if s.Width == len(names) {
		return names
	}
	sizes := make([]string, s.Group)
	for i := range sizes {
		sizes[i] = fmt.Sprintf("size_%d", i)
	}
	return append(sizes, names[1:]...)
}

// Slice is the samples from first up to end; it shares their memory.
func (s *Samples) Slice(first, end int) *Samples {
	p := *s
	p.X, p.Slow, p.Row = s.X[first*s.Width:end*s.Width], s.Slow[first:end], s.Row[first:end]
	return &p
}

// Pick is a copy of the samples at the given places.
func (s *Samples) Pick(at []int32) *Samples {
	p := &Samples{Inputs: s.Inputs, Group: s.Group, Width: s.Width}
	for _, i := range at {
		p.X = append(p.X, s.X[int(i)*s.Width:(int(i)+1)*s.Width]...)
		p.Slow = append(p.Slow, s.Slow[i])
		p.Row = append(p.Row, s.Row[i])
	}
	return p
}

// Among is the samples whose read is one of rows, which are in order.
func (s *Samples) Among(rows []int32) *Samples {
	var at []int32
	for i, r := range s.Row {
		if _, found := slices.BinarySearch(rows, r); found {
			at = append(at, int32(i))
		}
	}
	return s.Pick(at)
}

// rowAt is the first sample at or after a row.
func (s *Samples) rowAt(row int) int {
	at, _ := slices.BinarySearch(s.Row, int32(row))
	return at
}

// Before is the samples of rows before one.
func (s *Samples) Before(row int) *Samples { return s.Slice(0, s.rowAt(row)) }

// From is the samples of a row and those after it.
func (s *Samples) From(row int) *Samples { return s.Slice(s.rowAt(row), s.Len()) }

// Relabel is the samples with other labels, given by row of the log.
func (s *Samples) Relabel(slow []bool) *Samples {
	p := *s
	p.Slow = make([]bool, s.Len())
	for i, r := range s.Row {
		p.Slow[i] = slow[r]
	}
	return &p
}

// Mixed says that there are samples of both kinds, slow and fast.
func (s *Samples) Mixed() bool {
	return slices.Contains(s.Slow, true) && slices.Contains(s.Slow, false)
}

// Ints is a sample as a Decider takes it.
func (s *Samples) Ints(i int) []int32 {
	x := make([]int32, s.Width)
	for j := range x {
		x[j] = int32(s.X[i*s.Width+j])
	}
	return x
}

// Extract makes a sample of each read, from what was known when it was
// submitted: requests that complete later, or at the same time by the clock,
// have not told their latency yet. The log's writes count as in flight and as
// history, but nothing is decided on them.
func Extract(l *Log, slow []bool, in Inputs) (*Samples, error) {
	s := &Samples{Inputs: in, Group: 1, Width: in.Width()}
	var fill func(x []int32, now int64, size uint32)
	var t Tracker
	var linnos LinnOSTracker
	switch in {
	case HeimdallInputs:
		fill = func(x []int32, _ int64, size uint32) { t.Heimdall(x, size) }
	case ExtendedInputs:
		fill = t.Extended
	case LinnOSInputs:
		fill = func(x []int32, _ int64, size uint32) { linnos.Inputs(x, size) }
	default:
		return nil, fmt.Errorf("inputs %q: want heimdall, extended or linnos", in)
	}
	var flight Agenda
	x := make([]int32, s.Width)
	for i := range l.Len() {
		now := l.Submit[i]
		for len(flight) > 0 && flight[0].At < now {
			done := flight.Pop()
			row, ticket := done.Order, Ticket(done.ID)
			if in == LinnOSInputs {
				linnos.Complete(l.Size[row], l.Latency[row], l.Read[row], ticket)
			} else {
				t.Complete(ticket, done.At)
			}
		}
		if l.Read[i] && (in != LinnOSInputs || linnos.Ready()) {
			fill(x, now, l.Size[i])
			for _, v := range x {
				s.X = append(s.X, float32(v))
			}
			s.Slow = append(s.Slow, slow[i])
			s.Row = append(s.Row, int32(i))
		}
		var ticket Ticket
		if in == LinnOSInputs {
			ticket = linnos.Submit(l.Size[i])
		} else {
			ticket = t.Submit(now, l.Size[i], l.Read[i])
		}
		flight.Push(Event{At: now + l.Latency[i]*1000, Order: uint32(i), ID: uint32(ticket)})
	}
	return s, nil
}

// ExtractPublished makes samples as the published code does, from the rows that
// the noise filter left: history is the three requests submitted before,
// whether or not they have completed, without those filtered out, and
// throughput is in whole B/us. With the Artifact pipeline the queue length is
// its too: it counts requests submitted at the very same time. The first three
// rows give no sample.
func ExtractPublished(l *Log, slow []bool, rows []int32, compat Compat) *Samples {
	kept := l.pick(rows)
	s := &Samples{Inputs: HeimdallInputs, Group: 1, Width: HeimdallInputs.Width()}
	queue := make([]int32, kept.Len())
	var flight Agenda
	for i := range kept.Len() {
		now := kept.Submit[i]
		for len(flight) > 0 && flight[0].At < now {
			flight.Pop()
		}
		done := now
		if compat != Artifact {
			done += kept.Latency[i] * 1000
		}
		flight.Push(Event{At: done, Order: uint32(i)})
		queue[i] = int32(len(flight))
		if i < history || !kept.Read[i] {
			continue
		}
		s.X = append(s.X, float32(kept.Size[i]), float32(queue[i]))
		for k := 1; k <= history; k++ {
			s.X = append(s.X, float32(queue[i-k]))
		}
		for k := 1; k <= history; k++ {
			s.X = append(s.X, float32(kept.Latency[i-k]))
		}
		for k := 1; k <= history; k++ {
			s.X = append(s.X, float32(kept.Throughput[i-k]))
		}
		s.Slow = append(s.Slow, slow[rows[i]])
		s.Row = append(s.Row, rows[i])
	}
	return s
}

// linnosDepth is how many completed reads LinnOS looks back on.
const linnosDepth = 4

// LinnOSTracker is what LinnOS keeps of a device: pages in flight, and of the
// last four reads their latency and the pages in flight before them.
type LinnOSTracker struct {
	pending int32
	reads   int
	before  [linnosDepth]int32 // oldest first
	latency [linnosDepth]int32
}

// linnosPages is a request's size in pages of 4 KiB, as LinnOS rounds it.
func linnosPages(size uint32) int32 { return int32((size/512 + 7) / 8) }

// Submit counts a request in and gives, as its ticket, the pages in flight with the request.
func (t *LinnOSTracker) Submit(size uint32) Ticket {
	t.pending += linnosPages(size)
	return Ticket(t.pending)
}

// Complete counts a request out; the latency is in microseconds.
func (t *LinnOSTracker) Complete(size uint32, latency int64, read bool, ticket Ticket) {
	t.pending -= linnosPages(size)
	if !read {
		return
	}
	t.reads++
	copy(t.before[:], t.before[1:])
	copy(t.latency[:], t.latency[1:])
	t.before[linnosDepth-1], t.latency[linnosDepth-1] = int32(ticket), clamp32(latency)
}

// Ready says that history is full: before that LinnOS does not decide.
func (t *LinnOSTracker) Ready() bool { return t.reads >= linnosDepth }

// Inputs writes the 31 digits for a read of size bytes.
func (t *LinnOSTracker) Inputs(x []int32, size uint32) {
	_ = x[30]
	for k, p := range t.before {
		digits(x[3*k:3*k+3], p)
	}
	digits(x[12:15], t.pending+linnosPages(size))
	for k, latency := range t.latency {
		digits(x[15+4*k:19+4*k], latency)
	}
}

// digits writes the decimal digits of v, or nines where it has too many.
func digits(x []int32, v int32) {
	limit := int32(1)
	for range x {
		limit *= 10
	}
	v = min(v, limit-1)
	for i := len(x) - 1; i >= 0; i-- {
		x[i], v = v%10, v/10
	}
}
