package eventform

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"herald/jsontext"
	"herald/matcher"
	"herald/problem"
)

// Structured reads one event in JSON (application/cloudevents+json).
func Structured(body []byte, l Limits) (Item, error) {
	if item, ok := readPlain(body, l); ok {
		return item, nil
	}
	return structured(body, l)
}

// structured reads an event however it is written.
func structured(body []byte, l Limits) (Item, error) {
	if err := jsontext.Check(body, l.Depth); err != nil {
		return Item{}, err
	}
	return readEnvelope(body, l), nil
}

// Batch reads a JSON array of events (application/cloudevents-batch+json).
func Batch(body []byte, l Limits) ([]Item, error) {
	if err := jsontext.Check(body, l.Depth+1); err != nil {
		return nil, err
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil || raw == nil {
		return nil, jsontext.Malformed(1, 0, "a batch is a JSON array of events")
	}
	if len(raw) > l.Batch {
		return nil, tooMany(l)
	}
	items := make([]Item, len(raw))
	for i, event := range raw {
		item, ok := readPlain(event, l)
		if !ok {
			item = readEnvelope(event, l)
		}
		items[i] = item
	}
	return items, nil
}

// Binary reads one event whose attributes are in headers named ce-… and whose
// data is the body, in JSON or XML (HTTP protocol binding 1.0.2, 3.1). The
// types of XML data come from types, as in XML.
func Binary(header func(name string) string, body []byte, types Types, l Limits) (Item, error) {
	var a attributes
	var f problem.Fields
	for name, value := range map[string]*string{
		"specversion": &a.SpecVersion, "id": &a.ID, "source": &a.Source, "type": &a.Type, "subject": &a.Subject, "time": &a.Time,
	} {
		text, err := url.PathUnescape(header("ce-" + name))
		if err != nil {
			f.Add(name, "text", "the header ce-%s is not percent-encoded as RFC 3986 says", name)
		}
		*value = text
	}
	event, more := a.event(l)
	f = append(f, more...)
	if isXML(header("Content-Type")) {
		data, mistakes, err := readXMLData(body, types(event.Type), l)
		if err != nil {
			return Item{}, err
		}
		event.Data, f = data, append(f, mistakes...)
	} else {
		if err := jsontext.Check(body, l.Depth); err != nil && len(body) > 0 {
			return Item{}, err
		}
		event.Data = readData(body, &f, l)
	}
	if len(f) > 0 {
		return refused(event, f), nil
	}
	return Item{Event: event}, nil
}

// envelope is an event in JSON (JSON event format 1.0.2, section 3).
type envelope struct {
	attributes
	Data       json.RawMessage
	DataBase64 *string `json:"data_base64"`
}

// readEnvelope reads the JSON of one event, which is known to be JSON.
func readEnvelope(raw []byte, l Limits) Item {
	var e envelope
	var f problem.Fields
	if err := json.Unmarshal(raw, &e); err != nil {
		path, message := "", "an event is a JSON object"
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			path = strings.ToLower(strings.TrimPrefix(wrong.Field, "attributes."))
			message = path + " must be a string, not a " + wrong.Value
		}
		f.Add(path, "type", "%s", message)
		return refused(matcher.Event{ID: e.ID, Source: e.Source}, f)
	}
	event, f := e.event(l)
	if e.DataContentType != "" && !isJSON(e.DataContentType) {
		f.Add("datacontenttype", "media_type", "datacontenttype must be JSON: application/json")
	}
	if e.DataBase64 != nil {
		decoded, err := base64.StdEncoding.DecodeString(*e.DataBase64)
		if err != nil {
			f.Add("data_base64", "base64", "data_base64 is not base64 (RFC 4648)")
		}
		if len(e.Data) > 0 {
			f.Add("data_base64", "once", "data and data_base64 exclude each other")
		}
		e.Data = decoded
	}
	event.Data = readData(e.Data, &f, l)
	if len(f) > 0 {
		return refused(event, f)
	}
	return Item{Event: event}
}

func tooMany(l Limits) *problem.Error {
	return problem.New(problem.TooLarge, "a batch may hold at most %d events; send more of them in several, or one a line", l.Batch)
}
