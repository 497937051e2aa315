package xmlform

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"herald/problem"
)

// Decoder reads one XML document. It never holds more than the document.
type Decoder struct {
	xml      *xml.Decoder
	maxDepth int
}

// NewDecoder reads data, refusing elements nested deeper than maxDepth.
func NewDecoder(data []byte, maxDepth int) *Decoder {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	return &Decoder{xml: xml.NewDecoder(bytes.NewReader(data)), maxDepth: maxDepth}
}

// NewReader reads from r, which has no byte order mark, and holds no more of it
// than the value that is being read. It reads an io.ByteReader byte by byte and
// not beyond what it needs.
func NewReader(r io.Reader, maxDepth int) *Decoder {
	return &Decoder{xml: xml.NewDecoder(r), maxDepth: maxDepth}
}

// ToJSON is the JSON of an XML document whose root element is the value; the
// root's name is not looked at. It returns a problem: Malformed with the line
// where the document cannot be read, Invalid with fields where an element
// cannot be what it says it is.
func ToJSON(data []byte, hint Hint, maxDepth int) ([]byte, error) {
	d := NewDecoder(data, maxDepth)
	root, err := d.Root()
	if err != nil {
		return nil, err
	}
	value, mistakes, err := d.Value(root, hint)
	if err != nil {
		return nil, err
	}
	if err := d.End(); err != nil {
		return nil, err
	}
	if err := mistakes.Err("some elements cannot be read"); err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

// Root is the start of the document's only element.
func (d *Decoder) Root() (xml.StartElement, error) {
	for first := true; ; first = false {
		token, err := d.token(first)
		if err != nil {
			return xml.StartElement{}, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			return t, nil
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return xml.StartElement{}, d.malformed("text outside of an element")
			}
		case nil:
			return xml.StartElement{}, d.malformed("there is no element")
		}
	}
}

// Child is the next child element, or nil at the end of the element it is in.
// Text between children is a mistake of the document.
func (d *Decoder) Child() (*xml.StartElement, error) {
	for {
		token, err := d.token(false)
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			return &t, nil
		case xml.EndElement:
			return nil, nil //nolint:nilnil // the end is no error
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return nil, d.malformed("text between elements")
			}
		case nil:
			return nil, d.malformed("the document ends too early")
		}
	}
}

// End makes sure that nothing follows the root element.
func (d *Decoder) End() error {
	for {
		token, err := d.token(false)
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case nil:
			return nil
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return d.malformed("text after the root element")
			}
		default:
			return d.malformed("something follows the root element")
		}
	}
}

// Line is where the decoder stands, from 1.
func (d *Decoder) Line() int {
	line, _ := d.xml.InputPos()
	return line
}

// Value reads an element whose start has been read, to its end: a string,
// json.Number, bool, nil, []any or map[string]any. What cannot be what it
// says it is comes back as mistakes; an error is a document that cannot be
// read on.
func (d *Decoder) Value(start xml.StartElement, hint Hint) (any, problem.Fields, error) {
	r := reading{Decoder: d}
	value, err := r.value(start, hint, "", 1)
	return value, r.mistakes, err
}

// token is the next token that means something; nil at the end of the document.
func (d *Decoder) token(prolog bool) (xml.Token, error) {
	for {
		token, err := d.xml.Token()
		if errors.Is(err, io.EOF) {
			return nil, nil //nolint:nilnil // the end is no error
		}
		if err != nil {
			return nil, d.broken(err)
		}
		switch t := token.(type) {
		case xml.Comment:
		case xml.Directive:
			return nil, d.malformed("document type declarations are not allowed")
		case xml.ProcInst:
			if !prolog || t.Target != "xml" {
				return nil, d.malformed("processing instructions are not allowed")
			}
		default:
			return token, nil
		}
		prolog = false
	}
}

func (d *Decoder) broken(err error) error {
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		return malformedAt(syntax.Line, syntax.Msg)
	}
	return d.malformed(strings.TrimPrefix(err.Error(), "xml: "))
}

func (d *Decoder) malformed(message string) error { return malformedAt(d.Line(), message) }

func malformedAt(line int, message string) error {
	return &problem.Error{
		Code:    problem.Malformed,
		Message: fmt.Sprintf("the XML cannot be read: line %d: %s", line, message),
		Fields: []problem.Field{{
			Path: "", Rule: "xml", Message: fmt.Sprintf("line %d: %s", line, message), Args: map[string]any{"line": line},
		}},
	}
}

// reading is one value being read.
type reading struct {
	*Decoder
	mistakes problem.Fields
}

// content is what an element holds, before it is known what that means.
type content struct {
	text     strings.Builder
	members  map[string]any
	items    []any
	children int
}

