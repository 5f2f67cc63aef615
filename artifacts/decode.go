package artifacts

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// decoder fills a struct from a YAML node by the struct's tags. It goes on
// after a mistake and keeps the place of every value, so that later checks can
// point at it. Paths are keys joined by dots, with [i] for the elements of a
// list.
type decoder struct {
	file     string
	lines    []string
	findings Findings
	values   map[string]*yaml.Node // path to the node of its value
	keys     map[string]*yaml.Node // path to the node of its key
	errors   int
	bad      map[string]bool // paths with an error
	inside   map[string]bool // the same and all that enclose them
	lost     map[string]bool // top-level keys given up for a syntax error
	nodes    int             // visited so far, aliases counted each time
	points   int             // of the matrices expanded so far
}

const (
	// maxNodes and maxAliasDepth bound what aliases may expand to.
	maxNodes      = 100_000
	maxAliasDepth = 8
)

func (d *decoder) report(severity Severity, line, col int, path, message, suggestion string) {
	line, col = max(line, 1), max(col, 1)
	if severity == SeverityError {
		d.errors++
		d.bad[path] = true
		for p := path; !d.inside[p]; p = parentPath(p) {
			d.inside[p] = true
		}
	}
	if d.full() {
		return
	}
	f := Finding{File: d.file, Line: line, Col: col, Severity: severity, Message: message, Suggestion: suggestion}
	if line <= len(d.lines) {
		f.Excerpt = excerpt(d.lines[line-1], col)
	}
	d.findings = append(d.findings, f)
}

// full says that no further finding will be kept.
func (d *decoder) full() bool { return len(d.findings) >= maxFindings }

func (d *decoder) errorAt(n *yaml.Node, path, message, suggestion string) {
	d.report(SeverityError, n.Line, n.Column, path, message, suggestion)
}

// errorf reports an error at the value of path, or of what encloses it.
func (d *decoder) errorf(path, suggestion, format string, args ...any) {
	d.errorAt(d.valueAt(path), path, fmt.Sprintf(format, args...), suggestion)
}

// errorfKey reports an error at the key of path.
func (d *decoder) errorfKey(path, suggestion, format string, args ...any) {
	d.errorAt(d.keyAt(path), path, fmt.Sprintf(format, args...), suggestion)
}

func (d *decoder) warnf(path, suggestion, format string, args ...any) {
	n := d.valueAt(path)
	d.report(SeverityWarning, n.Line, n.Column, path, fmt.Sprintf(format, args...), suggestion)
}

func (d *decoder) valueAt(path string) *yaml.Node {
	for {
		if n := d.values[path]; n != nil {
			return n
		}
		if path == "" {
			return &yaml.Node{Line: 1, Column: 1}
		}
		path = parentPath(path)
	}
}

func (d *decoder) keyAt(path string) *yaml.Node {
	if n := d.keys[path]; n != nil {
		return n
	}
	return d.valueAt(path)
}

