package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"herald/postgres"
)

// TestPagesOfABusyShop comes to the pages when there is much on them: the
// demonstration's shop after an hour with customers, refused mail, mail that
// waits for its next try. With -screenshots it makes the README's pictures.
func TestPagesOfABusyShop(t *testing.T) {
	t.Parallel()
	dir := passableDir(t)
	d := demonstrate(t, "--data-dir", dir)
	d.livesThroughAnHour(t)
	spreadOverAnHour(t, filepath.Join(dir, "postgres"))

	shopVisitor := visit(t, d.shop, desktop)
	shopVisitor.open("/")
	shopVisitor.fill("price", "440")
	shopVisitor.press("Change")
	shopVisitor.awaits("the mails to show by themselves", arrivals("Stroller Lite is now ¥440.00"))

	lookAtOperatorsPages(t, d)
	lookAtCustomersPages(t, d)
}

func lookAtOperatorsPages(t *testing.T, d demonstration) {
	o := visit(t, d.portal, desktop)
	o.open("/console")
	o.fill("name", demoOperator)
	o.fill("password", demoPassword)
	o.press("Sign in to the console")
	o.sees("targeted", "address dead")
	o.picture("console-overview.png")
	for _, path := range []string{
		"/console/deliveries", "/console/deliveries?state=failed", "/console/deliveries?state=deferred",
		"/console/members", "/console/triggers", "/console/templates", "/console/templates/price_drop", "/console/suppressions", "/console/suppressions/new", "/console/accounts", "/console/accounts/modem", "/console/replies",
	} {
		o.open(path)
	}
	o.open("/console/deliveries?member=grace&trigger=price_drop&state=accepted")
	o.clickOn("tbody tr td:last-child")
	o.sees("attempt 1 accepted")
	o.picture("console-delivery.png")
	o.open("/console/attention?state=deferred")
	o.sees("All ", "that match")
	o.picture("console-attention.png")
	startCampaign(o)
	o.open("/console/members?q=wei")
	o.press("wei")
	o.window.language = "zh"
	o.press("中文")
}

// startCampaign starts the demonstration's draft and watches it leave.
func startCampaign(o *visitor) {
	o.open("/console/campaigns")
	o.press("A week of tea")
	o.sees("9 members would be told")
	o.unfold("Start…")
	o.press("Start now")
	o.awaits("the messages to leave", `document.body.innerText.includes("balanced") && /accepted\s+[78]\b/.test(document.body.innerText)`)
	o.picture("console-campaign.png")
	o.open("/console/campaigns")
}

func lookAtCustomersPages(t *testing.T, d demonstration) {
	atDesk := visit(t, d.portal, desktop)
	signInAs(atDesk, "grace")
	atDesk.reads("You will hear about 3 things.")
	atDesk.picture("portal-alerts.png")
	atDesk.press("Why did I get this?")
	atDesk.reads("You agreed to hear about this by")
	atDesk.picture("portal-why.png")

	onPhone := visit(t, d.portal, phone)
	signInAs(onPhone, "wei")
	onPhone.reads("您订阅了 5 件事。")
	onPhone.picture("portal-phone.png")
	for _, path := range []string{"/sent", "/profile", "/new", "/new/promotion", "/new/price_drop"} {
		onPhone.open(path)
	}
}

func signInAs(v *visitor, account string) {
	v.t.Helper()
	v.atMost = portalAtMost
	v.open("/sign-in")
	v.fill("account", account)
	v.fill("password", demoPassword)
	v.clickOn("main form button")
}

// livesThroughAnHour sends what happens in a shop in an hour, while the mail
// server refuses one member for good and another for now.
func (d demonstration) livesThroughAnHour(t *testing.T) {
	t.Helper()
	d.send(t, "PUT", d.shop+"/mail/faults", "application/json", map[string]any{"faults": []map[string]any{
		{"recipient": "alan@example.com", "kind": "refuse", "code": 550, "text": "5.1.1 no such user"},
		{"recipient": "rosa@example.com", "kind": "temporary", "code": 452, "text": "4.2.2 mailbox full"},
	}})
	var events []map[string]any
	tell := func(kind string, data map[string]any) {
		events = append(events, map[string]any{
			"specversion": "1.0", "id": fmt.Sprint("hour-", len(events)), "source": "shop", "type": kind, "data": data,
		})
	}
	members := []string{"wei", "grace", "lina", "ada", "rosa", "mei", "linus", "chenyu", "marie"}
	steps := []string{"paid", "packed", "shipped", "delivered"}
	for i := range 60 {
		order := map[string]any{"account": members[i*7%len(members)], "order": fmt.Sprint("2026-", 4401+i*7%len(members)), "status": steps[i/15]}
		tell("order.changed", order)
		if i%4 == 0 {
			tell("price.changed", fallenPrice(i/4))
		}
	}
	tell("balance.changed", map[string]any{"account": "wei", "balance": 38.5, "currency": "CNY"})
	for _, event := range events { // one by one, to keep their order
		d.send(t, "POST", d.portal+"/api/v1/events", structured, event)
	}
	d.waitUntilQuiet(t)
}

