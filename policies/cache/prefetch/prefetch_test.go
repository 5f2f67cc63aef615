package prefetch

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func choice(t testing.TB, text string) Choice {
	c, err := Parse(text)
	require.NoError(t, err)
	require.Len(t, c, 1)
	return c[0]
}

// cacheModel is a cache without end in front of a backend that takes no time.
type cacheModel struct {
	pre    Prefetcher
	plan   *Plan
	pages  map[uint64]bool // false: fetched ahead and not used
	tags   map[uint64]uint32
	now    int64
	issued uint64
}

func newModel(t testing.TB, text string, capacity int64) *cacheModel {
	m := &cacheModel{pages: map[uint64]bool{}, tags: map[uint64]uint32{}}
	m.pre = choice(t, text).New(capacity, 4096, 0)
	m.plan = NewPlan(capacity, int(capacity), true, func(p uint64) bool { _, ok := m.pages[p]; return ok })
	return m
}

// read serves a request, and gives the pages fetched ahead as runs "from+n".
func (m *cacheModel) read(first uint64, n int) string {
	m.now++
	r := Request{Now: m.now, First: first, Next: first + uint64(n), Outcomes: make([]Outcome, n), Marks: make([]Mark, n)}
	for i := range r.Outcomes {
		page := first + uint64(i)
		used, ok := m.pages[page]
		switch {
		case !ok:
			r.Outcomes[i] = Miss
		case used:
			r.Outcomes[i] = Hit
		default:
			r.Outcomes[i] = Used
			r.Marks[i].Tag = m.tags[page]
		}
		m.pages[page] = true
	}
	m.plan.Reset(first)
	m.pre.Access(&r, m.plan)
	var runs []string
	start, length := uint64(0), uint64(0)
	flush := func() {
		if length > 0 {
			runs = append(runs, fmt.Sprintf("%d+%d", start, length))
		}
	}
	for _, w := range m.plan.Wants() {
		for page := w.Page; page != w.Page+uint64(w.N); page++ {
			if _, ok := m.pages[page]; ok {
				continue
			}
			m.pages[page] = false
			m.tags[page] = w.Tag
			m.issued++
			if length > 0 && page == start+length {
				length++
				continue
			}
			flush()
			start, length = page, 1
		}
	}
	flush()
	return strings.Join(runs, " ")
}

// step is one request of a stream and what is to be fetched ahead of it; evict
// drops pages first.
type step struct {
	first uint64
	n     int
	want  string
	evict []uint64
}

func walk(t *testing.T, text string, steps []step) {
	t.Helper()
	m := newModel(t, text, 1<<20)
	for i, s := range steps {
		for _, page := range s.evict {
			delete(m.pages, page)
		}
		require.Equal(t, s.want, m.read(s.first, s.n), "%s: step %d, read of %d+%d", text, i, s.first, s.n)
	}
}