func parentPath(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

func childPath(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// broken says whether an error was found at path or inside its value: then a
// further check of it would only say the same again.
func (d *decoder) broken(path string) bool {
	top, _, _ := strings.Cut(path, ".")
	return d.lost[top] || d.inside[path]
}

// follow replaces aliases by what they stand for; expand has bounded them.
func follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// expand walks the tree with aliases expanded and refuses one that is too
// large, too deep, or contains itself. The mistake is at the outermost alias.
func (d *decoder) expand(n, outermost *yaml.Node, aliases int) bool {
	at := n
	if outermost != nil {
		at = outermost
	}
	if d.nodes++; d.nodes > maxNodes {
		d.errorAt(at, "", fmt.Sprintf("the manifest has more than %d values once its aliases are expanded", maxNodes), "")
		return false
	}
	if n.Kind == yaml.AliasNode {
		if aliases == maxAliasDepth {
			d.errorAt(at, "", fmt.Sprintf("alias %q stands inside %d others, or inside itself", n.Value, maxAliasDepth), "write the value out")
			return false
		}
		return d.expand(n.Alias, at, aliases+1)
	}
	for _, c := range n.Content {
		if !d.expand(c, outermost, aliases) {
			return false
		}
	}
	return true
}

type pair struct{ key, value *yaml.Node }

// pairs lists the entries of a mapping in order, merges (<<) resolved, and
// reports keys that are repeated or no plain text.
func (d *decoder) pairs(n *yaml.Node, path string) []pair {
	var pairs, merged []pair
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		key := follow(k)
		switch {
		case key.Kind != yaml.ScalarNode:
			d.errorAt(k, path, "a key must be a plain word", "")
		case key.Tag == "!!merge":
			merged = append(merged, d.merge(v, path)...)
		case first[key.Value] != nil:
			d.errorAt(k, childPath(path, key.Value), fmt.Sprintf("key %q is given twice; first on line %d", key.Value, first[key.Value].Line), "")
		default:
			first[key.Value] = k
			pairs = append(pairs, pair{k, v})
		}
	}
	for _, p := range merged {
		if name := follow(p.key).Value; first[name] == nil {
			first[name] = p.key
			pairs = append(pairs, p)
		}
	}
	return pairs
}

func (d *decoder) merge(n *yaml.Node, path string) []pair {
	switch m := follow(n); m.Kind {
	case yaml.MappingNode:
		return d.pairs(m, path)
	case yaml.SequenceNode:
		var all []pair
		for _, c := range m.Content {
			if follow(c).Kind != yaml.MappingNode {
				d.errorAt(c, path, "<< merges mappings only", "")
				continue
			}
			all = append(all, d.pairs(follow(c), path)...)
		}
		return all
	}
	d.errorAt(n, path, "<< merges mappings only", "")
	return nil
}

// kindName says what a node is, in words.
func kindName(n *yaml.Node) string {
	n = follow(n)
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch v := scalarOf(n).(type) {
	case nil:
		return "nothing"
	case bool:
		return fmt.Sprintf("the truth value %v", v)
	case int, float64:
		return "the number " + n.Value
	}
	if len(n.Value) > 40 {
		return "a text"
	}
	return fmt.Sprintf("the text %q", n.Value)
}

const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// scalarOf is the value of a scalar node; a quoted one is a text.
func scalarOf(n *yaml.Node) any {
	if n.Style&quoted != 0 || n.Tag == "!!str" && n.Style&yaml.TaggedStyle != 0 {
		return n.Value
	}
	return parseScalar(n.Value)
}

// oldTruth are the words that YAML 1.1 took for truth values.
func oldTruth(n *yaml.Node) (value, is bool) {
	if n.Style&quoted != 0 {
		return false, false
	}
	switch strings.ToLower(n.Value) {
	case "yes", "on":
		return true, true
	case "no", "off":
		return false, true
	}
	return false, false
}

func (d *decoder) decode(n *yaml.Node, v reflect.Value, path string, f field) {
	d.values[path] = n
	at, n := n, follow(n)
	before := d.errors
	t := v.Type()
	if n.Style&yaml.TaggedStyle != 0 && !strings.HasPrefix(n.Tag, "!!") || n.Tag == "!!binary" {
		d.errorAt(at, path, fmt.Sprintf("the tag %s is not supported", n.Tag), "")
		return
	}
	switch {
	case n.Kind == yaml.ScalarNode && scalarOf(n) == nil:
		d.errorAt(at, path, fmt.Sprintf("%s has no value", describe(path)), "give one or remove the key")
		return
	case t.Kind() == reflect.Pointer:
		p := reflect.New(t.Elem())
		d.decode(at, p.Elem(), path, f)
		v.Set(p)
		return
	case t.Kind() == reflect.Interface:
		d.decodeAny(at, v, path)
	case isText(t):
		if d.want(at, path, "a single value", n.Kind == yaml.ScalarNode) {
			if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.Value)); err != nil {
				var m interface{ Suggestion() string }
				suggestion := ""
				if errors.As(err, &m) {
					suggestion = m.Suggestion()
				}
				d.errorAt(at, path, err.Error(), suggestion)
			}
		}
	case t.Kind() == reflect.Struct:
		d.decodeStruct(at, v, path)
	case t.Kind() == reflect.Map:
		if d.want(at, path, "a mapping", n.Kind == yaml.MappingNode) {
			v.Set(reflect.MakeMap(t))
			if f.required && len(n.Content) == 0 {
				d.errorAt(at, path, describe(path)+" is empty", "")
			}
			for _, p := range d.pairs(n, path) {
				d.decodeEntry(p, v, path, f)
			}
		}
	case t.Kind() == reflect.Slice:
		if d.want(at, path, "a list", n.Kind == yaml.SequenceNode) {
			v.Set(reflect.MakeSlice(t, len(n.Content), len(n.Content)))
			if f.required && len(n.Content) == 0 {
				d.errorAt(at, path, describe(path)+" is empty", "")
			}
			elem := field{enum: f.enum, pattern: f.pattern, keys: f.keys}
			for i, c := range n.Content {
				d.decode(c, v.Index(i), fmt.Sprintf("%s[%d]", path, i), elem)
			}
		}
	default:
		d.decodeScalar(at, v, path, f)
	}
	if d.errors > before {
		return
	}
	if c, ok := v.Addr().Interface().(interface {
		Validate(report func(path, message, suggestion string))
	}); ok {
		c.Validate(func(sub, message, suggestion string) {
			p := path
			if sub != "" && sub[0] == '[' {
				p += sub
			} else if sub != "" {
				p = childPath(path, sub)
			}
			d.errorAt(d.valueAt(p), p, message, suggestion)
		})
	}
}

