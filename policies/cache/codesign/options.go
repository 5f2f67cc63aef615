package codesign

import (
	"fmt"
	"strconv"
	"strings"
)

// Options are the parameters of Payback. One set serves all workloads.
type Options struct {
	// RequestCost is what a request to the backend costs, in 4 KiB that could
	// be transferred instead: it is the backend's, whatever the size of a page.
	RequestCost float32
	// Least is the probability of use below which no page is fetched ahead,
	// whatever it might save: it bounds the bytes wasted.
	Least float32
	// Alone is the probability of use from which pages are fetched before the
	// stream misses any: a request for them alone is for nothing if it ends,
	// while one that a miss makes anyway carries them along.
	Alone float32
	// Window is the most that is fetched at once, in 4 KiB.
	Window int
	// Off is the feedback that is switched off.
	Off Feedback
}

// maxWindow bounds Options.Window, and how many pages of any size a window has.
const maxWindow = 1 << 12

// Defaults are the parameters used for every workload and size.
func Defaults() Options { return Options{RequestCost: 64, Least: 0.15, Alone: 0.4, Window: 256} }

// Feedback is a set of the arrows between prefetcher and eviction.
type Feedback uint16

// The arrows. The first seven tell the prefetcher what became of its work, the
// others tell eviction what the prefetcher expects.
const (
	Trust     Feedback = 1 << iota // pages used and wasted correct the probability of use
	Pollution                      // misses of pages that made room for prefetches raise the price of a page
	Lateness                       // pages used while on their way are fetched earlier
	Turnover                       // how fast waiting pages pass bounds the window
	TooEarly                       // misses of pages wasted shorten windows, and lengthen patience
	Context                        // what ghosts know of the place where a stream begins
	Share                          // pages wasted too early, and polluted, set the room for waiting ones
	Expected                       // waiting pages of streams that have ceased go first
	Finished                       // pages that a stream has passed go first
	Reused                         // a page prefetched again is kept when it is used
)

var arrows = []string{
	"trust", "pollution", "lateness", "turnover", "too-early", "context", "share", "expected", "finished", "reused",
}

// Arrows lists the names of the feedback arrows.
func Arrows() []string { return append([]string(nil), arrows...) }

// ParseOptions reads a variant of the defaults: "full", or settings joined by
// semicolons, each request-cost=N, least=P, alone=P, window=N, or no-ARROW.
func ParseOptions(text string) (Options, error) {
	o := Defaults()
	if text == "full" {
		return o, nil
	}
	for setting := range strings.SplitSeq(text, ";") {
		if err := o.set(strings.TrimSpace(setting)); err != nil {
			return Options{}, fmt.Errorf("variant %q: %w", text, err)
		}
	}
	return o, nil
}

func (o *Options) set(setting string) error {
	if arrow, ok := strings.CutPrefix(setting, "no-"); ok {
		if arrow == "feedback" {
			o.Off = 1<<len(arrows) - 1
			return nil
		}
		for i, a := range arrows {
			if a == arrow {
				o.Off |= 1 << i
				return nil
			}
		}
		return fmt.Errorf("no feedback %q; there are %s, and feedback for all of them", arrow, strings.Join(arrows, ", "))
	}
	key, value, _ := strings.Cut(setting, "=")
	v, err := strconv.ParseFloat(value, 32)
	if err != nil {
		return fmt.Errorf("%q is neither full, NAME=NUMBER nor no-ARROW", setting)
	}
	within := func(least, most float64) error {
		if !(v >= least && v <= most) {
			return fmt.Errorf("%s is not between %g and %g", setting, least, most)
		}
		return nil
	}
	switch key {
	case "request-cost":
		o.RequestCost = float32(v)
		return within(0, 1<<20)
	case "least":
		o.Least = float32(v)
		return within(0, 1)
	case "alone":
		o.Alone = float32(v)
		return within(0, 1)
	case "window":
		o.Window = int(v)
		return within(1, maxWindow)
	}
	return fmt.Errorf("no setting %q; there are request-cost, least, alone and window", key)
}
