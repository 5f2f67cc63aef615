package emulator

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// clockwork is a device whose timing can be followed by hand: 2 channels, a LUN
// of 2 planes on each, so that page i of a line is on channel i%2, plane i/2%2.
func clockwork() Config {
	c := DefaultConfig()
	c.Geometry = Geometry{SectorSize: 512, SectorsPerPage: 8, PagesPerBlock: 8, BlocksPerPlane: 64, PlanesPerLUN: 2, LUNsPerChannel: 1, Channels: 2}
	c.Timing = Timing{Read: 40_000, Program: 200_000, Erase: 2_000_000, Transfer: 5_000}
	c.Suspend, c.Buffer, c.BufferEntry, c.Link = 0, 0, 0, 0
	return c
}

func write(t *testing.T, d *Device, now int64, page, n uint64) int64 {
	t.Helper()
	latency, err := d.Write(now, page*8, n*8)
	require.NoError(t, err)
	return latency
}

func read(t *testing.T, d *Device, now int64, page, n uint64) int64 {
	t.Helper()
	latency, err := d.Read(now, page*8, n*8)
	require.NoError(t, err)
	return latency
}

// The planes of a LUN program at once, their channel carries one page at a time.
func TestPlanesShareTheirChannel(t *testing.T) {
	d := newDevice(t, clockwork())
	require.EqualValues(t, 205_000, write(t, d, 0, 0, 1))
	const later = 1_000_000
	require.EqualValues(t, 205_000, write(t, d, later, 1, 2), "pages 1 and 2 are on two channels")
	require.EqualValues(t, 210_000, write(t, d, 2*later, 3, 3), "pages 3 and 5 are on one channel: the second is sent after the first")
	require.EqualValues(t, 45_000, read(t, d, 3*later, 0, 1))
	require.EqualValues(t, 50_000, read(t, d, 4*later, 1, 3), "pages 1 and 3 are sensed at once and sent in turn")
	require.EqualValues(t, 85_000, read(t, d, 5*later, 1, 1)+read(t, d, 5*later, 5, 1)-45_000, "one plane senses in turn")
}

func TestReadsSuspendPrograms(t *testing.T) {
	waits := newDevice(t, clockwork())
	write(t, waits, 0, 0, 1)
	require.EqualValues(t, 205_000-100_000+45_000, read(t, waits, 100_000, 0, 1), "after the program")

	c := clockwork()
	c.Suspend = 20_000
	d := newDevice(t, c)
	write(t, d, 0, 0, 1)
	require.EqualValues(t, 20_000+40_000+5_000, read(t, d, 100_000, 0, 1), "the program gives way")
	// The program now ends at 205 + 20 + 40; the next one on the plane (page 4)
	// begins there.
	write(t, d, 120_000, 1, 3)
	require.EqualValues(t, 265_000-130_000+200_000, write(t, d, 130_000, 4, 1))
	require.EqualValues(t, 45_000, read(t, d, 10_000_000, 0, 1), "nothing to suspend")
}

// A write ends when the buffer has taken it, as long as the buffer has room;
// what it holds is read from it, and a flush waits for the flash.
func TestWriteBuffer(t *testing.T) {
	c := clockwork()
	c.Buffer, c.BufferEntry = 4, 8_000
	d := newDevice(t, c)
	for page := range uint64(4) {
		require.EqualValues(t, 8_000, write(t, d, 0, page, 1))
	}
	require.EqualValues(t, 213_000+8_000, write(t, d, 0, 4, 1), "page 0 has to leave first")
	require.EqualValues(t, 8_000, read(t, d, 100_000, 2, 1))
	require.Positive(t, d.Flush(100_000))
	end := d.Flush(0)
	require.EqualValues(t, 221_000+5_000+200_000, end, "page 4 was the last")
	require.Zero(t, d.Flush(end))
	require.EqualValues(t, 45_000, read(t, d, end, 2, 1), "from flash again")
}

