package matcher_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/matcher"
	"herald/matcher/history"
	"herald/problem"
	"herald/subscriptions"
)

// previews look back from a day after the opening.
func (s *shop) previews(cfg matcher.PreviewConfig) *matcher.Previews {
	cfg.Now = func() time.Time { return opening.AddDate(0, 0, 1) }
	if cfg.Budget == 0 {
		cfg.Budget = 10 * time.Second
	}
	cfg.Triggers, cfg.Subscriptions, cfg.Consents = s.triggers, s.subscriptions, subscriptions.NewConsents(s.pool, s.clock.now)
	return matcher.NewPreviews(s.pool, cfg)
}

func hours(n int) *subscriptions.Duration {
	d := subscriptions.Duration(time.Duration(n) * time.Hour)
	return &d
}

func TestPreviewTellsWhatWouldHaveFired(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	wei := s.member("wei")
	for i := range 8 { // one each hour; the even ones are cheap
		s.happened(opening.Add(time.Duration(i)*time.Hour), priceEvent(fmt.Sprint(i), "kettle", 48+float64(i%2)*4))
		s.happened(opening.Add(time.Duration(i)*time.Hour), priceEvent(fmt.Sprint("lamp", i), "lamp", 1))
	}
	wish := func(change func(*matcher.Wish)) matcher.Wish {
		w := matcher.Wish{Trigger: "price_drop", MemberID: wei, Params: map[string]any{"product": "kettle", "target": 49}}
		change(&w)
		return w
	}
	for name, tt := range map[string]struct {
		wish       matcher.Wish
		met, fired int
	}{
		"without limits":         {wish(func(*matcher.Wish) {}), 4, 4},
		"with a cool-down":       {wish(func(w *matcher.Wish) { w.CoolDown = hours(3) }), 4, 2},
		"with a cap":             {wish(func(w *matcher.Wish) { w.MaxNotifications = 3 }), 4, 3},
		"with both":              {wish(func(w *matcher.Wish) { w.CoolDown, w.MaxNotifications = hours(3), 1 }), 4, 1},
		"since some hours":       {wish(func(w *matcher.Wish) { w.Since = opening.Add(5 * time.Hour) }), 1, 1},
		"of what is never cheap": {wish(func(w *matcher.Wish) { w.Params["target"] = 20 }), 0, 0},
		"of what nobody sells":   {wish(func(w *matcher.Wish) { w.Params["product"] = "sofa" }), 0, 0},
	} {
		got, err := s.previews(matcher.PreviewConfig{}).Preview(s.ctx, tt.wish)
		if err != nil || got.Met != tt.met || got.Fired != tt.fired || !got.Complete || len(got.Firings) != tt.fired || got.Reason != "" {
			t.Errorf("%s: %+v (%v), want %d met and %d fired", name, got, err, tt.met, tt.fired)
		}
		if !got.LookedBackTo.Equal(got.Since) {
			t.Errorf("%s: it looked back to %v, not to %v", name, got.LookedBackTo, got.Since)
		}
	}
	got, err := s.previews(matcher.PreviewConfig{}).Preview(s.ctx, wish(func(w *matcher.Wish) { w.MaxNotifications = 1 }))
	if err != nil {
		t.Fatal(err)
	}
	got.Firings[0].EventID = [16]byte{}
	want := matcher.Firing{At: opening, Event: map[string]any{"product": "kettle", "price": 48.0}}
	if diff := cmp.Diff(want, got.Firings[0]); diff != "" {
		t.Errorf("the firing (-want +got):\n%s", diff)
	}
}

