package traces

import (
	"fmt"
	"io"
	"math"
	"math/bits"
	"math/rand/v2"
)

// Workload describes a generated trace. The same workload, seed and length
// give the same requests for every batch size and on every machine of one
// architecture; between architectures the last bit of a time, a size or a rare
// draw may be rounded otherwise.
type Workload struct {
	Pattern Pattern
	// Block is the grain of addresses in bytes, 4096 if 0. Objects of a
	// pattern are that far apart; a request may reach over the next ones.
	Block uint32
	// Objects makes the requests name objects instead of addresses: they have
	// no offset, and an object always has the same size.
	Objects bool
	// Reads is the probability that a request reads; the others write.
	Reads float64
	// ReadSizes and WriteSizes are what requests move.
	ReadSizes, WriteSizes Sizes
	Arrivals              Arrivals
}

// Pattern says which objects are requested in which order.
type Pattern struct {
	Kind    PatternKind
	Objects uint64  // how many there are; for Sequential, blocks of the address space
	Alpha   float64 // Zipf: the exponent, ≥ 0
	Streams int     // Sequential: how many run interleaved
	Run     float64 // Sequential: mean requests until a stream jumps elsewhere, geometric; 0 is never
	// Parts are what Mix and Phases are made of, laid out in disjoint ranges.
	Parts []Part
}

// Part is one pattern of several.
type Part struct {
	Weight  float64 // Mix: its share of the requests, relative to the other parts'
	Length  uint64  // Phases: how many requests it lasts
	Pattern Pattern
}

// PatternKind is a kind of access pattern.
type PatternKind string

// The kinds of access pattern.
const (
	Zipf       PatternKind = "zipf"       // independent draws, rank k with probability ∝ k^-alpha, ranks scattered over the addresses
	Uniform    PatternKind = "uniform"    // independent draws, all alike
	Sequential PatternKind = "sequential" // streams that run on where they ended
	Loop       PatternKind = "loop"       // all objects in order, again and again
	Once       PatternKind = "once"       // objects never requested before or after
	Mix        PatternKind = "mix"        // each request from one of the parts, by weight
	Phases     PatternKind = "phases"     // the parts one after the other, and from the start again
)

// Sizes is a distribution of request sizes: either the listed ones by weight,
// or log-normal in multiples of Grain.
type Sizes struct {
	Bytes         []uint32
	Weights       []float64
	Median, Sigma float64 // log-normal: bytes, and the standard deviation of the logarithm
	Grain         uint32  // log-normal: sizes are rounded up to multiples of it; 0 is 1
}

// FixedSize is the distribution of one size.
func FixedSize(bytes uint32) Sizes { return Sizes{Bytes: []uint32{bytes}, Weights: []float64{1}} }

// Arrivals says when requests arrive.
type Arrivals struct {
	Kind  ArrivalKind
	Rate  float64 // mean requests a second; 0 stands for 1000
	Shape float64 // Pareto: the tail's exponent, > 1; the smaller, the burstier
	// On and Off are the mean lengths in seconds of the on and off periods of
	// OnOff, exponential each; Shape > 1 makes them Pareto.
	On, Off float64
}

// ArrivalKind is a kind of arrival process.
type ArrivalKind string

// The kinds of arrival process.
const (
	Constant    ArrivalKind = "constant"
	Exponential ArrivalKind = "exponential" // independent arrivals: Poisson
	Pareto      ArrivalKind = "pareto"      // gaps with a heavy tail
	OnOff       ArrivalKind = "onoff"       // Poisson in on periods, silence in off periods
)

// rng is PCG without the interface that rand.Rand puts before it.
type rng struct{ rand.PCG }

func newRNG(seed, stream uint64) *rng { return &rng{*rand.NewPCG(seed, stream)} }

