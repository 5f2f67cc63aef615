// Package prefetch has the prefetchers of the cache simulator: what decides,
// after each request, which pages to fetch before they are asked for.
//
// A prefetcher knows nothing of the cache but what the harness tells it: every
// read request with what became of its pages (Request), what became of the
// pages it fetched (Event), and on demand whether a page is resident. So each
// works with every eviction policy. Writes are not shown.
//
// # Pages
//
// A page is a number: the volume in the top 16 bits, below it the page's place
// in that volume. Adjacent pages have adjacent numbers. In object mode, where a
// trace names objects, an object's id stands where a page does and every
// request is for one; a prefetcher that steps from page to page then steps from
// id to id, which means something only if ids are addresses.
//
// # Memory
//
// Every prefetcher's memory is bounded when it is made, by its parameters and
// the capacity of the cache; Bytes says how much it holds. None allocates while
// it serves requests, but for tables that grow up to that bound.
package prefetch

// Outcome is what a request found of one page.
type Outcome uint8

// What a request finds.
const (
	Miss   Outcome = iota // not there: the request fetches it
	Hit                   // there
	Joined                // already being fetched for an earlier request
	Used                  // there, prefetched, and this is its first use
	Late                  // prefetched, this is its first use, and it is still being fetched
)

// Found says whether the request did without fetching the page.
func (o Outcome) Found() bool { return o != Miss }

// First says whether this is the first use of a prefetched page.
func (o Outcome) First() bool { return o >= Used }

// Mark is what is known of a page on the first use after it was prefetched.
type Mark struct {
	// Tag is what the prefetcher gave with the page.
	Tag uint32
	// Age is how many pages came into the cache since. At LRU a page is as
	// near to its eviction as Age is to the capacity.
	Age uint32
}

// Request is a read request, as the cache found it. It holds for the call only.
type Request struct {
	Now   int64  // time of arrival, ns
	First uint64 // the first page
	// Next is the page with the byte after the last one asked for: the last
	// page of the request, if it ends within a page, else the one after.
	Next     uint64
	Outcomes []Outcome
	// Marks has as many elements; those of pages whose outcome is a first use
	// are set.
	Marks []Mark
}

// Pages is how many pages the request is for, at least one.
func (r *Request) Pages() int { return len(r.Outcomes) }

// End is the page after the last.
func (r *Request) End() uint64 { return r.First + uint64(len(r.Outcomes)) }

// Missed says whether any page was a miss.
func (r *Request) Missed() bool {
	for _, o := range r.Outcomes {
		if o == Miss {
			return true
		}
	}
	return false
}

// Prefetcher decides what to fetch. It is for one goroutine.
type Prefetcher interface {
	// Access is called after each read request, its misses being brought in
	// already. What it asks of the plan is done when it returns; pages that are
	// resident or being fetched by then are passed over.
	Access(r *Request, p *Plan)
	// Bytes is the memory held for tables.
	Bytes() int
}

// Listener is a prefetcher or an eviction policy that wants to be told what
// became of prefetched pages.
type Listener interface {
	Event(Event)
}

// Sparer is a prefetcher that may give a page which it fetched, and which is
// being evicted unused, another chance: it comes in anew with the tag returned.
// Page for page it must refuse in the end.
type Sparer interface {
	Spare(page uint64, tag uint32) (newTag uint32, again bool)
}

// Event is something that happened to a page.
type Event struct {
	Kind Kind
	Page uint64
	Tag  uint32 // of a prefetched page
	Now  int64  // ns
}

// Kind is a kind of event.
type Kind uint8

// The kinds of event. Uses are in Request.
const (
	// Fetched: a page asked for is being fetched.
	Fetched Kind = iota
	// Wasted: a prefetched page was evicted, or overwritten, before any use.
	Wasted
	// Displaced: to make room for a prefetched page, one was evicted that
	// requests had brought in or used.
	Displaced
	// Polluted: a request missed a page that was displaced, so that the
	// prefetch cost a miss.
	Polluted
	// TooEarly: a request missed a page that was wasted: the prediction was
	// right and the cache too small for how early it came.
	TooEarly
)

// Plan is what a prefetcher asks for in the course of one Access.
type Plan struct {
	// Capacity of the cache in pages (objects, or bytes where objects have
	// sizes).
	Capacity int64

	wants    []Want
	demoted  []uint64
	pages    int
	limit    int
	volumes  bool
	volume   uint64
	resident func(uint64) bool
}

// Want is a run of pages to be fetched.
type Want struct {
	Page uint64
	N    uint32
	Tag  uint32
}

// NewPlan makes a plan that asks for at most limit pages at a time. With
// volumes set, runs are cut at the borders of the volume of the request.
func NewPlan(capacity int64, limit int, volumes bool, resident func(page uint64) bool) *Plan {
	return &Plan{Capacity: capacity, limit: limit, volumes: volumes, resident: resident}
}

// Reset empties the plan for the next request.
func (p *Plan) Reset(first uint64) {
	p.wants, p.demoted, p.pages, p.volume = p.wants[:0], p.demoted[:0], 0, first>>volumeShift
}

const volumeShift = 48

// Prefetch asks for n pages from page on, each to be marked with tag. Pages
// outside the volume are left out, and all beyond what the plan may ask for.
func (p *Plan) Prefetch(page uint64, n int, tag uint32) {
	n = min(n, p.limit-p.pages)
	if p.volumes {
		if page>>volumeShift != p.volume {
			return
		}
		if left := (p.volume+1)<<volumeShift - page; uint64(max(n, 0)) > left {
			n = int(left)
		}
	}
	if n <= 0 {
		return
	}
	p.pages += n
	p.wants = append(p.wants, Want{page, uint32(n), tag})
}

// Resident says whether a page is in the cache or on its way.
func (p *Plan) Resident(page uint64) bool { return p.resident(page) }

// Demote asks the eviction policy to let a page go next.
func (p *Plan) Demote(page uint64) { p.demoted = append(p.demoted, page) }

// Wants is what was asked for, in order.
func (p *Plan) Wants() []Want { return p.wants }

// Demoted is which pages are to go.
func (p *Plan) Demoted() []uint64 { return p.demoted }
