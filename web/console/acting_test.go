package console_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"herald/dispatch"
	"herald/subscriptions"
)

func TestOnlyWhatFailedOrIsInDoubtIsSentAgain(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	found := s.delivered("fine", "refused", "doubt")
	v := s.signedIn("bob")
	again := func(d dispatch.Delivery) answer {
		path := "/console/deliveries/" + d.ID.String()
		return v.post(path+"/retry", nil).is(http.StatusOK).at(path)
	}
	again(found[0]).has("Nothing was done.")
	again(found[1]).has("It will be sent again.", "retried by operator bob")
	again(found[1]).has("Nothing was done.")
	again(found[2]).has("It will be sent again.")
	v.post("/console/deliveries/x/retry", nil).is(http.StatusNotFound)
	for i, want := range []dispatch.State{dispatch.Accepted, dispatch.Pending, dispatch.InDoubt} {
		if got := s.deliveries(dispatch.Search{Member: found[i].Member})[0].State; got != want {
			t.Errorf("%s is %s, want %s", found[i].Member, got, want)
		}
	}
}

func TestAnAddressIsSuppressedAndLiftedAgain(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	d := s.delivered("fine")[0]
	back := "/console/deliveries/" + d.ID.String()
	v := s.signedIn("bob")
	form := url.Values{"channel": {"email"}, "address": {"fine@example.com"}, "back": {back}}
	v.get(back).has("Stop contacting this address")
	v.post("/console/suppress", form).at(back).has("fine@example.com will not be contacted", "Undo", "suppressed: by an operator").
		lacks("Stop contacting this address")
	if !s.suppressed("fine@example.com") {
		t.Error("not suppressed")
	}
	v.get("/console/suppressions?address=Fine@example.com").has("operator bob")
	v.post("/console/suppress/lift", form).at(back).has("may be contacted again") // what Undo posts
	if s.suppressed("fine@example.com") {
		t.Error("not lifted")
	}
	v.post("/console/suppress/lift", form).is(http.StatusNotFound)
	form.Set("address", "no address")
	v.post("/console/suppress", form).is(http.StatusUnprocessableEntity)
}

func TestAnOperatorAddsAnAddressByHand(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("bob")
	v.get("/console/suppressions").is(http.StatusOK).has("No address is suppressed", `href="/console/suppressions/new"`)
	const path, list = "/console/suppressions/new", "/console/suppressions"
	v.get(path).is(http.StatusOK).has("for any purpose", "Phone call", "Your name is kept with it.")
	v.post(path, url.Values{"channel": {"sms"}, "address": {"+86 138 0013 8000"}, "note": {"rang us: <no> more"}}).is(http.StatusOK).at(list).
		has("&#43;86 138 0013 8000 will not be contacted.", "Undo", "by an operator", "operator bob: rang us: &lt;no&gt; more")
	v.get(list+"?lang=zh-CN").has("由操作员停发", "操作员 bob: rang us")
	v.get(list + "?lang=en")

	must(t, s.Consents.Suppress(t.Context(), subscriptions.Suppression{Channel: subscriptions.Email, Address: "angry@example.com", Reason: subscriptions.Complained}))
	v.post(path, url.Values{"channel": {"email"}, "address": {"Angry@example.com"}}).at(list).
		has("angry@example.com was not contacted before either: complained", "Lift this only when they have asked").lacks("Undo")
}

func TestAnAddressThatCannotBeSuppressedSaysWhy(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("bob")
	for name, c := range map[string]struct{ channel, address, note, fault string }{
		"nothing written":     {"email", "", "", "f-address-fault"},
		"no mail address":     {"email", "wei at example", "", "f-address-fault"},
		"no country code":     {"sms", "13800138000", "", "f-address-fault"},
		"an unknown channel":  {"pigeon", "wei@example.com", "", "f-channel-fault"},
		"a note without end":  {"email", "wei@example.com", strings.Repeat("茶", 501), "f-note-fault"},
		"a number for a mail": {"email", "13800138000", "", "f-address-fault"},
	} {
		form := url.Values{"channel": {c.channel}, "address": {c.address}, "note": {c.note}}
		a := v.post("/console/suppressions/new", form).is(http.StatusUnprocessableEntity).has(c.fault, `value="`+c.address)
		if t.Failed() {
			t.Fatalf("%s: %s", name, a.main())
		}
	}
	v.postFrom("https://evil.example", "/console/suppressions/new", url.Values{"channel": {"email"}, "address": {"wei@example.com"}}).is(http.StatusForbidden)
	if s.suppressed("wei@example.com") {
		t.Error("suppressed all the same")
	}
}

