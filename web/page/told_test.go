package page

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"herald/dispatch"
	"herald/subscriptions"
)

// course is a notification as it comes out of the database: its figures have
// been through JSON.
func course(t *testing.T, who Audience) Course {
	t.Helper()
	id := uuid.New()
	var steps []dispatch.Step
	err := json.Unmarshal([]byte(`[
		{"code": "event_received", "ok": true, "args": {"type": "price.changed", "source": "shop", "id": "17"}},
		{"code": "subscription_met", "ok": true, "args": {"summary": "kept", "terms": [
			{"attribute": "product", "operator": "==", "param": "product", "got": "4411", "wanted": "4411", "met": true},
			{"attribute": "price", "operator": "<=", "param": "target", "got": 1489, "wanted": 1499, "met": true},
			{"attribute": "latitude", "operator": "within", "param": "distance", "got": 12.3456, "wanted": 50, "met": true},
			{"attribute": "latitude", "operator": "within", "got": 0.0123, "wanted": 0.5, "met": true},
			{"attribute": "price", "operator": "<", "previous": "price", "got": 1489, "wanted": 1700, "before": 1700, "met": true},
			{"attribute": "price", "operator": "<=", "previous": "price", "got": 1489, "wanted": 1530, "before": 1700, "met": true},
			{"attribute": "price", "operator": ">", "got": 1489, "wanted": 0, "met": true}]}},
		{"code": "valid", "ok": true, "args": {"until": "2026-06-01T16:00:00Z"}},
		{"code": "cool_down_passed", "ok": true, "args": {"cool_down": "24h0m0s", "last": "2026-03-01T01:00:00Z"}},
		{"code": "cap_passed", "ok": true, "args": {"sent": 1, "max": 3}},
		{"code": "channel_refused", "ok": false, "args": {"channel": "sms", "refusal": "no_consent"}},
		{"code": "channel_chosen", "ok": true, "args": {"channel": "email"}},
		{"code": "something_new", "ok": true}
	]`), &steps)
	if err != nil {
		t.Fatal(err)
	}
	var entries []dispatch.Entry
	for _, s := range steps {
		entries = append(entries, dispatch.Entry{At: moment, Code: s.Code, OK: s.OK, Args: s.Args})
	}
	next := moment.Add(5 * time.Minute)
	entries = append(
		entries,
		dispatch.Entry{Code: "attempt_started", OK: true, DeliveryID: id, Args: map[string]any{"number": 1, "channel": "email", "repeats": false}},
		dispatch.Entry{Code: "attempt_ended", DeliveryID: id, Args: map[string]any{"number": 1, "channel": "email", "outcome": "transient"}},
		dispatch.Entry{Code: "state", DeliveryID: id, Args: map[string]any{"state": dispatch.Deferred, "reason": "transient", "channel": subscriptions.Email, "next_attempt_at": next}},
		dispatch.Entry{Code: "attempt_ended", OK: true, DeliveryID: id, Args: map[string]any{"number": 2, "channel": "email", "outcome": "accepted"}},
		dispatch.Entry{Code: "state", OK: true, DeliveryID: id, Args: map[string]any{"state": dispatch.Delivered, "channel": subscriptions.Email}},
	)
	return Course{
		Audience: who, Summary: "4411 at 1499 or less",
		Timeline: dispatch.Timeline{
			Delivery:     dispatch.Delivery{ID: id, Member: "wei"},
			Deliveries:   []dispatch.Delivery{{ID: id, Address: "wei@example.com"}},
			Notification: dispatch.Notification{Data: map[string]any{"event": map[string]any{"product": "4411", "price": 1489.0, "currency": "CNY", "account": "wei"}}},
			Entries:      entries,
		},
		Trigger: subscriptions.Trigger{Attributes: []subscriptions.Attribute{
			{Name: "account", Title: subscriptions.Text{"en": "Account", "zh": "账号"}},
			{Name: "product", Title: subscriptions.Text{"en": "Product", "zh": "商品"}},
			{Name: "price", Unit: "currency", Title: subscriptions.Text{"en": "Price", "zh": "现价"}},
			{Name: "currency", Title: subscriptions.Text{"en": "Currency", "zh": "币种"}},
		}},
	}
}

func TestACourseIsToldToEachInTheirWords(t *testing.T) {
	golden(t, "course.txt", told(t, course))
}

