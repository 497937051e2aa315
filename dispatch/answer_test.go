package dispatch

import (
	"testing"
	"time"

	"herald/subscriptions"
)

// answering makes a notification the answer to what was written from the
// bench's contact point.
func answering(b *bench) func(*Notification) {
	return func(n *Notification) {
		n.Trigger, n.SubscriptionID, n.Purpose, n.Priority, n.Template = "", 0, subscriptions.Transactional, 1, "reply_stop"
		n.ContactPoint, n.Answers = b.contact, true
	}
}

func TestAnAnswerGoesToAnAddressThatIsStoppedAndNothingElseDoes(t *testing.T) {
	for reason, want := range map[string]State{
		subscriptions.Stopped: Accepted, subscriptions.Bounced: Accepted, subscriptions.Unsubscribed: Accepted,
		subscriptions.Complained: Suppressed, subscriptions.ByOperator: Suppressed,
	} {
		t.Run(reason, func(t *testing.T) {
			b := newBench(t)
			b.exec(`INSERT INTO suppressions (channel, address, reason) VALUES ('email', 'wei@example.com', $1)`, reason)
			answer := b.enqueue(b.note(answering(b)))[0]
			other := b.enqueue(b.note(func(n *Notification) { answering(b)(n); n.Answers = false; n.ContactPoint = 0 }))[0]
			if want == Accepted {
				b.worked(1)
			}
			if got := b.delivery(answer); got.State != want {
				t.Errorf("the answer is %s (%s), want %s", got.State, got.Reason, want)
			}
			if got := b.delivery(other); (got.State == Suppressed) != (reason != subscriptions.Unsubscribed) {
				t.Errorf("another message is %s (%s)", got.State, got.Reason)
			}
		})
	}
}

func TestAnAnswerIsStillOneWhenItIsTriedAgain(t *testing.T) {
	b := newBench(t)
	b.sender.fails(&SendError{Class: Transient})
	id := b.enqueue(b.note(answering(b)))[0]
	b.worked(1)
	b.exec(`INSERT INTO suppressions (channel, address, reason) VALUES ('email', 'wei@example.com', 'stopped')`)
	b.sender.does(nil)
	b.due(2 * time.Minute)
	b.worked(1)
	if got := b.delivery(id); got.State != Accepted {
		t.Errorf("it is %s (%s)", got.State, got.Reason)
	}
	if n, err := b.store.Notification(t.Context(), b.delivery(id).NotificationID); err != nil || !n.Answers {
		t.Errorf("read as %+v (%v)", n, err)
	}
}

func TestWhatIsAnsweredIsTheLastMessageThatMayHaveArrived(t *testing.T) {
	b := newBench(t)
	line := Line{Account: "main", Channel: subscriptions.Email, Address: "wei@example.com"}
	last := func(l Line) Sent {
		t.Helper()
		found, err := b.store.LastSent(t.Context(), b.pool, []Line{{Account: "nobody"}, l})
		if err != nil {
			t.Fatal(err)
		}
		if found[0] != (Sent{}) {
			t.Errorf("nobody was sent %+v", found[0])
		}
		return found[1]
	}
	if got := last(line); got != (Sent{}) {
		t.Errorf("before anything was sent: %+v", got)
	}
	b.enqueue(b.note())
	b.worked(1)
	newer := b.enqueue(b.note())[0]
	b.worked(1)
	b.sender.fails(&SendError{Class: Permanent})
	b.enqueue(b.note())
	b.worked(1)
	if got := last(line); got.DeliveryID != newer || got.MemberID != b.member {
		t.Errorf("got %+v, want %s", got, newer)
	}
	for _, other := range []Line{
		{Account: "other", Channel: line.Channel, Address: line.Address},
		{Account: line.Account, Channel: subscriptions.SMS, Address: line.Address},
		{Account: line.Account, Channel: line.Channel, Address: "li@example.com"},
	} {
		if got := last(other); got != (Sent{}) {
			t.Errorf("%+v was sent %+v", other, got)
		}
	}
	b.clock.advance(31 * 24 * time.Hour)
	if got := last(line); got != (Sent{}) {
		t.Errorf("a month later: %+v", got)
	}
}
