package emulator

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// writes are single pages that next picks.
func writes(next func() uint32) func() (Request, error) {
	return func() (Request, error) { return Request{Op: 'W', LBA: 8 * uint64(next()), Sectors: 8}, nil }
}

func TestAge(t *testing.T) {
	way := Ageing{Warm: 3, Watch: 1, MaxWatch: 16, Tolerance: 0.02, Erases: 500}
	d := newDevice(t, plain(1475, 1639, 32))
	r, err := Age(context.Background(), d, writes(uniform(d, 3)), way, nil)
	require.NoError(t, err)
	require.NoError(t, d.Check())
	require.InEpsilon(t, 500, r.EraseMean, 0.01)
	require.Less(t, r.Watched, 17.0)
	require.Greater(t, r.Forwarded, 5*r.Watched)
	require.LessOrEqual(t, r.SDError, 0.02)
	t.Logf("%.3g watched, %.3g forwarded, error %.2g, sd %.2f", r.Watched, r.Forwarded, r.SDError, r.EraseSD)

	// A device that has come that far is left there.
	way.Warm = 0
	again, err := Age(context.Background(), d, writes(uniform(d, 4)), way, nil)
	require.NoError(t, err)
	require.Zero(t, again.Forwarded)

	c := plain(1475, 1639, 32)
	c.Leveling, c.Threshold, c.GCFree = "threshold", 1000, 3
	d = newDevice(t, c)
	r, err = Age(context.Background(), d, writes(uniform(d, 3)), Ageing{Warm: 1, Watch: 1, MaxWatch: 4, Tolerance: 0.02, Volumes: 100}, nil)
	require.ErrorIs(t, err, ErrUnsure)
	require.ErrorContains(t, err, "after 4 volumes watched: ")
	require.Zero(t, r.Forwarded)

	_, err = Age(context.Background(), d, func() (Request, error) { return Request{Op: 'R', Sectors: 8}, nil }, Ageing{Watch: 1, MaxWatch: 1, Tolerance: 1, Volumes: 1}, nil)
	require.ErrorContains(t, err, "writes nothing")
	_, err = Age(context.Background(), d, nil, Ageing{Watch: 1, MaxWatch: 1, Tolerance: 1}, nil)
	require.ErrorContains(t, err, "volumes or erases")
}
