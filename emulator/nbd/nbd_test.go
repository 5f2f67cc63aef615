package nbd

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"reprise/emulator"
)

// tiny is a device of 16 MiB.
func tiny(t testing.TB) *emulator.Device {
	c := emulator.DefaultConfig()
	c.Geometry = emulator.Geometry{SectorSize: 512, SectorsPerPage: 8, PagesPerBlock: 16, BlocksPerPlane: 64, PlanesPerLUN: 1, LUNsPerChannel: 2, Channels: 2}
	c.Buffer = 32
	d, err := emulator.New(c)
	require.NoError(t, err)
	return d
}

// start serves exports on a Unix socket until the test ends.
func start(t testing.TB, paced bool, exports ...*Export) (*Server, string) {
	t.Helper()
	return startWith(t, &Server{Exports: exports, Paced: paced})
}

func startWith(t testing.TB, s *Server) (*Server, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbd") //nolint:usetesting // the path of t.TempDir may exceed what a socket address holds
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	s.Now = time.Now
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(10 * time.Second):
			t.Error("the server does not end")
		}
	})
	return s, path
}

// client is a minimal client for tests.
type client struct {
	t testing.TB
	net.Conn
	size uint64
}

func dial(t testing.TB, path, export string) *client {
	nc, err := net.Dial("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	c := &client{t: t, Conn: nc}
	c.expect(18)
	c.send(uint32(3), uint64(magicOption), uint32(optExportName), uint32(len(export)), []byte(export))
	b := c.expect(10)
	c.size = binary.BigEndian.Uint64(b)
	return c
}

func (c *client) send(v ...any) {
	var b bytes.Buffer
	for _, x := range v {
		require.NoError(c.t, binary.Write(&b, binary.BigEndian, x))
	}
	_, err := c.Write(b.Bytes())
	require.NoError(c.t, err)
}

func (c *client) expect(n int) []byte {
	b := make([]byte, n)
	_, err := io.ReadFull(c, b)
	require.NoError(c.t, err)
	return b
}

// do sends a request and returns the error code and, of reads, the data.
func (c *client) do(kind, flags uint16, off uint64, n uint32, data []byte) (uint32, []byte) {
	cookie := off ^ 0xabcdef
	c.send(uint32(magicReq), flags, kind, cookie, off, n, data)
	h := c.expect(16)
	require.EqualValues(c.t, magicSimple, binary.BigEndian.Uint32(h))
	require.Equal(c.t, cookie, binary.BigEndian.Uint64(h[8:]))
	code := binary.BigEndian.Uint32(h[4:])
	if code == 0 && kind == cmdRead {
		return 0, c.expect(int(n))
	}
	return code, nil
}

// Random requests of every kind and alignment read back what a plain array
// would hold, on every store.
func TestRequestsAgainstArray(t *testing.T) {
	for name, open := range map[string]func(int64) Store{
		"memory": NewMemory,
		"file": func(size int64) Store {
			s, err := OpenFile(filepath.Join(t.TempDir(), "data"), size)
			require.NoError(t, err)
			return s
		},
	} {
		for _, paced := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/paced=%v", name, paced), func(t *testing.T) {
				d := tiny(t)
				e := NewExport("disk", d, open(int64(d.Pages())*4096))
				s, path := start(t, paced, e)
				c := dial(t, path, "disk")
				require.EqualValues(t, e.Size, c.size)
				want := make([]byte, e.Size)
				rng := rand.New(rand.NewPCG(1, 2))
				n := 3000
				if paced {
					n = 150
				}
				for range n {
					length := 1 + rng.IntN(1<<rng.IntN(16))
					off := rng.IntN(int(e.Size) - length + 1)
					part := want[off : off+length]
					flags := uint16(rng.IntN(2))
					var code uint32
					switch rng.IntN(6) {
					case 0, 1:
						var got []byte
						code, got = c.do(cmdRead, 0, uint64(off), uint32(length), nil)
						require.True(t, bytes.Equal(part, got), "read %d+%d", off, length)
					case 2, 3:
						for i := range part {
							part[i] = byte(rng.Uint32())
						}
						code, _ = c.do(cmdWrite, flags, uint64(off), uint32(length), part)
					case 4:
						clear(part)
						code, _ = c.do(cmdTrim, flags, uint64(off), uint32(length), nil)
					case 5:
						clear(part)
						code, _ = c.do(cmdWriteZeroes, flags|uint16(rng.IntN(2))<<1, uint64(off), uint32(length), nil)
					}
					require.Zero(t, code)
				}
				code, _ := c.do(cmdFlush, 0, 0, 0, nil)
				require.Zero(t, code)
				require.NoError(t, e.Device((*emulator.Device).Check))
				st := s.Stat()
				require.NotZero(t, st.Exports[0].Client.Trims)
				require.True(t, paced || st.Exports[0].Device.Trimmed > 0)
				require.Equal(t, paced, st.Late != nil)
			})
		}
	}
}

