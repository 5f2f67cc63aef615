package mlworkload

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPythonSample has what Python 3.11 prints for
// random.Random(seed).sample(range(n), k).
func TestPythonSample(t *testing.T) {
	for _, c := range []struct {
		seed uint32
		n, k int
		want []int
	}{
		{1, 10, 10, []int{2, 1, 4, 0, 3, 5, 7, 9, 8, 6}},
		{1, 100, 5, []int{17, 72, 97, 8, 32}},
		{1, 82247, 6, []int{17611, 74606, 8271, 33432, 15455, 64937}},
		{7, 1000, 6, []int{331, 970, 154, 404, 666, 49}},
		{123456, 90000, 6, []int{37967, 3856, 22892, 292, 87016, 10099}},
	} {
		got, err := PythonSample(c.seed, c.n, c.k)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	// Of large samples the last indices and the sum of place times index.
	for _, c := range []struct {
		n, k, sum int
		last      []int
	}{
		{8151, 3000, 18298032204, []int{6362, 7408, 4187, 6736, 4646}},
		{82246, 4000, 331674632992, []int{80926, 25951, 37563, 36735, 34636}},
	} {
		got, err := PythonSample(1, c.n, c.k)
		require.NoError(t, err)
		require.Equal(t, c.last, got[c.k-5:])
		sum := 0
		for i, at := range got {
			sum += i * at
		}
		require.Equal(t, c.sum, sum)
	}
	_, err := PythonSample(1, 3, 4)
	require.ErrorContains(t, err, "4 of 3 values cannot be drawn")
}

// TestRecorded keeps the order of the file, which is not that of submission.
func TestRecorded(t *testing.T) {
	l := &Log{Jobs: []Job{{Submit: 9, Duration: 3, Residence: 5}, {Submit: 2, Duration: 4, Residence: 0}, {Submit: 4, Duration: 0, Residence: 1}}}
	l.finish(l.Origin)
	require.EqualValues(t, 4, l.Jobs[0].Duration)
	for variable, want := range map[string][]float64{"duration": {3, 4}, "residence": {5, 1}, "rounded-gap": {2, 5}} {
		got, err := l.Recorded(variable)
		require.NoError(t, err)
		require.Equal(t, want, got, variable)
	}
	_, err := l.Recorded("colour")
	require.ErrorContains(t, err, "want one of duration")
}
