package traces

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"
)

// on is the ID of a block of a volume.
func on(volume uint16, block uint64) uint64 { return block ^ uint64(volume)<<48 }

// vscsiRecord makes a record of version 1 or 2.
func vscsiRecord(version byte, command uint16, size uint32, block, us uint64) []byte {
	var b []byte
	le := binary.LittleEndian
	mark := uint16(version)<<8 | 3
	if version == 1 {
		b = le.AppendUint32(b, 9)
		b = le.AppendUint32(b, size)
		b = le.AppendUint32(b, 1)
		b = le.AppendUint16(b, command)
		b = le.AppendUint16(b, mark)
	} else {
		b = le.AppendUint16(b, command)
		b = le.AppendUint16(b, mark)
		b = le.AppendUint32(b, 9)
		b = le.AppendUint32(b, size)
		b = le.AppendUint32(b, 1)
	}
	b = le.AppendUint64(b, block)
	b = le.AppendUint64(b, us)
	if version == 2 {
		b = le.AppendUint64(b, 77)
	}
	return b
}

func vscsiFile(version byte) string {
	return string(bytes.Join([][]byte{
		vscsiRecord(version, 0x28, 4096, 100, 5_633_898_000_000),
		vscsiRecord(version, 0x2a, 512, 7, 5_633_898_000_001),
		vscsiRecord(version, 0x42, 0, 8, 5_633_898_000_002),
		vscsiRecord(version, 0x91, 0, 0, 5_633_898_000_003),
	}, nil))
}

func oracleFile(t testing.TB, requests []Request) string {
	var b bytes.Buffer
	require.NoError(t, WriteOracleGeneral(&b, requests))
	return b.String()
}

var oracleRequests = []Request{
	{Time: 5e9, ID: 1, Size: 100}, {Time: 5e9, ID: 2, Size: 0}, {Time: 6e9, ID: 1, Size: 100}, {Time: 9e9, ID: math.MaxUint64, Size: math.MaxUint32},
}

var vscsiRequests = []Request{
	{Time: 5_633_898_000_000_000, ID: 100, Offset: 51200, Size: 4096},
	{Time: 5_633_898_000_001_000, ID: 7, Offset: 3584, Size: 512, Op: Write},
	{Time: 5_633_898_000_002_000, ID: 8, Offset: 4096, Op: Trim},
	{Time: 5_633_898_000_003_000, Op: Flush},
}

func testdata(t testing.TB, name string) string {
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(b)
}

type formatCase struct {
	name, input string
	options     Options // with Format where it cannot be detected
	format      string
	want        []Request
}

