package dispatch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/problem"
	"herald/subscriptions"
)

func TestEnqueueTakesTheFirstChannelThatIsAllowed(t *testing.T) {
	tests := map[string]struct {
		prepare  string // SQL, $1 is the member
		channels []subscriptions.Channel
		purpose  subscriptions.Purpose
		state    State
		channel  subscriptions.Channel
		rung     int
		reason   string
		steps    []string
	}{
		"the first that is allowed": {
			channels: []subscriptions.Channel{"email", "sms"}, purpose: "service",
			state: Pending, channel: "email", steps: []string{"channel_chosen email"},
		},
		"a channel nobody can send on is passed over": {
			prepare:  `INSERT INTO contact_points (member_id, channel, address, verified_at) VALUES ($1, 'sms', '+8613800138000', now())`,
			channels: []subscriptions.Channel{"sms", "email"}, purpose: "transactional",
			state: Pending, channel: "email", rung: 1,
			steps: []string{"channel_refused sms no_sender", "channel_chosen email"},
		},
		"none is left: suppressed for the first refusal": {
			prepare:  `UPDATE consents SET granted = false WHERE member_id = $1`,
			channels: []subscriptions.Channel{"email", "sms"}, purpose: "service",
			state: Suppressed, channel: "email", reason: "no_consent",
			steps: []string{"channel_refused email no_consent", "channel_refused sms no_sender"},
		},
		"a suppressed address": {
			prepare:  `INSERT INTO suppressions (channel, address, reason) SELECT 'email', address, 'complained' FROM contact_points WHERE member_id = $1`,
			channels: []subscriptions.Channel{"email"}, purpose: "service",
			state: Suppressed, channel: "email", reason: "suppressed_complained",
			steps: []string{"channel_refused email suppressed_complained"},
		},
		"a member who is gone": {
			prepare:  `DELETE FROM members WHERE id = $1`,
			channels: []subscriptions.Channel{"email"}, purpose: "transactional",
			state: Suppressed, channel: "email", reason: "no_address",
			steps: []string{"channel_refused email no_address"},
		},
	}
	for rule, test := range tests {
		t.Run(rule, func(t *testing.T) {
			b := newIdleBench(t)
			if test.prepare != "" {
				b.exec(test.prepare, b.member)
			}
			n := b.note(func(n *Notification) { n.Channels, n.Purpose, n.Decision = test.channels, test.purpose, nil })
			d := b.delivery(b.enqueue(n)[0])
			if d.State != test.state || d.Channel != test.channel || d.Rung != test.rung || d.Reason != test.reason {
				t.Errorf("got %s on %s at rung %d for %q", d.State, d.Channel, d.Rung, d.Reason)
			}
			if (d.Address == "") != (test.reason == "no_address") {
				t.Errorf("the address is %q: whoever looks for it must find what was not sent there", d.Address)
			}
			kept, err := b.store.Notification(t.Context(), d.NotificationID)
			if err != nil {
				t.Fatal(err)
			}
			var steps []string
			for _, s := range kept.Decision {
				steps = append(steps, strings.TrimSpace(strings.TrimSuffix(fmt.Sprint(s.Code, " ", s.Args["channel"], " ", s.Args["refusal"]), "<nil>")))
			}
			if diff := cmp.Diff(test.steps, steps); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			if jobs := b.waiting(); (jobs == 1) != (test.state == Pending) {
				t.Errorf("%d jobs for a delivery that is %s", jobs, test.state)
			}
			b.balanced()
		})
	}
}

func TestEnqueueKeepsWhatItIsGiven(t *testing.T) {
	b := newIdleBench(t)
	ns := []Notification{b.note()}
	if err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error { return b.store.EnqueueTx(t.Context(), tx, ns) }); err != nil {
		t.Fatal(err)
	}
	kept, err := b.store.Notification(t.Context(), ns[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	// What JSON and PostgreSQL make of numbers and times is as good.
	same := cmp.Options{
		cmp.Comparer(func(a, b time.Time) bool { return a.Sub(b).Abs() < time.Microsecond }),
		cmp.Comparer(func(a, b map[string]any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }),
	}
	if diff := cmp.Diff(ns[0], kept, same); diff != "" {
		t.Errorf("(-given +kept):\n%s", diff)
	}
}

func TestEnqueueNothingIsNoWork(t *testing.T) {
	b := newIdleBench(t)
	b.enqueue()
	if l := b.balanced(); l.Targeted != 0 {
		t.Errorf("%d notifications", l.Targeted)
	}
}

func TestEnqueueManyAtOnce(t *testing.T) {
	b := newIdleBench(t)
	ns := make([]Notification, 3_000)
	for i := range ns {
		ns[i] = b.note()
	}
	err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error { return b.store.EnqueueTx(t.Context(), tx, ns) })
	if err != nil {
		t.Fatal(err)
	}
	if l := b.balanced(); l.Pending != 3_000 || b.waiting() != 3_000/chunkSize {
		t.Errorf("%d pending with %d jobs, want 3000 with %d", l.Pending, b.waiting(), 3_000/chunkSize)
	}
}

func TestEnqueueIsUndoneWithItsTransaction(t *testing.T) {
	b := newIdleBench(t)
	undo := errors.New("undo")
	err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		return errors.Join(b.store.EnqueueTx(t.Context(), tx, []Notification{b.note()}), undo)
	})
	if !errors.Is(err, undo) {
		t.Fatal(err)
	}
	if l := b.balanced(); l.Targeted != 0 || b.waiting() != 0 {
		t.Errorf("%d notifications and %d jobs are left", l.Targeted, b.waiting())
	}
}

