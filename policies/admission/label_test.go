package admission

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"reprise/traces"
)

// recorded gives one of the real logs, which are not part of the project: the
// folder is REPRISE_TRACES, or shared/traces beside the project's.
func recorded(t testing.TB, name string, order Order) *Log {
	t.Helper()
	dir := os.Getenv("REPRISE_TRACES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "traces")
	}
	path := filepath.Join(dir, "flashnet", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("real log %s is not here: set REPRISE_TRACES to the folder that holds flashnet/", name)
	}
	rec, _, err := traces.ReadLatencyLog(path, traces.Options{Format: "flashnet"})
	require.NoError(t, err)
	return NewLog(rec, order)
}

const (
	log537 = "tencent.cut.per_50k.most_rand_iops.537.trace"
	log490 = "tencent.cut.per_50k.rw_60_40.490.trace"
	log379 = "tencent.cut.per_50k.rw_75_25.379.trace"
)

// The counts of the published code on the recorded logs, and the cutoff labels
// that flashnet-trovi publishes.
func TestRecordedLabels(t *testing.T) {
	for _, want := range []struct {
		file                                     string
		ipLat, ipThpt                            int64
		percentile, medLat, medThpt              float64
		cutoffFast, cutoffSlow                   int
		before, o1, o2, o3, labelled, fast, slow int
		stableSlow, stableLabelled               int
	}{
		{log537, 1887, 22, 72.43, 1214.5, 4, 36216, 13784, 14117, 882, 1988, 704, 46426, 33895, 12531, 12429, 46412},
		{log490, 1496, 49, 68.53, 1003, 6, 34266, 15734, 18569, 904, 1630, 632, 46834, 29801, 17033, 16896, 46840},
		{log379, 1957, 33, 72.52, 1197, 5, 36260, 13740, 15340, 733, 1192, 798, 47277, 33468, 13809, 13701, 47231},
	} {
		t.Run(want.file, func(t *testing.T) {
			l := recorded(t, want.file, Quicksort)
			th := l.Thresholds()
			require.Equal(t, want.ipLat, th.Latency)
			require.Equal(t, want.ipThpt, th.Throughput)
			require.InDelta(t, want.percentile, th.LatencyPercentile, 0.005)
			require.Equal(t, want.medLat, th.MedianLatency)
			require.Equal(t, want.medThpt, th.MedianThroughput)

			cutoff := l.LabelCutoff(th).Count()
			require.Equal(t, want.cutoffSlow, cutoff)
			require.Equal(t, want.cutoffFast, l.Len()-cutoff)

			labels := l.Label(th, Artifact)
			f := labels.Filter()
			require.Equal(t, []int{want.before, want.o1, want.o2, want.o3, want.labelled},
				[]int{labels.Count(), f.FastInSlow, f.SlowInFast, f.Bursts, len(f.Rows)})
			require.Equal(t, want.slow, labels.CountIn(f.Rows))

			l = recorded(t, want.file, Stable)
			labels = l.Label(l.Thresholds(), Artifact)
			f = labels.Filter()
			require.Equal(t, []int{want.stableSlow, want.stableLabelled}, []int{labels.CountIn(f.Rows), len(f.Rows)})
		})
	}
}
