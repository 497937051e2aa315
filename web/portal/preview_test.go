package portal

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"herald/matcher"
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

func TestWhatCannotBeTriedIsSaid(t *testing.T) {
	t.Parallel()
	s, b := trying(t)
	trigger, err := s.config.Triggers.Get(t.Context(), "price_drop")
	if err != nil {
		t.Fatal(err)
	}
	trigger.Absence = &subscriptions.Absence{Key: []string{"product"}, ClosedBy: []string{"sold"}, Within: "1h"}
	if _, err := s.config.Triggers.(*subscriptions.Triggers).Save(t.Context(), trigger, "test"); err != nil {
		t.Fatal(err)
	}
	b.post("/new/price_drop/preview", "params.product", "4411", "params.target", "499").has(200, "We cannot try it on the past.")
}

var _ Previews = (*matcher.Previews)(nil)
