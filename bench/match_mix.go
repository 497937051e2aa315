package bench

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"herald/matcher/predicate"
	"herald/subscriptions"
)

// kind is a trigger of the mix, with what its subscribers fill in and its
// events say.
type kind struct {
	subscriptions.Trigger
	condition *predicate.Predicate
	of, in    int // of 100 subscriptions, and of 100 events
	// params and event draw from what there is for so many subscriptions.
	params func(r *rand.Rand, n int64) map[string]any
	event  func(r *rand.Rand, n int64) map[string]any
}

// member is who has subscription i, of whom only the account counts.
func member(i int64) predicate.Member {
	return predicate.Member{Account: "m" + strconv.FormatInt(1_000_000+i, 10)}
}

// number is one of the things that about each so many of n subscriptions share.
func number(r *rand.Rand, n, each int64) string {
	return strconv.FormatInt(10_000_000+r.Int64N(n/each+1), 10)
}

// product is one of many, a few of which are asked for most: ten subscriptions
// each on average, some hundred of the first.
func product(r *rand.Rand, n int64) string {
	u := r.Float64()
	return "p" + strconv.FormatInt(10_000_000+int64(u*u*float64(n/15+1)), 10)
}

// city is one of a few hundred places, by latitude and longitude.
func city(r *rand.Rand, n int64) (latitude, longitude float64) {
	which := rand.New(rand.NewPCG(3, uint64(r.Int64N(n/2000+10))))
	return which.Float64()*120 - 60, which.Float64()*360 - 180
}

// kinds are the triggers of the mix: of a shop, of a market, and of the earth.
func kinds() ([]kind, error) {
	text, figure := string(predicate.String), string(predicate.Number)
	list := []kind{
		{
			Trigger: trigger("price_at_most", "price.changed", `event.product == param.product && event.price <= param.target`,
				fields{"product": text, "price": figure}, fields{"product": text, "target": figure}),
			of: 65, in: 70,
			params: func(r *rand.Rand, n int64) map[string]any {
				return map[string]any{"product": product(r, n), "target": 50 + float64(r.IntN(5000))/100}
			},
			event: func(r *rand.Rand, n int64) map[string]any {
				return map[string]any{"product": product(r, n), "price": 95 + float64(r.IntN(2000))/100}
			},
		},
		{
			Trigger: trigger("own_order", "order.moved", `event.account == member.account`, fields{"account": text}, nil),
			of:      25, in: 20,
			params: func(*rand.Rand, int64) map[string]any { return map[string]any{} },
			event: func(r *rand.Rand, n int64) map[string]any {
				return map[string]any{"account": member(r.Int64N(n)).Account}
			},
		},
		{
			Trigger: trigger("rate_between", "rate.published", `event.rate == param.rate && event.level >= param.low && event.level <= param.high`,
				fields{"rate": text, "level": figure}, fields{"rate": text, "low": figure, "high": figure}),
			of: 5, in: 5,
			params: func(r *rand.Rand, n int64) map[string]any {
				low := float64(r.IntN(1000))
				return map[string]any{"rate": number(r, n/20, 50), "low": low, "high": low + float64(r.IntN(40))}
			},
			event: func(r *rand.Rand, n int64) map[string]any {
				return map[string]any{"rate": number(r, n/20, 50), "level": float64(r.IntN(1000))}
			},
		},
		{
			Trigger: trigger("brand_new", "article.new", `event.brand in param.brands && event.price <= param.budget`,
				fields{"brand": text, "price": figure}, fields{"brands": string(predicate.Strings), "budget": figure}),
			of: 3, in: 3,
			params: func(r *rand.Rand, n int64) map[string]any {
				return map[string]any{"brands": []string{number(r, n/33, 15), number(r, n/33, 15), number(r, n/33, 15)}, "budget": float64(r.IntN(100))}
			},
			event: func(r *rand.Rand, n int64) map[string]any {
				return map[string]any{"brand": number(r, n/33, 15), "price": float64(50 + r.IntN(100))}
			},
		},
		{
			Trigger: trigger("earthquake_near", "earthquake",
				`within(event.latitude, event.longitude, param.latitude, param.longitude, param.distance) && event.magnitude >= param.magnitude`,
				fields{"latitude": figure, "longitude": figure, "magnitude": figure},
				fields{"latitude": figure, "longitude": figure, "distance": figure, "magnitude": figure}),
			of: 2, in: 2,
			params: func(r *rand.Rand, n int64) map[string]any {
				latitude, longitude := city(r, n)
				return map[string]any{"latitude": latitude, "longitude": longitude, "distance": float64(50 + r.IntN(200)), "magnitude": float64(4 + r.IntN(4))}
			},
			event: func(r *rand.Rand, n int64) map[string]any {
				latitude, longitude := city(r, n)
				return map[string]any{"latitude": latitude + r.NormFloat64(), "longitude": longitude + r.NormFloat64(), "magnitude": 2 + r.ExpFloat64()}
			},
		},
	}
	for i := range list {
		var err error
		if list[i].condition, err = list[i].Compile(); err != nil {
			return nil, fmt.Errorf("%s: %w", list[i].Name, err)
		}
	}
	return list, nil
}

// fields are types by name.
type fields map[string]string

