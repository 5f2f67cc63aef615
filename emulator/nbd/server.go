// Package nbd serves emulated SSDs as network block devices: the fixed
// newstyle handshake with LIST, INFO, GO, EXPORT_NAME and ABORT, simple and
// structured replies, and READ, WRITE, FLUSH, TRIM, WRITE_ZEROES, FUA and
// BLOCK_STATUS in the context base:allocation, as
// https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md has them.
//
// Virtual time is the server's clock. Paced, a reply leaves when the device
// would have answered. Otherwise it leaves at once, and so that a client faster
// than the device does not pile up requests in virtual time, the device sees
// them one after another.
package nbd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"reprise/emulator"
)

// Server answers the clients of its exports.
type Server struct {
	// Exports by name; the empty name asks for the first.
	Exports []*Export
	// Paced delays replies to the device's latency.
	Paced bool
	// Now is the clock.
	Now func() time.Time
	// Log reports connections that end badly; nil discards.
	Log func(error)
	// Stall is how long a client may stop in the middle of a message; 0: a
	// minute. Between requests it may rest as long as it likes.
	Stall time.Duration

	start time.Time
	pacer *pacer
	once  sync.Once
}

const (
	magicServer = 0x4e42444d41474943 // NBDMAGIC
	magicOption = 0x49484156454f5054 // IHAVEOPT
	magicReply  = 0x0003e889045565a9
	magicReq    = 0x25609513
	magicSimple = 0x67446698
	magicChunk  = 0x668e33ef

	flagFixedNewstyle, flagNoZeroes = 1, 2

	optExportName, optAbort, optList, optInfo, optGo = 1, 2, 3, 6, 7
	optStructuredReply, optListMeta, optSetMeta      = 8, 9, 10

	repAck, repServer, repInfo, repMeta    = 1, 2, 3, 4
	repErrUnsup, repErrInvalid, repUnknown = 1<<31 | 1, 1<<31 | 3, 1<<31 | 6
	infoExport, infoBlockSize              = 0, 3

	// The one metadata context there is, its number, and what it says of a range.
	metaAllocation         = "base:allocation"
	allocationID           = 1
	stateHole, stateZeroes = 1, 2

	chunkDone                                       = 1 // flag: the reply's last
	chunkData, chunkHole, chunkStatus, chunkErrored = 1, 2, 5, 1<<15 | 1
	maxExtents                                      = 4096    // told in one reply
	holeFrom                                        = 1 << 16 // bytes of a read for which to look whether it has data at all

	// has flags, flush, FUA, trim, write zeroes, multiple connections
	transmissionFlags = 1 | 4 | 8 | 32 | 64 | 256
	flagDontFragment  = 128 // with structured replies; a read is one chunk anyway

	cmdRead, cmdWrite, cmdDisc, cmdFlush, cmdTrim, cmdWriteZeroes, cmdStatus = 0, 1, 2, 3, 4, 6, 7
	cmdFlagFUA, cmdFlagNoHole, cmdFlagDF, cmdFlagOne                         = 1, 2, 4, 8

	errPerm, errIO, errInval, errNoSpace, errOverflow = 1, 5, 22, 28, 75

	maxOption    = 1 << 16
	maxPayload   = 32 << 20
	maxConns     = 256
	maxInFlight  = 256 // requests of a connection waiting to be paced
	handshakeFor = 30 * time.Second
	stallFor     = 60 * time.Second
)

// clock is nanoseconds since the server started, never 0.
func (s *Server) clock() int64 { return int64(s.Now().Sub(s.start)) + 1 }

func (s *Server) init() {
	s.once.Do(func() {
		s.start = s.Now()
		s.pacer = newPacer(s.clock)
		for _, e := range s.Exports {
			e.mu.Lock()
			e.serial = !s.Paced
			e.mu.Unlock()
		}
	})
}

// Lateness is how late paced replies left.
func (s *Server) Lateness() *emulator.Histogram {
	s.init()
	return s.pacer.lateness()
}

