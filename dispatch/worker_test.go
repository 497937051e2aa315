package dispatch

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river"

	"herald/subscriptions"
)

func TestMessageIsCompleteWhenItIsHandedOver(t *testing.T) {
	b := newBench(t)
	id := b.enqueue(b.note())[0]
	b.worked(1)

	m := b.sender.sent()[0]
	if m.DeliveryID != id || m.WireID != id.String() || m.Attempt != 1 || m.Address != "wei@example.com" || m.Name != "Wei" || m.Private {
		t.Errorf("got %+v", m)
	}
	if want := "u/" + id.String() + "/7"; m.UnsubscribeURL != want {
		t.Errorf("unsubscribe by %s, want %s", m.UnsubscribeURL, want)
	}
	if m.Content.Locale != "zh-CN" || m.Content.Subject != "price_drop" {
		t.Errorf("content %+v", m.Content)
	}
	for _, want := range []string{"price:48", "delivery:d/" + id.String(), "alerts:alerts", "unsubscribe:" + m.UnsubscribeURL} {
		if !strings.Contains(m.Content.Text, want) {
			t.Errorf("the template got %s, without %s", m.Content.Text, want)
		}
	}
	d := b.delivery(id)
	if d.State != Accepted || d.Attempts != 1 || d.Repeated != 0 || d.Account != "main" || d.ProviderID != "p1" || d.Reason != "" {
		t.Errorf("got %+v", d)
	}
	if a := b.attemptsOf(id); len(a) != 1 || a[0].Outcome != "accepted" || a[0].Node != "node-1" || a[0].EndedAt == nil || a[0].Code != "250 2.0.0" {
		t.Errorf("attempts %+v", a)
	}
	if b.waiting() != 0 {
		t.Error("a job is left")
	}
}

func TestASenderIsToldWhatIsPrivate(t *testing.T) {
	b := newBench(t)
	b.enqueue(b.note(func(n *Notification) { n.Private = true }))
	b.worked(1)
	if m := b.sender.sent()[0]; !m.Private || !strings.Contains(m.Content.Text, "price:48") {
		t.Errorf("got %+v", m)
	}
	if !scalar[bool](b, `SELECT data = '{}' FROM notifications`) {
		t.Error("the data is kept though it has served")
	}
}

// Each fault that a Sender can report, and what is on record afterwards.
func TestFaults(t *testing.T) {
	tests := map[string]struct {
		fault   *SendError
		state   State
		reason  string
		again   bool // a job waits for the next attempt
		address subscriptions.Standing
	}{
		"permanent":    {&SendError{Class: Permanent, Code: "554 5.7.1"}, Failed, "refused", false, "good"},
		"dead address": {&SendError{Class: Permanent, Code: "550 5.1.1", AddressDead: true}, Failed, "address_dead", false, "dead"},
		"transient":    {&SendError{Class: Transient, Code: "451 4.3.0"}, Deferred, "transient", true, "good"},
		"throttled":    {&SendError{Class: Throttled, Code: "421 4.7.0", After: 3 * time.Hour}, Deferred, "throttled", true, "good"},
		"in doubt":     {&SendError{Class: Doubt}, InDoubt, "in_doubt", true, "good"},
		"session":      {&SendError{Class: SessionFatal}, Deferred, "session_fatal", true, "good"},
		"configured":   {&SendError{Class: Configuration, Code: "535 5.7.8"}, Deferred, "configuration", true, "good"},
		"bad text":     {&SendError{Class: Permanent, Code: "5\x0050", Account: "caf\xe9"}, Failed, "refused", false, "good"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.sender.fails(test.fault)
			id := b.enqueue(b.note())[0]
			b.worked(1)
			d := b.delivery(id)
			if d.State != test.state || d.Reason != test.reason {
				t.Errorf("got %s %q, want %s %q", d.State, d.Reason, test.state, test.reason)
			}
			if (d.NextAttemptAt != nil) != test.again || (b.waiting() == 1) != test.again {
				t.Errorf("next attempt at %v with %d jobs", d.NextAttemptAt, b.waiting())
			}
			if test.again && d.NextAttemptAt.Sub(b.clock.now()) < test.fault.After-time.Minute {
				t.Errorf("next attempt at %v, before the provider's wish", d.NextAttemptAt)
			}
			if a := b.attemptsOf(id); len(a) != 1 || a[0].Outcome != string(test.fault.Class) {
				t.Errorf("attempts %+v", a)
			}
			if got := scalar[subscriptions.Standing](b, `SELECT standing FROM contact_points`); got != test.address {
				t.Errorf("the address is %s, want %s", got, test.address)
			}
			if got := scalar[int](b, `SELECT count(*) FROM suppressions WHERE reason = 'bounced'`); (got == 1) != test.fault.AddressDead {
				t.Errorf("%d suppressions", got)
			}
			b.balanced()
		})
	}
}

