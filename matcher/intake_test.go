package matcher_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"herald/dispatch"
	"herald/dispatch/timing"
	"herald/matcher"
	"herald/matcher/predicate"
	"herald/problem"
	"herald/subscriptions"
)

func TestAcceptTellsWhoAsked(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	wei, ann := s.member("wei"), s.member("ann")
	sub := s.subscribe(wei, "kettle", 49, func(o *subscriptions.Order) { o.MaxNotifications = 3 })
	s.subscribe(ann, "kettle", 48.99)
	var told []dispatch.Notification
	i := s.intake(enqueuer(func(ctx context.Context, tx pgx.Tx, ns []dispatch.Notification) error {
		told = append(told, ns...)
		return s.deliveries.EnqueueTx(ctx, tx, ns)
	}), matcher.IntakeConfig{})

	event := priceEvent("1", "kettle", 49)
	event.Data["colour"] = "red" // more than the trigger names
	got := s.accept(i, event)
	want := []matcher.Result{{Source: "/shop", ID: "1", Status: matcher.Accepted, Matches: 1, Notifications: 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got)\n%s", diff)
	}
	stored, err := s.events.BySource(s.ctx, "/shop", "1")
	if err != nil {
		t.Fatal(err)
	}
	at := opening
	wanted := []dispatch.Notification{{
		MemberID: wei, Trigger: "price_drop", SubscriptionID: sub.ID, EventID: stored.UUID,
		Purpose: subscriptions.Service, Priority: 2, Template: "price_drop",
		Channels: []subscriptions.Channel{subscriptions.Email}, ExpiresAt: at.Add(24 * time.Hour),
		Data: map[string]any{
			"event":   map[string]any{"product": "kettle", "price": 49.0, "colour": "red"},
			"param":   map[string]any{"product": "kettle", "target": 49.0},
			"member":  map[string]any{"account": "wei", "name": "Wei", "locale": "zh-CN"},
			"trigger": map[string]any{"name": "price_drop", "title": "Price drop。"},
			"summary": "kettle at 49。",
		},
		Decision: dispatch.Decision{
			{At: at, Code: "event_received", OK: true, Args: map[string]any{"type": "price.changed", "source": "/shop", "id": "1"}},
			{At: at, Code: "subscription_met", OK: true, Args: map[string]any{"summary": "kettle at 49。", "terms": []predicate.Term{
				{Text: "event.product == param.product", Attribute: "product", Operator: "==", Param: "product", Got: "kettle", Wanted: "kettle", Met: true},
				{Text: "event.price <= param.target", Attribute: "price", Operator: "<=", Param: "target", Got: 49.0, Wanted: 49.0, Met: true},
			}}},
			{At: at, Code: "valid", OK: true, Args: map[string]any{}},
			{At: at, Code: "cool_down_passed", OK: true, Args: map[string]any{"cool_down": subscriptions.Duration(0)}},
			{At: at, Code: "cap_passed", OK: true, Args: map[string]any{"sent": 0, "max": 3}},
		},
	}}
	if diff := cmp.Diff(wanted, told, cmpopts.IgnoreFields(dispatch.Notification{}, "ID", "CreatedAt"), beforeDispatch()); diff != "" {
		t.Errorf("notifications (-want +got)\n%s", diff)
	}
	if after, err := s.subscriptions.Get(s.ctx, sub.ID); err != nil || after.Sent != 1 || after.LastFiredAt == nil || !after.LastFiredAt.Equal(at) {
		t.Errorf("afterwards: %+v, %v, want sent once at %v", after, err, at)
	}
	s.expect(map[string]int{"events": 1, "matches": 1, "notifications": 1, "deliveries": 1})
}

// beforeDispatch leaves out what EnqueueTx adds to a decision.
func beforeDispatch() cmp.Option {
	return cmpopts.IgnoreSliceElements(func(step dispatch.Step) bool { return strings.HasPrefix(step.Code, "channel_") })
}

