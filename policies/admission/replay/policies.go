package replay

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"

	"reprise/policies/admission"
)

// The policies that learn nothing.

type baseline struct{}

// Baseline reads from the primary.
func Baseline() Policy { return baseline{} }

func (baseline) Name() string                 { return "baseline" }
func (baseline) Route(_ *Host, r Read) Choice { return Choice{Device: r.Client} }

type toPeer struct{}

// Peer reads from the primary's peer, always: what moving is worth where nothing
// is known. It is ours; the published code has none such.
func Peer() Policy { return toPeer{} }

func (toPeer) Name() string                 { return "peer" }
func (toPeer) Route(h *Host, r Read) Choice { return Choice{Device: peer(h, r)} }

type random struct{ rng *rand.Rand }

// Random sends 49 % of reads to the peer, as the published code's
// rand() % 100 > 50 does.
func Random(seed uint64) Policy { return &random{rand.New(rand.NewPCG(seed, 0x72616e64))} }

func (*random) Name() string { return "random" }
func (p *random) Route(h *Host, r Read) Choice {
	if p.rng.IntN(100) > 50 {
		return Choice{Device: peer(h, r)}
	}
	return Choice{Device: r.Client}
}

func peer(h *Host, r Read) int { return (r.Client + 1) % len(h.Trackers) }

type roundRobin struct{ next int }

// RoundRobin takes the devices in turn.
func RoundRobin() Policy { return &roundRobin{} }

func (*roundRobin) Name() string { return "round-robin" }
func (p *roundRobin) Route(h *Host, _ Read) Choice {
	p.next = (p.next + 1) % len(h.Trackers)
	return Choice{Device: p.next}
}

type shortestQueue struct{}

// ShortestQueue reads from the device with the fewest requests in flight, the
// primary if it is one of them.
func ShortestQueue() Policy { return shortestQueue{} }

func (shortestQueue) Name() string { return "shortest-queue" }
func (shortestQueue) Route(h *Host, r Read) Choice {
	return Choice{Device: least(h, r, func(d int) float64 { return float64(h.Trackers[d].Queue()) })}
}

// least is the device of the least rank, the primary first among equals.
func least(h *Host, r Read, rank func(device int) float64) int {
	best, at := rank(r.Client), r.Client
	for d := range h.Trackers {
		if d == r.Client {
			continue
		}
		if v := rank(d); v < best {
			best, at = v, d
		}
	}
	return at
}

type hedging struct {
	inner  Policy
	name   string
	after  []int64
	cancel bool
}

// Hedging reads as inner does (Baseline where nil) and again from the peer of
// the primary when there is no answer after a client's time, in nanoseconds:
// the published code's is a percentile of that client's baseline latencies. The
// peer of the primary it is even if the read already went there, as published.
// With cancel the slower copy is taken back if it still waits in the host.
func Hedging(name string, inner Policy, after []int64, cancel bool) Policy {
	if inner == nil {
		inner = Baseline()
	}
	h := &hedging{inner, name, after, cancel}
	if o, ok := inner.(Observer); ok {
		return struct {
			*hedging
			Observer
		}{h, o}
	}
	return h
}

func (p *hedging) Name() string { return p.name }
func (p *hedging) Route(h *Host, r Read) Choice {
	c := p.inner.Route(h, r)
	c.Hedge, c.HedgeTo, c.Cancel = p.after[r.Client], peer(h, r), p.cancel
	return c
}

// c3 is C3 (Suresh et al., NSDI '15): replicas ranked by
// Ψ = R − 1/μ + q³/μ, and sending rates that grow as CUBIC's windows do.
//
// Two local devices are not servers with queues to report, so: R is the
// smoothed latency; the service time 1/μ is a latency over the number of
// requests in flight when it began; q is one more than those in flight, all
// hosts being this one. A replica over its rate is passed over for the next;
// when all are, the best takes the read at once, since a local read that is
// held back cannot be served by anyone else.
type c3 struct {
	response, service []float64 // ns, smoothed
	inFlight          []int
	rate              []c3Rate
}

// C3's constants: smoothing, the window of rates, CUBIC's decrease and growth.
const (
	c3Smooth   = 0.9
	c3Window   = 20e6 // ns
	c3Decrease = 0.2
	c3Growth   = 4e-6
	c3Most     = 10.0 // requests a window that a rate may grow at a time
)

type c3Rate struct {
	limit, limitAtDrop float64 // requests a window
	tokens             float64
	start, dropped     int64
	sent, received     int
	now                int64
}

// C3 ranks replicas by response and service times and bounds the rate at which
// each is sent to.
func C3(devices int) Policy {
	p := &c3{response: make([]float64, devices), service: make([]float64, devices), inFlight: make([]int, devices), rate: make([]c3Rate, devices)}
	for i := range p.rate {
		p.rate[i].limit, p.rate[i].limitAtDrop = 1000, 1000
	}
	return p
}

