package prefetch

import (
	"math/bits"
	"unsafe"

	"reprise/policies/cache/params"
)

var leapSpec = Spec{
	Name: "leap",
	Doc:  "Leap: the majority among the latest distances between faults, fetched as far ahead as prefetches were used",
	Source: "Al Maruf & Chowdhury, ATC 2020, with the sizes of its kernel patch. A fault is a page that was missed, or used for " +
		"the first time since it was prefetched; a volume stands for a process. Leap frees a prefetched page once used, which " +
		"suits a cache in front of a program's own memory: free=1",
	Params: []params.Param{
		{Name: "history", Doc: "distances remembered", Default: leapHistory, Min: 4, Max: leapHistory, Whole: true},
		{Name: "max", Doc: "largest window in pages, the fault's own included", Default: 8, Min: 1, Max: 1 << 16, Whole: true},
		{Name: "min", Doc: "smallest window", Default: 4, Min: 1, Max: 1 << 16, Whole: true},
		{Name: "cluster", Doc: "1: with neither trend nor uses, fetch the aligned window around the fault, as the patch does; 0: nothing, as the paper", Default: 1, Min: 0, Max: 1, Whole: true},
		{Name: "free", Doc: "1: let a prefetched page go once it was used", Default: 0, Min: 0, Max: 1, Whole: true},
		{Name: "volumes", Doc: "volumes remembered", Default: 64, Min: 1, Max: 1 << 16, Whole: true},
	},
	new: func(c Config) Prefetcher {
		return &leap{
			history: c.Int("history"), max: c.Int("max"), min: min(c.Int("min"), c.Int("max")), cluster: c.Int("cluster") == 1,
			free: c.Int("free") == 1, volumes: newStreams[leapTrend](c.Int("volumes")),
		}
	},
}

const leapHistory = 32

// leap takes 308 bytes for each volume.
type leap struct {
	history, max, min int
	cluster, free     bool
	volumes           streams[leapTrend]
}

type leapTrend struct {
	deltas [leapHistory]int64 // the latest at head-1, going back round and round
	head   int32
	n      int32
	last   uint64 // the last fault
	trend  int64  // the last majority found
	uses   int32  // of prefetched pages since the last window
	size   int32  // of the last window
	begun  bool
}

func (l *leap) Bytes() int { return l.volumes.bytes(int(unsafe.Sizeof(leapTrend{}))) }

func (l *leap) Access(r *Request, p *Plan) {
	t := l.volumes.of(r.First >> volumeShift)
	for i, o := range r.Outcomes {
		if o == Hit {
			continue
		}
		page := r.First + uint64(i)
		t.fault(page, l.history)
		if o.First() {
			t.uses++
			if l.free {
				p.Demote(page)
			}
		}
		if o == Miss {
			l.window(t, page, p)
		}
	}
}

func (t *leapTrend) fault(page uint64, history int) {
	if t.begun {
		t.deltas[t.head] = int64(page - t.last)
		t.head = int32((int(t.head) + 1) % history)
		t.n = min(t.n+1, int32(history))
	}
	t.begun, t.last = true, page
}

func (l *leap) window(t *leapTrend, page uint64, p *Plan) {
	uses := int(t.uses)
	size := max(1<<bits.Len(uint(uses+1)), l.min, int(t.size)/2) // uses+2, rounded up to a power of two
	size = min(size, l.max)
	t.uses, t.size = 0, int32(size)
	delta, found := t.majority(l.history)
	switch {
	case found:
		t.trend = delta
	case uses > 0:
		delta = t.trend
	case l.cluster:
		start := page - page%uint64(size)
		p.Prefetch(start, size, 0)
		return
	}
	if delta == 0 {
		return
	}
	for k := 1; k < size; k++ {
		p.Prefetch(page+uint64(int64(k)*delta), 1, 0)
	}
}

// majority looks for a distance that more than half of the latest have, among
// a quarter of the history first, then among twice as many, up to all of it.
func (t *leapTrend) majority(history int) (delta int64, ok bool) {
	for w := max(history/4, 1); ; w = min(2*w, history) {
		n := min(w, int(t.n))
		votes := 0
		for i := 1; i <= n; i++ { // Boyer & Moore
			d := t.back(i, history)
			switch {
			case votes == 0:
				delta, votes = d, 1
			case d == delta:
				votes++
			default:
				votes--
			}
		}
		count := 0
		for i := 1; i <= n; i++ {
			if t.back(i, history) == delta {
				count++
			}
		}
		if count > n/2 && 2*count > w {
			return delta, true
		}
		if w == history {
			return 0, false
		}
	}
}

func (t *leapTrend) back(i, history int) int64 {
	return t.deltas[(int(t.head)-i+history)%history]
}
