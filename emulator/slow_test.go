//go:build slow

package emulator

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
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

// A hundred times the way that is watched: the mean and the standard deviation
// of erase counts within 2 % of those simulated, for workloads and seeds that
// nothing was set by. Of that, 0.5 % is the sampling error of the simulation.
func TestAgingHundredfold(t *testing.T) {
	for _, allocation := range []string{"fifo", "youngest"} {
		for _, gc := range []string{"greedy", "d-choice", "random"} {
			for name, next := range map[string]func(*Device, uint64) func() uint32{
				"uniform": uniform,
				"90-10":   func(d *Device, seed uint64) func() uint32 { return hotCold(d, seed, 0.9, 0.1) },
				"zipf":    zipf,
			} {
				t.Run(allocation+"/"+gc+"/"+name, func(t *testing.T) {
					for seed := uint64(2001); seed <= 2005; seed++ {
						cfg := plain(16384, 18204, 8)
						cfg.GC, cfg.Seed, cfg.Allocation = gc, seed, allocation
						if allocation == "youngest" { // of several
							cfg.GCFree, cfg.BlocksPerPlane = 4, cfg.BlocksPerPlane+3
						}
						d := newDevice(t, cfg)
						fill(t, d)
						pick := next(d, seed)
						volumes(t, d, 30, pick)
						got, want, g := aged(t, d, pick, 4, 400)
						require.LessOrEqual(t, g.Error, 0.02)
						require.InEpsilon(t, want.Mean, got.Mean, 0.02)
						require.InEpsilon(t, want.SD, got.SD, 0.02)
					}
				})
			}
		}
	}
}

// zipf picks pages with exponent 0.99.
func zipf(d *Device, seed uint64) func() uint32 {
	rng, sums := rand.New(rand.NewPCG(seed, 1)), make([]float64, d.Pages())
	sum := 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -0.99)
		sums[i] = sum
	}
	return func() uint32 {
		at, _ := slices.BinarySearch(sums, rng.Float64()*sum)
		return uint32(min(at, len(sums)-1))
	}
}
