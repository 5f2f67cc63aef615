// Package fit fits distributions of positive values, such as run times and
// times between arrivals, by maximum likelihood, chooses among them, and tests
// how well they fit.
package fit

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Distribution is a distribution of positive values.
type Distribution interface {
	CDF(x float64) float64
	Survival(x float64) float64 // 1 − CDF, exact where that is near 0
	LogProb(x float64) float64  // logarithm of the density
	Quantile(p float64) float64
	Mean() float64 // +Inf where it is not finite
}

// Mixture draws a value from one of Parts, chosen by Weights, which sum to 1.
type Mixture struct {
	Weights []float64
	Parts   []Distribution
}

func (m Mixture) sum(of func(Distribution) float64) float64 {
	s := 0.0
	for i, p := range m.Parts {
		s += m.Weights[i] * of(p)
	}
	return s
}

// CDF is the probability of a value of at most x.
func (m Mixture) CDF(x float64) float64 {
	return m.sum(func(d Distribution) float64 { return d.CDF(x) })
}

// Survival is the probability of a value above x.
func (m Mixture) Survival(x float64) float64 {
	return m.sum(func(d Distribution) float64 { return d.Survival(x) })
}

// Mean is the mean.
func (m Mixture) Mean() float64 {
	return m.sum(func(d Distribution) float64 { return d.Mean() })
}

// LogProb is the logarithm of the density, summed so that it does not underflow.
func (m Mixture) LogProb(x float64) float64 {
	terms := make([]float64, len(m.Parts))
	for i, p := range m.Parts {
		terms[i] = math.Log(m.Weights[i]) + p.LogProb(x)
	}
	return logSum(terms)
}

// Quantile is found by bisection between those of the parts.
func (m Mixture) Quantile(p float64) float64 {
	low, high := math.Inf(1), 0.0
	for i, d := range m.Parts {
		if m.Weights[i] > 0 {
			q := quantile(d, p)
			low, high = min(low, q), max(high, q)
		}
	}
	for range 100 {
		// In the middle of the logarithms, since the parts may be decades apart.
		middle := math.Sqrt(low) * math.Sqrt(high)
		if middle <= low || middle >= high {
			break
		}
		if m.CDF(middle) < p {
			low = middle
		} else {
			high = middle
		}
		if high-low <= 1e-12*high {
			break
		}
	}
	return high
}

// quantile is d's, with gamma distributions' leading term where the library's
// inverse fails, near 0.
func quantile(d Distribution, p float64) float64 {
	if g, is := d.(distuv.Gamma); is && p > 0 {
		norm, _ := math.Lgamma(g.Alpha + 1)
		if x := math.Exp((math.Log(p) + norm) / g.Alpha); x < 1e-6 {
			return x / g.Beta
		}
	}
	return d.Quantile(p)
}

// logOf is the distribution of values whose natural logarithm has another one.
type logOf struct{ of Distribution }

func (l logOf) CDF(x float64) float64      { return l.of.CDF(math.Log(x)) }
func (l logOf) Survival(x float64) float64 { return l.of.Survival(math.Log(x)) }
func (l logOf) LogProb(x float64) float64  { return l.of.LogProb(math.Log(x)) - math.Log(x) }
func (l logOf) Quantile(p float64) float64 { return math.Exp(quantile(l.of, p)) }

// Mean is the moment generating function of gamma distributions at 1.
func (l logOf) Mean() float64 {
	generate := func(d Distribution) float64 {
		g, is := d.(distuv.Gamma)
		if !is || g.Beta <= 1 {
			return math.Inf(1)
		}
		return math.Pow(g.Beta/(g.Beta-1), g.Alpha)
	}
	if m, is := l.of.(Mixture); is {
		return m.sum(generate)
	}
	return generate(l.of)
}

// logSum is the logarithm of the sum of exponentials of terms.
func logSum(terms []float64) float64 {
	top := slices.Max(terms)
	if math.IsInf(top, -1) {
		return top
	}
	s := 0.0
	for _, t := range terms {
		s += math.Exp(t - top)
	}
	return top + math.Log(s)
}

// Sample draws n values.
func Sample(d Distribution, n int, rng *rand.Rand) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = Draw(d, rng)
	}
	return x
}

// Draw draws one value.
func Draw(d Distribution, rng *rand.Rand) float64 {
	switch d := d.(type) {
	case Mixture:
		u := rng.Float64()
		for i, w := range d.Weights {
			if u -= w; u < 0 {
				return Draw(d.Parts[i], rng)
			}
		}
		return Draw(d.Parts[len(d.Parts)-1], rng)
	case logOf:
		return math.Exp(Draw(d.of, rng))
	case distuv.Exponential:
		return rng.ExpFloat64() / d.Rate
	case distuv.LogNormal:
		return math.Exp(d.Mu + d.Sigma*rng.NormFloat64())
	case distuv.Gamma:
		d.Src = rng
		return d.Rand()
	}
	return d.Quantile(rng.Float64())
}

// Parameter is one parameter of a distribution.
type Parameter struct {
	Name  string
	Value float64
}

// Parameters are those of a distribution that a Family fitted; those of the
// parts of a mixture are numbered.
func Parameters(d Distribution) []Parameter {
	switch d := d.(type) {
	case Mixture:
		var all []Parameter
		for i, part := range d.Parts {
			number := string(rune('1' + i))
			all = append(all, Parameter{"weight" + number, d.Weights[i]})
			for _, p := range Parameters(part) {
				all = append(all, Parameter{p.Name + number, p.Value})
			}
		}
		return all
	case logOf:
		return Parameters(d.of)
	case distuv.Exponential:
		return []Parameter{{"mean", 1 / d.Rate}}
	case distuv.Weibull:
		return []Parameter{{"shape", d.K}, {"scale", d.Lambda}}
	case distuv.Gamma:
		return []Parameter{{"shape", d.Alpha}, {"scale", 1 / d.Beta}}
	case distuv.Pareto:
		return []Parameter{{"shape", d.Alpha}, {"least", d.Xm}}
	case distuv.LogNormal:
		return []Parameter{{"mu", d.Mu}, {"sigma", d.Sigma}}
	}
	return nil
}
