package heimdall

import (
	"context"
	"fmt"
	"strings"

	"reprise/emulator"
	"reprise/policies/admission"
	"reprise/policies/admission/replay"
	"reprise/traces"
)

// A pair is a light trace on one device and a heavy one on the other, as the
// paper draws them (§6). The traces imitate volumes of the collections that the
// paper cuts its windows from; the volumes themselves cannot be passed on. The
// six follow the six pairs that the authors' data folder holds, as far as their
// names tell: sources, resizing, reads to writes at 40:60.
type pair struct {
	name         string
	light, heavy stream
}

// stream is a trace, sped up until it writes, on average, a share of what the
// device can sustain. Its bursts are five times as dense as its average.
type stream struct {
	profile string
	load    float64
	resize  uint32
	reads   float64 // 0: the profile's own
}

var pairs = []pair{
	{"A", stream{"alibaba", 0.017, 1, 0}, stream{"tencent", 0.049, 1, 0}},
	{"B", stream{"msr-hm_0", 0.017, 2, 0.4}, stream{"msr-src1_0", 0.049, 2, 0.4}},
	{"C", stream{"alibaba", 0.017, 1, 0}, stream{"msr-src1_0", 0.049, 2, 0.4}},
	{"D", stream{"alibaba", 0.017, 1, 0}, stream{"alibaba", 0.063, 4, 0}},
	{"E", stream{"tencent", 0.014, 1, 0}, stream{"alibaba", 0.042, 1, 0}},
	{"F", stream{"tencent", 0.014, 1, 0}, stream{"alibaba", 0.056, 2, 0}},
}

// sustained is how many pages a second the device of deviceConfig writes at
// random in steady state; a test measures it.
const sustained = 15_000

func findPair(name string) (pair, error) {
	var names []string
	for _, p := range pairs {
		if p.name == name {
			return p, nil
		}
		names = append(names, p.name)
	}
	return pair{}, fmt.Errorf("pair %q: want one of %s, or recorded", name, strings.Join(names, ", "))
}

// requests makes a stream's first n requests.
func (s stream) requests(seed uint64, n int) ([]traces.Request, error) {
	p, err := traces.LookupProfile(s.profile)
	if err != nil {
		return nil, err
	}
	if s.reads > 0 {
		p.Workload.Reads = s.reads
	}
	list := p.Generate(seed, n)
	pages := 0.0
	for i := range list {
		list[i].Size *= s.resize
		if list[i].Op == traces.Write {
			pages += float64((list[i].Size + 4095) / 4096)
		}
	}
	if len(list) == 0 || pages == 0 {
		return nil, fmt.Errorf("%s: %d requests write nothing: there is no load to set", s.profile, n)
	}
	scale := pages / (s.load * sustained) * 1e9 / float64(max(1, list[len(list)-1].Time))
	for i := range list {
		list[i].Time = int64(float64(list[i].Time) * scale)
	}
	return list, nil
}

// deviceConfig is an emulated drive of 1.7 GB: reads wait for programs and
// erases, and collection empties whole lines at once, as on the drives whose
// slow periods the paper is about.
func deviceConfig(seed uint64) emulator.Config {
	c := emulator.DefaultConfig()
	c.Channels, c.LUNsPerChannel, c.PlanesPerLUN = 8, 4, 1
	c.PagesPerBlock, c.BlocksPerPlane = 32, 416
	c.Suspend, c.GCPace, c.GCFree, c.OverProvision = 0, "incremental", 6, 28
	c.Buffer = 512
	c.Leveling = "threshold"
	c.Seed = seed
	return c
}

// agedDevice is a device with every page written, and then as many pages again
// overwritten at random: in steady state.
func agedDevice(seed uint64) (*emulator.Device, int64, error) {
	d, err := emulator.New(deviceConfig(seed))
	if err != nil {
		return nil, 0, err
	}
	pages := uint64(d.Pages())
	now, state := int64(0), seed
	for i := range 2 * pages {
		page := i
		if i >= pages {
			// SplitMix64: a page at random.
			state += 0x9e3779b97f4a7c15
			z := state
			z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
			z = (z ^ z>>27) * 0x94d049bb133111eb
			page = (z ^ z>>31) % pages
		}
		latency, err := d.Write(now, page*8, 8)
		if err != nil {
			return nil, 0, fmt.Errorf("ageing: %w", err)
		}
		now += latency
	}
	return d, now + d.Flush(now) + 1e9, nil
}

// machine is a pair's two devices and the two halves of its traces.
type machine struct {
	seed    uint64
	writes  replay.Replicas
	workers int
	halves  [2][][]traces.Request // [half][client]
}

func newMachine(p pair, seed uint64, ios int, writes string, workers int) (*machine, error) {
	m := &machine{seed: seed, writes: replay.Replicas(writes), workers: workers}
	heavy, err := p.heavy.requests(2*seed+1, ios)
	if err != nil {
		return nil, err
	}
	if len(heavy) < 2 {
		return nil, fmt.Errorf("%d requests are too few to train and to measure", ios)
	}
	end := heavy[len(heavy)-1].Time
	light, err := p.light.requests(2*seed, ios)
	if err != nil {
		return nil, err
	}
	for _, list := range [][]traces.Request{light, heavy} {
		var first, second []traces.Request
		for _, r := range list {
			switch {
			case r.Time > end:
			case r.Time < end/2:
				first = append(first, r)
			default:
				r.Time -= end / 2
				second = append(second, r)
			}
		}
		m.halves[0], m.halves[1] = append(m.halves[0], first), append(m.halves[1], second)
	}
	return m, nil
}

// engine makes two fresh devices, always the same, with an engine on them.
func (m *machine) engine() (*replay.Engine, []replay.Device, error) {
	var devices []replay.Device
	var ready int64
	var bytes uint64
	for i := range 2 {
		d, at, err := agedDevice(2*m.seed + uint64(i))
		if err != nil {
			return nil, nil, err
		}
		devices = append(devices, d)
		ready = max(ready, at)
		bytes = uint64(d.Pages()) * 4096
	}
	e, err := replay.New(replay.Config{Devices: devices, Bytes: bytes, Writes: m.writes, Workers: m.workers, Start: ready})
	return e, devices, err
}

// record runs both halves under the baseline and gives each device's log.
func (m *machine) record(ctx context.Context) ([]*admission.Log, error) {
	e, _, err := m.engine()
	if err != nil {
		return nil, err
	}
	var whole []*admission.Log
	for _, half := range m.halves {
		r, err := e.Run(ctx, replay.Baseline(), half, replay.Options{Log: true})
		if err != nil {
			return nil, err
		}
		if whole == nil {
			whole = r.Logs
			continue
		}
		for d, l := range r.Logs {
			for i := range l.Len() {
				whole[d].Append(l.Submit[i], l.Latency[i], l.Size[i], l.Read[i])
			}
		}
	}
	return whole, nil
}
