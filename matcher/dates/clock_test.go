package dates

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/calendar"
	"herald/calendars"
	"herald/postgres/pgtest"
	"herald/subscriptions"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// tower is a database with members and triggers, and a clock that stands still
// until it is told to move.
type tower struct {
	testing.TB
	ctx      context.Context
	pool     *pgxpool.Pool
	triggers *subscriptions.Triggers
	files    *calendars.Store

	mu   sync.Mutex
	at   time.Time
	told []Event // by transactions that have committed
	fail error   // of the consumer
	only string  // the trigger whose dates fail; empty: all
}

func open(t testing.TB, at string) *tower {
	t.Helper()
	w := &tower{TB: t, ctx: context.Background(), pool: pgtest.New(t)}
	w.triggers = subscriptions.NewTriggers(w.pool, w.now)
	w.files = calendars.NewStore(w.pool, w.now)
	w.set(at)
	return w
}

func (w *tower) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *tower) set(at string) {
	w.Helper()
	instant, err := time.Parse(time.RFC3339, at)
	if err != nil {
		w.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = instant
}

// AcceptDates keeps events whose transaction commits, each id once.
func (w *tower) AcceptDates(ctx context.Context, list []Event, in func(context.Context, pgx.Tx) error) error {
	w.mu.Lock()
	fail := w.fail
	if w.only != "" && list[0].Trigger != w.only {
		fail = nil
	}
	w.mu.Unlock()
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		return errors.Join(in(ctx, tx), fail)
	})
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.told = append(w.told, list...)
	}
	return err
}

func (w *tower) clock() *Clock {
	return NewClock(w.pool, w.triggers, w.files, w, Config{Now: w.now, Logger: slog.New(slog.DiscardHandler)})
}

func (w *tower) members(zones ...string) {
	w.Helper()
	if _, err := w.pool.Exec(w.ctx, `
		INSERT INTO members (account, time_zone)
		SELECT 'member' || n, zone FROM unnest($1::text[]) WITH ORDINALITY AS z (zone, n)`, zones); err != nil {
		w.Fatal(err)
	}
}

func (w *tower) trigger(name, occasion, hour string, change ...func(*subscriptions.Dates)) {
	w.Helper()
	t := subscriptions.Trigger{
		Name: name, Title: subscriptions.Text{"en": name}, Summary: subscriptions.Text{"en": name},
		Dates:     &subscriptions.Dates{Occasion: occasion, Hour: hour},
		Condition: "event.zone == member.time_zone", Channels: []subscriptions.Channel{subscriptions.Email},
		Purpose: subscriptions.Service, Priority: 3, Expiry: "12h", Template: "t",
	}
	for _, c := range change {
		c(t.Dates)
	}
	if _, err := w.triggers.Save(w.ctx, t, "test"); err != nil {
		w.Fatal(err)
	}
}

func missed(rule string) func(*subscriptions.Dates) {
	return func(d *subscriptions.Dates) { d.Missed = rule }
}

// hears lets a clock look, and gives what was told since the last time.
func (w *tower) hears(c *Clock, at string) []string {
	w.Helper()
	w.set(at)
	if _, err := c.turn(w.ctx); err != nil {
		w.Fatal(err)
	}
	return w.heard()
}

func (w *tower) heard() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []string
	for _, e := range w.told {
		ids = append(ids, e.ID)
	}
	w.told = nil
	return ids
}

func (w *tower) expect(what string, got []string, want ...string) {
	w.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("%s: %s", what, diff)
	}
}

func TestADateIsToldWhenItsHourComes(t *testing.T) {
	w := open(t, "2026-02-27T12:00:00Z")
	w.members("Asia/Shanghai", "UTC", "Asia/Shanghai", "Pacific/Honolulu")
	w.trigger("birthday", "birthday", "09:00")
	c := w.clock()
	w.expect("a new trigger tells nothing of the past", w.hears(c, "2026-02-27T18:59:00Z"))
	w.expect("before the hour", w.hears(c, "2026-02-28T00:59:59Z"), "birthday/Pacific/Honolulu/2026-02-27")
	w.expect("at the hour", w.hears(c, "2026-02-28T01:00:00Z"),
		"birthday/Asia/Shanghai/2026-02-28", "birthday/Asia/Shanghai/2026-02-28/02-29")
	w.expect("later", w.hears(c, "2026-02-28T01:01:00Z"))
	w.expect("in another zone", w.hears(c, "2026-02-28T09:00:30Z"),
		"birthday/UTC/2026-02-28", "birthday/UTC/2026-02-28/02-29")
	w.set("2026-02-28T19:00:00Z")
	if _, err := c.turn(w.ctx); err != nil {
		t.Fatal(err)
	}
	want := []Event{
		{
			"birthday", "birthday/Pacific/Honolulu/2026-02-28", time.Date(2026, 2, 28, 19, 0, 0, 0, time.UTC),
			map[string]any{"zone": "Pacific/Honolulu", "date": "2026-02-28", "day": "02-28", "occasion": "birthday"},
		},
		{
			"birthday", "birthday/Pacific/Honolulu/2026-02-28/02-29", time.Date(2026, 2, 28, 19, 0, 0, 0, time.UTC),
			map[string]any{"zone": "Pacific/Honolulu", "date": "2026-02-28", "day": "02-29", "occasion": "birthday"},
		},
	}
	if diff := cmp.Diff(want, w.told); diff != "" {
		t.Error(diff)
	}
}

