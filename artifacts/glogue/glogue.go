// Package glogue holds the experiments of the artifact glogue: the catalogue of
// pattern cardinalities kept as a graph, its memory, its estimates, and the
// plans that follow from them.
package glogue

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/policies/glogue"
)

func init() {
	seed := artifacts.Param{Name: "seed", Doc: "of the made graph and of the samples", Default: 1}
	persons := artifacts.Param{Name: "persons", Doc: "people of the made social network", Default: 500}
	graph := artifacts.Param{Name: "graph", Doc: "social (made), or ldbc, the benchmark's tiny network in the folder of traces, or that in folder", Default: "social"}
	folder := artifacts.Param{Name: "folder", Doc: "folder of a network that LDBC's generator wrote as csv_basic, for graph ldbc", Default: ""}
	limit := artifacts.Param{Name: "limit", Doc: "matches of a pattern that are extended at the most when counting", Default: 20_000}
	for _, b := range []artifacts.Builtin{
		{Name: "glogue.sizes", Version: 1, Doc: "patterns and approaches of the catalogues whose sizes the published tests assert", Run: sizes},
		{Name: "glogue.memory", Version: 1, Doc: "bytes a pattern edge takes in both published encodings, and what a catalogue and a table of the same patterns take",
			Params: []artifacts.Param{{Name: "depth", Doc: "vertices of the biggest patterns", Default: 3}}, Run: memory},
		{Name: "glogue.published", Version: 1, Doc: "counts of triangles and of 200 queries that are published with real graphs", ReadsTraces: true, Run: published},
		{Name: "glogue.estimates", Version: 1, Doc: "q-error of the catalogue and of the table for queries, and the work of the plans they lead to",
			Params: []artifacts.Param{seed, persons, graph, folder, limit, {Name: "depth", Doc: "vertices of the biggest patterns that are counted", Default: 3}}, ReadsTraces: true, Run: estimates},
		{Name: "glogue.sparsify", Version: 1, Doc: "error of counts in sparsified graphs",
			Params: []artifacts.Param{seed, persons, {Name: "fraction", Doc: "share of the edges that is kept", Default: 0.5}, {Name: "rounds", Doc: "sparsified graphs that are averaged", Default: 20}}, Run: sparsify},
		{Name: "glogue.speed", Version: 2, Doc: "time to match queries by the catalogue's plan and in the order they are written, and extensions a second",
			Params: []artifacts.Param{seed, persons, limit}, Run: speed},
	} {
		register(b)
	}
}

// register adds an experiment that looks at its parameters before it runs.
func register(b artifacts.Builtin) {
	run := b.Run
	b.Run = func(ctx context.Context, env *artifacts.Env) error {
		for name, least := range map[string]int{"persons": 2, "limit": 1, "depth": 2, "rounds": 1} {
			if v, ok := env.Params[name].(int); ok && v < least {
				return fmt.Errorf("%s is %d; it must be at least %d", name, v, least)
			}
		}
		if v, ok := env.Params["fraction"].(float64); ok && !(v > 0 && v <= 1) {
			return fmt.Errorf("fraction is %v; it must be above 0 and at most 1", v)
		}
		return run(ctx, env)
	}
	artifacts.Register(b)
}

func observer(env *artifacts.Env) func(metric string, value float64, unit string, labels ...string) error {
	return func(metric string, value float64, unit string, labels ...string) error {
		o := checks.Observation{Metric: metric, Value: value, Unit: unit, Labels: map[string]string{}}
		for i := 0; i < len(labels); i += 2 {
			o.Labels[labels[i]] = labels[i+1]
		}
		return env.Observe(o)
	}
}

// sizes observes differences, by case: how far the numbers of patterns and
// approaches are from those asserted, in all.
func sizes(_ context.Context, env *artifacts.Env) error {
	observe := observer(env)
	for _, c := range glogue.PublishedCatalogues() {
		patterns, approaches := len(c.Catalogue.Nodes), len(c.Catalogue.Approaches)
		differences := math.Abs(float64(patterns-c.Patterns)) + math.Abs(float64(approaches-c.Approaches))
		if err := errors.Join(
			observe("patterns", float64(patterns), "1", "case", c.Name),
			observe("approaches", float64(approaches), "1", "case", c.Name),
			observe("differences", differences, "1", "case", c.Name),
		); err != nil {
			return err
		}
	}
	return nil
}