// option sends an option and returns its replies up to the last, by kind.
func (c *client) option(kind uint32, data []byte) (kinds []uint32, payloads [][]byte) {
	c.send(uint64(magicOption), kind, uint32(len(data)), data)
	for {
		h := c.expect(20)
		require.EqualValues(c.t, uint64(magicReply), binary.BigEndian.Uint64(h))
		got := binary.BigEndian.Uint32(h[12:])
		kinds, payloads = append(kinds, got), append(payloads, c.expect(int(binary.BigEndian.Uint32(h[16:]))))
		if got == repAck || got >= 1<<31 {
			return kinds, payloads
		}
	}
}

// chunk sends a request and returns the type and the payload of the one chunk
// that answers it.
func (c *client) chunk(kind, flags uint16, off uint64, n uint32) (uint16, []byte) {
	c.send(uint32(magicReq), flags, kind, uint64(77), off, n)
	h := c.expect(20)
	require.EqualValues(c.t, magicChunk, binary.BigEndian.Uint32(h))
	require.EqualValues(c.t, chunkDone, binary.BigEndian.Uint16(h[4:]))
	require.EqualValues(c.t, 77, binary.BigEndian.Uint64(h[8:]))
	return binary.BigEndian.Uint16(h[6:]), c.expect(int(binary.BigEndian.Uint32(h[16:])))
}

