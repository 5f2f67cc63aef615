package fit

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// Family is a kind of distribution whose parameters can be estimated.
type Family struct {
	Name string
	// Free is the number of parameters that are estimated.
	Free int
	// Over is the value that all values of a sample must be above.
	Over float64
	// mle estimates them; near, where it is not nil, is an estimate from a
	// similar sample.
	mle func(s *sample, near Distribution) (Distribution, error)
}

// Families are all families that can be fitted.
var Families = []Family{
	{Name: "exponential", Free: 1, mle: closed(exponential)},
	{Name: "weibull", Free: 2, mle: closed(weibull)},
	{Name: "gamma", Free: 2, mle: closed(func(s *sample) Distribution { return gamma(s.x, s.lnx, nil) })},
	{Name: "pareto", Free: 2, mle: closed(pareto)},
	{Name: "lognormal", Free: 2, mle: closed(func(s *sample) Distribution { return lognormal(s.lnx, nil, 0) })},
	{Name: "hyper-exponential-3", Free: 5, mle: em(3, exponentialPart)},
	{Name: "lognormal-mix-2", Free: 5, mle: em(2, lognormalPart)},
	{Name: "lognormal-mix-3", Free: 8, mle: em(3, lognormalPart)},
	// Of the logarithm, as Lublin and Feitelson fit run times.
	{Name: "log-hyper-gamma", Free: 5, Over: 1, mle: logHyperGamma},
}

