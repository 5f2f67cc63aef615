package replay

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"reprise/emulator"
	"reprise/policies/admission"
	"reprise/traces"
)

// pausing is a device for tests: eight units that serve first come, first
// served, 100 us a read and 30 us a write, and that all stop for 3 ms after
// every 64th write, like a device collecting garbage. From changed on it is ten
// times slower.
type pausing struct {
	units   [8]int64
	writes  int
	changed int64
}

func (d *pausing) serve(now int64, lba uint64, cost int64) int64 {
	if d.changed > 0 && now >= d.changed {
		cost *= 10
	}
	u := &d.units[lba/8%8]
	*u = max(*u, now) + cost
	return *u - now
}

func (d *pausing) Read(now int64, lba, _ uint64) (int64, error) {
	return d.serve(now, lba, 100_000), nil
}

func (d *pausing) Peek(now int64, lba, _ uint64) int64 {
	return max(d.units[lba/8%8], now) + 100_000 - now
}

func (d *pausing) Write(now int64, lba, _ uint64) (int64, error) {
	latency := d.serve(now, lba, 30_000)
	if d.writes++; d.writes%64 == 0 {
		for i := range d.units {
			d.units[i] = max(d.units[i], now) + 3_000_000
		}
	}
	return latency, nil
}

const testBytes = 64 << 20

func pair(changed int64) []Device {
	return []Device{&pausing{changed: changed}, &pausing{changed: changed}}
}

// load is a light stream and a heavy one.
func load(n int, seed uint64) [][]traces.Request {
	var streams [][]traces.Request
	for c, rate := range []float64{4e3, 30e3} {
		rng := rand.New(rand.NewPCG(seed, uint64(c)))
		var s []traces.Request
		t := 0.0
		for range n {
			t += rng.ExpFloat64() / rate
			op := traces.Read
			if rng.IntN(4) == 0 {
				op = traces.Write
			}
			s = append(s, traces.Request{Time: int64(t * 1e9), Offset: uint64(rng.IntN(testBytes)), Size: uint32(4096 << rng.IntN(5)), Op: op})
		}
		streams = append(streams, s)
	}
	return streams
}

// taught remembers what learn trained.
var taught = map[string][]*admission.Model{}

func learn(t testing.TB, recipe string, group int) []*admission.Model {
	t.Helper()
	key := fmt.Sprint(recipe, group)
	if taught[key] == nil {
		taught[key] = teach(t, recipe, group)
	}
	return taught[key]
}

func teach(t testing.TB, recipe string, group int) []*admission.Model {
	e, err := New(Config{Devices: pair(0), Bytes: testBytes, Writes: WriteBoth})
	require.NoError(t, err)
	r, err := e.Run(context.Background(), Baseline(), load(6000, 99), Options{Log: true})
	require.NoError(t, err)
	var models []*admission.Model
	for _, l := range r.Logs {
		recipe, err := admission.RecipeNamed(recipe)
		require.NoError(t, err)
		recipe.Training.Epochs = 3
		labels := l.Label(l.Thresholds(), admission.Fixed)
		s, err := admission.Extract(l, labels.Slow, recipe.Inputs)
		require.NoError(t, err)
		if group > 1 {
			s = s.Groups(group, admission.JointCausal)
		}
		m, err := admission.Train(context.Background(), recipe, s)
		require.NoError(t, err)
		models = append(models, m)
	}
	return models
}

// every gives a fresh one of each policy.
func every(t testing.TB, devices []Device) []Policy {
	learned := func(name, recipe string, group int, p admission.Precision) Policy {
		policy, err := Learned(name, learn(t, recipe, group), p)
		require.NoError(t, err)
		return policy
	}
	after := []int64{1_000_000, 500_000}
	oracle, err := Oracle(devices)
	require.NoError(t, err)
	return []Policy{
		Baseline(), Random(1), RoundRobin(), ShortestQueue(), Hedging("hedging", nil, after, false), Hedging("hedging-cancel", nil, after, true),
		C3(2), AMS(2), Heron(2), learned("linnos", "linnos", 1, admission.Int16),
		Hedging("linnos-hedging", learned("linnos", "linnos", 1, admission.Thousand), after, false),
		learned("heimdall", "heimdall", 1, admission.Int16), learned("heimdall-joint", "heimdall", 5, admission.Int16),
		Hedging("heimdall-hedging", learned("heimdall", "heimdall", 1, admission.Thousand), after, true),
		learned("extended", "extended", 1, admission.Int16), learned("tree", "tree", 1, admission.Float32),
		learned("forest", "forest", 1, admission.Float32), learned("boosted", "boosted", 1, admission.Float32),
		learned("logistic", "logistic", 1, admission.Float32), oracle,
	}
}

