package artifacts

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// convert gives v the type of the parameter's default: 50k and 1M serve where
// a number is taken, a single value where a list is. The values of a list
// parameter come back as the default's slice type.
func (p Param) convert(v any) (any, error) {
	switch p.Default.(type) {
	case nil:
		return v, nil
	case string:
		return p.text(v)
	case int:
		return p.whole(v)
	case float64:
		return p.number(v)
	case bool:
		return p.truth(v)
	case []string:
		return listOf(v, p.text)
	case []int:
		return listOf(v, p.whole)
	case []float64:
		return listOf(v, p.number)
	case []bool:
		return listOf(v, p.truth)
	case []any:
		return listOf(v, func(v any) (any, error) { return v, nil })
	}
	return nil, fmt.Errorf("parameter %q has a default of a type that manifests cannot give: %T", p.Name, p.Default)
}

// takesList says whether a list is one value of the parameter.
func (p Param) takesList() bool {
	switch p.Default.(type) {
	case []string, []int, []float64, []bool, []any:
		return true
	}
	return false
}

func listOf[T any](v any, convert func(any) (T, error)) ([]T, error) {
	var values []any
	switch v := v.(type) {
	case []T:
		return v, nil
	case []any:
		values = v
	default:
		values = []any{v}
	}
	list := make([]T, len(values))
	for i, v := range values {
		var err error
		if list[i], err = convert(v); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (p Param) refuse(v any, takes string) error {
	if _, is := v.([]any); is {
		return fmt.Errorf("parameter %q takes %s, not a list", p.Name, takes)
	}
	return fmt.Errorf("parameter %q takes %s, not %q", p.Name, takes, FormatValue(v))
}

func (p Param) text(v any) (string, error) {
	if _, is := v.([]any); is {
		return "", p.refuse(v, "a text")
	}
	return FormatValue(v), nil
}

func (p Param) whole(v any) (int, error) {
	x, ok := quantity(v)
	if !ok || x != math.Trunc(x) || math.Abs(x) >= 1<<62 {
		return 0, p.refuse(v, "a whole number such as 5, 50k or 1M")
	}
	if i, is := v.(int); is {
		return i, nil
	}
	return int(x), nil
}

func (p Param) number(v any) (float64, error) {
	x, ok := quantity(v)
	if !ok {
		return 0, p.refuse(v, "a number")
	}
	return x, nil
}

func (p Param) truth(v any) (bool, error) {
	b, ok := v.(bool)
	if !ok {
		err := p.refuse(v, "true or false")
		switch v {
		case "yes", "on", 1:
			err = &mendable{err.Error(), "write true"}
		case "no", "off", 0:
			err = &mendable{err.Error(), "write false"}
		}
		return false, err
	}
	return b, nil
}

// param finds a declared parameter. Every built-in may be given a seed: those
// that do not declare it are repeated without being told.
func (b Builtin) param(name string) (Param, bool) {
	for _, p := range b.Params {
		if p.Name == name {
			return p, true
		}
	}
	return Param{Name: name}, name == "seed"
}

func (b Builtin) paramNames() []string {
	var names []string
	for _, p := range b.Params {
		names = append(names, p.Name)
	}
	return names
}

// Resolve types params by the built-in's declarations and fills the defaults
// in. It refuses a parameter that the built-in does not take.
func (b Builtin) Resolve(params map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		p, ok := b.param(name)
		if !ok {
			return nil, &mendable{fmt.Sprintf("%s takes no parameter %q", b.Name, name), suggestAmong(name, b.paramNames(), "parameters")}
		}
		v, err := p.convert(params[name])
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	for _, p := range b.Params {
		if _, given := out[p.Name]; !given && p.Default != nil {
			out[p.Name] = p.Default
		}
	}
	return out, nil
}
