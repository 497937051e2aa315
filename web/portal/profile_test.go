package portal

import (
	"strings"
	"testing"

	"herald/subscriptions"
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
