package eventform

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"

	"herald/jsontext"
	"herald/problem"
	"herald/xmlform"
)

// Namespace is that of the XML event format's working draft. A document
// without a namespace is taken too.
const Namespace = "http://cloudevents.io/xmlformat/V1"

// Types are the types of an event's attributes by its type, from the triggers
// that listen to it: what an XML element is that does not say it. An unknown
// event type has none.
type Types func(eventType string) xmlform.Members

// XML reads an <event>, or a <batch> of them (application/cloudevents+xml);
// batch says which it was.
func XML(body []byte, types Types, l Limits) (items []Item, batch bool, err error) {
	d := xmlform.NewDecoder(body, l.Depth)
	root, err := d.Root()
	if err != nil {
		return nil, false, err
	}
	if err := checkNamespace(d, root); err != nil {
		return nil, false, err
	}
	switch root.Name.Local {
	case "event":
		item, err := readXMLEvent(d, root, types, l)
		if err != nil {
			return nil, false, err
		}
		items = []Item{item}
	case "batch":
		if items, err = readXMLBatch(d, types, l); err != nil {
			return nil, true, err
		}
	default:
		return nil, false, jsontext.Malformed(d.Line(), 0, "the document is neither an <event> nor a <batch>")
	}
	return items, root.Name.Local == "batch", d.End()
}

func checkNamespace(d *xmlform.Decoder, root xml.StartElement) error {
	if root.Name.Space != "" && root.Name.Space != Namespace {
		return jsontext.Malformed(d.Line(), 0, fmt.Sprintf("the namespace %q is not that of events, %q", root.Name.Space, Namespace))
	}
	return nil
}

func readXMLBatch(d *xmlform.Decoder, types Types, l Limits) ([]Item, error) {
	var items []Item
	for {
		start, err := d.Child()
		if err != nil || start == nil {
			return items, err
		}
		if err := checkEvent(d, *start); err != nil {
			return nil, err
		}
		if len(items) == l.Batch {
			return nil, tooMany(l)
		}
		item, err := readXMLEvent(d, *start, types, l)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
}

func checkEvent(d *xmlform.Decoder, start xml.StartElement) error {
	if start.Name.Local != "event" {
		return jsontext.Malformed(d.Line(), 0, "a <batch> holds <event> elements, not <"+start.Name.Local+">")
	}
	return nil
}

// readXMLEvent reads an <event> whose start has been read. Its data may come
// before its type; so that the type is known, data is read as text first and
// its leaves are given their types after.
func readXMLEvent(d *xmlform.Decoder, start xml.StartElement, types Types, l Limits) (Item, error) {
	e := xmlEvent{Decoder: d, line: d.Line()}
	for _, a := range start.Attr {
		if a.Name.Space == "" && a.Name.Local == "specversion" {
			e.SpecVersion = a.Value
		}
	}
	for {
		child, err := d.Child()
		if err != nil {
			return Item{}, err
		}
		if child == nil {
			break
		}
		if err := e.child(*child); err != nil {
			return Item{}, err
		}
	}
	event, f := e.event(l)
	f = append(f, e.mistakes...)
	event.Data = e.readData(types(event.Type), &f, l)
	if len(f) > 0 {
		item := refused(event, f)
		item.Line = e.line
		return item, nil
	}
	return Item{Event: event, Line: e.line}, nil
}

// xmlEvent is an <event> while it is read.
type xmlEvent struct {
	*xmlform.Decoder
	attributes
	line     int
	data     any
	dataType string // xsi:type of <data>, without its prefix
	mistakes problem.Fields
	seen     map[string]bool
}

func (e *xmlEvent) child(start xml.StartElement) error {
	name := start.Name.Local
	if e.seen == nil {
		e.seen = map[string]bool{}
	}
	if e.seen[name] {
		e.mistakes.Add(name, "once", "line %d: %s is there more than once", e.Line(), name)
	}
	e.seen[name] = true
	if name == "data" {
		return e.readDataElement(start)
	}
	value, mistakes, err := e.Value(start, xmlform.Scalar(xmlform.String))
	if err != nil {
		return err
	}
	target := e.attribute(name)
	if target == nil {
		return nil // an extension attribute: Herald has no use for it
	}
	for _, m := range mistakes {
		m.Path = name
		e.mistakes = append(e.mistakes, m)
	}
	text, _ := value.(string)
	*target = strings.TrimSpace(text)
	return nil
}

func (e *xmlEvent) attribute(name string) *string {
	return map[string]*string{
		"specversion": &e.SpecVersion, "id": &e.ID, "source": &e.Source, "type": &e.Type, "subject": &e.Subject,
		"time": &e.Time, "datacontenttype": &e.DataContentType,
	}[name]
}

// readDataElement keeps <data> for when the type of the event is known.
func (e *xmlEvent) readDataElement(start xml.StartElement) error {
	kept := start.Attr[:0:0]
	for _, a := range start.Attr {
		if a.Name.Local == "type" {
			e.dataType = a.Value[strings.IndexByte(a.Value, ':')+1:]
			continue
		}
		kept = append(kept, a)
	}
	start.Attr = kept
	value, mistakes, err := e.Value(start, xmlform.Scalar(xmlform.Any))
	for _, m := range mistakes {
		m.Path = dataPath(m.Path)
		e.mistakes = append(e.mistakes, m)
	}
	e.data = value
	return err
}

// readData makes the event's data of what was in <data>: elements of its own,
// one element around them (xs:any, as the draft has it), or JSON as text
// (xs:string) or in base64 (xs:base64Binary).
func (e *xmlEvent) readData(types xmlform.Members, f *problem.Fields, l Limits) map[string]any {
	text, isText := e.data.(string)
	text = strings.TrimSpace(text)
	switch {
	case e.dataType == "base64Binary" && isText:
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			f.Add("data", "base64", "data is not base64 (RFC 4648)")
		}
		return readData(decoded, f, l)
	case isText && text != "":
		if e.DataContentType != "" && !isJSON(e.DataContentType) {
			f.Add("datacontenttype", "media_type", "data as text must be JSON: application/json")
		}
		return readData([]byte(text), f, l)
	case isText || e.data == nil:
		return map[string]any{}
	}
	members, ok := e.data.(map[string]any)
	if ok && e.dataType == "any" && len(members) == 1 {
		for _, inner := range members {
			members, ok = inner.(map[string]any)
		}
	}
	if !ok {
		f.Add("data", "object", "data must hold an element for each attribute")
		return nil
	}
	return Typed(members, types)
}

