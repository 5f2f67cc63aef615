package cache

import (
	"context"
	"sync/atomic"

	"reprise/policies/cache/prefetch"
)

// ReplayPrefetch is Replay with a prefetcher, which may be nil. It sends a whole trace through a policy that is empty, the
// prefetcher acting after each request, as in libCacheSim. An object fetched
// ahead has the size it was last requested with, if the prefetcher does not say
// otherwise; one of unknown size is not fetched.
func ReplayPrefetch(ctx context.Context, t *Trace, p Policy, pre prefetch.Prefetcher, served *atomic.Int64) (Result, error) {
	if pre == nil {
		return Replay(ctx, t, p, served)
	}
	r := Result{Size: p.Capacity(), Requests: int64(t.Len())}
	if c, ok := p.(clairvoyant); ok {
		c.Foresee(t.next())
	}
	if t.sizes == nil {
		r.ReqBytes = r.Requests
	}
	f := newFetcher(p, pre, false, false)
	unit := func(uint64) (uint32, bool) { return 1, true }
	sizeOf := unit
	var sizes *idTable
	if t.sizes != nil {
		sizes = newIDTable()
		sizeOf = sizes.get
		if s, ok := pre.(prefetch.Sizer); ok {
			sizeOf = func(uint64) (uint32, bool) { return s.ObjectSize(), true }
		}
	}
	req := prefetch.Request{Outcomes: make([]prefetch.Outcome, 1), Marks: make([]prefetch.Mark, 1)}
	for i, id := range t.ids {
		if i%chunk == 0 {
			if ctx.Err() != nil {
				return Result{}, context.Cause(ctx)
			}
			if served != nil && i > 0 {
				served.Add(chunk)
			}
		}
		k, size := KeyOf(id), uint32(1)
		if sizes != nil {
			size = t.sizes[i]
			r.ReqBytes += int64(size)
			sizes.put(id, size)
		}
		f.now = int64(i)
		req.Now, req.First, req.Next, req.Outcomes[0] = int64(i), id, id+1, prefetch.Hit
		if h := p.Find(k); h == None {
			r.Misses++
			r.MissBytes += int64(size)
			req.Outcomes[0] = prefetch.Miss
			f.missed(k)
			f.insert(k, size, Demand, 0)
		} else if mark, first := f.used(h); first {
			req.Outcomes[0], req.Marks[0] = prefetch.Used, mark
		}
		f.access(&req, sizeOf, nil)
	}
	if served != nil && t.Len() > 0 {
		served.Add(int64((t.Len()-1)%chunk + 1))
	}
	r.Prefetching = f.finish()
	return r, nil
}

// get gives the value of id.
func (m *idTable) get(id uint64) (value uint32, known bool) {
	for i := KeyOf(id).hash & uint32(len(m.slots)-1); ; i = (i + 1) & uint32(len(m.slots)-1) {
		s := &m.slots[i]
		if !s.used {
			return 0, false
		}
		if s.id == id {
			return s.value, true
		}
	}
}
