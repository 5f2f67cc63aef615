package theory

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The published check: spare 0.3 of the logical capacity gives 2.36.
func TestFIFOPublished(t *testing.T) { require.InDelta(t, 2.364, FIFO(1.3), 0.0006) }

// Values tabulated for spare factors, to the digits given.
func TestUniformTable(t *testing.T) {
	for _, row := range []struct{ spare, fifo, greedy64, greedy256 float64 }{
		{0.05, 10.172, 8.821, 9.796}, {0.07, 7.318, 6.600, 7.124}, {0.10, 5.179, 4.816, 5.083}, {0.125, 4.182, 3.946, 4.120},
		{0.15, 3.519, 3.353, 3.476}, {0.20, 2.693, 2.598, 2.668}, {0.25, 2.201, 2.140, 2.185}, {0.30, 1.876, 1.833, 1.865},
		{0.40, 1.480, 1.455, 1.474}, {0.50, 1.255, 1.239, 1.251},
	} {
		a := Alpha(row.spare)
		require.InDelta(t, row.fifo, FIFO(a), 0.0011, "spare %v", row.spare)
		require.InDelta(t, row.greedy64, Greedy(a, 64), 0.0011, "spare %v", row.spare)
		require.InDelta(t, row.greedy256, Greedy(a, 256), 0.0011, "spare %v", row.spare)
		require.InDelta(t, FIFO(a), FIFOTraffic(a, []Class{{1, 1}}), 1e-6)
		require.InEpsilon(t, 1/row.spare, Random(a), 1e-12)
	}
}

func TestHotColdTable(t *testing.T) {
	for _, row := range []struct {
		r, f     float64
		fifo     [3]float64
		separate [3]float64
	}{
		{0.8, 0.2, [3]float64{7.682, 5.538, 2.533}, [3]float64{4.935, 3.571, 1.691}},
		{0.9, 0.1, [3]float64{8.358, 6.168, 2.974}, [3]float64{3.093, 2.336, 1.322}},
		{0.95, 0.05, [3]float64{9.422, 7.073, 3.393}, [3]float64{1.995, 1.612, 1.131}},
		{0.7, 0.3, [3]float64{7.445, 5.306, 2.328}, [3]float64{6.258, 4.463, 1.972}},
	} {
		for i, spare := range []float64{0.07, 0.10, 0.25} {
			a := Alpha(spare)
			require.InDelta(t, row.fifo[i], FIFOTraffic(a, HotCold(row.r, row.f)), 0.0011)
			require.InDelta(t, row.separate[i], Separated(a, row.r, row.f), 0.0011)
		}
	}
}
