package admission

import (
	"fmt"
	"math"
)

// Scaling is how features are brought to one range.
type Scaling string

// The scalings.
const (
	NoScaling Scaling = "none"   // digits need none
	MinMax    Scaling = "minmax" // to [0, 1] over the training samples
	ZScore    Scaling = "zscore" // to mean 0 and deviation 1
	Logarithm Scaling = "log"    // the binary logarithm, to [0, 1]
)

// Scaler brings features to one range: (f(x) − Low)·Gain, f the identity or,
// for Logarithm, [Log2].
type Scaler struct {
	Kind      Scaling
	Clip      bool // to [0, 1]: what was never seen in training is as bad as the worst that was
	Low, Gain []float32
}

// FitScaler fits a scaler to samples.
func FitScaler(kind Scaling, clip bool, s *Samples) (*Scaler, error) {
	c := &Scaler{Kind: kind, Clip: clip, Low: make([]float32, s.Width), Gain: make([]float32, s.Width)}
	if s.Len() == 0 {
		return nil, fmt.Errorf("scale: no samples")
	}
	for j := range s.Width {
		least, most, sum, squares := math.Inf(1), math.Inf(-1), 0.0, 0.0
		for i := range s.Len() {
			v := float64(c.transform(s.X[i*s.Width+j]))
			least, most = min(least, v), max(most, v)
			sum += v
			squares += v * v
		}
		mean := sum / float64(s.Len())
		low, spread := least, most-least
		switch kind {
		case NoScaling:
			low, spread = 0, 1
		case ZScore:
			low, spread = mean, math.Sqrt(max(0, squares/float64(s.Len())-mean*mean))
		case MinMax, Logarithm:
		default:
			return nil, fmt.Errorf("scale: unknown scaling %q", kind)
		}
		c.Low[j] = float32(low)
		if spread > 0 {
			c.Gain[j] = float32(1 / spread)
		}
	}
	return c, nil
}

func (c *Scaler) transform(v float32) float32 {
	if c.Kind == Logarithm {
		return float32(Log2(int32(v))) / (1 << log2Bits)
	}
	return v
}

// Apply scales samples into a new slice.
func (c *Scaler) Apply(s *Samples) []float32 {
	x := make([]float32, len(s.X))
	for i, v := range s.X {
		j := i % s.Width
		v = (c.transform(v) - c.Low[j]) * c.Gain[j]
		if c.Clip {
			v = min(max(v, 0), 1)
		}
		x[i] = v
	}
	return x
}
