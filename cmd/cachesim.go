package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"reprise/artifacts"
	"reprise/policies/cache"
	"reprise/policies/cache/params"
	"reprise/policies/cache/prefetch"
	"reprise/traces"
)

// cachesim is what the flags of the command say.
type cachesim struct {
	policies, sizes string
	prefetch, mode  string
	block           blockFlags
	curve           curveFlags
	ignoreSizes     bool
	pageSize        uint32
	format          string
	seed            uint64
	jobs            int
	json, list      bool
}

func (a *app) cachesimCommand() *cobra.Command {
	var o cachesim
	c := &cobra.Command{
		Use:   "cachesim TRACE...",
		Short: "Replay traces through cache eviction policies and prefetchers, and count misses and backend load",
		Long: `Cachesim replays each trace through every policy at every size and counts the
misses, exactly: policies with plain names decide as libCacheSim (commit
aa0fc40) does, miss for miss. Every request counts, reads and writes alike;
requests of 0 bytes are left out.

A size is a number of objects or bytes (489), a number with a unit (10MiB), or
a share of the trace's footprint (1%), each object counted at the size of its
first request. Results come trace by trace, policy by policy, size by size, in
the order given.

With --prefetch every policy runs with every prefetcher, in the order given
too; an object fetched ahead is as large as when it was last asked for.

--mode block reads requests as ranges of pages in front of a backend that takes
time. Reads fetch what they miss, and the pages are in flight for --latency; a
read of one then waits, and is a hit. Writes fetch nothing; --writes says where
they go. Adjacent pages missed and prefetched make one backend request. Sizes
are then numbers of pages, bytes, or shares of the pages the trace touches. Load
is counted in requests, bytes and seconds of a disk's head (11.5 ms a request
and a second for 143 MiB), and as the UCARE group's own simulator counts it
(group_load_bytes), which takes pages of 256 KiB and 20 ms.

--mrc asks for miss-ratio curves. LRU's comes from one pass over the trace, for
all sizes at once, wherever that gives what replays give (always with object
sizes ignored; else from the largest object on, if objects keep their sizes);
the column "method" of --json says so. --sample 0.01 estimates the curve of any
policy, without prefetching, from the requests to one object in a hundred
(SHARDS, and miniature caches), --sample 8192 from those to 8192 objects, however
many there are; --sample-check replays the whole, too, and shows the error. --svg
draws the curves of miss ratio and backend load into a file.

Parameters follow a name after a colon: s3fifo:small=0.2,ghost=0.5. The
policies, prefetchers and their parameters: reprise cachesim --list`,
		Example: `  reprise cachesim trace.oracleGeneral.bin --policy lru,sieve,s3fifo --size 1%,10%
  reprise cachesim disk.vscsi --policy lru,arc,belady --size 100,1000 --ignore-obj-size --json
  reprise cachesim disk.vscsi --page-size 4096 --policy lru,slru:segments=1:4 --size 64MiB
  reprise cachesim disk.vscsi --policy sieve --prefetch none,mithril:block-size=65536 --size 1%
  reprise cachesim disk.vscsi --mode block --policy lru,arc --prefetch none,readahead,amp:apt=4,max=32 --size 0.1%,1%
  reprise cachesim disk.vscsi --mrc --policy lru,arc,s3fifo --ignore-obj-size --svg curves.svg
  reprise cachesim big.oracleGeneral.zst --mrc --sample 0.01 --policy lru,lirs,wtinylfu
  reprise cachesim big.oracleGeneral.zst --mrc --sample 8192 --sample-check --policy lru,s3fifo --ignore-obj-size
  reprise cachesim disk.vscsi --mode block --page-size 262144 --latency 20ms --prefetch leap --size 1%`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && !o.list {
				return fail(ExitUsage, errors.New("no trace given"), "reprise cachesim TRACE --policy lru --size 1%")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if o.list {
				return a.listPolicies(o.json)
			}
			if o.curve.mrc && !c.Flags().Changed("size") {
				o.sizes = curveSizes
			}
			return a.cachesim(c.Context(), o, args)
		},
	}
	f := c.Flags()
	f.StringVarP(&o.policies, "policy", "p", "lru", "comma list of policies, each with its parameters (see --list)")
	f.StringVar(&o.prefetch, "prefetch", "none", "comma list of prefetchers, each with its parameters (see --list)")
	f.StringVar(&o.mode, "mode", "object", "object: a request is for one object; block: for a range of pages")
	among(f, "mode", "object", "block")
	o.block.register(f)
	o.curve.register(f)
	f.StringVarP(&o.sizes, "size", "s", "1%,10%", "comma list of cache sizes: N, 10MiB or 1% of the footprint")
	f.BoolVar(&o.ignoreSizes, "ignore-obj-size", false, "let every object have size 1, and sizes count objects")
	f.Uint32Var(&o.pageSize, "page-size", 0, "bytes of a page (block mode: 4096); in object mode, split requests into pages and cache these")
	f.StringVar(&o.format, "format", "", "format of the traces (default: detect it)")
	among(f, "format", traceFormats()...)
	f.Uint64Var(&o.seed, "seed", 0, "seed of what policies draw at random; 0 is libCacheSim's")
	f.IntVarP(&o.jobs, "jobs", "j", 0, "replays at a time (default: one for each processor)")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
	f.BoolVar(&o.list, "list", false, "list the policies and prefetchers with their parameters")
	return c
}

