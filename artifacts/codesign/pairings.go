package codesign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/policies/cache"
	"reprise/policies/cache/codesign"
	"reprise/policies/cache/prefetch"
	"reprise/traces"
)

// payback is the name of the co-design in labels.
const payback = "payback"

// workloadParams are those of every experiment in block mode.
var workloadParams = []artifacts.Param{
	{Name: "workloads", Doc: "workloads: generated ones, such as profile:alibaba, or files below the folder of real traces, which are left out where it is not there", Default: []string{}},
	{Name: "traces", Doc: "folder of real traces, by an absolute path; empty: that of the variable REPRISE_TRACES", Default: ""},
	{Name: "requests", Doc: "requests of a generated workload", Default: 15_000},
	{Name: "most", Doc: "requests of a real trace to replay at most, from its start; 0 is all", Default: 0},
	{Name: "seed", Doc: "of generated workloads and of what draws at random", Default: 1},
	{Name: "sizes", Doc: "cache sizes as shares of the footprint", Default: []string{"0.1%", "0.3%", "1%", "3%", "10%"}},
	{Name: "latency", Doc: "the backend's, in milliseconds", Default: 20.0},
	{Name: "page", Doc: "bytes of a page, a power of two; 0 stands for 4096, and 512 for traces without times", Default: 0},
}

func init() {
	artifacts.Register(artifacts.Builtin{
		Name: "codesign.pairings", Version: 3, ReadsTraces: true,
		Doc: "replays workloads through every pairing of prefetcher and eviction policy, and through Payback",
		Params: append([]artifacts.Param{
			{Name: "policies", Doc: "eviction policies", Default: []string{"lru", "s3fifo", "arc", "lirs"}},
			{Name: "prefetchers", Doc: "prefetchers", Default: []string{
				"none", "obl:sequential-confidence-k=1", "stride", "readahead", "leap", "amp", "sarc", "tap", "mithril", "pg", "markov", "pythia",
			}},
		}, workloadParams...),
		Run: pairings,
	})
	artifacts.Register(artifacts.Builtin{
		Name: "codesign.variants", Version: 3, ReadsTraces: true,
		Doc: "replays workloads through Payback with settings changed or feedback switched off",
		Params: append([]artifacts.Param{
			{Name: "variants", Doc: "full, or settings joined by semicolons: request-cost=N, least=P, alone=P, window=N, no-ARROW", Default: []string{"full"}},
		}, workloadParams...),
		Run: variants,
	})
	artifacts.Register(artifacts.Builtin{
		Name: "codesign.cost", Version: 3, ReadsTraces: true,
		Doc:    "measures the memory and the processor time that Payback takes, beside LRU with readahead",
		Params: workloadParams,
		Run:    cost,
	})
}

// block is one workload in memory.
type block struct {
	name string
	kind string // real or imitation
	*cache.BlockTrace
}

// bench is what an experiment in block mode runs on.
type bench struct {
	env       *artifacts.Env
	seed      uint64
	sizes     []cache.Size
	backend   cache.Backend
	folder    string // of real traces, "" if there is none
	workloads []string
}

func newBench(env *artifacts.Env) (*bench, error) {
	sizes, err := cache.ParseSizes(strings.Join(env.Params["sizes"].([]string), ","))
	if err != nil {
		return nil, err
	}
	latency := env.Params["latency"].(float64)
	if !(latency >= 0 && latency <= 1e6) {
		return nil, fmt.Errorf("latency %v ms is not between 0 and 1e6", latency)
	}
	b := &bench{
		env: env, seed: uint64(env.Params["seed"].(int)), sizes: sizes,
		backend: cache.Backend{Latency: int64(latency * 1e6)}, folder: env.Traces,
	}
	if page := env.Params["page"].(int); page != 0 && (page < 512 || page > 16<<20 || page&(page-1) != 0) {
		return nil, fmt.Errorf("page %d is neither 0 nor a power of two from 512 to 16777216", page)
	}
	if named := env.Params["traces"].(string); named != "" {
		b.folder = named
		if _, err := os.Stat(named); err != nil {
			return nil, fmt.Errorf("folder of real traces: %w", err)
		}
	}
	if b.folder != "" && !filepath.IsAbs(b.folder) {
		return nil, fmt.Errorf("the folder of real traces is %q: give its absolute path in --param traces= or REPRISE_TRACES, steps run in folders of their own", b.folder)
	}
	for _, w := range env.Params["workloads"].([]string) {
		if !traces.IsSpec(w) {
			if b.folder == "" {
				continue
			}
			if _, err := os.Stat(b.path(w)); errors.Is(err, os.ErrNotExist) {
				continue
			}
		}
		b.workloads = append(b.workloads, w)
	}
	return b, nil
}