// memory observes bytes_per_edge and bits_per_edge by encoding, for the
// patterns of the LDBC schema; and entries, bytes and bytes_per_entry of the
// catalogue and of the table.
func memory(_ context.Context, env *artifacts.Env) error {
	observe := observer(env)
	schema, depth := glogue.LDBCSchema(), env.Params["depth"].(int)
	c := glogue.FromSchema(schema, depth, depth)
	empty, err := (&glogue.Builder{Schema: schema}).Graph()
	if err != nil {
		return err
	}
	table := c.Table(empty)
	for _, packed := range []bool{true, false} {
		name := map[bool]string{true: "packed", false: "plain"}[packed]
		codec := glogue.NewCodec(schema, depth, packed)
		var bytes, edges int
		for _, n := range c.Nodes {
			if len(n.Pattern.Edges) > 0 {
				bytes += len(codec.Pattern(n.Pattern))
				edges += len(n.Pattern.Edges)
			}
		}
		if err := errors.Join(
			observe("bits_per_edge", float64(codec.EdgeBits()), "1", "encoding", name),
			observe("bytes_per_edge", float64(bytes)/float64(edges), "B", "encoding", name),
			observe("bytes", float64(c.Bytes(codec)), "B", "encoding", name, "catalogue", "glogue"),
			observe("bytes", float64(table.Bytes(codec)), "B", "encoding", name, "catalogue", "table"),
		); err != nil {
			return err
		}
	}
	return errors.Join(
		observe("entries", float64(len(c.Nodes)+len(c.Approaches)), "1", "catalogue", "glogue"),
		observe("entries", float64(table.Entries()), "1", "catalogue", "table"),
	)
}

// errNoTraces explains an experiment that needs real graphs.
var errNoTraces = errors.New("this experiment reads real graphs: name the folder that holds them, as graph/…, in REPRISE_TRACES (docs/artifacts/glogue.md tells where they come from)")

