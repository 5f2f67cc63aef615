package cache

import (
	"math"
	"sync"
)

var lhdSpec = Spec{
	Name: "lhd",
	Doc:  "LHD: of a sample, evicts the object of least hit density, the hits expected per time and room it will take, learnt by age",
	Source: "Beckmann, Chen & Cidon, NSDI 2018, with the constants of the authors' code: 16 classes by the ages of the last two hits, ages up " +
		"to 20,000 steps, learnt anew every 2²⁰ requests, 1 % of the room for explorers",
	Params: []Param{
		{Name: "samples", Doc: "objects drawn for an eviction", Default: 32, Min: 1, Max: 1 << 20, Whole: true},
		{Name: "admissions", Doc: "latest objects that are looked at besides", Default: 8, Min: 0, Max: 1 << 16, Whole: true},
		{Name: "interval", Doc: "requests between two times of learning", Default: 1 << 20, Min: 1, Max: 1 << 40, Whole: true},
	},
	new: func(c Config) Policy {
		p := &lhd{sampled: sampled[lhdObject]{store: newStore(c.Capacity, 0), random: lcg(c.Seed)},
			samples: c.whole("samples"), interval: c.whole("interval"), recent: make([]admission, c.whole("admissions")),
			shift: 10, budget: c.Capacity / 100}
		for i := range p.classes {
			class := &p.classes[i]
			class.hits, class.evictions = make([]float64, lhdAges), make([]float64, lhdAges)
			class.density = lhdPrior()[i]
		}
		p.left = p.interval
		return p
	},
}

// lhdPrior is how dense hits are taken to be until something has been learnt:
// like LRU and a little like GDSF.
var lhdPrior = sync.OnceValue(func() (prior [lhdClasses][]float64) {
	for i := range prior {
		prior[i] = make([]float64, lhdAges)
		for age := range prior[i][:lhdAges-1] {
			prior[i][age] = float64(i+1) / float64(age+1)
		}
		prior[i][lhdAges-1] = math.Inf(-1)
	}
	return prior
})

const (
	lhdAges    = 20_000
	lhdClasses = 16
	lhdDecay   = 0.9 // of what was learnt, at each time of learning
	// One in so many admissions may be an explorer, while there are few lessons.
	lhdExplore = 32
	lhdLessons = 50
	// How fine ages are told apart: the error of a step against the time that an
	// object stays.
	lhdError = 0.01
)

type lhdObject struct {
	time  uint32 // of the last use
	last  uint16 // age at the last hit, in steps
	class uint8  // by the ages at the last two
	// explorer: it is to stay until it is hit, for learning.
	explorer bool
}

type lhdClass struct{ hits, evictions, density []float64 }

// admission is an object that came in, and the handle that it got.
type admission struct {
	id uint64
	h  Handle
}

// lhd takes 12 bytes an object beyond the store, and 8 MB, of which a third is
// shared until something has been learnt.
type lhd struct {
	sampled[lhdObject]
	samples  int
	recent   []admission // the latest, a ring
	at       int
	classes  [lhdClasses]lhdClass
	shift    uint // of time into age
	now      uint32
	interval int
	left     int // requests until it learns again
	lessons  int
	budget   int64 // room for explorers
	objects  float64
	mass     float64
}

func (p *lhd) age(o *lhdObject) int { return int(min((p.now-o.time)>>p.shift, lhdAges-1)) }

// classOf puts objects whose last hits came soon together, doubling by class; age
// is the sum of their ages then.
func classOf(age uint32) uint8 {
	class := uint8(0)
	for age < lhdAges && class < lhdClasses-1 {
		age <<= 1
		class++
	}
	return class
}

// density is the rank of an object: the least goes.
func (p *lhd) density(s *slot[lhdObject]) float64 {
	o := &s.data
	d := p.classes[o.class%lhdClasses].density[p.age(o)]
	if o.explorer {
		d++
	}
	if p.sizes == nil {
		return d
	}
	return d / float64(max(p.sizes[s.h], 1))
}

func (p *lhd) tick() {
	p.now++
	if p.left--; p.left <= 0 {
		p.left = p.interval
		p.learn()
	}
}

func (p *lhd) Find(k Key) Handle {
	p.tick()
	h := p.lookup(k)
	if h == None {
		return None
	}
	o := p.of(h)
	age := p.age(o)
	if o.explorer {
		p.budget += int64(p.sizeOf(h))
	} else {
		p.classes[o.class].hits[age]++
	}
	*o = lhdObject{time: p.now, last: uint16(age), class: classOf(uint32(age) + uint32(o.last))}
	return h
}

