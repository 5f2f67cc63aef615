package admission

import "golang.org/x/sys/cpu"

var hasAVX2 = cpu.X86.HasAVX2

// blockAVX2 is blockGo; strides are in bytes.
//
//go:noescape
func blockAVX2(c, a, b *float32, k, cStride, aRow, aStep, bStride int)

// row64AVX2 and row16AVX2 are rowGo for 64 and 16 columns; bStride is in bytes.
//
//go:noescape
func row64AVX2(c, a, b *float32, k, bStride int)

//go:noescape
func row16AVX2(c, a, b *float32, k, bStride int)

// row adds a·b to the one row c.
func row(c, a, b []float32, bStride int) {
	if !hasAVX2 || len(a) == 0 || len(c)%blockCols != 0 {
		rowGo(c, a, b, bStride)
		return
	}
	_ = b[(len(a)-1)*bStride+len(c)-1]
	j := 0
	for ; j+64 <= len(c); j += 64 {
		row64AVX2(&c[j], &a[0], &b[j], len(a), 4*bStride)
	}
	for ; j < len(c); j += 16 {
		row16AVX2(&c[j], &a[0], &b[j], len(a), 4*bStride)
	}
}

func block(c, a, b []float32, k, cStride, aRow, aStep, bStride int) {
	if !hasAVX2 {
		blockGo(c, a, b, k, cStride, aRow, aStep, bStride)
		return
	}
	// The last values the assembly touches: a fault here, not there.
	_ = c[3*cStride+blockCols-1]
	_ = a[3*aRow+(k-1)*aStep]
	_ = b[(k-1)*bStride+blockCols-1]
	blockAVX2(&c[0], &a[0], &b[0], k, 4*cStride, 4*aRow, 4*aStep, 4*bStride)
}

// adamAVX2 is adamGo for a multiple of 8 values.
//
//go:noescape
func adamAVX2(w, d, m, v *float32, n int, rate, eps float32)

func adam(w, g, m, v []float32, rate, eps float32) {
	n := 0
	if hasAVX2 {
		n = len(w) &^ 7
		if n > 0 {
			_, _, _ = g[n-1], m[n-1], v[n-1]
			adamAVX2(&w[0], &g[0], &m[0], &v[0], n, rate, eps)
		}
	}
	adamGo(w[n:], g[n:], m[n:], v[n:], rate, eps)
}
