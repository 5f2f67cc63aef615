package emulator

import (
	"math"
	"slices"
)

// Wear describes how erase counts spread over lines or blocks.
type Wear struct {
	Min  uint32  `json:"min"`
	Max  uint32  `json:"max"`
	Mean float64 `json:"mean"`
	SD   float64 `json:"sd"` // of the population
	CV   float64 `json:"cv"` // SD over Mean
	// Gini is 0 when all counts are equal and near 1 when few units take all erases.
	Gini float64 `json:"gini"`
	// Jain is (sum e)^2 / (n sum e^2), 1 when all are equal and 1/n at worst:
	// the wear-leveling factor of SimpleSSD.
	Jain float64 `json:"jain"`
}

// WearOf computes the spread of erase counts. Counts that are all zero are
// perfectly even.
func WearOf(counts []uint32) Wear {
	w := Wear{Jain: 1}
	if len(counts) == 0 {
		return w
	}
	sorted := slices.Clone(counts)
	slices.Sort(sorted)
	n := float64(len(sorted))
	var sum, ranked float64
	for i, c := range sorted {
		sum += float64(c)
		ranked += float64(i+1) * float64(c)
	}
	w.Min, w.Max, w.Mean = sorted[0], sorted[len(sorted)-1], sum/n
	if sum == 0 {
		return w
	}
	var squares float64
	for _, c := range sorted {
		squares += (float64(c) - w.Mean) * (float64(c) - w.Mean)
	}
	w.SD = math.Sqrt(squares / n)
	w.CV = w.SD / w.Mean
	w.Gini = 2*ranked/(n*sum) - (n+1)/n
	w.Jain = sum * sum / (n * (squares + n*w.Mean*w.Mean))
	return w
}
