package calendar

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	ics "github.com/arran4/golang-ical"
)

// The bounds of what is imported.
const (
	maxEvents      = 5_000  // in a file
	maxOccurrences = 50_000 // of all its events
	maxTitle       = 200    // characters
)

// MaxFile is how large a file may be that is imported, in bytes.
const MaxFile = 1 << 20

// lastDay is up to when recurring events are written out.
var lastDay = Date{lastLunarYear, time.December, 31}

// Import reads an iCalendar file (RFC 5545): events of whole days, events with
// an hour of a time zone or of none (the reader's then), RRULE, RDATE, EXDATE
// and single occurrences that were moved (RECURRENCE-ID). Of an event that
// lasts for days only the first counts; cancelled events do not.
//
// Refused, with a *Fault in words for the one who gave the file: more than
// MaxFile bytes, 5,000 events or 50,000 occurrences, rules that recur within
// a day, dates before 1900 and zones without an IANA name.
func Import(r io.Reader) (*Imported, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the calendar: %w", err)
	}
	if len(text) > MaxFile {
		return nil, whole("the calendar has more than %d bytes", MaxFile)
	}
	if !utf8.Valid(text) {
		return nil, whole("the calendar is not written in UTF-8")
	}
	if n := bytes.Count(text, []byte("BEGIN:")); n > 4*maxEvents {
		return nil, whole("the calendar has too many parts: at most %d events are read", maxEvents)
	}
	if !bytes.Contains(text, []byte("BEGIN:VCALENDAR")) || !bytes.Contains(text, []byte("END:VCALENDAR")) {
		return nil, whole("this is no iCalendar file, or not the whole of one")
	}
	lines := unfold(text)
	file, err := ics.ParseCalendar(bytes.NewReader(text))
	if err != nil {
		return nil, &Fault{Line: unreadable(lines), Err: fmt.Errorf("this is no iCalendar file: %w", err)}
	}
	return importEvents(file.Events(), lines)
}

func importEvents(events []*ics.VEvent, lines []line) (*Imported, error) {
	if len(events) > maxEvents {
		return nil, whole("the calendar has %d events: at most %d are read", len(events), maxEvents)
	}
	i := importer{lines: eventsIn(lines), moved: map[string][]time.Time{}, notes: otherParts(lines)}
	if err := i.events(events); err != nil {
		return nil, err
	}
	if len(i.entries) == 0 {
		return nil, whole("the calendar has no event that comes")
	}
	slices.SortStableFunc(i.entries, func(a, b entry) int { return cmp.Or(a.date.Compare(b.date), a.wall.Compare(b.wall)) })
	slices.SortStableFunc(i.notes, func(a, b Note) int { return cmp.Compare(a.Line, b.Line) })
	return &Imported{entries: i.entries, notes: i.notes}, nil
}

// whole is a fault of a whole file.
func whole(format string, args ...any) error { return &Fault{Err: fmt.Errorf(format, args...)} }

// importer writes events out.
type importer struct {
	lines   [][]line // of each event
	entries []entry
	notes   []Note
	moved   map[string][]time.Time // occurrences told by an event of their own, by UID
	looks   int                    // days that rules have looked at
}

func (i *importer) events(events []*ics.VEvent) error {
	for n, event := range events {
		if err := i.noteMoved(event); err != nil {
			return i.inEvent(n, event, err)
		}
	}
	for n, event := range events {
		if err := i.event(n, event); err != nil {
			return i.inEvent(n, event, err)
		}
	}
	return nil
}

// inEvent says where an error is.
func (i *importer) inEvent(n int, event *ics.VEvent, err error) error {
	var property propertyFault
	if p, is := errors.AsType[*propertyFault](err); is {
		property = *p
	}
	return &Fault{Line: i.lineOf(n, property.name), Event: titleOf(event), Err: err}
}

func titleOf(event *ics.VEvent) string {
	p := event.GetProperty(ics.ComponentPropertySummary)
	if p == nil {
		return ""
	}
	title := []rune(strings.Join(strings.Fields(p.Value), " "))
	return string(title[:min(len(title), maxTitle)])
}

func (i *importer) noteMoved(event *ics.VEvent) error {
	p := event.GetProperty(ics.ComponentPropertyRecurrenceId)
	if p == nil {
		return nil
	}
	at, err := parseMoment(p, p.Value)
	if err != nil {
		return &propertyFault{"RECURRENCE-ID", err}
	}
	i.moved[event.Id()] = append(i.moved[event.Id()], at.instant())
	return nil
}

func (i *importer) event(n int, event *ics.VEvent) error {
	if p := event.GetProperty(ics.ComponentPropertyStatus); p != nil && strings.EqualFold(p.Value, "cancelled") {
		i.note(Cancelled, n, event)
		return nil
	}
	p := event.GetProperty(ics.ComponentPropertyDtStart)
	if p == nil {
		return errors.New("it has no DTSTART")
	}
	start, err := parseMoment(p, p.Value)
	if err != nil {
		return &propertyFault{"DTSTART", err}
	}
	if start.wall.Year() < firstLunarYear || start.wall.Year() > lastLunarYear {
		return &propertyFault{"DTSTART", fmt.Errorf("it begins in %d: dates of 1900 to 2100 are read", start.wall.Year())}
	}
	walls, err := i.walls(event, start)
	if err != nil {
		return err
	}
	if lastsForDays(event, start) {
		i.note(FirstDay, n, event)
	}
	title := titleOf(event)
	for _, wall := range walls {
		one := moment{wall: wall, zone: start.zone, allDay: start.allDay}
		if event.GetProperty(ics.ComponentPropertyRecurrenceId) == nil && i.isMoved(event, one) {
			continue
		}
		i.entries = append(i.entries, entry{date: DateOf(wall), wall: wall, zone: one.zone, allDay: one.allDay, title: title})
	}
	if len(i.entries) > maxOccurrences {
		return errDates
	}
	return nil
}

