package emulator

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// lifetime writes a device to its end of life and returns the full-device
// writes it took and the report. As Jiao et al. (HotStorage'22) have it: three
// volumes of uniform writes over everything without leveling, which do not
// count, then 90/10 or uniform writes to the first share of the space.
func lifetime(t testing.TB, c Config, skew bool, footprint float64) (tbw float64, r Report) {
	d := newDevice(t, c)
	d.PauseLeveling(true)
	fill(t, d)
	volumes(t, d, 3, uniform(d, 1))
	d.PauseLeveling(false)
	n := uint32(float64(d.Pages()) * footprint)
	rng := d.lines.Rand
	for {
		p := rng.Uint32N(n)
		if skew {
			if p = rng.Uint32N(n / 10); rng.Uint32N(10) == 0 {
				p = n/10 + rng.Uint32N(n-n/10)
			}
		}
		if _, err := d.WritePage(p); err != nil {
			require.ErrorIs(t, err, ErrWornOut)
			break
		}
	}
	require.NoError(t, d.Check())
	r = d.Report()
	return float64(r.WornOut)/float64(d.Pages()) - 4, r
}

// The finding of Jiao et al.: wear leveling as published shortens life when
// the whole space is written and lengthens it when most data is cold. Writing
// what it moves to lines of its own removes the harm and multiplies the gain.
func TestWearLevelingShape(t *testing.T) {
	config := func(policy string, separate bool) Config {
		c := plain(400, 443, 64)
		c.Endurance, c.Leveling, c.SeparateWL, c.GCFree = 120, policy, separate, 3
		return c
	}
	for _, skew := range []bool{true, false} {
		none, _ := lifetime(t, config("none", false), skew, 1)
		cold, coldReport := lifetime(t, config("none", false), skew, 0.05)
		for _, policy := range []string{"pwl", "dual-pool", "obp"} {
			full, r := lifetime(t, config(policy, false), skew, 1)
			require.Less(t, full, none*1.02, "%s, full footprint", policy)
			require.Positive(t, r.WLPages)
			small, r := lifetime(t, config(policy, false), skew, 0.05)
			require.Greater(t, small, cold*1.2, "%s, small footprint", policy)
			require.Less(t, r.EraseSD, coldReport.EraseSD)
			t.Logf("skew %v %s: full %.1f to %.1f, small %.1f to %.1f", skew, policy, none, full, cold, small)
		}
		full, _ := lifetime(t, config("threshold", true), skew, 1)
		require.Greater(t, full, none*0.97)
		small, r := lifetime(t, config("threshold", true), skew, 0.05)
		require.Greater(t, small, cold*4)
		require.Less(t, r.EraseSD, coldReport.EraseSD/4)
		t.Logf("skew %v packed: full %.1f to %.1f, small %.1f to %.1f", skew, none, full, cold, small)
	}
}

// With write points of its own for collection, whose lines hold colder data, giving
// the least erased line to whoever comes first parts erase counts: lines that are
// young get cold data as often as others, rest, and stay young. By temperature
// counts stay together. Which line is opened changes nothing else.
func TestAllocation(t *testing.T) {
	spread, latency, wa := map[string]float64{}, map[string]int64{}, map[string]float64{}
	for _, allocation := range []string{fifo, youngest, hotYoung} {
		c := smallConfig()
		c.PagesPerBlock, c.BlocksPerPlane, c.Allocation = 4, 256, allocation
		d := newDevice(t, c)
		fill(t, d)
		next := hotCold(d, 1, 0.9, 0.1)
		for range 60 * d.Pages() {
			d.now += 100_000
			l, err := d.Write(d.now, uint64(next())*uint64(c.SectorsPerPage), uint64(c.SectorsPerPage))
			require.NoError(t, err)
			latency[allocation] += l
		}
		require.NoError(t, d.Check())
		spread[allocation], wa[allocation] = WearOf(d.lines.Erases).SD, d.stats.WAF()
	}
	t.Log(spread, wa)
	require.Greater(t, spread[youngest], spread[fifo])
	require.Less(t, spread[hotYoung], spread[fifo]/2)
	require.Equal(t, latency[fifo], latency[hotYoung])
	require.Equal(t, wa[fifo], wa[hotYoung])
}
