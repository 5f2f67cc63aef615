package admission

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMeasureByHand(t *testing.T) {
	m := Measure([]float32{2, 1, -1, -2, 3}, []bool{true, false, true, false, true})
	require.Equal(t, []int{2, 1, 1, 1}, []int{m.TP, m.FP, m.TN, m.FN})
	require.InDelta(t, 0.6, m.Accuracy, 1e-12)
	require.InDelta(t, (2.0/3+0.5)/2, m.BalancedAccuracy, 1e-12)
	require.InDelta(t, 2.0/3, m.F1, 1e-12)
	// Of the six pairs of a slow and a fast request, five are in order.
	require.InDelta(t, 5.0/6, m.ROCAUC, 1e-12)
	// Precision 1, 1 and 3/4 at the three slow ones.
	require.InDelta(t, (1+1+0.75)/3, m.AveragePrecision, 1e-12)
	// Of the decisions: 2/3 of the recall at precision 2/3, the rest at 3/5.
	require.InDelta(t, 2.0/3*2/3+1.0/3*0.6, m.HardAveragePrecision, 1e-12)
	require.Zero(t, Measure(nil, nil))
}

// Against the definition: the share of pairs in order, ties half.
func TestROCAUCIsTheShareOfPairs(t *testing.T) {
	rng := rand.New(rand.NewPCG(41, 42))
	for range 50 {
		n := 2 + rng.IntN(60)
		scores, slow := make([]float32, n), make([]bool, n)
		for i := range n {
			scores[i], slow[i] = float32(rng.IntN(9)), rng.IntN(2) == 0
		}
		slow[0], slow[1] = true, false
		pairs, ordered := 0.0, 0.0
		for i := range n {
			for j := range n {
				if slow[i] && !slow[j] {
					pairs++
					switch {
					case scores[i] > scores[j]:
						ordered++
					case scores[i] == scores[j]:
						ordered += 0.5
					}
				}
			}
		}
		require.InDelta(t, ordered/pairs, Measure(scores, slow).ROCAUC, 1e-9)
	}
}
