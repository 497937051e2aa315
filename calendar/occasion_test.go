package calendar

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func parse(t testing.TB, spec string) Occasion {
	t.Helper()
	o, err := Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := LoadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// dates are those of the next moments, in words.
func dates(moments []Moment) []string {
	var list []string
	for _, m := range moments {
		list = append(list, m.Date.String())
	}
	return list
}

func TestOccasionsFallOnTheirDates(t *testing.T) {
	tests := map[string][]string{ // from 2026 on
		"12-25":                  {"2026-12-25", "2027-12-25", "2028-12-25"},
		"1-6":                    {"2026-01-06", "2027-01-06", "2028-01-06"},
		"02-29":                  {"2026-02-28", "2027-02-28", "2028-02-29"},
		"2027-03-01":             {"2027-03-01"},
		"2025-03-01":             nil,
		"easter":                 {"2026-04-05", "2027-03-28", "2028-04-16"},
		"Easter+39":              {"2026-05-14", "2027-05-06", "2028-05-25"}, // Ascension
		"easter-47":              {"2026-02-17", "2027-02-09", "2028-02-29"}, // Shrove Tuesday
		"good_friday":            {"2026-04-03", "2027-03-26", "2028-04-14"},
		"2nd sunday of may":      {"2026-05-10", "2027-05-09", "2028-05-14"},
		"Last Monday of May":     {"2026-05-25", "2027-05-31", "2028-05-29"},
		"5th sunday of february": {"2032-02-29", "2060-02-29", "2088-02-29"},
		"thanksgiving":           {"2026-11-26", "2027-11-25", "2028-11-23"},
		"spring_festival":        {"2026-02-17", "2027-02-06", "2028-01-26"},
		"lantern":                {"2026-03-03", "2027-02-20", "2028-02-09"},
		"qingming":               {"2026-04-05", "2027-04-05", "2028-04-04"},
		"dragon_boat":            {"2026-06-19", "2027-06-09", "2028-05-28"},
		"qixi":                   {"2026-08-19", "2027-08-08", "2028-08-26"},
		"ghost":                  {"2026-08-27", "2027-08-16", "2028-09-03"},
		"mid_autumn":             {"2026-09-25", "2027-09-15", "2028-10-03"},
		"double_ninth":           {"2026-10-18", "2027-10-08", "2028-10-26"},
		"winter_solstice":        {"2026-12-22", "2027-12-22", "2028-12-21"},
		"dongzhi":                {"2026-12-22", "2027-12-22", "2028-12-21"},
		"laba":                   {"2026-01-26", "2027-01-15", "2028-01-04"},
		"new_years_eve":          {"2026-02-16", "2027-02-05", "2028-01-25"},
		"lunar:8-15":             {"2026-09-25", "2027-09-15", "2028-10-03"},
		"lunar:12-30":            {"2026-02-16", "2027-02-05", "2028-01-25"},
		"birthday":               {"2026-01-01", "2026-01-02", "2026-01-03"},
		"calendar:shop":          nil, // not given yet
	}
	for spec, want := range tests {
		s := Schedule{Occasion: parse(t, spec), Minute: 9 * 60}
		got := dates(s.Next(instant(t, "2026-01-01T00:00:00Z"), time.UTC, 3))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", spec, diff)
		}
	}
}

func TestAnniversariesOf29February(t *testing.T) {
	s := Schedule{Occasion: parse(t, "02-29"), LeapDay: March1}
	want := []string{"2026-03-01", "2027-03-01", "2028-02-29", "2029-03-01"}
	if diff := cmp.Diff(want, dates(s.Next(instant(t, "2026-01-01T00:00:00Z"), time.UTC, 4))); diff != "" {
		t.Error(diff)
	}
	tests := []struct {
		rule LeapDay
		date string
		want string
	}{
		{"", "2026-02-27", "02-27"},
		{"", "2026-02-28", "02-28 02-29"},
		{"", "2028-02-28", "02-28"},
		{"", "2028-02-29", "02-29"},
		{"", "2026-03-01", "03-01"},
		{"", "2100-02-28", "02-28 02-29"},
		{"", "2000-02-28", "02-28"},
		{"", "2026-12-31", "12-31"},
		{February28, "2026-02-28", "02-28 02-29"},
		{March1, "2026-02-28", "02-28"},
		{March1, "2026-03-01", "03-01 02-29"},
		{March1, "2028-03-01", "03-01"},
		{March1, "2028-02-29", "02-29"},
	}
	for _, test := range tests {
		d, err := ParseDate(test.date)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(test.rule.Days(d), " "); got != test.want {
			t.Errorf("%s on %s: %s, want %s", test.rule, test.date, got, test.want)
		}
	}
}

