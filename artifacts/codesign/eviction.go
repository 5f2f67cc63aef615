// Package codesign has the experiments of the artifact of that name: cache
// prefetching and eviction designed together.
package codesign

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/policies/cache"
	"reprise/traces"
)

func init() {
	artifacts.Register(artifacts.Builtin{
		Name:    "codesign.eviction",
		Version: 2,
		Doc:     "replays a workload through caches that only evict, without prefetching",
		Params: []artifacts.Param{
			{Name: "workload", Doc: "a generated workload, such as profile:cdn or gen:zipf?alpha=1, without n and seed"},
			{Name: "requests", Doc: "requests to replay", Default: 200_000},
			{Name: "seed", Doc: "of the workload and of policies that draw at random", Default: 1},
			{Name: "policies", Doc: "eviction policies", Default: []string{"lru", "fifo", "clock", "sieve", "s3fifo", "twoq", "slru", "arc", "lfu", "belady"}},
			{Name: "sizes", Doc: "cache sizes: objects, or a share of the workload's footprint", Default: []string{"0.1%", "1%", "10%"}},
		},
		Run: eviction,
	})
}

// eviction observes, for every policy and size, the number of misses and
// miss_ratio, misses over requests, with every object of size 1.
func eviction(ctx context.Context, env *artifacts.Env) error {
	seed := env.Params["seed"].(int)
	choices, err := cache.ParsePolicies(strings.Join(env.Params["policies"].([]string), ","))
	if err != nil {
		return err
	}
	sizes, err := cache.ParseSizes(strings.Join(env.Params["sizes"].([]string), ","))
	if err != nil {
		return err
	}
	trace, err := generate(ctx, env.Params["workload"].(string), env.Params["requests"].(int), seed)
	if err != nil {
		return err
	}
	var jobs []cache.Job
	labels := map[string]map[string]string{}
	for _, c := range choices {
		for _, s := range sizes {
			units, err := s.Resolve(trace)
			if err != nil {
				return err
			}
			if units < 1 {
				return fmt.Errorf("size %s of this workload is less than one object", s.Text)
			}
			jobs = append(jobs, cache.Job{Choice: c, Size: units})
			labels[fmt.Sprint(c.Text, " ", units)] = map[string]string{"policy": c.Text, "size": s.Text}
		}
	}
	var served atomic.Int64
	total := float64(len(jobs)) * float64(trace.Len())
	sweep := cache.Sweep{Seed: uint64(seed), Workers: 1, Now: time.Now, Served: &served}
	return sweep.Run(ctx, trace, jobs, func(r cache.Result) error {
		env.Progress(float64(served.Load()), total, r.Policy)
		at := labels[fmt.Sprint(r.Policy, " ", r.Size)]
		if err := env.Observe(checks.Observation{Metric: "misses", Value: float64(r.Misses), Unit: "1", Labels: at}); err != nil {
			return err
		}
		return env.Observe(checks.Observation{Metric: "miss_ratio", Value: r.MissRatio(), Unit: "1", Labels: at})
	})
}

// generate makes a workload's requests, each object of size 1.
func generate(ctx context.Context, workload string, requests, seed int) (*cache.Trace, error) {
	if !traces.IsSpec(workload) {
		return nil, fmt.Errorf("workload %q is not generated; write profile:NAME or gen:PATTERN", workload)
	}
	join := "?"
	if strings.Contains(workload, "?") {
		join = "&"
	}
	stream, err := traces.Open(fmt.Sprintf("%s%sn=%d&seed=%d", workload, join, requests, seed), traces.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Close() }()
	return cache.Load(ctx, stream, cache.LoadOptions{IgnoreSizes: true, Requests: int64(requests)})
}
