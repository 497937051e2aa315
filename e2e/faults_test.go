package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"herald/demo"
	"herald/hardware/sim/smtp"
)

// onlooker registers a member who waits for the price of a kettle.
func (h *herald) onlooker(account string) (memberID int64) {
	h.t.Helper()
	var member struct {
		ID int64 `json:"id"`
	}
	h.call(http.StatusCreated, "POST", "/api/v1/members", "application/json", map[string]any{
		"account": account, "contacts": []map[string]any{{"channel": "email", "address": account + "@example.com", "verified": true}},
	}, &member)
	h.call(http.StatusCreated, "POST", "/api/v1/subscriptions", "application/json", map[string]any{
		"member_id": member.ID, "trigger": "price_drop", "cool_down": "0s", "params": map[string]any{"product": "kettle", "target": 49},
	}, nil)
	return member.ID
}

// price is the event that a kettle costs so much.
func price(id string, amount any) map[string]any {
	return map[string]any{
		"specversion": "1.0", "id": id, "source": "/shop", "type": "price.changed",
		"data": map[string]any{"product": "kettle", "name": "Kettle", "price": amount, "currency": "EUR"},
	}
}

const structured = "application/cloudevents+json"

func TestBadEventsAreRefusedAlone(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.onlooker("wei")
	missing := price("missing", 1)
	delete(missing["data"].(map[string]any), "price")
	var answer struct {
		Accepted, Refused int
		Results           []struct {
			ID, Status string
			Problem    *struct {
				Errors []struct{ Location, Message string }
			}
		}
	}
	h.call(http.StatusAccepted, "POST", "/api/v1/events", jsonBatch,
		[]map[string]any{price("wrong", "cheap"), price("good", 40), missing, price("good", 40)}, &answer)
	if answer.Accepted != 1 || answer.Refused != 2 {
		t.Fatalf("answer = %+v, want one accepted, two refused, one duplicate", answer)
	}
	for i, want := range []string{"refused", "accepted", "refused", "duplicate"} {
		if answer.Results[i].Status != want {
			t.Errorf("event %d is %s, want %s", i, answer.Results[i].Status, want)
		}
	}
	for _, i := range []int{0, 2} {
		if p := answer.Results[i].Problem; p == nil || len(p.Errors) == 0 || !strings.Contains(p.Errors[0].Location, "price") {
			t.Errorf("refusal %d does not name the price: %+v", i, p)
		}
	}
	h.waitForMails(1)
}

func TestBadRequestsAreAnsweredAndLeaveHeraldWell(t *testing.T) {
	t.Parallel()
	h := start(t, "HERALD_HTTP_MAX_BODY=65536")
	tests := map[string]struct {
		contentType, body string
		want              int
	}{
		"malformed JSON":         {structured, `{"specversion":`, http.StatusBadRequest},
		"malformed XML":          {"application/xml", `<event><id>1</event>`, http.StatusBadRequest},
		"an XML entity":          {"application/xml", `<!DOCTYPE e [<!ENTITY a "b">]><event>&a;</event>`, http.StatusBadRequest},
		"an oversized body":      {structured, `{"x":"` + strings.Repeat("y", 70_000) + `"}`, http.StatusRequestEntityTooLarge},
		"deep nesting":           {structured, strings.Repeat(`{"a":`, 5_000), http.StatusBadRequest},
		"an unknown media type":  {"application/x-unknown", `x`, http.StatusUnsupportedMediaType},
		"no event at all":        {structured, `{}`, http.StatusUnprocessableEntity},
		"a wrong spec version":   {structured, `{"specversion":"0.3","id":"1","source":"s","type":"t"}`, http.StatusUnprocessableEntity},
		"not UTF-8":              {structured, "{\"id\":\"\xff\"}", http.StatusBadRequest},
		"something behind JSON":  {structured, `{"specversion":"1.0","id":"1","source":"s","type":"t"} x`, http.StatusBadRequest},
		"an array as one event":  {structured, `[]`, http.StatusUnprocessableEntity},
		"an object as the batch": {jsonBatch, `{}`, http.StatusBadRequest},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			status, text, err := h.request(t.Context(), "POST", "/api/v1/events", tt.contentType, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			if status != tt.want {
				t.Errorf("status = %d, want %d: %s", status, tt.want, text)
			}
			if !strings.Contains(string(text), "\"title\"") && !strings.Contains(string(text), "\"results\"") && !strings.Contains(string(text), "<problem") {
				t.Errorf("the answer explains nothing: %s", text)
			}
		})
	}
	h.onlooker("wei")
	h.call(http.StatusUnprocessableEntity, "POST", "/api/v1/subscriptions", "application/json",
		map[string]any{"member_id": 1, "trigger": "no_such_trigger", "params": map[string]any{}}, nil)
	h.call(http.StatusAccepted, "POST", "/api/v1/events", structured, price("after all that", 40), nil)
	h.waitForMails(1)
}

