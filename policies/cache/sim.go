package cache

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"reprise/policies/cache/prefetch"
)

// Result is what a replay counted.
type Result struct {
	Policy    string // as it was asked for, parameters included
	Prefetch  string // the same of the prefetcher, or none
	Size      int64  // the capacity
	Requests  int64
	Misses    int64
	ReqBytes  int64 // with sizes ignored, bytes count objects, too
	MissBytes int64
	Prefetching
	Method Method
	// SampleRate is the share of the objects that a sample had, SampleRequests how
	// many requests to them it replayed.
	SampleRate     float64
	SampleRequests int64
	// SampleError is what the miss ratio of a sample is above that of the whole
	// trace, where Sweep.Check asked for it.
	SampleError float64
	// Seconds is the time the replay took, reading the trace excluded.
	Seconds float64
}

// Method says where a result comes from.
type Method string

// A result comes from a replay, from the one pass that gives LRU at all sizes
// and agrees with replays, or from a sample.
const (
	Replayed Method = "replay"
	OnePass  Method = "one-pass"
	Shards   Method = "shards"
)

// MissRatio is misses per request, 0 for an empty trace.
func (r Result) MissRatio() float64 { return ratio(r.Misses, r.Requests) }

// BackendRequests is how many objects the backend was asked for.
func (r Result) BackendRequests() int64 { return r.Misses + r.Prefetched }

// BackendBytes is the same in bytes.
func (r Result) BackendBytes() int64 { return r.MissBytes + r.PrefetchedBytes }

// Backend is both; it makes sense only where sizes are bytes.
func (r Result) Backend() Traffic { return Traffic{r.BackendRequests(), r.BackendBytes()} }

// ByteMissRatio is bytes missed per byte requested.
func (r Result) ByteMissRatio() float64 { return ratio(r.MissBytes, r.ReqBytes) }

// MReqs is the speed of the replay in million requests a second; of a sample,
// of its own requests.
func (r Result) MReqs() float64 {
	if r.Seconds <= 0 {
		return 0
	}
	replayed := r.Requests
	if r.Method == Shards {
		replayed = r.SampleRequests
	}
	return float64(replayed) / r.Seconds / 1e6
}

