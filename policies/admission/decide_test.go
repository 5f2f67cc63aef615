package admission

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// trafficSamples are features of a made-up device whose reads are slow behind
// long queues and after slow ones.
func trafficSamples(n int, seed uint64, in Inputs) *Samples {
	rng := rand.New(rand.NewPCG(seed, 8))
	s := &Samples{Inputs: in, Group: 1, Width: in.Width()}
	for i := range n {
		x := make([]float32, s.Width)
		for j := range x {
			x[j] = float32(rng.IntN(1 << (4 + rng.IntN(14))))
		}
		x[0] = float32(4096 * (1 + rng.IntN(16)))
		if in == LinnOSInputs {
			for j := range x {
				x[j] = float32(rng.IntN(10))
			}
		}
		s.X = append(s.X, x...)
		slow := Log2(int32(x[1]))+Log2(int32(x[5])) > 18<<log2Bits
		if in == LinnOSInputs {
			slow = x[12]+x[27] > 9
		}
		s.Slow = append(s.Slow, slow)
		s.Row = append(s.Row, int32(i))
	}
	return s
}

func trained(t testing.TB, recipe string, group int) (*Model, *Samples) {
	t.Helper()
	r, err := RecipeNamed(recipe)
	require.NoError(t, err)
	r.Training.Epochs = 3
	s := trafficSamples(6000, 1, r.Inputs)
	if group > 1 {
		s = s.Groups(group, JointPaper)
	}
	m, err := Train(context.Background(), r, s)
	require.NoError(t, err)
	return m, s
}

// Every arithmetic decides like the float model but near the threshold.
func TestDecidersAgree(t *testing.T) {
	for _, recipe := range []string{"heimdall", "extended", "linnos"} {
		m, s := trained(t, recipe, 1)
		scores := m.Scores(s)
		for _, p := range Precisions() {
			d, err := m.Decider(p)
			if recipe == "extended" && (p == Thousand || p == Binary) {
				require.ErrorContains(t, err, "no published form")
				continue
			}
			require.NoError(t, err)
			different := 0
			for i := range s.Len() {
				if d.Slow(s.Ints(i)) != (scores[i] > 0) {
					different++
					require.InDelta(t, 0, scores[i], 0.35, "%s %s", recipe, p)
				}
			}
			require.Less(t, different, s.Len()/50, "%s %s", recipe, p)
			x := s.Ints(0)
			require.Zero(t, testing.AllocsPerRun(100, func() { d.Slow(x) }), "%s %s", recipe, p)
		}
	}
}

// The vector instructions give the plain code's bits, for any network and any
// features, and no sum overflows.
func TestQuantizedEqualsGo(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for round := range 60 {
		width := 1 + rng.IntN(31)
		n := NewNetwork(uint64(round), width, hidden1, hidden2, 1)
		gain := float32(1)
		for range rng.IntN(6) {
			gain *= 3
		}
		for _, l := range n.Layers {
			for i := range l.W {
				l.W[i] *= gain
			}
			for i := range l.Out {
				l.B[i] = float32(rng.NormFloat64()) * gain
			}
		}
		m := &Model{Width: width, Network: n, Scaler: &Scaler{Kind: []Scaling{MinMax, Logarithm}[round%2], Clip: round%3 == 0}}
		for range width {
			m.Scaler.Low = append(m.Scaler.Low, float32(rng.IntN(4)))
			m.Scaler.Gain = append(m.Scaler.Gain, 1/float32(1+rng.IntN(9)))
		}
		q, err := NewQuantized(m)
		require.NoError(t, err)
		x := make([]int32, width)
		for range 50 {
			for i := range x {
				x[i] = int32(rng.IntN(1 << rng.IntN(31)))
			}
			q.scale(x)
			for _, sum := range q.implementations() {
				require.Equal(t, q.sumGo(), sum())
			}
			require.Equal(t, int64(q.sumGo()), q.wide(), "a sum overflowed")
		}
	}
}

