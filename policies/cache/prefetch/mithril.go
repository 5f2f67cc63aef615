package prefetch

import (
	"math"
	"slices"

	"reprise/policies/cache/params"
)

var mithrilSpec = Spec{
	Name: "mithril",
	Doc:  "associations mined from misses that happened close to each other more than once",
	Source: "Yang et al., SoCC 2017, as libCacheSim aa0fc40 has it. Of a request for several pages the first is recorded, " +
		"and as many are fetched as its successor was last requested with",
	Params: []params.Param{
		{Name: "lookahead-range", Doc: "requests that associated misses may be apart", Default: 20, Min: 1, Max: 100, Whole: true},
		{Name: "max-support", Doc: "misses beyond which a page is too frequent to mine", Default: 8, Min: 1, Max: 1000, Whole: true},
		{Name: "min-support", Doc: "misses from which on a page is mined", Default: 2, Min: 1, Max: 1000, Whole: true},
		{Name: "confidence", Doc: "times two patterns may differ", Default: 1, Min: 1, Max: 100, Whole: true},
		{Name: "pf-list-size", Doc: "successors kept of a page", Default: 2, Min: 1, Max: 100, Whole: true},
		{Name: "each-request", Doc: "1: record hits, too", Default: 0, Min: 0, Max: 1, Whole: true},
		{Name: "block-size", Doc: "bytes a unit of capacity stands for, for sizing the tables; 0: the page size, in object mode 1", Default: 0, Min: 0, Max: 1 << 31, Whole: true},
		{Name: "max-metadata-size", Doc: "memory for associations, as a share of the cache's", Default: 0.1, Min: 0, Max: 1},
		{Name: "cycle-time", Doc: "one more than the chances of an unused page", Default: 2, Min: 1, Max: 100, Whole: true},
		{Name: "mining-threshold", Doc: "misses to gather before mining", Default: 5120, Min: 2, Max: 1 << 24, Whole: true},
	},
	new: newMithril,
}

// mithril's memory is what libCacheSim accounts for, 0.02 and 0.1 of the
// cache's, and the hash tables that find the rows: 24 bytes for each of the
// rows at most.
//
// A page's number is kept whole, where libCacheSim cuts it to 32 bits.
type mithril struct {
	lookahead  int32
	maxSupport int
	minSupport int
	confidence int
	listSize   int
	each       bool
	cycleTime  uint32

	now uint64 // requests so far
	// rows finds a page among those recorded (row number) or to be mined
	// (miningBit set).
	rows table

	// The recording table: row 0 is not used, page 0 marks a free row. at is
	// the row to fill next and always free.
	recorded   []uint64
	recordedTS []uint16 // minSupport for each row
	recordedN  []uint8
	at         int

	// The mining table. Of each page the times of its misses, 15 bits of them.
	mining   []miningRow
	miningTS []uint16 // maxSupport+4 for each row

	// The association table is made of shards; only the first is used again
	// once there may be no more of them.
	sources  table
	assoc    []association // row by row: the source, then its successors
	row      int           // the last one filled
	full     bool
	metadata int64
	limit    int64
}

type miningRow struct {
	page uint64
	n    int32
	ts   int32 // index of its times
	// pages is the length of the last request there.
	pages uint32
}

type association struct {
	page  uint64
	pages uint32 // last requested with
}

const (
	miningBit     = 1 << 31
	shardRows     = 2000
	timestampMask = 1<<15 - 1
)

