package cache

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The curve is what replaying LRU at each size gives.
func TestLRUCurve(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 11))
	for round := range 20 {
		sized := round%2 == 1
		n := 3000
		if round < 2 {
			n = 40_000 // renumbers several times
		}
		trace := randomTrace(rng, n, sized)
		largest := int64(1)
		if sized {
			largest = int64(slices.Max(trace.sizes))
		}
		footprint := trace.Footprint().Bytes
		sizes := []int64{footprint, footprint, 3 * footprint, largest}
		for range 12 {
			sizes = append(sizes, largest+rng.Int64N(footprint))
		}
		if !sized {
			sizes = append(sizes, 0, 1, 2)
		}
		got, exact, err := LRUCurve(context.Background(), trace, sizes, nil)
		require.NoError(t, err)
		for i, size := range sizes {
			require.GreaterOrEqual(t, size, exact)
			want, err := Replay(context.Background(), trace, choice(t, "lru").New(size, 0), nil)
			require.NoError(t, err)
			require.Equal(t, want, got[i], "size %d, sizes count: %v", size, sized)
		}
	}
	got, exact, err := LRUCurve(context.Background(), traceOf(), []int64{5}, nil)
	require.NoError(t, err)
	require.Zero(t, exact)
	changing := &Trace{ids: []uint64{1, 1}, sizes: []uint32{1, 2}}
	changing.ready()
	_, exact, err = LRUCurve(context.Background(), changing, nil, nil)
	require.NoError(t, err)
	require.EqualValues(t, math.MaxInt64, exact)
	require.Equal(t, Result{Size: 5}, got[0])
}

// The curve on a real trace equals the oracle's LRU rows.
func TestLRUCurveOnTheSample(t *testing.T) {
	for _, unit := range []bool{true, false} {
		trace := cloudPhysics(t, unit)
		want := oracle[0].unit
		if !unit {
			want = oracle[0].sized
		}
		var sizes []int64
		for _, share := range []float64{0.001, 0.01, 0.05, 0.1, 0.2} {
			sizes = append(sizes, int64(float64(trace.Footprint().Bytes)*share))
		}
		got, exact, err := LRUCurve(context.Background(), trace, sizes, nil)
		require.NoError(t, err)
		for i, r := range got {
			require.GreaterOrEqual(t, r.Size, exact)
			require.EqualValues(t, math.Round(want[i]*113872), r.Misses)
		}
	}
}

// SHARDS on a trace of skewed popularity: the error is what its paper says it
// is, some hundredths at most.
func TestSampleError(t *testing.T) {
	trace := zipf(400_000, 60_000, 1.05)
	footprint := trace.Footprint().Objects
	for _, policy := range []string{"lru", "s3fifo", "arc", "lirs", "belady"} {
		for _, rate := range []float64{0.2, 0.05} {
			sample := trace.Sample(rate)
			worst := 0.0
			for _, share := range []int64{2, 5, 10, 20, 40} {
				size := footprint * share / 100
				full, err := Replay(context.Background(), trace, choice(t, policy).New(size, 0), nil)
				require.NoError(t, err)
				r, err := Replay(context.Background(), sample.Trace, choice(t, policy).New(sample.Size(size), 0), nil)
				require.NoError(t, err)
				e := sample.Estimate(r, size)
				require.Equal(t, full.Requests, e.Requests)
				require.Equal(t, size, e.Size)
				worst = max(worst, math.Abs(e.MissRatio()-full.MissRatio()))
			}
			t.Logf("%-7s rate %.2f: worst error %.4f", policy, rate, worst)
			require.Less(t, worst, 0.05, "%s at rate %g", policy, rate)
		}
	}
}