// lineOf is where event n gives a property, or else where it begins; 0: the
// file is put together in such a way that this cannot be said.
func (i *importer) lineOf(n int, property string) int {
	if n >= len(i.lines) {
		return 0
	}
	return lineOf(i.lines[n], property)
}

func (i *importer) note(kind string, n int, event *ics.VEvent) {
	i.notes = append(i.notes, Note{kind, i.lineOf(n, ""), titleOf(event)})
}

// lastsForDays reports whether an event takes more than a day (RFC 5545,
// sections 3.8.2.2 and 3.8.2.5; of days and weeks, 3.3.6). What cannot be read
// of its end does no harm: only its beginning is told.
func lastsForDays(event *ics.VEvent, start moment) bool {
	if p := event.GetProperty(ics.ComponentPropertyDtEnd); p != nil {
		end, err := parseMoment(p, p.Value)
		return err == nil && end.wall.Sub(start.wall) > 24*time.Hour
	}
	if p := event.GetProperty(ics.ComponentPropertyDuration); p != nil {
		_, length, _ := strings.Cut(p.Value, "P")
		days, _, inDays := strings.Cut(length, "D")
		n, err := strconv.Atoi(days)
		return strings.HasSuffix(length, "W") || inDays && err == nil && n > 1
	}
	return false
}

// errDates says that a file comes to too many dates.
var errDates = fmt.Errorf("the calendar comes to more than %d dates: give its rules an end", maxOccurrences)

// isMoved reports whether an occurrence is told by an event of its own.
func (i *importer) isMoved(event *ics.VEvent, one moment) bool {
	moved := i.moved[event.Id()]
	return len(moved) > 0 && slices.ContainsFunc(moved, one.instant().Equal)
}

// walls are the wall clocks at which an event comes: those of its rule, or its
// first, and what is added, without what is taken out.
func (i *importer) walls(event *ics.VEvent, start moment) ([]time.Time, error) {
	walls := []time.Time{start.wall}
	rules := event.GetProperties(ics.ComponentPropertyRrule)
	if len(rules) > 1 {
		return nil, errors.New("it has more than one RRULE")
	}
	if len(rules) == 1 {
		rule, err := parseRecurrence(rules[0].Value, start, &i.looks)
		if err != nil {
			return nil, &propertyFault{"RRULE", err}
		}
		walls = walls[:0]
		for date, err := range rule.dates() {
			wall := start.clockOn(date)
			switch {
			case err != nil:
				return nil, err
			case wall.After(rule.until):
				continue
			case len(walls) > maxOccurrences:
				return nil, errDates
			}
			walls = append(walls, wall)
		}
	}
	added, err := moments(event, ics.ComponentPropertyRdate, start)
	if err != nil {
		return nil, err
	}
	without, err := moments(event, ics.ComponentPropertyExdate, start)
	if err != nil {
		return nil, err
	}
	out := make(map[time.Time]bool, len(without))
	for _, wall := range without {
		out[wall] = true
	}
	return slices.DeleteFunc(append(walls, added...), func(wall time.Time) bool { return out[wall] }), nil
}

// moments are the values of a property that may come more than once, on the
// clock that the event goes by.
func moments(event *ics.VEvent, name ics.ComponentProperty, start moment) ([]time.Time, error) {
	var list []time.Time
	for _, p := range event.GetProperties(name) {
		for value := range strings.SplitSeq(p.Value, ",") {
			at, err := parseMoment(p, value)
			if err != nil {
				return nil, &propertyFault{string(name), err}
			}
			list = append(list, at.on(start))
		}
	}
	return list, nil
}

// moment is a date or a time as iCalendar writes it.
type moment struct {
	wall   time.Time      // what the clock shows
	zone   *time.Location // whose clock; nil: that of the reader
	allDay bool
}

// parseMoment reads a value of a property (RFC 5545, sections 3.3.4, 3.3.5 and
// 3.2.19; of a period, 3.3.9, its beginning).
func parseMoment(p *ics.IANAProperty, value string) (moment, error) {
	value, _, _ = strings.Cut(strings.TrimSpace(value), "/")
	if date, err := time.Parse("20060102", value); err == nil {
		return moment{wall: date, allDay: true}, nil
	}
	at, utc := strings.CutSuffix(value, "Z")
	wall, err := time.Parse("20060102T150405", at)
	if err != nil {
		return moment{}, fmt.Errorf("%q is no date and no time", value)
	}
	if utc {
		return moment{wall: wall, zone: time.UTC}, nil
	}
	names := p.ICalParameters[string(ics.ParameterTzid)]
	if len(names) == 0 {
		return moment{wall: wall}, nil
	}
	zone, err := LoadZone(names[0])
	if err != nil {
		return moment{}, fmt.Errorf("the time zone %q has no IANA name such as Asia/Shanghai", names[0])
	}
	return moment{wall: wall, zone: zone}, nil
}

// instant is when it is; where no zone is given, in UTC.
func (m moment) instant() time.Time {
	if m.zone == nil {
		return m.wall
	}
	return InstantOf(m.wall, m.zone)
}

// on is what the clock that another goes by shows at the moment.
func (m moment) on(other moment) time.Time {
	switch {
	case m.allDay && !other.allDay: // all of that date
		return other.clockOn(DateOf(m.wall))
	case m.zone == nil || other.zone == nil:
		return m.wall
	default:
		return wallClock(m.instant().In(other.zone))
	}
}

// clockOn is the moment's hour on a date.
func (m moment) clockOn(date Date) time.Time {
	return date.midnight().Add(m.wall.Sub(DateOf(m.wall).midnight()))
}
