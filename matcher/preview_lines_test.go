package matcher_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"herald/matcher"
	"herald/matcher/absence"
	"herald/matcher/history"
	"herald/subscriptions"
)

func unpaid(member int64) matcher.Wish {
	return matcher.Wish{Trigger: "order_unpaid", MemberID: member}
}

// previewAt looks back from an instant.
func (s *shop) previewAt(now time.Time, w matcher.Wish) matcher.Preview {
	s.Helper()
	previews := matcher.NewPreviews(s.pool, matcher.PreviewConfig{
		Triggers: s.triggers, Subscriptions: s.subscriptions, Consents: subscriptions.NewConsents(s.pool, s.clock.now),
		Budget: 10 * time.Second, Now: func() time.Time { return now },
	})
	got, err := previews.Preview(s.ctx, w)
	if err != nil {
		s.Fatal(err)
	}
	return got
}

func TestPreviewTellsWhatDidNotHappen(t *testing.T) {
	s, _ := unpaidShop(t)
	wei := s.member("ann")
	order := func(kind, account, order string, hour int) {
		s.happened(opening.Add(time.Duration(hour)*time.Hour), orderEvent("", kind, account, order, 0))
	}
	order("created", "ann", "never paid", -40)
	order("created", "ann", "paid", -39)
	order("created", "ann", "paid late", -38)
	order("created", "wei", "another's", -37)
	order("created", "ann", "begun by another", -36)
	order("created", "wei", "begun by another", -37)
	order("created", "ann", "begun by another", -35)
	order("created", "ann", "twice", -30)
	order("created", "ann", "twice", -29)
	order("paid", "ann", "paid", -15)
	order("paid", "ann", "paid late", -13)
	order("created", "ann", "cancelled", -3)
	order("cancelled", "ann", "cancelled", -2)
	order("created", "ann", "open", -1)
	order("created", "ann", "before the week", -7*24-30)
	order("created", "ann", "in the week", -7*24-20)
	e := orderEvent("", "created", "ann", "told already", 0) // what Herald said of it is no order
	e.Source = absence.Source
	s.happened(opening.Add(-30*time.Hour), e)

	got := s.previewAt(opening, unpaid(wei))
	var orders []string
	for _, f := range got.Firings {
		orders = append(orders, fmt.Sprint(f.Event["order"], f.At.Sub(opening)))
	}
	want := []string{"twice-5h59m59.999999s", "paid late-13h59m59.999999s", "never paid-15h59m59.999999s", "in the week-163h59m59.999999s"}
	if !slices.Equal(orders, want) {
		t.Errorf("it would have fired of %q, want %q", orders, want)
	}
	if got.Met != 4 || got.Fired != 4 || got.Waiting != 1 || !got.Complete || got.Unseen != nil || !got.LookedBackTo.Equal(got.Since) || got.Reason != "" {
		t.Errorf("%+v", got)
	}
	limited := unpaid(wei)
	limited.MaxNotifications, limited.CoolDown = 2, hours(3)
	if got := s.previewAt(opening, limited); got.Met != 4 || got.Fired != 2 || got.Firings[1].Event["order"] != "in the week" {
		t.Errorf("with limits: %+v", got)
	}
}