// Whatever the policy, every request is answered once and every copy accounted for.
func TestConservation(t *testing.T) {
	for _, cfg := range []Config{{Writes: WriteBoth}, {Writes: WritePrimary, Workers: 8}, {Writes: WriteBoth, Depth: 4}, {Writes: WriteBoth, Depth: 2, Workers: 3}} {
		devices := pair(0)
		for _, p := range every(t, devices) {
			cfg.Devices, cfg.Bytes = pair(0), testBytes
			if p.Name() == "oracle" {
				cfg.Devices = devices
			}
			e, err := New(cfg)
			require.NoError(t, err)
			streams := load(3000, 1)
			r, err := e.Run(context.Background(), p, streams, Options{Log: true})
			require.NoError(t, err, p.Name())
			reads, writes := 0, 0
			for _, s := range streams {
				for _, q := range s {
					if q.Op == traces.Read {
						reads++
					} else {
						writes++
					}
				}
			}
			require.Equal(t, []int{reads, writes}, []int{r.Reads, r.Writes}, p.Name())
			require.Equal(t, []uint64{uint64(reads), uint64(reads), uint64(writes)}, []uint64{r.Latency.Count(), r.Service.Count(), r.WriteLatency.Count()}, p.Name())
			copies := map[Replicas]int{WriteBoth: 2, WritePrimary: 1}[cfg.Writes]
			require.Equal(t, reads+r.Hedged-r.Cancelled, r.Devices[0].Reads+r.Devices[1].Reads, p.Name())
			require.Equal(t, writes*copies, r.Devices[0].Writes+r.Devices[1].Writes, p.Name())
			for d := range e.host.Trackers {
				require.Zero(t, e.host.Trackers[d].Queue(), p.Name())
				require.Zero(t, e.host.Trackers[d].Bytes(), p.Name())
				require.Equal(t, r.Devices[d].Reads+r.Devices[d].Writes, r.Logs[d].Len())
			}
			require.Equal(t, len(e.free), len(e.ios), "requests are all returned")
			require.Equal(t, len(e.spare), len(e.copies), "copies are all returned")
			require.LessOrEqual(t, r.Service.Mean(), r.Latency.Mean()+1)
		}
	}
}

// No policy sees the future: other requests and other devices from a moment on
// leave every choice before it as it was.
func TestNoPolicySeesTheFuture(t *testing.T) {
	const moment = 60_000_000
	choices := func(name int, changed int64, swap bool) (list []Choice) {
		devices := pair(changed)
		p := every(t, devices)[name]
		e, err := New(Config{Devices: devices, Bytes: testBytes, Writes: WriteBoth})
		require.NoError(t, err)
		streams := load(3000, 1)
		if swap {
			other := load(3000, 2)
			for c := range streams {
				for i := range streams[c] {
					if streams[c][i].Time >= moment {
						streams[c][i].Size, streams[c][i].Op, streams[c][i].Offset = other[c][i].Size, other[c][i].Op, other[c][i].Offset
					}
				}
			}
		}
		_, err = e.Run(context.Background(), p, streams, Options{Decided: func(r Read, c Choice) {
			if r.At < moment {
				list = append(list, c)
			}
		}})
		require.NoError(t, err)
		return list
	}
	for i, p := range every(t, pair(0)) {
		want := choices(i, 0, false)
		require.Greater(t, len(want), 1000)
		require.Equal(t, want, choices(i, 0, true), "%s: other requests", p.Name())
		require.Equal(t, want, choices(i, moment, false), "%s: other devices", p.Name())
	}
}

func at(us int64, op traces.Op, offset uint64) traces.Request {
	return traces.Request{Time: us * 1000, Op: op, Offset: offset, Size: 4096}
}

// fixed takes so long for each request in turn.
type fixed struct{ us []int64 }

func (f *fixed) Read(int64, uint64, uint64) (int64, error) {
	v := f.us[0]
	f.us = f.us[1:]
	return v * 1000, nil
}
func (f *fixed) Write(now int64, lba, sectors uint64) (int64, error) {
	return f.Read(now, lba, sectors)
}

