// Package eventform reads events in every form they may be sent in: CloudEvents
// 1.0 in structured JSON, batch JSON, binary mode, one JSON event a line, and
// XML, single and batch.
//
// Bytes come in, items go out: each is an event ready for the matcher, or the
// reason why this one event cannot be taken while the rest can. An error, a
// problem with the place in it, means that the whole cannot be read.
//
// Sources: CloudEvents 1.0.2 (core, JSON event format, HTTP protocol binding)
// and its XML event format working draft, https://github.com/cloudevents/spec.
package eventform

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"herald/jsontext"
	"herald/matcher"
	"herald/problem"
)

// Limits bound what is read; New values come from Defaults.
type Limits struct {
	Depth       int // levels of nesting in an event, its envelope included
	Batch       int // events in one batch
	LineBytes   int // one line of newline-delimited JSON
	IDBytes     int // an id, and a type
	SourceBytes int // a source, and a subject
}

// Defaults are the limits when nothing else is asked for. The longest source
// and id together stay within what an index row of PostgreSQL can hold.
func Defaults() Limits {
	return Limits{Depth: 32, Batch: 10_000, LineBytes: 256 << 10, IDBytes: 256, SourceBytes: 1024}
}

// Item is one event of a request.
type Item struct {
	// Event is what was read; where Err is set only Source and ID may be used.
	Event matcher.Event
	// Line is where it began, from 1; 0 where the form has no lines of its own.
	Line int
	// Err says why this event is refused, nil when it can be taken.
	Err *problem.Error
}

// attributes are the context attributes of an event as they were written
// (CloudEvents 1.0.2, "Context Attributes").
type attributes struct {
	SpecVersion     string
	ID              string
	Source          string
	Type            string
	Subject         string
	Time            string
	DataContentType string
}

// event checks the attributes and makes the event of them, without data.
func (a attributes) event(l Limits) (matcher.Event, problem.Fields) {
	var f problem.Fields
	if a.SpecVersion != "1.0" {
		if a.SpecVersion == "" {
			f.Add("specversion", "required", `specversion is required: "1.0"`)
		} else {
			f.Add("specversion", "one_of", `specversion must be "1.0"`)
		}
	}
	checkText(&f, "id", a.ID, l.IDBytes, true)
	checkText(&f, "source", a.Source, l.SourceBytes, true)
	checkText(&f, "type", a.Type, l.IDBytes, true)
	checkText(&f, "subject", a.Subject, l.SourceBytes, false)
	if !isReference(a.Source) {
		f.Add("source", "uri", "source must be a URI or a reference to one (RFC 3986)")
	}
	e := matcher.Event{ID: a.ID, Source: a.Source, Type: a.Type, Subject: a.Subject}
	if a.Time != "" {
		at, err := time.Parse(time.RFC3339Nano, a.Time)
		if err != nil || strings.HasPrefix(a.Time, "0000") {
			f.Add("time", "time", "time must be like 2026-01-02T15:04:05Z (RFC 3339)")
		}
		e.Time = at
	}
	return e, f
}

// isReference reports whether a text is a URI or a reference to one. Most are
// letters, digits and a few signs, which cannot be wrong anywhere.
func isReference(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '-' && c <= '9', c >= 'A' && c <= 'Z', c == '_', c == '~': // - . / and digits
		default:
			_, err := url.Parse(s)
			return err == nil
		}
	}
	return true
}

func checkText(f *problem.Fields, name, s string, limit int, required bool) {
	switch {
	case s == "" && required:
		f.Add(name, "required", "%s is required", name)
	case len(s) > limit:
		f.AddArgs(name, "max_len", map[string]any{"max": limit}, "%s may have at most %d bytes", name, limit)
	case !isText(s):
		f.Add(name, "text", "%s may not hold control characters", name)
	}
}

// isText reports whether a string attribute may hold s, which is nearly always
// printable ASCII.
func isText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' {
			return utf8.ValidString(s) && !strings.ContainsFunc(s, isControl)
		}
	}
	return true
}

// isControl is what a string attribute may not hold (CloudEvents 1.0.2, "Type System").
func isControl(r rune) bool { return r < 0x20 || r >= 0x7f && r <= 0x9f }

// refused is an item that cannot be taken.
func refused(e matcher.Event, fields problem.Fields) Item {
	return Item{Event: e, Err: &problem.Error{Code: problem.Invalid, Message: "the event cannot be taken", Fields: fields}}
}

// isJSON reports whether a media type is JSON's: application/json or …+json.
func isJSON(mediaType string) bool { return isMedia(mediaType, "json") }

// isXML reports whether a media type is XML's.
func isXML(mediaType string) bool { return isMedia(mediaType, "xml") }

func isMedia(mediaType, format string) bool {
	m, _, err := mime.ParseMediaType(mediaType)
	return err == nil && (strings.HasSuffix(m, "/"+format) || strings.HasSuffix(m, "+"+format))
}

// readData parses the JSON of an event's data, which must be an object.
func readData(raw []byte, f *problem.Fields, l Limits) map[string]any {
	if len(raw) == 0 || string(raw) == "null" {
		return map[string]any{}
	}
	if jsontext.Depth(raw) > l.Depth {
		f.AddArgs("data", "depth", map[string]any{"max": l.Depth}, "data is nested deeper than %d levels", l.Depth)
		return nil
	}
	var data map[string]any
	if err := json.Unmarshal(raw, &data); err != nil {
		f.Add("data", "object", "data must be a JSON object: %s", plain(err))
		return nil
	}
	if jsontext.HoldsNUL(raw) {
		f.Add("data", "text", `data may not hold the character \u0000`)
	}
	return data
}

// plain is a JSON error without the names of Go's types.
func plain(err error) string {
	switch e := err.(type) { //nolint:errorlint // encoding/json does not wrap its errors
	case *json.UnmarshalTypeError:
		return "found a " + e.Value
	case *json.SyntaxError:
		return e.Error()
	}
	return fmt.Sprint(err)
}