// fallenPrice is one of the shop's prices, down by some percent that differ
// from time to time.
func fallenPrice(i int) map[string]any {
	products := []struct {
		id, name string
		price    float64
	}{{"stroller", "Stroller Lite", 529}, {"kettle", "Gooseneck kettle", 219}, {"headphones", "Quiet headphones", 1299}, {"lamp", "Reading lamp", 168}, {"backpack", "Day backpack", 349}}
	p := products[i%len(products)]
	now := float64(int(p.price * float64(90-3*(i*5%7)) / 100))
	return map[string]any{"product": p.id, "name": p.name, "price": now, "previous_price": p.price, "currency": "CNY"}
}

// waitUntilQuiet waits until nothing is on its way any more, but for what the
// mail server puts off.
func (d demonstration) waitUntilQuiet(t *testing.T) {
	t.Helper()
	h := &herald{t: t, url: d.portal, key: d.key}
	h.eventually("the mails to leave", func() bool { // a call takes as long as it takes
		return !slices.ContainsFunc(h.deliveries(), func(d delivery) bool { return d.Channel != "voice" && d.State == "pending" })
	})
}

// send sends a body as JSON, as the shop or as its mail server's master.
func (d demonstration) send(t *testing.T, method, address, contentType string, body any) {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Authorization", "Bearer "+d.key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(res.Body)
	if res.StatusCode/100 != 2 || strings.Contains(string(said), `"refused":1`) {
		t.Fatalf("%s %s: %s: %.500s", method, address, res.Status, said)
	}
}

// passableDir is a folder through which the user of a private server can pass
// when the tests run as root, unlike those of t.TempDir.
func passableDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "herald-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // passable, not readable
		t.Fatal(err)
	}
	return dir
}

// spreadOverAnHour moves what happened in the last seconds apart, in waves, so
// that it looks as if it had taken an hour. All that one event caused is moved
// together, and the order stays.
func spreadOverAnHour(t *testing.T, server string) {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{DataDir: server}) // beside its owner
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	const back = `(SELECT id, 60 * (58 - 57 * part - 3 * sin(12 * part)) * interval '1 second' AS back FROM (
		SELECT n.id, percent_rank() OVER (ORDER BY coalesce(n.event_id, n.id)) AS part FROM notifications n) ranked) moved`
	for _, statement := range []string{
		`UPDATE attempts a SET started_at = started_at - back, ended_at = ended_at - back
		FROM deliveries d, ` + back + ` WHERE d.id = a.delivery_id AND d.notification_id = moved.id`,
		`UPDATE deliveries d SET created_at = created_at - back, changed_at = changed_at - back
		FROM ` + back + ` WHERE d.notification_id = moved.id`,
		`UPDATE events e SET time = time - back, received_at = received_at - back
		FROM (SELECT DISTINCT ON (n.event_id) n.event_id, back FROM notifications n JOIN ` + back + ` USING (id)) first WHERE e.id = first.event_id`,
		`UPDATE subscriptions s SET last_fired_at = last_fired_at - back
		FROM (SELECT n.subscription_id, min(back) AS back FROM notifications n JOIN ` + back + ` USING (id) GROUP BY 1) newest WHERE s.id = newest.subscription_id`,
		`UPDATE notifications n SET created_at = created_at - back, decision = (
			SELECT jsonb_agg(step || jsonb_build_object('at', (step ->> 'at')::timestamptz - back) ORDER BY place)
			FROM jsonb_array_elements(decision) WITH ORDINALITY AS steps (step, place))
		FROM ` + back + ` WHERE n.id = moved.id`,
		`DELETE FROM minutes`,
		`INSERT INTO minutes (minute, channel, account, outcome, n)
		SELECT date_trunc('minute', a.ended_at), d.channel, a.account, a.outcome, count(*)
		FROM attempts a JOIN deliveries d ON d.id = a.delivery_id
		WHERE a.outcome <> '' GROUP BY 1, 2, 3, 4`,
	} {
		if _, err := db.Pool().Exec(t.Context(), statement); err != nil {
			t.Fatalf("%v: %s", err, statement)
		}
	}
}