func TestStructuredReplies(t *testing.T) {
	for _, paced := range []bool{false, true} {
		t.Run(fmt.Sprintf("paced=%v", paced), func(t *testing.T) {
			d := tiny(t)
			e := NewExport("disk", d, NewMemory(int64(d.Pages())*4096))
			_, path := start(t, paced, e)
			nc, err := net.Dial("unix", path)
			require.NoError(t, err)
			defer nc.Close()
			require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
			c := &client{t: t, Conn: nc}
			c.expect(18)
			c.send(uint32(3))

			text := func(s string) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...) }
			meta := func(export string, queries ...string) []byte {
				b := binary.BigEndian.AppendUint32(text(export), uint32(len(queries)))
				for _, q := range queries {
					b = append(b, text(q)...)
				}
				return b
			}
			last := func(kinds []uint32, _ [][]byte) uint32 { return kinds[len(kinds)-1] }
			require.EqualValues(t, repErrInvalid, last(c.option(optSetMeta, meta("disk", metaAllocation))), "before structured replies")
			require.EqualValues(t, repErrInvalid, last(c.option(optStructuredReply, []byte{1})))
			require.EqualValues(t, repAck, last(c.option(optStructuredReply, nil)))
			require.EqualValues(t, repErrInvalid, last(c.option(optSetMeta, []byte{0, 0, 0, 200})))
			require.EqualValues(t, repErrInvalid, last(c.option(optSetMeta, append(meta("disk"), 1))))
			require.EqualValues(t, repUnknown, last(c.option(optSetMeta, meta("other", metaAllocation))))
			kinds, _ := c.option(optListMeta, meta("disk", "base:"))
			require.Equal(t, []uint32{repMeta, repAck}, kinds)
			kinds, _ = c.option(optSetMeta, meta("disk", "qemu:dirty-bitmap:x"))
			require.Equal(t, []uint32{repAck}, kinds, "contexts that are not known are passed over")
			kinds, payloads := c.option(optSetMeta, meta("disk", metaAllocation))
			require.Equal(t, []uint32{repMeta, repAck}, kinds)
			require.Equal(t, append([]byte{0, 0, 0, allocationID}, metaAllocation...), payloads[0])
			_, payloads = c.option(optGo, append(text("disk"), 0, 0))
			require.EqualValues(t, transmissionFlags|flagDontFragment, binary.BigEndian.Uint16(payloads[0][10:]))

			const apart = 1 << 18
			data := bytes.Repeat([]byte{7}, 4096)
			code, _ := c.do(cmdWrite, 0, apart, 4096, data) // whose reply may stay a simple one
			require.Zero(t, code)
			kind, got := c.chunk(cmdRead, cmdFlagDF, apart, 4096)
			require.EqualValues(t, chunkData, kind)
			require.Equal(t, append(binary.BigEndian.AppendUint64(nil, apart), data...), got)
			kind, got = c.chunk(cmdRead, 0, 2*apart, apart)
			require.EqualValues(t, chunkHole, kind)
			require.Equal(t, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, 2*apart), apart), got)
			kind, got = c.chunk(cmdRead, 0, uint64(e.Size), 1)
			require.EqualValues(t, chunkErrored, kind)
			require.Equal(t, []byte{0, 0, 0, errInval, 0, 0}, got)

			kind, got = c.chunk(cmdStatus, 0, 512, 2*apart)
			require.EqualValues(t, chunkStatus, kind)
			want := []byte{0, 0, 0, allocationID}
			for _, v := range []uint32{apart - 512, stateHole | stateZeroes, 4096, 0, apart + 512 - 4096, stateHole | stateZeroes} {
				want = binary.BigEndian.AppendUint32(want, v)
			}
			require.Equal(t, want, got)
			_, got = c.chunk(cmdStatus, cmdFlagOne, 512, 2*apart)
			require.Equal(t, want[:12], got)
			for _, q := range []struct {
				off uint64
				n   uint32
			}{{uint64(e.Size), 1}, {0, 0}, {1, uint32(e.Size)}} {
				kind, _ = c.chunk(cmdStatus, 0, q.off, q.n)
				require.EqualValues(t, chunkErrored, kind)
			}
		})
	}
}

func TestErrorsKeepTheConnection(t *testing.T) {
	d := tiny(t)
	e := NewExport("disk", d, NewNothing())
	_, path := start(t, false, e)
	c := dial(t, path, "")
	size := uint64(e.Size)
	for _, q := range []struct {
		kind, flags uint16
		off         uint64
		n           uint32
		want        uint32
	}{
		{cmdRead, 0, size, 1, errInval}, {cmdRead, 0, size - 1, 2, errInval}, {cmdRead, 0, ^uint64(0), 512, errInval}, {cmdRead, 0, 0, 0, errInval},
		{cmdTrim, 0, size - 1, 2, errInval}, {cmdWriteZeroes, 0, size, 1, errNoSpace}, {9, 0, 0, 1, errInval}, {cmdRead, 1 << 7, 0, 1, errInval},
	} {
		code, _ := c.do(q.kind, q.flags, q.off, q.n, nil)
		require.Equal(t, q.want, code, "%+v", q)
	}
	code, _ := c.do(cmdWrite, 0, size-1, 2, []byte{1, 2})
	require.EqualValues(t, errNoSpace, code)
	code, data := c.do(cmdRead, 0, 5, 7, nil)
	require.Zero(t, code)
	require.Equal(t, make([]byte, 7), data)
}

