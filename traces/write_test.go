package traces

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever requests there are, csv gives them back.
func TestCSVRoundTrip(t *testing.T) {
	r := newRNG(7, 7)
	edges := []uint64{0, 1, 9, 10, math.MaxUint16, math.MaxUint32, math.MaxInt64, math.MaxUint64}
	draw := func() uint64 {
		if r.below(4) == 0 {
			return edges[r.below(uint64(len(edges)))]
		}
		return r.Uint64() >> r.below(64)
	}
	for round := range 50 {
		want := make([]Request, 1+round*20)
		for i := range want {
			want[i] = Request{
				Time: int64(draw() & math.MaxInt64), Offset: draw(), ID: draw(), Size: uint32(draw()),
				Op: Op(r.below(4)), Volume: uint16(draw()),
			}
		}
		var b bytes.Buffer
		w := NewCSVWriter(&b)
		require.NoError(t, w.Write(want))
		require.NoError(t, w.Flush())
		s, err := NewStream(&b, "x", Options{})
		require.NoError(t, err)
		require.Equal(t, Info{Format: "csv", Addressed: true, Timed: true, HasSize: true, HasOp: true, Requests: -1}, s.Info())
		got, err := drain(s, make([]Request, 1+r.below(100)))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestCSVWriterRefusesWhatItCannotRead(t *testing.T) {
	w := NewCSVWriter(io.Discard)
	require.ErrorContains(t, w.Write([]Request{{Time: -1}}), "time -1 ns")
	require.ErrorContains(t, w.Write([]Request{{Op: 9}}), "operation 9")
}

// The next accesses are those that a search through the rest of the trace finds.
func TestOracleGeneralNextAccess(t *testing.T) {
	want := bigTrace(500)
	file := []byte(oracleFile(t, want))
	for i, r := range want {
		next := int64(-1)
		for j := i + 1; j < len(want); j++ {
			if want[j].ID == r.ID {
				next = int64(j) + 1
				break
			}
		}
		require.Equal(t, next, int64(binary.LittleEndian.Uint64(file[i*oracleRecord+16:])))
	}
	s, err := NewStream(bytes.NewReader(file), "x", Options{Validate: true})
	require.NoError(t, err)
	got, err := drain(s, make([]Request, 64))
	require.NoError(t, err)
	require.Equal(t, want, got)

	require.ErrorContains(t, WriteOracleGeneral(io.Discard, []Request{{Time: 1 << 32 * 1e9}}), "outside 0 to 2^32 s")
	require.ErrorContains(t, WriteOracleGeneral(io.Discard, []Request{{Time: -1}}), "outside")
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
	}
	for _, name := range []string{"a.csv", "a.csv.gz", "a.csv.zst"} {
		path := filepath.Join(dir, name)
		require.NoError(t, WriteFile(path, false, text(CSVHeader+"\n5,read,0,1,2,0\n")))
		all, _, err := ReadAll(path, Options{})
		require.NoError(t, err)
		require.Equal(t, []Request{{Time: 5, Size: 1, ID: 2}}, all)

		require.ErrorIs(t, WriteFile(path, false, text("x")), fs.ErrExist)
		require.NoError(t, WriteFile(path, true, text(CSVHeader+"\n")))
		all, _, err = ReadAll(path, Options{})
		require.NoError(t, err)
		require.Empty(t, all)

		// A failure leaves what was there, and nothing beside it.
		broken := errors.New("no more")
		require.ErrorIs(t, WriteFile(path, true, func(w io.Writer) error { _, _ = w.Write([]byte("half")); return broken }), broken)
		_, _, err = ReadAll(path, Options{})
		require.NoError(t, err)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 3)
	require.Error(t, WriteFile(filepath.Join(dir, "none", "a"), false, text("")))
}
