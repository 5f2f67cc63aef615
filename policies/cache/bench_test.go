package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"reprise/traces"
)

// The sample trace, unit size, at 1 % and 10 % of its footprint.
func BenchmarkSample(b *testing.B) {
	trace := cloudPhysics(b, true)
	for _, spec := range Policies() {
		for _, size := range []int64{489, 4897} {
			b.Run(fmt.Sprintf("%s/%d", spec.Name, size), func(b *testing.B) {
				benchmarkReplay(b, trace, spec.Name, size)
			})
		}
	}
}

func benchmarkReplay(b *testing.B, trace *Trace, policy string, size int64) {
	c := choice(b, policy)
	for b.Loop() {
		if _, err := Replay(context.Background(), trace, c.New(size, 0), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(trace.Len())*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mreq/s")
}

// zipf makes a trace of n requests to objects with ids in no order.
func zipf(n int, objects uint64, s float64) *Trace {
	rng := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(rng, s, 1, objects-1)
	t := &Trace{ids: make([]uint64, n)}
	for i := range t.ids {
		t.ids[i] = z.Uint64() * 0x9e3779b97f4a7c15
	}
	t.ready()
	return t
}

// Traces whose caches outgrow the processor's.
func BenchmarkLarge(b *testing.B) {
	for _, w := range []struct {
		n       int
		objects uint64
	}{{1e6, 1e6}, {10e6, 2e6}} {
		trace := zipf(w.n, w.objects, 1.01)
		objects := trace.Footprint().Objects
		for _, spec := range Policies() {
			for _, share := range []int64{1, 10} {
				b.Run(fmt.Sprintf("%dM/%s/%d%%", w.n/1e6, spec.Name, share), func(b *testing.B) {
					benchmarkReplay(b, trace, spec.Name, objects*share/100)
				})
			}
		}
	}
}

// From the file to FIFO's misses at 1 % of the footprint, reading and counting
// the footprint included.
func BenchmarkFromFile(b *testing.B) {
	path := sharedTraces(b, "cloudphysics", "cloudPhysicsIO.oracleGeneral.bin")
	requests := 0
	for b.Loop() {
		stream, err := traces.Open(path, traces.Options{})
		if err != nil {
			b.Fatal(err)
		}
		trace, err := Load(context.Background(), stream, LoadOptions{IgnoreSizes: true, Requests: stream.Info().Requests})
		if err != nil {
			b.Fatal(err)
		}
		if err := stream.Close(); err != nil {
			b.Fatal(err)
		}
		p := choice(b, "fifo").New(trace.Footprint().Objects/100, 0)
		if _, err := Replay(context.Background(), trace, p, nil); err != nil {
			b.Fatal(err)
		}
		requests += trace.Len()
	}
	b.ReportMetric(float64(requests)/b.Elapsed().Seconds()/1e6, "Mreq/s")
}
