package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"herald/subscriptions"
)

// audience is an Announcer that remembers what it is told.
type audience struct {
	mu   sync.Mutex
	list []Announcement
}

func (*audience) Listening(kind string) bool { return kind != saysAccepted }

func (a *audience) AnnounceTx(_ context.Context, _ pgx.Tx, list []Announcement) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, list...)
	return nil
}

func (a *audience) types() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var types []string
	for _, one := range a.list {
		types = append(types, one.Type)
	}
	a.list = nil
	return types
}

// receipts are Receipts on the bench's store.
func (b *bench) receipts(to Announcer) *Receipts {
	b.t.Helper()
	r, err := NewReceipts(b.store, ReceiptsConfig{
		Contacts: subscriptions.NewContacts(b.pool, b.store, b.clock.now), Suppressions: b.consents, Announcer: to,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (r *Receipts) must(t testing.TB, reports ...Report) {
	t.Helper()
	if err := r.Report(context.WithoutCancel(t.Context()), reports); err != nil {
		t.Fatal(err)
	}
}

func TestReceiptsSayWhatTheyLack(t *testing.T) {
	if _, err := NewReceipts(nil, ReceiptsConfig{}); err == nil {
		t.Error("receipts without anything were made")
	}
}

func TestReceiptsMoveDeliveries(t *testing.T) {
	taken := error(nil)
	refused, later, doubt := &SendError{Class: Permanent}, &SendError{Class: Transient}, &SendError{Class: Doubt}
	b := newBench(t)
	receipts := b.receipts(nil)
	for name, test := range map[string]struct {
		answer error
		events []ReportEvent
		state  State
		reason string
	}{
		"what was taken arrives":                     {taken, []ReportEvent{ReportDelivered}, Delivered, ""},
		"what was taken comes back":                  {taken, []ReportEvent{ReportBounced}, Failed, "bounced"},
		"what was taken is given up":                 {taken, []ReportEvent{ReportExpired}, Failed, "bounced"},
		"a delay is noted":                           {taken, []ReportEvent{ReportDelayed}, Accepted, ""},
		"a reader is noted":                          {taken, []ReportEvent{ReportRead}, Accepted, ""},
		"a delay ends":                               {taken, []ReportEvent{ReportDelayed, ReportDelivered}, Delivered, ""},
		"what arrived is read":                       {taken, []ReportEvent{ReportRead, ReportDelivered, ReportRead}, Delivered, ""},
		"delivered is final":                         {taken, []ReportEvent{ReportDelivered, ReportBounced}, Delivered, ""},
		"failed is final":                            {taken, []ReportEvent{ReportBounced, ReportDelivered}, Failed, "bounced"},
		"doubt ends well":                            {doubt, []ReportEvent{ReportDelivered}, Delivered, ""},
		"doubt ends badly":                           {doubt, []ReportEvent{ReportBounced}, Failed, "bounced"},
		"it arrived though it was to be tried again": {later, []ReportEvent{ReportDelivered}, Delivered, ""},
		"a refusal stands":                           {refused, []ReportEvent{ReportDelivered}, Failed, "refused"},
	} {
		b.sender.does(func(context.Context, Message) (Receipt, error) { return Receipt{}, test.answer })
		if test.answer == nil {
			b.sender.does(nil)
		}
		id := b.enqueue(b.note())[0]
		b.worked(1)
		for _, e := range test.events {
			receipts.must(t, Report{DeliveryID: id, Event: e})
		}
		if d := b.delivery(id); d.State != test.state || d.Reason != test.reason || d.Attempts != 1 {
			t.Errorf("%s: it is %s %q after %d attempts", name, d.State, d.Reason, d.Attempts)
		}
		b.balanced()
	}
}

func TestReceiptOfWhatNeverLeftIsOnlyNoted(t *testing.T) {
	b := newIdleBench(t)
	id := b.enqueue(b.note())[0]
	b.receipts(nil).must(t, Report{DeliveryID: id, Event: ReportDelivered})
	if d := b.delivery(id); d.State != Pending {
		t.Errorf("it is %s", d.State)
	}
	if n := scalar[int](b, `SELECT count(*) FROM receipts`); n != 1 {
		t.Errorf("%d receipts are kept", n)
	}
}

// A provider can report what it took before its answer is recorded.
func TestReceiptThatComesBeforeTheRecord(t *testing.T) {
	for name, test := range map[string]struct {
		report func(Message) Report
		early  bool
	}{
		"by the delivery":       {func(m Message) Report { return Report{DeliveryID: m.DeliveryID} }, false},
		"by the provider's id":  {func(Message) Report { return Report{Account: "main", ProviderID: "p7"} }, true},
		"of another channel":    {func(m Message) Report { return Report{DeliveryID: m.DeliveryID, Channel: subscriptions.SMS} }, false},
		"by another account's":  {func(Message) Report { return Report{Account: "other", ProviderID: "p7"} }, true},
		"by an id that is none": {func(Message) Report { return Report{DeliveryID: uuid.New()} }, false},
	} {
		for _, event := range []ReportEvent{ReportDelivered, ReportBounced} {
			b := newBench(t)
			receipts := b.receipts(nil)
			b.sender.does(func(_ context.Context, m Message) (Receipt, error) {
				report := test.report(m)
				report.Event = event
				receipts.must(t, report)
				return Receipt{ProviderID: "p7"}, nil
			})
			id := b.enqueue(b.note())[0]
			b.worked(1)
			if kept := scalar[int](b, `SELECT count(*) FROM early_reports`); kept == 1 != test.early {
				t.Errorf("%s: %d early reports", name, kept)
			}
			if _, err := receipts.look(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := Accepted
			if name == "by the delivery" || name == "by the provider's id" {
				want = map[ReportEvent]State{ReportDelivered: Delivered, ReportBounced: Failed}[event]
			}
			if d := b.delivery(id); d.State != want || d.Attempts != 1 || d.Account != "main" {
				t.Errorf("%s, %s: it is %s after %d attempts by %q", name, event, d.State, d.Attempts, d.Account)
			}
			if n := len(b.attemptsOf(id)); n != 1 {
				t.Errorf("%s: %d attempts are recorded", name, n)
			}
			b.balanced()
			b.clock.advance(earlyFor + time.Second)
			if _, err := receipts.look(t.Context()); err != nil {
				t.Fatal(err)
			}
			if kept := scalar[int](b, `SELECT count(*) FROM early_reports`); kept != 0 {
				t.Errorf("%s: %d early reports are kept for ever", name, kept)
			}
		}
	}
}

// The same report may be given again, by several nodes at once, and early.
func TestReceiptThatIsGivenAgain(t *testing.T) {
	b := newBench(t)
	receipts := b.receipts(nil)
	at := b.clock.now()
	same := []Report{
		{Account: "main", ProviderID: "p1", Event: ReportDelayed, Code: "4.4.1", At: at},
		{Account: "main", ProviderID: "p1", Event: ReportDelivered, Key: "k\x00y"},
	}
	receipts.must(t, same...) // there is no attempt yet
	id := b.enqueue(b.note())[0]
	b.worked(1)
	var giving sync.WaitGroup
	for range 8 {
		giving.Go(func() { receipts.must(t, slices.Concat(same, same)...) })
		giving.Go(func() {
			if _, err := receipts.look(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
	giving.Wait()
	if n := scalar[int](b, `SELECT count(*) FROM receipts`); n != 2 {
		t.Errorf("%d receipts are kept of two", n)
	}
	if d := b.delivery(id); d.State != Delivered {
		t.Errorf("it is %s", d.State)
	}
	b.balanced()
}

func TestReceiptsSuppress(t *testing.T) {
	for name, test := range map[string]struct {
		report   Report
		reason   string
		standing string
		news     []string
	}{
		"a dead address":  {Report{Event: ReportBounced, Code: "5.1.1", AddressDead: true}, "bounced", "dead", []string{saysFailed, saysBounced, saysContact}},
		"a full mailbox":  {Report{Event: ReportBounced, Code: "5.2.2"}, "", "good", []string{saysFailed, saysBounced}},
		"a complaint":     {Report{Event: ReportComplained}, "complained", "good", []string{saysComplained, saysContact}},
		"an unsubscriber": {Report{Event: ReportUnsubscribed}, "unsubscribed", "good", []string{saysContact}},
		"an arrival":      {Report{Event: ReportDelivered}, "", "good", []string{saysDelivered}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			announced := &audience{}
			receipts := b.receipts(announced)
			test.report.DeliveryID = b.enqueue(b.note())[0]
			b.worked(1)
			receipts.must(t, test.report)
			if got := scalar[string](b, `SELECT coalesce(max(reason), '') FROM suppressions WHERE address = 'wei@example.com'`); got != test.reason {
				t.Errorf("it is suppressed for %q, not %q", got, test.reason)
			}
			if got := scalar[string](b, `SELECT standing FROM contact_points WHERE id = $1`, b.contact); got != test.standing {
				t.Errorf("the contact point is %s", got)
			}
			if diff := cmp.Diff(test.news, announced.types()); diff != "" {
				t.Errorf("announced (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReceiptsAreToldInTheTimeline(t *testing.T) {
	b := newBench(t)
	id := b.enqueue(b.note())[0]
	b.worked(1)
	b.receipts(nil).must(t, Report{DeliveryID: id, Event: ReportBounced, Account: "main", Code: "5.2.2", Detail: "mailbox full", At: b.clock.now()})
	line, err := b.store.Timeline(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(line.Entries, func(e Entry) bool { return e.Code == "receipt" })
	if at < 0 {
		t.Fatalf("no receipt in %+v", line.Entries)
	}
	e := line.Entries[at]
	if e.OK || fmt.Sprintf("%v %v %v", e.Args["event"], e.Args["code"], e.Args["channel"]) != "bounced 5.2.2 email" || e.Detail["detail"] != "mailbox full" {
		t.Errorf("it says %+v", e)
	}
}

// Reports, hand-overs and their records meet at every moment.
func TestReceiptsBesideTheWorkers(t *testing.T) {
	b := newBench(t)
	receipts := b.receipts(nil)
	b.sender.does(func(_ context.Context, m Message) (Receipt, error) {
		event := []ReportEvent{ReportDelivered, ReportBounced, ReportDelayed}[int(m.DeliveryID[15])%3]
		go func() {
			_ = receipts.Report(context.WithoutCancel(t.Context()), []Report{{Account: "main", ProviderID: m.WireID, Event: event}})
		}()
		receipts.must(t, Report{DeliveryID: m.DeliveryID, Event: ReportDelayed, Code: "4.0.0"})
		return Receipt{ProviderID: m.WireID}, nil
	})
	notes := make([]Notification, 60)
	for i := range notes {
		notes[i] = b.note()
	}
	ids := b.enqueue(notes...)
	want := func(id uuid.UUID) State { return []State{Delivered, Failed, Accepted}[int(id[15])%3] }
	limit := time.Now().Add(2 * time.Minute)
	for {
		if _, err := receipts.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(ids, func(id uuid.UUID) bool { return b.delivery(id).State != want(id) }) {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("not all came to where they belong")
		}
	}
	if l := b.balanced(); l.Open() != 0 {
		t.Errorf("%+v", l)
	}
}