func TestAFormLeadsBackIntoTheConsoleOnly(t *testing.T) {
	t.Parallel()
	v := newStand(t).signedIn("ann")
	for _, back := range []string{"https://evil.example", "//evil.example", "/", "/consoles", ""} {
		form := url.Values{"channel": {"email"}, "address": {"a@example.com"}, "back": {back}}
		v.post("/console/suppress", form).is(http.StatusUnprocessableEntity)
	}
}

// definition is a trigger's form as the page shows it.
func (v *visitor) definition(name string) url.Values {
	v.t.Helper()
	a := v.get("/console/triggers/" + name).is(http.StatusOK)
	text := regexp.MustCompile(`(?s)<textarea[^>]*>(.*)</textarea>`).FindStringSubmatch(a.body)
	version := regexp.MustCompile(`name="version" value="(\d+)"`).FindStringSubmatch(a.body)
	if text == nil || version == nil {
		v.t.Fatal("no form: " + a.body)
	}
	return url.Values{"definition": {html.UnescapeString(text[1])}, "version": {version[1]}}
}

func TestATriggerIsSavedAsANewVersion(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("ann")
	for _, trigger := range []string{"price_drop", "low_balance", "new_product", "promotion"} {
		form := v.definition(trigger)
		form.Set("definition", strings.Replace(form.Get("definition"), "expiry: 24h", "expiry: 12h", 1))
		v.post("/console/triggers/"+trigger, form).is(http.StatusOK).at("/console/triggers/"+trigger).has("Saved as a new version", "version 2")
	}
	saved, err := s.Triggers.Get(t.Context(), "price_drop")
	must(t, err)
	if saved.Version != 2 || saved.Expiry != "12h" || !saved.Enabled {
		t.Errorf("saved %+v", saved)
	}
}

func TestAMistakeInATriggerSavesNothing(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("ann")
	form := v.definition("price_drop")
	good := form.Get("definition")
	for name, c := range map[string]struct{ definition, path, says string }{
		"no YAML":              {"name: [", "definition", "This is not YAML"},
		"a field there is not": {good + "\nnosuch: 1\n", "definition", "nosuch"},
		"another name":         {strings.Replace(good, "name: price_drop", "name: other", 1), "name", "cannot be changed"},
		"an unknown attribute": {strings.Replace(good, "event.price <=", "event.prize <=", 1), "condition", "prize"},
		"nothing at all":       {"", "definition", "This is not YAML"},
	} {
		t.Log(name)
		form.Set("definition", c.definition)
		v.post("/console/triggers/price_drop", form).is(http.StatusUnprocessableEntity).
			has("Nothing was saved", "<code>"+c.path+"</code>", c.says)
	}
	trigger, err := s.Triggers.Get(t.Context(), "price_drop")
	must(t, err)
	if trigger.Version != 1 {
		t.Errorf("version %d was saved", trigger.Version)
	}
}

func TestTwoWhoEditATriggerDoNotOverwriteEachOther(t *testing.T) {
	t.Parallel()
	v := newStand(t).signedIn("ann")
	form := v.definition("price_drop")
	v.post("/console/triggers/price_drop", form).at("/console/triggers/price_drop").has("version 2")
	v.post("/console/triggers/price_drop", form).is(http.StatusConflict).has("Nothing was saved", "has changed since version 1")
	form.Set("version", "x")
	v.post("/console/triggers/price_drop", form).is(http.StatusUnprocessableEntity).has("<code>version</code>")
}

func TestATriggerIsTakenOffOfferAndPutBack(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("ann")
	for _, on := range []bool{false, true} {
		v.post("/console/triggers/price_drop/enabled", url.Values{"enabled": {strconv.FormatBool(on)}}).is(http.StatusOK).at("/console/triggers/price_drop")
		trigger, err := s.Triggers.Get(t.Context(), "price_drop")
		must(t, err)
		if trigger.Enabled != on {
			t.Errorf("enabled %v, want %v", trigger.Enabled, on)
		}
	}
	v.post("/console/triggers/nosuch/enabled", url.Values{"enabled": {"true"}}).is(http.StatusNotFound)
}
