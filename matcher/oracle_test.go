package matcher_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"herald/matcher"
	"herald/matcher/predicate"
	"herald/subscriptions"
)

// every is a trigger of one condition over something of every type.
func every(name, condition string, broadcast bool) subscriptions.Trigger {
	t := priceDrop()
	t.Name, t.Condition, t.Broadcast, t.EventType = name, condition, broadcast, "anything"
	t.Summary = words(name)
	t.Attributes = []subscriptions.Attribute{
		attribute("product", "string"), attribute("name", "string"), attribute("price", "number"),
		attribute("gift", "boolean"), attribute("at", "time"), attribute("was", "number"),
		attribute("latitude", "number"), attribute("longitude", "number"),
	}
	t.Params = []subscriptions.Param{
		param("product", "string"), param("products", "strings"), param("word", "string"),
		param("target", "number"), param("gift", "boolean"), param("since", "time"), param("floor", "number"),
		param("latitude", "number"), param("longitude", "number"), param("distance", "number"),
	}
	for i := range t.Attributes[5:] {
		t.Attributes[5+i].Optional = true
	}
	for i := range t.Params {
		t.Params[i].Optional = true
	}
	return t
}

var oracleConditions = []struct {
	condition string
	broadcast bool
}{
	{"event.product == param.product && event.price < param.target", false},
	{"event.product == param.product && event.price <= param.target", false},
	{"event.product in param.products && event.price > param.target", false},
	{"event.product in param.products && event.price >= param.target && event.price <= param.floor", false},
	{"event.price > param.target && event.price < param.floor", false},
	{"within(event.latitude, event.longitude, param.latitude, param.longitude, param.distance)", false},
	{"within(event.latitude, event.longitude, 0, 180, 150) && event.price <= param.target && event.product == param.product", false},
	{"event.name.startsWith(param.word) && event.gift == param.gift", false},
	{"event.at <= param.since && event.product == param.product", false},
	{"event.at > param.since", false},
	{"event.product == member.account || event.was > param.floor", true},
	{"event.product == param.product && (event.was > param.floor || event.gift)", false},
}

// world is what a run of the oracle draws: few keys, many equal thresholds.
type world struct {
	subscriptions []wish
	events        []matcher.Event
}

type wish struct {
	trigger int
	member  int
	params  map[string]any
}

func drawWorld() *rapid.Generator[world] {
	text := rapid.SampledFrom([]string{"a", "ab", "b", "中", "中文"})
	price := rapid.SampledFrom([]float64{-1, 0, 48.99, 49, 49.01})
	at := rapid.Custom(func(t *rapid.T) time.Time {
		return opening.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "µs")) * time.Microsecond)
	})
	latitude := rapid.SampledFrom([]float64{-90, 0, 1, 89.5, 90})
	longitude := rapid.SampledFrom([]float64{-180, -179.5, 0, 1, 180})
	some := func(t *rapid.T, into map[string]any, name string, value any) {
		if rapid.IntRange(0, 6).Draw(t, name+" absent") > 0 {
			into[name] = value
		}
	}
	wishes := rapid.Custom(func(t *rapid.T) wish {
		w := wish{rapid.IntRange(0, len(oracleConditions)-1).Draw(t, "trigger"), rapid.IntRange(0, 4).Draw(t, "member"), map[string]any{}}
		some(t, w.params, "product", text.Draw(t, "product"))
		some(t, w.params, "products", rapid.SliceOfN(text, 1, 3).Draw(t, "products"))
		some(t, w.params, "word", text.Draw(t, "word"))
		some(t, w.params, "target", price.Draw(t, "target"))
		some(t, w.params, "latitude", latitude.Draw(t, "latitude"))
		some(t, w.params, "longitude", longitude.Draw(t, "longitude"))
		some(t, w.params, "distance", rapid.SampledFrom([]float64{0, 112, 20015}).Draw(t, "distance"))
		some(t, w.params, "floor", price.Draw(t, "floor"))
		some(t, w.params, "gift", rapid.Bool().Draw(t, "gift"))
		some(t, w.params, "since", at.Draw(t, "since"))
		return w
	})
	events := rapid.Custom(func(t *rapid.T) matcher.Event {
		data := map[string]any{
			"product": text.Draw(t, "product"), "name": text.Draw(t, "name"), "price": price.Draw(t, "price"),
			"gift": rapid.Bool().Draw(t, "gift"), "at": at.Draw(t, "at").Format(time.RFC3339Nano),
		}
		some(t, data, "latitude", latitude.Draw(t, "latitude"))
		some(t, data, "longitude", longitude.Draw(t, "longitude"))
		some(t, data, "was", price.Draw(t, "was"))
		return matcher.Event{ID: rapid.StringMatching("[a-z]{8}").Draw(t, "id"), Source: "/shop", Type: "anything", Data: data}
	})
	return rapid.Custom(func(t *rapid.T) world {
		return world{
			rapid.SliceOfN(wishes, 0, 25).Draw(t, "subscriptions"),
			rapid.SliceOfNDistinct(events, 1, 12, func(e matcher.Event) string { return e.ID }).Draw(t, "events"),
		}
	})
}

