package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/access"
	"herald/matcher"
	"herald/subscriptions"
	"herald/web/api"
)

// prices sends an event of the kettle for each price.
func (s *server) prices(prices ...float64) {
	s.t.Helper()
	for i, price := range prices {
		s.post("/api/v1/events", fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/shop","type":"price.changed","subject":"kettle",
			"data":{"product":"kettle","name":"Kettle","price":%g,"currency":"CNY"}}`, i, price),
			"Content-Type", "application/cloudevents+json").is(http.StatusAccepted)
	}
}

func TestEventsAreSearched(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.prices(48, 52, 47, 46)
	for query, want := range map[string]string{
		"":                            "3210",
		"?type=price.changed&limit=2": "32",
		"?type=other":                 "",
		"?source=/shop&event_id=2":    "2",
		"?attribute=product%3Dkettle&attribute=price%3D52": "1",
		"?attribute=price%3D48.0":                          "0",
		"?subject=kettle&until=2020-01-01T00:00:00Z":       "",
	} {
		found := as[api.FoundEvents](s.get("/api/v1/events" + query).is(http.StatusOK))
		got := ""
		for _, e := range found.Items {
			got += e.ID
		}
		if got != want {
			t.Errorf("%s finds %q, want %q", query, got, want)
		}
	}
	var all string
	for cursor, pages := "", 0; pages < 4; pages++ {
		page := as[api.FoundEvents](s.get("/api/v1/events?limit=3&cursor=" + cursor).is(http.StatusOK))
		for _, e := range page.Items {
			all += e.ID
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if all != "3210" {
		t.Errorf("page by page: %q", all)
	}
}

func TestASearchForEventsThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for query, location := range map[string]string{
		"attribute=kettle":      "query.attribute",
		"attribute=price%3Dlow": "query.attribute",
		"cursor=last":           "query.cursor",
		"since=yesterday":       "query.since",
	} {
		p := s.get("/api/v1/events?"+query).problem(http.StatusUnprocessableEntity, "invalid")
		if len(p.Errors) != 1 || p.Errors[0].Location != location {
			t.Errorf("%s: %+v", query, p)
		}
	}
	s.secret = s.key("reader", access.EventsWrite)
	s.get("/api/v1/events").problem(http.StatusForbidden, "forbidden")
}

func TestAnEventIsReadWithWhatItMetAndMissed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	wei, ann := s.member("wei"), s.member("ann")
	told, missed := s.subscribe(wei, "kettle", 49), s.subscribe(ann, "kettle", 40)
	s.prices(48)
	id := as[api.FoundEvents](s.get("/api/v1/events")).Items[0].UUID
	at := "/api/v1/events/" + id.String()
	event := as[api.EventDetail](s.get(at).is(http.StatusOK))
	if event.Outcomes[matcher.Notified] != 1 || len(event.Matches) != 1 || event.Matches[0].SubscriptionID != told || event.Data["name"] != "Kettle" {
		t.Errorf("the event: %+v", event)
	}
	got := as[api.Page[matcher.Comparison]](s.get(fmt.Sprintf("%s/comparisons?subscription=%d", at, missed)).is(http.StatusOK)).Items
	if len(got) != 1 || len(got[0].Obstacles) != 1 || got[0].Obstacles[0] != matcher.Unmet || got[0].Terms[1].Met || !got[0].Terms[0].Met {
		t.Errorf("the one that it missed: %+v", got)
	}
	got = as[api.Page[matcher.Comparison]](s.get(fmt.Sprintf("%s/comparisons?member=%d", at, wei)).is(http.StatusOK)).Items
	if len(got) != 1 || got[0].Outcome != matcher.Notified || len(got[0].Obstacles) != 0 {
		t.Errorf("the member that it met: %+v", got)
	}
	s.get(at+"/comparisons").problem(http.StatusUnprocessableEntity, "invalid")
	s.get(at+"/comparisons?subscription=99").problem(http.StatusNotFound, "not_found")
	s.get("/api/v1/events/01a20398-4736-76bb-8920-18a319cbcbc6").problem(http.StatusNotFound, "not_found")
}

func TestASubscriptionIsPreviewed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	wei := s.member("wei")
	s.prices(48, 52, 47, 46)
	ask := func(more string) matcher.Preview {
		t.Helper()
		return as[matcher.Preview](s.post("/api/v1/subscriptions/preview",
			`{"trigger":"price_drop","params":{"product":"kettle","target":49},`+more+`}`).is(http.StatusOK))
	}
	if got := ask(fmt.Sprintf(`"member_id":%d,"cool_down":"0s"`, wei)); got.Fired != 3 || got.Met != 3 || !got.Complete || got.Firings[0].Event["price"] != 46.0 {
		t.Errorf("without a cool-down: %+v", got)
	}
	if got := ask(`"account":"wei"`); got.Fired != 1 || got.Met != 3 {
		t.Errorf("with the trigger's: %+v", got)
	}
	s.post("/api/v1/subscriptions/preview", `{"trigger":"price_drop"}`).problem(http.StatusUnprocessableEntity, "invalid")
	s.post("/api/v1/subscriptions/preview", `{"trigger":"price_drop","account":"nobody"}`).problem(http.StatusNotFound, "not_found")
	p := s.post("/api/v1/subscriptions/preview", `{"trigger":"price_drop","account":"wei","params":{"target":"low"}}`).problem(http.StatusUnprocessableEntity, "invalid")
	if len(p.Errors) != 2 || !strings.Contains(p.Errors[0].Location, "params.product") {
		t.Errorf("mistakes: %+v", p.Errors)
	}
}

func TestASubscriptionToWhatDoesNotHappenIsPreviewed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.member("wei")
	const wish = `{"trigger":"order_unpaid","account":"wei"}`
	answer := s.post("/api/v1/subscriptions/preview", wish).is(http.StatusOK)
	if got := as[matcher.Preview](answer); got.Met != 0 || !got.Complete || got.Reason != "" || strings.Contains(answer.body, "waiting") {
		t.Errorf("of nothing: %s", answer.body)
	}
	for i, e := range []struct {
		kind, order string
		hoursAgo    int
	}{{"created", "A", 30}, {"paid", "B", 29}, {"created", "B", 30}, {"created", "C", 3}} {
		at := time.Now().Add(-time.Duration(e.hoursAgo) * time.Hour).Format(time.RFC3339)
		s.post("/api/v1/events", fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/shop","type":"order.%s","time":"%s","data":{"account":"wei","order":"%s"}}`, i, e.kind, at, e.order),
			"Content-Type", "application/cloudevents+json").is(http.StatusAccepted)
	}
	got := as[matcher.Preview](s.post("/api/v1/subscriptions/preview", wish).is(http.StatusOK))
	if got.Met != 1 || got.Fired != 1 || got.Waiting != 1 || got.Firings[0].Event["order"] != "A" || got.Firings[0].EventID == uuid.Nil {
		t.Errorf("%+v", got)
	}
	s.post("/api/v1/subscriptions/preview", `{"trigger":"order_unpaid","account":"nobody"}`).problem(http.StatusNotFound, "not_found")
	s.post("/api/v1/subscriptions/preview", `{"trigger":"order_unpaid","account":"wei","since":"2999-01-01T00:00:00Z"}`).problem(http.StatusUnprocessableEntity, "invalid")
}

