package traces

import "math"

// zipf draws ranks 0 … n-1, rank k with probability proportional to
// (k+1)^-alpha, for any alpha ≥ 0 and in constant time and memory, by
// rejection from the integral of the curve: W. Hörmann and G. Derflinger,
// "Rejection-inversion to generate variates from monotone discrete
// distributions", ACM TOMACS 6(3), 1996.
type zipf struct {
	alpha           float64
	n               float64
	first, last     float64 // the integral at 1.5 minus the first rank's weight, and at n+0.5
	acceptWithinTop float64
}

func newZipf(n uint64, alpha float64) *zipf {
	z := &zipf{alpha: alpha, n: float64(n)}
	z.first = z.integral(1.5) - 1
	z.last = z.integral(z.n + 0.5)
	z.acceptWithinTop = 2 - z.inverse(z.integral(2.5)-z.weight(2))
	return z
}

func (z *zipf) weight(x float64) float64 { return math.Exp(-z.alpha * math.Log(x)) }

// integral is that of weight, from 1.
func (z *zipf) integral(x float64) float64 {
	l := math.Log(x)
	t := (1 - z.alpha) * l
	return l * expm1Over(t)
}

func (z *zipf) inverse(y float64) float64 {
	t := y * (1 - z.alpha)
	if t < -1 {
		t = -1 // rounding
	}
	return math.Exp(y * log1pOver(t))
}

// expm1Over is (e^t - 1)/t, and log1pOver is ln(1+t)/t, both smooth at 0.
func expm1Over(t float64) float64 {
	if math.Abs(t) < 1e-8 {
		return 1 + t/2
	}
	return math.Expm1(t) / t
}

func log1pOver(t float64) float64 {
	if math.Abs(t) < 1e-8 {
		return 1 - t/2
	}
	return math.Log1p(t) / t
}

func (z *zipf) next(r *rng) uint64 {
	if z.alpha == 0 {
		return r.below(uint64(z.n))
	}
	for {
		u := z.last + r.float()*(z.first-z.last)
		x := z.inverse(u)
		k := math.Floor(x + 0.5)
		if k < 1 {
			k = 1
		} else if k > z.n {
			k = z.n
		}
		if k-x <= z.acceptWithinTop || u >= z.integral(k+0.5)-z.weight(k) {
			return uint64(k) - 1
		}
	}
}
