package emulator

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/emulator/theory"
)

// plain is a device of single-block lines without timing, with as many blocks
// in use as given and two free beside them: what the analytic models describe.
func plain(logicalBlocks, blocks, pages int) Config {
	c := DefaultConfig()
	c.Geometry = Geometry{SectorSize: 512, SectorsPerPage: 8, PagesPerBlock: pages, BlocksPerPlane: blocks + 2, PlanesPerLUN: 1, LUNsPerChannel: 1, Channels: 1}
	c.Timing, c.Suspend, c.Buffer, c.BufferEntry = Timing{}, 0, 0, 0
	c.LogicalPages = logicalBlocks * pages
	c.GCFree, c.GCPace, c.SeparateGC, c.Allocation = 1, "line", false, "fifo"
	c.SeparateWL = false
	return c
}

func newDevice(t testing.TB, c Config) *Device {
	t.Helper()
	d, err := New(c)
	require.NoError(t, err)
	return d
}

func fill(t testing.TB, d *Device) {
	for p := range uint32(d.Pages()) {
		_, err := d.WritePage(p)
		require.NoError(t, err)
	}
}

// volumes writes n times the logical capacity in pages that next picks and
// returns the write amplification meanwhile.
func volumes(t testing.TB, d *Device, n float64, next func() uint32) float64 {
	before, host := d.stats.programs(), int(n*float64(d.Pages()))
	for range host {
		if _, err := d.WritePage(next()); err != nil {
			require.NoError(t, err)
		}
	}
	return float64(d.stats.programs()-before) / float64(host)
}

func uniform(d *Device, seed uint64) func() uint32 {
	rng, n := rand.New(rand.NewPCG(seed, 1)), uint32(d.Pages())
	return func() uint32 { return rng.Uint32N(n) }
}

// hotCold sends a share r of the writes to the first share f of the pages.
func hotCold(d *Device, seed uint64, r, f float64) func() uint32 {
	rng, n := rand.New(rand.NewPCG(seed, 1)), uint32(d.Pages())
	hot := uint32(f * float64(n))
	return func() uint32 {
		if rng.Float64() < r {
			return rng.Uint32N(hot)
		}
		return hot + rng.Uint32N(n-hot)
	}
}

// steady measures write amplification after the given volumes of warm-up.
func steady(t testing.TB, c Config, warm, measured float64, next func(*Device) func() uint32) (float64, *Device) {
	d := newDevice(t, c)
	fill(t, d)
	pick := next(d)
	volumes(t, d, warm, pick)
	a := volumes(t, d, measured, pick)
	require.NoError(t, d.Check())
	return a, d
}

// Write amplification of the emulator against the closed forms, within 1 %.
func TestTheory(t *testing.T) {
	const logical, pages = 1536, 64
	for _, spare := range []float64{0.07, 0.10, 0.15, 0.25, 0.40} {
		blocks := int(math.Round(logical * theory.Alpha(spare)))
		alpha := float64(blocks) / logical
		for gc, want := range map[string]float64{"fifo": theory.FIFO(alpha), "greedy": theory.Greedy(alpha, pages), "random": theory.Random(alpha)} {
			c := plain(logical, blocks, pages)
			c.GC = gc
			got, _ := steady(t, c, 4, 4, func(d *Device) func() uint32 { return uniform(d, 7) })
			require.InEpsilon(t, want, got, 0.01, "%s at spare %v", gc, spare)
		}
		// F4: two classes of data under FIFO.
		c := plain(logical, blocks, pages)
		c.GC = "fifo"
		got, _ := steady(t, c, 12, 8, func(d *Device) func() uint32 { return hotCold(d, 7, 0.9, 0.1) })
		require.InEpsilon(t, theory.FIFOTraffic(alpha, theory.HotCold(0.9, 0.1)), got, 0.01, "hot and cold at spare %v", spare)
	}
}

// The spread of erase counts after 60 volumes of uniform writes at spare 0.1,
// against an ideal simulator's, within 10 %.
func TestWearSpread(t *testing.T) {
	const logical, pages = 1024, 64
	blocks := int(math.Round(logical / 0.9))
	for _, row := range []struct {
		gc      string
		choices int
		wa, sd  float64
	}{{"fifo", 1, 5.179, 0.49}, {"random", 1, 9.998, 23.1}, {"d-choice", 2, 6.844, 12.5}, {"d-choice", 4, 5.554, 7.4},
		{"d-choice", 10, 4.999, 5.1}, {"d-choice", 100, 4.827, 4.4}, {"greedy", 1, 4.820, 4.45}} {
		t.Run(fmt.Sprintf("%s-%d", row.gc, row.choices), func(t *testing.T) {
			c := plain(logical, blocks, pages)
			c.GC, c.GCChoices = row.gc, row.choices
			d := newDevice(t, c)
			fill(t, d)
			next := uniform(d, 11)
			volumes(t, d, 5, next)
			got := volumes(t, d, 55, next)
			w := WearOf(d.lines.Erases)
			t.Logf("WA %.3f, erases mean %.1f sd %.2f", got, w.Mean, w.SD)
			require.InEpsilon(t, row.wa, got, 0.01)
			require.InEpsilon(t, row.sd, w.SD, 0.10)
			if row.gc == "fifo" {
				require.LessOrEqual(t, w.Max-w.Min, uint32(1))
			}
		})
	}
}