func (p *lhd) Insert(k Key, size uint32, origin Origin) Handle {
	if !p.Admits(size) {
		return None
	}
	for p.occupied+int64(size) > p.capacity {
		h := p.victimOf()
		o := p.of(h)
		if o.explorer {
			p.budget += int64(p.sizeOf(h))
		} else {
			p.classes[o.class].evictions[p.age(o)]++
		}
		p.leave(h)
		p.evicted(h)
	}
	h := p.add(k, size, origin)
	explorer := p.random.next()>>32%lhdExplore == 0 && p.budget > 0 && p.lessons < lhdLessons
	if explorer {
		p.budget -= int64(size)
	}
	p.enter(h, lhdObject{time: p.now, last: lhdAges, class: classOf(2 * lhdAges), explorer: explorer})
	if len(p.recent) > 0 {
		p.recent[p.at%len(p.recent)] = admission{k.ID, h}
		p.at++
	}
	return h
}

func (p *lhd) victimOf() Handle {
	samples := p.samples
	if p.lessons <= lhdLessons {
		samples = min(samples, 8)
	}
	if len(p.slots) <= samples {
		return p.least(samples, p.density)
	}
	best, low := None, math.Inf(1)
	for range samples {
		s := &p.slots[p.draw()]
		if d := p.density(s); d < low {
			best, low = s.h, d
		}
	}
	for i := range min(p.at, len(p.recent)) {
		a := &p.recent[i]
		n := &p.nodes[a.h]
		if n.flag&flagKnown == 0 || n.id() != a.id {
			// It left, and may have come back.
			if a.h = p.Peek(KeyOf(a.id)); a.h == None {
				continue
			}
			n = &p.nodes[a.h]
		}
		if d := p.density(&p.slots[n.next]); d < low {
			best, low = a.h, d
		}
	}
	return best
}

// learn makes hit densities of what was seen, and lets what was seen fade.
func (p *lhd) learn() {
	p.lessons++
	for i := range p.classes {
		c := &p.classes[i]
		if p.lessons == 1 {
			c.density = make([]float64, lhdAges)
		}
		events, hits, lifetime := 0.0, 0.0, 0.0
		for age := lhdAges - 1; age >= 0; age-- {
			hits += c.hits[age]
			events += c.hits[age] + c.evictions[age]
			lifetime += events // the time that what is left at this age stays, summed
			if events > 1e-5 {
				c.density[age] = hits / lifetime
			} else {
				c.density[age] = 0
			}
		}
		c.density[lhdAges-1] = math.Inf(-1) // so old is no object to be kept
	}
	p.coarsen()
	for i := range p.classes {
		c := &p.classes[i]
		for age := range lhdAges {
			c.hits[age] *= lhdDecay
			c.evictions[age] *= lhdDecay
		}
	}
}

// coarsen sets how long a step of age is by the number of objects, at the fifth
// and the twenty-fifth lesson.
func (p *lhd) coarsen() {
	p.objects = lhdDecay*p.objects + float64(p.resident)
	p.mass = lhdDecay*p.mass + 1
	if p.lessons != 5 && p.lessons != 25 {
		return
	}
	want := p.objects / p.mass / (lhdError * lhdAges)
	shift := uint(1)
	for float64(uint64(1)<<shift) < want && shift < 31 {
		shift++
	}
	p.objects, p.mass = 8*p.objects, 8*p.mass // delays another change
	for ; p.shift < shift; p.shift++ {
		p.fold()
	}
	for ; p.shift > shift; p.shift-- {
		p.stretch()
	}
}

// fold makes steps of age twice as long.
func (p *lhd) fold() {
	for i := range p.classes {
		for _, d := range [][]float64{p.classes[i].hits, p.classes[i].evictions} {
			for age := range lhdAges / 2 {
				d[age] = d[2*age] + d[2*age+1]
			}
			clear(d[lhdAges/2:])
		}
	}
}

// stretch makes steps of age half as long.
func (p *lhd) stretch() {
	for i := range p.classes {
		for _, d := range [][]float64{p.classes[i].hits, p.classes[i].evictions} {
			old := 0.0 // what is older than the last age now
			for _, n := range d[lhdAges/2:] {
				old += n
			}
			for age := lhdAges/2 - 1; age >= 0; age-- {
				d[2*age], d[2*age+1] = d[age]/2, d[age]/2
			}
			d[lhdAges-1] += old
		}
	}
}

// Demote makes h as old as any.
func (p *lhd) Demote(h Handle) { p.of(h).time = p.now - lhdAges<<p.shift }
