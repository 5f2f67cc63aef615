package cache

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Result is what a replay counted.
type Result struct {
	Policy    string // as it was asked for, parameters included
	Size      int64  // the capacity
	Requests  int64
	Misses    int64
	ReqBytes  int64 // with sizes ignored, bytes count objects, too
	MissBytes int64
	// Seconds is the time the replay took, reading the trace excluded.
	Seconds float64
}

// MissRatio is misses per request, 0 for an empty trace.
func (r Result) MissRatio() float64 { return ratio(r.Misses, r.Requests) }

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
	Choice Choice
	Size   int64
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
	workers := s.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	type outcome struct {
		Result
		err error
	}
	outcomes := make([]chan outcome, len(jobs))
	for i := range outcomes {
		outcomes[i] = make(chan outcome, 1)
	}
	var next atomic.Int64
	var group sync.WaitGroup
	defer group.Wait()
	for range min(workers, len(jobs)) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(jobs)); i = next.Add(1) - 1 {
				j := jobs[i]
				p := j.Choice.New(j.Size, s.Seed)
				if _, ok := p.(clairvoyant); ok {
					t.next() // preparation, not replay
				}
				start := s.Now()
				r, err := Replay(ctx, t, p, s.Served)
				r.Seconds = s.Now().Sub(start).Seconds()
				r.Policy = j.Choice.Text
				outcomes[i] <- outcome{r, err}
			}
		})
	}
	for _, c := range outcomes {
		o := <-c
		if o.err == nil {
			o.err = emit(o.Result)
		}
		if o.err != nil {
			cancel(o.err)
			return o.err
		}
	}
	return nil
}
