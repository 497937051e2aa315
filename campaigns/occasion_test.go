package campaigns

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/calendar"
	"herald/calendars"
)

// tell looks every few minutes until an instant, and says when each member was
// told first.
func (d *desk) tell(until string, every time.Duration) map[string]string {
	d.Helper()
	told := map[string]string{}
	for now := d.clock.now(); now.Before(at(d.TB.(*testing.T), until)); now = now.Add(every) {
		d.clock.set(now)
		d.look()
		d.prepare()
		rows, err := d.pool.Query(d.Context(), `SELECT account FROM told JOIN members ON members.id = member ORDER BY account`)
		if err != nil {
			d.Fatal(err)
		}
		for rows.Next() {
			var account string
			if err := rows.Scan(&account); err != nil {
				d.Fatal(err)
			}
			if told[account] == "" {
				told[account] = now.Format("02 15:04")
			}
		}
		rows.Close()
	}
	return told
}

// around registers members around the world.
func (d *desk) around() {
	d.Helper()
	d.exec(`INSERT INTO members (account, time_zone) VALUES
		('line', 'Pacific/Kiritimati'), ('east', 'Asia/Shanghai'), ('home', 'UTC'), ('west', 'America/New_York'), ('mars', 'Mars/Olympus')`)
}

func TestAFestivalIsToldAtEveryMembersHour(t *testing.T) {
	d := newDesk(t)
	d.clock.set(at(t, "2026-09-01T00:00:00Z"))
	d.around()
	c := d.started(func(p *Plan) { p.When = When{Occasion: "Mid_Autumn", Hour: "09:30"} })
	if c.When.Occasion != "mid_autumn" || !c.DueAt.Equal(at(t, "2026-09-24T19:30:00Z")) {
		t.Errorf("it is due at %s for %s", c.DueAt, c.When.Occasion)
	}
	d.clock.set(at(t, "2026-09-24T19:25:00Z"))
	want := map[string]string{"line": "24 19:30", "east": "25 01:30", "home": "25 09:30", "mars": "25 09:30", "west": "25 13:30"}
	if diff := cmp.Diff(want, d.tell("2026-09-26T06:00:00Z", 5*time.Minute)); diff != "" {
		t.Error(diff)
	}
	d.toldOnce(5)
	if c = d.get(c.ID); c.State != Scheduled || !c.DueAt.Equal(at(t, "2027-09-14T19:30:00Z")) {
		t.Errorf("then it is %s until %s", c.State, c.DueAt)
	}
	next, err := d.store.NextDates(t.Context(), c.When, 2)
	if err != nil || len(next) != 2 || next[0].Date.String() != "2027-09-15" || next[1].Date.String() != "2028-10-03" {
		t.Errorf("next come %v, %v", next, err)
	}
}

func TestADateThatComesOnceEndsItsCampaign(t *testing.T) {
	d := newDesk(t)
	d.clock.set(at(t, "2026-09-01T00:00:00Z"))
	d.around()
	c := d.started(func(p *Plan) { p.When = When{Occasion: "2026-09-03"} })
	if told := d.tell("2026-09-05T06:00:00Z", 15*time.Minute); len(told) != 5 {
		t.Errorf("told %v", told)
	}
	d.look()
	d.inState(c.ID, Finished)
	late := d.create(func(p *Plan) { p.When = When{Occasion: "2026-09-03"} })
	if _, err := d.store.Start(t.Context(), late.ID, "operator:ann"); err == nil || !strings.Contains(err.Error(), "never") {
		t.Errorf("one that has passed is started: %v", err)
	}
}

func TestMissedOccasions(t *testing.T) {
	for rule, want := range map[calendar.Missed]int{"": 1, calendar.Once: 1, calendar.All: 3, calendar.Skip: 0} {
		d := newDesk(t)
		d.exec(`INSERT INTO members (account) VALUES ('home')`)
		if _, err := d.pool.Exec(t.Context(), `SELECT 1`); err != nil {
			t.Fatal(err)
		}
		files := calendars.NewStore(d.pool, d.clock.now)
		text := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20260303\r\nRRULE:FREQ=DAILY;COUNT=3\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
		if _, err := files.Save(t.Context(), calendars.File{Name: "fair", Title: "Fair", Body: []byte(text)}, "operator:ann"); err != nil {
			t.Fatal(err)
		}
		d.started(func(p *Plan) { p.When = When{Occasion: "calendar:fair", Missed: rule}; p.Expiry = "240h" })
		d.clock.set(at(t, "2026-03-06T12:00:00Z")) // Herald was away
		d.look()
		d.prepare()
		if n := d.number(`SELECT count(*) FROM told`); int(n) != want {
			t.Errorf("%q: told %d times, want %d", rule, n, want)
		}
	}
}

func TestMissedFirings(t *testing.T) {
	for rule, want := range map[calendar.Missed]string{
		calendar.Once: "created started missed missed fired", calendar.All: "created started fired fired fired", calendar.Skip: "created started missed missed missed",
	} {
		d := newDesk(t)
		c := d.started(func(p *Plan) { p.When = When{Cron: "0 10 * * *", Missed: rule}; p.Expiry = "240h" })
		d.clock.set(at(t, "2026-03-04T12:00:00Z"))
		d.look()
		d.history(c.ID, want)
	}
}

func TestBirthdaysOf29FebruaryAsThePlanSays(t *testing.T) {
	d := newDesk(t)
	d.clock.set(at(t, "2026-02-27T12:00:00Z"))
	d.exec(`INSERT INTO members (account, birthday) VALUES ('leap', '2004-02-29'), ('first', '1990-03-01')`)
	d.started(func(p *Plan) { p.When = When{Occasion: Birthday, LeapDay: calendar.March1} })
	want := map[string]string{"leap": "01 09:00", "first": "01 09:00"}
	if diff := cmp.Diff(want, d.tell("2026-03-02T00:00:00Z", 15*time.Minute)); diff != "" {
		t.Error(diff)
	}
}
