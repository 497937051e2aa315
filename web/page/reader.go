package page

import (
	"fmt"
	"html/template"
	"time"
)

// Reader is who reads a page, and of whom: their language, their zone, the
// moment, and whose service this is.
type Reader struct {
	*Locale
	Zone    *time.Location
	Now     time.Time
	Company string // its name in their language; may be empty
}

// Clock is the time of day, to the second: "09:12:04".
func (r Reader) Clock(t time.Time) string { return t.In(r.Zone).Format("15:04:05") }

// Exact is a moment in full, in the reader's zone: "Tue, 3 Mar 2026, 09:12:04 CST".
func (r Reader) Exact(t time.Time) string {
	t = t.In(r.Zone)
	zone, _ := t.Zone()
	return r.date(t, true) + t.Format(" 15:04:05 ") + zone
}

// Minute is a moment as one writes it down: "3 Mar 2026, 09:12"; the year is
// left out when it is this one.
func (r Reader) Minute(t time.Time) string {
	t = t.In(r.Zone)
	return r.date(t, t.Year() != r.Now.In(r.Zone).Year()) + t.Format(" 15:04")
}

// Date is a day: "3 Mar 2026" or "2026年3月3日".
func (r Reader) Date(t time.Time) string {
	t = t.In(r.Zone)
	if r.Tag == "zh-CN" {
		return fmt.Sprintf("%d年%d月%d日", t.Year(), t.Month(), t.Day())
	}
	return t.Format("2 Jan 2006")
}

// FullDate is a day with its weekday: "Tue 3 Mar 2026" or "2026年3月3日周二".
func (r Reader) FullDate(t time.Time) string { return r.date(t.In(r.Zone), true) }

func (r Reader) date(t time.Time, year bool) string {
	switch {
	case r.Tag == "zh-CN" && year:
		return r.Date(t) + "周" + weekdays[t.Weekday()]
	case r.Tag == "zh-CN":
		return fmt.Sprintf("%d月%d日周%s", t.Month(), t.Day(), weekdays[t.Weekday()])
	case year:
		return t.Format("Mon 2 Jan 2006")
	}
	return t.Format("Mon 2 Jan")
}

var weekdays = [...]string{"日", "一", "二", "三", "四", "五", "六"}

// relative says how far a moment is from now, in words.
func (r Reader) relative(t time.Time) string {
	d, direction := r.Now.Sub(t), "ago"
	if d < 0 {
		d, direction = -d, "ahead"
	}
	switch {
	case d < 45*time.Second && direction == "ago":
		return r.T("time.just_now")
	case d < time.Hour:
		return r.T("time.minutes_"+direction, "count", int64(max(1, d.Round(time.Minute)/time.Minute)))
	case d < 24*time.Hour:
		return r.T("time.hours_"+direction, "count", int64(d/time.Hour))
	case d < 14*24*time.Hour:
		return r.T("time.days_"+direction, "count", int64(d/(24*time.Hour)))
	}
	return r.Date(t)
}

// Ago is a moment as it is told in lists, "3 minutes ago", with the exact time
// on hover.
func (r Reader) Ago(at any) template.HTML { return r.told(at, r.relative) }

// When is a moment to the minute, with the exact time on hover.
func (r Reader) When(at any) template.HTML { return r.told(at, r.Minute) }

// At is the time of day to the second, with the exact time on hover.
func (r Reader) At(at any) template.HTML { return r.told(at, r.Clock) }

// Day is a date, with the exact time on hover.
func (r Reader) Day(at any) template.HTML { return r.told(at, r.Date) }

// told writes a time element; at is a time.Time or a *time.Time, of which nil
// and the zero time are told as nothing.
func (r Reader) told(at any, in func(time.Time) string) template.HTML {
	var t time.Time
	switch v := at.(type) {
	case time.Time:
		t = v
	case *time.Time:
		if v != nil {
			t = *v
		}
	}
	if t.IsZero() {
		return ""
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, //nolint:gosec // every part is escaped
		t.UTC().Format(time.RFC3339), template.HTMLEscapeString(r.Exact(t)), template.HTMLEscapeString(in(t))))
}

// Zone is a zone by its IANA name.
func Zone(name string) (*time.Location, bool) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" { // Local is whatever this machine is set to
		return time.UTC, false
	}
	return zone, true
}

func zoneOr(name string) *time.Location {
	zone, _ := Zone(name)
	return zone
}
