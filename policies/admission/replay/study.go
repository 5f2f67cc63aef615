package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"reprise/emulator"
	"reprise/policies/admission"
	"reprise/traces"
)

// Study compares policies on the same two devices under the same two traces.
// The first part of the traces, always under the baseline, records the logs
// that models are trained on; the second part is what is measured.
type Study struct {
	Seed    uint64
	Machine Machine
	Writes  Replicas
	Workers int // of each client; 0: any number
	// Parts are the two parts of the traces, [part][client]. Each part's times
	// start at 0.
	Parts [2][][]traces.Request

	models   map[string][]*admission.Model
	logs     []*admission.Log
	p95, p98 []int64 // read latencies of the first part, by client
}

// Machine brings up the devices of a study.
type Machine interface {
	// Up gives devices as they are before a part: Devices or Live, Bytes, Depth
	// and Start of a Config.
	Up(part int, seed uint64) (Config, error)
	// Stateful says that what the devices are before the second part is what
	// the first made of them, so that it has to be replayed before each
	// measurement, under the baseline.
	Stateful() bool
}

// NewStudy takes a light and a heavy trace and cuts both at half the time of
// the shorter. What the longer has beyond that is left out.
func NewStudy(seed uint64, m Machine, light, heavy []traces.Request) (*Study, error) {
	if len(light) < 2 || len(heavy) < 2 {
		return nil, errors.New("study: a trace of fewer than two requests has no half to train on and none to measure")
	}
	end := min(light[len(light)-1].Time, heavy[len(heavy)-1].Time)
	s := &Study{Seed: seed, Machine: m, Writes: WritePrimary}
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
		s.Parts[0], s.Parts[1] = append(s.Parts[0], first), append(s.Parts[1], second)
	}
	return s, nil
}

// Emulated is a pair of emulated devices, aged alike, each with a seed of its
// own.
type Emulated struct{ Device emulator.Config }

// Aged makes a device in steady state: every page written in order, and then as
// many pages overwritten at random. It gives the time at which the device has
// come to rest.
func Aged(c emulator.Config) (d *emulator.Device, ready int64, err error) {
	if d, err = emulator.New(c); err != nil {
		return nil, 0, err
	}
	pages, per := uint64(d.Pages()), uint64(d.Config().SectorsPerPage)
	state := c.Seed
	for i := range 2 * pages {
		page := i
		if i >= pages {
			state += 0x9e3779b97f4a7c15 // SplitMix64
			z := state
			z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
			z = (z ^ z>>27) * 0x94d049bb133111eb
			page = (z ^ z>>31) % pages
		}
		latency, err := d.Write(ready, page*per, per)
		if err != nil {
			return nil, 0, fmt.Errorf("ageing: %w", err)
		}
		ready += latency
	}
	const rest = 1e9
	return d, ready + d.Flush(ready) + rest, nil
}

// Up ages two devices.
func (m Emulated) Up(_ int, seed uint64) (Config, error) {
	var cfg Config
	for i := range uint64(2) {
		c := m.Device
		c.Seed = 2*seed + i
		d, ready, err := Aged(c)
		if err != nil {
			return cfg, err
		}
		cfg.Devices = append(cfg.Devices, d)
		cfg.Start = max(cfg.Start, ready)
		cfg.Bytes = uint64(d.Pages()) * uint64(d.Config().PageSize())
	}
	return cfg, nil
}

// Stateful is true: a write today is garbage to collect tomorrow.
func (Emulated) Stateful() bool { return true }

// Real is a pair of real devices of Bytes each that take Depth requests at a
// time.
type Real struct {
	Live  Live
	Bytes uint64
	Depth int
}

// Up gives the devices as they happen to be.
func (m Real) Up(int, uint64) (Config, error) {
	return Config{Live: m.Live, Bytes: m.Bytes, Depth: m.Depth}, nil
}

// Stateful is false: what state a drive is in nobody can set, and the first
// part before every policy would double the time. As in the published runs one
// policy follows the other.
func (Real) Stateful() bool { return false }

func (s *Study) engine(part int) (*Engine, []Device, error) {
	cfg, err := s.Machine.Up(part, s.Seed)
	if err != nil {
		return nil, nil, err
	}
	cfg.Writes, cfg.Workers = s.Writes, s.Workers
	e, err := New(cfg)
	return e, cfg.Devices, err
}

// Record runs both parts under the baseline and gives each device's log.
func (s *Study) Record(ctx context.Context) ([]*admission.Log, error) {
	var e *Engine
	var whole []*admission.Log
	end := int64(0) // of the part before
	for p, part := range s.Parts {
		later := int64(0)
		if p == 0 || !s.Machine.Stateful() {
			var err error
			if e, _, err = s.engine(p); err != nil {
				return nil, err
			}
			later = end
		}
		r, err := e.Run(ctx, Baseline(), part, Options{Log: true})
		if err != nil {
			return nil, err
		}
		end = e.now
		if whole == nil {
			whole = r.Logs
			continue
		}
		for d, l := range r.Logs {
			for i := range l.Len() {
				whole[d].Append(later+l.Submit[i], l.Latency[i], l.Size[i], l.Read[i])
			}
		}
	}
	return whole, nil
}

