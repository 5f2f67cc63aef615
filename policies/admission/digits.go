package admission

import (
	"fmt"
	"math"
)

// Digits decides in 16-bit integers with a network of one hidden layer and two
// outputs on inputs of at most nine: LinnOS's. As with Quantized the scales are
// powers of two, chosen from the weights so that no sum can leave 32 bits, and
// the vector instructions and the plain code give the same bits.
type Digits struct {
	pairs, blocks int
	shift         int32
	x             []int16 // in pairs
	w1            []int16 // by block of 64 neurons, then pair by pair: for each neuron the weights of both inputs
	b1            []int32
	w2            []int16 // slow less fast
	b2            int32
}

// digitBlock is how many neurons the vector instructions take at a time.
const digitBlock = 64

// NewDigits quantises a model's network.
func NewDigits(m *Model) (*Digits, error) {
	n := m.Network
	if n == nil || len(n.Layers) != 2 || n.Outputs() != 2 || m.Scaler.Kind != NoScaling {
		return nil, fmt.Errorf("decide in int16: want a network of one hidden layer and two outputs on digits")
	}
	l1, l2 := n.Layers[0], n.Layers[1]
	q := &Digits{pairs: (l1.In + 1) / 2, blocks: padTo(l1.Out, digitBlock) / digitBlock}
	neurons := q.blocks * digitBlock
	q.x, q.w1 = make([]int16, 2*q.pairs), make([]int16, neurons*2*q.pairs)
	q.b1, q.w2 = make([]int32, neurons), make([]int16, neurons)
	const most = 9
	up := make([]float64, l1.Out) // the largest each neuron gives
	largest, up1 := 0.0, 0.0
	for j := range l1.Out {
		plus, minus := math.Max(float64(l1.B[j]), 0), math.Max(-float64(l1.B[j]), 0)
		for i := range l1.In {
			w := most * float64(l1.W[i*l1.Stride+j])
			plus, minus = plus+math.Max(w, 0), minus+math.Max(-w, 0)
		}
		up[j] = plus
		largest, up1 = math.Max(largest, math.Max(plus, minus)), math.Max(up1, plus)
	}
	s1 := weightShift(l1, largest, 1)
	one := math.Exp2(s1)
	for i := range l1.In {
		for j := range l1.Out {
			q.w1[((j/digitBlock*q.pairs+i/2)*digitBlock+j%digitBlock)*2+i%2] = int16(math.Round(float64(l1.W[i*l1.Stride+j]) * one))
		}
	}
	for j := range l1.Out {
		q.b1[j] = int32(math.Round(float64(l1.B[j]) * one))
	}
	q.shift = activationShift([]float64{up1}, one)
	one /= math.Exp2(float64(q.shift))

	// The answer is the larger output, and so the sign of their difference.
	difference := newLayer(l2.In, 1)
	difference.B[0] = l2.B[1] - l2.B[0] - m.Threshold
	sum := math.Abs(float64(difference.B[0]))
	for j := range l2.In {
		w := l2.W[j*l2.Stride+1] - l2.W[j*l2.Stride]
		difference.W[j*difference.Stride] = w
		sum += math.Abs(float64(w)) * (up[j] + 1/one)
	}
	s2 := weightShift(difference, sum, one)
	for j := range l2.In {
		q.w2[j] = int16(math.Round(float64(difference.W[j*difference.Stride]) * math.Exp2(s2)))
	}
	q.b2 = int32(math.Round(float64(difference.B[0]) * one * math.Exp2(s2)))
	return q, nil
}

// Slow decides. Inputs are 0 to 9.
func (q *Digits) Slow(x []int32) bool {
	for i, v := range x {
		q.x[i] = int16(v)
	}
	return q.sum() > 0
}

// sumGo is the difference of the outputs in plain Go.
func (q *Digits) sumGo() int32 {
	out := q.b2
	for block := range q.blocks {
		var h [digitBlock]int32
		copy(h[:], q.b1[block*digitBlock:])
		for p := range q.pairs {
			a, b := int32(q.x[2*p]), int32(q.x[2*p+1])
			if a|b == 0 {
				continue
			}
			w := q.w1[(block*q.pairs+p)*2*digitBlock:][:2*digitBlock]
			for j := range h {
				h[j] += a*int32(w[2*j]) + b*int32(w[2*j+1])
			}
		}
		for j, s := range h {
			out += int32(activate(s, q.shift)) * int32(q.w2[block*digitBlock+j])
		}
	}
	return out
}