func TestStreams(t *testing.T) {
	for _, c := range []struct {
		name, prefetcher string
		steps            []step
	}{
		{"five pages in a row make one", "obl", []step{
			{first: 10, n: 1}, {first: 11, n: 1}, {first: 12, n: 1}, {first: 13, n: 1},
			{first: 14, n: 1, want: "15+1"}, {first: 15, n: 1, want: "16+1"},
			{first: 99, n: 1}, {first: 100, n: 5, want: "105+1"},
		}},
		{"the second repetition of a stride", "stride:degree=2", []step{
			{first: 1000, n: 2}, {first: 1010, n: 2}, {first: 1020, n: 2},
			{first: 1030, n: 2, want: "1040+2 1050+2"},
			{first: 1040, n: 2, want: "1060+2"},
			{first: 1100, n: 2}, // another distance: wait
			{first: 1110, n: 2, want: "1120+2 1130+2"},
			{first: 1105, n: 2}, {first: 1100, n: 2},
		}},
		{"from the start of a file: 4r, doubled at the marker", "readahead", []step{
			// init(1) = 4, async 3: window 0-3, marker 1
			{first: 0, n: 1, want: "1+3"},
			// marker: start 4, next(4) = 8, async 8: marker 4
			{first: 1, n: 1, want: "4+8"},
			{first: 2, n: 1}, {first: 3, n: 1},
			{first: 4, n: 1, want: "12+16"},
			{first: 5, n: 7},
			{first: 12, n: 1, want: "28+32"},
			{first: 13, n: 15},
			{first: 28, n: 4, want: "60+32"}, // no more than 32
		}},
		{"reads of four", "readahead", []step{
			// init(4) = 8, async 4: window 0-7, marker 4
			{first: 0, n: 4, want: "4+4"},
			{first: 4, n: 4, want: "8+16"},
			{first: 8, n: 4, want: "24+32"},
		}},
		{"a read larger than the maximum", "readahead", []step{
			// init = 32, async 32 = size: merged with the next window, 500-563, marker 532, met at
			// once by the same read: 564-595
			{first: 500, n: 40, want: "540+56"},
		}},
		{"random reads fetch nothing, the second of two adjacent ones does", "readahead", []step{
			{first: 5000, n: 2}, {first: 9000, n: 2}, {first: 7000, n: 2},
			// offset - prev is 1: init(2) = 4, async 2: window 7002-7005
			{first: 7002, n: 2, want: "7004+2"},
			{first: 7004, n: 2, want: "7006+8"},
		}},
		{"context: the pages cached behind tell the stream", "readahead", []step{
			{first: 100, n: 1}, {first: 300, n: 1},
			// behind 101 is one page, which is not more than the read has
			{first: 101, n: 1},
			{first: 301, n: 1},
			// behind 102 are two: window 102-104, async 1, marker 104
			{first: 102, n: 1, want: "103+2"},
			{first: 302, n: 1, want: "303+2"},
			{first: 103, n: 1},
			// The marker of the other stream's window: the hole is 105, next(105-104+1) = 4, marker
			// 105
			{first: 104, n: 1, want: "105+4"},
			{first: 304, n: 1, want: "305+4"},
			{first: 105, n: 1, want: "109+10"}, // hole 109, next(109-105+1) = 10
		}},
		{"a window whose marker was evicted goes on at the miss", "readahead", []step{
			{first: 0, n: 1, want: "1+3"},
			{first: 1, n: 1, want: "4+8", evict: []uint64{1}},
		}},
		{"a majority of ones", "leap", []step{
			{first: 50, n: 1, want: "48+2 51+1"}, // no trend: the aligned four
			{first: 51, n: 1},                    // a use
			{first: 52, n: 1},                    // uses, but no trend yet to follow
			{first: 53, n: 1, want: "54+2"},      // three distances of 1 are no half of eight
			{first: 54, n: 1}, {first: 55, n: 1},
			{first: 56, n: 1, want: "57+3"}, // six are; 2 uses + 2 = 4, the fault's page among them
			{first: 57, n: 1}, {first: 58, n: 1}, {first: 59, n: 1},
			{first: 60, n: 1, want: "61+7"}, // 3 uses + 2, rounded up: 8
		}},
		{"the paper's: no cluster", "leap:cluster=0", []step{
			{first: 50, n: 1}, {first: 60, n: 1}, {first: 70, n: 1}, {first: 80, n: 1}, {first: 90, n: 1},
			// The fifth of eight distances makes the majority
			{first: 100, n: 1, want: "110+1 120+1 130+1"},
			{first: 110, n: 1}, {first: 120, n: 1}, {first: 130, n: 1},
			{first: 140, n: 1, want: "150+1 160+1 170+1 180+1 190+1 200+1 210+1"},
		}},
		{"a set grows by what is read when its last page is used", "amp:start=4", []step{
			{first: 10, n: 1},
			{first: 11, n: 1, want: "12+4"}, // 10 is there
			{first: 12, n: 1}, {first: 13, n: 1}, {first: 14, n: 1},
			{first: 15, n: 1},               // the last: 5; its trigger had passed
			{first: 16, n: 1, want: "17+5"}, // distance 2: the trigger is 19
			{first: 17, n: 1}, {first: 18, n: 1},
			{first: 19, n: 1, want: "22+5"},
		}},
		{"three pages in a row", "sarc:degree=4,distance=1", []step{
			{first: 10, n: 1}, {first: 11, n: 1}, {first: 12, n: 1, want: "13+4"},
			{first: 13, n: 1}, {first: 14, n: 1}, {first: 15, n: 1, want: "17+4"},
		}},
		{"one in the table", "tap:degree=4", []step{
			{first: 10, n: 2}, {first: 50, n: 2},
			{first: 12, n: 2, want: "14+4"},
			{first: 52, n: 2, want: "54+4"},
			{first: 14, n: 1, want: ""}, {first: 15, n: 2, want: "18+3"},
		}},
		{"a repeating pattern of distances", "markov:degree=1,depth=1", []step{
			{first: 100, n: 1}, {first: 101, n: 1}, {first: 105, n: 1}, {first: 106, n: 1}, {first: 110, n: 1},
			{first: 111, n: 1, want: "115+1"}, {first: 115, n: 1, want: "116+1"},
		}},
	} {
		t.Run(c.prefetcher+": "+c.name, func(t *testing.T) { walk(t, c.prefetcher, c.steps) })
	}
}

