package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"herald/calendars"
	"herald/subscriptions"
	"herald/web/api"
)

func TestTheNextDatesAreTold(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	read := s.get("/api/v1/triggers/festival").is(http.StatusOK)
	trigger := as[api.DatedTrigger](read)
	if len(trigger.NextDates) != 3 || trigger.NextDates[0].At.Before(time.Now()) || trigger.NextDates[0].Occasion == "" {
		t.Errorf("of a trigger: %+v", trigger.NextDates)
	}
	if saved := as[subscriptions.Trigger](s.send(http.MethodPut, "/api/v1/triggers/festival", read.body).is(http.StatusOK)); saved.Version != 2 {
		t.Errorf("what was read cannot be saved: %+v", saved)
	}
	if own := as[api.DatedTrigger](s.get("/api/v1/triggers/birthday").is(http.StatusOK)); len(own.NextDates) > 0 {
		t.Errorf("of birthdays: %+v", own.NextDates)
	}
	wei := s.member("wei")
	s.send(http.MethodPatch, fmt.Sprintf("/api/v1/members/%d", wei), `{"birthday":"1990-05-17","time_zone":"Asia/Shanghai"}`).is(http.StatusOK)
	made := as[subscriptions.Subscription](s.post("/api/v1/subscriptions", fmt.Sprintf(`{"member_id":%d,"trigger":"birthday"}`, wei)).is(http.StatusCreated))
	got := as[api.DatedSubscription](s.get(fmt.Sprintf("/api/v1/subscriptions/%d", made.ID)).is(http.StatusOK))
	if len(got.NextDates) != 3 {
		t.Fatalf("of a subscription: %+v", got.NextDates)
	}
	for _, d := range got.NextDates {
		if d.Date[len("2006-"):] != "05-17" || d.At.UTC().Format("15:04") != "01:00" {
			t.Errorf("of a birthday: %+v", d)
		}
	}
}

func TestTheNextDatesOfACampaign(t *testing.T) {
	t.Parallel()
	s := newPlanned(t)
	plan := `{"name":"Autumn","segment":{"all":true},"channels":["email"],"messages":[{"channel":"email","locale":"en","subject":"Hello","body":"Hello"}],` +
		`"when":{"occasion":"mid_autumn","hour":"09:00","time_zone":"Asia/Shanghai"}}`
	made := as[api.DatedCampaign](s.post("/api/v1/campaigns", plan).is(http.StatusCreated))
	got := as[api.DatedCampaign](s.get(fmt.Sprintf("/api/v1/campaigns/%d", made.ID)).is(http.StatusOK))
	if len(got.NextDates) != 3 || got.NextDates[0].Occasion != "mid_autumn" || got.NextDates[0].At.UTC().Format("15:04") != "01:00" {
		t.Errorf("%+v", got.NextDates)
	}
}

func TestCalendarsAreImported(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const at = "/api/v1/calendars/shop"
	s.get(at).problem(http.StatusNotFound, "not_found")
	p := s.send(http.MethodPut, at, `{"title":"Our fairs","body":"BEGIN:VCALENDAR"}`).problem(http.StatusUnprocessableEntity, "invalid")
	if len(p.Errors) != 1 || p.Errors[0].Location != "body.body" {
		t.Errorf("a file that is none: %+v", p.Errors)
	}
	saved := as[calendars.Calendar](s.send(http.MethodPut, at,
		`{"title":"Our fairs","body":"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20260618\r\nRRULE:FREQ=YEARLY;COUNT=5\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"}`).is(http.StatusOK))
	if saved.Dates != 5 || saved.Version != 1 || saved.SavedBy == "" {
		t.Errorf("%+v", saved)
	}
	if list := as[api.Page[calendars.Calendar]](s.get("/api/v1/calendars").is(http.StatusOK)); len(list.Items) != 1 {
		t.Errorf("%+v", list)
	}
	s.get(at).is(http.StatusOK)
	s.send(http.MethodPut, "/api/v1/triggers/fair", `{"title":{"en":"Our fairs"},"dates":{"occasion":"calendar:shop","hour":"10:00"},"condition":"event.zone == member.time_zone",`+
		`"summary":{"en":"Our fairs"},"channels":["email"],"purpose":"service","priority":3,"expiry":"24h","template":"festival"}`).is(http.StatusOK)
	refused := s.send(http.MethodDelete, at, "").problem(http.StatusConflict, "conflict")
	if !strings.Contains(refused.Detail, "trigger fair") {
		t.Errorf("refused: %+v", refused)
	}
}

func TestACalendarThatNothingUsesIsDeleted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const at = "/api/v1/calendars/shop"
	s.send(http.MethodDelete, at, "").problem(http.StatusNotFound, "not_found")
	s.send(http.MethodPut, at, `{"title":"Our fairs","body":"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20260618\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"}`).is(http.StatusOK)
	s.send(http.MethodDelete, at, "").is(http.StatusNoContent)
	s.get(at).problem(http.StatusNotFound, "not_found")
}
