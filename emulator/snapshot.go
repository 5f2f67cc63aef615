package emulator

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
)

// A snapshot is the line below, a JSON object of known length with everything
// small, the large arrays in the order of (*Device).arrays, little-endian, and
// the SHA-256 of all before it.
const snapshotMagic = "reprise ssd snapshot 1\n"

// snapshotHead is the part of a snapshot in JSON.
type snapshotHead struct {
	Config    Config
	Rand      []byte
	Streams   [streams][3]uint32 // line, next, end
	Closed    []uint32
	Order     []uint32 // next and prev of the lists, concatenated
	Least     uint32
	FreeHeap  [][3]uint64 // line, erases, sequence
	FreeSeq   uint64
	Clock     uint64
	Erases    uint64 // of lines
	Collect   uint32
	Cursor    uint32
	Cause     cause
	Credit    uint64
	Refresh   []uint32
	WornOut   bool
	Capacity  uint64
	Mapped    int
	Skipped   uint64
	Now       int64
	Stats     Stats
	Leveler   json.RawMessage `json:",omitempty"`
	FreePages uint64
}

// arrays are what a snapshot holds beside its head. The timing of operations
// under way is not among them: a restored device begins idle.
func (d *Device) arrays() []any {
	l := &d.lines
	return []any{d.mapping, d.owner, d.valid, d.bad, d.nextBad, d.hasBad, d.retryCount, l.Valid, l.Capacity, l.Erases, l.Reads, l.ClosedAt}
}

// Snapshot writes the device's state. Operations under way in virtual time
// count as finished.
func (d *Device) Snapshot(w io.Writer) error {
	rng, err := d.rng.MarshalBinary()
	if err != nil {
		return err
	}
	l := &d.lines
	h := snapshotHead{
		Config: d.cfg, Rand: rng, Closed: l.Closed, Order: append(append([]uint32{}, l.order.next...), l.order.prev...), Least: l.order.least,
		FreeSeq: d.free.seq, Clock: l.Clock, Erases: l.TotalErases, Collect: d.collecting, Cursor: d.cursor, Cause: d.collectCause, Credit: d.credit,
		Refresh: d.refresh, WornOut: d.wornOut, Capacity: d.capacity, Mapped: d.mapped, Skipped: d.skipped, Now: d.now, Stats: d.stats, FreePages: d.freePages,
	}
	for i, s := range d.streams {
		h.Streams[i] = [3]uint32{s.line, s.next, s.end}
	}
	for _, f := range d.free.heap {
		h.FreeHeap = append(h.FreeHeap, [3]uint64{uint64(f.line), uint64(f.erases), f.seq})
	}
	if d.leveler != nil {
		if h.Leveler, err = json.Marshal(d.leveler); err != nil {
			return err
		}
	}
	head, err := json.Marshal(h)
	if err != nil {
		return err
	}

	sum := sha256.New()
	bw := bufio.NewWriterSize(w, 1<<20)
	out := io.MultiWriter(bw, sum)
	_, err = io.WriteString(out, snapshotMagic)
	if err == nil {
		err = binary.Write(out, binary.LittleEndian, uint64(len(head)))
	}
	if err == nil {
		_, err = out.Write(head)
	}
	for _, a := range d.arrays() {
		if err == nil {
			err = writeArray(out, a)
		}
	}
	if err == nil {
		_, err = bw.Write(sum.Sum(nil))
	}
	return errors.Join(err, bw.Flush())
}

// writeArray writes a slice in pieces, so that no second copy of it is made.
func writeArray(w io.Writer, a any) error {
	return inPieces(a, func(p any) error { return binary.Write(w, binary.LittleEndian, p) })
}

func inPieces(a any, do func(any) error) error {
	const piece = 1 << 16
	switch a := a.(type) {
	case []uint32:
		return pieces(a, piece, do)
	case []uint64:
		return pieces(a, piece, do)
	case []uint8:
		return pieces(a, piece, do)
	case []bool:
		return pieces(a, piece, do)
	}
	panic("emulator: an array of a kind that snapshots do not know")
}

func pieces[T any](a []T, n int, do func(any) error) error {
	for len(a) > 0 {
		p := a[:min(n, len(a))]
		if err := do(p); err != nil {
			return err
		}
		a = a[len(p):]
	}
	return nil
}