// Lookup finds a family by its name.
func Lookup(name string) (Family, error) {
	var names []string
	for _, f := range Families {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Family{}, fmt.Errorf("there is no family of distributions %q: want one of %v", name, names)
}

// ErrSample says that a sample cannot be fitted.
var ErrSample = errors.New("sample cannot be fitted")

// Fit estimates the parameters by maximum likelihood.
func (f Family) Fit(x []float64) (Distribution, error) { return f.fit(x, nil) }

// FitNear is Fit, where near is the family's fit to a similar sample: mixtures
// start from it alone.
func (f Family) FitNear(x []float64, near Distribution) (Distribution, error) { return f.fit(x, near) }

func (f Family) fit(x []float64, near Distribution) (Distribution, error) {
	s, err := newSample(x, f.Over)
	if err == nil && s.n() <= f.Free {
		err = fmt.Errorf("%w: %d values for %d parameters", ErrSample, s.n(), f.Free)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	d, err := f.mle(s, near)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return d, nil
}

// sample is a sample with its logarithms.
type sample struct{ x, lnx []float64 }

func (s *sample) n() int { return len(s.x) }

func newSample(x []float64, over float64) (*sample, error) {
	s := &sample{x, make([]float64, len(x))}
	varied := false
	for i, v := range x {
		if !(v > over) || math.IsInf(v, 1) {
			return nil, fmt.Errorf("%w: value %v is not a finite number above %v", ErrSample, v, over)
		}
		s.lnx[i] = math.Log(v)
		varied = varied || v != x[0]
	}
	if !varied {
		return nil, fmt.Errorf("%w: all of its %d values are equal", ErrSample, len(x))
	}
	return s, nil
}

func closed(estimate func(*sample) Distribution) func(*sample, Distribution) (Distribution, error) {
	return func(s *sample, _ Distribution) (Distribution, error) {
		d := estimate(s)
		for _, p := range Parameters(d) {
			if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
				return nil, fmt.Errorf("%w: its %s comes out as %v", ErrSample, p.Name, p.Value)
			}
		}
		return d, nil
	}
}

// mean is weighted by w, or plain where w is nil.
func mean(v, w []float64) float64 {
	s, of := 0.0, 0.0
	for i, x := range v {
		if w == nil {
			s, of = s+x, of+1
		} else {
			s, of = s+w[i]*x, of+w[i]
		}
	}
	return s / of
}

func exponential(s *sample) Distribution { return distuv.Exponential{Rate: 1 / mean(s.x, nil)} }

// lognormal is the mean and deviation of the logarithms, which is at least
// floor: a part of a mixture that shrinks onto one value has infinite likelihood.
func lognormal(lnx, w []float64, floor float64) Distribution {
	mu := mean(lnx, w)
	ss, of := 0.0, 0.0
	for i, y := range lnx {
		weight := 1.0
		if w != nil {
			weight = w[i]
		}
		ss, of = ss+weight*(y-mu)*(y-mu), of+weight
	}
	return distuv.LogNormal{Mu: mu, Sigma: max(floor, math.Sqrt(ss/of))}
}

// pareto has the least value as its lower end, which is its likeliest.
func pareto(s *sample) Distribution {
	least := slices.Min(s.x)
	return distuv.Pareto{Xm: least, Alpha: 1 / (mean(s.lnx, nil) - math.Log(least))}
}

// weibull solves Σ xᵏ ln x / Σ xᵏ − 1/k = mean ln x for the shape k. The left
// side grows with k, so a bracket is kept around Newton's steps.
func weibull(s *sample) Distribution {
	top, middle := slices.Max(s.lnx), mean(s.lnx, nil)
	sums := func(k float64) (s0, s1, s2 float64) {
		for _, y := range s.lnx {
			e := math.Exp(k * (y - top))
			s0, s1, s2 = s0+e, s1+e*y, s2+e*y*y
		}
		return
	}
	spread := math.Sqrt(variance(s.lnx, middle))
	low, high, k := 0.0, math.Inf(1), math.Pi/math.Sqrt(6)/spread
	for range 200 {
		s0, s1, s2 := sums(k)
		g := s1/s0 - 1/k - middle
		if g > 0 {
			high = k
		} else {
			low = k
		}
		next := k - g/(s2/s0-s1/s0*s1/s0+1/(k*k))
		if !(next > low && next < high) {
			if next = (low + high) / 2; math.IsInf(high, 1) {
				next = 2 * k
			}
		}
		if math.Abs(next-k) <= 1e-12*k {
			break
		}
		k = next
	}
	s0, _, _ := sums(k)
	return distuv.Weibull{K: k, Lambda: math.Exp(top + math.Log(s0/float64(s.n()))/k)}
}

func variance(v []float64, mean float64) float64 {
	ss := 0.0
	for _, x := range v {
		ss += (x - mean) * (x - mean)
	}
	return ss / float64(len(v))
}

// gamma solves ln k − ψ(k) = ln mean − mean ln for the shape k by Newton's
// method on 1/k (Minka, "Estimating a Gamma distribution", 2002), which needs
// no bracket.
func gamma(x, lnx, w []float64) Distribution {
	m := mean(x, w)
	gap := math.Log(m) - mean(lnx, w)
	// Values that hardly differ have no shape that could be told.
	gap = max(gap, 1e-12)
	k := (3 - gap + math.Sqrt((gap-3)*(gap-3)+24*gap)) / (12 * gap)
	for range 100 {
		step := (math.Log(k) - mathext.Digamma(k) - gap) / (k * k * (1/k - trigamma(k)))
		next := 1 / (1/k + step)
		if !(next > 0) {
			break
		}
		done := math.Abs(next-k) <= 1e-11*k
		if k = next; done {
			break
		}
	}
	return distuv.Gamma{Alpha: k, Beta: k / m}
}

// trigamma is the derivative of the digamma function: Hurwitz's zeta of 2.
func trigamma(k float64) float64 { return mathext.Zeta(2, k) }

// LogLikelihood of a sample.
func LogLikelihood(d Distribution, x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += d.LogProb(v)
	}
	return s
}

// BIC is Schwarz's criterion, lower is better (The Annals of Statistics 6,
// 1978).
func (f Family) BIC(d Distribution, x []float64) float64 {
	return float64(f.Free)*math.Log(float64(len(x))) - 2*LogLikelihood(d, x)
}
