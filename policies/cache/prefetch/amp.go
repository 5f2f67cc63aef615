package prefetch

import (
	"unsafe"

	"reprise/policies/cache/params"
)

var ampSpec = Spec{
	Name: "amp",
	Doc:  "AMP: each stream's degree and trigger distance grow with use and shrink with waste",
	Source: "Gill & Bathen, FAST 2007. Degree and distance are kept for a stream's latest set of pages, not for each page; the " +
		"degree a stream starts with is ours",
	Params: []params.Param{
		{Name: "apt", Doc: "degree above which pages are fetched before the last set is used up", Default: 4, Min: 0, Max: 1 << 16, Whole: true},
		{Name: "start", Doc: "degree a stream starts with", Default: 4, Min: 1, Max: 1 << 16, Whole: true},
		{Name: "max", Doc: "largest degree in pages", Default: 256, Min: 1, Max: 1 << 16, Whole: true},
		{Name: "streams", Doc: "streams remembered", Default: 1024, Min: 1, Max: 1 << 20, Whole: true},
	},
	new: func(c Config) Prefetcher {
		return &amp{
			apt: c.Int("apt"), start: min(c.Int("start"), c.Int("max")), max: c.Int("max"), sets: make([]ampSet, c.Int("streams")),
		}
	},
}

// amp takes 56 bytes for each stream, and up to 48 to find it.
type amp struct {
	apt, start, max int
	sets            []ampSet
	ends            table // set by the last of its pages
	hand            int
}

// ampSet is the pages fetched last for a stream. A page's tag names its set and
// how often that place was given to another stream; the lowest bit says that
// the page came back once.
type ampSet struct {
	first, last, trigger uint64
	degree, distance     int
	generation           uint8
	live, used           bool
}

var (
	_ Prefetcher = (*amp)(nil)
	_ Sparer     = (*amp)(nil)
)

func (a *amp) Bytes() int { return len(a.sets)*int(unsafe.Sizeof(ampSet{})) + a.ends.bytes() }

func (a *amp) tag(i int) uint32 { return uint32(i)<<9 | uint32(a.sets[i].generation)<<1 }

func (a *amp) set(tag uint32) (i int, ok bool) {
	i = int(tag >> 9)
	return i, a.sets[i].live && a.sets[i].generation == uint8(tag>>1)
}

func (a *amp) Access(r *Request, p *Plan) {
	synchronous := false // a request fetches for itself once
	for i, o := range r.Outcomes {
		page := r.First + uint64(i)
		if o.First() {
			a.use(page, o, r.Marks[i].Tag, r.Pages(), p)
		}
		if o != Miss || synchronous {
			continue
		}
		synchronous = true
		if i == 0 && !p.Resident(page-1) {
			continue
		}
		at, ok := a.ends.get(page - 1)
		if !ok {
			at = a.newSet()
		}
		a.fetch(int(at), r.End(), p)
	}
}

// use is the first use of a page.
func (a *amp) use(page uint64, o Outcome, tag uint32, read int, p *Plan) {
	at, ok := a.set(tag)
	if !ok {
		return
	}
	s := &a.sets[at]
	s.used = true
	if o == Late && page == s.first {
		s.distance = max(min(s.distance+1, s.degree-1), 0)
	}
	trigger := page == s.trigger && s.degree > a.apt
	if page == s.last && tag&1 == 0 {
		s.degree = min(s.degree+read, a.max)
	}
	if trigger {
		a.fetch(at, s.last+1, p)
	}
}

// fetch fetches the next set of a stream, from page on.
func (a *amp) fetch(at int, page uint64, p *Plan) {
	s := &a.sets[at]
	if i, ok := a.ends.get(s.last); ok && int(i) == at {
		a.ends.remove(s.last)
	}
	s.first, s.last = page, page+uint64(s.degree)-1
	s.trigger = s.last - uint64(min(s.distance, s.degree-1))
	a.ends.set(s.last, uint32(at))
	p.Prefetch(page, s.degree, a.tag(at))
}

// newSet gives a new stream a place that was not used since the hand last
// passed.
func (a *amp) newSet() uint32 {
	for a.sets[a.hand].used {
		a.sets[a.hand].used = false
		a.hand = (a.hand + 1) % len(a.sets)
	}
	at := a.hand
	a.hand = (a.hand + 1) % len(a.sets)
	s := &a.sets[at]
	if i, ok := a.ends.get(s.last); ok && int(i) == at {
		a.ends.remove(s.last)
	}
	*s = ampSet{generation: s.generation + 1, live: true, degree: a.start, distance: a.start / 2}
	return uint32(at)
}

// Spare lets a page of a set come back once, and the stream fetch less.
func (a *amp) Spare(_ uint64, tag uint32) (uint32, bool) {
	if tag&1 != 0 {
		return 0, false
	}
	if at, ok := a.set(tag); ok {
		s := &a.sets[at]
		s.degree = max(s.degree-1, 1)
		s.distance = max(min(s.degree-1, s.distance-1), 0)
	}
	return tag | 1, true
}
