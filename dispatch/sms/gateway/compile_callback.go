package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"herald/dispatch"
	"herald/problem"
)

// callback is one of a description, ready to be read with.
type callback struct {
	spec                          callbackSpec
	each, id, at                  *place
	delivery, state, code, detail *place
	from, to, text, charset       *place
	zone                          *time.Location
	byState, byCode               map[string]dispatch.ReportEvent
	country                       *text
}

func (d *Description) callback(k Kind) *callback {
	switch k {
	case KindReceipt:
		return d.receipt
	case KindInbound:
		return d.inbound
	}
	return nil
}

// newCallback reads how a callback is described; nil where it is not.
func (d *Description) newCallback(s *callbackSpec, at string, f *problem.Fields) *callback {
	if s == nil {
		return nil
	}
	c := &callback{spec: *s, zone: time.UTC, byState: map[string]dispatch.ReportEvent{}, byCode: map[string]dispatch.ReportEvent{}}
	for _, p := range []struct {
		to   **place
		from *placeSpec
		name string
	}{
		{&c.each, s.Each, "each"},
		{&c.id, s.ID, "id"},
		{&c.at, s.At, "at"},
		{&c.delivery, s.Delivery, "delivery"},
		{&c.state, s.State, "state"},
		{&c.code, s.Code, "code"},
		{&c.detail, s.Detail, "detail"},
		{&c.from, s.From, "from"},
		{&c.to, s.To, "to"},
		{&c.text, s.Text, "text"},
		{&c.charset, s.Charset, "charset"},
	} {
		*p.to = newPlace(p.from, at+"."+p.name, f)
	}
	c.country = d.text(s.Country, call{}, at+".country", f)
	if c.delivery == nil {
		c.delivery = &place{query: deliveryKey}
	}
	if c.each != nil && !c.each.isJSON {
		f.Add(at+".each", "json", "must be a list within JSON")
	}
	if len(c.spec.Methods) == 0 {
		c.spec.Methods = words{http.MethodGet, http.MethodPost}
	}
	for i, m := range c.spec.Methods {
		if m != http.MethodGet && m != http.MethodPost {
			f.Add(fmt.Sprintf("%s.methods[%d]", at, i), "option", "is %q and must be one of: GET, POST", m)
		}
	}
	c.compileTime(at, f)
	c.compileReply(at, f)
	if at == string(KindReceipt) {
		c.compileReceipt(at, f)
	} else {
		c.compileInbound(at, f)
	}
	return c
}

func (c *callback) compileTime(at string, f *problem.Fields) {
	if c.spec.Zone != "" {
		zone, err := time.LoadLocation(c.spec.Zone)
		if err != nil {
			f.Add(at+".zone", "zone", "is %q and must be a time zone such as Asia/Shanghai", c.spec.Zone)
			return
		}
		c.zone = zone
	}
	switch c.spec.Time {
	case "", "rfc3339":
		c.spec.Time = time.RFC3339Nano
	case "unix", "unix_ms":
	default:
		if sample := time.Date(2011, 12, 23, 21, 46, 57, 0, time.UTC).Format(c.spec.Time); sample == c.spec.Time {
			f.Add(at+".time", "layout", "is %q and must be unix, unix_ms, rfc3339 or a layout such as 2006-01-02 15:04:05", c.spec.Time)
		}
	}
}

func (c *callback) compileReply(at string, f *problem.Fields) {
	r := &c.spec.Reply
	if r.Status == 0 {
		r.Status = http.StatusOK
	}
	if r.Status < 200 || r.Status > 299 {
		f.Add(at+".reply.status", "range", "is %d and must be from 200 to 299", r.Status)
	}
	if strings.ContainsAny(r.Type, "\r\n") {
		f.Add(at+".reply.type", "header", "must be a media type")
	}
}

func (c *callback) compileReceipt(at string, f *problem.Fields) {
	if c.state == nil || len(c.spec.States) == 0 {
		f.Add(at+".state", "required", "say where the state is, and its words in states")
	}
	for _, group := range []struct {
		words map[string]words
		to    map[string]dispatch.ReportEvent
		name  string
	}{{c.spec.States, c.byState, "states"}, {c.spec.Codes, c.byCode, "codes"}} {
		for _, name := range slices.Sorted(maps.Keys(group.words)) {
			event := dispatch.ReportEvent(name)
			if !slices.Contains(events, event) {
				f.Add(at+"."+group.name+"."+name, "option", "must be one of: delivered, bounced, delayed, expired, read, complained, unsubscribed")
			}
			for _, word := range group.words[name] {
				if other, twice := group.to[strings.ToLower(word)]; twice {
					f.Add(at+"."+group.name+"."+name, "unique", "has %q, which means %s already", word, other)
				}
				group.to[strings.ToLower(word)] = event
			}
		}
	}
	if c.from != nil || c.to != nil || c.text != nil || c.charset != nil || c.spec.Hex || c.country != nil {
		f.Add(at, "unknown", "cannot have from, to, text, charset, hex and country: they are of inbound")
	}
}

func (c *callback) compileInbound(at string, f *problem.Fields) {
	if c.from == nil || c.text == nil {
		f.Add(at, "required", "needs from and text")
	}
	if c.id == nil && c.at == nil {
		f.Add(at, "required", "needs id or at: without them a message given twice cannot be told from two")
	}
	if c.state != nil || c.code != nil || c.detail != nil || c.spec.Delivery != nil || len(c.spec.States) > 0 || len(c.spec.Codes) > 0 || len(c.spec.Dead) > 0 {
		f.Add(at, "unknown", "cannot have state, states, code, codes, dead, detail and delivery: they are of receipt")
	}
}
