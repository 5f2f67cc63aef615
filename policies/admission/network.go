package admission

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
)

// Network is a chain of dense layers, ReLU between them. A network with one
// output gives the logarithm of the odds that a request is slow; one with two,
// LinnOS's, scores fast and slow and answers by the larger.
type Network struct {
	Layers []Layer
}

// Layer is one dense layer. Weights lie input by input, Stride apart, so that
// the weights of one input to all outputs are neighbours; what pads the outputs
// to a multiple of 16 and the inputs to one of 4 is zero and stays so.
type Layer struct {
	In, Out int
	Stride  int
	W, B    []float32
}

func newLayer(in, out int) Layer {
	stride := padTo(out, blockCols)
	return Layer{In: in, Out: out, Stride: stride, W: make([]float32, padTo(in, blockRows)*stride), B: make([]float32, stride)}
}

// NewNetwork is a network of the given widths, inputs first, with Glorot's
// uniform weights, as Keras starts them.
func NewNetwork(seed uint64, widths ...int) *Network {
	rng := rand.New(rand.NewPCG(seed, 0x6e6574))
	n := &Network{}
	for i := 1; i < len(widths); i++ {
		l := newLayer(widths[i-1], widths[i])
		limit := math.Sqrt(6 / float64(l.In+l.Out))
		for in := range l.In {
			for out := range l.Out {
				l.W[in*l.Stride+out] = float32(limit * (2*rng.Float64() - 1))
			}
		}
		n.Layers = append(n.Layers, l)
	}
	return n
}

// Inputs is the number of inputs.
func (n *Network) Inputs() int { return n.Layers[0].In }

// Outputs is the number of outputs.
func (n *Network) Outputs() int { return n.Layers[len(n.Layers)-1].Out }

// Size counts the weights, each of which is a multiplication of an inference,
// and the biases.
func (n *Network) Size() (weights, biases int) {
	for _, l := range n.Layers {
		weights += l.In * l.Out
		biases += l.Out
	}
	return weights, biases
}

func (n *Network) clone() *Network {
	c := &Network{}
	for _, l := range n.Layers {
		l.W, l.B = append([]float32(nil), l.W...), append([]float32(nil), l.B...)
		c.Layers = append(c.Layers, l)
	}
	return c
}

// pass is the memory of one batch through a network.
type pass struct {
	rows int
	at   [][]float32 // at[0] the inputs, at[i] the outputs of layer i-1
	back [][]float32 // the loss's derivatives by at[i]
}

func newPass(n *Network, rows int, training bool) *pass {
	p := &pass{rows: padTo(rows, blockRows), at: make([][]float32, len(n.Layers)+1)}
	p.at[0] = make([]float32, p.rows*inputStride(n.Inputs()))
	for i, l := range n.Layers {
		p.at[i+1] = make([]float32, p.rows*l.Stride)
	}
	if training {
		p.back = make([][]float32, len(p.at))
		for i := 1; i < len(p.at); i++ {
			p.back[i] = make([]float32, len(p.at[i]))
		}
	}
	return p
}

func inputStride(in int) int { return padTo(in, blockRows) }

func (p *pass) stride(n *Network, i int) int {
	if i == 0 {
		return inputStride(n.Inputs())
	}
	return n.Layers[i-1].Stride
}

// forward runs the first rows of p.at[0] through the network.
func (n *Network) forward(p *pass, rows int) {
	rows = padTo(rows, blockRows)
	for i, l := range n.Layers {
		out := p.at[i+1][:rows*l.Stride]
		for r := 0; r < len(out); r += l.Stride {
			copy(out[r:r+l.Stride], l.B)
		}
		gemm(out, l.Stride, matrix{p.at[i], p.stride(n, i), 1}, l.W, l.Stride, rows, l.In, l.Stride)
		if i < len(n.Layers)-1 {
			relu(out)
		}
	}
}

// forwardOne runs the first row alone.
func (n *Network) forwardOne(p *pass) {
	for i, l := range n.Layers {
		out := p.at[i+1][:l.Stride]
		copy(out, l.B)
		row(out, p.at[i][:l.In], l.W, l.Stride)
		if i < len(n.Layers)-1 {
			relu(out)
		}
	}
}

func relu(x []float32) {
	for i, v := range x {
		x[i] = max(v, 0)
	}
}

// logit is the score of row r after forward: above 0 is slow.
func (n *Network) logit(p *pass, r int) float32 {
	last := len(n.Layers)
	out := p.at[last][r*n.Layers[last-1].Stride:]
	if n.Outputs() == 2 {
		return out[1] - out[0]
	}
	return out[0]
}

