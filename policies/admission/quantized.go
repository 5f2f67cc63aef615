package admission

import (
	"fmt"
	"math"
)

// Widths of the hidden layers that Quantized is laid out for: Heimdall's.
const (
	hidden1 = 128
	hidden2 = 16
)

// Quantized decides with a 128-16-1 network in 16-bit integers. Scales are
// powers of two chosen from the weights alone, so that no sum can leave 32 bits
// whatever the features: nothing has to be calibrated, and the vector
// instructions and the plain code give the same bits.
type Quantized struct {
	logarithm bool
	pairs     int
	low, high []int32 // features are clamped to these before scaling
	gain      []int64 // 2^31 · inputOne a unit of the feature
	x         []int16 // scaled features, in pairs

	shift1, shift2 int32
	w1             []int16 // pair by pair: for each neuron the weights of both inputs
	b1             [hidden1]int32
	w2             [hidden1 * hidden2]int16 // likewise
	b2             [hidden2]int32
	w3             [hidden2]int16
	b3             int32
}

// A scaled feature of 1 is inputOne. Without clipping features reach up to 4,
// which the range of 16 bits leaves; what is beyond counts as 4.
const (
	inputOne      = 1 << 13
	inputUnclip   = 4
	activationMax = math.MaxInt16
)

// NewQuantized quantises a model's network.
func NewQuantized(m *Model) (*Quantized, error) {
	n := m.Network
	if n == nil || len(n.Layers) != 3 || n.Layers[0].Out != hidden1 || n.Layers[1].Out != hidden2 || n.Outputs() != 1 {
		return nil, fmt.Errorf("decide in int16: want a network of %d-%d-1", hidden1, hidden2)
	}
	q := &Quantized{logarithm: m.Scaler.Kind == Logarithm, pairs: (m.Width + 1) / 2}
	if m.Scaler.Kind != MinMax && m.Scaler.Kind != Logarithm {
		return nil, fmt.Errorf("decide in int16: %s scaling reaches below 0 (want %s or %s)", m.Scaler.Kind, MinMax, Logarithm)
	}
	limit := 1.0
	if !m.Scaler.Clip {
		limit = inputUnclip
	}
	unit := 1.0
	if q.logarithm {
		unit = 1 << log2Bits
	}
	for j := range m.Width {
		low, gain := float64(m.Scaler.Low[j])*unit, float64(m.Scaler.Gain[j])/unit
		q.low = append(q.low, int32(math.Round(low)))
		high := low
		if gain > 0 {
			high = math.Min(low+limit/gain, math.MaxInt32)
		}
		q.high = append(q.high, int32(high))
		q.gain = append(q.gain, int64(math.Round(gain*inputOne*(1<<31))))
	}
	q.x = make([]int16, 2*q.pairs)

	// Layer 1. bound is the largest magnitude a sum can reach, in units of 1.
	l1, l2, l3 := n.Layers[0], n.Layers[1], n.Layers[2]
	bound := func(l Layer, most []float64) (sums []float64, largest float64) {
		sums = make([]float64, l.Out)
		for j := range sums {
			up, down := math.Max(float64(l.B[j]), 0), math.Max(-float64(l.B[j]), 0)
			for i := range l.In {
				w := float64(l.W[i*l.Stride+j]) * most[i]
				up, down = up+math.Max(w, 0), down+math.Max(-w, 0)
			}
			sums[j] = up
			largest = math.Max(largest, math.Max(up, down))
		}
		return sums, largest
	}
	most := make([]float64, l1.In)
	for i := range most {
		most[i] = limit + 1.0/inputOne
	}
	up1, largest1 := bound(l1, most)
	s1 := weightShift(l1, largest1, inputOne)
	one1 := float64(inputOne) * math.Exp2(s1)
	q.w1 = make([]int16, q.pairs*hidden1*2)
	for i := range l1.In {
		for j := range hidden1 {
			q.w1[(i/2)*hidden1*2+j*2+i%2] = int16(math.Round(float64(l1.W[i*l1.Stride+j]) * math.Exp2(s1)))
		}
	}
	for j := range q.b1 {
		q.b1[j] = int32(math.Round(float64(l1.B[j]) * one1))
	}
	q.shift1 = activationShift(up1, one1)
	one1 /= math.Exp2(float64(q.shift1))

	// Layer 2.
	most = make([]float64, l2.In)
	for i := range most {
		most[i] = up1[i] + 1/one1
	}
	up2, largest2 := bound(l2, most)
	s2 := weightShift(l2, largest2, one1)
	one2 := one1 * math.Exp2(s2)
	for i := range l2.In {
		for j := range hidden2 {
			q.w2[(i/2)*hidden2*2+j*2+i%2] = int16(math.Round(float64(l2.W[i*l2.Stride+j]) * math.Exp2(s2)))
		}
	}
	for j := range q.b2 {
		q.b2[j] = int32(math.Round(float64(l2.B[j]) * one2))
	}
	q.shift2 = activationShift(up2, one2)
	one2 /= math.Exp2(float64(q.shift2))

	// Layer 3.
	most = make([]float64, l3.In)
	for i := range most {
		most[i] = up2[i] + 1/one2
	}
	last := l3
	last.B = []float32{l3.B[0] - m.Threshold}
	_, largest3 := bound(last, most)
	s3 := weightShift(l3, largest3, one2)
	for i := range l3.In {
		q.w3[i] = int16(math.Round(float64(l3.W[i*l3.Stride]) * math.Exp2(s3)))
	}
	q.b3 = int32(math.Round(float64(last.B[0]) * one2 * math.Exp2(s3)))
	return q, nil
}

