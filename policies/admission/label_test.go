package admission

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
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

// table makes a log of one request every 100 us, of 4 KiB each.
func table(latencies ...int64) *Log {
	l := &Log{}
	for i, latency := range latencies {
		l.Append(int64(i)*100_000, latency, 4096, true)
	}
	return l
}

func marks(slow []bool) string {
	s := ""
	for _, v := range slow {
		s += map[bool]string{false: ".", true: "#"}[v]
	}
	return s
}

// Throughputs are 4096 over the latency: 41 at 100 us, 4 at 1000.
func TestLabelByHand(t *testing.T) {
	th := Thresholds{Latency: 500, Throughput: 8, MedianLatency: 100, MedianThroughput: 41, Drop: 1.7}
	for name, c := range map[string]struct {
		latencies       []int64
		artifact, paper string
	}{
		"a period ends at three requests in a row, in the paper at one": {
			[]int64{100, 1000, 100, 1000, 100, 100, 100, 100}, ".###....", ".#.#...."},
		"what is not there yet has moved nothing, so that the end goes on": {
			[]int64{100, 1000, 100, 100}, ".###", ".#.."},
		"the request that ends a period begins none": {
			[]int64{100, 1000, 100, 100, 100, 100}, ".#....", ".#...."},
		"slow from the first: nothing fell": {
			[]int64{1000, 1000, 100}, "...", "..."},
		"a fall of less than 1.7 begins nothing": {
			[]int64{700, 1000, 1000}, "...", "..."},
		"too fast to be slow": {
			[]int64{40, 200, 200}, "...", "..."},
	} {
		l := table(c.latencies...)
		require.Equal(t, c.artifact, marks(l.Label(th, Artifact).Slow), name)
		require.Equal(t, c.artifact, marks(l.Label(th, Fixed).Slow), name)
		require.Equal(t, c.paper, marks(l.Label(th, Paper).Slow), name)
	}
}

func TestFilterByHand(t *testing.T) {
	th := Thresholds{Latency: 500, MedianLatency: 200, MedianThroughput: 20}
	l := table(100, 1000, 100, 1000, 1000, 1000, 1000, 100, 1000, 100, 1000, 1000)
	labels := &Labels{Thresholds: th, log: l, compat: Artifact}
	for _, m := range ".######...##" {
		labels.Slow = append(labels.Slow, m == '#')
	}
	// Row 2 is fast in a slow period, row 8 slow in a fast one; the five that
	// are left of the period stay, and so does a short run at the very end.
	f := labels.Filter()
	require.Equal(t, Filtered{Rows: []int32{0, 1, 3, 4, 5, 6, 7, 9, 10, 11}, FastInSlow: 1, SlowInFast: 1}, f)
	require.Equal(t, 7, labels.CountIn(f.Rows))
	// A run of three and then a fast request goes.
	labels.Slow[5], labels.Slow[6] = false, false
	f = labels.Filter()
	require.Equal(t, Filtered{Rows: []int32{0, 1, 3, 4, 7, 9, 10, 11}, FastInSlow: 1, SlowInFast: 3}.SlowInFast, f.SlowInFast)
	require.Equal(t, 3, f.Bursts)
}

// Whatever the log, the parts of it add up, and thresholds lie within it.
func TestLabelProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	for range 80 {
		l := &Log{}
		at := int64(0)
		for range rng.IntN(400) {
			at += int64(rng.IntN(1000))
			l.Append(at, int64(rng.ExpFloat64()*1000), uint32(512*(1+rng.IntN(128))), rng.IntN(3) > 0)
		}
		for _, compat := range []Compat{Artifact, Paper, Fixed} {
			labels := l.Label(l.ThresholdsFor(compat), compat)
			f := labels.Filter()
			require.Equal(t, l.Len(), len(f.Rows)+f.FastInSlow+f.SlowInFast+f.Bursts)
			require.True(t, slices.IsSorted(f.Rows))
			require.LessOrEqual(t, labels.CountIn(f.Rows), labels.Count())
		}
	}
}

// The order is that of NumPy's argsort; here only that it is an order, on
// inputs that drive it into its heapsort too.
func TestIntrosort(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 32))
	for n := range 600 {
		key := make([]int64, n)
		rows := make([]int32, n)
		for i := range key {
			key[i] = int64(rng.IntN(1 + n/3))
			if n%3 == 0 {
				key[i] = int64(min(i, n-i)) // an organ pipe
			}
			rows[i] = int32(i)
		}
		introsort(rows, key)
		seen := make([]bool, n)
		for i, r := range rows {
			require.False(t, seen[r])
			seen[r] = true
			require.False(t, i > 0 && key[rows[i-1]] > key[r])
		}
	}
	rows := []int32{0, 1, 2, 3, 4}
	heapsort(rows, func(a, b int32) bool { return a > b })
	require.Equal(t, []int32{4, 3, 2, 1, 0}, rows)
}
