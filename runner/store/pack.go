package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"reprise/runner/node"
)

// A pack is the journal of a run: a record for every step that begins and for
// how it ends, one behind the other. Results that consist of a few lines, as
// those of sweeps do, are in it whole, so that a point of a sweep costs one
// write, and a sync that it shares with the points that end beside it. A record
// has a header, which is all that is read to find it again, and content.
//
// Records are only ever appended, by the one process that executes the run. A
// torn one at the end, which a killed process leaves, is not there. Damage
// within is passed over: what can be read behind it counts.

const (
	packsDir = "packs"
	packEnd  = ".pack"
	// packed is how large a result's logs may be for a pack.
	packed = 64 << 10
)

// kind of a record.
type kind byte

const (
	begun   kind = 'b' // a step is under way
	failed  kind = 'f' // it did not succeed
	done    kind = 'd' // it did, and this is its result
	folder  kind = 'o' // it did, and its result has a folder of its own
	machine kind = 'm' // a machine that results refer to
	closed  kind = 'e' // the run has ended; no more records
)

const (
	headerSize = 88
	sections   = 5
	magic      = "\xf1RPk"
)

// header of a record. Its fields' places are those of encode.
type header struct {
	kind    kind
	key     [32]byte         // of the step, or of the machine
	step    [16]byte         // digest of the step's id
	sizes   [sections]uint32 // of the record, parts of the key, observations, standard output, error
	content uint32           // checksum of all of them
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (h header) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, magic)
	b[4] = byte(h.kind)
	copy(b[8:], h.key[:])
	copy(b[40:], h.step[:])
	for i, n := range h.sizes {
		binary.LittleEndian.PutUint32(b[56+4*i:], n)
	}
	binary.LittleEndian.PutUint32(b[80:], h.content)
	binary.LittleEndian.PutUint32(b[84:], crc32.Checksum(b[:84], castagnoli))
	return b
}

func decodeHeader(b []byte) (h header, ok bool) {
	if len(b) < headerSize || string(b[:4]) != magic || binary.LittleEndian.Uint32(b[84:]) != crc32.Checksum(b[:84], castagnoli) {
		return h, false
	}
	h.kind = kind(b[4])
	copy(h.key[:], b[8:])
	copy(h.step[:], b[40:])
	for i := range h.sizes {
		h.sizes[i] = binary.LittleEndian.Uint32(b[56+4*i:])
	}
	h.content = binary.LittleEndian.Uint32(b[80:])
	return h, true
}

// length of the content.
func (h header) length() (n int64) {
	for _, size := range h.sizes {
		n += int64(size)
	}
	return n
}

func rawKey(key string) (raw [32]byte, err error) {
	if n, err := hex.Decode(raw[:], []byte(key)); err != nil || n != len(raw) || len(key) != 2*len(raw) {
		return raw, fmt.Errorf("%q is no key", key)
	}
	return raw, nil
}

func stepDigest(step string) (raw [16]byte) {
	_, _ = hex.Decode(raw[:], []byte(digest([]byte(step))[:2*len(raw)]))
	return raw
}

// pack is an open pack.
type pack struct {
	path    string
	file    *os.File // for reading
	size    int64    // that is in the index
	ended   bool     // nobody appends to it any more
	written bool     // by this store, which keeps the index itself
}

// place is where a record is.
type place struct {
	pack *pack
	at   int64
	size int64 // of it all
}

func (p *pack) place(at int64, h header) place { return place{p, at, headerSize + h.length()} }

// read gives a record and its content.
func (p place) read() (h header, content []byte, err error) {
	record := make([]byte, p.size)
	if _, err := p.pack.file.ReadAt(record, p.at); err != nil {
		return h, nil, err
	}
	h, ok := decodeHeader(record)
	if !ok || headerSize+h.length() != p.size {
		return h, nil, errors.New("a header does not match its checksum")
	}
	content = record[headerSize:]
	if crc32.Checksum(content, castagnoli) != h.content {
		return h, nil, errors.New("a record does not match its checksum")
	}
	return h, content, nil
}

// parts cuts a record's content at its sizes.
func (h header) parts(content []byte) (parts [sections][]byte) {
	for i, n := range h.sizes {
		parts[i], content = content[:n:n], content[n:]
	}
	return parts
}

