package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"

	"reprise/traces"
)

// Reader hands out a trace's requests in batches; *traces.Stream is one.
type Reader interface {
	Read([]traces.Request) (int, error)
}

// LoadOptions say what of a request makes an object.
type LoadOptions struct {
	// IgnoreSizes makes every object of size 1: capacities are in objects.
	IgnoreSizes bool
	// PageSize, if not 0, splits each request into the pages of so many bytes
	// that it covers; the objects are these pages instead of what the trace
	// names. Volumes are kept apart.
	PageSize uint32
	// Requests is how many to expect; 0 or less if that is not known.
	Requests int64
	// Read, if not nil, is kept at the number of requests read so far.
	Read *atomic.Int64
}

// Trace is a sequence of requests to objects, in memory, 8 bytes a request and
// 4 more if sizes count. It is for reading by many at once.
type Trace struct {
	ids   []uint64
	sizes []uint32 // nil: every object has size 1
	// Skipped is the number of requests left out because they ask for 0 bytes,
	// as libCacheSim does.
	Skipped int

	footprint func() Footprint
	next      func() []uint32
}

// Footprint is how much a trace touches.
type Footprint struct {
	Objects int64
	// Bytes counts each object at the size of its first request; with sizes
	// ignored it equals Objects.
	Bytes int64
}

// Load reads a trace to its end. Operations do not matter: a write brings an
// object in as a read does.
func Load(ctx context.Context, r Reader, o LoadOptions) (*Trace, error) {
	t := &Trace{}
	if o.PageSize == 0 {
		t.ids = make([]uint64, 0, max(o.Requests, 0))
		if !o.IgnoreSizes {
			t.sizes = make([]uint32, 0, max(o.Requests, 0))
		}
	}
	batch := make([]traces.Request, 4096)
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		n, err := r.Read(batch)
		t.append(batch[:n], o)
		if len(t.ids) > never-1 {
			return nil, fmt.Errorf("more than %d requests", never-1)
		}
		if o.Read != nil {
			o.Read.Store(int64(len(t.ids)))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if t.sizes == nil && !o.IgnoreSizes {
		t.sizes = []uint32{} // none were read, but they count
	}
	t.ready()
	return t, nil
}

func (t *Trace) ready() {
	t.footprint = sync.OnceValue(t.countFootprint)
	t.next = sync.OnceValue(t.findNext)
}

func (t *Trace) append(batch []traces.Request, o LoadOptions) {
	for i := range batch {
		r := &batch[i]
		if r.Size == 0 {
			t.Skipped++
			continue
		}
		if o.PageSize == 0 {
			t.ids = append(t.ids, r.ID)
			if !o.IgnoreSizes {
				t.sizes = append(t.sizes, r.Size)
			}
			continue
		}
		page := r.Offset / uint64(o.PageSize)
		last := (r.Offset + uint64(r.Size) - 1) / uint64(o.PageSize)
		for ; page <= last; page++ {
			t.ids = append(t.ids, uint64(r.Volume)<<48|page)
			if !o.IgnoreSizes {
				t.sizes = append(t.sizes, o.PageSize)
			}
		}
	}
}

// Len is the number of requests, counted in pages if the trace was split.
func (t *Trace) Len() int { return len(t.ids) }

// Footprint counts the objects; it takes a pass the first time.
func (t *Trace) Footprint() Footprint { return t.footprint() }

func (t *Trace) size(i int) uint32 {
	if t.sizes == nil {
		return 1
	}
	return t.sizes[i]
}

func (t *Trace) countFootprint() Footprint {
	var f Footprint
	// Growing takes longer than entering, so that a set that is at most 32 MiB
	// begins with room for as many objects as are likely; larger ones grow.
	seen := newIDSet(max(len(t.ids)/4, min(len(t.ids), 1<<21)))
	if t.sizes == nil {
		for _, id := range t.ids {
			f.Objects += int64(seen.enter(id))
		}
		f.Bytes = f.Objects
		return f
	}
	for i, id := range t.ids {
		n := int64(seen.enter(id))
		f.Objects += n
		f.Bytes += n * int64(t.sizes[i])
	}
	return f
}

// idSet is a set of ids, open-addressed and at most half full.
type idSet struct {
	slots []uint64 // 0 is empty
	shift int      // of a hash to a place
	n     int
	zero  bool // whether the id 0 is in
}

func newIDSet(expected int) *idSet {
	size := max(bits.Len(uint(expected)), 10)
	return &idSet{slots: make([]uint64, 1<<size), shift: 64 - size}
}

// add puts an id in, and says whether it is new.
func (m *idSet) add(id uint64) bool { return m.enter(id) != 0 }

// enter puts an id in. It gives 1 if it is new, else 0, without a branch, since
// that cannot be predicted.
func (m *idSet) enter(id uint64) uint64 {
	if id == 0 {
		was := m.zero
		m.zero = true
		if was {
			return 0
		}
		return 1
	}
	i, empty := m.place(id)
	m.slots[i] = id
	if m.n += int(empty); 2*m.n > len(m.slots) {
		old := m.slots
		m.slots, m.shift = make([]uint64, 2*len(old)), m.shift-1
		for _, id := range old {
			if id != 0 {
				i, _ := m.place(id)
				m.slots[i] = id
			}
		}
	}
	return empty
}

// place finds an id or the empty slot, which it tells by 1, for it.
func (m *idSet) place(id uint64) (i, empty uint64) {
	hi, lo := bits.Mul64(id, 0xd6e8feb86659fd93)
	i = ((hi ^ lo) * 0x9e3779b97f4a7c15) >> m.shift
	for {
		x := m.slots[i]
		_, empty = bits.Sub64(x, 1, 0)
		_, same := bits.Sub64(x^id, 1, 0)
		if empty|same != 0 {
			return i, empty
		}
		if i++; i == uint64(len(m.slots)) {
			i = 0
		}
	}
}

// findNext gives, for the request at i, the time (i+1 for the first at i) of
// the next request to the same object.
func (t *Trace) findNext() []uint32 {
	next := make([]uint32, len(t.ids))
	seen := newIDTable()
	for i := len(t.ids) - 1; i >= 0; i-- {
		later, known := seen.put(t.ids[i], uint32(i+1))
		if !known {
			later = never
		}
		next[i] = later
	}
	return next
}

// idTable maps ids to numbers, open-addressed.
type idTable struct {
	slots []idSlot
	n     int
}

type idSlot struct {
	id    uint64
	value uint32
	used  bool
}

func newIDTable() *idTable { return &idTable{slots: make([]idSlot, 1<<12)} }

// put sets the value of id, and gives the one it had.
func (m *idTable) put(id uint64, value uint32) (old uint32, known bool) {
	i := KeyOf(id).hash & uint32(len(m.slots)-1)
	for {
		s := &m.slots[i]
		if !s.used {
			*s = idSlot{id, value, true}
			break
		}
		if s.id == id {
			old, s.value = s.value, value
			return old, true
		}
		i = (i + 1) & uint32(len(m.slots)-1)
	}
	if m.n++; 2*m.n > len(m.slots) && len(m.slots) < math.MaxUint32 {
		bigger := idTable{slots: make([]idSlot, 4*len(m.slots))}
		for _, s := range m.slots {
			if s.used {
				bigger.put(s.id, s.value)
			}
		}
		*m = bigger
	}
	return 0, false
}