// Scores runs scaled samples through the network and gives the score of each:
// above 0 is slow.
func (n *Network) Scores(x []float32) []float32 {
	const batch = 256
	in := n.Inputs()
	rows := len(x) / in
	scores := make([]float32, rows)
	p := newPass(n, batch, false)
	for first := 0; first < rows; first += batch {
		count := min(batch, rows-first)
		for r := range count {
			copy(p.at[0][r*inputStride(in):], x[(first+r)*in:(first+r+1)*in])
		}
		n.forward(p, count)
		for r := range count {
			scores[first+r] = n.logit(p, r)
		}
	}
	return scores
}

// Loss is what training makes small.
type Loss string

// The losses.
const (
	// CrossEntropy is binary cross entropy of the sigmoid of one output.
	CrossEntropy Loss = "cross-entropy"
	// BiasedHinge is the categorical hinge of two outputs, a slow request
	// taken for a fast one counting five times (LinnOS).
	BiasedHinge Loss = "biased-hinge"
)

const hingeBias = 5

// Training says how a network is fitted.
type Training struct {
	Loss      Loss
	Rate      float64 // Adam's step
	Batch     int
	Epochs    int // at most
	Patience  int // epochs without MinDelta less validation loss after which to stop; 0: never
	MinDelta  float64
	Holdout   float64 // the last share of the samples, kept for validation
	KeepBest  bool    // end with the weights of the best epoch instead of the last
	Seed      uint64
	EachEpoch func(epoch int, loss, validation float64) // may be nil
}

// Trained tells how fitting went.
type Trained struct {
	Epochs     int     `json:"epochs"`
	Loss       float64 `json:"loss"`       // mean of the last epoch
	Validation float64 `json:"validation"` // of the weights kept; 0 without a holdout
}

// Fit trains the network on scaled samples, mini-batches in a new random order
// each epoch. The same samples, seed and settings give the same weights.
func (n *Network) Fit(ctx context.Context, x []float32, slow []bool, t Training) (Trained, error) {
	in := n.Inputs()
	rows := len(slow)
	held := int(float64(rows) * t.Holdout)
	count := rows - held
	switch {
	case len(x) != rows*in:
		return Trained{}, fmt.Errorf("train: %d values do not make %d samples of %d inputs", len(x), rows, in)
	case count < 1:
		return Trained{}, fmt.Errorf("train: no samples (%d, of which %d are held out)", rows, held)
	case (t.Loss == BiasedHinge) != (n.Outputs() == 2):
		return Trained{}, fmt.Errorf("train: loss %s does not fit %d outputs", t.Loss, n.Outputs())
	}
	f := newFitter(n, t)
	rng := rand.New(rand.NewPCG(t.Seed, 0x666974))
	order := make([]int32, count)
	for i := range order {
		order[i] = int32(i)
	}
	var done Trained
	best, waited := math.Inf(1), 0
	var kept *Network
	for done.Epochs < t.Epochs {
		rng.Shuffle(count, func(i, j int) { order[i], order[j] = order[j], order[i] })
		sum := 0.0
		for first := 0; first < count; first += t.Batch {
			if ctx.Err() != nil {
				return done, context.Cause(ctx)
			}
			sum += f.step(x, slow, order[first:min(first+t.Batch, count)])
		}
		done.Epochs++
		done.Loss = sum / float64(count)
		if math.IsNaN(done.Loss) {
			return done, fmt.Errorf("train: the loss is no number after epoch %d: lower the rate", done.Epochs)
		}
		validation := 0.0
		if held > 0 {
			validation = f.loss(n.Scores(x[count*in:]), slow[count:])
		}
		if t.EachEpoch != nil {
			t.EachEpoch(done.Epochs, done.Loss, validation)
		}
		if held == 0 || !t.KeepBest {
			done.Validation = validation
		}
		if held == 0 {
			continue
		}
		if t.KeepBest && (kept == nil || validation < done.Validation) {
			kept, done.Validation = n.clone(), validation
		}
		if validation < best-t.MinDelta {
			best, waited = validation, 0
		} else if waited++; t.Patience > 0 && waited >= t.Patience {
			break
		}
	}
	if kept != nil {
		n.Layers = kept.Layers
	}
	return done, nil
}

// fitter is the memory of a training.
type fitter struct {
	net        *Network
	set        Training
	pass       *pass
	turned     [][]float32 // weights, transposed
	gw, mw, vw [][]float32 // gradient and Adam's two moments of the weights
	gb, mb, vb [][]float32 // and of the biases
	steps      int
}

func newFitter(n *Network, t Training) *fitter {
	f := &fitter{net: n, set: t, pass: newPass(n, t.Batch, true)}
	like := func(v []float32) []float32 { return make([]float32, len(v)) }
	for _, l := range n.Layers {
		f.turned = append(f.turned, make([]float32, l.Out*padTo(l.In, blockCols)))
		f.gw, f.mw, f.vw = append(f.gw, like(l.W)), append(f.mw, like(l.W)), append(f.vw, like(l.W))
		f.gb, f.mb, f.vb = append(f.gb, like(l.B)), append(f.mb, like(l.B)), append(f.vb, like(l.B))
	}
	return f
}

