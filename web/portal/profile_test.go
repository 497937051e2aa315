package portal

import (
	"strings"
	"testing"

	"herald/subscriptions"
	"herald/web/page"
)

func TestTheProfileIsChanged(t *testing.T) {
	s := newShop(t)
	m := s.register("wei")
	b := s.signedIn("wei")
	b.get("/profile").has(200, "wei@example.com", "confirmed", `value="Zhang wei"`)
	b.post("/profile", "display_name", "Wei", "locale", "zh-CN", "time_zone", "Europe/Berlin", "birthday", "1990-05-01").
		has(200, "已保存", "个人资料", `value="1990-05-01"`)
	changed, err := s.config.Members.Get(t.Context(), m.ID)
	if err != nil || changed.Locale != "zh-CN" || changed.TimeZone != "Europe/Berlin" {
		t.Errorf("%+v, %v", changed, err)
	}
	b.post("/profile", "display_name", strings.Repeat("长", 101), "locale", "zh-CN", "time_zone", "nowhere", "birthday", "2999-01-01").
		has(422, "最多 100 个字符", "请从列表中选择", "2999-01-01")
}

func TestAMemberSaysWhenItSuitsThem(t *testing.T) {
	s := newShop(t)
	m := s.register("wei")
	s.order(m)
	b := s.signedIn("wei")
	b.get("/profile").has(200, `name="quiet_from" type="time" value=""`, "Urgent messages still come", "Leave both empty for no quiet hours", `<option value="9" selected>09:00</option>`)
	b.get("/alerts").lacks("Quiet from")
	b.post("/profile/times", "quiet_from", "22:00", "quiet_until", "07:30", "digest_hour", "18").
		has(200, "Saved.", `value="22:00"`, `value="07:30"`, `<option value="18" selected>`, `value="Zhang wei"`)
	b.get("/alerts").has(200, "Quiet from 22:00 to 07:30. Urgent messages still come.")
	b.get("/alerts?lang=zh").has(200, "22:00 到 07:30 不打扰您，紧急消息除外。")
	changed, err := s.config.Members.Get(t.Context(), m.ID)
	if err != nil || *changed.QuietFrom != 22*60 || *changed.QuietUntil != 450 || changed.DigestHour != 18 || changed.DisplayName != m.DisplayName {
		t.Errorf("%+v, %v", changed, err)
	}
	b.post("/profile/times?lang=en", "quiet_from", "23:00", "quiet_until", "", "digest_hour", "18").
		has(422, `<a href="#f-quiet_until">Quiet until</a>: Please fill this in.`, `value="23:00"`, `value="Zhang wei"`)
	b.post("/profile/times", "quiet_from", "<b>", "quiet_until", "07:30", "digest_hour", "soon").
		has(422, "Please enter a time of day, like 22:00.", "Please choose one of the offered values.", "&lt;b&gt;")
	b.post("/profile/times", "quiet_from", "22:00", "quiet_until", "07:30", "digest_hour", "24").has(422, "between 0 and 23")
	b.post("/profile/times", "quiet_from", "", "quiet_until", "", "digest_hour", "0").has(200, "Saved.", `<option value="0" selected>00:00</option>`)
	b.get("/alerts").lacks("Quiet from")
}

func TestTheCompanysQuietHoursHoldForWhoChoseNone(t *testing.T) {
	p := &portal{Config: Config{QuietFrom: 21 * 60, QuietUntil: 8 * 60}}
	catalogue, err := page.LoadCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	r := page.Reader{Locale: catalogue.In("en")}
	none, night := subscriptions.Clock(600), subscriptions.Clock(60)
	for name, c := range map[string]struct {
		m    subscriptions.Member
		want string
	}{
		"none chosen":    {subscriptions.Member{}, "Quiet from 21:00 to 08:00. Urgent messages still come."},
		"others chosen":  {subscriptions.Member{QuietFrom: &night, QuietUntil: &none}, "Quiet from 01:00 to 10:00. Urgent messages still come."},
		"no quiet hours": {subscriptions.Member{QuietFrom: &none, QuietUntil: &none}, ""},
	} {
		if got := p.quietHours(r, c.m); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if help := p.times(r, timesOf(r, subscriptions.Member{})).Help; !strings.Contains(help, "21:00 to 08:00") {
		t.Errorf("the profile says %q", help)
	}
}

func TestConsentIsGivenAndTakenBack(t *testing.T) {
	s := newShop(t)
	m := s.register("wei")
	b := s.signedIn("wei")
	b.post("/profile/consents", "email:marketing", "true").has(200, "From now on we keep to it")
	consents, err := s.config.Consents.ForMember(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	reach := subscriptions.Reach{Consents: consents}
	if !reach.Agreed(subscriptions.Email, subscriptions.Marketing) || reach.Agreed(subscriptions.Email, subscriptions.Transactional) {
		t.Errorf("consents %+v; want marketing granted and transactional, which was unticked, refused", consents)
	}
}

func TestAnAddressIsAddedConfirmedAndRemoved(t *testing.T) {
	s := newShop(t)
	s.register("wei")
	b := s.signedIn("wei")
	b.post("/contacts/new", "channel", "sms", "address", "12").has(422, "and the country code", `value="12"`)
	b.post("/contacts/new", "channel", "email", "address", "wei@example.com").has(409, "already in the list")
	p := b.post("/contacts/new", "channel", "sms", "address", "+86 138 0013 8000").has(200, "86 138 0013 8000", "Confirm your address")
	b.get("/profile").has(200, "not confirmed yet")
	b.post(p.path, "code", s.code()).has(200, "is confirmed")
	remove := strings.TrimSuffix(p.path, "confirm") + "remove"
	b.get(remove).has(200, "Remove this address?")
	b.post(remove).has(200, "has been removed")
	b.get(remove).has(404)
}

func TestThePasswordIsChanged(t *testing.T) {
	s := newShop(t)
	s.register("wei")
	b, elsewhere := s.signedIn("wei"), s.signedIn("wei")
	b.post("/profile/password", "old_password", "nonsense", "password", "see how they run").has(422, "This is not right.")
	b.post("/profile/password", "old_password", password, "password", "short").has(422, "at least 10 characters")
	b.post("/profile/password", "old_password", password, "password", "see how they run").has(200, "has been changed")
	if p := b.get("/profile"); p.path != "/profile" {
		t.Errorf("who changed it is led to %s", p.path)
	}
	if p := elsewhere.get("/profile"); p.path != "/sign-in" {
		t.Errorf("a session under the old password is led to %s, want it over", p.path)
	}
	if p := s.browser().post("/sign-in", "account", "wei", "password", "see how they run"); p.path != "/alerts" {
		t.Errorf("the new password led to %s", p.path)
	}
}