func trigger(name, eventType, condition string, attributes, params fields) subscriptions.Trigger {
	said := subscriptions.Text{"en": name}
	t := subscriptions.Trigger{
		Name: name, Title: said, EventType: eventType, Condition: condition, Summary: said, Template: name, Expiry: "24h",
		Channels: []subscriptions.Channel{subscriptions.Email}, Purpose: subscriptions.Service, Priority: 2, Enabled: true,
	}
	for field, kind := range attributes {
		t.Attributes = append(t.Attributes, subscriptions.Attribute{Name: field, Title: said, Type: kind})
	}
	for field, kind := range params {
		t.Params = append(t.Params, subscriptions.Param{Name: field, Title: said, Type: kind})
	}
	return t
}

// crowds are subscriptions beside those of the mix, of which an event meets so
// many, some with several keys so that they are not all in the cache.
var crowds = []struct{ matches, keys int64 }{{10, 2000}, {1000, 20}, {100_000, 1}}

func crowdKey(matches, which int64) map[string]any {
	return map[string]any{"product": fmt.Sprintf("crowd%d-%d", matches, which), "target": 10.0}
}

// mix is the subscriptions and events of a measurement.
type mix struct {
	kinds []kind
	n     int64 // subscriptions without the crowds
}

// subscription is one of a mix.
type subscription struct {
	id     int64
	kind   int
	params map[string]any
	keys   []predicate.Key
}

// total is all subscriptions, with the crowds; their ids are 1 to total.
func (m mix) total() int64 {
	n := m.n
	for _, c := range crowds {
		n += c.matches * c.keys
	}
	return n
}

// subscription is the one with an id: the same at every call.
func (m mix) subscription(id int64) (subscription, error) {
	s := subscription{id: id}
	if i := id - 1; i < m.n {
		r := rand.New(rand.NewPCG(1, uint64(i)))
		s.kind = m.draw(r, func(k kind) int { return k.of })
		s.params = m.kinds[s.kind].params(r, m.n)
	} else {
		i -= m.n
		for _, c := range crowds {
			if i < c.matches*c.keys {
				s.params = crowdKey(c.matches, i%c.keys)
				break
			}
			i -= c.matches * c.keys
		}
	}
	var err error
	s.keys, err = m.kinds[s.kind].condition.Keys(s.params, member(id-1))
	return s, err
}

// draw is a kind by its share.
func (m mix) draw(r *rand.Rand, share func(kind) int) int {
	at := r.IntN(100)
	for i, k := range m.kinds {
		if at -= share(k); at < 0 {
			return i
		}
	}
	return 0
}

// occurrence is an event of a mix, as it comes in and as it is looked up.
type occurrence struct {
	kind   int
	probes []predicate.Probe
	body   []byte // a CloudEvent
}

// events are drawn by the kinds' shares.
func (m mix) events(count int) ([]occurrence, error) {
	r := rand.New(rand.NewPCG(2, 0))
	list := make([]occurrence, count)
	for i := range list {
		k := m.draw(r, func(k kind) int { return k.in })
		var err error
		if list[i], err = m.occur(k, m.kinds[k].event(r, m.n), i); err != nil {
			return nil, err
		}
	}
	pack(list)
	return list, nil
}

// pack lays out what events are looked up by in their order, so that reading
// it, which in earnest has just been made, is not what is measured.
func pack(events []occurrence) {
	var keys []byte
	n := 0
	for _, o := range events {
		n += len(o.probes)
		for _, p := range o.probes {
			keys = append(keys, p.Key...)
		}
	}
	text, probes := string(keys), make([]predicate.Probe, 0, n)
	for i, o := range events {
		first := len(probes)
		for _, p := range o.probes {
			probes = append(probes, predicate.Probe{Key: text[:len(p.Key)], Value: p.Value})
			text = text[len(p.Key):]
		}
		events[i].probes = probes[first:len(probes):len(probes)]
	}
}

// meeting is events that meet so many subscriptions each: 0, 1, or a crowd's.
func (m mix) meeting(matches int64, count int) ([]occurrence, error) {
	r := rand.New(rand.NewPCG(4, uint64(matches)))
	list := make([]occurrence, count)
	for i := range list {
		kind, data := 0, map[string]any{"price": 10.0}
		switch matches {
		case 0:
			data["product"], data["price"] = product(r, m.n), 1000.0 // there are some, and none is met
		case 1:
			id := m.ofOrders(r)
			kind, data = 1, map[string]any{"account": member(id - 1).Account}
		default:
			for _, c := range crowds {
				if c.matches == matches {
					data["product"] = crowdKey(matches, r.Int64N(c.keys))["product"]
				}
			}
		}
		var err error
		if list[i], err = m.occur(kind, data, i); err != nil {
			return nil, err
		}
	}
	pack(list)
	return list, nil
}

// ofOrders is the id of a subscription to own orders.
func (m mix) ofOrders(r *rand.Rand) int64 {
	for {
		i := r.Int64N(m.n)
		if m.draw(rand.New(rand.NewPCG(1, uint64(i))), func(k kind) int { return k.of }) == 1 {
			return i + 1
		}
	}
}

func (m mix) occur(k int, data map[string]any, i int) (occurrence, error) {
	o := occurrence{kind: k}
	var err error
	if o.probes, err = m.kinds[k].condition.Probes(data); err != nil {
		return o, err
	}
	o.body, err = json.Marshal(map[string]any{
		"specversion": "1.0", "id": "event-" + strconv.Itoa(i), "source": "/bench/shop", "type": m.kinds[k].EventType,
		"time": time.Date(2026, 1, 2, 3, 4, i%60, 0, time.UTC), "datacontenttype": "application/json", "data": data,
	})
	return o, err
}