// A peer that talks nonsense, stops half way or dies does no harm to others.
func TestHostilePeers(t *testing.T) {
	d := tiny(t)
	_, path := start(t, false, NewExport("disk", d, NewNothing()))
	good := dial(t, path, "disk")
	hello := []byte{0, 0, 0, 3}
	option := func(kind, n uint32, data string) []byte {
		b := binary.BigEndian.AppendUint64(nil, magicOption)
		return append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, kind), n), data...)
	}
	for i, in := range [][]byte{
		{}, {1}, {0xff, 0xff, 0xff, 0xff}, hello, append(hello, "not an option at all"...),
		append(hello, option(optGo, 1<<31, "")...), append(hello, option(optGo, 6, "\xff\xff\xff\xff\x00\x00")...),
		append(hello, option(optGo, 3, "abc")...), append(hello, option(optExportName, 4, "none")...), append(hello, option(77, 4, "what")...),
		append(append(hello, option(optExportName, 4, "disk")...), "a request that is not one, long enough"...),
		append(append(hello, option(optExportName, 4, "disk")...), 0x25, 0x60, 0x95, 0x13, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff),
		append(append(hello, option(optExportName, 4, "disk")...), 0x25, 0x60, 0x95, 0x13, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 2),
	} {
		nc, err := net.Dial("unix", path)
		require.NoError(t, err)
		_, _ = nc.Write(in) // the server may already have hung up
		nc.Close()
		code, _ := good.do(cmdRead, 0, 0, 512, nil)
		require.Zero(t, code, "after peer %d", i)
	}
}

// A peer that stops in the middle of a message is let go of; one that rests
// between messages is not.
func TestStalledPeers(t *testing.T) {
	s, path := startWith(t, &Server{Exports: []*Export{NewExport("disk", tiny(t), NewNothing())}, Stall: 50 * time.Millisecond})
	resting := dial(t, path, "disk")
	for _, sent := range []any{
		[]byte{0x25}, // of a header
		append(binary.BigEndian.AppendUint32(nil, magicReq), make([]byte, 20)...),
		struct { // a write without its data
			Magic       uint32
			Flags, Kind uint16
			Cookie, Off uint64
			Length      uint32
		}{magicReq, 0, cmdWrite, 1, 0, 4096},
	} {
		c := dial(t, path, "disk")
		c.send(sent)
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "the server hangs up")
	}
	code, _ := resting.do(cmdRead, 0, 0, 512, nil)
	require.Zero(t, code)
	require.Zero(t, s.Stat().Exports[0].Client.Writes)
}

// Peers that vanish with replies on their way keep neither the server nor
// their neighbours.
func TestPeersDie(t *testing.T) {
	for _, paced := range []bool{false, true} {
		d := tiny(t)
		e := NewExport("disk", d, NewMemory(int64(d.Pages())*4096))
		_, path := start(t, paced, e)
		neighbour := dial(t, path, "disk")
		for range 20 {
			c := dial(t, path, "disk")
			for i := range uint64(16) { // what a socket holds of replies
				c.send(uint32(magicReq), uint16(0), uint16(cmdWrite), i, i*4096, uint32(4096), make([]byte, 4096))
				c.send(uint32(magicReq), uint16(0), uint16(cmdRead), i, i*4096, uint32(4096), []byte{})
			}
			c.Close()
			code, _ := neighbour.do(cmdRead, 0, 0, 4096, nil)
			require.Zero(t, code)
		}
		require.NoError(t, e.Device((*emulator.Device).Check))
	}
}

// What one connection has written and flushed another one reads, as
// CAN_MULTI_CONN promises.
func TestMultiConn(t *testing.T) {
	d := tiny(t)
	_, path := start(t, false, NewExport("disk", d, NewMemory(int64(d.Pages())*4096)))
	a, b := dial(t, path, "disk"), dial(t, path, "disk")
	for i := range 50 {
		want := bytes.Repeat([]byte{byte(i + 1)}, 8192)
		code, _ := a.do(cmdWrite, 0, uint64(i)*8192, 8192, want)
		require.Zero(t, code)
		code, _ = a.do(cmdFlush, 0, 0, 0, nil)
		require.Zero(t, code)
		code, got := b.do(cmdRead, 0, uint64(i)*8192, 8192, nil)
		require.Zero(t, code)
		require.Equal(t, want, got)
	}
}