func TestEnqueueRefusesWhatCallersMustNotDo(t *testing.T) {
	b := newIdleBench(t)
	for name, change := range map[string]func(*Notification){
		"no template":     func(n *Notification) { n.Template = "" },
		"no priority":     func(n *Notification) { n.Priority = 0 },
		"no expiry":       func(n *Notification) { n.ExpiresAt = time.Time{} },
		"no channel":      func(n *Notification) { n.Channels = nil },
		"data not JSON":   func(n *Notification) { n.Data = map[string]any{"f": func() {}} },
		"priority five":   func(n *Notification) { n.Priority = 5 },
		"NUL in its data": func(n *Notification) { n.Data = map[string]any{"s": "\x00"} },
	} {
		t.Run(name, func(t *testing.T) {
			err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
				return b.store.EnqueueTx(t.Context(), tx, []Notification{b.note(), b.note(change)})
			})
			if err == nil {
				t.Error("it was taken")
			}
			if l := b.balanced(); l.Targeted != 0 {
				t.Errorf("%d notifications are left", l.Targeted)
			}
		})
	}
}

func TestCodeGoesToTheAddressItConfirms(t *testing.T) {
	b := newBench(t)
	b.exec(`UPDATE contact_points SET verified_at = NULL WHERE id = $1`, b.contact)
	b.exec(`UPDATE consents SET granted = false WHERE member_id = $1`, b.member)
	m := subscriptions.Member{ID: b.member, Account: "wei", DisplayName: "Wei", Locale: "zh-CN"}
	c := subscriptions.ContactPoint{ID: b.contact, Channel: subscriptions.Email, Address: "wei@example.com"}
	sendCode := func() error {
		return pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error { return b.store.SendCodeTx(t.Context(), tx, m, c, "493021") })
	}
	if err := sendCode(); err != nil {
		t.Fatal(err)
	}
	b.worked(1)

	sent := b.sender.sent()
	if len(sent) != 1 || !strings.Contains(sent[0].Content.Text, "493021") || sent[0].UnsubscribeURL != "" {
		t.Fatalf("sent %+v", sent)
	}
	d := b.delivery(sent[0].DeliveryID)
	if d.State != Accepted || d.Template != "confirm_address" || d.Purpose != subscriptions.Transactional {
		t.Errorf("got %+v", d)
	}
	if data := scalar[string](b, `SELECT data::text FROM notifications`); data != "{}" {
		t.Errorf("the code is kept: %s", data)
	}
	if err := b.store.Rule(t.Context(), RulingRetry, d.ID, "operator:ann"); problem.CodeOf(err) != problem.Conflict {
		t.Errorf("sent again without its code: %v", err)
	}

	// Its arrival is how the owner shows that a dead address lives again.
	b.exec(`UPDATE contact_points SET standing = 'dead' WHERE id = $1`, b.contact)
	b.exec(`INSERT INTO suppressions (channel, address, reason) VALUES ('email', 'wei@example.com', 'bounced')`)
	if err := sendCode(); err != nil {
		t.Fatal(err)
	}
	b.worked(1)
	if n := len(b.sender.sent()); n != 2 {
		t.Errorf("%d codes were sent, want the one to the dead address too", n)
	}

	b.exec(`UPDATE suppressions SET reason = 'complained'`)
	if err := sendCode(); problem.CodeOf(err) != problem.Conflict {
		t.Errorf("a code where it may not go: %v", err)
	}
	if l := b.balanced(); l.Targeted != 2 {
		t.Errorf("the refused code is kept: %+v", l)
	}
}

func TestCodeOnItsWayIsShownNowhere(t *testing.T) {
	b := newBench(t)
	b.sender.fails(&SendError{Class: Transient})
	err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		return b.store.SendCodeTx(t.Context(), tx, subscriptions.Member{ID: b.member},
			subscriptions.ContactPoint{ID: b.contact, Channel: subscriptions.Email, Address: "wei@example.com"}, "493021")
	})
	if err != nil {
		t.Fatal(err)
	}
	b.worked(1)
	d := b.sender.sent()[0].DeliveryID
	story, err := b.store.Timeline(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if shown := fmt.Sprintf("%+v", story); strings.Contains(shown, "493021") {
		t.Errorf("the timeline shows the code: %s", shown)
	}
	b.sender.does(nil)
	b.due(2 * time.Minute)
	b.worked(1)
	if got := b.delivery(d).State; got != Accepted {
		t.Errorf("the second attempt: %s", got)
	}
}

func TestEachCallHasAJobOfItsOwn(t *testing.T) {
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	for ch, want := range map[subscriptions.Channel]int{subscriptions.Voice: 3, subscriptions.Email: 3} {
		if got := len(jobsFor(load{channel: ch}, ids)); got != want {
			t.Errorf("3 messages on %s travel in %d jobs, want %d", ch, got, want)
		}
	}
	many := slices.Repeat(ids, 100)
	for ch, want := range map[subscriptions.Channel]int{subscriptions.Voice: 300, subscriptions.Email: 8} {
		if got := len(jobsFor(load{channel: ch}, many)); got != want {
			t.Errorf("300 messages on %s travel in %d jobs, want %d", ch, got, want)
		}
	}
}