// steps are all that may be decided of a notification and happen to it, as
// they come out of the database, each with an entry of its own.
func steps(t *testing.T, who Audience) Course {
	t.Helper()
	var steps []dispatch.Step
	err := json.Unmarshal([]byte(`[
		{"code": "campaign", "ok": true, "args": {"name": "Spring sale"}},
		{"code": "event_received", "ok": true, "args": {"type": "order.created", "source": "herald:absence", "id": "order_unpaid/17"}},
		{"code": "event_received", "ok": true, "args": {"type": "new", "source": "herald:new", "id": "18"}},
		{"code": "frequency_cap_passed", "ok": true, "args": {"max": 2, "within": "24h0m0s", "sent": 1}},
		{"code": "frequency_cap_passed", "ok": true, "args": {"max": 0}},
		{"code": "frequency_cap", "ok": false, "args": {"max": 5, "within": "168h0m0s", "sent": 5}},
		{"code": "quiet_hours", "ok": true, "args": {"until": "2026-03-04T00:00:00Z", "from_local": "22:00", "until_local": "08:00"}},
		{"code": "digest", "ok": true, "args": {"kind": "hourly", "due": "2026-03-03T02:00:00Z"}},
		{"code": "digest", "ok": true, "args": {"kind": "daily", "due": "2026-03-04T01:00:00Z"}},
		{"code": "digest_too_late", "ok": false, "args": {"kind": "daily", "due": "2026-03-04T01:00:00Z"}},
		{"code": "routed", "ok": true, "args": {"account": "smtp-1", "channel": "email"}},
		{"code": "throttled", "ok": false, "args": {"until": "2026-03-03T01:30:00Z"}},
		{"code": "not_confirmed", "ok": false, "args": {"channel": "sms"}},
		{"code": "ladder_climbed", "ok": true, "args": {"from": "sms", "to": "email", "reason": "not_confirmed"}},
		{"code": "ladder_climbed", "ok": true, "args": {"from": "sms", "to": "voice", "reason": "failed"}},
		{"code": "ladder_climbed", "ok": true, "args": {"from": "sms", "to": "fax", "reason": "suppressed"}},
		{"code": "ladder_stopped", "ok": true, "args": {"channel": "sms"}},
		{"code": "receipt", "ok": true, "args": {"event": "delivered", "code": "DELIVRD"}},
		{"code": "receipt", "ok": false, "args": {"event": "bounced", "code": "5.1.1"}},
		{"code": "receipt", "ok": false, "args": {"event": "delayed", "code": ""}},
		{"code": "receipt", "ok": false, "args": {"event": "expired"}},
		{"code": "receipt", "ok": true, "args": {"event": "read"}},
		{"code": "receipt", "ok": false, "args": {"event": "complained"}},
		{"code": "receipt", "ok": false, "args": {"event": "unsubscribed"}},
		{"code": "expired", "ok": false},
		{"code": "retried_by_operator", "ok": true, "args": {"actor": "operator:ann"}},
		{"code": "discarded_by_operator", "ok": false, "args": {"actor": "operator:ann"}},
		{"code": "assumed_by_operator", "ok": true, "args": {"actor": "operator:ann"}}
	]`), &steps)
	if err != nil {
		t.Fatal(err)
	}
	c := Course{Audience: who}
	for _, s := range steps {
		c.Timeline.Entries = append(c.Timeline.Entries, dispatch.Entry{At: moment, Code: s.Code, OK: s.OK, Args: s.Args})
	}
	later := moment.Add(8 * time.Hour)
	for _, s := range []struct {
		state  dispatch.State
		reason string
		next   *time.Time
	}{
		{dispatch.Deferred, "quiet_hours", &later},
		{dispatch.Deferred, "digest", &later},
		{dispatch.Deferred, "rate_limit", nil},
		{dispatch.Deferred, "campaign_paused", nil},
		{dispatch.Deferred, "account_down", &later},
		{dispatch.Suppressed, "frequency_cap", nil},
		{dispatch.Suppressed, "delivered_otherwise", nil},
		{dispatch.Suppressed, "campaign_stopped", nil},
		{dispatch.Failed, "next_channel", nil},
		{dispatch.Failed, "bounced", nil},
		{dispatch.Failed, "discarded", nil},
		{dispatch.Accepted, "assumed_sent", nil},
		{dispatch.InDoubt, "waits_for_receipt", nil},
		{dispatch.InDoubt, "held", nil},
	} {
		args := map[string]any{"state": s.state, "reason": s.reason, "channel": subscriptions.Email}
		if s.next != nil {
			args["next_attempt_at"] = *s.next
		}
		c.Timeline.Entries = append(c.Timeline.Entries, dispatch.Entry{Code: "state", Args: args})
	}
	return c
}