func FuzzTransmission(f *testing.F) {
	hello := []byte("\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x01\x00\x00\x00\x00")
	f.Add([]byte("\x25\x60\x95\x13\x00\x00\x00\x00cookie..\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00"))
	f.Add([]byte("\x25\x60\x95\x13\x00\x01\x00\x04cookie..\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff"))
	d := tiny(f)
	e := NewExport("disk", d, NewMemory(int64(d.Pages())*4096))
	s := &Server{Exports: []*Export{e}, Now: time.Now}
	s.init()
	f.Fuzz(func(t *testing.T, in []byte) {
		server, peer := net.Pipe()
		done := make(chan struct{})
		go func() {
			_ = s.handle(context.Background(), server)
			server.Close()
			close(done)
		}()
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		_ = peer.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = peer.Write(append(bytes.Clone(hello), in...))
		peer.Close()
		<-done
		require.NoError(t, d.Check())
	})
}

func FuzzHandshake(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x03\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x08\x00\x00\x00\x00IHAVEOPT\x00\x00\x00\x0a\x00\x00\x00\x1b\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x0fbase:allocation"))
	f.Add([]byte("\x00\x00\x00\x01IHAVEOPT\x00\x00\x00\x07\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00"))
	d := tiny(f)
	e := NewExport("disk", d, NewNothing())
	s := &Server{Exports: []*Export{e}, Now: time.Now}
	s.init()
	f.Fuzz(func(t *testing.T, in []byte) {
		server, peer := net.Pipe()
		done := make(chan struct{})
		go func() {
			_ = s.handle(context.Background(), server)
			server.Close()
			close(done)
		}()
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		_ = peer.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = peer.Write(in)
		peer.Close()
		<-done
	})
}

// A paced read takes at least the device's latency.
func TestPacing(t *testing.T) {
	c := tiny(t).Config()
	c.Timing.Read = 20_000_000
	d, err := emulator.New(c)
	require.NoError(t, err)
	s, path := start(t, true, NewExport("disk", d, NewNothing()))
	cl := dial(t, path, "disk")
	code, _ := cl.do(cmdWrite, cmdFlagFUA, 0, 4096, make([]byte, 4096))
	require.Zero(t, code)
	began := time.Now()
	code, _ = cl.do(cmdRead, 0, 0, 4096, nil)
	require.Zero(t, code)
	require.GreaterOrEqual(t, time.Since(began), 20*time.Millisecond)
	require.EqualValues(t, 2, s.Lateness().Count())
}

func TestCounters(t *testing.T) {
	a, b := NewExport("a", tiny(t), NewNothing()), NewExport("b", tiny(t), NewNothing())
	s, path := start(t, false, a, b)
	c := dial(t, path, "b")
	code, _ := c.do(cmdWrite, 0, 0, 8192, make([]byte, 8192))
	require.Zero(t, code)

	web := httptest.NewServer(s.Handler())
	defer web.Close()
	get := func(page string) string {
		r, err := web.Client().Get(web.URL + page)
		require.NoError(t, err)
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return string(body)
	}
	require.Contains(t, get("/metrics"), "reprise_ssd_latency_seconds{export=\"b\",op=\"write\",quantile=\"0.5\"} 1.044e-05\n")
	require.Contains(t, get("/metrics"), "reprise_ssd_latency_seconds_count{export=\"b\",op=\"write\"} 1\n")
	require.Contains(t, get("/metrics"), "# TYPE reprise_ssd_host_pages_total counter\nreprise_ssd_host_pages_total{export=\"a\"} 0\nreprise_ssd_host_pages_total{export=\"b\"} 2\n")
	var st ServerStat
	require.NoError(t, json.Unmarshal([]byte(get("/stat")), &struct {
		Exports *[]Stat `json:"exports"`
	}{&st.Exports}))
	require.EqualValues(t, 2, st.Exports[1].Device.HostPages)
	require.EqualValues(t, 8192, st.Exports[1].Client.WriteBytes)
}

// tool runs a program of the distribution, if there is one, against a server.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