// PolicyNames are the policies a Study knows, in the order of its tables.
// hedging and its combinations wait for the 98th percentile of a client's
// baseline latencies, as the published runs do, hedging-p95 for the 95th.
// peer, heimdall-reads and extended are this program's own.
func PolicyNames() []string {
	return []string{
		"baseline", "peer", "random", "round-robin", "shortest-queue", "hedging", "hedging-p95", "c3", "ams", "heron",
		"linnos", "linnos-hedging", "heimdall", "heimdall-hedging", "heimdall-joint3", "heimdall-reads", "extended", "oracle",
	}
}

// CheckPolicies refuses names that are not among PolicyNames.
func CheckPolicies(names []string) error {
	for _, n := range names {
		if !slices.Contains(PolicyNames(), n) {
			return fmt.Errorf("policy %q: want one of %s", n, strings.Join(PolicyNames(), ", "))
		}
	}
	return nil
}

// Measure runs the second part under a policy.
func (s *Study) Measure(ctx context.Context, name string) (*Result, error) {
	if err := CheckPolicies([]string{name}); err != nil {
		return nil, err
	}
	if s.logs == nil {
		if err := s.Learn(ctx); err != nil {
			return nil, err
		}
	}
	e, devices, err := s.engine(1)
	if err != nil {
		return nil, err
	}
	if s.Machine.Stateful() {
		if _, err := e.Run(ctx, Baseline(), s.Parts[0], Options{}); err != nil {
			return nil, err
		}
	}
	policy, err := s.policy(ctx, name, devices)
	if err != nil {
		return nil, err
	}
	return e.Run(ctx, policy, s.Parts[1], Options{})
}

// Learn records the first part under the baseline, which Measure otherwise does
// when it is first called.
func (s *Study) Learn(ctx context.Context) error {
	e, _, err := s.engine(0)
	if err != nil {
		return err
	}
	r, err := e.Run(ctx, Baseline(), s.Parts[0], Options{Log: true})
	if err != nil {
		return err
	}
	s.logs, s.models = r.Logs, map[string][]*admission.Model{}
	for c := range r.Clients {
		s.p95 = append(s.p95, r.Clients[c].Quantile(0.95))
		s.p98 = append(s.p98, r.Clients[c].Quantile(0.98))
	}
	return nil
}

func (s *Study) policy(ctx context.Context, name string, devices []Device) (Policy, error) {
	switch name {
	case "baseline":
		return Baseline(), nil
	case "peer":
		return Peer(), nil
	case "random":
		return Random(s.Seed), nil
	case "round-robin":
		return RoundRobin(), nil
	case "shortest-queue":
		return ShortestQueue(), nil
	case "hedging":
		return Hedging(name, nil, s.p98, false), nil
	case "hedging-p95":
		return Hedging(name, nil, s.p95, false), nil
	case "c3":
		return C3(len(devices)), nil
	case "ams":
		return AMS(len(devices)), nil
	case "heron":
		return Heron(len(devices)), nil
	case "oracle":
		return Oracle(devices)
	case "heimdall-joint3":
		return s.learned(ctx, name, "heimdall", 3)
	}
	model, hedged := strings.CutSuffix(name, "-hedging")
	inner, err := s.learned(ctx, model, model, 1)
	if err != nil || !hedged {
		return inner, err
	}
	return Hedging(name, inner, s.p98, false), nil
}

func (s *Study) learned(ctx context.Context, name, recipe string, group int) (Policy, error) {
	r, err := admission.RecipeNamed(recipe)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprint(recipe, group)
	if _, ok := s.models[key]; !ok {
		for _, l := range s.logs {
			m, err := Teach(ctx, l, r, group, s.Seed)
			if err != nil {
				return nil, err
			}
			s.models[key] = append(s.models[key], m)
		}
	}
	return Learned(name, s.models[key], admission.Int16)
}

// Teach trains a model on a device's log, as an operator would who has nothing
// else. A log whose reads are all of one kind teaches nothing: the model is nil
// then, and the device keeps its reads.
func Teach(ctx context.Context, l *admission.Log, r admission.Recipe, group int, seed uint64) (*admission.Model, error) {
	slow, rows := r.Periods(l, l.Len(), admission.Fixed)
	s, err := admission.Extract(l, r.Taught(l, slow, l.Len(), admission.Fixed), r.Inputs)
	if err != nil {
		return nil, err
	}
	if !r.Cutoff {
		s = s.Among(rows)
	}
	if group > 1 {
		s = s.Groups(group, admission.JointCausal)
	}
	if !s.Mixed() {
		return nil, nil
	}
	r.Training.Seed, r.Growing.Seed = seed, seed
	return admission.Train(ctx, r, s)
}
