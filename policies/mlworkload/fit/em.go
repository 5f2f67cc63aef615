package fit

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// part is a component of a mixture during estimation.
type part interface {
	// logProbs writes the logarithm of the density at every value.
	logProbs(s *sample, to []float64)
	// weigh is the component that is likeliest for values of these weights.
	weigh(s *sample, w []float64, floor float64) part
	distribution() Distribution
}

type (
	exponentials distuv.Exponential
	lognormals   distuv.LogNormal
	gammas       distuv.Gamma
)

func (e exponentials) distribution() Distribution { return distuv.Exponential(e) }
func (e exponentials) logProbs(s *sample, to []float64) {
	l := math.Log(e.Rate)
	for i, x := range s.x {
		to[i] = l - e.Rate*x
	}
}
func (exponentials) weigh(s *sample, w []float64, _ float64) part {
	return exponentials{Rate: 1 / mean(s.x, w)}
}

func (l lognormals) distribution() Distribution { return distuv.LogNormal(l) }
func (l lognormals) logProbs(s *sample, to []float64) {
	c := -math.Log(l.Sigma) - 0.5*math.Log(2*math.Pi)
	for i, y := range s.lnx {
		z := (y - l.Mu) / l.Sigma
		to[i] = c - 0.5*z*z - y
	}
}
func (lognormals) weigh(s *sample, w []float64, floor float64) part {
	return lognormals(lognormal(s.lnx, w, floor).(distuv.LogNormal))
}

func (g gammas) distribution() Distribution { return distuv.Gamma(g) }
func (g gammas) logProbs(s *sample, to []float64) {
	norm, _ := math.Lgamma(g.Alpha)
	c := g.Alpha*math.Log(g.Beta) - norm
	for i, x := range s.x {
		to[i] = c + (g.Alpha-1)*s.lnx[i] - g.Beta*x
	}
}
func (gammas) weigh(s *sample, w []float64, _ float64) part {
	return gammas(gamma(s.x, s.lnx, w).(distuv.Gamma))
}

var (
	exponentialPart part = exponentials{}
	lognormalPart   part = lognormals{}
	gammaPart       part = gammas{}
)

// Expectation–maximisation ends when a round adds less than settled to the
// log-likelihood, which moves no criterion that is compared, or after rounds.
const (
	settled = 1e-4
	rounds  = 500
	// starts all go on to the end: what leads after a few rounds is often not
	// what ends highest.
	starts = 6
	// leastSpread bounds the deviation of the logarithms in a part, as a share
	// of that of the sample.
	leastSpread = 0.02
	// leastWeight keeps a part from dying out, as a number of values.
	leastWeight = 1e-3
	// negligible is the logarithm of a share that changes no sum.
	negligible = -40
)

// mixture is the state of expectation–maximisation.
type mixture struct {
	s       *sample
	weights []float64
	parts   []part
	floor   float64
	given   [][]float64 // by part and value: logarithm, then share
	logLike float64
}

func newMixture(s *sample, parts []part, weights []float64) *mixture {
	m := &mixture{s: s, parts: parts, weights: weights, logLike: math.Inf(-1)}
	m.floor = leastSpread * math.Sqrt(variance(s.lnx, mean(s.lnx, nil)))
	m.given = make([][]float64, len(parts))
	for i := range m.given {
		m.given[i] = make([]float64, s.n())
	}
	return m
}

// expect finds what share of each value each part has, and the likelihood.
// weight gives the logarithm of a part's weight for a value.
func (m *mixture) expect(weight func(part, value int) float64) {
	for k, p := range m.parts {
		p.logProbs(m.s, m.given[k])
	}
	m.logLike = 0
	product := 1.0
	for i := range m.s.x {
		top, at := math.Inf(-1), 0
		for k := range m.parts {
			if m.given[k][i] += weight(k, i); m.given[k][i] > top {
				top, at = m.given[k][i], k
			}
		}
		sum := 1.0
		for k := range m.parts {
			e := 1.0
			if k != at {
				if e = 0; m.given[k][i]-top > negligible {
					e = math.Exp(m.given[k][i] - top)
				}
				sum += e
			}
			m.given[k][i] = e
		}
		for k := range m.parts {
			m.given[k][i] /= sum
		}
		m.logLike += top
		product *= sum
		// One logarithm for many values: the product cannot overflow before.
		if product > 1e200 {
			m.logLike += math.Log(product)
			product = 1
		}
	}
	m.logLike += math.Log(product)
}