// Collection a few pages at a time keeps the worst write short.
func TestIncrementalCollection(t *testing.T) {
	worst := map[string]int64{}
	for _, pace := range []string{"line", "incremental"} {
		c := smallConfig()
		c.BlocksPerPlane, c.GCPace, c.Buffer = 256, pace, 16
		d := newDevice(t, c)
		fill(t, d)
		rng := rand.New(rand.NewPCG(1, 1))
		now := d.Flush(0)
		h := new(Histogram)
		for i := range 3 * d.Pages() {
			now += 400_000 // a quarter of what the flash can take at this spare
			latency, err := d.Write(now, uint64(rng.IntN(d.Pages()))*8, 8)
			require.NoError(t, err)
			if i > d.Pages() {
				h.Add(latency)
			}
		}
		require.NotZero(t, d.stats.Erases[byGC])
		worst[pace] = h.Quantile(0.999)
		t.Logf("%s: WA %.2f, mean %.0f us, p99.9 %d us, now %v last %v", pace, d.stats.WAF(), h.Mean()/1000, worst[pace]/1000, now, d.Flush(0))
	}
	require.Less(t, worst["incremental"], worst["line"]/2)
}

// Reads of worn flash are repeated, each repeat sensing anew.
func TestReadRetry(t *testing.T) {
	c := clockwork()
	c.Reliability = cvssReliability()
	d := newDevice(t, c)
	write(t, d, 0, 0, 1)
	require.EqualValues(t, 45_000, read(t, d, 1e6, 0, 1), "new flash")
	for line := range d.lines.Erases {
		d.lines.Erases[line] = 200
		d.retryCount[line] = d.cfg.retries(200, 0)
	}
	// 0.00148 + 5.16e-7 * 200^2.05 is 0.0284, 18.6 times what ECC corrects.
	require.EqualValues(t, 5, d.cfg.retries(200, 0))
	require.EqualValues(t, 6*40_000+5_000, read(t, d, 2e6, 0, 1))
	require.EqualValues(t, 5, d.Report().Retries)
	require.Greater(t, d.cfg.retries(200, 100_000), d.cfg.retries(200, 0), "reads disturb")
}

// A line read too often is rewritten, even if nothing is ever written.
func TestReadReclaim(t *testing.T) {
	c := clockwork()
	c.ReadReclaim = 500
	d := newDevice(t, c)
	fill(t, d)
	now := int64(1e9)
	for range 2000 {
		now += 1e6
		read(t, d, now, 0, 1)
	}
	r := d.Report()
	require.EqualValues(t, 4, d.stats.Erases[byRefresh], "one for every 500 reads")
	require.Positive(t, r.RefreshPages)
	require.InEpsilon(t, float64(r.RefreshPages)/float64(r.HostPages), r.RefreshShare, 1e-9)
	for _, reads := range d.lines.Reads {
		require.LessOrEqual(t, reads, uint32(500))
	}
	require.NoError(t, d.Check())
}

// Lines of their own for what is overwritten soon, and for what collection
// moves, spare copies where writes are skewed.
func TestHotColdSeparation(t *testing.T) {
	wa := func(change func(*Config)) float64 {
		c := plain(450, 500, 32)
		c.GCFree = 2
		change(&c)
		a, _ := steady(t, c, 20, 5, func(d *Device) func() uint32 { return hotCold(d, 3, 0.9, 0.1) })
		return a
	}
	mixed := wa(func(*Config) {})
	apart := wa(func(c *Config) { c.SeparateGC = true })
	hot := wa(func(c *Config) { c.SeparateGC, c.HotCold = true, true })
	t.Logf("WA %.2f mixed, %.2f with collection apart, %.2f with hot apart too", mixed, apart, hot)
	require.Less(t, apart, mixed*0.9)
	require.Less(t, hot, mixed*0.9)
}

// A trim drops what it covers wholly, and dropping saves copies.
func TestTrim(t *testing.T) {
	d := newDevice(t, clockwork())
	fill(t, d)
	_, err := d.Trim(0, 4, 24) // half of page 0, pages 1 and 2, half of page 3
	require.NoError(t, err)
	require.Equal(t, []bool{true, false, false, true}, []bool{d.mapping[0] != none, d.mapping[1] != none, d.mapping[2] != none, d.mapping[3] != none})
	require.EqualValues(t, 2, d.Report().Trimmed)
	require.Zero(t, read(t, d, 1e9, 1, 2), "nothing there")

	half := uint64(d.Pages()/2) * 8
	_, err = d.Trim(0, half, half)
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 4 * d.Pages() {
		_, err := d.WritePage(uint32(rng.IntN(d.Pages() / 2)))
		require.NoError(t, err)
	}
	require.Less(t, d.Report().WAF, 1.25, "half of the device is spare now")
	require.NoError(t, d.Check())
}
