package cache

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

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
type Param struct {
	Name     string
	Doc      string
	Default  float64
	Min, Max float64
	Whole    bool      // takes whole numbers only
	Ratios   []float64 // if set, the parameter is a list a:b:c and this its default
}

// String gives the default as the command line writes it.
func (p Param) String() string {
	if p.Ratios != nil {
		return formatRatios(p.Ratios)
	}
	return formatNumber(p.Default)
}

// Config is what a policy is made from: a checked choice of parameters.
type Config struct {
	Spec     *Spec
	Capacity int64
	Seed     uint64
	values   map[string]float64
	ratios   map[string][]float64
}

// Choice is a policy with parameters, as asked for.
type Choice struct {
	Spec *Spec
	// Text is the choice as it was written, for example s3fifo:small=0.2.
	Text   string
	values map[string]float64
	ratios map[string][]float64
}

// New makes the policy, empty. Seed starts what it draws at random; seed 0 is
// libCacheSim's.
func (c Choice) New(capacity int64, seed uint64) Policy {
	return c.Spec.new(Config{Spec: c.Spec, Capacity: max(capacity, 0), Seed: seed, values: c.values, ratios: c.ratios})
}

func (c Config) number(name string) float64 {
	if v, ok := c.values[name]; ok {
		return v
	}
	return c.param(name).Default
}

func (c Config) whole(name string) int { return int(c.number(name)) }

// share is the part of the capacity a parameter stands for, truncated.
func (c Config) share(name string) int64 { return int64(float64(c.Capacity) * c.number(name)) }

func (c Config) list(name string) []float64 {
	if v, ok := c.ratios[name]; ok {
		return v
	}
	return c.param(name).Ratios
}

func (c Config) param(name string) *Param {
	i := slices.IndexFunc(c.Spec.Params, func(p Param) bool { return p.Name == name })
	return &c.Spec.Params[i]
}

// Policies lists the policies, the plain ones first.
func Policies() []Spec {
	return []Spec{
		lruSpec, fifoSpec, clockSpec, sieveSpec, s3fifoSpec, twoqSpec, slruSpec, arcSpec, lirsSpec,
		lfuSpec, gdsfSpec, lecarSpec, wtinylfuSpec, beladySpec, sarcSpec,
		s3fifoPaperSpec, arcPaperSpec, lfudaSpec,
	}
}

// ParsePolicies reads a comma list of policies, each with parameters after a
// colon: "lru,s3fifo:small=0.2,ghost=0.5,sieve". An item with an equals sign
// and no policy before it belongs to the policy to its left.
func ParsePolicies(list string) ([]Choice, error) {
	var texts []string
	for item := range strings.SplitSeq(list, ",") {
		head, _, isParam := strings.Cut(item, "=")
		if isParam && !strings.Contains(head, ":") && len(texts) > 0 {
			texts[len(texts)-1] += "," + item
			continue
		}
		texts = append(texts, item)
	}
	var choices []Choice
	for _, text := range texts {
		c, err := parsePolicy(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		choices = append(choices, c)
	}
	return choices, nil
}

func parsePolicy(text string) (Choice, error) {
	name, params, _ := strings.Cut(text, ":")
	specs := Policies()
	i := slices.IndexFunc(specs, func(s Spec) bool { return s.Name == name })
	if i < 0 {
		var names []string
		for _, s := range specs {
			names = append(names, s.Name)
		}
		return Choice{}, fmt.Errorf("no policy is called %q; there are %s", name, strings.Join(names, ", "))
	}
	c := Choice{Spec: &specs[i], Text: text, values: map[string]float64{}, ratios: map[string][]float64{}}
	if params == "" {
		return c, nil
	}
	for item := range strings.SplitSeq(params, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok {
			return Choice{}, fmt.Errorf("policy %s: parameter %q has no value; write %s:NAME=VALUE", name, item, name)
		}
		if err := c.set(key, value); err != nil {
			return Choice{}, fmt.Errorf("policy %s: %w", name, err)
		}
	}
	return c, nil
}

func (c *Choice) set(key, value string) error {
	i := slices.IndexFunc(c.Spec.Params, func(p Param) bool { return p.Name == key })
	if i < 0 {
		var names []string
		for _, p := range c.Spec.Params {
			names = append(names, p.Name)
		}
		if names == nil {
			return fmt.Errorf("no parameter %q; it takes none", key)
		}
		return fmt.Errorf("no parameter %q; it takes %s", key, strings.Join(names, ", "))
	}
	p := c.Spec.Params[i]
	if p.Ratios != nil {
		ratios, err := parseRatios(value)
		if err != nil {
			return fmt.Errorf("parameter %s: %w", key, err)
		}
		c.ratios[key] = ratios
		return nil
	}
	v, err := strconv.ParseFloat(value, 64)
	switch {
	case err != nil || math.IsNaN(v):
		return fmt.Errorf("parameter %s: %q is not a number", key, value)
	case p.Whole && v != math.Trunc(v):
		return fmt.Errorf("parameter %s: %s is not a whole number", key, value)
	case v < p.Min || v > p.Max:
		return fmt.Errorf("parameter %s: %s is not between %s and %s", key, value, formatNumber(p.Min), formatNumber(p.Max))
	}
	c.values[key] = v
	return nil
}

func parseRatios(text string) ([]float64, error) {
	var ratios []float64
	for part := range strings.SplitSeq(text, ":") {
		v, err := strconv.ParseFloat(part, 64)
		if err != nil || !(v > 0) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%q is not a list of positive numbers a:b:c", text)
		}
		ratios = append(ratios, v)
	}
	if len(ratios) > maxSegments {
		return nil, fmt.Errorf("%d segments, where %d are the most", len(ratios), maxSegments)
	}
	return ratios, nil
}

func formatNumber(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func formatRatios(ratios []float64) string {
	var parts []string
	for _, r := range ratios {
		parts = append(parts, formatNumber(r))
	}
	return strings.Join(parts, ":")
}