func (b *bench) path(workload string) string {
	return filepath.Join(b.folder, filepath.FromSlash(workload))
}

// load reads a workload. Traces of the order of requests only get a
// millisecond between two, and pages of the size of their blocks.
func (b *bench) load(ctx context.Context, workload string) (block, error) {
	page := uint32(b.env.Params["page"].(int))
	if traces.IsSpec(workload) {
		join := "?"
		if strings.Contains(workload, "?") {
			join = "&"
		}
		spec := fmt.Sprintf("%s%sn=%d&seed=%d", workload, join, b.env.Params["requests"].(int), b.seed)
		s, err := traces.Open(spec, traces.Options{})
		if err != nil {
			return block{}, err
		}
		defer func() { _ = s.Close() }()
		t, err := cache.LoadBlocks(ctx, s, cache.BlockOptions{PageSize: page})
		return block{workload, "imitation", t}, err
	}
	s, err := traces.Open(b.path(workload), traces.Options{})
	if err != nil {
		return block{}, err
	}
	defer func() { _ = s.Close() }()
	o := cache.BlockOptions{PageSize: page}
	if !s.Info().Timed {
		o = cache.BlockOptions{PageSize: cmp.Or(page, 512), Interval: 1e6}
	}
	var r cache.Reader = s
	if most := b.env.Params["most"].(int); most > 0 {
		r = &first{s, most}
	}
	t, err := cache.LoadBlocks(ctx, r, o)
	return block{strings.TrimSuffix(filepath.Base(workload), filepath.Ext(workload)), "real", t}, err
}

// first hands out the first so many requests of a trace.
type first struct {
	cache.Reader
	left int
}

