package emulator

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Peek tells what a read of one page then takes, and changes nothing.
func TestPeek(t *testing.T) {
	for _, suspend := range []int64{0, 20_000} {
		cfg, err := Preset("small")
		require.NoError(t, err)
		cfg.Suspend = suspend
		d, err := New(cfg)
		require.NoError(t, err)
		rng := rand.New(rand.NewPCG(1, 2))
		now := int64(0)
		for range 200_000 {
			now += int64(rng.IntN(60_000))
			lba := uint64(rng.IntN(d.Pages()/16)) * 8
			if rng.IntN(3) > 0 {
				_, err := d.Write(now, lba, 8)
				require.NoError(t, err)
				continue
			}
			want := d.Peek(now, lba, 8)
			require.Equal(t, want, d.Peek(now, lba, 8))
			got, err := d.Read(now, lba, 8)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
}