func (r *rng) float() float64        { return float64(r.Uint64()>>11) * 0x1p-53 }
func (r *rng) below(n uint64) uint64 { hi, _ := bits.Mul64(r.Uint64(), n); return hi }
func (r *rng) exp() float64          { return -math.Log1p(-r.float()) }
func (r *rng) normal() float64 {
	return math.Sqrt(2*r.exp()) * math.Cos(2*math.Pi*r.float())
}

// pareto has mean 1 and a tail of exponent shape > 1.
func (r *rng) pareto(shape float64) float64 {
	return (shape - 1) / shape * math.Pow(1-r.float(), -1/shape)
}

// places draws where requests go: slots[i] is the block of a request of
// sizes[i] bytes.
type places interface {
	fill(slots []uint64, sizes []uint32)
}

// chunk is how many requests are drawn at once, whatever the reader's batch.
const chunk = 1024

// Stream makes a stream of n requests.
func (w Workload) Stream(seed uint64, n int64) (*Stream, error) {
	g, err := newGenerator(w, seed, n)
	if err != nil {
		return nil, err
	}
	return &Stream{dec: g, info: Info{
		Format: "generated", Requests: n, Addressed: !w.Objects, Timed: true, HasSize: true, HasOp: true,
	}}, nil
}

type generator struct {
	w          Workload
	left       int64
	rng        *rng
	places     places
	read       sampler
	write      sampler
	seed       uint64
	clock      float64 // seconds
	onLeft     float64 // of the current on period
	ready      []Request
	store      [chunk]Request
	slots      [chunk]uint64
	sizes      [chunk]uint32
	onRateGain float64
}

func newGenerator(w Workload, seed uint64, n int64) (*generator, error) {
	if w.Block == 0 {
		w.Block = 4096
	}
	if w.Arrivals.Kind == "" {
		w.Arrivals.Kind = Exponential
	}
	if w.Arrivals.Rate == 0 {
		w.Arrivals.Rate = 1000
	}
	a := &w.Arrivals
	switch {
	case n < 0:
		return nil, fmt.Errorf("generate: want 0 or more requests, got %d", n)
	case !(w.Reads >= 0 && w.Reads <= 1):
		return nil, fmt.Errorf("generate: want a read ratio from 0 to 1, got %v", w.Reads)
	case !(a.Rate > 0 && a.Rate <= 1e9):
		return nil, fmt.Errorf("generate: want an arrival rate above 0 and up to 1e9/s, got %v", a.Rate)
	case float64(n)/a.Rate > 1e9:
		return nil, fmt.Errorf("generate: %d requests at %v/s last over 30 years, more than times hold", n, a.Rate)
	}
	switch a.Kind {
	case Constant, Exponential:
	case Pareto:
		if !(a.Shape > 1) {
			return nil, fmt.Errorf("generate: want a pareto shape above 1, got %v", a.Shape)
		}
	case OnOff:
		if !(a.On > 0 && a.Off >= 0) || a.On > 1e6 || a.Off > 1e6 || a.Shape != 0 && !(a.Shape > 1) {
			return nil, fmt.Errorf("generate: want on periods above 0 s, off periods from 0 s, both up to 1e6 s, and a shape of 0 or above 1, got %v, %v, %v", a.On, a.Off, a.Shape)
		}
	default:
		return nil, fmt.Errorf("generate: unknown arrivals %q: want %s, %s, %s or %s", a.Kind, Constant, Exponential, Pareto, OnOff)
	}
	g := &generator{w: w, left: n, rng: newRNG(seed, 0), seed: seed}
	if a.Kind == OnOff {
		g.onRateGain = (a.On + a.Off) / a.On
	}
	var err error
	if g.read, err = newSampler(w.ReadSizes); err != nil {
		return nil, err
	}
	if g.write, err = newSampler(w.WriteSizes); err != nil {
		return nil, err
	}
	streams := uint64(0)
	g.places, _, err = newPlaces(w.Pattern, w.Block, 0, seed, &streams)
	return g, err
}

