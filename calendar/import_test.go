package calendar

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// file is an iCalendar file of events, each given as its lines.
func file(events ...string) string {
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//shop//dates//EN\r\n")
	for i, event := range events {
		fmt.Fprintf(&b, "BEGIN:VEVENT\r\n")
		if !strings.Contains(event, "UID:") {
			fmt.Fprintf(&b, "UID:%d@shop\r\n", i)
		}
		b.WriteString(strings.ReplaceAll(event, "\n", "\r\n") + "\r\nEND:VEVENT\r\n")
	}
	b.WriteString("END:VCALENDAR\r\n")
	return b.String()
}

// told is what people in a zone hear at nine, as "date instant title".
func told(t *testing.T, text, in string, n int) []string {
	t.Helper()
	c, err := Import(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	s := Schedule{Occasion: parse(t, "calendar:shop").Using(c), Minute: 9 * 60}
	var list []string
	for _, m := range s.Next(instant(t, "2026-01-01T00:00:00Z"), zone(t, in), n) {
		list = append(list, m.Key()+" "+m.At.Format(time.RFC3339)+" "+m.Title)
	}
	return list
}

func TestImportedEventsComeWhenTheyShould(t *testing.T) {
	tests := map[string]struct {
		events []string
		want   []string // in Shanghai
	}{
		"whole days are told at the hour of the reader": {
			[]string{"DTSTART;VALUE=DATE:20260501\nDTEND;VALUE=DATE:20260506\nSUMMARY:Labour\\, five days"},
			[]string{"2026-05-01 2026-05-01T01:00:00Z Labour, five days"},
		},
		"a rule recurs, but for its exceptions": {
			[]string{"DTSTART;VALUE=DATE:20200618\nRRULE:FREQ=YEARLY\nEXDATE;VALUE=DATE:20270618\nSUMMARY:Anniversary"},
			[]string{"2026-06-18 2026-06-18T01:00:00Z Anniversary", "2028-06-18 2028-06-18T01:00:00Z Anniversary", "2029-06-18 2029-06-18T01:00:00Z Anniversary"},
		},
		"a time without a zone is the reader's": {
			[]string{"DTSTART:20260301T200000\nSUMMARY:Evening"},
			[]string{"2026-03-01T20:00 2026-03-01T12:00:00Z Evening"},
		},
		"a time of a zone is one instant, and keeps the zone's hour in summer": {
			[]string{"DTSTART;TZID=America/New_York:20260307T090000\nRRULE:FREQ=DAILY;COUNT=2\nSUMMARY:Sale"},
			[]string{"2026-03-07T09:00 2026-03-07T14:00:00Z Sale", "2026-03-08T09:00 2026-03-08T13:00:00Z Sale"},
		},
		"UNTIL is an instant": {
			[]string{"DTSTART;TZID=Asia/Shanghai:20260301T060000\nRRULE:FREQ=DAILY;UNTIL=20260301T220000Z\nSUMMARY:Early"},
			[]string{"2026-03-01T06:00 2026-02-28T22:00:00Z Early", "2026-03-02T06:00 2026-03-01T22:00:00Z Early"},
		},
		"the day of UNTIL still counts": {
			[]string{"DTSTART:20260301T060000\nRRULE:FREQ=DAILY;UNTIL=20260302\nSUMMARY:Early"},
			[]string{"2026-03-01T06:00 2026-02-28T22:00:00Z Early", "2026-03-02T06:00 2026-03-01T22:00:00Z Early"},
		},
		"UTC": {
			[]string{"DTSTART:20260301T060000Z\nRDATE:20260401T060000Z,20260501T060000Z\nSUMMARY:Launch"},
			[]string{"2026-03-01T06:00 2026-03-01T06:00:00Z Launch", "2026-04-01T06:00 2026-04-01T06:00:00Z Launch", "2026-05-01T06:00 2026-05-01T06:00:00Z Launch"},
		},
		"an occurrence that was moved is told where it went": {
			[]string{
				"UID:fair\nDTSTART;VALUE=DATE:20260101\nRRULE:FREQ=MONTHLY;COUNT=3\nSUMMARY:Fair",
				"UID:fair\nRECURRENCE-ID;VALUE=DATE:20260201\nDTSTART;VALUE=DATE:20260203\nSUMMARY:Fair, later",
			},
			[]string{"2026-01-01 2026-01-01T01:00:00Z Fair", "2026-02-03 2026-02-03T01:00:00Z Fair, later", "2026-03-01 2026-03-01T01:00:00Z Fair"},
		},
		"an excepted time may be given by another clock": {
			[]string{"DTSTART;TZID=Asia/Shanghai:20260301T060000\nRRULE:FREQ=WEEKLY;COUNT=2\nEXDATE:20260228T220000Z\nSUMMARY:Market"},
			[]string{"2026-03-08T06:00 2026-03-07T22:00:00Z Market"},
		},
		"what is cancelled does not come": {
			[]string{"DTSTART;VALUE=DATE:20260301\nSTATUS:CANCELLED\nSUMMARY:Off", "DTSTART;VALUE=DATE:20260302\nSUMMARY:On"},
			[]string{"2026-03-02 2026-03-02T01:00:00Z On"},
		},
		"the same date twice is told once": {
			[]string{"DTSTART;VALUE=DATE:20260302\nSUMMARY:On", "DTSTART;VALUE=DATE:20260302\nSUMMARY:Also"},
			[]string{"2026-03-02 2026-03-02T01:00:00Z On"},
		},
		"the last Friday of a month": {
			[]string{"DTSTART;VALUE=DATE:20260130\nRRULE:FREQ=MONTHLY;BYDAY=-1FR\nSUMMARY:Payday"},
			[]string{"2026-01-30 2026-01-30T01:00:00Z Payday", "2026-02-27 2026-02-27T01:00:00Z Payday", "2026-03-27 2026-03-27T01:00:00Z Payday"},
		},
		"without a title": {
			[]string{"DTSTART;VALUE=DATE:20260302"},
			[]string{"2026-03-02 2026-03-02T01:00:00Z "},
		},
	}
	for name, test := range tests {
		if diff := cmp.Diff(test.want, told(t, file(test.events...), "Asia/Shanghai", 3)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestImportedEventsInAnotherPlace(t *testing.T) {
	text := file("DTSTART;VALUE=DATE:20260501\nSUMMARY:Day", "DTSTART:20260501T200000\nSUMMARY:Evening", "DTSTART;TZID=Asia/Shanghai:20260501T200000\nSUMMARY:Broadcast")
	want := []string{
		"2026-05-01T20:00 2026-05-01T12:00:00Z Broadcast", "2026-05-01 2026-05-01T19:00:00Z Day",
		"2026-05-01T20:00 2026-05-02T06:00:00Z Evening",
	}
	if diff := cmp.Diff(want, told(t, text, "Pacific/Honolulu", 4)); diff != "" {
		t.Error(diff)
	}
}

func TestDaysBeforeAnImportedEvent(t *testing.T) {
	c, err := Import(strings.NewReader(file("DTSTART;VALUE=DATE:20260501", "DTSTART;TZID=America/New_York:20260309T090000")))
	if err != nil {
		t.Fatal(err)
	}
	s := Schedule{Occasion: parse(t, "calendar:shop").Using(c), Minute: 9 * 60, Lead: 2}
	var got []string
	for _, m := range s.Next(instant(t, "2026-01-01T00:00:00Z"), zone(t, "Asia/Shanghai"), 4) {
		got = append(got, m.Key()+" "+m.At.Format(time.RFC3339))
	}
	want := []string{"2026-03-09T09:00 2026-03-07T14:00:00Z", "2026-05-01 2026-04-29T01:00:00Z"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCalendarsThatCannotBeRead(t *testing.T) {
	many := make([]string, maxEvents+1)
	for i := range many {
		many[i] = "DTSTART;VALUE=DATE:20260501"
	}
	daily := make([]string, 3)
	for i := range daily {
		daily[i] = "DTSTART;VALUE=DATE:20000101\nRRULE:FREQ=DAILY"
	}
	never := make([]string, 600)
	for i := range never {
		never[i] = "DTSTART;VALUE=DATE:19500101\nRRULE:FREQ=YEARLY;BYMONTHDAY=-1;BYYEARDAY=1"
	}
	for name, test := range map[string]struct{ text, want string }{
		"nothing":              {"", "no iCalendar"},
		"something else":       {"{\"events\":[]}", "no iCalendar"},
		"not UTF-8":            {"BEGIN:VCALENDAR\r\n\xff", "UTF-8"},
		"cut off":              {strings.TrimSuffix(file("DTSTART:20260501T000000"), "END:VCALENDAR\r\n"), "not the whole"},
		"no event":             {file(), "no event"},
		"all are cancelled":    {file("DTSTART:20260501T000000\nSTATUS:CANCELLED"), "no event"},
		"too long":             {strings.Repeat("x", MaxFile+1), "bytes"},
		"too many events":      {file(many...), "at most 5000"},
		"too many dates":       {file(daily...), "50000 dates"},
		"rules without an end": {file(never...), "reach too far"},
		"every hour":           {file("DTSTART:20260501T000000\nRRULE:FREQ=HOURLY"), "within a day"},
		"hours of a day":       {file("DTSTART:20260501T000000\nRRULE:FREQ=DAILY;BYHOUR=1,2"), "within a day"},
		"every second":         {file("DTSTART:20260501T000000\nRRULE:FREQ=SECONDLY"), "within a day"},
		"a wild interval":      {file("DTSTART:20260501T000000\nRRULE:FREQ=DAILY;INTERVAL=100000"), "INTERVAL"},
		"weeks by number":      {file("DTSTART:20260501T000000\nRRULE:FREQ=YEARLY;BYWEEKNO=1"), "number of the week"},
		"a first day of weeks": {file("DTSTART:20260501T000000\nRRULE:FREQ=WEEKLY;BYDAY=1FR"), "first weekday"},
		"no rule":              {file("DTSTART:20260501T000000\nRRULE:often"), "RRULE"},
		"two rules":            {file("DTSTART:20260501T000000\nRRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY"), "more than one RRULE"},
		"no start":             {file("SUMMARY:When?"), "\"When?\""},
		"no date":              {file("DTSTART:tomorrow"), "no date"},
		"no exception":         {file("DTSTART:20260501T000000\nEXDATE:never"), "EXDATE"},
		"a zone of its own":    {file("DTSTART;TZID=\"China Standard Time\":20260501T000000"), "IANA"},
		"long ago":             {file("DTSTART;VALUE=DATE:00010101\nRRULE:FREQ=DAILY"), "1900"},
	} {
		if c, err := Import(strings.NewReader(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v, want %q", name, c, err, test.want)
		}
	}
}

func TestImportedEventsEnd(t *testing.T) {
	c, err := Import(strings.NewReader(file("DTSTART;VALUE=DATE:20260501\nRRULE:FREQ=DAILY")))
	if err != nil {
		t.Fatal(err)
	}
	s := Schedule{Occasion: Occasion{imported: c}, Until: Date{2026, time.May, 2}}
	if got := dates(s.Next(instant(t, "2026-04-01T00:00:00Z"), time.UTC, 5)); len(got) != 2 {
		t.Errorf("%v, want two days", got)
	}
}

func TestWhatIsWrongHasItsLine(t *testing.T) {
	const summer = "SUMMARY:Summer\nDTSTART;VALUE=DATE:20260501"
	for name, test := range map[string]struct {
		text string
		want Fault
		rule string
	}{
		"a rule":          {file(summer, "SUMMARY:Sale\nDTSTART:20260501T000000\nRRULE:FREQ=HOURLY"), Fault{Line: 13, Event: "Sale"}, "calendar_hours"},
		"no start":        {file(summer, "SUMMARY:Sale"), Fault{Line: 9, Event: "Sale"}, "calendar_no_start"},
		"after a fold":    {file("SUMMARY:A long\n  one\nDTSTART:tomorrow"), Fault{Line: 8, Event: "A long one"}, "calendar_no_moment"},
		"no property":     {file("SUMMARY:x\n  y\nnothing"), Fault{Line: 8}, "calendar_unreadable"},
		"the whole of it": {file(), Fault{}, "calendar_empty"},
	} {
		_, err := Import(strings.NewReader(test.text))
		var fault *Fault
		if !errors.As(err, &fault) || fault.Line != test.want.Line || fault.Event != test.want.Event || fault.Reason.Rule != test.rule {
			t.Errorf("%s: %+v, want %+v, %s", name, fault, test.want, test.rule)
		}
	}
}

func TestWhatIsLeftOutIsNoted(t *testing.T) {
	text := file("SUMMARY:Fair\nDTSTART;VALUE=DATE:20260501\nDTEND;VALUE=DATE:20260504", "SUMMARY:Off\nDTSTART;VALUE=DATE:20260601\nSTATUS:CANCELLED",
		"DTSTART;VALUE=DATE:20260701\nDTEND;VALUE=DATE:20260702", "DTSTART:20260801T100000\nDURATION:PT2H", "SUMMARY:Week\nDTSTART:20260901T100000\nDURATION:P1W")
	text = strings.Replace(text, "END:VCALENDAR", "BEGIN:VTODO\r\nUID:t\r\nEND:VTODO\r\nEND:VCALENDAR", 1)
	c, err := Import(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []Note{{FirstDay, 4, "Fair"}, {Cancelled, 10, "Off"}, {FirstDay, 26, "Week"}, {NoEvent, 32, "VTODO"}}
	if diff := cmp.Diff(want, c.Notes()); diff != "" {
		t.Error(diff)
	}
}

func TestEntriesAreAsTheFileHasThem(t *testing.T) {
	c, err := Import(strings.NewReader(file("DTSTART;TZID=Asia/Shanghai:20260501T200000\nSUMMARY:Show", "DTSTART;VALUE=DATE:20260501\nSUMMARY:Day", "DTSTART:20260430T090000", "DTSTART;VALUE=DATE:20260502")))
	if err != nil {
		t.Fatal(err)
	}
	var got []Entry
	for e := range c.Coming(Date{2026, time.May, 1}) {
		if got = append(got, e); len(got) == 2 {
			break
		}
	}
	first := Date{2026, time.May, 1}
	if diff := cmp.Diff([]Entry{{Date: first, Title: "Day"}, {first, "20:00", "Asia/Shanghai", "Show"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheMonthAndDayOfLunarFestivals(t *testing.T) {
	for _, f := range Festivals() {
		if f.Lunar == "" {
			continue
		}
		from := instant(t, "2026-01-01T00:00:00Z")
		named := Schedule{Occasion: parse(t, f.Name)}.Next(from, time.UTC, 20)
		counted := Schedule{Occasion: parse(t, "lunar:"+f.Lunar)}.Next(from, time.UTC, 20)
		for i := range named {
			if named[i].Date != counted[i].Date {
				t.Errorf("%s is on %s, lunar %s on %s", f.Name, named[i].Date, f.Lunar, counted[i].Date)
			}
		}
	}
}

func FuzzImport(f *testing.F) {
	f.Add(file("DTSTART;VALUE=DATE:20260501\nRRULE:FREQ=YEARLY;COUNT=3\nEXDATE;VALUE=DATE:20270501\nSUMMARY:x"))
	f.Add(file("DTSTART;TZID=America/New_York:20260307T090000\nRRULE:FREQ=MONTHLY;BYDAY=-1FR;UNTIL=20261231T000000Z"))
	f.Add(file("UID:a\nDTSTART:20260301T060000Z\nRDATE:20260401T060000Z", "UID:a\nRECURRENCE-ID:20260401T060000Z\nDTSTART:20260402T060000Z"))
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Import(strings.NewReader(text))
		if err != nil {
			return
		}
		if c.Len() > maxOccurrences {
			t.Fatalf("%d dates", c.Len())
		}
		last := from
		for _, m := range (Schedule{Occasion: Occasion{imported: c}}).Next(from, time.UTC, 5) {
			if m.At.Before(last) {
				t.Fatalf("%s comes after %s", m.At, last)
			}
			last = m.At
		}
	})
}
