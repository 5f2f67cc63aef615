package wearlevel

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"math/bits"
	"sort"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/emulator"
)

// oracle is what FEMU's own black-box code answered to the streams below:
// ftl.c at commit d749928e9 and, for policies other than greedy, the split FTL
// at 99ce4fb2b, compiled outside QEMU, with the time of the request for a
// clock. Hashes are FNV-1a over 64-bit values, see emulator.Hash64.
var oracle = map[[2]string]oracleTotals{
	{"uniform", "greedy"}:       {7536, 41496, 5928, "f75175444d126777", "e2c283e25f52d69e", "ddedd19d54e360e5"},
	{"uniform", "fifo"}:         {7536, 20137, 3232, "341618eb010931ef", "ccd71f6b960ae053", "b2bf9be34699c103"},
	{"uniform", "cost-benefit"}: {7536, 33265, 4896, "da9fb88047e781d5", "db435e7746d9bca8", "dbd8161b329adc01"},
	{"zipf", "greedy"}:          {7536, 41193, 5888, "6893b9a7bd647335", "3a313244825367c6", "87306c1aa5abf1d9"},
	{"zipf", "fifo"}:            {7536, 16201, 2728, "348db5f95dc35196", "5cd2af9bdd083c87", "6371f77cecb682e3"},
	{"zipf", "cost-benefit"}:    {7536, 20799, 3320, "4d99d82e5058a8b0", "b7b1f906d6bec124", "2f9e73bf51d94e67"},
	{"mixed", "greedy"}:         {3361, 12292, 1756, "eb3b18a3cb49a15d", "06faf2b9dd8b8401", "053be8df3535e0cc"},
	{"mixed", "fifo"}:           {3361, 5935, 944, "a69188c6856d2c00", "dc9c9a9fc3390f13", "29e927e56db476c3"},
	{"mixed", "cost-benefit"}:   {3361, 9799, 1440, "52097ade866b0a54", "a4bb932978563012", "bde522f08584d663"},
	{"ragged", "greedy"}:        {8351, 14165, 2628, "85abd32fea84c8ba", "2fc257e49e847e36", "2ebed775b2514e86"},
	{"ragged", "fifo"}:          {8351, 9405, 2016, "86a8523501ac4cb6", "6a529fbaca2a3ad7", "2bfbfd9ad2d703a3"},
	{"ragged", "cost-benefit"}:  {8351, 15261, 2764, "ba470bf49943e580", "4643436d2c24d751", "2eda32cea14547c4"},
}

type oracleTotals struct {
	hostPages, gcPages, erases uint64
	latency, mapping, wear     string
}

func init() {
	artifacts.Register(artifacts.Builtin{
		Name: "wearlevel.femu", Version: 1,
		Doc: "replays generated streams on the FEMU model and counts the figures in which it differs from FEMU's own code",
		Params: []artifacts.Param{
			{Name: "workload", Doc: "uniform, zipf, mixed or ragged"},
			{Name: "gc", Doc: "victim selection: greedy, fifo or cost-benefit"},
		},
		Run: equalFEMU,
	})
	artifacts.Register(artifacts.Builtin{
		Name: "wearlevel.thresholds", Version: 1,
		Doc: "write amplification of FEMU's default device, 3/4 of it filled, under uniform overwrites",
		Params: []artifacts.Param{
			{Name: "threshold", Doc: "gc_thres_pcent"},
			{Name: "pages_per_block", Doc: "pages a block; FEMU's default is 256", Default: 256},
			{Name: "seed", Doc: "of the overwrites", Default: 1},
		},
		Run: thresholds,
	})
}

// equalFEMU observes differences: how many of the six figures of the oracle
// are not met.
func equalFEMU(ctx context.Context, env *artifacts.Env) error {
	workload, gc := env.Params["workload"].(string), env.Params["gc"].(string)
	want, ok := oracle[[2]string{workload, gc}]
	if !ok {
		return fmt.Errorf("there is no record of FEMU for workload %s under %s", workload, gc)
	}
	cfg := emulator.DefaultFEMU()
	cfg.PagesPerBlock, cfg.BlocksPerPlane, cfg.LUNsPerChannel, cfg.Channels, cfg.GC = 8, 64, 2, 2, gc
	ssd, err := emulator.NewFEMU(cfg)
	if err != nil {
		return err
	}
	stream, err := oracleStream(workload)
	if err != nil {
		return err
	}
	r, err := emulator.Replay(ctx, ssd, stream, nil)
	if err != nil {
		return err
	}
	got := oracleTotals{r.HostPages, r.GCPages, r.BlockErases, r.LatencyHash.String(), r.MappingHash.String(), r.EraseHash.String()}
	differences := 0
	for _, same := range []bool{got.hostPages == want.hostPages, got.gcPages == want.gcPages, got.erases == want.erases,
		got.latency == want.latency, got.mapping == want.mapping, got.wear == want.wear} {
		if !same {
			differences++
		}
	}
	return env.Observe(checks.Observation{Metric: "differences", Value: float64(differences), Unit: "1"})
}

