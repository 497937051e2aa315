package calendars_test

import (
	"context"
	"errors"
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
	saved, err := s.Save(ctx, "shop", " Shop ", file("20260618"), "operator:ann")
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
			if saved, err = s.Save(ctx, "shop", "Shop", file(date), "operator:ann"); err != nil || saved.Version != 2 {
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
		_, err := s.Save(ctx, c.name, c.title, c.body, "operator:ann")
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