// cachesimRow is a result as --json prints it.
type cachesimRow struct {
	Trace         string  `json:"trace"`
	Policy        string  `json:"policy"`
	Prefetch      string  `json:"prefetch"`
	Size          int64   `json:"size"`
	Requests      int64   `json:"requests"`
	Misses        int64   `json:"misses"`
	MissRatio     float64 `json:"miss_ratio"`
	ReqBytes      int64   `json:"req_bytes"`
	MissBytes     int64   `json:"miss_bytes"`
	ByteMissRatio float64 `json:"byte_miss_ratio"`
	Seconds       float64 `json:"seconds"`
	MReqs         float64 `json:"mreqs"`

	prefetchRow
	BackendRequests int64 `json:"backend_requests"`
	BackendBytes    int64 `json:"backend_bytes"`
	// DiskHeadSeconds needs bytes: with sizes ignored there is none.
	DiskHeadSeconds *float64 `json:"disk_head_seconds,omitempty"`

	// Method is replay, one-pass or shards.
	Method     cache.Method `json:"method"`
	SampleRate float64      `json:"sample_rate,omitempty"`
	// SampleError is how far the estimated miss ratio is above the true one.
	SampleError *float64 `json:"sample_error,omitempty"`
}

// prefetchRow is what both modes print of prefetches.
type prefetchRow struct {
	Prefetched    int64   `json:"prefetched"`
	PrefetchHits  int64   `json:"prefetch_hits"`
	Late          int64   `json:"late"`
	Wasted        int64   `json:"wasted"`
	Polluted      int64   `json:"polluted"`
	TooEarly      int64   `json:"too_early"`
	Accuracy      float64 `json:"accuracy"`
	Lateness      float64 `json:"lateness"`
	MetadataBytes int64   `json:"metadata_bytes"`
}

func newPrefetchRow(p cache.Prefetching) prefetchRow {
	return prefetchRow{
		Prefetched: p.Prefetched, PrefetchHits: p.PrefetchHits, Late: p.Late, Wasted: p.Wasted, Polluted: p.Polluted,
		TooEarly: p.TooEarly, Accuracy: p.Accuracy(), Lateness: p.Lateness(), MetadataBytes: p.Metadata,
	}
}

