// Package wearlevel has the experiments of the artifact of that name: flash
// wear, its leveling, and write amplification on an emulated SSD.
package wearlevel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"time"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/emulator"
	"reprise/emulator/theory"
)

func init() {
	artifacts.Register(artifacts.Builtin{
		Name: "wearlevel.theory", Version: 1,
		Doc: "write amplification of random writes in steady state, over the value of its closed form",
		Params: []artifacts.Param{
			{Name: "gc", Doc: "victim selection: fifo, greedy or random"},
			{Name: "spare", Doc: "spare factor: the share of blocks in use that is beyond the logical capacity"},
			{Name: "traffic", Doc: "uniform, or hot-cold: 90 % of the writes to 10 % of the pages (fifo)", Default: "uniform"},
			{Name: "blocks", Doc: "logical blocks", Default: 1024},
			{Name: "volumes", Doc: "logical capacities written before measuring, and while", Default: 4},
			{Name: "seed", Doc: "of the writes", Default: 1},
		},
		Run: againstTheory,
	})
	artifacts.Register(artifacts.Builtin{
		Name: "wearlevel.lifetime", Version: 3,
		Doc: "writes a device to its end of life under a wear-leveling policy, or for some volumes",
		Params: []artifacts.Param{
			{Name: "policy", Doc: "static wear leveling: none, threshold, pwl, dual-pool, obp, random-swap, all of which keep a page's place in the line, as published; or packed: threshold, the pages it moves filling lines of their own"},
			{Name: "workload", Doc: "uniform, or skew: 90 % of the writes to 10 % of the footprint", Default: "uniform"},
			{Name: "footprint", Doc: "share of the logical space written", Default: 1.0},
			{Name: "blocks", Doc: "logical blocks of 64 pages", Default: 1024},
			{Name: "endurance", Doc: "erases a block survives", Default: 300},
			{Name: "volumes", Doc: "logical capacities to write; 0: until the device is worn out", Default: 0},
			{Name: "seed", Doc: "of the writes", Default: 1},
		},
		Run: lifetime,
	})
	artifacts.Register(artifacts.Builtin{
		Name: "wearlevel.aging", Version: 6,
		Doc: "wear added at once against wear simulated, for the same number of writes from steady state on",
		Params: []artifacts.Param{
			{Name: "gc", Doc: "victim selection"},
			{Name: "workload", Doc: "uniform; skew: 90 % of the writes to 10 % of the pages; or zipf, with exponent 0.99", Default: "uniform"},
			{Name: "blocks", Doc: "logical blocks of 8 pages", Default: 16384},
			{Name: "warm", Doc: "logical capacities written until the state is steady; 0: 1 if uniform, 30 otherwise", Default: 0},
			{Name: "volumes", Doc: "logical capacities written from there", Default: 404},
			{Name: "watched", Doc: "of these, simulated for watching; twice as many, and so on, while the error told is above 2 %", Default: 4},
			{Name: "seed", Doc: "of the writes", Default: 1},
		},
		Run: aging,
	})
	artifacts.Register(artifacts.Builtin{
		Name: "wearlevel.scale", Version: 1,
		Doc: "memory and page programs a second of the emulator by size of the device",
		Params: []artifacts.Param{
			{Name: "gib", Doc: "raw capacity in GiB, a power of two"},
			{Name: "programs", Doc: "page programs to time", Default: 4_000_000},
		},
		Run: scale,
	})
}

// plain is a device without timing whose lines are single blocks, with so
// many blocks in use and two free beside them.
func plain(logical, blocks, pages int, seed int) emulator.Config {
	c := emulator.DefaultConfig()
	c.Geometry = emulator.Geometry{SectorSize: 512, SectorsPerPage: 8, PagesPerBlock: pages, BlocksPerPlane: blocks + 2, PlanesPerLUN: 1, LUNsPerChannel: 1, Channels: 1}
	c.Timing, c.Suspend, c.Buffer, c.BufferEntry = emulator.Timing{}, 0, 0, 0
	c.LogicalPages = logical * pages
	c.GCFree, c.GCPace, c.SeparateGC, c.SeparateWL, c.Allocation, c.Seed = 1, "line", false, false, "fifo", uint64(seed)
	return c
}

// work writes pages of a device.
type work struct {
	ctx  context.Context
	env  *artifacts.Env
	d    *emulator.Device
	done uint64
	of   float64 // expected in all, 0 if unknown
}