func formatCases(t testing.TB) []formatCase {
	return []formatCase{
		{name: "x.oracleGeneral", input: oracleFile(t, oracleRequests), format: "oracleGeneral", want: oracleRequests},
		{name: "v1.vscsi", input: vscsiFile(1), format: "vscsi", want: vscsiRequests},
		{name: "v2", input: vscsiFile(2), format: "vscsi", want: vscsiRequests},
		{name: "msr.csv", format: "msr", want: []Request{
			{Time: 1172163600306162900, ID: 8192, Offset: 8192, Size: 4096, Op: Write},
			{Time: 1172163601638215500, ID: 2822144, Offset: 2822144, Size: 16384},
			{Time: 1172163602638224500, ID: on(1, 8192), Offset: 8192, Size: 512, Op: Write, Volume: 1},
		}},
		{name: "alibaba.csv", format: "alibaba", want: []Request{
			{Time: 1577808144360767000, ID: on(419, 8792731648), Offset: 8792731648, Size: 16384, Op: Write, Volume: 419},
			{Time: 1577808144360803000, ID: on(725, 59110326272), Offset: 59110326272, Size: 4096, Volume: 725},
			{Time: 1577808144360859000, ID: on(419, 8792748032), Offset: 8792748032, Op: Write, Volume: 419},
		}},
		{name: "tencent.csv", format: "tencent", want: []Request{
			{Time: 1538323200e9, ID: on(1063, 12910952), Offset: 12910952 * 512, Size: 65536, Volume: 1063},
			{Time: 1538323200e9, ID: on(1283, 6265984), Offset: 6265984 * 512, Size: 4096, Op: Write, Volume: 1283},
			{Time: 1538323201e9, ID: on(1063, 12910952), Offset: 12910952 * 512, Size: 4096, Op: Write, Volume: 1063},
		}},
		{name: "financial.spc", format: "spc", want: []Request{
			{ID: 303567, Offset: 303567 * 512, Size: 3584, Op: Write},
			{Time: 26214000, ID: on(1, 55590), Offset: 55590 * 512, Size: 3072, Volume: 1},
			{Time: 26682000, ID: 303574, Offset: 303574 * 512, Size: 1536, Op: Write},
		}},
		{name: "small.lis", format: "arc", want: []Request{
			{ID: 100, Offset: 51200, Size: 512}, {ID: 101, Offset: 51712, Size: 512}, {ID: 102, Offset: 52224, Size: 512},
			{ID: 7, Offset: 3584, Size: 512}, {ID: 102, Offset: 52224, Size: 512}, {ID: 103, Offset: 52736, Size: 512},
		}},
		{name: "small.trc", format: "lirs", want: []Request{{ID: 5, Size: 1}, {ID: 12, Size: 1}, {ID: 5, Size: 1}}},
		{name: "small.tr", options: Options{Format: "webcachesim"}, format: "webcachesim", want: []Request{
			{Time: 109e9, ID: 26, Size: 1}, {Time: 139e9, ID: 3, Size: 2}, {Time: 158e9, ID: 26, Size: 1},
		}},
		{name: "mqsim.trace", format: "mqsim", want: []Request{
			{Time: 938513000, ID: on(4, 264719034), Offset: 264719034 * 512, Size: 8192, Op: Write, Volume: 4},
			{Time: 938828000, ID: on(3, 197570570), Offset: 197570570 * 512, Size: 8192, Volume: 3},
			{Time: 938944000, ID: on(13, 93230992), Offset: 93230992 * 512, Size: 16384, Op: Write, Volume: 13},
		}},
		{name: "disksim.ascii", format: "disksim", want: []Request{
			{ID: 2888, Offset: 2888 * 512, Size: 8192},
			{Time: 4250125, ID: on(1, 46095), Offset: 46095 * 512, Size: 4096, Op: Write, Volume: 1},
			{Time: 5500000, ID: 2904, Offset: 2904 * 512, Size: 3584},
		}},
		{name: "flashnet.trace", format: "flashnet", want: []Request{
			{ID: 42242048, Offset: 42242048, Size: 4096},
			{ID: 4841472, Offset: 4841472, Size: 8192, Op: Write},
			{Time: 54000e9 / 1000, ID: 4907008, Offset: 4907008, Size: 4096},
		}},
		{name: "heimdall.trace", options: Options{Format: "heimdall"}, format: "heimdall", want: []Request{
			{Time: 125000, ID: 42242048, Offset: 42242048, Size: 4096},
			{Time: 500000, ID: on(1, 4841472), Offset: 4841472, Size: 8192, Op: Write, Volume: 1},
		}},
		{name: "heimdall.trace", options: Options{Format: "linnos"}, format: "linnos", want: []Request{
			{Time: 125, ID: 42242048, Offset: 42242048, Size: 4096, Op: Write},
			{Time: 500, ID: on(1, 4841472), Offset: 4841472, Size: 8192, Volume: 1},
		}},
		{name: "blkparse.txt", format: "blkparse", want: []Request{
			{Time: 250, ID: on(768, 2048), Offset: 1 << 20, Size: 4096, Volume: 768},
			{Time: 100000, ID: on(768, 4096), Offset: 2 << 20, Size: 8192, Op: Write, Volume: 768},
			{Time: 150000, ID: on(768, 0), Op: Flush, Volume: 768},
			{Time: 200000, ID: on(768, 8192), Offset: 4 << 20, Size: 32768, Op: Trim, Volume: 768},
		}},
		{name: "blkparse.txt", options: Options{Action: "C"}, format: "blkparse", want: []Request{
			{Time: 300000, ID: on(768, 2048), Offset: 1 << 20, Size: 4096, Volume: 768},
		}},
		{name: "lba.csv", format: "csv", input: "time_ns,op,lba,nsectors\n1,W,0,128\r\n\n1000001,R,128,1", want: []Request{
			{Time: 1, Size: 65536, Op: Write}, {Time: 1000001, ID: 128, Offset: 65536, Size: 512},
		}},
		{name: "quoted.csv", format: "csv", input: "\"ts_ms\";\"key\";\"size\"\n1.5;\"a;b\";10\n2;a;20\n", options: Options{CSV: CSVOptions{HashIDs: true}}, want: []Request{
			{Time: 1500000, ID: fnv1a([]byte("a;b")), Size: 10}, {Time: 2000000, ID: fnv1a([]byte("a")), Size: 20},
		}},
		{name: "numbered", format: "csv", input: "7 1 0.5 4096\n8 0 0.75 0\n", options: Options{TimeUnit: "s", CSV: CSVOptions{
			ID: "1", Op: "2", Time: "3", Size: "4", ReadValues: []string{"0"}, WriteValues: []string{"1"},
		}}, want: []Request{{Time: 5e8, ID: 7, Size: 4096, Op: Write}, {Time: 75e7, ID: 8}}},
	}
}

