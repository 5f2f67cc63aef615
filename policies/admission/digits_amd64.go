package admission

// digitsAVX2 and digitsVNNI are Digits.sumGo without the last bias.
//
//go:noescape
func digitsAVX2(x, w1 *int16, b1 *int32, w2 *int16, pairs, blocks, shift int) int32

//go:noescape
func digitsVNNI(x, w1 *int16, b1 *int32, w2 *int16, pairs, blocks, shift int) int32

func (q *Digits) sum() int32 {
	switch {
	case hasVNNI:
		return q.sumVNNI()
	case hasAVX2:
		return q.sumAVX2()
	}
	return q.sumGo()
}

func (q *Digits) sumAVX2() int32 {
	return q.b2 + digitsAVX2(&q.x[0], &q.w1[0], &q.b1[0], &q.w2[0], q.pairs, q.blocks, int(q.shift))
}

func (q *Digits) sumVNNI() int32 {
	return q.b2 + digitsVNNI(&q.x[0], &q.w1[0], &q.b1[0], &q.w2[0], q.pairs, q.blocks, int(q.shift))
}
