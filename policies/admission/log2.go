package admission

import "math/bits"

const log2Bits = 11

// Log2 is the binary logarithm of v+1 for v ≥ 0, in units of 2^-11, the bits
// below the highest taken for its fraction: at most 0.09 too little, monotonic,
// and a few instructions of integers.
func Log2(v int32) int32 {
	u := uint32(v) + 1
	whole := bits.Len32(u) - 1
	return int32(whole<<log2Bits | int(u<<(31-whole)<<1>>(32-log2Bits)))
}
