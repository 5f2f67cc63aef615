package emulator

import "math"

// Reliability is how flash wears out: how many erases a block survives, and
// how often a read must be repeated as errors grow. The raw bit error rate is
//
//	Eps + Alpha*erases^K + Gamma*erases^P*reads^Q
//
// with constants fitted to a TLC chip of 2018 by Jiao et al., FAST'24
// (CVSS); a repeat halves it, and reading ends when it is at most ECC.
type Reliability struct {
	Endurance   uint32  `yaml:"endurance" doc:"mean erases a block survives; 0: any number"`
	EnduranceSD float64 `yaml:"endurance_sd" doc:"spread of that number between blocks, as a share of it"`
	ECC         float64 `yaml:"ecc_ber" doc:"bit error rate that ECC corrects; 0: no read is repeated"`
	Eps         float64 `yaml:"ber_eps" doc:"bit error rate of a new block"`
	Alpha       float64 `yaml:"ber_alpha" doc:"weight of wear"`
	K           float64 `yaml:"ber_k" doc:"exponent of wear"`
	Gamma       float64 `yaml:"ber_gamma" doc:"weight of read disturb"`
	P           float64 `yaml:"ber_p" doc:"exponent of wear in read disturb"`
	Q           float64 `yaml:"ber_q" doc:"exponent of reads in read disturb"`
	ReadReclaim uint32  `yaml:"read_reclaim" doc:"reads of a line after which its data is rewritten; 0: never"`
}

// cvssReliability has the error constants of CVSS: ECC of 50 bits in 4 KiB.
func cvssReliability() Reliability {
	return Reliability{
		ECC: 50.0 / (4096 * 8), Eps: 0.00148, Alpha: 5.16375983e-7, K: 2.05,
		Gamma: 6.51773564e-9, P: 0.435025976, Q: 1.71,
	}
}

// retries is how many times a read of a line is repeated.
func (r *Reliability) retries(erases, reads uint32) uint8 {
	if r.ECC <= 0 {
		return 0
	}
	e := float64(erases)
	rate := r.Eps + r.Alpha*math.Pow(e, r.K) + r.Gamma*math.Pow(e, r.P)*math.Pow(float64(reads), r.Q)
	if rate <= r.ECC {
		return 0
	}
	return uint8(min(math.Ceil(math.Log2(rate/r.ECC)), 20))
}

// limit is the number of erases that a block survives: the same for the same
// seed and block, so that no table of limits is kept.
func (r *Reliability) limit(seed uint64, block uint64) uint32 {
	if r.Endurance == 0 {
		return math.MaxUint32
	}
	if r.EnduranceSD == 0 {
		return r.Endurance
	}
	// Box-Muller on two hashes of the block's number.
	u1 := (float64(mix(seed^mix(2*block))>>11) + 0.5) / (1 << 53)
	u2 := float64(mix(seed^mix(2*block+1))>>11) / (1 << 53)
	z := math.Sqrt(-2*math.Log(u1)) * math.Cos(2*math.Pi*u2)
	return uint32(max(1, math.Round(float64(r.Endurance)*(1+r.EnduranceSD*z))))
}

// mix is the finaliser of SplitMix64.
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
