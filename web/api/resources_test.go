package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"herald/access"
	"herald/dispatch"
	"herald/subscriptions"
	"herald/web/api"
)

func TestAMemberIsRegisteredReadFoundAndChanged(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := s.post("/api/v1/members", `{"account":"Wei","password":"correct horse battery","display_name":"Wei Zhang","locale":"zh-CN","time_zone":"Asia/Shanghai",
		"birthday":"1990-02-28","attributes":{"grade":3,"tags":["vip"]},"contacts":[{"channel":"email","address":"wei@Example.com","verified":true}],
		"consents":[{"channel":"email","purpose":"service","granted":true}]}`).is(http.StatusCreated)
	made := as[api.MemberDetails](r)
	if made.Account != "wei" || made.Attributes["grade"] != 3.0 || len(made.Contacts) != 1 || made.Contacts[0].Address != "wei@example.com" {
		t.Errorf("made %+v", made)
	}
	if strings.Contains(r.body, "correct") {
		t.Error("the password is in the answer")
	}
	at := r.header.Get("Location")
	if got := as[api.MemberDetails](s.get(at).is(http.StatusOK)); got.ID != made.ID {
		t.Errorf("read %+v", got)
	}
	for _, query := range []string{"account=WEI", "query=wei", "query=wei@example.com"} {
		page := as[api.Page[subscriptions.Member]](s.get("/api/v1/members?" + query).is(http.StatusOK))
		if len(page.Items) != 1 || page.Items[0].ID != made.ID {
			t.Errorf("%s finds %+v", query, page)
		}
	}
	changed := as[api.MemberDetails](s.send(http.MethodPatch, at, `{"display_name":"Wei","attributes":{"grade":null,"city":"Xi'an"},"birthday":""}`).is(http.StatusOK))
	if changed.DisplayName != "Wei" || changed.Attributes["grade"] != nil || changed.Attributes["city"] != "Xi'an" || changed.Birthday != "" || changed.Locale != "zh-CN" {
		t.Errorf("changed %+v", changed)
	}
}

func TestAMemberSaysWhenToBeTold(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r := s.post("/api/v1/members", `{"account":"wei","quiet_from":"22:00","quiet_until":"7:30","digest_hour":0}`).is(http.StatusCreated)
	if !strings.Contains(r.body, `"quiet_from":"22:00","quiet_until":"07:30","digest_hour":0`) {
		t.Errorf("made %s", r.body)
	}
	at := r.header.Get("Location")
	patch := func(body string) string {
		t.Helper()
		return s.send(http.MethodPatch, at, body).is(http.StatusOK).body
	}
	if got := patch(`{"quiet_from":"21:00","digest_hour":18}`); !strings.Contains(got, `"quiet_from":"21:00","quiet_until":"07:30","digest_hour":18`) {
		t.Errorf("changed %s", got)
	}
	if got := patch(`{"quiet_from":null,"quiet_until":null}`); strings.Contains(got, "quiet") || !strings.Contains(got, `"digest_hour":18`) {
		t.Errorf("null takes them back, absence keeps: %s", got)
	}
	if got := s.post("/api/v1/members", `{"account":"lin"}`).is(http.StatusCreated).body; strings.Contains(got, "quiet") || !strings.Contains(got, `"digest_hour":9`) {
		t.Errorf("who says nothing: %s", got)
	}
}

func TestMembersComeInPages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for i := range 5 {
		s.member(fmt.Sprintf("member%d", i))
	}
	var got []string
	cursor := ""
	for pages := 1; ; pages++ {
		page := as[api.Page[subscriptions.Member]](s.get("/api/v1/members?limit=2&cursor=" + cursor).is(http.StatusOK))
		for _, m := range page.Items {
			got = append(got, m.Account)
		}
		if cursor = page.Next; cursor == "" {
			if pages != 3 || strings.Join(got, " ") != "member0 member1 member2 member3 member4" {
				t.Errorf("%d pages with %v", pages, got)
			}
			return
		}
	}
}

