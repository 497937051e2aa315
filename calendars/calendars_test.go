package calendars_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"herald/calendar"
	"herald/calendars"
	"herald/postgres/pgtest"
	"herald/problem"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func file(date string) []byte {
	return []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:" + date + "\r\nSUMMARY:店庆\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
}

func TestCalendarsAreKeptAndReadAnew(t *testing.T) {
	ctx := context.Background()
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	s := calendars.NewStore(pgtest.New(t), func() time.Time { return now })
	saved, err := s.Save(ctx, calendars.File{Name: "shop", Title: " Shop ", Body: file("20260618")}, "operator:ann")
	want := calendars.Calendar{Name: "shop", Title: "Shop", Dates: 1, Version: 1, SavedBy: "operator:ann", UpdatedAt: now}
	if err != nil || saved != want {
		t.Fatalf("%+v, %v", saved, err)
	}
	o, err := calendar.Parse("calendar:shop")
	if err != nil {
		t.Fatal(err)
	}
	for version, date := range []string{"20260618", "20260701", "20260701"} {
		if version == 1 {
			if saved, err = s.Save(ctx, calendars.File{Name: "shop", Title: "Shop", Body: file(date)}, "operator:ann"); err != nil || saved.Version != 2 {
				t.Fatalf("%+v, %v", saved, err)
			}
		}
		used, err := s.Using(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		next := calendar.Schedule{Occasion: used, Minute: 540}.Next(now, time.UTC, 2)
		if len(next) != 1 || next[0].At.Format("20060102T15:04") != date+"T09:00" || next[0].Title != "店庆" {
			t.Errorf("%s: %v", date, next)
		}
	}
	if list, err := s.List(ctx); err != nil || len(list) != 1 || list[0] != saved {
		t.Errorf("listed: %+v, %v", list, err)
	}
	if body, err := s.Body(ctx, "shop"); err != nil || string(body) != string(file("20260701")) {
		t.Errorf("%q, %v", body, err)
	}
	if birthday, err := s.Using(ctx, calendar.Occasion{}); err != nil || birthday.Calendar() != "" {
		t.Errorf("what needs none: %v, %v", birthday, err)
	}
}

func TestCalendarsThatCannotBeSaved(t *testing.T) {
	ctx := context.Background()
	s := calendars.NewStore(pgtest.New(t), time.Now)
	for path, c := range map[string]struct {
		name, title string
		body        []byte
	}{
		"name":  {"Our Shop", "Shop", file("20260618")},
		"title": {"shop", " ", file("20260618")},
		"body":  {"shop", "Shop", []byte("BEGIN:VCALENDAR")},
	} {
		_, err := s.Save(ctx, calendars.File{Name: c.name, Title: c.title, Body: c.body}, "operator:ann")
		var bad *problem.Error
		if !errors.As(err, &bad) || len(bad.Fields) != 1 || bad.Fields[0].Path != path {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := s.Imported(ctx, "none"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("none: %v", err)
	}
	if _, err := s.Body(ctx, "none"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("none: %v", err)
	}
}

func TestAVersionThatWasSeenIsReplaced(t *testing.T) {
	ctx := context.Background()
	s := calendars.NewStore(pgtest.New(t), time.Now)
	f := calendars.File{Name: "shop", Title: "Shop", Body: file("20260618")}
	refused := func(seen int) {
		t.Helper()
		if _, err := s.Replace(ctx, f, seen, "operator:ann"); problem.CodeOf(err) != problem.Conflict {
			t.Errorf("over %d: %v", seen, err)
		}
	}
	refused(1)
	for seen := range 2 {
		if saved, err := s.Replace(ctx, f, seen, "operator:ann"); err != nil || saved.Version != seen+1 {
			t.Fatalf("over %d: %+v, %v", seen, saved, err)
		}
	}
	refused(0)
	refused(1)
	if got, err := s.Get(ctx, "shop"); err != nil || got.Version != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := s.Get(ctx, "none"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("none: %v", err)
	}
}

func TestAMistakeInAFileHasItsLine(t *testing.T) {
	_, err := calendars.File{Name: "shop", Title: "Shop", Body: file("tomorrow")}.Check()
	var bad *problem.Error
	if !errors.As(err, &bad) || len(bad.Fields) != 1 || bad.Fields[0].Args["line"] != 6 || bad.Fields[0].Args["event"] != "店庆" {
		t.Errorf("%+v", bad)
	}
}

func TestWhatIsUsedIsNotDeleted(t *testing.T) {
	ctx := context.Background()
	pool := pgtest.New(t)
	s := calendars.NewStore(pool, time.Now)
	save := func() {
		t.Helper()
		if _, err := s.Save(ctx, calendars.File{Name: "shop", Title: "Shop", Body: file("20260618")}, "operator:ann"); err != nil {
			t.Fatal(err)
		}
	}
	run := func(sql string) {
		t.Helper()
		if _, err := pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	save()
	run(`INSERT INTO triggers (name, event_type, definition, enabled) VALUES
		('shop_days', 'herald.date', '{"dates": {"occasion": " Calendar:Shop "}}', false), ('feasts', 'herald.date', '{"dates": {"occasion": "qixi, dongzhi"}}', true), ('price', 'price.changed', '{}', true)`)
	run(`INSERT INTO campaigns (state, plan, created_by, created_at, updated_at)
		SELECT state, jsonb_build_object('name', state, 'when', jsonb_build_object('occasion', 'calendar:shop')), 'ann', now(), now() FROM unnest(ARRAY['draft', 'finished']) state`)
	err := s.Delete(ctx, "shop")
	if problem.CodeOf(err) != problem.Conflict || !strings.Contains(err.Error(), "trigger shop_days, campaign 1 (draft)") {
		t.Errorf("deleted: %v", err)
	}
	want := []calendars.Use{
		{Trigger: "feasts", Occasions: []string{"qixi", "winter_solstice"}},
		{Trigger: "shop_days", Occasions: []string{"calendar:shop"}},
		{Campaign: 1, Name: "draft", Occasions: []string{"calendar:shop"}},
	}
	if got, err := s.Uses(ctx); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := s.Imported(ctx, "shop"); err != nil {
		t.Errorf("it is gone: %v", err)
	}
	run(`UPDATE campaigns SET state = 'stopped'; DELETE FROM triggers WHERE name = 'shop_days'`)
	if err := s.Delete(ctx, "shop"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, "shop"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("again: %v", err)
	}
}

func TestANameThatIsTakenAgainIsReadAnew(t *testing.T) {
	ctx := context.Background()
	pool := pgtest.New(t)
	here, elsewhere := calendars.NewStore(pool, time.Now), calendars.NewStore(pool, time.Now)
	for _, dates := range [][]byte{file("20260618"), file("20260618\r\nRRULE:FREQ=YEARLY;COUNT=3")} {
		saved, err := here.Save(ctx, calendars.File{Name: "shop", Title: "Shop", Body: dates}, "operator:ann")
		if err != nil || saved.Version != 1 {
			t.Fatalf("%+v, %v", saved, err)
		}
		if read, err := elsewhere.Imported(ctx, "shop"); err != nil || read.Len() != saved.Dates {
			t.Errorf("%d dates, %v, want %d", read.Len(), err, saved.Dates)
		}
		if err := here.Delete(ctx, "shop"); err != nil {
			t.Fatal(err)
		}
	}
}