func TestMailServerThatComesBack(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.onlooker("wei")
	address := h.mail.Addr()
	if err := h.mail.Close(); err != nil {
		t.Fatal(err)
	}
	h.call(http.StatusAccepted, "POST", "/api/v1/events", structured, price("while it is away", 40), nil)
	h.eventually("the account to fail, with the delivery waiting", func() bool {
		var accounts struct{ Items []struct{ Circuit string } }
		h.call(http.StatusOK, "GET", "/api/v1/accounts", "", nil, &accounts)
		return len(accounts.Items) == 1 && accounts.Items[0].Circuit != "closed" && h.ledger().Pending == 1
	})

	h.mail = smtp.New(smtp.Config{Addr: address})
	if err := h.mail.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.mail.Close() })
	h.waitForMails(1)
	if l := h.rest(); l.Accepted != 1 || !l.Balanced {
		t.Errorf("ledger = %+v, want the one accepted", l)
	}
}

func TestDoubtIsResentOnceMarked(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.onlooker("wei")
	if err := h.mail.SetFaults(smtp.Fault{Kind: smtp.Doubt, Times: 1}); err != nil {
		t.Fatal(err)
	}
	h.call(http.StatusAccepted, "POST", "/api/v1/events", structured, price("doubtful", 40), nil)
	h.waitForMails(2)
	if l := h.rest(); l.Accepted != 1 || !l.Balanced {
		t.Errorf("ledger = %+v, want the one accepted", l)
	}
	mails := h.mail.Messages()
	if mails[0].MessageID != mails[1].MessageID {
		t.Errorf("the repetition has another Message-ID: %s, %s", mails[0].MessageID, mails[1].MessageID)
	}
	if n := h.repeated(); n != 1 {
		t.Errorf("%d hand-overs are marked as repetitions, want 1", n)
	}
}

func TestDeadAddressIsMarkedAndNotTriedAgain(t *testing.T) {
	t.Parallel()
	h := start(t)
	id := h.onlooker("wei")
	if err := h.mail.SetFaults(smtp.Fault{Kind: smtp.Refuse, Code: 550, Text: "5.1.1 no such user"}); err != nil {
		t.Fatal(err)
	}
	h.call(http.StatusAccepted, "POST", "/api/v1/events", structured, price("first", 40), nil)
	h.eventually("the first to fail", func() bool { return h.ledger().Failed == 1 })
	h.call(http.StatusAccepted, "POST", "/api/v1/events", structured, price("second", 39), nil)
	if l := h.rest(); l.Failed != 1 || l.Suppressed != 1 || !l.Balanced {
		t.Errorf("ledger = %+v, want one failed and one suppressed", l)
	}
	var member struct {
		Contacts []struct{ Standing string }
	}
	h.call(http.StatusOK, "GET", fmt.Sprintf("/api/v1/members/%d", id), "", nil, &member)
	if len(member.Contacts) != 1 || member.Contacts[0].Standing != "dead" {
		t.Errorf("contacts = %+v, want one, dead", member.Contacts)
	}
}