// FEMU's default thresholds keep a quarter of the device free and so multiply
// writes: with blocks a sixteenth of the default's, so that it is quick.
func TestFEMUThresholds(t *testing.T) {
	for pct, want := range map[float64]float64{75: 7.995, 90: 3.224, 95: 2.583} {
		require.InEpsilon(t, want, femuWA(t, pct, 16), 0.01, "threshold %v", pct)
	}
}

// femuWA is WA of FEMU's default device, 75 % of it filled, under uniform
// overwrites in the second window of twice the capacity written.
func femuWA(t testing.TB, pct float64, pagesPerBlock int) float64 {
	cfg := DefaultFEMU()
	cfg.GCThreshold, cfg.PagesPerBlock = pct, pagesPerBlock
	d, err := NewFEMU(cfg)
	require.NoError(t, err)
	logical := uint64(d.Pages()) * 3 / 4
	for p := uint64(0); p < logical; p += 16 {
		_, err := d.Write(1, p*8, 128)
		require.NoError(t, err)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	var before femuStats
	for i := range 4 * logical {
		if i == 2*logical {
			before = d.stats
		}
		_, err := d.Write(1, rng.Uint64N(logical)*8, 8)
		require.NoError(t, err)
	}
	host, gc := d.stats.HostPages-before.HostPages, d.stats.GCPages-before.GCPages
	return float64(host+gc) / float64(host)
}

// small is a device of every feature, of 64 lines of 128 pages.
func small() Config {
	c := DefaultConfig()
	c.Geometry = Geometry{SectorSize: 512, SectorsPerPage: 8, PagesPerBlock: 8, BlocksPerPlane: 64, PlanesPerLUN: 2, LUNsPerChannel: 2, Channels: 4}
	c.OverProvision, c.Buffer = 25, 16
	c.Reliability = cvssReliability()
	c.Endurance, c.EnduranceSD, c.ReadReclaim = 60, 0.2, 20_000
	return c
}

// Whatever the policies, random requests up to the end of life leave every
// invariant intact, every page readable, and no error but the end of life.
func TestInvariants(t *testing.T) {
	for _, victim := range victimKinds {
		for _, leveler := range levelerKinds {
			for _, pace := range []string{"incremental", "line"} {
				t.Run(victim.name+"/"+leveler.name+"/"+pace, func(t *testing.T) {
					c := small()
					c.GC, c.Leveling, c.GCPace, c.Probability = victim.name, leveler.name, pace, 0.1
					c.HotCold = leveler.name == "none"
					c.SeparateGC = victim.name != "random"
					c.SeparateWL = pace == "line"
					d := newDevice(t, c)
					rng := rand.New(rand.NewPCG(1, uint64(len(victim.name)+len(leveler.name))))
					sectors := uint64(d.Pages() * c.SectorsPerPage)
					now := int64(0)
					written := map[uint32]bool{}
					for i := 0; ; i++ {
						now += rng.Int64N(400_000)
						n := 1 + rng.Uint64N(64)
						lba := rng.Uint64N(sectors - n + 1)
						if rng.IntN(4) > 0 { // most requests to a tenth of the space
							lba /= 10
						}
						var latency int64
						var err error
						switch rng.IntN(10) {
						case 0, 1:
							latency, err = d.Read(now, lba, n)
						case 2:
							latency, err = d.Trim(now, lba, n)
							for p := (lba + 7) / 8; p < (lba+n)/8; p++ {
								delete(written, uint32(p))
							}
						default:
							latency, err = d.Write(now, lba, n)
							if err == nil {
								for p := lba / 8; p <= (lba+n-1)/8; p++ {
									written[uint32(p)] = true
								}
							}
						}
						require.GreaterOrEqual(t, latency, int64(0))
						if i%2000 == 0 {
							require.NoError(t, d.Check())
						}
						if err != nil {
							require.ErrorIs(t, err, ErrWornOut)
							break
						}
					}
					require.NoError(t, d.Check())
					for p := range written {
						require.NotEqual(t, none, d.mapping[p], "page %d is lost", p)
					}
					r := d.Report()
					require.NotZero(t, r.FirstBad)
					require.GreaterOrEqual(t, r.WornOut, r.FirstBad)
					require.GreaterOrEqual(t, r.WAF, 1.0)
					_, err := d.Read(now, 0, sectors)
					require.NoError(t, err, "a worn-out device stays readable")
				})
			}
		}
	}
}

// A device written to its last logical page goes on taking overwrites.
func TestFullDevice(t *testing.T) {
	for _, pace := range []string{"incremental", "line"} {
		for _, gc := range victimKinds {
			c := DefaultConfig()
			c.Geometry = Geometry{SectorSize: 512, SectorsPerPage: 8, PagesPerBlock: 4, BlocksPerPlane: 32, PlanesPerLUN: 1, LUNsPerChannel: 2, Channels: 2}
			c.GCPace, c.GC, c.GCFree = pace, gc.name, 2
			c.LogicalPages = (c.Lines() - c.spareLines()) * c.PagesPerLine()
			d := newDevice(t, c)
			fill(t, d)
			volumes(t, d, 3, uniform(d, 1))
			require.NoError(t, d.Check(), gc.name)
		}
	}
}

func TestConfigRefuses(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`gc_policy is "best"; known are greedy, fifo`:   func(c *Config) { c.GC = "best" },
		`wear_leveling is "some"; known are none`:       func(c *Config) { c.Leveling = "some" },
		`gc_pace is "slow"`:                             func(c *Config) { c.GCPace = "slow" },
		`allocation is ""`:                              func(c *Config) { c.Allocation = "" },
		"leave too few spare":                           func(c *Config) { c.OverProvision = 0 },
		"op_pcent is NaN":                               func(c *Config) { c.OverProvision = math.NaN() },
		"gc_free_lines is 0":                            func(c *Config) { c.GCFree = 0 },
		"pwl needs an endurance":                        func(c *Config) { c.Leveling = "pwl" },
		"endurance_sd is 2":                             func(c *Config) { c.EnduranceSD = 2 },
		"geometry: nchs is -1; it must be at least 1":   func(c *Config) { c.Channels = -1 },
		"timing: pg_rd_lat is -5 ns; it must be":        func(c *Config) { c.Timing.Read = -5 },
		"buffer_pgs is -1; it must be between 0 and":    func(c *Config) { c.Buffer = -1 },
		"logical_pgs is -1; it must be between 0 and ":  func(c *Config) { c.LogicalPages = -1 },
		"gc_choices is 0; it must be between 1 and ":    func(c *Config) { c.GCChoices = 0 },
		"wl_probability is 1.5; it must be between 0 a": func(c *Config) { c.Probability = 1.5 },
	} {
		c := DefaultConfig()
		change(&c)
		_, err := New(c)
		require.ErrorContains(t, err, want)
	}
}