// columns is the row as the table prints it.
func (r cachesimRow) columns() []column {
	all := []column{
		{"trace", r.Trace}, {"policy", r.Policy}, {"prefetch", r.Prefetch}, {"size", r.Size}, {"requests", r.Requests}, {"misses", r.Misses},
		{"miss ratio", r.MissRatio}, {"byte ratio", r.ByteMissRatio},
		{"prefetched", r.Prefetched}, {"used", r.Accuracy}, {"backend", r.BackendRequests},
		{"Mreq/s", r.MReqs},
	}
	if r.SampleError != nil {
		all = append(all, column{"sample error", *r.SampleError})
	}
	return all
}

// cachesimJobs is what is to be replayed, read from the flags.
type cachesimJobs struct {
	policies    []cache.Choice
	prefetchers []prefetch.Choice
	sizes       []cache.Size
	// curve: sizes that come to 0, or to the one before, are left out.
	curve bool
}

// cross gives a job for each policy, prefetcher and size, in this order.
func (j cachesimJobs) cross(resolve func(cache.Size) (int64, error)) ([]cache.Job, error) {
	var jobs []cache.Job
	for _, policy := range j.policies {
		for _, pre := range j.prefetchers {
			last := int64(0)
			for _, s := range j.sizes {
				n, err := resolve(s)
				if err != nil {
					return nil, fail(ExitUsage, err)
				}
				if j.curve && n == last {
					continue
				}
				last = n
				jobs = append(jobs, cache.Job{Choice: policy, Prefetch: pre, Size: n})
			}
		}
	}
	return jobs, nil
}

func (a *app) cachesim(ctx context.Context, o cachesim, paths []string) error {
	jobs := cachesimJobs{curve: o.curve.mrc}
	var err error
	const hint = "reprise cachesim --list tells the policies, prefetchers and their parameters"
	if jobs.policies, err = cache.ParsePolicies(o.policies); err != nil {
		var known []string
		for _, p := range cache.Policies() {
			known = append(known, p.Name)
		}
		return fail(ExitUsage, err, nearest(o.policies, known), hint)
	}
	if jobs.prefetchers, err = prefetch.Parse(o.prefetch); err != nil {
		var known []string
		for _, p := range prefetch.All() {
			known = append(known, p.Name)
		}
		return fail(ExitUsage, err, nearest(o.prefetch, known), hint)
	}
	if jobs.sizes, err = cache.ParseSizes(o.sizes); err != nil {
		return fail(ExitUsage, err)
	}
	if o.jobs < 0 {
		return fail(ExitUsage, fmt.Errorf("--jobs %d: must not be negative", o.jobs))
	}
	if err := o.block.check(o); err != nil {
		return fail(ExitUsage, err)
	}
	if err := o.curve.validate(o, jobs); err != nil {
		return fail(ExitUsage, err)
	}
	print := a.cachesimPrinter(o, paths, jobs)
	for i, path := range paths {
		drawn := curves{trace: filepath.Base(path)}
		if err := a.cachesimTrace(ctx, o, path, jobs, func(r simRow) error {
			drawn.add(r.point())
			return print(r)
		}); err != nil {
			return err
		}
		if o.curve.mrc && !o.json {
			drawn.print(a.stdout)
		}
		if o.curve.svg != "" {
			if err := drawn.write(o.curve.svg, i, len(paths)); err != nil {
				return err
			}
		}
	}
	return nil
}

// nearest suggests what was meant by the first choice of a comma list whose name
// is not known.
func nearest(list string, known []string) string {
	for _, choice := range params.Split(list) {
		if name, _, _ := strings.Cut(choice, ":"); !slices.Contains(known, name) {
			return artifacts.DidYouMean(name, known)
		}
	}
	return ""
}