func TestHedgingByHand(t *testing.T) {
	run := func(cfg Config, cancel bool, a, b []int64, reads ...traces.Request) *Result {
		cfg.Devices, cfg.Bytes, cfg.Writes = []Device{&fixed{a}, &fixed{b}}, testBytes, WriteBoth
		e, err := New(cfg)
		require.NoError(t, err)
		r, err := e.Run(context.Background(), Hedging("hedging", nil, []int64{200_000, 200_000}, cancel), [][]traces.Request{reads}, Options{})
		require.NoError(t, err)
		return r
	}
	// The hedge wins at 200 + 50 us.
	r := run(Config{}, false, []int64{1000}, []int64{50}, at(0, traces.Read, 0))
	require.Equal(t, []int{1, 1}, []int{r.Hedged, r.HedgeWon})
	require.Equal(t, 250_000.0, r.Latency.Mean())
	// The primary is done before the timer.
	r = run(Config{}, false, []int64{150}, nil, at(0, traces.Read, 0))
	require.Equal(t, []int{0, 0}, []int{r.Hedged, r.HedgeWon})
	// The second read waits in the host behind the first, its hedge wins, and
	// it is taken back: the device does one read, not two.
	r = run(Config{Depth: 1}, true, []int64{1000}, []int64{50, 50}, at(0, traces.Read, 0), at(10, traces.Read, 0))
	require.Equal(t, []int{2, 2, 1}, []int{r.Hedged, r.HedgeWon, r.Cancelled})
	require.Equal(t, 1, r.Devices[0].Reads)
	// Without cancelling it does both.
	r = run(Config{Depth: 1}, false, []int64{1000, 1000}, []int64{50, 50}, at(0, traces.Read, 0), at(10, traces.Read, 0))
	require.Equal(t, []int{2, 2, 0}, []int{r.Hedged, r.HedgeWon, r.Cancelled})
	require.Equal(t, 2, r.Devices[0].Reads)
}

// With one worker the second read starts late; its latency counts from when its
// trace wanted it.
func TestWorkersByHand(t *testing.T) {
	e, err := New(Config{Devices: []Device{&fixed{[]int64{100, 100}}, &fixed{}}, Bytes: testBytes, Writes: WriteBoth, Workers: 1})
	require.NoError(t, err)
	r, err := e.Run(context.Background(), Baseline(), [][]traces.Request{{at(0, traces.Read, 0), at(10, traces.Read, 0)}}, Options{})
	require.NoError(t, err)
	require.Equal(t, 145_000.0, r.Latency.Mean())
	require.Equal(t, 100_000.0, r.Service.Mean())
}

func TestRefusals(t *testing.T) {
	_, err := New(Config{Devices: pair(0)[:1], Bytes: testBytes, Writes: WriteBoth})
	require.ErrorContains(t, err, "a replica needs another")
	_, err = New(Config{Devices: pair(0), Bytes: testBytes, Writes: "none"})
	require.ErrorContains(t, err, "want both or primary")
	e, err := New(Config{Devices: pair(0), Bytes: testBytes, Writes: WriteBoth})
	require.NoError(t, err)
	_, err = e.Run(context.Background(), Baseline(), [][]traces.Request{{at(10, traces.Read, 0), at(5, traces.Read, 0)}}, Options{})
	require.ErrorContains(t, err, "before the one ahead of it")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = e.Run(ctx, Baseline(), load(10, 1), Options{})
	require.ErrorIs(t, err, context.Canceled)
	_, err = Oracle([]Device{&fixed{}})
	require.ErrorContains(t, err, "cannot tell the future")
}

// Learning pays on a device that pauses: its reads are faster than always or
// blindly reading from the primary, and none beats the oracle by much.
func TestLearnedBeatsBaseline(t *testing.T) {
	mean := map[string]float64{}
	for i := range every(t, pair(0)) {
		devices := pair(0)
		p := every(t, devices)[i]
		e, err := New(Config{Devices: devices, Bytes: testBytes, Writes: WritePrimary})
		require.NoError(t, err)
		r, err := e.Run(context.Background(), p, load(20_000, 7), Options{})
		require.NoError(t, err)
		mean[p.Name()] = r.Latency.Mean()
	}
	t.Log(mean)
	require.Less(t, mean["oracle"], mean["baseline"])
	require.Less(t, mean["extended"], mean["baseline"])
}

// recordedLog is a made-up log of one device, with ties in its times.
func recordedLog(n int, seed uint64) *traces.LatencyLog {
	rng := rand.New(rand.NewPCG(seed, 17))
	l := &traces.LatencyLog{}
	at := int64(5e9)
	for i := range n {
		at += int64(rng.IntN(3)) * 40_000
		op, latency := traces.Read, int64(80_000+rng.IntN(200)*1000)
		if rng.IntN(4) == 0 {
			op = traces.Write
		}
		if i/200%4 == 3 {
			latency += 4_000_000
		}
		size := uint32(512 * (1 + rng.IntN(64)))
		l.Submit, l.Latency = append(l.Submit, at), append(l.Latency, latency)
		l.Offset, l.Size, l.Transferred = append(l.Offset, uint64(rng.IntN(1<<40))), append(l.Size, size), append(l.Transferred, size)
		l.Op = append(l.Op, op)
	}
	return l
}