func TestAcceptRefusesBadEventsOneByOne(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	i := s.intake(s.deliveries, matcher.IntakeConfig{})
	deep := any("x")
	for range 40 {
		deep = []any{deep}
	}
	with := func(change func(*matcher.Event)) matcher.Event {
		e := priceEvent("bad", "kettle", 1)
		change(&e)
		return e
	}
	cases := []struct {
		name  string
		event matcher.Event
		want  []string // path and rule
	}{
		{"no id", with(func(e *matcher.Event) { e.ID = "" }), []string{"id required"}},
		{"no source and no type", with(func(e *matcher.Event) { e.Source, e.Type = "", "" }), []string{"source required", "type required"}},
		{"too long", with(func(e *matcher.Event) {
			e.ID, e.Source = strings.Repeat("x", 257), strings.Repeat("x", 1025)
			e.Type, e.Subject = strings.Repeat("x", 257), strings.Repeat("x", 1025)
		}), []string{"id max_len", "source max_len", "type max_len", "subject max_len"}},
		{"control characters", with(func(e *matcher.Event) { e.ID, e.Source = "a\x00b", "a\nb" }), []string{"id text", "source text"}},
		{"bytes that are not text", with(func(e *matcher.Event) { e.Subject = "\xff" }), []string{"subject text"}},
		{"more than a day ahead", with(func(e *matcher.Event) { e.Time = opening.Add(24*time.Hour + 1) }), []string{"time max"}},
		{"before our era", with(func(e *matcher.Event) { e.Time = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC) }), []string{"time min"}},
		{"a missing attribute", with(func(e *matcher.Event) { delete(e.Data, "price") }), []string{"data.price required"}},
		{"a null attribute", with(func(e *matcher.Event) { e.Data["price"] = nil }), []string{"data.price required"}},
		{"a number as text", with(func(e *matcher.Event) { e.Data["price"] = "1" }), []string{"data.price type"}},
		{"an optional attribute of the wrong type", with(func(e *matcher.Event) { e.Data["was"] = true }), []string{"data.was type"}},
		{"no data", with(func(e *matcher.Event) { e.Data = nil }), []string{"data.price required", "data.product required"}},
		{"NUL deep in the data", with(func(e *matcher.Event) {
			e.Data["more"] = []any{map[string]any{"a": "\x00"}}
		}), []string{"data.more text"}},
		{"a name with NUL", with(func(e *matcher.Event) { e.Data["a\x00"] = 1 }), []string{"data.a\x00 text"}},
		{"nesting without end", with(func(e *matcher.Event) { e.Data["more"] = deep }), []string{"data.more depth"}},
		{"what JSON cannot hold", with(func(e *matcher.Event) { e.Data["more"] = make(chan int) }), []string{"data type"}},
		{"too much", with(func(e *matcher.Event) { e.Data["more"] = strings.Repeat("x", 1<<18) }), []string{"data max"}},
	}
	events := []matcher.Event{priceEvent("good", "kettle", 1)}
	for _, c := range cases {
		events = append(events, c.event)
	}
	results, err := i.Accept(s.ctx, events)
	if err != nil {
		t.Fatal(err)
	}
	if results[0].Status != matcher.Accepted {
		t.Errorf("the good event: %+v", results[0])
	}
	for n, c := range cases {
		var refused *problem.Error
		if r := results[n+1]; r.Status != matcher.Refused || !errors.As(r.Err, &refused) || refused.Code != problem.Invalid {
			t.Errorf("%s: %+v", c.name, r)
			continue
		}
		var got []string
		for _, f := range refused.Fields {
			got = append(got, f.Path+" "+f.Rule)
		}
		if diff := cmp.Diff(c.want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, diff)
		}
	}
	s.expect(map[string]int{"events": 1})
	if st := i.Stats(); st.Accepted != 1 || st.Refused != int64(len(cases)) {
		t.Errorf("%+v", st)
	}
}

