package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
)

// field is one setting, as its struct tags describe it.
type field struct {
	path   string // "http.listen"
	help   string
	secret bool
	typ    reflect.Type
}

// variable is the environment variable that sets the field.
func (f field) variable() string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(f.path, ".", "_"))
}

// parse reads a variable's value as the field's type.
func (f field) parse(value string) (any, error) {
	target := reflect.New(f.typ)
	if f.typ.Kind() == reflect.String {
		return value, nil
	}
	if err := yaml.UnmarshalWithOptions([]byte(value), target.Interface(), yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%q is not a %s for %s", value, kindInWords(f.typ), f.path)
	}
	// Lists of accounts go through as plain maps, like those of the file.
	if f.typ.Kind() == reflect.Slice && f.typ.Elem().Kind() == reflect.Struct {
		var plain []any
		err := yaml.Unmarshal([]byte(value), &plain)
		return plain, err
	}
	return target.Elem().Interface(), nil
}

func kindInWords(t reflect.Type) string {
	switch {
	case t.String() == "time.Duration":
		return `duration such as "30s"`
	case t.Kind() == reflect.Int, t.Kind() == reflect.Uint32, t.Kind() == reflect.Uint8:
		return "whole number"
	case t.Kind() == reflect.Float64:
		return "number"
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Map:
		return "group of settings"
	default:
		return t.String()
	}
}

// fields lists every setting that has a path of its own, in the struct's order.
func fields() []field {
	var list []field
	walk("", reflect.TypeFor[Config](), func(f field) { list = append(list, f) })
	return list
}

func walk(prefix string, t reflect.Type, visit func(field)) {
	for i := range t.NumField() {
		sf := t.Field(i)
		path := sf.Tag.Get("yaml")
		if prefix != "" {
			path = prefix + "." + path
		}
		if sf.Type.Kind() == reflect.Struct {
			walk(path, sf.Type, visit)
			continue
		}
		visit(field{path: path, help: sf.Tag.Get("help"), secret: sf.Tag.Get("secret") != "", typ: sf.Type})
	}
}
