package admission

// The products of a small network, in blocks of 4 rows by 16 columns. Both
// implementations multiply and add in the same order and round after each, so
// that they are equal bit for bit and training gives the same model with and
// without vector instructions.

const (
	blockRows = 4
	blockCols = 16
)

// matrix is n rows of stride values, or its transpose where step is not 1.
type matrix struct {
	v      []float32
	stride int // from row to row
	step   int // from value to value in a row
}

// gemm adds a·b to c: m rows of c in blocks of 4 (all three must hold the rest
// of the last block), k values of a row of a, n columns in blocks of 16.
func gemm(c []float32, cStride int, a matrix, b []float32, bStride, m, k, n int) {
	if k == 0 {
		return
	}
	for i := 0; i < m; i += blockRows {
		for j := 0; j < n; j += blockCols {
			block(c[i*cStride+j:], a.v[i*a.stride:], b[j:], k, cStride, a.stride, a.step, bStride)
		}
	}
}

func blockGo(c, a, b []float32, k, cStride, aRow, aStep, bStride int) {
	var sum [blockRows][blockCols]float32
	for i := range sum {
		copy(sum[i][:], c[i*cStride:])
	}
	for p := range k {
		row := b[p*bStride : p*bStride+blockCols]
		for i := range sum {
			x := a[i*aRow+p*aStep]
			for j := range sum[i] {
				sum[i][j] += float32(x * row[j])
			}
		}
	}
	for i := range sum {
		copy(c[i*cStride:i*cStride+blockCols], sum[i][:])
	}
}

func rowGo(c, a, b []float32, bStride int) {
	for p, x := range a {
		if x == 0 {
			continue
		}
		w := b[p*bStride : p*bStride+len(c)]
		for j := range c {
			c[j] += float32(x * w[j])
		}
	}
}

// padTo rounds n up to a multiple of m.
func padTo(n, m int) int { return (n + m - 1) / m * m }