func TestEveryStepIsToldToEachInTheirWords(t *testing.T) {
	text := told(t, steps)
	golden(t, "steps.txt", text)
	for _, mark := range []string{"{{", "no value", "told.", "%!"} {
		if strings.Contains(text, mark) {
			t.Errorf("%q is in what people read", mark)
		}
	}
	r := Reader{Locale: catalogue(t).In("en"), Zone: time.UTC, Now: moment}
	for _, line := range r.Narrate(steps(t, Operator)) {
		if line.Text == line.Code {
			t.Errorf("nobody worded %s", line.Code)
		}
	}
}

// told is a course as both audiences read it, in both languages.
func told(t *testing.T, course func(*testing.T, Audience) Course) string {
	t.Helper()
	c := catalogue(t)
	var b strings.Builder
	for _, tag := range Languages {
		r := Reader{Locale: c.In(tag), Zone: zoneOr("Asia/Shanghai"), Now: moment}
		for _, who := range []Audience{Customer, Operator} {
			b.WriteString("== " + string(who) + " " + tag + "\n")
			for _, line := range r.Narrate(course(t, who)) {
				mark := "✓"
				if !line.OK {
					mark = "✗"
				}
				b.WriteString(mark + " " + line.Text + "\n")
				for _, note := range line.Notes {
					b.WriteString("    " + note + "\n")
				}
			}
		}
	}
	return b.String()
}

// golden holds a text against a file of testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("HERALD_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("-want +got (HERALD_GOLDEN=1 writes it again):\n%s", diff)
	}
}

func TestEveryCodeHasWords(t *testing.T) {
	l := catalogue(t).In("en")
	var keys []string
	for _, s := range dispatch.States {
		keys = append(keys, "state."+string(s), "fate."+string(s))
	}
	for _, c := range subscriptions.Channels {
		keys = append(keys, "channel."+string(c), "channel.by."+string(c))
	}
	for _, p := range subscriptions.Purposes {
		keys = append(keys, "purpose."+string(p))
	}
	for _, reason := range []string{
		string(subscriptions.NoAddress), string(subscriptions.NoConsent), string(subscriptions.NotVerified), string(subscriptions.AddressDead),
		"suppressed_unsubscribed", "suppressed_bounced", "suppressed_complained", "suppressed_stopped", "suppressed_operator", string(dispatch.NoSender),
		"paused", "unsubscribed", "refused", "template_failed", "expired", "held",
		"quiet_hours", "digest", "frequency_cap", "next_channel", "delivered_otherwise", "campaign_stopped", "campaign_paused",
		"assumed_sent", "waits_for_receipt", "discarded", "bounced", "complained", "rate_limit", "account_down",
		"not_confirmed", "failed", "suppressed", "cancelled", "resent",
		string(dispatch.Permanent), string(dispatch.Transient), string(dispatch.Throttled), string(dispatch.Doubt), string(dispatch.SessionFatal), string(dispatch.Configuration),
	} {
		keys = append(keys, "reason.customer."+reason, "reason.operator."+reason)
	}
	for _, key := range keys {
		if !l.Has(key) {
			t.Errorf("no wording for %s", key)
		}
	}
}

// keyInGo finds keys in calls such as v.T("alert.paused") and v.Say("profile.saved").
var keyInGo = regexp.MustCompile(`\.(?:T|Say)\("([a-z_.]+)"`)

// Keys in templates are checked when a site is made; this checks those in Go.
func TestKeysInTheCodeHaveWords(t *testing.T) {
	l := catalogue(t).In("en")
	files, err := filepath.Glob("../*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range keyInGo.FindAllStringSubmatch(string(raw), -1) {
			if key := found[1]; !l.Has(key) && !strings.HasSuffix(key, "_") && !strings.HasSuffix(key, ".") {
				t.Errorf("%s: no wording for %q", filepath.Base(file), key)
			}
		}
	}
}