// step takes one batch and gives the sum of its losses.
func (f *fitter) step(x []float32, slow []bool, batch []int32) float64 {
	n, p := f.net, f.pass
	in, stride := n.Inputs(), inputStride(n.Inputs())
	rows := padTo(len(batch), blockRows)
	for r, sample := range batch {
		copy(p.at[0][r*stride:r*stride+in], x[int(sample)*in:])
	}
	n.forward(p, rows)
	last := len(n.Layers)
	out := n.Layers[last-1]
	d := p.back[last][:rows*out.Stride]
	clear(d)
	sum := 0.0
	for r, sample := range batch {
		sum += f.derive(p.at[last][r*out.Stride:], slow[sample], d[r*out.Stride:], 1/float32(len(batch)))
	}
	for i := last - 1; i >= 0; i-- {
		l := n.Layers[i]
		d := p.back[i+1][:rows*l.Stride]
		clear(f.gw[i])
		gemm(f.gw[i], l.Stride, matrix{p.at[i], 1, p.stride(n, i)}, d, l.Stride, l.In, len(batch), l.Stride)
		clear(f.gb[i])
		// With strides of 0 all four rows of a block are one: the columns' sums.
		gemm(f.gb[i], 0, matrix{[]float32{1}, 0, 0}, d, l.Stride, 1, len(batch), l.Stride)
		if i == 0 {
			break
		}
		turned, turnedStride := f.turned[i], padTo(l.In, blockCols)
		for a := range l.In {
			for b := range l.Out {
				turned[b*turnedStride+a] = l.W[a*l.Stride+b]
			}
		}
		back := p.back[i][:rows*p.stride(n, i)]
		clear(back)
		gemm(back, p.stride(n, i), matrix{d, l.Stride, 1}, turned, turnedStride, rows, l.Out, p.stride(n, i))
		for j, h := range p.at[i][:len(back)] {
			// 0 where h is: no branch, which would be guessed wrong half the time.
			on := uint32(-int32(math.Float32bits(h)) >> 31)
			back[j] = math.Float32frombits(math.Float32bits(back[j]) & on)
		}
	}
	f.steps++
	// Adam (Kingma and Ba), Keras's constants, with both bias corrections in the rate.
	const eps = 1e-7
	t := float64(f.steps)
	rate := float32(f.set.Rate * math.Sqrt(1-math.Pow(0.999, t)) / (1 - math.Pow(0.9, t)))
	for i, l := range n.Layers {
		adam(l.W, f.gw[i], f.mw[i], f.vw[i], rate, eps)
		adam(l.B, f.gb[i], f.mb[i], f.vb[i], rate, eps)
	}
	return sum
}

func adamGo(w, g, m, v []float32, rate, eps float32) {
	for i, d := range g {
		m[i] = float32(0.9*m[i]) + float32(0.1*d)
		v[i] = float32(0.999*v[i]) + float32(0.001*float32(d*d))
		w[i] -= float32(rate*m[i]) / (float32(math.Sqrt(float64(v[i]))) + eps)
	}
}

// derive puts share times the loss's derivatives by the outputs into d and
// gives the loss.
func (f *fitter) derive(out []float32, slow bool, d []float32, share float32) float64 {
	if f.set.Loss == BiasedHinge {
		truth, other := out[0], out[1]
		right, wrong := 0, 1
		weight := float32(1)
		if slow {
			truth, other, right, wrong = other, truth, 1, 0
			if truth < other {
				weight = hingeBias
			}
		}
		loss := 1 + other - truth
		if loss <= 0 {
			return 0
		}
		d[right], d[wrong] = -share*weight, share*weight
		return float64(weight * loss)
	}
	z := float64(out[0])
	p := sigmoid(z)
	if slow {
		d[0] = share * float32(p-1)
	} else {
		d[0] = share * float32(p)
	}
	return crossEntropy(z, slow)
}

// loss is the mean loss of scores.
func (f *fitter) loss(scores []float32, slow []bool) float64 {
	sum := 0.0
	for i, z := range scores {
		if f.set.Loss == BiasedHinge {
			margin := float64(z)
			weight := 1.0
			if slow[i] {
				if z < 0 {
					weight = hingeBias
				}
				margin = -margin
			}
			sum += weight * max(0, 1+margin)
			continue
		}
		sum += crossEntropy(float64(z), slow[i])
	}
	return sum / float64(len(scores))
}

func sigmoid(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

func crossEntropy(z float64, slow bool) float64 {
	if slow {
		z = -z
	}
	return max(z, 0) + math.Log1p(math.Exp(-math.Abs(z)))
}
