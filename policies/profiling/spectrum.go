package profiling

import "math"

// Periodogram is the Lomb–Scargle periodogram of a series about its mean,
// normalised: the share of its variance that a sinusoid of each frequency
// explains, 0 to 1. Times (s) may be uneven. Frequencies go from half a cycle
// in the series to half the mean sampling rate, over times as many as the
// series can tell apart.
func Periodogram(t, v []float64, over int) (frequency, share []float64) {
	n := len(t)
	if n < 4 || t[n-1] <= t[0] {
		return nil, nil
	}
	span := t[n-1] - t[0]
	mean := meanOf(v)
	variance := 0.0
	for _, x := range v {
		variance += (x - mean) * (x - mean)
	}
	nyquist := float64(n-1) / span / 2
	step := 1 / (span * float64(over))
	sines, cosines := make([]float64, n), make([]float64, n)
	for f := 0.5 / span; f <= nyquist; f += step {
		frequency = append(frequency, f)
		if variance <= 0 {
			share = append(share, 0)
			continue
		}
		w := 2 * math.Pi * f
		s2, c2 := 0.0, 0.0
		for i, x := range t {
			s, c := math.Sincos(w * x)
			sines[i], cosines[i] = s, c
			s2, c2 = s2+2*s*c, c2+c*c-s*s
		}
		// The shift in time that makes sine and cosine orthogonal on these times.
		sinTau, cosTau := math.Sincos(math.Atan2(s2, c2) / 2)
		yc, ys, cc, ss := 0.0, 0.0, 0.0, 0.0
		for i := range t {
			s := sines[i]*cosTau - cosines[i]*sinTau
			c := cosines[i]*cosTau + sines[i]*sinTau
			yc += (v[i] - mean) * c
			ys += (v[i] - mean) * s
			cc += c * c
			ss += s * s
		}
		p := 0.0
		if cc > 1e-12 {
			p += yc * yc / cc
		}
		if ss > 1e-12 {
			p += ys * ys / ss
		}
		share = append(share, min(1, p/variance))
	}
	return frequency, share
}

// Period is the strongest period of a series (s), of at least two cycles in it,
// and the share of the variance that its sinusoid explains. It is 0 where none
// stands out: where noise alone would give such a share once in a hundred
// series or more.
func Period(t, v []float64) (period, share float64) {
	f, p := Periodogram(t, v, 8)
	return peak(t, f, p)
}

func peak(t, f, p []float64) (period, share float64) {
	best := -1
	for i := range f {
		if f[i]*(t[len(t)-1]-t[0]) >= 2 && (best < 0 || p[i] > p[best]) {
			best = i
		}
	}
	if best < 0 {
		return 0, 0
	}
	n := float64(len(t))
	alone := math.Pow(1-p[best], (n-3)/2) // chance of noise reaching it at one frequency
	if frequencies := n / 2; 1-math.Pow(1-alone, frequencies) > 0.01 {
		return 0, p[best]
	}
	at := f[best]
	if best > 0 && best+1 < len(f) { // the vertex of the parabola through the peak
		a, b, c := p[best-1], p[best], p[best+1]
		if d := a - 2*b + c; d < 0 {
			at += (f[1] - f[0]) * (a - c) / (2 * d)
		}
	}
	return 1 / at, p[best]
}

// spectral are the features of a series in time.
func spectral(t, v []float64) []float64 {
	x := make([]float64, 7)
	f, p := Periodogram(t, v, 2)
	x[0], x[1] = peak(t, f, p)
	sum := 0.0
	for _, s := range p {
		sum += s
	}
	if sum == 0 {
		return x
	}
	for i, s := range p {
		if s > 0 {
			x[2] -= s / sum * math.Log(s/sum)
		}
		x[3+4*i/len(p)] += s / sum
	}
	if len(p) > 1 {
		x[2] /= math.Log(float64(len(p)))
	}
	return x
}
