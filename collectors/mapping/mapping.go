// Package mapping makes events of rows: of a query's result or of a file of
// comma-separated values. A row of named values comes in, an event goes out, or
// the mistakes that keep it from being one.
package mapping

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"herald/matcher"
	"herald/matcher/eventform"
	"herald/problem"
	"herald/xmlform"
)

// Mapping says which columns make which attribute of an event.
type Mapping struct {
	ID      string // the column with the id; empty: the caller gives one
	Subject string // the column with the subject; empty: events have none
	Time    string // the column with the time; empty: when the event was received

	Type         string // the type of all events,
	TypeColumn   string // or the column that says it
	Source       string // the source of all events,
	SourceColumn string // or the column that says it

	// Data is the columns of the data by the names of its attributes; empty:
	// all columns but those of the id, the time, the type and the source, under
	// their own names.
	Data map[string]string
	// Zone is where times without a zone were written; nil: UTC.
	Zone *time.Location
	// Types are what texts become that a trigger wants as numbers or booleans.
	Types eventform.Types
}

// Columns are those that the mapping names: each must be there.
func (m Mapping) Columns() []string {
	var list []string
	for _, c := range []string{m.ID, m.Subject, m.Time, m.TypeColumn, m.SourceColumn} {
		if c != "" {
			list = append(list, c)
		}
	}
	for _, c := range m.Data {
		list = append(list, c)
	}
	return list
}

// Event makes an event of a row, whose values are what encoding/json makes of
// JSON, numbers as json.Number. An empty text and null are no value. Without a
// column for the id the event has the given one. Mistakes have the column as
// path.
func (m Mapping) Event(row map[string]any, id string) (matcher.Event, problem.Fields) {
	var f problem.Fields
	e := matcher.Event{ID: id, Type: m.Type, Source: m.Source}
	for column, into := range map[string]*string{m.ID: &e.ID, m.Subject: &e.Subject, m.TypeColumn: &e.Type, m.SourceColumn: &e.Source} {
		if column != "" {
			*into = plain(row, column, &f)
		}
	}
	for what, empty := range map[string]bool{m.ID: e.ID == "", m.TypeColumn: e.Type == "", m.SourceColumn: e.Source == ""} {
		if what != "" && empty {
			f.Add(what, "required", "is empty")
		}
	}
	if m.Time != "" {
		at, err := m.time(row[m.Time])
		if err != nil {
			f.Add(m.Time, "time", "%v", err)
		}
		e.Time = at
	}
	var types xmlform.Members
	if m.Types != nil {
		types = m.Types(e.Type)
	}
	e.Data = eventform.Typed(m.data(row), types)
	return e, f
}

// data are the values of the columns that are named, or of all but the envelope's.
func (m Mapping) data(row map[string]any) map[string]any {
	data := map[string]any{}
	if len(m.Data) > 0 {
		for name, column := range m.Data {
			if value := row[column]; value != nil && value != "" {
				data[name] = value
			}
		}
		return data
	}
	maps.Copy(data, row)
	for _, column := range []string{m.ID, m.Time, m.TypeColumn, m.SourceColumn} {
		delete(data, column)
	}
	maps.DeleteFunc(data, func(_ string, value any) bool { return value == nil || value == "" })
	return data
}

// plain is a value as text; empty where there is none.
func plain(row map[string]any, column string, f *problem.Fields) string {
	switch v := row[column].(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	default:
		f.Add(column, "type", "must be text or a number")
		return ""
	}
}

// layouts are how times may be written: RFC 3339, and as databases and
// spreadsheets write them.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999-07",
	"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04", time.DateOnly,
}

// Whole numbers are seconds since 1970 up to secondsMost (the year 5138), and
// beyond that milliseconds.
const secondsMost = 99_999_999_999

// time reads a time; zero where there is none.
func (m Mapping) time(value any) (time.Time, error) {
	text := ""
	switch v := value.(type) {
	case nil:
		return time.Time{}, nil
	case string:
		text = strings.TrimSpace(v)
	case json.Number:
		text = v.String()
	default:
		return time.Time{}, fmt.Errorf("is no time")
	}
	if text == "" {
		return time.Time{}, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n > secondsMost {
			return time.UnixMilli(n).UTC(), nil
		}
		return time.Unix(n, 0).UTC(), nil
	}
	zone := m.Zone
	if zone == nil {
		zone = time.UTC
	}
	for _, layout := range layouts {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("is %.40q and must be a time like 2026-01-02T15:04:05Z or 2026-01-02 15:04:05", text)
}
