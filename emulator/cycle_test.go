package emulator

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// A device that skipped thousands of passes is the device that made them.
func TestCycle(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		pass   func(*Device) // the workload, the same every time
	}{
		{"sequential", func(*Config) {}, sequentialPass},
		{"sequential, incremental", func(c *Config) {
			c.GCPace, c.GCFree, c.SeparateGC, c.LogicalPages = "incremental", 4, true, 50*16
		}, sequentialPass},
		{"fifo", func(c *Config) { c.GC = "fifo" }, sequentialPass},
		{"cost-benefit", func(c *Config) { c.GC = "cost-benefit" }, sequentialPass},
		{"youngest", func(c *Config) { c.Allocation = "youngest" }, sequentialPass},
		{"trims", func(*Config) {}, func(d *Device) {
			sequentialPass(d)
			_, _ = d.Trim(0, 16*8, 64*8)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := plain(56, 64, 16)
			c.change(&cfg)
			whole, short := newDevice(t, cfg), newDevice(t, cfg)
			fill(t, whole)
			fill(t, short)
			y, err := NewCycle(short)
			require.NoError(t, err)
			passes := 0
			for done := false; !done; done = y.Mark() != 0 {
				c.pass(short)
				passes++
				require.Less(t, passes, 2000, "no period")
			}
			skipped, err := y.Skip(1000)
			require.NoError(t, err)
			require.Positive(t, skipped)
			t.Logf("period found after %d passes, %d skipped", passes, skipped)
			again, err := y.Skip(1000)
			require.NoError(t, err)
			for range passes + skipped + again {
				c.pass(whole)
			}
			same := func() {
				t.Helper()
				require.Zero(t, slices.Compare(whole.lines.Erases, short.lines.Erases))
				require.Equal(t, whole.stats, short.stats)
				require.Equal(t, whole.lines.Clock, short.lines.Clock)
				require.Zero(t, slices.Compare(whole.mapping, short.mapping))
				require.NoError(t, short.Check())
			}
			same()
			for range 5 { // and goes on as it does
				c.pass(whole)
				c.pass(short)
			}
			same()
		})
	}
}

func sequentialPass(d *Device) {
	for p := range uint32(d.Pages()) {
		_, _ = d.WritePage(p)
	}
}

// Skipping ends before a block goes bad, and is refused where it could not be exact.
func TestCycleLimits(t *testing.T) {
	c := plain(56, 64, 16)
	c.Endurance, c.GCFree, c.LogicalPages = 100, 3, 50*16
	d := newDevice(t, c)
	y, err := NewCycle(d)
	require.NoError(t, err)
	_, err = y.Skip(1)
	require.ErrorContains(t, err, "not come back")
	for done := false; !done; done = y.Mark() != 0 {
		sequentialPass(d)
	}
	skipped, err := y.Skip(1 << 20)
	require.NoError(t, err)
	require.Positive(t, skipped)
	require.Less(t, WearOf(d.lines.Erases).Max, uint32(100))
	require.Zero(t, d.stats.BadBlocks)
	sequentialPass(d)
	_, err = y.Skip(1)
	require.ErrorContains(t, err, "written since")

	for _, change := range []func(*Config){
		func(c *Config) { c.GC = "d-choice" }, func(c *Config) { c.GC = "wear-aware" },
		func(c *Config) { c.Leveling = "threshold" },
	} {
		cfg := c
		change(&cfg)
		_, err := NewCycle(newDevice(t, cfg))
		require.ErrorContains(t, err, "does not follow the state alone")
	}
}