// Requests that end within a page go on in that page.
func TestUnalignedStreams(t *testing.T) {
	for _, name := range []string{"obl", "stride", "readahead", "leap", "amp", "sarc", "tap", "markov"} {
		p := choice(t, name).New(1000, 4096, 0)
		pages := map[uint64]bool{}
		plan := NewPlan(1000, 1000, true, func(page uint64) bool { return pages[page] })
		r := Request{Outcomes: make([]Outcome, 3), Marks: make([]Mark, 3)}
		ahead := 0
		for i := range uint64(12) {
			r.First, r.Next = 500+2*i, 502+2*i
			for j := range r.Outcomes {
				page := r.First + uint64(j)
				r.Outcomes[j] = Miss
				if pages[page] {
					r.Outcomes[j] = Hit
				}
				pages[page] = true
			}
			plan.Reset(r.First)
			p.Access(&r, plan)
			for _, w := range plan.Wants() {
				ahead = max(ahead, int(w.Page+uint64(w.N)-r.End()))
			}
		}
		require.Positive(t, ahead, name)
	}
}

func TestLeapFreesWhatItFetched(t *testing.T) {
	m := newModel(t, "leap:free=1", 100)
	m.read(50, 1)
	m.read(51, 1)
	require.Equal(t, []uint64{51}, m.plan.Demoted())
	m.read(51, 1)
	require.Empty(t, m.plan.Demoted())
}

// A page of a set evicted unused comes back once; the stream then fetches less.
func TestAMPShrinks(t *testing.T) {
	m := newModel(t, "amp:start=4", 100)
	m.read(10, 1)
	require.Equal(t, "12+4", m.read(11, 1))
	amp := m.pre.(*amp)
	tag, again := amp.Spare(15, m.tags[15])
	require.True(t, again)
	require.Equal(t, 3, amp.sets[0].degree)
	require.Equal(t, 1, amp.sets[0].distance)
	_, again = amp.Spare(15, tag)
	require.False(t, again)
	for range 10 {
		amp.Spare(14, m.tags[14])
	}
	require.Equal(t, 1, amp.sets[0].degree)
	require.Equal(t, 0, amp.sets[0].distance)
}

// A reader that waits for the first page of a set has it fetched earlier.
func TestAMPLate(t *testing.T) {
	m := newModel(t, "amp:start=8", 100)
	m.read(10, 1)
	m.read(11, 1)
	amp := m.pre.(*amp)
	require.Equal(t, 4, amp.sets[0].distance)
	r := Request{First: 12, Outcomes: []Outcome{Late}, Marks: []Mark{{Tag: m.tags[12]}}}
	m.plan.Reset(12)
	amp.Access(&r, m.plan)
	require.Equal(t, 5, amp.sets[0].distance)
}