func TestWhatCannotBeTakenIsNamedByItsPlace(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	wei := s.member("wei")
	at := fmt.Sprintf("/api/v1/members/%d", wei)
	tests := []struct {
		name, method, path, body string
		status                   int
		code, location           string
	}{
		{"no account", "POST", "/api/v1/members", `{}`, 422, "invalid", "body"},
		{"an account too short", "POST", "/api/v1/members", `{"account":"x"}`, 422, "invalid", "body.account"},
		{"a wrong type", "POST", "/api/v1/members", `{"account":7}`, 422, "invalid", "body.account"},
		{"an unknown member", "POST", "/api/v1/members", `{"account":"lin","nickname":"x"}`, 422, "invalid", "body.nickname"},
		{"an address that is none", "POST", "/api/v1/members", `{"account":"lin","contacts":[{"channel":"email","address":"x"}]}`, 422, "invalid", "body.contacts[0].address"},
		{"a time of day that is none", "POST", "/api/v1/members", `{"account":"lin","quiet_from":"25:00","quiet_until":"08:00"}`, 422, "invalid", "body.quiet_from"},
		{"a time of day that is none, later", "PATCH", at, `{"quiet_from":"10 pm"}`, 422, "invalid", "body.quiet_from"},
		{"half of the quiet hours", "PATCH", at, `{"quiet_from":"22:00"}`, 422, "invalid", "body.quiet_until"},
		{"a 25th hour", "POST", "/api/v1/members", `{"account":"lin","digest_hour":24}`, 422, "invalid", "body.digest_hour"},
		{"an unknown digest", "POST", "/api/v1/subscriptions", fmt.Sprintf(`{"member_id":%d,"trigger":"price_drop","params":{"product":"x","target":1},"digest":"weekly"}`, wei), 422, "invalid", "body.digest"},
		{"a NUL", "POST", "/api/v1/members", `{"account":"lin","display_name":"a\u0000"}`, 422, "invalid", "body"},
		{"an account that is taken", "POST", "/api/v1/members", `{"account":"wei"}`, 409, "conflict", ""},
		{"malformed", "POST", "/api/v1/members", "{\n\"account\"", 400, "malformed", "body"},
		{"trailing garbage", "POST", "/api/v1/members", `{"account":"lin"} x`, 400, "malformed", "body"},
		{"deep nesting", "POST", "/api/v1/members", `{"attributes":` + strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 41), 400, "malformed", "body"},
		{"nothing", "POST", "/api/v1/members", ``, 400, "malformed", ""},
		{"no such member", "GET", "/api/v1/members/999", ``, 404, "not_found", ""},
		{"a member that is no number", "GET", "/api/v1/members/wei", ``, 422, "invalid", "path.id"},
		{"a number without end", "GET", "/api/v1/members/99999999999999999999", ``, 422, "invalid", "path.id"},
		{"a limit too large", "GET", "/api/v1/members?limit=1000", ``, 422, "invalid", "query.limit"},
		{"a cursor of somebody else", "GET", "/api/v1/members?cursor=x", ``, 422, "invalid", "query.cursor"},
		{"a cursor of another list", "GET", "/api/v1/deliveries?cursor=5", ``, 422, "invalid", "query.cursor"},
		{"a cursor that is no address", "GET", "/api/v1/suppressions?cursor=5", ``, 422, "invalid", "query.cursor"},
		{"a NUL in the address", "GET", "/api/v1/members?query=%00", ``, 400, "malformed", ""},
		{"bytes that are not UTF-8", "GET", "/api/v1/triggers/%ff", ``, 400, "malformed", ""},
		{"nothing there", "GET", "/api/v1/nothing", ``, 404, "not_found", ""},
		{"a method it has not", "DELETE", "/api/v1/members", ``, 405, "method", ""},
		{"a contact twice", "POST", at + "/contacts", `{"channel":"email","address":"wei@example.com"}`, 409, "conflict", ""},
		{"an unknown channel", "POST", at + "/contacts", `{"channel":"pigeon","address":"x"}`, 422, "invalid", "body.channel"},
		{"a contact of nobody", "DELETE", at + "/contacts/999", ``, 404, "not_found", ""},
		{"a code for a verified one", "POST", at + "/contacts/1/code", ``, 409, "conflict", ""},
		{"a consent to nothing", "PUT", at + "/consents", `{"consents":[{"channel":"email","purpose":"fun","granted":true}]}`, 422, "invalid", "body.consents[0].purpose"},
		{"consents of nobody", "GET", "/api/v1/members/999/consents", ``, 404, "not_found", ""},
		{"nothing to lift", "POST", "/api/v1/suppressions/lift", `{"channel":"email","address":"x@example.com"}`, 404, "not_found", ""},
		{"an unknown trigger", "GET", "/api/v1/triggers/nothing", ``, 404, "not_found", ""},
		{"another's name", "PUT", "/api/v1/triggers/one", `{"name":"two"}`, 422, "invalid", "body.name"},
		{"a definition with mistakes", "PUT", "/api/v1/triggers/one", `{"event_type":"x","condition":"event.price <"}`, 422, "invalid", "body.condition"},
		{"a subscription to nothing", "POST", "/api/v1/subscriptions", fmt.Sprintf(`{"member_id":%d,"trigger":"nothing"}`, wei), 422, "invalid", "body.trigger"},
		{"a missing parameter", "POST", "/api/v1/subscriptions", fmt.Sprintf(`{"member_id":%d,"trigger":"price_drop","params":{"product":"x"}}`, wei), 422, "invalid", "body.params.target"},
		{"a wrong parameter", "POST", "/api/v1/subscriptions", fmt.Sprintf(`{"member_id":%d,"trigger":"price_drop","params":{"product":"x","target":"cheap"}}`, wei), 422, "invalid", "body.params.target"},
		{"a cool-down that is none", "POST", "/api/v1/subscriptions", fmt.Sprintf(`{"member_id":%d,"trigger":"price_drop","cool_down":"a day"}`, wei), 422, "invalid", "body"},
		{"the ended ones of everybody", "GET", "/api/v1/subscriptions?ended=true", ``, 422, "invalid", "query.member"},
		{"no such subscription", "DELETE", "/api/v1/subscriptions/999", ``, 404, "not_found", ""},
		{"no such history", "GET", "/api/v1/subscriptions/999/history", ``, 404, "not_found", ""},
		{"a delivery that is no id", "GET", "/api/v1/deliveries/7", ``, 422, "invalid", "path.id"},
		{"no such delivery", "GET", "/api/v1/deliveries/0190f2c4-7c4e-7000-8000-000000000000/timeline", ``, 404, "not_found", ""},
		{"an unknown state", "GET", "/api/v1/deliveries?state=gone", ``, 422, "invalid", "query.state"},
		{"a time that is none", "GET", "/api/v1/ledger?since=yesterday", ``, 422, "invalid", "query.since"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := s.in(t)
			p := s.send(tt.method, tt.path, tt.body).problem(tt.status, tt.code)
			if tt.location != "" && !names(p, tt.location) {
				t.Errorf("mistakes %+v, want one at %s", p.Errors, tt.location)
			}
		})
	}
}

