package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"herald/hardware/sim/phone"
)

// person is a member of the demonstration.
type person struct {
	account, name, locale, zone string
	mobile, phone, fax          string // empty: none
}

func (p person) email() string { return p.account + "@example.com" }

// people are those who are there when the demonstration begins; the first is
// the one whose sign-in is told. Texts to Americans go by the modem, those to
// Chinese by the operator's gateway.
func people() []person {
	list := []person{
		{memberName, "Zhang Wei", "zh-CN", "Asia/Shanghai", "+8613800138001", "", ""},
		{"lina", "李娜", "zh-CN", "Asia/Shanghai", "+8613800138002", "+861062530102", ""},
		{"wangfang", "王芳", "zh-CN", "Asia/Shanghai", "+8613800138003", "", ""},
		{"grace", "Grace Hopper", "en", "America/New_York", "+12025550101", "+12025550111", ""},
		{"ada", "Ada Lovelace", "en", "Europe/London", "", "+442079460011", ""},
		{"linus", "Linus Pauling", "en", "America/Los_Angeles", "+12025550102", "", ""},
		{"marie", "Marie Curie", "en", "Europe/Paris", "", "", "+33142680001"},
		{"chenyu", "陈宇", "zh-CN", "Asia/Shanghai", "+8613800138004", "", ""},
		{"rosa", "Rosa Parks", "en", "America/Chicago", "+12025550103", "", ""},
		{"liuyang", "刘洋", "zh-CN", "Asia/Shanghai", "+8613800138005", "", "+861062530105"},
		{"alan", "Alan Turing", "en", "Europe/London", "", "", ""},
		{"mei", "赵梅", "zh-CN", "Asia/Shanghai", "+8613800138006", "", ""},
	}
	return list
}

// habits are how those who are called behave: one presses 1 when asked, one is
// out and has a machine, and the others listen.
func habits() []phone.Fault {
	return []phone.Fault{
		{Number: "*12025550111", Kind: phone.Person, Press: []phone.Press{{After: phone.Duration(12 * time.Second), Digits: "1"}}},
		{Number: "*442079460011", Kind: phone.Machine},
	}
}

// order is a subscription as the API takes it.
type order struct {
	MemberID         int64          `json:"member_id"`
	Trigger          string         `json:"trigger"`
	Params           map[string]any `json:"params"`
	Channels         []string       `json:"channels,omitempty"` // none: the trigger's own
	MaxNotifications int            `json:"max_notifications,omitempty"`
	CoolDown         string         `json:"cool_down,omitempty"`
}

// wishes are what a seeded person asks for: the price of two products, near
// enough that a visitor's change meets somebody, and their own orders.
func wishes(i int, p person) []order {
	first, second := products[i%len(products)], products[(i+2)%len(products)]
	prices, ladder := p.channels()
	list := []order{
		{Trigger: "price_drop", Params: map[string]any{"product": first.ID, "target": below(first.Price, 5+i)}, CoolDown: "0s"},
		{Trigger: "price_drop", Params: map[string]any{"product": second.ID, "target": below(second.Price, 12+i)}, CoolDown: "0s", Channels: prices},
		{Trigger: "order_status", Params: map[string]any{}, Channels: ladder},
	}
	if p.account == memberName {
		list = append(list,
			order{Trigger: "low_balance", Params: map[string]any{"below": 50}},
			order{Trigger: "promotion", Params: map[string]any{"categories": []string{"toys", "home"}}})
	}
	return list
}

// channels are how a person hears of a price, other than by mail, and of their
// orders: each is tried when the one before it fails.
func (p person) channels() (prices, orders []string) {
	switch {
	case p.fax != "":
		return []string{"fax"}, []string{"email", "fax"}
	case p.phone != "" && p.mobile != "":
		return []string{"voice"}, []string{"email", "sms", "voice"}
	case p.phone != "":
		return []string{"voice"}, []string{"email", "voice"}
	case p.mobile != "":
		return []string{"sms"}, []string{"email", "sms"}
	}
	return nil, nil
}

// below is a price less some percent, in whole units.
func below(price float64, percent int) float64 {
	return float64(int(price * float64(100-percent) / 100))
}

// contact is a contact point as the API takes it.
type contact struct {
	Channel  string `json:"channel"`
	Address  string `json:"address"`
	Verified bool   `json:"verified"`
}

// reachable are confirmed contact points; numbers are by channel, and those
// that are empty left out.
func reachable(email string, numbers ...contact) []contact {
	list := []contact{{"email", email, true}}
	for _, n := range numbers {
		if n.Verified = true; n.Address != "" {
			list = append(list, n)
		}
	}
	return list
}

// register makes a member with confirmed addresses.
func (s *stage) register(ctx context.Context, p person) (id int64, err error) {
	var made struct {
		ID int64 `json:"id"`
	}
	err = s.client.post(ctx, "/api/v1/members", "application/json", map[string]any{
		"account": p.account, "password": password, "display_name": p.name, "locale": p.locale, "time_zone": p.zone,
		"contacts": reachable(p.email(), contact{Channel: "sms", Address: p.mobile}, contact{Channel: "voice", Address: p.phone}, contact{Channel: "fax", Address: p.fax}),
	}, &made)
	return made.ID, err
}

func (s *stage) subscribe(ctx context.Context, memberID int64, o order) (id int64, err error) {
	var made struct {
		ID int64 `json:"id"`
	}
	o.MemberID = memberID
	err = s.client.post(ctx, "/api/v1/subscriptions", "application/json", o, &made)
	return made.ID, err
}

// product is something the shop sells.
type product struct {
	ID, Icon string
	Names    map[string]string // by language
	Price    float64
	Currency string
}

// products are what the shop sells and for how much when it opens.
var products = []product{
	{"stroller", "shopping-cart", map[string]string{"en": "Stroller Lite", "zh": "轻便婴儿车"}, 529, "CNY"},
	{"kettle", "home", map[string]string{"en": "Gooseneck kettle", "zh": "细嘴手冲壶"}, 219, "CNY"},
	{"headphones", "device-mobile", map[string]string{"en": "Quiet headphones", "zh": "降噪耳机"}, 1299, "CNY"},
	{"lamp", "star", map[string]string{"en": "Reading lamp", "zh": "护眼台灯"}, 168, "CNY"},
	{"backpack", "package", map[string]string{"en": "Day backpack", "zh": "双肩包"}, 349, "CNY"},
}

// title is a product's name in the language of a locale.
func (p product) title(locale string) string {
	language, _, _ := strings.Cut(locale, "-")
	if name, ok := p.Names[language]; ok {
		return name
	}
	return p.Names["en"]
}

// priceChanged is the event that the shop sends when a price changes.
func priceChanged(p product, locale string, before, now float64, at time.Time) event {
	return newEvent(fmt.Sprintf("price-%s-%d", p.ID, at.UnixNano()), "price.changed", at, map[string]any{
		"product": p.ID, "name": p.title(locale), "price": now, "previous_price": before, "currency": p.Currency,
	})
}