// write writes n pages that next picks.
func (w *work) write(n int, next func() uint32) error {
	for range n {
		if w.done&0xffff == 0 {
			if w.ctx.Err() != nil {
				return context.Cause(w.ctx)
			}
			w.env.Progress(float64(w.done), w.of, "pages written")
		}
		w.done++
		if _, err := w.d.WritePage(next()); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) fill() error {
	p := uint32(0)
	return w.write(w.d.Pages(), func() uint32 { p++; return p - 1 })
}

// uniform picks among the first n pages.
func uniform(rng *rand.Rand, n int) func() uint32 {
	return func() uint32 { return rng.Uint32N(uint32(n)) }
}

// skewed sends 90 % of the writes to the first tenth of n pages.
func skewed(rng *rand.Rand, n int) func() uint32 {
	hot := uint32(n / 10)
	return func() uint32 {
		if rng.Uint32N(10) != 0 {
			return rng.Uint32N(hot)
		}
		return hot + rng.Uint32N(uint32(n)-hot)
	}
}

// zipf picks among n pages with exponent 0.99, the first most often.
func zipf(rng *rand.Rand, n int) func() uint32 {
	sums, sum := make([]float64, n), 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -0.99)
		sums[i] = sum
	}
	return func() uint32 {
		at, _ := slices.BinarySearch(sums, rng.Float64()*sum)
		return uint32(min(at, n-1))
	}
}

func newRand(seed any) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed.(int)), 0x77ea)) }

// againstTheory observes wa, measured, and wa_over_theory.
func againstTheory(ctx context.Context, env *artifacts.Env) error {
	const pages = 64
	gc, traffic := env.Params["gc"].(string), env.Params["traffic"].(string)
	logical, volumes := env.Params["blocks"].(int), env.Params["volumes"].(int)
	spare, err := number(env.Params["spare"])
	if err != nil || !(spare > 0 && spare < 1) {
		return fmt.Errorf("spare is %v; it must be between 0 and 1", env.Params["spare"])
	}
	blocks := int(math.Round(float64(logical) * theory.Alpha(spare)))
	alpha := float64(blocks) / float64(logical)
	var want float64
	switch {
	case traffic == "hot-cold" && gc == "fifo":
		want = theory.FIFOTraffic(alpha, theory.HotCold(0.9, 0.1))
	case traffic != "uniform":
		return fmt.Errorf("there is no closed form for %s under %s", gc, traffic)
	case gc == "fifo":
		want = theory.FIFO(alpha)
	case gc == "greedy":
		want = theory.Greedy(alpha, pages)
	case gc == "random":
		want = theory.Random(alpha)
	default:
		return fmt.Errorf("there is no closed form for %s", gc)
	}

	c := plain(logical, blocks, pages, env.Params["seed"].(int))
	c.GC = gc
	d, err := emulator.New(c)
	if err != nil {
		return err
	}
	w := &work{ctx: ctx, env: env, d: d, of: float64((2*volumes + 1) * d.Pages())}
	next := uniform(newRand(env.Params["seed"]), d.Pages())
	if traffic == "hot-cold" {
		next = skewed(newRand(env.Params["seed"]), d.Pages())
	}
	if err := errors.Join(w.fill(), w.write(volumes*d.Pages(), next)); err != nil {
		return err
	}
	before := d.Report()
	if err := w.write(volumes*d.Pages(), next); err != nil {
		return err
	}
	if err := d.Check(); err != nil {
		return err
	}
	after := d.Report()
	host := float64(after.HostPages - before.HostPages)
	wa := (host + float64(after.GCPages-before.GCPages)) / host
	return errors.Join(
		env.Observe(checks.Observation{Metric: "wa", Value: wa, Unit: "1"}),
		env.Observe(checks.Observation{Metric: "wa_over_theory", Value: wa / want, Unit: "1"}),
	)
}

