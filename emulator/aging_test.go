package emulator

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Wear after 120 volumes, of which 118 are simulated or added at once.
func TestAging(t *testing.T) {
	for _, c := range []struct {
		name      string
		change    func(*Config)
		next      func(*Device) func() uint32
		tolerance float64 // of the standard deviation, relative, for 1639 lines; 0: half an erase
	}{
		{"greedy", func(*Config) {}, func(d *Device) func() uint32 { return uniform(d, 5) }, 0.08},
		{"skewed", func(*Config) {}, func(d *Device) func() uint32 { return hotCold(d, 5, 0.9, 0.1) }, 0.10},
		{"random", func(c *Config) { c.GC = "random" }, func(d *Device) func() uint32 { return uniform(d, 5) }, 0.08},
		{"fifo", func(c *Config) { c.GC = "fifo" }, func(d *Device) func() uint32 { return uniform(d, 5) }, 0},
		{"youngest", func(c *Config) { c.Allocation = "youngest" }, func(d *Device) func() uint32 { return uniform(d, 5) }, 0.10},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := plain(1475, 1639, 32)
			c.change(&cfg)
			wear := func(forward bool) (Wear, *Device) {
				d := newDevice(t, cfg)
				fill(t, d)
				next := c.next(d)
				if !forward {
					volumes(t, d, 120, next)
					return WearOf(d.lines.Erases), d
				}
				volumes(t, d, 30, next)
				a := NewAging(d)
				for range 8 {
					volumes(t, d, 1, next)
					a.Mark()
				}
				g, err := a.Forward(82)
				require.NoError(t, err)
				t.Logf("%+v", g)
				require.NoError(t, d.Check())
				return WearOf(d.lines.Erases), d
			}
			want, whole := wear(false)
			got, d := wear(true)
			t.Logf("mean %.1f %.1f sd %.3f %.3f", want.Mean, got.Mean, want.SD, got.SD)
			require.InEpsilon(t, want.Mean, got.Mean, 0.01)
			if c.tolerance == 0 {
				require.InDelta(t, want.SD, got.SD, 0.5)
			} else {
				require.InEpsilon(t, want.SD, got.SD, c.tolerance)
			}
			require.InEpsilon(t, whole.Report().HostPages, d.Report().HostPages, 1e-9)
			volumes(t, d, 1, c.next(d))
			require.NoError(t, d.Check())
		})
	}
	_, err := NewAging(newDevice(t, plain(50, 60, 8))).Forward(1)
	require.ErrorContains(t, err, "five marks")
}
