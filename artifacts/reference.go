package artifacts

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

// Reference is the manifest's documentation in Markdown, made from the same
// types as the loader.
func Reference() []byte {
	r := &referenceMaker{named: map[reflect.Type]string{}}
	r.b.WriteString(referenceHead)
	r.visit(reflect.TypeFor[Manifest](), "")
	for i := 0; i < len(r.queue); i++ {
		r.section(r.queue[i])
	}
	r.b.WriteString(referenceTail)
	return []byte(r.b.String())
}

type referenceMaker struct {
	b     strings.Builder
	named map[reflect.Type]string // type to its heading
	queue []visited
}

type visited struct {
	t     reflect.Type
	path  string
	title string
}

// visit queues a section on type t, unless it has one, and gives its heading:
// the type's name in words and, where two have the same, the part of the
// manifest it belongs to.
func (r *referenceMaker) visit(t reflect.Type, path string) string {
	if r.named[t] == "" {
		title := t.Name()[:1] + capital.ReplaceAllStringFunc(t.Name()[1:], func(s string) string { return " " + strings.ToLower(s) })
		for _, v := range r.queue {
			if v.title == title {
				part, _, _ := strings.Cut(path, ".")
				title += " of " + part
			}
		}
		r.named[t] = title
		r.queue = append(r.queue, visited{t, path, title})
	}
	return r.named[t]
}

// capital finds the beginning of a word within a type's name.
var capital = regexp.MustCompile(`[A-Z][a-z]`)

// anchor is the fragment that renderers give a heading.
func anchor(heading string) string {
	return strings.ToLower(strings.ReplaceAll(heading, " ", "-"))
}

func (r *referenceMaker) section(v visited) {
	s := shapeOf(v.t)
	fmt.Fprintf(&r.b, "\n## %s\n\n", v.title)
	if v.path != "" {
		fmt.Fprintf(&r.b, "At `%s`.", v.path)
	}
	switch {
	case s.groups > 0 && s.shorthand != nil:
		fmt.Fprintf(&r.b, " Takes exactly one of its keys. A bare value stands for `%s`.\n\n", s.shorthand.name)
	case s.groups > 0:
		r.b.WriteString(" Takes exactly one of its keys.\n\n")
	case v.path != "":
		r.b.WriteString("\n\n")
	}
	if s.scalar != nil || s.list != nil {
		for _, f := range []*field{s.scalar, s.list} {
			if f != nil {
				fmt.Fprintf(&r.b, "- %s: %s\n", r.kind(f.typ, *f, v.path), f.doc)
			}
		}
		return
	}
	r.b.WriteString("| key | value | meaning |\n|---|---|---|\n")
	row := func(name string, f field, kind string) {
		doc := f.doc
		if f.enum != nil {
			doc += "; one of `" + strings.Join(f.enum, "`, `") + "`"
		}
		if f.required {
			name += " (required)"
		}
		fmt.Fprintf(&r.b, "| %s | %s | %s |\n", name, kind, strings.ReplaceAll(doc, "|", `\|`))
	}
	for _, f := range s.fields {
		row("`"+f.name+"`", f, r.kind(f.typ, f, childPath(v.path, f.name)))
	}
	if s.rest != nil {
		row("any other name", *s.rest, r.kind(s.rest.typ.Elem(), field{}, childPath(v.path, "NAME")))
	}
}

// kind says what a value of the type looks like.
func (r *referenceMaker) kind(t reflect.Type, f field, path string) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return r.kind(t.Elem(), f, path)
	case t.Kind() == reflect.Interface:
		return "text, number, truth value, or a list of them"
	case isText(t):
		return strings.ToLower(t.Name())
	}
	switch t.Kind() {
	case reflect.Struct:
		title := r.visit(t, path)
		return fmt.Sprintf("[%s](#%s)", title, anchor(title))
	case reflect.Map:
		key := "name"
		if f.keys != "" && alternatives(f.keys) != nil {
			key = "`" + strings.Join(alternatives(f.keys), "`/`") + "`"
		}
		return fmt.Sprintf("mapping of %s to %s", key, r.kind(t.Elem(), field{}, path+".NAME"))
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Interface {
			return "list of texts, numbers or truth values"
		}
		return "list of " + r.kind(t.Elem(), field{keys: f.keys}, path+"[]")
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "`true` or `false`"
	case reflect.Float32, reflect.Float64:
		return "number"
	}
	return "whole number"
}

const referenceHead = `# Manifest reference

An artifact is described by one file, ` + "`artifact.yaml`" + `. ` + "`reprise init DIR`" + ` writes
one to start from, ` + "`reprise lint`" + ` says what is wrong with one, and
` + "`reprise schema`" + ` prints its JSON Schema for editors. This page is printed by
` + "`reprise schema --format markdown`" + `.

A file is one YAML document in UTF-8 of at most 1 MiB. Keys that the format does
not know are mistakes. Anchors, aliases and merges (` + "`<<`" + `) may be used.
`

const referenceTail = `
## Scalars

A **duration** is a number and a unit, ` + "`ms`, `s`, `m` or `h`" + `, or several of them:
` + "`20s`, `8m`, `1h30m`" + `.

A **size** is a number of bytes with a unit: ` + "`kB`, `MB`, `GB`, `TB`" + ` are powers of
1000, ` + "`KiB`, `MiB`, `GiB`, `TiB`" + ` of 1024.

A **quantity** is a number with any unit: ` + "`62%`, `5pp`, `178.7us`, `1.5x`, `12MiB`" + `.

A **text** that YAML reads as a truth value (` + "`true`" + `) must be quoted.

## Parameters

Every point of the matrix gives each parameter one value. The axes of the matrix
become labels of the observations; what a profile gives with ` + "`with`" + ` does not,
except that

- a value or list under an axis' name replaces that axis,
- ` + "`seeds: [1, 2, 3]`" + ` makes the axis ` + "`seed`" + `.

` + "`--param name=value`" + ` overrides both; commas make a list, and a list for a
parameter that takes a single value makes it an axis. Axes vary in the order of
the file, the last fastest; ` + "`seed`" + ` always comes last. Where a built-in experiment
takes a number, ` + "`50k` and `1M`" + ` serve. A matrix has at most 250,000 points
before exclusions.

## Conditions

` + "```" + `
expr   = and { "||" and }
and    = unary { "&&" unary }
unary  = "!" unary | "(" expr ")" | test
test   = axis ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) value
       | axis [ "not" ] "in" "[" value { "," value } "]"
` + "```" + `

Quantities compare as numbers: ` + "`1% < 10%`, `50k == 50000`, `1% == 0.01`" + `. Other
values compare as texts; quote one that holds more than letters, digits and
` + "`_ . % + - / : @`" + `. A condition that names an axis which a profile does not have
excludes nothing in that profile.
`