// readXMLData reads a body that is an event's data in XML (binary mode).
func readXMLData(body []byte, types xmlform.Members, l Limits) (map[string]any, problem.Fields, error) {
	raw, err := xmlform.ToJSON(body, types, l.Depth)
	var f problem.Fields
	var p *problem.Error
	if errors.As(err, &p) && p.Code == problem.Invalid {
		for _, m := range p.Fields {
			m.Path = dataPath(m.Path)
			f = append(f, m)
		}
		return nil, f, nil
	}
	if err != nil {
		return nil, nil, err
	}
	data := readData(raw, &f, l)
	return data, f, nil
}

// Typed gives the texts among an event's attributes the types their triggers
// declare, and JSON's numbers Go's. What cannot be what it should be stays
// text, for the trigger's check to name.
func Typed(members map[string]any, types xmlform.Members) map[string]any {
	for name, value := range members {
		text, isText := value.(string)
		text = strings.TrimSpace(text)
		switch {
		case isText && types[name] == xmlform.Number:
			var n *float64
			if json.Unmarshal([]byte(text), &n) == nil && n != nil {
				members[name] = *n
			}
		case isText && types[name] == xmlform.Boolean:
			if text == "true" || text == "1" {
				members[name] = true
			} else if text == "false" || text == "0" {
				members[name] = false
			}
		case !isText:
			members[name] = floats(value)
		}
	}
	return members
}

// floats turns every number in a value into a float64; one too large for it
// stays text.
func floats(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Float64(); err == nil {
			return n
		}
		return v.String()
	case []any:
		for i := range v {
			v[i] = floats(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = floats(v[k])
		}
	}
	return value
}

func dataPath(path string) string {
	if path == "" {
		return "data"
	}
	return "data." + path
}
