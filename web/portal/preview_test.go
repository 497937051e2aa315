package portal

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"herald/matcher"
	"herald/matcher/history"
	"herald/subscriptions"
	"herald/timeid"
)

// priced records that product 4411 got a price some hours ago.
func (s *shop) priced(hoursAgo int, price float64) {
	s.t.Helper()
	at := s.clock.now().Add(-time.Duration(hoursAgo) * time.Hour)
	_, err := s.pool.Exec(s.t.Context(), `
		INSERT INTO events (id, source, source_id, type, time, data, received_at)
		VALUES ($1, '/shop', gen_random_uuid()::text, 'price.changed', $2, $3, $2)`, timeid.New(at), at,
		fmt.Sprintf(`{"product": "4411", "name": "Stroller Lite", "price": %g, "currency": "CNY"}`, price))
	if err != nil {
		s.t.Fatal(err)
	}
}

// trying is a shop whose alerts can be tried on the past.
func trying(t *testing.T) (*shop, *browser) {
	s := newShop(t)
	s.register("wei")
	for i, price := range []float64{529, 489, 495, 520, 480} {
		s.priced(10*i+1, price)
	}
	return s, s.signedIn("wei")
}

func TestAnAlertIsTriedOnThePastWeek(t *testing.T) {
	t.Parallel()
	_, b := trying(t)
	b.get("/new/price_drop").has(200, `data-preview="/new/price_drop/preview"`, "Would it have told me anything last week?").lacks("past week it would")
	b.post("/new/price_drop/preview", "params.product", "4411", "params.target", "499", "cool_down", "0s").
		has(200, "In the past week it would have told you 3 times.", "Stroller Lite", "¥480", `value="4411"`).lacks("¥529")
	b.post("/new/price_drop/preview", "params.product", "4411", "params.target", "499").
		has(200, "would have told you 2 times.", "Once more it came true, but you asked not to be told that often.")
	b.post("/new/price_drop/preview", "params.product", "4411", "params.target", "499", "max_notifications", "1").
		has(200, "would have told you once.")
	b.post("/new/price_drop/preview?lang=zh", "params.product", "4411", "params.target", "10").
		has(200, "过去一周里，它一次也不会通知您。")
}

func TestAnAlertThatIsNotFilledInCannotBeTried(t *testing.T) {
	t.Parallel()
	_, b := trying(t)
	b.post("/new/price_drop/preview", "params.product", "4411", "params.target", "").has(422, `-fault"`)
	b.post("/new/price_drop/preview", "params.product", "4411", "params.target", "499", "max_notifications", "often").has(422, "max_notifications")
	b.post("/new/nothing/preview", "params.product", "4411").has(404)
}

// A script gets the words alone, and nothing is blamed while one still types.
func TestAScriptGetsTheWordsAlone(t *testing.T) {
	t.Parallel()
	_, b := trying(t)
	ask := func(target string) answer {
		t.Helper()
		form := url.Values{"params.product": {"4411"}, "params.target": {target}, "cool_down": {"0s"}}
		return b.do(http.MethodPost, "/new/price_drop/preview", form, func(r *http.Request) { r.Header.Set("HX-Request", "true") })
	}
	ask("499").has(200, "told you 3 times").lacks("<form")
	ask("").has(200, "Fill in the rest").lacks("fault")
	for range 40 {
		if ask("499").status == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("one may ask without end")
}

func TestAChangedAlertIsTried(t *testing.T) {
	t.Parallel()
	s, b := trying(t)
	m, err := s.config.Members.Authenticate(t.Context(), "wei", password, "here")
	if err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("/alerts/%d", s.order(m).ID)
	b.get(at).has(200, fmt.Sprintf(`data-preview="%s/preview"`, at))
	b.post(at+"/preview", "params.product", "4411", "params.target", "481", "cool_down", "0s", "version", "1").
		has(200, "would have told you once", `name="version" value="1"`)
	s.register("ann")
	s.signedIn("ann").post(at+"/preview", "params.product", "4411", "params.target", "481").has(404)
}

// ordered records that wei ordered something some hours ago, or what became of
// an order.
func (s *shop) ordered(hoursAgo int, kind, order string) {
	s.t.Helper()
	at := s.clock.now().Add(-time.Duration(hoursAgo) * time.Hour)
	_, err := s.pool.Exec(s.t.Context(), `
		INSERT INTO events (id, source, source_id, type, time, data, received_at)
		VALUES ($1, '/shop', gen_random_uuid()::text, 'order.' || $4, $2, $3, $2)`, timeid.New(at), at,
		fmt.Sprintf(`{"account": "wei", "order": "%s", "total": 120, "currency": "CNY"}`, order), kind)
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestAnAlertOnWhatDoesNotHappenIsTriedOnThePastWeek(t *testing.T) {
	t.Parallel()
	s, b := trying(t)
	b.post("/new/order_unpaid/preview").has(200, "it would not have told you anything").lacks("Just now")
	s.ordered(100, "created", "A-100")
	s.ordered(99, "paid", "A-100")
	s.ordered(60, "created", "A-60")
	s.ordered(30, "created", "A-30")
	s.ordered(29, "created", "A-30")
	s.ordered(5, "created", "A-5")
	b.post("/new/order_unpaid/preview").
		has(200, "In the past week it would have told you 2 times.", "A-60", "A-30", "Just now it is waiting in one case").lacks("A-100")
	s.ordered(4, "created", "A-4")
	b.post("/new/order_unpaid/preview").has(200, "Just now it is waiting in 2 cases")
	b.post("/new/order_unpaid/preview?lang=zh").has(200, "过去一周里，它会通知您 2 次。", "目前有 2 项正在等待")
}

// A watch that takes longer than events are kept.
func TestWhatCannotBeTriedIsSaid(t *testing.T) {
	t.Parallel()
	s, b := trying(t)
	trigger, err := s.config.Triggers.Get(t.Context(), "order_unpaid")
	if err != nil {
		t.Fatal(err)
	}
	trigger.Absence.Within = "2400h"
	if _, err := s.config.Triggers.(*subscriptions.Triggers).Save(t.Context(), trigger, "test"); err != nil {
		t.Fatal(err)
	}
	days := history.NewKeeper(s.pool, history.Config{Now: func() time.Time { return s.clock.now().AddDate(0, 0, -31) }})
	if err := days.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.post("/new/order_unpaid/preview").has(200, "We cannot say what it would have told you.").lacks("past week it")
	b.post("/new/order_unpaid/preview?lang=zh").has(200, "暂时无法试算")
}

var _ Previews = (*matcher.Previews)(nil)
