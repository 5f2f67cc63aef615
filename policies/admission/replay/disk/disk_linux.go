package disk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const sectorSize = 512

// Set is the devices of a replay, in real time: a replay.Live. Each device has
// as many threads as it takes requests at a time; a request is one blocking
// pread or pwrite.
type Set struct {
	parts []part
	files []*os.File
	start time.Time
	done  chan finished
	timer *time.Timer
	wg    sync.WaitGroup

	// Direct says of each target whether it is read and written past the page
	// cache. Where it is not, latencies are the cache's.
	Direct []bool
}

type part struct {
	file   *os.File
	fd     int
	base   uint64
	sector uint64
	work   chan request
	source []byte // what is written
}

type request struct {
	tag          uint32
	read         bool
	offset, size uint64
}

type finished struct {
	tag uint32
	at  int64
	err error
}

// Open opens two or more targets, or one whose halves are two devices, which
// then share the drive. It writes nothing.
func Open(targets []*Target, o Options) (set *Set, span uint64, err error) {
	if len(targets) == 0 || o.Depth < 1 || o.Most < 1 {
		return nil, 0, fmt.Errorf("open devices: %d of them, depth %d, requests of %d bytes", len(targets), o.Depth, o.Most)
	}
	for i, t := range targets {
		for _, other := range targets[:i] {
			if t.dev == other.dev && t.ino == other.ino {
				return nil, 0, fmt.Errorf("%s and %s are the same device", other.Path, t.Path)
			}
		}
	}
	span = targets[0].Bytes
	for _, t := range targets {
		span = min(span, t.Bytes)
	}
	if len(targets) == 1 {
		span /= 2
	}
	if o.Span > span {
		return nil, 0, fmt.Errorf("a span of %d bytes on devices that have %d", o.Span, span)
	}
	if o.Span > 0 {
		span = o.Span
	}
	span = span &^ (1<<12 - 1)
	if span < o.Most {
		return nil, 0, fmt.Errorf("requests of up to %d bytes do not fit the %d bytes used of each device", o.Most, span)
	}
	s := &Set{start: time.Now(), timer: time.NewTimer(time.Hour)}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	for _, t := range targets {
		f, direct, err := open(t)
		if err != nil {
			return nil, 0, err
		}
		s.files, s.Direct = append(s.files, f), append(s.Direct, direct)
		parts := 1
		if len(targets) == 1 {
			parts = 2
		}
		for i := range parts {
			p := part{file: f, fd: int(f.Fd()), base: uint64(i) * span, sector: max(t.sector, sectorSize), work: make(chan request, o.Depth)}
			if p.source, err = aligned(o.Most + p.sector); err != nil {
				return nil, 0, err
			}
			fill(p.source, uint64(len(s.parts)))
			s.parts = append(s.parts, p)
		}
	}
	s.done = make(chan finished, len(s.parts)*o.Depth)
	for i := range s.parts {
		for range o.Depth {
			sink, err := aligned(o.Most + s.parts[i].sector)
			if err != nil {
				return nil, 0, err
			}
			s.wg.Add(1)
			go s.serve(&s.parts[i], sink)
		}
	}
	return s, span, nil
}

// open opens a target for writing, past the page cache if that can be had. A
// block device is opened so that the kernel refuses while anyone else has it.
func open(t *Target) (f *os.File, direct bool, err error) {
	flags := unix.O_RDWR | unix.O_CLOEXEC
	if t.Block {
		flags |= unix.O_EXCL
	}
	fd, err := unix.Open(t.Path, flags|unix.O_DIRECT, 0)
	if direct = err == nil; errors.Is(err, unix.EINVAL) {
		fd, err = unix.Open(t.Path, flags, 0)
	}
	if errors.Is(err, unix.EBUSY) {
		return nil, false, &InUseError{t.Path, "is in use by the kernel", "find by whom with lsblk and /proc/mounts"}
	}
	if err != nil {
		return nil, false, &os.PathError{Op: "open", Path: t.Path, Err: err}
	}
	// Not os.OpenFile: a poller must not have it, and the reads are blocking.
	return os.NewFile(uintptr(fd), t.Path), direct, nil
}

