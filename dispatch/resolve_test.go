package dispatch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river"

	"herald/subscriptions"
)

// oracle is a scripted sender whose provider can be asked about doubt.
type oracle struct {
	*scripted
	mu     sync.Mutex
	asked  []Message
	answer func() (Receipt, error)
}

func (o *oracle) Resolve(_ context.Context, m Message) (Receipt, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, m)
	return o.answer()
}

func (o *oracle) says(r Receipt, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = func() (Receipt, error) { return r, err }
}

// oracleBench is a bench whose deliveries rest in doubt, and whose provider
// can be asked.
func oracleBench(t *testing.T, policy DoubtPolicy) (*bench, *oracle) {
	t.Helper()
	b := newIdleBench(t)
	o := &oracle{scripted: b.sender}
	b.sender.fails(&SendError{Class: Doubt, Err: errors.New("no answer")})
	_, w := b.newWorker("node-2", o, func(c *WorkerConfig) {
		c.Doubt = DoubtPolicies{{Channel: subscriptions.Email}: policy}
	})
	b.events = b.start("node-2", w)
	return b, o
}

func TestTheProviderIsAskedAboutDoubt(t *testing.T) {
	for name, test := range map[string]struct {
		policy  DoubtPolicy
		receipt Receipt
		err     error
		state   State
		reason  string
		sent    int // hand-overs in all
	}{
		"it has the message":          {Hold, Receipt{ProviderID: "p7"}, nil, Accepted, "", 1},
		"it never heard of it":        {Hold, Receipt{}, &SendError{Class: SessionFatal}, Accepted, "", 2},
		"it refused the message":      {Hold, Receipt{}, &SendError{Class: Permanent, Code: "550"}, Failed, "refused", 1},
		"it does not know yet":        {Hold, Receipt{}, &SendError{Class: Doubt}, InDoubt, "held", 1},
		"it cannot be asked just now": {Hold, Receipt{}, &SendError{Class: Configuration}, InDoubt, "held", 1},

		"it would be assumed sent, and was":         {AssumeSent, Receipt{ProviderID: "p7"}, nil, Accepted, "", 1},
		"it would be assumed sent, and was not":     {AssumeSent, Receipt{}, &SendError{Class: Transient}, Accepted, "", 2},
		"it is assumed sent, as nobody can know":    {AssumeSent, Receipt{}, &SendError{Class: Doubt}, Accepted, "assumed_sent", 1},
		"it is not assumed sent before it is asked": {AssumeSent, Receipt{}, &SendError{Class: Throttled}, InDoubt, "waits_for_receipt", 1},
	} {
		t.Run(name, func(t *testing.T) {
			b, o := oracleBench(t, test.policy)
			id := b.enqueue(b.note())[0]
			b.worked(1)
			if d := b.delivery(id); d.State != InDoubt {
				t.Fatalf("before it is asked: %s, %s", d.State, d.Reason)
			}
			o.says(test.receipt, test.err)
			b.sender.does(nil)
			b.due(2 * time.Minute)
			e := b.worked(1)[0]
			if test.sent == 2 { // it goes again at once
				b.due(time.Second)
				e = b.worked(1)[0]
			}
			d := b.delivery(id)
			if d.State != test.state || d.Reason != test.reason || len(b.sender.sent()) != test.sent {
				t.Errorf("%s, %q after %d hand-overs", d.State, d.Reason, len(b.sender.sent()))
			}
			if again := e.Kind == river.EventKindJobSnoozed; again != (test.state == InDoubt) {
				t.Errorf("the job was %s", e.Kind)
			}
			if m := o.asked[0]; m.WireID != id.String() || m.Address != "wei@example.com" || m.Attempt != 1 {
				t.Errorf("was asked about %+v", m)
			}
			b.balanced()
		})
	}
}

func TestTheProviderIsNotAskedAfterTheExpiry(t *testing.T) {
	for policy, state := range map[DoubtPolicy]State{Hold: InDoubt, AssumeSent: Accepted} {
		t.Run(string(policy), func(t *testing.T) {
			b, o := oracleBench(t, policy)
			o.says(Receipt{}, &SendError{Class: Doubt})
			id := b.enqueue(b.note())[0]
			b.worked(1)
			b.due(100 * 24 * time.Hour)
			if e := b.worked(1)[0]; e.Kind != river.EventKindJobCompleted {
				t.Errorf("the job was %s", e.Kind)
			}
			if d := b.delivery(id); d.State != state || len(o.asked) != 0 {
				t.Errorf("%s after %d questions", d.State, len(o.asked))
			}
		})
	}
}

func TestWhatIsKnownNotToBeTakenGoesWhenTheProviderWishes(t *testing.T) {
	b, o := oracleBench(t, AssumeSent)
	o.says(Receipt{}, &SendError{Class: Transient, After: 30 * time.Minute})
	id := b.enqueue(b.note())[0]
	b.worked(1)
	b.due(2 * time.Minute)
	b.worked(1)
	d := b.delivery(id)
	if wait := d.NextAttemptAt.Sub(b.clock.now()); d.State != Deferred || wait < 29*time.Minute || wait > 30*time.Minute || len(b.sender.sent()) != 1 {
		t.Errorf("%s, and goes after %v", d.State, wait)
	}
}

// A provider that tells repetitions is given what it needs to send one, as long
// as the member may be written to and the policy leaves it to the provider.
func TestWhatMayBeSentAgainIsAskedAboutWithItsContent(t *testing.T) {
	for name, test := range map[string]struct {
		policy  DoubtPolicy
		before  func(*bench)
		content bool
	}{
		"it waits for its receipt": {WaitReceipt, func(*bench) {}, true},
		"an operator decides":      {Hold, func(*bench) {}, false},
		"consent was withdrawn":    {WaitReceipt, func(b *bench) { b.exec(`UPDATE consents SET granted = false`) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newIdleBench(t)
			o := &oracle{scripted: b.sender}
			o.says(Receipt{}, &SendError{Class: Doubt})
			b.sender.fails(&SendError{Class: Doubt, Err: errors.New("no answer")})
			_, w := b.newWorker("node-2", o, func(c *WorkerConfig) {
				c.Doubt = DoubtPolicies{{Channel: subscriptions.Email}: test.policy}
			})
			b.events = b.start("node-2", w)
			b.enqueue(b.note())
			b.worked(1)
			test.before(b)
			b.due(2 * time.Minute)
			b.worked(1)
			sent := b.sender.sent()[0].Content
			if got := o.asked[0].Content; (got == sent) != test.content || !test.content && got.Text != "" {
				t.Errorf("was asked about %+v, sent was %+v", got, sent)
			}
		})
	}
}