// scan calls see for every whole record from offset from on, and gives where
// the last of them ends.
func scan(f io.ReaderAt, from, size int64, see func(at int64, h header) error) (end int64, err error) {
	const buffer = 1 << 18
	in := bufio.NewReaderSize(io.NewSectionReader(f, from, size-from), buffer)
	at, end := from, from
	for {
		head, err := in.Peek(headerSize)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return end, err
		}
		h, ok := decodeHeader(head)
		if !ok {
			// What is here is damaged; a record may follow.
			skip := 1
			more, _ := in.Peek(min(buffer, int(size-at)))
			if next := bytes.Index(more[1:], []byte(magic)); next >= 0 {
				skip += next
			} else if skip = len(more) - len(magic) + 1; skip < 1 {
				return end, nil
			}
			n, err := in.Discard(skip)
			if at += int64(n); err != nil {
				return end, err
			}
			continue
		}
		next := at + headerSize + h.length()
		if next > size {
			return end, nil
		}
		if err := see(at, h); err != nil {
			return end, err
		}
		// Not Discard, which reads what it passes over, where that is much.
		if n := next - at; n <= buffer {
			if _, err := in.Discard(int(n)); err != nil {
				return end, err
			}
		} else {
			in.Reset(io.NewSectionReader(f, next, size-next))
		}
		at, end = next, next
	}
}

// index is where the packs' records are. It is safe for concurrent use.
type index struct {
	mu       sync.Mutex
	dir      string
	packs    map[string]*pack // by path
	listed   time.Time        // the folder's time when it was last listed
	results  map[[32]byte]place
	machines map[[32]byte]place
	read     map[[32]byte]node.Machine // of them
	steps    map[[16]byte]place        // the last attempt at a step
}

func newIndex(dir string) *index {
	return &index{
		dir: dir, packs: map[string]*pack{}, results: map[[32]byte]place{},
		machines: map[[32]byte]place{}, read: map[[32]byte]node.Machine{}, steps: map[[16]byte]place{},
	}
}

// take adds a record to the index.
func (x *index) take(p *pack, at int64, h header) {
	where := p.place(at, h)
	switch h.kind {
	case machine:
		x.machines[h.key] = where
		return
	case closed:
		p.ended = true
		return
	case done:
		x.results[h.key] = where
	case folder:
		delete(x.results, h.key)
	}
	x.steps[h.step] = where
}

