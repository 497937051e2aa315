package calendar

import (
	"bytes"
	"fmt"
	"strings"

	ics "github.com/arran4/golang-ical"

	"herald/problem"
)

// Fault is what is wrong with an iCalendar file, and where.
type Fault struct {
	Line  int    // of the file, counted from 1; 0: it concerns the whole file
	Event string // what the event calls itself; empty: no event, or one without a title
	// Reason is what is wrong: its path is the property, such as "RRULE", where
	// it is one; its rule one of those named "calendar_…".
	Reason problem.Field
}

func (f *Fault) Error() string {
	reason := (&flaw{f.Reason}).Error()
	switch {
	case f.Line == 0:
		return reason
	case f.Event == "":
		return fmt.Sprintf("line %d: %s", f.Line, reason)
	}
	return fmt.Sprintf("line %d (%q): %s", f.Line, f.Event, reason)
}

// flaw is the reason of a fault, before it is known where it is.
type flaw struct{ problem.Field }

func (f *flaw) Error() string {
	if f.Path == "" {
		return f.Message
	}
	return f.Path + ": " + f.Message
}

// figures are those of a rule.
type figures = map[string]any

func flawOf(rule string, of figures, format string, args ...any) *flaw {
	return &flaw{problem.Field{Rule: rule, Args: of, Message: fmt.Sprintf(format, args...)}}
}

// at says in which property of an event the flaw is.
func (f *flaw) at(property string) *flaw {
	f.Path = property
	return f
}

// line is a content line of a file, put together again where it was folded
// (RFC 5545, section 3.1).
type line struct {
	number int // of its beginning in the file, from 1
	text   []byte
}

func unfold(file []byte) []line {
	var lines []line
	number := 0
	for text := range bytes.Lines(file) {
		number++
		text = bytes.TrimRight(text, "\r\n")
		if n := len(lines); n > 0 && len(text) > 0 && (text[0] == ' ' || text[0] == '\t') {
			lines[n-1].text = append(lines[n-1].text, text[1:]...)
			continue
		}
		lines = append(lines, line{number, bytes.Clone(text)})
	}
	return lines
}

// is reports whether the line gives a property.
func (l line) is(property string) bool {
	rest, ok := bytes.CutPrefix(l.text, []byte(property))
	return ok && len(rest) > 0 && (rest[0] == ':' || rest[0] == ';')
}

// eventsIn are the lines of each event of a file, in order.
func eventsIn(lines []line) [][]line {
	var events [][]line
	begun := -1
	for i, l := range lines {
		switch string(l.text) {
		case "BEGIN:VEVENT":
			begun = i
		case "END:VEVENT":
			if begun >= 0 {
				events, begun = append(events, lines[begun:i]), -1
			}
		}
	}
	return events
}

// lineOf is where an event gives a property, or else where it begins.
func lineOf(event []line, property string) int {
	for _, l := range event {
		if l.is(property) {
			return l.number
		}
	}
	return event[0].number
}

// unreadable is the first line that is no property; 0: there is none.
func unreadable(lines []line) int {
	for _, l := range lines {
		if len(l.text) == 0 {
			continue
		}
		if p, err := ics.ParseProperty(ics.ContentLine(l.text)); err != nil || p == nil {
			return l.number
		}
	}
	return 0
}

// The kinds of Note.
const (
	Cancelled = "cancelled" // an event that does not take place
	FirstDay  = "first_day" // an event of several days, of which the first counts
	NoEvent   = "no_event"  // a to-do, a journal or whatever else is not an event
)

// Note says of a part of a file that it is not told, or not all of it.
type Note struct {
	Kind  string // one of the above
	Line  int    // of the file, counted from 1
	Title string // of the event, or the name of what is none: "VTODO"
}

// otherParts notes what stands beside the events.
func otherParts(lines []line) []Note {
	var notes []Note
	depth := 0
	for _, l := range lines {
		if l.is("END") {
			depth--
		}
		name, begins := strings.CutPrefix(string(l.text), "BEGIN:")
		if !begins {
			continue
		}
		if depth == 1 && name != "VEVENT" && name != "VTIMEZONE" {
			notes = append(notes, Note{NoEvent, l.number, name})
		}
		depth++
	}
	return notes
}