func (g *generator) decode(dst []Request, _ *LatencyLog) (n int, err error) {
	for n < len(dst) {
		if len(g.ready) == 0 {
			if g.left == 0 {
				return n, io.EOF
			}
			g.refill()
		}
		k := copy(dst[n:], g.ready)
		g.ready = g.ready[k:]
		n += k
	}
	return n, nil
}

func (g *generator) refill() {
	n := int(min(chunk, g.left))
	g.left -= int64(n)
	g.ready = g.store[:n]
	for i := range g.ready {
		r := &g.ready[i]
		*r = Request{Time: int64(g.arrive() * 1e9)}
		sizes := &g.read
		if g.w.Reads < 1 && g.rng.float() >= g.w.Reads {
			r.Op, sizes = Write, &g.write
		}
		if !g.w.Objects {
			g.sizes[i] = sizes.draw(g.rng)
		}
	}
	g.places.fill(g.slots[:n], g.sizes[:n])
	for i := range g.ready {
		r, slot := &g.ready[i], g.slots[i]
		if g.w.Objects {
			r.ID = slot
			r.Size = g.read.draw(newRNG(g.seed, slot|1<<63))
			continue
		}
		r.Offset, r.Size = slot*uint64(g.w.Block), g.sizes[i]
		r.ID = r.Offset / 512
	}
}

// arrive gives the next arrival in seconds.
func (g *generator) arrive() float64 {
	a := &g.w.Arrivals
	gap := 1 / a.Rate
	switch a.Kind {
	case Exponential:
		gap *= g.rng.exp()
	case Pareto:
		gap *= g.rng.pareto(a.Shape)
	case OnOff:
		gap *= g.rng.exp() / g.onRateGain
		for gap > g.onLeft { // what is left of the gap is served in the next on period
			gap -= g.onLeft
			g.clock += g.onLeft + a.Off*g.period()
			g.onLeft = a.On * g.period()
		}
		g.onLeft -= gap
	}
	g.clock += gap
	return min(g.clock, 9e9)
}

func (g *generator) period() float64 {
	if g.w.Arrivals.Shape > 1 {
		return g.rng.pareto(g.w.Arrivals.Shape)
	}
	return g.rng.exp()
}

// sampler draws from Sizes.
type sampler struct {
	Sizes
	upTo []float64 // cumulative weights, ending at 1
}

func newSampler(s Sizes) (sampler, error) {
	if len(s.Bytes) == 0 && s.Median == 0 {
		s = FixedSize(4096)
	}
	if len(s.Bytes) == 0 {
		if !(s.Median >= 1 && s.Median <= 1<<31 && s.Sigma >= 0 && s.Sigma <= 10) {
			return sampler{}, fmt.Errorf("generate: want a log-normal size with a median of 1 to 2^31 bytes and a sigma of 0 to 10, got %v and %v", s.Median, s.Sigma)
		}
		s.Grain = max(s.Grain, 1)
		return sampler{Sizes: s}, nil
	}
	if len(s.Weights) != len(s.Bytes) {
		return sampler{}, fmt.Errorf("generate: want a weight for each of %d sizes, got %d", len(s.Bytes), len(s.Weights))
	}
	upTo, sum := make([]float64, len(s.Bytes)), 0.0
	for i, weight := range s.Weights {
		if !(weight >= 0) || math.IsInf(weight, 0) {
			return sampler{}, fmt.Errorf("generate: want weights of sizes of 0 or more, got %v", weight)
		}
		sum += weight
		upTo[i] = sum
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return sampler{}, fmt.Errorf("generate: the weights of the sizes sum to %v", sum)
	}
	for i := range upTo {
		upTo[i] /= sum
	}
	return sampler{Sizes: s, upTo: upTo}, nil
}

