package prefetch

import (
	"slices"

	"reprise/policies/cache/params"
)

// Spec describes a prefetcher: what --help, the checks of the command line and
// the documentation say comes from here.
type Spec struct {
	Name   string
	Doc    string
	Source string // the paper, and what is particular to this version
	Params []params.Param
	new    func(Config) Prefetcher
}

// Config is what a prefetcher is made from.
type Config struct {
	params.Values
	// Capacity of the cache in its own unit, and how many bytes one stands for.
	Capacity  int64
	UnitBytes int64
	Seed      uint64
}

// Choice is a prefetcher with parameters, as asked for.
type Choice struct {
	Spec *Spec
	// Text is the choice as it was written, for example amp:apt=4,max=32.
	Text   string
	values params.Values
}

// New makes the prefetcher for a cache of so many units of unitBytes each. It
// is nil for none.
func (c Choice) New(capacity, unitBytes int64, seed uint64) Prefetcher {
	if c.Spec == nil {
		return nil
	}
	return c.Spec.new(Config{Values: c.values, Capacity: max(capacity, 0), UnitBytes: max(unitBytes, 1), Seed: seed})
}

// String is the choice as it was written; the zero value is none.
func (c Choice) String() string {
	if c.Spec == nil {
		return "none"
	}
	return c.Text
}

var specs = []Spec{
	{Name: "none", Doc: "fetches nothing ahead", new: func(Config) Prefetcher { return nil }},
	oblSpec, strideSpec, readaheadSpec, leapSpec, ampSpec, sarcSpec, tapSpec,
	mithrilSpec, pgSpec, markovSpec, pythiaSpec,
}

// All lists the prefetchers, none first.
func All() []Spec { return slices.Clone(specs) }

// Parse reads a comma list of prefetchers, each with parameters after a colon:
// "none,readahead,amp:apt=4,max=32".
func Parse(list string) ([]Choice, error) {
	return params.Choose(list, "prefetcher", specs,
		func(s *Spec) (string, []params.Param) { return s.Name, s.Params },
		func(s *Spec, text string, values params.Values) Choice { return Choice{s, text, values} })
}