func (a *app) cachesimTrace(ctx context.Context, o cachesim, path string, jobs cachesimJobs, print func(simRow) error) error {
	name := filepath.Base(path)
	var read, served atomic.Int64
	var total atomic.Int64 // requests to serve; 0 while the trace is being read
	begun := a.now()       // of the replay
	rate := func(perSecond float64) string { return fmt.Sprintf("%.1f million a second", perSecond/1e6) }
	stop := a.progress(func() string {
		if n := total.Load(); n > 0 {
			done := served.Load()
			return fmt.Sprintf("%s: replayed %d %% of %.1f million requests%s", name, min(100*done/n, 100), float64(n)/1e6,
				pace(done, n-done, a.now().Sub(begun), rate))
		}
		begun = a.now()
		return fmt.Sprintf("%s: read %.1f million requests", name, float64(read.Load())/1e6)
	})
	defer stop()

	sweep := cache.Sweep{
		Seed: o.seed, Workers: o.jobs, Now: a.now, Served: &served,
		Curve: o.curve.mrc, Rate: o.curve.rate(), Objects: o.curve.objects(), Check: o.curve.check,
	}
	replay := a.replayObjects
	if o.mode == "block" {
		replay = a.replayBlocks
	}
	err := replay(ctx, o, path, jobs, sweep, &read, &total, print)
	if err != nil && ctx.Err() != nil {
		return fail(ExitInterrupted, context.Cause(ctx))
	}
	return err
}

func (a *app) replayObjects(ctx context.Context, o cachesim, path string, jobs cachesimJobs, sweep cache.Sweep, read, total *atomic.Int64, print func(simRow) error) error {
	trace, err := loadTrace(ctx, path, o, read)
	if err != nil {
		return fail(ExitManifest, err)
	}
	all, err := jobs.cross(func(s cache.Size) (int64, error) { return s.Resolve(trace) })
	if err != nil {
		return err
	}
	each := float64(trace.Len())
	if share := o.curve.share(trace); share < 1 {
		each *= share
		if o.curve.check {
			each += float64(trace.Len())
		}
	}
	total.Store(int64(each) * int64(len(all)))
	return sweep.Run(ctx, trace, all, func(r cache.Result) error {
		row := cachesimRow{
			Trace: filepath.Base(path), Policy: r.Policy, Prefetch: r.Prefetch, Size: r.Size,
			Requests: r.Requests, Misses: r.Misses, MissRatio: r.MissRatio(),
			ReqBytes: r.ReqBytes, MissBytes: r.MissBytes, ByteMissRatio: r.ByteMissRatio(),
			Seconds: r.Seconds, MReqs: r.MReqs(),
			prefetchRow:     newPrefetchRow(r.Prefetching),
			BackendRequests: r.BackendRequests(), BackendBytes: r.BackendBytes(),
			Method: r.Method,
		}
		if r.Method == cache.Shards {
			row.SampleRate = r.SampleRate
			if o.curve.check {
				row.SampleError = &r.SampleError
			}
		}
		if !o.ignoreSizes {
			seconds := r.Backend().DiskHeadSeconds()
			row.DiskHeadSeconds = &seconds
		}
		return print(row)
	})
}

func loadTrace(ctx context.Context, path string, o cachesim, read *atomic.Int64) (*cache.Trace, error) {
	stream, err := traces.Open(path, traces.Options{Format: o.format})
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	if o.pageSize != 0 && !stream.Info().Addressed {
		return nil, fmt.Errorf("%s: --page-size needs byte addresses, which the format %s does not have", path, stream.Info().Format)
	}
	return cache.Load(ctx, stream, cache.LoadOptions{
		IgnoreSizes: o.ignoreSizes, PageSize: o.pageSize, Requests: stream.Info().Requests, Read: read,
	})
}

// progress prints what say gives, a line every two seconds, until the function
// it returns is called.
func (a *app) progress(say func() string) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				fmt.Fprintf(a.stderr, "%s\n", say())
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// simRow is a result of either mode.
type simRow interface {
	columns() []column
	point() curvePoint
}

// column is one cell of the table: text, a count or a figure.
type column struct {
	name  string
	value any
}

func (a *app) cachesimPrinter(o cachesim, paths []string, jobs cachesimJobs) func(simRow) error {
	if o.json {
		enc := json.NewEncoder(a.stdout)
		enc.SetEscapeHTML(false)
		return func(r simRow) error { return enc.Encode(r) }
	}
	return cachesimTable(a.stdout, paths, jobs)
}