func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.onlooker("wei")
	if err := h.mail.SetFaults(smtp.Fault{Kind: smtp.Delay, Delay: smtp.Duration(time.Second)}); err != nil {
		t.Fatal(err)
	}
	h.call(http.StatusAccepted, "POST", "/api/v1/events", structured, price("slow", 40), nil)
	h.waitForMails(1) // it is kept; the answer is still to come
	h.proc.signal(t, syscall.SIGTERM)
	<-h.proc.ended
	h.boot()
	if l := h.rest(); l.Accepted != 1 {
		t.Errorf("ledger = %+v, want the one accepted", l)
	}
	if n := h.mail.Count(); n != 1 {
		t.Errorf("%d mails came, want 1: the stop waited for the answer", n)
	}
}

func TestSecondSignalForces(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.onlooker("wei")
	if err := h.mail.SetFaults(smtp.Fault{Kind: smtp.Delay, Delay: smtp.Duration(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	h.call(http.StatusAccepted, "POST", "/api/v1/events", structured, price("very slow", 40), nil)
	h.waitForMails(1)
	h.proc.signal(t, syscall.SIGTERM)
	h.proc.waitFor(t, "stopping")
	h.proc.signalUntilEnded(t, syscall.SIGTERM) // one right behind the first is taken for the same
	if code := h.proc.cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit status = %d, want 130", code)
	}
	if err := h.mail.SetFaults(); err != nil {
		t.Fatal(err)
	}
	h.boot()
	if l := h.rest(); l.Accepted != 1 || !l.Balanced {
		t.Errorf("ledger = %+v, want the one accepted after all", l)
	}
}

func TestTwoNodesShareTheWork(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.onlooker("wei")
	second := *h
	second.boot()
	const events = 200
	inFlight := int64(0)
	for i := range events {
		node := []*herald{h, &second}[i%2]
		node.call(http.StatusAccepted, "POST", "/api/v1/events", structured, price(fmt.Sprint("shared-", i), 40), nil)
		if i == events/2 {
			second.kill()
			inFlight = h.inFlight()
			second.boot()
		}
	}
	if l := h.rest(); l.Accepted != events || !l.Balanced {
		t.Errorf("ledger = %+v, want %d accepted", l, events)
	}
	h.checkRepeats(map[string]int{mailKey("wei@example.com", "Kettle is now €40.00"): events}, inFlight)
}

func TestStartRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "herald.yaml")
	if err := os.WriteFile(file, []byte("http:\n  listen: nowhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		env  []string
		args []string
		want string
	}{
		"a bad configuration file":   {nil, []string{"--config", file, "serve"}, "herald.yaml:2: http.listen must be host:port"},
		"a file that is not there":   {nil, []string{"--config", file + "x", "serve"}, "no such file"},
		"a taken port":               {[]string{"HERALD_HTTP_LISTEN=" + taken.Addr().String()}, []string{"serve"}, "address already in use"},
		"an unknown variable":        {[]string{"HERALD_LISTEN=:1"}, []string{"serve"}, "HERALD_LISTEN: no such setting"},
		"a database that is not one": {[]string{"HERALD_HTTP_LISTEN=127.0.0.1:0", "HERALD_DATABASE_URL=postgres://localhost:1/none", "HERALD_SECRET_KEY=0123456789abcdef0123456789abcdef"}, []string{"serve"}, "refused"},
		"an unknown command":         {nil, []string{"servee"}, "unexpected argument servee"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := &herald{t: t, env: append([]string{"HERALD_DATA_DIR=" + t.TempDir()}, tt.env...)}
			_, err := h.try("", tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("herald %v = %v, want it to say %q", tt.args, err, tt.want)
			}
		})
	}
}

func TestDemoOnceComesOutExactlyRight(t *testing.T) {
	t.Parallel()
	h := &herald{t: t}
	began := time.Now()
	out, err := h.try("", "demo", "--once", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var r demo.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	if r.Members == 0 || r.Matches == 0 || r.Channels.Email.Received == 0 || r.Channels.SMSGateway.Received == 0 || r.Channels.SMSModem.Received == 0 || r.Ledger.Suppressed == 0 || r.Ledger.Failed == 0 || r.Oracle.Expected == 0 {
		t.Errorf("report = %+v, want something of everything", r)
	}
	t.Logf("took %v", time.Since(began))
}