// The presets are valid devices.
func TestPresets(t *testing.T) {
	for _, p := range Presets {
		if c := p.Config(); c.Pages() < 1<<20 {
			newDevice(t, c)
		} else {
			_, _, _, err := c.validate()
			require.NoError(t, err, p.Name)
		}
	}
}

// Page programs without timing. The metadata of 16 GiB does not fit the
// processor's caches.
func BenchmarkPrograms(b *testing.B) {
	for _, size := range []struct {
		gib   int
		spare float64
	}{{1, 0.10}, {16, 0.10}, {16, 0.20}} {
		spare := size.spare
		b.Run(fmt.Sprintf("gib=%d/spare=%v", size.gib, spare), func(b *testing.B) {
			c := DefaultConfig()
			c.Geometry = FEMUGeometry()
			c.BlocksPerPlane, c.PagesPerBlock = 1024, 4*size.gib
			c.Timing, c.Suspend, c.Buffer = Timing{}, 0, 0
			c.LogicalPages = int(float64(c.Pages()) * (1 - spare))
			d := newDevice(b, c)
			fill(b, d)
			next := uniform(d, 3)
			volumes(b, d, 1, next)
			before, host := d.stats.programs(), d.stats.Programs[byHost]
			for b.Loop() {
				if _, err := d.WritePage(next()); err != nil {
					b.Fatal(err)
				}
			}
			n := d.stats.programs() - before
			b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mprograms/s")
			b.ReportMetric(float64(n)/float64(d.stats.Programs[byHost]-host), "WA")
		})
	}
}

// Timed requests on the default device, collection included.
func BenchmarkTimedWrites(b *testing.B) {
	c := DefaultConfig()
	c.BlocksPerPlane = 256
	d := newDevice(b, c)
	fill(b, d)
	next := uniform(d, 3)
	volumes(b, d, 1, next)
	now := d.now
	for b.Loop() {
		now += 2000
		if _, err := d.Write(now, uint64(next())*8, 8); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mreq/s")
}

// Memory of a device of 128 GiB, per flash page.
func BenchmarkBytesPerPage(b *testing.B) {
	c := cvssConfig()
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		d := newDevice(b, c)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(c.Pages()), "B/page")
		runtime.KeepAlive(d)
	}
}
