package portal

import (
	"testing"
	"time"

	"herald/calendars"
	"herald/matcher/dates"
	"herald/subscriptions"
)

func TestAnAlertOnDatesTellsWhenItComesNext(t *testing.T) {
	s := newShop(t)
	m := s.register("wei")
	b := s.signedIn("wei")
	tomorrow := s.clock.now().In(time.FixedZone("UTC+8", 8*3600)).AddDate(0, 0, 1)
	b.post("/new/reminder", "params.date", tomorrow.Format(time.DateOnly), "params.text", "Book the table").has(200)
	b.get("/alerts").has(200, "Book the table, on "+tomorrow.Format(time.DateOnly), "Next: "+tomorrow.Format("2 Jan 2006"))
	b.get("/alerts?lang=zh-CN").has(200, "接下来：")
	b.get("/new/reminder?lang=en").has(200, `type="date"`)
	b.post("/new/reminder", "params.date", "31.12.2026", "params.text", "x").has(422, "Please enter a date like 2026-03-31.")
	_, err := s.config.Subscriptions.Create(t.Context(), subscriptions.Order{MemberID: m.ID, Trigger: "birthday", Origin: "portal", Actor: actor})
	if err != nil {
		t.Fatal(err)
	}
	b.get("/alerts").has(200, "A greeting on your birthday") // who told none is told none
}

// datesOf is the config's, for newShop.
func datesOf(s *shop) *dates.Ahead {
	return dates.NewAhead(calendars.NewStore(s.pool, s.clock.now), s.config.Members.(*subscriptions.Members), s.clock.now)
}

func TestAnAlertOnDatesIsTriedOnTheDatesToCome(t *testing.T) {
	t.Parallel()
	s, b := trying(t)
	day := s.clock.now().AddDate(0, 3, 0)
	b.get("/new/reminder").has(200, "When would it tell me?")
	b.post("/new/reminder/preview").has(422).lacks("Next:")
	b.post("/new/reminder/preview", "params.date", day.Format(time.DateOnly), "params.text", "the lease").has(200, "Next: "+day.Format("2 Jan 2006"))
	b.post("/new/reminder/preview", "params.date", "2001-03-01", "params.text", "the lease").has(200, "It has no date in the next five years.")
}
