package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"herald/demo"
	"herald/hardware/sim/smtp"
)

// watcher is a member who waits for a share to cost no more than a target.
type watcher struct {
	address string
	symbol  string
	target  float64
	most    int // notifications at most; 0: without limit
}

const watchers = 300

// enrolWatchers registers members with random thresholds over the API, the
// same each time.
func enrolWatchers(h *herald, prices []demo.Price) []watcher {
	chance := rand.New(rand.NewPCG(1, 2))
	var list []watcher
	for i := range watchers {
		account := fmt.Sprintf("watcher%03d", i)
		var member struct {
			ID int64 `json:"id"`
		}
		h.call(http.StatusCreated, "POST", "/api/v1/members", "application/json", map[string]any{
			"account": account, "contacts": []map[string]any{{"channel": "email", "address": account + "@example.com", "verified": true}},
		}, &member)
		for range 1 + chance.IntN(2) {
			// Of five prices of the series the lowest: a threshold that some months meet.
			p := prices[chance.IntN(len(prices))]
			for range 4 {
				if q := prices[chance.IntN(len(prices))]; q.Value < p.Value {
					p = q
				}
			}
			w := watcher{address: account + "@example.com", symbol: p.Symbol, target: p.Value}
			if chance.IntN(2) == 0 {
				w.most = 1 + chance.IntN(5)
			}
			status, text, err := h.request(h.t.Context(), "POST", "/api/v1/subscriptions", "application/json", map[string]any{
				"member_id": member.ID, "trigger": "price_drop", "cool_down": "0s", "max_notifications": w.most,
				"params": map[string]any{"product": w.symbol, "target": w.target},
			})
			switch {
			case err != nil:
				h.t.Fatal(err)
			case status == http.StatusCreated:
				list = append(list, w)
			case status != http.StatusConflict: // by chance the same wish twice
				h.t.Fatalf("POST subscription = %d: %s", status, text)
			}
		}
	}
	return list
}

// expectedMails is the brute-force calculation: how often each address gets
// each subject.
func expectedMails(list []watcher, prices []demo.Price) map[string]int {
	want := map[string]int{}
	for _, w := range list {
		sent := 0
		for _, p := range prices {
			if p.Symbol == w.symbol && p.Value <= w.target && (w.most == 0 || sent < w.most) {
				sent++
				want[mailKey(w.address, fmt.Sprintf("%s is now $%.2f", p.Symbol, p.Value))]++
			}
		}
	}
	return want
}

func mailKey(address, subject string) string { return address + " ← " + subject }

// receivedMails counts the same in the SMTP server.
func receivedMails(mails []smtp.Mail) map[string]int {
	got := map[string]int{}
	for _, m := range mails {
		got[mailKey(m.To[0], m.Subject)]++
	}
	return got
}

func total(counts map[string]int) int64 {
	var n int64
	for c := range maps.Values(counts) {
		n += int64(c)
	}
	return n
}

// priceEvents are the series as CloudEvents.
func priceEvents(prices []demo.Price) []map[string]any {
	list := make([]map[string]any, len(prices))
	for i, p := range prices {
		list[i] = map[string]any{
			"specversion": "1.0", "id": fmt.Sprintf("stocks-%d", i), "source": "/stocks", "type": "price.changed",
			"data": map[string]any{"product": p.Symbol, "name": p.Symbol, "price": p.Value, "currency": "USD", "date": p.Date.Format(time.DateOnly)},
		}
	}
	return list
}

const (
	jsonBatch = "application/cloudevents-batch+json"
	batchSize = 20
)

func TestStockPricesReachExactlyThoseWhoAsked(t *testing.T) {
	t.Parallel()
	h := start(t)
	prices, err := demo.Prices()
	if err != nil {
		t.Fatal(err)
	}
	want := expectedMails(enrolWatchers(h, prices), prices)
	events := priceEvents(prices)
	for i := 0; i < len(events); i += batchSize {
		h.call(http.StatusAccepted, "POST", "/api/v1/events", jsonBatch, events[i:min(i+batchSize, len(events))], nil)
	}
	// Sent once more, it changes nothing.
	var again struct{ Duplicates int }
	h.call(http.StatusAccepted, "POST", "/api/v1/events", jsonBatch, events, &again)
	if again.Duplicates != len(events) {
		t.Errorf("%d of %d repeated events are duplicates", again.Duplicates, len(events))
	}

	h.waitForMails(total(want))
	ledger := h.rest()
	compareMails(t, want, receivedMails(h.mail.Messages()))
	if ledger.Accepted != total(want) || ledger.Targeted != total(want) || !ledger.Balanced {
		t.Errorf("ledger = %+v, want %d targeted and accepted", ledger, total(want))
	}
	t.Logf("%d mails of %d events", total(want), len(events))
}

