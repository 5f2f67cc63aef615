package prefetch

import (
	"math/bits"

	"reprise/policies/cache/params"
)

var pythiaSpec = Spec{
	Name: "pythia",
	Doc:  "Pythia: reinforcement learning of how far ahead to fetch, rewarded by what became of it",
	Source: "Bera et al., MICRO 2021, adapted from processors to storage: a program counter becomes the volume and the length of " +
		"the request, a line a page, a page a region; an offset counts lengths of the request, of which as much is fetched, and " +
		"may leave the region; filled means that the data arrived before the request. The rewards for a busy bus are left out: " +
		"they are off in its configuration",
	Params: []params.Param{
		{Name: "alpha", Doc: "learning rate", Default: 0.0065, Min: 0, Max: 1},
		{Name: "gamma", Doc: "discount", Default: 0.556, Min: 0, Max: 0.999},
		{Name: "epsilon", Doc: "share of actions tried at random", Default: 0.002, Min: 0, Max: 1},
		{Name: "timely", Doc: "reward for a page used after it arrived", Default: 20, Min: -1000, Max: 1000},
		{Name: "late", Doc: "reward for a page asked for before", Default: 12, Min: -1000, Max: 1000},
		{Name: "wrong", Doc: "reward for a page not asked for", Default: -8, Min: -1000, Max: 1000},
		{Name: "none", Doc: "reward for fetching nothing", Default: -4, Min: -1000, Max: 1000},
		{Name: "queue", Doc: "actions that wait for their reward", Default: 256, Min: 1, Max: 1 << 16, Whole: true},
		{Name: "region", Doc: "pages of a region", Default: 64, Min: 1, Max: 1 << 40, Whole: true},
		{Name: "regions", Doc: "regions remembered", Default: 64, Min: 1, Max: 1 << 20, Whole: true},
	},
	new: func(c Config) Prefetcher {
		y := &pythia{
			alpha: float32(c.Number("alpha")), gamma: float32(c.Number("gamma")), epsilon: c.Number("epsilon"),
			timely: float32(c.Number("timely")), late: float32(c.Number("late")),
			wrong: float32(c.Number("wrong")), none: float32(c.Number("none")),
			region: uint64(c.Int("region")), regions: newStreams[pythiaRegion](c.Int("regions")),
			queue: make([]pythiaEntry, c.Int("queue")), random: c.Seed + 200,
		}
		optimist := 1 / (1 - y.gamma) / pythiaPlanes
		for v := range y.values {
			for p := range y.values[v] {
				for row := range y.values[v][p] {
					for a := range y.values[v][p][row] {
						y.values[v][p][row][a] = optimist
					}
				}
			}
		}
		return y
	},
}

const (
	pythiaVaults = 2 // features: volume, length and last distance; the last four distances
	pythiaPlanes = 3
	pythiaRows   = 128
)

// The paper's list of offsets. 0 is to fetch nothing.
var pythiaActions = [16]int64{1, 3, 4, 5, 10, 11, 12, 16, 22, 23, 30, 32, -1, -3, -6, 0}

// pythia takes 49 kB for values, 56 bytes for each region and 64 for each
// action that waits.
type pythia struct {
	alpha, gamma              float32
	epsilon                   float64
	timely, late, wrong, none float32
	region                    uint64
	regions                   streams[pythiaRegion]
	values                    [pythiaVaults][pythiaPlanes][pythiaRows][len(pythiaActions)]float32

	// The evaluation queue, oldest at head.
	queue   []pythiaEntry
	head, n int
	waiting table // the latest action in the queue by the first page it fetched
	random  uint64
}

type pythiaRegion struct {
	last   uint64
	deltas [4]int16 // the latest first
	action uint8    // the last one
	streak uint8    // how often it came in a row
	begun  bool
}

type pythiaState [pythiaVaults][pythiaPlanes]uint8

type pythiaEntry struct {
	page     uint64
	reward   float32
	state    pythiaState
	action   uint8
	rewarded bool
}

func (y *pythia) Bytes() int {
	return pythiaVaults*pythiaPlanes*pythiaRows*len(pythiaActions)*4 + y.regions.bytes(32) + 24*len(y.queue) + y.waiting.bytes()
}

