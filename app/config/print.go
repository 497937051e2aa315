package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
)

// hidden stands where a secret would be shown.
const hidden = "(hidden)"

// Print writes the effective configuration as YAML, secrets hidden.
func (c Config) Print(w io.Writer) error {
	out, err := yaml.Marshal(hide(reflect.ValueOf(c)).Interface())
	if err != nil {
		return fmt.Errorf("cannot write the configuration: %w", err)
	}
	_, err = w.Write(out)
	return err
}

// hide is a copy of a struct with every secret that is set replaced.
func hide(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	for i := range c.NumField() {
		f, tag := c.Field(i), c.Type().Field(i).Tag
		switch {
		case tag.Get("secret") != "" && f.Kind() == reflect.Map:
			f.Set(hideAll(f))
		case tag.Get("secret") != "" && !f.IsZero():
			f.SetString(hidden)
		case f.Kind() == reflect.Struct:
			f.Set(hide(f))
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			list := reflect.MakeSlice(f.Type(), 0, f.Len())
			for j := range f.Len() {
				list = reflect.Append(list, hide(f.Index(j)))
			}
			f.Set(list)
		}
	}
	return c
}

// hideAll is a copy of a map of secrets with each replaced.
func hideAll(secrets reflect.Value) reflect.Value {
	if secrets.IsNil() {
		return secrets
	}
	names := map[string]string{}
	for _, name := range secrets.MapKeys() {
		names[name.String()] = hidden
	}
	return reflect.ValueOf(names)
}

// Example writes a configuration file with every setting, its meaning, its
// default and its variable, all commented out.
func Example(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Herald's configuration. Every line that is commented out shows a default;\n")
	b.WriteString("# each setting can also be given as the variable named beside it.\n")
	example(&b, reflect.ValueOf(Default()), "", "")
	_, err := io.WriteString(w, b.String())
	return err
}

func example(b *strings.Builder, v reflect.Value, prefix, indent string) {
	for i := range v.NumField() {
		sf, fv := v.Type().Field(i), v.Field(i)
		name := sf.Tag.Get("yaml")
		if fv.Kind() == reflect.Struct {
			fmt.Fprintf(b, "\n%s%s:\n", indent, name)
			example(b, fv, prefix+name+".", indent+"  ")
			continue
		}
		fmt.Fprintf(b, "\n%s# %s\n", indent, sf.Tag.Get("help"))
		fmt.Fprintf(b, "%s# %s\n", indent, field{path: prefix + name}.variable())
		if fv.Kind() == reflect.Slice && fv.Type().Elem().Kind() == reflect.Struct {
			exampleList(b, fv.Type().Elem(), name, indent)
			continue
		}
		fmt.Fprintf(b, "%s# %s: %s\n", indent, name, literal(fv))
	}
}

// exampleList shows one commented item of a list of structs.
func exampleList(b *strings.Builder, item reflect.Type, name, indent string) {
	fmt.Fprintf(b, "%s# %s:\n", indent, name)
	exampleFields(b, exampleItem(item), indent+"#   ", "- ", 28)
}

// exampleFields shows the settings of an item, the first of them after lead
// and the others below it; what is a group of settings goes a step inwards.
func exampleFields(b *strings.Builder, item reflect.Value, indent, lead string, width int) {
	for i := range item.NumField() {
		sf := item.Type().Field(i)
		if sf.Anonymous { // its settings stand among the others
			exampleFields(b, item.Field(i), indent, lead, width)
			continue
		}
		group := sf.Type.Kind() == reflect.Struct
		line := sf.Tag.Get("yaml") + ":"
		if !group {
			line += " " + literal(item.Field(i))
		}
		fmt.Fprintf(b, "%s%s%-*s # %s\n", indent, lead, width, line, sf.Tag.Get("help"))
		lead = strings.Repeat(" ", len(lead))
		if group {
			exampleFields(b, item.Field(i), indent+lead+"  ", "", width-2)
		}
	}
}

// literal is a value on one line of YAML.
func literal(v reflect.Value) string {
	out, err := yaml.MarshalWithOptions(v.Interface(), yaml.Flow(true))
	if err != nil {
		return fmt.Sprint(v.Interface())
	}
	return strings.TrimSpace(string(out))
}