// TestIndexAndJoinAgreeWithEvaluatingEverything compares what Accept matched,
// by the join of the tables or by an index that follows them or has yet to,
// with every condition evaluated on every event and subscription.
func TestIndexAndJoinAgreeWithEvaluatingEverything(t *testing.T) {
	s := openShop(t)
	var triggers []subscriptions.Trigger
	for n, c := range oracleConditions {
		triggers = append(triggers, s.save(every(fmt.Sprintf("t%d", n), c.condition, c.broadcast)))
	}
	accounts := []string{"a", "ab", "b", "wei", "ann"}
	members := map[string]int64{}
	for _, account := range accounts {
		members[account] = s.member(account)
	}
	followed := s.follow()
	byJoin := s.intake(s.deliveries, matcher.IntakeConfig{})
	byIndex := s.intake(s.deliveries, matcher.IntakeConfig{Follower: followed, AuditOneIn: 2})
	met, last := 0, int64(0)
	rapid.Check(t, func(r *rapid.T) {
		w := drawWorld().Draw(r, "world")
		s.clear()
		want := []string{}
		for _, wish := range w.subscriptions {
			account := accounts[wish.member]
			last++ // no id is ever given again
			id := s.insert(last, members[account], account, triggers[wish.trigger], wish.params)
			want = append(want, expected(r, id, account, triggers[wish.trigger], wish.params, w.events)...)
		}
		i := byIndex
		switch rapid.SampledFrom([]string{"join", "index that has followed", "index that has yet to follow"}).Draw(r, "by") {
		case "join":
			i = byJoin
		case "index that has followed":
			if err := followed.Sync(s.ctx); err != nil {
				r.Fatal(err)
			}
		}
		results := s.accept(i, w.events...)
		got := s.matched()
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			r.Fatalf("matches (-want +got)\n%s", diff)
		}
		sum := 0
		for _, result := range results {
			sum += result.Matches
		}
		if sum != len(want) {
			r.Fatalf("the results tell of %d matches, want %d", sum, len(want))
		}
		met += sum
	})
	if met == 0 {
		t.Error("nothing ever met")
	}
	if stats := byIndex.Stats(); stats.Indexed == 0 || stats.Audited == 0 || stats.Missed > 0 {
		t.Errorf("%d transactions by the index, %d audited, %d candidates missed", stats.Indexed, stats.Audited, stats.Missed)
	}
}

// expected evaluates a condition on every event: "subscription event" lines.
func expected(t *rapid.T, id int64, account string, trigger subscriptions.Trigger, params map[string]any, events []matcher.Event) []string {
	condition, err := trigger.Compile()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range events {
		values, wrong := trigger.CheckEvent(e.Data)
		if len(wrong) > 0 {
			t.Fatal(wrong)
		}
		ok, err := condition.Eval(predicate.Values{Event: values, Param: params, Member: predicate.Member{Account: account}})
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			lines = append(lines, fmt.Sprintf("%d %s", id, e.ID))
		}
	}
	return lines
}

func (s *shop) clear() {
	s.Helper()
	if _, err := s.pool.Exec(s.ctx, `DELETE FROM subscriptions; DELETE FROM events; DELETE FROM event_keys; DELETE FROM matches; DELETE FROM notifications; DELETE FROM river_job`); err != nil {
		s.Fatal(err)
	}
}

// insert writes a subscription as it is, past the store's rules.
func (s *shop) insert(id, member int64, account string, t subscriptions.Trigger, params map[string]any) int64 {
	s.Helper()
	stored, err := json.Marshal(params)
	if err != nil {
		s.Fatal(err)
	}
	condition, err := t.Compile()
	if err != nil {
		s.Fatal(err)
	}
	keys, err := condition.Keys(params, predicate.Member{Account: account})
	if err != nil {
		s.Fatal(err)
	}
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO subscriptions (id, member_id, trigger, params, channels, valid_from, origin)
		VALUES ($1, $2, $3, $4::text::jsonb, '{email}', $5, 'api')`, id, member, t.Name, string(stored), opening)
	batch.Queue(`INSERT INTO anchor_changes (trigger, subscription_id) VALUES ($1, $2)`, t.Name, id)
	for _, k := range keys {
		batch.Queue(`INSERT INTO subscription_anchors (subscription_id, trigger, key, bound, upper) VALUES ($1, $2, $3, $4, $5)`, id, t.Name, k.Key, k.Bound, k.Upper)
	}
	if err := s.pool.SendBatch(s.ctx, batch).Close(); err != nil {
		s.Fatal(err)
	}
	return id
}

func (s *shop) matched() []string {
	s.Helper()
	rows, err := s.pool.Query(s.ctx, `
		SELECT m.subscription_id || ' ' || e.source_id FROM matches m JOIN events e ON e.id = m.event_id`)
	if err != nil {
		s.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}