func TestAcceptTakesEventsOfTypesThatNoTriggerKnows(t *testing.T) {
	s := openShop(t)
	i := s.intake(s.deliveries, matcher.IntakeConfig{})
	got := s.accept(i, matcher.Event{ID: "1", Source: "/shop", Type: "weather.changed", Time: opening.Add(-time.Hour)})
	if diff := cmp.Diff([]matcher.Result{{Source: "/shop", ID: "1", Status: matcher.Accepted}}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if results, err := i.Accept(s.ctx, nil); err != nil || len(results) != 0 {
		t.Errorf("no events: %v, %v", results, err)
	}
}

func TestARepeatedEventChangesNothing(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	s.subscribe(s.member("wei"), "kettle", 49)
	i := s.intake(s.deliveries, matcher.IntakeConfig{})

	results := s.accept(i, priceEvent("1", "kettle", 49), priceEvent("1", "kettle", 10), priceEvent("2", "kettle", 60))
	if results[0].Status != matcher.Accepted || results[1].Status != matcher.Duplicate || results[2].Status != matcher.Accepted {
		t.Errorf("in one batch: %+v", results)
	}
	if again := s.accept(i, priceEvent("1", "kettle", 20)); again[0].Status != matcher.Duplicate || again[0].Matches != 0 {
		t.Errorf("later: %+v", again)
	}
	other := priceEvent("1", "kettle", 49)
	other.Source = "/outlet"
	if r := s.accept(i, other); r[0].Status != matcher.Accepted || r[0].Notifications != 1 {
		t.Errorf("the same id from another source: %+v", r)
	}
	event, err := s.events.BySource(s.ctx, "/shop", "1")
	if err != nil || event.Data["price"] != 49.0 {
		t.Errorf("recorded: %+v, %v, want the first", event, err)
	}
	s.expect(map[string]int{"events": 3, "matches": 2, "notifications": 2})
}

func TestConcurrentCallersWithTheSameEventsTellOnce(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	s.subscribe(s.member("wei"), "kettle", 49)
	nodes := []*matcher.Intake{s.intake(s.deliveries, matcher.IntakeConfig{}), s.intake(s.deliveries, matcher.IntakeConfig{})}
	events := numbered(20, "kettle", 49)
	accepted := make([]int, 8)
	var callers sync.WaitGroup
	for caller := range accepted {
		callers.Go(func() {
			results, err := nodes[caller%2].Accept(s.ctx, events)
			if err != nil {
				t.Error(err)
			}
			for _, r := range results {
				if r.Status == matcher.Accepted {
					accepted[caller]++
				}
			}
		})
	}
	callers.Wait()
	total := 0
	for _, n := range accepted {
		total += n
	}
	if total != len(events) {
		t.Errorf("%d accepted, want %d", total, len(events))
	}
	s.expect(map[string]int{"events": 20, "matches": 20, "notifications": 20})
}

func TestALargeCallIsCommittedInOrder(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	sub := s.subscribe(s.member("wei"), "kettle", 49, func(o *subscriptions.Order) { o.MaxNotifications = 25 })
	i := s.intake(s.deliveries, matcher.IntakeConfig{BatchEvents: 10})
	results := s.accept(i, numbered(52, "kettle", 49)...)
	for n, r := range results {
		if told := n < 25; (r.Notifications == 1) != told || r.Matches != 1 {
			t.Fatalf("event %d: %+v", n, r)
		}
	}
	if after, err := s.subscriptions.Get(s.ctx, sub.ID); err != nil || after.Sent != 25 {
		t.Errorf("afterwards: %+v, %v", after, err)
	}
	if st := i.Stats(); st.Transactions != 6 || st.Matches != 52 || st.Notifications != 25 {
		t.Errorf("%+v", st)
	}
}

func TestEventsAreRead(t *testing.T) {
	s := openShop(t)
	i := s.intake(s.deliveries, matcher.IntakeConfig{})
	event := matcher.Event{ID: "7", Source: "/shop", Type: "news", Subject: "水壶", Time: opening.Add(-time.Minute), Data: map[string]any{"a": []any{1.5, "中"}}}
	s.accept(i, event)
	s.clock.set(opening.Add(time.Second))
	s.accept(i, matcher.Event{ID: "8", Source: "/shop", Type: "news"})

	recent, err := s.events.Recent(s.ctx, 10)
	if err != nil || len(recent) != 2 {
		t.Fatalf("Recent: %v, %v", recent, err)
	}
	if diff := cmp.Diff(matcher.Record{Event: event, UUID: recent[1].UUID, ReceivedAt: opening}, recent[1]); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if recent[0].ID != "8" || !recent[0].Time.Equal(recent[0].ReceivedAt) || recent[0].Data == nil {
		t.Errorf("an event without time and data: %+v", recent[0])
	}
	if got, err := s.events.Get(s.ctx, recent[1].UUID); err != nil || !cmp.Equal(got, recent[1]) {
		t.Errorf("Get: %+v, %v", got, err)
	}
	if _, err := s.events.BySource(s.ctx, "/shop", "9"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("BySource: %v, want not found", err)
	}
	if c, err := s.events.Count(s.ctx); err != nil || c != (matcher.Counts{Events: 2}) {
		t.Errorf("Count: %+v, %v", c, err)
	}
}

func TestADigestIsWantedAsTheSubscriptionSaysNow(t *testing.T) {
	s := openShop(t)
	s.save(priceDrop())
	sub := s.subscribe(s.member("wei"), "kettle", 49, func(o *subscriptions.Order) { o.Digest = "daily" })
	var told []dispatch.Notification
	i := s.intake(enqueuer(func(ctx context.Context, tx pgx.Tx, ns []dispatch.Notification) error {
		told = append(told, ns...)
		return s.deliveries.EnqueueTx(ctx, tx, ns)
	}), matcher.IntakeConfig{})
	s.accept(i, priceEvent("1", "kettle", 40))
	atOnce := ""
	if _, err := s.subscriptions.Change(s.ctx, sub.ID, subscriptions.Change{Digest: &atOnce, Actor: "member"}); err != nil {
		t.Fatal(err)
	}
	s.accept(i, priceEvent("2", "kettle", 39))
	if len(told) != 2 || told[0].Digest != timing.Daily || told[1].Digest != "" {
		t.Errorf("told %+v", told)
	}
}
