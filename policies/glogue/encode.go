package glogue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Codec writes patterns and extend steps as bytes. The published code has had
// two ways of doing so: first every field in the fewest bits that the schema
// allows (packed), later every field in 4 bytes (plain).
//
// An edge of a pattern is the tuple of its label, the labels of its ends and
// the ranks of its ends. Packed, the fields follow each other without a gap,
// the first bit that is set is a mark before them, and the whole ends with a
// full byte.
type Codec struct {
	Packed bool
	// Bits a field: vertex label, edge label, rank.
	vertex, edge, rank int
}

// NewCodec makes a codec for the patterns of a schema of up to so many vertices.
func NewCodec(s *Schema, vertices int, packed bool) Codec {
	width := func(n int) int { return max(1, bits.Len(uint(max(n-1, 0)))) }
	return Codec{packed, width(len(s.Vertices)), width(len(s.Edges)), width(vertices)}
}

// EdgeBits is how much one edge of a pattern takes.
func (c Codec) EdgeBits() int {
	if c.Packed {
		return c.edge + 2*c.vertex + 2*c.rank
	}
	return 5 * 32
}

// Pattern encodes a pattern in its canonical form, as which it must be given;
// patterns are isomorphic exactly if their codes are equal.
func (c Codec) Pattern(p Pattern) []byte {
	w := newBitWriter(c.Packed)
	if len(p.Edges) == 0 {
		w.put(uint64(p.Vertices[0]), c.vertex)
	}
	for _, e := range p.Edges {
		w.put(uint64(e.Label), c.edge)
		w.put(uint64(p.Vertices[e.From]), c.vertex)
		w.put(uint64(p.Vertices[e.To]), c.vertex)
		w.put(uint64(e.From), c.rank)
		w.put(uint64(e.To), c.rank)
	}
	return w.bytes()
}

var errCode = errors.New("not the code of a pattern")

// DecodePattern is the pattern that a code stands for.
func (c Codec) DecodePattern(code []byte) (Pattern, error) {
	r, err := newBitReader(code, c.Packed)
	if err != nil {
		return Pattern{}, err
	}
	single := c.vertex
	if !c.Packed {
		single = 32
	}
	var p Pattern
	if r.left == single {
		p.Vertices = []VertexLabel{VertexLabel(r.get(c.vertex))}
		return p, r.err
	}
	edges := r.left / c.EdgeBits()
	if edges == 0 || r.left%c.EdgeBits() != 0 {
		return p, errCode
	}
	labels := map[uint8]VertexLabel{}
	for range edges {
		label := EdgeLabel(r.get(c.edge))
		from, to := VertexLabel(r.get(c.vertex)), VertexLabel(r.get(c.vertex))
		a, b := r.get(c.rank), r.get(c.rank)
		if a >= MaxPatternVertices || b >= MaxPatternVertices {
			return p, errCode
		}
		for _, end := range []struct {
			rank  uint8
			label VertexLabel
		}{{uint8(a), from}, {uint8(b), to}} {
			if known, ok := labels[end.rank]; ok && known != end.label {
				return p, errCode
			}
			labels[end.rank] = end.label
		}
		p.Edges = append(p.Edges, PatternEdge{uint8(a), uint8(b), label})
	}
	if r.err != nil {
		return p, r.err
	}
	for rank := range uint8(len(labels)) {
		l, ok := labels[rank]
		if !ok {
			return p, errCode
		}
		p.Vertices = append(p.Vertices, l)
	}
	if _, err := NewPattern(p.Vertices, p.Edges); err != nil {
		return p, fmt.Errorf("%w: %w", errCode, err)
	}
	return p, nil
}

// Extend encodes an extend step: its edges as direction, edge label and rank of
// the source, then the label of the target.
func (c Codec) Extend(target VertexLabel, edges []ExtendEdge) []byte {
	w := newBitWriter(c.Packed)
	for _, e := range edges {
		dir := uint64(0)
		if e.Out {
			dir = 1
		}
		if c.Packed {
			w.put(dir, 1)
		} else {
			w.data = append(w.data, byte(dir))
		}
		w.put(uint64(e.Label), c.edge)
		w.put(uint64(e.Source), c.rank)
	}
	w.put(uint64(target), c.vertex)
	return w.bytes()
}

// DecodeExtend is the extend step that a code stands for.
func (c Codec) DecodeExtend(code []byte) (target VertexLabel, edges []ExtendEdge, err error) {
	r, err := newBitReader(code, c.Packed)
	if err != nil {
		return 0, nil, err
	}
	edge, last := 1+c.edge+c.rank, c.vertex
	if !c.Packed {
		edge, last = 8+32+32, 32
	}
	n := (r.left - last) / edge
	if r.left < last+edge || (r.left-last)%edge != 0 {
		return 0, nil, errCode
	}
	for range n {
		var e ExtendEdge
		if c.Packed {
			e.Out = r.get(1) == 1
		} else {
			e.Out = r.byte() == 1
		}
		e.Label = EdgeLabel(r.get(c.edge))
		rank := r.get(c.rank)
		if rank >= MaxPatternVertices {
			return 0, nil, errCode
		}
		e.Source = uint8(rank)
		edges = append(edges, e)
	}
	return VertexLabel(r.get(c.vertex)), edges, r.err
}

// bitWriter puts fields one behind the other, in as many bits as they take or
// in 4 bytes each.
type bitWriter struct {
	packed bool
	data   []byte
	fields []uint64
	widths []int
	total  int
}

func newBitWriter(packed bool) *bitWriter { return &bitWriter{packed: packed} }

func (w *bitWriter) put(v uint64, width int) {
	if !w.packed {
		w.data = binary.BigEndian.AppendUint32(w.data, uint32(v))
		return
	}
	w.fields, w.widths, w.total = append(w.fields, v), append(w.widths, width), w.total+width
}

func (w *bitWriter) bytes() []byte {
	if !w.packed {
		return w.data
	}
	data := make([]byte, (w.total+1+7)/8)
	at := len(data)*8 - w.total - 1
	set := func(bit uint64) {
		if bit != 0 {
			data[at/8] |= 0x80 >> (at % 8)
		}
		at++
	}
	set(1)
	for i, v := range w.fields {
		for b := w.widths[i] - 1; b >= 0; b-- {
			set(v >> b & 1)
		}
	}
	return data
}

type bitReader struct {
	packed bool
	data   []byte
	at     int // bits
	left   int // bits
	err    error
}

func newBitReader(code []byte, packed bool) (*bitReader, error) {
	r := &bitReader{packed: packed, data: code, left: 8 * len(code)}
	if !packed {
		return r, nil
	}
	if len(code) == 0 || code[0] == 0 {
		return nil, errCode
	}
	r.at = bits.LeadingZeros8(code[0]) + 1
	r.left -= r.at
	return r, nil
}

func (r *bitReader) get(width int) uint64 {
	if !r.packed {
		width = 32
	}
	if r.left < width {
		r.err = errCode
		return 0
	}
	var v uint64
	for range width {
		v = v<<1 | uint64(r.data[r.at/8]>>(7-r.at%8)&1)
		r.at++
	}
	r.left -= width
	if !r.packed && v >= MaxLabels {
		r.err = errCode
		return 0
	}
	return v
}

func (r *bitReader) byte() uint64 {
	v := uint64(r.data[r.at/8])
	r.at, r.left = r.at+8, r.left-8
	if v > 1 {
		r.err = errCode
	}
	return v
}
