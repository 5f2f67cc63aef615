package checks

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// findings is the first thing that is wrong with a check, by its tags and its
// Validate method; nil if nothing is. The loader of manifests reports all of
// them with their places; this keeps claims made in Go from being decided on
// keys that mean nothing.
func findings(k kind) error {
	if err := tagFinding(reflect.ValueOf(k).Elem(), ""); err != nil {
		return err
	}
	var first error
	k.Validate(func(path, message, _ string) {
		if first == nil {
			first = fmt.Errorf("%s: %s", path, message)
		}
	})
	return first
}

// tagFinding checks the tags required, enum and oneof of a struct.
func tagFinding(v reflect.Value, at string) error {
	given, oneof := 0, false
	for field, value := range v.Fields() {
		if field.Name == "_" {
			oneof = oneof || field.Tag.Get("oneof") == "true"
			continue
		}
		key, option, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		path := at + key
		if !value.IsZero() {
			given++
		} else if field.Tag.Get("required") == "true" {
			return fmt.Errorf("%s is missing", path)
		}
		if enum := field.Tag.Get("enum"); enum != "" && !value.IsZero() && !slices.Contains(strings.Split(enum, ","), value.String()) {
			return fmt.Errorf("%s: %q is not one of %s", path, value.String(), strings.ReplaceAll(enum, ",", ", "))
		}
		if value.Kind() == reflect.Pointer && !value.IsNil() {
			value = value.Elem()
		}
		if value.Kind() == reflect.Struct && value.Type() != reflect.TypeFor[Quantity]() {
			inner := path + "."
			if option == "inline" {
				inner = at
			}
			if err := tagFinding(value, inner); err != nil {
				return err
			}
		}
	}
	if oneof && given != 1 {
		return fmt.Errorf("%s takes exactly one of its keys, not %d", strings.TrimSuffix(at, "."), given)
	}
	return nil
}
