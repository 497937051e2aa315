package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"herald/matcher"
)

// castSize is how many members the scenario has.
const castSize = 60

// wish is a subscription of the scenario, with what the oracle needs to know.
type wish struct {
	order
	id      int64
	account string
	once    bool // its cool-down is longer than the scenario
}

// cast registers the scenario's members and what they wish, the same every time.
func (s *stage) cast(ctx context.Context) ([]wish, error) {
	chance := rand.New(rand.NewPCG(2000, 2010)) //nolint:gosec // it must be the same every time
	prices, err := Prices()
	if err != nil {
		return nil, err
	}
	var all []wish
	for i := range castSize {
		account := fmt.Sprintf("member%02d", i)
		memberID, err := s.enrol(ctx, i, account)
		if err != nil {
			return nil, err
		}
		for _, w := range wishesOf(chance, prices, account) {
			w.Channels = channelsOf(i)
			if i == called {
				w.MaxNotifications = mostCalls
			}
			if w.id, err = s.subscribe(ctx, memberID, w.order); err != nil {
				return nil, err
			}
			all = append(all, w)
		}
		if i%20 == 7 { // has had second thoughts about mail: what is decided is then not sent
			if err := s.refuse(ctx, memberID); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// channelsOf are the channels of a member's wishes; none: e-mail. One in
// twenty has texts by the modem, some have them by the gateway, and whose
// mailbox is gone has them after that; one is called and one has faxes.
func channelsOf(i int) []string {
	switch i % 20 {
	case 5, 9, 17:
		return []string{"sms"}
	case 11:
		return []string{"email", "sms"}
	case 13:
		return []string{"sms", "email"}
	}
	switch i {
	case called:
		return []string{"voice"}
	case faxed:
		return []string{"fax"}
	}
	return nil
}

// called is the one who is called, at most mostCalls times for each wish, since
// a call takes its time, and faxed the one who has faxes.
const called, mostCalls, faxed = 2, 5, 24

// numberOf is the number of who has texts, calls or faxes.
func numberOf(i int) contact {
	channels := channelsOf(i)
	switch {
	case i == called:
		return contact{Channel: "voice", Address: calledNumber}
	case i == faxed:
		return contact{Channel: "fax", Address: "+861062530002"}
	case channels == nil:
		return contact{}
	case i%20 == 5:
		return contact{Channel: "sms", Address: fmt.Sprintf("%s20255501%02d", modemPrefix, i)}
	}
	return contact{Channel: "sms", Address: fmt.Sprintf("+86138001381%02d", i)}
}

// calledNumber is whose phone it is that rings in the scenario.
const calledNumber = "+861062530003"

// enrol registers a member: most can be reached at once, some have a mailbox
// that is full for a while, and some one that is gone.
func (s *stage) enrol(ctx context.Context, i int, account string) (int64, error) {
	domain := "example.com"
	switch i % 20 {
	case 3:
		domain = "full.example"
	case 11, 15:
		domain = "gone.example"
	}
	locale := []string{"en", "zh-CN"}[i%2]
	var made struct {
		ID int64 `json:"id"`
	}
	err := s.client.post(ctx, "/api/v1/members", "application/json", map[string]any{
		"account": account, "locale": locale, "time_zone": "Asia/Shanghai",
		"contacts": reachable(account+"@"+domain, numberOf(i)),
	}, &made)
	return made.ID, err
}

func (s *stage) refuse(ctx context.Context, memberID int64) error {
	return s.client.put(ctx, fmt.Sprintf("/api/v1/members/%d/consents", memberID), map[string]any{
		"consents": []map[string]any{{"channel": "email", "purpose": "service", "granted": false, "evidence": "said so in the scenario"}},
	})
}

// wishesOf are a member's subscriptions: prices within the range of the
// series, and one of each other kind here and there.
func wishesOf(chance *rand.Rand, prices []Price, account string) []wish {
	var list []wish
	add := func(once bool, o order) { list = append(list, wish{order: o, account: account, once: once}) }
	symbols := []string{"AAPL", "AMZN", "GOOG", "IBM", "MSFT"}
	for _, i := range chance.Perm(len(symbols))[:2] {
		target := min(prices[chance.IntN(len(prices))].Value, prices[chance.IntN(len(prices))].Value)
		o := order{Trigger: "price_drop", Params: map[string]any{"product": symbols[i], "target": target}, CoolDown: "0s"}
		if chance.IntN(2) == 0 {
			o.MaxNotifications = 1 + chance.IntN(20)
		}
		add(false, o)
	}
	switch chance.IntN(6) {
	case 0:
		add(true, order{Trigger: "back_in_stock", Params: map[string]any{"product": symbols[chance.IntN(len(symbols))]}})
	case 1:
		add(true, order{Trigger: "new_product", Params: map[string]any{"categories": []string{"books", "toys"}}})
	case 2:
		add(false, order{Trigger: "order_status", Params: map[string]any{}})
	case 3:
		add(true, order{Trigger: "order_unfinished", Params: map[string]any{}})
	case 4:
		add(true, order{Trigger: "low_balance", Params: map[string]any{"below": float64(chance.IntN(100))}})
	case 5:
		add(true, order{Trigger: "promotion", Params: map[string]any{"categories": []string{"food"}}})
	}
	return list
}

// script is what happens: ten years of real prices, and a day in a shop.
func script(now time.Time) ([]event, error) {
	prices, err := Prices()
	if err != nil {
		return nil, err
	}
	var events []event
	say := func(kind string, data map[string]any) {
		events = append(events, newEvent(fmt.Sprintf("scenario-%d", len(events)), kind, now, data))
	}
	for _, p := range prices {
		say("price.changed", map[string]any{
			"product": p.Symbol, "name": p.Symbol, "price": p.Value, "currency": "USD", "date": p.Date.Format(time.DateOnly),
		})
	}
	for _, symbol := range []string{"AAPL", "IBM", "TOY"} {
		say("stock.changed", map[string]any{"product": symbol, "name": symbol, "stock": 5, "previous_stock": 0})
		say("stock.changed", map[string]any{"product": symbol, "name": symbol, "stock": 9, "previous_stock": 5})
	}
	for _, category := range []string{"toys", "food", "books", "toys"} {
		say("product.published", map[string]any{"product": category + "-1", "name": "Something for " + category, "category": category})
		say("promotion.started", map[string]any{"promotion": category + "-sale", "title": "Sale", "category": category})
	}
	for i := range castSize {
		account := fmt.Sprintf("member%02d", i)
		say("order.changed", map[string]any{"account": account, "order": "A-1", "status": "paid"})
		say("order.changed", map[string]any{"account": account, "order": "A-1", "status": "shipped"})
		say("order.unfinished", map[string]any{"account": account, "order": "A-2", "items": 2})
		say("balance.changed", map[string]any{"account": account, "balance": float64(i), "currency": "CNY"})
	}
	return events, nil
}

// pair is an event that a subscription is told of.
type pair struct {
	event        string
	subscription int64
}

// expected holds every event against every subscription: the starter
// conditions once more, in plain Go.
func expected(cast []wish, events []event) map[pair]bool {
	pairs := map[pair]bool{}
	for _, w := range cast {
		sent := 0
		for _, e := range events {
			if !w.meets(e) || (w.once && sent == 1) || (w.MaxNotifications > 0 && sent == w.MaxNotifications) {
				continue
			}
			sent++
			pairs[pair{e.ID, w.id}] = true
		}
	}
	return pairs
}

func (w wish) meets(e event) bool {
	d := e.Data
	switch w.Trigger {
	case "price_drop":
		return e.Type == "price.changed" && d["product"] == w.Params["product"] && d["price"].(float64) <= w.Params["target"].(float64)
	case "back_in_stock":
		return e.Type == "stock.changed" && d["product"] == w.Params["product"] && d["stock"].(int) > 0 && d["previous_stock"].(int) <= 0
	case "new_product":
		return e.Type == "product.published" && slices.Contains(w.Params["categories"].([]string), d["category"].(string))
	case "order_status":
		return e.Type == "order.changed" && d["account"] == w.account
	case "order_unfinished":
		return e.Type == "order.unfinished" && d["account"] == w.account
	case "low_balance":
		return e.Type == "balance.changed" && d["account"] == w.account && d["balance"].(float64) < w.Params["below"].(float64)
	case "promotion":
		return e.Type == "promotion.started" && slices.Contains(w.Params["categories"].([]string), d["category"].(string))
	}
	return false
}

// told is what Herald decided: who is told of each event.
func (s *stage) told(ctx context.Context, events []event) (map[pair]bool, error) {
	pairs := map[pair]bool{}
	for _, e := range events {
		kept, err := s.herald.Events.BySource(ctx, e.Source, e.ID)
		if err != nil {
			return nil, err
		}
		matches, err := s.herald.Events.Matches(ctx, kept.UUID, 10*castSize)
		if err != nil {
			return nil, err
		}
		for _, m := range matches {
			if m.Outcome == matcher.Notified {
				pairs[pair{e.ID, m.SubscriptionID}] = true
			}
		}
	}
	return pairs, nil
}

func compare(want, got map[pair]bool) Oracle {
	o := Oracle{Expected: len(want)}
	for p := range want {
		if !got[p] {
			o.Missing++
		}
	}
	for p := range got {
		if !want[p] {
			o.Unexpected++
		}
	}
	return o
}