func TestWhatIsNoOccasionIsSaidInWords(t *testing.T) {
	for spec, want := range map[string]string{
		"":                        "name an occasion",
		"  ":                      "name an occasion",
		strings.Repeat("x", 3000): "name an occasion",
		"chrismas":                "there is no occasion",
		"02-30":                   "no day",
		"13-01":                   "no day",
		"0-1":                     "no day",
		"2026-02-29":              "there is no occasion",
		"easter39":                "easter+39",
		"easter+1000":             "easter+39",
		"easter+":                 "easter+39",
		"6th sunday of may":       "2nd sunday of may",
		"2nd sunny of may":        "2nd sunday of may",
		"lunar:13-1":              "lunar:8-15",
		"lunar:1-31":              "lunar:8-15",
		"lunar:1":                 "lunar:8-15",
		"cron:TZ=UTC 0 9 * * *":   "time zone",
		"cron:@every 1h":          "at which times of the day",
		"cron:nonsense":           "five fields",
		"calendar:":               "name",
		"calendar:../x":           "name",
	} {
		if _, err := Parse(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", spec, err, want)
		}
	}
}

func TestFestivalsHaveNamesThatCanBeRead(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Festivals() {
		if o, err := Parse(strings.ToUpper(f.Name)); err != nil || o.String() != f.Name {
			t.Errorf("%s: %q, %v", f.Name, o, err)
		}
		for _, title := range []string{f.In("en-GB"), f.In("zh-CN")} {
			if title == "" || seen[title] {
				t.Errorf("%s: the title %q is empty or another's", f.Name, title)
			}
			seen[title] = true
		}
	}
}

func TestWhatAnOccasionIs(t *testing.T) {
	for spec, want := range map[string][3]any{
		"birthday": {true, false, ""}, "daily": {true, false, ""}, "12-25": {false, false, ""},
		"cron:0 9 * * *": {false, true, ""}, "Calendar:Shop-2": {false, false, "shop-2"},
	} {
		o := parse(t, spec)
		if got := [3]any{o.Personal(), o.BringsHours(), o.Calendar()}; got != want {
			t.Errorf("%s: %v, want %v", spec, got, want)
		}
		if again := parse(t, o.String()); again.String() != o.String() {
			t.Errorf("%s is read again as %s", o, again)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, spec := range []string{"birthday", "12-25", "2027-03-01", "easter+39", "2nd sunday of may", "lunar:8-15", "cron:0 9 * * MON", "calendar:x", "qingming"} {
		f.Add(spec)
	}
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, spec string) {
		o, err := Parse(spec)
		if err != nil {
			return
		}
		if again, err := Parse(o.String()); err != nil || again.String() != o.String() {
			t.Fatalf("%q is written as %q, which is %q, %v", spec, o, again, err)
		}
		last := from
		for _, m := range (Schedule{Occasion: o, Minute: 540}).Next(from, time.UTC, 3) {
			if m.At.Before(last) {
				t.Fatalf("%q: %s comes after %s", spec, m.At, last)
			}
			last = m.At
		}
	})
}

func TestSeveralOccasionsComeInTheOrderOfTheirDates(t *testing.T) {
	s := Schedule{Occasion: parse(t, "Mid_Autumn, qixi,12-25"), Minute: 540}
	if got := s.Occasion.String(); got != "mid_autumn, qixi, 12-25" {
		t.Errorf("it is written as %q", got)
	}
	var got []string
	from := instant(t, "2026-01-01T00:00:00Z")
	for _, m := range s.Next(from, time.UTC, 4) {
		got = append(got, m.Key()+" "+m.Occasion)
	}
	want := []string{"2026-08-19 qixi", "2026-09-25 mid_autumn", "2026-12-25 12-25", "2027-08-08 qixi"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if between := s.Between(from, instant(t, "2026-12-31T00:00:00Z"), time.UTC); len(between) != 3 {
		t.Errorf("within the year: %v", between)
	}
}

func TestTheLatestOfEachOccasion(t *testing.T) {
	from, until := instant(t, "2026-01-01T00:00:00Z"), instant(t, "2027-12-31T00:00:00Z")
	for spec, want := range map[string][]string{
		"mid_autumn, qixi, 2026-05-01, 2030-01-01": {"2026-05-01", "2027-08-08", "2027-09-15"},
		"cron:* * * * *":  {"2027-12-31T00:00"},
		"cron:0 9 29 2 *": nil,
		"birthday":        {"2027-12-30"},
	} {
		var got []string
		for _, m := range (Schedule{Occasion: parse(t, spec), Minute: 540}).Latest(from, until, time.UTC) {
			got = append(got, m.Key())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", spec, diff)
		}
	}
}