func TestContactsAreAddedConfirmedAndRemoved(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	at := fmt.Sprintf("/api/v1/members/%d/contacts", s.member("wei"))
	added := as[subscriptions.ContactPoint](s.post(at, `{"channel":"sms","address":"13800138000","region":"CN"}`).is(http.StatusCreated))
	if added.Address != "+8613800138000" || added.VerifiedAt != nil {
		t.Errorf("added %+v", added)
	}
	contact := fmt.Sprintf("%s/%d", at, added.ID)
	s.post(contact+"/code", "").is(http.StatusAccepted)
	if retry := s.post(contact+"/code", ""); retry.problem(http.StatusTooManyRequests, "throttled").Code == "" || retry.header.Get("Retry-After") == "" {
		t.Error("no word on when to ask for a code again")
	}
	if p := s.post(contact+"/verification", `{"code":"000000"}`).problem(http.StatusUnprocessableEntity, "invalid"); !names(p, "body.code") || strings.Contains(fmt.Sprint(p), "000000") {
		t.Errorf("a wrong code: %+v", p)
	}
	if list := as[api.Page[subscriptions.ContactPoint]](s.get(at).is(http.StatusOK)); len(list.Items) != 2 {
		t.Errorf("listed %+v", list)
	}
	s.send(http.MethodDelete, contact, "").is(http.StatusNoContent)
	if list := as[api.Page[subscriptions.ContactPoint]](s.get(at).is(http.StatusOK)); len(list.Items) != 1 {
		t.Errorf("after removal %+v", list)
	}
}