// The same of networks on digits, of any number of inputs and neurons.
func TestDigitsEqualsGo(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for round := range 60 {
		width := 1 + rng.IntN(40)
		n := NewNetwork(uint64(round), width, 1+rng.IntN(300), 2)
		gain := float32(1)
		for range rng.IntN(8) {
			gain *= 4
		}
		for _, l := range n.Layers {
			for i := range l.In {
				for j := range l.Out {
					l.W[i*l.Stride+j] *= gain
				}
			}
			for j := range l.Out {
				l.B[j] = float32(rng.NormFloat64()) * gain
			}
		}
		m := &Model{Width: width, Network: n, Scaler: &Scaler{Kind: NoScaling}}
		q, err := NewDigits(m)
		require.NoError(t, err)
		for range 50 {
			x := make([]int32, width)
			for i := range x {
				x[i] = int32(rng.IntN(10))
			}
			q.Slow(x)
			for _, sum := range q.implementations() {
				require.Equal(t, q.sumGo(), sum())
			}
			require.Equal(t, int64(q.sumGo()), q.wide(), "a sum overflowed")
		}
	}
}

// wide is sumGo in 64 bits.
func (q *Digits) wide() int64 {
	out := int64(q.b2)
	for j := range q.b1 {
		s := int64(q.b1[j])
		for i, v := range q.x {
			s += int64(v) * int64(q.w1[((j/digitBlock*q.pairs+i/2)*digitBlock+j%digitBlock)*2+i%2])
		}
		out += min(max(s, 0)>>q.shift, activationMax) * int64(q.w2[j])
	}
	return out
}

// wide is sumGo in 64 bits.
func (q *Quantized) wide() int64 {
	var h1 [hidden1]int64
	for j := range h1 {
		s := int64(q.b1[j])
		for p := range q.pairs {
			s += int64(q.x[2*p])*int64(q.w1[p*2*hidden1+2*j]) + int64(q.x[2*p+1])*int64(q.w1[p*2*hidden1+2*j+1])
		}
		h1[j] = min(max(s, 0)>>q.shift1, activationMax)
	}
	out := int64(q.b3)
	for j := range hidden2 {
		s := int64(q.b2[j])
		for p := range hidden1 / 2 {
			s += h1[2*p]*int64(q.w2[p*2*hidden2+2*j]) + h1[2*p+1]*int64(q.w2[p*2*hidden2+2*j+1])
		}
		out += min(max(s, 0)>>q.shift2, activationMax) * int64(q.w3[j])
	}
	return out
}

func TestLog2(t *testing.T) {
	require.Zero(t, Log2(0))
	require.Equal(t, int32(1<<log2Bits), Log2(1))
	require.Equal(t, int32(31<<log2Bits), Log2(1<<31-1))
	last := int32(-1)
	for v := int32(0); v < 1<<30; v += 1 + v/777 {
		require.GreaterOrEqual(t, Log2(v), last)
		last = Log2(v)
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, recipe := range []string{"heimdall", "extended", "linnos"} {
		m, s := trained(b, recipe, 1)
		for _, p := range Precisions() {
			d, err := m.Decider(p)
			if err != nil {
				continue
			}
			b.Run(fmt.Sprintf("%s/%s", recipe, p), func(b *testing.B) { benchmarkDecider(b, d, s, 1) })
			switch q := d.(type) {
			case *Quantized:
				b.Run(fmt.Sprintf("%s/%s-go", recipe, p), func(b *testing.B) { benchmarkDecider(b, plain{q}, s, 1) })
			case *Digits:
				b.Run(fmt.Sprintf("%s/%s-go", recipe, p), func(b *testing.B) { benchmarkDecider(b, plainDigits{q}, s, 1) })
			}
		}
	}
}

func BenchmarkDecideJoint(b *testing.B) {
	for _, group := range []int{3, 9, 16} {
		m, s := trained(b, "heimdall", group)
		d, err := m.Decider(Int16)
		require.NoError(b, err)
		b.Run(fmt.Sprint(group), func(b *testing.B) { benchmarkDecider(b, d, s, group) })
	}
}

type plainDigits struct{ *Digits }

func (p plainDigits) Slow(x []int32) bool {
	for i, v := range x {
		p.x[i] = int16(v)
	}
	return p.sumGo() > 0
}

type plain struct{ *Quantized }

func (p plain) Slow(x []int32) bool { p.scale(x); return p.sumGo() > 0 }

func benchmarkDecider(b *testing.B, d Decider, s *Samples, group int) {
	const many = 512
	var x [many][]int32
	for i := range x {
		x[i] = s.Ints(i % s.Len())
	}
	b.ReportAllocs()
	i, slow := 0, 0
	for b.Loop() {
		if d.Slow(x[i&(many-1)]) {
			slow++
		}
		i++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(group), "ns/io")
}