func (*c3) Name() string { return "c3" }

func (p *c3) Route(h *Host, r Read) Choice {
	rank := func(d int) float64 {
		q := 1 + float64(p.inFlight[d])
		return p.response[d] - p.service[d] + q*q*q*p.service[d]
	}
	limited := true
	for d := range p.rate {
		p.rate[d].roll(h.Now)
		limited = limited && p.rate[d].tokens < 1
	}
	choice := least(h, r, func(d int) float64 {
		if !limited && p.rate[d].tokens < 1 {
			return math.Inf(1)
		}
		return rank(d)
	})
	p.rate[choice].tokens = math.Max(0, p.rate[choice].tokens-1)
	p.rate[choice].sent++
	return Choice{Device: choice}
}

// roll ends the window where it is over and sets the next one's limit.
func (c *c3Rate) roll(now int64) {
	c.now = now
	if now-c.start < c3Window {
		return
	}
	if c.sent > c.received && c.sent > 0 {
		c.limitAtDrop = c.limit
		c.limit = math.Max(1, c.limit*(1-c3Decrease))
		c.dropped = now
	} else {
		t := float64(now-c.dropped) / 1e6 // ms
		k := math.Cbrt(c3Decrease * c.limitAtDrop / c3Growth)
		cubic := c3Growth*math.Pow(t-k, 3) + c.limitAtDrop
		c.limit = math.Min(c.limit+c3Most, math.Max(c.limit, cubic))
	}
	c.start, c.sent, c.received, c.tokens = now, 0, 0, c.limit
}

func (p *c3) Sent(device int, _ uint32, _ bool) (inFlight uint32) {
	p.inFlight[device]++
	return uint32(p.inFlight[device])
}

func (p *c3) Done(device int, _ uint32, read bool, latency int64, inFlight uint32) {
	q := float64(inFlight)
	p.inFlight[device]--
	if !read || latency < 0 {
		return
	}
	p.rate[device].received++
	smooth := func(v *float64, sample float64) {
		if *v == 0 {
			*v = sample
		}
		*v = c3Smooth**v + (1-c3Smooth)*sample
	}
	smooth(&p.response[device], float64(latency))
	smooth(&p.service[device], float64(latency)/q)
}

// ams is the replica choice of adaptive multiget scheduling, for reads of one
// object: the replica expected to be done first, by the bytes in flight there
// over the rate at which it has been moving bytes.
type ams struct {
	rate     []float64 // bytes a ns, smoothed
	inFlight []float64 // bytes
}

// AMS reads from the device that will be done first with the bytes it has and
// those of the read, at the rates seen so far. A single read is a multiget of
// one, so that nothing is left of the scheduling between a multiget's parts.
func AMS(devices int) Policy {
	return &ams{rate: make([]float64, devices), inFlight: make([]float64, devices)}
}

func (*ams) Name() string { return "ams" }
func (p *ams) Route(h *Host, r Read) Choice {
	return Choice{Device: least(h, r, func(d int) float64 {
		if p.rate[d] == 0 {
			return 0
		}
		return (p.inFlight[d] + float64(r.Size)) / p.rate[d]
	})}
}
func (p *ams) Sent(device int, size uint32, _ bool) uint32 {
	p.inFlight[device] += float64(size)
	return 0
}
func (p *ams) Done(device int, size uint32, read bool, latency int64, _ uint32) {
	// Everything in flight shared the device while this request was there.
	rate := p.inFlight[device] / math.Max(float64(latency), 1)
	p.inFlight[device] -= float64(size)
	if !read || latency < 0 {
		return
	}
	if p.rate[device] == 0 {
		p.rate[device] = rate
	}
	p.rate[device] = 0.9*p.rate[device] + 0.1*rate
}

// heron is Heron (Jaiman et al., SRDS '18): a replica at work on a large value
// is avoided. A device has no values; large is a request above the 90th
// percentile of the sizes seen, and any write.
type heron struct {
	large []int // in flight, by device
	sizes [33]int
	seen  int
}

// Heron avoids a device that is at work on a large request.
func Heron(devices int) Policy { return &heron{large: make([]int, devices)} }

func (*heron) Name() string { return "heron" }
func (p *heron) Route(h *Host, r Read) Choice {
	return Choice{Device: least(h, r, func(d int) float64 {
		if p.large[d] > 0 {
			return math.MaxInt32 + float64(h.Trackers[d].Queue())
		}
		return 0
	})}
}

func (p *heron) isLarge(size uint32, read bool) bool {
	if !read {
		return true
	}
	below := 0
	for _, n := range p.sizes[:bits.Len32(size)] {
		below += n
	}
	return below > p.seen*9/10
}