func TestTapRoom(t *testing.T) {
	m := newModel(t, "tap:degree=8,share=0.1", 100)
	tap := m.pre.(*tap)
	require.EqualValues(t, 10, tap.room)
	for range 4 {
		tap.Event(Event{Kind: Fetched})
	}
	m.read(10, 1)
	require.Equal(t, "12+6", m.read(11, 1)) // 4 of the 10 are taken
	tap.Event(Event{Kind: TooEarly})
	require.EqualValues(t, 11, tap.room)
	m.read(12, 1) // a use
	require.EqualValues(t, 12, tap.room)
	for range 9 {
		tap.Event(Event{Kind: Wasted})
	}
	require.EqualValues(t, 8, tap.room) // never less than a degree
}

// The actions earn their reward by what became of their pages, and are learnt
// from when they leave the queue.
func TestPythiaRewards(t *testing.T) {
	y := choice(t, "pythia:queue=2,epsilon=0,alpha=1,gamma=0").New(1000, 4096, 0).(*pythia)
	plan := NewPlan(1000, 1000, true, func(uint64) bool { return false })
	read := func(first uint64, o Outcome) []Want {
		plan.Reset(first)
		y.Access(&Request{First: first, Outcomes: []Outcome{o}, Marks: make([]Mark, 1)}, plan)
		return plan.Wants()
	}
	state := func(i int) *pythiaEntry { return &y.queue[i] }
	// All values are alike at first: the first action, the next page.
	require.Equal(t, []Want{{101, 1, 0}}, read(100, Miss))
	first := *state(0)
	before := y.value(&first.state, first.action)
	read(101, Used)
	require.Equal(t, float32(20), state(0).reward)
	read(5000, Miss) // the first leaves the queue
	require.Greater(t, y.value(&first.state, first.action), before)

	second := *state(1)
	require.False(t, second.rewarded)
	before = y.value(&second.state, second.action)
	read(9000, Miss)
	require.Less(t, y.value(&second.state, second.action), before)

	third := *state(0)
	require.EqualValues(t, 5001, third.page)
	y.demand(5001, Late)
	require.Equal(t, float32(12), state(0).reward)
	y.demand(5001, Used) // once only
	require.Equal(t, float32(12), state(0).reward)
}

// Mining by hand: pages that missed at adjacent times, twice.
func TestMithrilMines(t *testing.T) {
	m := choice(t, "mithril:mining-threshold=4").New(10_000, 4096, 0).(*mithril)
	plan := NewPlan(10_000, 10_000, true, func(uint64) bool { return false })
	read := func(first uint64, n int) []Want {
		plan.Reset(first)
		o := make([]Outcome, n)
		m.Access(&Request{First: first, Outcomes: o, Marks: make([]Mark, n)}, plan)
		return plan.Wants()
	}
	read(10, 1)
	read(20, 3)
	for page := range uint64(30) {
		read(1000+page, 1)
	}
	read(10, 1)
	require.Len(t, m.mining, 1)
	require.Empty(t, read(20, 3)) // two pages ready: mined
	require.Empty(t, m.mining)
	require.Equal(t, []Want{{20, 3, 1}}, read(10, 1))
	require.Empty(t, read(20, 3)) // only forwards
	tag, again := m.Spare(20, 1)
	require.True(t, again)
	_, again = m.Spare(20, tag)
	require.False(t, again)
}

// Many requests with few times each: the recording table goes round and rows
// that were promoted are filled.
func TestMithrilRecordingTable(t *testing.T) {
	m := choice(t, "mithril:max-metadata-size=0.9").New(200, 4096, 0).(*mithril)
	rng := rand.New(rand.NewPCG(1, 1))
	plan := NewPlan(200, 200, true, func(uint64) bool { return false })
	for range 30_000 {
		plan.Reset(1)
		m.Access(&Request{First: 1 + rng.Uint64N(4000), Outcomes: make([]Outcome, 1), Marks: make([]Mark, 1)}, plan)
		require.Zero(t, m.recorded[m.at])
	}
	live := 0
	for row, page := range m.recorded {
		if page == 0 {
			continue
		}
		live++
		at, ok := m.rows.get(page)
		require.True(t, ok)
		require.EqualValues(t, row, at)
	}
	require.Equal(t, m.rows.n, live+len(m.mining))
}