// Under the baseline a recorded device gives every request what it took; no
// policy is faster than the oracle; and where nothing moves nothing changes.
func TestRecorded(t *testing.T) {
	logs := [2]*traces.LatencyLog{recordedLog(8000, 1), recordedLog(8000, 2)}
	s, err := NewRecordedStudy(1, logs)
	require.NoError(t, err)
	whole, err := s.Record(context.Background())
	require.NoError(t, err)
	for c, l := range whole {
		// The first part ends where its last request does, and the second goes
		// on from there; the order and latencies are the log's.
		want := logs[c]
		for i := range l.Len() {
			require.Equal(t, want.Latency[i]/1000, l.Latency[i], "log %d, row %d", c, i)
			require.Equal(t, want.Size[i], l.Size[i])
		}
		require.Greater(t, l.Len(), 7500)
	}
	mean := map[string]float64{}
	for _, name := range PolicyNames() {
		r, err := s.Measure(context.Background(), name)
		require.NoError(t, err, name)
		mean[name] = r.Latency.Mean()
	}
	for name, m := range mean {
		if name != "hedging" && name != "hedging-p95" && name != "linnos-hedging" && name != "heimdall-hedging" {
			require.GreaterOrEqual(t, m, mean["oracle"], name)
		}
	}
	require.Less(t, mean["oracle"], mean["baseline"])

	d := &Recorded{rows: []recordedRow{
		{time: 10, lba: 8, sectors: 8, latency: 100, read: true},
		{time: 20, lba: 8, sectors: 8, latency: 200, read: true},
		{time: 20, lba: 8, sectors: 16, latency: 300, read: true},
		{time: 30, lba: 0, sectors: 8, latency: 9},
	}, reads: []int32{0, 1, 2}}
	for _, c := range []struct{ now, sectors, want int64 }{{0, 8, 100}, {14, 8, 100}, {16, 8, 200}, {16, 99, 300}, {20, 8, 200}} {
		got, err := d.standIn(c.now, uint64(c.sectors))
		require.NoError(t, err)
		require.Equal(t, c.want, got, c)
	}
	got, err := d.Read(20, 8, 8)
	require.NoError(t, err)
	require.Equal(t, int64(200), got)
	_, err = d.Write(20, 0, 8)
	require.ErrorContains(t, err, "not in the recorded log")
}

// small is a study of two small emulated devices under light and heavy load.
func small(t testing.TB, n int) *Study {
	t.Helper()
	cfg := emulator.DefaultConfig()
	cfg.Channels, cfg.LUNsPerChannel, cfg.PlanesPerLUN, cfg.PagesPerBlock, cfg.BlocksPerPlane = 8, 2, 1, 32, 64
	cfg.Buffer = 256
	streams := load(n, 3)
	for c, stream := range streams {
		for i := range stream {
			stream[i].Time *= int64(8 >> (2 * c)) // both as long, and what the devices sustain
			stream[i].Size = 4096
		}
	}
	s, err := NewStudy(1, Emulated{cfg}, streams[0], streams[1])
	require.NoError(t, err)
	return s
}

// processorTime is what the process has had of the processors, which others on
// the machine do not add to.
func processorTime(b *testing.B) time.Duration {
	var u unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkReplay replays every policy there is, models included, on a pair of
// emulated devices in steady state, on one core.
func BenchmarkReplay(b *testing.B) {
	s := small(b, 200_000)
	require.NoError(b, s.Learn(context.Background()))
	for _, name := range PolicyNames() {
		b.Run(name, func(b *testing.B) {
			n, spent := 0, time.Duration(0)
			for b.Loop() {
				b.StopTimer()
				e, devices, err := s.engine(1)
				require.NoError(b, err)
				p, err := s.policy(context.Background(), name, devices)
				require.NoError(b, err)
				before := processorTime(b)
				b.StartTimer()
				r, err := e.Run(context.Background(), p, s.Parts[1], Options{})
				require.NoError(b, err)
				n += r.Reads + r.Writes
				spent += processorTime(b) - before
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "M-io/s")
			b.ReportMetric(float64(n)/spent.Seconds()/1e6, "M-io/cpu-s")
		})
	}
}
