package admission

import "golang.org/x/sys/cpu"

var hasVNNI = cpu.X86.HasAVX512VNNI && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL

// sumAVX2 and sumVNNI are sumGo without the last bias.
//
//go:noescape
func sumAVX2(x, w1 *int16, b1 *int32, w2 *int16, b2 *int32, w3 *int16, pairs, shift1, shift2 int) int32

//go:noescape
func sumVNNI(x, w1 *int16, b1 *int32, w2 *int16, b2 *int32, w3 *int16, pairs, shift1, shift2 int) int32

func (q *Quantized) sum() int32 {
	switch {
	case hasVNNI:
		return q.sumVNNI()
	case hasAVX2:
		return q.sumAVX2()
	}
	return q.sumGo()
}

func (q *Quantized) sumAVX2() int32 {
	return q.b3 + sumAVX2(&q.x[0], &q.w1[0], &q.b1[0], &q.w2[0], &q.b2[0], &q.w3[0], q.pairs, int(q.shift1), int(q.shift2))
}

func (q *Quantized) sumVNNI() int32 {
	return q.b3 + sumVNNI(&q.x[0], &q.w1[0], &q.b1[0], &q.w2[0], &q.b2[0], &q.w3[0], q.pairs, int(q.shift1), int(q.shift2))
}
