package page

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"herald/problem"
)

// Form is what was entered and what is wrong with it. An input's name is the
// path by which problems name it ("params.target"), so that each finds its field.
type Form struct {
	Values url.Values
	// Summary says what is wrong with the form as a whole, worded.
	Summary string
	faults  map[string][]string // worded, by field name
	order   []string            // the names with faults, as they came
	labels  map[string]string   // of the fields that the page has
	shown   []string            // their names, as they stand on the page
	locale  *Locale
}

// NewForm is a form with values filled in, for its first showing.
func (l *Locale) NewForm(values url.Values) *Form {
	if values == nil {
		values = url.Values{}
	}
	return &Form{Values: values, locale: l, faults: map[string][]string{}, labels: map[string]string{}}
}

// Get is the first value entered for a field, without blanks around it.
func (f *Form) Get(name string) string { return strings.TrimSpace(f.Values.Get(name)) }

// Has reports whether a value of a field was chosen, as of a checkbox.
func (f *Form) Has(name, value string) bool { return slices.Contains(f.Values[name], value) }

// Checked reports whether a checkbox was ticked. Its last value counts: the
// box of the template "field" is preceded by a hidden "false".
func (f *Form) Checked(name string) bool { return last(f.Values[name]) == "true" }

func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// Refuse records a mistake at a field by the rule that it breaks: the wording
// is rule.<rule>.
func (f *Form) Refuse(name, rule string, pairs ...any) {
	f.fault(name, f.locale.T("rule."+rule, pairs...))
}

func (f *Form) fault(name, text string) {
	if len(f.faults[name]) == 0 {
		f.order = append(f.order, name)
	}
	f.faults[name] = append(f.faults[name], text)
}

// Failed reports whether anything is wrong.
func (f *Form) Failed() bool { return f.Summary != "" || len(f.faults) > 0 }

// Faults are the mistakes at fields for the summary above the form: in the
// order of the page, then those of fields that the page does not have.
func (f *Form) Faults() []Fault {
	var out []Fault
	for _, name := range f.faulty() {
		for _, text := range f.faults[name] {
			out = append(out, Fault{Name: name, Label: f.labels[name], Text: text})
		}
	}
	return out
}

// faulty are the names of the fields with mistakes, in the order of Faults.
func (f *Form) faulty() []string {
	var names []string
	for _, name := range f.shown {
		if len(f.faults[name]) > 0 {
			names = append(names, name)
		}
	}
	for _, name := range f.order {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Fault is a mistake at a field, worded. Label is empty when the page does not
// have the field.
type Fault struct{ Name, Label, Text string }

// ID is the id of the field's input.
func (f Fault) ID() string { return fieldID(f.Name) }

// Blame records what a store said is wrong with what was entered. An error
// that the reader cannot mend here is returned.
func (f *Form) Blame(err error) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return err
	}
	switch p.Code {
	case problem.Invalid, problem.Conflict:
	case problem.Throttled:
		f.Summary = f.locale.T("form.throttled", "after", f.locale.Duration(p.After))
		return nil
	case problem.Unauthorized:
		f.Summary = f.locale.T("form.unauthorized")
		return nil
	default:
		return err
	}
	for _, field := range p.Fields {
		f.fault(field.Path, f.locale.Rule(field))
	}
	if len(p.Fields) == 0 {
		f.Summary = f.locale.Word("form.problem", p.Code)
	}
	return nil
}

// Rule words a broken rule by rule.<rule>, or rule.<rule>.<type> where there
// is wording for its Args' type. One of the Args may be a broken rule itself,
// and is worded likewise. What has no wording is told by its English message.
func (l *Locale) Rule(field problem.Field) string {
	key := "rule." + field.Rule
	if variant := fmt.Sprintf("%s.%v", key, field.Args["type"]); l.Has(variant) {
		key = variant
	}
	pairs := []any{"path", field.Path}
	for name, value := range field.Args {
		if reason, is := value.(problem.Field); is {
			value = l.Rule(reason)
		}
		if f, ok := figure(value); ok {
			value = l.Number(f)
		}
		// "max_len" is called so by some rules and "max" by others.
		pairs = append(pairs, name, value, strings.TrimSuffix(name, "_len"), value)
	}
	if s := l.T(key, pairs...); s != key {
		return s
	}
	return field.Message
}

// Field is one labelled input, for the template "field".
type Field struct {
	ID, Name, Label, Help string
	Type                  string // text, password, email, tel, number, date, datetime-local, select, radio, checkbox, checks, textarea
	Value                 string
	Values                []string // those chosen, where there may be several
	Faults                []string
	Options               []Choice
	Unit                  string // shown beside the input
	Optional              bool   // said beside the label; anything else is required
	Autofocus             bool
	Attrs                 []Attr // further attributes: autocomplete, inputmode, min, max, step, maxlength …
}

// Attr is an attribute of an input.
type Attr struct{ Name, Value string }

// Choice is one of the options of a field.
type Choice struct{ Value, Label string }

// Chosen reports whether an option is chosen.
func (f Field) Chosen(value string) bool {
	if len(f.Values) > 0 {
		return slices.Contains(f.Values, value)
	}
	return f.Value == value
}

// Ticked reports whether a checkbox is ticked.
func (f Field) Ticked() bool { return last(f.Values) == "true" }

// DescribedBy names the elements that explain the input, for aria-describedby.
func (f Field) DescribedBy() string {
	var ids []string
	if len(f.Faults) > 0 {
		ids = append(ids, f.ID+"-fault")
	}
	if f.Help != "" {
		ids = append(ids, f.ID+"-help")
	}
	return strings.Join(ids, " ")
}

// Input makes a field of the form. The first field with a mistake takes the
// focus.
func (f *Form) Input(name, label string) Field {
	if f.labels[name] == "" {
		f.shown = append(f.shown, name)
	}
	f.labels[name] = label
	field := Field{
		ID: fieldID(name), Name: name, Label: label, Type: "text",
		Value: f.Values.Get(name), Values: f.Values[name], Faults: f.faults[name],
	}
	faulty := f.faulty()
	field.Autofocus = len(faulty) > 0 && faulty[0] == name
	return field
}

func fieldID(name string) string {
	return "f-" + strings.NewReplacer(".", "-", "[", "-", "]", "").Replace(name)
}

// field makes a field in a template: the form, the input's name, the key of
// its label, and then names and values: "type", "help" (worded), "options"
// ([]Choice), "unit", "optional" (true), or an attribute of the input.
// Wording at <key>.help is the help where none is given.
func (l *Locale) field(f *Form, name, key string, pairs ...any) (Field, error) {
	if len(pairs)%2 != 0 {
		return Field{}, errors.New("field wants names and values in pairs")
	}
	field := f.Input(name, l.T(key))
	if l.Has(key + ".help") {
		field.Help = l.T(key + ".help")
	}
	for i := 0; i < len(pairs); i += 2 {
		switch option := fmt.Sprint(pairs[i]); option {
		case "type":
			field.Type = fmt.Sprint(pairs[i+1])
		case "help":
			field.Help = fmt.Sprint(pairs[i+1])
		case "unit":
			field.Unit = fmt.Sprint(pairs[i+1])
		case "optional":
			field.Optional = pairs[i+1] == true
		case "options":
			choices, ok := pairs[i+1].([]Choice)
			if !ok {
				return Field{}, fmt.Errorf("field %s: options are %T, not []page.Choice", name, pairs[i+1])
			}
			field.Options = choices
		default:
			field.Attrs = append(field.Attrs, Attr{option, fmt.Sprint(pairs[i+1])})
		}
	}
	return field, nil
}
