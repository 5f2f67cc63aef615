package glogue

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A text file that is no graph is refused with the number of its line.
func lineError(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, args...))
}

// maxLine bounds the lines of a graph's files.
const maxLine = 1 << 20

func scanLines(r io.Reader, each func(line int, fields []string) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	n := 0
	for s.Scan() {
		n++
		if err := each(n, strings.Fields(s.Text())); err != nil {
			return err
		}
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		return lineError(n+1, "longer than %d bytes", maxLine)
	}
	return s.Err()
}

// both adds an undirected edge as one each way.
func both(b *Builder, u, v uint32) error {
	if err := b.Edge(u, 0, v); err != nil {
		return err
	}
	return b.Edge(v, 0, u)
}

// ReadEdgeList reads an undirected graph without labels: two vertex numbers a
// line, and what follows them is not looked at. Lines that begin with # or %
// are comments; a first line with a single number, the count of vertices, is
// passed over, and a line -1 ends the list. Loops are left out, as in the published counts of triangles.
func ReadEdgeList(r io.Reader) (*Graph, error) {
	b := &Builder{Schema: &Schema{Vertices: []string{"v"}, Edges: []string{"e"}}}
	number := map[uint64]uint32{}
	vertex := func(text string) (uint32, error) {
		id, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%q is no vertex number", text)
		}
		v, ok := number[id]
		if !ok {
			v = b.Vertex(0)
			number[id] = v
		}
		return v, nil
	}
	ended := false
	err := scanLines(r, func(line int, f []string) error {
		switch {
		case ended || len(f) == 0 || f[0][0] == '#' || f[0][0] == '%':
			return nil
		case len(f) == 1 && f[0] == "-1":
			ended = true
			return nil
		case len(f) == 1 && len(number) == 0:
			if _, err := strconv.ParseUint(f[0], 10, 64); err == nil {
				return nil
			}
		}
		if len(f) < 2 {
			return lineError(line, "one vertex, where an edge needs two")
		}
		u, err := vertex(f[0])
		if err != nil {
			return lineError(line, "%v", err)
		}
		v, err := vertex(f[1])
		if err != nil {
			return lineError(line, "%v", err)
		}
		if u == v {
			return nil
		}
		return both(b, u, v)
	})
	if err != nil {
		return nil, err
	}
	return b.Graph()
}

// labelled is what a .graph file holds.
type labelled struct {
	labels []uint64
	edges  [][2]uint32
}

// readLabelled reads the .graph format of subgraph matching studies: "t N M",
// then N lines "v id label degree", then M lines "e u v", and after that
// perhaps an edge label, which is not looked at.
func readLabelled(r io.Reader) (*labelled, error) {
	l := &labelled{}
	var vertices, edges uint64
	seen := false
	err := scanLines(r, func(line int, f []string) error {
		if len(f) == 0 || f[0][0] == '#' {
			return nil
		}
		numbers := make([]uint64, len(f)-1)
		for i, text := range f[1:] {
			n, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				return lineError(line, "%q is no number", text)
			}
			numbers[i] = n
		}
		switch {
		case f[0] == "t" && len(numbers) >= 2 && !seen:
			seen, vertices, edges = true, numbers[0], numbers[1]
		case !seen:
			return lineError(line, "the first line must be t, the number of vertices and that of edges")
		case f[0] == "v" && len(numbers) >= 2:
			if numbers[0] != uint64(len(l.labels)) {
				return lineError(line, "vertex %d comes where %d should", numbers[0], len(l.labels))
			}
			if l.labels = append(l.labels, numbers[1]); uint64(len(l.labels)) > vertices {
				return lineError(line, "more than the %d vertices that the first line told", vertices)
			}
		case f[0] == "e" && len(numbers) >= 2:
			if n := uint64(len(l.labels)); numbers[0] >= n || numbers[1] >= n {
				return lineError(line, "an edge to a vertex that has not come")
			}
			if numbers[0] == numbers[1] {
				return lineError(line, "the edge is a loop")
			}
			l.edges = append(l.edges, [2]uint32{uint32(numbers[0]), uint32(numbers[1])})
		default:
			return lineError(line, "neither v id label … nor e from to …")
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case !seen:
		return nil, errors.New("the file is empty")
	case uint64(len(l.labels)) != vertices || uint64(len(l.edges)) != edges:
		return nil, fmt.Errorf("%d vertices and %d edges, where the first line tells %d and %d", len(l.labels), len(l.edges), vertices, edges)
	}
	return l, nil
}

// ReadLabelled reads an undirected graph with labels on its vertices from a
// .graph file.
func ReadLabelled(r io.Reader) (*Graph, error) {
	l, err := readLabelled(r)
	if err != nil {
		return nil, err
	}
	names := slices.Clone(l.labels)
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) >= MaxLabels {
		return nil, fmt.Errorf("%d vertex labels are too many", len(names))
	}
	s := &Schema{Edges: []string{"e"}}
	for _, n := range names {
		s.Vertices = append(s.Vertices, strconv.FormatUint(n, 10))
	}
	b := &Builder{Schema: s}
	for _, n := range l.labels {
		i, _ := slices.BinarySearch(names, n)
		b.Vertex(VertexLabel(i))
	}
	for _, e := range l.edges {
		if err := both(b, e[0], e[1]); err != nil {
			return nil, err
		}
	}
	return b.Graph()
}

