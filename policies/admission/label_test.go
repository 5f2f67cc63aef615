package admission

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
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

// madeUp is the generator of testdata/labels.py.
func madeUp(kind string, n int, seed uint64) *traces.LatencyLog {
	below := func(n uint64) int64 {
		seed += 0x9e3779b97f4a7c15
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return int64((z ^ z>>31) % n)
	}
	rec := &traces.LatencyLog{}
	var at, stall int64
	for i := range int64(n) {
		step := below(8)
		switch kind {
		case "ties":
			if step == 0 {
				at += 900
			}
		case "same-time":
		case "backwards":
			at += 100
		default:
			at += step * 40
		}
		stall = max(0, stall-1)
		if below(60) == 0 {
			stall = 3 + below(30)
		}
		latency := 60 + below(90)
		if below(4) == 0 {
			latency += below(400)
		} else {
			below(400)
		}
		if stall > 0 && kind != "all-fast" {
			latency += 1500 + below(4000)
		}
		switch kind {
		case "all-slow":
			latency += 9000
		case "constant":
			latency = 100
		case "two-values":
			latency = 1000
			if below(3) > 0 {
				latency = 100
			}
		}
		size := uint32(4096)
		if kind != "one-size" && kind != "constant" && kind != "two-values" {
			size <<= below(6)
		}
		if kind == "odd-sizes" {
			size = uint32(512 * (1 + below(2000)))
		}
		submit := at
		switch kind {
		case "backwards":
			submit = (int64(n) - i) * 100 / 7 * 7
		case "killer":
			half := int64(n+1) / 2
			switch {
			case i >= half:
				submit = 2*(i-half) + 2
			case i%2 == 0:
				submit = i + 1
			default:
				submit = half + i
			}
			submit = submit / 4 * 4
		}
		op, moved := traces.Write, size
		if below(3) > 0 {
			op = traces.Read
		}
		if below(200) == 0 {
			moved = 0
		}
		rec.Submit = append(rec.Submit, submit*1000)
		rec.Latency = append(rec.Latency, latency*1000)
		rec.Size = append(rec.Size, size)
		rec.Transferred = append(rec.Transferred, moved)
		rec.Op = append(rec.Op, op)
	}
	return rec
}

// Every count of made-up logs of all shapes is that of the oracle in
// testdata/labels.py, which stands on the libraries of the published code.
func TestLabelsAgainstOracle(t *testing.T) {
	data, err := os.ReadFile("testdata/labels.json")
	require.NoError(t, err)
	var cases []struct {
		Kind string
		Rows int
		Seed uint64
		Sort Order
		Want struct {
			Order            string
			N                int
			Latency          int64   `json:"ip_lat"`
			Percentile       float64 `json:"ip_lat_percentile"`
			Throughput       int64   `json:"ip_thpt"`
			MedianLatency    float64 `json:"med_lat"`
			MedianThroughput float64 `json:"med_thpt"`
			Before           int     `json:"slow_before_filter"`
			Outlier1         int
			Outlier2         int
			Outlier3         int
			Labeled          int
			Fast             int
			Slow             int
			CutoffSlow       int `json:"cutoff_slow"`
		}
	}
	require.NoError(t, json.Unmarshal(data, &cases))
	require.Greater(t, len(cases), 200)
	for _, c := range cases {
		rec := madeUp(c.Kind, c.Rows, c.Seed)
		what := fmt.Sprintf("%s, %d rows, seed %d, %s", c.Kind, c.Rows, c.Seed, c.Sort)
		digest := sha256.New()
		for _, row := range order(rec, c.Sort, &Log{}) {
			require.NoError(t, binary.Write(digest, binary.LittleEndian, row))
		}
		require.Equal(t, c.Want.Order, hex.EncodeToString(digest.Sum(nil))[:16], "%s: order", what)
		l := NewLog(rec, c.Sort)
		th := l.Thresholds()
		labels := l.Label(th, Artifact)
		f := labels.Filter()
		got := c.Want
		got.N, got.Latency, got.Throughput = l.Len(), th.Latency, th.Throughput
		got.MedianLatency, got.MedianThroughput = th.MedianLatency, th.MedianThroughput
		got.Before, got.Outlier1, got.Outlier2, got.Outlier3 = labels.Count(), f.FastInSlow, f.SlowInFast, f.Bursts
		got.Labeled, got.Slow = len(f.Rows), labels.CountIn(f.Rows)
		got.Fast, got.CutoffSlow = got.Labeled-got.Slow, l.LabelCutoff(th).Count()
		require.Equal(t, c.Want, got, what)
		require.InDelta(t, c.Want.Percentile, th.LatencyPercentile, 1e-9, what)
	}
}