func TestPGByHand(t *testing.T) {
	m := newModel(t, "pg:lookahead-range=2,prefetch-threshold=0.4", 1<<20)
	// 1 leaves the window when 3 comes: edges to 2 and 3; and so on.
	for _, page := range []uint64{1, 2, 3, 1, 2, 4} {
		m.read(page, 1)
	}
	delete(m.pages, 2)
	delete(m.pages, 3)
	delete(m.pages, 4)
	// After 1 came 2, 3 and 2, 4: 2 in two of four.
	require.Equal(t, "2+1", m.read(1, 1))
}

// A table against Go's map.
func TestTable(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	var table table
	want := map[uint64]uint32{}
	for range 200_000 {
		page := rng.Uint64N(500) << 48
		switch rng.IntN(3) {
		case 0:
			table.remove(page)
			delete(want, page)
		default:
			v := rng.Uint32N(1 << 31)
			table.set(page, v)
			want[page] = v
		}
		page = rng.Uint64N(500) << 48
		got, ok := table.get(page)
		v, known := want[page]
		require.Equal(t, known, ok)
		if ok {
			require.Equal(t, v, got)
		}
		require.Equal(t, len(want), table.n)
	}
}

func TestStreamsKeepTheLatest(t *testing.T) {
	s := newStreams[int](8)
	for key := range uint64(1000) {
		*s.of(key) = int(key)
		require.Equal(t, int(key), *s.find(key))
		if key > 0 { // the one before is the last to be given up
			require.Equal(t, int(key-1), *s.find(key - 1))
		}
	}
	s.drop(999)
	require.Nil(t, s.find(999))
}

func TestPlanStaysInItsVolume(t *testing.T) {
	p := NewPlan(100, 10, true, func(uint64) bool { return false })
	last := uint64(8)<<volumeShift - 1
	p.Reset(last - 1)
	p.Prefetch(last, 5, 1)
	p.Prefetch(last+1, 5, 1)
	p.Prefetch(last-20, 100, 2)
	p.Prefetch(last-20, -3, 2)
	require.Equal(t, []Want{{last, 1, 1}, {last - 20, 9, 2}}, p.Wants())
}

func TestParse(t *testing.T) {
	c, err := Parse("none,amp:apt=6,max=32, leap")
	require.NoError(t, err)
	require.Len(t, c, 3)
	require.Nil(t, c[0].New(10, 1, 0))
	a := c[1].New(10, 1, 0).(*amp)
	require.Equal(t, 6, a.apt)
	require.Equal(t, 32, a.max)
	require.Equal(t, "amp:apt=6,max=32", c[1].String())
	for list, message := range map[string]string{
		"apm":              `no prefetcher is called "apm"; there are none, obl`,
		"amp:apt":          `prefetcher amp: parameter "apt" has no value; write amp:NAME=VALUE`,
		"amp:apt=x":        `"x" is not a number`,
		"amp:apt=1.5":      "is not a whole number",
		"amp:apt=-1":       "is not between 0 and 65536",
		"amp:apt=NaN":      "is not a number",
		"amp:degree=1":     "it takes apt, start, max, streams",
		"none:degree=1":    "it takes none",
		"":                 `no prefetcher is called ""`,
		"pg:block-size=1e": "is not a number",
	} {
		_, err := Parse(list)
		require.ErrorContains(t, err, message, list)
	}
}

// What Bytes says is what is held, give or take the rounding of allocations.
func TestBytes(t *testing.T) {
	for _, spec := range All()[1:] {
		p := choice(t, spec.Name).New(10_000, 4096, 0)
		before := p.Bytes()
		drive(p, 10_000, 60_000, 1)
		require.GreaterOrEqual(t, p.Bytes(), before, spec.Name)
		// A cache of 40 MB: none may take more than Mithril and PG are allowed.
		require.Less(t, p.Bytes(), 10<<20, spec.Name)
	}
}