func TestConsentsAndSuppressions(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	at := fmt.Sprintf("/api/v1/members/%d/consents", s.member("wei"))
	said := as[api.Page[subscriptions.Consent]](s.send(http.MethodPut, at, `{"consents":[{"channel":"email","purpose":"marketing","granted":false,"evidence":"a call"}]}`).is(http.StatusOK))
	if len(said.Items) != 2 {
		t.Errorf("consents %+v", said)
	}
	for _, address := range []string{"a@example.com", "b@example.com", "c@example.com"} {
		s.post("/api/v1/suppressions", fmt.Sprintf(`{"channel":"email","address":%q}`, address)).is(http.StatusNoContent)
	}
	first := as[api.Page[subscriptions.Suppression]](s.get("/api/v1/suppressions?limit=2&channel=email").is(http.StatusOK))
	second := as[api.Page[subscriptions.Suppression]](s.get("/api/v1/suppressions?limit=2&channel=email&cursor=" + first.Next).is(http.StatusOK))
	if len(first.Items) != 2 || len(second.Items) != 1 || second.Items[0].Address != "c@example.com" || first.Items[0].Reason != "operator" {
		t.Errorf("pages %+v %+v", first, second)
	}
	s.post("/api/v1/suppressions/lift", `{"channel":"email","address":"a@example.com"}`).is(http.StatusNoContent)
	if found := as[api.Page[subscriptions.Suppression]](s.get("/api/v1/suppressions?address=a@example.com").is(http.StatusOK)); len(found.Items) != 0 {
		t.Errorf("still there: %+v", found)
	}
}

func TestTriggersAreReadDefinedAndSwitched(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	list := as[api.Page[subscriptions.Trigger]](s.get("/api/v1/triggers").is(http.StatusOK))
	if len(list.Items) < 7 {
		t.Errorf("%d triggers", len(list.Items))
	}
	drop := s.get("/api/v1/triggers/price_drop").is(http.StatusOK)
	saved := as[subscriptions.Trigger](s.send(http.MethodPut, "/api/v1/triggers/price_drop", drop.body).is(http.StatusOK))
	if saved.Version != 2 {
		t.Errorf("version %d", saved.Version)
	}
	s.send(http.MethodPut, "/api/v1/triggers/price_drop", drop.body).problem(http.StatusConflict, "conflict")
	p := s.send(http.MethodPut, "/api/v1/triggers/price_drop", strings.Replace(drop.body, `"template":"price_drop"`, `"template":"nobody_wrote"`, 1)).problem(http.StatusUnprocessableEntity, "invalid")
	if len(p.Errors) != 1 || p.Errors[0].Location != "body.template" {
		t.Errorf("a template that is missing: %+v", p.Errors)
	}
	off := as[subscriptions.Trigger](s.send(http.MethodPatch, "/api/v1/triggers/price_drop", `{"enabled":false}`).is(http.StatusOK))
	if off.Enabled {
		t.Error("still on")
	}
}

func TestASubscriptionIsMadeChangedPausedAndEnded(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	wei := s.member("wei")
	at := fmt.Sprintf("/api/v1/subscriptions/%d", s.subscribe(wei, "kettle", 49))
	patch := func(body string) subscriptions.Subscription {
		t.Helper()
		return as[subscriptions.Subscription](s.send(http.MethodPatch, at, body).is(http.StatusOK))
	}
	if got := patch(`{"paused":true,"valid_until":"2999-01-01T00:00:00Z","cool_down":"2h","digest":"daily"}`); got.State != subscriptions.Paused || got.ValidUntil == nil || got.Digest != "daily" || got.CoolDown.String() != "2h0m0s" {
		t.Errorf("changed %+v", got)
	}
	if got := patch(`{"paused":false,"cool_down":null}`); got.State != subscriptions.Active || got.Digest != "daily" || got.ValidUntil == nil || got.CoolDown != nil {
		t.Errorf("null clears, absence keeps: %+v", got)
	}
	if got := patch(`{"digest":""}`); got.Digest != "" {
		t.Errorf("at once again: %+v", got)
	}
	if got := patch(`{"valid_until":null,"params":{"product":"kettle","target":45}}`); got.ValidUntil != nil || got.Params["target"] != 45.0 {
		t.Errorf("changed %+v", got)
	}
	s.send(http.MethodPatch, at, `{"version":1,"paused":true}`).problem(http.StatusConflict, "conflict")
	for _, query := range []string{fmt.Sprintf("member=%d", wei), "trigger=price_drop", ""} {
		if page := as[api.Page[subscriptions.Subscription]](s.get("/api/v1/subscriptions?" + query).is(http.StatusOK)); len(page.Items) != 1 {
			t.Errorf("%q lists %+v", query, page)
		}
	}
	s.send(http.MethodDelete, at, "").is(http.StatusNoContent)
	if page := as[api.Page[subscriptions.Subscription]](s.get(fmt.Sprintf("/api/v1/subscriptions?ended=true&member=%d", wei)).is(http.StatusOK)); len(page.Items) != 1 || page.Items[0].EndedBy != "cancelled" {
		t.Errorf("ended %+v", page)
	}
	history := as[api.Page[subscriptions.Record]](s.get(at + "/history").is(http.StatusOK)).Items
	if len(history) < 4 || history[0].Change != "created" || history[0].Actor != "key:shop" {
		t.Errorf("history %+v", history)
	}
}

