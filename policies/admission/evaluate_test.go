package admission

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// The published pipeline reaches on the recorded logs what its reproduction
// elsewhere did (0.84 to 0.85), and what of it is left without look-ahead and
// on a test set with its noise is another figure.
func TestEvaluateRecorded(t *testing.T) {
	heimdall, err := RecipeNamed("heimdall")
	require.NoError(t, err)
	extended, err := RecipeNamed("extended")
	require.NoError(t, err)
	heimdall.Training.Epochs, extended.Training.Epochs = 8, 8
	for _, compat := range []Compat{Artifact, Fixed} {
		var published, unfiltered, honest, ours []Metrics
		for _, f := range []string{log537, log490, log379} {
			l := recorded(t, f, compat.Order())
			e, _, err := Evaluate(context.Background(), l, heimdall, compat, 1)
			require.NoError(t, err)
			published, unfiltered, honest = append(published, e.Published), append(unfiltered, e.Unfiltered), append(honest, e.Honest)
			if compat == Fixed {
				x, _, err := Evaluate(context.Background(), l, extended, compat, 1)
				require.NoError(t, err)
				ours = append(ours, x.Honest)
			}
		}
		require.Greater(t, Mean(published).BalancedAccuracy, 0.84, compat)
		require.InDelta(t, 0.78, Mean(unfiltered).BalancedAccuracy, 0.05, compat)
		require.Less(t, Mean(honest).BalancedAccuracy, 0.70, compat)
		if compat == Fixed {
			require.Greater(t, Mean(ours).BalancedAccuracy, Mean(honest).BalancedAccuracy)
		}
	}
}