// open makes a stream of the case's input, from testdata unless given inline.
func (c *formatCase) open(t testing.TB) (*Stream, error) {
	if c.input == "" {
		c.input = testdata(t, c.name)
	}
	return NewStream(strings.NewReader(c.input), c.name, c.options)
}

func drain(s *Stream, dst []Request) (all []Request, err error) {
	for {
		n, err := s.Read(dst)
		all = append(all, dst[:n]...)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

func TestFormats(t *testing.T) {
	covered := map[string]bool{}
	for _, c := range formatCases(t) {
		t.Run(c.format+"/"+c.name, func(t *testing.T) {
			covered[c.format] = true
			s, err := c.open(t)
			require.NoError(t, err)
			require.Equal(t, c.format, s.Info().Format)
			got, err := drain(s, make([]Request, 2))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.NoError(t, s.Close())
			_, err = s.Read(got)
			require.ErrorIs(t, err, os.ErrClosed)
		})
	}
	for _, f := range Formats() {
		require.True(t, covered[f.Name], "no case for format %s", f.Name)
	}
}

func TestCompressedInputReadsTheSame(t *testing.T) {
	plain := testdata(t, "msr.csv")
	pack := map[string]func(io.Writer) (io.WriteCloser, error){
		"gzip": func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
		"zstd": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
		"xz":   func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
	}
	for name, make_ := range pack {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			z, err := make_(&b)
			require.NoError(t, err)
			_, err = io.WriteString(z, plain)
			require.NoError(t, err)
			require.NoError(t, z.Close())
			s, err := NewStream(bytes.NewReader(b.Bytes()), "x", Options{})
			require.NoError(t, err)
			require.Equal(t, name, s.Info().Compression)
			got, err := drain(s, make([]Request, 8))
			require.NoError(t, err)
			require.Len(t, got, 3)
			require.NoError(t, s.Close())

			// Cut short, it is an error and not a shorter trace.
			if s, err = NewStream(bytes.NewReader(b.Bytes()[:b.Len()-9]), "x", Options{Format: "msr"}); err == nil {
				_, err = drain(s, make([]Request, 8))
			}
			require.Error(t, err)
			require.NotErrorIs(t, err, io.EOF)
		})
	}
}