// drive shows a prefetcher n requests of streams, loops and random reads, on a
// cache that has any page with one chance in two.
func drive(p Prefetcher, pages uint64, n int, seed uint64) (wanted int) {
	rng := rand.New(rand.NewPCG(seed, 3))
	plan := NewPlan(int64(pages), int(pages), true, func(p uint64) bool { return hash(p)&1 == 0 })
	sparer, _ := p.(Sparer)
	listener, _ := p.(Listener)
	var heads [4]uint64
	outcomes, marks := make([]Outcome, 16), make([]Mark, 16)
	var tags [64]uint32
	var r Request
	for i := range n {
		length := 1 + int(rng.Uint64()>>60)%8
		var first uint64
		switch rng.Uint64() % 3 {
		case 0:
			first = rng.Uint64() % (10 * pages)
		case 1:
			first = uint64(i) * 7 % pages
		default:
			h := &heads[rng.Uint64()%4]
			if rng.Uint64()%64 == 0 {
				*h = rng.Uint64() % (10 * pages)
			}
			first = *h
			*h += uint64(length)
		}
		r.Now, r.First, r.Next, r.Outcomes, r.Marks = int64(i), first, first+uint64(length)-uint64(i&1), outcomes[:length], marks[:length]
		for j := range r.Outcomes {
			r.Outcomes[j] = Outcome(rng.Uint64() % 5)
			r.Marks[j] = Mark{}
			if r.Outcomes[j].First() {
				r.Marks[j] = Mark{tags[rng.Uint64()%64], uint32(rng.Uint64() % pages)}
			}
		}
		plan.Reset(first)
		p.Access(&r, plan)
		for _, w := range plan.Wants() {
			wanted += int(w.N)
			tags[rng.Uint64()%64] = w.Tag
			if sparer != nil {
				sparer.Spare(w.Page, w.Tag)
			}
			if listener != nil {
				listener.Event(Event{Kind: Kind(rng.Uint64() % 5), Page: w.Page, Tag: w.Tag, Now: r.Now})
			}
		}
	}
	return wanted
}

func TestDeterministic(t *testing.T) {
	for _, spec := range All()[1:] {
		c := choice(t, spec.Name)
		require.Equal(t, drive(c.New(1000, 4096, 7), 1000, 20_000, 2), drive(c.New(1000, 4096, 7), 1000, 20_000, 2), spec.Name)
	}
}

// FuzzParameters makes prefetchers from any parameters that are accepted, for
// any cache.
func FuzzParameters(f *testing.F) {
	for _, s := range All() {
		f.Add(s.Name, int64(100), uint64(1))
		var low, high []string
		for _, p := range s.Params {
			low = append(low, fmt.Sprintf("%s=%v", p.Name, p.Min))
			high = append(high, fmt.Sprintf("%s=%v", p.Name, p.Default*3+1))
		}
		f.Add(s.Name+":"+strings.Join(low, ","), int64(0), uint64(2))
		f.Add(s.Name+":"+strings.Join(high, ","), int64(7), uint64(3))
	}
	f.Fuzz(func(t *testing.T, text string, capacity int64, seed uint64) {
		choices, err := Parse(text)
		if err != nil || capacity > 1<<20 {
			return
		}
		for _, c := range choices {
			for name, most := range map[string]float64{
				"streams": 1 << 12, "table": 1 << 12, "rows": 1 << 12, "volumes": 1 << 12, "markers": 1 << 12, "regions": 1 << 12,
				"mining-threshold": 1 << 14, "block-size": 1 << 14, "max-support": 64, "min-support": 64,
			} {
				for _, p := range c.Spec.Params {
					if p.Name == name && c.values.Number(name) > most {
						return // memory that was asked for
					}
				}
			}
			if p := c.New(capacity, 4096, seed); p != nil {
				drive(p, uint64(max(min(capacity, 1000), 1)), 300, seed)
			}
		}
	})
}

func BenchmarkAccess(b *testing.B) {
	for _, spec := range All()[1:] {
		b.Run(spec.Name, func(b *testing.B) {
			p := choice(b, spec.Name).New(10_000, 4096, 0)
			drive(p, 10_000, 20_000, 1)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				drive(p, 10_000, 1000, uint64(n))
				n++
			}
			b.ReportMetric(float64(n)*1000/b.Elapsed().Seconds()/1e6, "Mreq/s")
		})
	}
}
