package admission

// sumAVX2 is sumGo.
//
//go:noescape
func sumAVX2(x, w1 *int16, b1 *int32, w2 *int16, b2 *int32, w3 *int16, pairs, shift1, shift2 int) int32

func (q *Quantized) sum() int32 {
	if !hasAVX2 {
		return q.sumGo()
	}
	return q.b3 + sumAVX2(&q.x[0], &q.w1[0], &q.b1[0], &q.w2[0], &q.b2[0], &q.w3[0], q.pairs, int(q.shift1), int(q.shift2))
}