// refresh takes in what other processes have written since.
func (x *index) refresh() error {
	info, err := os.Stat(x.dir)
	if err != nil {
		return err
	}
	if !info.ModTime().Equal(x.listed) {
		names, err := x.names()
		if err != nil {
			return err
		}
		for _, name := range names {
			path := filepath.Join(x.dir, name)
			if x.packs[path] != nil {
				continue
			}
			f, err := os.Open(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			p := &pack{path: path, file: f}
			x.packs[path] = p
			if err := x.readOn(p); err != nil {
				return err
			}
		}
		// Within the clock's grain a change could go unnoticed.
		const grain = 20 * time.Millisecond
		if x.listed = info.ModTime(); time.Since(x.listed) < grain {
			x.listed = time.Time{}
		}
	}
	for _, p := range x.packs {
		if !p.ended && !p.written {
			if err := x.readOn(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// names lists the packs, the oldest first.
func (x *index) names() ([]string, error) {
	entries, err := os.ReadDir(x.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), packEnd) {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return compareRuns(strings.TrimSuffix(a, packEnd), strings.TrimSuffix(b, packEnd))
	})
	return names, nil
}

// readOn takes in the records that a pack has got since.
func (x *index) readOn(p *pack) error {
	info, err := p.file.Stat()
	if err != nil || info.Size() <= p.size {
		return err
	}
	p.size, err = scan(p.file, p.size, info.Size(), func(at int64, h header) error {
		x.take(p, at, h)
		return nil
	})
	return err
}

// lookup reads a packed result, nil if there is none. With now it sees what
// other processes have stored to this instant.
func (x *index) lookup(raw [32]byte, key string, now bool) (*Result, error) {
	var damage error
	for fresh, where := false, (place{}); ; fresh = true {
		x.mu.Lock()
		if fresh || !now && x.listed.IsZero() {
			if err := x.refresh(); err != nil {
				x.mu.Unlock()
				return nil, fmt.Errorf("read packs: %w", err)
			}
		}
		at, found := x.results[raw]
		x.mu.Unlock()
		last := fresh || !now
		switch {
		case found && at != where:
			r, err := x.open(at, key)
			if err == nil {
				return r, nil
			}
			where, damage = at, fmt.Errorf("%w: %s: %w", ErrDamaged, filepath.Base(at.pack.path), err)
		case last && !found:
			return nil, nil // there may be a folder that has replaced it
		}
		if last {
			return nil, damage
		}
	}
}

// attempt finds the record of the last attempt at a step.
func (x *index) attempt(step string) (where place, found bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err = x.refresh(); err == nil {
		where, found = x.steps[stepDigest(step)]
	}
	return where, found, err
}

// sizes are the bytes of the packed results, by key, and those of what else the
// packs hold, by the run.
func (x *index) sizes() (results, others map[string]int64, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.refresh(); err != nil {
		return nil, nil, err
	}
	results, others = map[string]int64{}, map[string]int64{}
	for _, p := range x.packs {
		run := strings.TrimSuffix(filepath.Base(p.path), packEnd)
		_, err := scan(p.file, 0, p.size, func(at int64, h header) error {
			where := p.place(at, h)
			if h.kind == done && x.results[h.key] == where {
				results[hex.EncodeToString(h.key[:])] = where.size
			} else {
				others[run] += where.size
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return results, others, nil
}

// forget has everything read anew.
func (x *index) forget() {
	for _, p := range x.packs {
		_ = p.file.Close()
	}
	x.listed = time.Time{}
	clear(x.packs)
	clear(x.results)
	clear(x.machines)
	clear(x.read)
	clear(x.steps)
}

// machine finds what a result was measured on.
func (x *index) machine(key [32]byte) (m node.Machine, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if m, known := x.read[key]; known {
		return m, nil
	}
	where, found := x.machines[key]
	if !found {
		return m, errors.New("the machine is not described")
	}
	_, content, err := where.read()
	if err == nil {
		err = json.Unmarshal(content, &m)
	}
	if err == nil {
		x.read[key] = m
	}
	return m, err
}

// packedResult is a result as a pack has it.
type packedResult struct {
	Result
	Parts     *struct{} `json:"parts,omitempty"`   // have a section of their own
	Machine   *struct{} `json:"machine,omitempty"` // has a record of its own
	MachineID string    `json:"machine_sha256"`
}

// open reads the result of a record.
func (x *index) open(where place, key string) (*Result, error) {
	h, content, err := where.read()
	if err != nil {
		return nil, err
	}
	parts := h.parts(content)
	var r packedResult
	if err := json.Unmarshal(parts[0], &r); err != nil {
		return nil, err
	}
	id, err := rawKey(r.MachineID)
	if err != nil {
		return nil, err
	}
	if r.Result.Machine, err = x.machine(id); err != nil {
		return nil, err
	}
	// The record's checksum, which has been compared, goes over the observations.
	if r.Key != key {
		return nil, errors.New("the record is that of another key")
	}
	r.Result.observations = parts[2]
	r.Result.Dir = filepath.Join(where.pack.path, key)
	return &r.Result, nil
}

// journal appends to the pack of a run.
type journal struct {
	store *Store
	run   string
	mu    sync.Mutex
	turn  sync.Cond // a sync has ended
	out   file      // nil before the first record
	pack  *pack
	size  int64 // written
	safe  int64 // synced
	busy  bool  // a sync is under way
	known map[[32]byte]bool
	bad   error // the pack can take no more
}

func newJournal(s *Store, run string) *journal {
	j := &journal{store: s, run: run, known: map[[32]byte]bool{}}
	j.turn.L = &j.mu
	return j
}

// open makes the pack.
func (j *journal) open() error {
	for n := 1; ; n++ {
		name := j.run
		if n > 1 {
			name = fmt.Sprintf("%s-%d", j.run, n) // that of a run whose folder has been removed stays
		}
		path := filepath.Join(j.store.root, packsDir, name+packEnd)
		out, err := j.store.fs.Create(path)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("make journal: %w", err)
		}
		in, err := os.Open(path)
		if err == nil {
			err = j.store.fs.Sync(filepath.Dir(path))
		}
		if err != nil {
			if in != nil {
				_ = in.Close()
			}
			return errors.Join(fmt.Errorf("make journal: %w", err), out.Close(), j.store.removeIfThere(path))
		}
		j.out, j.pack = out, &pack{path: path, file: in, written: true}
		x := j.store.index
		x.mu.Lock()
		x.packs[path] = j.pack
		x.mu.Unlock()
		return nil
	}
}

// append writes a record and, with durable, waits until it cannot be lost any
// more. A record that could not be written whole is cut off again. Between the two
// written is called, if given.
func (j *journal) append(h header, content [sections][]byte, durable bool, written func()) error {
	for i, part := range content {
		h.sizes[i] = uint32(len(part))
	}
	all := bytes.Join(content[:], nil)
	h.content = crc32.Checksum(all, castagnoli)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.bad != nil {
		return j.bad
	}
	if j.out == nil {
		if err := j.open(); err != nil {
			return err
		}
	}
	at := j.size
	record := append(h.encode(), all...)
	n, err := j.out.Write(record)
	if err != nil {
		if n > 0 {
			if cut := j.out.Truncate(at); cut != nil {
				j.bad = errors.Join(err, cut)
			}
		}
		return fmt.Errorf("write journal: %w", err)
	}
	j.size += int64(n)
	end := j.size
	if written != nil {
		j.mu.Unlock()
		written()
		j.mu.Lock()
	}
	for durable && j.safe < end {
		if j.bad != nil {
			return j.bad
		}
		if j.busy {
			j.turn.Wait() // for a sync that may have begun too early
			continue
		}
		written := j.size
		j.busy = true
		j.mu.Unlock()
		err := j.out.Sync()
		j.mu.Lock()
		j.busy = false
		if err == nil {
			j.safe = written
		} else {
			// What was written before may be lost, and no later sync tells.
			j.bad = fmt.Errorf("sync journal: %w", err)
		}
		j.turn.Broadcast()
	}
	if j.bad != nil {
		return j.bad
	}
	x := j.store.index
	x.mu.Lock()
	x.take(j.pack, at, h)
	j.pack.size = max(j.pack.size, at+int64(n))
	x.mu.Unlock()
	return nil
}

// close ends the pack, if there is one.
func (j *journal) close() error {
	j.mu.Lock()
	there := j.out != nil
	j.mu.Unlock()
	if !there {
		return nil
	}
	err := j.append(header{kind: closed}, [sections][]byte{}, true, nil)
	return errors.Join(err, j.out.Close())
}

// machine gives the id under which results refer to a machine, and describes it
// once.
func (j *journal) machine(m node.Machine) (id string, err error) {
	data, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	id = digest(data)
	key, err := rawKey(id)
	if err != nil {
		return "", err
	}
	j.mu.Lock()
	known := j.known[key]
	j.mu.Unlock()
	if known {
		return id, nil
	}
	// A result that refers to it is synced after it.
	if err := j.append(header{kind: machine, key: key}, [sections][]byte{data}, false, nil); err != nil {
		return "", err
	}
	j.mu.Lock()
	j.known[key] = true
	j.mu.Unlock()
	return id, nil
}

// inPack splits the path of a log that is in a pack: FILE.pack/KEY/NAME.
func inPack(path string) (file, key, name string, is bool) {
	dir, name := filepath.Split(path)
	file, key = filepath.Split(filepath.Clean(dir))
	file = filepath.Clean(file)
	return file, key, name, strings.HasSuffix(file, packEnd)
}

// ReadTail reads the last bytes, most of them at most, of a log of a step, and
// how large it is, wherever the store keeps it.
func ReadTail(path string, most int64) (data []byte, size int64, err error) {
	file, key, name, is := inPack(path)
	if !is {
		return readTail(path, most)
	}
	raw, err := rawKey(key)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	var last place
	if _, err := scan(f, 0, info.Size(), func(at int64, h header) error {
		if h.kind == done && h.key == raw {
			last = (&pack{file: f}).place(at, h)
		}
		return nil
	}); err != nil {
		return nil, 0, err
	}
	if last.pack == nil {
		return nil, 0, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	h, content, err := last.read()
	if err != nil {
		return nil, 0, err
	}
	parts := h.parts(content)
	switch name {
	case ObservationsFile:
		data = parts[2]
	case StdoutFile:
		data = parts[3]
	case StderrFile:
		data = parts[4]
	default:
		return nil, 0, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	size = int64(len(data))
	return data[max(0, size-most):], size, nil
}

func readTail(path string, most int64) ([]byte, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	data := make([]byte, min(info.Size(), most))
	n, err := f.ReadAt(data, info.Size()-int64(len(data)))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:n], info.Size(), err
}