func TestRetryUntilItIsTaken(t *testing.T) {
	b := newBench(t)
	b.sender.fails(&SendError{Class: Transient, Code: "451"})
	id := b.enqueue(b.note())[0]
	b.worked(1)
	for range 3 {
		b.due(2 * time.Hour)
		b.worked(1)
	}
	b.sender.does(nil)
	b.due(5 * time.Hour)
	b.worked(1)
	d := b.delivery(id)
	if d.State != Accepted || d.Attempts != 5 || d.Repeated != 0 {
		t.Errorf("got %+v", d)
	}
	for _, m := range b.sender.sent() {
		if m.WireID != id.String() {
			t.Errorf("attempt %d went as %s", m.Attempt, m.WireID)
		}
	}
}

func TestJobThatComesEarlyWaits(t *testing.T) {
	b := newBench(t)
	b.sender.fails(&SendError{Class: Transient})
	id := b.enqueue(b.note())[0]
	b.worked(1)
	b.due(0)
	if e := b.worked(1)[0]; e.Kind != river.EventKindJobSnoozed {
		t.Errorf("the job was %s", e.Kind)
	}
	if got := b.delivery(id).Attempts; got != 1 {
		t.Errorf("%d attempts", got)
	}
}

func TestExpiry(t *testing.T) {
	t.Run("a message that waited too long is not sent", func(t *testing.T) {
		b := newBench(t)
		id := b.enqueue(b.note(func(n *Notification) { n.ExpiresAt = b.clock.now().Add(-time.Second) }))[0]
		b.worked(1)
		if d := b.delivery(id); d.State != Failed || d.Reason != "expired" || d.Attempts != 0 || len(b.sender.sent()) != 0 {
			t.Errorf("got %+v", d)
		}
	})
	t.Run("no attempt is planned beyond the expiry", func(t *testing.T) {
		b := newBench(t)
		b.sender.fails(&SendError{Class: Transient})
		id := b.enqueue(b.note(func(n *Notification) { n.ExpiresAt = b.clock.now().Add(30 * time.Second) }))[0]
		b.worked(1)
		if d := b.delivery(id); d.State != Failed || d.Reason != "expired" || b.waiting() != 0 {
			t.Errorf("got %+v", d)
		}
	})
	t.Run("what is in doubt rests in doubt", func(t *testing.T) {
		b := newBench(t)
		b.sender.fails(&SendError{Class: Doubt})
		id := b.enqueue(b.note())[0]
		b.worked(1)
		b.due(25 * time.Hour)
		b.worked(1)
		if d := b.delivery(id); d.State != InDoubt || d.Reason != "expired" || b.waiting() != 0 {
			t.Errorf("got %+v", d)
		}
	})
}

func TestAskedAgainAtHandOver(t *testing.T) {
	tests := map[string]struct {
		meanwhile func(b *bench)
		reason    string // empty: it goes
	}{
		"consent was withdrawn": {func(b *bench) { b.exec(`UPDATE consents SET granted = false`) }, "no_consent"},
		"the address was suppressed": {func(b *bench) {
			b.exec(`INSERT INTO suppressions (channel, address, reason) VALUES ('email', 'wei@example.com', 'complained')`)
		}, "suppressed_complained"},
		"the address died":           {func(b *bench) { b.exec(`UPDATE contact_points SET standing = 'dead'`) }, "address_dead"},
		"the member is gone":         {func(b *bench) { b.exec(`DELETE FROM members`) }, "no_address"},
		"the subscription is paused": {func(b *bench) { b.subscriptions.set("paused") }, "paused"},
		"its owner unsubscribed":     {func(b *bench) { b.subscriptions.set("unsubscribed") }, "unsubscribed"},
		"nothing happened meanwhile": {func(*bench) {}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newIdleBench(t)
			id := b.enqueue(b.note())[0]
			test.meanwhile(b)
			b.events = b.start(b.node.Name(), b.worker)
			b.worked(1)
			d := b.delivery(id)
			if test.reason == "" {
				if d.State != Accepted {
					t.Errorf("got %s %q", d.State, d.Reason)
				}
				return
			}
			if d.State != Suppressed || d.Reason != test.reason || d.Attempts != 0 || len(b.sender.sent()) != 0 {
				t.Errorf("got %+v", d)
			}
			b.balanced()
		})
	}
}

func TestMessageFollowsTheMemberToTheirNewAddress(t *testing.T) {
	b := newIdleBench(t)
	id := b.enqueue(b.note())[0]
	b.exec(`UPDATE contact_points SET address = 'wei@new.example' WHERE id = $1`, b.contact)
	b.events = b.start(b.node.Name(), b.worker)
	b.worked(1)
	if got, on := b.sender.sent()[0].Address, b.delivery(id).Address; got != "wei@new.example" || on != got {
		t.Errorf("sent to %s, recorded %s", got, on)
	}
}