// aligned is memory as O_DIRECT wants it.
func aligned(n uint64) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, int((n+4095)&^4095), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("memory for requests: %w", err)
	}
	return b, nil
}

// fill makes bytes that no device compresses.
func fill(b []byte, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0x6469736b))
	words := unsafe.Slice((*uint64)(unsafe.Pointer(&b[0])), len(b)/8)
	for i := range words {
		words[i] = rng.Uint64()
	}
}

// Fill writes the used span of every device once, in order, so that reads meet
// data. Told, unless nil, sees the bytes written so far and of how many.
func (s *Set) Fill(ctx context.Context, span uint64, told func(done, of uint64)) error {
	const chunk = 1 << 20
	data, err := aligned(chunk)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(data) }()
	fill(data, 0)
	total := span * uint64(len(s.parts))
	done := uint64(0)
	for i := range s.parts {
		p := &s.parts[i]
		for at := uint64(0); at < span; {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			n := min(chunk, span-at)
			if err := p.transfer(false, data[:n], p.base+at); err != nil {
				return err
			}
			at += n
			done += n
			if told != nil {
				told(done, total)
			}
		}
	}
	for _, f := range s.files {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// transfer reads or writes all of b.
func (p *part) transfer(read bool, b []byte, offset uint64) error {
	verb, call := "write", unix.Pwrite
	if read {
		verb, call = "read", unix.Pread
	}
	for len(b) > 0 {
		n, err := call(p.fd, b, int64(offset))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil && n == 0:
			err = errors.New("nothing moved")
			fallthrough
		case err != nil:
			return &os.PathError{Op: fmt.Sprintf("%s %d bytes at %d of", verb, len(b), offset), Path: p.file.Name(), Err: err}
		}
		b, offset = b[n:], offset+uint64(n)
	}
	return nil
}

func (s *Set) serve(p *part, sink []byte) {
	defer s.wg.Done()
	defer func() { _ = unix.Munmap(sink) }()
	// The thread is the request's while the kernel has it; it may as well stay.
	runtime.LockOSThread()
	for r := range p.work {
		size := (r.size + p.sector - 1) / p.sector * p.sector
		buffer := p.source
		if r.read {
			buffer = sink
		}
		err := p.transfer(r.read, buffer[:size], p.base+r.offset)
		s.done <- finished{r.tag, s.Now(), err}
	}
}

// Devices is their number.
func (s *Set) Devices() int { return len(s.parts) }

// Now is the time since the set was opened.
func (s *Set) Now() int64 { return int64(time.Since(s.start)) }

// Submit hands a request to one of the device's threads. One is free if no more
// are under way than the depth the set was opened with.
func (s *Set) Submit(device int, tag uint32, read bool, lba, sectors uint64) {
	s.parts[device].work <- request{tag, read, lba * sectorSize, sectors * sectorSize}
}

// spin is how long before a moment Wait stops sleeping, since sleeps end late.
const spin = 150_000

// Wait gives the next request that is done.
func (s *Set) Wait(ctx context.Context, until int64) (tag uint32, at int64, ok bool, err error) {
	for {
		select {
		case d := <-s.done:
			return d.tag, d.at, true, d.err
		default:
		}
		if ctx.Err() != nil {
			return 0, 0, false, context.Cause(ctx)
		}
		left := until - s.Now()
		if left <= 0 {
			return 0, 0, false, nil
		}
		if left <= spin {
			runtime.Gosched()
			continue
		}
		s.timer.Reset(time.Duration(left - spin))
		select {
		case d := <-s.done:
			return d.tag, d.at, true, d.err
		case <-s.timer.C:
		case <-ctx.Done():
		}
	}
}

// Close waits for what is under way and closes the devices.
func (s *Set) Close() {
	for _, p := range s.parts {
		close(p.work)
	}
	s.wg.Wait()
	for _, p := range s.parts {
		_ = unix.Munmap(p.source)
	}
	for _, f := range s.files {
		_ = f.Close()
	}
	s.parts, s.files = nil, nil
}
