package portal

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"herald/subscriptions"
)

func TestWhyDidIGetThis(t *testing.T) {
	s := newShop(t)
	m := s.register("wei")
	sub := s.order(m)
	d := s.drop(m)
	b := s.signedIn("wei")
	b.get("/alerts").has(200, "Recently sent", "On its way", "/sent/"+d.ID.String())
	b.get("/sent").has(200, "4411 at 499 or less")
	why := b.get("/sent/"+d.ID.String()).has(200, "Product: Stroller &lt;Lite&gt;", "Price: ¥489", "You asked: 4411 at 499 or less",
		"¥489, at or below your ¥499", "You agreed to hear about this by e-mail", "On its way to you", alertPath(sub.ID)+"/stop")
	why.lacks("wei@example.com")

	s.browser().get(s.config.Links.Delivery(d.ID)).has(200, "You asked: 4411 at 499 or less", "/unsubscribe/").lacks("wei@example.com")
	s.browser().get(s.config.Links.Delivery(d.ID)+"x").has(404, "There is nothing here")
	s.browser().get(s.config.Links.Delivery(uuid.New())).has(404, "There is nothing here")
}

// Where the company has a name, whoever follows a link of a message reads it.
func TestPagesOfLinksSayWhoWrote(t *testing.T) {
	s := newShop(t, func(c *Config) {
		c.Company = func(locale string) string { return "<Shop> & " + locale }
	})
	m := s.register("wei")
	sub := s.order(m)
	d := s.drop(m)
	b := s.browser()
	b.get(s.config.Links.Delivery(d.ID)+"?lang=en").has(200, "· &lt;Shop&gt; &amp; en</title>", "<span>&lt;Shop&gt; &amp; en</span>", "Something happened at &lt;Shop&gt; &amp; en")
	b.get(s.config.Links.Unsubscribe(d.ID, sub.ID)+"?lang=en").has(200, "Stop these messages from &lt;Shop&gt; &amp; en?")
	b.get(s.config.Links.Unsubscribe(d.ID, sub.ID)+"?lang=zh").has(200, "不再接收&lt;Shop&gt; &amp; zh-CN的这类消息？", "<span>&lt;Shop&gt; &amp; zh-CN</span>")
	b.get("/nowhere?lang=en").has(404, "<span>&lt;Shop&gt; &amp; en</span>").lacks("Herald")
}

// A campaign has a name for marketers, and members whom it was kept from.
func TestACampaignsMessage(t *testing.T) {
	s := newShop(t)
	m := s.register("wei")
	s.order(m)
	d := s.drop(m)
	for _, statement := range []string{
		`UPDATE deliveries SET trigger = '', campaign_id = 7 WHERE id = $1`,
		`UPDATE notifications SET trigger = '', subscription_id = NULL, template = 'campaign_7_1', data = '{"campaign": {"name": "Win back the cheap ones"}}'
		WHERE id = (SELECT notification_id FROM deliveries WHERE id = $1)`,
	} {
		if _, err := s.pool.Exec(t.Context(), statement, d.ID); err != nil {
			t.Fatal(err)
		}
	}
	b := s.signedIn("wei")
	for _, path := range []string{"/alerts", "/sent", "/sent/" + d.ID.String()} {
		answer := b.get(path).has(200, "A message from the shop")
		answer.lacks("campaign_7_1")
		answer.lacks("cheap")
	}
	if _, err := s.pool.Exec(t.Context(), `UPDATE deliveries SET state = 'suppressed', reason = 'no_consent' WHERE id = $1`, d.ID); err != nil {
		t.Fatal(err)
	}
	b.get("/alerts").lacks("A message from the shop")
	b.get("/sent").lacks("A message from the shop")
}

func TestUnsubscribingTakesAPostAndNoSession(t *testing.T) {
	s := newShop(t)
	m := s.register("wei")
	sub := s.order(m)
	link := s.config.Links.Unsubscribe(s.drop(m).ID, sub.ID)
	b := s.browser()
	state := func() subscriptions.State {
		t.Helper()
		now, err := s.config.Subscriptions.Get(t.Context(), sub.ID)
		if err != nil {
			t.Fatal(err)
		}
		return now.State
	}
	b.get(link).has(200, "Stop these messages?", "4411 at 499 or less")
	if state() != subscriptions.Active {
		t.Fatal("looking at the page ended the alert")
	}
	// RFC 8058, section 3.1, as a mail program sends it, even from a web page of its own.
	oneClick := func() answer {
		return b.do(http.MethodPost, link, url.Values{"List-Unsubscribe": {"One-Click"}}, func(r *http.Request) { r.Header.Set("Origin", "https://mail.example") })
	}
	oneClick().has(200, "You will not hear about this any more")
	if state() != subscriptions.Ended {
		t.Fatal("the alert is not ended")
	}
	oneClick().has(200, "You will not hear about this any more")

	undo := strings.TrimPrefix(link, s.server.URL) + "/undo"
	b.post(undo).has(200, "It is on again")
	b.post(undo).has(200, "It is on again")
	again, err := s.config.Subscriptions.ForMember(t.Context(), m.ID, false)
	if err != nil || len(again) != 1 {
		t.Errorf("%d alerts in force, %v; want one", len(again), err)
	}
	if cookies := b.client.Jar.Cookies(&url.URL{Scheme: "http", Host: strings.TrimPrefix(s.server.URL, "http://")}); len(cookies) > 0 {
		t.Errorf("unsubscribing set the cookies %v", cookies)
	}
}

func TestUnsubscribingFromAPurpose(t *testing.T) {
	s := newShop(t)
	m := s.register("wei")
	s.order(m)
	d := s.drop(m)
	link := s.config.Links.Unsubscribe(d.ID, 0)
	b := s.browser()
	agreed := func() bool {
		t.Helper()
		consents, err := s.config.Consents.ForMember(t.Context(), m.ID)
		if err != nil {
			t.Fatal(err)
		}
		return subscriptions.Reach{Consents: consents}.Agreed(subscriptions.Email, subscriptions.Service)
	}
	b.get(link).has(200, "by e-mail any more")
	b.post(link, "List-Unsubscribe", "One-Click").has(200, "You will not hear about this any more")
	if agreed() {
		t.Error("the member still agrees")
	}
	b.post(link+"/undo").has(200, "It is on again")
	if !agreed() {
		t.Error("the member does not agree again")
	}
}

func TestAForgedLinkEndsNothing(t *testing.T) {
	s := newShop(t)
	m := s.register("wei")
	sub := s.order(m)
	d := s.drop(m)
	b := s.browser()
	good := s.config.Links.Unsubscribe(d.ID, sub.ID)
	why := strings.TrimPrefix(s.config.Links.Delivery(d.ID), s.server.URL+deliveryPath)
	for _, link := range []string{good[:len(good)-1], good + "A", s.server.URL + unsubscribePath + why, s.server.URL + unsubscribePath + "x"} {
		b.get(link).has(404)
		b.post(link, "List-Unsubscribe", "One-Click").has(404)
	}
	if now, err := s.config.Subscriptions.Get(t.Context(), sub.ID); err != nil || now.State != subscriptions.Active {
		t.Errorf("the alert is %v, %v", now.State, err)
	}
}
