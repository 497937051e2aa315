package portal

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestACustomerRegistersConfirmsAndSubscribes(t *testing.T) {
	s := newShop(t)
	b := s.browser()
	b.get("/").has(200, "Create an account")
	p := b.post("/register", "account", "Wei", "password", password, emailField, "wei@Example.COM", "display_name", "Zhang Wei",
		"locale", "en", "time_zone", "Asia/Shanghai", "offers", "false", "offers", "true")
	p.has(200, "Welcome, Zhang Wei", "wei@example.com", `autocomplete="one-time-code"`)
	confirm := p.path

	b.post(confirm, "code", "").has(422, "Please fill this in.")
	wrong := "000000"
	if s.code() == wrong {
		wrong = "000001"
	}
	b.post(confirm, "code", wrong).has(422, "This is not right.", `value="`+wrong+`"`)
	b.post(confirm, "code", s.code()).has(200, "wei@example.com is confirmed", "You have no alerts yet.")

	b.get("/new").has(200, "Price drop", "Low balance")
	b.get("/new/price_drop").has(200, "Product number", `inputmode="decimal"`)
	b.post("/new/price_drop", "params.product", "4411", "params.target", "499", "channels[0]", "email").
		has(200, "You will hear about one thing.", "4411 at 499 or less", "by e-mail")

	consents, err := s.config.Consents.ForMember(t.Context(), 1)
	if err != nil || len(consents) != 2 {
		t.Fatalf("consents %+v, %v; want marketing from registering and service from the alert", consents, err)
	}
	b.post("/sign-out").has(200, "Create an account")
	b.get("/alerts").has(200, "Sign in")
}

func TestRegistrationSaysWhatToMend(t *testing.T) {
	s := newShop(t)
	s.register("wei")
	b := s.browser()
	b.post("/register").has(422, `<a href="#f-account">Account name</a>: Please fill this in.`, `id="f-password-fault"`)
	b.post("/register", "account", "wei", "password", password, emailField, "a@example.com").has(409, "Somebody already uses this.")
	b.post("/register", "account", "x<script>", "password", "short", emailField, "nobody", "locale", "xx-yy-zz-", "time_zone", "Mars/Base").
		has(422, "x&lt;script&gt;", "at least 10 characters", "does not look like an e-mail address", "Please choose from the list.").
		lacks("<script>")
	b.get("/register?lang=zh-CN").has(200, "注册账号", `<option value="Asia/Shanghai" selected>`)
}

func TestANewCodeIsNotSentTooSoon(t *testing.T) {
	s := newShop(t)
	b := s.browser()
	confirm := b.post("/register", "account", "wei", "password", password, emailField, "wei@example.com").path
	code := strings.TrimSuffix(confirm, "/confirm") + "/code"
	b.post(code).has(200, "tried too many times", "Confirm your address")
	s.clock.move(2 * time.Minute)
	b.post(code).has(200, "A new code is on its way")
}

func TestAWrongPasswordManyTimes(t *testing.T) {
	s := newShop(t)
	s.register("wei")
	b := s.browser()
	b.post("/sign-in", "account", "wei", "password", "three blind rats").has(401, "do not go together", `value="wei"`).lacks("three blind rats")
	b.post("/sign-in", "account", "nobody", "password", "three blind rats").has(401, "do not go together")
	for range 200 {
		p := b.post("/sign-in", "account", "wei", "password", "three blind rats")
		if p.status == http.StatusTooManyRequests {
			p.has(429, "tried too many times")
			b.post("/sign-in", "account", "wei", "password", password).has(429, "tried too many times")
			return
		}
	}
	t.Fatal("200 wrong passwords were not too many")
}

func TestSigningInLeadsBack(t *testing.T) {
	s := newShop(t)
	s.register("wei")
	b := s.browser()
	b.get("/profile").has(200, "Sign in")
	if p := b.post("/sign-in", "account", "wei", "password", password); p.path != "/profile" {
		t.Errorf("led to %s, want /profile", p.path)
	}
}

func TestAPostFromAnotherSiteChangesNothing(t *testing.T) {
	s := newShop(t)
	m := s.register("wei")
	sub := s.order(m)
	b := s.signedIn("wei")
	b.do("POST", alertPath(sub.ID)+"/stop", nil, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }).has(403, "came from another website")
	b.do("POST", alertPath(sub.ID)+"/stop", nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }).has(403, "came from another website")
	b.get("/alerts").has(200, "You will hear about one thing.")
}