// maximise takes the likeliest parts for the shares.
func (m *mixture) maximise() {
	for k := range m.parts {
		total := 0.0
		for _, w := range m.given[k] {
			total += w
		}
		m.weights[k] = total / float64(m.s.n())
		if total > leastWeight {
			m.parts[k] = m.parts[k].weigh(m.s, m.given[k], m.floor)
		}
	}
}

func (m *mixture) run(rounds int) {
	logs := make([]float64, len(m.weights))
	for range rounds {
		before := m.logLike
		for k, w := range m.weights {
			logs[k] = math.Log(w)
		}
		m.expect(func(k, _ int) float64 { return logs[k] })
		if math.IsNaN(m.logLike) || m.logLike-before < settled {
			return
		}
		m.maximise()
	}
}

func (m *mixture) distribution() Distribution {
	order := make([]int, len(m.parts))
	for i := range order {
		order[i] = i
	}
	// In order of their means, so that equal mixtures look equal.
	key := func(i int) float64 {
		if l, is := m.parts[i].(lognormals); is {
			return l.Mu
		}
		return m.parts[i].distribution().Mean()
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(key(a), key(b)) })
	var d Mixture
	for _, i := range order {
		d.Weights = append(d.Weights, m.weights[i])
		d.Parts = append(d.Parts, m.parts[i].distribution())
	}
	return d
}

// em estimates a mixture of parts of one kind from several starts, or from near
// alone.
func em(parts int, kind part) func(*sample, Distribution) (Distribution, error) {
	return func(s *sample, near Distribution) (Distribution, error) {
		best := estimate(s, parts, kind, near)
		if math.IsNaN(best.logLike) || math.IsInf(best.logLike, 0) {
			return nil, ErrSample
		}
		return best.distribution(), nil
	}
}

func estimate(s *sample, parts int, kind part, near Distribution) *mixture {
	if near, is := near.(Mixture); is {
		m := newMixture(s, make([]part, parts), slices.Clone(near.Weights))
		for k, d := range near.Parts {
			m.parts[k] = asPart(d)
		}
		m.run(rounds)
		return m
	}
	order := make([]int, s.n())
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(s.x[a], s.x[b]) })
	rng := rand.New(rand.NewPCG(uint64(parts), 0))
	var best *mixture
	for start := range starts {
		// The sorted values are cut into consecutive groups: equal ones, then
		// random ones.
		m := newMixture(s, make([]part, parts), make([]float64, parts))
		cuts := []float64{0}
		for k := 1; k < parts; k++ {
			cut := float64(k) / float64(parts)
			if start > 0 {
				cut = 0.02 + 0.96*rng.Float64()
			}
			cuts = append(cuts, cut)
		}
		slices.Sort(cuts)
		cuts = append(cuts, 1)
		for rank, i := range order {
			p := (float64(rank) + 0.5) / float64(s.n())
			for k := range parts {
				m.given[k][i] = 1e-3 // so that no group is empty or of one value
				if p >= cuts[k] && p < cuts[k+1] {
					m.given[k][i] = 1
				}
			}
		}
		for k := range parts {
			m.parts[k] = kind
		}
		m.maximise()
		m.run(rounds)
		if best == nil || m.logLike > best.logLike || math.IsNaN(best.logLike) {
			best = m
		}
	}
	return best
}

func asPart(d Distribution) part {
	switch d := d.(type) {
	case distuv.Exponential:
		return exponentials(d)
	case distuv.LogNormal:
		return lognormals(d)
	case distuv.Gamma:
		return gammas(d)
	}
	panic("fit: a mixture of parts that it does not estimate")
}

