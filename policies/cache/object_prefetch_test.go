package cache

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/policies/cache/prefetch"
)

func prefetcher(t testing.TB, text string) prefetch.Choice {
	c, err := prefetch.Parse(text)
	require.NoError(t, err)
	require.Len(t, c, 1)
	return c[0]
}

// What libCacheSim aa0fc40 counted for Mithril on the sample trace, sizes
// ignored, at 1 % of the footprint: prefetches, and of the rest what is known to
// three digits.
func TestOracleMithril(t *testing.T) {
	trace := cloudPhysics(t, true)
	r, err := ReplayPrefetch(context.Background(), trace, choice(t, "sieve").New(489, 0),
		prefetcher(t, "mithril:block-size=65536").New(489, 1, 0), nil)
	require.NoError(t, err)
	require.EqualValues(t, 18673, r.Prefetched)
	require.InDelta(t, 0.726, r.MissRatio(), 0.0005)
	require.InDelta(t, 0.890, ratio(r.BackendRequests(), r.Requests), 0.0005)
	require.InDelta(t, 0.66, r.Accuracy(), 0.005)
}