func TestADeliveryIsFoundExplainedAndCounted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	wei := s.member("wei")
	s.subscribe(wei, "kettle", 49)
	s.post("/api/v1/events", event("e-1", "kettle", 48), "Content-Type", "application/cloudevents+json").is(http.StatusAccepted)
	for _, query := range []string{"member=wei", fmt.Sprintf("member_id=%d", wei), "address=wei@example.com", "trigger=price_drop&state=pending&channel=email&since=2020-01-01T00:00:00Z"} {
		if page := as[api.Page[dispatch.Delivery]](s.get("/api/v1/deliveries?" + query).is(http.StatusOK)); len(page.Items) != 1 {
			t.Fatalf("%s finds %+v", query, page)
		}
	}
	if page := as[api.Page[dispatch.Delivery]](s.get("/api/v1/deliveries?until=2020-01-01T00:00:00Z").is(http.StatusOK)); len(page.Items) != 0 {
		t.Errorf("found %+v", page)
	}
	found := as[api.Page[dispatch.Delivery]](s.get("/api/v1/deliveries").is(http.StatusOK)).Items[0]
	at := "/api/v1/deliveries/" + found.ID.String()
	if got := as[dispatch.Delivery](s.get(at).is(http.StatusOK)); got.Member != "wei" {
		t.Errorf("read %+v", got)
	}
	timeline := as[api.Timeline](s.get(at + "/timeline").is(http.StatusOK))
	if len(timeline.Entries) == 0 || timeline.Entries[0].Code != "event_received" || timeline.Notification.MemberID != wei {
		t.Errorf("timeline %+v", timeline)
	}
	for _, verb := range []string{"retry", "assume-sent"} {
		s.post(at+"/"+verb, "").problem(http.StatusConflict, "conflict") // it has not failed
	}
	if ledger := as[dispatch.Ledger](s.get("/api/v1/ledger?trigger=price_drop").is(http.StatusOK)); ledger.Targeted != 1 || ledger.Pending != 1 || !ledger.Balanced {
		t.Errorf("ledger %+v", ledger)
	}
}

func TestAKeyMayDoWhatItsScopesSay(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	reader := "Bearer " + s.key("reader", access.MembersRead)
	me := as[api.Key](s.send(http.MethodGet, "/api/v1/whoami", "", "Authorization", reader).is(http.StatusOK))
	if me.Name != "reader" || len(me.Scopes) != 1 {
		t.Errorf("whoami %+v", me)
	}
	s.send(http.MethodGet, "/api/v1/members", "", "Authorization", reader).is(http.StatusOK)
	for _, path := range []string{"/api/v1/members", "/api/v1/events", "/api/v1/subscriptions"} {
		r := s.post(path, `{}`, "Authorization", reader)
		r.problem(http.StatusForbidden, "forbidden")
		if !strings.Contains(r.header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
			t.Errorf("%s: %q", path, r.header.Get("WWW-Authenticate"))
		}
	}
	for _, header := range []string{"", "Basic eDp5", "Bearer", "Bearer x", "Bearer " + strings.Repeat("x", 1000), reader[:len(reader)-1] + "!"} {
		r := s.send(http.MethodGet, "/api/v1/members", "", "Authorization", header)
		r.problem(http.StatusUnauthorized, "unauthorized")
		if !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%q: %q", header, r.header.Get("WWW-Authenticate"))
		}
	}
}