func TestTemplateThatFails(t *testing.T) {
	for name, detail := range map[string]string{"missing": "no template", "broken": "line 3", "panics": "a filter went wrong"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id := b.enqueue(b.note(func(n *Notification) { n.Template = name }))[0]
			b.worked(1)
			d := b.delivery(id)
			if d.State != Failed || d.Reason != "template_failed" || len(b.sender.sent()) != 0 {
				t.Errorf("got %+v", d)
			}
			if a := b.attemptsOf(id); len(a) != 1 || a[0].Outcome != "template_failed" || !strings.Contains(a[0].Detail, detail) {
				t.Errorf("attempts %+v", a)
			}
		})
	}
	t.Run("one that cannot be read is tried again", func(t *testing.T) {
		b := newBench(t)
		id := b.enqueue(b.note(func(n *Notification) { n.Template = "away" }))[0]
		if e := b.worked(1)[0]; e.Kind != river.EventKindJobFailed {
			t.Errorf("the job was %s", e.Kind)
		}
		if d := b.delivery(id); d.State != Pending || d.Attempts != 0 || b.waiting() != 1 {
			t.Errorf("got %+v", d)
		}
	})
}

func TestSenderThatPanicsLeavesDoubt(t *testing.T) {
	b := newBench(t)
	b.sender.does(func(context.Context, Message) (Receipt, error) { panic("nil map") })
	id := b.enqueue(b.note())[0]
	b.worked(1)
	if d := b.delivery(id); d.State != InDoubt {
		t.Errorf("got %+v", d)
	}
}

func TestSenderThatHangsIsCutOffAndLeavesDoubt(t *testing.T) {
	b := newBench(t, func(c *WorkerConfig) { c.SendTimeout = 20 * time.Millisecond })
	b.sender.does(func(ctx context.Context, _ Message) (Receipt, error) {
		<-ctx.Done()
		return Receipt{}, ctx.Err()
	})
	id := b.enqueue(b.note())[0]
	b.worked(1)
	if d := b.delivery(id); d.State != InDoubt || d.Attempts != 1 {
		t.Errorf("got %+v", d)
	}
	b.sender.does(nil)
	b.due(2 * time.Minute)
	b.worked(1)
	d := b.delivery(id)
	if d.State != Accepted || d.Attempts != 2 || d.Repeated != 1 {
		t.Errorf("got %+v", d)
	}
	if a := b.attemptsOf(id); len(a) != 2 || a[0].Repeats || !a[1].Repeats {
		t.Errorf("attempts %+v", a)
	}
}

func TestAnAccountMayHaveATimeOfItsOwn(t *testing.T) {
	b := newIdleBench(t)
	b.sender.does(func(ctx context.Context, _ Message) (Receipt, error) {
		<-ctx.Done()
		return Receipt{}, ctx.Err()
	})
	_, w := b.newWorkerOf("node-2", []AccountConfig{{Sender: b.sender, MaxSessions: 1, SendTimeout: 20 * time.Millisecond, tune: patient}})
	id := b.enqueue(b.note())[0]
	b.events = b.start("node-2", w)
	b.worked(1)
	if d := b.delivery(id); d.State != InDoubt {
		t.Errorf("got %+v", d)
	}
	_, slow := b.newWorkerOf("node-3", []AccountConfig{{Sender: b.sender, MaxSessions: 1, SendTimeout: time.Hour, tune: patient}})
	if got := slow.Timeout(nil); got < time.Hour {
		t.Errorf("the job is lost after %v, before its account's time is up", got)
	}
}

func TestChannelWithoutASenderHereFails(t *testing.T) {
	b := newIdleBench(t)
	id := b.enqueue(b.note())[0]
	_, err := b.pool.Exec(t.Context(), `UPDATE deliveries SET channel = 'fax' WHERE id = $1`, id)
	if err != nil {
		t.Fatal(err)
	}
	b.events = b.start(b.node.Name(), b.worker)
	b.worked(1)
	if d := b.delivery(id); d.State != Failed || d.Reason != "no_sender" {
		t.Errorf("got %+v", d)
	}
}

func TestWorkerSaysWhatItLacks(t *testing.T) {
	b := newIdleBench(t)
	if _, err := NewWorker(b.store, nil, WorkerConfig{}); err == nil {
		t.Error("a worker without anything was made")
	}
	cfg := b.worker.cfg
	two := []AccountConfig{{Sender: b.sender, MaxSessions: 1}, {Sender: b.sender, MaxSessions: 1}}
	if _, err := NewAccounts(b.pool, b.node, two, cfg.Logger); err == nil {
		t.Error("two accounts of one name were made")
	}
	cfg.RecordFor = -1
	if _, err := NewWorker(b.store, nil, cfg); err == nil {
		t.Error("a worker with a negative time was made")
	}
}