// lifetime observes tbw (the workload's writes in logical capacities), wa and its parts
// wa_gc and wa_wl, and erase_mean, erase_sd, erase_gini and bad_blocks at the end.
// Of the first seed it also observes, to be looked at and not judged, wa_so_far by
// volume and erases by block, the mean of neighbours.
func lifetime(ctx context.Context, env *artifacts.Env) error {
	const pages = 64
	logical, footprint := env.Params["blocks"].(int), env.Params["footprint"].(float64)
	if !(footprint > 0 && footprint <= 1) {
		return fmt.Errorf("footprint is %v; it must be above 0 and at most 1", footprint)
	}
	// As Jiao et al.: S_f 0.1; before the workload a volume written in order and
	// three of uniform writes without leveling, which wear but do not count.
	c := plain(logical, int(math.Round(float64(logical)/0.9)), pages, env.Params["seed"].(int))
	c.Endurance, c.Leveling, c.GCFree = uint32(env.Params["endurance"].(int)), env.Params["policy"].(string), 3
	if c.Leveling == "packed" {
		c.Leveling, c.SeparateWL = "threshold", true
	}
	d, err := emulator.New(c)
	if err != nil {
		return err
	}
	rng := newRand(env.Params["seed"])
	n := max(10, int(footprint*float64(d.Pages())))
	next := uniform(rng, n)
	switch wl := env.Params["workload"]; wl {
	case "skew":
		next = skewed(rng, n)
	case "uniform":
	default:
		return fmt.Errorf("workload is %v; it is uniform or skew", wl)
	}
	w := &work{ctx: ctx, env: env, d: d}
	volumes := env.Params["volumes"].(int)
	d.PauseLeveling(true)
	err = errors.Join(w.fill(), w.write(3*d.Pages(), uniform(rng, d.Pages())))
	d.PauseLeveling(false)
	var course course
	for done := 0; err == nil && (volumes == 0 || done < volumes); done++ {
		err = w.write(d.Pages(), next)
		course.add(done+1, d.Report().WAF)
	}
	if err != nil && !errors.Is(err, emulator.ErrWornOut) {
		return err
	}
	if err := d.Check(); err != nil {
		return err
	}
	if env.Params["seed"].(int) == 1 {
		if err := errors.Join(course.observe(env), observeErases(env, d)); err != nil {
			return err
		}
	}
	r := d.Report()
	for metric, v := range map[string]float64{
		"tbw": float64(r.HostPages)/float64(d.Pages()) - 4, "wa": r.WAF, "wa_gc": r.GCShare, "wa_wl": r.WLShare,
		"erase_mean": r.EraseMean, "erase_sd": r.EraseSD, "erase_gini": r.Wear.Gini, "bad_blocks": float64(r.BadBlocks),
	} {
		if err := env.Observe(checks.Observation{Metric: metric, Value: v, Unit: "1"}); err != nil {
			return err
		}
	}
	return nil
}

// course is a value over the volumes written, at no more than so many of them.
type course struct {
	volumes []int
	values  []float64
	every   int
}

const coursePoints = 32

func (c *course) add(volume int, v float64) {
	if c.every = max(c.every, 1); volume%c.every != 0 {
		return
	}
	if len(c.volumes) == coursePoints {
		for i := range coursePoints / 2 {
			c.volumes[i], c.values[i] = c.volumes[2*i+1], c.values[2*i+1]
		}
		c.volumes, c.values, c.every = c.volumes[:coursePoints/2], c.values[:coursePoints/2], 2*c.every
		if volume%c.every != 0 {
			return
		}
	}
	c.volumes, c.values = append(c.volumes, volume), append(c.values, v)
}

func (c *course) observe(env *artifacts.Env) error {
	for i, volume := range c.volumes {
		if err := env.Observe(checks.Observation{Metric: "wa_so_far", Value: c.values[i], Unit: "1", Labels: map[string]string{"volume": strconv.Itoa(volume)}}); err != nil {
			return err
		}
	}
	return nil
}

// observeErases observes how often neighbouring blocks were erased, in the mean.
func observeErases(env *artifacts.Env, d *emulator.Device) error {
	const marks = 64
	erases := d.Lines().Erases
	each := (len(erases) + marks - 1) / marks
	for from := 0; from < len(erases); from += each {
		part := erases[from:min(from+each, len(erases))]
		sum := 0.0
		for _, n := range part {
			sum += float64(n)
		}
		if err := env.Observe(checks.Observation{Metric: "erases", Value: sum / float64(len(part)), Unit: "1", Labels: map[string]string{"block": strconv.Itoa(from)}}); err != nil {
			return err
		}
	}
	return nil
}