// A fault is reported with its place, after the requests before it.
func TestFaults(t *testing.T) {
	long := strings.Repeat("1", maxLine+1)
	for _, c := range []struct {
		name, format, input string
		before              int
		message             string
	}{
		{"truncated record", "oracleGeneral", oracleFile(t, oracleRequests)[:60], 2, "x: oracleGeneral: byte 48: truncated: want a record of 24 bytes, got 12"},
		{"unknown command", "vscsi", vscsiFile(1) + string(vscsiRecord(1, 0x12, 0, 0, 0)), 4, "byte 128: want a SCSI read, write, verify, unmap or synchronize command, got 0x0012"},
		{"not vscsi", "vscsi", strings.Repeat("z", 80), -1, "want records of version 1 (32 bytes, byte 15 is 1) or 2"},
		{"vscsi time", "vscsi", vscsiFile(2) + string(vscsiRecord(2, 0x28, 0, 0, math.MaxUint64)), 4, "want a time in us that fits"},
		{"cut line", "msr", testdata(t, "msr.csv") + "128166372003061629,prxy,0,Wri", 3, `x: msr: line 4 (byte 142): field 4 (type): want read or write, got "Wri"`},
		{"missing field", "msr", "128166372003061629,prxy,0,Write,8192", 0, "line 1 (byte 0): line ends after 5 fields"},
		{"old clock", "msr", "1000,prxy,0,Write,8192,512,1", 0, "want a FILETIME from 1970 to 2262, got 1000"},
		{"overflowing FILETIME", "msr", "18446744073709551615,prxy,0,Write,8192,512,1", 0, "want a FILETIME"},
		{"negative size", "alibaba", "1,R,0,-5,7", 0, `field 4 (length): want a size of at most 4294967295 bytes in units of 1, got "-5"`},
		{"size overflow", "tencent", "1538323200,0,8388608,0,1", 0, "want a size of at most 4294967295 bytes in units of 512"},
		{"offset overflow", "tencent", "1538323200,36028797018963968,8,0,1", 0, "below 2^64 bytes"},
		{"volume overflow", "tencent", "1538323200,3,8,0,70000", 0, "want a volume number of at most 65535"},
		{"op", "tencent", "1538323200,3,8,2,1", 0, "want 0 (read) or 1 (write)"},
		{"NaN", "spc", "0,1,512,r,NaN", 0, "field 5 (timestamp): want a non-negative number"},
		{"infinite", "spc", "0,1,512,r,1e400", 0, "field 5 (timestamp)"},
		{"overlong line", "lirs", "5\n" + long + "\n6\n", 1, "line 2 (byte 2): line longer than 65536 bytes"},
		{"overlong last line", "lirs", "5\n" + long, 1, "line longer than 65536 bytes"},
		{"pages without end", "arc", "5 99999999999 0 0", 0, "want at most 16777216 pages"},
		{"pages beyond the end", "arc", "36028797018963967 2 0 0", 0, "end below 2^64 bytes"},
		{"no event", "blkparse", "8,0 1 1 0.5 7 D R 8 + 8 [x]\n", 0, `no event with action Q: take one of those recorded, "D"`},
		{"flags", "disksim", "0.1 0 8 8 zz", 0, "want a hexadecimal number"},
		{"bytes moved", "flashnet", "0.000,134,1,4096,42242048,0.100", 0, "line ends after 6 fields"},
		{"csv op number", "csv", "time_s,offset,op\n1,2,0\n", 0, "declare which value means which"},
		{"csv id text", "csv", "time_s,id\n1,abc\n", 0, `field 2 (id): want an unsigned 64-bit number, got "abc"`},
		{"csv no unit", "csv", "time,offset\n1,2\n", -1, "unit of the time unknown: declare it with --time-unit"},
		{"csv no identity", "csv", "time_s,foo\n1,2\n", -1, "no column for id or offset"},
		{"csv open quote", "csv", "time_s,id\n1,\"5\n", 0, "want a quoted field that ends in this line"},
		{"empty csv", "csv", "", -1, "empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := NewStream(strings.NewReader(c.input), "x", Options{Format: c.format})
			if c.before < 0 {
				require.ErrorContains(t, err, c.message)
				return
			}
			require.NoError(t, err)
			got, err := drain(s, make([]Request, 64))
			require.ErrorContains(t, err, c.message)
			require.Len(t, got, c.before)
			var fault *FormatError
			require.ErrorAs(t, err, &fault)
			require.Equal(t, c.format, fault.Format)
			_, again := s.Read(make([]Request, 1))
			require.Equal(t, err, again)
		})
	}
}

