// Package glogue plans and runs graph pattern matching: a catalogue of pattern
// cardinalities kept as a graph (GLogue), sampling and sparsification to fill
// it, an estimator for patterns beyond it, a cost model with a search over
// worst-case-optimal extensions and binary joins, and the matcher that runs the
// plans. After Lai et al., "GLogS: Interactive Graph Pattern Matching Query At
// Large Scale", USENIX ATC 2023; the tabular catalogue that it replaced is that
// of Mhedhbi and Salihoglu, VLDB 2019.
//
// A graph takes 4 bytes a vertex and edge type that it may leave or enter, and
// 8 bytes an edge (once each way).
package glogue

import (
	"fmt"
	"slices"
)

// VertexLabel and EdgeLabel number the labels of a [Schema] from 0.
type (
	VertexLabel uint16
	EdgeLabel   uint16
)

// EdgeType is what an edge is called, from a vertex of which label to one of
// which.
type EdgeType struct {
	From  VertexLabel
	Label EdgeLabel
	To    VertexLabel
}

// Schema names the labels of a graph and says which edge types it may have.
type Schema struct {
	Vertices []string
	Edges    []string
	Types    []EdgeType
}

// MaxLabels bounds how many labels of a kind a schema may have.
const MaxLabels = 1 << 16

// VertexLabel finds a vertex label by name.
func (s *Schema) VertexLabel(name string) (VertexLabel, error) {
	if i := slices.Index(s.Vertices, name); i >= 0 {
		return VertexLabel(i), nil
	}
	return 0, fmt.Errorf("no vertex label %q", name)
}

// Type finds an edge type by the names of its labels, written FROM-LABEL->TO.
func (s *Schema) Type(from, label, to string) (EdgeType, error) {
	f, err := s.VertexLabel(from)
	if err != nil {
		return EdgeType{}, err
	}
	t, err := s.VertexLabel(to)
	if err != nil {
		return EdgeType{}, err
	}
	e := slices.Index(s.Edges, label)
	if e < 0 {
		return EdgeType{}, fmt.Errorf("no edge label %q", label)
	}
	typ := EdgeType{f, EdgeLabel(e), t}
	if !slices.Contains(s.Types, typ) {
		return EdgeType{}, fmt.Errorf("no edge type %s-%s->%s", from, label, to)
	}
	return typ, nil
}

// NewSchema makes a schema of edge types given by the names of their labels,
// numbering labels as they come; extra are vertex labels without edges.
func NewSchema(types [][3]string, extra ...string) *Schema {
	s := &Schema{}
	number := func(names *[]string, name string) int {
		i := slices.Index(*names, name)
		if i < 0 {
			i = len(*names)
			*names = append(*names, name)
		}
		return i
	}
	for _, t := range types {
		typ := EdgeType{VertexLabel(number(&s.Vertices, t[0])), EdgeLabel(number(&s.Edges, t[1])), VertexLabel(number(&s.Vertices, t[2]))}
		if !slices.Contains(s.Types, typ) {
			s.Types = append(s.Types, typ)
		}
	}
	for _, name := range extra {
		number(&s.Vertices, name)
	}
	return s
}
