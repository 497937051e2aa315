package xmlform

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
)

// Form is how Write names things.
type Form struct {
	Root      string // the root element, such as "member"
	Namespace string // the root's namespace; empty: none
	Item      string // the element of an array; empty: "item"
	// Untyped leaves the type attributes out, for documents whose elements
	// another standard defines. They cannot be read back without a Hint.
	Untyped bool
}

// Write writes a JSON document as XML. What XML cannot carry in text
// (control characters) becomes U+FFFD.
func Write(w io.Writer, document []byte, form Form) error {
	if form.Item == "" {
		form.Item = "item"
	}
	out := writing{w: bufio.NewWriter(w), in: json.NewDecoder(bytes.NewReader(document)), form: form}
	out.in.UseNumber()
	out.raw(xml.Header)
	if err := out.value("<"+form.Root+namespace(form.Namespace), form.Root); err != nil {
		return fmt.Errorf("write %s as xml: %w", form.Root, err)
	}
	return out.w.Flush()
}

func namespace(uri string) string {
	if uri == "" {
		return ""
	}
	return ` xmlns="` + uri + `"`
}

// writing is one document being written; the first error of w stays in it and
// is returned by Flush.
type writing struct {
	w    *bufio.Writer
	in   *json.Decoder
	form Form
}

func (o *writing) raw(s string) { _, _ = o.w.WriteString(s) }

func (o *writing) text(s string) { _ = xml.EscapeText(o.w, []byte(s)) }

// value writes the next value: open is its start tag without the closing
// bracket, name its element.
func (o *writing) value(open, name string) error {
	token, err := o.in.Token()
	if err != nil {
		return err
	}
	o.raw(open)
	switch t := token.(type) {
	case json.Delim:
		if t == '[' {
			o.start(Array)
			err = o.array()
		} else {
			kind := String // an object with members shows what it is
			if !o.in.More() {
				kind = Object
			}
			o.start(kind)
			err = o.object()
		}
	case string:
		o.start(String)
		o.text(t)
	case json.Number:
		o.start(Number)
		o.raw(t.String())
	case bool:
		o.start(Boolean)
		o.raw(fmt.Sprint(t))
	case nil:
		o.start(Null)
	}
	o.raw("</" + name + ">")
	return err
}

// start closes a start tag, with the type where it is not a string.
func (o *writing) start(kind Type) {
	if kind != String && !o.form.Untyped {
		o.raw(` type="` + string(kind) + `"`)
	}
	o.raw(">")
}

func (o *writing) array() error {
	for o.in.More() {
		if err := o.value("<"+o.form.Item, o.form.Item); err != nil {
			return err
		}
	}
	_, err := o.in.Token()
	return err
}

func (o *writing) object() error {
	for o.in.More() {
		token, err := o.in.Token()
		if err != nil {
			return err
		}
		member, _ := token.(string)
		open, name := "<"+member, member
		if !plainName(member) {
			var escaped bytes.Buffer
			_ = xml.EscapeText(&escaped, []byte(member))
			open, name = `<entry name="`+escaped.String()+`"`, "entry"
		}
		if err := o.value(open, name); err != nil {
			return err
		}
	}
	_, err := o.in.Token()
	return err
}

// plainName reports whether a member's name can be an element's: ASCII
// letters, digits, "_", "-" and ".", not beginning with a digit, "-", "." or
// "xml" (which XML 1.0, section 2.3, keeps for itself), and not one of ours.
func plainName(s string) bool {
	if s == "" || s == "item" || s == "entry" {
		return false
	}
	if len(s) >= 3 && (s[0]|0x20) == 'x' && (s[1]|0x20) == 'm' && (s[2]|0x20) == 'l' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c != '-' && c != '.' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}
