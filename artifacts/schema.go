package artifacts

import (
	"encoding/json"
	"path"
	"reflect"
	"strings"
)

// Schema is the JSON Schema (2020-12) of a manifest, made from the same types
// as the loader. It describes the structure; references between the parts of a
// manifest are the loader's to check.
func Schema() []byte {
	s := &schemaMaker{defs: map[string]any{}}
	root := s.structure(reflect.TypeFor[Manifest]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "reprise artifact manifest"
	root["$defs"] = s.defs
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(err) // maps of texts, numbers and lists always marshal
	}
	return append(out, '\n')
}

type schemaMaker struct{ defs map[string]any }

type object = map[string]any

var scalarTypes = []string{"string", "number", "boolean"}

// typeName names a struct type; those of other packages with their package.
func typeName(t reflect.Type) string {
	if t.PkgPath() == reflect.TypeFor[Manifest]().PkgPath() {
		return t.Name()
	}
	return path.Base(t.PkgPath()) + "." + t.Name()
}

func anchored(pattern string) string { return "^(?:" + pattern + ")$" }

// textTypes are the JSON types that YAML may give a text of the pattern:
// unquoted digits arrive as a number.
func textTypes(pattern string) any {
	if matches(pattern, "1") {
		return []string{"string", "number"}
	}
	return "string"
}

func (s *schemaMaker) value(t reflect.Type, f field) object {
	switch {
	case t.Kind() == reflect.Pointer:
		return s.value(t.Elem(), f)
	case t.Kind() == reflect.Interface:
		return object{"type": append([]string{"array"}, scalarTypes...), "items": object{"type": scalarTypes}}
	case isText(t):
		out := object{"type": []string{"string", "number"}}
		if p, ok := reflect.Zero(t).Interface().(interface{ Pattern() string }); ok {
			out["pattern"] = anchored(p.Pattern())
			out["type"] = textTypes(p.Pattern())
		}
		return out
	}
	switch t.Kind() {
	case reflect.Struct:
		name := typeName(t)
		if _, made := s.defs[name]; !made {
			s.defs[name] = nil // a type that contains itself refers to this one
			s.defs[name] = s.structure(t)
		}
		return object{"$ref": "#/$defs/" + name}
	case reflect.Map:
		out := object{"type": "object", "additionalProperties": s.value(t.Elem(), field{enum: f.enum, pattern: f.pattern})}
		if f.keys != "" {
			out["propertyNames"] = object{"pattern": anchored(f.keys)}
		}
		if f.required {
			out["minProperties"] = 1
		}
		return out
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Interface {
			return object{"type": "array", "items": object{"type": scalarTypes}, "minItems": 1}
		}
		out := object{"type": "array", "items": s.value(t.Elem(), field{enum: f.enum, pattern: f.pattern, keys: f.keys})}
		if f.required {
			out["minItems"] = 1
		}
		return out
	case reflect.String:
		switch {
		case f.enum != nil:
			return object{"enum": f.enum}
		case f.pattern != "":
			return object{"type": textTypes(f.pattern), "pattern": anchored(f.pattern)}
		case f.required:
			return object{"type": []string{"string", "number"}, "pattern": `\S`}
		}
		return object{"type": []string{"string", "number"}}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	}
	return object{"type": "integer"}
}

func (s *schemaMaker) structure(t reflect.Type) object {
	sh := shapeOf(t)
	if sh.scalar != nil || sh.list != nil {
		var forms []any
		for _, f := range []*field{sh.scalar, sh.list} {
			if f != nil {
				forms = append(forms, s.described(*f))
			}
		}
		return object{"anyOf": forms}
	}
	properties, required := object{}, []string{}
	for _, f := range sh.fields {
		properties[f.name] = s.described(f)
		if f.required {
			required = append(required, f.name)
		}
	}
	out := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	if sh.rest != nil {
		out["additionalProperties"] = s.value(sh.rest.typ.Elem(), field{})
		out["propertyNames"] = object{"pattern": anchored(sh.rest.keys)}
	}
	var groups []any
	for g := 1; g <= sh.groups; g++ {
		var keys []any
		for _, f := range sh.fields {
			if f.group == g {
				keys = append(keys, object{"required": []string{f.name}})
			}
		}
		groups = append(groups, object{"oneOf": keys})
	}
	if len(groups) > 0 {
		out["allOf"] = groups
	}
	if sh.shorthand != nil {
		return object{"anyOf": []any{out, s.described(*sh.shorthand)}}
	}
	return out
}

func (s *schemaMaker) described(f field) object {
	out := s.value(f.typ, f)
	out["description"] = strings.TrimSpace(f.doc)
	return out
}