func TestStockPricesSurviveSIGKILL(t *testing.T) {
	t.Parallel()
	h := start(t)
	prices, err := demo.Prices()
	if err != nil {
		t.Fatal(err)
	}
	want := expectedMails(enrolWatchers(h, prices), prices)
	events := priceEvents(prices)
	killAt, inFlight := len(events)/2/batchSize*batchSize, int64(0)
	for i := 0; i < len(events); i += batchSize {
		batch := events[i:min(i+batchSize, len(events))]
		if i == killAt {
			// In the middle of it all: mail is on its way, and this batch is
			// being taken in when the process dies.
			h.waitForMails(total(want) / 4)
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _, _ = h.request(context.WithoutCancel(t.Context()), "POST", "/api/v1/events", jsonBatch, batch) // whatever comes of it
			}()
			h.kill()
			<-sent
			inFlight = h.inFlight()
			h.boot()
		}
		h.call(http.StatusAccepted, "POST", "/api/v1/events", jsonBatch, batch, nil)
	}

	ledger := h.rest()
	if ledger.Accepted != total(want) || !ledger.Balanced {
		t.Errorf("ledger = %+v, want %d accepted", ledger, total(want))
	}
	h.checkRepeats(want, inFlight)
}

// inFlight is how many deliveries are in hand-overs under way: right after a
// kill, what the dead node had in its hands and what others have.
func (h *herald) inFlight() int64 {
	h.t.Helper()
	return count(h.t, connectTo(h.t, h.database), `SELECT coalesce(sum(cardinality(deliveries)), 0) FROM hand_overs`)
}

// checkRepeats holds that nothing is missing, and that what came twice was in
// flight when the process died, is the same mail to any reader, and is marked.
func (h *herald) checkRepeats(want map[string]int, inFlight int64) {
	h.t.Helper()
	got := receivedMails(h.mail.Messages())
	var repeats int64
	for key, n := range want {
		if got[key] < n {
			h.t.Errorf("%s: came %d times, want %d", key, got[key], n)
		}
	}
	seen := map[string]int64{}
	for _, m := range h.mail.Messages() {
		seen[m.MessageID]++
		if seen[m.MessageID] > 1 {
			repeats++
		}
	}
	if distinct := int64(len(seen)); distinct != total(want) {
		h.t.Errorf("%d different mails, want %d", distinct, total(want))
	}
	if repeats > inFlight {
		h.t.Errorf("%d mails came again, more than the %d that were in flight", repeats, inFlight)
	}
	if marked := h.repeated(); marked < repeats {
		h.t.Errorf("%d mails came again, and %d are marked so", repeats, marked)
	}
	h.t.Logf("%d mails, %d in flight at the kill, %d of them came again", total(want), inFlight, repeats)
}

// repeated sums up the hand-overs that are marked as repetitions.
func (h *herald) repeated() int64 {
	h.t.Helper()
	var sum int64
	for _, d := range h.deliveries() {
		sum += int64(d.Repeated)
	}
	return sum
}

// delivery is an item of GET /api/v1/deliveries.
type delivery struct {
	ID       string
	Channel  string
	Address  string
	State    string
	Reason   string
	Repeated int
}

// deliveries are all of them, page by page.
func (h *herald) deliveries() []delivery {
	h.t.Helper()
	var list []delivery
	for path := "/api/v1/deliveries?limit=200"; path != ""; {
		var page struct {
			Items []delivery
			Next  string
		}
		h.call(http.StatusOK, "GET", path, "", nil, &page)
		list = append(list, page.Items...)
		path = ""
		if page.Next != "" {
			path = "/api/v1/deliveries?limit=200&cursor=" + page.Next
		}
	}
	return list
}

func compareMails(t *testing.T, want, got map[string]int) {
	t.Helper()
	wrong := 0
	for key := range want {
		if got[key] != want[key] {
			wrong++
			if wrong < 10 {
				t.Errorf("%s: came %d times, want %d", key, got[key], want[key])
			}
		}
	}
	for key := range got {
		if want[key] == 0 {
			wrong++
			if wrong < 10 {
				t.Errorf("%s: came, and nobody asked for it", key)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d are wrong", wrong, len(want))
	}
}

// ledger is GET /api/v1/ledger.
type ledger struct {
	Targeted, Accepted, Delivered, Suppressed, Deferred, Failed, Pending int64
	InDoubt                                                              int64 `json:"in_doubt"`
	Balanced                                                             bool
}

func (h *herald) ledger() ledger {
	h.t.Helper()
	var l ledger
	h.call(http.StatusOK, "GET", "/api/v1/ledger", "", nil, &l)
	return l
}

// rest waits until no delivery can move any more.
func (h *herald) rest() ledger {
	h.t.Helper()
	return h.restWithin(patience)
}

// restWithin is rest with another limit.
func (h *herald) restWithin(limit time.Duration) (l ledger) {
	h.t.Helper()
	defer func() {
		if h.t.Failed() {
			h.t.Logf("the ledger is %+v", l)
		}
	}()
	eventually(h.t, limit, "everything to come to rest", func() bool {
		l = h.ledger()
		return l.Pending+l.Deferred+l.InDoubt == 0
	})
	return l
}

// eventually asks again and again until done says so.
func (h *herald) eventually(what string, done func() bool) {
	h.t.Helper()
	eventually(h.t, patience, what, done)
}

// waitForMails waits until the SMTP server has taken that many.
func (h *herald) waitForMails(n int64) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	if err := h.mail.WaitForCount(ctx, n); err != nil {
		h.t.Fatalf("%d of %d mails came: %v\n%s", h.mail.Count(), n, err, strings.TrimSpace(h.proc.text()))
	}
}