func ratio(a, b int64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// ahead is how many requests are hashed, and their index slots fetched, before
// the first of them is served.
const ahead = 16

// replay sends requests [from, to) of a trace through a policy.
func replay(p Policy, t *Trace, from, to int, r *Result) {
	st := p.base()
	size := uint32(1)
	for from < to {
		ids := t.ids[from:min(from+ahead, to)]
		var keys [ahead]Key
		for i, id := range ids {
			keys[i] = KeyOf(id)
		}
		if st.large() {
			st.touch(&keys)
		}
		for i := range ids {
			if t.sizes != nil {
				size = t.sizes[from+i]
				r.ReqBytes += int64(size)
			}
			if p.Find(keys[i]) == None {
				r.Misses++
				r.MissBytes += int64(size)
				p.Insert(keys[i], size, Demand)
			}
		}
		from += len(ids)
	}
}

// chunk is how many requests are replayed between looks at the context.
const chunk = 1 << 16

// Replay sends a whole trace through a policy that is empty. An error is the
// context's.
func Replay(ctx context.Context, t *Trace, p Policy, served *atomic.Int64) (Result, error) {
	r := Result{Size: p.Capacity(), Requests: int64(t.Len())}
	if c, ok := p.(clairvoyant); ok {
		c.Foresee(t.next())
	}
	if t.sizes == nil {
		r.ReqBytes = r.Requests
	}
	for from := 0; from < t.Len(); from += chunk {
		if err := ctx.Err(); err != nil {
			return Result{}, context.Cause(ctx)
		}
		to := min(from+chunk, t.Len())
		replay(p, t, from, to, &r)
		if served != nil {
			served.Add(int64(to - from))
		}
	}
	return r, nil
}

// Job is one replay of a sweep.
type Job struct {
	Choice   Choice
	Prefetch prefetch.Choice // the zero value: none
	Size     int64
}

// Sweep says how to run many replays of one trace.
type Sweep struct {
	Seed    uint64
	Workers int              // 0: one for each processor
	Now     func() time.Time // for Result.Seconds
	// Served, if not nil, counts requests as they are replayed, for showing
	// how far the sweep is.
	Served *atomic.Int64
	// Curve has LRU at several sizes done in one pass wherever that is exact.
	Curve bool
	// Rate, if more than 0 and less than 1, has a sample of so much of the
	// objects replayed instead of the whole trace, Objects, if more than 0, of so
	// many objects; Check, the sample and the whole trace. There must be no
	// prefetching then.
	Rate    float64
	Objects int
	Check   bool
}

// Run replays a trace for each job and hands the results to emit, in the order
// of jobs and as soon as that order allows.
func (s Sweep) Run(ctx context.Context, t *Trace, jobs []Job, emit func(Result) error) error {
	sample := sync.OnceValue(func() *Sampled {
		if s.Objects > 0 {
			return t.SampleObjects(s.Objects)
		}
		return t.Sample(s.Rate)
	})
	curve := sync.OnceValue(func() *curve { return s.curve(ctx, t, jobs) })
	return inOrder(ctx, s.Workers, len(jobs), emit, func(ctx context.Context, i int) (Result, error) {
		j := jobs[i]
		if s.Objects > 0 || s.Rate > 0 && s.Rate < 1 {
			small := j
			small.Size = sample().Size(j.Size)
			r, err := s.replay(ctx, sample().Trace, small)
			if err != nil {
				return Result{}, err
			}
			r = sample().Estimate(r, j.Size)
			r.Method, r.SampleRate, r.SampleRequests = Shards, sample().Rate, int64(sample().Trace.Len())
			if s.Check {
				full, err := s.replay(ctx, t, j)
				if err != nil {
					return Result{}, err
				}
				r.SampleError = r.MissRatio() - full.MissRatio()
			}
			return r, nil
		}
		if s.Curve && j.onePass() {
			c := curve()
			if c.err != nil {
				return Result{}, c.err
			}
			if j.Size >= c.exact {
				return c.take(j, s.Served, t), nil
			}
		}
		return s.replay(ctx, t, j)
	})
}

func (s Sweep) replay(ctx context.Context, t *Trace, j Job) (Result, error) {
	p, pre := j.Choice.New(j.Size, s.Seed), j.Prefetch.New(j.Size, 1, s.Seed)
	if _, ok := p.(clairvoyant); ok {
		t.next() // preparation, not replay
	}
	start := s.Now()
	r, err := ReplayPrefetch(ctx, t, p, pre, s.Served)
	r.Seconds = s.Now().Sub(start).Seconds()
	r.Policy, r.Prefetch, r.Method = j.Choice.Text, j.Prefetch.String(), Replayed
	return r, err
}

// onePass says that LRUCurve can do the job.
func (j Job) onePass() bool {
	return j.Choice.Spec.Name == lruSpec.Name && j.Prefetch.String() == "none"
}

// curve is one pass for all the jobs that it can do.
type curve struct {
	results map[int64]Result
	exact   int64
	err     error
	taken   atomic.Int64
}

func (s Sweep) curve(ctx context.Context, t *Trace, jobs []Job) *curve {
	var sizes []int64
	for _, j := range jobs {
		if j.onePass() {
			sizes = append(sizes, j.Size)
		}
	}
	c := &curve{results: map[int64]Result{}}
	start := s.Now()
	results, exact, err := LRUCurve(ctx, t, sizes, s.Served)
	seconds := s.Now().Sub(start).Seconds() / float64(max(len(sizes), 1))
	c.exact, c.err = exact, err
	for _, r := range results {
		r.Seconds, r.Method = seconds, OnePass
		c.results[r.Size] = r
	}
	return c
}

// take gives the result of a job. The pass has counted as one of them.
func (c *curve) take(j Job, served *atomic.Int64, t *Trace) Result {
	if c.taken.Add(1) > 1 && served != nil {
		served.Add(int64(t.Len()))
	}
	r := c.results[j.Size]
	r.Policy, r.Prefetch = j.Choice.Text, j.Prefetch.String()
	return r
}

// RunBlocks is Run in block mode; sizes are in pages.
func (s Sweep) RunBlocks(ctx context.Context, t *BlockTrace, b Backend, jobs []Job, emit func(BlockResult) error) error {
	return inOrder(ctx, s.Workers, len(jobs), emit, func(ctx context.Context, i int) (BlockResult, error) {
		j := jobs[i]
		p, pre := j.Choice.New(j.Size, s.Seed), j.Prefetch.New(j.Size, int64(t.PageSize), s.Seed)
		if _, ok := p.(clairvoyant); ok {
			t.foresight(b.Writes) // preparation, not replay
		}
		start := s.Now()
		r, err := ReplayBlocks(ctx, t, p, pre, b, s.Served)
		r.Seconds = s.Now().Sub(start).Seconds()
		r.Policy, r.Prefetch = j.Choice.Text, j.Prefetch.String()
		return r, err
	})
}

// inOrder does n jobs on so many workers, 0 standing for one for each
// processor, and hands the results to emit in order, each as soon as that order
// allows. The first error ends it.
func inOrder[T any](ctx context.Context, workers, n int, emit func(T) error, do func(context.Context, int) (T, error)) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	type outcome struct {
		result T
		err    error
	}
	outcomes := make([]chan outcome, n)
	for i := range outcomes {
		outcomes[i] = make(chan outcome, 1)
	}
	var next atomic.Int64
	var group sync.WaitGroup
	defer group.Wait()
	for range min(workers, n) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				r, err := do(ctx, int(i))
				outcomes[i] <- outcome{r, err}
			}
		})
	}
	for _, c := range outcomes {
		o := <-c
		if o.err == nil {
			o.err = emit(o.result)
		}
		if o.err != nil {
			cancel(o.err)
			return o.err
		}
	}
	return nil
}
