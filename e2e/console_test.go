package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// operator is somebody who works at the console.
type operator struct {
	*visitor
	herald *herald
}

const operatorPassword = "watch the ledger balance"

func TestConsole(t *testing.T) {
	t.Parallel()
	h := start(t)
	if _, err := h.try(operatorPassword+"\n", "admin", "create", "anna"); err != nil {
		t.Fatal(err)
	}
	h.onlooker("wei")
	h.onlooker("lina")
	o := &operator{visitor: visit(t, h.url, desktop), herald: h}
	o.signsIn()
	o.watchesFiguresMove()
	o.findsTheDelivery()
	o.readsItsCourse()
	o.suppressesAndLifts()
	o.looksAtTheMember()
	o.explainsTheEvent()
	o.mendsATrigger()
	o.importsACalendar()
	o.signsOut()
}

func (o *operator) signsIn() {
	o.t.Helper()
	o.open("/console") // leads to the sign-in
	o.fill("name", "anna")
	o.fill("password", "a guess at it")
	o.pressFor("Sign in to the console", http.StatusUnauthorized)
	o.sees("That account and password do not go together.")
	o.fill("name", "anna")
	o.fill("password", operatorPassword)
	o.press("Sign in to the console")
}

// watchesFiguresMove posts an event and touches nothing.
func (o *operator) watchesFiguresMove() {
	o.t.Helper()
	o.sees("All is well", "Nothing failed today.")
	const empty = `document.querySelector("#figures").innerText.includes("No notification was decided today")`
	o.awaits("an empty overview", empty)
	o.herald.call(http.StatusAccepted, "POST", "/api/v1/events", structured, price("cheaper", 45), nil)
	o.herald.waitForMails(2)
	o.awaits("the figures to move", `[...document.querySelectorAll("tr")].some(r => /^(All|E-mail)\s+2\s+2\s/.test(r.innerText))`)
	o.checkWidths(func(format string, args ...any) { o.t.Errorf("/console, after it moved: "+format, args...) })
}

// explainsTheEvent finds the event again, and why somebody heard nothing of it.
func (o *operator) explainsTheEvent() {
	o.t.Helper()
	o.herald.call(http.StatusAccepted, "POST", "/api/v1/events", structured, price("dearer", 60), nil)
	o.press("Events")
	o.sees("price.changed", "€60", "€45")
	o.picture("events.png")
	o.fill("attribute", "price=60")
	o.press("Search")
	o.sees("€60")
	o.readsNot("€45")
	o.clickOn("tbody a")
	o.sees("It met nothing", "Why not?")
	o.fill("member", "wei")
	o.press("Compare")
	o.sees("The condition was not met.", "wanted at most")
	o.picture("event.png")
}

// findsTheDelivery searches in every way that an operator may know it by.
func (o *operator) findsTheDelivery() {
	o.t.Helper()
	o.press("Deliveries")
	o.sees("wei@example.com", "lina@example.com")
	for field, value := range map[string]string{
		"member": "wei", "address": "wei@example.com", "trigger": "price_drop", "state": "accepted",
	} {
		o.open("/console/deliveries")
		if field == "member" || field == "address" {
			o.fill(field, value)
		} else {
			o.choose(field, value)
		}
		o.press("Search")
		o.sees("wei@example.com")
		if byPerson := field == "member" || field == "address"; byPerson {
			o.readsNot("lina@example.com")
		}
		if !strings.Contains(o.where(), field+"="+strings.ReplaceAll(value, "@", "%40")) {
			o.t.Errorf("the search cannot be shared: %s", o.where())
		}
	}
	o.open("/console/deliveries?state=failed")
	o.sees("No delivery fits this search")
	o.open("/console/deliveries?member=wei")
	o.clickOn("tbody tr td:last-child") // the whole row leads there
}

// readsItsCourse follows the delivery from the event to the hand-over.
func (o *operator) readsItsCourse() {
	o.t.Helper()
	said := o.text()
	for _, step := range []string{"event received: price.changed, id cheaper, source /shop", "condition met", "channel chosen", "attempt 1 by e-mail", "attempt 1 accepted"} {
		_, rest, found := strings.Cut(said, step)
		if !found {
			o.t.Fatalf("the course does not say %q, or not in its place:\n%s", step, said)
		}
		said = rest
	}
}

func (o *operator) suppressesAndLifts() {
	o.t.Helper()
	delivery := o.where()
	o.unfold("Stop contacting this address…")
	o.press("Stop contacting it")
	o.sees("wei@example.com will not be contacted.", "suppressed: by an operator")
	o.herald.call(http.StatusAccepted, "POST", "/api/v1/events", structured, price("cheaper-still", 40), nil)
	o.herald.waitForMails(3)
	o.herald.rest()
	o.open("/console/deliveries?state=suppressed")
	o.sees("wei", "suppressed: by an operator")
	o.unfold("More")
	o.press("Suppressed")
	o.sees("wei@example.com")
	o.open(delivery)
	o.press("Lift")
	o.sees("wei@example.com may be contacted again.")
	o.herald.call(http.StatusAccepted, "POST", "/api/v1/events", structured, price("cheapest", 30), nil)
	o.herald.waitForMails(5)
}

func (o *operator) looksAtTheMember() {
	o.t.Helper()
	o.press("Members")
	o.sees("2 members")
	o.fill("q", "wei")
	o.press("Search")
	o.press("wei")
	o.sees("wei@example.com", "kettle at 49 or less", "Deliveries")
	o.openFor(http.StatusNotFound, "/console/members/999999")
	o.openFor(http.StatusNotFound, "/console/deliveries/00000000-0000-7000-8000-000000000000")
}

// mendsATrigger saves a definition with a mistake, sees what is wrong and
// mends it.
func (o *operator) mendsATrigger() {
	o.t.Helper()
	o.open("/console/triggers")
	o.press("Price drop")
	text := look[string](o.visitor, `document.querySelector("[name=definition]").value`)
	wrong := strings.Replace(text, "event.price <= param.target", "event.price <= param.tarrget", 1)
	if wrong == text {
		o.t.Fatalf("the definition has no such condition:\n%s", text)
	}
	o.choose("definition", wrong)
	o.pressFor("Save as a new version", http.StatusUnprocessableEntity)
	o.sees("Nothing was saved.", "condition", "tarrget")
	o.entered("definition", wrong)
	o.choose("definition", text)
	o.press("Save as a new version")
	o.sees("Saved as a new version.")
}

func (o *operator) signsOut() {
	o.t.Helper()
	o.press("Sign out")
	o.open("/console/deliveries") // leads to the sign-in
	o.sees("Sign in to the console")
}
