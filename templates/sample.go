package templates

// Sample is data of the shape that a template is filled from, with every
// attribute the starter templates use. A template is tried on it before it is
// saved, and a preview may show it.
//
//	company  whose messages these are; absent where the configuration names none
//	event    the attributes of the event
//	previous of a trigger on changes the attributes of the event before, and time;
//	         absent where there was none
//	param    what the subscriber filled in
//	member   account, name, locale
//	trigger  name, title
//	summary  the subscription in a line
//	links    delivery, alerts, alert (this one; absent where there is none),
//	         unsubscribe (absent from transactional messages)
//	until    of an offer to extend an alert, instead of event: its last day
//	code, address  of a confirmation, instead of event and param
//	items, count   of a digest, instead of event and param: subject (empty
//	               where the channel has none), text and link of each
func Sample() map[string]any {
	return map[string]any{
		"company": "The Tea Shop",
		"event": map[string]any{
			"product": "teapot-3", "name": "Teapot, three cups", "category": "home", "brand": "Yixing",
			"price": 45.0, "previous_price": 59.0, "currency": "EUR", "stock": 12.0, "previous_stock": 0.0,
			"order": "A-1042", "status": "shipped", "carrier": "Post", "tracking": "RR123456789CN",
			"items": 3.0, "total": 129.5, "account": "wei", "balance": 8.2,
			"promotion": "tea-week", "title": "A week of tea", "text": "20 % off all teapots.", "code": "TEA20",
			"until": "2026-06-30T18:00:00Z", "index": "SPX", "value": 1249.6,
			"zone": "Asia/Shanghai", "date": "2026-09-25", "day": "09-25", "occasion": "mid_autumn",
		},
		"previous": map[string]any{"price": 59.0, "value": 1251.3, "time": "2026-06-01T08:00:00Z"},
		"param": map[string]any{
			"product": "teapot-3", "target": 49.0, "below": 10.0, "categories": []any{"home"},
			"percent": 20.0, "index": "SPX", "level": 1250.0,
			"festivals": []any{"mid_autumn"}, "date": "2026-09-25", "text": "Book the table",
		},
		"member":  map[string]any{"account": "wei", "name": "Wei", "locale": "en"},
		"trigger": map[string]any{"name": "price_drop", "title": "Price drop"},
		"summary": "teapot-3 at 49 or less",
		"links": map[string]any{
			"delivery":    "https://alerts.shop.example/d/1",
			"alerts":      "https://alerts.shop.example/alerts",
			"alert":       "https://alerts.shop.example/alerts/1",
			"unsubscribe": "https://alerts.shop.example/u/1",
		},
		"until": "2026-06-30",
		"items": []any{
			map[string]any{"subject": "Teapot, three cups is now €45.00", "text": "Teapot, three cups now costs €45.00.", "link": "https://alerts.shop.example/d/2"},
			map[string]any{"subject": "Kettle is back in stock", "text": "Kettle is back in stock.", "link": "https://alerts.shop.example/d/3"},
		},
		"count":   2.0,
		"code":    "482913",
		"address": "wei@example.com",
	}
}