func TestATriggerCountsWhomAnEventWouldReach(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.subscribe(s.member("wei"), "kettle", 49)
	s.subscribe(s.member("ann"), "kettle", 40)
	data := `"data":{"product":"kettle","name":"Kettle","price":48,"currency":"CNY"}`
	got := as[matcher.Audience](s.post("/api/v1/triggers/price_drop/preview", `{`+data+`,"locale":"en"}`).is(http.StatusOK))
	if got.Told != 1 || !got.Complete || len(got.Reached) != 1 || got.Reached[0].Channel != subscriptions.Email || got.Samples[0].Account != "wei" {
		t.Errorf("of data: %+v", got)
	}
	s.prices(39)
	id := as[api.FoundEvents](s.get("/api/v1/events")).Items[0].UUID
	if got := as[matcher.Audience](s.post("/api/v1/triggers/price_drop/preview", `{"event_id":"`+id.String()+`"}`).is(http.StatusOK)); got.Met != 2 {
		t.Errorf("of an event: %+v", got)
	}
	s.post("/api/v1/triggers/price_drop/preview", `{"data":{}}`).problem(http.StatusUnprocessableEntity, "invalid")
	s.post("/api/v1/triggers/nothing/preview", `{`+data+`}`).problem(http.StatusNotFound, "not_found")
}