// A preview agrees with what happens when the same events come again.
func TestPreviewSaysWhatTheMatcherDoes(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	wei := s.member("wei")
	s.subscribe(wei, "kettle", 49, func(o *subscriptions.Order) { o.CoolDown, o.MaxNotifications = hours(2), 3 })
	intake := s.intake(s.deliveries, matcher.IntakeConfig{})
	fired := 0
	for i, price := range []float64{48, 47, 50, 46, 45, 44, 43, 42, 41} {
		s.clock.set(opening.Add(time.Duration(i) * time.Hour))
		e := priceEvent(fmt.Sprint("live", i), "kettle", price)
		fired += s.accept(intake, e)[0].Notifications
		e.Source = "/archive"
		s.happened(s.clock.now(), e)
	}
	s.exec(`DELETE FROM events WHERE source = '/shop'`)
	got, err := s.previews(matcher.PreviewConfig{}).Preview(s.ctx, matcher.Wish{
		Trigger: "price_drop", MemberID: wei, Params: map[string]any{"product": "kettle", "target": 49},
		CoolDown: hours(2), MaxNotifications: 3,
	})
	if err != nil || got.Fired != fired || got.Met != 8 || fired != 3 {
		t.Errorf("it would have fired %d times of %d (%v), and did %d times", got.Fired, got.Met, err, fired)
	}
}

func TestPreviewOfAChangeComparesEachEventWithTheOneBefore(t *testing.T) {
	s := openShop(t)
	trigger := priceDrop()
	trigger.Condition = "event.product == param.product && event.price <= previous.price * 0.9 && event.price <= param.target"
	trigger.Change = &subscriptions.ChangeRule{Key: []string{"product"}, Keep: "5h"}
	s.save(trigger)
	wei := s.member("wei")
	at := opening
	for i, price := range []float64{100, 80, 79, 60, 90, 70} { // falls by a tenth at 80, 60 and 70
		s.happened(at, priceEvent(fmt.Sprint(i), "kettle", price))
		s.happened(at, priceEvent(fmt.Sprint("lamp", i), "lamp", price/float64(i+1)))
		at = at.Add(time.Hour)
	}
	s.happened(at.Add(8*time.Hour), priceEvent("long after", "kettle", 10))
	got, err := s.previews(matcher.PreviewConfig{}).Preview(s.ctx, matcher.Wish{
		Trigger: "price_drop", MemberID: wei, Params: map[string]any{"product": "kettle", "target": 75},
	})
	if err != nil || got.Met != 2 || got.Fired != 2 || got.Firings[0].Event["price"] != 70.0 || got.Firings[1].Event["price"] != 60.0 {
		t.Errorf("%+v (%v)", got, err)
	}
}

func TestPreviewSaysWhatItCannotTell(t *testing.T) {
	s := openShop(t)
	if err := s.triggers.LoadStarter(s.ctx); err != nil {
		t.Fatal(err)
	}
	wish := matcher.Wish{Trigger: "birthday", MemberID: s.member("wei")}
	if got, err := s.previews(matcher.PreviewConfig{}).Preview(s.ctx, wish); err != nil || got.Reason != "dates" || got.Complete {
		t.Errorf("%+v (%v)", got, err)
	}
}

