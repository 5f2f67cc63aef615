package prefetch

import "reprise/policies/cache/params"

var pgSpec = Spec{
	Name: "pg",
	Doc:  "probability graph: what followed within a window often enough",
	Source: "Griffioen & Appleton, USENIX Summer 1994, with the parameters of libCacheSim aa0fc40, whose queue of successors " +
		"loses entries and is not followed in that. Of a request for several pages the first is a node, and as many are " +
		"fetched as it was last requested with",
	Params: []params.Param{
		{Name: "lookahead-range", Doc: "requests in the window", Default: 20, Min: 1, Max: 100, Whole: true},
		{Name: "block-size", Doc: "bytes a unit of capacity stands for, for sizing the graph; 0: the page size, in object mode 1", Default: 0, Min: 0, Max: 1 << 31, Whole: true},
		{Name: "max-metadata-size", Doc: "memory for the graph at 32 bytes a node and an edge, as a share of the cache's; recording ends there", Default: 0.1, Min: 0, Max: 1},
		{Name: "prefetch-threshold", Doc: "probability above which a successor is fetched", Default: 0.05, Min: 0, Max: 1},
	},
	new: func(c Config) Prefetcher {
		block := float64(c.Int("block-size"))
		if block == 0 {
			block = float64(c.UnitBytes)
		}
		return &pg{
			threshold: c.Number("prefetch-threshold"),
			limit:     int64(min(float64(c.Capacity)*block*c.Number("max-metadata-size"), 1<<35)),
			nodes:     make([]pgNode, 1), edges: make([]pgEdge, 1), recent: make([]uint64, c.Int("lookahead-range")),
		}
	},
}

// pg keeps a list of the successors of a page that rose above the threshold.
// Those that sank below since are taken off it when it is next used, so that it
// is short, however many successors there are.
//
// Its memory is the limit, at 32 bytes a node and an edge, and again as much at
// most for the tables that find them.
type pg struct {
	recent    []uint64 // the window, round and round; 0 where there is none yet
	at        int
	threshold float64
	limit     int64
	stopped   bool

	byPage table
	byEdge table // by a mix of node and page
	nodes  []pgNode
	edges  []pgEdge
}

type pgNode struct {
	page  uint64
	total uint32
	pages uint32 // last requested with
	first int32
}

type pgEdge struct {
	page   uint64
	count  uint32
	node   int32
	next   int32 // in the list of the node; 0 is the end
	likely bool  // in that list
}

func (g *pg) Bytes() int {
	return g.byPage.bytes() + g.byEdge.bytes() + 24*cap(g.nodes) + 24*cap(g.edges) + 12*len(g.recent)
}

func (g *pg) Access(r *Request, p *Plan) {
	g.record(r.First)
	n, ok := g.byPage.get(r.First)
	if !ok {
		return
	}
	node := &g.nodes[n]
	node.pages = uint32(r.Pages())
	for link := &node.first; *link != 0; {
		e := &g.edges[*link]
		if !g.likely(node, e) {
			e.likely = false
			*link = e.next
			continue
		}
		pages := 1
		if s, ok := g.byPage.get(e.page); ok {
			pages = int(max(g.nodes[s].pages, 1))
		}
		p.Prefetch(e.page, pages, 0)
		link = &e.next
	}
}

// record takes a page into the window. The one that leaves it gets an edge to
// each that is now there.
func (g *pg) record(page uint64) {
	leaving := g.recent[g.at]
	g.recent[g.at] = page
	g.at = (g.at + 1) % len(g.recent)
	if leaving == 0 {
		return
	}
	n, ok := g.byPage.get(leaving)
	if !ok {
		if g.stopped {
			return
		}
		n = uint32(len(g.nodes))
		g.nodes = append(g.nodes, pgNode{page: leaving})
		g.byPage.set(leaving, n)
	}
	for _, to := range g.recent {
		g.nodes[n].total++
		if to == 0 {
			break
		}
		if !g.follow(int32(n), to) {
			return
		}
	}
	g.stopped = g.limit <= 32*int64(len(g.nodes)-1+len(g.edges)-1)
}

// follow counts one edge. It says no if there is none and may be none.
func (g *pg) follow(n int32, to uint64) bool {
	key := hash(to) ^ uint64(n)<<32 ^ uint64(n)
	e, ok := g.byEdge.get(key)
	if ok && (g.edges[e].node != n || g.edges[e].page != to) {
		return true // two edges with one key, in 2^64: the later is not counted
	}
	if !ok {
		if g.stopped {
			return false
		}
		e = uint32(len(g.edges))
		g.edges = append(g.edges, pgEdge{page: to, node: n})
		g.byEdge.set(key, e)
	}
	edge, node := &g.edges[e], &g.nodes[n]
	edge.count++
	if !edge.likely && g.likely(node, edge) {
		edge.likely = true
		edge.next, node.first = node.first, int32(e)
	}
	return true
}

func (g *pg) likely(n *pgNode, e *pgEdge) bool {
	return float64(e.count) > g.threshold*float64(n.total)
}