// describe names the value at path as messages do.
func describe(path string) string {
	if path == "" {
		return "the manifest"
	}
	last := path[strings.LastIndex(path, ".")+1:]
	return strconv.Quote(last)
}

func (d *decoder) want(n *yaml.Node, path, what string, ok bool) bool {
	if !ok {
		d.errorAt(n, path, fmt.Sprintf("%s must be %s, not %s", describe(path), what, kindName(n)), "")
	}
	return ok
}

func (d *decoder) decodeEntry(p pair, m reflect.Value, path string, f field) {
	name := follow(p.key).Value
	at := childPath(path, name)
	d.keys[at] = p.key
	d.control(p.key, name, at)
	if !matches(f.keys, name) {
		words := alternatives(f.keys)
		suggestion := "the form is " + f.keys
		if words != nil {
			suggestion = suggestAmong(name, words, "names")
		}
		d.errorAt(p.key, at, fmt.Sprintf("%q is no name for an entry of %s", name, describe(path)), suggestion)
	}
	e := reflect.New(m.Type().Elem()).Elem()
	d.decode(p.value, e, at, field{pattern: f.pattern, enum: f.enum})
	m.SetMapIndex(reflect.ValueOf(name).Convert(m.Type().Key()), e)
}

func (d *decoder) decodeStruct(at *yaml.Node, v reflect.Value, path string) {
	n, s := follow(at), shapeOf(v.Type())
	switch {
	case s.list != nil && n.Kind == yaml.SequenceNode:
		d.decode(at, v.FieldByIndex(s.list.index), path, *s.list)
		return
	case s.scalar != nil && n.Kind == yaml.ScalarNode:
		d.decode(at, v.FieldByIndex(s.scalar.index), path, *s.scalar)
		return
	case s.list != nil || s.scalar != nil:
		d.want(at, path, "a name or a list", false)
		return
	case n.Kind != yaml.MappingNode && s.shorthand != nil:
		d.decode(at, v.FieldByIndex(s.shorthand.index), childPath(path, s.shorthand.name), *s.shorthand)
		d.values[path] = at
		return
	case !d.want(at, path, "a mapping", n.Kind == yaml.MappingNode):
		return
	}
	given := map[string]bool{}
	pairs := d.pairs(n, path)
	for _, p := range pairs {
		name := follow(p.key).Value
		f := s.field(name)
		if f == nil {
			d.decodeOther(p, v, path, s)
			continue
		}
		given[name] = true
		sub := childPath(path, name)
		d.keys[sub] = p.key
		d.decode(p.value, v.FieldByIndex(f.index), sub, *f)
	}
	for _, f := range s.fields {
		if f.required && !given[f.name] && (path != "" || !d.lost[f.name]) {
			d.errorAt(d.keyAt(path), childPath(path, f.name), fmt.Sprintf("%s lacks the key %q (%s)", describe(path), f.name, f.doc), "")
		}
	}
	for g := 1; g <= s.groups; g++ {
		var all, found []string
		for _, f := range s.fields {
			if f.group == g {
				all = append(all, f.name)
				if given[f.name] {
					found = append(found, f.name)
				}
			}
		}
		switch {
		case len(found) == 0 && !d.broken(path):
			d.errorAt(d.keyAt(path), path, describe(path)+" needs exactly one of the keys "+strings.Join(all, ", "), "")
		case len(found) > 1:
			d.errorAt(d.keyAt(childPath(path, found[1])), path, fmt.Sprintf("%s takes only one of the keys %s", describe(path), strings.Join(found, ", ")), "")
		}
	}
	if o, ok := v.Addr().Interface().(interface {
		ordered(d *decoder, pairs []pair)
	}); ok {
		o.ordered(d, pairs)
	}
}

// decodeOther takes a key that is no field: an entry of the inline map, or a
// mistake.
func (d *decoder) decodeOther(p pair, v reflect.Value, path string, s *shape) {
	name := follow(p.key).Value
	at := childPath(path, name)
	suggestion := DidYouMean(name, s.names())
	if s.rest == nil {
		if suggestion == "" {
			suggestion = "known keys: " + strings.Join(s.names(), ", ")
		}
		d.keys[at] = p.key
		d.errorAt(p.key, at, fmt.Sprintf("unknown key %q in %s", name, describe(path)), suggestion)
		return
	}
	m := v.FieldByIndex(s.rest.index)
	if m.IsNil() {
		m.Set(reflect.MakeMap(m.Type()))
	}
	if suggestion != "" {
		d.report(SeverityWarning, p.key.Line, p.key.Column, at, fmt.Sprintf("%q is taken for a name of your own", name), suggestion)
	}
	d.decodeEntry(p, m, path, *s.rest)
}

