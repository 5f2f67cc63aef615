package cache

import "math/bits"

// index finds handles by hash: an array of buckets, an object being in the
// bucket that its hash falls in (its home) or, where that was full, in one
// after it.
//
// Searching a bucket compares sixteen tags at once and branches once, on the
// outcome; that is what makes it faster than probing slot by slot, where every
// step is a branch to mispredict. A bucket counts the objects that passed it by
// because it was full, so that leaving needs neither marks nor moves.
type index struct {
	buckets []bucket
	// top has the highest byte of each handle; nil while there is no handle
	// that needs it.
	top [][bucketSlots]uint8
}

const (
	bucketSlots = 16
	bucketBytes = 64
)

// bucket is 64 bytes, a cache line.
type bucket struct {
	// tags has a byte for each slot, the even ones in the first word, whose seven
	// lower bits are 0 if it is empty, else taken from the hash. The highest bits
	// of four bytes together are a count of those that passed; there are four, by
	// the tag's lowest bits, so that few searches go on in vain.
	tags [2]uint64
	// The handles, in three parts, their ghostBit made the lowest.
	low  [bucketSlots]uint16
	high [bucketSlots]uint8
}

const (
	passedMax = 1<<4 - 1
	lowBits   = 0x0101_0101_0101_0101
	tagBits   = 0x7f7f_7f7f_7f7f_7f7f
	highBits  = 0x8080_8080_8080_8080
	gather    = 0x0020_4081 // as a factor: the lowest bits of four bytes to bits 21 to 24, or back
)

// A bucket has 11.5 of its 16 slots full at most, on the average: 5.6 bytes of
// index an object, 7 where there are more than 8 million of residents or of
// ghosts. With objects coming and going, many more make long searches.
const (
	loadNum = 23
	loadDen = 2
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

// match gives a bit for each slot whose tag is that.
func (b *bucket) match(tag uint64) uint64 {
	x, y := b.tags[0]&tagBits^tag*lowBits, b.tags[1]&tagBits^tag*lowBits
	return ^(x+tagBits)&highBits>>4 | ^(y+tagBits)&highBits
}

// slotOf gives the first slot of a match.
func slotOf(match uint64) int { return bits.TrailingZeros64(match) / 4 }

// tagOf gives the word of tags that has a slot's, and its place there.
func (b *bucket) tagOf(slot int) (word *uint64, shift int) { return &b.tags[slot&1], slot / 2 * 8 }

// passedOf gives the word of tags with the count of those that passed with this
// tag, and its place there.
func (b *bucket) passedOf(tag uint64) (word *uint64, shift uint64) {
	return &b.tags[tag&1], tag & 2 * 16
}

// morePassed says whether an object with this tag may have passed.
func (b *bucket) morePassed(tag uint64) bool {
	word, shift := b.passedOf(tag)
	return *word>>shift&0x8080_8080 != 0
}

func (b *bucket) passed(tag uint64) int {
	word, shift := b.passedOf(tag)
	return int(*word >> shift & 0x8080_8080 >> 7 * gather >> 21 & passedMax)
}

func (b *bucket) setPassed(tag uint64, n int) {
	word, shift := b.passedOf(tag)
	*word = *word&^(0x8080_8080<<shift) | uint64(n)*gather&0x0101_0101<<7<<shift
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
	t := tag(hash)
	for i := x.home(hash); ; i = x.after(i) {
		b := &x.buckets[i]
		if m := b.match(0); m != 0 {
			slot := slotOf(m)
			word, shift := b.tagOf(slot)
			*word |= t << shift
			x.setHandle(b, i, slot, h)
			return
		}
		// The count stays at its maximum once there.
		if n := b.passed(t); n < passedMax {
			b.setPassed(t, n+1)
		}
	}
}

func (x *index) leave(hash uint32, h Handle) {
	t := tag(hash)
	for i := x.home(hash); ; i = x.after(i) {
		b := &x.buckets[i]
		for m := b.match(t); m != 0; m &= m - 1 {
			if slot := slotOf(m); x.handle(b, i, slot) == h {
				word, shift := b.tagOf(slot)
				*word &^= 0x7f << shift
				return
			}
		}
		if n := b.passed(t); n < passedMax {
			b.setPassed(t, n-1)
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