func TestWhatWasMissed(t *testing.T) {
	day := func(name string, days ...string) []string {
		var ids []string
		for _, d := range days {
			ids = append(ids, name+"/UTC/"+d)
		}
		return ids
	}
	w := open(t, "2026-03-01T12:00:00Z")
	w.members("UTC")
	for _, rule := range []string{"skip", "once", "all"} {
		w.trigger("daily_"+rule, "daily", "09:00", missed(rule))
		w.trigger("cron_"+rule, "cron:0 9 * * *", "09:00", missed(rule))
		w.trigger("feasts_"+rule, "03-02, 03-03, 03-04, 03-05", "09:00", missed(rule))
	}
	c := w.clock()
	w.expect("new triggers", w.hears(c, "2026-03-01T12:00:00Z"))
	got := w.hears(c, "2026-03-04T10:00:00Z")
	slices.Sort(got)
	want := slices.Concat(
		day("cron_all", "2026-03-02T09:00", "2026-03-03T09:00", "2026-03-04T09:00"),
		day("cron_once", "2026-03-04T09:00"),
		day("daily_all", "2026-03-02", "2026-03-03", "2026-03-04"),
		day("daily_once", "2026-03-02", "2026-03-03", "2026-03-04"), // each concerns others
		day("feasts_all", "2026-03-02/03-02", "2026-03-03/03-03", "2026-03-04/03-04"),
		day("feasts_once", "2026-03-02/03-02", "2026-03-03/03-03", "2026-03-04/03-04"), // each is another
	)
	w.expect("after three days", got, want...)
	got = w.hears(c, "2026-03-05T09:04:00Z")
	slices.Sort(got)
	w.expect("four minutes late is in time", got,
		"cron_all/UTC/2026-03-05T09:00", "cron_once/UTC/2026-03-05T09:00", "cron_skip/UTC/2026-03-05T09:00",
		"daily_all/UTC/2026-03-05", "daily_once/UTC/2026-03-05", "daily_skip/UTC/2026-03-05",
		"feasts_all/UTC/2026-03-05/03-05", "feasts_once/UTC/2026-03-05/03-05", "feasts_skip/UTC/2026-03-05/03-05")
	if n := len(w.hears(c, "2028-03-05T12:00:00Z")); n != 3*366+1+2*4 {
		t.Errorf("after two years %d dates, want those of the last", n)
	}
}

func TestOnceIsTheLatestInEachZone(t *testing.T) {
	w := open(t, "2026-03-01T00:00:00Z")
	w.members("UTC", "Asia/Shanghai", "America/New_York")
	w.trigger("news", "cron:0 9 * * *", "09:00")
	c := w.clock()
	w.expect("new", w.hears(c, "2026-03-01T00:00:00Z"))
	w.expect("after four days", w.hears(c, "2026-03-05T02:00:00Z"),
		"news/UTC/2026-03-04T09:00", "news/America/New_York/2026-03-04T09:00", "news/Asia/Shanghai/2026-03-05T09:00")
}

func TestDaysBeforeADate(t *testing.T) {
	w := open(t, "2026-09-01T00:00:00Z")
	w.members("Asia/Shanghai")
	w.trigger("feast", "mid_autumn", "10:30", func(d *subscriptions.Dates) { d.Lead = 7 })
	c := w.clock()
	w.expect("new", w.hears(c, "2026-09-17T00:00:00Z"))
	w.expect("the day before", w.hears(c, "2026-09-18T02:29:00Z"))
	w.expect("seven days before 25 September", w.hears(c, "2026-09-18T02:30:00Z"), "feast/Asia/Shanghai/2026-09-25")
	w.expect("on the day", w.hears(c, "2026-09-25T12:00:00Z"))
}