func (d *decoder) decodeScalar(at *yaml.Node, v reflect.Value, path string, f field) {
	n := follow(at)
	kinds := map[reflect.Kind]string{
		reflect.String: "a text", reflect.Bool: "true or false", reflect.Float64: "a number", reflect.Float32: "a number",
	}
	what := kinds[v.Kind()]
	if what == "" {
		what = "a whole number"
	}
	if n.Kind != yaml.ScalarNode {
		d.want(at, path, what, false)
		return
	}
	value := scalarOf(n)
	switch v.Kind() {
	case reflect.String:
		if _, is := value.(bool); is {
			d.errorAt(at, path, fmt.Sprintf("%s must be a text, not %s", describe(path), kindName(n)), fmt.Sprintf("put it in quotes: %q", n.Value))
			return
		}
		if _, is := oldTruth(n); is {
			d.report(SeverityWarning, at.Line, at.Column, path, fmt.Sprintf("%s is a text here, which many YAML readers take for a truth value", n.Value), fmt.Sprintf("put it in quotes: %q", n.Value))
		}
		v.SetString(n.Value)
		if !d.control(at, n.Value, path) {
			d.checkText(at, n.Value, path, f)
		}
	case reflect.Bool:
		if b, is := value.(bool); is {
			v.SetBool(b)
			return
		}
		suggestion := ""
		if b, is := oldTruth(n); is {
			suggestion = fmt.Sprintf("write %v", b)
		}
		d.errorAt(at, path, fmt.Sprintf("%s must be true or false, not %s", describe(path), kindName(n)), suggestion)
	case reflect.Float32, reflect.Float64:
		var x float64
		switch value := value.(type) {
		case int:
			x = float64(value)
		case float64:
			x = value
		default:
			d.want(at, path, what, false)
			return
		}
		if math.IsInf(x, 0) || math.IsNaN(x) {
			d.errorAt(at, path, describe(path)+" must be a finite number", "")
			return
		}
		v.SetFloat(x)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, is := value.(int)
		if !is || v.OverflowInt(int64(i)) {
			d.want(at, path, what, false)
			return
		}
		v.SetInt(int64(i))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		i, is := value.(int)
		if !is || i < 0 || v.OverflowUint(uint64(i)) {
			d.want(at, path, "a whole number of at least 0", false)
			return
		}
		v.SetUint(uint64(i))
	default:
		panic("artifacts: no way to decode a manifest key of type " + v.Type().String())
	}
}

// control refuses control characters: names and statements are printed, and
// must not drive the terminal.
func (d *decoder) control(at *yaml.Node, text, path string) bool {
	for _, r := range text {
		if unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' {
			d.errorAt(at, path, fmt.Sprintf("%s holds the control character %U", describe(path), r), "")
			return true
		}
	}
	return false
}

func (d *decoder) checkText(at *yaml.Node, text, path string, f field) {
	if f.required && strings.TrimSpace(text) == "" {
		d.errorAt(at, path, describe(path)+" is empty", "")
		return
	}
	if f.enum != nil {
		for _, e := range f.enum {
			if e == text {
				return
			}
		}
		d.errorAt(at, path, fmt.Sprintf("%s cannot be %q", describe(path), text), suggestAmong(text, f.enum, "values"))
		return
	}
	if !matches(f.pattern, text) {
		d.errorAt(at, path, fmt.Sprintf("%q is no valid %s", text, strings.Trim(describe(path), `"`)), "the form is "+f.pattern)
	}
}

// decodeAny reads a parameter: a text, number, truth value, or a list of them.
func (d *decoder) decodeAny(at *yaml.Node, v reflect.Value, path string) {
	n := follow(at)
	switch n.Kind {
	case yaml.ScalarNode:
		value := scalarOf(n)
		if x, is := value.(float64); is && (math.IsInf(x, 0) || math.IsNaN(x)) {
			d.errorAt(at, path, describe(path)+" must be a finite number", "")
			return
		}
		if b, is := oldTruth(n); is {
			d.report(SeverityWarning, at.Line, at.Column, path, fmt.Sprintf("%s is a text here, which many YAML readers take for a truth value", n.Value), fmt.Sprintf("put it in quotes: %q, or write %v", n.Value, b))
		}
		if text, is := value.(string); is && d.control(at, text, path) {
			return
		}
		v.Set(reflect.ValueOf(value))
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			sub := fmt.Sprintf("%s[%d]", path, i)
			if follow(c).Kind != yaml.ScalarNode {
				d.values[sub] = c
				d.want(c, sub, "a text, a number or a truth value", false)
				continue
			}
			d.decode(c, reflect.ValueOf(&list[i]).Elem(), sub, field{})
		}
		v.Set(reflect.ValueOf(list))
	default:
		d.want(at, path, "a text, a number, a truth value or a list of them", false)
	}
}
