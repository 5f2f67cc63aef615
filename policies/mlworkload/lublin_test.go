package mlworkload

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLublin recovers the model from a log that it generated.
func TestLublin(t *testing.T) {
	truth := PublishedLublin()
	rng := rand.New(rand.NewPCG(1, 1))
	l := truth.Generate(20_000, rng)
	got, err := FitLublin(l, rng)
	require.NoError(t, err)
	want := truth.Parameters()
	for i, p := range got.Parameters() {
		t.Logf("%-22s %8.4f %8.4f", p.Name, want[i].Value, p.Value)
		require.InEpsilon(t, want[i].Value, p.Value, 0.15, p.Name)
	}
	_, err = FitLublin(read(t, phillyText, Options{}), rng)
	require.Error(t, err, "two jobs are too few")
	_, err = FitLublin(read(t, llmText, Options{}), rng)
	require.ErrorContains(t, err, "job 1 has a run time of NaN s")
}
