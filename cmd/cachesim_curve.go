package cmd

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"reprise/policies/cache"
	"reprise/policies/cache/prefetch"
	"reprise/tui/chart"
)

// curveFlags are the flags of cachesim that make curves of its results.
type curveFlags struct {
	mrc    bool
	svg    string
	sample float64
	check  bool
}

// curveSizes are those of a curve whose sizes are not given.
const curveSizes = "0.01%,0.02%,0.05%,0.1%,0.2%,0.3%,0.5%,0.7%,1%,1.5%,2%,3%,4%,5%,7%,10%,15%,20%,25%,30%,40%,50%,60%,70%,80%,90%,100%"

func (c *curveFlags) register(f *pflag.FlagSet) {
	f.BoolVar(&c.mrc, "mrc", false, "miss-ratio curves: sizes from 0.01% to 100% unless --size is given, LRU in one pass, charts after the table")
	f.StringVar(&c.svg, "svg", "", "draw the miss-ratio and backend-load curves into `file`, or FILE-N.svg where there are several traces")
	f.Float64Var(&c.sample, "sample", 0, "object mode: estimate from this `part` of the objects (SHARDS): a share such as 0.01, or as many as 8192")
	f.BoolVar(&c.check, "sample-check", false, "with --sample: replay everything, too, and print how far off the estimate is")
}

func (c *curveFlags) validate(o cachesim, jobs cachesimJobs) error {
	switch {
	case !(c.sample >= 0 && c.sample <= 1 || c.sample <= 1<<31 && c.sample == math.Trunc(c.sample) && c.sample > 0):
		return fmt.Errorf("--sample %g: must be a share between 0 and 1, or a number of objects", c.sample)
	case c.sample > 0 && o.mode == "block":
		return errors.New("--sample is for object mode; pages next to each other cannot be sampled apart")
	case c.sample > 0 && slices.ContainsFunc(jobs.prefetchers, func(p prefetch.Choice) bool { return p.String() != "none" }):
		return errors.New("--sample is for eviction without prefetching; which object comes after which is another matter in a sample")
	case c.check && c.sample == 0:
		return errors.New("--sample-check needs --sample")
	}
	return nil
}

// rate and objects are what the sample is to have: a share of the objects, or a
// number of them.
func (c *curveFlags) rate() float64 {
	if c.objects() > 0 {
		return 0
	}
	return c.sample
}

func (c *curveFlags) objects() int {
	if c.sample <= 1 {
		return 0
	}
	return int(c.sample)
}

// share is about what part of a trace is replayed for a sample.
func (c *curveFlags) share(t *cache.Trace) float64 {
	switch {
	case c.objects() > 0:
		return min(c.sample/float64(max(t.Footprint().Objects, 1)), 1)
	case c.sample > 0:
		return c.sample
	}
	return 1
}

// curvePoint is what a row contributes to the curves.
type curvePoint struct {
	policy, prefetch     string
	size                 int64
	missRatio, load      float64
	missLabel, loadLabel string
}

func (r cachesimRow) point() curvePoint {
	load := 0.0
	if r.ReqBytes > 0 {
		load = float64(r.BackendBytes) / float64(r.ReqBytes)
	}
	return curvePoint{
		policy: r.Policy, prefetch: r.Prefetch, size: r.Size, missRatio: r.MissRatio, load: load,
		missLabel: "requests missed, share", loadLabel: "fetched from the backend / requested",
	}
}

func (r blockRow) point() curvePoint {
	load := 0.0
	if r.ReqBytes > 0 {
		load = float64(r.BackendBytes) / float64(r.ReqBytes)
	}
	return curvePoint{
		policy: r.Policy, prefetch: r.Prefetch, size: r.Size, missRatio: r.MissRatio, load: load,
		missLabel: "requests missed, share", loadLabel: "backend bytes / requested bytes",
	}
}

// curves gathers the results of one trace.
type curves struct {
	trace  string
	order  []string
	points map[string][]curvePoint
}

func (c *curves) add(p curvePoint) {
	name := p.policy
	if p.prefetch != "none" {
		name += " + " + p.prefetch
	}
	if c.points == nil {
		c.points = map[string][]curvePoint{}
	}
	if c.points[name] == nil {
		c.order = append(c.order, name)
	}
	c.points[name] = append(c.points[name], p)
}

// panels are the charts there is something to show in: the backend load differs
// from the misses only where something is prefetched or bytes count.
func (c *curves) panels() []chart.Panel {
	if len(c.order) == 0 {
		return nil
	}
	first := c.points[c.order[0]][0]
	miss := chart.Panel{Title: c.trace + ": miss ratio", X: "cache size", Y: first.missLabel}
	load := chart.Panel{Title: c.trace + ": backend load", X: "cache size", Y: first.loadLabel}
	differs := false
	for _, name := range c.order {
		var m, l chart.Series
		m.Name, l.Name = name, name
		for _, p := range c.points[name] {
			m.X, m.Y = append(m.X, float64(p.size)), append(m.Y, p.missRatio)
			l.X, l.Y = append(l.X, float64(p.size)), append(l.Y, p.load)
			differs = differs || p.load != p.missRatio
		}
		miss.Series, load.Series = append(miss.Series, m), append(load.Series, l)
	}
	if !differs {
		return []chart.Panel{miss}
	}
	return []chart.Panel{miss, load}
}

// print draws the curves with characters, a letter for each series.
func (c *curves) print(w io.Writer) {
	for _, p := range c.panels() {
		fmt.Fprintf(w, "\n%s by %s\n", p.Title, p.X)
		plain := func(_ int, text string) string { return text }
		for _, line := range chart.Line(p.Series, 76, 18, plain) {
			fmt.Fprintln(w, strings.TrimRight(line, " "))
		}
		for i, s := range p.Series {
			fmt.Fprintf(w, "  %c  %s\n", chart.Letter(i), s.Name)
		}
	}
}

// write draws the curves of the n-th of so many traces into the file asked for.
func (c *curves) write(path string, n, of int) error {
	if of > 1 {
		ext := filepath.Ext(path)
		path = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, ext), n+1, ext)
	}
	if err := os.WriteFile(path, []byte(chart.SVG(c.panels())), 0o644); err != nil {
		return fail(ExitInfrastructure, err)
	}
	return nil
}