func (r *reading) value(start xml.StartElement, hint Hint, path string, depth int) (any, error) {
	if depth > r.maxDepth {
		return nil, r.malformed(fmt.Sprintf("elements are nested deeper than %d", r.maxDepth))
	}
	declared := r.declared(start, path)
	kind := declared
	if kind == Any {
		kind = hint.Type()
	}
	var c content
	for {
		token, err := r.token(false)
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case nil:
			return nil, r.malformed("the document ends too early")
		case xml.CharData:
			c.text.Write(t)
		case xml.EndElement:
			return r.finish(&c, kind, declared != Any, path), nil
		case xml.StartElement:
			if kind == Any {
				kind = Object
				if t.Name.Local == "item" {
					kind = Array
				}
			}
			if err := r.child(&c, t, kind, hint, path, depth); err != nil {
				return nil, err
			}
		}
	}
}

// child reads one child element of an array or an object into c.
func (r *reading) child(c *content, t xml.StartElement, kind Type, hint Hint, path string, depth int) error {
	c.children++
	if kind == Array {
		at := path + "[" + strconv.Itoa(len(c.items)) + "]"
		if t.Name.Local != "item" {
			r.mistake(at, "item", "an array's elements are called item, not "+t.Name.Local)
		}
		value, err := r.value(t, hint.Item(), at, depth+1)
		c.items = append(c.items, value)
		return err
	}
	name := memberName(t)
	at := name
	if path != "" {
		at = path + "." + name
	}
	value, err := r.value(t, hint.Member(name), at, depth+1)
	if err != nil {
		return err
	}
	if c.members == nil {
		c.members = map[string]any{}
	}
	if _, twice := c.members[name]; twice {
		r.mistake(at, "once", "is there more than once")
	}
	c.members[name] = value
	return nil
}

// memberName is an element's name in JSON: its own, or the name attribute of an <entry>.
func memberName(t xml.StartElement) string {
	if t.Name.Local == "entry" {
		for _, a := range t.Attr {
			if a.Name.Space == "" && a.Name.Local == "name" {
				return a.Value
			}
		}
	}
	return t.Name.Local
}

// finish makes the value of an element whose end has come. A number or a
// boolean that is none stays text where only the hint asked for one: what
// checks the JSON says so, in its own words.
func (r *reading) finish(c *content, kind Type, declared bool, path string) any {
	text := c.text.String()
	trimmed := strings.TrimSpace(text)
	if c.children > 0 {
		return r.container(c, kind, trimmed, path)
	}
	switch {
	case kind == Number && validNumber(trimmed):
		return json.Number(trimmed)
	case kind == Boolean && (trimmed == "true" || trimmed == "1"):
		return true
	case kind == Boolean && (trimmed == "false" || trimmed == "0"):
		return false
	case kind == Null && trimmed == "":
		return nil
	case kind == Array && trimmed == "":
		return []any{}
	case kind == Object && trimmed == "":
		return map[string]any{}
	}
	if declared && kind != String {
		r.mistake(path, "type", "is not a "+string(kind))
	}
	return text
}

func (r *reading) container(c *content, kind Type, text, path string) any {
	if text != "" {
		r.mistake(path, "mixed", "has text between its elements")
	}
	switch kind {
	case Array:
		return c.items
	case Object:
	default:
		r.mistake(path, "type", "has elements in it where a "+string(kind)+" is expected")
	}
	return c.members
}

// declared is what the element's attributes say that it is.
func (r *reading) declared(start xml.StartElement, path string) Type {
	declared := Any
	for _, a := range start.Attr {
		switch {
		case a.Name.Space == "xmlns" || a.Name.Local == "xmlns":
		case a.Name.Local == "type" && (a.Name.Space == "" || a.Name.Space == schemaInstance):
			name := a.Value[strings.IndexByte(a.Value, ':')+1:]
			kind, ok := typeNames[name]
			if !ok {
				r.mistake(path, "type", fmt.Sprintf("the type %q is not known", a.Value))
			}
			declared = kind
		case a.Name.Space == schemaInstance && a.Name.Local == "nil":
			if a.Value == "true" || a.Value == "1" {
				declared = Null
			}
		case a.Name.Space == schemaInstance:
		case a.Name.Space == "" && a.Name.Local == "name" && start.Name.Local == "entry":
		default:
			r.mistake(path, "attribute", fmt.Sprintf("the attribute %q is not known", a.Name.Local))
		}
	}
	return declared
}

// maxMistakes is how many mistakes of one value are noted: who makes more is
// not helped by a longer list.
const maxMistakes = 50

func (r *reading) mistake(path, rule, message string) {
	if len(r.mistakes) == maxMistakes {
		return
	}
	r.mistakes.Add(path, rule, "line %d: %s", r.Line(), message)
}

// validNumber reports whether s is a number by JSON's grammar (RFC 8259, section 6).
func validNumber(s string) bool {
	return s != "" && s[0] != '"' && s[0] != '{' && s[0] != '[' && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') && json.Valid([]byte(s))
}
