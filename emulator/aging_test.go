package emulator

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// aged watches a device for some volumes and adds so many more, and simulates
// them too, from the same state.
func aged(t *testing.T, d *Device, next func() uint32, watched, more float64) (got, want Wear, g Growth) {
	t.Helper()
	a := NewAging(d)
	volumes(t, d, watched, next)
	var state bytes.Buffer
	require.NoError(t, d.Snapshot(&state))
	whole, err := Restore(&state)
	require.NoError(t, err)
	pages := uint64(more * float64(d.Pages()))
	g, err = a.Forward(pages, 1)
	require.NoError(t, err)
	require.NoError(t, d.Check())
	volumes(t, whole, more, next)
	require.InEpsilon(t, whole.Report().HostPages, d.Report().HostPages, 1e-9)
	got, want = WearOf(d.lines.Erases), WearOf(whole.lines.Erases)
	t.Logf("%+v: mean %.2f for %.2f, sd %.3f for %.3f: %+.2f %%", g, got.Mean, want.Mean, got.SD, want.SD, 100*(got.SD/want.SD-1))
	volumes(t, d, 1, next)
	require.NoError(t, d.Check())
	return got, want, g
}

// Wear added at once against wear simulated. The simulated spread is that of a
// sample of lines, and has the error of one.
func TestAging(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		next   func(*Device) func() uint32
		warm   float64
	}{
		{"greedy", func(*Config) {}, func(d *Device) func() uint32 { return uniform(d, 5) }, 3},
		{"skewed", func(*Config) {}, func(d *Device) func() uint32 { return hotCold(d, 5, 0.9, 0.1) }, 30},
		{"random", func(c *Config) { c.GC = "random" }, func(d *Device) func() uint32 { return uniform(d, 5) }, 3},
		{"fifo", func(c *Config) { c.GC = "fifo" }, func(d *Device) func() uint32 { return uniform(d, 5) }, 3},
		{"separate", func(c *Config) { c.SeparateGC, c.GCFree, c.GCPace = true, 4, "incremental" }, func(d *Device) func() uint32 { return hotCold(d, 5, 0.9, 0.1) }, 30},
		{"youngest", func(c *Config) { c.Allocation, c.GCFree = "youngest", 16; c.BlocksPerPlane += 15 }, func(d *Device) func() uint32 { return uniform(d, 5) }, 3},
		{"youngest of many", func(c *Config) { c.Allocation, c.GCFree = "youngest", 600; c.BlocksPerPlane += 599 }, func(d *Device) func() uint32 { return uniform(d, 5) }, 3},
		{"youngest cold data", func(c *Config) { c.Allocation, c.GCFree = "youngest", 16; c.BlocksPerPlane += 15 }, func(d *Device) func() uint32 {
			next := hotCold(d, 5, 0.9, 0.1)
			return func() uint32 { return next() / 4 }
		}, 30},
		{"youngest incremental", func(c *Config) { c.Allocation, c.GCFree, c.GCPace = "youngest", 4, "incremental" }, func(d *Device) func() uint32 {
			return hotCold(d, 5, 0.9, 0.1)
		}, 30},
		{"wear-aware", func(c *Config) { c.GC = "wear-aware" }, func(d *Device) func() uint32 { return uniform(d, 5) }, 30},
		{"cold data", func(*Config) {}, func(d *Device) func() uint32 {
			next := uniform(d, 5)
			return func() uint32 { return next() / 4 }
		}, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := plain(1475, 1639, 32)
			c.change(&cfg)
			d := newDevice(t, cfg)
			fill(t, d)
			next := c.next(d)
			volumes(t, d, c.warm, next)
			got, want, g := aged(t, d, next, 4, 40)
			require.InEpsilon(t, want.Mean, got.Mean, 0.01)
			if c.name == "fifo" {
				require.InDelta(t, want.SD, got.SD, 0.5)
				return
			}
			require.InEpsilon(t, want.SD, got.SD, 3*math.Hypot(g.Error, 1/math.Sqrt(2*1639)))
			require.Less(t, g.Error, 0.05)
		})
	}
}

// What the watch does not tell is refused, and the device is as it was.
func TestAgingRefuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*Config)
		warm       float64 // of uniform writes
		watched    float64 // of skewed writes
		tolerance  float64
	}{
		{"short", "lines were erased .* times in the mean while watched", func(*Config) {}, 3, 0.2, 1},
		{"not steady", "may be wrong by", func(*Config) {}, 3, 0.5, 0.02},
		{"few lines", "may be wrong by", func(c *Config) { *c = plain(135, 150, 32) }, 10, 2, 0.02},
		{"loose", "too loosely", func(c *Config) { c.Leveling, c.Threshold, c.GCFree = "threshold", 1000, 3 }, 3, 4, 1},
		{"youngest", "several write points", func(c *Config) {
			c.Allocation, c.SeparateGC, c.GCFree, c.GCPace = "youngest", true, 4, "incremental"
		}, 3, 4, 1},
		{"pwl", "endurance that is left", func(c *Config) { c.Leveling, c.Endurance, c.GCFree = "pwl", 1000, 3 }, 3, 4, 1},
		{"wears out", "goes bad on the way", func(c *Config) { c.Endurance, c.GCFree = 500, 3 }, 3, 4, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := plain(1475, 1639, 32)
			c.change(&cfg)
			d := newDevice(t, cfg)
			fill(t, d)
			volumes(t, d, c.warm, uniform(d, 5))
			a := NewAging(d)
			volumes(t, d, c.watched, hotCold(d, 5, 0.9, 0.1))
			_, before := d.Hashes()
			stats := d.Stats()
			g, err := a.Forward(uint64(100*d.Pages()), c.tolerance)
			require.Error(t, err)
			t.Logf("%+v: %v", g, err)
			require.Regexp(t, c.want, err.Error())
			_, after := d.Hashes()
			require.Equal(t, before, after)
			require.Equal(t, stats, d.Stats())
			require.NoError(t, d.Check())
		})
	}
}
