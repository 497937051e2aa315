package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"herald/subscriptions"
	"herald/web/console"
)

func priced(c *console.Config) { c.PricePerPart, c.Currency = 0.045, "CNY" }

// text is a form of a campaign of one SMS.
func text(body string, change ...string) url.Values {
	return tea(append([]string{"channels[0]", "sms", "messages[0].channel", "sms", "messages[0].subject", "", "messages[0].body", body}, change...)...)
}

func TestAnSMSIsMeasuredWhileItIsWritten(t *testing.T) {
	t.Parallel()
	s := newStand(t, priced)
	v := s.marketer()
	const at = "/console/campaigns/0/sms/0"
	v.get("/console/campaigns/new").has(`hx-post="/console/campaigns/0/sms/0"`, `id="sms-0" role="status" aria-live="polite"`)
	for name, test := range map[string]struct {
		form         url.Values
		has, hasNone []string
	}{
		"one part":      {text("Hello {{ member.name }}"), []string{"<strong>1 part</strong>", "GSM-7", "151 characters left", "¥0.045 a message", "a sample member called Wei"}, []string{"<html", "because of", "dry run"}},
		"two parts":     {text(strings.Repeat("a", 170)), []string{"<strong>2 parts</strong>", "136 characters left", "¥0.09 a message"}, nil},
		"UCS-2":         {text("“a” “b”"), []string{"UCS-2", "<bdi>“</bdi></code> 2 times", "(write &#34;)", "63 characters left"}, nil},
		"unseen":        {text("a\u200bb"), []string{"<bdi>U&#43;200B</bdi>"}, nil},
		"many":          {text("天地玄黄宇宙洪荒日月盈昃"), []string{"<bdi>日</bdi>", "2 other characters"}, []string{"<bdi>盈</bdi>"}},
		"markup":        {text("<b>{{ member.name }}</b>中<"), []string{"<bdi>中</bdi>"}, []string{"<b>"}},
		"too long":      {text(strings.Repeat("a", 255*153+1)), []string{"cannot be sent"}, []string{"part<"}},
		"no template":   {text("{% if %}"), []string{"How long it is cannot be told yet", "line 1"}, []string{"part<"}},
		"another":       {tea(), nil, []string{"part"}},
		"nothing":       {text(" "), nil, []string{"part"}},
		"campaign data": {text("{{ campaign.name }}"), []string{"147 characters left"}, nil},
	} {
		t.Run(name, func(t *testing.T) { v.post(at, test.form).is(http.StatusOK).has(test.has...).lacks(test.hasNone...) })
	}
	v.post("/console/campaigns/0/sms/20", text("a")).is(http.StatusNotFound)
	v.post("/console/campaigns/0/sms/x", text("a")).is(http.StatusNotFound)
	v.post("/console/campaigns/x/sms/0", text("a")).is(http.StatusNotFound)
	s.signedIn("bob").post(at, text("a")).is(http.StatusForbidden)
	s.visitor().post(at, text("a")).is(http.StatusForbidden)
	v.post(at+"?lang=zh-CN", text("“a”")).is(http.StatusOK).has("1 条", "可改为", "每位会员 ¥0.045")
}

func TestWithoutScriptsAnSMSIsMeasuredWithThePreview(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.marketer()
	v.post("/console/campaigns", text("Hello", "do", "preview")).is(http.StatusOK).has("<strong>1 part</strong>", "155 characters left").lacks("¥")
	v.post("/console/campaigns", text("Hello", "do", "preview", "messages[0].channel", "email")).is(http.StatusOK).lacks("characters left")
	at := v.post("/console/campaigns", text("Hello")).is(http.StatusOK).path
	v.get(at).has("155 characters left")
	v.get(at + "/edit").has("155 characters left")
}

func TestTheDryRunTellsWhatTheSMSOfACampaignCost(t *testing.T) {
	t.Parallel()
	s := newStand(t, priced)
	v := s.marketer()
	wei := s.reachedBySMS("wei", "魏")
	at := v.post("/console/campaigns", text("{{ member.name }}"+strings.Repeat("a", 170),
		"messages[1].channel", "sms", "messages[1].locale", "zh-CN", "messages[1].body", "八折")).is(http.StatusOK).path
	v.post(at+"/dry-run", nil).is(http.StatusOK)
	s.counted(fmt.Sprintf(`{"meant": 1010, "reached": {"sms en": 1000, "sms zh-Hans-CN": 8, "sms fr": 2}, "refused": {}, "chosen": [%d]}`, wei))
	page := v.get(at).is(http.StatusOK).has("1,010 SMS:", "2,012 parts", "¥90.54", "For 1,002 members, by the last dry run:", "2,004 parts", "¥90.18", "For 8 members", "8 parts", "¥0.36")
	page.lacks("in a year")
	_, standing, _ := strings.Cut(page.body, `id="outlook"`)
	standing, _, _ = strings.Cut(standing, "What it says")
	if !strings.Contains(standing, "<strong>3 parts</strong>") || !strings.Contains(standing, "¥0.135 a message") || !strings.Contains(standing, "<bdi>魏</bdi>") || strings.Contains(standing, "called Wei") {
		t.Errorf("the sample of a member with a Chinese name: %s", standing)
	}
	v.get(at+"/edit").has("For 1,002 members", "¥90.18")
	v.post(at+"/edit", text("Hello", "do", "preview", "how", "birthday")).has("For 1,010 members in a year", "1,010 parts", "¥45.45")
	id := strings.TrimPrefix(at, "/console/campaigns/")
	v.post("/console/campaigns/"+id+"/sms/0", text("Hello")).has("For 1,010 members, by the last dry run", "¥45.45")
	v.post("/console/campaigns/"+id+"99/sms/0", text("Hello")).is(http.StatusOK).has("1 part").lacks("dry run")
}

// reachedBySMS registers somebody who agreed to marketing by SMS.
func (s *stand) reachedBySMS(account, displayName string) int64 {
	s.t.Helper()
	m, err := s.Members.Register(s.t.Context(), subscriptions.Registration{
		Account: account, DisplayName: displayName, Locale: "en", TimeZone: "Asia/Shanghai", Origin: "api",
		Contacts: []subscriptions.NewContact{{Channel: subscriptions.SMS, Address: "+8613800138000", Verified: true}},
	})
	must(s.t, err)
	must(s.t, s.Consents.Record(s.t.Context(), m.ID, subscriptions.NewConsent{Channel: subscriptions.SMS, Purpose: subscriptions.Marketing, Granted: true, Source: "api", Evidence: "the shop asked"}))
	return m.ID
}

// counted ends the dry runs with a tally, as the workers would.
func (s *stand) counted(tally string) {
	s.t.Helper()
	_, err := s.pool.Exec(s.t.Context(), `UPDATE campaign_dry_runs SET state = 'done', next_id = last_id + 1, result = $1`, tally)
	must(s.t, err)
}
