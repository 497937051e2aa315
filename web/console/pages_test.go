package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"herald/dispatch"
	"herald/subscriptions"
	"herald/web/page"
)

// unworded finds keys that were shown in place of their wording.
var unworded = regexp.MustCompile(`>\s*(calendars|console|templates|campaign|replies|told|state|reason|rule|form|time|duration)\.[a-z_.]+`)

func TestEveryPageIsThereInBothLanguages(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	found := s.delivered("fine", "dead", "busy", "doubt")
	must(t, s.Consents.Suppress(t.Context(), subscriptions.Suppression{Channel: subscriptions.Email, Address: "fine@example.com", Reason: subscriptions.Complained}))
	must(t, s.store.Rule(t.Context(), dispatch.RulingRetry, found[1].ID, "operator:ann"))
	s.wrote("+8613800138000", "STOP", "hello")
	v := s.signedIn("ann")
	paths := []string{
		"/console", "/console/deliveries", "/console/deliveries?member=nobody", "/console/deliveries?since=x", "/console/members",
		"/console/members?q=nobody", fmt.Sprint("/console/members/", found[0].MemberID), "/console/triggers", "/console/triggers/price_drop",
		"/console/replies", "/console/replies?keywords=1", "/console/replies?address=nobody",
		"/console/templates", "/console/templates/price_drop", "/console/templates/reply_stop", "/console/templates/nosuch",
		"/console/suppressions", "/console/suppressions?address=nobody", "/console/suppressions/new", "/console/attention", "/console/attention?reason=busy&account=smtp", "/console/nothing",
		"/console/calendars", "/console/calendars/fairs", "/console/calendars/_import", "/console/calendars/_import?name=fairs",
	}
	for _, d := range found {
		paths = append(paths, "/console/deliveries/"+d.ID.String())
	}
	for _, language := range page.Languages {
		for _, path := range paths {
			to, err := url.Parse(path)
			must(t, err)
			query := to.Query()
			query.Set("lang", language)
			to.RawQuery = query.Encode()
			a := v.get(to.String()).has(`<html lang="` + language + `">`)
			if a.status >= http.StatusInternalServerError {
				t.Errorf("%s: status %d", path, a.status)
			}
			if key := unworded.FindString(a.body); key != "" {
				t.Errorf("%s in %s shows %s", path, language, key)
			}
			if strings.Contains(a.body, "ZgotmplZ") {
				t.Errorf("%s in %s has an unsafe value", path, language)
			}
		}
	}
	v.get("/console/no/such/page?lang=en").is(http.StatusNotFound).has("There is nothing here", "Sign out")
	s.visitor().get("/console/sign-in?lang=zh-CN").is(http.StatusOK).has("登录控制台")
}

func TestADeliveryIsToldFromEventToOutcome(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	found := s.delivered("fine", "refused")
	v := s.signedIn("ann")
	v.get("/console/deliveries/"+found[0].ID.String()).is(http.StatusOK).
		has("price.changed", "source shop-1", "Baby stroller Lite", "¥489", "channel chosen: E-mail", "attempt 1 accepted", "250 2.0.0", "5F21A0", "ms</time>").
		lacks("Retry…")
	v.get("/console/deliveries/"+found[1].ID.String()).is(http.StatusOK).
		has("554 5.7.1", "said the &lt;b&gt;server&lt;/b&gt;", "Retry…").lacks("<b>server</b>")
}

func TestWhatIsHostileIsShownAsText(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	const evil = `<script>alert(1)</script>"'><img src=x>`
	m := s.member("mallory", evil)
	s.subscribe(m.ID, evil)
	s.price(evil, evil)
	d := s.deliveries(dispatch.Search{Member: "mallory"})[0]
	v := s.signedIn("ann")
	for _, path := range []string{
		"/console/members", fmt.Sprint("/console/members/", m.ID), "/console/deliveries/" + d.ID.String(),
		"/console/members?q=" + url.QueryEscape(evil), "/console/deliveries?address=" + url.QueryEscape(evil) + "&member=" + url.QueryEscape(evil),
		"/console/suppressions?address=" + url.QueryEscape(evil),
	} {
		v.get(path).is(http.StatusOK).has("&lt;script&gt;").lacks("<script>alert", "<img src=x")
	}
	v.get("/console/deliveries?state=" + url.QueryEscape(evil)).is(http.StatusUnprocessableEntity).lacks("<script>alert")
}

func TestAMemberShowsAllThatIsKnown(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	m, err := s.Members.Register(t.Context(), subscriptions.Registration{
		Account: "wei", DisplayName: "Wei Zhang", Locale: "zh-CN", TimeZone: "Asia/Shanghai", Birthday: "1990-02-28", Origin: "api",
		Attributes: map[string]any{"grade": "gold", "tags": []any{"vip", "baby"}},
		Contacts:   []subscriptions.NewContact{{Channel: subscriptions.SMS, Address: "+8613800138000"}},
	})
	must(t, err)
	s.subscribe(m.ID, "4411")
	ended := s.subscribe(m.ID, "8812")
	must(t, s.Subscriptions.End(t.Context(), ended.ID, "cancelled", "member"))
	v := s.signedIn("bob")
	v.get(fmt.Sprint("/console/members/", m.ID)).is(http.StatusOK).
		has("Wei Zhang", "1990-02-28", "gold", `[&#34;vip&#34;,&#34;baby&#34;]`, "138 0013 8000", "not yet", "4411 at 499 or less", "8812 at 499 or less", "stopped by the member")
	v.get("/console/members?q=wei").has("Wei Zhang")
	v.get("/console/members?q=nobody").has("No member fits")
	for _, path := range []string{"/console/members/999999", "/console/members/x", "/console/members/99999999999999999999"} {
		v.get(path).is(http.StatusNotFound)
	}
}

func TestListsComeInPages(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for i := range 60 {
		s.member(fmt.Sprintf("member%02d", i), "")
		must(t, s.Consents.Suppress(t.Context(), subscriptions.Suppression{
			Channel: subscriptions.Email, Address: fmt.Sprintf("gone%02d@example.com", i), Reason: subscriptions.Bounced,
		}))
	}
	v := s.signedIn("ann")
	for path, name := range map[string]string{"/console/members": "member", "/console/suppressions": "gone"} {
		first := v.get(path).has(name+"00", name+"49").lacks(name + "50")
		v.get(first.link("next")).has(name+"50", name+"59").lacks(">"+name+"49", `rel="next"`)
	}
}

// link is where the link with this rel leads.
func (a answer) link(rel string) string {
	a.t.Helper()
	found := regexp.MustCompile(`href="([^"]*)" rel="` + rel + `"`).FindStringSubmatch(a.body)
	if found == nil {
		a.t.Fatalf("%s has no link %s", a.path, rel)
	}
	return strings.ReplaceAll(found[1], "&amp;", "&")
}

// suppressed reports whether an address is on the list.
func (s *stand) suppressed(address string) bool {
	s.t.Helper()
	list, err := s.Consents.Suppressions(s.t.Context(), subscriptions.SuppressionFilter{Address: address})
	must(s.t, err)
	return slices.ContainsFunc(list, func(x subscriptions.Suppression) bool { return x.Address == address })
}

func TestTheMenuOpensWithoutScriptsAndSaysWhereOneIs(t *testing.T) {
	t.Parallel()
	v := newStand(t).signedIn("bob")
	v.get("/console/webhooks").has(`<summary aria-current="true">More<`, `href="/console/webhooks" aria-current="page"`)
	v.get("/console/members").has(`<summary>More<`, `href="/console/members" aria-current="page"`)
}
