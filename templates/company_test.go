package templates

import (
	"html"
	"slices"
	"strings"
	"testing"
	"time"
)

// teaShop is a company by its names in two languages.
func teaShop(locale string) string {
	if strings.HasPrefix(locale, "zh") {
		return "三杯茶"
	}
	return "The Tea Shop"
}

func TestTheCompanyIsCalledInTheTemplatesLanguage(t *testing.T) {
	s := NewStore(nil, teaShop, time.Now)
	data := map[string]any{"company": "Another", "member": map[string]any{"locale": "de"}}
	for locale, want := range map[string]string{"en": "From The Tea Shop.", "zh-CN": "From 三杯茶."} {
		for _, body := range []string{"From {{ company }}.", "From {% if company %}{{ company | default: 'us' }}{% endif %}."} {
			got, err := s.Preview(t.Context(), Template{Channel: "sms", Locale: locale, Body: body}, data)
			if err != nil || got.Text != want {
				t.Errorf("%s in %s: %q and %v, want %q", body, locale, got.Text, err, want)
			}
		}
	}
	if data["company"] != "Another" || len(data) != 2 {
		t.Errorf("the data was changed: %v", data)
	}
	got, err := preview(t.Context(), Template{Channel: "sms", Locale: "en", Body: "From {{ company | default: 'us' }}."}, data)
	if err != nil || got.Text != "From us." {
		t.Errorf("without a company: %q and %v", got.Text, err)
	}
}

// TestACompanysNameIsNeverInterpreted fills every channel for one whose name
// has all that means something somewhere.
func TestACompanysNameIsNeverInterpreted(t *testing.T) {
	const name = `"Smith & Sons" <b>*x*</b> {{ member.name }}{% endif %} | [9] - say: 'x'`
	s := NewStore(nil, func(string) string { return name }, time.Now)
	fill := func(channel, subject, source, body string) Content {
		t.Helper()
		got, err := s.Preview(t.Context(), Template{Channel: channel, Locale: "en", Subject: subject, HTML: source, Body: body}, Sample())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	mail := fill("email", "{{ company }}", "<p>{{ company }}</p>", "")
	if want := "<p>" + html.EscapeString(name) + "</p>"; mail.Subject != name || mail.HTML != want || mail.Text != name {
		t.Errorf("a mail says %q, %q and %q", mail.Subject, mail.HTML, mail.Text)
	}
	if text := fill("sms", "", "", "{{ company }}!").Text; text != name+"!" {
		t.Errorf("a text says %q", text)
	}
	if call := fill("voice", "", "", "steps:\n  - say: \"This is {{ company }}.\"\n").Script; len(call.Steps) != 1 || call.Steps[0].Say != "This is "+name+"." {
		t.Errorf("a call has %d steps: %+v", len(call.Steps), call.Steps)
	}
	fax := fill("fax", "", "", "| | |\n|---|---|\n| From | {{ company }} |\n")
	built, said := outline(fax.Text)
	word, _ := outline(strings.Replace(fax.Text, markdownText(name), "word", 1))
	if built != word || !strings.Contains(said, "<b>*x*</b>") && !strings.Contains(said, `\<b\>`) {
		t.Errorf("a fax is built as %s and says %q", built, said)
	}
}

// TestStartersSayWhoSpeaks fills the starter messages for a company: mails
// are headed by its name and calls say it first, as does what confirms an
// address or answers a text.
func TestStartersSayWhoSpeaks(t *testing.T) {
	starters, _, err := starterTemplates()
	if err != nil {
		t.Fatal(err)
	}
	s := NewStore(nil, teaShop, time.Now)
	signed := []string{"confirm_address.sms.en", "reply_stop.sms.en", "reply_start.sms.en", "reply_help.sms.en", "reply_stop.sms.zh-CN", "reply_help.sms.zh-CN"}
	for _, template := range starters {
		which := template.Name + "." + template.Channel + "." + template.Locale
		content, err := s.Preview(t.Context(), template, Sample())
		if err != nil {
			t.Fatal(err)
		}
		name, says := teaShop(template.Locale), strings.Contains(content.Text, teaShop(template.Locale))
		switch template.Channel {
		case "email":
			says = strings.HasPrefix(content.Text, name+"\n") && strings.Contains(content.HTML, ">"+name+"</td>")
		case "voice":
			says = strings.Contains(content.Script.Steps[0].Say, name)
		case "sms":
			says = says == slices.Contains(signed, which)
			if n := len([]rune(content.Text)); n > 160 {
				t.Errorf("%s has %d characters", which, n)
			}
		case "fax": // its head line is the account's
			says = says == (template.Name == "confirm_address")
		}
		if !says {
			t.Errorf("%s says otherwise who speaks:\n%s", which, content.Text)
		}
		if template.Name == "confirm_address" || which == "price_drop.voice.en" || which == "price_drop.voice.zh-CN" || template.Name == "reply_help" {
			golden(t, which+".company.txt", strings.TrimPrefix(content.Subject+"\n\n", "\n\n")+content.Text+"\n")
		}
	}
}