// Serve answers on the listeners until ctx ends, then closes them and every
// connection and returns nil once all requests under way are done. It returns
// early with the error of a listener that fails.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	s.init()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	if s.Paced {
		wg.Go(func() { s.pacer.run(ctx.Done()) })
	}
	slots := make(chan struct{}, maxConns)
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		wg.Go(func() {
			for {
				nc, err := l.Accept()
				if err != nil {
					if ctx.Err() == nil {
						failed <- err
					}
					return
				}
				select {
				case slots <- struct{}{}:
				default:
					nc.Close()
					s.log(fmt.Errorf("refused a connection beyond %d", maxConns))
					continue
				}
				wg.Go(func() {
					defer func() { <-slots }()
					stop := context.AfterFunc(ctx, func() { nc.Close() })
					defer stop()
					defer nc.Close()
					if err := s.handle(ctx, nc); err != nil && ctx.Err() == nil && !errors.Is(err, io.EOF) {
						s.log(fmt.Errorf("connection %s: %w", nc.RemoteAddr(), err))
					}
				})
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel()
	for _, l := range listeners {
		l.Close()
	}
	wg.Wait()
	return err
}

func (s *Server) log(err error) {
	if s.Log != nil {
		s.Log(err)
	}
}

func (s *Server) export(name string) *Export {
	for i, e := range s.Exports {
		if e.Name == name || name == "" && i == 0 {
			return e
		}
	}
	return nil
}

// conn is a client's connection.
type conn struct {
	net.Conn
	r     *bufio.Reader
	w     *bufio.Writer
	stall time.Duration // see Server.Stall
	// Replies with data are in chunks; and of which export block status may be
	// asked.
	structured bool
	status     *Export
	request    [28]byte // header of the request being read
	answered   [20]byte // header of the reply being sent
	// out carries the replies of a paced connection; inFlight keeps it from
	// filling up.
	out      chan reply
	inFlight chan struct{}
}

// reply is a simple reply and, for reads, its data; or, unless chunk is 0, a
// structured one of a single chunk. head is the part of its payload before data.
type reply struct {
	code   uint32
	cookie uint64
	data   []byte
	chunk  uint16
	head   []byte
}

func (s *Server) handle(ctx context.Context, nc net.Conn) error {
	c := &conn{Conn: nc, stall: s.Stall, r: bufio.NewReaderSize(nc, 1<<17), w: bufio.NewWriterSize(nc, 1<<17)}
	if c.stall == 0 {
		c.stall = stallFor
	}
	if err := nc.SetDeadline(time.Now().Add(handshakeFor)); err != nil {
		return err
	}
	e, err := s.handshake(c)
	if err != nil || e == nil {
		return err
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if !s.Paced {
		return s.transmit(ctx, c, e)
	}

	c.out, c.inFlight = make(chan reply, maxInFlight), make(chan struct{}, maxInFlight)
	var wg sync.WaitGroup
	ended := make(chan struct{})
	wg.Go(func() { c.writeReplies(ended) })
	err = s.transmit(ctx, c, e)
	// The pacer may still hold replies; their time comes, or the server ends.
	for range maxInFlight {
		select {
		case c.inFlight <- struct{}{}:
		case <-ctx.Done():
		}
	}
	close(ended)
	wg.Wait()
	return err
}

// writeReplies sends paced replies; after an error it only drains them.
func (c *conn) writeReplies(ended <-chan struct{}) {
	var failed error
	for {
		select {
		case r := <-c.out:
			if failed == nil {
				failed = c.send(r)
			}
			if failed == nil && len(c.out) == 0 {
				failed = c.flush()
			}
			if failed != nil {
				c.Close()
			}
			<-c.inFlight
		case <-ended:
			return
		}
	}
}

func (c *conn) send(r reply) error {
	if c.w.Available() < 20+len(r.head)+len(r.data) {
		if err := c.SetWriteDeadline(time.Now().Add(c.stall)); err != nil {
			return err
		}
	}
	if r.chunk != 0 {
		h := c.answered[:]
		binary.BigEndian.PutUint32(h[0:], magicChunk)
		binary.BigEndian.PutUint16(h[4:], chunkDone)
		binary.BigEndian.PutUint16(h[6:], r.chunk)
		binary.BigEndian.PutUint64(h[8:], r.cookie)
		binary.BigEndian.PutUint32(h[16:], uint32(len(r.head)+len(r.data)))
		if _, err := c.w.Write(h); err != nil {
			return err
		}
		if _, err := c.w.Write(r.head); err != nil {
			return err
		}
		_, err := c.w.Write(r.data)
		return err
	}
	h := c.answered[:16]
	binary.BigEndian.PutUint32(h[0:], magicSimple)
	binary.BigEndian.PutUint32(h[4:], r.code)
	binary.BigEndian.PutUint64(h[8:], r.cookie)
	if _, err := c.w.Write(h); err != nil {
		return err
	}
	if r.code != 0 {
		return nil
	}
	_, err := c.w.Write(r.data)
	return err
}

// structure makes a reply to a read or a question of block status a structured
// one.
func (r *reply) structure(e *Export, kind uint16, off uint64, n uint32) {
	switch {
	case r.code != 0:
		r.chunk, r.data = chunkErrored, nil
		r.head = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(nil, r.code), 0) // and no message
	case kind == cmdRead:
		r.chunk, r.head = chunkData, binary.BigEndian.AppendUint64(nil, off)
		if n < holeFrom {
			return
		}
		if length, hole := e.store.Extent(int64(off), int64(n)); hole && length == int64(n) {
			r.chunk, r.data = chunkHole, nil
			r.head = binary.BigEndian.AppendUint32(r.head, n)
		}
	case kind == cmdStatus:
		r.chunk, r.head = chunkStatus, binary.BigEndian.AppendUint32(nil, allocationID)
	}
}

// extents says of a range which parts of it the store has data for, as
// descriptors of block status; the first only if one.
func (e *Export) extents(off, n int64, one bool) (descriptors []byte) {
	for count := 0; n > 0 && count < maxExtents; count++ {
		length, hole := e.store.Extent(off, n)
		state := uint32(0)
		if hole {
			state = stateHole | stateZeroes
		}
		descriptors = binary.BigEndian.AppendUint32(descriptors, uint32(length))
		descriptors = binary.BigEndian.AppendUint32(descriptors, state)
		if off, n = off+length, n-length; one {
			break
		}
	}
	return descriptors
}

func (c *conn) flush() error {
	if c.w.Buffered() == 0 {
		return nil
	}
	if err := c.SetWriteDeadline(time.Now().Add(c.stall)); err != nil {
		return err
	}
	return c.w.Flush()
}

// readFull reads the rest of a message that has begun.
func (c *conn) readFull(p []byte) error {
	if c.r.Buffered() >= len(p) {
		_, err := io.ReadFull(c.r, p)
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(c.stall)); err != nil {
		return err
	}
	_, err := io.ReadFull(c.r, p)
	return errors.Join(err, c.SetReadDeadline(time.Time{}))
}

// handshake returns the export the client chose, nil if it left.
func (s *Server) handshake(c *conn) (*Export, error) {
	write := func(v ...any) {
		for _, x := range v {
			_ = binary.Write(c.w, binary.BigEndian, x) // Flush reports a failure
		}
	}
	write(uint64(magicServer), uint64(magicOption), uint16(flagFixedNewstyle|flagNoZeroes))
	if err := c.w.Flush(); err != nil {
		return nil, err
	}
	var clientFlags uint32
	if err := binary.Read(c.r, binary.BigEndian, &clientFlags); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	if clientFlags&^(flagFixedNewstyle|flagNoZeroes) != 0 {
		return nil, fmt.Errorf("handshake: client flags %#x are unknown", clientFlags)
	}
	for {
		var h struct {
			Magic  uint64
			Option uint32
			Length uint32
		}
		if err := binary.Read(c.r, binary.BigEndian, &h); err != nil {
			return nil, fmt.Errorf("handshake: %w", err)
		}
		if h.Magic != magicOption {
			return nil, fmt.Errorf("handshake: option begins with %#x", h.Magic)
		}
		if h.Length > maxOption {
			return nil, fmt.Errorf("handshake: option %d of %d bytes is too long", h.Option, h.Length)
		}
		data := make([]byte, h.Length)
		if _, err := io.ReadFull(c.r, data); err != nil {
			return nil, fmt.Errorf("handshake: %w", err)
		}
		answer := func(kind uint32, payload ...byte) {
			write(uint64(magicReply), h.Option, kind, uint32(len(payload)), payload)
		}
		var chosen *Export
		switch h.Option {
		case optExportName:
			// This option has no way to say no.
			e := s.export(string(data))
			if e == nil {
				return nil, fmt.Errorf("handshake: no export %.60q", data)
			}
			write(uint64(e.Size), c.flags())
			if clientFlags&flagNoZeroes == 0 {
				write(make([]byte, 124))
			}
			return e, c.w.Flush()
		case optAbort:
			answer(repAck)
			return nil, c.w.Flush()
		case optList:
			if len(data) != 0 {
				answer(repErrInvalid)
				break
			}
			for _, e := range s.Exports {
				answer(repServer, append(binary.BigEndian.AppendUint32(nil, uint32(len(e.Name))), e.Name...)...)
			}
			answer(repAck)
		case optInfo, optGo:
			name, ok := infoName(data)
			if !ok {
				answer(repErrInvalid)
				break
			}
			e := s.export(name)
			if e == nil {
				answer(repUnknown)
				break
			}
			info := binary.BigEndian.AppendUint16(nil, infoExport)
			info = binary.BigEndian.AppendUint64(info, uint64(e.Size))
			info = binary.BigEndian.AppendUint16(info, c.flags())
			answer(repInfo, info...)
			sizes := binary.BigEndian.AppendUint16(nil, infoBlockSize)
			for _, n := range []uint32{1, 4096, maxPayload} {
				sizes = binary.BigEndian.AppendUint32(sizes, n)
			}
			answer(repInfo, sizes...)
			answer(repAck)
			if h.Option == optGo {
				chosen = e
			}
		case optStructuredReply:
			if len(data) != 0 {
				answer(repErrInvalid)
				break
			}
			c.structured = true
			answer(repAck)
		case optListMeta, optSetMeta:
			name, queries, ok := metaQueries(data)
			if !ok || !c.structured {
				answer(repErrInvalid)
				break
			}
			e := s.export(name)
			if e == nil {
				answer(repUnknown)
				break
			}
			id := uint32(allocationID)
			wanted := slices.Contains(queries, metaAllocation)
			if h.Option == optListMeta {
				id = 0
				wanted = wanted || len(queries) == 0 || slices.Contains(queries, "base:")
			} else if c.status = nil; wanted {
				c.status = e
			}
			if wanted {
				answer(repMeta, append(binary.BigEndian.AppendUint32(nil, id), metaAllocation...)...)
			}
			answer(repAck)
		default:
			answer(repErrUnsup)
		}
		if err := c.w.Flush(); err != nil {
			return nil, err
		}
		if chosen != nil {
			return chosen, nil
		}
	}
}

// infoName takes the export's name from the data of INFO and GO: a counted
// name, then a counted list of the information asked for.
func infoName(data []byte) (string, bool) {
	if len(data) < 6 {
		return "", false
	}
	n := binary.BigEndian.Uint32(data)
	if uint64(n) > uint64(len(data)-6) {
		return "", false
	}
	asked := binary.BigEndian.Uint16(data[4+n:])
	if len(data) != int(4+n+2)+2*int(asked) {
		return "", false
	}
	return string(data[4 : 4+n]), true
}

// metaQueries takes the export's name and the queries from the data of
// LIST_META_CONTEXT and SET_META_CONTEXT: all are counted.
func metaQueries(data []byte) (name string, queries []string, ok bool) {
	text := func() (s string) {
		if ok = len(data) >= 4; !ok {
			return ""
		}
		n := binary.BigEndian.Uint32(data)
		if data = data[4:]; uint64(n) > uint64(len(data)) {
			ok = false
			return ""
		}
		s, data = string(data[:n]), data[n:]
		return s
	}
	if name = text(); !ok || len(data) < 4 {
		return "", nil, false
	}
	count := binary.BigEndian.Uint32(data)
	data = data[4:]
	for range count {
		q := text()
		if !ok {
			return "", nil, false
		}
		queries = append(queries, q)
	}
	return name, queries, len(data) == 0
}

// flags are the transmission flags of a connection.
func (c *conn) flags() uint16 {
	if c.structured {
		return transmissionFlags | flagDontFragment
	}
	return transmissionFlags
}

// transmit answers requests until the client leaves.
func (s *Server) transmit(ctx context.Context, c *conn, e *Export) error {
	var buf []byte
	for {
		// Replies wait while more requests are at hand.
		if !s.Paced && c.r.Buffered() < 28 {
			if err := c.flush(); err != nil {
				return err
			}
		}
		if _, err := c.r.Peek(1); err != nil { // rests until the next request
			return err
		}
		h := c.request[:]
		if err := c.readFull(h); err != nil {
			return fmt.Errorf("request: %w", err)
		}
		if m := binary.BigEndian.Uint32(h); m != magicReq {
			return fmt.Errorf("request begins with %#x", m)
		}
		flags, kind := binary.BigEndian.Uint16(h[4:]), binary.BigEndian.Uint16(h[6:])
		cookie := binary.BigEndian.Uint64(h[8:])
		off, n := binary.BigEndian.Uint64(h[16:]), binary.BigEndian.Uint32(h[24:])

		var payload []byte
		hasData := kind == cmdRead || kind == cmdWrite
		if kind == cmdWrite && n > maxPayload {
			return fmt.Errorf("write of %d bytes", n) // its data cannot be told from requests
		}
		if hasData && n <= maxPayload {
			if s.Paced && kind == cmdRead {
				payload = make([]byte, n) // in use until the reply leaves
			} else {
				if cap(buf) < int(n) {
					buf = make([]byte, n)
				}
				payload = buf[:n]
			}
		}
		if kind == cmdWrite {
			if err := c.readFull(payload); err != nil {
				return fmt.Errorf("data of a write: %w", err)
			}
		}
		if kind == cmdDisc {
			return c.flush()
		}

		now := s.clock()
		r := reply{cookie: cookie}
		var latency int64
		switch {
		case kind == cmdStatus && c.status == e:
			if off >= uint64(e.Size) || uint64(n) > uint64(e.Size)-off || n == 0 || flags&^cmdFlagOne != 0 {
				r.code = errInval
				e.failed()
			} else {
				r.data = e.extents(int64(off), int64(n), flags&cmdFlagOne != 0)
			}
		case c.structured && kind == cmdRead:
			latency, r.code = e.do(now, kind, flags&^cmdFlagDF, off, n, payload)
		default:
			latency, r.code = e.do(now, kind, flags, off, n, payload)
		}
		if kind == cmdRead {
			r.data = payload
		}
		if c.structured && (kind == cmdRead || kind == cmdStatus) {
			r.structure(e, kind, off, n)
		}
		if !s.Paced {
			if err := c.send(r); err != nil {
				return err
			}
			continue
		}
		select {
		case c.inFlight <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		s.pacer.add(now+latency, c, r)
	}
}

// do carries out a request and returns the device's latency and the error code.
func (e *Export) do(now int64, kind, flags uint16, off uint64, n uint32, payload []byte) (latency int64, code uint32) {
	var err error
	size := uint64(e.Size)
	fua := flags&cmdFlagFUA != 0
	inRange := off <= size && uint64(n) <= size-off
	switch {
	case flags&^(cmdFlagFUA|cmdFlagNoHole) != 0:
		code = errInval
	case kind == cmdFlush:
		latency, err = e.flush(now)
	case kind != cmdRead && kind != cmdWrite && kind != cmdTrim && kind != cmdWriteZeroes:
		code = errInval
	case !inRange && (kind == cmdWrite || kind == cmdWriteZeroes):
		code = errNoSpace
	case !inRange || n == 0:
		code = errInval
	case kind == cmdRead && n > maxPayload:
		code = errOverflow
	case kind == cmdRead:
		latency, err = e.read(now, payload, int64(off))
	case kind == cmdWrite:
		latency, err = e.write(now, payload, int64(off), fua)
	case kind == cmdTrim:
		latency, err = e.trim(now, int64(off), int64(n))
	case kind == cmdWriteZeroes:
		latency, err = e.zero(now, int64(off), int64(n), flags&cmdFlagNoHole == 0, fua)
	}
	switch {
	case errors.Is(err, emulator.ErrNoSpace):
		code = errNoSpace
	case errors.Is(err, emulator.ErrWornOut):
		code = errPerm // read-only
	case err != nil:
		code = errIO
	}
	if code != 0 {
		e.failed()
	}
	return latency, code
}