// weightShift is the largest power of two that keeps a layer's weights in 16
// bits and its sums in 31.
func weightShift(l Layer, largest, one float64) float64 {
	weight := 1e-9
	for _, w := range l.W {
		weight = math.Max(weight, math.Abs(float64(w)))
	}
	// Rounding a weight moves it by half a unit, which the spare bit covers.
	return math.Floor(math.Min(math.Log2((math.MaxInt16-1)/weight), math.Log2((1<<30)/(math.Max(largest, 1e-9)*one))))
}

// activationShift brings a layer's largest output into 16 bits.
func activationShift(up []float64, one float64) int32 {
	largest := 1e-9
	for _, u := range up {
		largest = math.Max(largest, u)
	}
	return int32(max(0, math.Ceil(math.Log2(largest*one/(activationMax-1)))))
}

// Slow decides.
func (q *Quantized) Slow(x []int32) bool {
	q.scale(x)
	return q.sum() > 0
}

func (q *Quantized) scale(x []int32) {
	low, high, gain, to := q.low[:len(x)], q.high[:len(x)], q.gain[:len(x)], q.x[:len(x)]
	if q.logarithm {
		for i, v := range x {
			v = min(max(Log2(v), low[i]), high[i]) - low[i]
			to[i] = int16(int64(v) * gain[i] >> 31)
		}
		return
	}
	for i, v := range x {
		v = min(max(v, low[i]), high[i]) - low[i]
		to[i] = int16(int64(v) * gain[i] >> 31)
	}
}

// sumGo is the network's output in plain Go.
func (q *Quantized) sumGo() int32 {
	var h1 [hidden1]int16
	sum1 := q.b1
	for p := range q.pairs {
		a, b := int32(q.x[2*p]), int32(q.x[2*p+1])
		w := q.w1[p*2*hidden1 : (p+1)*2*hidden1]
		for j := range sum1 {
			sum1[j] += a*int32(w[2*j]) + b*int32(w[2*j+1])
		}
	}
	for j, s := range sum1 {
		h1[j] = activate(s, q.shift1)
	}
	sum2 := q.b2
	for p := range hidden1 / 2 {
		a, b := int32(h1[2*p]), int32(h1[2*p+1])
		if a|b == 0 {
			continue
		}
		w := q.w2[p*2*hidden2 : (p+1)*2*hidden2]
		for j := range sum2 {
			sum2[j] += a*int32(w[2*j]) + b*int32(w[2*j+1])
		}
	}
	out := q.b3
	for j, s := range sum2 {
		out += int32(activate(s, q.shift2)) * int32(q.w3[j])
	}
	return out
}

func activate(sum, shift int32) int16 {
	return int16(min(max(sum, 0)>>shift, activationMax))
}