func (s *sampler) draw(r *rng) uint32 {
	if s.upTo == nil {
		v := math.Exp(math.Log(s.Median) + s.Sigma*r.normal())
		grains := math.Ceil(v / float64(s.Grain))
		return uint32(min(grains, float64(math.MaxUint32/s.Grain))) * s.Grain
	}
	if len(s.upTo) == 1 {
		return s.Bytes[0]
	}
	u := r.float()
	for i, upTo := range s.upTo {
		if u < upTo {
			return s.Bytes[i]
		}
	}
	return s.Bytes[len(s.Bytes)-1]
}

const maxSlots = 1 << 48

// newPlaces makes p's generator for the blocks from base on, and says how many
// blocks it covers. streams numbers the random streams.
func newPlaces(p Pattern, block uint32, base, seed uint64, streams *uint64) (places, uint64, error) {
	*streams++
	r := newRNG(seed, *streams)
	n := p.Objects
	switch p.Kind {
	case Mix, Phases:
		return newParts(p, block, base, seed, streams, r)
	case Once:
		n = max(n, 1<<40) // room to never come back
	case Zipf, Uniform, Loop, Sequential:
	default:
		return nil, 0, fmt.Errorf("generate: unknown pattern %q: want zipf, uniform, sequential, loop, once, mix or phases", p.Kind)
	}
	if n < 1 || base+n > maxSlots {
		return nil, 0, fmt.Errorf("generate: %s: want 1 to 2^48 objects, all parts together, got %d", p.Kind, n)
	}
	switch p.Kind {
	case Zipf:
		if !(p.Alpha >= 0 && p.Alpha <= 20) {
			return nil, 0, fmt.Errorf("generate: zipf: want an alpha of 0 to 20, got %v", p.Alpha)
		}
		return &zipfPlaces{newZipf(n, p.Alpha), newScatter(n, r), base, r}, n, nil
	case Uniform:
		return &uniformPlaces{n, base, r}, n, nil
	case Loop:
		return &loopPlaces{n: n, base: base}, n, nil
	case Once:
		return &loopPlaces{n: n, base: base}, n, nil
	default:
		if p.Streams < 0 || p.Streams > 1<<16 || !(p.Run >= 0) || p.Run > 0 && p.Run < 1 {
			return nil, 0, fmt.Errorf("generate: sequential: want 1 to 65536 streams and runs of 1 or more requests, or 0 for endless ones, got %d and %v", p.Streams, p.Run)
		}
		s := &sequentialPlaces{n: n, base: base, block: uint64(block), at: make([]uint64, max(p.Streams, 1)), rng: r}
		if p.Run > 0 {
			s.jump = 1 / p.Run
		}
		for i := range s.at {
			s.at[i] = r.below(n)
		}
		return s, n, nil
	}
}

func newParts(p Pattern, block uint32, base, seed uint64, streams *uint64, r *rng) (places, uint64, error) {
	if len(p.Parts) == 0 || len(p.Parts) > 1000 {
		return nil, 0, fmt.Errorf("generate: %s: want 1 to 1000 parts, got %d", p.Kind, len(p.Parts))
	}
	var parts []places
	var weights, covered = 0.0, uint64(0)
	upTo := make([]float64, len(p.Parts))
	lengths := make([]uint64, len(p.Parts))
	for i, part := range p.Parts {
		child, n, err := newPlaces(part.Pattern, block, base+covered, seed, streams)
		if err != nil {
			return nil, 0, err
		}
		if p.Kind == Mix && (!(part.Weight > 0) || math.IsInf(part.Weight, 0)) || p.Kind == Phases && part.Length == 0 {
			return nil, 0, fmt.Errorf("generate: %s: part %d: want a weight or length above 0", p.Kind, i+1)
		}
		parts, covered = append(parts, child), covered+n
		weights += part.Weight
		upTo[i], lengths[i] = weights, part.Length
	}
	if p.Kind == Phases {
		return &phasePlaces{parts: parts, lengths: lengths, left: lengths[0]}, covered, nil
	}
	for i := range upTo {
		upTo[i] /= weights
	}
	return &mixPlaces{parts: parts, upTo: upTo, rng: r}, covered, nil
}