func TestPreviewRefusesWhatCouldNotBeSubscribed(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	wei := s.member("wei")
	good := map[string]any{"product": "kettle", "target": 49}
	negative := subscriptions.Duration(-time.Hour)
	for name, tt := range map[string]struct {
		wish matcher.Wish
		code problem.Code
		path string
	}{
		"an unknown trigger": {matcher.Wish{Trigger: "nothing", MemberID: wei}, problem.Invalid, "trigger"},
		"a missing figure":   {matcher.Wish{Trigger: "price_drop", MemberID: wei, Params: map[string]any{"product": "kettle"}}, problem.Invalid, "params.target"},
		"a negative wait":    {matcher.Wish{Trigger: "price_drop", MemberID: wei, Params: good, CoolDown: &negative}, problem.Invalid, "cool_down"},
		"a negative cap":     {matcher.Wish{Trigger: "price_drop", MemberID: wei, Params: good, MaxNotifications: -1}, problem.Invalid, "max_notifications"},
		"the future":         {matcher.Wish{Trigger: "price_drop", MemberID: wei, Params: good, Since: opening.AddDate(1, 0, 0)}, problem.Invalid, "since"},
		"nobody":             {matcher.Wish{Trigger: "price_drop", MemberID: wei + 1, Params: good}, problem.NotFound, ""},
	} {
		_, err := s.previews(matcher.PreviewConfig{}).Preview(s.ctx, tt.wish)
		if problem.CodeOf(err) != tt.code || tt.path != "" && !slices.Equal(paths(err), []string{tt.path}) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPreviewOutOfTimeSaysHowFarItCame(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	wish := matcher.Wish{Trigger: "price_drop", MemberID: s.member("wei"), Params: map[string]any{"product": "kettle", "target": 49}}
	s.happened(opening, priceEvent("1", "kettle", 1))
	got, err := s.previews(matcher.PreviewConfig{Budget: time.Nanosecond}).Preview(s.ctx, wish)
	if problem.CodeOf(err) == problem.Throttled { // it did not even get its turn
		return
	}
	if err != nil || got.Complete || got.Met != 0 || !got.LookedBackTo.Equal(opening.AddDate(0, 0, 1)) {
		t.Errorf("%+v (%v)", got, err)
	}
}

func TestPreviewsOfOneMemberAreLimited(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	wei, ann := s.member("wei"), s.member("ann")
	p := s.previews(matcher.PreviewConfig{})
	wish := matcher.Wish{Trigger: "price_drop", MemberID: wei, Params: map[string]any{"product": "kettle", "target": 49}}
	for i := range 20 {
		if _, err := p.Preview(s.ctx, wish); err != nil {
			t.Fatalf("preview %d: %v", i, err)
		}
	}
	if _, err := p.Preview(s.ctx, wish); problem.CodeOf(err) != problem.Throttled {
		t.Errorf("one too many: %v", err)
	}
	wish.MemberID = ann
	if _, err := p.Preview(s.ctx, wish); err != nil {
		t.Errorf("somebody else's: %v", err)
	}
}

func (s *shop) exec(sql string, args ...any) {
	s.Helper()
	if _, err := s.pool.Exec(s.ctx, sql, args...); err != nil {
		s.Fatalf("%v: %s", err, sql)
	}
}

// The days that are over are found by their index, today is not; what a lack of
// time leaves out in between is said.
func TestPreviewLooksAtDaysThatAreOverFirst(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	wei := s.member("wei")
	var now time.Time
	days := history.NewKeeper(s.pool, history.Config{Now: func() time.Time { return now }})
	for _, now = range []time.Time{opening.AddDate(0, 0, -3), opening.AddDate(0, 0, 1)} {
		if err := days.Turn(s.ctx); err != nil {
			t.Fatal(err)
		}
		for back := range 3 {
			s.happened(now.Add(-time.Duration(back)*time.Hour), priceEvent(fmt.Sprint(now, back), "kettle", 48))
		}
	}
	wish := matcher.Wish{Trigger: "price_drop", MemberID: wei, Params: map[string]any{"product": "kettle", "target": 49}}
	got, err := s.previews(matcher.PreviewConfig{}).Preview(s.ctx, wish)
	if err != nil || got.Met != 6 || !got.Complete || got.Unseen != nil || !got.LookedBackTo.Equal(got.Since) {
		t.Errorf("with time: %+v (%v)", got, err)
	}
	if !got.Firings[0].At.Equal(now) || !got.Firings[5].At.Equal(opening.AddDate(0, 0, -3).Add(-2*time.Hour)) {
		t.Errorf("the firings are not in order: %+v", got.Firings)
	}
	wish.Since = opening.AddDate(0, 0, -3)
	if got, err = s.previews(matcher.PreviewConfig{}).Preview(s.ctx, wish); err != nil || got.Met != 4 {
		t.Errorf("since an instant: %+v (%v)", got, err)
	}
}