func TestDetection(t *testing.T) {
	for _, c := range []struct{ name, file, input, message string }{
		{"replayers look alike", "a.trace", "0.5 0 4096 512 1\n", "the format may be any of heimdall, linnos: name one of them"},
		{"unknown text", "a.txt", "hello world\n", `unknown format (it starts "hello world\n")`},
		{"unknown binary", "a.bin", "\x00\xff\x03", "unknown format"},
		{"empty", "a.bin", "", "empty: nothing to detect a format from"},
	} {
		_, err := NewStream(strings.NewReader(c.input), c.file, Options{})
		require.ErrorContains(t, err, c.message, c.name)
		require.ErrorContains(t, err, c.file)
	}
	_, err := NewStream(strings.NewReader("1\n"), "a", Options{Format: "vcsi"})
	require.ErrorContains(t, err, `unknown format "vcsi": want one of oracleGeneral, vscsi`)
	_, err = NewStream(strings.NewReader("1\n"), "a", Options{TimeUnit: "h"})
	require.ErrorContains(t, err, `unknown time unit "h"`)
	_, err = Open(filepath.Join(t.TempDir(), "none"), Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestReadErrorsPassThrough(t *testing.T) {
	broken := errors.New("the disk is gone")
	s, err := NewStream(io.MultiReader(strings.NewReader("5\n6\n7"), &failing{broken}), "x", Options{Format: "lirs"})
	require.NoError(t, err)
	got, err := drain(s, make([]Request, 8))
	require.ErrorIs(t, err, broken)
	require.Len(t, got, 2)
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestLatencies(t *testing.T) {
	log, info, err := ReadLatencyLog(filepath.Join("testdata", "flashnet.trace"), Options{})
	require.NoError(t, err)
	require.Equal(t, int64(3), info.Requests)
	require.Equal(t, &LatencyLog{
		Arrival: []int64{0, 0, 54e9}, Submit: []int64{100e3, 152e3, 54022609e3}, Latency: []int64{134e3, 106e3, 3717e3},
		Offset: []uint64{42242048, 4841472, 4907008}, Size: []uint32{4096, 8192, 4096}, Transferred: []uint32{4096, 4096, 4096},
		Op: []Op{Read, Write, Read}, Volume: []uint16{0, 0, 0},
	}, log)

	volume := uint16(1)
	log, _, err = ReadLatencyLog(filepath.Join("testdata", "msr.csv"), Options{Volume: &volume})
	require.NoError(t, err)
	require.Equal(t, []int64{1100}, log.Latency)

	_, _, err = ReadLatencyLog(filepath.Join("testdata", "small.trc"), Options{})
	require.ErrorContains(t, err, "format lirs records no latency: want msr, flashnet, csv with a latency column")
}

// Next accesses that were tampered with are found, untouched ones pass.
func TestOracleValidation(t *testing.T) {
	good := oracleFile(t, oracleRequests)
	tamper := func(record int, next int64) string {
		b := []byte(good)
		binary.LittleEndian.PutUint64(b[record*24+16:], uint64(next))
		return string(b)
	}
	for _, c := range []struct{ input, message string }{
		{good, ""},
		{tamper(0, 4), "request 3 is to object 1, whose last access promised request 4"},
		{tamper(0, -1), "promised request -1"},
		{tamper(1, 2), "want a next access of -1 or after 2, got 2"},
		{tamper(3, 9), "a next access to request 9 is promised, but there are 4 requests"},
	} {
		s, err := NewStream(strings.NewReader(c.input), "x", Options{Format: "oracleGeneral", Validate: true})
		require.NoError(t, err)
		_, err = drain(s, make([]Request, 3))
		if c.message == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, c.message)
		}
	}
}

func TestSteadyReadingDoesNotAllocate(t *testing.T) {
	for _, input := range []string{
		oracleFile(t, bigTrace(300_000)),
		strings.Repeat(testdata(t, "msr.csv"), 100_000),
		CSVHeader + "\n" + strings.Repeat("12,read,4096,512,8,0\n", 300_000),
	} {
		s, err := NewStream(strings.NewReader(input), "x", Options{})
		require.NoError(t, err)
		dst := make([]Request, 1000)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			n, err := s.Read(dst)
			if n == 0 || err != nil {
				t.Fatal(n, err)
			}
		}))
	}
}

func bigTrace(n int) []Request {
	r := newRNG(1, 1)
	all := make([]Request, n)
	for i := range all {
		all[i] = Request{Time: int64(i/10) * 1e9, ID: r.below(uint64(n)/3 + 1), Size: uint32(r.below(1 << 20))}
	}
	return all
}
