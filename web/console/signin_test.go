package console_test

import (
	"net/http"
	"net/url"
	"testing"
)

func TestNobodySeesAnythingBeforeSigningIn(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.visitor()
	for _, path := range []string{"/console", "/console/deliveries", "/console/deliveries.csv", "/console/members/1", "/console/triggers/price_drop", "/console/suppressions"} {
		v.get(path).is(http.StatusOK).at("/console/sign-in")
	}
	v.get("/console/live").is(http.StatusUnauthorized)
	v.post("/console/suppress", url.Values{"channel": {"email"}, "address": {"a@example.com"}, "back": {"/console"}}).at("/console/sign-in")
	if list := s.suppressed("a@example.com"); list {
		t.Error("a stranger suppressed an address")
	}
}

func TestSigningInLeadsToWhereOneWasGoing(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.visitor()
	v.get("/console/deliveries?state=failed").at("/console/sign-in")
	v.post("/console/sign-in", url.Values{"name": {"Ann"}, "password": {password}, "zone": {"Asia/Shanghai"}}).
		is(http.StatusOK).at("/console/deliveries?state=failed").has("ann", "Sign out")
	v.get("/console/sign-in").at("/console").has("CST")
	v.post("/console/sign-out", nil).at("/console/sign-in")
	v.get("/console").at("/console/sign-in")
}

func TestAWrongPasswordIsRefusedAndThenThrottled(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.visitor()
	wrong := url.Values{"name": {"ann"}, "password": {"not the password"}}
	v.post("/console/sign-in", wrong).is(http.StatusUnauthorized).
		has("do not go together", `value="ann"`).lacks("not the password")
	for range 10 {
		v.post("/console/sign-in", wrong)
	}
	a := v.post("/console/sign-in", url.Values{"name": {"ann"}, "password": {password}}).is(http.StatusTooManyRequests)
	a.has("too many times")
	v.get("/console").at("/console/sign-in")
}

func TestADisabledOperatorIsOutAtOnce(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("bob")
	v.get("/console/members").at("/console/members")
	must(t, s.Operators.Disable(t.Context(), "bob"))
	v.get("/console/members").at("/console/sign-in")
	v.get("/console/live").is(http.StatusUnauthorized)
	v.post("/console/sign-in", url.Values{"name": {"bob"}, "password": {password}}).is(http.StatusUnauthorized)
}

func TestANewPasswordEndsTheSessionsUnderTheOldOne(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("bob")
	must(t, s.Operators.SetPassword(t.Context(), "bob", "another long password"))
	v.get("/console/members").at("/console/sign-in")
	v.get("/console/live").is(http.StatusUnauthorized)
}

func TestOnlyAnAdminChangesTriggers(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("bob")
	v.get("/console/triggers/price_drop").is(http.StatusOK).has("readonly", "Only an admin").lacks("Save as a new version")
	v.post("/console/triggers/price_drop", url.Values{"definition": {"name: price_drop"}}).is(http.StatusForbidden)
	v.post("/console/triggers/price_drop/enabled", url.Values{"enabled": {"false"}}).is(http.StatusForbidden)
	trigger, err := s.Triggers.Get(t.Context(), "price_drop")
	must(t, err)
	if trigger.Version != 1 || !trigger.Enabled {
		t.Errorf("the trigger was changed: version %d, enabled %v", trigger.Version, trigger.Enabled)
	}
}

func TestAPostFromAnotherSiteDoesNothing(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("ann")
	form := url.Values{"channel": {"email"}, "address": {"a@example.com"}, "back": {"/console"}}
	v.postFrom("https://evil.example", "/console/suppress", form).is(http.StatusForbidden)
	v.postFrom("null", "/console/suppress", form).is(http.StatusForbidden)
	if s.suppressed("a@example.com") {
		t.Error("another site suppressed an address")
	}
	v.post("/console/suppress", form).is(http.StatusOK)
	if !s.suppressed("a@example.com") {
		t.Error("the console's own page could not")
	}
}
