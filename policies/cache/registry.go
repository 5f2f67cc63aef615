package cache

import "reprise/policies/cache/params"

// Spec describes a policy: what --help, the checks of the command line and the
// documentation say comes from here.
type Spec struct {
	Name   string
	Doc    string
	Source string // the paper, and what is particular to this version
	Params []Param
	new    func(Config) Policy
}

// Param is one parameter of a policy.
type Param = params.Param

// Config is what a policy is made from: a checked choice of parameters.
type Config struct {
	Spec     *Spec
	Capacity int64
	Seed     uint64
	values   params.Values
}

// Choice is a policy with parameters, as asked for.
type Choice struct {
	Spec *Spec
	// Text is the choice as it was written, for example s3fifo:small=0.2.
	Text   string
	values params.Values
}

// New makes the policy, empty. Seed starts what it draws at random; seed 0 is
// libCacheSim's.
func (c Choice) New(capacity int64, seed uint64) Policy {
	return c.Spec.new(Config{Spec: c.Spec, Capacity: max(capacity, 0), Seed: seed, values: c.values})
}

func (c Config) number(name string) float64 { return c.values.Number(name) }

func (c Config) whole(name string) int { return c.values.Int(name) }

// share is the part of the capacity a parameter stands for, truncated.
func (c Config) share(name string) int64 { return int64(float64(c.Capacity) * c.number(name)) }

func (c Config) list(name string) []float64 { return c.values.Ratios(name) }

// Policies lists the policies, the plain ones first.
func Policies() []Spec {
	return []Spec{
		lruSpec, fifoSpec, clockSpec, sieveSpec, s3fifoSpec, twoqSpec, slruSpec, arcSpec, lirsSpec,
		lfuSpec, gdsfSpec, lecarSpec, wtinylfuSpec, beladySpec, sarcSpec,
		s3fifoPaperSpec, arcPaperSpec, wtinylfuAdaptiveSpec, lfudaSpec, cacheusSpec, lhdSpec, hyperbolicSpec,
		qdlpSpec, clockproSpec, carSpec, beladySizeSpec, randomSpec,
	}
}

// ParsePolicies reads a comma list of policies, each with parameters after a
// colon: "lru,s3fifo:small=0.2,ghost=0.5,sieve". An item with an equals sign
// and no policy before it belongs to the policy to its left.
func ParsePolicies(list string) ([]Choice, error) {
	return params.Choose(list, "policy", Policies(),
		func(s *Spec) (string, []Param) { return s.Name, s.Params },
		func(s *Spec, text string, values params.Values) Choice { return Choice{s, text, values} })
}