func TestTwoNodesTellEachDateOnce(t *testing.T) {
	w := open(t, "2026-03-01T00:00:00Z")
	w.members("UTC", "Asia/Shanghai", "America/New_York", "Asia/Kolkata", "Pacific/Chatham")
	w.trigger("birthday", "birthday", "09:00", missed("all"))
	nodes := []*Clock{w.clock(), w.clock(), w.clock()}
	w.expect("new", w.hears(nodes[0], "2026-03-01T00:00:00Z"))
	for hour := range 48 {
		w.set(time.Date(2026, 3, 1, hour, 30, 0, 0, time.UTC).Format(time.RFC3339))
		var group sync.WaitGroup
		for _, node := range nodes {
			group.Go(func() {
				if _, err := node.turn(w.ctx); err != nil {
					t.Error(err)
				}
			})
			// Without turns: both have worked out the same.
			group.Go(func() {
				node := w.clock()
				p, err := node.plans(w.ctx)
				if err != nil {
					t.Error(err)
					return
				}
				zones, err := node.zones(w.ctx)
				if err != nil {
					t.Error(err)
					return
				}
				if err := node.tell(w.ctx, p[0], zones); err != nil && !errors.Is(err, errOvertaken) {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	got := w.heard()
	slices.Sort(got)
	if len(got) != 5*2 || len(slices.Compact(got)) != 5*2 {
		t.Errorf("%d dates of five zones in two days: %v", len(got), got)
	}
}

func TestWhatCannotBeHandedOnIsToldLater(t *testing.T) {
	w := open(t, "2026-03-01T00:00:00Z")
	w.members("UTC")
	w.trigger("birthday", "birthday", "09:00")
	c := w.clock()
	w.expect("new", w.hears(c, "2026-03-01T00:00:00Z"))
	w.set("2026-03-01T09:00:00Z")
	w.fail = errors.New("the database is away")
	if _, err := c.turn(w.ctx); !errors.Is(err, w.fail) {
		t.Errorf("%v", err)
	}
	w.fail = nil
	w.expect("another clock, after a restart", w.hears(w.clock(), "2026-03-01T09:01:00Z"), "birthday/UTC/2026-03-01")
}

func TestATriggerThatFailsDoesNotHoldUpTheOthers(t *testing.T) {
	w := open(t, "2026-03-01T00:00:00Z")
	w.members("UTC")
	for _, name := range []string{"a", "b", "c"} {
		w.trigger(name, "03-01", "09:00")
	}
	c := w.clock()
	w.set("2026-03-01T09:00:00Z")
	for _, failing := range []string{"a", "b"} { // whichever comes first
		w.fail, w.only = errors.New("it is refused"), failing
		if _, err := c.turn(w.ctx); !errors.Is(err, w.fail) {
			t.Errorf("%s: %v", failing, err)
		}
		if failing == "a" {
			w.expect("the others", w.heard(), "b/UTC/2026-03-01", "c/UTC/2026-03-01")
			w.trigger("b", "03-01", "09:01")
			w.set("2026-03-01T09:01:00Z")
		}
	}
	w.expect("once it is well", w.heard(), "a/UTC/2026-03-01")
}

// A trigger is saved, and its hour comes before anybody looks.
func TestAnHourBeforeTheFirstLookIsTold(t *testing.T) {
	w := open(t, "2026-03-01T08:59:30Z")
	w.members("UTC")
	w.trigger("feast", "03-01", "09:00")
	w.expect("at the first look", w.hears(w.clock(), "2026-03-01T09:00:10Z"), "feast/UTC/2026-03-01")
}

func TestAClockThatIsSet(t *testing.T) {
	w := open(t, "2026-03-01T00:00:00Z")
	w.members("UTC")
	w.trigger("birthday", "birthday", "09:00")
	c := w.clock()
	w.expect("new", w.hears(c, "2026-03-01T08:00:00Z"))
	w.expect("in time", w.hears(c, "2026-03-01T09:00:00Z"), "birthday/UTC/2026-03-01")
	w.expect("half an hour back", w.hears(c, "2026-03-01T08:40:00Z"))
	w.expect("and nine again", w.hears(c, "2026-03-01T09:00:00Z"))
	w.expect("a year ahead by mistake", w.hears(c, "2026-03-02T09:00:30Z"), "birthday/UTC/2026-03-02")
	w.expect("back by a day", w.hears(c, "2026-03-01T09:30:00Z"))
	w.expect("the same date has the same id", w.hears(c, "2026-03-02T09:00:00Z"), "birthday/UTC/2026-03-02")
}

func TestATriggerThatIsOffMissesNothing(t *testing.T) {
	w := open(t, "2026-03-01T00:00:00Z")
	w.members("UTC")
	w.trigger("birthday", "birthday", "09:00", missed("all"))
	c := w.clock()
	w.expect("new", w.hears(c, "2026-03-01T00:00:00Z"))
	if err := w.triggers.SetEnabled(w.ctx, "birthday", false, "test"); err != nil {
		t.Fatal(err)
	}
	w.expect("off", w.hears(c, "2026-03-03T12:00:00Z"))
	if err := w.triggers.SetEnabled(w.ctx, "birthday", true, "test"); err != nil {
		t.Fatal(err)
	}
	w.expect("on again", w.hears(c, "2026-03-03T12:01:00Z"))
	w.expect("the next day", w.hears(c, "2026-03-04T09:00:00Z"), "birthday/UTC/2026-03-04")
}

func TestAZoneThatThisMachineDoesNotKnow(t *testing.T) {
	w := open(t, "2026-03-01T00:00:00Z")
	w.members("Mars/Olympus", "local")
	w.trigger("birthday", "birthday", "09:00")
	c := w.clock()
	w.expect("new", w.hears(c, "2026-03-01T00:00:00Z"))
	w.expect("goes by UTC", w.hears(c, "2026-03-01T09:00:00Z"), "birthday/Mars/Olympus/2026-03-01", "birthday/local/2026-03-01")
}

func TestDatesOfAnImportedCalendar(t *testing.T) {
	w := open(t, "2026-03-01T00:00:00Z")
	w.members("Asia/Shanghai")
	w.trigger("fair", "calendar:shop", "09:00")
	w.trigger("birthday", "birthday", "09:00")
	c := w.clock()
	w.expect("new", w.hears(c, "2026-03-01T00:00:00Z"))
	w.expect("without its calendar, others go on", w.hears(c, "2026-03-01T01:00:00Z"), "birthday/Asia/Shanghai/2026-03-01")
	file := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20260301\r\nRRULE:FREQ=DAILY;COUNT=3\r\nSUMMARY:Fair\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	if _, err := w.files.Save(w.ctx, calendars.File{Name: "shop", Title: "Shop", Body: []byte(file)}, "operator:ann"); err != nil {
		t.Fatal(err)
	}
	w.expect("with it", w.hears(c, "2026-03-02T01:00:00Z"), "birthday/Asia/Shanghai/2026-03-02", "fair/Asia/Shanghai/2026-03-02")
}

// A year of every zone's birthdays, looked at about once a day, against the
// clocks themselves.
func TestAYearOfDatesInEveryZone(t *testing.T) {
	text, err := os.ReadFile("../../calendar/testdata/zones.txt")
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(text))
	w := open(t, "2026-03-01T00:00:00Z")
	w.members(names...)
	w.trigger("half_past_two", "birthday", "02:30", missed("all"))
	c := w.clock()
	begin := w.now()
	end := begin.AddDate(1, 0, 0)
	w.expect("new", w.hears(c, begin.Format(time.RFC3339)))
	for at := begin; at.Before(end); {
		at = at.Add(23*time.Hour + 37*time.Minute)
		if at.After(end) {
			at = end
		}
		w.set(at.Format(time.RFC3339))
		if _, err := c.turn(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	told := map[string]time.Time{}
	for _, e := range w.told {
		if _, twice := told[e.ID]; twice {
			t.Errorf("%s is told twice", e.ID)
		}
		told[e.ID] = e.At
	}
	checked := 0
	for _, name := range names {
		location, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		checked += checkZone(t, name, location, begin, end, told)
	}
	t.Logf("%d dates of %d zones", checked, len(names))
}

// checkZone walks through a year by quarters of an hour with a zone's clock in
// view. Of each date there is one event, at the first half past two; where
// there is none, at the time that the clock shows as much later.
func checkZone(t *testing.T, name string, location *time.Location, begin, end time.Time, told map[string]time.Time) (checked int) {
	t.Helper()
	first := map[calendar.Date]time.Time{} // half past two
	for at := begin.Add(15 * time.Minute); !at.After(end); at = at.Add(15 * time.Minute) {
		shown := at.In(location)
		if hour, minute, _ := shown.Clock(); hour != 2 || minute != 30 {
			continue
		}
		if date := calendar.DateOf(shown); first[date].IsZero() {
			first[date] = at
		}
	}
	for date := calendar.DateOf(begin).AddDays(2); date.Compare(calendar.DateOf(end).AddDays(-2)) < 0; date = date.AddDays(1) {
		at, ok := told[fmt.Sprintf("half_past_two/%s/%s", name, date)]
		switch {
		case !ok:
			t.Errorf("%s is not told in %s", date, name)
		case !first[date].IsZero() && !at.Equal(first[date]):
			t.Errorf("%s is told in %s at %s, want %s", date, name, at, first[date])
		case calendar.DateOf(at.In(location)) != date:
			t.Errorf("%s is told in %s on %s", date, name, at.In(location))
		}
		checked++
	}
	return checked
}
