package page

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"herald/dispatch"
)

// calls are all that may happen in calls, as it comes out of the database.
func calls(t *testing.T, who Audience) Course {
	t.Helper()
	var entries []dispatch.Entry
	err := json.Unmarshal([]byte(`[
		{"code": "call_dialled", "ok": true, "detail": {"account": "trunk", "call_id": "17"}},
		{"code": "call_ringing", "ok": true},
		{"code": "call_answered", "ok": true, "args": {"by": "person"}},
		{"code": "call_pressed", "ok": true, "args": {"digit": "1"}},
		{"code": "call_heard", "ok": true, "args": {"seconds": 12.3, "of": 14, "by": "person"}},
		{"code": "call_confirmed", "ok": true},
		{"code": "call_unconfirmed", "ok": false},
		{"code": "call_stopped", "ok": true},
		{"code": "call_transferred", "ok": true},
		{"code": "call_consented", "ok": true, "args": {"digit": "1"}},
		{"code": "call_recorded", "ok": true, "args": {"seconds": 7.5}, "detail": {"recording": "18"}},
		{"code": "call_hung_up", "ok": true, "args": {"by": "them"}},
		{"code": "call_answered", "ok": true, "args": {"by": "machine"}},
		{"code": "call_heard", "ok": true, "args": {"seconds": 14, "of": 14, "by": "machine"}},
		{"code": "call_hung_up", "ok": true, "args": {"by": "us"}},
		{"code": "call_answered", "ok": true, "args": {"by": "unknown"}},
		{"code": "call_hung_up", "ok": true, "args": {"by": "silence"}},
		{"code": "call_failed", "ok": false, "args": {"class": "busy", "code": 486}},
		{"code": "call_failed", "ok": false, "args": {"class": "no_answer"}},
		{"code": "call_failed", "ok": false, "args": {"class": "rejected"}},
		{"code": "call_failed", "ok": false, "args": {"class": "bad_number"}},
		{"code": "call_failed", "ok": false, "args": {"class": "congestion"}},
		{"code": "call_failed", "ok": false, "args": {"class": "unreachable"}},
		{"code": "call_failed", "ok": false, "args": {"class": "credentials"}},
		{"code": "call_failed", "ok": false, "args": {"class": "no_sound"}},
		{"code": "call_failed", "ok": false, "args": {"class": "given_up"}},
		{"code": "call_failed", "ok": false, "args": {"class": "unexpected"}}
	]`), &entries)
	if err != nil {
		t.Fatal(err)
	}
	c := Course{Audience: who}
	c.Timeline.Entries = entries
	return c
}

func TestCallsAreToldToEachInTheirWords(t *testing.T) { areWorded(t, calls, "calls.txt", "call_") }

// areWorded compares how courses are told with a golden file, and checks that
// people read no code of an entry, which all begin alike.
func areWorded(t *testing.T, course func(*testing.T, Audience) Course, file, begins string) {
	t.Helper()
	text := told(t, course)
	golden(t, file, text)
	for _, mark := range []string{"{{", "no value", "told.", "%!", begins} {
		if strings.Contains(text, mark) {
			t.Errorf("%q is in what people read", mark)
		}
	}
	r := Reader{Locale: catalogue(t).In("en"), Zone: time.UTC, Now: moment}
	for _, line := range r.Narrate(course(t, Operator)) {
		if line.Text == line.Code {
			t.Errorf("nobody worded %s", line.Code)
		}
	}
}
