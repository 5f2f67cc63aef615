package prefetch

import "math/bits"

// table maps page numbers to small numbers. It is open-addressed, takes 12
// bytes a slot, keeps half of its slots free and grows up to what it is asked
// to hold.
type table struct {
	keys   []uint64
	values []uint32 // one more than the value; 0: the slot is free
	n      int
}

func hash(page uint64) uint64 {
	hi, lo := bits.Mul64(page^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	return hi ^ lo
}

func (t *table) slot(page uint64) (at int, found bool) {
	if len(t.keys) == 0 {
		return 0, false
	}
	mask := len(t.keys) - 1
	for i := int(hash(page)) & mask; ; i = (i + 1) & mask {
		if t.values[i] == 0 {
			return i, false
		}
		if t.keys[i] == page {
			return i, true
		}
	}
}

func (t *table) get(page uint64) (value uint32, ok bool) {
	i, ok := t.slot(page)
	if !ok {
		return 0, false
	}
	return t.values[i] - 1, true
}

func (t *table) set(page uint64, value uint32) {
	i, ok := t.slot(page)
	if ok {
		t.values[i] = value + 1
		return
	}
	if 2*(t.n+1) > len(t.keys) {
		old := *t
		size := max(16, 2*len(t.keys))
		*t = table{keys: make([]uint64, size), values: make([]uint32, size)}
		for j, v := range old.values {
			if v != 0 {
				t.set(old.keys[j], v-1)
			}
		}
		i, _ = t.slot(page)
	}
	t.n++
	t.keys[i], t.values[i] = page, value+1
}

// remove closes the gap it makes, so that there are no marks of the removed.
func (t *table) remove(page uint64) {
	i, ok := t.slot(page)
	if !ok {
		return
	}
	t.n--
	mask := len(t.keys) - 1
	for j := (i + 1) & mask; t.values[j] != 0; j = (j + 1) & mask {
		home := int(hash(t.keys[j])) & mask
		if (j-home)&mask >= (j-i)&mask {
			t.keys[i], t.values[i] = t.keys[j], t.values[j]
			i = j
		}
	}
	t.values[i] = 0
}

func (t *table) bytes() int { return 12 * len(t.keys) }
