package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"herald/access"
	"herald/app/config"
	simmodem "herald/hardware/sim/modem"
	"herald/hardware/sim/smsc"
	"herald/hardware/sim/texts"
	"herald/subscriptions"
)

// company is a node with an API key, for tests that read like its users' day.
type company struct {
	t *testing.T
	*App
	key string
}

func open(t *testing.T, cfg config.Config) *company {
	t.Helper()
	a, err := New(t.Context(), cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, key, err := a.Keys.Create(t.Context(), "test", access.Scopes)
	if err != nil {
		t.Fatal(err)
	}
	return &company{t, a, key}
}

// ask calls the API.
func (c *company) ask(want int, method, path string, body, answer any) {
	c.t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.URL()+path, bytes.NewReader(encoded))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", "application/json")
	if strings.HasSuffix(path, "/events") {
		req.Header.Set("Content-Type", "application/cloudevents+json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		c.t.Fatalf("%s %s = %d, want %d: %v %s", method, path, res.StatusCode, want, err, text)
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			c.t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
}

// waits registers a member who waits for the price of a kettle, by SMS.
func (c *company) waits(account, number string) {
	c.t.Helper()
	var member struct {
		ID int64 `json:"id"`
	}
	c.ask(http.StatusCreated, "POST", "/api/v1/members", map[string]any{
		"account": account, "contacts": []map[string]any{{"channel": "sms", "address": number, "verified": true}},
	}, &member)
	c.ask(http.StatusCreated, "POST", "/api/v1/subscriptions", map[string]any{
		"member_id": member.ID, "trigger": "price_drop", "cool_down": "0s", "channels": []string{"sms"},
		"params": map[string]any{"product": "kettle", "target": 49},
	}, nil)
}

// costs tells that the kettle has another price.
func (c *company) costs(price int) {
	c.t.Helper()
	c.ask(http.StatusAccepted, "POST", "/api/v1/events", map[string]any{
		"specversion": "1.0", "id": "price-" + strconv.Itoa(price), "source": "/shop", "type": "price.changed",
		"data": map[string]any{"product": "kettle", "name": "Kettle", "price": price, "currency": "EUR"},
	}, nil)
}

// become waits until the member's deliveries are in these states, the latest first.
func (c *company) become(account string, states ...string) {
	c.t.Helper()
	want := strings.Join(states, ", ")
	c.until(func() (string, bool) {
		var page struct {
			Items []struct{ State, Reason string }
		}
		c.ask(http.StatusOK, "GET", "/api/v1/deliveries?trigger=price_drop&member="+account, nil, &page)
		found := make([]string, len(page.Items))
		for i, d := range page.Items {
			found[i] = strings.TrimSpace(d.State + " " + d.Reason)
		}
		got := strings.Join(found, ", ")
		return account + "'s deliveries are " + got + ", want " + want, got == want
	})
}

// stops waits until an address is suppressed.
func (c *company) stops(address string) {
	c.t.Helper()
	c.until(func() (string, bool) {
		list, err := c.Consents.Suppressions(c.t.Context(), subscriptions.SuppressionFilter{Channel: subscriptions.SMS, Address: address, Limit: 1})
		return fmt.Sprintf("suppressions of %s: %v %v", address, list, err), err == nil && len(list) == 1 && list[0].Reason == subscriptions.Stopped
	})
}

// until asks again and again.
func (c *company) until(done func() (says string, ok bool)) {
	c.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	limit := time.After(2 * time.Minute)
	for {
		says, ok := done()
		if ok {
			return
		}
		select {
		case <-again.C:
		case <-limit:
			c.t.Fatal(says)
		}
	}
}

func arrived(t *testing.T, box *texts.Box, to, part string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := box.WaitFor(ctx, func(kept []texts.Text, _ int64) bool {
		for _, one := range kept {
			if strings.TrimPrefix(one.To, "+") == to && strings.Contains(one.Text, part) {
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatalf("nothing about %q reached %s: %v\n%+v", part, to, err, box.All())
	}
}

// farEnds are an operator's message centre and a modem.
func farEnds(t *testing.T) (*smsc.SMSC, *simmodem.Modem) {
	t.Helper()
	center, phone := smsc.New(smsc.Config{}), simmodem.New(simmodem.Config{})
	begin(t, center)
	begin(t, phone)
	return center, phone
}

// Each number is written to by the account that is made for it; the operator's
// receipt and the phone's STOP count.
func TestTextMessagesGoByCentreAndByModem(t *testing.T) {
	center, phone := farEnds(t)
	cfg := settings(t)
	cfg.Dispatch.FirstRetry = 100 * time.Millisecond
	cfg.SMS = config.SMS{
		SMPP: []config.SMPPAccount{{
			Name: "operator", Host: "127.0.0.1", Port: mustPort(t, center.Addr()), SystemID: "herald", Password: "secret", Source: "10690001",
			Use: config.Use{MinSessions: 1, MaxSessions: 1, Recipients: []string{"+86"}},
		}},
		Modems: []config.ModemAccount{
			{Name: "stick", Device: phone.Path(), Use: config.Use{MaxSessions: 1, Recipients: []string{"+1"}}},
			{Name: "unplugged", Device: filepath.Join(t.TempDir(), "none"), Use: config.Use{MaxSessions: 1, Recipients: []string{"+49"}}},
		},
	}
	c := open(t, cfg)
	c.waits("lina", "+8613800138000")
	c.waits("bob", "+12025550123")
	c.costs(45)
	arrived(t, center.Texts(), "8613800138000", "45")
	arrived(t, phone.Texts(), "12025550123", "45")
	c.become("lina", "delivered")
	c.become("bob", "delivered")

	if err := center.Say("+8613800138000", "10690001", "TD"); err != nil {
		t.Fatal(err)
	}
	if err := phone.Deliver("+12025550123", "stop"); err != nil {
		t.Fatal(err)
	}
	c.stops("+8613800138000")
	c.stops("+12025550123")
	c.costs(44)
	c.become("lina", "suppressed suppressed_stopped", "delivered")
	c.become("bob", "suppressed suppressed_stopped", "delivered")
}

// What a modem swallowed is sent again under its old reference, once.
func TestWhatAModemSwallowedIsSentAgain(t *testing.T) {
	_, phone := farEnds(t)
	cfg := settings(t)
	cfg.Dispatch.FirstRetry = 100 * time.Millisecond
	cfg.SMS.Modems = []config.ModemAccount{{Name: "stick", Device: phone.Path(), SubmitTimeout: 3 * time.Second, Use: one}}
	c := open(t, cfg)
	c.waits("bob", "+12025550123")
	c.costs(45)
	c.become("bob", "delivered") // and the modem is known to send our references
	if err := phone.SetFaults(simmodem.Fault{Kind: simmodem.Ignored, Command: "+CMGS", Times: 1}); err != nil {
		t.Fatal(err)
	}
	c.costs(44)
	arrived(t, phone.Texts(), "12025550123", "44")
	c.become("bob", "delivered", "delivered")
	if n := phone.Texts().Count(); n != 2 {
		t.Errorf("%d texts arrived, want 2", n)
	}
}