func newMithril(c Config) Prefetcher {
	m := &mithril{
		lookahead: int32(c.Int("lookahead-range")), minSupport: c.Int("min-support"),
		confidence: c.Int("confidence"), listSize: c.Int("pf-list-size"), each: c.Int("each-request") == 1,
		cycleTime: uint32(c.Int("cycle-time")), at: 1, row: 1,
	}
	m.maxSupport = max(c.Int("max-support"), m.minSupport)
	block := float64(c.Int("block-size"))
	if block == 0 {
		block = float64(c.UnitBytes)
	}
	bytes := min(float64(c.Capacity)*block, 1<<50)
	m.limit = int64(bytes * c.Number("max-metadata-size"))
	if m.limit/int64(shardRows*m.listSize) == 0 {
		return m // no room for one association: libCacheSim crashes here
	}
	recordingRows := int64(0)
	if m.minSupport > 1 {
		recordingRows = int64(bytes * 0.02 / float64((m.minSupport+1)/2*2+12))
	}
	miningRows := max(c.Int("mining-threshold")/m.minSupport, 1)
	m.metadata = int64((m.maxSupport*2+12)*miningRows) + m.limit/int64(shardRows*m.listSize)*8 + m.shardBytes()
	if m.minSupport > 1 {
		m.metadata += recordingRows * (int64(math.Ceil(float64(m.minSupport)/4+1))*8 + 4)
	}
	recordingRows = min(recordingRows, miningBit/2)
	m.recorded = make([]uint64, recordingRows)
	m.recordedTS = make([]uint16, recordingRows*int64(m.minSupport))
	m.recordedN = make([]uint8, recordingRows)
	if m.minSupport == 1 {
		miningRows = c.Int("mining-threshold")/8 + 1
	}
	m.mining = make([]miningRow, 0, miningRows)
	m.miningTS = make([]uint16, miningRows*m.stride())
	m.assoc = make([]association, shardRows*(m.listSize+1))
	return m
}

func (m *mithril) shardBytes() int64 { return int64(shardRows * (m.listSize*8 + 12)) }

// stride is how many times a mining row has room for: one more than the
// support, in words of four.
func (m *mithril) stride() int { return m.maxSupport/4*4 + 4 }

func (m *mithril) Bytes() int {
	return m.rows.bytes() + m.sources.bytes() + 8*len(m.recorded) + 2*len(m.recordedTS) + len(m.recordedN) +
		24*cap(m.mining) + 2*len(m.miningTS) + 16*len(m.assoc)
}

func (m *mithril) Access(r *Request, p *Plan) {
	if m.assoc == nil || r.First == 0 { // 0 marks what is free
		m.now++
		return
	}
	if m.each || r.Missed() {
		m.record(r.First, uint32(r.Pages()))
	}
	if row, ok := m.sources.get(r.First); ok {
		for _, a := range m.successors(int(row)) {
			if a.page == 0 {
				break
			}
			p.Prefetch(a.page, int(a.pages), 1)
		}
	}
	m.now++
}

// Spare gives an unused page cycle-time less one chances; the tag counts them.
func (m *mithril) Spare(_ uint64, tag uint32) (uint32, bool) { return tag + 1, tag < m.cycleTime }

func (m *mithril) record(page uint64, pages uint32) {
	at, known := m.rows.get(page)
	switch {
	case known && at&miningBit != 0:
		m.recordMining(int(at&^miningBit), pages)
	case m.minSupport == 1:
		m.promote(page, pages, nil)
	case known:
		m.recordAgain(int(at), page, pages)
	default:
		m.recordNew(page)
	}
	if len(m.mining) == cap(m.mining) {
		m.mine()
	}
}

func (m *mithril) recordAgain(row int, page uint64, pages uint32) {
	n := int(m.recordedN[row])
	times := m.recordedTS[row*m.minSupport : (row+1)*m.minSupport]
	times[n] = uint16(m.now & timestampMask)
	m.recordedN[row]++
	if n < m.minSupport-1 {
		return
	}
	m.promote(page, pages, times[:m.minSupport-1])
	m.closeRow(row)
}

func (m *mithril) recordNew(page uint64) {
	if len(m.recorded) < 3 {
		return // what is filled would be freed at once
	}
	m.recorded[m.at] = page
	m.recordedTS[m.at*m.minSupport] = uint16(m.now & timestampMask)
	m.recordedN[m.at] = 1
	m.rows.set(page, uint32(m.at))
	if m.at++; m.at >= len(m.recorded) {
		m.at = 1
	}
	if old := m.recorded[m.at]; old != 0 {
		m.rows.remove(old)
		m.recorded[m.at] = 0
	}
}

// closeRow fills the row of a page that was promoted with the newest one.
func (m *mithril) closeRow(row int) {
	if m.at < 2 {
		m.recorded[row] = 0
		return
	}
	m.at--
	if row != m.at {
		m.recorded[row], m.recordedN[row] = m.recorded[m.at], m.recordedN[m.at]
		copy(m.recordedTS[row*m.minSupport:(row+1)*m.minSupport], m.recordedTS[m.at*m.minSupport:])
		m.rows.set(m.recorded[row], uint32(row))
	}
	m.recorded[m.at] = 0
}

