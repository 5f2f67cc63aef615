package emulator

import (
	"errors"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// LoadFEMU reads a device description in YAML under FEMU's property names;
// what it leaves out keeps its value in base.
func LoadFEMU(r io.Reader, base FEMUConfig) (FEMUConfig, error) {
	err := decode(r, &base)
	return base, err
}

// decode reads one YAML mapping into a struct and refuses keys it does not have.
func decode(r io.Reader, into any) error {
	dec := yaml.NewDecoder(r)
	dec.KnownFields(true)
	err := dec.Decode(into)
	if errors.Is(err, io.EOF) {
		return nil // an empty file changes nothing
	}
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		for i, e := range typed.Errors {
			if at, field, ok := strings.Cut(e, ": field "); ok {
				field, _, _ = strings.Cut(field, " not found")
				typed.Errors[i] = at + ": there is no property " + field + "; known are " + strings.Join(propertyNames(reflect.TypeOf(into).Elem()), ", ")
			}
		}
		return errors.New(strings.Join(typed.Errors, "; "))
	}
	return err
}

func propertyNames(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			names = append(names, propertyNames(f.Type)...)
			continue
		}
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}
