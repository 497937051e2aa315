package config

import (
	"reflect"
	"time"

	"herald/dispatch/limits"
)

// exampleItems are items of each list, as somebody might set them.
func exampleItems() []any {
	use := func(min, max int, rules limits.Rules, recipients ...string) Use {
		return Use{MinSessions: min, MaxSessions: max, Weight: 1, Recipients: recipients, Limits: rules.Defaults()}
	}
	mail := limits.Rules{Rate: limits.Rate{Max: 100}, Domains: map[string]limits.Rate{"gmail.com": {Max: 600, Per: "minute"}}}
	numbers := limits.Rules{Rate: limits.Rate{Max: 50}, Counts: "parts", Prefixes: map[string]limits.Rate{"+4415": {Max: 5}}}
	return []any{
		EmailAccount{
			Name: "main", Host: "smtp.example.com", Port: 587, TLS: "starttls", Username: "herald",
			Password: "secret", From: "news@example.com", FromName: "Example Shop", Timeout: 30 * time.Second, Use: use(0, 10, mail),
		},
		SMPPAccount{Name: "operator", Host: "smsc.example.net", Port: 2775, SystemID: "herald", Password: "secret", Source: "Shop", Use: use(1, 2, numbers)},
		CMPPAccount{Name: "mobile", Host: "192.0.2.10", Port: 7890, SPID: "901234", Secret: "secret", SourceNumber: "10690001", ServiceID: "SHOP", Use: use(1, 1, limits.Rules{}, "+86")},
		SGIPAccount{
			Name: "unicom", Host: "192.0.2.20", Port: 8801, LoginName: "herald", Password: "secret", NodeID: 3_075_512_345, CorpID: "12345",
			SPNumber: "10655001", Use: use(0, 1, limits.Rules{}, "+86"),
			Reception: Reception{Listen: ":8801", Networks: []string{"192.0.2.0/24"}, LoginName: "unicom", Password: "secret"},
		},
		GatewayAccount{
			Name: "web", Description: "generic", Use: use(0, 10, limits.Rules{}),
			Settings: map[string]string{"url": "https://sms.example.com/messages"},
			Secrets:  map[string]string{"token": "secret", "signing_key": "secret"},
		},
		ModemAccount{Name: "sim-1", Device: "/dev/serial/by-id/usb-modem-1", DailyQuota: 100, TimeZone: "Asia/Shanghai", Use: use(0, 1, limits.Rules{})},
		TrunkAccount{
			Name: "trunk", Server: "sip.example.net", Username: "+442079460000", Password: "secret", CallerNumber: "+442079460000", CallerName: "Example Shop",
			Register: true, Person: "+442079460001", Use: use(0, 30, limits.Rules{}),
		},
		FaxAccount{
			Name: "fax", Host: "fax.example.com", Username: "herald", Password: "secret",
			SenderName: "Example Shop", SenderNumber: "+44 20 7946 0002", Use: use(0, 2, limits.Rules{}),
		},
		exampleQuery(), exampleFolder(), exampleStream(),
		Doubt{Channel: "email", Purpose: "transactional", Policy: "hold"},
		Cap{Purpose: "marketing", Max: 2, Within: 7 * 24 * time.Hour},
		Receipt{Name: "main", Provider: "sendgrid", Secret: "secret"},
	}
}

func exampleQuery() QueryCollector {
	q := usualQuery
	q.Name, q.URL = "prices", "postgres://herald:secret@db.example.com/shop"
	q.Query, q.Cursor, q.Start = "SELECT * FROM price_changes WHERE id >= {cursor}", "id", "0"
	q.Mapping = Mapping{ID: "id", Type: "price.changed", Source: "/shop/prices", Time: "changed_at"}
	return q
}

func exampleFolder() FolderCollector {
	f := usualFolder
	f.Name, f.Path, f.Pattern = "stock", "/var/lib/herald/stock", "*.csv"
	f.Mapping = Mapping{Type: "stock.changed", Subject: "sku", Data: map[string]string{"product": "sku", "stock": "left"}}
	return f
}

func exampleStream() StreamCollector {
	s := usualStream
	s.Name, s.URL, s.Stream, s.Subjects = "orders", "nats://herald:secret@nats.example.com:4222", "ORDERS", []string{"orders.>"}
	return s
}

// exampleItem is an item of a list of the given type.
func exampleItem(item reflect.Type) reflect.Value {
	for _, v := range exampleItems() {
		if reflect.TypeOf(v) == item {
			return reflect.ValueOf(v)
		}
	}
	return reflect.Zero(item)
}
