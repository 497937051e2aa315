package console_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/matcher"
)

// newest is the event that came last.
func (s *stand) newest() matcher.Record {
	s.t.Helper()
	list, err := s.Events.Recent(s.t.Context(), 1)
	must(s.t, err)
	return list[0]
}

func TestEventsAreListedAndSearched(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("bob")
	v.get("/console/events").is(http.StatusOK).has("No event has come yet", `href="/docs/api"`, `aria-current="page"`).lacks("events.csv")
	s.price("4411", "Baby stroller Lite")
	s.price("7", "Lamp")
	v.get("/console/events").is(http.StatusOK).has("Baby stroller Lite", "Lamp", "¥489", "events.csv", "events.ndjson", "e2")
	for query, want := range map[string]string{
		"attribute=product%3D7":                "Lamp",
		"type=price.changed&event_id=e1":       "Baby stroller Lite",
		"source=shop-1&event_id=e2":            "Lamp",
		"attribute=price%3D489,product%3D7":    "Lamp",
		"since=2020-01-01&attribute=product=7": "Lamp",
	} {
		other := map[string]string{"Lamp": "Baby stroller Lite", "Baby stroller Lite": "Lamp"}[want]
		v.get("/console/events?" + query).is(http.StatusOK).has(want).lacks(other)
	}
	v.get("/console/events?type=nothing").is(http.StatusOK).has("No event fits this search")
	v.get("/console/events?attribute=7").is(http.StatusUnprocessableEntity).has(`value="7"`, `aria-invalid="true"`)
	v.get("/console/events?since=soon").is(http.StatusUnprocessableEntity).has("Please enter a date")
	v.get("/console/events?before=x").is(http.StatusNotFound)
	v.get("/console/events?lang=zh").is(http.StatusOK).has("事件", "来源编号")
}

func TestEventsAreExported(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for i := range 3 {
		s.price(fmt.Sprint(i), "=Lamp")
	}
	v := s.signedIn("bob")
	sheet := v.get("/console/events.csv?type=price.changed").is(http.StatusOK)
	if lines := strings.Split(strings.TrimSpace(sheet.body), "\n"); len(lines) != 4 || !strings.HasPrefix(lines[0], "id,received_at") || !strings.Contains(lines[1], "e3") {
		t.Errorf("the sheet: %s", sheet.body)
	}
	lines := strings.Split(strings.TrimSpace(v.get("/console/events.ndjson").is(http.StatusOK).body), "\n")
	var first matcher.Record
	must(t, json.Unmarshal([]byte(lines[0]), &first))
	if len(lines) != 3 || first.ID != "e3" || first.Data["name"] != "=Lamp" {
		t.Errorf("the lines: %v", lines)
	}
	v.get("/console/events.csv?attribute=7").is(http.StatusUnprocessableEntity)
}

func TestAnEventSaysWhatItMetAndWhyNot(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	wei, ann := s.member("wei", "Wei"), s.member("ann-li", "Ann")
	told := s.subscribe(wei.ID, "4411")
	missed := s.subscribe(ann.ID, "4411")
	_, err := s.pool.Exec(t.Context(), `UPDATE subscriptions SET params = '{"product": "4411", "target": 400}' WHERE id = $1`, missed.ID)
	must(t, err)
	s.price("4411", "Baby stroller Lite")
	v := s.signedIn("bob")
	at := "/console/events/" + s.newest().UUID.String()
	page := v.get(at).is(http.StatusOK).has("It met 1 subscription", fmt.Sprintf("/console/members/%d", wei.ID), ">told", "Why not?", "Baby stroller Lite")
	_, notification, _ := strings.Cut(page.body, `href="/console/notifications/`)
	notification, _, _ = strings.Cut(notification, `"`)
	delivery := v.get("/console/notifications/"+notification).is(http.StatusOK).has("wei@example.com", `href="`+at+`"`)
	if !strings.HasPrefix(delivery.path, "/console/deliveries/") {
		t.Errorf("the notification leads to %s", delivery.path)
	}
	v.get(at+"?member=ANN-LI").is(http.StatusOK).has("The condition was not met.", "wanted at most ¥400", "missed", `value="ANN-LI"`)
	v.get(fmt.Sprintf("%s?subscription=%d", at, told.ID)).is(http.StatusOK).has("It met: told.")
	v.get(at+"?member=nobody").is(http.StatusUnprocessableEntity).has(`value="nobody"`, `aria-invalid="true"`)
	v.get(at + "?subscription=x").is(http.StatusUnprocessableEntity)
	s.member("max", "Max")
	v.get(at + "?member=max").is(http.StatusOK).has("This member has no subscription to events of this type.")
	v.get(at+"?member=ann-li&lang=zh").is(http.StatusOK).has("条件不符合。", "要求不高于")
}

// Notifications name events that may be gone.
func TestAnEventThatIsGoneIsSaidToBe(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.subscribe(s.member("wei", "").ID, "4411")
	s.price("4411", "Lamp")
	at := "/console/events/" + s.newest().UUID.String()
	_, err := s.pool.Exec(t.Context(), `DELETE FROM events; DELETE FROM matches`)
	must(t, err)
	v := s.signedIn("bob")
	v.get(at).is(http.StatusNotFound).has("This event is not kept any more", "deliveries")
	v.get("/console/events/x").is(http.StatusNotFound)
	v.get("/console/notifications/" + uuid.NewString()).is(http.StatusNotFound)
	v.get("/console/notifications/x").is(http.StatusNotFound)
}

func TestAnEventIsTriedOnATrigger(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for _, account := range []string{"wei", "ann-li"} {
		s.subscribe(s.member(account, "").ID, "4411")
	}
	v := s.signedIn("bob")
	v.get("/console/triggers/price_drop").is(http.StatusOK).has(`href="/console/triggers/price_drop/try"`)
	v.get("/console/triggers/price_drop/try").is(http.StatusOK).has("Whom would an event reach?", "&#34;price&#34;: 1")
	try := func(form url.Values) answer { return v.post("/console/triggers/price_drop/try", form) }
	data := `{"product": "4411", "name": "Lamp", "price": 480, "currency": "CNY"}`
	try(url.Values{"data": {data}}).is(http.StatusOK).has("It would be told to 2 subscribers now", "2 subscriptions were asked, it meets 2.", "wei", "ann-li")
	s.price("4411", "Lamp")
	try(url.Values{"event": {s.newest().UUID.String()}}).is(http.StatusOK).has("It would be told to 2 subscribers now")
	try(url.Values{"data": {`{"product": 4411}`}}).is(http.StatusUnprocessableEntity).has("This is no event of this trigger", "data.price")
	try(url.Values{"data": {`[]`}}).is(http.StatusUnprocessableEntity)
	try(url.Values{"event": {uuid.NewString()}}).is(http.StatusUnprocessableEntity)
	try(url.Values{"event": {"x"}}).is(http.StatusUnprocessableEntity)
	v.get("/console/triggers/nothing/try").is(http.StatusNotFound)
	if n := len(s.deliveries(dispatch.Search{})); n != 2 {
		t.Errorf("%d deliveries, want those of the event that came", n)
	}
}
