package console_test

import (
	"net/http"
	"strings"
	"testing"

	"herald/campaigns"
	"herald/templates"
)

func TestTemplatesAreListedWithWhatUsesThem(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.marketer().post("/console/campaigns", tea()).is(http.StatusOK)
	v := s.signedIn("bob")
	v.get("/console/templates").is(http.StatusOK).
		has(`href="/console/templates/price_drop"`, "Price drop</a>", "E-mail, SMS, Phone call, Fax", "English, Chinese (China)", "the answer to STOP").
		lacks("campaign_")
	v.get("/console/templates?lang=zh-CN").has("消息模板", "中文 (中国)", "降价提醒</a>")
	s.visitor().get("/console/templates").at("/console/sign-in")
}

func TestATemplateIsShownAsItReads(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("bob")
	v.get("/console/templates/price_drop").is(http.StatusOK).
		has("Teapot, three cups is now €45.00", "Phone call, English", "E-mail, Chinese (China)", "{{ event.", "PUT /api/v1/templates/price_drop/email/en", "SMS, English", "version 1").
		lacks("ZgotmplZ")
	v.get("/console/triggers/price_drop").has(`href="/console/templates/price_drop"`)
	v.get("/console/templates/nosuch").is(http.StatusNotFound)

	_, err := s.Templates.Save(t.Context(), templates.Template{
		Name: "hostile", Channel: "sms", Locale: "en", Body: "<script>alert(1)</script> {{ member.name }}", SavedBy: "key:the shop",
	})
	must(t, err)
	v.get("/console/templates/hostile").is(http.StatusOK).
		has("&lt;script&gt;alert(1)&lt;/script&gt; Wei", "API key the shop", ">nothing<", "1 part").lacks("<script>alert")
}

func TestACampaignsMessagesLeadToTheCampaign(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	at := s.marketer().post("/console/campaigns", tea()).is(http.StatusOK).path
	list, err := s.Templates.List(t.Context())
	must(t, err)
	for _, template := range list {
		id, owns := campaigns.OwnsTemplate(template.Name)
		if owns != strings.HasPrefix(template.Name, "campaign_") {
			t.Errorf("%s: owned %v, by %d", template.Name, owns, id)
		}
		if owns {
			s.signedIn("bob").get("/console/templates/"+template.Name).is(http.StatusOK).has(`href="`+at+`"`, "changed with the campaign").lacks("PUT /api")
		}
	}
	for _, name := range []string{"campaign_1", "campaign_1_x", "campaign_01_1", "campaign_1_1_1", "xcampaign_1_1", ""} {
		if id, owns := campaigns.OwnsTemplate(name); owns || id != 0 {
			t.Errorf("%q is owned by %d", name, id)
		}
	}
}