// SHARDS of a fixed size against the exact curve of LRU, and for other policies
// against replays. A share that is estimated from n independent objects is off
// by 0.5/√n on the average at most, and seldom by three times that; twice as much
// is allowed, since objects are not requested equally often.
func TestSampleOfFixedSize(t *testing.T) {
	for _, trace := range []*Trace{zipf(400_000, 60_000, 1.05), independent(3, 40_000, 300_000), randomTrace(rand.New(rand.NewPCG(16, 16)), 50_000, false)} {
		footprint := trace.Footprint().Objects
		var sizes []int64
		for _, share := range []int64{2, 5, 10, 20, 40, 80} {
			sizes = append(sizes, footprint*share/100)
		}
		exact, _, err := LRUCurve(context.Background(), trace, sizes, nil)
		require.NoError(t, err)
		for _, n := range []int{1024, 8192} {
			sample := trace.SampleObjects(n)
			require.EqualValues(t, min(int64(n), footprint), sample.Trace.Footprint().Objects)
			for _, policy := range []string{"lru", "s3fifo", "arc"} {
				worst, sum := 0.0, 0.0
				for i, size := range sizes {
					whole := exact[i].MissRatio()
					if policy != "lru" {
						whole = float64(run(t, trace, policy, size, 0)) / float64(trace.Len())
					}
					r, err := Replay(context.Background(), sample.Trace, choice(t, policy).New(sample.Size(size), 0), nil)
					require.NoError(t, err)
					off := math.Abs(sample.Estimate(r, size).MissRatio() - whole)
					worst, sum = max(worst, off), sum+off
				}
				t.Logf("%d requests, %-7s %5d of %d objects: mean error %.4f, worst %.4f", trace.Len(), policy, n, footprint, sum/float64(len(sizes)), worst)
				require.Less(t, worst, 3/math.Sqrt(float64(n)), "%s, %d objects", policy, n)
			}
		}
	}
	all := traceOf(1, 2, 3, 1).SampleObjects(3)
	require.Equal(t, []uint64{1, 2, 3, 1}, all.Trace.ids)
	require.EqualValues(t, 1, all.Rate)
	require.Empty(t, traceOf().SampleObjects(3).Trace.ids)
}

// A sample of everything is the trace.
func TestSampleAll(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 12))
	trace := randomTrace(rng, 5000, true)
	sample := trace.Sample(1)
	require.Equal(t, trace.ids, sample.Trace.ids)
	require.Equal(t, trace.sizes, sample.Trace.sizes)
	size := sample.Size(trace.Footprint().Bytes / 7)
	want, err := Replay(context.Background(), trace, choice(t, "sieve").New(size, 0), nil)
	require.NoError(t, err)
	require.Equal(t, want, sample.Estimate(want, size))
	require.Empty(t, trace.Sample(0).Trace.ids)
}

// The speed of a sample's replay is that of the requests that were replayed, which
// are not as large a share as the objects.
func TestSampleSpeed(t *testing.T) {
	trace := zipf(20_000, 2000, 1.5)
	clock := time.Unix(0, 0)
	s := Sweep{Workers: 1, Rate: 0.5, Now: func() time.Time { clock = clock.Add(time.Second); return clock }}
	require.NoError(t, s.Run(t.Context(), trace, []Job{{Choice: choice(t, "lru"), Size: 100}}, func(r Result) error {
		replayed := float64(trace.Sample(0.5).Trace.Len())
		require.Greater(t, math.Abs(replayed/float64(trace.Len())-r.SampleRate), 0.05)
		require.InDelta(t, replayed/1e6, r.MReqs(), 1e-12)
		return nil
	}))
}

func BenchmarkLRUCurve(b *testing.B) {
	for _, n := range []int{1e6, 10e6} {
		trace := zipf(n, uint64(n), 1.01)
		sizes := make([]int64, 100)
		for i := range sizes {
			sizes[i] = trace.Footprint().Objects * int64(i+1) / 100
		}
		b.Run(fmt.Sprintf("%dM", n/1e6), func(b *testing.B) {
			for b.Loop() {
				if _, _, err := LRUCurve(context.Background(), trace, sizes, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mreq/s")
		})
	}
}
