package glogue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"reprise/artifacts"
	"reprise/policies/glogue"
)

func init() {
	register(artifacts.Builtin{
		Name: "glogue.neo4j", Version: 1,
		Doc: "time of the same queries in the same graph by the catalogue's plans and by a running Neo4j, whose data it removes first",
		Params: []artifacts.Param{
			{Name: "seed", Doc: "of the made graph", Default: 1},
			{Name: "persons", Doc: "people of the made social network", Default: 2000},
			{Name: "limit", Doc: "matches of a pattern that are extended at the most when counting", Default: 20_000},
			{Name: "address", Doc: "of Neo4j, for cypher-shell", Default: "neo4j://localhost:7687"},
			{Name: "erase", Doc: "yes lets it remove what the database holds", Default: "no"},
		},
		Run: neo4j,
	})
}

// neo4j observes seconds by query and plan, glogue and neo4j. The user and the
// password are cypher-shell's own variables, NEO4J_USERNAME and NEO4J_PASSWORD.
func neo4j(ctx context.Context, env *artifacts.Env) error {
	if env.Params["erase"] != "yes" {
		return errors.New("this removes all that the Neo4j database holds: say --param erase=yes")
	}
	program, err := exec.LookPath("cypher-shell")
	if err != nil {
		return errors.New("cypher-shell is not on the path: install Neo4j and start it")
	}
	// say runs statements and gives the lines of the answer below its heading.
	say := func(statements string) ([]string, error) {
		cmd := exec.CommandContext(ctx, program, "--address", env.Params["address"].(string), "--format", "plain", "--fail-fast")
		cmd.Stdin = strings.NewReader(statements)
		var out, failed bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &failed
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("cypher-shell: %w: %s", err, strings.TrimSpace(failed.String()))
		}
		return strings.Split(strings.TrimSpace(out.String()), "\n")[1:], nil
	}
	observe := observer(env)
	g := glogue.Social(env.Params["persons"].(int), uint64(env.Params["seed"].(int)))
	if err := load(g, func(done, total int, statement string) error {
		env.Progress(float64(done), float64(total), "loading Neo4j")
		_, err := say("RETURN 0;\n" + statement)
		return err
	}); err != nil {
		return err
	}
	queries, err := glogue.Queries(g.Schema)
	if err != nil {
		return err
	}
	c := glogue.FromSchema(g.Schema, 3, 3)
	if err := c.Fill(ctx, g, glogue.Sampling{Limit: env.Params["limit"].(int), Seed: uint64(env.Params["seed"].(int))}); err != nil {
		return err
	}
	const rounds = 3
	timed := func(run func() (uint64, error)) (count uint64, best float64, err error) {
		best = math.Inf(1)
		for range rounds {
			start := time.Now()
			if count, err = run(); err != nil {
				return 0, 0, err
			}
			best = min(best, time.Since(start).Seconds())
		}
		return count, best, nil
	}
	ask := func(query string) func() (uint64, error) {
		return func() (uint64, error) {
			lines, err := say(query)
			if err != nil || len(lines) != 1 {
				return 0, errors.Join(err, fmt.Errorf("cypher-shell answered %d lines, not 1", len(lines)))
			}
			return strconv.ParseUint(lines[0], 10, 64)
		}
	}
	// Starting cypher-shell is no work of the database.
	_, idle, err := timed(ask("RETURN 0;"))
	if err != nil {
		return err
	}
	for i, q := range queries {
		env.Progress(float64(i), float64(len(queries)), q.Name)
		plan, err := glogue.Optimal(q.Pattern, c, glogue.Hybrid)
		if err != nil {
			return err
		}
		ours, seconds, err := timed(func() (uint64, error) {
			w, err := glogue.Count(ctx, g, plan, glogue.Homomorphism)
			return w.Matches, err
		})
		if err != nil {
			return err
		}
		theirs, answer, err := timed(ask(cypher(g.Schema, q.Pattern)))
		if err != nil {
			return err
		}
		if ours != theirs {
			return fmt.Errorf("query %s: %d matches here, %d in Neo4j", q.Name, ours, theirs)
		}
		if err := errors.Join(
			observe("seconds", seconds, "s", "query", q.Name, "plan", "glogue"),
			observe("seconds", max(answer-idle, 1e-3), "s", "query", q.Name, "plan", "neo4j"),
		); err != nil {
			return err
		}
	}
	return nil
}

// load says the statements that put a graph in the place of what is there.
func load(g *glogue.Graph, say func(done, total int, statement string) error) error {
	const batch = 5000
	total, done := g.AllVertices()+g.AllEdges(), 0
	if err := say(0, total, "MATCH (n) CALL { WITH n DETACH DELETE n } IN TRANSACTIONS;\n"); err != nil {
		return err
	}
	for l, name := range g.Schema.Vertices {
		label := glogue.VertexLabel(l)
		if g.Vertices(label) == 0 {
			continue
		}
		if err := say(done, total, fmt.Sprintf("CREATE INDEX %s IF NOT EXISTS FOR (n:%s) ON (n.id);\nUNWIND range(0, %d) AS i CREATE (:%s {id: i});\n", name, name, g.Vertices(label)-1, name)); err != nil {
			return err
		}
		done += g.Vertices(label)
	}
	for _, t := range g.Types {
		var pairs []string
		flush := func() error {
			if len(pairs) == 0 {
				return nil
			}
			done += len(pairs)
			statement := fmt.Sprintf("UNWIND [%s] AS e MATCH (a:%s {id: e[0]}), (b:%s {id: e[1]}) CREATE (a)-[:%s]->(b);\n",
				strings.Join(pairs, ","), g.Schema.Vertices[t.From], g.Schema.Vertices[t.To], g.Schema.Edges[t.Label])
			pairs = pairs[:0]
			return say(done, total, statement)
		}
		var err error
		g.EachEdge(t, func(from, to int) {
			pairs = append(pairs, fmt.Sprintf("[%d,%d]", from, to))
			if err == nil && len(pairs) == batch {
				err = flush()
			}
		})
		if err = errors.Join(err, flush()); err != nil {
			return err
		}
	}
	return nil
}

// cypher counts a pattern's homomorphisms. A single MATCH would not let two
// edges of the pattern be one of the graph; each edge has a MATCH of its own.
func cypher(s *glogue.Schema, p glogue.Pattern) string {
	var b strings.Builder
	for _, e := range p.Edges {
		fmt.Fprintf(&b, "MATCH (v%d:%s)-[:%s]->(v%d:%s) ", e.From, s.Vertices[p.Vertices[e.From]], s.Edges[e.Label], e.To, s.Vertices[p.Vertices[e.To]])
	}
	b.WriteString("RETURN count(*);")
	return b.String()
}
