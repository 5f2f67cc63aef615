package traces

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func summarizeText(t testing.TB, csv string) Summary {
	s, err := NewStream(strings.NewReader(csv), "x", Options{})
	require.NoError(t, err)
	sum, err := Summarize(s)
	require.NoError(t, err)
	return sum
}

func TestSummarySmall(t *testing.T) {
	sum := summarizeText(t, `time_ns,op,offset,size,id,volume
0,read,0,4096,1,0
1000000000,write,4096,8192,2,0
3000000000,write,8192,512,2,0
2000000000,trim,1048576,4096,3,0
4000000000,flush,0,0,4,0
4000000000,read,0,4096,5,1
`)
	value := func(v float64) *float64 { return &v }
	pages, backward := uint64(5), uint64(1)
	share := 1.0
	require.Equal(t, Summary{
		Info:     Info{Format: "csv", Addressed: true, Timed: true, HasSize: true, HasOp: true, Requests: 6},
		Requests: 6, Reads: 2, Writes: 2, Trims: 1, Flushes: 1, Empty: 1, Volumes: 2,
		Bytes: 20992, ReadBytes: 8192, WriteBytes: 8704,
		Objects: 5, Footprint: 4096 + 8192 + 4096 + 0 + 4096, OneHit: 0.8, ObjectSample: 1, Pages: &pages, PageSample: &share,
		Size:       SizeSummary{Mean: 20992.0 / 6, P50: 4096, P75: 4096, P90: 8192, P99: 8192, Max: 8192},
		ReadSize:   SizeSummary{Mean: 4096, Min: 4096, P50: 4096, P75: 4096, P90: 4096, P99: 4096, Max: 4096},
		WriteSize:  SizeSummary{Mean: 4352, Min: 512, P50: 512, P75: 8192, P90: 8192, P99: 8192, Max: 8192},
		Sequential: value(1.0 / 6), Random: value(3.0 / 6),
		Duration: value(4), InterArrival: value(1), InterArrivalCV: value(0.8944271909999159), Backward: &backward,
	}, sum)
}

func TestSummaryOfNothing(t *testing.T) {
	sum := summarizeText(t, CSVHeader+"\n")
	require.Zero(t, sum.Requests)
	require.Nil(t, sum.Sequential)
	require.Nil(t, sum.Duration)
}

func TestSummarySamples(t *testing.T) {
	s, err := Open(sampleTrace(t, "cloudphysics/cloudPhysicsIO.oracleGeneral.bin"), Options{})
	require.NoError(t, err)
	defer s.Close()
	sum, err := Summarize(s)
	require.NoError(t, err)
	require.Equal(t, uint64(113872), sum.Requests)
	require.Equal(t, uint64(48974), sum.Objects)
	require.Equal(t, uint64(4368040448), sum.Bytes)
	require.Equal(t, uint64(2029769728), sum.Footprint)
	require.Nil(t, sum.Pages)
	require.InDelta(t, 7200, *sum.Duration, 0.1)
}

// The fit finds the exponent that a trace was made with.
func TestZipfFit(t *testing.T) {
	for _, spec := range []struct {
		alpha string
		want  float64
	}{{"0.6", 0.6}, {"0.9", 0.9}, {"1.2", 1.2}} {
		s, err := Open("gen:zipf?n=1000000&objects=20000&alpha="+spec.alpha, Options{})
		require.NoError(t, err)
		sum, err := Summarize(s)
		require.NoError(t, err)
		require.InDelta(t, spec.want, *sum.ZipfAlpha, 0.03)
	}
}

// Sizes land in buckets that start at most 1/128 below them.
func TestSizeBuckets(t *testing.T) {
	last := -1
	for size := uint64(0); size < 1<<32; size += size/300 + 1 {
		b := sizeBucket(uint32(size))
		require.GreaterOrEqual(t, b, last)
		last = b
		start := uint64(bucketStart(b))
		require.LessOrEqual(t, start, size)
		require.LessOrEqual(t, size-start, size/128)
		require.Equal(t, b, sizeBucket(uint32(start)))
	}
	require.Less(t, sizeBucket(1<<32-1), len(sizeCounts{}.counts))
	for size := uint32(512); size <= 128<<10; size += 512 {
		require.Equal(t, size, bucketStart(sizeBucket(size)))
	}
}

// Over the limit the table keeps a sample and still estimates the number.
func TestSampleTable(t *testing.T) {
	table := newSampleTable(10_000)
	for round := range 2 {
		for key := range uint64(500_000) {
			table.add(key*4096, uint32(round))
		}
	}
	require.LessOrEqual(t, table.used, 10_000)
	require.Less(t, table.share(), 1.0)
	require.InEpsilon(t, 500_000, float64(table.used)/table.share(), 0.05)
	for _, e := range table.entries {
		if e.count > 0 {
			require.Equal(t, uint32(2), e.count)
			require.Zero(t, e.size)
		}
	}
}
