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
	// Seconds is the time the replay took, reading the trace excluded.
	Seconds float64
}

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

// MReqs is the speed of the replay in million requests a second.
func (r Result) MReqs() float64 {
	if r.Seconds <= 0 {
		return 0
	}
	return float64(r.Requests) / r.Seconds / 1e6
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
}

// Run replays a trace for each job and hands the results to emit, in the order
// of jobs and as soon as that order allows.
func (s Sweep) Run(ctx context.Context, t *Trace, jobs []Job, emit func(Result) error) error {
	return inOrder(ctx, s.Workers, len(jobs), emit, func(ctx context.Context, i int) (Result, error) {
		j := jobs[i]
		p, pre := j.Choice.New(j.Size, s.Seed), j.Prefetch.New(j.Size, 1, s.Seed)
		if _, ok := p.(clairvoyant); ok {
			t.next() // preparation, not replay
		}
		start := s.Now()
		r, err := ReplayPrefetch(ctx, t, p, pre, s.Served)
		r.Seconds = s.Now().Sub(start).Seconds()
		r.Policy, r.Prefetch = j.Choice.Text, j.Prefetch.String()
		return r, err
	})
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
