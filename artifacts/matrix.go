package artifacts

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Matrix is the set of parameter points an experiment runs at: the cross
// product of its axes and zipped groups, less what exclude names, times repeat.
type Matrix struct {
	Axes    map[string][]any   `yaml:",inline" keys:"[A-Za-z_][A-Za-z0-9_]*" doc:"values of an axis by its name"`
	Zip     []map[string][]any `yaml:"zip" keys:"[A-Za-z_][A-Za-z0-9_]*" doc:"groups of axes of equal length whose values go together"`
	Exclude []string           `yaml:"exclude" doc:"conditions; a point for which one holds is left out, for example policy == belady && size != 1%"`
	Repeat  int                `yaml:"repeat" doc:"repeats of every point, as axis seed 1, 2, …"`

	// order is the axes as the file has them; empty means sorted by name.
	order []string
}

// ordered keeps the order of the axes in the file.
func (m *Matrix) ordered(d *decoder, pairs []pair) {
	for _, p := range pairs {
		name := follow(p.key).Value
		if _, is := m.Axes[name]; is {
			m.order = append(m.order, name)
		}
		if name != "zip" || follow(p.value).Kind != yaml.SequenceNode {
			continue
		}
		for _, group := range follow(p.value).Content {
			if g := follow(group); g.Kind == yaml.MappingNode {
				for i := 0; i < len(g.Content); i += 2 {
					m.order = append(m.order, follow(g.Content[i]).Value)
				}
			}
		}
	}
}

// MaxPoints is the size of the largest matrix, before exclusions.
const MaxPoints = 250_000

// maxWork bounds the comparisons of conditions in one expansion.
const maxWork = 100 * MaxPoints

// Point is one combination of an experiment's parameters.
type Point struct {
	// Axes names the parameters that vary, in the order of the manifest; they
	// become labels of the observations. It is shared between points.
	Axes []string
	// Keys names all parameters: the axes first, then the others by name. It
	// is shared between points.
	Keys []string
	// Params holds the values by name: string, int, float64, bool, or a slice
	// of one of these.
	Params map[string]any
}

// Labels spells the values of the axes.
func (p Point) Labels() map[string]string {
	labels := make(map[string]string, len(p.Axes))
	for _, a := range p.Axes {
		labels[a] = FormatValue(p.Params[a])
	}
	return labels
}

// String names the point among those of its experiment: "policy=lru size=1%".
func (p Point) String() string {
	var b strings.Builder
	for i, a := range p.Axes {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(a + "=" + FormatValue(p.Params[a]))
	}
	return b.String()
}

// axisGroup is axes whose values advance together; most have a single axis.
type axisGroup struct {
	axes   []int // indices into expansion.axes
	length int
}

// expansion is a matrix with a profile's and the caller's parameters applied.
type expansion struct {
	axes   []string
	values [][]any // by axis
	groups []axisGroup
	base   map[string]any // the parameters that are no axes
	cond   []*condition
}

// Expand lists the points of the experiment in a profile. Axes vary in the
// order of the manifest, the last fastest; the seed is always last. Overrides
// win over the matrix and the profile's parameters; a text in them is read as a
// manifest would read it, and commas make it a list. A list for a parameter
// that takes a single value becomes an axis.
func (e Experiment) Expand(profile string, overrides map[string]any) ([]Point, error) {
	x, err := e.expansion(profile, overrides)
	if err != nil {
		return nil, err
	}
	keys := append(slices.Clone(x.axes), slices.Sorted(maps.Keys(x.base))...)
	var points []Point
	err = x.each(func(values []any) {
		params := make(map[string]any, len(keys))
		for k, v := range x.base {
			params[k] = v
		}
		for i, axis := range x.axes {
			params[axis] = values[i]
		}
		points = append(points, Point{Axes: x.axes, Keys: keys, Params: params})
	})
	return points, err
}

// Count is the number of points that Expand lists.
func (e Experiment) Count(profile string, overrides map[string]any) (int, error) {
	x, err := e.expansion(profile, overrides)
	if err != nil {
		return 0, err
	}
	if len(x.cond) == 0 {
		return x.size(), nil
	}
	n := 0
	err = x.each(func([]any) { n++ })
	return n, err
}