// aging observes mean_error and sd_error, relative to the simulation, the
// error_told without it, writes_saved (all over simulated, from steady state on)
// and the ratio of times taken.
func aging(ctx context.Context, env *artifacts.Env) error {
	const pages = 8 // many small blocks: the error of a standard deviation is 1/sqrt(2 blocks)
	const tolerance = 0.02
	logical, volumes, watched := env.Params["blocks"].(int), env.Params["volumes"].(int), env.Params["watched"].(int)
	if watched < 1 || volumes <= watched {
		return fmt.Errorf("%d volumes cannot be watched, of %d in all", watched, volumes)
	}
	pick, warm := uniform, 30
	switch wl := env.Params["workload"]; wl {
	case "skew":
		pick = skewed
	case "zipf":
		pick = zipf
	case "uniform":
		warm = 1
	default:
		return fmt.Errorf("workload is %v; it is uniform, skew or zipf", wl)
	}
	if w := env.Params["warm"].(int); w > 0 {
		warm = w
	}
	c := plain(logical, int(math.Round(float64(logical)/0.9)), pages, env.Params["seed"].(int))
	c.GC = env.Params["gc"].(string)
	aged, err := emulator.New(c)
	if err != nil {
		return err
	}
	w := &work{ctx: ctx, env: env, d: aged, of: float64((1 + warm + volumes) * aged.Pages())}
	next := pick(newRand(env.Params["seed"]), aged.Pages())
	if err := errors.Join(w.fill(), w.write(warm*aged.Pages(), next)); err != nil {
		return err
	}

	began := time.Now()
	a := emulator.NewAging(aged)
	if err := w.write(watched*aged.Pages(), next); err != nil {
		return err
	}
	// What Forward refuses it leaves as it was; the simulation goes on from here.
	var seen bytes.Buffer
	var g emulator.Growth
	for {
		seen.Reset()
		if err := aged.Snapshot(&seen); err != nil {
			return err
		}
		if g, err = a.Forward(uint64(volumes-watched)*uint64(aged.Pages()), tolerance); !errors.Is(err, emulator.ErrUnsure) || 2*watched >= volumes {
			break
		}
		if err := w.write(watched*aged.Pages(), next); err != nil {
			return err
		}
		watched *= 2
	}
	short := time.Since(began).Seconds()
	if err := errors.Join(err, aged.Check()); err != nil {
		return err
	}

	began = time.Now()
	if w.d, err = emulator.Restore(&seen); err != nil {
		return err
	}
	if err := w.write((volumes-watched)*w.d.Pages(), next); err != nil {
		return err
	}
	long := time.Since(began).Seconds() * float64(volumes) / float64(volumes-watched)
	got, want := aged.Report().Wear, w.d.Report().Wear
	for metric, v := range map[string]float64{
		"mean_error": math.Abs(got.Mean/want.Mean - 1), "sd_error": math.Abs(got.SD/want.SD - 1), "error_told": g.Error, "erase_mean": want.Mean, "erase_sd": want.SD,
		"writes_saved": float64(volumes) / float64(watched), "speedup": long / short,
	} {
		if err := env.Observe(checks.Observation{Metric: metric, Value: v, Unit: "1"}); err != nil {
			return err
		}
	}
	return nil
}

// scale observes bytes_per_page, of the device's memory over its flash pages,
// and programs_per_second.
func scale(ctx context.Context, env *artifacts.Env) error {
	gib, err := number(env.Params["gib"])
	if err != nil {
		return fmt.Errorf("gib: %w", err)
	}
	c := emulator.DefaultConfig()
	c.Timing, c.Suspend, c.Buffer, c.BufferEntry = emulator.Timing{}, 0, 0, 0
	c.Geometry = emulator.FEMUGeometry()
	c.PagesPerBlock = 64
	c.BlocksPerPlane = int(gib * 64) // blocks of 256 KiB on 64 planes
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	d, err := emulator.New(c)
	if err != nil {
		return err
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	bytes := float64(after.HeapAlloc-before.HeapAlloc) / float64(c.Pages())

	w := &work{ctx: ctx, env: env, d: d, of: float64(d.Pages() + env.Params["programs"].(int))}
	if err := w.fill(); err != nil {
		return err
	}
	next := uniform(newRand(1), d.Pages())
	report := d.Report()
	start, began := report.HostPages+report.GCPages, time.Now()
	for {
		if err := w.write(1<<16, next); err != nil {
			return err
		}
		report = d.Report()
		if done := report.HostPages + report.GCPages - start; done >= uint64(env.Params["programs"].(int)) {
			rate := float64(done) / time.Since(began).Seconds()
			return errors.Join(
				env.Observe(checks.Observation{Metric: "bytes_per_page", Value: bytes, Unit: "B"}),
				env.Observe(checks.Observation{Metric: "programs_per_second", Value: rate, Unit: "1/s"}),
			)
		}
	}
}
