// Package params reads choices from a registry as the command line writes them:
// a comma list of names, each with parameters after a colon, such as
// "readahead:max=64,amp:apt=4,max=32".
package params

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Param is one numeric parameter.
type Param struct {
	Name     string
	Doc      string
	Default  float64
	Min, Max float64
	Whole    bool // takes whole numbers only
}

// String gives the default as the command line writes it.
func (p Param) String() string { return format(p.Default) }

// Values are the parameters of one choice.
type Values struct {
	params []Param
	given  map[string]float64
}

// Number gives a parameter, its default if it was not given.
func (v Values) Number(name string) float64 {
	if x, ok := v.given[name]; ok {
		return x
	}
	i := slices.IndexFunc(v.params, func(p Param) bool { return p.Name == name })
	return v.params[i].Default
}

// Int gives a parameter that is a whole number.
func (v Values) Int(name string) int { return int(v.Number(name)) }

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

// Read reads the parameters of a choice, "a=1,b=2".
func Read(params []Param, text string) (Values, error) {
	v := Values{params: params, given: map[string]float64{}}
	if text == "" {
		return v, nil
	}
	for item := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok {
			return Values{}, fmt.Errorf("parameter %q has no value; write NAME=VALUE", item)
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

func format(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
