package calendar

import (
	"bytes"
	"cmp"
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
		return nil, whole("calendar_size", figures{"max": MaxFile}, "the calendar has more than %d bytes", MaxFile)
	}
	if !utf8.Valid(text) {
		return nil, whole("calendar_utf8", nil, "the calendar is not written in UTF-8")
	}
	if n := bytes.Count(text, []byte("BEGIN:")); n > 4*maxEvents {
		return nil, whole("calendar_parts", figures{"max": maxEvents}, "the calendar has too many parts: at most %d events are read", maxEvents)
	}
	if !bytes.Contains(text, []byte("BEGIN:VCALENDAR")) || !bytes.Contains(text, []byte("END:VCALENDAR")) {
		return nil, whole("calendar_none", nil, "this is no iCalendar file, or not the whole of one")
	}
	lines := unfold(text)
	file, err := ics.ParseCalendar(bytes.NewReader(text))
	if err != nil {
		return nil, &Fault{Line: unreadable(lines), Reason: flawOf("calendar_unreadable", nil, "this is no iCalendar file: %v", err).Field}
	}
	return importEvents(file.Events(), lines)
}

func importEvents(events []*ics.VEvent, lines []line) (*Imported, error) {
	if len(events) > maxEvents {
		return nil, whole("calendar_events", figures{"count": len(events), "max": maxEvents}, "the calendar has %d events: at most %d are read", len(events), maxEvents)
	}
	i := importer{lines: eventsIn(lines), moved: map[string][]time.Time{}, notes: otherParts(lines)}
	if err := i.events(events); err != nil {
		return nil, err
	}
	if len(i.entries) == 0 {
		return nil, whole("calendar_empty", nil, "the calendar has no event that comes")
	}
	slices.SortStableFunc(i.entries, func(a, b entry) int { return cmp.Or(a.date.Compare(b.date), a.wall.Compare(b.wall)) })
	slices.SortStableFunc(i.notes, func(a, b Note) int { return cmp.Compare(a.Line, b.Line) })
	return &Imported{entries: i.entries, notes: i.notes}, nil
}

// whole is a fault of a whole file.
func whole(rule string, of figures, format string, args ...any) error {
	return &Fault{Reason: flawOf(rule, of, format, args...).Field}
}

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
		if wrong := i.noteMoved(event); wrong != nil {
			return i.inEvent(n, event, wrong)
		}
	}
	for n, event := range events {
		if wrong := i.event(n, event); wrong != nil {
			return i.inEvent(n, event, wrong)
		}
	}
	return nil
}

// inEvent says where a flaw is.
func (i *importer) inEvent(n int, event *ics.VEvent, wrong *flaw) error {
	return &Fault{Line: i.lineOf(n, wrong.Path), Event: titleOf(event), Reason: wrong.Field}
}

func titleOf(event *ics.VEvent) string {
	p := event.GetProperty(ics.ComponentPropertySummary)
	if p == nil {
		return ""
	}
	title := []rune(strings.Join(strings.Fields(p.Value), " "))
	return string(title[:min(len(title), maxTitle)])
}

func (i *importer) noteMoved(event *ics.VEvent) *flaw {
	p := event.GetProperty(ics.ComponentPropertyRecurrenceId)
	if p == nil {
		return nil
	}
	at, wrong := parseMoment(p, p.Value)
	if wrong != nil {
		return wrong.at("RECURRENCE-ID")
	}
	i.moved[event.Id()] = append(i.moved[event.Id()], at.instant())
	return nil
}

func (i *importer) event(n int, event *ics.VEvent) *flaw {
	if p := event.GetProperty(ics.ComponentPropertyStatus); p != nil && strings.EqualFold(p.Value, "cancelled") {
		i.note(Cancelled, n, event)
		return nil
	}
	p := event.GetProperty(ics.ComponentPropertyDtStart)
	if p == nil {
		return flawOf("calendar_no_start", nil, "it has no DTSTART")
	}
	start, wrong := parseMoment(p, p.Value)
	if wrong != nil {
		return wrong.at("DTSTART")
	}
	if year := start.wall.Year(); year < firstLunarYear || year > lastLunarYear {
		years := figures{"year": strconv.Itoa(year)} // which is not written as a number is
		return flawOf("calendar_years", years, "it begins in %d: dates of 1900 to 2100 are read", year).at("DTSTART")
	}
	walls, wrong := i.walls(event, start)
	if wrong != nil {
		return wrong
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
		return tooManyDates()
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

func tooManyDates() *flaw {
	return flawOf("calendar_dates", figures{"max": maxOccurrences},
		"the calendar comes to more than %d dates: give its rules an end", maxOccurrences)
}

// isMoved reports whether an occurrence is told by an event of its own.
func (i *importer) isMoved(event *ics.VEvent, one moment) bool {
	moved := i.moved[event.Id()]
	return len(moved) > 0 && slices.ContainsFunc(moved, one.instant().Equal)
}

// walls are the wall clocks at which an event comes: those of its rule, or its
// first, and what is added, without what is taken out.
func (i *importer) walls(event *ics.VEvent, start moment) ([]time.Time, *flaw) {
	walls := []time.Time{start.wall}
	rules := event.GetProperties(ics.ComponentPropertyRrule)
	if len(rules) > 1 {
		return nil, flawOf("calendar_rules", nil, "it has more than one RRULE")
	}
	if len(rules) == 1 {
		rule, wrong := parseRecurrence(rules[0].Value, start, &i.looks)
		if wrong != nil {
			return nil, wrong.at("RRULE")
		}
		walls = walls[:0]
		for date, wrong := range rule.dates() {
			wall := start.clockOn(date)
			switch {
			case wrong != nil:
				return nil, wrong
			case wall.After(rule.until):
				continue
			case len(walls) > maxOccurrences:
				return nil, tooManyDates()
			}
			walls = append(walls, wall)
		}
	}
	added, wrong := moments(event, ics.ComponentPropertyRdate, start)
	if wrong != nil {
		return nil, wrong
	}
	without, wrong := moments(event, ics.ComponentPropertyExdate, start)
	if wrong != nil {
		return nil, wrong
	}
	out := make(map[time.Time]bool, len(without))
	for _, wall := range without {
		out[wall] = true
	}
	return slices.DeleteFunc(append(walls, added...), func(wall time.Time) bool { return out[wall] }), nil
}

// moments are the values of a property that may come more than once, on the
// clock that the event goes by.
func moments(event *ics.VEvent, name ics.ComponentProperty, start moment) ([]time.Time, *flaw) {
	var list []time.Time
	for _, p := range event.GetProperties(name) {
		for value := range strings.SplitSeq(p.Value, ",") {
			at, wrong := parseMoment(p, value)
			if wrong != nil {
				return nil, wrong.at(string(name))
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
func parseMoment(p *ics.IANAProperty, value string) (moment, *flaw) {
	value, _, _ = strings.Cut(strings.TrimSpace(value), "/")
	if date, err := time.Parse("20060102", value); err == nil {
		return moment{wall: date, allDay: true}, nil
	}
	at, utc := strings.CutSuffix(value, "Z")
	wall, err := time.Parse("20060102T150405", at)
	if err != nil {
		return moment{}, flawOf("calendar_no_moment", figures{"value": value}, "%q is no date and no time", value)
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
		return moment{}, flawOf("calendar_zone", figures{"zone": names[0]}, "the time zone %q has no IANA name such as Asia/Shanghai", names[0])
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
