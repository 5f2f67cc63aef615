//go:build !amd64

package admission

func block(c, a, b []float32, k, cStride, aRow, aStep, bStride int) {
	blockGo(c, a, b, k, cStride, aRow, aStep, bStride)
}

func adam(w, g, m, v []float32, rate, eps float32) { adamGo(w, g, m, v, rate, eps) }

func row(c, a, b []float32, bStride int) { rowGo(c, a, b, bStride) }