// cachesimTable prints rows as they come, in columns wide enough for all. What
// there is to say of prefetches is left out where there are none.
func cachesimTable(w io.Writer, paths []string, jobs cachesimJobs) func(simRow) error {
	widths := map[string]int{"trace": len("trace"), "policy": len("policy"), "prefetch": len("prefetch"), "size": 14}
	for _, p := range paths {
		widths["trace"] = max(widths["trace"], len(filepath.Base(p)))
	}
	for _, c := range jobs.policies {
		widths["policy"] = max(widths["policy"], len(c.Text))
	}
	none := true
	for _, c := range jobs.prefetchers {
		widths["prefetch"] = max(widths["prefetch"], len(c.String()))
		none = none && c.String() == "none"
	}
	first := true
	return func(r simRow) error {
		var head, line []string
		for _, c := range r.columns() {
			if none && slices.Contains([]string{"prefetch", "prefetched", "used", "late", "polluted", "backend"}, c.name) {
				continue
			}
			width := widths[c.name]
			switch v := c.value.(type) {
			case string:
				head = append(head, fmt.Sprintf("%-*s", width, c.name))
				line = append(line, fmt.Sprintf("%-*s", width, v))
			case int64:
				width = max(width, len(c.name), 12)
				head = append(head, fmt.Sprintf("%*s", width, c.name))
				line = append(line, fmt.Sprintf("%*d", width, v))
			case float64:
				width = max(len(c.name), 8)
				digits := 6
				if c.name == "Mreq/s" || v >= 100 {
					digits = 2
				}
				head = append(head, fmt.Sprintf("%*s", width, c.name))
				line = append(line, fmt.Sprintf("%*.*f", width, digits, v))
			}
		}
		if first {
			first = false
			if _, err := fmt.Fprintln(w, strings.Join(head, "  ")); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintln(w, strings.Join(line, "  "))
		return err
	}
}

func (a *app) listPolicies(asJSON bool) error {
	type param struct {
		Name    string `json:"name"`
		Default string `json:"default"`
		Doc     string `json:"doc"`
	}
	type entry struct {
		Policy   string  `json:"policy,omitempty"`
		Prefetch string  `json:"prefetch,omitempty"`
		Doc      string  `json:"doc"`
		Source   string  `json:"source,omitempty"`
		Params   []param `json:"params"`
	}
	show := func(e entry) error {
		if asJSON {
			line, err := json.Marshal(e)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%s\n", line)
			return nil
		}
		fmt.Fprintf(a.stdout, "%-18s %s\n", e.Policy+e.Prefetch, e.Doc)
		if e.Source != "" {
			fmt.Fprintf(a.stdout, "%-18s %s\n", "", e.Source)
		}
		for _, q := range e.Params {
			fmt.Fprintf(a.stdout, "%-18s   %s\n", "", strings.Join([]string{q.Name + "=" + q.Default, q.Doc}, "  "))
		}
		return nil
	}
	title := func(text string) {
		if !asJSON {
			fmt.Fprintln(a.stdout, text)
		}
	}
	title("Policies (--policy)\n")
	for _, s := range cache.Policies() {
		e := entry{Policy: s.Name, Doc: s.Doc, Source: s.Source, Params: []param{}}
		for _, q := range s.Params {
			e.Params = append(e.Params, param{q.Name, q.String(), q.Doc})
		}
		if err := show(e); err != nil {
			return err
		}
	}
	title("\nPrefetchers (--prefetch)\n")
	for _, s := range prefetch.All() {
		e := entry{Prefetch: s.Name, Doc: s.Doc, Source: s.Source, Params: []param{}}
		for _, q := range s.Params {
			e.Params = append(e.Params, param{q.Name, q.String(), q.Doc})
		}
		if err := show(e); err != nil {
			return err
		}
	}
	return nil
}