// splitMix is SplitMix64, the generator of the streams.
type splitMix uint64

func (s *splitMix) next() uint64 {
	*s += 0x9E3779B97F4A7C15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func (s *splitMix) below(n uint64) uint64 { hi, _ := bits.Mul64(s.next(), n); return hi }
func (s *splitMix) unit() float64         { return float64(s.next()>>11) / (1 << 53) }

// oracleStream makes a stream as the oracle's: the logical space of 1536 pages
// once in order, 16 pages a request, then random requests.
func oracleStream(workload string) (func() (emulator.Request, error), error) {
	const logical, pageSectors = 1536, 8
	kind, ok := map[string]struct {
		n         int
		seed, gap uint64
	}{"uniform": {6000, 11, 800_000}, "zipf": {6000, 12, 800_000}, "mixed": {6000, 13, 400_000}, "ragged": {1500, 14, 6_000_000}}[workload]
	if !ok {
		return nil, fmt.Errorf("unknown workload %q; there are uniform, zipf, mixed and ragged", workload)
	}
	rng := splitMix(kind.seed)
	var order []uint64
	var cumulative []float64
	if workload == "zipf" {
		order, cumulative = make([]uint64, logical), make([]float64, logical)
		for i := range order {
			order[i] = uint64(i)
		}
		for i := logical - 1; i > 0; i-- {
			j := rng.below(uint64(i) + 1)
			order[i], order[j] = order[j], order[i]
		}
		sum := 0.0
		for i := range cumulative {
			sum += 1 / math.Pow(float64(i+1), 0.99)
			cumulative[i] = sum
		}
		for i := range cumulative {
			cumulative[i] /= sum
		}
	}
	filled, sent, now := 0, 0, int64(1)
	return func() (emulator.Request, error) {
		if filled < logical {
			q := emulator.Request{Time: now, Op: 'W', LBA: uint64(filled) * pageSectors, Sectors: 16 * pageSectors}
			filled += 16
			now += 1_000_000
			return q, nil
		}
		if sent == kind.n {
			return emulator.Request{}, io.EOF
		}
		sent++
		now += 1 + int64(rng.below(2*kind.gap))
		q := emulator.Request{Time: now, Op: 'W', Sectors: pageSectors}
		switch workload {
		case "uniform":
			q.LBA = pageSectors * rng.below(logical)
		case "zipf":
			k := sort.SearchFloat64s(cumulative, rng.unit())
			q.LBA = pageSectors * order[min(k, logical-1)]
		case "mixed":
			if rng.below(100) < 70 {
				q.Op = 'R'
			}
			q.LBA = pageSectors * rng.below(logical)
		case "ragged":
			switch x := rng.below(100); {
			case x >= 90:
				q.Op = 'T'
			case x >= 50:
				q.Op = 'R'
			}
			q.Sectors = 1 + rng.below(128)
			q.LBA = rng.below(pageSectors*logical - q.Sectors + 1)
		}
		return q, nil
	}, nil
}

// thresholds observes waf in the second of two windows of twice the logical
// capacity each.
func thresholds(ctx context.Context, env *artifacts.Env) error {
	cfg := emulator.DefaultFEMU()
	threshold, err := number(env.Params["threshold"])
	if err != nil {
		return fmt.Errorf("threshold: %w", err)
	}
	cfg.GCThreshold, cfg.PagesPerBlock = threshold, env.Params["pages_per_block"].(int)
	ssd, err := emulator.NewFEMU(cfg)
	if err != nil {
		return err
	}
	logical := uint64(ssd.Pages()) * 3 / 4
	rng := splitMix(env.Params["seed"].(int))
	var before emulator.Report
	for i := range 5 * logical {
		if i == 3*logical {
			before = ssd.Report()
		}
		if i&0xffff == 0 {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			env.Progress(float64(i), float64(5*logical), "writes")
		}
		p := i
		if i >= logical {
			p = rng.below(logical)
		}
		if _, err := ssd.Write(1, p*uint64(cfg.SectorsPerPage), uint64(cfg.SectorsPerPage)); err != nil {
			return err
		}
	}
	after := ssd.Report()
	host := float64(after.HostPages - before.HostPages)
	return env.Observe(checks.Observation{Metric: "waf", Value: (host + float64(after.GCPages-before.GCPages)) / host, Unit: "1"})
}

// number takes a parameter that a matrix may give as a number of either kind.
func number(v any) (float64, error) {
	switch v := v.(type) {
	case int:
		return float64(v), nil
	case float64:
		return v, nil
	}
	return 0, fmt.Errorf("%v is not a number", cmp.Or(fmt.Sprint(v), "nothing"))
}
