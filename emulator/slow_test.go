//go:build slow

package emulator

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// The thresholds' write amplification at FEMU's own 16 GiB.
func TestFEMUThresholdsFullSize(t *testing.T) {
	for pct, want := range map[float64]float64{75: 7.995, 90: 3.224, 95: 2.583} {
		got := femuWA(t, pct, 256)
		t.Logf("%v %%: %.3f", pct, got)
		require.InEpsilon(t, want, got, 0.01, "threshold %v", pct)
	}
}

// A day of virtual time of mixed requests, then on to the end of life, three
// lifetimes over: no invariant breaks and no memory is lost.
func TestLongRun(t *testing.T) {
	c := small()
	c.Endurance, c.BlocksPerPlane, c.Leveling = 300, 128, "threshold"
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var after [3]uint64
	for life := range 3 {
		c.Seed = uint64(life + 1)
		d := newDevice(t, c)
		rng := rand.New(rand.NewPCG(c.Seed, 9))
		sectors := uint64(d.Pages() * c.SectorsPerPage)
		now, day, requests := int64(0), int64(86_400_000_000_000), 0
		for {
			// First a day at some 8 requests a second, then without pause.
			if now < day {
				now += rng.Int64N(240_000_000)
			} else {
				now += 50_000
			}
			n := 1 + rng.Uint64N(32)
			lba := rng.Uint64N(sectors - n + 1)
			if rng.IntN(5) > 0 {
				lba /= 8
			}
			var err error
			switch x := rng.IntN(20); {
			case x < 12 && now < day || x < 4:
				_, err = d.Read(now, lba, n)
			case x == 19:
				_, err = d.Trim(now, lba, n)
			default:
				_, err = d.Write(now, lba, n)
			}
			if err != nil {
				require.ErrorIs(t, err, ErrWornOut)
				break
			}
			if requests++; requests%200_000 == 0 {
				require.NoError(t, d.Check())
			}
		}
		require.NoError(t, d.Check())
		after[life] = heap()
		r := d.Report()
		t.Logf("life %d: %d requests, %.1f h, WA %.2f, erases %.0f sd %.1f, %d bad blocks", life, requests, float64(now)/3.6e12, r.WAF, r.EraseMean, r.EraseSD, r.BadBlocks)
		runtime.KeepAlive(d)
	}
	require.InDelta(t, float64(after[0]), float64(after[2]), 1<<20)
}
