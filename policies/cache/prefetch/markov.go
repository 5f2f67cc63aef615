package prefetch

import (
	"unsafe"

	"reprise/policies/cache/params"
)

var markovSpec = Spec{
	Name: "markov",
	Doc:  "delta-Markov: which distances between requests followed the last one, by frequency",
	Source: "Joseph & Grunwald, ISCA 1997, on distances instead of addresses (Nesbit & Smith, HPCA 2004); requests to a region are " +
		"a stream",
	Params: []params.Param{
		{Name: "degree", Doc: "successors to fetch, the likeliest first", Default: 2, Min: 1, Max: markovWays, Whole: true},
		{Name: "depth", Doc: "steps to follow the likeliest", Default: 4, Min: 1, Max: 64, Whole: true},
		{Name: "threshold", Doc: "probability from which on a successor is fetched", Default: 0.3, Min: 0, Max: 1},
		{Name: "region", Doc: "pages of a region; 0: the volume", Default: 1 << 14, Min: 0, Max: 1 << 47, Whole: true},
		{Name: "rows", Doc: "distances remembered", Default: 4096, Min: 1, Max: 1 << 22, Whole: true},
		{Name: "streams", Doc: "regions remembered", Default: 1024, Min: 1, Max: 1 << 22, Whole: true},
	},
	new: func(c Config) Prefetcher {
		return &markov{
			degree: c.Int("degree"), depth: c.Int("depth"), threshold: c.Number("threshold"), region: uint64(c.Int("region")),
			rows: newStreams[markovRow](c.Int("rows")), streams: newStreams[markovStream](c.Int("streams")),
		}
	},
}

const markovWays = 4

// markov takes 80 bytes for each distance and 36 for each region.
type markov struct {
	degree, depth int
	threshold     float64
	region        uint64
	rows          streams[markovRow]
	streams       streams[markovStream]
}

// markovRow is what followed one distance, the likeliest first.
type markovRow struct {
	deltas [markovWays]int64
	pages  [markovWays]uint32
	counts [markovWays]uint16
	total  uint16
}

type markovStream struct {
	last  uint64
	delta int64
	begun uint8 // requests so far, up to 2
}

func (m *markov) Bytes() int {
	return m.rows.bytes(int(unsafe.Sizeof(markovRow{}))) + m.streams.bytes(int(unsafe.Sizeof(markovStream{})))
}

func (m *markov) Access(r *Request, p *Plan) {
	key := r.First >> volumeShift << volumeShift
	if m.region != 0 {
		key = r.First - r.First%m.region
	}
	s := m.streams.of(key)
	delta := int64(r.First - s.last)
	if s.begun == 2 {
		m.rows.of(uint64(s.delta)).count(delta, uint32(r.Pages()))
	}
	if s.begun > 0 {
		s.delta = delta
	}
	s.begun = min(s.begun+1, 2)
	s.last = r.First
	if s.begun < 2 {
		return
	}
	page := r.First
	for step := range m.depth {
		row := m.rows.find(uint64(delta))
		if row == nil || !row.likely(0, m.threshold) {
			return
		}
		for i := 0; i < m.degree && row.likely(i, m.threshold); i++ {
			if i > 0 && step > 0 {
				break // only the likeliest is followed
			}
			p.Prefetch(page+uint64(row.deltas[i]), int(row.pages[i]), 0)
		}
		delta = row.deltas[0]
		page += uint64(delta)
	}
}

func (w *markovRow) likely(i int, threshold float64) bool {
	return w.counts[i] > 0 && w.total >= 2 && float64(w.counts[i]) >= threshold*float64(w.total)
}

// count counts one successor. Old counts fade by halving.
func (w *markovRow) count(delta int64, pages uint32) {
	if w.total == 1<<8 {
		w.total = 0
		for i := range w.counts {
			w.counts[i] /= 2
			w.total += w.counts[i]
		}
	}
	w.total++
	i := 0
	for i < markovWays-1 && (w.counts[i] == 0 || w.deltas[i] != delta) {
		i++
	}
	if w.counts[i] == 0 || w.deltas[i] != delta {
		w.deltas[i], w.counts[i] = delta, 0
	}
	w.pages[i] = pages
	w.counts[i]++
	for ; i > 0 && w.counts[i] > w.counts[i-1]; i-- {
		w.deltas[i], w.deltas[i-1] = w.deltas[i-1], w.deltas[i]
		w.pages[i], w.pages[i-1] = w.pages[i-1], w.pages[i]
		w.counts[i], w.counts[i-1] = w.counts[i-1], w.counts[i]
	}
}
