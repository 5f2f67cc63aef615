package artifacts

import (
	"encoding"
	"reflect"
	"regexp"
	"strings"
	"sync"
)

// field is a manifest key as the tags of a struct field give it.
type field struct {
	name     string
	doc      string
	required bool
	enum     []string
	// pattern is a regular expression for the whole of a text, keys one for
	// the keys of a map.
	pattern, keys string
	// group numbers the structs of which exactly one key is given; 0 is none.
	group int
	index []int
	typ   reflect.Type
}

// shape is what a struct type accepts in a manifest.
type shape struct {
	fields []field
	// rest is the inline map that takes every other key.
	rest *field
	// scalar and list are set where the struct stands for a single value or a
	// list instead of a mapping (tag form).
	scalar, list *field
	// shorthand is the field that a value which is no mapping goes to.
	shorthand *field
	groups    int
}

func (s *shape) names() []string {
	var names []string
	for _, f := range s.fields {
		names = append(names, f.name)
	}
	return names
}

func (s *shape) field(name string) *field {
	for i := range s.fields {
		if s.fields[i].name == name {
			return &s.fields[i]
		}
	}
	return nil
}

// shapeOf reads the tags of struct type t.
func shapeOf(t reflect.Type) *shape {
	s := &shape{}
	s.add(t, nil)
	if sh, ok := reflect.New(t).Interface().(interface{ Shorthand() string }); ok {
		s.shorthand = s.field(sh.Shorthand())
	}
	return s
}

func (s *shape) add(t reflect.Type, at []int) {
	group := 0
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Name == "_" && sf.Tag.Get("oneof") == "true" {
			s.groups++
			group = s.groups
		}
	}
	for i := range t.NumField() {
		sf := t.Field(i)
		if !sf.IsExported() {
			continue
		}
		name, option, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		f := field{
			name: name, doc: sf.Tag.Get("doc"), required: sf.Tag.Get("required") == "true",
			pattern: sf.Tag.Get("pattern"), keys: sf.Tag.Get("keys"),
			group: group, index: append(append([]int(nil), at...), i), typ: sf.Type,
		}
		if e := sf.Tag.Get("enum"); e != "" {
			f.enum = strings.Split(e, ",")
		}
		switch form := sf.Tag.Get("form"); {
		case name == "-":
		case form == "scalar":
			f.required, s.scalar = true, &f
		case form == "list":
			f.required, s.list = true, &f
		case option == "inline" && sf.Type.Kind() == reflect.Struct:
			s.add(sf.Type, f.index)
		case option == "inline":
			s.rest = &f
		case name != "":
			s.fields = append(s.fields, f)
		}
	}
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textUnmarshaler) }

// patterns are the compiled patterns of tags.
var patterns sync.Map

func matches(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	re, known := patterns.Load(pattern)
	if !known {
		re, _ = patterns.LoadOrStore(pattern, regexp.MustCompile(`^(?:`+pattern+`)$`))
	}
	return re.(*regexp.Regexp).MatchString(text)
}

var plainAlternatives = regexp.MustCompile(`^[a-z]+(\|[a-z]+)*$`)

// alternatives lists the words a pattern such as kick|local|paper stands for.
func alternatives(pattern string) []string {
	if plainAlternatives.MatchString(pattern) {
		return strings.Split(pattern, "|")
	}
	return nil
}
