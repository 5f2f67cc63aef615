package nbd

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"sync"
)

// Store keeps the bytes of an export; the emulator itself keeps only where
// they would be. Offsets and lengths are within the size it was made with.
type Store interface {
	io.ReaderAt
	io.WriterAt
	// Zero makes a range read as zeros and gives its space back if it can.
	Zero(off, n int64) error
	// Extent is how many of the n bytes from off on are, before the first that
	// is not, data or in a hole that reads as zeros. It may say data where there
	// are only zeros.
	Extent(off, n int64) (length int64, hole bool)
	Sync() error
	io.Closer
}

// nothing keeps no data: what is written is gone and reads are zeros.
type nothing struct{}

// NewNothing is a Store for devices whose data does not matter.
func NewNothing() Store { return nothing{} }

func (nothing) ReadAt(p []byte, _ int64) (int, error)  { clear(p); return len(p), nil }
func (nothing) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (nothing) Zero(int64, int64) error                { return nil }
func (nothing) Extent(_, n int64) (int64, bool)        { return n, true }
func (nothing) Sync() error                            { return nil }
func (nothing) Close() error                           { return nil }

// memory keeps data in pages that exist once written. They lie in slabs in the
// order in which they were first written, wherever on the device they belong, so
// that scattered small writes take no more memory than they have bytes. For what
// is not written it takes a byte for a KiB.
type memory struct {
	mu sync.RWMutex
	// pages says where the data of a page is, as the slab's number * slabPages +
	// the place in it + 1; 0: nowhere, it reads as zeros.
	pages []uint32
	slabs []*slab  // nil: given back
	open  []uint32 // slabs with free places
	gone  []uint32 // slabs given back
}

const (
	pageSize  = 4096
	slabPages = 64
)

// slab is the room of slabPages pages.
type slab struct {
	data [slabPages * pageSize]byte
	free uint64 // a bit a place
	at   int    // index in memory.open, if any is free
}

// NewMemory is a Store of size bytes in memory, of which only what is written
// takes space.
func NewMemory(size int64) Store {
	return &memory{pages: make([]uint32, (size+pageSize-1)/pageSize)}
}

// page is the data of a page, nil if it has none.
func (m *memory) page(i int64) []byte {
	at := m.pages[i]
	if at == 0 {
		return nil
	}
	from := (at - 1) % slabPages * pageSize
	return m.slabs[(at-1)/slabPages].data[from : from+pageSize]
}

// place finds room for a page that has none; it may hold what was there before.
func (m *memory) place(i int64) {
	if len(m.open) == 0 {
		id := uint32(len(m.slabs))
		if n := len(m.gone); n > 0 {
			id, m.gone = m.gone[n-1], m.gone[:n-1]
		} else {
			m.slabs = append(m.slabs, nil)
		}
		m.slabs[id] = &slab{free: ^uint64(0)}
		m.open = append(m.open, id)
	}
	id := m.open[len(m.open)-1]
	s := m.slabs[id]
	at := bits.TrailingZeros64(s.free)
	if s.free &= s.free - 1; s.free == 0 {
		m.open = m.open[:len(m.open)-1]
	}
	m.pages[i] = id*slabPages + uint32(at) + 1
}

// drop gives a page's room back.
func (m *memory) drop(i int64) {
	at := m.pages[i]
	if at == 0 {
		return
	}
	m.pages[i] = 0
	id := (at - 1) / slabPages
	s := m.slabs[id]
	if s.free == 0 {
		s.at, m.open = len(m.open), append(m.open, id)
	}
	if s.free |= 1 << ((at - 1) % slabPages); s.free == ^uint64(0) {
		last := m.open[len(m.open)-1]
		m.open[s.at], m.slabs[last].at = last, s.at
		m.open = m.open[:len(m.open)-1]
		m.slabs[id], m.gone = nil, append(m.gone, id)
	}
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for n := 0; n < len(p); {
		at := (off + int64(n)) % pageSize
		part := p[n:min(len(p), n+int(pageSize-at))]
		if page := m.page((off + int64(n)) / pageSize); page != nil {
			copy(part, page[at:])
		} else {
			clear(part)
		}
		n += len(part)
	}
	return len(p), nil
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := 0; n < len(p); {
		i, at := (off+int64(n))/pageSize, (off+int64(n))%pageSize
		fresh := m.pages[i] == 0
		if fresh {
			m.place(i)
		}
		page := m.page(i)
		done := copy(page[at:], p[n:])
		if fresh {
			clear(page[:at])
			clear(page[int(at)+done:])
		}
		n += done
	}
	return len(p), nil
}

func (m *memory) Zero(off, n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for end := off + n; off < end; {
		i, at := off/pageSize, off%pageSize
		part := min(end-off, pageSize-at)
		if part == pageSize {
			m.drop(i)
		} else if page := m.page(i); page != nil {
			clear(page[at : at+part])
		}
		off += part
	}
	return nil
}

func (m *memory) Extent(off, n int64) (length int64, hole bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i, end := off/pageSize, (off+n+pageSize-1)/pageSize
	hole = m.pages[i] == 0
	for i++; i < end && (m.pages[i] == 0) == hole; i++ {
	}
	return min(n, i*pageSize-off), hole
}

func (m *memory) Sync() error  { return nil }
func (m *memory) Close() error { return nil }

// file keeps data in a sparse file.
type file struct{ *os.File }

// OpenFile is a Store in a sparse file, made or grown to size; it keeps what
// the file holds.
func OpenFile(name string, size int64) (Store, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a regular file", name)
	case info.Size() > size:
		err = fmt.Errorf("%s has %d bytes, more than the device's %d; name another file or a larger device", name, info.Size(), size)
	default:
		err = f.Truncate(size)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return file{f}, nil
}

func (f file) Extent(off, n int64) (length int64, hole bool) {
	length, hole = extent(f.File, off)
	return min(length, n), hole
}

func (f file) Zero(off, n int64) error {
	if punchHole(f.File, off, n) == nil {
		return nil
	}
	zeros := make([]byte, min(n, 1<<20))
	for n > 0 {
		part := zeros[:min(n, int64(len(zeros)))]
		if _, err := f.WriteAt(part, off); err != nil {
			return err
		}
		off, n = off+int64(len(part)), n-int64(len(part))
	}
	return nil
}
