package subscriptions

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"herald/problem"
)

func TestConsentHoldsAsLastSaidAndKeepsItsHistory(t *testing.T) {
	p := newPeople(t)
	m, _ := p.registered(t, "wei")
	first := p.time
	say := func(granted bool, source, evidence string) {
		t.Helper()
		err := p.consents.Record(t.Context(), m.ID, NewConsent{Channel: Email, Purpose: Marketing, Granted: granted, Source: source, Evidence: evidence})
		if err != nil {
			t.Fatal(err)
		}
		p.time = p.time.Add(time.Hour)
	}
	say(true, "portal", "the box \"tell me of offers\" was ticked")
	say(true, "api", "said again at the counter")
	say(false, "one-click", "List-Unsubscribe-Post")

	now, err := p.consents.ForMember(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := []Consent{{Channel: Email, Purpose: Marketing, Granted: false, ChangedAt: first.Add(2 * time.Hour)}}
	if diff := cmp.Diff(want, now); diff != "" {
		t.Errorf("consents (-want +got):\n%s", diff)
	}
	history, err := p.consents.History(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantHistory := []ConsentChange{
		{Email, Marketing, true, "portal", "the box \"tell me of offers\" was ticked", first},
		{Email, Marketing, true, "api", "said again at the counter", first.Add(time.Hour)},
		{Email, Marketing, false, "one-click", "List-Unsubscribe-Post", first.Add(2 * time.Hour)},
	}
	if diff := cmp.Diff(wantHistory, history); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

func TestConsentWithMistakesIsRefusedByField(t *testing.T) {
	p := newPeople(t)
	m, _ := p.registered(t, "wei")
	err := p.consents.Record(t.Context(), m.ID,
		NewConsent{Channel: Email, Purpose: Service, Source: "portal", Evidence: "ticked"},
		NewConsent{Channel: "pigeon", Purpose: "fun", Source: "hearsay", Evidence: " "})
	wantCode(t, err, problem.Invalid)
	wantField(t, err, "consents[1].channel", "options")
	wantField(t, err, "consents[1].purpose", "options")
	wantField(t, err, "consents[1].source", "options")
	wantField(t, err, "consents[1].evidence", "required")
	if got, _ := p.consents.ForMember(t.Context(), m.ID); len(got) != 0 {
		t.Errorf("the good one was recorded: %v", got)
	}
	good := NewConsent{Channel: Email, Purpose: Service, Source: "portal", Evidence: "ticked"}
	wantCode(t, p.consents.Record(t.Context(), m.ID+1, good), problem.NotFound)
	many := make([]NewConsent, maxConsents+1)
	wantField(t, p.consents.Record(t.Context(), m.ID, many...), "consents", "max_items")
}

func TestSuppressionsAreNormalisedListedAndLifted(t *testing.T) {
	p := newPeople(t)
	for _, s := range []Suppression{
		{Channel: Email, Address: "Wei@EXAMPLE.com", Reason: Bounced, Detail: "550 5.1.1"},
		{Channel: SMS, Address: "+86 138 0013 8000", Reason: Stopped},
		{Channel: Email, Address: "ann@example.com", Reason: Unsubscribed},
	} {
		if err := p.consents.Suppress(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	list := func(f SuppressionFilter) string {
		t.Helper()
		got, err := p.consents.Suppressions(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		var addresses []string
		for _, s := range got {
			addresses = append(addresses, s.Address)
		}
		return strings.Join(addresses, " ")
	}
	for _, tt := range []struct {
		name   string
		filter SuppressionFilter
		want   string
	}{
		{"all", SuppressionFilter{}, "ann@example.com wei@example.com +8613800138000"},
		{"by channel", SuppressionFilter{Channel: SMS}, "+8613800138000"},
		{"by address in any case", SuppressionFilter{Address: "WEI@example.com"}, "wei@example.com"},
		{"by number as written", SuppressionFilter{Address: "+86 13800138000"}, "+8613800138000"},
		{"the first page", SuppressionFilter{Limit: 1}, "ann@example.com"},
		{"the page after it", SuppressionFilter{Limit: 1, After: Suppression{Channel: Email, Address: "ann@example.com"}}, "wei@example.com"},
		{"an address nobody has", SuppressionFilter{Address: "nobody"}, ""},
	} {
		if got := list(tt.filter); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if err := p.consents.Lift(t.Context(), Email, "wei@Example.com"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, p.consents.Lift(t.Context(), Email, "wei@example.com"), problem.NotFound)
	wantField(t, p.consents.Lift(t.Context(), Email, "nobody"), "address", "email")
	if got := list(SuppressionFilter{Channel: Email}); got != "ann@example.com" {
		t.Errorf("after lifting: %q", got)
	}
}

// What many hand-overs find out at once must not queue for a row that stays as
// it is.
func TestSuppressingAgainWaitsForNobody(t *testing.T) {
	p := newPeople(t)
	known := Suppression{Channel: Email, Address: "wei@example.com", Reason: Bounced}
	if err := p.consents.Suppress(t.Context(), known); err != nil {
		t.Fatal(err)
	}
	tx, err := p.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), `SELECT FROM suppressions FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	err = pgx.BeginFunc(t.Context(), p.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SET LOCAL lock_timeout = '100ms'`); err != nil {
			return err
		}
		return p.consents.SuppressTx(t.Context(), tx, known)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSuppressRefusesWhatItCannotMean(t *testing.T) {
	p := newPeople(t)
	err := p.consents.Suppress(t.Context(), Suppression{Channel: SMS, Address: "13800138000", Reason: "bored"})
	wantField(t, err, "address", "international")
	wantField(t, err, "reason", "options")
	wantField(t, p.consents.Suppress(t.Context(), Suppression{Channel: "pigeon", Reason: Bounced}), "channel", "options")
}

func TestOfTwoReasonsTheStricterHoldsAndElseTheFirst(t *testing.T) {
	for _, tt := range []struct{ first, second, want string }{
		{Unsubscribed, Complained, Complained},
		{Complained, Unsubscribed, Complained},
		{Bounced, Complained, Bounced},
	} {
		p := newPeople(t)
		for _, reason := range []string{tt.first, tt.second} {
			err := pgx.BeginFunc(t.Context(), p.pool, func(tx pgx.Tx) error {
				return p.consents.SuppressTx(t.Context(), tx, Suppression{Channel: Email, Address: "wei@example.com", Reason: reason})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		got, err := p.consents.Suppressions(t.Context(), SuppressionFilter{})
		if err != nil || len(got) != 1 || got[0].Reason != tt.want {
			t.Errorf("%s, then %s: %+v (%v), want %s", tt.first, tt.second, got, err, tt.want)
		}
	}
}

func TestReachBringsTogetherWhatMayBeSentWhere(t *testing.T) {
	p := newPeople(t)
	wei := p.register(t, Registration{
		Account: "wei", DisplayName: "Wei", Locale: "zh-CN", Attributes: map[string]any{"grade": "gold"},
		Contacts: []NewContact{{Channel: Email, Address: "Wei@example.com", Verified: true}, {Channel: SMS, Address: "13800138000", Verified: true}},
		Consents: []NewConsent{{Channel: Email, Purpose: Service, Granted: true, Source: "registration", Evidence: "ticked"}},
	})
	lin, _ := p.registered(t, "lin")
	for _, s := range []Suppression{{Channel: Email, Address: "wei@example.com", Reason: Complained}, {Channel: Email, Address: "stranger@example.com", Reason: Bounced}} {
		if err := p.consents.Suppress(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	reach, err := p.consents.Reach(t.Context(), p.pool, []int64{wei.ID, lin.ID, 999})
	if err != nil {
		t.Fatal(err)
	}
	if len(reach) != 2 {
		t.Fatalf("%d members, want 2", len(reach))
	}
	r := reach[wei.ID]
	if diff := cmp.Diff(wei, r.Member); diff != "" {
		t.Errorf("member (-registered +reach):\n%s", diff)
	}
	if len(r.Contacts) != 2 || len(r.Consents) != 1 || len(r.Suppressions) != 1 {
		t.Errorf("reach of wei: %+v", r)
	}
	if _, refusal := r.Choose(Email, Service); refusal != "suppressed_complained" {
		t.Errorf("email: %q", refusal)
	}
	if c, refusal := r.Choose(SMS, Transactional); refusal != "" || c.Address != "+8613800138000" {
		t.Errorf("sms: %+v, %q", c, refusal)
	}
	if _, refusal := reach[lin.ID].Choose(Email, Transactional); refusal != NotVerified {
		t.Errorf("lin: %q", refusal)
	}
	if none, err := p.consents.Reach(t.Context(), p.pool, nil); err != nil || len(none) != 0 {
		t.Errorf("reach of nobody: %v, %v", none, err)
	}
}
