package cache

import "math/bits"

// index finds handles by hash: an array of buckets, an object being in the
// bucket that its hash falls in (its home) or, where that was full, in one
// after it.
//
// Searching a bucket compares six tags at once and branches once, on the
// outcome; that is what makes it faster than probing slot by slot, where every
// step is a branch to mispredict. A bucket counts the objects that passed it by
// because it was full, so that leaving needs neither marks nor moves.
type index []bucket

const bucketSlots = 6

// bucket is 32 bytes, half a cache line.
type bucket struct {
	// tags has a byte for each slot: 0 if it is empty, else 0x80 and seven
	// bits of the hash. The two bytes above count the objects that passed.
	tags    uint64
	handles [bucketSlots]Handle
}

const (
	passedShift = 8 * bucketSlots
	passedMax   = 1<<16 - 1
	lowBits     = 0x0000_0101_0101_0101
	highBits    = 0x0000_8080_8080_8080
)

// A bucket has 3.6 of its 6 slots full at most, on the average: 8.9 bytes of
// index an object.
const (
	loadNum = 18
	loadDen = 5
)

func (x index) home(hash uint32) uint64 { return uint64(hash) * uint64(len(x)) >> 32 }

func (x index) after(i uint64) uint64 {
	if i++; i == uint64(len(x)) {
		return 0
	}
	return i
}

// match gives a bit (the highest of the byte) for each slot whose tag fits. It
// may give one too many, above one that fits.
func (b *bucket) match(hash uint32) uint64 {
	x := b.tags ^ (uint64(hash&0x7f|0x80) * lowBits)
	return (x - lowBits) & ^x & highBits
}

// empty gives the slot to fill next; ok is false if there is none.
func (b *bucket) empty() (slot int, ok bool) {
	m := ^b.tags & highBits
	return bits.TrailingZeros64(m) / 8, m != 0
}

func (x index) enter(hash uint32, h Handle) {
	i := x.home(hash)
	for {
		b := &x[i]
		if slot, ok := b.empty(); ok {
			b.tags |= uint64(hash&0x7f|0x80) << (8 * slot)
			b.handles[slot] = h
			return
		}
		// The count stays at its maximum once there.
		if b.tags>>passedShift < passedMax {
			b.tags += 1 << passedShift
		}
		i = x.after(i)
	}
}

func (x index) leave(hash uint32, h Handle) {
	i := x.home(hash)
	for {
		b := &x[i]
		for m := b.match(hash); m != 0; m &= m - 1 {
			slot := bits.TrailingZeros64(m) / 8
			if b.handles[slot] == h {
				b.tags &^= 0xff << (8 * slot)
				b.handles[slot] = None
				return
			}
		}
		if b.tags>>passedShift < passedMax {
			b.tags -= 1 << passedShift
		}
		i = x.after(i)
	}
}
