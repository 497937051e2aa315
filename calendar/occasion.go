package calendar

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// maxSpec is how long the text of an occasion may be, in bytes.
const maxSpec = 1000

// Occasion is a date that recurs for people, or one that does not. The zero
// value never comes.
type Occasion struct {
	spec     string
	personal bool
	dates    rule               // nil for the two below
	wall     *cron.SpecSchedule // of a schedule
	imported *Imported          // of a calendar, once Using has given it
	calendar string             // the calendar's name
	several  []Occasion         // of a list; it has nothing else
}

// maxSeveral is how many occasions a list has at most.
const maxSeveral = 30

// Parse reads an occasion:
//
//	birthday              every date, for those whose birthday it is (LeapDay.Days)
//	daily             every date, for dates that people give themselves
//	12-25                 a day of the year
//	2027-03-01            a date, once
//	easter, easter+39     Easter Sunday, and days after or (easter-2) before it
//	2nd sunday of may     also 1st to 5th, and last
//	mid_autumn            a festival by its name (Festivals)
//	lunar:8-15            a day of a month of the Chinese calendar; leap months
//	                      do not count, and a short month's 30th is its 29th
//	cron:0 9 * * MON      a schedule in five fields by the wall clock, which
//	                      brings its own hours
//	calendar:shop         what an imported calendar holds (Using)
//	qixi, mid_autumn      several of those that have dates
//
// Letters may be large or small. The error says what is wrong in words for the
// one who wrote it.
func Parse(spec string) (Occasion, error) {
	spec = strings.TrimSpace(spec)
	if spec == "" || len(spec) > maxSpec {
		return Occasion{}, fmt.Errorf("name an occasion, such as birthday, 12-25 or mid_autumn")
	}
	if expression, ok := strings.CutPrefix(spec, "cron:"); ok {
		return Cron(expression)
	}
	lower := strings.ToLower(spec)
	if strings.Contains(lower, ",") {
		return parseSeveral(lower)
	}
	o := Occasion{spec: lower, personal: lower == "birthday" || lower == "daily"}
	if o.personal {
		o.dates = everyDay
		return o, nil
	}
	if name, ok := strings.CutPrefix(lower, "calendar:"); ok {
		if !calendarName.MatchString(name) {
			return Occasion{}, fmt.Errorf("a calendar's name has letters, digits, - and _ only")
		}
		o.calendar = name
		return o, nil
	}
	if f, ok := festival(lower); ok {
		o.spec, o.dates = f.Name, f.dates
		return o, nil
	}
	var err error
	o.dates, err = parseRule(lower)
	return o, err
}

// parseSeveral reads a list of occasions.
func parseSeveral(spec string) (Occasion, error) {
	var list Occasion
	var names []string
	for part := range strings.SplitSeq(spec, ",") {
		one, err := Parse(part)
		switch {
		case err != nil:
			return Occasion{}, err
		case one.dates == nil || one.personal:
			return Occasion{}, fmt.Errorf("%s cannot be one of several", one)
		case len(list.several) == maxSeveral:
			return Occasion{}, fmt.Errorf("at most %d occasions can be listed", maxSeveral)
		case slices.Contains(names, one.spec):
			return Occasion{}, fmt.Errorf("%s is listed twice", one)
		}
		list.several, names = append(list.several, one), append(names, one.spec)
	}
	list.spec = strings.Join(names, ", ")
	return list, nil
}

// calendarName is how an imported calendar may be named.
var calendarName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// ValidName reports whether an imported calendar may have a name: small
// letters, digits, - and _, at most 63 of them.
func ValidName(name string) bool { return calendarName.MatchString(name) }

// Cron is the occasion of a schedule: five fields (minute, hour, day, month,
// weekday) or a short form such as @daily, by the wall clock.
func Cron(expression string) (Occasion, error) {
	expression = strings.TrimSpace(expression)
	wall, err := parseCron(expression)
	if err != nil {
		return Occasion{}, err
	}
	return Occasion{spec: "cron:" + expression, wall: wall}, nil
}

// parseRule reads what is made of numbers and words.
func parseRule(spec string) (rule, error) {
	if days, ok := strings.CutPrefix(spec, "easter"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < -200 || n > 200 || days[0] != '+' && days[0] != '-' {
			return nil, fmt.Errorf("write easter+39 or easter-2, at most 200 days away from it")
		}
		return easterly(n), nil
	}
	if text, ok := strings.CutPrefix(spec, "lunar:"); ok {
		month, day, ok := twoNumbers(text)
		if !ok || month < 1 || month > 12 || day < 1 || day > 30 {
			return nil, fmt.Errorf("write the month and the day of the lunar year as lunar:8-15")
		}
		return lunar(month, day), nil
	}
	if words := strings.Fields(spec); len(words) == 4 && words[2] == "of" {
		return parseWeekday(words[0], words[1], words[3])
	}
	if date, err := ParseDate(spec); err == nil {
		return once(date), nil
	}
	if month, day, ok := twoNumbers(spec); ok {
		// 2000 had a 29 February.
		if t := (Date{2000, time.Month(month), day}).midnight(); month < 1 || month > 12 || day < 1 || t.Day() != day {
			return nil, fmt.Errorf("there is no day %q of the year: write the month and the day as 12-25", spec)
		}
		return kept(time.Month(month), day), nil
	}
	return nil, fmt.Errorf("there is no occasion %q: write birthday, a day such as 12-25, a date such as 2027-03-01, a festival such as mid_autumn or easter+39, 2nd sunday of may, lunar:8-15, cron:0 9 * * MON or calendar:name", spec)
}

// twoNumbers reads "8-15".
func twoNumbers(text string) (month, day int, ok bool) {
	left, right, ok := strings.Cut(text, "-")
	if !ok || len(left) > 2 || len(right) > 2 {
		return 0, 0, false
	}
	m, err := strconv.ParseUint(left, 10, 8)
	d, errDay := strconv.ParseUint(right, 10, 8)
	return int(m), int(d), err == nil && errDay == nil
}

func parseWeekday(nth, day, month string) (rule, error) {
	n := slices.Index([]string{"last", "1st", "2nd", "3rd", "4th", "5th"}, nth)
	d, knownDay := named(time.Sunday, time.Saturday, day)
	m, knownMonth := named(time.January, time.December, month)
	if n < 0 || !knownDay || !knownMonth {
		return nil, fmt.Errorf("write it as 2nd sunday of may, or last monday of may")
	}
	return weekday(n, d, m), nil
}

// named finds a weekday or a month by its English name in small letters.
func named[T interface {
	~int
	fmt.Stringer
}](first, last T, name string) (found T, ok bool) {
	for v := first; v <= last; v++ {
		if strings.ToLower(v.String()) == name {
			return v, true
		}
	}
	return 0, false
}

// String is the occasion as Parse takes it.
func (o Occasion) String() string { return o.spec }

// Personal reports whether it comes every day, and concerns those whose own
// date it is.
func (o Occasion) Personal() bool { return o.personal }

// BringsHours reports whether it says itself at which hour it comes.
func (o Occasion) BringsHours() bool { return o.wall != nil }

// Calendar is the name of the imported calendar it needs; empty: none.
func (o Occasion) Calendar() string { return o.calendar }

// Using is the occasion with the calendar it needs. Without it, it never comes.
func (o Occasion) Using(c *Imported) Occasion {
	o.imported = c
	return o
}
