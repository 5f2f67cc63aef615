package admission

import (
	"fmt"
	"math"
)

// Decider decides at run time on unscaled features, and allocates nothing. It
// is not safe for concurrent use.
type Decider interface {
	// Slow says whether the device would be slow. x has the model's width.
	Slow(x []int32) bool
}

// Precision names an arithmetic for deciding.
type Precision string

// The arithmetics.
const (
	Float32 Precision = "float32"
	// Thousand is the published code's integers: weights ×1000, 64 bits wide.
	Thousand Precision = "x1000"
	// Binary is the same with ×1024, as the paper has it.
	Binary Precision = "x1024"
	// Int16 is ours: 16-bit weights and activations, 32-bit sums.
	Int16 Precision = "int16"
)

// Precisions lists them.
func Precisions() []Precision { return []Precision{Float32, Thousand, Binary, Int16} }

// Decider prepares the model to decide in an arithmetic.
func (m *Model) Decider(p Precision) (Decider, error) {
	if p == Float32 {
		if m.Trees != nil {
			return &treeDecider{m.Trees, make([]float32, m.Width)}, nil
		}
		return &floatDecider{model: m, pass: newPass(m.Network, 1, false)}, nil
	}
	if m.Trees != nil {
		return nil, fmt.Errorf("decide in %s: trees know float32 only", p)
	}
	switch p {
	case Thousand:
		return newIntegers(m, 1000)
	case Binary:
		return newIntegers(m, 1024)
	case Int16:
		if m.Inputs == LinnOSInputs {
			return NewDigits(m)
		}
		return NewQuantized(m)
	}
	return nil, fmt.Errorf("precision %q: want one of %v", p, Precisions())
}

type treeDecider struct {
	trees *Trees
	x     []float32
}

func (d *treeDecider) Slow(x []int32) bool {
	for i, v := range x {
		d.x[i] = float32(v)
	}
	return d.trees.Score(d.x) > 0
}

type floatDecider struct {
	model *Model
	pass  *pass
}

func (d *floatDecider) Slow(x []int32) bool {
	s := d.model.Scaler
	for i, v := range x {
		y := (s.transform(float32(v)) - s.Low[i]) * s.Gain[i]
		if s.Clip {
			y = min(max(y, 0), 1)
		}
		d.pass.at[0][i] = y
	}
	d.model.Network.forwardOne(d.pass)
	return d.model.Network.logit(d.pass, 0) > d.model.Threshold
}

// integers decides as the published C code does: every weight times a scale
// and rounded, the biases of layer n times its n-th power, the min-max scaler
// in units of 2^-30, each product with a first weight shifted on its own.
type integers struct {
	low, gain []int64
	layers    []integerLayer
	h         [2][]int64
}

type integerLayer struct {
	in, out int
	w, b    []int64 // w input by input
}

const scalerBits = 30

func newIntegers(m *Model, scale float64) (*integers, error) {
	if m.Scaler.Kind != MinMax && m.Scaler.Kind != NoScaling {
		return nil, fmt.Errorf("decide in integers: %s scaling has no published form (want %s)", m.Scaler.Kind, MinMax)
	}
	d := &integers{}
	for j := range m.Width {
		d.low = append(d.low, int64(math.RoundToEven(float64(m.Scaler.Low[j]))))
		d.gain = append(d.gain, int64(math.RoundToEven((1<<scalerBits)*float64(m.Scaler.Gain[j]))))
	}
	power, widest := scale, 0
	for i, l := range m.Network.Layers {
		q := integerLayer{in: l.In, out: l.Out}
		for in := range l.In {
			for out := range l.Out {
				q.w = append(q.w, int64(math.RoundToEven(scale*float64(l.W[in*l.Stride+out]))))
			}
		}
		for out := range l.Out {
			b := float64(l.B[out])
			if i == len(m.Network.Layers)-1 && l.Out == 1 {
				b -= float64(m.Threshold)
			}
			q.b = append(q.b, int64(math.RoundToEven(power*b)))
		}
		power *= scale
		widest = max(widest, l.Out)
		d.layers = append(d.layers, q)
	}
	d.h[0], d.h[1] = make([]int64, widest), make([]int64, widest)
	return d, nil
}

func (d *integers) Slow(x []int32) bool {
	first := d.layers[0]
	h := d.h[0][:first.out]
	copy(h, first.b)
	for i, v := range x {
		scaled := (int64(v) - d.low[i]) * d.gain[i]
		w := first.w[i*first.out : (i+1)*first.out]
		for j := range h {
			h[j] += scaled * w[j] >> scalerBits
		}
	}
	for n, l := range d.layers[1:] {
		next := d.h[(n+1)&1][:l.out]
		copy(next, l.b)
		for i, v := range h {
			if v <= 0 {
				continue
			}
			w := l.w[i*l.out : (i+1)*l.out]
			for j := range next {
				next[j] += v * w[j]
			}
		}
		h = next
	}
	if len(h) == 2 {
		return h[1] > h[0]
	}
	return h[0] >= 0
}