func (y *pythia) Access(r *Request, p *Plan) {
	for i, o := range r.Outcomes {
		y.demand(r.First+uint64(i), o)
	}
	key := r.First - r.First%y.region
	t := y.regions.of(key)
	if t.begun {
		d := int64(r.First - t.last)
		copy(t.deltas[1:], t.deltas[:])
		t.deltas[0] = int16(max(min(d, 1<<15-1), -1<<15))
	}
	t.begun, t.last = true, r.First

	pages := r.Pages()
	caller := r.First>>volumeShift<<8 | uint64(bits.Len(uint(pages)))
	state := pythiaStateOf(caller, t.deltas)
	action := y.choose(&state)
	e := pythiaEntry{state: state, action: action}
	offset := pythiaActions[action]
	if offset == 0 {
		e.reward, e.rewarded = y.none, true
		y.enqueue(e)
		return
	}
	e.page = r.First + uint64(offset*int64(pages))
	y.enqueue(e)
	if t.action == action {
		t.streak = min(t.streak+1, 255)
	} else {
		t.action, t.streak = action, 1
	}
	degree := 6
	switch {
	case t.streak <= 1:
		degree = 1
	case t.streak <= 3:
		degree = 2
	case t.streak <= 8:
		degree = 4
	}
	for k := 1; k <= degree; k++ {
		p.Prefetch(r.First+uint64(offset*int64(pages)*int64(k)), pages, 0)
	}
}

func pythiaStateOf(caller uint64, deltas [4]int16) (s pythiaState) {
	path := uint64(0)
	for _, d := range deltas {
		path = path<<16 | uint64(uint16(d))
	}
	features := [pythiaVaults]uint64{caller<<16 | uint64(uint16(deltas[0])), path}
	for v, f := range features {
		for plane := range s[v] {
			s[v][plane] = uint8(hash(f+uint64(plane)*0x9e3779b97f4a7c15) % pythiaRows)
		}
	}
	return s
}

// value is Q: the larger of what the vaults say, each the sum of its planes.
func (y *pythia) value(s *pythiaState, action uint8) float32 {
	q := float32(0)
	for v := range s {
		sum := float32(0)
		for plane, row := range s[v] {
			sum += y.values[v][plane][row][action]
		}
		if v == 0 || sum > q {
			q = sum
		}
	}
	return q
}

func (y *pythia) choose(s *pythiaState) uint8 {
	if y.epsilon > 0 && float64(y.draw()>>11)*0x1p-53 < y.epsilon {
		return uint8(y.draw() >> 60)
	}
	best, most := uint8(0), y.value(s, 0)
	for a := uint8(1); int(a) < len(pythiaActions); a++ {
		if q := y.value(s, a); q > most {
			best, most = a, q
		}
	}
	return best
}

// draw is SplitMix64.
func (y *pythia) draw() uint64 {
	y.random += 0x9e3779b97f4a7c15
	z := y.random
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// demand rewards the action that fetched a page. A page that arrived and was
// evicted again earns nothing.
func (y *pythia) demand(page uint64, o Outcome) {
	if o == Miss {
		return
	}
	at, ok := y.waiting.get(page)
	if !ok {
		return
	}
	e := &y.queue[at]
	e.reward, e.rewarded = y.timely, true
	if o == Late || o == Joined {
		e.reward = y.late
	}
	y.waiting.remove(page)
}

// enqueue lets the oldest action go if the queue is full, and learns from it,
// the next oldest being what came after it.
func (y *pythia) enqueue(e pythiaEntry) {
	if y.n == len(y.queue) {
		old := &y.queue[y.head]
		if at, ok := y.waiting.get(old.page); ok && int(at) == y.head {
			y.waiting.remove(old.page)
		}
		if !old.rewarded {
			old.reward = y.wrong
		}
		next := &e
		if y.n > 1 {
			next = &y.queue[(y.head+1)%len(y.queue)]
		}
		y.learn(old, next)
		y.head = (y.head + 1) % len(y.queue)
		y.n--
	}
	at := (y.head + y.n) % len(y.queue)
	y.queue[at] = e
	y.n++
	if !e.rewarded {
		y.waiting.set(e.page, uint32(at))
	}
}

// learn is SARSA, in every plane.
func (y *pythia) learn(e, next *pythiaEntry) {
	step := y.alpha * (e.reward + y.gamma*y.value(&next.state, next.action) - y.value(&e.state, e.action))
	for v := range e.state {
		for plane, row := range e.state[v] {
			y.values[v][plane][row][e.action] += step
		}
	}
}
