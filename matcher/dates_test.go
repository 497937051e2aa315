package matcher_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"herald/calendars"
	"herald/matcher"
	"herald/matcher/dates"
	"herald/subscriptions"
)

// dated is a trigger on dates without a cool-down.
func dated(name, occasion, condition string, params ...subscriptions.Param) subscriptions.Trigger {
	return subscriptions.Trigger{
		Name: name, Title: words(name), Help: words("Help"), Summary: words(name), Params: params,
		Dates: &subscriptions.Dates{Occasion: occasion, Hour: "09:00", Missed: "all"}, Condition: condition,
		Channels: []subscriptions.Channel{subscriptions.Email}, Purpose: subscriptions.Service, Priority: 3, Expiry: "12h", Template: name,
	}
}

// Dates are told as they come, to those whom they concern, each once: over a
// restart, in every zone of the three members.
func TestDatesMeetThoseWhomTheyConcern(t *testing.T) {
	s := openShop(t)
	s.save(dated("birthday", "birthday", "event.zone == member.time_zone && event.day == member.birthday"))
	s.save(dated("reminder", "daily", "event.zone == member.time_zone && event.date == param.date", param("date", "string")))
	s.save(dated("anniversary", "daily", "event.zone == member.time_zone && event.day == param.day", param("day", "string")))
	which := param("festivals", "strings")
	s.save(dated("festival", "qingming, dragon_boat", "event.zone == member.time_zone && event.occasion in param.festivals", which))
	order := func(member int64, trigger string, params map[string]any) {
		t.Helper()
		if _, err := s.subscriptions.Create(s.ctx, subscriptions.Order{MemberID: member, Trigger: trigger, Params: params, Origin: "api", Actor: "member"}); err != nil {
			t.Fatal(err)
		}
	}
	for account, m := range map[string]struct{ zone, birthday string }{
		"wei": {"Asia/Shanghai", "1990-03-05"}, "kai": {"Pacific/Honolulu", "2004-02-29"}, "ann": {"UTC", "1990-04-05"},
	} {
		id := s.member(account)
		if _, err := s.pool.Exec(s.ctx, `UPDATE members SET time_zone = $2, birthday = $3 WHERE id = $1`, id, m.zone, m.birthday); err != nil {
			t.Fatal(err)
		}
		order(id, "birthday", nil)
		order(id, "reminder", map[string]any{"date": "2026-03-20"})
		order(id, "anniversary", map[string]any{"day": "06-01"})
		order(id, "festival", map[string]any{"festivals": []any{"qingming"}})
	}
	// Every nine days somebody starts Herald for a moment. The second time
	// everything has been told before.
	for range 2 {
		if _, err := s.pool.Exec(s.ctx, `DELETE FROM trigger_clocks`); err != nil {
			t.Fatal(err)
		}
		s.clock.set(opening)
		for day := 0; day < 130; day += 9 {
			s.runDates(opening.AddDate(0, 0, day))
		}
	}
	rows, err := s.pool.Query(s.ctx, `
		SELECT b.trigger || ' ' || m.account || ' ' || (e.data ->> 'date') || ' ' || to_char(e.time AT TIME ZONE m.time_zone, 'YYYY-MM-DD HH24:MI')
		FROM matches x
		JOIN subscriptions b ON b.id = x.subscription_id
		JOIN members m ON m.id = b.member_id
		JOIN events e ON e.id = x.event_id
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		got = append(got, line)
	}
	var want []string
	for _, account := range []string{"ann", "kai", "wei"} {
		want = append(want, fmt.Sprintf("anniversary %s 2026-06-01 2026-06-01 09:00", account))
	}
	want = append(want, "birthday ann 2026-04-05 2026-04-05 09:00", "birthday wei 2026-03-05 2026-03-05 09:00")
	for _, trigger := range []string{"festival %s 2026-04-05 2026-04-05 09:00", "reminder %s 2026-03-20 2026-03-20 09:00"} {
		for _, account := range []string{"ann", "kai", "wei"} {
			want = append(want, fmt.Sprintf(trigger, account))
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("told\n%v, want\n%v", got, want)
	}
	s.expect(map[string]int{"notifications": len(want)})
}

// runDates starts an intake and a clock, and stops them when dates are told up
// to an instant.
func (s *shop) runDates(at time.Time) {
	s.Helper()
	s.clock.set(at)
	i := matcher.NewIntake(s.pool, s.triggers, s.deliveries, matcher.IntakeConfig{Now: s.clock.now, Logger: slog.New(slog.DiscardHandler)})
	c := dates.NewClock(s.pool, s.triggers, calendars.NewStore(s.pool, s.clock.now), i, dates.Config{Now: s.clock.now})
	ctx, cancel := context.WithTimeout(s.ctx, 2*time.Minute)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	// Told, and the turn at its end.
	const behind = `
		SELECT (SELECT count(*) FROM triggers t LEFT JOIN trigger_clocks c ON c.trigger = t.name WHERE c.told_until IS DISTINCT FROM $1)
		     + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`
	for n := 1; n > 0; {
		if err := s.pool.QueryRow(ctx, behind, at).Scan(&n); err != nil {
			s.Fatal(err)
		}
	}
	cancel()
	<-done
	if err := i.Close(s.ctx); err != nil {
		s.Error(err)
	}
}