// ErrDamaged: a snapshot is not one, is incomplete or was changed.
var ErrDamaged = errors.New("damaged snapshot")

const maxSnapshotHead = 1 << 30

// Restore makes the device that Snapshot wrote. It refuses anything else with
// ErrDamaged: the checksum and the device's own invariants must hold.
func Restore(r io.Reader) (*Device, error) {
	sum := sha256.New()
	br := bufio.NewReaderSize(r, 1<<20)
	in := io.TeeReader(br, sum)
	magic := make([]byte, len(snapshotMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != snapshotMagic {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrDamaged, snapshotMagic[:len(snapshotMagic)-1])
	}
	var size uint64
	if err := binary.Read(in, binary.LittleEndian, &size); err != nil || size > maxSnapshotHead {
		return nil, fmt.Errorf("%w: no length of its head", ErrDamaged)
	}
	var head bytes.Buffer // grows with what is there, not with what is promised
	if n, err := io.CopyN(&head, in, int64(size)); err != nil {
		return nil, fmt.Errorf("%w: it ends after %d of %d bytes of its head", ErrDamaged, n, size)
	}
	var h snapshotHead
	dec := json.NewDecoder(&head)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&h); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	d, err := New(h.Config)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	for _, a := range d.arrays() {
		if err := inPieces(a, func(p any) error { return binary.Read(in, binary.LittleEndian, p) }); err != nil {
			return nil, fmt.Errorf("%w: it ends early", ErrDamaged)
		}
	}
	want := sum.Sum(nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(br, got); err != nil || !bytes.Equal(got, want) {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	if err := d.adopt(&h); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := d.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return d, nil
}

// adopt takes over the head of a snapshot.
func (d *Device) adopt(h *snapshotHead) error {
	l := &d.lines
	lines := uint32(len(l.Valid))
	inside := func(line uint32) bool { return line < lines }
	rng := new(rand.PCG)
	if err := rng.UnmarshalBinary(h.Rand); err != nil {
		return err
	}
	*d.rng = *rng
	for i, s := range h.Streams {
		if s[0] != none && !inside(s[0]) {
			return fmt.Errorf("write point %d is in line %d of %d", i, s[0], lines)
		}
		d.streams[i] = stream{s[0], s[1], s[2]}
	}
	if len(h.Order) != 2*len(l.order.next) {
		return errors.New("the lists of lines have another length")
	}
	copy(l.order.next, h.Order)
	copy(l.order.prev, h.Order[len(l.order.next):])
	for _, n := range h.Order {
		if int(n) >= len(l.order.next) && len(l.order.next) > 0 {
			return errors.New("the lists of lines lead outside")
		}
	}
	l.order.least = h.Least
	for i, line := range h.Closed {
		if !inside(line) || l.closedPos[line] != none {
			return fmt.Errorf("line %d is closed twice or is not there", line)
		}
		l.closedPos[line] = uint32(i)
	}
	l.Closed = append(l.Closed, h.Closed...)
	d.free.heap = d.free.heap[:0]
	for _, f := range h.FreeHeap {
		if f[0] >= uint64(lines) {
			return fmt.Errorf("line %d of %d is free", f[0], lines)
		}
		d.free.heap = append(d.free.heap, freeLine{uint32(f[1]), uint32(f[0]), f[2]})
	}
	for _, line := range h.Refresh {
		if !inside(line) {
			return fmt.Errorf("line %d of %d is to be rewritten", line, lines)
		}
	}
	if h.Collect != none && !inside(h.Collect) || h.Cause >= causes {
		return errors.New("the line under collection is not there")
	}
	d.free.seq, l.Clock, l.TotalErases = h.FreeSeq, h.Clock, h.Erases
	d.collecting, d.cursor, d.collectCause, d.credit, d.refresh = h.Collect, h.Cursor, h.Cause, h.Credit, h.Refresh
	d.wornOut, d.capacity, d.mapped, d.skipped, d.now, d.stats, d.freePages = h.WornOut, h.Capacity, h.Mapped, h.Skipped, h.Now, h.Stats, h.FreePages
	if d.leveler == nil {
		return nil
	}
	if err := json.Unmarshal(h.Leveler, d.leveler); err != nil {
		return err
	}
	if p, ok := d.leveler.(levelerState); ok && !p.remembers(int(lines)) {
		return errors.New("wear leveling remembers another number of lines")
	}
	return nil
}
