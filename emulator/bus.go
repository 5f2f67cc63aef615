package emulator

import "math/bits"

// bus is the timetable of a channel's bus, in slots as long as the transfer of
// a page. A page that is ready later than others does not keep them from going
// earlier. Pages for which a timetable has no slot left go one after another from
// its end on; one that is not ready before its end is not booked.
type bus struct {
	base int64 // number of the word that holds the slots of the present
	// all slots taken, and those of them by reads that go before programs.
	all, reads slots
}

const busWords = 64

// slots are a ring of bits, a slot each, with a bit for every word that is full.
type slots struct {
	words [busWords]uint64
	full  uint64
	spill int64 // taken beyond the ring, from its end on
}

func (s *slots) take(slot, end int64) {
	if slot >= end {
		s.spill++
		return
	}
	w := slot >> 6 % busWords
	s.words[w] |= 1 << (slot & 63)
	if s.words[w] == ^uint64(0) {
		s.full |= 1 << w
	}
}

func (s *slots) taken(slot int64) bool { return s.words[slot>>6%busWords]>>(slot&63)&1 != 0 }

// free is the first slot from the given one on that is not taken. Beyond the
// ring's end that is the given one, or what follows the spill of a full ring.
func (s *slots) free(slot, end int64) int64 {
	if slot >= end {
		return slot
	}
	word := slot >> 6
	if open := ^s.words[word%busWords] &^ (1<<(slot&63) - 1); open != 0 {
		return word<<6 + int64(bits.TrailingZeros64(open))
	}
	word++
	// The words in the order of time, the one after the slot's first.
	skip := int64(bits.TrailingZeros64(^bits.RotateLeft64(s.full, -int(word%busWords))))
	if word += skip; word<<6 >= end {
		return end + s.spill
	}
	return word<<6 + int64(bits.TrailingZeros64(^s.words[word%busWords]))
}

// advance forgets the words from one up to another and takes what was spilled
// in those that they make room for.
func (s *slots) advance(from, to int64) {
	s.spill = max(0, s.spill-max(0, to-from-busWords)<<6)
	for w := max(from, to-busWords); w < to; w++ {
		s.words[w%busWords] = 1<<min(s.spill, 64) - 1
		s.full &^= 1 << (w % busWords)
		if s.spill >= 64 {
			s.full |= 1 << (w % busWords)
		}
		s.spill = max(0, s.spill-64)
	}
}

// advance forgets the slots before one.
func (b *bus) advance(slot int64) {
	if word := slot >> 6; word > b.base {
		b.all.advance(b.base, word)
		b.reads.advance(b.base, word)
		b.base = word
	}
}

func (b *bus) end() int64 { return (b.base + busWords) << 6 }

// start is when a page that is ready at a time begins to be sent, and the slots
// that are then taken: its own, and the one that a program is put off to that
// it goes before, if any.
func (b *bus) start(ready, page int64, ahead bool) (start, slot, putOff int64) {
	slot, putOff = ready/page, -1
	if !ahead {
		slot = b.all.free(slot, b.end())
		return max(ready, slot*page), slot, -1
	}
	slot = b.reads.free(slot, b.end())
	start = max(ready, slot*page)
	if slot < b.end() && b.all.taken(slot) {
		start += page // the page on the wire goes first
		putOff = b.all.free(slot, b.end())
	}
	return start, slot, putOff
}

// book takes the slots that start found and returns the end of the transfer.
func (b *bus) book(now, ready, page int64, ahead bool) (end int64) {
	b.advance(now / page)
	start, slot, putOff := b.start(ready, page, ahead)
	if ready/page < b.end() {
		b.all.take(slot, b.end())
		if ahead {
			b.reads.take(slot, b.end())
		}
	}
	if putOff >= 0 {
		b.all.take(putOff, b.end())
	}
	return start + page
}
