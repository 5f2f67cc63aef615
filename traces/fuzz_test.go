package traces

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// fuzzFormat feeds a format whatever comes: it must end, in the end of the
// input or an error that says where, and read the same in any batch size.
func fuzzFormat(f *testing.F, o Options) {
	for _, c := range formatCases(f) {
		if c.format == o.Format {
			s, err := c.open(f) // loads the input
			require.NoError(f, err)
			s.Close()
			f.Add([]byte(c.input))
			f.Add([]byte(c.input)[:len(c.input)*2/3])
		}
	}
	const most = 1 << 12
	read := func(t *testing.T, input []byte, batch int) ([]Request, error) {
		s, err := NewStream(bytes.NewReader(input), "fuzz", o)
		if err != nil {
			return nil, err
		}
		defer s.Close()
		var all []Request
		dst := make([]Request, batch)
		for len(all) < most {
			n, err := s.Read(dst)
			all = append(all, dst[:n]...)
			if err != nil {
				require.Zero(t, n)
				if !errors.Is(err, io.EOF) {
					var fault *FormatError
					require.ErrorAs(t, err, &fault)
				}
				return all, err
			}
			require.NotZero(t, n)
		}
		return all[:most], nil
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		switch {
		case bytes.HasPrefix(input, []byte{0x1f, 0x8b}), bytes.HasPrefix(input, []byte{0x28, 0xb5}),
			bytes.HasPrefix(input, []byte{0xfd}), bytes.HasPrefix(input, []byte("BZh")):
			t.Skip("compressed: FuzzDetect's")
		}
		whole, err1 := read(t, input, most)
		parts, err2 := read(t, input, 3)
		require.Equal(t, whole, parts)
		require.Equal(t, err1 == nil, err2 == nil)
		if err1 != nil {
			require.Equal(t, err1.Error(), err2.Error())
		}
	})
}

func FuzzOracleGeneral(f *testing.F) {
	fuzzFormat(f, Options{Format: "oracleGeneral", Validate: true})
}
func FuzzVSCSI(f *testing.F)       { fuzzFormat(f, Options{Format: "vscsi"}) }
func FuzzCSV(f *testing.F)         { fuzzFormat(f, Options{Format: "csv", TimeUnit: "us"}) }
func FuzzMSR(f *testing.F)         { fuzzFormat(f, Options{Format: "msr"}) }
func FuzzAlibaba(f *testing.F)     { fuzzFormat(f, Options{Format: "alibaba"}) }
func FuzzTencent(f *testing.F)     { fuzzFormat(f, Options{Format: "tencent"}) }
func FuzzSPC(f *testing.F)         { fuzzFormat(f, Options{Format: "spc"}) }
func FuzzARC(f *testing.F)         { fuzzFormat(f, Options{Format: "arc"}) }
func FuzzLIRS(f *testing.F)        { fuzzFormat(f, Options{Format: "lirs"}) }
func FuzzWebcachesim(f *testing.F) { fuzzFormat(f, Options{Format: "webcachesim"}) }
func FuzzMQSim(f *testing.F)       { fuzzFormat(f, Options{Format: "mqsim"}) }
func FuzzDiskSim(f *testing.F)     { fuzzFormat(f, Options{Format: "disksim"}) }
func FuzzBlkparse(f *testing.F)    { fuzzFormat(f, Options{Format: "blkparse"}) }
func FuzzFlashNet(f *testing.F)    { fuzzFormat(f, Options{Format: "flashnet"}) }
func FuzzHeimdall(f *testing.F)    { fuzzFormat(f, Options{Format: "heimdall"}) }
func FuzzLinnOS(f *testing.F)      { fuzzFormat(f, Options{Format: "linnos"}) }

// FuzzDetect opens whatever comes without being told the format, compressed or
// not, and reads and summarises a part of it.
func FuzzDetect(f *testing.F) {
	for _, c := range formatCases(f) {
		s, err := c.open(f)
		require.NoError(f, err)
		s.Close()
		f.Add([]byte(c.input))
	}
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0})
	f.Add([]byte("BZh91AY"))
	f.Fuzz(func(t *testing.T, input []byte) {
		s, err := NewStream(bytes.NewReader(input), "fuzz", Options{})
		if err != nil {
			return
		}
		defer s.Close()
		dst := make([]Request, 64)
		sum := NewSummarizer(s.Info())
		for range 20 {
			n, err := s.Read(dst)
			for i := range dst[:n] {
				dst[i].Size %= 1 << 20 // a request of 4 GiB touches a million pages
			}
			sum.Add(dst[:n])
			if err != nil {
				require.False(t, errors.Is(err, os.ErrClosed))
				break
			}
		}
		sum.Summary()
	})
}

// FuzzSpec opens whatever spec comes, and reads a little if it is one.
func FuzzSpec(f *testing.F) {
	for _, s := range []string{
		"gen:zipf?objects=1000&alpha=1.2&n=10&seed=3", "gen:sequential?streams=3&run=4&objects=10",
		"gen:mix?part=0.5,zipf,objects=10&part=1,once&mode=object&sizes=lognormal:10:1:512", "gen:phases?part=3,loop,objects=4",
		"gen:uniform?arrivals=onoff&on=1&off=2&shape=1.5&reads=0.5&read-sizes=1:2,3:4", "profile:cdn?n=3",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		if !IsSpec(spec) {
			return
		}
		s, err := Open(spec, Options{})
		if err != nil {
			return
		}
		dst := make([]Request, 10)
		n, err := s.Read(dst)
		if err != nil {
			require.Equal(t, io.EOF, err)
		}
		for _, r := range dst[:n] {
			require.GreaterOrEqual(t, r.Time, int64(0))
		}
	})
}