func (p *heron) Sent(device int, size uint32, read bool) (large uint32) {
	if p.isLarge(size, read) {
		p.large[device]++
		large = 1
	}
	if read {
		p.sizes[bits.Len32(size)]++
		p.seen++
	}
	return large
}

func (p *heron) Done(device int, _ uint32, _ bool, _ int64, large uint32) {
	p.large[device] -= int(large)
}

// Peeker is a Device that can tell what a read would take without doing it.
type Peeker interface {
	Peek(now int64, lba, sectors uint64) (latency int64)
}

type oracle struct{ devices []Peeker }

// Oracle knows what each device would take and reads from the faster: what no
// policy that decides read by read can beat on that read. It does not weigh
// what the read does to those behind it.
func Oracle(devices []Device) (Policy, error) {
	o := &oracle{}
	for _, d := range devices {
		p, ok := d.(Peeker)
		if !ok {
			return nil, errors.New("oracle: the devices cannot tell the future")
		}
		o.devices = append(o.devices, p)
	}
	return o, nil
}

func (*oracle) Name() string { return "oracle" }
func (o *oracle) Route(h *Host, r Read) Choice {
	return Choice{Device: least(h, r, func(d int) float64 {
		return float64(o.devices[d].Peek(h.Now, r.LBA, r.Sectors))
	})}
}

// learned routes by a model of each device: the read goes to the primary unless
// the primary's model calls it slow, then to the peer, whose own model is not
// asked (§6.1).
type learned struct {
	name     string
	inputs   []func(x []int32, h *Host, r Read)
	deciders []admission.Decider
	x        [][]int32
	group    []int // reads a decision is for, by device
	left     []int
	slow     []bool
	linnos   []admission.LinnOSTracker
}

// Learned routes by models, one a device, decided in an arithmetic. A model of
// groups decides once for so many reads of a client. A device without a model
// (nil) keeps its reads.
func Learned(name string, models []*admission.Model, precision admission.Precision) (Policy, error) {
	n := len(models)
	p := &learned{name: name, left: make([]int, n), slow: make([]bool, n)}
	linnos := false
	for d, m := range models {
		if m == nil {
			p.deciders, p.x, p.group = append(p.deciders, nil), append(p.x, nil), append(p.group, 0)
			p.inputs = append(p.inputs, nil)
			continue
		}
		if m.Width != m.Inputs.Width() {
			return nil, fmt.Errorf("policy %s: a model of %d features wants reads that have not arrived; use the causal variant", name, m.Width)
		}
		decider, err := m.Decider(precision)
		if err != nil {
			return nil, fmt.Errorf("policy %s, device %d: %w", name, d, err)
		}
		p.deciders = append(p.deciders, decider)
		p.x = append(p.x, make([]int32, m.Width))
		p.group = append(p.group, m.Group)
		var fill func(x []int32, h *Host, r Read)
		switch m.Inputs {
		case admission.HeimdallInputs:
			fill = func(x []int32, h *Host, r Read) { h.Trackers[d].Heimdall(x, r.Size) }
		case admission.ExtendedInputs:
			fill = func(x []int32, h *Host, r Read) { h.Trackers[d].Extended(x, h.Now, r.Size) }
		case admission.LinnOSInputs:
			linnos = true
			fill = func(x []int32, _ *Host, r Read) { p.linnos[d].Inputs(x, r.Size) }
		default:
			return nil, fmt.Errorf("policy %s: unknown inputs %q", name, m.Inputs)
		}
		p.inputs = append(p.inputs, fill)
	}
	if !linnos {
		return p, nil
	}
	p.linnos = make([]admission.LinnOSTracker, n)
	return &learnedLinnOS{p}, nil
}

func (p *learned) Name() string { return p.name }

func (p *learned) Route(h *Host, r Read) Choice {
	d := r.Client
	if p.deciders[d] == nil {
		return Choice{Device: d}
	}
	if p.left[d] == 0 {
		p.left[d] = p.group[d]
		p.inputs[d](p.x[d], h, r)
		p.slow[d] = p.deciders[d].Slow(p.x[d])
	}
	p.left[d]--
	if p.slow[d] {
		return Choice{Device: peer(h, r)}
	}
	return Choice{Device: d}
}

// learnedLinnOS keeps LinnOS's own history besides.
type learnedLinnOS struct{ *learned }

func (p *learnedLinnOS) Route(h *Host, r Read) Choice {
	if !p.linnos[r.Client].Ready() {
		return Choice{Device: r.Client}
	}
	return p.learned.Route(h, r)
}

func (p *learnedLinnOS) Sent(device int, size uint32, _ bool) uint32 {
	return uint32(p.linnos[device].Submit(size))
}

func (p *learnedLinnOS) Done(device int, size uint32, read bool, latency int64, mark uint32) {
	p.linnos[device].Complete(size, latency/1000, read && latency >= 0, admission.Ticket(mark))
}
