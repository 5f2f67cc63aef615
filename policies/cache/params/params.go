// Package params reads choices from a registry as the command line writes them:
// a comma list of names, each with parameters after a colon, such as
// "lru,s3fifo:small=0.2,ghost=0.5".
package params

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Param is one parameter.
type Param struct {
	Name     string
	Doc      string
	Default  float64
	Min, Max float64
	Whole    bool // takes whole numbers only
	// Ratios, if set, makes the parameter a list a:b:c of positive numbers, no
	// more than Max, and is its default.
	Ratios []float64
}

// String gives the default as the command line writes it.
func (p Param) String() string {
	if p.Ratios == nil {
		return format(p.Default)
	}
	var parts []string
	for _, r := range p.Ratios {
		parts = append(parts, format(r))
	}
	return strings.Join(parts, ":")
}

// Values are the parameters of one choice.
type Values struct {
	params []Param
	given  map[string]float64
	ratios map[string][]float64
}

// Number gives a parameter, its default if it was not given.
func (v Values) Number(name string) float64 {
	if x, ok := v.given[name]; ok {
		return x
	}
	return v.param(name).Default
}

// Int gives a parameter that is a whole number.
func (v Values) Int(name string) int { return int(v.Number(name)) }

// Ratios gives a parameter that is a list.
func (v Values) Ratios(name string) []float64 {
	if r, ok := v.ratios[name]; ok {
		return r
	}
	return v.param(name).Ratios
}

func (v Values) param(name string) *Param {
	i := slices.IndexFunc(v.params, func(p Param) bool { return p.Name == name })
	return &v.params[i]
}

// Split cuts a comma list into choices. An item with an equals sign and no
// colon before it belongs to the choice to its left.
func Split(list string) []string {
	var choices []string
	for item := range strings.SplitSeq(list, ",") {
		head, _, isParam := strings.Cut(item, "=")
		if isParam && !strings.Contains(head, ":") && len(choices) > 0 {
			choices[len(choices)-1] += "," + item
			continue
		}
		choices = append(choices, strings.TrimSpace(item))
	}
	return choices
}

// Choose reads a comma list of choices among things of a kind, which it names in
// errors. Of each thing, about gives the name and parameters.
func Choose[Thing, Choice any](list, kind string, things []Thing, about func(*Thing) (string, []Param), choice func(*Thing, string, Values) Choice) ([]Choice, error) {
	var choices []Choice
	for _, text := range Split(list) {
		name, given, _ := strings.Cut(text, ":")
		i := slices.IndexFunc(things, func(t Thing) bool { n, _ := about(&t); return n == name })
		if i < 0 {
			var names []string
			for _, t := range things {
				n, _ := about(&t)
				names = append(names, n)
			}
			return nil, fmt.Errorf("no %s is called %q; there are %s", kind, name, strings.Join(names, ", "))
		}
		_, params := about(&things[i])
		values, err := Read(params, name, given)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", kind, name, err)
		}
		choices = append(choices, choice(&things[i], text, values))
	}
	return choices, nil
}

// Read reads what follows the colon of the choice called name.
func Read(params []Param, name, text string) (Values, error) {
	v := Values{params: params, given: map[string]float64{}, ratios: map[string][]float64{}}
	if text == "" {
		return v, nil
	}
	for item := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok {
			return Values{}, fmt.Errorf("parameter %q has no value; write %s:NAME=VALUE", item, name)
		}
		if err := v.set(key, value); err != nil {
			return Values{}, err
		}
	}
	return v, nil
}

func (v Values) set(key, value string) error {
	i := slices.IndexFunc(v.params, func(p Param) bool { return p.Name == key })
	if i < 0 {
		var names []string
		for _, p := range v.params {
			names = append(names, p.Name)
		}
		if names == nil {
			return fmt.Errorf("no parameter %q; it takes none", key)
		}
		return fmt.Errorf("no parameter %q; it takes %s", key, strings.Join(names, ", "))
	}
	p := v.params[i]
	if p.Ratios != nil {
		ratios, err := readRatios(value, int(p.Max))
		if err != nil {
			return fmt.Errorf("parameter %s: %w", key, err)
		}
		v.ratios[key] = ratios
		return nil
	}
	x, err := strconv.ParseFloat(value, 64)
	switch {
	case err != nil || math.IsNaN(x):
		return fmt.Errorf("parameter %s: %q is not a number", key, value)
	case p.Whole && x != math.Trunc(x):
		return fmt.Errorf("parameter %s: %s is not a whole number", key, value)
	case x < p.Min || x > p.Max:
		return fmt.Errorf("parameter %s: %s is not between %s and %s", key, value, format(p.Min), format(p.Max))
	}
	v.given[key] = x
	return nil
}

func readRatios(text string, most int) ([]float64, error) {
	var ratios []float64
	for part := range strings.SplitSeq(text, ":") {
		x, err := strconv.ParseFloat(part, 64)
		if err != nil || !(x > 0) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("%q is not a list of positive numbers a:b:c", text)
		}
		ratios = append(ratios, x)
	}
	if len(ratios) > most {
		return nil, fmt.Errorf("%d segments, where %d are the most", len(ratios), most)
	}
	return ratios, nil
}

func format(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