// ParamNames lists what overrides of the experiment in a profile may name.
func (e Experiment) ParamNames(profile string) []string {
	names := map[string]bool{"seed": true, "seeds": true}
	for _, axis := range e.axisOrder() {
		names[axis] = true
	}
	for name := range e.Profiles[profile].With {
		names[name] = true
	}
	if b, ok := LookupBuiltin(e.Run.Builtin); ok {
		for _, p := range b.Params {
			names[p.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// axisOrder lists the axes of the matrix, without seed unless it is one.
func (e Experiment) axisOrder() []string {
	all := map[string]bool{}
	for name := range e.Matrix.Axes {
		all[name] = true
	}
	for _, g := range e.Matrix.Zip {
		for name := range g {
			all[name] = true
		}
	}
	var order []string
	for _, name := range append(slices.Clone(e.Matrix.order), slices.Sorted(maps.Keys(all))...) {
		if all[name] {
			order = append(order, name)
			delete(all, name)
		}
	}
	return order
}

// override reads the text of a --param flag.
func override(v any) any {
	text, is := v.(string)
	if !is {
		return v
	}
	if !strings.Contains(text, ",") {
		if s := parseScalar(text); s != nil {
			return s
		}
		return text
	}
	var list []any
	for part := range strings.SplitSeq(text, ",") {
		list = append(list, override(strings.TrimSpace(part)))
	}
	return list
}

func (e Experiment) expansion(profile string, overrides map[string]any) (*expansion, error) {
	p, ok := e.Profiles[profile]
	if !ok {
		return nil, &mendable{fmt.Sprintf("there is no profile %q", profile), suggestAmong(profile, slices.Sorted(maps.Keys(e.Profiles)), "profiles")}
	}
	var builtin *Builtin
	if e.Run.Builtin != "" {
		b, ok := LookupBuiltin(e.Run.Builtin)
		if !ok {
			return nil, unknownBuiltin(e.Run.Builtin)
		}
		builtin = &b
	}

	x := &expansion{axes: e.axisOrder(), base: map[string]any{}}
	values := map[string][]any{}
	for name, v := range e.Matrix.Axes {
		values[name] = v
	}
	for _, g := range e.Matrix.Zip {
		for name, v := range g {
			values[name] = v
		}
	}
	if e.Matrix.Repeat > MaxPoints {
		return nil, tooMany()
	}
	if e.Matrix.Repeat > 0 {
		seeds := make([]any, e.Matrix.Repeat)
		for i := range seeds {
			seeds[i] = i + 1
		}
		values["seed"] = seeds
	}
	give := func(name string, v any, overridden bool) {
		if name == "seeds" {
			name = "seed"
			if _, is := v.([]any); !is {
				v = []any{v}
			}
		}
		list, isList := v.([]any)
		_, isAxis := values[name]
		if !isAxis && isList && (name == "seed" || overridden) {
			isAxis = true
			if builtin != nil {
				if p, ok := builtin.param(name); ok && p.takesList() {
					isAxis = false
				}
			}
		}
		switch {
		case isAxis && isList:
			values[name] = list
		case isAxis:
			values[name] = []any{v}
		default:
			x.base[name] = v
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.With)) {
		give(name, p.With[name], false)
	}
	known := e.ParamNames(profile)
	for _, name := range slices.Sorted(maps.Keys(overrides)) {
		if !slices.Contains(known, name) {
			return nil, &mendable{fmt.Sprintf("no parameter %q", name), suggestAmong(name, known, "parameters")}
		}
		delete(x.base, name)
		give(name, override(overrides[name]), true)
	}

	// Axes that only the parameters brought come after those of the matrix,
	// and the seed after all.
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(x.axes, name) {
			x.axes = append(x.axes, name)
		}
	}
	if i := slices.Index(x.axes, "seed"); i >= 0 {
		x.axes = append(slices.Delete(x.axes, i, i+1), "seed")
	}
	if err := x.setValues(values, builtin); err != nil {
		return nil, err
	}
	if err := x.setGroups(e.Matrix.Zip); err != nil {
		return nil, err
	}
	if builtin != nil {
		base := maps.Clone(x.base)
		var err error
		if x.base, err = builtin.Resolve(base); err != nil {
			return nil, err
		}
		for _, p := range builtin.Params {
			if _, given := x.base[p.Name]; !given && !slices.Contains(x.axes, p.Name) {
				return nil, fmt.Errorf("%s needs the parameter %q (%s)", builtin.Name, p.Name, p.Doc)
			}
		}
		for _, axis := range x.axes {
			delete(x.base, axis)
		}
	}
	comparisons := 0
	for _, text := range e.Matrix.Exclude {
		c, err := parseCondition(text)
		if err != nil {
			return nil, fmt.Errorf("exclude %q: %w", text, err)
		}
		// A condition on an axis that this profile does not have says nothing
		// about its points.
		if !slices.ContainsFunc(c.names, func(r mention) bool { return !slices.Contains(x.axes, r.name) }) {
			x.cond = append(x.cond, c)
			comparisons += c.comparisons
		}
	}
	if x.size()*comparisons > maxWork {
		return nil, fmt.Errorf("exclude is too much work: %d points times %d comparisons", x.size(), comparisons)
	}
	return x, nil
}

func unknownBuiltin(name string) error {
	return &mendable{fmt.Sprintf("no built-in experiment %q", name), suggestAmong(name, BuiltinNames(), "built-in experiments")}
}

func tooMany() error {
	return fmt.Errorf("the matrix has more than %d points", MaxPoints)
}

func (x *expansion) setValues(values map[string][]any, builtin *Builtin) error {
	for _, axis := range x.axes {
		list := values[axis]
		if len(list) == 0 {
			return fmt.Errorf("axis %q has no values", axis)
		}
		typed, seen := make([]any, len(list)), make(map[string]bool, len(list))
		for i, v := range list {
			if builtin != nil {
				p, ok := builtin.param(axis)
				if !ok {
					return &mendable{fmt.Sprintf("%s takes no parameter %q", builtin.Name, axis), suggestAmong(axis, builtin.paramNames(), "parameters")}
				}
				var err error
				if v, err = p.convert(v); err != nil {
					return err
				}
			}
			typed[i] = v
			if label := FormatValue(v); seen[label] {
				return fmt.Errorf("axis %q has the value %s twice", axis, label)
			} else {
				seen[label] = true
			}
		}
		x.values = append(x.values, typed)
	}
	return nil
}

func (x *expansion) setGroups(zip []map[string][]any) error {
	zipped := map[string]int{}
	for i, g := range zip {
		for name := range g {
			if _, twice := zipped[name]; twice {
				return fmt.Errorf("axis %q stands in two zip groups", name)
			}
			zipped[name] = i
		}
	}
	place := map[int]int{} // zip group to its index in x.groups
	total := 1
	for a, axis := range x.axes {
		n := len(x.values[a])
		if z, is := zipped[axis]; is {
			if at, started := place[z]; started {
				g := &x.groups[at]
				if g.length != n {
					first := x.axes[g.axes[0]]
					return fmt.Errorf("zipped axes differ in length: %s has %d, %s has %d", first, g.length, axis, n)
				}
				g.axes = append(g.axes, a)
				continue
			}
			place[z] = len(x.groups)
		}
		if total *= n; total > MaxPoints {
			return tooMany()
		}
		x.groups = append(x.groups, axisGroup{axes: []int{a}, length: n})
	}
	return nil
}

// size is the number of points before exclusions.
func (x *expansion) size() int {
	n := 1
	for _, g := range x.groups {
		n *= g.length
	}
	return n
}

// each calls f with the values of the axes at every point that no condition
// excludes. The slice is reused.
func (x *expansion) each(f func(values []any)) error {
	current := make([]any, len(x.axes))
	get := func(name string) any { return current[slices.Index(x.axes, name)] }
	at := make([]int, len(x.groups))
	kept := 0
	for {
		for g, group := range x.groups {
			for _, a := range group.axes {
				current[a] = x.values[a][at[g]]
			}
		}
		excluded := false
		for _, c := range x.cond {
			holds, err := c.eval(get)
			if err != nil {
				return fmt.Errorf("exclude %q: %w", c.text, err)
			}
			if excluded = holds; excluded {
				break
			}
		}
		if !excluded {
			kept++
			f(current)
		}
		g := len(at) - 1
		for ; g >= 0; g-- {
			if at[g]++; at[g] < x.groups[g].length {
				break
			}
			at[g] = 0
		}
		if g < 0 {
			break
		}
	}
	if kept == 0 {
		return fmt.Errorf("exclude leaves no point of the matrix")
	}
	return nil
}