// No log, however odd, breaks the pipeline, and what it says adds up.
func FuzzLabel(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec := &traces.LatencyLog{}
		at := int64(0)
		for ; len(data) >= 5; data = data[5:] {
			at += int64(int8(data[0])) * 1000
			rec.Submit = append(rec.Submit, at)
			rec.Latency = append(rec.Latency, int64(data[1])<<(data[2]&63)>>8)
			rec.Size = append(rec.Size, uint32(data[3])<<(data[2]>>6*8))
			rec.Transferred = append(rec.Transferred, uint32(data[3])<<(data[2]>>6*8))
			rec.Op = append(rec.Op, traces.Op(data[4]%4))
		}
		for _, order := range []Order{Stable, Quicksort} {
			l := NewLog(rec, order)
			require.True(t, slices.IsSorted(l.Submit))
			for _, compat := range []Compat{Fixed, Paper, Artifact} {
				labels := l.Label(l.ThresholdsFor(compat), compat)
				f := labels.Filter()
				require.Equal(t, l.Len(), len(f.Rows)+f.FastInSlow+f.SlowInFast+f.Bursts)
				for _, in := range []Inputs{HeimdallInputs, ExtendedInputs, LinnOSInputs} {
					s, err := Extract(l, labels.Slow, in)
					require.NoError(t, err)
					require.Len(t, s.X, s.Len()*s.Width)
				}
				s := ExtractPublished(l, labels.Slow, f.Rows, compat)
				require.Len(t, s.X, s.Len()*s.Width)
			}
		}
	})
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

// Buffered writes draw the thresholds to themselves; labelled over reads alone
// the stall is what is slow.
func TestPeriodsOverReads(t *testing.T) {
	l := &Log{}
	stalled := func(i int) bool { return i%1000 >= 950 }
	for i := range 10_000 {
		switch {
		case i%3 != 0:
			l.Append(int64(i)*100_000, 8, 16384, false)
		case stalled(i):
			l.Append(int64(i)*100_000, 3000, 4096, true)
		default:
			l.Append(int64(i)*100_000, 45, 4096, true)
		}
	}
	all, err := RecipeNamed("heimdall")
	require.NoError(t, err)
	alone, err := RecipeNamed("heimdall-reads")
	require.NoError(t, err)
	share := func(slow []bool) float64 {
		marked, reads := 0, 0
		for i, read := range l.Read {
			if read {
				reads++
				if slow[i] {
					marked++
				}
			}
		}
		return float64(marked) / float64(reads)
	}
	slow, _ := all.Periods(l, l.Len(), Fixed)
	require.Greater(t, share(slow), 0.9)
	slow, rows := alone.Periods(l, l.Len(), Fixed)
	for i, s := range slow {
		require.Equal(t, l.Read[i] && stalled(i), s, i)
	}
	require.Len(t, rows, l.Len(), "nothing here is noise")

	reads := &Log{}
	for i, read := range l.Read {
		if read {
			reads.Append(l.Submit[i], l.Latency[i], l.Size[i], true)
		}
	}
	slow, rows = all.Periods(reads, reads.Len()/2, Fixed)
	slowAlone, rowsAlone := alone.Periods(reads, reads.Len()/2, Fixed)
	require.Equal(t, slow, slowAlone)
	require.Equal(t, rows, rowsAlone)
}
