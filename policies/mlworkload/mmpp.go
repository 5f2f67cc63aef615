package mlworkload

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// MMPP is a Markov-modulated Poisson process in slots of equal length: in each
// slot the process is in one state, which has a rate, and it changes state from
// slot to slot with fixed probabilities.
type MMPP struct {
	Rates   []float64   // expected arrivals in a slot of exposure 1, ascending
	Change  [][]float64 // probability of a state after another
	Initial []float64
	// LogLikelihood of the counts that it was fitted to, and how many they were.
	LogLikelihood float64
	Slots         int
}

// FitMMPP estimates a process of a number of states from the arrivals in
// successive slots by expectation–maximisation (Baum and Welch). A slot's
// exposure is what its length and season give it over the mean.
func FitMMPP(counts, exposure []float64, states int) (*MMPP, error) {
	if len(counts) < 10*states || len(exposure) != len(counts) {
		return nil, fmt.Errorf("%d slots are too few for a Markov-modulated process of %d states", len(counts), states)
	}
	m := &MMPP{Slots: len(counts), LogLikelihood: math.Inf(-1)}
	// The slots' own rates, cut into equal groups, are where the states start.
	own := make([]float64, len(counts))
	for i, c := range counts {
		own[i] = c / exposure[i]
	}
	slices.Sort(own)
	for s := range states {
		from, to := s*len(own)/states, (s+1)*len(own)/states
		sum := 0.0
		for _, r := range own[from:to] {
			sum += r
		}
		m.Rates = append(m.Rates, max(sum/float64(to-from), 0.01)*(1+0.01*float64(s)))
		m.Initial = append(m.Initial, 1/float64(states))
		row := make([]float64, states)
		for o := range row {
			row[o] = 0.2 / float64(states)
		}
		row[s] += 0.8
		m.Change = append(m.Change, row)
	}
	for range 500 {
		before := m.LogLikelihood
		m.step(counts, exposure)
		if m.LogLikelihood-before < 1e-4*float64(states) {
			break
		}
	}
	return m, nil
}

// emit writes the probability of a count in each state, over the greatest, and
// gives that one's logarithm.
func (m *MMPP) emit(count, exposure float64, to []float64) float64 {
	norm, _ := math.Lgamma(count + 1)
	top := math.Inf(-1)
	for s, r := range m.Rates {
		rate := r * exposure
		to[s] = count*math.Log(rate) - rate - norm
		top = max(top, to[s])
	}
	for s := range to {
		to[s] = math.Exp(to[s] - top)
	}
	return top
}

// step is one round of forward and backward passes and new parameters.
// LogLikelihood is that of the parameters before it.
func (m *MMPP) step(counts, exposure []float64) {
	n, k := len(counts), len(m.Rates)
	emission, forward := rows(n, k), rows(n, k)
	scale := make([]float64, n)
	m.LogLikelihood = 0
	for t := range n {
		m.LogLikelihood += m.emit(counts[t], exposure[t], emission[t])
		for s := range k {
			p := m.Initial[s]
			if t > 0 {
				p = 0
				for o := range k {
					p += forward[t-1][o] * m.Change[o][s]
				}
			}
			forward[t][s] = p * emission[t][s]
			scale[t] += forward[t][s]
		}
		for s := range k {
			forward[t][s] /= scale[t]
		}
		m.LogLikelihood += math.Log(scale[t])
	}
	backward := make([]float64, k)
	for s := range backward {
		backward[s] = 1
	}
	arrivals, exposed := make([]float64, k), make([]float64, k)
	moves := rows(k, k)
	for t := n - 1; ; t-- {
		for s := range k {
			p := forward[t][s] * backward[s]
			arrivals[s] += p * counts[t]
			exposed[s] += p * exposure[t]
		}
		if t == 0 {
			total := 0.0
			for s := range k {
				m.Initial[s] = forward[0][s] * backward[s]
				total += m.Initial[s]
			}
			for s := range k {
				m.Initial[s] /= total
			}
			break
		}
		earlier := make([]float64, k)
		for o := range k {
			for s := range k {
				p := m.Change[o][s] * emission[t][s] * backward[s] / scale[t]
				earlier[o] += p
				moves[o][s] += forward[t-1][o] * p
			}
		}
		backward = earlier
	}
	for s := range k {
		m.Rates[s] = max(arrivals[s]/max(exposed[s], 1e-300), 1e-6)
		total := 0.0
		for o := range k {
			moves[s][o] += 1e-6
			total += moves[s][o]
		}
		for o := range k {
			m.Change[s][o] = moves[s][o] / total
		}
	}
}

func rows(n, k int) [][]float64 {
	all := make([][]float64, n)
	flat := make([]float64, n*k)
	for i := range all {
		all[i] = flat[i*k : (i+1)*k]
	}
	return all
}

// BIC is Schwarz's criterion; lower is better.
func (m *MMPP) BIC() float64 {
	k := float64(len(m.Rates))
	return (k+k*(k-1))*math.Log(float64(m.Slots)) - 2*m.LogLikelihood
}

// ChooseMMPP fits processes of 1 to most states and takes the one of least BIC.
func ChooseMMPP(counts, exposure []float64, most int) (*MMPP, error) {
	var best *MMPP
	for states := 1; states <= most; states++ {
		m, err := FitMMPP(counts, exposure, states)
		if err != nil {
			if best != nil {
				break
			}
			return nil, err
		}
		if best == nil || m.BIC() < best.BIC() {
			best = m
		}
	}
	return best, nil
}

// Ahead gives, for each slot, the arrivals expected in it by what the slots
// before it held, and the log-likelihood of what it then held.
func (m *MMPP) Ahead(counts, exposure []float64) (expected, logLikelihood []float64) {
	k := len(m.Rates)
	state := slices.Clone(m.Initial)
	emission := make([]float64, k)
	for t := range counts {
		mean, p := 0.0, 0.0
		for s := range k {
			mean += state[s] * m.Rates[s] * exposure[t]
		}
		top := m.emit(counts[t], exposure[t], emission)
		for s := range k {
			emission[s] *= state[s]
			p += emission[s]
		}
		expected, logLikelihood = append(expected, mean), append(logLikelihood, top+math.Log(p))
		for s := range k {
			state[s] = 0
			for o := range k {
				state[s] += emission[o] / p * m.Change[o][s]
			}
		}
	}
	return expected, logLikelihood
}

// Draw gives the number of arrivals in successive slots.
func (m *MMPP) Draw(exposure []float64, rng *rand.Rand) []int {
	counts := make([]int, len(exposure))
	state := choose(m.Initial, rng)
	for t, e := range exposure {
		counts[t] = int(distuv.Poisson{Lambda: m.Rates[state] * e, Src: rng}.Rand())
		state = choose(m.Change[state], rng)
	}
	return counts
}

// choose draws an index by weights that sum to 1.
func choose(weights []float64, rng *rand.Rand) int {
	u := rng.Float64()
	for i, w := range weights {
		if u -= w; u < 0 {
			return i
		}
	}
	return len(weights) - 1
}
