package cache

import "math/bits"

// index finds handles by hash: an array of buckets, an object being in the
// bucket that its hash falls in (its home) or, where that was full, in one
// after it.
//
// Searching a bucket compares eight tags at once and branches once, on the
// outcome; that is what makes it faster than probing slot by slot, where every
// step is a branch to mispredict. A bucket counts the objects that passed it by
// because it was full, so that leaving needs neither marks nor moves.
type index struct {
	buckets []bucket
	// top has the highest byte of each handle; nil while there is no handle
	// that needs it.
	top [][bucketSlots]uint8
}

const bucketSlots = 8

// bucket is 32 bytes, half a cache line.
type bucket struct {
	// tags has a byte for each slot, whose seven lower bits are 0 if it is
	// empty, else taken from the hash. The eight highest bits of the bytes are
	// together the count of those that passed.
	tags uint64
	// The handles, in three parts, their ghostBit made the lowest.
	low  [bucketSlots]uint16
	high [bucketSlots]uint8
}

const (
	passedMax = 1<<8 - 1
	lowBits   = 0x0101_0101_0101_0101
	tagBits   = 0x7f7f_7f7f_7f7f_7f7f
	highBits  = 0x8080_8080_8080_8080
	gather    = 0x0102_0408_1020_4080 // as a factor: lowest bits of bytes to the highest byte
)

// A bucket has 5 of its 8 slots full at most, on the average: 6.4 bytes of
// index an object, 8 where there are more than 8 million of residents or of
// ghosts. With objects coming and going, many more make long searches.
const (
	loadNum = 5
	loadDen = 1
)

func newIndex(n int) index { return index{buckets: make([]bucket, n)} }

func (x *index) home(hash uint32) int { return int(uint64(hash) * uint64(len(x.buckets)) >> 32) }

func (x *index) after(i int) int {
	if i++; i == len(x.buckets) {
		return 0
	}
	return i
}

// tag is never 0.
func tag(hash uint32) uint64 {
	t := hash & 0x7f
	return uint64(t | (t-1)>>31)
}

// match gives a bit (the highest of the byte) for each slot whose tag is that.
func (b *bucket) match(tag uint64) uint64 {
	x := b.tags&tagBits ^ tag*lowBits
	return ^(x + tagBits) & highBits
}

// empty gives the slot to fill next; ok is false if there is none.
func (b *bucket) empty() (slot int, ok bool) {
	m := b.match(0)
	return slotOf(m), m != 0
}

func slotOf(match uint64) int { return bits.TrailingZeros64(match) / 8 }

func (b *bucket) passed() int { return int(b.tags & highBits >> 7 * gather >> 56) }

func (b *bucket) setPassed(n int) {
	// Copy n into every byte, keep a bit in each, move that up.
	spread := uint64(n) * lowBits & 0x8040_2010_0804_0201
	b.tags = b.tags&tagBits | (spread+tagBits)&highBits
}

// handle gives what is in a slot of b, which is bucket i.
func (x *index) handle(b *bucket, i, slot int) Handle {
	slot &= bucketSlots - 1
	r := uint32(b.low[slot]) | uint32(b.high[slot])<<16
	if x.top != nil {
		r |= uint32(x.top[i][slot]) << 24
	}
	return Handle(bits.RotateLeft32(r, -1))
}

func (x *index) setHandle(b *bucket, i, slot int, h Handle) {
	slot &= bucketSlots - 1
	r := bits.RotateLeft32(uint32(h), 1)
	b.low[slot], b.high[slot] = uint16(r), uint8(r>>16)
	if x.top == nil && r >= 1<<24 {
		x.top = make([][bucketSlots]uint8, len(x.buckets))
	}
	if x.top != nil {
		x.top[i][slot] = uint8(r >> 24)
	}
}

func (x *index) enter(hash uint32, h Handle) {
	for i := x.home(hash); ; i = x.after(i) {
		b := &x.buckets[i]
		if slot, ok := b.empty(); ok {
			b.tags |= tag(hash) << (8 * slot)
			x.setHandle(b, i, slot, h)
			return
		}
		// The count stays at its maximum once there.
		if n := b.passed(); n < passedMax {
			b.setPassed(n + 1)
		}
	}
}

func (x *index) leave(hash uint32, h Handle) {
	t := tag(hash)
	for i := x.home(hash); ; i = x.after(i) {
		b := &x.buckets[i]
		for m := b.match(t); m != 0; m &= m - 1 {
			if slot := slotOf(m); x.handle(b, i, slot) == h {
				b.tags &^= 0x7f << (8 * slot)
				return
			}
		}
		if n := b.passed(); n < passedMax {
			b.setPassed(n - 1)
		}
	}
}

// replace gives an object another handle.
func (x *index) replace(hash uint32, old, h Handle) {
	t := tag(hash)
	for i := x.home(hash); ; i = x.after(i) {
		b := &x.buckets[i]
		for m := b.match(t); m != 0; m &= m - 1 {
			if slot := slotOf(m); x.handle(b, i, slot) == old {
				x.setHandle(b, i, slot, h)
				return
			}
		}
	}
}
