package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"reprise/policies/cache"
	"reprise/traces"
)

// cachesim is what the flags of the command say.
type cachesim struct {
	policies, sizes string
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
		Short: "Replay traces through cache eviction policies and count the misses",
		Long: `Cachesim replays each trace through every policy at every size and counts the
misses, exactly: policies with plain names decide as libCacheSim (commit
aa0fc40) does, miss for miss. Every request counts, reads and writes alike;
requests of 0 bytes are left out.

A size is a number of objects or bytes (489), a number with a unit (10MiB), or
a share of the trace's footprint (1%), each object counted at the size of its
first request. Results come trace by trace, policy by policy, size by size, in
the order given.

Parameters follow a policy after a colon: s3fifo:small=0.2,ghost=0.5. The
policies and their parameters: reprise cachesim --list`,
		Example: `  reprise cachesim trace.oracleGeneral.bin --policy lru,sieve,s3fifo --size 1%,10%
  reprise cachesim disk.vscsi --policy lru,arc,belady --size 100,1000 --ignore-obj-size --json
  reprise cachesim disk.vscsi --page-size 4096 --policy lru,slru:segments=1:4 --size 64MiB`,
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
			return a.cachesim(c.Context(), o, args)
		},
	}
	f := c.Flags()
	f.StringVarP(&o.policies, "policy", "p", "lru", "comma list of policies, each with its parameters (see --list)")
	f.StringVarP(&o.sizes, "size", "s", "1%,10%", "comma list of cache sizes: N, 10MiB or 1% of the footprint")
	f.BoolVar(&o.ignoreSizes, "ignore-obj-size", false, "let every object have size 1, and sizes count objects")
	f.Uint32Var(&o.pageSize, "page-size", 0, "split requests into pages of so many bytes and cache these")
	f.StringVar(&o.format, "format", "", "format of the traces (default: detect it)")
	f.Uint64Var(&o.seed, "seed", 0, "seed of what policies draw at random; 0 is libCacheSim's")
	f.IntVarP(&o.jobs, "jobs", "j", 0, "replays at a time (default: one for each processor)")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
	f.BoolVar(&o.list, "list", false, "list the policies with their parameters")
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
}

func (a *app) cachesim(ctx context.Context, o cachesim, paths []string) error {
	choices, err := cache.ParsePolicies(o.policies)
	if err != nil {
		return fail(ExitUsage, err, "reprise cachesim --list tells the policies and their parameters")
	}
	sizes, err := cache.ParseSizes(o.sizes)
	if err != nil {
		return fail(ExitUsage, err)
	}
	if o.jobs < 0 {
		return fail(ExitUsage, fmt.Errorf("--jobs %d: must not be negative", o.jobs))
	}
	var print func(cachesimRow) error
	if o.json {
		enc := json.NewEncoder(a.stdout)
		enc.SetEscapeHTML(false)
		print = func(r cachesimRow) error { return enc.Encode(r) }
	} else {
		print = cachesimTable(a.stdout, paths, choices)
	}
	for _, path := range paths {
		if err := a.cachesimTrace(ctx, o, path, choices, sizes, print); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) cachesimTrace(ctx context.Context, o cachesim, path string, choices []cache.Choice, sizes []cache.Size, print func(cachesimRow) error) error {
	name := filepath.Base(path)
	var read, served atomic.Int64
	var total atomic.Int64 // requests to serve; 0 while the trace is being read
	stop := a.progress(func() string {
		if n := total.Load(); n > 0 {
			return fmt.Sprintf("%s: replayed %d %% of %d million requests", name, 100*served.Load()/n, n/1e6)
		}
		return fmt.Sprintf("%s: read %.1f million requests", name, float64(read.Load())/1e6)
	})
	defer stop()

	trace, err := loadTrace(ctx, path, o, &read)
	if err != nil {
		if ctx.Err() != nil {
			return fail(ExitInterrupted, context.Cause(ctx))
		}
		return fail(ExitManifest, err)
	}
	var jobs []cache.Job
	for _, c := range choices {
		for _, s := range sizes {
			n, err := s.Resolve(trace)
			if err != nil {
				return fail(ExitUsage, err)
			}
			jobs = append(jobs, cache.Job{Choice: c, Size: n})
		}
	}
	total.Store(int64(len(jobs)) * int64(trace.Len()))
	sweep := cache.Sweep{Seed: o.seed, Workers: o.jobs, Now: a.now, Served: &served}
	err = sweep.Run(ctx, trace, jobs, func(r cache.Result) error {
		return print(cachesimRow{
			Trace: name, Policy: r.Policy, Prefetch: "none", Size: r.Size,
			Requests: r.Requests, Misses: r.Misses, MissRatio: r.MissRatio(),
			ReqBytes: r.ReqBytes, MissBytes: r.MissBytes, ByteMissRatio: r.ByteMissRatio(),
			Seconds: r.Seconds, MReqs: r.MReqs(),
		})
	})
	if err != nil && ctx.Err() != nil {
		return fail(ExitInterrupted, context.Cause(ctx))
	}
	return err
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

// cachesimTable prints rows as they come, in columns wide enough for all.
func cachesimTable(w io.Writer, paths []string, choices []cache.Choice) func(cachesimRow) error {
	traceWidth, policyWidth := len("trace"), len("policy")
	for _, p := range paths {
		traceWidth = max(traceWidth, len(filepath.Base(p)))
	}
	for _, c := range choices {
		policyWidth = max(policyWidth, len(c.Text))
	}
	first := true
	return func(r cachesimRow) error {
		if first {
			first = false
			if _, err := fmt.Fprintf(w, "%-*s  %-*s  %14s  %12s  %12s  %10s  %10s  %8s\n",
				traceWidth, "trace", policyWidth, "policy", "size", "requests", "misses", "miss ratio", "byte ratio", "Mreq/s"); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(w, "%-*s  %-*s  %14d  %12d  %12d  %10.6f  %10.6f  %8.2f\n",
			traceWidth, r.Trace, policyWidth, r.Policy, r.Size, r.Requests, r.Misses, r.MissRatio, r.ByteMissRatio, r.MReqs)
		return err
	}
}

func (a *app) listPolicies(asJSON bool) error {
	type param struct {
		Name    string `json:"name"`
		Default string `json:"default"`
		Doc     string `json:"doc"`
	}
	type policy struct {
		Policy string  `json:"policy"`
		Doc    string  `json:"doc"`
		Source string  `json:"source,omitempty"`
		Params []param `json:"params"`
	}
	for _, s := range cache.Policies() {
		p := policy{Policy: s.Name, Doc: s.Doc, Source: s.Source, Params: []param{}}
		for _, q := range s.Params {
			p.Params = append(p.Params, param{q.Name, q.String(), q.Doc})
		}
		if asJSON {
			line, err := json.Marshal(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%s\n", line)
			continue
		}
		fmt.Fprintf(a.stdout, "%-18s %s\n", p.Policy, p.Doc)
		if p.Source != "" {
			fmt.Fprintf(a.stdout, "%-18s %s\n", "", p.Source)
		}
		for _, q := range p.Params {
			fmt.Fprintf(a.stdout, "%-18s   %s\n", "", strings.Join([]string{q.Name + "=" + q.Default, q.Doc}, "  "))
		}
	}
	return nil
}