// ReadQuery reads a pattern from a .graph file, with the labels of the graph
// that it will be matched in. Its edges have no direction in a graph that has
// every edge both ways.
func ReadQuery(r io.Reader, g *Graph) (Pattern, error) {
	l, err := readLabelled(r)
	if err != nil {
		return Pattern{}, err
	}
	vertices := make([]VertexLabel, len(l.labels))
	for i, n := range l.labels {
		if vertices[i], err = g.VertexLabel(strconv.FormatUint(n, 10)); err != nil {
			return Pattern{}, err
		}
	}
	edges := make([]PatternEdge, len(l.edges))
	for i, e := range l.edges {
		edges[i] = PatternEdge{uint8(min(e[0], 255)), uint8(min(e[1], 255)), 0}
	}
	return NewPattern(vertices, edges)
}

// ReadLDBC reads the folder of a social network of the LDBC benchmark, with all
// folders in it: label.csv with the vertices of a label and from_relation_to.csv
// with the edges of a type, in parts _0_0, _0_1 and so on where there are several,
// separated by |. A first line that begins with no number names the columns: id,
// and for edges two that end in .id; without it ids come first. That is what the
// benchmark's generator writes as csv_basic and what is published with GLogS. A
// relation whose end has no file of its own, such as City, is looked up among the
// vertices of the file that holds them (Place, Organisation). Addresses and
// languages of people are not vertices, and left out.
func ReadLDBC(fsys fs.FS) (*Graph, error) {
	vertices, edges, err := ldbcFiles(fsys)
	if err != nil {
		return nil, err
	}
	s := &Schema{}
	b := &Builder{Schema: s}
	ids := map[string]map[string]uint32{}
	for _, file := range vertices {
		name := strings.ToLower(file.name[0])
		if ids[name] == nil {
			ids[name] = map[string]uint32{}
			s.Vertices = append(s.Vertices, name)
		}
		known, label := ids[name], VertexLabel(slices.Index(s.Vertices, name))
		err := readBars(fsys, file.path, 1, func(line int, f []string) error {
			if _, twice := known[f[0]]; twice {
				return lineError(line, "id %s comes twice", f[0])
			}
			known[f[0]] = b.Vertex(label)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(s.Vertices) == 0 {
		return nil, errors.New("no file is called label_0_0.csv")
	}
	// Labels that only relations name stand for one of the files'.
	within := map[string]string{"country": "place", "city": "place", "continent": "place", "company": "organisation", "university": "organisation"}
	for _, file := range edges {
		from, to := strings.ToLower(file.name[0]), strings.ToLower(file.name[2])
		from, to = cmp.Or(within[from], from), cmp.Or(within[to], to)
		if to == "emailaddress" || to == "language" {
			continue
		}
		if ids[from] == nil || ids[to] == nil {
			return nil, fmt.Errorf("%s: no file has the vertices %s or %s", file.path, from, to)
		}
		label := slices.Index(s.Edges, file.name[1])
		if label < 0 {
			label = len(s.Edges)
			s.Edges = append(s.Edges, file.name[1])
		}
		err := readBars(fsys, file.path, 2, func(line int, f []string) error {
			u, ok := ids[from][f[0]]
			v, also := ids[to][f[1]]
			if !ok || !also {
				return lineError(line, "no %s %s or no %s %s", from, f[0], to, f[1])
			}
			if u == v {
				return nil
			}
			return b.Edge(u, EdgeLabel(label), v)
		})
		if err != nil {
			return nil, err
		}
	}
	return b.Graph()
}

// ldbcFile is a file of vertices, with a name of one part, or of edges, with one
// of three.
type ldbcFile struct {
	path string
	name []string
}

var ldbcPart = regexp.MustCompile(`(_\d+)*\.csv$`)

func ldbcFiles(fsys fs.FS) (vertices, edges []ldbcFile, err error) {
	err = fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".csv") {
			return err
		}
		f := ldbcFile{p, strings.Split(ldbcPart.ReplaceAllString(path.Base(p), ""), "_")}
		switch len(f.name) {
		case 1:
			vertices = append(vertices, f)
		case 3:
			edges = append(edges, f)
		}
		return nil
	})
	return vertices, edges, err
}

// readBars reads so many ids a line from a file of fields between bars: those of
// the columns that the first line names, if it names any, or the first.
func readBars(fsys fs.FS, file string, ids int, each func(line int, ids []string) error) error {
	in, err := fsys.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	columns := []int{0, 1}[:ids]
	chosen := make([]string, ids)
	line := 0
	for s.Scan() {
		line++
		text := strings.TrimRight(s.Text(), "\r")
		if text == "" {
			continue
		}
		f := strings.Split(text, "|")
		for i := range f {
			f[i] = strings.Trim(f[i], `"`)
		}
		if _, err := strconv.ParseUint(f[0], 10, 64); err != nil && line == 1 {
			named := columns[:0]
			for i, name := range f {
				if name = strings.ToLower(name); name == "id" || strings.HasSuffix(name, ".id") {
					named = append(named, i)
				}
			}
			if len(named) < ids {
				return fmt.Errorf("%s: %w", file, lineError(line, "%d columns are called id or end in .id, where %d are needed", len(named), ids))
			}
			columns = named[:ids]
			continue
		}
		for i, c := range columns {
			if c >= len(f) {
				return fmt.Errorf("%s: %w", file, lineError(line, "%d fields, where %d are needed", len(f), c+1))
			}
			chosen[i] = f[c]
		}
		if err := each(line, chosen); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	if s.Err() != nil {
		return fmt.Errorf("%s: %w", file, s.Err())
	}
	return nil
}
