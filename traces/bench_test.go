package traces

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkRead reads each format from memory: decoding, without the disk.
func BenchmarkRead(b *testing.B) {
	done := map[string]bool{}
	for _, c := range formatCases(b) {
		if done[c.format] {
			continue
		}
		done[c.format] = true
		b.Run(c.format, func(b *testing.B) {
			s, err := c.open(b)
			require.NoError(b, err)
			s.Close()
			header, body := "", c.input
			if c.format == "csv" {
				header, body, _ = strings.Cut(c.input, "\n")
				header += "\n"
				body += "\n"
			}
			if c.format == "blkparse" {
				body, _, _ = strings.Cut(body, "CPU1")
			}
			input := header + strings.Repeat(body, 4<<20/len(body))
			b.SetBytes(int64(len(input)))
			benchmarkRequests(b, func() (*Stream, error) { return NewStream(strings.NewReader(input), c.name, Options{Format: c.format}) })
		})
	}
}

// BenchmarkOpen opens and reads whole files.
func BenchmarkOpen(b *testing.B) {
	for _, name := range []string{
		"cloudphysics/cloudPhysicsIO.oracleGeneral.bin", "cloudphysics/cloudPhysicsIO.vscsi", "arc/P3.lis.zst", "block/DTRS100M.trace",
	} {
		b.Run(filepath.Base(name), func(b *testing.B) {
			path := sampleTrace(b, name)
			st, err := os.Stat(path)
			require.NoError(b, err)
			b.SetBytes(st.Size())
			benchmarkRequests(b, func() (*Stream, error) { return Open(path, Options{}) })
		})
	}
}

func BenchmarkGenerate(b *testing.B) {
	for _, spec := range []string{
		"gen:uniform?arrivals=constant", "gen:uniform", "gen:zipf?alpha=1", "gen:zipf?alpha=0.8&objects=100000000",
		"gen:sequential?streams=8&run=20", "gen:zipf?mode=object&sizes=lognormal:4096:1", "profile:msr-prxy_0", "profile:cdn",
	} {
		b.Run(spec, func(b *testing.B) {
			benchmarkRequests(b, func() (*Stream, error) { return Open(spec, Options{}) })
		})
	}
}

func BenchmarkSummarize(b *testing.B) {
	for _, spec := range []string{"profile:msr-prxy_0?n=1000000", "profile:cdn?n=1000000"} {
		b.Run(spec, func(b *testing.B) {
			all := readSpec(b, spec)
			b.ReportAllocs()
			for b.Loop() {
				NewSummarizer(Info{Addressed: !strings.Contains(spec, "cdn"), Timed: true}).Add(all)
			}
			b.ReportMetric(float64(len(all)*b.N)/b.Elapsed().Seconds()/1e6, "Mreq/s")
		})
	}
}

func BenchmarkWriteCSV(b *testing.B) {
	all := readSpec(b, "profile:msr-prxy_0?n=100000")
	b.ReportAllocs()
	for b.Loop() {
		w := NewCSVWriter(io.Discard)
		if w.Write(all) != nil || w.Flush() != nil {
			b.Fatal("cannot write")
		}
	}
	b.ReportMetric(float64(len(all)*b.N)/b.Elapsed().Seconds()/1e6, "Mreq/s")
}

func BenchmarkWriteOracleGeneral(b *testing.B) {
	all := readSpec(b, "profile:cdn?n=100000")
	b.ReportAllocs()
	for b.Loop() {
		if err := WriteOracleGeneral(io.Discard, all); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(all)*b.N)/b.Elapsed().Seconds()/1e6, "Mreq/s")
}

func benchmarkRequests(b *testing.B, open func() (*Stream, error)) {
	b.ReportAllocs()
	dst := make([]Request, 4096)
	n := 0
	for b.Loop() {
		s, err := open()
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			var k int
			k, err = s.Read(dst)
			n += k
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
		s.Close()
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mreq/s")
}
