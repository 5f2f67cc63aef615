package mlworkload

import (
	"fmt"
	"math"
	"math/bits"

	"gonum.org/v1/gonum/mathext/prng"
)

// PythonSample gives the indices of k of n values as Python's random.sample
// draws them after random.seed(seed): figures that were found with it can be
// made again to the last digit (Python 3.2 and later; the Mersenne Twister of
// Matsumoto and Nishimura, ACM TOMACS 8, 1998).
func PythonSample(seed uint32, n, k int) ([]int, error) {
	if k < 0 || k > n {
		return nil, fmt.Errorf("%d of %d values cannot be drawn", k, n)
	}
	source := prng.NewMT19937()
	source.SeedFromKeys([]uint32{seed})
	// below draws from 0 to m-1: as many high bits as m has, again if too large.
	below := func(m int) int {
		shift := 32 - bits.Len(uint(m))
		for {
			if r := int(source.Uint32() >> shift); r < m {
				return r
			}
		}
	}
	picked := make([]int, k)
	// Python keeps what has been drawn in a set where that is smaller than a
	// list of all values.
	set := 21
	if k > 5 {
		set += 1 << (2 * int(math.Ceil(math.Log(float64(3*k))/math.Log(4))))
	}
	if n > set {
		drawn := make(map[int]bool, k)
		for i := range picked {
			at := below(n)
			for drawn[at] {
				at = below(n)
			}
			drawn[at] = true
			picked[i] = at
		}
		return picked, nil
	}
	pool := make([]int, n)
	for i := range pool {
		pool[i] = i
	}
	for i := range picked {
		at := below(n - i)
		picked[i] = pool[at]
		pool[at] = pool[n-i-1]
	}
	return picked, nil
}