// logHyperGamma fits two gamma distributions to the logarithms (Lublin and
// Feitelson, Journal of Parallel and Distributed Computing 63, 2003).
func logHyperGamma(s *sample, near Distribution) (Distribution, error) {
	logs, err := newSample(s.lnx, 0)
	if err != nil {
		return nil, err
	}
	var of Distribution
	if l, is := near.(logOf); is {
		of = l.of
	}
	d, err := em(2, gammaPart)(logs, of)
	if err != nil {
		return nil, err
	}
	return logOf{d}, nil
}

// HyperGamma is a mixture of two gamma distributions of a covariate's weight:
// the probability of the first is Slope·c + Intercept, cut to 0…1.
type HyperGamma struct {
	First, Second    distuv.Gamma
	Slope, Intercept float64
}

// Weight is the probability of the first part at a covariate.
func (h HyperGamma) Weight(c float64) float64 { return min(1, max(0, h.Slope*c+h.Intercept)) }

// FitHyperGamma estimates a mixture of two gamma distributions whose weight
// depends linearly on a covariate, by expectation–maximisation; the weight's
// line is found by Newton's method on its part of the likelihood.
func FitHyperGamma(x, covariate []float64) (HyperGamma, error) {
	s, err := newSample(x, 0)
	if err != nil {
		return HyperGamma{}, err
	}
	m := estimate(s, 2, gammaPart, nil)
	h := HyperGamma{}
	h.take(m)
	h.Intercept = m.weights[0]
	m.logLike = math.Inf(-1)
	for range rounds {
		before := m.logLike
		m.expect(func(k, i int) float64 {
			w := min(1-1e-9, max(1e-9, h.Slope*covariate[i]+h.Intercept))
			if k == 1 {
				w = 1 - w
			}
			return math.Log(w)
		})
		if m.logLike-before < settled {
			break
		}
		m.maximise()
		h.line(m.given[0], covariate)
	}
	h.take(m)
	if h.First.Alpha/h.First.Beta > h.Second.Alpha/h.Second.Beta {
		h = HyperGamma{First: h.Second, Second: h.First, Slope: -h.Slope, Intercept: 1 - h.Intercept}
	}
	return h, nil
}

func (h *HyperGamma) take(m *mixture) {
	h.First, h.Second = distuv.Gamma(m.parts[0].(gammas)), distuv.Gamma(m.parts[1].(gammas))
}

// line maximises Σ r ln w + (1−r) ln(1−w) over the line w = slope·c + intercept
// by steps of Newton, halved until the sum grows.
func (h *HyperGamma) line(r, c []float64) {
	value := func(slope, intercept float64) float64 {
		s := 0.0
		for i, share := range r {
			w := slope*c[i] + intercept
			if w <= 1e-9 || w >= 1-1e-9 {
				w = min(1-1e-9, max(1e-9, w))
			}
			s += share*math.Log(w) + (1-share)*math.Log(1-w)
		}
		return s
	}
	now := value(h.Slope, h.Intercept)
	for range 20 {
		var g0, g1, h00, h01, h11 float64
		for i, share := range r {
			w := min(1-1e-9, max(1e-9, h.Slope*c[i]+h.Intercept))
			g := share/w - (1-share)/(1-w)
			k := share/(w*w) + (1-share)/((1-w)*(1-w))
			g0, g1 = g0+g, g1+g*c[i]
			h00, h01, h11 = h00+k, h01+k*c[i], h11+k*c[i]*c[i]
		}
		det := h00*h11 - h01*h01
		if !(det > 0) {
			return
		}
		d0, d1 := (h11*g0-h01*g1)/det, (h00*g1-h01*g0)/det
		grew := false
		for range 30 {
			if next := value(h.Slope+d1, h.Intercept+d0); next > now+1e-9 {
				h.Slope, h.Intercept, now, grew = h.Slope+d1, h.Intercept+d0, next, true
				break
			}
			d0, d1 = d0/2, d1/2
		}
		if !grew {
			return
		}
	}
}