// scatter is a permutation of 0 … n-1 that puts neighbours far apart.
type scatter struct{ n, factor, shift uint64 }

func newScatter(n uint64, r *rng) scatter {
	s := scatter{n: n, factor: 1, shift: r.below(n)}
	// Near the golden section of n, and prime to it.
	for f := uint64(float64(n)*0.6180339887498949) | 1; f < n; f += 2 {
		if gcd(f, n) == 1 {
			s.factor = f
			break
		}
	}
	return s
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func (s scatter) at(k uint64) uint64 {
	hi, lo := bits.Mul64(k, s.factor)
	_, rem := bits.Div64(hi%s.n, lo, s.n)
	rem += s.shift
	if rem >= s.n {
		rem -= s.n
	}
	return rem
}

type zipfPlaces struct {
	zipf    *zipf
	scatter scatter
	base    uint64
	rng     *rng
}

func (p *zipfPlaces) fill(slots []uint64, _ []uint32) {
	for i := range slots {
		slots[i] = p.base + p.scatter.at(p.zipf.next(p.rng))
	}
}

type uniformPlaces struct {
	n, base uint64
	rng     *rng
}

func (p *uniformPlaces) fill(slots []uint64, _ []uint32) {
	for i := range slots {
		slots[i] = p.base + p.rng.below(p.n)
	}
}

type loopPlaces struct{ n, base, at uint64 }

func (p *loopPlaces) fill(slots []uint64, _ []uint32) {
	for i := range slots {
		slots[i] = p.base + p.at
		if p.at++; p.at == p.n {
			p.at = 0
		}
	}
}

type sequentialPlaces struct {
	n, base, block uint64
	at             []uint64 // where each stream goes on
	jump           float64
	rng            *rng
}

func (p *sequentialPlaces) fill(slots []uint64, sizes []uint32) {
	for i := range slots {
		s := 0
		if len(p.at) > 1 {
			s = int(p.rng.below(uint64(len(p.at))))
		}
		if p.jump > 0 && p.rng.float() < p.jump {
			p.at[s] = p.rng.below(p.n)
		}
		slots[i] = p.base + p.at[s]
		p.at[s] += max((uint64(sizes[i])+p.block-1)/p.block, 1)
		if p.at[s] >= p.n {
			p.at[s] = 0
		}
	}
}

type mixPlaces struct {
	parts []places
	upTo  []float64
	rng   *rng
	which [chunk]uint16
	slots [chunk]uint64
	sizes [chunk]uint32
}

func (p *mixPlaces) fill(slots []uint64, sizes []uint32) {
	for i := range slots {
		u, k := p.rng.float(), 0
		for k < len(p.upTo)-1 && u >= p.upTo[k] {
			k++
		}
		p.which[i] = uint16(k)
	}
	for k, part := range p.parts {
		n := 0
		for i := range slots {
			if p.which[i] == uint16(k) {
				p.sizes[n] = sizes[i]
				n++
			}
		}
		part.fill(p.slots[:n], p.sizes[:n])
		n = 0
		for i := range slots {
			if p.which[i] == uint16(k) {
				slots[i] = p.slots[n]
				n++
			}
		}
	}
}

type phasePlaces struct {
	parts   []places
	lengths []uint64
	now     int
	left    uint64
}

func (p *phasePlaces) fill(slots []uint64, sizes []uint32) {
	for len(slots) > 0 {
		if p.left == 0 {
			p.now = (p.now + 1) % len(p.parts)
			p.left = p.lengths[p.now]
		}
		k := int(min(p.left, uint64(len(slots))))
		p.parts[p.now].fill(slots[:k], sizes[:k])
		slots, sizes, p.left = slots[k:], sizes[k:], p.left-uint64(k)
	}
}
