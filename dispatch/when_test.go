package dispatch

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/dispatch/caps"
	"herald/dispatch/timing"
	"herald/subscriptions"
)

// night is the quiet hours of these tests' company.
var night = timing.Quiet{From: 22 * 60, Until: 8 * 60}

// setsClock moves the bench's time to an instant; one to come, so that River
// lets nothing go before the test does.
func (b *bench) setsClock(at string) time.Time {
	b.t.Helper()
	moment, err := time.Parse(time.RFC3339, at)
	if err != nil {
		b.t.Fatal(err)
	}
	b.clock.advance(moment.Sub(b.clock.now()))
	return moment
}

// caps gives the bench's company frequency caps.
func (b *bench) caps(rules caps.Rules) {
	b.t.Helper()
	var err error
	if b.store.caps, err = caps.New(rules); err != nil {
		b.t.Fatal(err)
	}
}

// codes are the steps of a delivery's decision.
func (b *bench) codes(id uuid.UUID) (codes []string) {
	b.t.Helper()
	for _, step := range b.notification(id).Decision {
		codes = append(codes, step.Code)
	}
	return codes
}

func (b *bench) notification(delivery uuid.UUID) Notification {
	b.t.Helper()
	n, err := b.store.Notification(b.t.Context(), b.delivery(delivery).NotificationID)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func TestQuietHoursWhenItIsDecided(t *testing.T) {
	tests := map[string]struct {
		member string // SQL
		change func(*Notification)
		state  State
		reason string
		until  string
		steps  []string // after the channel
	}{
		"it waits for the morning": {
			state: Deferred, reason: "quiet_hours", until: "2126-03-04T08:00:00Z", steps: []string{"quiet_hours"},
		},
		"where the member lives it is day": {member: `time_zone = 'Asia/Shanghai', quiet_from = 1320, quiet_until = 360`, state: Pending},
		"the morning of the member": {
			member: `time_zone = 'America/New_York', quiet_from = 1020, quiet_until = 480`,
			state:  Deferred, reason: "quiet_hours", until: "2126-03-04T13:00:00Z", steps: []string{"quiet_hours"},
		},
		"a member who wants no quiet": {member: `quiet_from = 0, quiet_until = 0`, state: Pending},
		"what is urgent goes":         {change: func(n *Notification) { n.Priority = 1 }, state: Pending},
		"what is urgent is gathered where its member chose so": {
			change: func(n *Notification) { n.Priority, n.Digest = 1, timing.Hourly },
			state:  Deferred, reason: "digest", until: "2126-03-03T23:00:00Z", steps: []string{"digest"},
		},
		"too late in the morning": {
			change: func(n *Notification) { n.ExpiresAt = n.ExpiresAt.Add(-16 * time.Hour) },
			state:  Suppressed, reason: "expired", steps: []string{"quiet_hours", "expired"},
		},
		"a digest in the morning": {
			change: func(n *Notification) { n.Digest = timing.Daily },
			state:  Deferred, reason: "digest", until: "2126-03-04T09:00:00Z", steps: []string{"digest"},
		},
		"a digest too late goes alone when it may": {
			change: func(n *Notification) { n.Digest, n.ExpiresAt = timing.Daily, n.ExpiresAt.Add(-14*time.Hour) },
			state:  Deferred, reason: "quiet_hours", until: "2126-03-04T08:00:00Z", steps: []string{"digest_too_late", "quiet_hours"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newIdleBench(t)
			b.store.quiet = night
			b.setsClock("2126-03-03T22:30:00Z")
			if test.member != "" {
				b.exec(`UPDATE members SET ` + test.member)
			}
			n := b.note()
			if test.change != nil {
				test.change(&n)
			}
			id := b.enqueue(n)[0]
			d := b.delivery(id)
			if d.State != test.state || d.Reason != test.reason {
				t.Errorf("got %s %q", d.State, d.Reason)
			}
			until := ""
			if d.NextAttemptAt != nil {
				until = d.NextAttemptAt.UTC().Format(time.RFC3339)
			}
			if until != test.until {
				t.Errorf("until %q, want %q", until, test.until)
			}
			if codes := b.codes(id); !slices.Equal(codes[2:], test.steps) {
				t.Errorf("steps %v", codes)
			}
			page, err := b.store.Find(t.Context(), Search{State: Deferred})
			if err != nil || len(page.Deliveries) != int(b.balanced().Deferred) {
				t.Errorf("found %+v, %v", page, err)
			}
			if (test.state == Deferred) != (len(page.Deliveries) == 1) {
				t.Errorf("%d are deferred", len(page.Deliveries))
			}
		})
	}
}

func TestQuietHoursWhenItIsHandedOver(t *testing.T) {
	b := newBench(t)
	b.store.quiet = night
	b.setsClock("2126-03-03T21:50:00Z")
	b.sender.fails(&SendError{Class: Transient, After: time.Hour})
	night := b.enqueue(b.note())[0]
	b.worked(1)
	urgent := b.enqueue(b.note(func(n *Notification) { n.Priority = 1 }))[0]
	b.worked(1)
	b.sender.does(nil)

	b.due(2 * time.Hour)
	b.worked(2)
	d := b.delivery(night)
	if d.State != Deferred || d.Reason != "quiet_hours" || d.Attempts != 1 || d.NextAttemptAt.UTC().Truncate(time.Minute).Format(time.TimeOnly) != "08:00:00" {
		t.Errorf("at night %+v", d)
	}
	if d := b.delivery(urgent); d.State != Accepted {
		t.Errorf("what is urgent: %+v", d)
	}
	b.due(time.Hour) // a job that comes too early
	b.worked(1)
	if again := b.delivery(night); !again.ChangedAt.Equal(d.ChangedAt) {
		t.Error("it was deferred a second time")
	}
	if codes := b.codes(night); !slices.Equal(codes[2:], []string{"quiet_hours"}) {
		t.Errorf("steps %v", codes)
	}
	b.setsClock("2126-03-04T08:00:01Z")
	b.due(0)
	b.worked(1)
	if d := b.delivery(night); d.State != Accepted || d.Attempts != 2 {
		t.Errorf("in the morning %+v", d)
	}
	b.balanced()
	if scalar[int](b, `SELECT count(*) FROM troubles`) != 0 {
		t.Error("troubles are left")
	}
}

func TestQuietHoursThatOutlastAMessageEndIt(t *testing.T) {
	b := newBench(t)
	b.setsClock("2126-03-03T21:50:00Z")
	b.sender.fails(&SendError{Class: Transient, After: time.Hour})
	id := b.enqueue(b.note(func(n *Notification) { n.ExpiresAt = b.clock.now().Add(5 * time.Hour) }))[0]
	b.worked(1)
	b.store.quiet = night
	b.due(2 * time.Hour)
	b.worked(1)
	if d := b.delivery(id); d.State != Suppressed || d.Reason != "expired" {
		t.Errorf("got %+v", d)
	}
	if codes := b.codes(id); !slices.Equal(codes[2:], []string{"quiet_hours", "expired"}) {
		t.Errorf("steps %v", codes)
	}
	b.balanced()
}

func TestNextRungWaitsForTheMorning(t *testing.T) {
	b := newBench(t)
	b.store.channels = append(b.store.channels, subscriptions.SMS)
	b.exec(`INSERT INTO contact_points (member_id, channel, address, verified_at) VALUES ($1, 'sms', '+8613800138000', now())`, b.member)
	b.exec(`INSERT INTO consents (member_id, channel, purpose, granted) VALUES ($1, 'sms', 'service', true)`, b.member)
	b.setsClock("2126-03-03T21:59:15Z")
	b.store.quiet = night
	b.sender.does(func(context.Context, Message) (Receipt, error) {
		b.clock.advance(time.Minute)
		return Receipt{}, &SendError{Class: Permanent}
	})
	n := b.note(func(n *Notification) { n.Channels = []subscriptions.Channel{"email", "sms"} })
	id := b.enqueue(n)[0]
	b.worked(1)
	if codes := b.codes(id); !slices.Equal(codes[2:], []string{"channel_chosen", "ladder_climbed", "quiet_hours"}) {
		t.Errorf("steps %v", codes)
	}
	if l := b.balanced(); l.Deferred != 1 {
		t.Errorf("%+v", l)
	}
}

func TestFrequencyCapIsExact(t *testing.T) {
	b := newIdleBench(t)
	b.caps(caps.Rules{subscriptions.Service: {{Max: 5, Within: time.Hour}}})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			ns := []Notification{b.note()}
			if err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error { return b.store.EnqueueTx(t.Context(), tx, ns) }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if l := b.balanced(); l.Pending != 5 || l.Suppressed != 15 {
		t.Errorf("%+v", l)
	}
	if got := scalar[int](b, `SELECT count(*) FROM deliveries WHERE reason = 'frequency_cap'`); got != 15 {
		t.Errorf("%d are capped", got)
	}
	code := b.enqueue(b.note(func(n *Notification) { n.ContactPoint = b.contact }))[0]
	if d := b.delivery(code); d.State != Pending {
		t.Errorf("a code: %+v", d)
	}
	if codes := b.codes(code); slices.Contains(codes, "frequency_cap_passed") {
		t.Errorf("a code was counted: %v", codes)
	}
}

func TestFrequencyCapCountsOnlyWhatWent(t *testing.T) {
	b := newBench(t)
	b.caps(caps.Rules{subscriptions.Service: {{Max: 1, Within: 24 * time.Hour}}})
	b.subscriptions.set("paused")
	first := b.enqueue(b.note())[0]
	b.worked(1)
	if d := b.delivery(first); d.State != Suppressed {
		t.Fatalf("got %+v", d)
	}
	b.subscriptions.set("")
	b.sender.fails(&SendError{Class: Permanent})
	second := b.enqueue(b.note())[0]
	b.worked(1)
	if d := b.delivery(second); d.State != Failed || !slices.Contains(b.codes(second), "frequency_cap_passed") {
		t.Fatalf("got %+v", d)
	}
	third := b.enqueue(b.note())[0]
	if d := b.delivery(third); d.State != Suppressed || d.Reason != "frequency_cap" {
		t.Errorf("after a hand-over that was refused: %+v", d)
	}
	step := b.notification(third).Decision[2]
	if step.OK || step.Args["max"] != 1.0 || step.Args["within"] != "24h0m0s" || step.Args["sent"] != 1.0 {
		t.Errorf("the step is %+v", step)
	}
	b.balanced()
}

// What an operator discards counts only if it may have reached the member.
func TestFrequencyCapAndWhatIsDiscarded(t *testing.T) {
	tests := map[string]struct {
		answer error // of the provider; nil: it is never asked
		next   State // of the notification after
	}{
		"what never left does not count": {nil, Pending},
		"what was refused for now does":  {&SendError{Class: Transient}, Suppressed},
		"what is in doubt does":          {&SendError{Class: Doubt}, Suppressed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newIdleBench(t)
			b.caps(caps.Rules{subscriptions.Service: {{Max: 1, Within: 24 * time.Hour}}})
			first := b.enqueue(b.note())[0]
			if test.answer != nil {
				b.sender.does(func(context.Context, Message) (Receipt, error) { return Receipt{}, test.answer })
				events, stop := b.startUntil(b.node.Name(), b.worker)
				waitFor(t, events, 1)
				stop()
			}
			if err := b.store.Rule(t.Context(), RulingDiscard, first, "operator:ann"); err != nil {
				t.Fatal(err)
			}
			second := b.enqueue(b.note())[0]
			if d := b.delivery(second); d.State != test.next {
				t.Errorf("the next is %s %q, want %s", d.State, d.Reason, test.next)
			}
			b.balanced()
		})
	}
}
