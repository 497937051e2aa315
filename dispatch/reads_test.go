package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"herald/problem"
	"herald/subscriptions"
)

func TestLedgerCountsBothSides(t *testing.T) {
	b := newIdleBench(t)
	ctx := t.Context()
	b.enqueue(b.note(), b.note(), b.note(func(n *Notification) { n.Trigger = "back_in_stock" }))
	b.clock.advance(time.Hour)
	since := b.clock.now()
	b.enqueue(b.note(), b.note(func(n *Notification) { n.Channels = []subscriptions.Channel{"fax"} }))

	ledger := func(f Filter) Ledger {
		l, err := b.store.Ledger(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for name, test := range map[string]struct {
		f    Filter
		want Ledger
	}{
		"everything":            {Filter{}, Ledger{Targeted: 5, Pending: 4, Suppressed: 1, Balanced: true}},
		"a trigger":             {Filter{Trigger: "back_in_stock"}, Ledger{Targeted: 1, Pending: 1, Balanced: true}},
		"since":                 {Filter{Since: since}, Ledger{Targeted: 2, Pending: 1, Suppressed: 1, Balanced: true}},
		"a trigger since":       {Filter{Since: since, Trigger: "price_drop"}, Ledger{Targeted: 2, Pending: 1, Suppressed: 1, Balanced: true}},
		"what never was":        {Filter{Trigger: "unknown"}, Ledger{Balanced: true}},
		"nothing in the future": {Filter{Since: since.Add(time.Hour)}, Ledger{Balanced: true}},
	} {
		if got := ledger(test.f); got != test.want {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
}

func TestOverview(t *testing.T) {
	b := newIdleBench(t)
	var stop func()
	b.events, stop = b.startUntil(b.node.Name(), b.worker)
	b.enqueue(b.note())
	b.worked(1)
	b.clock.advance(time.Minute)
	b.enqueue(b.note())
	b.worked(1)
	b.sender.fails(&SendError{Class: Permanent})
	b.enqueue(b.note(), b.note(), b.note(func(n *Notification) { n.Template = "broken" }))
	b.worked(3)
	b.sender.fails(&SendError{Class: Transient})
	b.enqueue(b.note())
	b.worked(1)
	stop()
	b.enqueue(b.note())
	b.clock.advance(5 * time.Minute)

	o, err := b.store.Overview(t.Context(), b.clock.now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	want := Ledger{Targeted: 7, Accepted: 2, Failed: 3, Pending: 1, Deferred: 1, Balanced: true}
	if o.Ledger != want {
		t.Errorf("ledger %+v, want %+v", o.Ledger, want)
	}
	if diff := cmp.Diff([]ChannelLedger{{"email", want}}, o.Channels); diff != "" {
		t.Errorf("channels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Count{{"refused", 2}, {"template_failed", 1}}, o.Failures); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
	if o.Pending != 1 || o.Deferred != 1 || o.InDoubt != 0 || o.OldestPending.Round(time.Minute) != 6*time.Minute {
		t.Errorf("waiting: %+v", o)
	}
	if len(o.SentPerMinute) != 60 || o.SentPerMinute[59] != 0 {
		t.Errorf("sent per minute %v", o.SentPerMinute)
	}
	// The two were taken one minute apart, five and six minutes ago.
	recent := o.SentPerMinute[52:55]
	if sum := recent[0] + recent[1] + recent[2]; sum != 2 || slices.Max(recent) != 1 {
		t.Errorf("sent per minute %v", o.SentPerMinute)
	}
}

func TestLedgerByDayInAZone(t *testing.T) {
	b := newIdleBench(t)
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	now := b.clock.now()
	noon := time.Date(now.Year(), now.Month(), now.Day(), 15, 30, 0, 0, time.UTC).AddDate(0, 0, -7) // 23:30 in Shanghai
	b.clock.advance(noon.Sub(now))
	b.enqueue(b.note())
	b.clock.advance(time.Hour) // the next day in Shanghai, the same in UTC
	b.enqueue(b.note(), b.note(func(n *Notification) { n.Trigger = "back_in_stock" }))
	if err := b.bookkeeper().foldAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	for zone, want := range map[*time.Location][]int64{shanghai: {2, 1}, time.UTC: {3}} {
		days, err := b.store.Days(t.Context(), Filter{Since: noon.AddDate(0, 0, -1), Until: noon.AddDate(0, 0, 2)}, zone)
		if err != nil || len(days) != len(want) {
			t.Fatalf("%s: %+v, %v", zone, days, err)
		}
		for i, n := range want {
			if d := days[i]; d.Targeted != n || d.Pending != n || !d.Balanced || d.Day.Hour() != 0 {
				t.Errorf("%s: %+v", zone, d)
			}
		}
	}
	if days, err := b.store.Days(t.Context(), Filter{Trigger: "back_in_stock"}, time.UTC); err != nil || len(days) != 1 || days[0].Targeted != 1 {
		t.Errorf("%+v, %v", days, err)
	}
}

func TestOverviewOfNothing(t *testing.T) {
	b := newIdleBench(t)
	o, err := b.store.Overview(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if !o.Ledger.Balanced || o.OldestPending != 0 || len(o.SentPerMinute) != 60 {
		t.Errorf("got %+v", o)
	}
}

func TestFind(t *testing.T) {
	b := newIdleBench(t)
	li, _ := b.newMember("li", "li@example.com")
	old := b.enqueue(b.note(), b.note(func(n *Notification) { n.MemberID = li }))
	b.clock.advance(time.Hour)
	noon := b.clock.now()
	fresh := b.enqueue(
		b.note(func(n *Notification) { n.Trigger = "back_in_stock" }),
		b.note(func(n *Notification) { n.Channels = []subscriptions.Channel{"sms"} }))
	all := map[uuid.UUID]string{old[0]: "wei's", old[1]: "li's", fresh[0]: "stock", fresh[1]: "sms"}
	for name, test := range map[string]struct {
		q    Search
		want string
	}{
		"all":                  {Search{}, "sms stock li's wei's"},
		"by account":           {Search{Member: "li"}, "li's"},
		"by an unknown one":    {Search{Member: "nobody"}, ""},
		"by member":            {Search{MemberID: b.member}, "sms stock wei's"},
		"by address":           {Search{Address: "li@example.com"}, "li's"},
		"by trigger":           {Search{Trigger: "back_in_stock"}, "stock"},
		"by state":             {Search{State: Suppressed}, "sms"},
		"by channel":           {Search{Channel: "email"}, "stock li's wei's"},
		"since":                {Search{Since: noon}, "sms stock"},
		"until":                {Search{Until: noon}, "li's wei's"},
		"all of these at once": {Search{Member: "wei", Address: "wei@example.com", Trigger: "price_drop", State: Pending, Channel: "email", Since: noon.Add(-2 * time.Hour), Until: noon}, "wei's"},
	} {
		t.Run(name, func(t *testing.T) {
			// One at a time, so that every page is cut somewhere.
			var got []string
			for q := test.q; ; {
				q.Limit = 1
				page, err := b.store.Find(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range page.Deliveries {
					got = append(got, all[d.ID])
				}
				if page.Next == uuid.Nil {
					break
				}
				q.Before = page.Next
			}
			want := strings.Fields(test.want)
			slices.Sort(want) // within one instant the order is by chance
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	mine, err := b.store.ForMember(t.Context(), li, uuid.Nil, 10)
	if err != nil || len(mine) != 1 || mine[0].Member != "li" || mine[0].SubscriptionID != 7 {
		t.Errorf("li's: %+v, %v", mine, err)
	}
}

func TestTimeline(t *testing.T) {
	b := newBench(t)
	b.sender.fails(&SendError{Class: Transient, Code: "451 4.3.0", Account: "main", Err: errors.New("try later")})
	id := b.enqueue(b.note(func(n *Notification) { n.Channels = []subscriptions.Channel{"sms", "email"} }))[0]
	b.worked(1)
	b.sender.does(nil)
	b.due(2 * time.Minute)
	b.worked(1)

	story, err := b.store.Timeline(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range story.Entries {
		got = append(got, fmt.Sprintf("%s %v %v", e.Code, e.OK, e.Args))
	}
	want := []string{
		"event_received true map[type:price.changed]",
		"channel_refused false map[channel:sms refusal:no_sender]",
		"channel_chosen true map[channel:email]",
		"attempt_started true map[channel:email number:1 repeats:false]",
		"attempt_ended false map[channel:email number:1 outcome:transient]",
		"attempt_started true map[channel:email number:2 repeats:false]",
		"attempt_ended true map[channel:email number:2 outcome:accepted]",
		"state true map[channel:email state:accepted]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	failed := story.Entries[4].Detail
	if failed["code"] != "451 4.3.0" || failed["account"] != "main" || failed["detail"] != "try later" {
		t.Errorf("what operators see: %v", failed)
	}
	if story.Delivery.ID != id || len(story.Deliveries) != 1 || story.Notification.EventID == uuid.Nil {
		t.Errorf("got %+v", story)
	}
	if _, err := b.store.Timeline(t.Context(), uuid.New()); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("a delivery that never was: %v", err)
	}
}

// trail is a Chronicle of one entry.
type trail struct {
	entry Entry
	asked []uuid.UUID
	err   error
}

func (r *trail) Entries(_ context.Context, deliveries []uuid.UUID) ([]Entry, error) {
	r.asked = deliveries
	return []Entry{r.entry}, r.err
}

func TestChroniclesAreTold(t *testing.T) {
	b := newBench(t)
	id := b.enqueue(b.note())[0]
	b.worked(1)
	rang := &trail{entry: Entry{At: b.delivery(id).CreatedAt, Code: "call_ringing", DeliveryID: id}}
	b.store.trails = []Chronicle{rang}
	story, err := b.store.Timeline(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	told := slices.IndexFunc(story.Entries, func(e Entry) bool { return e.Code == "call_ringing" })
	if told < 0 || told == len(story.Entries)-1 || !slices.Equal(rang.asked, []uuid.UUID{id}) {
		t.Errorf("asked about %v, told %+v", rang.asked, story.Entries)
	}
	rang.err = errors.New("the table is away")
	if _, err := b.store.Timeline(t.Context(), id); !errors.Is(err, rang.err) {
		t.Errorf("when it cannot be read: %v", err)
	}
}

func TestTimelineOfAnAttemptThatIsOpen(t *testing.T) {
	b := newIdleBench(t)
	id := b.enqueue(b.note())[0]
	b.crash(id)
	story, err := b.store.Timeline(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(story.Entries, func(e Entry) bool { return e.Code == "attempt_open" }) {
		t.Errorf("got %+v", story.Entries)
	}
}

func TestRetry(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	b.sender.fails(&SendError{Class: Permanent})
	id := b.enqueue(b.note())[0]
	b.worked(1)
	b.clock.advance(48 * time.Hour) // long after its expiry
	b.sender.does(nil)
	if err := b.store.Rule(ctx, RulingRetry, id, "operator:ann"); err != nil {
		t.Fatal(err)
	}
	b.worked(1)
	if d := b.delivery(id); d.State != Accepted || d.Attempts != 2 || d.Repeated != 0 {
		t.Errorf("got %+v", d)
	}
	story, err := b.store.Timeline(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	last := story.Notification.Decision[len(story.Notification.Decision)-1]
	if last.Code != "retried_by_operator" || last.Args["actor"] != "operator:ann" {
		t.Errorf("the decision ends with %+v", last)
	}

	if err := b.store.Rule(ctx, RulingRetry, id, "operator:ann"); problem.CodeOf(err) != problem.Conflict {
		t.Errorf("one that was taken: %v", err)
	}
	if err := b.store.Rule(ctx, RulingRetry, uuid.New(), "operator:ann"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("one that never was: %v", err)
	}
}

func TestRetryInDoubtIsMarked(t *testing.T) {
	b := newBench(t)
	b.sender.fails(&SendError{Class: Doubt})
	id := b.enqueue(b.note())[0]
	b.worked(1)
	b.sender.does(nil)
	if err := b.store.Rule(t.Context(), RulingRetry, id, "operator:ann"); err != nil {
		t.Fatal(err)
	}
	b.worked(1)
	if d := b.delivery(id); d.State != Accepted || d.Repeated != 1 {
		t.Errorf("got %+v", d)
	}
	b.worked(b.due(2 * time.Minute)) // the attempt that was planned before
	if n := len(b.sender.sent()); n != 2 {
		t.Errorf("sent %d times, want 2", n)
	}
}

func TestWorkerCountsItsAttempts(t *testing.T) {
	b := newBench(t)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(b.worker)
	b.enqueue(b.note(), b.note())
	b.worked(2)
	b.sender.fails(&SendError{Class: Permanent})
	b.enqueue(b.note())
	b.worked(1)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	want := map[string]float64{
		"herald_dispatch_attempts_total email accepted":  2,
		"herald_dispatch_attempts_total email permanent": 1,
		"herald_dispatch_attempt_seconds email":          3,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Every question that a page asks is answered from an index, also when there
// are many deliveries.
func TestReadsUseIndexes(t *testing.T) {
	b := newIdleBench(t)
	ns := make([]Notification, 20_000)
	for i := range ns {
		ns[i] = b.note()
	}
	err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error { return b.store.EnqueueTx(t.Context(), tx, ns) })
	if err != nil {
		t.Fatal(err)
	}
	b.exec(`UPDATE deliveries SET state = 'accepted' WHERE id IN (SELECT id FROM deliveries ORDER BY id LIMIT 19900)`)
	b.exec(`ANALYZE`)
	for name, q := range map[string]Search{
		"newest": {}, "member": {Member: "wei"}, "address": {Address: "wei@example.com"}, "trigger": {Trigger: "price_drop"},
		"state": {State: Failed}, "reason": {State: Failed, Reason: "refused"}, "account": {State: InDoubt, Account: "main", Attention: true}, "channel": {Channel: "email"}, "time": {Since: time.Now().Add(time.Hour)},
	} {
		c, err := q.conditions()
		if err != nil {
			t.Fatal(err)
		}
		plan := explain(t.Context(), t, b, deliverySQL+c.sql()+" ORDER BY d.id DESC LIMIT 51", c.args...)
		if strings.Contains(plan, "Seq Scan on deliveries") || strings.Contains(plan, "Seq Scan on notifications") {
			t.Errorf("%s:\n%s", name, plan)
		}
	}
	if plan := explain(t.Context(), t, b, loadSQL, []uuid.UUID{uuid.New()}, 0); strings.Contains(plan, "Seq Scan on deliveries") {
		t.Errorf("load:\n%s", plan)
	}
}

func explain(ctx context.Context, t *testing.T, b *bench, sql string, args ...any) string {
	t.Helper()
	rows, err := b.pool.Query(ctx, "EXPLAIN "+sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