// promote moves a page to the mining table, with its earlier times and now.
func (m *mithril) promote(page uint64, pages uint32, earlier []uint16) {
	i := len(m.mining)
	at := i * m.stride()
	copy(m.miningTS[at:], earlier)
	m.miningTS[at+len(earlier)] = uint16(m.now & timestampMask)
	m.mining = append(m.mining, miningRow{page, int32(len(earlier) + 1), int32(at), pages})
	m.rows.set(page, uint32(i)|miningBit)
}

func (m *mithril) recordMining(i int, pages uint32) {
	row := &m.mining[i]
	row.pages = pages
	if int(row.n) < m.maxSupport {
		m.miningTS[int(row.ts)+int(row.n)] = uint16(m.now & timestampMask)
		row.n++
		return
	}
	// Too frequent: drop it, the last row takes its place.
	m.rows.remove(row.page)
	last := len(m.mining) - 1
	if i != last {
		from := m.mining[last]
		copy(m.miningTS[row.ts:int(row.ts)+m.stride()], m.miningTS[from.ts:])
		row.page, row.n, row.pages = from.page, from.n, from.pages
		m.rows.set(row.page, uint32(i)|miningBit)
	}
	m.mining = m.mining[:last]
}

// time gives the k-th time of a row, from 1. The fourth and the eighth of a
// row are read as libCacheSim reads them: as the number of times in that word.
func (m *mithril) time(row *miningRow, k int32) int32 {
	word := k / 5 * 4
	if k%4 == 0 {
		return min(row.n-word, 4)
	}
	return int32(m.miningTS[row.ts+word+k%4-1])
}

func (m *mithril) mine() {
	for i := range m.mining {
		m.rows.remove(m.mining[i].page)
	}
	slices.SortStableFunc(m.mining, func(a, b miningRow) int {
		return int(m.miningTS[a.ts]) - int(m.miningTS[b.ts])
	})
	for i := range m.mining {
		a := &m.mining[i]
		first := true
		for j := i + 1; j < len(m.mining); j++ {
			b := &m.mining[j]
			if m.time(b, 1)-m.time(a, 1) > m.lookahead {
				break
			}
			if int(abs(a.n-b.n)) > m.confidence {
				continue
			}
			if m.alike(a, b, first) {
				m.associate(a.page, association{b.page, b.pages})
			}
			first = false
		}
	}
	m.mining = m.mining[:0]
}

// alike says whether b is to be fetched with a: if it is the first candidate,
// or some pair of their times is adjacent, and not too many are far apart. The
// last pair is not looked at.
func (m *mithril) alike(a, b *miningRow, first bool) bool {
	yes := first
	n := min(a.n, b.n)
	if n == 1 && abs(m.time(a, 1)-m.time(b, 1)) == 1 {
		yes = true
	}
	apart := 0
	for k := int32(1); k < n; k++ {
		d := abs(m.time(a, k) - m.time(b, k))
		if d > m.lookahead {
			if apart++; apart > m.confidence {
				return false
			}
		}
		if d == 1 {
			yes = true
		}
	}
	return yes
}

func abs(x int32) int32 { return max(x, -x) }

// successors are the places for what follows the source in a row.
func (m *mithril) successors(row int) []association {
	at := row * (m.listSize + 1)
	return m.assoc[at+1 : at+1+m.listSize]
}

func (m *mithril) associate(source uint64, next association) {
	if row, ok := m.sources.get(source); ok {
		list := m.successors(int(row))
		i := 0
		for ; i < len(list) && list[i].page != 0; i++ {
			if list[i].page == next.page {
				list[i].pages = next.pages
				return
			}
		}
		if i == len(list) { // the oldest goes
			copy(list, list[1:])
			i--
		}
		list[i] = next
		return
	}
	m.row++
	at := m.row * (m.listSize + 1)
	if m.full {
		if old := m.assoc[at].page; old != 0 {
			m.sources.remove(old)
		}
		clear(m.assoc[at : at+m.listSize+1])
	}
	m.assoc[at].page = source
	m.assoc[at+1] = next
	m.sources.set(source, uint32(m.row))
	if (m.row+1)%shardRows != 0 {
		return
	}
	if m.metadata+m.shardBytes() < m.limit {
		m.metadata += m.shardBytes()
		m.assoc = append(m.assoc, make([]association, shardRows*(m.listSize+1))...)
	} else {
		m.full, m.row = true, 1
	}
}