// published observes triangles by graph, and embeddings_wrong: of 200 queries,
// how many have another count than published.
func published(ctx context.Context, env *artifacts.Env) error {
	if env.Traces == "" {
		return errNoTraces
	}
	observe := observer(env)
	triangle := glogue.Pattern{Vertices: make([]glogue.VertexLabel, 3), Edges: []glogue.PatternEdge{{From: 0, To: 1}, {From: 0, To: 2}, {From: 1, To: 2}}}
	for _, name := range []string{"facebook_combined", "oregon1_010331"} {
		g, err := read(env, name+".txt", glogue.ReadEdgeList)
		if err != nil {
			return err
		}
		w, err := glogue.Count(ctx, g, glogue.Naive(triangle), glogue.Injective)
		if err != nil {
			return err
		}
		// Each triangle is found in 3! orders.
		if err := observe("triangles", float64(w.Matches/6), "1", "graph", name); err != nil {
			return err
		}
	}
	g, err := read(env, "HPRD.graph", glogue.ReadLabelled)
	if err != nil {
		return err
	}
	answers, err := read(env, "HPRD_expected_output.res", io.ReadAll)
	if err != nil {
		return err
	}
	want := map[string]uint64{}
	for line := range strings.FieldsSeq(string(answers)) {
		name, count, _ := strings.Cut(line, ":")
		if want[name], err = strconv.ParseUint(count, 10, 64); err != nil {
			return fmt.Errorf("HPRD_expected_output.res: %w", err)
		}
	}
	wrong, done := 0, 0
	err = untar(env, "HPRD_query_graph.tar.gz", func(queries fs.FS) error {
		for name := range want {
			f, err := queries.Open(name + ".graph")
			if err != nil {
				return err
			}
			q, err := glogue.ReadQuery(f, g)
			if err = errors.Join(err, f.Close()); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			w, err := glogue.Count(ctx, g, glogue.Greedy(g, q), glogue.Injective)
			if err != nil {
				return err
			}
			if w.Matches != want[name] {
				wrong++
			}
			done++
			env.Progress(float64(done), float64(len(want)), "queries")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return errors.Join(observe("embeddings_wrong", float64(wrong), "1"), observe("embeddings_checked", float64(done), "1"))
}

// read opens a file of the folder of traces.
func read[T any](env *artifacts.Env, name string, parse func(io.Reader) (T, error)) (T, error) {
	f, err := os.Open(filepath.Join(env.Traces, "graph", name))
	if err != nil {
		var none T
		return none, err
	}
	defer f.Close()
	v, err := parse(f)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return v, err
}

// untar unpacks a compressed archive, file by file into one temporary folder,
// for as long as use takes.
func untar(env *artifacts.Env, name string, use func(fs.FS) error) (err error) {
	folder, err := os.MkdirTemp(env.Dir, "untar")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	_, err = read(env, name, func(r io.Reader) (struct{}, error) {
		zip, err := gzip.NewReader(r)
		if err != nil {
			return struct{}{}, err
		}
		archive := tar.NewReader(zip)
		for {
			h, err := archive.Next()
			if errors.Is(err, io.EOF) {
				return struct{}{}, nil
			}
			if err != nil {
				return struct{}{}, err
			}
			name := path.Base(h.Name)
			if h.Typeflag != tar.TypeReg || strings.HasPrefix(name, "._") || !filepath.IsLocal(name) {
				continue
			}
			data, err := io.ReadAll(archive)
			if err == nil {
				err = os.WriteFile(filepath.Join(folder, name), data, 0o600)
			}
			if err != nil {
				return struct{}{}, err
			}
		}
	})
	if err != nil {
		return err
	}
	return use(os.DirFS(folder))
}

func graphOf(env *artifacts.Env) (*glogue.Graph, error) {
	switch name := env.Params["graph"].(string); name {
	case "social":
		return glogue.Social(env.Params["persons"].(int), uint64(env.Params["seed"].(int))), nil
	case "ldbc":
		if folder := env.Params["folder"].(string); folder != "" {
			g, err := glogue.ReadLDBC(os.DirFS(folder))
			if err != nil {
				return nil, fmt.Errorf("folder %s: %w", folder, err)
			}
			return g, nil
		}
		if env.Traces == "" {
			return nil, errNoTraces
		}
		var g *glogue.Graph
		err := untar(env, "ldbc_snb_tiny_test_data.tar.gz", func(fsys fs.FS) (err error) {
			g, err = glogue.ReadLDBC(fsys)
			return err
		})
		return g, err
	default:
		return nil, fmt.Errorf("there is no graph %q; there are social and ldbc", name)
	}
}

// queriesOf are the queries in a graph's labels; the benchmark's files have
// cities as places.
func queriesOf(g *glogue.Graph) ([]glogue.Query, error) {
	s := *g.Schema
	s.Vertices = slices.Clone(s.Vertices)
	for i, name := range s.Vertices {
		if name == "place" {
			s.Vertices[i] = "city"
		}
	}
	return glogue.Queries(&s)
}

// maxMatches is how many matches a part of a query may have for the plans of
// the query to be measured.
const maxMatches = 30_000_000

// estimates observes, by query, q_error of each estimator (glogue, glogue-pairs,
// table), and
// work_ratio of each plan: the entries of adjacency lists and rows of joins
// that it reads, over the least that any plan reads. A query with a part of too
// many matches to measure is left out, and counted in queries_left_out.
func estimates(ctx context.Context, env *artifacts.Env) error {
	observe := observer(env)
	g, err := graphOf(env)
	if err != nil {
		return err
	}
	queries, err := queriesOf(g)
	if err != nil {
		return err
	}
	depth := env.Params["depth"].(int)
	start := time.Now()
	c := glogue.FromSchema(g.Schema, depth, depth)
	if err := c.Fill(ctx, g, glogue.Sampling{Limit: env.Params["limit"].(int), Seed: uint64(env.Params["seed"].(int))}); err != nil {
		return err
	}
	if err := observe("build_seconds", time.Since(start).Seconds(), "s"); err != nil {
		return err
	}
	table := c.Table(g)
	left := 0
	for i, q := range queries {
		env.Progress(float64(i), float64(len(queries)), q.Name)
		truth, ok, err := glogue.Measure(ctx, g, q.Pattern, maxMatches)
		if err != nil {
			return err
		}
		if !ok {
			left++
			continue
		}
		best, err := truth.Best(glogue.Hybrid)
		if err != nil {
			return err
		}
		least := truth.Work(best)
		ratio := func(plan string, work float64) error {
			if least == 0 {
				return nil // nothing to find, and nothing to look at
			}
			return observe("work_ratio", work/least, "x", "query", q.Name, "plan", plan)
		}
		for name, est := range map[string]glogue.Estimator{"glogue": c, "glogue-pairs": c.Pairs(), "table": table} {
			if count := truth.Count(); count > 0 {
				estimate := max(est.Count(q.Pattern), 1) // fewer than one match is one, as usual for the measure
				if err := observe("q_error", max(estimate/count, count/estimate), "x", "query", q.Name, "estimator", name,
					"beyond", strconv.FormatBool(len(q.Pattern.Vertices) > depth)); err != nil {
					return err
				}
			}
			for _, space := range []struct {
				suffix string
				space  glogue.Space
			}{{"", glogue.Hybrid}, {"-extend", glogue.ExtendOnly}} {
				plan, err := glogue.Optimal(q.Pattern, est, space.space)
				if err != nil {
					return err
				}
				if err := ratio(name+space.suffix, truth.Work(plan)); err != nil {
					return err
				}
			}
		}
		if err := errors.Join(
			ratio("naive", truth.Work(glogue.Naive(q.Pattern))),
			ratio("greedy", truth.Work(glogue.Greedy(g, q.Pattern))),
			ratio("worst", truth.Worst()),
		); err != nil {
			return err
		}
	}
	return observe("queries_left_out", float64(left), "1")
}

// sparsify observes, by pattern, the error of the mean count over sparsified
// graphs against the exact one, in percent: bias of our weights and of the
// published scaling; and spread, the standard deviation of single counts over
// the exact one, for rates by type and for the same rate for all.
func sparsify(ctx context.Context, env *artifacts.Env) error {
	observe := observer(env)
	seed := env.Params["seed"].(int)
	g := glogue.Social(env.Params["persons"].(int), uint64(seed))
	fraction, rounds := env.Params["fraction"].(float64), env.Params["rounds"].(int)
	queries, err := glogue.Queries(g.Schema)
	if err != nil {
		return err
	}
	star, err := g.PatternOf([]string{"person", "post", "post"}, [][3]any{{0, "likes", 1}, {0, "likes", 2}})
	if err != nil {
		return err
	}
	queries = append(queries[:4:4], glogue.Query{Name: "two-likes", Pattern: star})
	for i, q := range queries {
		exact := glogue.FromPattern(g.Schema, q.Pattern, glogue.ExtendOnly)
		whole := glogue.Sampling{Limit: 1 << 24}
		if err := exact.Fill(ctx, g, whole); err != nil {
			return err
		}
		want := exact.Count(q.Pattern)
		for _, way := range []struct {
			name      string
			rates     map[glogue.EdgeType]float64
			published bool
		}{{"by-type", g.Rates(fraction), false}, {"uniform", g.UniformRates(fraction), false}, {"published-scaling", g.Rates(fraction), true}} {
			var sum, squares float64
			for r := range rounds {
				env.Progress(float64(i*rounds+r), float64(len(queries)*rounds), q.Name)
				s := whole
				s.Rates, s.Published = way.rates, way.published
				c := glogue.FromPattern(g.Schema, q.Pattern, glogue.ExtendOnly)
				if err := c.Fill(ctx, g.Sparsify(way.rates, uint64(seed*1000+r)), s); err != nil {
					return err
				}
				x := c.Count(q.Pattern)/want - 1
				sum, squares = sum+x, squares+x*x
			}
			mean := sum / float64(rounds)
			if err := errors.Join(
				observe("bias", 100*mean, "%", "query", q.Name, "rates", way.name),
				observe("spread", 100*math.Sqrt(max(0, squares/float64(rounds)-mean*mean)), "%", "query", q.Name, "rates", way.name),
			); err != nil {
				return err
			}
		}
	}
	return nil
}

// speed observes seconds to count, by query and plan, and extensions_per_second of
// the catalogue's plans over all queries: matches visited, each for itself, or
// counted, so that of the last extension only the number is needed.
func speed(ctx context.Context, env *artifacts.Env) error {
	observe := observer(env)
	seed := env.Params["seed"].(int)
	g := glogue.Social(env.Params["persons"].(int), uint64(seed))
	queries, err := glogue.Queries(g.Schema)
	if err != nil {
		return err
	}
	c := glogue.FromSchema(g.Schema, 3, 3)
	if err := c.Fill(ctx, g, glogue.Sampling{Limit: env.Params["limit"].(int), Seed: uint64(seed)}); err != nil {
		return err
	}
	// The best of three and more, so that a pause of the machine is not the plan's.
	fastest := func(run func() (glogue.Work, error)) (glogue.Work, float64, error) {
		best := math.Inf(1)
		var w glogue.Work
		runtime.GC()
		for n, spent := 0, 0.0; n < 3 || spent < 0.03; n++ {
			start := time.Now()
			var err error
			if w, err = run(); err != nil {
				return w, 0, err
			}
			seconds := time.Since(start).Seconds()
			best, spent = min(best, seconds), spent+seconds
		}
		return w, best, nil
	}
	var extensions, counting, visiting float64
	for i, q := range queries {
		env.Progress(float64(i), float64(len(queries)), q.Name)
		chosen, err := glogue.Optimal(q.Pattern, c, glogue.ExtendOnly)
		if err != nil {
			return err
		}
		for _, run := range []struct {
			name string
			plan *glogue.Plan
		}{{"glogue", chosen}, {"naive", glogue.Naive(q.Pattern)}} {
			w, seconds, err := fastest(func() (glogue.Work, error) { return glogue.Count(ctx, g, run.plan, glogue.Homomorphism) })
			if err != nil {
				return err
			}
			if run.name == "glogue" {
				extensions, counting = extensions+float64(w.Extensions), counting+seconds
			}
			if err := observe("seconds", seconds, "s", "query", q.Name, "plan", run.name); err != nil {
				return err
			}
		}
		_, seconds, err := fastest(func() (glogue.Work, error) {
			return glogue.Each(ctx, g, chosen, glogue.Homomorphism, func([]uint32) {})
		})
		if err != nil {
			return err
		}
		visiting += seconds
	}
	return errors.Join(
		observe("extensions_per_second", extensions/visiting, "1/s", "matches", "visited"),
		observe("extensions_per_second", extensions/counting, "1/s", "matches", "counted"),
	)
}
