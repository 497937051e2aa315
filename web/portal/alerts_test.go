package portal

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"herald/subscriptions"
)

func TestAnAlertIsPausedChangedStoppedAndStartedAgain(t *testing.T) {
	s := newShop(t)
	sub := s.order(s.register("wei"))
	b := s.signedIn("wei")
	path := alertPath(sub.ID)

	b.post(path+"/pause").has(200, "All your alerts are paused.", "Paused: 4411 at 499 or less.", `action="`+path+`/resume"`)
	b.post(path+"/resume").has(200, "You will hear about one thing.")

	b.get(path).has(200, `value="4411"`, `value="499"`, `name="version" value="3"`, `name="digest" value="" checked`, "Together, once a day at 09:00")
	tomorrow := s.clock.now().AddDate(0, 0, 2).Format(time.DateOnly)
	b.post(path, "version", "3", "params.product", "4411", "params.target", "450", "channels[0]", "sms", "channels[1]", "email",
		"digest", "daily", "cool_down", "1h0m0s", "max_notifications", "3", "valid_until", tomorrow, "repeats", "weekly").
		has(200, "4411 at 450 or less", "by SMS, then by e-mail", "at most once an hour · together, once a day", "0 of 3 sent", "begins again every week")
	b.post(path, "version", "3", "params.product", "4411", "params.target", "1").has(409, "changed or stopped elsewhere", `value="1"`)

	b.get(path).has(200, `name="digest" value="daily" checked`)

	b.get(path+"/stop").has(200, "Stop this alert?", "4411 at 450 or less")
	b.post(path+"/stop").has(200, "You have no alerts yet.", `action="`+path+`/again"`)
	b.post(path+"/stop").has(200, "You have no alerts yet.")
	b.get(path).has(200, "Ended alerts", "you stopped it")
	b.post(path+"/again").has(200, "On again: 4411 at 450 or less", "You will hear about one thing.", "together, once a day")
	b.post(path+"/again").has(200, "You will hear about one thing.")
}

func TestTheFormSaysWhatToMendAtEachField(t *testing.T) {
	s := newShop(t)
	s.register("wei")
	b := s.signedIn("wei")
	for name, c := range map[string]struct {
		pairs []string
		want  []string
	}{
		"nothing entered": {nil, []string{`<a href="#f-params-product">Product number</a>: Please fill this in.`, `<a href="#f-params-target">Your price</a>`}},
		"no number":       {[]string{"params.product", "4411", "params.target", "1,000"}, []string{"Please enter a number, without commas.", `value="1,000"`, `value="4411"`}},
		"below the least": {[]string{"params.product", "4411", "params.target", "-1"}, []string{"Please enter 0.01 or more."}},
		"hostile": {
			[]string{"params.product", `"><img src=x onerror=alert(1)>`, "params.target", "x"},
			[]string{`value="&#34;&gt;&lt;img src=x onerror=alert(1)&gt;"`},
		},
		"an unknown channel": {[]string{"params.product", "4411", "params.target", "1", "channels[0]", "pigeon"}, []string{"Please choose one of the offered values."}},
		"an unknown digest":  {[]string{"params.product", "4411", "params.target", "1", "digest", "weekly"}, []string{`<a href="#f-digest">When shall we tell you?</a>: Please choose one of the offered values.`}},
		"a day gone by":      {[]string{"params.product", "4411", "params.target", "1", "valid_until", "2020-01-01"}, []string{"still to come", "<details class=\"more-settings\" open>"}},
		"no date":            {[]string{"params.product", "4411", "params.target", "1", "valid_until", "soon"}, []string{"Please enter a date like 2026-03-31."}},
		"no whole number":    {[]string{"params.product", "4411", "params.target", "1", "max_notifications", "many"}, []string{"Please enter a whole number"}},
		"no length":          {[]string{"params.product", "4411", "params.target", "1", "cool_down", "often"}, []string{"Please enter a length of time."}},
		"repeats, no end":    {[]string{"params.product", "4411", "params.target", "1", "repeats", "weekly"}, []string{`<a href="#f-valid_until">Last day</a>: Please fill this in.`}},
	} {
		t.Run(name, func(t *testing.T) {
			b := *b
			b.t = t
			b.post("/new/price_drop", c.pairs...).has(422, c.want...)
		})
	}
	b.get("/new/no_such_thing").has(404, "There is nothing here")
	b.get("/alerts").has(200, "You have no alerts yet.")
}

func TestTheSameAlertTwiceIsSaid(t *testing.T) {
	s := newShop(t)
	s.order(s.register("wei"))
	s.signedIn("wei").post("/new/price_drop", "params.product", "4411", "params.target", "499").has(409, "You already have an alert like this one")
}

func TestAnothersThingsAreNotThere(t *testing.T) {
	s := newShop(t)
	ann := s.register("ann")
	sub := s.order(ann)
	delivery := s.drop(ann)
	contacts, err := s.config.Contacts.ForMember(t.Context(), ann.ID)
	if err != nil {
		t.Fatal(err)
	}
	contact := "/contacts/" + strconv.FormatInt(contacts[0].ID, 10)
	s.register("eve")
	b := s.signedIn("eve")
	for _, path := range []string{
		alertPath(sub.ID), alertPath(sub.ID) + "/stop", "/sent/" + delivery.ID.String(), contact + "/confirm", contact + "/remove",
		"/alerts/0", "/alerts/x", "/sent/x", "/sent?before=x", "/contacts/9999999999999999999/confirm", "/nothing",
	} {
		b.get(path).has(404, "There is nothing here").lacks("4411")
	}
	for _, path := range []string{"/stop", "/pause", "/resume", "/again", ""} {
		b.post(alertPath(sub.ID)+path).has(404, "There is nothing here")
	}
	for _, path := range []string{"/confirm", "/code", "/remove"} {
		b.post(contact+path, "code", "123456").has(404)
	}
	still, err := s.config.Subscriptions.Get(t.Context(), sub.ID)
	if err != nil || still.State != subscriptions.Active {
		t.Errorf("ann's alert is %v, %v", still.State, err)
	}
}

func TestEveryStarterTriggerHasAForm(t *testing.T) {
	s := newShop(t)
	s.register("wei")
	b := s.signedIn("wei")
	triggers, err := s.config.Triggers.List(t.Context())
	if err != nil || len(triggers) == 0 {
		t.Fatalf("%d triggers, %v", len(triggers), err)
	}
	for _, trigger := range triggers {
		for _, lang := range []string{"en", "zh"} {
			p := b.get("/new/"+trigger.Name+"?lang="+lang).has(200, trigger.Title.In(lang))
			for _, param := range trigger.Params {
				p.has(200, param.Title.In(lang), `name="params.`+param.Name+`"`)
			}
		}
	}
	b.post("/new/new_product?lang=en", "params.categories", "toys", "params.categories", "books").has(200, "New in Books and media, Toys and children")
}

func TestACustomersPageIsSmallAndHasNoScript(t *testing.T) {
	s := newShop(t)
	s.order(s.register("wei"))
	p := s.signedIn("wei").get("/alerts").has(200)
	p.lacks("<script")
	if len(p.body) > 30_000 {
		t.Errorf("the page has %d bytes", len(p.body))
	}
	if policy := p.header.Get("Content-Security-Policy"); strings.Contains(policy, "script-src") {
		t.Errorf("policy %q", policy)
	}
}