func TestNbdinfo(t *testing.T) {
	d := tiny(t)
	e := NewExport("disk", d, NewNothing())
	_, path := start(t, false, e, NewExport("other", tiny(t), NewNothing()))
	out := tool(t, "nbdinfo", "--json", "nbd+unix:///disk?socket="+path)
	require.Contains(t, out, fmt.Sprintf(`"export-size": %d`, e.Size))
	require.Contains(t, out, `"can_trim": true`)
	require.Contains(t, out, `"structured": true`)
	require.Contains(t, out, `"base:allocation"`)
	require.Contains(t, tool(t, "nbdinfo", "--list", "nbd+unix://?socket="+path), `export="other"`)
}

// What clients make of block status: a file with data in its middle, and a copy
// of it.
func TestBlockStatus(t *testing.T) {
	for name, open := range map[string]func(int64) (Store, error){
		"memory": func(size int64) (Store, error) { return NewMemory(size), nil },
		"file":   func(size int64) (Store, error) { return OpenFile(filepath.Join(t.TempDir(), "data"), size) },
	} {
		t.Run(name, func(t *testing.T) {
			d := tiny(t)
			store, err := open(int64(d.Pages()) * 4096)
			require.NoError(t, err)
			e := NewExport("disk", d, store)
			_, path := start(t, false, e)
			uri := "nbd+unix:///disk?socket=" + path
			data := bytes.Repeat([]byte("reprise "), 1<<15)
			code, _ := dial(t, path, "disk").do(cmdWrite, cmdFlagFUA, 1<<20, uint32(len(data)), data)
			require.Zero(t, code)
			out := tool(t, "nbdinfo", "--map", uri)
			require.Regexp(t, `^ +0 +1048576 +3 +hole,zero\n +1048576 +262144 +0 +data\n +1310720 +\d+ +3 +hole,zero\n$`, out)
			out = tool(t, "qemu-img", "map", "--output=json", uri)
			require.Contains(t, out, `"start": 1048576, "length": 262144, "depth": 0, "present": true, "zero": false, "data": true`)
			image := filepath.Join(t.TempDir(), "image")
			tool(t, "nbdcopy", uri, image)
			got, err := os.ReadFile(image)
			require.NoError(t, err)
			want := make([]byte, e.Size)
			copy(want[1<<20:], data)
			require.True(t, bytes.Equal(want, got))
			require.Less(t, e.Stat().Client.ReadBytes, uint64(1<<20), "holes are not read")
		})
	}
}

func TestQemuImg(t *testing.T) {
	d := tiny(t)
	e := NewExport("disk", d, NewMemory(int64(d.Pages())*4096))
	_, path := start(t, false, e)
	uri := "nbd+unix:///disk?socket=" + path
	require.Contains(t, tool(t, "qemu-img", "info", uri), fmt.Sprintf("(%d bytes)", e.Size))
	tool(t, "qemu-img", "bench", "-w", "-c", "2000", "-d", "16", "-s", "4096", "-f", "raw", "-t", "none", uri)
	image := filepath.Join(t.TempDir(), "image")
	data := bytes.Repeat([]byte("reprise "), 1<<16)
	require.NoError(t, os.WriteFile(image, data, 0o600))
	tool(t, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, uri)
	c := dial(t, path, "disk")
	_, got := c.do(cmdRead, 0, 0, uint32(len(data)), nil)
	require.True(t, bytes.Equal(data, got))
}

// fio checks every block it wrote, through collection of the whole device.
func TestFioVerify(t *testing.T) {
	for _, rw := range []string{"randwrite", "randrw"} {
		d := tiny(t)
		e := NewExport("disk", d, NewMemory(int64(d.Pages())*4096))
		_, path := start(t, false, e)
		tool(t, "fio", "--name=v", "--ioengine=nbd", "--uri=nbd+unix:///disk?socket="+path, "--rw="+rw, "--bs=4k", "--iodepth=16",
			"--size=12m", "--io_size=48m", "--verify=crc32c", "--do_verify=1", "--verify_fatal=1", "--randrepeat=1")
		require.NotZero(t, e.Stat().Device.GCLines)
		require.NoError(t, e.Device((*emulator.Device).Check))
	}
}
