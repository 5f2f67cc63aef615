package nbd

import (
	"errors"
	"fmt"
	"io"
	"math"
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
	// Extent is how far, from off on, all is data, or all a hole that reads as
	// zeros. It may say data where there are only zeros.
	Extent(off int64) (n int64, hole bool)
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
func (nothing) Extent(int64) (int64, bool)             { return math.MaxInt64, true }
func (nothing) Sync() error                            { return nil }
func (nothing) Close() error                           { return nil }

// memory keeps data in chunks that exist once written.
type memory struct {
	mu     sync.RWMutex
	chunks [][]byte
}

const chunkSize = 1 << 18

// NewMemory is a Store of size bytes in memory, of which only what is written
// takes space.
func NewMemory(size int64) Store {
	return &memory{chunks: make([][]byte, (size+chunkSize-1)/chunkSize)}
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for n := 0; n < len(p); {
		at := (off + int64(n)) % chunkSize
		part := p[n:min(len(p), n+int(chunkSize-at))]
		if c := m.chunks[(off+int64(n))/chunkSize]; c != nil {
			copy(part, c[at:])
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
		i, at := (off+int64(n))/chunkSize, (off+int64(n))%chunkSize
		if m.chunks[i] == nil {
			m.chunks[i] = make([]byte, chunkSize)
		}
		n += copy(m.chunks[i][at:], p[n:])
	}
	return len(p), nil
}

func (m *memory) Zero(off, n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for end := off + n; off < end; {
		i, at := off/chunkSize, off%chunkSize
		part := min(end-off, chunkSize-at)
		if part == chunkSize {
			m.chunks[i] = nil
		} else if c := m.chunks[i]; c != nil {
			clear(c[at : at+part])
		}
		off += part
	}
	return nil
}

func (m *memory) Extent(off int64) (n int64, hole bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i := off / chunkSize
	hole = m.chunks[i] == nil
	end := i + 1
	for end < int64(len(m.chunks)) && (m.chunks[end] == nil) == hole {
		end++
	}
	return end*chunkSize - off, hole
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

func (f file) Extent(off int64) (n int64, hole bool) { return extent(f.File, off) }

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
