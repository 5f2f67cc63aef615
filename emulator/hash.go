package emulator

import "fmt"

// Hash64 is the 64-bit FNV-1a hash of a sequence of 64-bit values, each as
// eight little-endian bytes, with the offset that the FEMU oracle uses. Its
// zero value is not ready: start from NewHash64.
type Hash64 uint64

// NewHash64 is the hash of nothing.
func NewHash64() Hash64 { return 1469598103934665603 }

// Add extends the sequence by v.
func (h *Hash64) Add(v uint64) {
	x := uint64(*h)
	for range 8 {
		x = (x ^ v&0xff) * 1099511628211
		v >>= 8
	}
	*h = Hash64(x)
}

// String is the hash in sixteen hexadecimal digits.
func (h Hash64) String() string { return fmt.Sprintf("%016x", uint64(h)) }

// MarshalText writes the hash as String does.
func (h Hash64) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

func hashCounts(counts []uint32) Hash64 {
	h := NewHash64()
	for _, n := range counts {
		h.Add(uint64(n))
	}
	return h
}