func (f *first) Read(batch []traces.Request) (int, error) {
	n, err := f.Reader.Read(batch[:min(len(batch), f.left)])
	f.left -= n
	if f.left == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// system is a cache to be replayed.
type system struct {
	name                string
	policy, prefetching string
	make                func(pages int64, t block) (cache.Policy, prefetch.Prefetcher)
}

func paybackOf(name string, o codesign.Options) system {
	return system{name, payback, payback, func(pages int64, t block) (cache.Policy, prefetch.Prefetcher) {
		p := codesign.New(pages, int64(t.PageSize), o)
		return p, p
	}}
}

func (b *bench) pairs() ([]system, error) {
	policies, err := cache.ParsePolicies(strings.Join(b.env.Params["policies"].([]string), ","))
	if err != nil {
		return nil, err
	}
	prefetchers, err := prefetch.Parse(strings.Join(b.env.Params["prefetchers"].([]string), ","))
	if err != nil {
		return nil, err
	}
	var systems []system
	for _, p := range policies {
		for _, f := range prefetchers {
			systems = append(systems, system{
				p.Text + "+" + f.Text, p.Text, f.Text,
				func(pages int64, t block) (cache.Policy, prefetch.Prefetcher) {
					return p.New(pages, b.seed), f.New(pages, int64(t.PageSize), b.seed)
				},
			})
		}
	}
	return systems, nil
}

// outcome is what one system did in one cell.
type outcome struct {
	system system
	result cache.BlockResult
}

// load is backend load in one unit: what the backend had to read. Writes are
// the same for all.
type load struct {
	name, unit string
	of         func(cache.BlockResult) float64
}

var loads = []load{
	{"read_requests", "1", func(r cache.BlockResult) float64 { return float64(r.Read.Requests) }},
	{"read_bytes", "B", func(r cache.BlockResult) float64 { return float64(r.Read.Bytes) }},
	{"disk_head_time", "s", func(r cache.BlockResult) float64 { return r.Read.DiskHeadSeconds() }},
	{"group_load", "B", func(r cache.BlockResult) float64 { return r.GroupLoad }},
}

// cells replays every workload at every size through the systems, and hands
// over the outcomes of one cell at a time.
func (b *bench) cells(ctx context.Context, systems []system, each func(t block, size string, all []outcome) error) error {
	total := float64(len(b.workloads) * len(b.sizes) * len(systems))
	done := 0.0
	for _, w := range b.workloads {
		t, err := b.load(ctx, w)
		if err != nil {
			return fmt.Errorf("workload %s: %w", w, err)
		}
		for _, s := range b.sizes {
			pages := s.Pages(t.BlockTrace)
			if pages < 16 {
				done += float64(len(systems))
				continue // nothing to share out
			}
			var all []outcome
			for _, y := range systems {
				policy, prefetcher := y.make(pages, t)
				start := time.Now()
				r, err := cache.ReplayBlocks(ctx, t.BlockTrace, policy, prefetcher, b.backend, nil)
				if err != nil {
					return err
				}
				r.Seconds = time.Since(start).Seconds()
				all = append(all, outcome{y, r})
				done++
				b.env.Progress(done, total, fmt.Sprint(t.name, " ", s.Text, " ", y.name))
			}
			if err := each(t, s.Text, all); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) observe(metric string, value float64, unit string, labels ...string) error {
	m := map[string]string{}
	for i := 0; i < len(labels); i += 2 {
		m[labels[i]] = labels[i+1]
	}
	return b.env.Observe(checks.Observation{Metric: metric, Value: value, Unit: unit, Labels: m})
}

// pairings observes for every system and cell the hit ratio of reads, the share
// of reads that found all their pages in memory (group_hit_ratio), the loads and
// how prefetches fared, and for every cell how Payback compares, under label
// system:
//
//   - payback
//   - hindsight: the pairing with the best hit ratio in that cell
//   - group-hindsight: the pairing with the best group_hit_ratio in that cell
//   - single: the one pairing with the best mean hit ratio over all cells
//   - eviction: the eviction policy without prefetching that takes least disk
//     head time in that cell
//
// matched is 1 in cells where Payback's hit ratio is no lower than that of
// hindsight, else 0; dominated is 1 if some pairing has no lower hit ratio and
// no higher load than Payback, and is better in one of them, by label load.
func pairings(ctx context.Context, env *artifacts.Env) error {
	b, err := newBench(env)
	if err != nil {
		return err
	}
	systems, err := b.pairs()
	if err != nil {
		return err
	}
	systems = append(systems, paybackOf(payback, codesign.Defaults()))
	type cell struct {
		workload, kind, size string
		all                  []outcome
	}
	var cells []cell
	err = b.cells(ctx, systems, func(t block, size string, all []outcome) error {
		cells = append(cells, cell{t.name, t.kind, size, all})
		for _, o := range all {
			r := o.result
			at := []string{"workload", t.name, "kind", t.kind, "size", size, "policy", o.system.policy, "prefetcher", o.system.prefetching}
			for _, l := range loads {
				if err := b.observe("pairing_"+l.name, l.of(r), l.unit, at...); err != nil {
					return err
				}
			}
			for _, m := range []struct {
				name  string
				value float64
			}{{"pairing_hit_ratio", r.ReadHitRatio()}, {"pairing_group_hit_ratio", r.GroupHitRatio()}, {"accuracy", r.Accuracy()}, {"coverage", r.Coverage()}, {"lateness", r.Lateness()}} {
				if err := b.observe(m.name, m.value, "1", at...); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil || len(cells) == 0 {
		return err
	}

	single, best := 0, math.Inf(-1)
	for i := range systems[:len(systems)-1] {
		sum := 0.0
		for _, c := range cells {
			sum += c.all[i].result.ReadHitRatio()
		}
		if sum > best {
			single, best = i, sum
		}
	}
	for _, c := range cells {
		mine := c.all[len(c.all)-1]
		rest := c.all[:len(c.all)-1]
		sides := map[string]outcome{
			payback: mine, "single": rest[single],
			"hindsight": rest[argmin(rest, func(o outcome) (float64, float64) {
				return -o.result.ReadHitRatio(), o.result.Read.DiskHeadSeconds()
			})],
			"group-hindsight": rest[argmin(rest, func(o outcome) (float64, float64) {
				return -o.result.GroupHitRatio(), o.result.GroupLoad
			})],
			"eviction": rest[argmin(rest, func(o outcome) (float64, float64) {
				if o.system.prefetching != "none" {
					return math.Inf(1), 0
				}
				return o.result.Read.DiskHeadSeconds(), 0
			})],
		}
		at := []string{"workload", c.workload, "kind", c.kind, "size", c.size}
		for name, o := range sides {
			side := append(at[:len(at):len(at)], "system", name)
			for _, l := range loads {
				if err := b.observe(l.name, l.of(o.result), l.unit, side...); err != nil {
					return err
				}
			}
			if err := b.observe("hit_ratio", o.result.ReadHitRatio(), "1", side...); err != nil {
				return err
			}
			if err := b.observe("group_hit_ratio", o.result.GroupHitRatio(), "1", side...); err != nil {
				return err
			}
			if err := b.observe("read_wait", o.result.MeanWait()*1e3, "ms", side...); err != nil {
				return err
			}
			if name != payback {
				// Which one it is, for readers of the results.
				if err := b.observe("stands_for", 1, "1", append(side, "pairing", o.system.name)...); err != nil {
					return err
				}
			}
		}
		matched := 0.0
		if mine.result.ReadHitRatio() >= sides["hindsight"].result.ReadHitRatio() {
			matched = 1
		}
		if err := b.observe("matched", matched, "1", at...); err != nil {
			return err
		}
		for _, l := range loads[:3] {
			if err := b.observe("dominated", dominated(mine, rest, l), "1", append(at[:len(at):len(at)], "load", l.name)...); err != nil {
				return err
			}
		}
	}
	return nil
}

func argmin(all []outcome, key func(outcome) (float64, float64)) int {
	best := 0
	a, b := key(all[0])
	for i, o := range all {
		if x, y := key(o); x < a || x == a && y < b {
			best, a, b = i, x, y
		}
	}
	return best
}

func dominated(mine outcome, rest []outcome, l load) float64 {
	h, x := mine.result.ReadHitRatio(), l.of(mine.result)
	for _, o := range rest {
		oh, ox := o.result.ReadHitRatio(), l.of(o.result)
		if oh >= h && ox <= x && (oh > h || ox < x) {
			return 1
		}
	}
	return 0
}

// variants observes the hit ratio and the loads of every variant.
func variants(ctx context.Context, env *artifacts.Env) error {
	b, err := newBench(env)
	if err != nil {
		return err
	}
	var systems []system
	for _, text := range env.Params["variants"].([]string) {
		o, err := codesign.ParseOptions(text)
		if err != nil {
			return err
		}
		systems = append(systems, paybackOf(text, o))
	}
	return b.cells(ctx, systems, func(t block, size string, all []outcome) error {
		for _, o := range all {
			at := []string{"workload", t.name, "kind", t.kind, "size", size, "variant", o.system.name}
			for _, l := range loads {
				if err := b.observe(l.name, l.of(o.result), l.unit, at...); err != nil {
					return err
				}
			}
			if err := b.observe("hit_ratio", o.result.ReadHitRatio(), "1", at...); err != nil {
				return err
			}
		}
		return nil
	})
}

// cost observes metadata_share, the memory that Payback takes beyond what any
// cache needs to find its pages, over the cache's own, and time_per_page, the
// processor time for a page requested.
func cost(ctx context.Context, env *artifacts.Env) error {
	b, err := newBench(env)
	if err != nil {
		return err
	}
	lru, err := cache.ParsePolicies("lru")
	if err != nil {
		return err
	}
	readahead, err := prefetch.Parse("readahead")
	if err != nil {
		return err
	}
	var mine *codesign.Payback
	systems := []system{
		{"lru+readahead", "lru", "readahead", func(pages int64, t block) (cache.Policy, prefetch.Prefetcher) {
			return lru[0].New(pages, b.seed), readahead[0].New(pages, int64(t.PageSize), b.seed)
		}},
		{payback, payback, payback, func(pages int64, t block) (cache.Policy, prefetch.Prefetcher) {
			mine = codesign.New(pages, int64(t.PageSize), codesign.Defaults())
			return mine, mine
		}},
	}
	return b.cells(ctx, systems, func(t block, size string, all []outcome) error {
		for _, o := range all {
			nanos := o.result.Seconds * 1e9 / float64(max(o.result.Pages, 1))
			if err := b.observe("time_per_page", nanos, "ns", "workload", t.name, "size", size, "system", o.system.name); err != nil {
				return err
			}
		}
		share := float64(mine.Metadata()) / float64(mine.Capacity()*int64(t.PageSize))
		return b.observe("metadata_share", share, "1", "workload", t.name, "size", size)
	})
}