// The same, by the index of the days that are over.
func TestPreviewFindsLinesOnDaysThatAreOver(t *testing.T) {
	s, _ := unpaidShop(t)
	ann := s.member("ann")
	now := opening.AddDate(0, 0, -5)
	days := history.NewKeeper(s.pool, history.Config{Now: func() time.Time { return now }})
	for _, now = range []time.Time{now, opening} {
		if err := days.Turn(s.ctx); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 {
		s.happened(opening.Add(time.Duration(-90+2*i)*time.Hour), orderEvent("", "created", "ann", fmt.Sprint("o", i), 0))
		if i%2 == 0 {
			s.happened(opening.Add(time.Duration(-89+2*i)*time.Hour), orderEvent("", "paid", "ann", fmt.Sprint("o", i), 0))
		}
	}
	now = opening
	if err := days.Turn(s.ctx); err != nil {
		t.Fatal(err)
	}
	if indexed, err := history.Indexed(s.ctx, s.pool); err != nil || len(indexed) < 4 {
		t.Fatalf("days with an index: %v (%v)", indexed, err)
	}
	// Not paid are those of 88, 84 … 28 hours ago, and of 24 … 12.
	if got := s.previewAt(opening, unpaid(ann)); got.Met != 16 || got.Waiting != 4 || !got.Complete {
		t.Errorf("%+v", got)
	}
}

// Another's opener comes first, whatever the wish asks of its numbers; times as
// keys are written in many ways.
func TestPreviewReadsTheWholeLineOfEveryKindOfKey(t *testing.T) {
	s := openShop(t)
	slot := orderUnpaidOf(t, s)
	slot.Name, slot.Version = "slot_free", 0
	slot.Attributes = []subscriptions.Attribute{attribute("begins", "time"), attribute("total", "number"), attribute("table", "number")}
	slot.Absence.Key, slot.Condition = []string{"begins", "table"}, "param.least <= event.total && event.total < 100"
	slot.Params = []subscriptions.Param{param("least", "number")}
	slot.Broadcast = true
	s.save(slot)
	only := slot
	only.Name, only.Version, only.Absence = "slot_time", 0, &subscriptions.Absence{Key: []string{"begins"}, ClosedBy: []string{"order.paid"}, Within: "24h"}
	s.save(only)
	event := func(hour int, kind, begins string, table, total float64) {
		s.happened(opening.Add(time.Duration(hour)*time.Hour), matcher.Event{
			Source: "/shop", Type: "order." + kind, Data: map[string]any{"begins": begins, "table": table, "total": total},
		})
	}
	event(-60, "created", "2026-03-01T20:00:00+01:00", 1, 50)
	event(-50, "paid", "2026-03-01T19:00:00Z", 1, 50)
	event(-49, "created", "2026-03-01T19:00:00Z", 2.5, 9) // too little, and before the next
	event(-48, "created", "2026-03-01T19:00:00Z", 2.5, 99)
	event(-40, "created", "2026-03-02T19:00:00Z", 1, 100)
	event(-39, "created", "2026-03-03T19:00:00Z", 1, 10)
	for _, name := range []string{slot.Name, only.Name} {
		got := s.previewAt(opening, matcher.Wish{Trigger: name, MemberID: s.member(name), Params: map[string]any{"least": 10}})
		if got.Met != 1 || got.Firings[0].Event["total"] != 10.0 || !got.Complete {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func orderUnpaidOf(t *testing.T, s *shop) subscriptions.Trigger {
	t.Helper()
	if err := s.triggers.LoadStarter(s.ctx); err != nil {
		t.Fatal(err)
	}
	trigger, err := s.triggers.Get(s.ctx, "order_unpaid")
	if err != nil {
		t.Fatal(err)
	}
	return trigger
}

// What was dropped cannot have been seen; where nothing was dropped, nothing is
// missed.
func TestPreviewSaysHowFarLinesAreKnown(t *testing.T) {
	s, _ := unpaidShop(t)
	ann := s.member("ann")
	days := history.NewKeeper(s.pool, history.Config{Now: func() time.Time { return opening.AddDate(0, 0, -31) }})
	if err := days.Turn(s.ctx); err != nil {
		t.Fatal(err)
	}
	s.happened(opening.AddDate(0, 0, -20), orderEvent("", "created", "ann", "A", 0))
	wish := unpaid(ann)
	wish.Since = opening.AddDate(0, 0, -60)
	got := s.previewAt(opening, wish)
	if got.Complete || got.Fired != 1 {
		t.Errorf("%+v", got)
	}
	// The day is kept from its first instant; openers are known from then on.
	kept := opening.AddDate(0, 0, -31).Truncate(24 * time.Hour)
	if back := got.LookedBackTo.Sub(kept); back != 48*time.Hour+time.Microsecond {
		t.Errorf("it looked back to %v, which is %v after the events begin", got.LookedBackTo, back)
	}
	if got := s.previewAt(opening.AddDate(0, 0, -10), wish); !got.Complete {
		t.Errorf("in a young house: %+v", got)
	}
	trigger, err := s.triggers.Get(s.ctx, "order_unpaid")
	if err != nil {
		t.Fatal(err)
	}
	trigger.Absence.Within = "2400h"
	s.save(trigger)
	if got := s.previewAt(opening, wish); got.Complete || got.Fired != 0 || got.Waiting != 0 || !got.LookedBackTo.Equal(opening) {
		t.Errorf("of a watch that is longer than events are kept: %+v", got)
	}
}

func TestPreviewOfAnAbsenceOutOfTimeTellsNothing(t *testing.T) {
	s, _ := unpaidShop(t)
	s.happened(opening.Add(-30*time.Hour), orderEvent("", "created", "wei", "A", 0))
	p := s.previews(matcher.PreviewConfig{Budget: time.Nanosecond})
	got, err := p.Preview(s.ctx, unpaid(1))
	if err == nil && (got.Complete || got.Met != 0 || got.Waiting != 0 || !got.LookedBackTo.Equal(opening.AddDate(0, 0, 1))) {
		t.Errorf("%+v", got)
	}
}

// post is what is received at one instant.
type post struct {
	at     time.Time
	events []matcher.Event
}

// posts are the orders of two members and what became of them, received in any
// order, some late and some by clocks that are ahead.
func posts() *rapid.Generator[[]post] {
	kind := rapid.SampledFrom([]string{"created", "created", "paid"})
	account, order := rapid.SampledFrom([]string{"wei", "wei", "ann"}), rapid.SampledFrom([]string{"A", "B"})
	off := rapid.SampledFrom([]time.Duration{-50 * time.Hour, -24 * time.Hour, -time.Hour, 0, 0, 0, time.Microsecond, 20 * time.Hour})
	step := rapid.SampledFrom([]time.Duration{time.Microsecond, time.Hour, 11 * time.Hour, 24 * time.Hour, 30 * time.Hour})
	return rapid.Custom(func(t *rapid.T) (list []post) {
		at := opening
		for n := 0; n < 8; {
			p := post{at: at}
			for range rapid.IntRange(1, 3).Draw(t, "at once") {
				e := orderEvent(fmt.Sprint(n), kind.Draw(t, "kind"), account.Draw(t, "account"), order.Draw(t, "order"), 0)
				e.Time = at.Add(off.Draw(t, "off"))
				p.events, n = append(p.events, e), n+1
			}
			list = append(list, p)
			at = at.Add(step.Draw(t, "step"))
		}
		return list
	})
}

// TestPreviewSaysWhatTheSweepTells lets events come to a live intake with the
// real tables, and a sweep that looks at every instant at which something is
// due, and compares what a subscription was told, and when, with what a preview
// of it says at the end.
func TestPreviewSaysWhatTheSweepTells(t *testing.T) {
	s, subscription := unpaidShop(t)
	s.member("ann")
	var wei int64
	if err := s.pool.QueryRow(s.ctx, `SELECT member_id FROM subscriptions WHERE id = $1`, subscription).Scan(&wei); err != nil {
		t.Fatal(err)
	}
	live := s.onDueTimes(s.intake(nobody, matcher.IntakeConfig{}))
	rapid.Check(t, func(t *rapid.T) {
		wish := unpaid(wei)
		wish.Since = opening.AddDate(0, 0, -100)
		wish.CoolDown = hours(rapid.SampledFrom([]int{0, 0, 12, 30}).Draw(t, "cool-down"))
		wish.MaxNotifications = rapid.IntRange(0, 2).Draw(t, "at most")
		s.exec(`DELETE FROM watches; DELETE FROM watch_ends; DELETE FROM matches; DELETE FROM events; DELETE FROM event_keys`)
		s.exec(`UPDATE subscriptions SET sent = 0, last_fired_at = NULL, cool_down = $1, max_notifications = NULLIF($2, 0)`,
			time.Duration(*wish.CoolDown), wish.MaxNotifications)
		s.clock.set(opening)
		for _, post := range posts().Draw(t, "posts") {
			live.until(post.at)
			s.accept(live.node, post.events...)
			live.until(post.at)
		}
		live.until(s.clock.now().Add(rapid.SampledFrom([]time.Duration{0, time.Hour, 24 * time.Hour, 60 * time.Hour}).Draw(t, "after")))

		got := s.previewAt(s.clock.now(), wish)
		met := s.count("matches")
		if want := s.toldAt(); got.Met != met || !slices.Equal(firings(s, got), want) || !got.Complete {
			t.Fatalf("it says %d met and %v fired, there were %d and %v", got.Met, firings(s, got), met, want)
		}
		wish.CoolDown, wish.MaxNotifications = hours(0), 0
		wish.Since = opening.Add(rapid.SampledFrom([]time.Duration{-time.Hour, 24 * time.Hour, 24*time.Hour + time.Microsecond, 48 * time.Hour}).Draw(t, "since"))
		if !wish.Since.Before(s.clock.now()) {
			return
		}
		got = s.previewAt(s.clock.now(), wish)
		if err := s.pool.QueryRow(s.ctx, `SELECT count(*) FROM matches WHERE at >= $1`, wish.Since).Scan(&met); err != nil || got.Met != met || !got.Complete {
			t.Fatalf("since %v it says %d met, there were %d (%v)", wish.Since, got.Met, met, err)
		}
		waiting := got.Waiting
		before := s.count("matches")
		live.until(s.clock.now().AddDate(0, 0, 10))
		if n := s.count("matches") - before; n != waiting {
			t.Fatalf("it says that %d wait, and %d came", waiting, n)
		}
	})
}

// onTime is a live node whose sweep looks at every instant at which something
// is due.
type onTime struct {
	*shop
	node  *matcher.Intake
	sweep *absence.Sweep
}

func (s *shop) onDueTimes(node *matcher.Intake) onTime {
	return onTime{s, node, absence.NewSweep(s.pool, node, absence.SweepConfig{Now: s.clock.now})}
}

// until lets the time pass.
func (l onTime) until(at time.Time) {
	l.Helper()
	for last := false; !last; {
		next := at
		if err := l.pool.QueryRow(l.ctx, `SELECT least($1, min(due_at) + interval '1 microsecond') FROM watches`, at).Scan(&next); err != nil {
			l.Fatal(err)
		}
		last = !next.Before(at)
		l.clock.set(later(next.UTC(), l.clock.now()))
		if _, err := l.sweep.Turn(l.ctx); err != nil {
			l.Fatal(err)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// toldAt are the openers of which a subscription was told, and when, sorted.
func (s *shop) toldAt() []string {
	s.Helper()
	rows, err := s.pool.Query(s.ctx, `
		SELECT split_part(e.source_id, '/', 2), m.at
		FROM matches m JOIN events e ON e.id = m.event_id
		WHERE m.outcome = 'notified'`)
	if err != nil {
		s.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var opener string
		var at time.Time
		err := row.Scan(&opener, &at)
		return fmt.Sprint(opener, " ", at.UTC()), err
	})
	if err != nil {
		s.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

func firings(s *shop, p matcher.Preview) []string {
	s.Helper()
	var lines []string
	for _, f := range p.Firings {
		lines = append(lines, fmt.Sprint(f.EventID, " ", f.At))
	}
	slices.Sort(lines)
	return lines
}
